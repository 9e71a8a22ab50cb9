// Element by element: + - * / with broadcasting, and the elementary functions. All differentiable to any order.
// A function is a functor with its formula and a rule; Unary and Binary make ops of them.
#pragma once
#include <cmath>
#include <type_traits>

#include "rig/ops/reduce.hpp"
#include "rig/ops/shape.hpp"

namespace rig::inline RIG_ABI {

namespace detail {
template <class T, class F> struct UnaryKernel {
  T* y;
  T const* x;
  F f;
  RIG_HD void operator()(std::int64_t i) const { y[i] = f(x[i]); }
};
}  // namespace detail

/// y = f(x). F has a name, a call operator, and vjp(gy, y, x).
template <class T, class F> struct Unary {
  using scalar = T;
  static constexpr char const* name = F::name;
  F f;

  Tensor<T> forward(Tensor<T> const& x) const {
    check(bool(x), name, ": the argument is an empty tensor");
    Tensor<T> y = like(x);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (y.device().is_cuda() &&
          detail::each_number(y.device(), y.size(), detail::aligned_for_packs(x.data()), detail::UnaryBody<F>{y.mutate(), x.data(), f}))
        return y;
#endif
    for_each(y.device(), y.size(), detail::UnaryKernel<T, F>{y.mutate(), x.data(), f});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> y, Var<T> x) const { return f.vjp(gy, y, x); }
};

/// y = f(a, b), broadcast. F has a name, a call operator, and vjp_a, vjp_b before the sum over stretched axes.
template <class T, class F> struct Binary {
  using scalar = T;
  static constexpr char const* name = F::name;
  F f;

  Tensor<T> forward(Tensor<T> const& a, Tensor<T> const& b) const { return detail::broadcast_apply(name, f, a, b); }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> y, Var<T> a, Var<T> b) const { return sum_to(f.vjp_a(gy, y, a, b), a.shape()); }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T> y, Var<T> a, Var<T> b) const { return sum_to(f.vjp_b(gy, y, a, b), b.shape()); }
};

template <class T> Var<T> operator-(Var<T> const& x);
template <class T> Var<T> operator*(Var<T> const& a, Var<T> const& b);
template <class T> Var<T> operator/(Var<T> const& a, Var<T> const& b);
template <class T> Var<T> operator*(std::type_identity_t<T> s, Var<T> const& x);
template <class T> Var<T> sin(Var<T> const& x);
template <class T> Var<T> cos(Var<T> const& x);

// ---- binary -----------------------------------------------------------------------------------------------------
struct Plus {
  static constexpr char const* name = "add";
  template <class T> RIG_HD T operator()(T a, T b) const { return a + b; }
  template <class T> Var<T> vjp_a(Var<T> gy, Var<T>, Var<T>, Var<T>) const { return gy; }
  template <class T> Var<T> vjp_b(Var<T> gy, Var<T>, Var<T>, Var<T>) const { return gy; }
};
struct Minus {
  static constexpr char const* name = "subtract";
  template <class T> RIG_HD T operator()(T a, T b) const { return a - b; }
  template <class T> Var<T> vjp_a(Var<T> gy, Var<T>, Var<T>, Var<T>) const { return gy; }
  template <class T> Var<T> vjp_b(Var<T> gy, Var<T>, Var<T>, Var<T>) const { return -gy; }
};
struct Times {
  static constexpr char const* name = "multiply";
  template <class T> RIG_HD T operator()(T a, T b) const { return a * b; }
  template <class T> Var<T> vjp_a(Var<T> gy, Var<T>, Var<T>, Var<T> b) const { return gy * b; }
  template <class T> Var<T> vjp_b(Var<T> gy, Var<T>, Var<T> a, Var<T>) const { return gy * a; }
};
struct Over {
  static constexpr char const* name = "divide";
  template <class T> RIG_HD T operator()(T a, T b) const { return a / b; }
  template <class T> Var<T> vjp_a(Var<T> gy, Var<T>, Var<T>, Var<T> b) const { return gy / b; }
  template <class T> Var<T> vjp_b(Var<T> gy, Var<T> y, Var<T>, Var<T> b) const { return -(gy * y / b); }
};

// ---- unary ------------------------------------------------------------------------------------------------------
/// s * x + t
template <class T> struct Affine {
  static constexpr char const* name = "affine";
  T s, t;
  RIG_HD T operator()(T x) const { return s * x + t; }
  Var<T> vjp(Var<T> gy, Var<T>, Var<T>) const { return s * gy; }
};
struct Square {
  static constexpr char const* name = "square";
  template <class T> RIG_HD T operator()(T x) const { return x * x; }
  template <class T> Var<T> vjp(Var<T> gy, Var<T>, Var<T> x) const { return T(2) * (gy * x); }
};
struct SquareRoot {
  static constexpr char const* name = "sqrt";
  template <class T> RIG_HD T operator()(T x) const { return std::sqrt(x); }
  template <class T> Var<T> vjp(Var<T> gy, Var<T> y, Var<T>) const { return T(0.5) * (gy / y); }
};
struct ReciprocalSquareRoot {
  static constexpr char const* name = "rsqrt";
  template <class T> RIG_HD T operator()(T x) const { return T(1) / std::sqrt(x); }
  template <class T> Var<T> vjp(Var<T> gy, Var<T> y, Var<T>) const { return T(-0.5) * (gy * (y * y * y)); }
};
struct Exponential {
  static constexpr char const* name = "exp";
  template <class T> RIG_HD T operator()(T x) const { return std::exp(x); }
  template <class T> Var<T> vjp(Var<T> gy, Var<T> y, Var<T>) const { return gy * y; }
};
struct Logarithm {
  static constexpr char const* name = "log";
  template <class T> RIG_HD T operator()(T x) const { return std::log(x); }
  template <class T> Var<T> vjp(Var<T> gy, Var<T>, Var<T> x) const { return gy / x; }
};
struct Sine {
  static constexpr char const* name = "sin";
  template <class T> RIG_HD T operator()(T x) const { return std::sin(x); }
  template <class T> Var<T> vjp(Var<T> gy, Var<T>, Var<T> x) const { return gy * cos(x); }
};
struct Cosine {
  static constexpr char const* name = "cos";
  template <class T> RIG_HD T operator()(T x) const { return std::cos(x); }
  template <class T> Var<T> vjp(Var<T> gy, Var<T>, Var<T> x) const { return -(gy * sin(x)); }
};
/// -1, 0 or 1; its derivative is zero.
struct Sign {
  static constexpr char const* name = "sign";
  template <class T> RIG_HD T operator()(T x) const { return T(x > 0) - T(x < 0); }
  template <class T> Var<T> vjp(Var<T>, Var<T>, Var<T>) const { return {}; }
};
struct Absolute {
  static constexpr char const* name = "abs";
  template <class T> RIG_HD T operator()(T x) const { return x < 0 ? -x : x; }
  template <class T> Var<T> vjp(Var<T> gy, Var<T>, Var<T> x) const { return gy * apply(Unary<T, Sign>{}, x.detach()); }
};
/// 1 where low <= x <= high, else 0; its derivative is zero.
template <class T> struct Inside {
  static constexpr char const* name = "inside";
  T low, high;
  RIG_HD T operator()(T x) const { return x >= low && x <= high ? T(1) : T(0); }
  Var<T> vjp(Var<T>, Var<T>, Var<T>) const { return {}; }
};
/// Passes the gradient where low <= x <= high.
template <class T> struct Clamp {
  static constexpr char const* name = "clamp";
  T low, high;
  RIG_HD T operator()(T x) const { return x < low ? low : (x > high ? high : x); }
  Var<T> vjp(Var<T> gy, Var<T>, Var<T> x) const { return gy * apply(Unary<T, Inside<T>>{{low, high}}, x.detach()); }
};

// ---- functions --------------------------------------------------------------------------------------------------
template <class T> Var<T> operator+(Var<T> const& a, Var<T> const& b) { return apply(Binary<T, Plus>{}, a, b); }
template <class T> Var<T> operator-(Var<T> const& a, Var<T> const& b) { return apply(Binary<T, Minus>{}, a, b); }
template <class T> Var<T> operator*(Var<T> const& a, Var<T> const& b) { return apply(Binary<T, Times>{}, a, b); }
template <class T> Var<T> operator/(Var<T> const& a, Var<T> const& b) { return apply(Binary<T, Over>{}, a, b); }

/// s * x + t for two numbers.
template <class T> Var<T> affine(Var<T> const& x, std::type_identity_t<T> s, std::type_identity_t<T> t) {
  return apply(Unary<T, Affine<T>>{{s, t}}, x);
}
template <class T> Var<T> operator-(Var<T> const& x) { return affine(x, T(-1), T(0)); }
template <class T> Var<T> operator*(std::type_identity_t<T> s, Var<T> const& x) { return affine(x, s, T(0)); }
template <class T> Var<T> operator*(Var<T> const& x, std::type_identity_t<T> s) { return affine(x, s, T(0)); }
template <class T> Var<T> operator/(Var<T> const& x, std::type_identity_t<T> s) { return affine(x, T(1) / s, T(0)); }
template <class T> Var<T> operator/(std::type_identity_t<T> s, Var<T> const& x) { return Var<T>(full<T>({}, s, x.device())) / x; }
template <class T> Var<T> operator+(Var<T> const& x, std::type_identity_t<T> t) { return affine(x, T(1), t); }
template <class T> Var<T> operator+(std::type_identity_t<T> t, Var<T> const& x) { return affine(x, T(1), t); }
template <class T> Var<T> operator-(Var<T> const& x, std::type_identity_t<T> t) { return affine(x, T(1), -t); }
template <class T> Var<T> operator-(std::type_identity_t<T> t, Var<T> const& x) { return affine(x, T(-1), t); }

template <class T> Var<T> square(Var<T> const& x) { return apply(Unary<T, Square>{}, x); }
template <class T> Var<T> sqrt(Var<T> const& x) { return apply(Unary<T, SquareRoot>{}, x); }
/// 1 / sqrt(x)
template <class T> Var<T> rsqrt(Var<T> const& x) { return apply(Unary<T, ReciprocalSquareRoot>{}, x); }
template <class T> Var<T> exp(Var<T> const& x) { return apply(Unary<T, Exponential>{}, x); }
template <class T> Var<T> log(Var<T> const& x) { return apply(Unary<T, Logarithm>{}, x); }
template <class T> Var<T> sin(Var<T> const& x) { return apply(Unary<T, Sine>{}, x); }
template <class T> Var<T> cos(Var<T> const& x) { return apply(Unary<T, Cosine>{}, x); }
/// |x|; the derivative at 0 is 0.
template <class T> Var<T> abs(Var<T> const& x) { return apply(Unary<T, Absolute>{}, x); }
/// min(max(x, low), high); passes the gradient at equality.
template <class T> Var<T> clamp(Var<T> const& x, std::type_identity_t<T> low, std::type_identity_t<T> high) {
  return apply(Unary<T, Clamp<T>>{{low, high}}, x);
}

// ---- sums that need arithmetic or shapes ----------------------------------------------------------------------------
template <class T> Var<T> sum(Var<T> const& x, int axis, bool keep) {
  int const a = axis < 0 ? axis + x.rank() : axis;
  check(a >= 0 && a < x.rank(), "sum: axis ", axis, " does not exist in ", x.shape());
  Var<T> y = sum_to(x, x.shape().with(a, 1));
  if (keep) return y;
  Shape s;
  for (int i = 0; i < x.rank(); ++i)
    if (i != a) s.append(x.dim(i));
  return reshape(y, s);
}
template <class T> Var<T> mean(Var<T> const& x) {
  check(x.size() > 0, "mean: no elements in ", x.shape());
  return sum(x) / T(x.size());
}
template <class T> Var<T> mean(Var<T> const& x, int axis, bool keep) {
  check(x.dim(axis) > 0, "mean: no elements along axis ", axis, " of ", x.shape());
  return sum(x, axis, keep) / T(x.dim(axis));
}

#if RIG_EXTERN_TEMPLATES || defined(RIG_SOURCE)
#if defined(RIG_SOURCE)
#define RIG_ARITHMETIC_EXTERN
#else
#define RIG_ARITHMETIC_EXTERN extern
#endif
#define RIG_FUNCTOR_OP(Kind, T, ...)                          \
  RIG_ARITHMETIC_EXTERN template struct Kind<T, __VA_ARGS__>; \
  RIG_ARITHMETIC_EXTERN template class detail::Call<Kind<T, __VA_ARGS__>>;
#define RIG_FUNCTORS(T)                          \
  RIG_FUNCTOR_OP(Binary, T, Plus)                \
  RIG_FUNCTOR_OP(Binary, T, Minus)               \
  RIG_FUNCTOR_OP(Binary, T, Times)               \
  RIG_FUNCTOR_OP(Binary, T, Over)                \
  RIG_FUNCTOR_OP(Unary, T, Affine<T>)            \
  RIG_FUNCTOR_OP(Unary, T, Square)               \
  RIG_FUNCTOR_OP(Unary, T, SquareRoot)           \
  RIG_FUNCTOR_OP(Unary, T, ReciprocalSquareRoot) \
  RIG_FUNCTOR_OP(Unary, T, Exponential)          \
  RIG_FUNCTOR_OP(Unary, T, Logarithm)            \
  RIG_FUNCTOR_OP(Unary, T, Sine)                 \
  RIG_FUNCTOR_OP(Unary, T, Cosine)               \
  RIG_FUNCTOR_OP(Unary, T, Sign)                 \
  RIG_FUNCTOR_OP(Unary, T, Absolute)             \
  RIG_FUNCTOR_OP(Unary, T, Inside<T>)            \
  RIG_FUNCTOR_OP(Unary, T, Clamp<T>)
RIG_FUNCTORS(float)
RIG_FUNCTORS(double)
#undef RIG_FUNCTORS
#undef RIG_FUNCTOR_OP
#undef RIG_ARITHMETIC_EXTERN
#endif

}  // namespace rig::inline RIG_ABI
