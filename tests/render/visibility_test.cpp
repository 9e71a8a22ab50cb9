#include "rig/render/visibility.hpp"

#include <doctest/doctest.h>

#include "rig/render/rotation.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

namespace {

/// A reference written apart from the library: every pixel against every triangle, in 64-bit integers, over the whole image.
std::vector<int> brute_force(std::vector<float> const& p, std::vector<int> const& t, ImageSize size, bool cull) {
  std::vector<int> id(std::size_t(size.height * size.width), -1);
  std::vector<float> best(id.size(), 0.0f);
  for (std::size_t f = 0; 3 * f < t.size(); ++f) {
    long long u[3], w[3];
    float q[3];
    bool ok = true;
    for (int k = 0; k < 3; ++k) {
      float const* v = p.data() + 3 * t[3 * f + std::size_t(k)];
      ok = ok && std::isfinite(v[0]) && std::isfinite(v[1]) && v[2] > 0 && std::abs(v[0]) <= 8192 && std::abs(v[1]) <= 8192;
      if (!ok) break;
      u[k] = std::llrint(double(v[0]) * 256), w[k] = std::llrint(double(v[1]) * 256), q[k] = 1 / v[2];
    }
    if (!ok) continue;
    long long const area = (u[1] - u[0]) * (w[2] - w[0]) - (w[1] - w[0]) * (u[2] - u[0]);
    if (area == 0 || (area > 0 && cull)) continue;
    int const o[3] = {0, area < 0 ? 2 : 1, area < 0 ? 1 : 2};
    for (std::int64_t i = 0; i < size.height; ++i)
      for (std::int64_t j = 0; j < size.width; ++j) {
        long long e[3];
        bool in = true;
        for (int k = 0; k < 3; ++k) {
          int const a = o[(k + 1) % 3], b = o[(k + 2) % 3];
          long long const dx = u[b] - u[a], dy = w[b] - w[a];
          e[k] = dx * (256 * i + 128 - w[a]) - dy * (256 * j + 128 - u[a]);
          bool const owns = (dy == 0 && dx > 0) || dy < 0;
          in = in && e[k] + (owns ? 0 : -1) >= 0;
        }
        if (!in) continue;
        float const r =
            std::fma(float(e[0]), q[o[0]], std::fma(float(e[1]), q[o[1]], float(e[2]) * q[o[2]])) * (1.0f / float(std::llabs(area)));
        auto const at = std::size_t(i * size.width + j);
        if (r > best[at]) best[at] = r, id[at] = int(f);
      }
  }
  return id;
}

}  // namespace

TEST_CASE("rasterize: a triangulated square covers every pixel exactly once, with vertices on centres and edges") {
  Rng rng(21);
  int const side = 12;
  std::int64_t holes = 0, doubles = 0, tested = 0;
  for (int round = 0; round < 3000; ++round) {
    // A 4 x 4 grid over the square and beyond; inner vertices anywhere, often exactly on pixel centres, edges or 1/256 steps.
    std::vector<float> p;
    for (int i = 0; i < 4; ++i)
      for (int j = 0; j < 4; ++j) {
        double u = -6 + 8 * j, w = -6 + 8 * i;
        bool const inner = i > 0 && i < 3 && j > 0 && j < 3;
        if (inner) u += rng.uniform(-3.9, 3.9), w += rng.uniform(-3.9, 3.9);
        std::int64_t const kind = rng.below(3);
        if (kind == 0) u = std::floor(u) + 0.5, w = std::floor(w) + 0.5;
        if (kind == 1) u = std::floor(u), w = std::floor(w * 256) / 256;
        p.insert(p.end(), {float(u), float(w), float(1 + rng.uniform())});
      }
    std::vector<int> t;
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) {
        int const a = 4 * i + j, b = a + 1, c = a + 4, d = a + 5;
        if (rng.below(2)) {
          t.insert(t.end(), {a, c, d, a, d, b});
        } else {
          t.insert(t.end(), {a, c, b, b, c, d});
        }
      }
    // Both sides drawn and each triangle alone, so that a pixel covered twice is seen. Some quads fold over themselves when
    // a vertex moves far; those are left out by their sign.
    bool folded = false;
    for (std::size_t f = 0; f < t.size(); f += 3) {
      auto const at = [&](std::size_t k, std::size_t c) { return double(p[std::size_t(3 * t[f + k]) + c]); };
      folded = folded || (at(1, 0) - at(0, 0)) * (at(2, 1) - at(0, 1)) - (at(1, 1) - at(0, 1)) * (at(2, 0) - at(0, 0)) > -0.2;
    }
    if (folded) continue;
    ++tested;
    std::vector<int> count(std::size_t(side * side), 0);
    for (std::size_t f = 0; f < t.size(); f += 3) {
      Mesh const one(Tensor<int>({1, 3}, {t[f], t[f + 1], t[f + 2]}), 16);
      auto const v = rasterize(Tensor<float>({1, 16, 3}, p), one, {side, side});
      for (std::size_t k = 0; k < count.size(); ++k) count[k] += v.triangle.data()[k] >= 0;
    }
    for (int c : count) holes += c == 0, doubles += c > 1;
  }
  CHECK(tested > 500);
  CHECK(holes == 0);
  CHECK(doubles == 0);
}

TEST_CASE("rasterize: triangles and depths are those of a brute-force 64-bit reference") {
  Rng rng(22);
  for (int round = 0; round < 200; ++round) {
    double const spread = round % 4 == 0 ? 300 : round % 4 == 1 ? 3 : 12;  // large triangles take the 64-bit path
    ImageSize const size{17, 23};
    std::vector<float> p;
    for (int i = 0; i < 30; ++i)
      p.insert(p.end(),
               {float(11 + spread * rng.normal()), float(8 + spread * rng.normal()), float(rng.below(20) == 0 ? 0 : 1 + rng.below(4))});
    std::vector<int> t;
    for (int i = 0; i < 60; ++i) t.push_back(int(rng.below(30)));
    Mesh const mesh(Tensor<int>({20, 3}, t), 30);
    for (bool cull : {true, false}) {
      auto const v = rasterize(Tensor<float>({1, 30, 3}, p), mesh, size, {.cull = cull});
      CHECK(v.triangle.host() == brute_force(p, t, size, cull));
    }
  }
}

TEST_CASE("rasterize: same bits for any number of threads and any place in a batch") {
  auto const s = scene::sphere(20, 30);
  Mesh const mesh(s.triangles, s.vertices.dim(0));
  Rng rng(23);
  auto const v = cast<float>(scene::batch(s.vertices, 5, 0.03, rng));
  auto const eye = Tensor<float>({5, 9}, [] {
    std::vector<float> r;
    for (int i = 0; i < 5; ++i) r.insert(r.end(), {1, 0, 0, 0, 1, 0, 0, 0, 1});
    return r;
  }());
  auto const p = project(Var<float>(v), Var<float>(eye), Var<float>(zeros<float>({5, 3})), Camera{4, 12}, {97, 64}).value();
  std::vector<int> first;
  for (int threads : {1, 2, 7}) {
    set_threads(threads);
    auto const all = rasterize(p, mesh, {97, 64}).triangle.host();
    if (first.empty()) first = all;
    CHECK(all == first);
    for (std::int64_t i = 0; i < 5; ++i) {
      auto const one = rasterize(p.rows(i, 1), mesh, {97, 64}).triangle.host();
      CHECK(std::equal(one.begin(), one.end(), first.begin() + i * 97 * 64));
    }
  }
  set_threads(0);
  std::int64_t seen = 0;
  for (int t : first) seen += t >= 0;
  CHECK(seen > 5000);
}

TEST_CASE("rasterize: bad input is counted and never drawn; empty things are legal") {
  float const inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  Tensor<int> const t({4, 3}, {0, 2, 1, 3, 4, 5, -1, 0, 6, 6, 6, 6});
  Mesh const mesh(t, 7);
  CHECK(mesh.out_of_range == 1);
  Tensor<float> const p({1, 7, 3}, {0, 0, 1, 8, 0, 1, 0, 8, 1, nan, 0, 1, inf, 4, 1, 1e9f, 5, 2, 3, 3, 0});
  auto const v = rasterize(p, mesh, {4, 4}, {.cull = false});
  for (int id : v.triangle.host()) CHECK(id == 0);
  auto const report = raster_report(p, mesh, v).host();
  CHECK(report[0] == 4);
  CHECK(report[2] == 16);

  CHECK(rasterize(zeros<float>({0, 7, 3}), mesh, {4, 4}).triangle.size() == 0);
  CHECK(rasterize(zeros<float>({1, 7, 3}), mesh, {1, 1}).triangle.host() == std::vector<int>{-1});
  CHECK(rasterize(zeros<float>({2, 0, 3}), Mesh(Tensor<int>({1, 3}, {0, 1, 2}), 0), {2, 2}).triangle.host() == std::vector<int>(8, -1));
  CHECK_THROWS_WITH_AS(rasterize(p, mesh, {9000, 1}), doctest::Contains("rasterize: image sides"), Error);
  CHECK_THROWS_AS(rasterize(zeros<float>({1, 6, 3}), mesh, {4, 4}), Error);
}

TEST_CASE("rasterize: back faces are culled, and the nearer of two surfaces wins whatever the order") {
  // A square facing the camera, at depth 2, and one behind at depth 3, wound the same way.
  std::vector<float> const p{0, 0, 3, 0, 8, 3, 8, 8, 3, 8, 0, 3, 0, 0, 2, 0, 8, 2, 8, 8, 2, 8, 0, 2};
  Tensor<float> const screen({1, 8, 3}, p);
  Mesh const front(Tensor<int>({4, 3}, {0, 1, 2, 0, 2, 3, 4, 5, 6, 4, 6, 7}), 8), back(Tensor<int>({1, 3}, {2, 1, 0}), 8);
  for (int id : rasterize(screen, front, {8, 8}).triangle.host()) CHECK(id >= 2);
  for (int id : rasterize(screen, back, {8, 8}).triangle.host()) CHECK(id == -1);
  auto const depth = rasterize(screen, front, {8, 8}).inverse_depth.host();
  for (float r : depth) CHECK(r == doctest::Approx(0.5));
}

TEST_CASE("visible_vertices: the far side, hidden spheres and what is outside the region are not seen") {
  auto const near = scene::sphere(16, 24, 0.6, 0, 0, 1.5), far = scene::sphere(16, 24, 0.4, 0, 0, -1.5);
  auto const both = scene::join(near, far);
  std::int64_t const count = both.vertices.dim(0), first = near.vertices.dim(0);
  Mesh const mesh(both.triangles, count);
  Var<double> const v(both.vertices.reshape({1, count, 3})), eye(Tensor<double>({1, 9}, {1, 0, 0, 0, 1, 0, 0, 0, 1})),
      t(zeros<double>({1, 3}));
  Camera const camera{4, 12};
  ImageSize const size{64, 64};
  auto const p = project(v, eye, t, camera, size).value();
  auto const n = vertex_normals(v, mesh).value();
  auto const seen = rasterize(p, mesh, size);
  auto const weights = visible_vertices(p, n, &seen, camera, size).host();
  int front = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    bool const w = weights[std::size_t(i)] != 0;
    front += w;
    if (i >= first) CHECK(!w);
    if (n.data()[3 * i + 2] < 0) CHECK(!w);
    if (i < first && n.data()[3 * i + 2] > 0.3) CHECK(w);
  }
  CHECK(front > 100);
  auto const facing = visible_vertices(p, n, nullptr, camera, size).host();
  double hidden = 0;
  for (std::int64_t i = first; i < count; ++i) hidden += facing[std::size_t(i)];
  CHECK(hidden > 100);
  Tensor<unsigned char> const none = full<unsigned char>({count}, 0);
  for (double w : visible_vertices(p, n, &seen, camera, size, none).host()) CHECK(w == 0);
  double total = 0;
  for (double w : normalized_weights(visible_vertices(p, n, &seen, camera, size)).host()) total += w;
  CHECK(total == doctest::Approx(1));
  for (double w : normalized_weights(zeros<double>({2, 5})).host()) CHECK(w == 0);
}
