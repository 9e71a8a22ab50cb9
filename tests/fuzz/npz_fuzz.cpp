// .npy headers directly (an archive's checksums would keep most mutations away from them), and whole archives.
#include "checksums.hpp"
#include "fuzz.hpp"
#include "rig/io/npz.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  Bytes file = fuzz_bytes(data, size);
  fuzz_once([&] {
    Budget budget(fuzz_limits(), size);
    read_npy(file, budget).as<double>();
  });
  return fuzz_once([&] {
    for (auto const& t : read_npz(file, fuzz_limits())) t.tensor.as<float>();
  });
}
