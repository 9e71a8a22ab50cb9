// Optimisers on the device: all parameters in few launches, with the CPU's results.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/device.hpp"
#include "rig/core/random.hpp"
#include "rig/nn/optim/adadelta.hpp"
#include "rig/nn/optim/adam.hpp"
#include "rig/nn/optim/ema.hpp"

using namespace rig;

namespace {
/// 70 parameters, more than one launch takes, of sizes that do not fit a block.
template <class T> struct Many {
  std::vector<Param<T>> p;
  Tensor<T> buffer;
  Many(Device const& device, std::uint64_t seed) {
    Rng rng(seed);
    for (int i = 0; i < 70; ++i) {
      std::int64_t const sizes[] = {1, 3, 255, 257, 4095, 4096, 4097, 9000};
      p.emplace_back(randn<T>({i % 10 == 0 ? sizes[i / 10] : 5 + i}, rng).to(device));
    }
    buffer = randn<T>({7}, rng).to(device);
  }
  void set_gradients(std::uint64_t seed, int without = -1) {
    Rng rng(seed);
    for (int i = 0; i < 70; ++i) {
      Tensor<T> const g = randn<T>(p[std::size_t(i)].shape(), rng).to(p[std::size_t(i)].device());
      if (i != without) p[std::size_t(i)].gradient() = g;
    }
  }
  void visit(auto&& f) { f("p", p), f("buffer", buffer); }
};
template <class T> std::vector<T> values(Many<T>& m) {
  std::vector<T> v;
  nn::tensors(m, [&](std::string const&, auto& leaf) {
    for (auto x : nn::detail::tensor_of(leaf).host()) v.push_back(x);
  });
  return v;
}
/// Equal but for roundings: the device may multiply and add in one step.
template <class T> void check_near(std::vector<T> const& a, std::vector<T> const& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(double(a[i]) - double(b[i])));
  CHECK(worst < (std::is_same_v<T, float> ? 1e-5 : 1e-13));
}

template <class T, class Optimiser> void compare(Device const& device, Optimiser here, bool clip) {
  Many<T> a({}, 1), b(device, 1);
  Optimiser there = here;
  for (int step = 0; step < 4; ++step) {
    a.set_gradients(std::uint64_t(10 + step), step == 2 ? 5 : -1), b.set_gradients(std::uint64_t(10 + step), step == 2 ? 5 : -1);
    if (step == 3) here.rate = there.rate = 0.5 * here.rate;
    auto const waits = device.queue().work().waits, launches = device.queue().work().launches;
    here.step(a, clip ? nn::gradient_factor<T>(a, 1.5) : Tensor<T>{});
    there.step(b, clip ? nn::gradient_factor<T>(b, 1.5) : Tensor<T>{});
    CHECK(device.queue().work().waits == waits);
    if (step > 0) CHECK(device.queue().work().launches - launches == (clip ? 5 : 2));
    for (auto const& p : b.p) CHECK(!p.gradient());
    check_near(values(a), values(b));
  }
}
}  // namespace

TEST_CASE("cuda: Adam and AdaDelta move all parameters at once, to where the CPU moves them") {
  Device device;
  if (!test::device_for(device)) return;
  for (bool clip : {false, true}) {
    INFO("clip ", clip);
    compare<float>(device, nn::Adam<float>({.rate = 0.01, .decay = 0.1}), clip);
    compare<double>(device, nn::Adam<double>({.rate = 0.01, .beta1 = 0.5, .beta2 = 0.9}), clip);
    compare<float>(device, nn::AdaDelta<float>({.rate = 0.1, .epsilon = 1e-4}), clip);
    compare<double>(device, nn::AdaDelta<double>({.rate = 0.1, .rho = 0.9, .epsilon = 1e-4}), clip);
  }
}

TEST_CASE("cuda: the factor that bounds the norm; a norm that is not finite moves nothing") {
  Device device;
  if (!test::device_for(device)) return;
  Many<float> here({}, 1), there(device, 1);
  here.set_gradients(3), there.set_gradients(3);
  for (double largest : {0.5, 1e6}) {
    float const a = nn::gradient_factor<float>(here, largest).item(), b = nn::gradient_factor<float>(there, largest).item();
    CHECK(a == doctest::Approx(largest == 0.5 ? largest / nn::gradient_norm(here) : 1).epsilon(1e-6));
    CHECK(b == doctest::Approx(a).epsilon(1e-6));
  }
  float const first = nn::gradient_factor<float>(there, 0.5).item();
  for (int i = 0; i < 3; ++i) CHECK(nn::gradient_factor<float>(there, 0.5).item() == first);
  for (float bad : {std::numeric_limits<float>::infinity(), std::nanf("")}) {
    for (Many<float>* m : {&here, &there}) {
      m->set_gradients(4);
      m->p[30].gradient() = full<float>(m->p[30].shape(), bad, m->p[30].device());
      std::vector<float> const before = values(*m);
      nn::Adam<float> adam;
      nn::AdaDelta<float> adadelta;
      adam.step(*m, nn::gradient_factor<float>(*m, 1));
      CHECK(values(*m) == before);
      CHECK(!m->p[0].gradient());
      m->set_gradients(4);
      m->p[30].gradient() = full<float>(m->p[30].shape(), bad, m->p[30].device());
      adadelta.step(*m, nn::gradient_factor<float>(*m, 1));
      CHECK(values(*m) == before);
    }
  }
}

TEST_CASE("cuda: a moving average in few launches") {
  Device device;
  if (!test::device_for(device)) return;
  Many<float> a({}, 1), b({}, 2), c(device, 1), d(device, 2);
  auto const launches = device.queue().work().launches;
  nn::update_average(a, b, 0.9);
  nn::update_average(c, d, 0.9);
  CHECK(device.queue().work().launches - launches == 2);
  check_near(values(a), values(c));
}

TEST_CASE("cuda: the order of threads changes nothing in an optimiser's step") {
  Device device;
  if (!test::device_for(device)) return;
  std::vector<float> first;
  test::in_every_order([&] {
    Many<float> m(device, 1);
    nn::Adam<float> adam;
    m.set_gradients(2);
    adam.step(m, nn::gradient_factor<float>(m, 0.1));
    if (first.empty()) first = values(m);
    CHECK(values(m) == first);
  });
}
