#include <charconv>

#include "rig/nn/seed_latents.hpp"
#include "verifiers.hpp"

namespace program::verify {
using namespace rig;

void verify_seeds(Case& k) {
  for (auto const& name : k.names("seed")) {
    if (!is_of_seed(name)) continue;
    k.attempt(name, [&] {
      std::uint32_t seed = 0;
      auto const read = std::from_chars(name.data() + 4, name.data() + name.size(), seed);
      check(read.ec == std::errc(), "seeds end at 4294967295");
      check(k.shape(name).size() > 0, "holds no numbers");
      nn::SeedStream stream(seed);
      std::vector<double> drawn(std::size_t(k.shape(name).size()));
      for (double& v : drawn) v = stream.normal();
      k.compare_numbers(name, drawn, k.dtype(name) == io::DType::f64 ? 1e-15 : 1e-7);
    });
  }
}

}  // namespace program::verify
