#include "rig/render/models/ict.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include "rig/render/procedural_face.hpp"

using namespace rig;
using namespace rig::render;

namespace {

std::string data_folder() {
  char const* const set = std::getenv("RIG_TEST_DATA");
  return std::string(set ? set : "../shared") + "/data";
}

/// A closed tetrahedron standing in for a face, with one of everything.
MorphableModel tetrahedron() {
  MorphableModel m;
  m.name = "tetrahedron", m.units = "cm", m.licence = "none";
  m.mean = Tensor<float>({4, 3}, {0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 6});
  m.triangles = Tensor<int>({4, 3}, {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3});
  m.identity = Tensor<float>({1, 4, 3}, {1, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0});
  m.expression = Tensor<float>({1, 4, 3}, {0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 3});
  m.reflectance_mean = full<float>({4, 3}, 0.5f);
  m.reflectance = Tensor<float>({0, 4, 3});
  m.expression_names = {"tip"};
  m.landmarks = zeros<int>({68});
  m.face_region = Tensor<unsigned char>({4}, {1, 1, 1, 0});
  m.interior = Tensor<unsigned char>({4}, {0, 0, 0, 1});
  return m;
}

}  // namespace

TEST_CASE("model: checks name field, expected and found") {
  auto good = tetrahedron();
  CHECK_NOTHROW(finish_model(good));
  auto broken = [&](auto&& change) {
    auto m = tetrahedron();
    change(m);
    return m;
  };
  CHECK_THROWS_WITH_AS(check_model(broken([](auto& m) {
                         m.identity = zeros<float>({1, 3, 3});
                       })),
                       "face model: identity must be [K, 4, 3], got [1, 3, 3]", Error);
  CHECK_THROWS_WITH_AS(check_model(broken([](auto& m) {
                         m.identity = zeros<float>({1, 4, 3});
                       })),
                       "face model: identity mode 0 is zero everywhere", Error);
  CHECK_THROWS_WITH_AS(check_model(broken([](auto& m) { m.mean.mutate()[4] = std::numeric_limits<float>::infinity(); })),
                       "face model: mean must be finite, element 4 of [4, 3] is inf", Error);
  CHECK_THROWS_WITH_AS(check_model(broken([](auto& m) { m.triangles.mutate()[5] = 4; })),
                       "face model: vertex 4 of triangle 1 is outside [0, 4)", Error);
  CHECK_THROWS_WITH_AS(check_model(broken([](auto& m) { m.landmarks.mutate()[7] = -1; })),
                       "face model: landmark 7 is vertex -1, outside [0, 4)", Error);
  CHECK_THROWS_WITH_AS(check_model(broken([](auto& m) {
                         m.expression_names = {"a", "b"};
                       })),
                       "face model: expected 1 expression names, got 2", Error);
  CHECK_THROWS_AS(check_model(broken([](auto& m) { m.interior = zeros<unsigned char>({5}); })), Error);
  CHECK_THROWS_AS(check_model(broken([](auto& m) { m.contour.resize(3); })), Error);
  CHECK_THROWS_AS(check_model(MorphableModel{}), Error);
}

TEST_CASE("model: inward triangles are turned and reported") {
  auto m = tetrahedron(), turned = tetrahedron();
  bool flipped = true;
  finish_model(m, &flipped);
  CHECK_FALSE(flipped);
  int* const t = turned.triangles.mutate();
  for (int f = 0; f < 4; ++f) std::swap(t[3 * f + 1], t[3 * f + 2]);
  CHECK_THROWS_AS(check_model(turned), Error);
  finish_model(turned, &flipped);
  CHECK(flipped);
  CHECK(turned.triangles.host() == m.triangles.host());
}

TEST_CASE("model: odd triangles are counted") {
  auto m = tetrahedron();
  m.triangles = Tensor<int>({7, 3}, {0, 2, 1, 0, 1, 3, 0, 3, 2, 1, 2, 3, 2, 3, 1, 1, 1, 2, 0, 1, 2});
  ModelReport const r = check_model(m);
  CHECK(r.degenerate_triangles == 1);
  CHECK(r.duplicate_triangles == 2);
  CHECK(r.non_manifold_edges == 3 + 3 - 1);
  CHECK(r.isolated_vertices == 0);
}

TEST_CASE("model: triangles of a vertex, ascending") {
  auto m = tetrahedron();
  finish_model(m);
  CHECK(m.vertex_triangles.offsets.host() == std::vector<int>{0, 3, 6, 9, 12});
  CHECK(m.vertex_triangles.list.host() == std::vector<int>{0, 1, 2, 0, 1, 3, 0, 2, 3, 1, 2, 3});
}

TEST_CASE("model: the hash sees every part") {
  auto m = tetrahedron();
  auto const h = hash_model(m);
  auto changed = [&](auto&& change) {
    auto c = tetrahedron();
    change(c);
    return hash_model(c);
  };
  CHECK(hash_model(tetrahedron()) == h);
  CHECK(changed([](auto& c) { c.mean.mutate()[0] = 1e-3f; }) != h);
  CHECK(changed([](auto& c) { c.expression_names[0] = "Tip"; }) != h);
  CHECK(changed([](auto& c) { c.landmarks.mutate()[67] = 1; }) != h);
  CHECK(changed([](auto& c) { c.named_expressions = true; }) != h);
  CHECK(changed([](auto& c) { c.interior.mutate()[0] = 1; }) != h);
  CHECK(changed([](auto& c) { c.units = "m"; }) != h);
}

TEST_CASE("model: subdivision keeps old vertices and puts midpoints on the edges") {
  auto m = tetrahedron();
  finish_model(m);
  auto const s = subdivide(m);
  CHECK(s.vertices() == 10);
  CHECK(s.faces() == 16);
  CHECK(check_model(s).non_manifold_edges == 0);
  for (std::int64_t i = 0; i < 12; ++i) CHECK(s.mean.data()[i] == m.mean.data()[i]);
  // First edge of the first triangle is 0-2: vertex 4, at (0, 2, 0), moving with half of either end.
  CHECK(s.mean.data()[12] == 0.f);
  CHECK(s.mean.data()[13] == 2.f);
  CHECK(s.identity.data()[12] == 0.5f);
  CHECK(s.identity.data()[14] == 2.f);
  CHECK(s.face_region.data()[4] == 1);
  CHECK(s.interior.data()[4] == 0);
  CHECK(s.hash != m.hash);
  CHECK(subdivide(m, 2).faces() == 64);
  CHECK(subdivide(m, 0).hash == m.hash);
  CHECK_THROWS_AS(subdivide(m, -1), Error);
}

TEST_CASE("model: cropping keeps order, drops idle modes and refuses lost landmarks") {
  auto const m = procedural_face({.vertices = 2000, .identity = 4, .reflectance = 4});
  std::vector<unsigned char> keep(std::size_t(m.vertices()));  // the front half, jaw and all
  for (std::size_t i = 0; i < keep.size(); ++i) keep[i] = m.mean.data()[3 * i + 2] > -0.3f;
  auto const c = crop(m, keep);
  CHECK(c.vertices() < m.vertices());
  CHECK(check_model(c).isolated_vertices == 0);
  for (int l = 0; l < 68; ++l)
    for (int a = 0; a < 3; ++a) CHECK(c.mean.data()[3 * c.landmarks.data()[l] + a] == m.mean.data()[3 * m.landmarks.data()[l] + a]);
  keep[std::size_t(m.landmarks.data()[30])] = 0;
  CHECK_THROWS_AS(crop(m, keep), Error);
  auto t = tetrahedron();
  finish_model(t);
  auto const half = crop(t, {1, 1, 0, 1});  // the expression that is left moves only vertex 3, the identity modes 0 and 1
  CHECK(half.vertices() == 3);
  CHECK(half.faces() == 1);
  CHECK(half.expressions() == 1);
}

TEST_CASE("smooth reflectance: on a flat strip the fields are its cosines") {
  // Neumann eigenfunctions of a 4 x 1 rectangle: cos(pi k x / 4), k = 1, 2, 3; then k = 4 meets the first across.
  int const nx = 33, ny = 9;
  std::vector<float> p;
  std::vector<int> t;
  for (int y = 0; y < ny; ++y)
    for (int x = 0; x < nx; ++x) p.insert(p.end(), {4.f * float(x) / float(nx - 1), float(y) / float(ny - 1), 0.f});
  for (int y = 0; y + 1 < ny; ++y)
    for (int x = 0; x + 1 < nx; ++x) {
      int const a = y * nx + x;
      t.insert(t.end(), {a, a + 1, a + nx + 1, a, a + nx + 1, a + nx});
    }
  Tensor<float> const mean({nx * ny, 3}, p);
  Tensor<int> const triangles({std::int64_t(t.size()) / 3, 3}, t);
  std::vector<unsigned char> const all(std::size_t(nx * ny), 1);
  auto const modes = smooth_reflectance(mean, triangles, all, 12);
  CHECK(modes.shape() == Shape{12, nx * ny, 3});
  for (int i = 0; i < nx * ny; ++i) CHECK(modes.data()[3 * i] == modes.data()[0]);  // constant
  for (int k = 1; k <= 3; ++k) {
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < nx * ny; ++i) {
      double const a = modes.data()[(3 * k * nx * ny + i) * 3], b = std::cos(3.14159265358979 * k * mean.data()[3 * i] / 4);
      ab += a * b, aa += a * a, bb += b * b;
    }
    CAPTURE(k);
    CHECK(std::abs(ab) / std::sqrt(aa * bb) > 0.99);
  }
  CHECK_THROWS_AS(smooth_reflectance(mean, triangles, std::vector<unsigned char>(3, 1), 12), Error);
  CHECK_THROWS_AS(smooth_reflectance(mean, triangles, std::vector<unsigned char>(std::size_t(nx * ny), 0), 12), Error);
}

TEST_CASE("ICT-FaceKit: parts, sizes, names, landmarks") {
  std::string const folder = data_folder() + "/ict-facekit/", npz = folder + "ict_facekit_light.npz", json = folder + "vertex_indices.json";
  if (!std::filesystem::exists(npz)) {
    MESSAGE("skipped: " << npz << " is not there");
    return;
  }
  auto const skin = load_ict(npz, json, {.part = IctPart::skin, .identity = 5, .reflectance = 8});
  CHECK(skin.vertices() == 13294);
  CHECK(skin.faces() == 26452);
  CHECK(skin.identities() == 5);
  CHECK(skin.reflectances() == 8);
  CHECK(skin.named_expressions);
  for (char const* name : {"jawOpen", "mouthSmile_L", "mouthSmile_R", "browInnerUp_L", "eyeBlink_L", "eyeBlink_R", "mouthPucker"})
    CHECK_NOTHROW(skin.expression_index(name));
  auto const fine = subdivide(skin);
  CHECK(fine.vertices() == 53041);
  CHECK(fine.faces() == 105808);

  auto const face = load_ict(npz, "", {.part = IctPart::face, .identity = 5, .reflectance = 8});
  CHECK(face.vertices() == 9409);
  for (int l = 0; l < 68; ++l) CHECK(face.landmarks.data()[l] == skin.landmarks.data()[l]);  // file and built-in list agree
  auto y = [&](int l) { return face.mean.data()[3 * face.landmarks.data()[l] + 1]; };
  auto x = [&](int l) { return face.mean.data()[3 * face.landmarks.data()[l]]; };
  for (int i = 1; i < 17; ++i) CHECK(x(i) > x(i - 1));
  CHECK(y(27) > y(30));
  CHECK(y(30) > y(57));
  CHECK(y(57) > y(8));
  // jawOpen lowers the lower inner lip and not the brow.
  Tensor<float> const jaw = face.expression[face.expression_index("jawOpen")];
  CHECK(jaw.data()[3 * face.landmarks.data()[66] + 1] < -0.5f);
  CHECK(std::abs(jaw.data()[3 * face.landmarks.data()[19] + 1]) < 0.05f);
  // Skin, lips and brows were told apart.
  auto red = [&](int l) { return face.reflectance_mean.data()[3 * face.landmarks.data()[l]]; };
  CHECK(red(30) > 0.7f);
  CHECK(red(19) < 0.5f);

  CHECK_THROWS_AS(load_ict(npz, npz), Error);
  CHECK_THROWS_AS(load_ict(json, json), Error);
  CHECK_THROWS_AS(load_ict(folder + "no such file.npz"), Error);
  CHECK_THROWS_AS(load_ict(npz, json, {.identity = 101}), Error);
}
