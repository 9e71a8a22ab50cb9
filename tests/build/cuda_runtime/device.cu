// What a program says that asks for a device.
#include "rig/core/device.hpp"

#include <cstdio>

int main() {
  try {
    rig::Device const device = rig::cuda();
    std::printf("%s is there\n", rig::str(device).c_str());
    return 0;
  } catch (rig::Error const& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
