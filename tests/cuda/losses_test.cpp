// The losses on codes and parameters on the device, against the chains of plain ops on the CPU, and how many launches they take.
#include "cuda/agree.hpp"
#include "rig/stylerig/latent_losses.hpp"
#include "rig/stylerig/loss_sum.hpp"
#include "rig/stylerig/parameter_distance.hpp"
#include "stylerig/plain_losses.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {

Tensor<unsigned char> mask(std::int64_t n, std::int64_t f, Device const& device) {
  std::vector<unsigned char> m;
  for (std::int64_t i = 0; i < n * f; ++i) m.push_back(i * i % 5 < 2);
  return Tensor<unsigned char>({n, f}, m, device);
}

}  // namespace

TEST_CASE("cuda: latent losses") {
  struct Case {
    std::int64_t n, samples, rows, w_dim;
  };
  for (auto const& c : std::vector<Case>{{1, 1, 1, 1}, {3, 2, 1, 31}, {2, 1, 3, 33}, {7, 4, 5, 70}, {41, 30, 7, 3}, {3, 2, 2, 512}}) {
    INFO(c.n, " samples, ", c.samples, " edits, ", c.rows, " x ", c.w_dim);
    agree::check_on_device(
        [&](auto const& x) { return x[0].device().is_cpu() ? plain::latent_losses(x[0], c.samples) : latent_losses(x[0], c.samples); },
        {agree::random({c.n, c.rows, c.w_dim}, 1)}, true, 1e-5);
  }
}

TEST_CASE("cuda: the distance of parameters") {
  for (std::int64_t n : {1, 5, 300})
    for (std::int64_t f : {1, 33, 257})
      for (std::int64_t masks : {std::int64_t(1), n}) {
        INFO(n, " x ", f, ", ", masks, " masks");
        Tensor<float> const deviation = agree::random({f}, 3, 0.1f, 1);
        agree::check_on_device(
            [&](auto const& x) {
              Device const d = x[0].device();
              auto const m = mask(masks, f, d);
              return d.is_cpu() ? plain::masked_parameter_distance(x[0], x[1], deviation, m)
                                : masked_parameter_distance(x[0], x[1], deviation.to(d), m);
            },
            {agree::random({n, f}, 1), agree::random({n, f}, 2)}, true, 1e-5);
      }
}

TEST_CASE("cuda: the regulariser") {
  RegulariserOptions o = RegulariserOptions::best();
  o.monochrome = 0.05;
  for (bool named : {false, true})
    for (std::int64_t n : {1, 9})
      for (auto const& layout :
           {ParameterLayout::standard(), ParameterLayout({{"rotation", 3}, {"illumination", 6}, {"other", 4}, {"expression", 5}})}) {
        INFO(layout.text(), named ? ", named, " : ", ", n, " rows");
        agree::check_on_device(
            [&](auto const& x) {
              auto const light = LightPrior::natural().on<float>(x[0].device());
              return x[0].device().is_cpu() ? plain::regulariser(layout, x[0], o, named, light)
                                            : regulariser(layout, x[0], o, named, light);
            },
            {agree::random({n, layout.size()}, 5)}, true, 3e-5);
      }
}

TEST_CASE("cuda: a sum of losses") {
  agree::check_on_device(
      [](auto const& x) {
        return sum_losses<float>(x, {{1, 0, 1, 300, 0.5}, {0, 1, 0, 6, 0.25}, {1, 1, 2, 2, -2}, {3, 0, 0, 1, 3}}, {0.7, -1.5, 0.2, 1});
      },
      {agree::random({401}, 1), agree::random({2, 3}, 2)}, true, 1e-5);
}

TEST_CASE("cuda: losses on codes and parameters take two launches forward and one backward") {
  Device device;
  if (!test::device_for(device)) return;
  auto launches = [&] { return device.queue().work().launches; };
  auto check_launches = [&](auto const& f, Tensor<float> const& given) {
    Tape tape;
    Var<float> const x = tape.watch(given.to(device));
    std::int64_t const before = launches();
    Var<float> const y = f(x);
    CHECK(launches() - before == 2);
    Var<float> const gy(ones<float>(y.shape(), device));
    std::int64_t const forward = launches();
    tape.grad(y, x, gy);
    CHECK(launches() - forward == 1);
  };
  ParameterLayout const layout = ParameterLayout::standard();
  auto const light = LightPrior::natural().on<float>(device);
  auto const deviation = ones<float>({257}, device);
  auto const counts = mask(1, 257, device);
  Var<float> const other(agree::random({5, 257}, 2).to(device));
  check_launches([](auto const& x) { return latent_losses(x, 3); }, agree::random({5, 4, 37}));
  check_launches([&](auto const& x) { return masked_parameter_distance(x, other, deviation, counts); }, agree::random({5, 257}));
  check_launches([&](auto const& x) { return regulariser(layout, x, RegulariserOptions::best(), true, light); }, agree::random({5, 257}));
}
