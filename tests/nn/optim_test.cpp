#include <doctest/doctest.h>

#include "rig/nn/linear.hpp"
#include "rig/nn/optim/adadelta.hpp"
#include "rig/nn/optim/adam.hpp"
#include "rig/nn/optim/ema.hpp"

using namespace rig;

namespace {
template <class T> struct One {
  Param<T> p;
  Tensor<T> buffer;
  explicit One(std::vector<T> const& v) : p(Tensor<T>({std::int64_t(v.size())}, v)), buffer(full<T>({2}, T(3))) {}
  void visit(auto&& f) { f("p", p), f("buffer", buffer); }
};
}  // namespace

TEST_CASE("AdaDelta: the speed that epsilon sets under a steady gradient") {
  One<double> m({0.0});
  nn::AdaDelta<double> opt({.rate = 0.01, .rho = 0.95, .epsilon = 1e-8});
  double before = 0, step = 0;
  for (int t = 1; t <= 100000; ++t) {
    m.p.gradient() = full<double>({1}, 1.0);
    before = m.p.item();
    opt.step(m);
    step = before - m.p.item();
    CHECK_MESSAGE(!m.p.gradient(), "the gradient must be used up");
    if (t == 1000) {
      CHECK(step == doctest::Approx(0.01 * std::sqrt(1e-8 * (1 + 0.05 * 1000))).epsilon(0.03));
      CHECK(step == doctest::Approx(7e-6).epsilon(0.05));
    }
  }
  CHECK(step == doctest::Approx(7e-5).epsilon(0.05));
}

TEST_CASE("AdaDelta: three steps by hand") {
  One<double> m({0.5});
  nn::AdaDelta<double> opt({.rate = 0.1, .rho = 0.9, .epsilon = 1e-4});
  double a = 0, b = 0, p = 0.5;
  for (double g : {0.3, -0.7, 0.2}) {
    m.p.gradient() = full<double>({1}, g);
    opt.step(m);
    a = 0.9 * a + 0.1 * g * g;
    double const s = std::sqrt((b + 1e-4) / (a + 1e-4)) * g;
    b = 0.9 * b + 0.1 * s * s;
    p -= 0.1 * s;
  }
  CHECK(m.p.item() == doctest::Approx(p).epsilon(1e-12));
}

TEST_CASE("Adam and Sgd by hand; a mutable rate; a parameter without gradient stays") {
  One<double> m({0.5}), v({0.5});
  nn::Adam<double> adam({.rate = 0.1, .beta1 = 0.8, .beta2 = 0.9, .epsilon = 1e-3, .decay = 0.05});
  nn::Sgd<double> sgd({.rate = 0.1, .momentum = 0.5});
  double first = 0, second = 0, p = 0.5, speed = 0, q = 0.5;
  int t = 0;
  for (double g : {0.3, -0.7, 0.2}) {
    if (t == 2) adam.rate = sgd.rate = 0.03;
    double const rate = t == 2 ? 0.03 : 0.1;
    ++t;
    m.p.gradient() = full<double>({1}, g);
    v.p.gradient() = full<double>({1}, g);
    adam.step(m);
    sgd.step(v);
    first = 0.8 * first + 0.2 * g, second = 0.9 * second + 0.1 * g * g;
    p = (1 - rate * 0.05) * p - rate * (first / (1 - std::pow(0.8, t))) / (std::sqrt(second / (1 - std::pow(0.9, t))) + 1e-3);
    speed = 0.5 * speed + g, q -= rate * speed;
  }
  CHECK(m.p.item() == doctest::Approx(p).epsilon(1e-12));
  CHECK(v.p.item() == doctest::Approx(q).epsilon(1e-12));
  adam.step(m);
  CHECK(m.p.item() == doctest::Approx(p).epsilon(1e-12));
  One<double> other({1.0, 2.0});
  CHECK_THROWS_AS(adam.step(other), Error);
}

TEST_CASE("clip_gradients, sanitize_gradients, cosine_rate") {
  One<double> a({1.0, 2.0});
  a.p.gradient() = Tensor<double>({2}, {3.0, 4.0});
  Tensor<double> const kept = a.p.gradient();
  CHECK(nn::clip_gradients(a, 10) == doctest::Approx(5));
  CHECK(a.p.gradient().host() == std::vector<double>{3, 4});
  CHECK(nn::clip_gradients(a, 1) == doctest::Approx(5));
  CHECK(nn::gradient_norm(a) == doctest::Approx(1));
  CHECK(kept.host() == std::vector<double>{3, 4});  // somebody else may hold it
  double const inf = std::numeric_limits<double>::infinity();
  a.p.gradient() = Tensor<double>({2}, {-inf, std::nan("")});
  nn::sanitize_gradients(a);
  CHECK(a.p.gradient().host() == std::vector<double>{-1e5, 0});
  a.p.gradient() = Tensor<double>({2}, {inf, 1});
  CHECK(!std::isfinite(nn::clip_gradients(a, 1)));
  CHECK(!a.p.gradient());

  CHECK(nn::cosine_rate(0, 100, 2, 1) == doctest::Approx(2));
  CHECK(nn::cosine_rate(50, 100, 2, 1) == doctest::Approx(1.5));
  CHECK(nn::cosine_rate(200, 100, 2, 1) == doctest::Approx(1));
  CHECK(nn::cosine_rate(4, 100, 2, 1, 10) == doctest::Approx(1));
}

TEST_CASE("clone, copy_values, moving average, hash") {
  Rng rng(1);
  nn::Linear<float> a({3, 4}, rng), b({3, 4}, rng);
  nn::Linear<float> c = nn::clone(a), shared = a;
  CHECK(nn::content_hash(c) == nn::content_hash(a));
  CHECK(nn::parameter_count(a) == 16);
  a.weight.tensor().mutate()[0] += 1;
  CHECK(nn::content_hash(shared) == nn::content_hash(a));
  CHECK(nn::content_hash(c) != nn::content_hash(a));
  nn::copy_values(b, a);
  CHECK(nn::content_hash(b) == nn::content_hash(a));
  nn::Linear<float> wide({3, 5}, rng);
  CHECK_THROWS_AS(nn::copy_values(wide, a), Error);

  One<double> average({1.0, 2.0}), now({3.0, 6.0});
  now.buffer = full<double>({2}, 9.0);
  nn::update_average(average, now, 0.75);
  CHECK(average.p.value().host() == std::vector<double>{1.5, 3.0});
  CHECK(average.buffer.host() == std::vector<double>{9, 9});
  CHECK(nn::average_decay(32, 320) == doctest::Approx(std::pow(0.5, 0.1)));
  CHECK(nn::average_decay(32, 320, 640, 0.05) == doctest::Approx(0.5));
}

TEST_CASE("Linear and EqualLinear: values and learning a line") {
  Rng rng(5);
  nn::Linear<double> line({2, 1}, rng);
  Tensor<double> const x = randn<double>({64, 2}, rng);
  std::vector<double> target;
  for (int i = 0; i < 64; ++i) target.push_back(2 * x.data()[2 * i] - x.data()[2 * i + 1] + 0.5);
  nn::Adam<double> opt({.rate = 0.05});
  for (int i = 0; i < 400; ++i) {
    Tape tape;
    tape.watch(line);
    tape.backward(mean(square(line(Var(x)) - Var(Tensor<double>({64, 1}, target)))));
    opt.step(line);
  }
  CHECK(line.weight.value().data()[0] == doctest::Approx(2).epsilon(1e-3));
  CHECK(line.weight.value().data()[1] == doctest::Approx(-1).epsilon(1e-3));
  CHECK(line.bias.item() == doctest::Approx(0.5).epsilon(1e-3));

  nn::EqualLinear<double> e({.in = 4, .out = 1, .activation = Activation::lrelu, .lr_multiplier = 0.01, .bias = 2}, rng);
  double expected = 2 * 0.01;
  Tensor<double> const v({1, 4}, {1, -2, 3, 0.5});
  for (int i = 0; i < 4; ++i) expected += v.data()[i] * e.weight.value().data()[i] * 0.005;
  expected *= std::sqrt(2.0) * (expected > 0 ? 1 : 0.2);
  CHECK(e(Var(v)).item() == doctest::Approx(expected).epsilon(1e-12));
  CHECK_THROWS_AS(e(Var(x)), Error);
}

TEST_CASE("optimisers refuse options that would end in numbers that are none") {
  double const nan = std::nan("");
  for (double rate : {-1.0, nan, double(HUGE_VAL)}) {
    CHECK_THROWS_WITH_AS(nn::Adam<float>({.rate = rate}), doctest::Contains("Adam: the rate must be finite and not negative, got"), Error);
    CHECK_THROWS_WITH_AS(nn::AdaDelta<float>({.rate = rate}), doctest::Contains("AdaDelta: the rate must"), Error);
    CHECK_THROWS_WITH_AS(nn::Sgd<float>({.rate = rate}), doctest::Contains("Sgd: the rate must"), Error);
  }
  for (double share : {-0.1, 1.0, nan}) {
    CHECK_THROWS_WITH_AS(nn::Adam<float>({.beta1 = share}), doctest::Contains("Adam: beta1 must be at least 0 and less than 1"), Error);
    CHECK_THROWS_WITH_AS(nn::Adam<float>({.beta2 = share}), doctest::Contains("Adam: beta2 must be"), Error);
    CHECK_THROWS_WITH_AS(nn::AdaDelta<float>({.rho = share}), doctest::Contains("AdaDelta: rho must be"), Error);
    CHECK_THROWS_WITH_AS(nn::Sgd<float>({.momentum = share}), doctest::Contains("Sgd: momentum must be"), Error);
  }
  CHECK_THROWS_WITH_AS(nn::Adam<float>({.epsilon = -1e-8}), doctest::Contains("epsilon and decay must not be negative"), Error);
  CHECK_THROWS_WITH_AS(nn::AdaDelta<float>({.epsilon = 0}), doctest::Contains("epsilon must be positive"), Error);
  nn::Adam<float>({.rate = 0, .beta1 = 0});
}
