// The directory of a zip archive and the content of its entries.
#include "checksums.hpp"
#include "fuzz.hpp"
#include "rig/io/zip.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] {
    ZipReader zip(fuzz_bytes(data, size));
    Budget budget(fuzz_limits(), size);
    for (auto const& e : zip.entries()) {
      if (zip.find(e.name) != &e) __builtin_trap();
      fuzz_once([&] {
        if (zip.read(e, budget).size != e.size) __builtin_trap();
      });
    }
  });
}
