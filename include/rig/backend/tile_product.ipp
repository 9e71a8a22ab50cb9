// A matrix product on the calling thread: oneDNN for float where it is there, Eigen otherwise and for double; and, with AVX-512, float
// with 32 or 64 columns in registers. Libraries pack their factors first, which costs as much as a fifth of such a product.
#pragma once
// GCC 12 sees an uninitialised value in its own AVX-512 intrinsics when Eigen uses them.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <Eigen/Core>
#if defined(__AVX512F__)
#include <immintrin.h>
#endif
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

#if defined(__AVX512F__)
/// Rows [first, first + Rows) of a product with 16 * Vectors columns: all sums stay in registers while the rows of b pass.
template <int Rows, int Vectors> void register_rows(TileProduct<float> const& p, std::int64_t first) {
  std::int64_t const row = p.a_transposed ? 1 : p.lda, depth = p.a_transposed ? p.lda : 1;
  float const *a = p.a + first * row, *b = p.b;
  float* const c = p.c + first * p.ldc;
  __m512 sum[Rows][Vectors];
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) sum[i][j] = p.add ? _mm512_loadu_ps(c + i * p.ldc + 16 * j) : _mm512_setzero_ps();
  for (std::int64_t q = 0; q < p.k; ++q, a += depth, b += p.ldb) {
    __m512 from[Vectors];
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) from[j] = _mm512_loadu_ps(b + 16 * j);
#pragma GCC unroll 12
    for (int i = 0; i < Rows; ++i) {
      __m512 const factor = _mm512_set1_ps(a[i * row]);
#pragma GCC unroll 4
      for (int j = 0; j < Vectors; ++j) sum[i][j] = _mm512_fmadd_ps(factor, from[j], sum[i][j]);
    }
  }
#pragma GCC unroll 12
  for (int i = 0; i < Rows; ++i)
#pragma GCC unroll 4
    for (int j = 0; j < Vectors; ++j) _mm512_storeu_ps(c + i * p.ldc + 16 * j, sum[i][j]);
}
/// The product from row `first` on: `Rows` rows at once, and what remains by halves.
template <int Rows, int Vectors> void register_product(TileProduct<float> const& p, std::int64_t first = 0) {
  for (; first + Rows <= p.n; first += Rows) register_rows<Rows, Vectors>(p, first);
  if constexpr (Rows > 1) register_product<Rows / 2, Vectors>(p, first);
}
/// False, and nothing done, unless b is narrow and stays in cache. One core of a Zen 5, g++ 12, 2026-12-01, GFLOP/s of oneDNN 2.6 and here:
/// 56 x 64 x 64 207 and 250, 128 x 32 x 32 205 and 242, 64 x 64 x 224 with a transposed and added 205 and 223.
inline bool try_register_product(TileProduct<float> const& p) {
  if (p.b_transposed || (p.m != 32 && p.m != 64) || p.k * p.m > 1 << 14) return false;
  p.m == 64 ? register_product<6, 4>(p) : register_product<12, 2>(p);
  return true;
}
#endif

inline void tile_product(TileProduct<double> const& p) { eigen_product(p); }
inline void tile_product(TileProduct<float> const& p) {
#if defined(__AVX512F__)
  if (try_register_product(p)) return;
#endif
#if RIG_USE_DNNL
  dnnl_sgemm(p.a_transposed ? 'T' : 'N', p.b_transposed ? 'T' : 'N', p.n, p.m, p.k, 1.0f, p.a, p.lda, p.b, p.ldb, p.add ? 1.0f : 0.0f, p.c,
             p.ldc);
#else
  eigen_product(p);
#endif
}

}  // namespace rig::inline RIG_ABI::detail
