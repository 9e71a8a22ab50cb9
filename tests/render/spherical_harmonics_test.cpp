#include "rig/render/spherical_harmonics.hpp"

#include <doctest/doctest.h>

#include "rig/render/rotation.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

namespace {
Vec3<double> random_direction(Rng& rng) {
  Vec3<double> const v{rng.normal(), rng.normal(), rng.normal()};
  return (1 / length(v)) * v;
}
}  // namespace

TEST_CASE("light basis: mean squares over the sphere") {
  // Gauss-like product rule: exact for the polynomials here.
  double sum[9] = {};
  int const rings = 400, around = 16;
  for (int i = 0; i < rings; ++i)
    for (int j = 0; j < around; ++j) {
      double const z = -1 + (2 * i + 1.0) / rings, r = std::sqrt(1 - z * z), a = 2 * 3.14159265358979 * j / around;
      auto const h = light_basis(Vec3<double>{r * std::cos(a), r * std::sin(a), z});
      for (std::size_t b = 0; b < 9; ++b) sum[b] += h[b] * h[b] / (rings * around);
    }
  CHECK(sum[0] == doctest::Approx(0.785398).epsilon(1e-5));
  for (int b = 1; b < 4; ++b) CHECK(sum[b] == doctest::Approx(1.047198).epsilon(1e-5));
  for (int b = 4; b < 9; ++b) CHECK(sum[b] == doctest::Approx(0.392699).epsilon(1e-4));
}

TEST_CASE("shade: agrees with the basis written out, and its gradients with differences") {
  Rng rng(11);
  std::int64_t const n = 2, points = 37;
  std::vector<double> normals;
  for (std::int64_t i = 0; i < n * points; ++i) {
    auto const d = random_direction(rng);
    normals.insert(normals.end(), {d.x, d.y, d.z});
  }
  Tensor<double> const normal({n, points, 3}, normals), albedo = rand<double>({n, points, 3}, rng), gamma = randn<double>({n, 27}, rng);
  Tensor<double> const y = shade(Var<double>(albedo), Var<double>(normal), Var<double>(gamma)).value();
  double worst = 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t p = 0; p < points; ++p) {
      auto const h = light_basis(Vec3<double>::load(normal.data() + 3 * (i * points + p)));
      for (int ch = 0; ch < 3; ++ch) {
        double s = LightBasis::ambient * h[0];
        for (int b = 0; b < 9; ++b) s += gamma.data()[27 * i + 9 * ch + b] * h[std::size_t(b)];
        std::int64_t const k = 3 * (i * points + p) + ch;
        worst = std::max(worst, std::abs(y.data()[k] - s * albedo.data()[k]));
      }
    }
  CHECK(worst < 1e-12);
  CHECK(gradcheck([](auto const& x) { return shade(x[0], x[1], x[2]); }, {albedo, normal, gamma}, {.points = 54}).worst < 1e-6);
  CHECK_THROWS_WITH_AS(shade(Var<double>(albedo), Var<double>(normal), Var<double>(zeros<double>({2, 9}))),
                       doctest::Contains("shade: light must be [2, 27]"), Error);
}

TEST_CASE("rotate_light: light and normals turned together give the same colours") {
  Rng rng(12);
  Tensor<double> const gamma = randn<double>({1, 27}, rng);
  Tensor<double> const r = euler_to_matrix(Var<double>(Tensor<double>({1, 3}, {0.4, -1.1, 0.6}))).value();
  Tensor<double> const turned = rotate_light(gamma, r);
  auto const o = Mat3<double>::load(r.data());
  double worst = 0;
  for (int i = 0; i < 1000; ++i) {
    auto const d = random_direction(rng);
    auto const a = light_basis(d), b = light_basis(o * d);
    for (int ch = 0; ch < 3; ++ch) {
      double x = 0, y = 0;
      for (int k = 0; k < 9; ++k) x += gamma.data()[9 * ch + k] * a[std::size_t(k)], y += turned.data()[9 * ch + k] * b[std::size_t(k)];
      worst = std::max(worst, std::abs(x - y));
    }
  }
  CHECK(worst < 1e-12);
}

TEST_CASE("light conventions: values agree with the other tool's own formula, and go both ways") {
  Rng rng(13);
  std::array<double, 9> theirs{};
  for (auto& e : theirs) e = rng.normal();
  double const c1 = std::sqrt(3 / (4 * 3.14159265358979323846)), c2 = std::sqrt(15 / (4 * 3.14159265358979323846)),
               c3 = c2 / std::sqrt(12.0), c0 = 0.28209479177387814, pi = 3.14159265358979323846;
  for (int i = 0; i < 50; ++i) {
    auto const d = random_direction(rng);
    double const x = d.x, y = d.y, z = d.z;
    std::array<double, 9> const canonical{
        c0, c1 * y, c1 * z, c1 * x, c2 * x * y, c2 * y * z, c3 * (3 * z * z - 1), c2 * x * z, c2 / 2 * (x * x - y * y)};
    double const kernel[9] = {pi, 2 * pi / 3, 2 * pi / 3, 2 * pi / 3, pi / 4, pi / 4, pi / 4, pi / 4, pi / 4};
    auto ours = [&](LightConvention c) {
      auto const g = import_light(theirs, c);
      auto const h = light_basis(d);
      double s = LightBasis::ambient * h[0];
      for (std::size_t b = 0; b < 9; ++b) s += g[b] * h[b];
      return s;
    };
    double irradiance = 0, radiance = 0, focus = 0;
    double const sign[9] = {1, -1, 1, -1, 1, -1, 1, -1, 1};
    for (std::size_t b = 0; b < 9; ++b) {
      irradiance += theirs[b] * canonical[b] * kernel[b];
      radiance += theirs[b] * canonical[b];
      focus += theirs[b] * canonical[b] * sign[b];
    }
    CHECK(ours(LightConvention::irradiance) == doctest::Approx(irradiance).epsilon(1e-9));
    CHECK(ours(LightConvention::radiance) == doctest::Approx(radiance).epsilon(1e-9));
    CHECK(ours(LightConvention::focus) == doctest::Approx(focus).epsilon(1e-9));
    auto const& t = theirs;
    double const gvv = t[0] + t[1] * y + t[2] * z + t[3] * x + t[4] * x * y + t[5] * y * z + t[6] * (3 * z * z - 1) + t[7] * x * z +
                       t[8] * (x * x - y * y);
    CHECK(ours(LightConvention::gvv) == doctest::Approx(gvv).epsilon(1e-9));
    double const deca = t[0] * c0 + (t[1] * x + t[2] * y + t[3] * z) * c1 * 2 * pi / 3 +
                        (t[4] * x * y + t[5] * x * z + t[6] * y * z) * c2 * pi / 4 + t[7] * (x * x - y * y) * c2 / 2 * pi / 4 +
                        t[8] * (3 * z * z - 1) * c3 * pi / 4;
    CHECK(ours(LightConvention::deca) == doctest::Approx(deca).epsilon(1e-9));
  }
  for (auto c : {LightConvention::deep3d, LightConvention::irradiance, LightConvention::radiance, LightConvention::deca,
                 LightConvention::gvv, LightConvention::focus}) {
    auto const back = export_light(import_light(theirs, c), c);
    for (std::size_t b = 0; b < 9; ++b) CHECK(back[b] == doctest::Approx(theirs[b]).epsilon(1e-12));
  }
}
