// Picking rows by index and its adjoint, adding rows where an index says. Indices are Tensor<int>: they have no gradient.
#pragma once
#include "rig/ops/shape.hpp"

namespace rig::inline RIG_ABI {

namespace detail {
template <class T> struct GatherKernel {
  T* y;
  T const* x;
  int const* index;
  std::int64_t count, mid, inner;
  RIG_HD void operator()(std::int64_t row, std::int64_t i) const {
    std::int64_t const o = quotient(row, count), k = row - o * count;
    y[row * inner + i] = x[(o * mid + index[k]) * inner + i];
  }
};
// One call a column, rows in ascending order: several indices may name the same row, and the sum keeps its order.
template <class T> struct ScatterKernel {
  T* y;
  T const* x;
  int const* index;
  std::int64_t count, mid, inner;
  RIG_HD void operator()(std::int64_t column) const {
    std::int64_t const o = column / inner, i = column % inner;
    for (std::int64_t k = 0; k < count; ++k) y[(o * mid + index[k]) * inner + i] += x[(o * count + k) * inner + i];
  }
};
// The same additions in the same order, one call a number of x: the first of those that name a row adds them all. y starts at zero.
template <class T> struct ScatterFirstKernel {
  T* y;
  T const* x;
  int const* index;
  std::int64_t count, mid, inner;
  static constexpr std::int64_t most = 4096;  // indices; each call reads all of them
  RIG_HD void operator()(std::int64_t row, std::int64_t i) const {
    std::int64_t const o = quotient(row, count), k = row - o * count;
    int const to = index[k];
    for (std::int64_t before = 0; before < k; ++before)
      if (index[before] == to) return;
    T sum = x[row * inner + i];
    for (std::int64_t after = k + 1; after < count; ++after)
      if (index[after] == to) sum += x[(o * count + after) * inner + i];
    y[(o * mid + to) * inner + i] = sum;
  }
};
inline void check_indices(char const* op, Tensor<int> const& index, std::int64_t extent, Device const& device) {
  check(index.rank() == 1, op, ": index must be [k], got ", index.shape());
  check_device(op, "index", index, device);
  if (index.device().is_cuda()) return;  // reading it back would stall the queue; it was checked where it was made
  for (std::int64_t i = 0; i < index.size(); ++i)
    check(index.data()[i] >= 0 && index.data()[i] < extent, op, ": index ", index.data()[i], " at ", i, " is outside [0, ", extent, ")");
}
}  // namespace detail

template <class T> Var<T> gather(Var<T> const& x, Tensor<int> const& index, int axis = 0);
template <class T> Var<T> scatter_add(Var<T> const& x, Tensor<int> const& index, std::int64_t extent, int axis = 0);

template <class T> struct Gather {
  using scalar = T;
  static constexpr char const* name = "gather";
  Tensor<int> index;
  int axis;
  Tensor<T> forward(Tensor<T> const& x) const {
    detail::AxisView const a(name, x.shape(), axis);
    detail::check_indices(name, index, a.mid, x.device());
    Tensor<T> y(x.shape().with(a.axis, index.size()), x.device());
    for_each(y.device(), a.outer * index.size(), a.inner,
             detail::GatherKernel<T>{y.mutate(), x.data(), index.data(), index.size(), a.mid, a.inner});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> x) const { return scatter_add(gy, index, x.dim(axis), axis); }
};

template <class T> struct ScatterAdd {
  using scalar = T;
  static constexpr char const* name = "scatter_add";
  Tensor<int> index;
  std::int64_t extent;
  int axis;
  Tensor<T> forward(Tensor<T> const& x) const {
    detail::AxisView const a(name, x.shape(), axis);
    detail::check_indices(name, index, extent, x.device());
    check(index.size() == a.mid, name, ": ", index.size(), " indices for axis ", axis, " of ", x.shape());
    Tensor<T> y = zeros<T>(x.shape().with(a.axis, extent), x.device());
    if (y.device().is_cuda() && index.size() <= detail::ScatterFirstKernel<T>::most)
      for_each(y.device(), a.outer * index.size(), a.inner,
               detail::ScatterFirstKernel<T>{y.mutate(), x.data(), index.data(), index.size(), extent, a.inner});
    else
      for_each(y.device(), a.outer * a.inner, detail::ScatterKernel<T>{y.mutate(), x.data(), index.data(), index.size(), extent, a.inner});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T>) const { return gather(gy, index, axis); }
};

/// y[.., k, ..] = x[.., index[k], ..] along an axis. Any order.
template <class T> Var<T> gather(Var<T> const& x, Tensor<int> const& index, int axis) { return apply(Gather<T>{index, axis}, x); }
/// Zeros of the given extent along an axis, to which row k of x is added at index[k]. Any order; the order of addition is fixed.
template <class T> Var<T> scatter_add(Var<T> const& x, Tensor<int> const& index, std::int64_t extent, int axis) {
  return apply(ScatterAdd<T>{index, extent, axis}, x);
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(Gather)
RIG_OP(ScatterAdd)
#endif

}  // namespace rig::inline RIG_ABI
