// MATLAB's .mat files.
#include "fuzz.hpp"
#include "rig/io/mat.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] {
    for (auto const& t : read_mat(fuzz_bytes(data, size), fuzz_limits())) t.tensor.as<double>();
  });
}
