// The generator that the repository ships, and its discriminator, are what their model card says.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "rig/io/safetensors.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/load_generator.hpp"
#include "rig/nn/seed_latents.hpp"

using namespace rig;

namespace {
std::string const folder = "data/generators/", generator_file = folder + "portraits-64.safetensors",
                  discriminator_file = folder + "portraits-64.discriminator.safetensors";

std::string card() {
  std::ifstream in(folder + "README.md");
  return {std::istreambuf_iterator<char>(in), {}};
}
std::string with_commas(std::int64_t n) {
  std::string s = std::to_string(n);
  for (std::size_t at = s.size(); at > 3; at -= 3) s.insert(at - 3, ",");
  return s;
}
/// How many numbers a file holds, all of them in two bytes.
std::int64_t stored_values(std::string const& path) {
  std::int64_t n = 0;
  for (auto const& t : io::read_safetensors(path).tensors) {
    CHECK_MESSAGE(t.tensor.dtype() == io::DType::f16, path, ": ", t.name);
    n += std::int64_t(t.tensor.size());
  }
  return n;
}
Tensor<float> pictures(nn::Generator<float> const& g, double psi) {
  std::vector<std::uint32_t> seeds(24);
  for (std::size_t i = 0; i < seeds.size(); ++i) seeds[i] = std::uint32_t(i + 1);
  Tensor<float> const z = nn::seed_latents(seeds, g.z_dim());
  return g(Var<float>(z), {}, {.psi = psi}, {.noise = nn::Noise::stored}).value();
}
/// Root of the mean square by which pictures differ from their mean.
double spread(Tensor<float> const& x) {
  Var<float> const v(x);
  return std::sqrt(double(mean(square(v - mean(v, 0, true))).value().item()));
}
}  // namespace

TEST_CASE("the shipped generator: its size, its kind, and what the card says of both") {
  CHECK(std::filesystem::file_size(generator_file) <= 10'000'000);
  std::string const text = card();
  io::Metadata const metadata = io::read_safetensors(generator_file).metadata;
  CHECK(text.find(io::find_metadata(metadata, "kimg") + " thousand pictures shown") != std::string::npos);
  nn::Generator<float> g = nn::load_generator(generator_file);
  std::int64_t const parameters = nn::parameter_count(g);
  CHECK(g.family() == nn::Family::stylegan2);
  CHECK(g.resolution() == 64);
  CHECK(g.c_dim() == 0);
  CHECK(text.find(with_commas(parameters) + " weights in half precision") != std::string::npos);
  CHECK(stored_values(generator_file) >= parameters);
}

TEST_CASE("the shipped generator draws different people, alike where truncated, and its discriminator tells them apart") {
  nn::Generator<float> const g = nn::load_generator(generator_file);
  Tensor<float> const whole = pictures(g, 1), near = pictures(g, 0.5), middle = pictures(g, 0);
  CHECK(whole.shape() == Shape{24, 64, 64, 3});
  for (std::int64_t i = 0; i < whole.size(); ++i) REQUIRE(std::abs(whole.data()[i]) < 3);
  CHECK(spread(whole) > 0.3);  // of pictures from -1 to 1
  CHECK(spread(near) < 0.8 * spread(whole));
  CHECK(spread(middle) < 1e-5);

  auto const d = nn::load_discriminator(discriminator_file);
  CHECK(stored_values(discriminator_file) > 3'000'000);
  Tensor<float> const scores = d(Var<float>(whole)).value();
  CHECK(scores.shape() == Shape{24, 1});
  CHECK(spread(scores) > 0.1);
  CHECK(std::abs(double(mean(Var<float>(scores)).value().item())) < 20);
}
