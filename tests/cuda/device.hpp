// The device that the tests of this folder run on.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "rig/core/device.hpp"
#if RIG_EMULATED
#include "emulator/executor.hpp"
#endif

namespace test {

/// A device, or a message why there is none. Where RIG_NEED_CUDA says that there is one, its absence (a fault in an earlier test, for
/// example) is a failure.
inline bool device_for(rig::Device& device, int index = 0) {
  try {
    device = rig::cuda(index);
    return true;
  } catch (rig::Error const& e) {
    std::string const why = e.what();
    if (index == 0 && std::getenv("RIG_NEED_CUDA")) FAIL(why);
    MESSAGE("skipped: ", why);
    return false;
  }
}

/// In the emulator: f in every order of threads, with asynchronous copies that land late and early. On a GPU: f.
template <class F> void in_every_order(F&& f) {
#if RIG_EMULATED
  emulator::in_every_order(f);
#else
  f();
#endif
}

}  // namespace test
