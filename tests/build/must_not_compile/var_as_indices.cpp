// expect: invalid initialization of reference of type
// What may have a gradient cannot be passed where indices are wanted.
#include "rig/autodiff/var.hpp"

std::int64_t faces(rig::Tensor<int> const& triangles) { return triangles.dim(0); }

std::int64_t f(rig::Tensor<int> const& triangles, rig::Var<float> const& vertices) {
#if defined(WRONG)
  return faces(vertices);
#else
  return faces(triangles) + vertices.dim(0);
#endif
}
