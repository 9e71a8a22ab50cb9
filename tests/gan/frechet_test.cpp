// The Fréchet distance against Gaussians whose distance is known, and its statistics against sums by hand.
#include "rig/gan/frechet.hpp"

#include <cmath>

#include "helpers.hpp"
#include "rig/core/random.hpp"
#include "rig/ops/arithmetic.hpp"

using namespace rig;
using gan::FeatureStatistics;
using gan::frechet_distance;

namespace {
Tensor<double> matrix(std::int64_t d, std::vector<double> const& v) { return Tensor<double>({d, d}, v); }
Tensor<double> vector(std::vector<double> const& v) { return Tensor<double>({std::int64_t(v.size())}, v); }
}  // namespace

TEST_CASE("frechet_distance: closed forms") {
  auto const zero = vector({0, 0});
  auto const c = matrix(2, {2, 0.6, 0.6, 1});
  CHECK(frechet_distance(zero, c, zero, c) == doctest::Approx(0).epsilon(1e-12));
  CHECK(frechet_distance(zero, c, vector({3, -4}), c) == doctest::Approx(25));
  // Diagonal: the sum of (s1 - s2)^2 of the deviations.
  CHECK(frechet_distance(zero, matrix(2, {4, 0, 0, 9}), vector({1, 0}), matrix(2, {1, 0, 0, 25})) == doctest::Approx(1 + 1 + 4));
  // Both have the eigenvectors (1, 1) and (1, -1): eigenvalues 4 and 1 against 9 and 16.
  CHECK(frechet_distance(zero, matrix(2, {2.5, 1.5, 1.5, 2.5}), zero, matrix(2, {12.5, -3.5, -3.5, 12.5})) ==
        doctest::Approx(1 + 9).epsilon(1e-12));
  // They do not commute. For 2 by 2, tr (C1 C2)^(1/2) = (tr C1 C2 + 2 sqrt(det C1 det C2))^(1/2): here tr C1 C2 = 5 and the
  // determinants are 4 and 0.75.
  double const shared = std::sqrt(5 + 2 * std::sqrt(3.0));
  auto const a = matrix(2, {4, 0, 0, 1}), b = matrix(2, {1, 0.5, 0.5, 1});
  CHECK(frechet_distance(zero, a, zero, b) == doctest::Approx(7 - 2 * shared).epsilon(1e-12));
  CHECK(frechet_distance(zero, b, zero, a) == doctest::Approx(7 - 2 * shared).epsilon(1e-12));
}

TEST_CASE("frechet_distance: fewer features than dimensions") {
  Rng rng(3);
  FeatureStatistics const few(randn<float>({5, 40}, rng)), others(randn<float>({7, 40}, rng)), one_point(ones<float>({6, 40}));
  double const distance = frechet_distance(few, others);
  CHECK(std::isfinite(distance));
  CHECK(distance > 0);
  CHECK(distance == doctest::Approx(frechet_distance(others, few)).epsilon(1e-6));
  CHECK(frechet_distance(few, few) == doctest::Approx(0).scale(40).epsilon(1e-6));
  CHECK(frechet_distance(one_point, one_point) == doctest::Approx(0));
  double trace = 0, apart = 0;
  for (int i = 0; i < 40; ++i) {
    trace += few.covariance().data()[41 * i];
    apart += std::pow(few.mean().data()[i] - 1, 2);
  }
  CHECK(frechet_distance(few, one_point) == doctest::Approx(trace + apart));
}

TEST_CASE("frechet_distance: two draws from one source come nearer as they grow") {
  Rng rng(5);
  auto const between = [&](std::int64_t n) {
    return frechet_distance(FeatureStatistics(randn<float>({n, 8}, rng)), FeatureStatistics(randn<float>({n, 8}, rng)));
  };
  double const small = between(50), large = between(5000);
  CHECK(large < small / 10);
  CHECK(large > 0);
}

TEST_CASE("FeatureStatistics: batches add up") {
  Rng rng(7);
  Tensor<float> const x = affine(Var<float>(randn<float>({23, 6}, rng)), 0.01f, 1000).value();  // far from 0, where sums of squares cancel
  FeatureStatistics const whole(x);
  FeatureStatistics parts;
  for (std::int64_t first : {0, 1, 10}) parts.add(x.rows(first, first == 0 ? 1 : first == 1 ? 9 : 13));
  CHECK(parts.count() == 23);
  CHECK(parts.dimensions() == 6);
  for (std::int64_t i = 0; i < 6; ++i) {
    double mean = 0;
    for (std::int64_t r = 0; r < 23; ++r) mean += double(x.data()[6 * r + i]) / 23;
    CHECK(whole.mean().data()[i] == doctest::Approx(mean).epsilon(1e-12));
    CHECK(parts.mean().data()[i] == doctest::Approx(mean).epsilon(1e-12));
    for (std::int64_t j = 0; j < 6; ++j) {
      double other = 0, sum = 0;
      for (std::int64_t r = 0; r < 23; ++r) other += double(x.data()[6 * r + j]) / 23;
      for (std::int64_t r = 0; r < 23; ++r) sum += (double(x.data()[6 * r + i]) - mean) * (double(x.data()[6 * r + j]) - other);
      CHECK(whole.covariance().data()[6 * i + j] == doctest::Approx(sum / 22).scale(1e-4).epsilon(1e-6));
      CHECK(parts.covariance().data()[6 * i + j] == doctest::Approx(sum / 22).scale(1e-4).epsilon(1e-6));
    }
  }
}

TEST_CASE("frechet_distance says what it expected") {
  FeatureStatistics s(ones<float>({3, 4}));
  CHECK(contains(message_of([&] { s.add(ones<float>({3, 5})); }), "[n, 4]"));
  CHECK(contains(message_of([&] { s.add(full<float>({1, 4}, NAN)); }), "not finite"));
  CHECK(s.count() == 3);
  CHECK(contains(message_of([] { FeatureStatistics(ones<float>({1, 4})).covariance(); }), "at least 2"));
  CHECK(contains(message_of([] { FeatureStatistics().mean(); }), "no features"));
  auto const m = vector({0, 0});
  CHECK(contains(message_of([&] { frechet_distance(m, matrix(2, {1, 0, 0, 1}), m, matrix(1, {1})); }), "[2, 2]"));
  CHECK(contains(message_of([&] { frechet_distance(m, matrix(2, {1, 0, 0, NAN}), m, matrix(2, {1, 0, 0, 1})); }), "not finite"));
}

TEST_CASE("frechet_distance: the same bits for any number of threads") {
  Rng rng(8);
  Tensor<float> const a = randn<float>({400, 160}, rng), b = randn<float>({300, 160}, rng);
  double seen[3];
  int const threads[3] = {1, 2, 3};
  for (int k = 0; k < 3; ++k) {
    set_threads(threads[k]);
    gan::FeatureStatistics x, y;
    x.add(a), y.add(b);
    seen[k] = gan::frechet_distance(x, y);
  }
  set_threads(0);
  CHECK(seen[0] > 0);
  CHECK(seen[0] == seen[1]);
  CHECK(seen[0] == seen[2]);
}
