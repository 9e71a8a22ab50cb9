// The shared case set: every accepted file gives exactly the expected tensors, every refused one throws, and no
// shortened file does anything but throw or load.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "rig/io/file.hpp"
#include "rig/io/obj.hpp"

using namespace rig;
using namespace rig::io;
namespace fs = std::filesystem;

namespace {

// Empty if the data is not there.
fs::path fixtures() {
  char const* env = std::getenv("RIG_TEST_DATA");
  for (fs::path base : {fs::path(env ? env : ""), fs::path("../shared"), fs::path("../../shared")}) {
    fs::path p = base / "parity/stylegan";
    if (!base.empty() && fs::exists(p / "containers")) return p;
  }
  MESSAGE("shared test data not found: skipped");
  return {};
}

std::vector<fs::path> files_in(fs::path const& folder) {
  std::vector<fs::path> out;
  for (auto const& e : fs::directory_iterator(folder))
    if (e.path().extension() != ".npz" || e.path().stem().extension() != ".expect") out.push_back(e.path());
  std::sort(out.begin(), out.end());
  return out;
}

bool equal(AnyTensor const& got, AnyTensor const& expected) {
  if (!(got.shape() == expected.shape())) return false;
  if (got.size() == 0) return true;
  // The expectation is stored in the same type, or in one that holds every value of it.
  auto a = got.as<double>().host(), b = expected.as<double>().host();
  if (std::memcmp(a.data(), b.data(), a.size() * 8) != 0) return false;
  if (expected.dtype() == DType::i64 && got.dtype() == DType::i64)
    return got.as<std::int64_t>().host() == expected.as<std::int64_t>().host();
  return true;
}

void check_equal(std::vector<NamedTensor> const& got, std::vector<NamedTensor> const& expected) {
  std::map<std::string, AnyTensor> by_name;
  for (auto const& t : got) {
    CHECK_MESSAGE(by_name.emplace(t.name, t.tensor).second, t.name << " is listed twice");
  }
  CHECK(got.size() == expected.size());
  for (auto const& [name, tensor] : expected) {
    auto it = by_name.find(name);
    REQUIRE_MESSAGE(it != by_name.end(), name << " is missing");
    CHECK_MESSAGE(equal(it->second, tensor), name << " differs");
  }
}

double seconds_since(std::chrono::steady_clock::time_point t) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - t).count();
}
long peak_kilobytes() {
  ::rusage u{};
  ::getrusage(RUSAGE_SELF, &u);
  return u.ru_maxrss;
}

Bytes copy_of(Bytes const& b, std::uint64_t n) { return Bytes(std::vector<std::byte>(b.data, b.data + n)); }

}  // namespace

TEST_CASE("containers: every accepted file equals its expectation") {
  auto root = fixtures();
  if (root.empty()) return;
  int count = 0;
  for (auto const& path : files_in(root / "containers/accept")) {
    CAPTURE(path.filename().string());
    auto got = read_any(path.string()).tensors();
    check_equal(got, read_npz(path.string() + ".expect.npz"));
    ++count;
  }
  CHECK(count > 20);
}

TEST_CASE("containers: every refused file throws rig::Error, quickly and in little memory") {
  auto root = fixtures();
  if (root.empty()) return;
  int count = 0;
  long before = peak_kilobytes();
  for (auto const& path : files_in(root / "containers/refuse")) {
    CAPTURE(path.filename().string());
    auto start = std::chrono::steady_clock::now();
    bool refused = false;
    try {
      read_any(path.string()).tensors();
    } catch (Error const& e) {
      refused = true;
      CHECK(std::string(e.what()).find(path.string()) == 0);
      if (std::getenv("RIG_TEST_VERBOSE")) MESSAGE(std::string(e.what()));
    }
    CHECK(refused);
    CHECK(seconds_since(start) < 1);
    ++count;
  }
  CHECK(count > 60);
  CHECK(peak_kilobytes() - before < 200'000);
}

TEST_CASE("containers: shortened files never do worse than throw") {
  auto root = fixtures();
  if (root.empty()) return;
  for (auto const& path : files_in(root / "containers/accept")) {
    CAPTURE(path.filename().string());
    MappedFile file(path.string());
    std::uint64_t size = file.bytes().size, loaded = 0;
    for (std::uint64_t n = 0; n < size; n += std::max<std::uint64_t>(1, size / 400)) {
      try {
        read_any(copy_of(file.bytes(), n)).tensors();
        ++loaded;
      } catch (Error const&) {}
    }
    CHECK(loaded == 0);
  }
}

TEST_CASE("containers: flipped bytes never do worse than throw") {
  auto root = fixtures();
  if (root.empty()) return;
  std::uint64_t state = 1;
  for (auto const& path : files_in(root / "containers/accept")) {
    CAPTURE(path.filename().string());
    MappedFile file(path.string());
    for (int trial = 0; trial < 300; ++trial) {
      std::vector<std::byte> data(file.bytes().data, file.bytes().data + file.bytes().size);
      for (int k = 0; k < 1 + trial % 4; ++k) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        data[std::size_t((state >> 33) % data.size())] ^= std::byte(1 + (state >> 20) % 255);
      }
      try {
        for (auto const& t : read_any(Bytes(std::move(data))).tensors()) t.tensor.as<double>();
      } catch (Error const&) {}
    }
  }
  CHECK(state != 1);  // reached: nothing else left a reader
}

TEST_CASE("containers: every network file of the fixtures loads") {
  auto root = fixtures();
  if (root.empty()) return;
  int count = 0;
  for (auto const& e : fs::directory_iterator(root)) {
    auto ext = e.path().extension();
    if (ext != ".pkl" && ext != ".pt" && ext != ".pth") continue;
    CAPTURE(e.path().filename().string());
    auto doc = read_any(e.path().string());
    auto tensors = doc.tensors();
    CHECK(tensors.size() > 5);
    bool finite = true;
    for (auto const& t : tensors)
      if (t.tensor.dtype() == DType::f32)
        for (float v : t.tensor.as<float>().host()) finite = finite && v - v == 0;
    CHECK(finite);
    ++count;
  }
  CHECK(count > 20);
}

TEST_CASE("pickle: the module tree of an official file") {
  auto root = fixtures();
  if (root.empty()) return;
  auto doc = read_any((root / "sg2ada_skip64.pkl").string());
  Value g = doc.root.at("G_ema");
  CHECK(g.class_name() == "Generator");
  CHECK(g.at("z_dim").integer() == 32);
  CHECK(g.at("img_resolution").integer() == 64);
  CHECK(!g.find("no such attribute"));
  Value mapping = g.at("_modules").at("mapping");
  CHECK(mapping.class_name() == "MappingNetwork");
  CHECK(mapping.at("_modules").at("fc0").at("weight_gain").real() > 0);
  std::map<std::string, AnyTensor> t;
  for (auto const& n : module_tensors(g)) CHECK(t.emplace(n.name, n.tensor).second);
  REQUIRE(t.count("mapping.fc0.weight"));
  CHECK(t.at("mapping.fc0.weight").shape() == Shape{32, 32});
  CHECK(t.count("synthesis.b8.conv0.affine.bias") == 1);
  CHECK(t.count("synthesis.b64.torgb.weight") == 1);
  CHECK(t.at("synthesis.b4.conv1.noise_strength").rank() == 0);
  CHECK(t.count("synthesis.b8.resample_filter") == 1);
}

TEST_CASE("pickle: a TensorFlow-era file") {
  auto root = fixtures();
  if (root.empty()) return;
  auto doc = read_any((root / "sg2tf_skip32.tf.pkl").string());
  REQUIRE(doc.root.is(ValueKind::tuple));
  REQUIRE(doc.root.size() == 3);
  Value gs = doc.root[2];
  CHECK(gs.class_name() == "Network");
  CHECK(gs.at("version").integer() == 4);
  Value synthesis = gs.at("components").at("synthesis");
  CHECK(synthesis.class_name() == "Network");
  Value variables = synthesis.at("variables");
  REQUIRE(variables.size() > 3);
  CHECK(variables[0].size() == 2);
  CHECK(!variables[0][0].string().empty());
  CHECK(variables[0][1].is(ValueKind::tensor));
}

TEST_CASE("containers: the caller's memory limit holds") {
  auto root = fixtures();
  if (root.empty()) return;
  Limits small;
  small.memory = 20;
  for (char const* name : {"deflated.npz", "zip_deflated.pt", "torch_legacy.pth", "numpy_p2.pkl"})
    CHECK_THROWS_WITH_AS(read_any((root / "containers/accept" / name).string(), small), doctest::Contains("limit"), Error);
  small.memory = 1 << 20;
  for (char const* name : {"deflated.npz", "zip_deflated.pt", "torch_legacy.pth", "numpy_p2.pkl"})
    CHECK(!read_any((root / "containers/accept" / name).string(), small).tensors().empty());
}

TEST_CASE("obj: the neutral face of ICT FaceKit") {
  auto root = fixtures();
  if (root.empty()) return;
  auto path = root / "../../data/ict-facekit/generic_neutral_mesh.obj";
  if (!fs::exists(path)) {
    MESSAGE("ICT FaceKit not found: skipped");
    return;
  }
  auto m = read_obj(path.string());
  CHECK(m.vertices.shape() == Shape{26719, 3});
  CHECK(m.texcoords.shape() == Shape{28911, 2});
  CHECK(m.triangles.dim(0) == 52220);  // counted with awk: corners of every face minus two
  CHECK(m.triangle_texcoords.shape() == m.triangles.shape());
  CHECK(m.polygon_of_triangle.host().back() == 26383);
}
