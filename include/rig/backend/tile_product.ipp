// A matrix product on the calling thread: oneDNN for float where it is there, Eigen otherwise and for double.
#pragma once
// GCC 12 sees an uninitialised value in its own AVX-512 intrinsics when Eigen uses them.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <Eigen/Core>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
// oneDNN obeys OpenMP's thread count; a build without OpenMP could not keep it to one thread a call.
#if RIG_HAS_DNNL && defined(_OPENMP)
#define RIG_USE_DNNL 1
#include <dnnl.h>
#else
#define RIG_USE_DNNL 0
#endif

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::detail {

/// c [n, m] = op(a) op(b), added to c if `add`, on the calling thread; row strides lda, ldb, ldc.
template <class T> struct TileProduct {
  bool a_transposed, b_transposed, add;
  std::int64_t n, m, k;
  T const* a;
  std::int64_t lda;
  T const* b;
  std::int64_t ldb;
  T* c;
  std::int64_t ldc;
};

template <class T> void eigen_product(TileProduct<T> const& p) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  using In = Eigen::Map<Matrix const, 0, Eigen::OuterStride<>>;
  In const a(p.a, p.a_transposed ? p.k : p.n, p.a_transposed ? p.n : p.k, Eigen::OuterStride<>(p.lda));
  In const b(p.b, p.b_transposed ? p.m : p.k, p.b_transposed ? p.k : p.m, Eigen::OuterStride<>(p.ldb));
  Eigen::Map<Matrix, 0, Eigen::OuterStride<>> c(p.c, p.n, p.m, Eigen::OuterStride<>(p.ldc));
  if (!p.add) c.setZero();
  if (p.a_transposed && p.b_transposed)
    c.noalias() += a.transpose() * b.transpose();
  else if (p.a_transposed)
    c.noalias() += a.transpose() * b;
  else if (p.b_transposed)
    c.noalias() += a * b.transpose();
  else
    c.noalias() += a * b;
}
inline void tile_product(TileProduct<double> const& p) { eigen_product(p); }
inline void tile_product(TileProduct<float> const& p) {
#if RIG_USE_DNNL
  dnnl_sgemm(p.a_transposed ? 'T' : 'N', p.b_transposed ? 'T' : 'N', p.n, p.m, p.k, 1.0f, p.a, p.lda, p.b, p.ldb, p.add ? 1.0f : 0.0f, p.c,
             p.ldc);
#else
  eigen_product(p);
#endif
}

}  // namespace rig::inline RIG_ABI::detail
