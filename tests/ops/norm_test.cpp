#include "rig/ops/norm.hpp"

#include <doctest/doctest.h>

#include "rig/core/random.hpp"
#include "rig/ops/progressive.hpp"

using namespace rig;

namespace {
double largest_difference(Tensor<double> const& a, Tensor<double> const& b) {
  REQUIRE(a.shape() == b.shape());
  double d = 0;
  auto const x = a.host(), y = b.host();
  for (std::size_t i = 0; i < x.size(); ++i) d = std::max(d, std::abs(x[i] - y[i]));
  return d;
}
}  // namespace

TEST_CASE("instance_norm and adain: by hand") {
  // One channel of 1, 3, 5, 7: mean 4, variance 5. The other is flat.
  Var<double> const x(Tensor<double>({1, 2, 2, 2}, {1, 2, 3, 2, 5, 2, 7, 2}));
  double const r = 1 / std::sqrt(5 + 1e-8);
  auto const y = instance_norm(x).value().host();
  for (int i = 0; i < 4; ++i) {
    CHECK(y[std::size_t(2 * i)] == doctest::Approx((2 * i - 3) * r).epsilon(1e-12));
    CHECK(y[std::size_t(2 * i + 1)] == 0);
  }
  CHECK(instance_scale(x, 0.04).value().host()[1] == doctest::Approx(5));
  // Scales 0.5 and 2, offsets 10 and 20.
  auto const z = adain(x, Var<double>(Tensor<double>({1, 4}, {0.5, 2, 10, 20}))).value().host();
  CHECK(z[0] == doctest::Approx(10 - 4.5 * r).epsilon(1e-12));
  CHECK(z[1] == 20);
}

TEST_CASE("instance_norm: a mean a hundred thousand times the deviation loses nothing that float can hold") {
  Rng rng(3);
  Tensor<float> const x = randn<float>({2, 61, 50, 3}, rng);  // six leaves
  Tensor<float> shifted = x.clone();
  for (std::int64_t i = 0; i < x.size(); ++i) shifted.mutate()[i] = 8192 + std::round(x.data()[i] * 256) / 256;
  Tensor<double> const exact = instance_norm(Var<double>(cast<double>(shifted))).value();
  CHECK(largest_difference(cast<double>(instance_norm(Var<float>(shifted)).value()), exact) < 2e-3);
}

TEST_CASE("modulate_channels after instance_norm is adain") {
  Rng rng(4);
  Var<double> const x(randn<double>({2, 5, 4, 3}, rng)), s(randn<double>({2, 6}, rng));
  CHECK(largest_difference(adain(x, s).value(), modulate_channels(instance_norm(x), s).value()) < 1e-14);
}

TEST_CASE("progressive ops: by hand") {
  Var<double> const x(Tensor<double>({1, 1, 2, 1}, {4, 8}));
  CHECK(blur2d(x).value().host() == std::vector<double>{2, 2.5});  // 2 (2 4 + 8) / 16 and 2 (4 + 2 8) / 16
  CHECK(upscale2d(x).value().host() == std::vector<double>{4, 4, 8, 8, 4, 4, 8, 8});
  CHECK(downscale2d(upscale2d(x, 4), 2).value().host() == upscale2d(x).value().host());
  CHECK_THROWS_AS(upscale2d(x, 0), Error);
  CHECK_THROWS_AS(blur2d(x, {}), Error);
}

TEST_CASE("joined convolutions are the two steps they stand for; the fused form mirrors the window") {
  Rng rng(5);
  for (std::int64_t k : {1, 3, 5}) {
    Var<double> const x(randn<double>({2, 6, 8, 3}, rng)), w(randn<double>({4, k, k, 3}, rng));
    Var<double> const up = conv2d(upscale2d(x), w, {.padding = int(k / 2)});
    CHECK(largest_difference(upscale_conv2d(x, w).value(), up.value()) < 1e-13);
    CHECK(largest_difference(upscale_conv2d(x, turn_weight(w, false, true), true).value(), up.value()) < 1e-13);
    CHECK(largest_difference(conv2d_downscale(x, w).value(), downscale2d(conv2d(x, w, {.padding = int(k / 2)})).value()) < 1e-13);
  }
}
