// Uses a little of everything that has to be linked: a device, memory, a kernel, random numbers, the tape and an error.
#include <cmath>
#include <cstdio>

#include "rig/autodiff/tape.hpp"
#include "rig/core/random.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/ops/reduce.hpp"

int main() {
  rig::Rng rng(7);
  rig::Tape tape;
  auto const x = tape.watch(rig::randn<float>({3, 5}, rng));
  auto const g = tape.grad(sum(x * x), x);
  for (int i = 0; i < 15; ++i)
    if (std::abs(g.value().data()[i] - 2 * x.value().data()[i]) > 1e-6f) return 1;
  try {
    rig::device_from_name("abacus");
  } catch (rig::Error const& e) {
    std::puts(e.what());
    return 0;
  }
  return 1;
}
