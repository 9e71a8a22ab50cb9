#include "rig/render/models/bfm.hpp"

#include <doctest/doctest.h>
#if RIG_HAS_ZLIB
#include <zlib.h>
#endif

#include <unistd.h>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "rig/io/mat.hpp"
#include "rig/render/face_renderer.hpp"

using namespace rig;
using namespace rig::render;

namespace {

/// Writes .mat files of version 5, one variable after the other.
struct MatWriter {
  std::string bytes;
  MatWriter() {
    bytes = std::string("MATLAB 5.0 MAT-file, made by a test");
    bytes.resize(124, ' ');
    bytes += std::string("\0\1IM", 4);
  }
  static void put(std::string& to, std::uint32_t v) { to.append(reinterpret_cast<char const*>(&v), 4); }
  static std::string element(std::uint32_t type, std::string const& data) {
    std::string e;
    if (!data.empty() && data.size() <= 4) {
      put(e, std::uint32_t(data.size()) << 16 | type), e += data;
    } else {
      put(e, type), put(e, std::uint32_t(data.size())), e += data;
    }
    e.resize((e.size() + 7) / 8 * 8);
    return e;
  }
  template <class T> static std::string raw(std::vector<T> const& v) {
    return std::string(reinterpret_cast<char const*>(v.data()), v.size() * sizeof(T));
  }
  /// Values in row order; MATLAB's column order in the file.
  template <class T>
  std::string variable(std::string const& name, std::uint32_t kind, std::uint32_t type, int rows, int columns,
                       std::vector<T> const& v) const {
    std::vector<T> turned;
    for (int j = 0; j < columns; ++j)
      for (int i = 0; i < rows; ++i) turned.push_back(v[std::size_t(i * columns + j)]);
    std::string body = element(6, raw(std::vector<std::uint32_t>{kind, 0})) + element(5, raw(std::vector<std::int32_t>{rows, columns})) +
                       element(1, name) + element(type, raw(turned)),
                all;
    put(all, 14), put(all, std::uint32_t(body.size()));
    return all + body;
  }
  void doubles(std::string const& name, int rows, int columns, std::vector<double> const& v) {
    bytes += variable(name, 6, 9, rows, columns, v);
  }
  void compressed(std::string const& variable) {
#if RIG_HAS_ZLIB
    std::string out(::compressBound(::uLong(variable.size())), 0);
    ::uLongf size = ::uLongf(out.size());
    ::compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<Bytef const*>(variable.data()), ::uLong(variable.size()));
    out.resize(size);
    put(bytes, 15), put(bytes, std::uint32_t(size)), bytes += out;
#else
    bytes += variable;
#endif
  }
  std::string save(char const* name) const {
    auto const path = (std::filesystem::temp_directory_path() / str("rig-", ::getpid(), "-", name)).string();
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
};
io::Bytes as_bytes(std::string const& s) {
  std::vector<std::byte> b(s.size());
  std::memcpy(b.data(), s.data(), s.size());
  return io::Bytes(std::move(b));
}

// A pyramid with its tip towards the camera; triangles counter-clockwise seen from outside, counted from 1.
std::vector<double> const pyramid{-1, -1, 0.5, 1, -1, 0.5, 1, 1, 0.5, -1, 1, 0.5, 0, 0, 1.5};
std::vector<double> const faces{1, 2, 5, 2, 3, 5, 3, 4, 5, 4, 1, 5, 1, 3, 2, 1, 4, 3};

/// The file of Deep3DFaceRecon in small: 5 vertices, one mode of each kind.
MatWriter deep3d_file(double tip_landmark = 5) {
  MatWriter w;
  w.doubles("meanshape", 1, 15, pyramid);
  std::vector<double> id(15, 0.0), ex(15, 0.0), colours(15, 127.5), colour_mode(15, 0.0);
  id[14] = 0.25, ex[13] = 0.125, colour_mode[12] = 25.5;  // of the tip: forwards, up, redder
  w.doubles("idBase", 15, 1, id);
  w.compressed(w.variable("exBase", 7, 7, 15, 1, std::vector<float>(ex.begin(), ex.end())));
  w.doubles("meantex", 1, 15, colours);
  w.compressed(w.variable("texBase", 6, 9, 15, 2, [&] {  // and a mode of zeros, to be dropped
    std::vector<double> two;
    for (double e : colour_mode) two.insert(two.end(), {e, 0.0});
    return two;
  }()));
  // MATLAB stores whole numbers in as few bytes as they need, whatever their class.
  w.bytes += w.variable("tri", 6, 2, 6, 3, std::vector<std::uint8_t>(faces.begin(), faces.end()));
  std::vector<double> marks(68, 1.0);
  marks[30] = tip_landmark;
  w.doubles("keypoints", 1, 68, marks);
  w.bytes += w.variable("skinmask", 9, 2, 1, 5, std::vector<std::uint8_t>{1, 1, 1, 0, 1});
  w.bytes += w.variable("frontmask2_idx", 12, 5, 4, 1, std::vector<std::int32_t>{1, 2, 4, 5});
  return w;
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
  MatWriter w;
  std::vector<double> shape = pyramid, mode(15, 0.0), turned = faces;
  for (double& e : shape) e *= 1e5;
  for (std::size_t f = 0; f < turned.size(); f += 3) std::swap(turned[f + 1], turned[f + 2]);  // as the file winds them
  mode[14] = 1;
  w.doubles("shapeMU", 15, 1, shape);
  w.doubles("shapePC", 15, 1, mode);
  w.doubles("shapeEV", 1, 1, {2e5});
  w.doubles("texMU", 15, 1, std::vector<double>(15, 51.0));
  w.doubles("texPC", 15, 1, mode);
  w.doubles("texEV", 1, 1, {25.5});
  w.doubles("tl", 6, 3, turned);
  auto const path = w.save("bfm.mat");
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
