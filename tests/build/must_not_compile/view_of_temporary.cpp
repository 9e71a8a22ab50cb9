// expect: use of deleted function
// A view points into its tensor, so the tensor needs a name that outlives it.
#include "rig/core/tensor.hpp"

float f() {
#if defined(WRONG)
  auto v = rig::zeros<float>({2, 3}).view<2>();
#else
  auto const t = rig::zeros<float>({2, 3});
  auto v = t.view<2>();
#endif
  return v(0, 0);
}
