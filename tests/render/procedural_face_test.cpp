#include "rig/render/procedural_face.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

using namespace rig;
using namespace rig::render;

namespace {

struct P {
  double x, y, z;
};
P at(Tensor<float> const& v, std::int64_t i) { return {v.data()[3 * i], v.data()[3 * i + 1], v.data()[3 * i + 2]}; }
double distance(P a, P b) { return std::hypot(a.x - b.x, a.y - b.y, a.z - b.z); }

/// Mean plus amounts of named expressions.
Tensor<float> pose(MorphableModel const& m, std::map<std::string, float> const& amounts) {
  Tensor<float> g = m.mean.clone();
  float* const p = g.mutate();
  for (auto const& [name, amount] : amounts)
    for (std::int64_t i = 0, n = g.size(), k = m.expression_index(name); i < n; ++i) p[i] += amount * m.expression.data()[k * n + i];
  return g;
}
double gap(MorphableModel const& m, Tensor<float> const& g, int a, int b) {
  return distance(at(g, m.landmarks.data()[a]), at(g, m.landmarks.data()[b]));
}

MorphableModel const& face() {
  static MorphableModel const m = procedural_face();
  return m;
}

}  // namespace

TEST_CASE("procedural face: every size passes the checks and reaches its number of vertices") {
  for (int wanted : {2000, 3500, 5000, 12000, 60000}) {
    CAPTURE(wanted);
    auto const m = procedural_face({.vertices = wanted, .identity = 3, .reflectance = 2});
    CHECK(m.vertices() <= wanted);
    CHECK(m.vertices() >= wanted * 96 / 100);
    ModelReport const r = check_model(m);
    CHECK(r.isolated_vertices == 0);
    CHECK(r.degenerate_triangles == 0);
    CHECK(r.duplicate_triangles == 0);
    CHECK(r.non_manifold_edges == 0);
    std::set<int> distinct(m.landmarks.data(), m.landmarks.data() + 68);
    CHECK(distinct.size() == 68);
    // The same face at every size: landmarks lie where those of the default model lie, to one cell of the coarsest grid.
    for (int l = 0; l < 68; ++l) CHECK(distance(at(m.mean, m.landmarks.data()[l]), at(face().mean, face().landmarks.data()[l])) < 0.16);
  }
}

TEST_CASE("procedural face: sizes out of range are refused") {
  CHECK_THROWS_WITH_AS(procedural_face({.vertices = 1999}), "procedural_face: vertices must be in 2000..60000, got 1999", Error);
  CHECK_THROWS_WITH_AS(procedural_face({.vertices = 60001}), "procedural_face: vertices must be in 2000..60000, got 60001", Error);
  CHECK_THROWS_WITH_AS(procedural_face({.identity = 0}), "procedural_face: identity must be in 1..200, got 0", Error);
  CHECK_THROWS_WITH_AS(procedural_face({.reflectance = 201}), "procedural_face: reflectance must be in 1..200, got 201", Error);
}

TEST_CASE("procedural face: landmarks are ordered and symmetric") {
  auto const& m = face();
  auto l = [&](int i) { return at(m.mean, m.landmarks.data()[i]); };
  int const mirror[][2] = {{0, 16},  {1, 15},  {2, 14},  {3, 13},  {4, 12},  {5, 11},  {6, 10},  {7, 9},   {8, 8},   {17, 26},
                           {18, 25}, {19, 24}, {20, 23}, {21, 22}, {27, 27}, {30, 30}, {31, 35}, {32, 34}, {33, 33}, {36, 45},
                           {37, 44}, {38, 43}, {39, 42}, {40, 47}, {41, 46}, {48, 54}, {49, 53}, {50, 52}, {51, 51}, {55, 59},
                           {56, 58}, {57, 57}, {60, 64}, {61, 63}, {62, 62}, {65, 67}, {66, 66}};
  for (auto const& pair : mirror) {
    P const a = l(pair[0]), b = l(pair[1]);
    CHECK(a.x == doctest::Approx(-b.x).epsilon(1e-5));
    CHECK(a.y == doctest::Approx(b.y).epsilon(1e-5));
    CHECK(a.z == doctest::Approx(b.z).epsilon(1e-5));
  }
  for (int i = 1; i < 17; ++i) CHECK(l(i).x > l(i - 1).x);   // the jaw from image left to image right
  for (int i = 18; i < 27; ++i) CHECK(l(i).x > l(i - 1).x);  // brows
  for (int i = 28; i < 31; ++i) CHECK(l(i).y < l(i - 1).y);  // down the nose
  for (int i = 28; i < 31; ++i) CHECK(l(i).z > l(i - 1).z);
  for (int i = 32; i < 36; ++i) CHECK(l(i).x > l(i - 1).x);
  CHECK(l(36).x < l(37).x);
  CHECK(l(37).x < l(38).x);
  CHECK(l(38).x < l(39).x);
  CHECK(l(39).x < 0);
  CHECK(l(37).y > l(41).y);
  CHECK(l(38).y > l(40).y);
  for (int i = 49; i < 55; ++i) CHECK(l(i).x > l(i - 1).x);
  for (int i = 56; i < 60; ++i) CHECK(l(i).x < l(i - 1).x);
  CHECK(l(51).y > l(62).y);
  CHECK(l(66).y > l(57).y);
  CHECK(l(57).y > l(8).y);
  CHECK(l(19).y > l(37).y);
  for (int i = 0; i < 17; ++i) {
    auto const& list = m.contour[std::size_t(i)];
    CHECK(std::find(list.begin(), list.end(), m.landmarks.data()[i]) != list.end());
  }
}

TEST_CASE("procedural face: eyes close, wide eyes open, on the side the name says") {
  auto const& m = face();
  auto const blink = pose(m, {{"eyeBlink_L", 1}}), wide = pose(m, {{"eyeWide_L", 1}});
  for (auto const& [upper, lower] : {std::pair{43, 47}, std::pair{44, 46}}) {  // the subject's left is on the image's right
    double const open = gap(m, m.mean, upper, lower);
    CHECK(open > 0.06);
    CHECK(gap(m, blink, upper, lower) < 0.1 * open);
    CHECK(gap(m, wide, upper, lower) > 1.1 * open);
  }
  CHECK(gap(m, blink, 37, 41) == doctest::Approx(gap(m, m.mean, 37, 41)).epsilon(1e-6));
}

TEST_CASE("procedural face: the jaw opens the mouth and leaves brows and upper lip") {
  auto const& m = face();
  auto const open = pose(m, {{"jawOpen", 1}});
  CHECK(gap(m, m.mean, 62, 66) < 1e-5);  // closed
  CHECK(gap(m, open, 62, 66) > 0.2);
  for (int l : {65, 66, 67, 57, 8}) CHECK(at(open, m.landmarks.data()[l]).y < at(m.mean, m.landmarks.data()[l]).y - 0.12);
  for (int l : {19, 24, 30, 36, 45, 51, 62}) CHECK(distance(at(open, m.landmarks.data()[l]), at(m.mean, m.landmarks.data()[l])) < 0.02);
  // Half open is half the way: coefficients act linearly.
  CHECK(gap(m, pose(m, {{"jawOpen", 0.5f}}), 62, 66) == doctest::Approx(0.5 * gap(m, open, 62, 66)).epsilon(1e-4));
}

TEST_CASE("procedural face: smile, pucker and brows move where they should") {
  auto const& m = face();
  auto move = [&](char const* name, int l) {
    auto const g = pose(m, {{name, 1}});
    P const a = at(g, m.landmarks.data()[l]), b = at(m.mean, m.landmarks.data()[l]);
    return P{a.x - b.x, a.y - b.y, a.z - b.z};
  };
  CHECK(move("mouthSmile_L", 54).y > 0.05);
  CHECK(move("mouthSmile_L", 54).x > 0.04);
  CHECK(std::abs(move("mouthSmile_L", 48).y) < 0.01);
  CHECK(move("mouthSmile_R", 48).x < -0.04);
  CHECK(move("mouthFrown_L", 54).y < -0.05);
  CHECK(move("browInnerUp", 22).y > 0.04);
  CHECK(move("browDown_R", 20).y < -0.03);
  CHECK(move("browOuterUp_L", 25).y > 0.03);
  CHECK(move("jawLeft", 8).x > 0.05);
  CHECK(move("jawRight", 8).x < -0.05);
  auto const pucker = pose(m, {{"mouthPucker", 1}});
  CHECK(gap(m, pucker, 48, 54) < 0.8 * gap(m, m.mean, 48, 54));
  CHECK(at(pucker, m.landmarks.data()[62]).z > at(m.mean, m.landmarks.data()[62]).z + 0.05);
}

TEST_CASE("procedural face: expression names are distinct and complete") {
  auto const& m = face();
  CHECK(m.named_expressions);
  for (char const* name :
       {"jawOpen",       "jawLeft",    "jawRight",       "mouthSmile_L",   "mouthSmile_R", "mouthFrown_L", "mouthFrown_R", "mouthPucker",
        "mouthFunnel",   "mouthPress", "mouthStretch_L", "mouthStretch_R", "browInnerUp",  "browDown_L",   "browDown_R",   "browOuterUp_L",
        "browOuterUp_R", "eyeBlink_L", "eyeBlink_R",     "eyeWide_L",      "eyeWide_R",    "cheekPuff",    "noseSneer_L",  "noseSneer_R"})
    CHECK(m.expression_names[std::size_t(m.expression_index(name))] == name);
  CHECK(std::set<std::string>(m.expression_names.begin(), m.expression_names.end()).size() == m.expression_names.size());
  CHECK_THROWS_AS(m.expression_index("jawopen"), Error);
}

TEST_CASE("procedural face: same options same bits, another seed other fields") {
  CHECK(procedural_face().hash == face().hash);
  CHECK(procedural_face({.seed = 2}).hash != face().hash);
  CHECK(procedural_face({.vertices = 4000}).hash != face().hash);
}

TEST_CASE("procedural face: random fields are orthogonal to all modes before them and follow the asked number") {
  ProceduralFaceOptions const o{.vertices = 2000, .identity = 60, .reflectance = 40};
  auto const m = procedural_face(o);
  CHECK(m.identities() == 60);
  CHECK(m.reflectances() == 40);
  CHECK(procedural_identity_names(o).size() == 60);
  CHECK(procedural_reflectance_names(o).size() == 40);
  auto cosine = [](Tensor<float> const& modes, std::int64_t a, std::int64_t b) {
    std::int64_t const n = modes.dim(1) * 3;
    double ab = 0, aa = 0, bb = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      double const x = modes.data()[a * n + i], y = modes.data()[b * n + i];
      ab += x * y, aa += x * x, bb += y * y;
    }
    return ab / std::sqrt(aa * bb);
  };
  for (std::int64_t k = 40; k < 60; ++k)
    for (std::int64_t j = 36; j < k; ++j) CHECK(std::abs(cosine(m.identity, j, k)) < 1e-3);
  for (std::int64_t k = 14; k < 40; ++k)
    for (std::int64_t j = 14; j < k; ++j) CHECK(std::abs(cosine(m.reflectance, j, k)) < 1e-3);
}

TEST_CASE("procedural face: colours stay within 0..1 for the mean and eyeballs stay behind the lids") {
  auto const& m = face();
  for (std::int64_t i = 0; i < m.reflectance_mean.size(); ++i) {
    CHECK(m.reflectance_mean.data()[i] >= 0);
    CHECK(m.reflectance_mean.data()[i] <= 1);
  }
  // Eyeballs move as rigid bodies under every identity mode but the one of their size: distances within an eye stay.
  std::vector<std::int64_t> left;
  for (std::int64_t v = 0; v < m.vertices(); ++v)
    if (m.interior.data()[v] && std::abs(at(m.mean, v).y - 0.066) < 0.12 && at(m.mean, v).x > 0.2 && at(m.mean, v).z > 0.75)
      left.push_back(v);
  REQUIRE(left.size() > 40);
  auto const names = procedural_identity_names();
  for (std::int64_t k = 0; k < m.identities(); ++k) {
    if (names[std::size_t(k)] == "eye size" || names[std::size_t(k)] == "lid opening" || names[std::size_t(k)] == "eye tilt") continue;
    Tensor<float> const mode = m.identity[k];
    double spread = 0;
    for (auto v : left) spread = std::max(spread, distance(at(mode, v), at(mode, left[0])));
    CAPTURE(names[std::size_t(k)]);
    CHECK(spread < 0.02);
  }
}

TEST_CASE("procedural hair: sits on the head, follows it, refuses other models") {
  auto const& m = face();
  for (float length : {0.f, 0.4f, 1.f}) {
    CAPTURE(length);
    Hair const h = procedural_hair(m, {.length = length});
    CHECK(std::abs(double(h.vertices.dim(0)) - 2500) < 250);
    for (std::int64_t i = 0; i < h.triangles.size(); ++i) {
      CHECK(h.triangles.data()[i] >= 0);
      CHECK(h.triangles.data()[i] < h.vertices.dim(0));
    }
    double low = 10, high = -10;
    for (std::int64_t i = 0; i < h.vertices.dim(0); ++i)
      low = std::min(low, at(h.vertices, i).y), high = std::max(high, at(h.vertices, i).y);
    CHECK(high > 1.16);
    CHECK(low < 0);
    if (length == 1.f) CHECK(low < -1.8);
    if (length == 0.f) CHECK(low > -0.8);
    Tensor<float> raised = m.mean.clone();
    float* const p = raised.mutate();
    for (std::int64_t i = 0; i < raised.size(); ++i) p[i] += 0.25f;
    Tensor<float> const placed = place_hair(h, m, raised);
    for (std::int64_t i = 0; i < placed.size(); ++i) CHECK(placed.data()[i] == doctest::Approx(h.vertices.data()[i] + 0.25f).epsilon(1e-5));
  }
  MorphableModel other = m;
  other.name = "someone else";
  CHECK_THROWS_AS(procedural_hair(other), Error);
  CHECK_THROWS_WITH_AS(procedural_hair(m, {.length = 1.5f}), "procedural_hair: length must be in 0..1, got 1.5", Error);
}
