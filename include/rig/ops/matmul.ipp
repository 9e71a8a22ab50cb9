#pragma once
#include "rig/backend/gemm.ipp"
#if RIG_CUDA
#include "rig/backend/cublas.ipp"
#endif
#include "rig/ops/matmul.hpp"

namespace rig::inline RIG_ABI::detail {

RIG_INLINE void cpu_product(ProductSize const& s, float const* a, float const* b, float* y) {
  product(s.g, s.n, s.m, s.k, s.a_transposed, s.b_transposed, a, b, y);
}
RIG_INLINE void cpu_product(ProductSize const& s, double const* a, double const* b, double* y) {
  product(s.g, s.n, s.m, s.k, s.a_transposed, s.b_transposed, a, b, y);
}

#if RIG_CUDA
RIG_INLINE void cuda_product(Device const& device, ProductSize const& s, float const* a, float const* b, float* y) {
  cublas_product(device, s.g, s.n, s.m, s.k, s.a_transposed, s.b_transposed, a, b, y);
}
RIG_INLINE void cuda_product(Device const& device, ProductSize const& s, double const* a, double const* b, double* y) {
  cublas_product(device, s.g, s.n, s.m, s.k, s.a_transposed, s.b_transposed, a, b, y);
}
#endif

}  // namespace rig::inline RIG_ABI::detail
