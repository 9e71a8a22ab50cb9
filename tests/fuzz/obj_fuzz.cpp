// OBJ meshes.
#include "fuzz.hpp"
#include "rig/io/obj.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] { read_obj(fuzz_bytes(data, size)); });
}
