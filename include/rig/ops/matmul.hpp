// Matrix products, plain and batched. One op struct serves both: a product of [g, n, k] with [g, k, m]; each of its two
// gradients is a product again, so it can be differentiated to any order.
#pragma once
#include "rig/autodiff/op.hpp"

namespace rig::inline RIG_ABI {

/// Which factors are read transposed.
struct MatmulOptions {
  bool a = false;
  bool b = false;
};

namespace detail {

struct ProductSize {
  std::int64_t g, n, k, m;
  bool a_transposed, b_transposed;
};

// One element of the result: what the back ends are tested against, and what the emulator runs.
template <class T> struct ProductKernel {
  ProductSize s;
  T const *a, *b;
  T* y;
  RIG_HD void operator()(std::int64_t i) const {
    std::int64_t const c = i % s.m, r = i / s.m % s.n, g = i / (s.m * s.n);
    T const *ag = a + g * s.n * s.k, *bg = b + g * s.k * s.m;
    T sum = 0;
    for (std::int64_t q = 0; q < s.k; ++q)
      sum += (s.a_transposed ? ag[q * s.n + r] : ag[r * s.k + q]) * (s.b_transposed ? bg[c * s.k + q] : bg[q * s.m + c]);
    y[i] = sum;
  }
};

void cpu_product(ProductSize const& s, float const* a, float const* b, float* y);
void cpu_product(ProductSize const& s, double const* a, double const* b, double* y);
#if RIG_CUDA
void cuda_product(Device const& device, ProductSize const& s, float const* a, float const* b, float* y);
void cuda_product(Device const& device, ProductSize const& s, double const* a, double const* b, double* y);
#endif

}  // namespace detail

template <class T> Var<T> matmul(Var<T> const& a, Var<T> const& b, MatmulOptions options = {});
template <class T> Var<T> batched_matmul(Var<T> const& a, Var<T> const& b, MatmulOptions options = {});

/// Rank 2 or 3; both factors have the same rank.
template <class T> struct Matmul {
  using scalar = T;
  static constexpr char const* name = "matmul";
  MatmulOptions o;

  Tensor<T> forward(Tensor<T> const& a, Tensor<T> const& b) const {
    int const r = a.rank();
    check((r == 2 || r == 3) && b.rank() == r, "matmul: both factors must be matrices, or both [g, n, k], got ", a.shape(), " and ",
          b.shape());
    std::int64_t const g = r == 3 ? a.dim(0) : 1;
    check(r == 2 || b.dim(0) == g, "batched_matmul: both factors must have the same first extent, got ", a.shape(), " and ", b.shape());
    std::int64_t const n = a.dim(r - 2 + o.a), k = a.dim(r - 1 - o.a), k_of_b = b.dim(r - 2 + o.b), m = b.dim(r - 1 - o.b);
    check(k == k_of_b, "matmul: inner extents differ: a is ", a.shape(), o.a ? " transposed" : "", " and gives ", k, ", b is ", b.shape(),
          o.b ? " transposed" : "", " and gives ", k_of_b);
    Tensor<T> y(r == 3 ? Shape{g, n, m} : Shape{n, m}, a.device());
    detail::ProductSize const s{g, n, k, m, o.a, o.b};
    if (y.device().is_cpu())
      detail::cpu_product(s, a.data(), b.data(), y.mutate());
    else
#if RIG_CUDA
      detail::cuda_product(y.device(), s, a.data(), b.data(), y.mutate());
#else
      for_each(y.device(), y.size(), detail::ProductKernel<T>{s, a.data(), b.data(), y.mutate()});
#endif
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> /*y*/, Var<T> /*a*/, Var<T> b) const {
    return o.a ? apply(Matmul{{o.b, true}}, b, gy) : apply(Matmul{{false, !o.b}}, gy, b);
  }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T> /*y*/, Var<T> a, Var<T> /*b*/) const {
    return o.b ? apply(Matmul{{true, o.a}}, gy, a) : apply(Matmul{{!o.a, false}}, a, gy);
  }
};

/// y [n, m] = a [n, k] b [k, m]; a factor named in the options is read transposed: matmul(x, w, {.b = true}) is x times w^T.
/// Differentiable to any order. The same bits for any number of threads, and on every run. On a GPU Device::set_precision says
/// whether factors may be rounded.
template <class T> Var<T> matmul(Var<T> const& a, Var<T> const& b, MatmulOptions options) {
  check(a.rank() == 2, "matmul: expected matrices, got ", a.shape(), " and ", b.shape(), "; see batched_matmul");
  return apply(Matmul<T>{options}, a, b);
}
/// y [g, n, m]: a product for each entry of the first extent, a [g, n, k] times b [g, k, m]. Otherwise like matmul.
template <class T> Var<T> batched_matmul(Var<T> const& a, Var<T> const& b, MatmulOptions options) {
  check(a.rank() == 3, "batched_matmul: expected [g, n, k] and [g, k, m], got ", a.shape(), " and ", b.shape());
  return apply(Matmul<T>{options}, a, b);
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(Matmul)
#endif

}  // namespace rig::inline RIG_ABI

#if RIG_INCLUDE_IPP
#include "rig/ops/matmul.ipp"
#endif
