// PNG and JPEG, and the texts of a PNG.
#include "checksums.hpp"
#include "fuzz.hpp"
#include "rig/io/image.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  Bytes file = fuzz_bytes(data, size);
  fuzz_once([&] { decode_image(file); });
  return fuzz_once([&] { read_png_texts(file); });
}
