#include "rig/render/interpolate.hpp"

#include <doctest/doctest.h>

#include "rig/render/antialias.hpp"
#include "rig/render/guard.hpp"
#include "rig/render/rotation.hpp"
#include "rig/render/shade.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

namespace {

Camera const camera{2.5, 8};

template <class T> Var<T> eye(std::int64_t n) {
  std::vector<T> r;
  for (std::int64_t i = 0; i < n; ++i)
    for (int k = 0; k < 9; ++k) r.push_back(k % 4 == 0 ? T(1) : T(0));
  return Var<T>(Tensor<T>({n, 9}, r));
}

}  // namespace

TEST_CASE("interpolate: affine functions of position come out exactly under perspective") {
  auto const s = scene::sphere(24, 36);
  std::int64_t const count = s.vertices.dim(0);
  Mesh const mesh(s.triangles, count);
  ImageSize const size{60, 80};
  auto const v = cast<float>(s.vertices).reshape({1, count, 3});
  auto const p = project(Var<float>(v), eye<float>(1), Var<float>(zeros<float>({1, 3})), camera, size);
  auto const seen = rasterize(p.value(), mesh, size);
  auto const y = interpolate(Var<float>(v), p, seen, mesh).value();
  // The interpolated position lies on the ray of its pixel centre, up to the snap of 1/256 pixel.
  float worst = 0;
  std::int64_t covered = 0;
  for (std::int64_t i = 0; i < 60; ++i)
    for (std::int64_t j = 0; j < 80; ++j) {
      float const* x = y.data() + 3 * (i * 80 + j);
      if (seen.triangle.data()[i * 80 + j] < 0) {
        CHECK(x[0] == 0);
        continue;
      }
      ++covered;
      float const d = 8 - x[2], f = 2.5f * 60;
      worst = std::max({worst, std::abs(f * x[0] / d + 40 - float(j) - 0.5f), std::abs(30 - f * x[1] / d - float(i) - 0.5f)});
      CHECK(seen.inverse_depth.data()[i * 80 + j] == doctest::Approx(1 / d).epsilon(1e-3));
    }
  CHECK(covered > 1000);
  CHECK(worst < 0.01f);
  // In double nothing is snapped.
  auto const vd = s.vertices.reshape({1, count, 3});
  auto const pd = project(Var<double>(vd), eye<double>(1), Var<double>(zeros<double>({1, 3})), camera, size);
  auto const sd = rasterize(pd.value(), mesh, size);
  auto const yd = interpolate(Var<double>(vd), pd, sd, mesh).value();
  double exact = 0;
  for (std::int64_t i = 0; i < 60 * 80; ++i) {
    double const* x = yd.data() + 3 * i;
    if (sd.triangle.data()[i] >= 0) exact = std::max(exact, std::abs(150 * x[0] / (8 - x[2]) + 40 - double(i % 80) - 0.5));
  }
  CHECK(exact < 1e-10);
}

TEST_CASE("interpolate, composite, shade_pixels: gradients for fixed visibility") {
  auto const s = scene::sphere(6, 8);
  std::int64_t const count = s.vertices.dim(0);
  Mesh const mesh(s.triangles, count);
  Rng rng(51);
  ImageSize const size{11, 13};
  auto const v = scene::batch(s.vertices, 2, 0.05, rng);
  Var<double> const r = eye<double>(2), t(zeros<double>({2, 3}));
  auto const p = project(Var<double>(v), r, t, camera, size).value();
  auto const seen = rasterize(p, mesh, size);
  auto const a = rand<double>({2, count, 3}, rng), normal = randn<double>({2, count, 3}, rng), back = rand<double>({2, 11, 13, 3}, rng),
             light = randn<double>({2, 27}, rng);
  CHECK(gradcheck([&](auto const& x) { return interpolate(x[0], x[1], seen, mesh); }, {a, p}, {.points = 300}).worst < 1e-6);
  CHECK(gradcheck([&](auto const& x) { return interpolate(x[0], project(x[1], r, t, camera, size), seen, mesh); }, {a, v}, {.points = 300})
            .worst < 1e-6);
  CHECK(gradcheck([&](auto const& x) { return composite(interpolate(x[0], x[1], seen, mesh), x[2], seen); }, {a, p, back}, {.points = 60})
            .worst < 1e-6);
  CHECK(gradcheck([&](auto const& x) { return composite(x[0], x[0] * x[0], seen); }, {back}, {.order = 2}).worst < 1e-6);
  CHECK(gradcheck([&](auto const& x) { return shade_pixels(x[0], x[1], x[2], x[3], seen, mesh); }, {a, normal, light, p}, {.points = 60})
            .worst < 1e-6);
  CHECK_THROWS_WITH_AS(interpolate(Var<double>(a), Var<double>(zeros<double>({2, 3, 3})), seen, mesh),
                       doctest::Contains("interpolate: projected must be"), Error);
}

TEST_CASE("region_mask: a triangle counts when all of its corners do") {
  Mesh const mesh(Tensor<int>({2, 3}, {0, 1, 2, 1, 3, 2}), 4);
  Visibility const v{Tensor<int>({1, 1, 3}, {0, 1, -1}), zeros<float>({1, 1, 3}), {1, 3}};
  CHECK(region_mask<float>(v, mesh, Tensor<unsigned char>({4}, {1, 1, 1, 0})).host() == std::vector<float>{1, 0, 0});
  CHECK(region_mask<float>(v, mesh).host() == std::vector<float>{1, 1, 0});
}

TEST_CASE("renders: surfaces that cut each other and bad numbers give finite gradients") {
  auto const a = scene::sphere(8, 10, 1, -0.3), b = scene::sphere(8, 10, 1, 0.3);
  auto const both = scene::join(a, b);
  std::int64_t const count = both.vertices.dim(0);
  Mesh const mesh(both.triangles, count);
  ImageSize const size{24, 24};
  Rng rng(52);
  float const bad[] = {std::nanf(""), std::numeric_limits<float>::infinity(), -1e30f, 1e9f, 0};
  for (int round = 0; round < 12; ++round) {
    auto v = cast<float>(both.vertices).reshape({1, count, 3}).clone();
    auto color = rand<float>({1, count, 3}, rng);
    if (round > 0)
      for (int k = 0; k < 20; ++k) v.mutate()[rng.below(3 * count)] = bad[round % 5];
    if (round > 6)
      for (int k = 0; k < 20; ++k) color.mutate()[rng.below(3 * count)] = bad[round % 5];
    if (round == 11) v = zeros<float>({1, count, 3});
    Tape tape;
    auto const x = tape.watch(v), c = tape.watch(color), t = tape.watch(zeros<float>({1, 3}));
    auto const p = project(x, eye<float>(1), t, camera, size);
    auto const seen = rasterize(p.value(), mesh, size);
    auto const plain = interpolate(c, p, seen, mesh);
    auto const y = motion_gradient(plain, p, seen, mesh, camera);
    auto const n = vertex_normals(x, mesh);
    auto const loss = sum(y * y) + sum(n);
    for (auto const& g : tape.grad(loss, {x, t}))
      for (float e : g.value().host()) CHECK(std::isfinite(e));
    if (round == 0) CHECK(std::isfinite(loss.item()));
    if (round == 11) CHECK(raster_report(p.value(), mesh, seen).host()[2] == 0);
  }
}

TEST_CASE("renders: planes that cut each other are counted, and the nearer one carries") {
  // Two squares of two triangles, crossing along the middle column of the picture.
  Tensor<float> const p({1, 8, 3}, {1, 1, 2, 1, 15, 2, 15, 15, 6, 15, 1, 6, 1, 1, 6, 1, 15, 6, 15, 15, 2, 15, 1, 2});
  Mesh const mesh(Tensor<int>({4, 3}, {0, 1, 2, 0, 2, 3, 4, 5, 6, 4, 6, 7}), 8);
  ImageSize const size{16, 16};
  auto const seen = rasterize(p, mesh, size);
  auto const report = raster_report(p, mesh, seen).host();
  CHECK(report[2] == 14 * 14);
  CHECK(report[3] == 13);  // once a row, but for the row where the squares' diagonals pass through the crossing
  Rng rng(53);
  auto const color = rand<float>({1, 8, 3}, rng), w = randn<float>({1, 16, 16, 3}, rng);
  for (int way = 0; way < 3; ++way) {
    Tape tape;
    auto const q = tape.watch(p);
    auto const plain = interpolate(Var<float>(color), q, seen, mesh);
    auto const y = way == 0   ? motion_gradient(plain, q, seen, mesh, camera)
                   : way == 1 ? fragment_gradient(plain, q, seen, mesh, camera)
                              : silhouette_gradient(plain, q, color, seen, mesh, camera);
    for (float g : tape.grad(y, q, Var<float>(w)).value().host()) CHECK(std::isfinite(g));
  }
  // One square behind the other, and a convex and a concave crease: nothing cuts.
  Tensor<float> const apart({1, 8, 3}, {1, 1, 2, 1, 15, 2, 15, 15, 3, 15, 1, 3, 1, 1, 6, 1, 15, 6, 15, 15, 5, 15, 1, 5});
  CHECK(raster_report(apart, mesh, rasterize(apart, mesh, size)).host()[3] == 0);
  Mesh const crease(Tensor<int>({2, 3}, {0, 1, 2, 0, 2, 3}), 4);
  for (float middle : {2.f, 9.f}) {
    Tensor<float> const c({1, 4, 3}, {1, 1, middle, 1, 15, 4, 15, 15, middle, 15, 1, 4});
    CHECK(raster_report(c, crease, rasterize(c, crease, size)).host()[3] == 0);
  }
}

TEST_CASE("guard_gradient: what is not finite is zeroed and counted by image, or refused") {
  float const nan = std::nanf(""), inf = std::numeric_limits<float>::infinity();
  Tensor<float> const x({3, 2}, {1, 2, 3, 4, 5, 6}), g({3, 2}, {nan, inf, 1, 2, -inf, 7});
  Tensor<int> const bad = zeros<int>({3});
  Tape tape;
  auto const v = tape.watch(x);
  auto const y = guard_gradient(v, bad);
  CHECK(y.value().host() == x.host());
  CHECK(tape.grad(y, v, Var<float>(g)).value().host() == std::vector<float>{0, 0, 1, 2, 0, 7});
  CHECK(bad.host() == std::vector<int>{2, 0, 1});
  auto const strict = guard_gradient(v, {}, true);
  CHECK_THROWS_WITH_AS(tape.grad(strict, v, Var<float>(g)), "guard_gradient: 2 of 2 gradients of image 0 are not finite", Error);
  CHECK(tape.grad(strict, v, Var<float>(x)).value().host() == x.host());
  CHECK_THROWS_WITH_AS(guard_gradient(v, zeros<int>({2})), doctest::Contains("guard_gradient: counts must be [3]"), Error);
}
