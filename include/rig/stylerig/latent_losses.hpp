// What RigNet's whitened differences d cost by themselves: the squares of edits, the lengths of their rows, and the squares of what
// should have been nothing. Hand-written: d is read once forward and once backward, where a chain of ops reads it a dozen times.
#pragma once
#include <cmath>

#include "rig/autodiff/op.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/stylerig/row_sums.hpp"

namespace rig::inline RIG_ABI::stylerig {

namespace detail {

/// d [rows, w_dim], of which the first `edits` rows are edits and the others should be nothing.
template <class T> struct LatentRows {
  T const* d;
  std::int64_t rows, edits, w_dim;

  /// F sees neither hair nor background, and what it reads of a face depends a little on every row: squares alone would let an edit
  /// change them all. A length has a slope at zero, which this holds finite. (Yuan and Lin 2006, the group lasso.)
  template <class A> RIG_HD A length(A squares) const { return std::sqrt(squares / A(w_dim) + A(1e-6)); }
  /// 1 / the numbers that a mean is taken of; 0 for none.
  template <class A> RIG_HD A share(std::int64_t some_rows) const { return some_rows > 0 ? A(1) / (A(some_rows) * A(w_dim)) : A(0); }
  template <class A> RIG_HD void add(std::int64_t row, std::int64_t i, A* s) const {
    T const x = d[row * w_dim + i];
    s[0] += A(x * x);
  }
};
template <class T> struct LatentLossesSum : LatentRows<T> {
  static constexpr int width = 1, results = 3;
  T* y;
  template <class A> RIG_HD void add_row(std::int64_t row, A const* s, A* t) const {
    if (row < this->edits)
      t[1] += s[0], t[2] += this->length(s[0]);
    else
      t[0] += s[0];
  }
  template <class A> RIG_HD void store(A const* t) const {
    y[0] = T(t[0] * this->template share<A>(this->rows - this->edits));
    y[1] = T(t[1] * this->template share<A>(this->edits));
    y[2] = T(this->edits > 0 ? t[2] / A(this->edits) : A(0));
  }
};
template <class T> struct LatentLossesSlopeRow : LatentRows<T> {
  static constexpr int width = 1;
  T* gd;
  T const* gy;  // [3]
  template <class A> RIG_HD void write_row(std::int64_t row, std::int64_t first, std::int64_t step, A const* s) const {
    std::int64_t const n = this->w_dim;
    A const share = this->template share<A>(row < this->edits ? this->edits : this->rows - this->edits);
    T const f = T(share * (row < this->edits ? 2 * A(gy[1]) + A(gy[2]) / this->length(s[0]) : 2 * A(gy[0])));
    for (std::int64_t i = first; i < n; i += step) gd[row * n + i] = f * this->d[row * n + i];
  }
};
template <class T> LatentRows<T> latent_rows(char const* name, Tensor<T> const& d, std::int64_t samples) {
  check(d.rank() == 3 && d.dim(1) > 0 && d.dim(2) > 0, name, ": differences must be [n, rows, w_dim], got ", d.shape());
  check(samples > 0 && samples <= d.dim(0), name, ": ", samples, " edits among ", d.dim(0), " samples");
  return {d.data(), d.dim(0) * d.dim(1), samples * d.dim(1), d.dim(2)};
}

/// The gradient of LatentLosses. Linear in gy.
template <class T> struct LatentLossesSlope {
  using scalar = T;
  static constexpr char const* name = "latent_losses_slope";
  std::int64_t samples;
  Tensor<T> forward(Tensor<T> const& gy, Tensor<T> const& d) const {
    LatentRows<T> const rows = latent_rows(name, d, samples);
    check(gy.shape() == Shape{3}, name, ": the gradient must be [3], got ", gy.shape());
    Tensor<T> gd = like(d);
    write_rows<T>(d.device(), rows.rows, rows.w_dim, LatentLossesSlopeRow<T>{rows, gd.mutate(), gy.data()});
    return gd;
  }
  /// A second derivative is rare: plain ops, which any further one passes through.
  std::array<Var<T>, 2> vjps(std::array<bool, 2> const& wanted, Var<T> h, Var<T>, Var<T> gy, Var<T> d) const {
    std::int64_t const others = d.dim(0) - samples, rows = d.dim(1);
    T const w = T(d.dim(2)), share = T(1) / (T(samples * rows) * w), other_share = others ? T(1) / (T(others * rows) * w) : T(0);
    Var<T> const e = slice(d, 0, 0, samples), he = slice(h, 0, 0, samples), o = slice(d, 0, samples, others),
                 ho = slice(h, 0, samples, others), product = sum(he * e, 2, true), length = sqrt(mean(square(e), 2, true) + T(1e-6));
    std::array<Var<T>, 2> g;
    auto one = [](Var<T> const& x) { return reshape(x, {1}); };
    if (wanted[0])
      g[0] = concat<T>({one(T(2) * other_share * sum(ho * o)), one(T(2) * share * sum(product)), one(share * sum(product / length))}, 0);
    if (wanted[1]) {
      Var<T> const g0 = slice(gy, 0, 0, 1), g1 = slice(gy, 0, 1, 1), g2 = slice(gy, 0, 2, 1);
      g[1] = concat<T>(
          {share * (T(2) * g1 * he + g2 * (he / length - e * (product / (w * (length * length * length))))), T(2) * other_share * g0 * ho},
          0);
    }
    return g;
  }
};
template <class T> struct LatentLosses {
  using scalar = T;
  static constexpr char const* name = "latent_losses";
  std::int64_t samples;
  Tensor<T> forward(Tensor<T> const& d) const {
    LatentRows<T> const rows = latent_rows(name, d, samples);
    Tensor<T> y({3}, d.device());
    sum_rows<T>(d.device(), rows.rows, rows.w_dim, LatentLossesSum<T>{rows, y.mutate()});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> d) const { return apply(LatentLossesSlope<T>{samples}, gy, d); }
};

}  // namespace detail

/// Of whitened differences d [n, rows, w_dim], the first `samples` of which are edits and the others answers to wishes for what is
/// there: [3], the mean square of the others, the mean square of the edits, and the mean over samples and rows of an edit's
/// length sqrt(mean square of the row + 1e-6). Without others the first is 0. Any order. Sums in fixed order.
///   auto y = latent_losses(d, 32);  // reconstruction, move, rows
template <class T> Var<T> latent_losses(Var<T> const& d, std::int64_t samples) { return apply(detail::LatentLosses<T>{samples}, d); }

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(stylerig::detail::LatentLosses)
RIG_OP(stylerig::detail::LatentLossesSlope)
}  // namespace rig::inline RIG_ABI
#endif
