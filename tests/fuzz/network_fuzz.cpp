// What the loaders of networks make of a file that was read: every family, generators and discriminators.
#include "checksums.hpp"
#include "fuzz.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/load_generator.hpp"
#include "rig/nn/stylegan1_loader.hpp"

using namespace rig;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] {
    io::Document const file = io::read_any(fuzz_bytes(data, size), fuzz_limits());
    fuzz_once([&] { nn::describe_networks(file); });
    fuzz_once([&] { nn::generator_from(file, "file"); });
    fuzz_once([&] { nn::generator_from(file, "file", {}, nn::GeneratorChoice::trained); });
    fuzz_once([&] { nn::discriminator_from(file, "file"); });
    fuzz_once([&] { nn::stylegan1_discriminator_from(file, "file"); });
  });
}
