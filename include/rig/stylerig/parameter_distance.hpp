// How far vectors of parameters are apart where a mask says that they count. Hand-written: a few hundred numbers a row are not worth
// a dozen launches.
#pragma once
#include "rig/autodiff/op.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/stylerig/row_sums.hpp"

namespace rig::inline RIG_ABI::stylerig {

namespace detail {

/// Entries of (a - b) / deviation; a or b may be null and is then zero.
template <class T> struct WhitenedEntries {
  T const *a, *b, *deviation;
  unsigned char const* mask;
  std::int64_t f, mask_step;  // mask_step is 0 for one mask for all rows
  RIG_HD bool counts(std::int64_t row, std::int64_t i) const { return mask[row * mask_step + i] != 0; }
  RIG_HD T difference(std::int64_t row, std::int64_t i) const {
    std::int64_t const k = row * f + i;
    return ((a ? a[k] : T(0)) - (b ? b[k] : T(0))) / deviation[i];
  }
};
template <class T> struct MaskedDistanceSum : WhitenedEntries<T> {
  static constexpr int width = 2, results = 2;  // squares and how many count
  T *y, *count;
  template <class A> RIG_HD void add(std::int64_t row, std::int64_t i, A* s) const {
    if (!this->counts(row, i)) return;
    T const d = this->difference(row, i);
    s[0] += A(d * d), s[1] += A(1);
  }
  template <class A> RIG_HD void add_row(std::int64_t, A const* s, A* t) const { t[0] += s[0], t[1] += s[1]; }
  template <class A> RIG_HD void store(A const* t) const {
    y[0] = T(t[0] / (t[1] + A(1e-30)));  // nothing that counts: 0
    count[0] = T(t[1]);
  }
};
template <class T> struct WhitenedDifferenceKernel {
  T* g;
  T const *gy, *count;
  WhitenedEntries<T> entries;
  RIG_HD void operator()(std::int64_t row, std::int64_t i) const {
    g[row * entries.f + i] = entries.counts(row, i) ? T(2) * gy[0] / count[0] * (entries.difference(row, i) / entries.deviation[i]) : T(0);
  }
};

/// Deviations [f], a mask [n, f] or [1, f] and, once a distance has been taken, how many entries it was of: [1].
template <class T> struct MaskedSpace {
  Tensor<T> deviation;
  Tensor<unsigned char> mask;
  Tensor<T> count;
  WhitenedEntries<T> entries(char const* name, Tensor<T> const& a, Tensor<T> const& b) const {
    Tensor<T> const& some = a ? a : b;
    check(some && some.rank() == 2, name, ": vectors must be [n, f], got ", some.shape());
    check(!a || !b || a.shape() == b.shape(), name, ": both vectors must have one shape, got ", a.shape(), " and ", b.shape());
    std::int64_t const n = some.dim(0), f = some.dim(1);
    check(deviation.shape() == Shape{f}, name, ": deviations must be [", f, "], got ", deviation.shape());
    check(mask.rank() == 2 && mask.dim(1) == f && (mask.dim(0) == 1 || mask.dim(0) == n), name, ": mask must be [1, ", f, "] or ",
          some.shape(), ", got ", mask.shape());
    check_device(name, "deviation", deviation, some.device()), check_device(name, "mask", mask, some.device());
    return {a.data(), b.data(), deviation.data(), mask.data(), f, mask.dim(0) == 1 ? 0 : f};
  }
};
/// The gradient of MaskedDistance by a, and minus that by b. Linear in gy, and in a and b together.
template <class T> struct WhitenedDifference {
  using scalar = T;
  static constexpr char const* name = "whitened_difference";
  MaskedSpace<T> space;
  Tensor<T> forward(Tensor<T> const& gy, Tensor<T> const& a, Tensor<T> const& b) const {
    auto const entries = space.entries(name, a, b);
    Tensor<T> g = like(a ? a : b);
    for_each(g.device(), g.dim(0), g.dim(1), WhitenedDifferenceKernel<T>{g.mutate(), gy.data(), space.count.data(), entries});
    return g;
  }
  Var<T> vjp(wrt<0>, Var<T> h, Var<T>, Var<T> gy, Var<T> a, Var<T> b) const {
    return sum(h * apply(*this, Var<T>(ones<T>(gy.shape(), gy.device())), a, b));
  }
  Var<T> vjp(wrt<1>, Var<T> h, Var<T>, Var<T> gy, Var<T>, Var<T>) const { return apply(*this, gy, h, Var<T>{}); }
  Var<T> vjp(wrt<2>, Var<T> h, Var<T>, Var<T> gy, Var<T>, Var<T>) const { return apply(*this, gy, Var<T>{}, h); }
};
template <class T> struct MaskedDistance {
  using scalar = T;
  static constexpr char const* name = "masked_parameter_distance";
  MaskedSpace<T> space;
  Tensor<T> forward(Tensor<T> const& a, Tensor<T> const& b) const {
    check(a && b, name, ": both vectors are needed");
    auto const entries = space.entries(name, a, b);
    Tensor<T> y({}, a.device()), count = space.count;
    sum_rows<T>(a.device(), a.dim(0), a.dim(1), MaskedDistanceSum<T>{entries, y.mutate(), count.mutate()});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> a, Var<T> b) const { return apply(WhitenedDifference<T>{space}, gy, a, b); }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T>, Var<T> a, Var<T> b) const { return apply(WhitenedDifference<T>{space}, gy, b, a); }
};

}  // namespace detail

/// The mean of ((a - b) / deviation)^2 over the entries with mask, shape []; 0 if there are none. a, b [n, f], deviation [f], mask
/// [n, f] or [1, f]. Any order. Sums in fixed order.
template <class T>
Var<T> masked_parameter_distance(Var<T> const& a, Var<T> const& b, Tensor<T> const& deviation, Tensor<unsigned char> const& mask) {
  return apply(detail::MaskedDistance<T>{{deviation, mask, Tensor<T>({1}, a.device())}}, a, b);
}

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(stylerig::detail::MaskedDistance)
RIG_OP(stylerig::detail::WhitenedDifference)
}  // namespace rig::inline RIG_ABI
#endif
