// The prior of phase 1 over vectors of parameters: what a face is likely to be before anybody has looked at it (L_reg of section 3.2
// of the paper). Hand-written, entry by entry: which component an entry belongs to is a handful of numbers that travel with the launch,
// so nothing is kept on a device but the light prior.
#pragma once
#include "rig/autodiff/op.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/stylerig/light_prior.hpp"
#include "rig/stylerig/parameters.hpp"
#include "rig/stylerig/row_sums.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct RegulariserOptions {
  double weight = 1e-5;  ///< lambda_reg
  double identity = 1, reflectance = 0.017, expression = 0.8;
  double light = 0;          ///< of the squared distance of a 27-number light from LightPrior::natural()
  double monochrome = 0.05;  ///< lambda_g: pulls the three colours of a light coefficient together
  double named_l1 = 0.1;     ///< slope of |d| inside the box of named shapes
  /// Every component with the prior that it has: unit deviations, and a light among the natural ones. Then what a picture leaves
  /// open falls to the likelier explanation.
  static RegulariserOptions best() {
    return {.weight = 1e-5, .identity = 1, .reflectance = 1, .expression = 0.8, .light = 1, .monochrome = 0, .named_l1 = 2};
  }
  void visit(auto&& f) {
    f("weight", weight), f("identity", identity), f("reflectance", reflectance), f("expression", expression), f("light", light),
        f("monochrome", monochrome), f("named_l1", named_l1);
  }
};

namespace detail {

/// What entry i of a vector x [f] costs.
template <class T> struct RegulariserTerms {
  struct Part {
    std::int64_t begin = 0, end = 0;
    T weight = 0;
    RIG_HD bool holds(std::int64_t i) const { return i >= begin && i < end; }
  };
  Part identity, reflectance, expression;
  bool box = false;  // expressions live in 0..1
  T named_l1 = 0;
  Part light, grey;                                      // one component; of the distance from the prior, and of the spread over colours
  T const *mean = {}, *whitening = {}, *precision = {};  // of LightPriorOn
  std::int64_t f = 0;

  RIG_HD static T beyond_box(T v) { return v < T(0) ? v : v > T(1) ? v - T(1) : T(0); }
  /// Row k of a matrix [27, 27] times x - mean, or times x.
  RIG_HD static T product(T const* matrix, std::int64_t k, T const* x, T const* mean) {
    T s = 0;
    for (int l = 0; l < 27; ++l) s += matrix[27 * k + l] * (mean ? x[l] - mean[l] : x[l]);
    return s;
  }
  /// x[i] without its mean over the three colours.
  RIG_HD T colour(T const* x, std::int64_t i) const {
    std::int64_t const n = (grey.end - grey.begin) / 3;
    T const* c = x + grey.begin + (i - grey.begin) % n;
    return x[i] - (c[0] + c[n] + c[2 * n]) / T(3);
  }
  RIG_HD T value(T const* x, std::int64_t i) const {
    T const v = x[i];
    if (identity.holds(i)) return identity.weight * (v * v);
    if (reflectance.holds(i)) return reflectance.weight * (v * v);
    if (expression.holds(i)) {
      T const d = box ? beyond_box(v) : v;
      return expression.weight * (box ? d * d + named_l1 * (v < T(0) ? -v : v) : d * d);
    }
    T s = 0;
    if (light.holds(i)) {
      T const z = product(whitening, i - light.begin, x + light.begin, mean);
      s += light.weight * (z * z);
    }
    if (grey.holds(i)) {
      T const d = colour(x, i);
      s += grey.weight * (d * d);
    }
    return s;
  }
  /// Its derivative by x[i], or the second derivative of all that a row costs times h [f], if h is not null.
  RIG_HD T slope(T const* x, T const* h, std::int64_t i) const {
    T const v = x[i], u = h ? h[i] : v;
    if (identity.holds(i)) return identity.weight * (T(2) * u);
    if (reflectance.holds(i)) return reflectance.weight * (T(2) * u);
    if (expression.holds(i)) {
      if (!box) return expression.weight * (T(2) * u);
      T const d = beyond_box(v);
      return expression.weight * (h ? d != T(0) ? T(2) * u : T(0) : T(2) * d + named_l1 * (T(v > T(0)) - T(v < T(0))));
    }
    T const* from = h ? h : x;
    T s = 0;
    if (light.holds(i)) s += light.weight * (T(2) * product(precision, i - light.begin, from + light.begin, h ? nullptr : mean));
    if (grey.holds(i)) s += grey.weight * (T(2) * colour(from, i));
    return s;
  }
};
inline bool weighs_lights(ParameterLayout const& layout, RegulariserOptions const& o) {
  Component const* g = layout.find("illumination");
  return g && g->size == 27 && o.light > 0;
}
/// `light` is not looked at where no lights are weighed.
template <class T>
RegulariserTerms<T> regulariser_terms(ParameterLayout const& layout, std::int64_t n, RegulariserOptions const& o, bool named_expressions,
                                      LightPriorOn<T> const& light) {
  RegulariserTerms<T> terms;
  auto part = [&](char const* name, double weight) {
    Component const* c = layout.find(name);
    return c ? typename RegulariserTerms<T>::Part{c->offset, c->offset + c->size, T(weight / double(n))}
             : typename RegulariserTerms<T>::Part{};
  };
  terms.f = layout.size();
  terms.identity = part("identity", o.weight * o.identity);
  terms.reflectance = part("reflectance", o.weight * o.reflectance);
  terms.expression = part("expression", o.weight * o.expression);
  terms.box = named_expressions, terms.named_l1 = T(o.named_l1);
  Component const* g = layout.find("illumination");
  if (weighs_lights(layout, o)) {
    terms.light = part("illumination", o.weight * o.light);
    terms.mean = light.mean.data(), terms.whitening = light.whitening.data(), terms.precision = light.precision.data();
  }
  if (g && g->size > 0 && g->size % 3 == 0 && o.monochrome > 0) terms.grey = part("illumination", o.monochrome / double(g->size));
  return terms;
}
template <class T> struct RegulariserSum {
  static constexpr int width = 1, results = 1;
  RegulariserTerms<T> terms;
  T const* p;
  T* y;
  template <class A> RIG_HD void add(std::int64_t row, std::int64_t i, A* s) const { s[0] += A(terms.value(p + row * terms.f, i)); }
  template <class A> RIG_HD void add_row(std::int64_t, A const* s, A* t) const { t[0] += s[0]; }
  template <class A> RIG_HD void store(A const* t) const { y[0] = T(t[0]); }
};
template <class T> struct RegulariserSlopeKernel {
  RegulariserTerms<T> terms;
  T* g;
  T const *gy, *p, *h;
  RIG_HD void operator()(std::int64_t row, std::int64_t i) const {
    g[row * terms.f + i] = gy[0] * terms.slope(p + row * terms.f, h ? h + row * terms.f : nullptr, i);
  }
};

/// The gradient of Regulariser, or, with h, its second derivative times h. Linear in gy and in h.
template <class T> struct RegulariserSlope {
  using scalar = T;
  static constexpr char const* name = "regulariser_slope";
  RegulariserTerms<T> terms;
  LightPriorOn<T> light;  // holds what terms point at
  Tensor<T> forward(Tensor<T> const& gy, Tensor<T> const& p, Tensor<T> const& h) const {
    Tensor<T> g = like(p);
    for_each(g.device(), g.dim(0), g.dim(1), RegulariserSlopeKernel<T>{terms, g.mutate(), gy.data(), p.data(), h.data()});
    return g;
  }
  Var<T> vjp(wrt<0>, Var<T> k, Var<T>, Var<T> gy, Var<T> p, Var<T> h) const {
    return sum(k * apply(*this, Var<T>(ones<T>(gy.shape(), gy.device())), p, h));
  }
  Var<T> vjp(wrt<1>, Var<T> k, Var<T>, Var<T> gy, Var<T> p, Var<T> h) const { return h ? Var<T>{} : apply(*this, gy, p, k); }
  Var<T> vjp(wrt<2>, Var<T> k, Var<T>, Var<T> gy, Var<T> p, Var<T>) const { return apply(*this, gy, p, k); }
};
template <class T> struct Regulariser {
  using scalar = T;
  static constexpr char const* name = "regulariser";
  RegulariserTerms<T> terms;
  LightPriorOn<T> light;
  Tensor<T> forward(Tensor<T> const& p) const {
    check(p.rank() == 2 && p.dim(1) == terms.f, name, ": vectors must be [n, ", terms.f, "], got ", p.shape());
    if (light.mean) check_device(name, "light prior", light.mean, p.device());
    Tensor<T> y({}, p.device());
    sum_rows<T>(p.device(), p.dim(0), p.dim(1), RegulariserSum<T>{terms, p.data(), y.mutate()});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> p) const { return apply(RegulariserSlope<T>{terms, light}, gy, p, Var<T>{}); }
};

}  // namespace detail

/// L_reg of p [n, f], mean over rows, shape []: weighted sums of squares of the statistical components (for named
/// expressions a soft box round 0..1 and |d| instead), and the spread of light over colours. Any order but at kinks. Sums in fixed order.
/// `light` is LightPrior::natural() on p's device, which a training keeps there; made here if it is left out.
template <class T>
Var<T> regulariser(ParameterLayout const& layout, Var<T> const& p, RegulariserOptions const& o, bool named_expressions,
                   LightPriorOn<T> const& light = {}) {
  LightPriorOn<T> const prior = light.mean || !detail::weighs_lights(layout, o) ? light : LightPrior::natural().on<T>(p.device());
  return apply(detail::Regulariser<T>{detail::regulariser_terms(layout, p.dim(0), o, named_expressions, prior), prior}, p);
}

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(stylerig::detail::Regulariser)
RIG_OP(stylerig::detail::RegulariserSlope)
}  // namespace rig::inline RIG_ABI
#endif
