#include "rig/render/models/bfm.hpp"

#include <doctest/doctest.h>

#include <unistd.h>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "model_files.hpp"
#include "rig/io/mat.hpp"
#include "rig/render/face_renderer.hpp"

using namespace rig;
using namespace rig::render;
using namespace model_files;

namespace {

io::Bytes as_bytes(std::string const& s) {
  std::vector<std::byte> b(s.size());
  if (!s.empty()) std::memcpy(b.data(), s.data(), s.size());
  return io::Bytes(std::move(b));
}

}  // namespace

TEST_CASE("Deep3D: a hand-calculated vertex, normal, shade and projection") {
  auto const path = deep3d_file().save("deep3d.mat");
  MorphableModel const m = load_deep3d(path);
  CHECK(m.vertices() == 5);
  CHECK(m.faces() == 6);
  CHECK(m.identities() == 1);
  CHECK(m.expressions() == 1);
  CHECK(m.reflectances() == 1);
  CHECK(m.expression_names == std::vector<std::string>{"expression0"});
  CHECK(m.landmarks.data()[30] == 4);
  CHECK(m.landmarks.data()[0] == 0);
  CHECK(m.face_region.host() == std::vector<unsigned char>{1, 1, 0, 0, 1});
  CHECK(m.triangles.host()[2] == 4);
  // The mean is centred: heights .5 of the base and 1.5 of the tip have the mean .7.
  CHECK(m.mean.data()[14] == doctest::Approx(0.8).epsilon(1e-6));
  CHECK(m.mean.data()[2] == doctest::Approx(-0.2).epsilon(1e-6));

  FaceRenderer<double> const face(m, Camera::deep3d());
  std::vector<double> light(27, 0.0);
  light[2] = 0.1, light[9 + 1] = 0.2, light[18 + 6] = 0.3;  // red from the front, green from below, blue by 3z2 - 1
  auto one = [](double v) { return Var<double>(Tensor<double>({1, 1}, {v})); };
  // Turned by a quarter round z: x to y, y to -x. The tip is then at (-.125, 0, 1.05), and moved to (-.025, .2, 1.05).
  double const quarter = std::acos(-1.0) / 2;
  auto const f = face({.identity = one(1),
                       .reflectance = one(2),
                       .expression = one(1),
                       .light = Var<double>(Tensor<double>({1, 27}, light)),
                       .rotation = Var<double>(Tensor<double>({1, 3}, {0, 0, quarter})),
                       .translation = Var<double>(Tensor<double>({1, 3}, {0.1, 0.2, 0}))},
                      {224, 224});
  auto near = [](double a, double b) { CHECK(std::abs(a - b) < 1e-6); };
  double const* v = f.vertices.value().data() + 12;
  near(v[0], 0), near(v[1], 0.125), near(v[2], 1.05);
  double const *p = f.projected.value().data() + 12, depth = 10 - 1.05;
  near(p[0] / 224, 0.5 + 1015.0 / 224 * -0.025 / depth), near(p[1] / 224, 0.5 - 1015.0 / 224 * 0.2 / depth), near(p[2], depth);
  CHECK(std::abs(face.camera.focal_pixels(224) - 1015) < 1e-9);

  // Equal weights: the tip's normal is the mean of the unit normals of its four sides. Height over the base h = 1.25, tip at
  // y = .125: the sides below, right, above, left have the cross products (0, -h, 1.125), (h, .., ..), (0, h, .875), (-h, ..).
  Mesh const mesh(m);
  auto const unit = vertex_normals(f.vertices, mesh, NormalWeights::unit).value();
  double const h = 1.25, below = std::hypot(h, 1.125), above = std::hypot(h, 0.875), side = std::hypot(h, 1.0);
  double const y = -h / below + h / above, z = 1.125 / below + 0.875 / above + 2 / side, n = std::hypot(y, z);
  near(unit.data()[12], 0), near(unit.data()[13], y / n), near(unit.data()[14], z / n);

  // Shade with that normal, turned with the head: (-y/n, 0, z/n).
  auto const shaded =
      shade(f.albedo, rotate(Var<double>(unit), euler_to_matrix(Var<double>(Tensor<double>({1, 3}, {0, 0, quarter})))), f.light).value();
  double const pi = std::acos(-1.0), ambient = 0.8 * std::sqrt(pi) / 2, nz = z / n;
  near(f.albedo.value().data()[12], 0.7), near(f.albedo.value().data()[13], 0.5);
  near(shaded.data()[12], 0.7 * (ambient + 0.1 * std::sqrt(pi) * nz));
  near(shaded.data()[13], 0.5 * ambient);  // the turned normal has no y
  near(shaded.data()[14], 0.5 * (ambient + 0.3 * std::sqrt(5 * pi / 32) * (3 * nz * nz - 1)));
  std::filesystem::remove(path);
}

TEST_CASE("Deep3D: every truncation and every wrong array fails by name") {
  std::string const whole = deep3d_file().bytes;
  CHECK(io::read_mat(as_bytes(whole)).size() == 9);
  std::size_t accepted = 0;
  for (std::size_t n = 0; n < whole.size(); ++n) {
    try {
      accepted += io::read_mat(as_bytes(whole.substr(0, n))).size() < 9;  // an end between two variables is a shorter file
    } catch (Error const&) {}
  }
  CHECK(accepted == 9);
  for (std::size_t i = 128; i < whole.size(); i += 3) {  // damage anywhere: an answer or an Error, nothing else
    std::string bad = whole;
    bad[i] = char(bad[i] ^ 0x5a);
    try {
      io::read_mat(as_bytes(bad));
    } catch (Error const&) {}
  }
  auto refuses = [](MatWriter const& w, char const* text) {
    auto const path = w.save("wrong.mat");
    CHECK_THROWS_WITH_AS(load_deep3d(path), doctest::Contains(text), Error);
    std::filesystem::remove(path);
  };
  refuses(deep3d_file(6), "keypoints names vertex 6, expected 1..5");
  refuses(deep3d_file(0), "keypoints names vertex 0, expected 1..5");
  MatWriter few;
  few.doubles("meanshape", 1, 15, pyramid);
  refuses(few, "expected an array idBase, which is not there");
  few.doubles("idBase", 12, 1, std::vector<double>(12, 1.0));
  refuses(few, "idBase must be [15, K], got [12, 1]");
  MatWriter hdf;
  hdf.bytes = "MATLAB 7.3 MAT-file" + std::string(200, ' ');
  refuses(hdf, "save it with -v7");
  MatWriter big;
  big.bytes[126] = 'M', big.bytes[127] = 'I';
  refuses(big, "big-endian");
  CHECK_THROWS_AS(load_deep3d("no/such/file.mat"), Error);
}

TEST_CASE("BFM 2009: units, deviations and winding") {
  auto const path = bfm2009_file().save("bfm.mat");
  Bfm2009Options o{1, 1, std::vector<int>(68, 4)};
  MorphableModel const m = load_bfm2009(path, o);
  CHECK(m.mean.data()[14] == doctest::Approx(1.5));
  CHECK(m.identity.data()[14] == doctest::Approx(2));
  CHECK(m.reflectance_mean.data()[0] == doctest::Approx(0.2));
  CHECK(m.reflectance.data()[14] == doctest::Approx(0.1));
  CHECK(m.triangles.host() == [] {
    std::vector<int> t;
    for (double e : faces) t.push_back(int(e) - 1);
    return t;
  }());
  o.identity = 2;
  CHECK_THROWS_WITH_AS(load_bfm2009(path, o), doctest::Contains("shapeEV and texEV must have 2 and 1 entries at least, got 1 and 1"),
                       Error);
  o.landmarks.pop_back();
  CHECK_THROWS_WITH_AS(load_bfm2009(path, o), doctest::Contains("landmarks must be 68 vertices, got 67"), Error);
  std::filesystem::remove(path);
}
