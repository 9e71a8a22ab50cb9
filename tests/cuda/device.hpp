// The device that the tests of this folder run on.
#pragma once
#include <doctest/doctest.h>

#include "rig/core/device.hpp"

namespace test {

/// A device, or a message why there is none.
inline bool device_for(rig::Device& device, int index = 0) {
  try {
    device = rig::cuda(index);
    return true;
  } catch (rig::Error const& e) {
    std::string const why = e.what();
    MESSAGE("skipped: ", why);
    return false;
  }
}

}  // namespace test
