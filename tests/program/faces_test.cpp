// What looks at faces: the reader of others' weights on good and on bent files, crops, and both networks on real portraits
// where they are there.
#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "faces/face_nets.hpp"
#include "faces/landmarks.hpp"
#include "helpers.hpp"
#include "rig/core/random.hpp"
#include "rig/io/image.hpp"
#include "rig/ops/gather.hpp"

namespace fs = std::filesystem;
using namespace rig;
using namespace program;
using Json = nlohmann::json;

namespace {
std::string data(std::string const& name) {
  char const* set = std::getenv("RIG_TEST_DATA");
  return std::string(set ? set : "../shared") + "/data/" + name;
}
bool data_there(std::string const& name) {
  if (fs::exists(data(name))) return true;
  MESSAGE("skipped: ", data(name), " is not there");
  return false;
}

/// A folder with a manifest and its bytes.
struct Weights {
  fs::path folder = temporary("rig-weights");
  Json manifest;
  std::string bytes;

  Weights() {
    fs::create_directories(folder);
    manifest = Json::parse(R"([{"paths": ["w.bin"], "weights": [
      {"name": "a", "shape": [2, 3], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1}},
      {"name": "b", "shape": [2], "dtype": "float32"},
      {"name": "c/d", "shape": [1, 1, 2, 1], "dtype": "float32", "quantization": {"dtype": "uint16", "scale": 2, "min": 0}}]}])");
    bytes = std::string("\x00\x01\x02\x03\x04\xff", 6);
    float const two[2] = {1.5f, -3};
    bytes.append(reinterpret_cast<char const*>(two), 8);
    bytes.append("\x01\x00\x00\x01", 4);
  }
  ~Weights() { fs::remove_all(folder); }
  std::string path() const { return (folder / "m.json").string(); }
  std::map<std::string, Tensor<float>> read(std::string const& text) const {
    std::ofstream(path()) << text;
    std::ofstream(folder / "w.bin", std::ios::binary) << bytes;
    return read_weights_manifest(path());
  }
  std::string refused() const {
    return message_of([&] { read(manifest.dump()); });
  }
};
}  // namespace

TEST_CASE("weights manifest: floats and both kinds of packed numbers") {
  Weights w;
  auto const t = w.read(w.manifest.dump());
  REQUIRE(t.size() == 3);
  CHECK(t.at("a").shape() == Shape{2, 3});
  CHECK(t.at("a").host() == std::vector<float>{-1, -0.5f, 0, 0.5f, 1, 126.5f});
  CHECK(t.at("b").host() == std::vector<float>{1.5f, -3});
  CHECK(t.at("c/d").shape() == Shape{1, 1, 2, 1});
  CHECK(t.at("c/d").host() == std::vector<float>{2, 512});
  // One list of bytes in two files.
  std::string const all = w.bytes;
  std::ofstream(w.folder / "rest.bin", std::ios::binary) << all.substr(7);
  w.bytes = all.substr(0, 7), w.manifest[0]["paths"] = {"w.bin", "rest.bin"};
  CHECK(w.read(w.manifest.dump()).at("b").host() == std::vector<float>{1.5f, -3});
}

TEST_CASE("weights manifest: what is wrong is named") {
  auto bent = [](auto&& change, std::string const& words) {
    Weights w;
    change(w);
    std::string const said = w.refused();
    INFO(said);
    CHECK(contains(said, w.path()));
    CHECK_MESSAGE(contains(said, words), "expected to read: ", words);
  };
  auto entry = [](Weights& w, int i) -> Json& { return w.manifest[0]["weights"][std::size_t(i)]; };
  bent([](Weights& w) { w.bytes.pop_back(); }, "needs 4 bytes, the files have 3 left");
  bent([](Weights& w) { w.bytes += "x"; }, "1 bytes more");
  bent([&](Weights& w) { entry(w, 0)["shape"] = {2, -3}; }, "whole extents");
  bent([&](Weights& w) { entry(w, 0)["shape"] = {2, 1.5}; }, "whole extents");
  bent([&](Weights& w) { entry(w, 0)["shape"] = {0, 3}; }, "impossible shape");
  bent([&](Weights& w) { entry(w, 0)["shape"] = {4294967296, 4294967296, 3}; }, "impossible shape");
  bent([&](Weights& w) { entry(w, 0)["shape"] = {1, 1, 1, 2, 3}; }, "at most 4 extents");
  bent([&](Weights& w) { entry(w, 0)["shape"] = {200, 3}; }, "needs 600 bytes");
  bent([&](Weights& w) { entry(w, 0)["dtype"] = "int32"; }, "found int32");
  bent([&](Weights& w) { entry(w, 0)["quantization"]["dtype"] = "uint4"; }, "found uint4");
  bent([&](Weights& w) { entry(w, 0)["quantization"].erase("min"); }, "min");
  bent([&](Weights& w) { entry(w, 0)["quantization"]["scale"] = 1e300; }, "not finite");
  bent([&](Weights& w) { entry(w, 1)["name"] = "a"; }, "twice");
  bent([&](Weights& w) { entry(w, 1).erase("name"); }, "name");
  bent([](Weights& w) { w.bytes[9] = '\x7f', w.bytes[8] = '\xc0'; }, "not finite");
  bent([](Weights& w) { w.manifest[0]["paths"] = {"../w.bin"}; }, "beside it");
  bent([](Weights& w) { w.manifest[0]["paths"] = {"/etc/hostname"}; }, "beside it");
  bent([](Weights& w) { w.manifest[0]["paths"] = {"other.bin"}; }, "other.bin");
  bent([](Weights& w) { w.manifest[0]["paths"] = std::vector<std::string>(65, "w.bin"); }, "at most 64");
  bent([](Weights& w) { w.manifest = Json::object(); }, "list of groups");
  Weights const w;
  std::string const whole = w.manifest.dump();
  for (std::size_t n = 0; n < whole.size(); ++n) CHECK(contains(message_of([&] { w.read(whole.substr(0, n)); }), w.path()));
  CHECK(contains(message_of([&] { w.read(std::string(100000, '[')); }), w.path()));
}

TEST_CASE("cut_out: places, turns, averages, and the border") {
  Tensor<float> picture({1, 4, 4, 3});
  float* p = picture.mutate();
  for (int i = 0; i < 16; ++i)
    for (int k = 0; k < 3; ++k) p[3 * i + k] = float(i % 4) + 10 * float(i / 4) + 100 * float(k);
  auto value = [](Tensor<float> const& t, int r, int c, int k = 0) { return t.data()[(r * t.dim(2) + c) * 3 + k]; };
  auto const same = cut_out(picture, {upright_crop(0, 0, 1, 4, 4)}, 4);
  for (int i = 0; i < 48; ++i) CHECK(same.data()[i] == doctest::Approx(picture.data()[i]));
  auto const middle = cut_out(picture, {Crop{1, 1, 2, 0}}, 2);
  CHECK(value(middle, 0, 0) == doctest::Approx(11));
  CHECK(value(middle, 1, 1, 2) == doctest::Approx(222));
  // A quarter turn: the crop's top side runs down the picture's right one.
  auto const turned = cut_out(picture, {Crop{4, 0, 0, 4}}, 4);
  CHECK(value(turned, 0, 0) == doctest::Approx(3));
  CHECK(value(turned, 0, 3) == doctest::Approx(33));
  CHECK(value(turned, 3, 0) == doctest::Approx(0));
  auto const smaller = cut_out(picture, {upright_crop(0, 0, 1, 4, 4)}, 2);
  CHECK(value(smaller, 0, 0) == doctest::Approx((0 + 1 + 10 + 11) / 4.0));
  auto const outside = cut_out(picture, {Crop{-8, 0, 4, 0}}, 4);
  CHECK(value(outside, 2, 3) == doctest::Approx(20));
  CHECK(contains(message_of([&] { cut_out(picture, {Crop{NAN, 0, 1, 0}}, 4); }), "not finite"));
  CHECK(contains(message_of([&] { cut_out(ones<float>({2, 4, 4, 3}), {Crop{}}, 4); }), "as many"));
}

TEST_CASE("recogniser_crop: the similarity that put the mean face there") {
  // dlib's mean face, a quarter around it, put into a picture of 200 by 100 pixels by a known crop.
  Crop const truth{70, 20, 48, 14};
  double const mean[5][3] = {{36, 0.1206, 0.2137}, {39, 0.3341, 0.2291}, {42, 0.6461, 0.2290}, {45, 0.8596, 0.2135}, {33, 0.4901, 0.6278}};
  std::vector<float> points(136, 0.f);
  for (auto const& m : mean) {
    double const u = (m[1] + 0.25) / 1.5, v = (m[2] + 0.25) / 1.5;
    points[std::size_t(2 * m[0])] = float((truth.x + truth.ax * u - truth.ay * v) / 200);
    points[std::size_t(2 * m[0] + 1)] = float((truth.y + truth.ay * u + truth.ax * v) / 100);
  }
  Crop const c = recogniser_crop(points.data(), 200, 100);
  CHECK(c.x == doctest::Approx(truth.x).epsilon(1e-4));
  CHECK(c.y == doctest::Approx(truth.y).epsilon(1e-4));
  CHECK(c.ax == doctest::Approx(truth.ax).epsilon(1e-4));
  CHECK(c.ay == doctest::Approx(truth.ay).epsilon(1e-4));
}

namespace {
/// Every `step`-th portrait and its landmarks in fractions, [n, 68, 2]. The stored points lie 1.17 pixels too far right and
/// 0.57 too low in the pictures of 128: dlib's on the same pictures say so, and the networks too.
struct Portraits {
  Tensor<float> pictures, mirrored, landmarks;
  std::int64_t n = 0;
  explicit Portraits(int step, int shrink = 1) {
    std::ifstream file(data("portraits/landmarks68.csv"));
    std::string line, cell;
    std::getline(file, line);
    std::vector<float> pixels, points;
    std::int64_t side = 0;
    for (int i = 0; std::getline(file, line); ++i) {
      if (i % step) continue;
      std::stringstream cells(line);
      std::vector<std::string> row;
      while (std::getline(cells, cell, ',')) row.push_back(cell);
      for (std::size_t k = 0; k < 136; ++k) points.push_back((std::stof(row.at(4 + k)) - (k % 2 ? 0.57f : 1.17f)) / 128);
      Tensor<float> const p = io::downsample_area(io::load_image(data("portraits/aligned128/" + row[0])), shrink);
      pixels.insert(pixels.end(), p.data(), p.data() + p.size()), side = p.dim(0), ++n;
    }
    pictures = Tensor<float>({n, side, side, 3}, pixels), landmarks = Tensor<float>({n, 68, 2}, points);
    Tensor<int> backwards({side});
    for (int i = 0; i < int(side); ++i) backwards.mutate()[i] = int(side) - 1 - i;
    mirrored = gather(Var<float>(pictures), backwards, 2).value();
  }
  /// Mean distance from the stored points, in distances of the outer corners of the eyes.
  double error(Tensor<float> const& found) const {
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      float const *a = landmarks.data() + 136 * i, *b = found.data() + 136 * i;
      double const eyes = std::hypot(a[72] - a[90], a[73] - a[91]);
      for (int l = 0; l < 68; ++l) sum += std::hypot(a[2 * l] - b[2 * l], a[2 * l + 1] - b[2 * l + 1]) / eyes / 68 / double(n);
    }
    return sum;
  }
};
}  // namespace

TEST_CASE("landmark network: near the stored points of portraits, large and small") {
  if (!data_there("portraits/landmarks68.csv") || !data_there("face-api")) return;
  LandmarkNet const net(data("face-api"));
  for (int shrink : {1, 2}) {
    Portraits const p(97, shrink);
    Tensor<float> const found = net(p.pictures), mirrored = net(p.mirrored);
    REQUIRE(found.shape() == Shape{p.n, 68, 2});
    double const error = p.error(found);
    MESSAGE(p.n, " portraits of ", p.pictures.dim(1), " px: mean error ", 100 * error, " % of the distance of the eyes");
    CHECK(error < 0.055);
    // Seen in a mirror, the outer corner of the left eye is the right eye's.
    for (std::int64_t i = 0; i < p.n; ++i) {
      CHECK(found.data()[136 * i + 72] == doctest::Approx(1 - mirrored.data()[136 * i + 90]).epsilon(1e-3));
      CHECK(found.data()[136 * i + 73] == doctest::Approx(mirrored.data()[136 * i + 91]).epsilon(1e-3));
    }
  }
}

TEST_CASE("dlib's landmarks, where it is installed") {
  if (!data_there("portraits/landmarks68.csv")) return;
  if (!dlib_is_there()) {
    MESSAGE("skipped: no dlib in this build, or its file is not there");
    CHECK(message_of([] { landmark_finder("dlib:missing.dat"); }) != "");
    return;
  }
  Portraits const p(97, 2);
  double const error = p.error(landmark_finder("dlib").find(p.pictures));
  MESSAGE("64 px: mean error ", 100 * error, " %");
  CHECK(error < 0.03);
  CHECK(contains(message_of([] { landmark_finder("dlib:missing.dat"); }), "missing.dat"));
}

TEST_CASE("face recogniser: a mirror keeps who it is") {
  if (!data_there("portraits/landmarks68.csv") || !data_there("face-api")) return;
  LandmarkNet const net(data("face-api"));
  FaceRecogniser const recognise(data("face-api"));
  Portraits const p(97);
  Tensor<float> const a = recognise(p.pictures, net(p.pictures)), b = recognise(p.mirrored, net(p.mirrored));
  REQUIRE(a.shape() == Shape{p.n, 128});
  auto distance = [](Tensor<float> const& x, std::int64_t i, Tensor<float> const& y, std::int64_t j) {
    double square = 0;
    for (int k = 0; k < 128; ++k) square += std::pow(double(x.data()[128 * i + k]) - double(y.data()[128 * j + k]), 2);
    return std::sqrt(square);
  };
  std::vector<double> same, other;
  for (std::int64_t i = 0; i < p.n; ++i) {
    same.push_back(distance(a, i, b, i));
    for (std::int64_t j = 0; j < i; ++j) other.push_back(distance(a, i, a, j));
  }
  std::sort(same.begin(), same.end()), std::sort(other.begin(), other.end());
  MESSAGE("mirror: median ", same[same.size() / 2], ", most ", same.back(), "; others: least ", other[0], ", median ",
          other[other.size() / 2]);
  CHECK(same[same.size() / 2] < 0.2);
  CHECK(other[other.size() / 2] > 0.4);
  CHECK(same.back() < other[other.size() / 20]);
}

TEST_CASE("face networks say what is wrong with a folder or a picture") {
  CHECK(contains(message_of([] { LandmarkNet("nowhere"); }), "nowhere/face_landmark_68_model-weights_manifest.json"));
  CHECK(contains(message_of([] { landmark_finder("nowhere"); }), "nowhere"));
  Weights w;
  w.read(w.manifest.dump());
  fs::copy_file(w.path(), w.folder / "face_recognition_model-weights_manifest.json");
  CHECK(contains(message_of([&] { FaceRecogniser(w.folder.string()); }), "expected an entry conv32_down/scale/weights [32], found none"));
  if (!data_there("face-api")) return;
  LandmarkNet const net(data("face-api"));
  CHECK(contains(message_of([&] { net.in_crops(ones<float>({1, 111, 112, 3})); }), "[n, 112, 112, 3]"));
  CHECK(contains(message_of([&] { landmark_finder(data("face-api")).find(ones<float>({1, 32, 64, 3})); }), "square"));
}
