// HDF5 files: the walk of this project; the library below it is not under the sanitizers.
#include "fuzz.hpp"
#include "rig/io/hdf5.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] {
    for (auto const& t : read_hdf5(fuzz_bytes(data, size), fuzz_limits()).tensors) t.tensor.as<double>();
  });
}
