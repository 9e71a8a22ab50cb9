// The class-conditional MNIST generator of an HDF5 file: its golden pictures, made by an independent forward pass in
// double precision, must come out of the same tensors read by rig.
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>

#include "helpers.hpp"
#include "rig/io/npz.hpp"
#include "rig/nn/load_generator.hpp"

using namespace rig;
namespace fs = std::filesystem;

namespace {
fs::path mnist() {
  char const* env = std::getenv("RIG_TEST_DATA");
  for (fs::path base : {fs::path(env ? env : ""), fs::path("../shared"), fs::path("../../shared")}) {
    fs::path p = base / "data/stylegan2-mnist";
    if (!base.empty() && fs::exists(p / "mnist.hdf5")) return p;
  }
  MESSAGE("shared test data not found: skipped");
  return {};
}
double largest_difference(Tensor<double> const& a, Tensor<float> const& b) {
  REQUIRE(a.shape() == b.shape());
  double d = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) d = std::max(d, std::abs(a.data()[i] - double(b.data()[i])));
  return d;
}
}  // namespace

TEST_CASE("hdf5 generator: the golden pictures") {
  auto const data = mnist();
  if (data.empty()) return;
#if !RIG_HAS_HDF5
  CHECK_THROWS_WITH_AS(nn::load_generator((data / "mnist.hdf5").string()), doctest::Contains("no HDF5 library"), Error);
#else
  nn::Generator<float> g = nn::load_generator((data / "mnist.hdf5").string());
  CHECK(g.family() == nn::Family::stylegan2);
  CHECK(g.resolution() == 32);
  CHECK(g.c_dim() == 10);
  CHECK(g.num_ws() == 8);
  Tensor<double> z, w, rgb;
  Tensor<std::int64_t> labels;
  for (auto const& t : io::read_npz((data / "golden_nonoise.npz").string())) {
    if (t.name == "z") z = t.tensor.as<double>();
    if (t.name == "w") w = t.tensor.as<double>();
    if (t.name == "rgb") rgb = t.tensor.as<double>();
    if (t.name == "labels") labels = t.tensor.as<std::int64_t>();
  }
  std::int64_t const n = z.dim(0);
  Tensor<float> zf(z.shape()), c = zeros<float>({n, 10});
  for (std::int64_t i = 0; i < z.size(); ++i) zf.mutate()[i] = float(z.data()[i]);
  for (std::int64_t i = 0; i < n; ++i) c.mutate()[i * 10 + labels.data()[i]] = 1;
  Var<float> const ws = g.mapping(Var<float>(zf), Var<float>(c));
  double const codes = largest_difference(w, reshape(slice(ws, 1, 0, 1), {n, g.w_dim()}).value());
  CHECK(codes < 6e-6);
  Var<float> const picture = permute(0.5f * (g.synthesis(ws, {.noise = nn::Noise::none}) + 1.0f), {0, 3, 1, 2});
  double const pixels = largest_difference(rgb, picture.value());
  CHECK(pixels < 2e-5);
  MESSAGE("largest differences: codes " << codes << ", pixels " << pixels);

  // rig's own file keeps the borders too.
  auto const saved = fs::temp_directory_path() / "rig_hdf5_generator.safetensors";
  nn::save_generator(saved.string(), g);
  auto const again = nn::load_generator(saved.string());
  CHECK(again.synthesis(ws).value().host() == g.synthesis(ws).value().host());
  fs::remove(saved);
#endif
}

TEST_CASE("hdf5 generator: what is missing is told with its shape in the file") {
  auto says = [](std::string const& without) {
    io::Document file;
    file.kind = io::Kind::hdf5;
    file.metadata = {{"size", "3"}, {"depth", "1"}, {"levels", "1"}, {"categories", "0"}};
    for (auto const& [name, shape] : {std::pair<std::string, Shape>{"mapper.mlp.0.w", {3, 3}},
                                      {"mapper.mlp.0.b", {3}},
                                      {"synthesizer.init.const.c", {5, 4, 4}},
                                      {"synthesizer.init.wmconv.w", {5, 5, 3, 3}},
                                      {"synthesizer.init.wmconv.b", {5}},
                                      {"synthesizer.init.style1.linear.w", {5, 3}},
                                      {"synthesizer.init.style1.linear.b", {5}},
                                      {"synthesizer.init.noise.s", {1}},
                                      {"synthesizer.init.torgb.wmconv.w", {2, 5, 1, 1}},
                                      {"synthesizer.init.torgb.wmconv.b", {2}},
                                      {"synthesizer.init.style2.linear.w", {5, 3}},
                                      {"synthesizer.init.style2.linear.b", {5}}})
      if (name != without) file.flat.push_back({name, zeros<float>(shape)});
    return message_of([&] { nn::generator_from(file, "mine"); });
  };
  CHECK(says("") == "");
  for (auto const& [name, shape] : {std::pair{"mapper.mlp.0.w", "[any, any]"},
                                    {"synthesizer.init.wmconv.w", "[5, 5, 3, 3]"},
                                    {"synthesizer.init.style1.linear.w", "[5, 3]"},
                                    {"synthesizer.init.noise.s", "[1]"},
                                    {"synthesizer.init.torgb.wmconv.w", "[any, any, any, any]"},
                                    {"synthesizer.init.style2.linear.b", "[5]"}}) {
    std::string const message = says(name);
    CHECK_MESSAGE((contains(message, name) && contains(message, str(" is missing (expected ", shape, ")"))), message);
  }
}
