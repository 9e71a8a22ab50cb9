// Plain pickles, and everything a loader asks of the values.
#include "fuzz.hpp"
#include "rig/io/pickle.hpp"

using namespace rig::io;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz_once([&] {
    Value root = read_pickle(fuzz_bytes(data, size), fuzz_limits());
    for (auto const& t : all_tensors(root)) t.tensor.as<double>();
    module_tensors(root);
    root.find("G_ema");
    root.at("G_ema").at("z_dim").integer();
  });
}
