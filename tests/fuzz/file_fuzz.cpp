// Whatever the bytes are: what kind of file, its tensors by name, and the list converted as it is written to .npz.
#include "checksums.hpp"
#include "fuzz.hpp"
#include "rig/io/file.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] {
    Document const d = read_any(fuzz_bytes(data, size), fuzz_limits());
    for (auto const& t : d.tensors()) widened(t.tensor);
    if (d.root) module_tensors(d.root);
  });
}
