// The device that the tests of this folder run on.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>

#include "rig/core/device.hpp"

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

}  // namespace test
