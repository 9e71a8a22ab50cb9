// The directory of a zip archive and the content of its entries.
#include "checksums.hpp"
#include "fuzz.hpp"
#include "rig/io/zip.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  for (bool const keep_unreadable : {false, true})
    fuzz_once([&] {
      ZipReader zip(fuzz_bytes(data, size), keep_unreadable);
      Budget budget(fuzz_limits(), size);
      for (auto const& e : zip.entries()) {
        auto const* found = zip.find(e.name);
        if (keep_unreadable ? found->name != e.name || found > &e : found != &e) __builtin_trap();
        fuzz_once([&] {
          if (zip.read(e, budget).size != e.size || !e.problem.empty()) __builtin_trap();
        });
      }
    });
  return 0;
}
