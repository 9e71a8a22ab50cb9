// The queue of a CUDA device against a runtime that fails.
#include <cstdio>
#include <string>

#include "rig/core/random.hpp"
#include "rig/core/repeated.hpp"
#include "rig/core/tensor.hpp"
#include "runtime.hpp"

namespace {
using namespace rig;

int wrong = 0;
void expect(bool right, std::string const& what) {
  if (!right) std::printf("FAILED: %s\n", what.c_str()), ++wrong;
}
/// Does `work`, which must throw exactly this; nothing: it must not throw.
template <class F> void expect_says(F&& work, std::string const& message) {
  std::string said;
  try {
    work();
  } catch (Error const& e) {
    said = e.what();
  }
  expect(said == message, "said '" + said + "' instead of '" + message + "'");
}

struct TouchKernel {
  float* y;
  RIG_HD void operator()(std::int64_t i) const { y[i] = 1; }
};
struct LargeKernel {
  static constexpr int threads = 32;
  struct Shared {
    float all[16384];
  };
  RIG_DEVICE void operator()(Shared&) const {}
};

void memory() {
  Device const d = cuda();
  d.queue().enter("conv2d");
  Tensor<float> const some({1000}, d);
  expect_says([&] { Tensor<float> const most({300 << 20}, d); },
              "cuda:0: out of memory in conv2d: 1258291200 bytes asked for, 1073741824 of 2147483648 free, 4096 in use by rig");
  for_each(d, 10, TouchKernel{Tensor<float>({10}, d).mutate()});

  // What was told once is not told again by the next launch.
  std::vector<float> const values(1000, 2);
  runtime.pinned = cudaErrorMemoryAllocation;
  expect_says([&] { Tensor<float>({1000}, values, d); }, "cuda:0: in conv2d (upload: pinned host memory): out of memory");
  for_each(d, 10, TouchKernel{Tensor<float>({10}, d).mutate()});
  runtime.pinned = cudaSuccess;
  expect(Tensor<float>({1000}, values, d).host() == values, "what was sent comes back");
}

void running_ahead() {
  Device const d = cuda();
  Tensor<float> t({1000}, d);
  std::vector<float> const values(1000, 2);
  runtime.pinned_allocations = 0;
  for (int i = 0; i < 1000; ++i) {
    t = Tensor<float>({1000}, values, d);
    runtime.behind = true;
  }
  expect(runtime.pinned_allocations == 1, "uploads of one size ask for pinned memory once");
  expect(d.queue().memory().pinned_allocations == 1 && d.queue().memory().pinned == std::size_t(8) << 20, "pinned memory is counted");
  expect(d.queue().work().waits == runtime.events_waited_for && runtime.events_waited_for > 0, "waiting is counted");
  runtime.behind = false;
  std::vector<float> large(std::size_t(5) << 20);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = float(i % 1001);
  expect(Tensor<float>({5 << 20}, large, d).host() == large, "a large upload comes in pieces");
  expect(d.queue().memory().pinned == std::size_t(8 + 128) << 20, "pieces of both sizes are counted");
}

void captures() {
  Device const d = cuda();
  Tensor<float> t({10}, d);
  std::vector<float> const values(10, 2);
  auto const work = [&] { d.queue().enter("conv2d"), for_each(d, 10, TouchKernel{t.mutate()}); };
  std::string why;
  auto const refused = [&](std::string const& what) { why = what; };
  for (cudaError_t* e : {&runtime.begin, &runtime.end}) {
    *e = cudaErrorStreamCaptureUnsupported;
    Repeated step(d, true, 1);
    for (int i = 0; i < 3; ++i) step(work, refused);
    *e = cudaSuccess;
    expect(why == "cuda:0: in or before conv2d (capture): operation not permitted when stream is capturing", "a refusal: '" + why + "'");
    expect(!step.captured(), "a refused step is not captured");
  }
  why.clear();
  Rng rng(1);
  expect_says([&] { Repeated(d, true, 0)([&] { randn<float>({10}, rng, d); }); },
              "cuda:0: randn: a step that is captured would draw the same numbers in every round; draw them before it, into a tensor that "
              "it reads");
  Repeated step(d, true, 1);
  step(work, refused);
  runtime.fault = cudaErrorIllegalAddress;
  expect_says([&] { step(work, refused); },
              "cuda:0: in or before conv2d (wait): an illegal memory access was encountered; RIG_CUDA_SYNC=1 "
              "in the environment finds the op");
  expect(why.empty(), "a fault is no refusal");
}

/// After a fault: whichever call comes first names it.
void fault(bool select) {
  Device const d = cuda();
  Tensor<float> t({10}, d), other({10}, d);
  std::vector<float> const values(10, 2);
  t = Tensor<float>({10}, values, d);
  d.queue().enter("gather");
  runtime.fault = cudaErrorIllegalAddress, runtime.select_sees_it = select;
  auto const says = [&](std::string const& call, auto&& work) {
    expect_says(work, "cuda:0: in or before gather (" + call +
                          "): an illegal memory access was encountered; RIG_CUDA_SYNC=1 in the environment finds the op");
  };
  says("allocate", [&] { Tensor<float> const more({1 << 20}, d); });
  says(select ? "select" : "upload", [&] { d.queue().upload(t.mutate(), values.data(), 40); });
  says(select ? "select" : "for_each", [&] { for_each(d, 10, TouchKernel{t.mutate()}); });
  says(select ? "select" : "launch", [&] { launch(d, {1, 1, 1}, LargeKernel{}); });
  says(select ? "select" : "copy", [&] { other.assign(t); });
  says(select ? "select" : "download", [&] { t.host(); });
  says("wait", [&] { d.wait(); });
  d.queue().trim();
}
void fault_in_select() { fault(true); }
void fault_behind_select() { fault(false); }
/// With every launch waited for the op is the one, and the hint is not given.
void fault_waited_for() {
  setenv("RIG_CUDA_SYNC", "1", 1);
  Device const d = cuda();
  unsetenv("RIG_CUDA_SYNC");
  expect(!d.queue().can_capture(), "what waits for every launch does not capture");
  Tensor<float> t({10}, d);
  d.queue().enter("gather");
  runtime.fault = cudaErrorIllegalAddress, runtime.select_sees_it = false;
  expect_says([&] { for_each(d, 10, TouchKernel{t.mutate()}); }, "cuda:0: in gather (for_each): an illegal memory access was encountered");
}

void not_compiled_for_it() {
  runtime.kernel = cudaErrorNoKernelImageForDevice;
  expect_says([] { cuda(); },
              "rig::cuda: this program was not compiled for device 0, Test GPU of compute capability 8.6; build it with "
              "-DRIG_CUDA_ARCHITECTURES=86");
  expect_says([] { cuda(3); }, "rig::cuda: device 3 does not exist; this machine has 1");
}
}  // namespace

int main() {
  for (auto const part : {memory, running_ahead, captures, fault_in_select, fault_behind_select, fault_waited_for, not_compiled_for_it}) {
    runtime = {};
    part();
  }
  if (!wrong) std::printf("faults, want of memory and refused captures are told as what they are\n");
  return wrong > 0;
}
