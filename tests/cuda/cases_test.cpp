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
  // Rows that make a filter, an index, a mask or a map anew in each call. What holds such things is captured in families_test.cpp,
  // but for warp2d, whose maps are always the host's.
  auto const sends = [](std::string const& name) {
    for (char const* op : {"gather axis", "scatter_add", "bias_act_slope", "upfirdn2d", "filter2d", "conv2d_resample", "filtered_lrelu",
                           "warp2d", "landmark_points"})
      if (name.rfind(op, 0) == 0) return true;
    return false;
  };
  int captured = 0;
  for (auto const& c : cases::all()) {
    INFO(c.name);
    auto const inputs = cases::make_inputs<float>(c.inputs, device);
    auto const plain = value_and_gradients(c, inputs);
    std::int64_t const replays = device.queue().work().replays;
    try {
      bool const same = value_and_gradients(c, inputs, true) == plain;
      CHECK(same);
      CHECK(device.queue().work().replays == replays + 2);
      ++captured;
    } catch (Error const& e) {
      INFO(e.what());
      CHECK(
          (sends(c.name) && std::string(e.what()).find("values were sent from the host in a step that is captured") != std::string::npos));
    }
  }
  CHECK(captured > int(cases::all().size()) / 2);
}
#if RIG_CUDA
TEST_CASE("cuda: every op agrees with the CPU at the sizes of the benchmarks") {
  Device device;
  if (test::device_for(device)) check_rows(device, true);
}
#endif
