#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "rig/io/npz.hpp"
#include "rig/nn/seed_latents.hpp"

using namespace rig;

TEST_CASE("the stream of seed 0 is the one everybody knows") {
  // First outputs of MT19937 under init_genrand(0), and numpy.random.RandomState(0).random_sample() and randn().
  nn::SeedStream a(0);
  CHECK(a.bits() == 2357136044u);
  CHECK(a.bits() == 2546248239u);
  nn::SeedStream b(0);
  CHECK(b.uniform() == doctest::Approx(0.5488135039273248).epsilon(1e-15));
  nn::SeedStream c(0);
  CHECK(c.normal() == doctest::Approx(1.764052345967664).epsilon(1e-14));
  CHECK(c.normal() == doctest::Approx(0.4001572083672233).epsilon(1e-14));
}

TEST_CASE("MT19937 agrees with the standard's check value at the 10000th number") {
  nn::SeedStream s(5489);
  for (int i = 1; i < 10000; ++i) s.bits();
  CHECK(s.bits() == 4123659995u);
}

TEST_CASE("a row depends on its seed alone") {
  Tensor<float> const two = nn::seed_latents({7, 8}, 5), one = nn::seed_latents({8}, 5);
  CHECK(two.rows(1, 1).host() == one.host());
  CHECK(two.rows(0, 1).host() != one.host());
  CHECK_THROWS_WITH_AS(nn::seed_latents({1}, 0), doctest::Contains("z_dim"), Error);
}

TEST_CASE("latents agree with the official code to the bit") {
  char const* root = std::getenv("RIG_TEST_DATA");
  std::string const path = std::string(root ? root : "../shared") + "/parity/stylegan/seed_latents.npz";
  if (!std::filesystem::exists(path)) {
    MESSAGE("skipped: no ", path);
    return;
  }
  int compared = 0;
  for (auto const& [name, tensor] : io::read_npz(path)) {
    auto const seed = std::uint32_t(std::stoul(name.substr(4)));  // "seed85"
    INFO(name);
    nn::SeedStream stream(seed);
    for (double const wanted : tensor.as<double>().host()) REQUIRE(stream.normal() == wanted);
    CHECK(nn::seed_latents({seed}, tensor.size()).host() == tensor.as<float>().host());
    ++compared;
  }
  CHECK(compared > 0);
}
