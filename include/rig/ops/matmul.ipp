#pragma once
#include "rig/backend/gemm.ipp"
#include "rig/ops/matmul.hpp"

namespace rig::inline RIG_ABI::detail {

RIG_INLINE void cpu_product(ProductSize const& s, float const* a, float const* b, float* y) {
  product(s.g, s.n, s.m, s.k, s.a_transposed, s.b_transposed, a, b, y);
}
RIG_INLINE void cpu_product(ProductSize const& s, double const* a, double const* b, double* y) {
  product(s.g, s.n, s.m, s.k, s.a_transposed, s.b_transposed, a, b, y);
}

}  // namespace rig::inline RIG_ABI::detail
