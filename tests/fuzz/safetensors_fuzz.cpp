// The header of a safetensors file.
#include "fuzz.hpp"
#include "rig/io/safetensors.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] {
    for (auto const& t : read_safetensors(fuzz_bytes(data, size)).tensors) t.tensor.as<double>();
  });
}
