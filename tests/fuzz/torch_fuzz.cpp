// PyTorch's legacy stream and archive, chosen by their first bytes.
#include "checksums.hpp"
#include "fuzz.hpp"
#include "rig/io/file.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] {
    Bytes file = fuzz_bytes(data, size);
    Value root = identify(file) == Kind::torch_zip ? read_torch_zip(file, fuzz_limits()) : read_torch_legacy(file, fuzz_limits());
    for (auto const& t : all_tensors(root)) t.tensor.as<float>();
  });
}
