#include "rig/ops/modulated_conv.hpp"

#include <doctest/doctest.h>

#include "ops/parity.hpp"
#include "rig/autodiff/gradcheck.hpp"

using namespace rig;

TEST_CASE("modulated_conv2d: by hand") {
  Var<double> const x(Tensor<double>({2, 1, 1, 2}, {1, 2, 1, 2})), w(Tensor<double>({1, 1, 1, 2}, {3, 4})),
      s(Tensor<double>({2, 2}, {1, 1, 2, 0}));
  auto const y = modulated_conv2d(x, w, s, {.demodulate = false}).value().host();
  CHECK(y == std::vector<double>{11, 6});
  auto const d = modulated_conv2d(x, w, s).value().host();
  CHECK(d[0] == doctest::Approx(11 / 5.0));
  CHECK(d[1] == doctest::Approx(6 / 6.0));
}

TEST_CASE("scale_channels and channel_dot: values and gradients of both, first and second") {
  Rng rng(2);
  Tensor<double> const x = randn<double>({2, 5, 7, 3}, rng), g = randn<double>({2, 5, 7, 3}, rng), s = randn<double>({2, 3}, rng);
  auto const y = scale_channels<double>(x, s).value().host();
  CHECK(y[(1 * 35 + 4) * 3 + 2] == x.host()[(1 * 35 + 4) * 3 + 2] * s.host()[1 * 3 + 2]);
  for (int order = 1; order <= 2; ++order) {
    CHECK(gradcheck([](auto const& v) { return square(scale_channels(v[0], v[1])); }, {x, s}, {.order = order}).worst < 1e-6);
    CHECK(gradcheck([](auto const& v) { return square(channel_dot(v[0], v[1])); }, {x, g}, {.order = order}).worst < 1e-6);
    CHECK(gradcheck([](auto const& v) { return square(sum_taps_of_squares(v[0])); }, {randn<double>({2, 3, 2, 5}, rng)}, {.order = order})
              .worst < 1e-6);
  }
  // Several leaves of the sum.
  Tensor<double> const a = randn<double>({2, 30, 41, 5}, rng), b = randn<double>({2, 30, 41, 5}, rng);
  auto const dot = channel_dot<double>(a, b).value().host();
  double expected = 0;
  for (std::int64_t p = 0; p < 30 * 41; ++p) expected += a.data()[(30 * 41 + p) * 5 + 3] * b.data()[(30 * 41 + p) * 5 + 3];
  CHECK(dot[8] == doctest::Approx(expected).epsilon(1e-12));
}

TEST_CASE("modulated_conv2d: gradients, first and second") {
  Rng rng(3);
  Tensor<double> const x = randn<double>({2, 4, 5, 3}, rng), w = randn<double>({4, 3, 3, 3}, rng), s = randn<double>({2, 3}, rng);
  Tensor<double> const f = randn<double>({4, 4}, rng);
  for (int order = 1; order <= 2; ++order)
    for (bool demodulate : {true, false})
      for (auto [up, down] : {std::pair{1, 1}, {2, 1}, {1, 2}}) {
        ModulatedConvOptions<double> const o{
            .demodulate = demodulate, .up = up, .down = down, .padding = 1, .flip_weight = up == 1, .filter = f};
        CHECK(gradcheck([&](auto const& v) { return square(modulated_conv2d(v[0], v[1], v[2], o)); }, {x, w, s}, {.order = order}).worst <
              1e-6);
      }
}

TEST_CASE("noise_bias_act: value, and gradients for an activation with and without curvature") {
  Rng rng(4);
  Tensor<double> const x = randn<double>({2, 4, 5, 3}, rng), strength({}, {0.7}), b = randn<double>({3}, rng);
  for (std::int64_t samples : {1, 2}) {
    Tensor<double> const noise = randn<double>({samples, 4, 5, 1}, rng);
    for (auto activation : {Activation::lrelu, Activation::swish}) {
      BiasActOptions const o{.activation = activation, .clamp = 1.9};
      auto const fused = noise_bias_act<double>(x, noise, strength, b, o).value().host();
      auto const apart = bias_act<double>(Var<double>(x) + Var<double>(noise) * Var<double>(strength), Var<double>(b), o).value().host();
      for (std::size_t i = 0; i < fused.size(); ++i) CHECK(fused[i] == doctest::Approx(apart[i]).epsilon(1e-12));
      for (int order = 1; order <= 2; ++order)
        CHECK(gradcheck([&](auto const& v) { return square(noise_bias_act(v[0], v[1], v[2], v[3], o)); }, {x, noise, strength, b},
                        {.order = order})
                  .worst < 1e-6);
    }
  }
  CHECK(noise_bias_act<double>(x, {}, {}, b).value().host() == bias_act<double>(x, Var<double>(b)).value().host());
}

TEST_CASE("modulated_conv2d: the stored cases") {
  int const ran = parity::run("ops_modulated_conv2d.npz", {"x", "w", "s", "noise"}, [](parity::Case const& c, auto const& in) {
    auto p = [&](int i) { return c.number("p", i); };
    Var<float> const y = modulated_conv2d(
        in.at("x"), in.at("w"), in.at("s"),
        {.demodulate = p(3) != 0, .up = p(0), .down = p(1), .padding = p(2), .flip_weight = p(4) != 0, .filter = c.filter()});
    if (!in.count("noise")) return y;
    Var<float> const& noise = in.at("noise");
    return y + (noise.rank() == 2 ? reshape(noise, {1, noise.dim(0), noise.dim(1), 1}) : noise);
  });
  CHECK(ran != 0);
}

TEST_CASE("modulated_conv2d: the same bits for any number of threads, and nothing asked of the system once warm") {
  Rng rng(5);
  Tensor<float> const x = randn<float>({2, 32, 30, 24}, rng), w = randn<float>({20, 3, 3, 24}, rng), s = randn<float>({2, 24}, rng);
  ModulatedConvOptions<float> const o{.up = 2, .padding = 1, .flip_weight = false, .filter = setup_filter<float>({1, 3, 3, 1})};
  auto run = [&] {
    Tape tape;
    auto const a = tape.watch(x), b = tape.watch(w), c = tape.watch(s);
    auto const y = modulated_conv2d(a, b, c, o);
    auto const g = tape.grad(sum(square(y)), {a, b, c});
    return std::vector<std::vector<float>>{y.value().host(), g[0].value().host(), g[1].value().host(), g[2].value().host()};
  };
  int const before = threads();
  set_threads(1);
  auto const one = run();
  CHECK(one[0].size() == 2 * 64 * 60 * 20);
  for (int n : {2, 7}) {
    set_threads(n);
    CHECK(run() == one);
  }
  // A larger number of threads needs more temporary blocks at once, so warm is warm for one number.
  set_threads(1);
  run();
  auto const asked = cpu().queue().memory().system_allocations;
  run();
  CHECK(cpu().queue().memory().system_allocations == asked);
  set_threads(before);
}

TEST_CASE("modulated_conv2d: wrong shapes are named") {
  Var<float> const x(zeros<float>({2, 4, 4, 3})), w(zeros<float>({5, 3, 3, 3})), s(zeros<float>({2, 3}));
  CHECK_THROWS_WITH_AS(modulated_conv2d(x, w, Var<float>(zeros<float>({1, 3}))),
                       "modulated_conv2d: styles must be [2, 3] to match x [2, 4, 4, 3], got [1, 3]", Error);
  CHECK_THROWS_AS(modulated_conv2d(x, Var<float>(zeros<float>({5, 3, 3, 4})), s), Error);
  CHECK_THROWS_AS(modulated_conv2d(Var<float>(zeros<float>({4, 3})), w, s), Error);
  CHECK_THROWS_AS(scale_channels(x, Var<float>(zeros<float>({3}))), Error);
  CHECK_THROWS_AS(channel_dot(x, w), Error);
  CHECK_THROWS_AS(noise_bias_act(x, Var<float>(zeros<float>({1, 4, 4, 3})), Var<float>(zeros<float>({})), Var<float>()), Error);
  CHECK_THROWS_AS(noise_bias_act(x, Var<float>(zeros<float>({1, 4, 4, 1})), Var<float>(), Var<float>()), Error);
}

TEST_CASE("modulated_conv2d: watched and unwatched, one sample and several, agree") {
  Rng rng(9);
  for (auto [size, o] : {std::pair{3, 3}, {1, 3}, {3, 20}, {1, 20}})
    for (bool demodulate : {true, false}) {
      std::int64_t const c = 12;
      Tensor<double> const x = randn<double>({2, 18, 17, c}, rng), w = randn<double>({o, size, size, c}, rng),
                           s = randn<double>({2, c}, rng);
      ModulatedConvOptions<double> const options{.demodulate = demodulate, .padding = size / 2};
      auto const both = modulated_conv2d<double>(x, w, s, options).value().host();
      for (std::int64_t i = 0; i < 2; ++i) {
        Tape tape;
        auto const alone = modulated_conv2d<double>(x.rows(i, 1), w, s.rows(i, 1), options).value().host();
        auto const watched = modulated_conv2d<double>(tape.watch(x.rows(i, 1)), w, s.rows(i, 1), options).value().host();
        REQUIRE(alone.size() * 2 == both.size());
        for (std::size_t k = 0; k < alone.size(); ++k) {
          CHECK(std::abs(alone[k] - both[std::size_t(i) * alone.size() + k]) < 1e-11);
          CHECK(std::abs(alone[k] - watched[k]) < 1e-11);
        }
      }
    }
}
