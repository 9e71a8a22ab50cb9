// Renders against pictures stored in tests/render/reference: triangles exactly, colours to 1e-6. One for each camera preset and
// each loader with a small file. RIG_WRITE_REFERENCES=1 in the environment writes them anew: look at what changed and why.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "model_files.hpp"
#include "rig/io/npz.hpp"
#include "rig/render/face_renderer.hpp"
#include "rig/render/models/bfm.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

namespace {

/// A dented ball on whole 1024ths, so that no library's sine decides about a bit, with one mode of each kind.
MorphableModel ball(double size) {
  auto const s = scene::sphere(14, 18);
  std::int64_t const v = s.vertices.dim(0);
  MorphableModel m;
  m.name = "ball", m.units = "none", m.licence = "none";
  std::vector<float> mean, identity, expression, colour, reflectance;
  for (std::int64_t i = 0; i < v; ++i) {
    double const* p = s.vertices.data() + 3 * i;
    auto grid = [](double e) { return float(std::round(1024 * e) / 1024); };
    double const dent = 1 - 0.25 * (i % 7 == 3);
    for (int a = 0; a < 3; ++a) {
      mean.push_back(float(size) * grid(dent * p[a]));
      identity.push_back(a == 0 ? float(size) * grid(0.25 * p[1] * p[1]) : 0);
      expression.push_back(a == 2 ? float(size) * grid(p[2] > 0.8 ? 0.5 : 0) : 0);
      colour.push_back(grid(0.5 + 0.25 * p[a]));
      reflectance.push_back(a == 1 ? grid(0.125 * p[0]) : 0);
    }
  }
  m.mean = Tensor<float>({v, 3}, mean), m.identity = Tensor<float>({1, v, 3}, identity);
  m.expression = Tensor<float>({1, v, 3}, expression), m.expression_names = {"nose"};
  m.reflectance_mean = Tensor<float>({v, 3}, colour), m.reflectance = Tensor<float>({1, v, 3}, reflectance);
  m.triangles = s.triangles, m.landmarks = zeros<int>({68});
  m.face_region = full<unsigned char>({v}, 1), m.interior = zeros<unsigned char>({v});
  finish_model(m);
  return m;
}

/// Two faces of a model, in both shadings, against the stored file.
void compare(std::string const& name, MorphableModel const& m, Camera const& camera, double unit) {
  CAPTURE(name);
  FaceRenderer<float> const face(m, camera);
  auto two = [](std::int64_t k, float a, float b) {
    std::vector<float> v(std::size_t(2 * k), a);
    std::fill(v.begin() + k, v.end(), b);
    return Var<float>(Tensor<float>({2, k}, v));
  };
  std::vector<float> light(54);
  for (std::size_t i = 0; i < light.size(); ++i) light[i] = 0.0625f * float(int(i * 5 % 7) - 3);
  auto const f = face({.identity = two(m.identities(), 1, -0.5f),
                       .reflectance = two(m.reflectances(), 0.5f, -1),
                       .expression = two(m.expressions(), 0, 0.75f),
                       .light = Var<float>(Tensor<float>({2, 27}, light)),
                       .rotation = Var<float>(Tensor<float>({2, 3}, {0.125f, 0.375f, -0.25f, -0.25f, -0.5f, 0.0625f})),
                       .translation = Var<float>(Tensor<float>({2, 3}, {0, 0.0625f * float(unit), 0, 0.125f * float(unit), 0, 0}))},
                      {24, 24});
  Tensor<float> const back = full<float>({2, 24, 24, 3}, 0.25f);
  auto const vertex = face.render(f, back), pixel = face.render(f, back, {.shading = Shading::pixel});
  char const* const root = std::getenv("RIG_ROOT");
  std::string const path = std::string(root ? root : ".") + "/tests/render/reference/" + name + ".npz";
  if (std::getenv("RIG_WRITE_REFERENCES"))
    io::save_npz(path, {{"triangle", vertex.visibility.triangle}, {"vertex", vertex.image.value()}, {"pixel", pixel.image.value()}});
  REQUIRE(std::filesystem::exists(path));
  for (auto const& [what, stored] : io::read_npz(path)) {
    CAPTURE(what);
    if (what == "triangle") {
      CHECK(stored.as<int>().host() == vertex.visibility.triangle.host());
      std::int64_t covered = 0;
      for (int t : vertex.visibility.triangle.host()) covered += t >= 0;
      CHECK(covered > 100);
      continue;
    }
    auto const want = stored.as<float>().host(), got = (what == "vertex" ? vertex : pixel).image.value().host();
    REQUIRE(want.size() == got.size());
    float worst = 0;
    for (std::size_t i = 0; i < want.size(); ++i) worst = std::max(worst, std::abs(want[i] - got[i]));
    CHECK(worst < 1e-6f);
  }
}

}  // namespace

TEST_CASE("stored renders: every camera preset") {
  compare("stylerig", ball(1), Camera::stylerig(13), 1);
  compare("deep3d", ball(1), Camera::deep3d(), 1);
  compare("focus", ball(90), Camera::focus(), 90);
}

TEST_CASE("stored renders: a small file of every loader that reads one") {
  auto const deep3d = model_files::deep3d_file().save("stored-deep3d.mat"), bfm = model_files::bfm2009_file().save("stored-bfm.mat");
  compare("deep3d_file", load_deep3d(deep3d), Camera::deep3d(), 1);
  compare("bfm2009_file", load_bfm2009(bfm, {1, 1, std::vector<int>(68, 4)}), Camera::deep3d(), 1);
  std::filesystem::remove(deep3d), std::filesystem::remove(bfm);
}
