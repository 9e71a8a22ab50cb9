// Moving values without changing them: reshape, slice, concat, permute. All linear; partners are written together.
// The middle axis is what an op works on: x is seen as [outer, mid, inner].
#pragma once
#include "rig/autodiff/op.hpp"

namespace rig::inline RIG_ABI {

namespace detail {

struct AxisView {
  int axis;
  std::int64_t outer = 1, mid = 1, inner = 1;
  AxisView(char const* op, Shape const& s, int a) : axis(a < 0 ? a + s.rank() : a) {
    check(axis >= 0 && axis < s.rank(), op, ": axis ", a, " does not exist in ", s);
    for (int i = 0; i < s.rank(); ++i) (i < axis ? outer : i == axis ? mid : inner) *= s[i];
  }
};

// Copies `count` rows of a middle axis from one place to another; both sides are [outer, mid, inner].
template <class T> struct CopyRowsKernel {
  T* y;
  T const* x;
  std::int64_t y_mid, y_begin, x_mid, x_begin, count_inner, inner;
  RIG_HD void operator()(std::int64_t o, std::int64_t i) const {
    y[(o * y_mid + y_begin) * inner + i] = x[(o * x_mid + x_begin) * inner + i];
  }
};
template <class T>
void copy_rows(Tensor<T>& y, std::int64_t y_mid, std::int64_t y_begin, Tensor<T> const& x, std::int64_t x_mid, std::int64_t x_begin,
               std::int64_t outer, std::int64_t count, std::int64_t inner) {
  for_each(y.device(), outer, count * inner, CopyRowsKernel<T>{y.mutate(), x.data(), y_mid, y_begin, x_mid, x_begin, count * inner, inner});
}

template <class T> struct PermuteKernel {
  T* y;
  T const* x;
  int rank;
  std::int64_t extent[Shape::max_rank], stride[Shape::max_rank];  // of y; strides into x
  RIG_HD void operator()(std::int64_t r, std::int64_t c) const {
    std::int64_t rest = r, k = c * stride[rank - 1];
    for (int i = rank - 2; i >= 0; --i) {
      std::int64_t const q = quotient(rest, extent[i]);
      k += (rest - q * extent[i]) * stride[i];
      rest = q;
    }
    y[r * extent[rank - 1] + c] = x[k];
  }
};

}  // namespace detail

template <class T> Var<T> reshape(Var<T> const& x, Shape const& shape);
template <class T> Var<T> slice(Var<T> const& x, int axis, std::int64_t begin, std::int64_t count);
template <class T> Var<T> unslice(Var<T> const& x, int axis, std::int64_t begin, std::int64_t extent);
template <class T> Var<T> permute(Var<T> const& x, std::vector<int> const& order);

template <class T> struct Reshape {
  using scalar = T;
  static constexpr char const* name = "reshape";
  Shape shape;
  Tensor<T> forward(Tensor<T> const& x) const { return x.reshape(shape); }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> x) const { return reshape(gy, x.shape()); }
};

template <class T> struct Slice {
  using scalar = T;
  static constexpr char const* name = "slice";
  int axis;
  std::int64_t begin, count;
  Tensor<T> forward(Tensor<T> const& x) const {
    detail::AxisView const a(name, x.shape(), axis);
    check(begin >= 0 && count >= 0 && begin + count <= a.mid, name, ": [", begin, ", ", begin + count, ") is outside axis ", axis, " of ",
          x.shape());
    if (a.axis == 0) return x.rows(begin, count);
    Tensor<T> y(x.shape().with(a.axis, count), x.device());
    detail::copy_rows(y, count, 0, x, a.mid, begin, a.outer, count, a.inner);
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> x) const { return unslice(gy, axis, begin, x.dim(axis)); }
};

/// The adjoint of Slice: zeros with x in place.
template <class T> struct Unslice {
  using scalar = T;
  static constexpr char const* name = "unslice";
  int axis;
  std::int64_t begin, extent;
  Tensor<T> forward(Tensor<T> const& x) const {
    detail::AxisView const a(name, x.shape(), axis);
    check(begin >= 0 && begin + a.mid <= extent, name, ": ", x.shape(), " at ", begin, " does not fit into extent ", extent, " of axis ",
          axis);
    Tensor<T> y = zeros<T>(x.shape().with(a.axis, extent), x.device());
    detail::copy_rows(y, extent, begin, x, a.mid, 0, a.outer, a.mid, a.inner);
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> x) const { return slice(gy, axis, begin, x.dim(axis)); }
};

template <class T> struct Concat {
  using scalar = T;
  static constexpr char const* name = "concat";
  int axis;
  Tensor<T> forward(std::vector<Tensor<T>> const& x) const {
    check(!x.empty(), name, ": nothing to join");
    detail::AxisView const a(name, x[0].shape(), axis);
    std::int64_t total = 0;
    for (auto const& t : x) {
      check(t.rank() == x[0].rank() && t.shape().with(a.axis, 0) == x[0].shape().with(a.axis, 0), name,
            ": shapes must agree except along axis ", axis, ", got ", x[0].shape(), " and ", t.shape());
      total += t.dim(a.axis);
    }
    Tensor<T> y(x[0].shape().with(a.axis, total), x[0].device());
    std::int64_t at = 0;
    for (auto const& t : x) {
      std::int64_t const m = t.dim(a.axis);
      detail::copy_rows(y, total, at, t, m, 0, a.outer, m, a.inner);
      at += m;
    }
    return y;
  }
  Var<T> vjp(std::size_t i, Var<T> gy, Var<T>, std::vector<Var<T>> const& x) const {
    std::int64_t at = 0;
    for (std::size_t k = 0; k < i; ++k) at += x[k].dim(axis);
    return slice(gy, axis, at, x[i].dim(axis));
  }
};

template <class T> struct Permute {
  using scalar = T;
  static constexpr char const* name = "permute";
  std::vector<int> order;  // axis i of y is axis order[i] of x
  Tensor<T> forward(Tensor<T> const& x) const {
    check(int(order.size()) == x.rank(), name, ": order names ", order.size(), " axes, x is ", x.shape());
    detail::PermuteKernel<T> k{nullptr, x.data(), x.rank(), {}, {}};
    std::int64_t stride[Shape::max_rank], step = 1;
    for (int i = x.rank() - 1; i >= 0; --i) stride[i] = step, step *= x.dim(i);
    Shape s;
    std::vector<char> seen(order.size(), 0);
    for (int i = 0; i < x.rank(); ++i) {
      int const from = order[std::size_t(i)];
      check(from >= 0 && from < x.rank() && !seen[std::size_t(from)], name, ": order must name every axis once");
      seen[std::size_t(from)] = 1;
      s.append(x.dim(from));
      k.extent[i] = x.dim(from);
      k.stride[i] = stride[from];
    }
    if (x.rank() == 0) return x;
    Tensor<T> y(s, x.device());
    if (y.size() == 0) return y;
    k.y = y.mutate();
    for_each(y.device(), y.size() / k.extent[k.rank - 1], k.extent[k.rank - 1], k);
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T>) const {
    std::vector<int> back(order.size());
    for (std::size_t i = 0; i < order.size(); ++i) back[std::size_t(order[i])] = int(i);
    return permute(gy, back);
  }
};

/// The same values under another shape; shares memory. Any order.
template <class T> Var<T> reshape(Var<T> const& x, Shape const& shape) { return x.shape() == shape ? x : apply(Reshape<T>{shape}, x); }
/// Entries [begin, begin + count) along an axis. Any order.
template <class T> Var<T> slice(Var<T> const& x, int axis, std::int64_t begin, std::int64_t count) {
  return apply(Slice<T>{axis, begin, count}, x);
}
/// Zeros of the given extent along an axis with x at `begin`. Any order.
template <class T> Var<T> unslice(Var<T> const& x, int axis, std::int64_t begin, std::int64_t extent) {
  return apply(Unslice<T>{axis, begin, extent}, x);
}
/// Joined along an axis; the other extents must agree. Any order.
template <class T> Var<T> concat(std::vector<Var<T>> const& x, int axis) {
  if (x.size() == 1) return x[0];
  int const a = axis < 0 && !x.empty() ? axis + x[0].rank() : axis;
  return apply_list(Concat<T>{a}, x);
}
/// Axis i of the result is axis order[i] of x. Any order.
template <class T> Var<T> permute(Var<T> const& x, std::vector<int> const& order) { return apply(Permute<T>{order}, x); }

#if RIG_EXTERN_TEMPLATES
RIG_OP(Reshape)
RIG_OP(Slice)
RIG_OP(Unslice)
RIG_OP(Permute)
#endif

}  // namespace rig::inline RIG_ABI
