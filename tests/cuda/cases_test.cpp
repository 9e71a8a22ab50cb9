// The case table on the device: values and gradients of every op agree with the CPU's, on a GPU or, without one, in the emulator,
// whose memory the host may not touch.
#include "cases/table.hpp"
#include "cuda/agree.hpp"
#include "cuda/device.hpp"

using namespace rig;

namespace {

void check_rows(Device const& device, bool large) {
  for (auto const& c : cases::all()) {
    INFO(c.name);
    auto const& specification = large && !c.options.bench.empty() ? c.options.bench : c.inputs;
    auto const a = value_and_gradients(c, cases::make_inputs<float>(specification)),
               b = value_and_gradients(c, cases::make_inputs<float>(specification, device));
    agree::check_close(a, b, 1e-4, large);
  }
}

}  // namespace

TEST_CASE("cuda: every op agrees with the CPU") {
  Device device;
  if (test::device_for(device)) check_rows(device, false);
}
TEST_CASE("cuda: every op can be captured, backward too, and has the same bits when it is replayed") {
  Device device;
  if (!test::device_for(device) || !device.queue().can_capture()) return;
  for (auto const& c : cases::all()) {
    INFO(c.name);
    auto const inputs = cases::make_inputs<float>(c.inputs, device);
    auto const plain = value_and_gradients(c, inputs);
    std::int64_t const replays = device.queue().work().replays;
    try {
      CHECK((value_and_gradients(c, inputs, true) == plain));
      CHECK(device.queue().work().replays == replays + 2);
    } catch (Error const& e) {
      FAIL_CHECK(e.what());
    }
  }
}
#if RIG_CUDA
TEST_CASE("cuda: every op agrees with the CPU at the sizes of the benchmarks") {
  Device device;
  if (test::device_for(device)) check_rows(device, true);
}
#endif
