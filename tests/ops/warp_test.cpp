#include "rig/ops/warp.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numbers>

#include "helpers.hpp"
#include "rig/core/random.hpp"
#include "rig/ops/arithmetic.hpp"

using namespace rig;

namespace {

std::int64_t reflect(std::int64_t k, std::int64_t n) {
  while (k < 0 || k >= n) k = k < 0 ? -k : 2 * (n - 1) - k;
  return k;
}
template <class T> Tensor<T> map(std::initializer_list<double> six) {
  std::vector<T> m(six.begin(), six.end());
  m.insert(m.end(), {0, 0, 1});
  return Tensor<T>({1, 3, 3}, m);
}
/// Pixel (i, j) of the result is pixel source(i, j) of x, which has one value a pixel.
void check_exact(Shape const& s, std::initializer_list<double> six,
                 std::function<std::array<std::int64_t, 2>(std::int64_t, std::int64_t)> const& source) {
  Rng rng(1);
  Tensor<float> const x = randn<float>({1, s[0], s[1], 2}, rng);
  std::vector<float> const y = warp2d(Var<float>(x), map<float>(six)).value().host(), from = x.host();
  for (std::int64_t i = 0; i < s[0]; ++i)
    for (std::int64_t j = 0; j < s[1]; ++j)
      for (std::int64_t c = 0; c < 2; ++c) {
        auto const [a, b] = source(i, j);
        REQUIRE(y[std::size_t((i * s[1] + j) * 2 + c)] == from[std::size_t((reflect(a, s[0]) * s[1] + reflect(b, s[1])) * 2 + c)]);
      }
}

}  // namespace

TEST_CASE("warp2d: the filter is an orthogonal wavelet's with six vanishing moments") {
  auto const& h = detail::wavelet;
  int const n = detail::wavelet_taps;
  double sum = 0, first = 0, second = 0;
  for (int k = 0; k < n; ++k) sum += h[k], first += k * h[k] / std::sqrt(2.0), second += k * k * h[k] / std::sqrt(2.0);
  CHECK(sum == doctest::Approx(std::sqrt(2.0)).epsilon(1e-15));
  CHECK(first == doctest::Approx(detail::wavelet_centre).epsilon(1e-14));
  CHECK(second == doctest::Approx(first * first).epsilon(1e-13));
  for (int m = 0; m < n / 2; ++m) {
    double product = 0;
    for (int k = 0; k + 2 * m < n; ++k) product += h[k] * h[k + 2 * m];
    CHECK(std::abs(product - (m == 0)) < 1e-15);
  }
  for (int j = 0; j < 6; ++j) {
    double moment = 0;
    for (int k = 0; k < n; ++k) moment += (k % 2 ? -1 : 1) * std::pow(k - 5.5, j) * h[k];
    CHECK(std::abs(moment) < 1e-11);  // of terms up to 5.5^5 = 5,000
  }
}

TEST_CASE("warp2d: flips, quarter turns and whole moves are exact, over the edge as a mirror image") {
  check_exact({6, 9}, {-1, 0, 0, 0, 1, 0}, [](auto i, auto j) { return std::array{i, 8 - j}; });
  check_exact({6, 9}, {1, 0, 4, 0, -1, -3}, [](auto i, auto j) { return std::array{5 - i - 3, j + 4}; });
  check_exact({6, 9}, {1, 0, 100, 0, 1, -77}, [](auto i, auto j) { return std::array{i - 77, j + 100}; });
  check_exact({8, 8}, {0, 1, 0, -1, 0, 0}, [](auto i, auto j) { return std::array{7 - j, i}; });
  check_exact({8, 8}, {0, -1, 2, 1, 0, 0}, [](auto i, auto j) { return std::array{j, 7 - i + 2}; });
  check_exact({5, 9}, {0, 1, 0, -1, 0, 1}, [](auto i, auto j) { return std::array{8 - j - 2 + 1, i + 2}; });
  check_exact({1, 4}, {1, 0, 2, 0, 1, 5}, [](auto, auto j) { return std::array{std::int64_t(0), j + 2}; });
}

TEST_CASE("warp2d: identity gives the picture itself, and nearly the identity nearly the picture") {
  Rng rng(2);
  Var<double> const x(randn<double>({1, 7, 6, 3}, rng));
  CHECK(warp2d(x, map<double>({1, 0, 0, 0, 1, 0})).value().data() == x.value().data());
  // The filter's rows are orthonormal, so that what is made large and small again is what it was.
  std::vector<double> const y = warp2d(x, map<double>({1, 0, 1e-9, 0, 1, 0})).value().host(), before = x.value().host();
  for (std::size_t i = 0; i < y.size(); ++i) CHECK(std::abs(y[i] - before[i]) < 1e-7);
}

TEST_CASE("warp2d: half a pixel is a sample of the doubled picture") {
  Rng rng(3);
  Tensor<double> const x = randn<double>({1, 4, 11, 2}, rng);
  auto const y = warp2d(Var<double>(x), map<double>({1, 0, 0.5, 0, 1, 0})).value().host();
  double worst = 0;
  for (std::int64_t i = 0; i < 4; ++i)
    for (std::int64_t j = 0; j < 11; ++j)
      for (std::int64_t c = 0; c < 2; ++c) {
        double sum = 0;  // along y the filter undoes itself
        for (std::int64_t t = 0; t < 12; ++t)
          for (std::int64_t k = j - 8; k <= j + 8; ++k) {
            std::int64_t const tap = 2 * j + t + 1 - 2 * k;
            if (tap >= 0 && tap < 12) sum += detail::wavelet[t] * detail::wavelet[tap] * x.data()[(i * 11 + reflect(k, 11)) * 2 + c];
          }
        worst = std::max(worst, std::abs(sum - y[std::size_t((i * 11 + j) * 2 + c)]));
      }
  CHECK(worst < 1e-12);
}

TEST_CASE("warp2d: a smooth picture at mapped places") {
  // The cosines go on as their own mirror image, so they are known everywhere. Between samples half a pixel apart lines are drawn:
  // off by (w / 2)^2 / 8 along each axis, for a wave of w radians a pixel; 0.0031 at most here. Without the filter's centre in
  // the map it would be 0.08.
  std::int64_t const h = 48, w = 64;
  double const wx = std::numbers::pi * 4 / (w - 1), wy = std::numbers::pi * 3 / (h - 1);
  auto value = [&](double x, double y) { return std::cos(wx * (x + 0.5 * (w - 1))) * std::cos(wy * (y + 0.5 * (h - 1))); };
  std::vector<double> v;
  for (int i = 0; i < h; ++i)
    for (int j = 0; j < w; ++j) v.push_back(value(j - 0.5 * (w - 1), i - 0.5 * (h - 1)));
  Var<double> const x(Tensor<double>({1, h, w, 1}, v));
  double const maps[][6] = {{1, 0, 0.37, 0, 1, -20.21},  {0.8, 0, 0, 0, 0.8, 0},     {1.3, 0, 5, 0, 1.3, 0},
                            {0.6, -0.8, 0, 0.8, 0.6, 0}, {-1, 0.001, 0, 0, -1, 0},   {0.9, 0.5, -3.3, -0.7, 0.6, 11},
                            {1.7, 0, 0, 0, 1.6, 0},      {0.2, 0.3, 0, 0.3, -0.2, 0}};
  for (auto const& m : maps) {
    auto const y = warp2d(x, map<double>({m[0], m[1], m[2], m[3], m[4], m[5]})).value().host();
    double worst = 0;
    for (int i = 0; i < h; ++i)
      for (int j = 0; j < w; ++j) {
        double const a = j - 0.5 * (w - 1), b = i - 0.5 * (h - 1);
        worst = std::max(worst, std::abs(y[std::size_t(i * w + j)] - value(m[0] * a + m[1] * b + m[2], m[3] * a + m[4] * b + m[5])));
      }
    INFO("map ", m[0], " ", m[1], " ", m[2], " ", m[3], " ", m[4], " ", m[5], ": ", worst);
    CHECK(worst < 0.004);
  }
}

TEST_CASE("warp2d: a picture alone has the bits it has among others") {
  Rng rng(4);
  Tensor<float> const x = randn<float>({3, 9, 8, 3}, rng);
  std::vector<float> const nine = {0.7f, 0.2f, 1.f, -0.3f, 1.1f, 0.f, 0, 0,  1, 4.f,  0.f, 0.f, 0.f, 5.f,
                                   0.f,  0,    0,   1,     0,    1,   0, -1, 0, 0.5f, 0,   0,   1};
  Tensor<float> const maps({3, 3, 3}, nine), all = warp2d(Var<float>(x), maps).value();
  for (std::int64_t i = 0; i < 3; ++i) CHECK(warp2d(Var<float>(x.rows(i, 1)), maps.rows(i, 1)).value().host() == all.rows(i, 1).host());
}

TEST_CASE("warp2d: maps that cannot be are named") {
  Var<float> const x(zeros<float>({1, 4, 4, 3}));
  auto message = [&](std::vector<float> const& m) { return message_of([&] { warp2d(x, Tensor<float>({1, 3, 3}, m)); }); };
  CHECK(contains(message({1, 0, 0, 0, 1, 0, 0, 0.1f, 1}), "map 0 must be [a b c; d e f; 0 0 1]"));
  CHECK(contains(message({1, 2, 0, 2, 4, 0, 0, 0, 1}), "invertible"));
  CHECK(contains(message({NAN, 0, 0, 0, 1, 0, 0, 0, 1}), "got [nan"));
  CHECK(contains(message({1, 0, INFINITY, 0, 1, 0, 0, 0, 1}), "at most 4096"));
  CHECK(contains(message_of([&] { warp2d(x, zeros<float>({2, 3, 3})); }), "maps must be [1, 3, 3], got [2, 3, 3]"));
}
