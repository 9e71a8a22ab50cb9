// Work that is done again and again on the same tensors, for example a training step. On a GPU the first rounds run as they are,
// until pools, handles and states are filled; then the work is captured once as a CUDA graph, and from then on one call starts
// all of it. What changes from round to round, random numbers among it, must lie in the device's memory and be sent there before the
// call; results are in the tensors that the captured round made. If the capture is refused, by a driver or for want of memory, the rounds
// go on as they are.
//   Repeated step(device);
//   for (;;) { codes.assign(next()); optimiser.announce(...); step([&] { ... loss = ...; optimiser.step(net); }, refused); }
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "rig/core/device.hpp"

namespace rig::inline RIG_ABI {

class Repeated {
 public:
  /// Without `capture`, and on devices that cannot, every round runs as it is. `before`: rounds before the capture.
  explicit Repeated(Device device, bool capture = true, int before = 2)
      : device_(std::move(device)), before_(before), capture_(capture && device_.queue().can_capture()) {}

  /// Does `work`. If its capture is refused, `refused` is told why and takes back what the vain round left on the host (see
  /// Adam::withdraw); then this round and all later ones are done as they are. Without it that is an Error.
  template <class F> void operator()(F&& work, std::function<void(std::string const& why)> const& refused = {}) {
    Queue& queue = device_.queue();
    if (!capture_ || rounds_ < before_) {
      ++rounds_;
      return work();
    }
    if (!captured_) {
      queue.wait();  // a fault of the rounds before is an Error of theirs and no refusal
      queue.trim();  // captured work has memory of its own: what the first rounds used is there for it
      try {
        captured_ = capture(queue, work);
      } catch (Error const& e) {
        if (!refused) throw;
        capture_ = false;
        refused(e.what());
        return work();
      }
    }
    queue.replay(*captured_);
  }
  /// Starts anew: the work, or the size of something it uses, is another from here on.
  void forget() { captured_.reset(), rounds_ = 0; }
  /// Whether rounds are replayed by now.
  bool captured() const { return bool(captured_); }

 private:
  template <class F> static std::shared_ptr<CapturedWork> capture(Queue& queue, F& work) {
    queue.begin_capture();
    try {
      work();
    } catch (...) {
      try {
        queue.end_capture();
      } catch (Error const&) {  // what went wrong first says more
      }
      throw;
    }
    return queue.end_capture();
  }

  Device device_;
  std::shared_ptr<CapturedWork> captured_;
  int rounds_ = 0, before_;
  bool capture_;
};

}  // namespace rig::inline RIG_ABI
