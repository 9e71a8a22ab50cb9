// The case table on the device: values and gradients of every op agree with the CPU's, on a GPU or, without one, in the emulator,
// whose memory the host may not touch.
#include <doctest/doctest.h>

#include <cmath>

#include "cases/table.hpp"
#include "cuda/device.hpp"

using namespace rig;

namespace {

void check_rows(Device const& device, bool large) {
  for (auto const& c : cases::all()) {
    INFO(c.name);
    auto const& specification = large && !c.options.bench.empty() ? c.options.bench : c.inputs;
    auto const a = value_and_gradients(c, cases::make_inputs<float>(specification)),
               b = value_and_gradients(c, cases::make_inputs<float>(specification, device));
    REQUIRE(a.size() == b.size());
    for (std::size_t k = 0; k < a.size(); ++k) {
      REQUIRE(a[k].size() == b[k].size());
      double largest = 0, error = 0;
      bool finite = true;
      for (std::size_t i = 0; i < a[k].size(); ++i) {
        finite = finite && std::isfinite(b[k][i]);
        largest = std::max(largest, std::abs(double(a[k][i]))), error = std::max(error, std::abs(double(a[k][i]) - double(b[k][i])));
      }
      INFO("result ", k, ": largest ", largest, ", error ", error);
      CHECK(finite);
      CHECK(error <= 1e-4 * largest + 1e-7);
    }
  }
}

}  // namespace

TEST_CASE("cuda: every op agrees with the CPU") {
  Device device;
  if (test::device_for(device)) check_rows(device, false);
}
#if RIG_CUDA
TEST_CASE("cuda: every op agrees with the CPU at the sizes of the benchmarks") {
  Device device;
  if (test::device_for(device)) check_rows(device, true);
}
#endif
