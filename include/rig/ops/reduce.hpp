// Sums, and their partner, stretching. sum_to and broadcast_to are each other's derivative, so both are differentiable
// to any order. Sums run over leaves of 1,024 elements, in double, and then over the leaves, always in the same order: the same bits
// for any number of threads. Double, because sums of gradients cancel: what is left of them is as exact as if samples had been summed
// apart. On CUDA float sums have an order of their own, as fixed; see cuda/reduce.hpp.
#pragma once
#include "rig/autodiff/op.hpp"
#include "rig/ops/broadcast.hpp"
#include "rig/ops/cuda/reduce.hpp"

namespace rig::inline RIG_ABI {

namespace detail {

inline constexpr std::int64_t sum_leaf = 1024;

// x [outer, mid, inner] -> y [outer, leaves, inner]; leaf l sums rows [l * 1024, ...) of mid.
template <class T> struct SumLeafKernel {
  T* y;
  T const* x;
  std::int64_t mid, inner, leaves;
  RIG_HD void operator()(std::int64_t row, std::int64_t c) const {
    std::int64_t const outer = row / leaves, leaf = row % leaves;
    std::int64_t const begin = leaf * sum_leaf, end = begin + sum_leaf < mid ? begin + sum_leaf : mid;
    T const* p = x + (outer * mid + begin) * inner + c;
    double s = 0;
    for (std::int64_t m = begin; m < end; ++m, p += inner) s += double(*p);
    y[row * inner + c] = T(s);
  }
};
// The same additions in the same order, sixteen columns at a time, so that a CPU's vector unit can do them.
template <class T> struct SumLeafRowKernel {
  T* y;
  T const* x;
  std::int64_t mid, inner, leaves;
  RIG_HD void operator()(std::int64_t row) const {
    std::int64_t const outer = row / leaves, leaf = row % leaves;
    std::int64_t const begin = leaf * sum_leaf, end = begin + sum_leaf < mid ? begin + sum_leaf : mid;
    constexpr std::int64_t width = 16;
    for (std::int64_t first = 0; first < inner; first += width) {
      T const* p = x + (outer * mid + begin) * inner + first;
      double part[width] = {};
      if (first + width <= inner) {
        for (std::int64_t m = begin; m < end; ++m, p += inner)
          for (std::int64_t c = 0; c < width; ++c) part[c] += double(p[c]);
      } else {
        for (std::int64_t m = begin; m < end; ++m, p += inner)
          for (std::int64_t c = 0; c < inner - first; ++c) part[c] += double(p[c]);
      }
      for (std::int64_t c = 0; c < width && first + c < inner; ++c) y[row * inner + first + c] = T(part[c]);
    }
  }
};
// inner = 1: sixteen partial sums, joined as a tree.
template <class T> struct SumContiguousKernel {
  T* y;
  T const* x;
  std::int64_t mid, leaves;
  RIG_HD void operator()(std::int64_t row) const {
    std::int64_t const outer = row / leaves, leaf = row % leaves;
    std::int64_t const begin = leaf * sum_leaf, end = begin + sum_leaf < mid ? begin + sum_leaf : mid;
    T const* p = x + outer * mid;
    double part[16] = {};
    std::int64_t m = begin;
    for (; m + 16 <= end; m += 16)
      for (int k = 0; k < 16; ++k) part[k] += double(p[m + k]);
    for (int k = 0; m < end; ++m, ++k) part[k] += double(p[m]);
    for (int half = 8; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) part[k] += part[k + half];
    y[row] = T(part[0]);
  }
};

/// [outer, mid, inner] -> [outer, inner]
template <class T> Tensor<T> sum_middle(Tensor<T> x, std::int64_t outer, std::int64_t mid, std::int64_t inner) {
#if RIG_GPU
  if constexpr (std::is_same_v<T, float>) {
    Tensor<T> y;
    if (x.device().is_cuda() && cuda_sum_middle(x, outer, mid, inner, y)) return y;
  }
#endif
  do {
    std::int64_t const leaves = mid ? (mid + sum_leaf - 1) / sum_leaf : 1;
    Tensor<T> y({outer, leaves, inner}, x.device());
    if (inner == 1)
      for_each(y.device(), outer * leaves, SumContiguousKernel<T>{y.mutate(), x.data(), mid, leaves});
    else if (y.device().is_cpu() && outer * leaves > 1)
      for_each_heavy(y.device(), outer * leaves, SumLeafRowKernel<T>{y.mutate(), x.data(), mid, inner, leaves});
    else if (y.device().is_cpu())
      for_each(y.device(), outer * leaves, SumLeafRowKernel<T>{y.mutate(), x.data(), mid, inner, leaves});
    else
      for_each(y.device(), outer * leaves, inner, SumLeafKernel<T>{y.mutate(), x.data(), mid, inner, leaves});
    x = y;
    mid = leaves;
  } while (mid > 1);
  return x;
}

struct TakeFirst {
  template <class T> RIG_HD T operator()(T a, T) const { return a; }
};

}  // namespace detail

template <class T> Var<T> broadcast_to(Var<T> const& x, Shape const& shape);
template <class T> Var<T> sum_to(Var<T> const& x, Shape const& shape);

/// Sum over the axes that `shape` stretches. Linear.
template <class T> struct SumTo {
  using scalar = T;
  static constexpr char const* name = "sum_to";
  Shape shape;

  Tensor<T> forward(Tensor<T> const& x) const {
    check(broadcast_shape(name, x.shape(), shape) == x.shape(), name, ": ", x.shape(), " cannot be summed to ", shape);
    // Reduced axes are handled one merged group at a time, the last first.
    int const lead = x.rank() - shape.rank();
    auto reduced = [&](int axis) { return axis < lead || (shape[axis - lead] == 1 && x.dim(axis) != 1); };
    Tensor<T> y = x;
    std::int64_t inner = 1;
    for (int axis = x.rank() - 1; axis >= 0;) {
      if (!reduced(axis)) {
        inner *= x.dim(axis--);
        continue;
      }
      std::int64_t mid = 1;
      while (axis >= 0 && reduced(axis)) mid *= x.dim(axis--);
      std::int64_t outer = 1;
      for (int i = 0; i <= axis; ++i) outer *= x.dim(i);
      y = detail::sum_middle(y, outer, mid, inner);
    }
    return y.reshape(shape);
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> x) const { return broadcast_to(gy, x.shape()); }
};

/// Repeats along stretched axes. Linear.
template <class T> struct BroadcastTo {
  using scalar = T;
  static constexpr char const* name = "broadcast_to";
  Shape shape;

  Tensor<T> forward(Tensor<T> const& x) const {
    check(broadcast_shape(name, x.shape(), shape) == shape, name, ": ", x.shape(), " does not stretch to ", shape);
    Tensor<T> y(shape, x.device());
    if (y.size() == 0) return y;
    detail::BroadcastPlan const plan(shape, x.shape(), shape);
    T const* p = x.data();
    // The second argument of the kernel is not used; x stands in for it with stride 0.
    detail::BroadcastPlan only = plan;
    for (auto& stride : only.stride_b) stride = 0;
    if (plan.stride_a[plan.rank - 1] != 0)
      detail::run_broadcast<1, 0>(y, p, p, detail::TakeFirst{}, only);
    else
      detail::run_broadcast<0, 0>(y, p, p, detail::TakeFirst{}, only);
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> x) const { return sum_to(gy, x.shape()); }
};

/// Sum over the axes in which x is larger than `shape` (missing or 1 there). x itself if the shapes agree. Any order.
template <class T> Var<T> sum_to(Var<T> const& x, Shape const& shape) { return x.shape() == shape ? x : apply(SumTo<T>{shape}, x); }
/// x repeated to `shape`. x itself if the shapes agree. Any order.
template <class T> Var<T> broadcast_to(Var<T> const& x, Shape const& shape) {
  return x.shape() == shape ? x : apply(BroadcastTo<T>{shape}, x);
}

/// Sum of all elements, shape []. Any order.
template <class T> Var<T> sum(Var<T> const& x) { return sum_to(x, {}); }

/// Sum over one axis, which disappears (or stays with extent 1). Any order.
template <class T> Var<T> sum(Var<T> const& x, int axis, bool keep = false);
/// Mean of all elements, shape []. Any order.
template <class T> Var<T> mean(Var<T> const& x);
/// Mean over one axis. Any order.
template <class T> Var<T> mean(Var<T> const& x, int axis, bool keep = false);

#if RIG_EXTERN_TEMPLATES
RIG_OP(SumTo)
RIG_OP(BroadcastTo)
#endif

}  // namespace rig::inline RIG_ABI
