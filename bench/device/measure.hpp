// What bench_device is made of: a case is a name, the bytes and operations it cannot do without, and something to call. It is
// timed on the device by the device's own events, over copies of its inputs that together exceed the L2, and stated as a
// fraction of what the same device does in the same run: the rate of a large copy and of large square products.
//   list.add({"bias_act/64x512/n8", 8.0 * n, 3.0 * n, [=](Rng& rng, Device const& d) -> Call {
//     Var<float> const x(randn<float>(shape, rng, d));
//     return [=] { return keep(bias_act<float>(x, {})); };
//   }});
#pragma once
#include <algorithm>
#include <any>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "rig/autodiff/tape.hpp"
#include "rig/core/random.hpp"

namespace bench {

using namespace rig;

/// Seconds of a device's own time between start and stop: events on its queue, or a clock on the CPU; with one thread there the
/// processor's, which other work on the machine hardly disturbs.
class DeviceTimer {
 public:
  explicit DeviceTimer(Device device) : device_(std::move(device)) {
#if RIG_CUDA
    if (device_.is_cuda())
      for (auto& e : event_) rig::detail::cuda_check(cudaEventCreate(&e), "bench: event");
#endif
  }
  ~DeviceTimer() {
#if RIG_CUDA
    for (auto& e : event_)
      if (e) cudaEventDestroy(e);
#endif
  }
  DeviceTimer(DeviceTimer const&) = delete;
  DeviceTimer& operator=(DeviceTimer const&) = delete;

  void start() {
#if RIG_CUDA
    if (device_.is_cuda()) return record(0);
#endif
    begin_ = clock();
  }
  /// Waits for the work given since start.
  double stop() {
#if RIG_CUDA
    if (device_.is_cuda()) {
      record(1);
      rig::detail::cuda_check(cudaEventSynchronize(event_[1]), "bench: event");
      float milliseconds = 0;
      rig::detail::cuda_check(cudaEventElapsedTime(&milliseconds, event_[0], event_[1]), "bench: event");
      return 1e-3 * double(milliseconds);
    }
#endif
    device_.wait();
    return clock() - begin_;
  }

 private:
  static double clock() {
    if (threads() == 1) return double(std::clock()) / CLOCKS_PER_SEC;
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  }
#if RIG_CUDA
  void record(int which) { rig::detail::cuda_check(cudaEventRecord(event_[which], rig::detail::cuda_stream(device_)), "bench: event"); }
  cudaEvent_t event_[2] = {};
#endif
  Device device_;
  double begin_ = 0;
};

/// What a call made, held until its turn comes again, so that results too lie in different memory.
using Kept = std::any;
/// What is timed. `before`, if given, goes ahead of every call and is not timed where calls are captured as a graph: what has to
/// reach the device from the host for each step.
struct Call {
  std::function<Kept()> work;
  std::function<void()> before;

  template <class F>
  requires std::is_invocable_r_v<Kept, F const&> Call(F f) : work(std::move(f)) {}
  Call(std::function<Kept()> work_, std::function<void()> before_) : work(std::move(work_)), before(std::move(before_)) {}
};
template <class T> Kept keep(Var<T> const& y) { return Kept(y.value()); }
template <class T> Kept keep(std::vector<Var<T>> const& y) {
  std::vector<Tensor<T>> values;
  for (auto const& v : y) values.push_back(v ? v.value() : Tensor<T>{});
  return Kept(std::move(values));
}

struct Case {
  std::string name;
  double bytes = 0;  ///< inputs and outputs, once each: the least that moves
  double flops = 0;  ///< products and sums of the mathematics, not of an implementation
  /// Makes one copy of the inputs and what to do with them.
  std::function<Call(Rng&, Device const&)> make;
  double memory = 0;  ///< what one call needs at its peak; 0: four times `bytes`
};

/// The cases of one program, in order.
struct List {
  bool small = false;  ///< smallest sizes that still take every path: for a test
  std::vector<Case> cases;

  void add(Case c) { cases.push_back(std::move(c)); }
  std::vector<std::int64_t> batches() const { return small ? std::vector<std::int64_t>{2} : std::vector<std::int64_t>{1, 8, 32}; }
};

/// Forward and gradients of f(inputs), seeded with ones.
template <class F> Kept with_gradients(std::vector<Tensor<float>> const& inputs, F const& f) {
  Tape tape;
  std::vector<Var<float>> x;
  for (auto const& t : inputs) x.push_back(tape.watch(t));
  Var<float> const y = f(x);
  return keep(tape.grad(y, x));
}

void add_products(List& list);
void add_convolutions(List& list);
void add_filters(List& list);
void add_generators(List& list);
void add_faces(List& list);
void add_training(List& list);

}  // namespace bench
