// Activations, alone and fused with bias, gain and clamp (bias_act). Every activation states its derivatives up to the
// third; the k-th derivative is itself an op, so everything here can be differentiated again.
#pragma once
#include "rig/ops/arithmetic.hpp"
#include "rig/ops/cuda/activation.hpp"

namespace rig::inline RIG_ABI {

/// Numbered as in StyleGAN's bias_act.
enum class Activation { linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus, swish };

inline char const* to_string(Activation a) {
  constexpr char const* names[] = {"linear", "relu", "lrelu", "tanh", "sigmoid", "elu", "selu", "softplus", "swish"};
  return names[int(a)];
}
/// Throws with the list of names if there is no such activation.
inline Activation activation_from_name(std::string_view name) {
  for (int i = 0; i <= int(Activation::swish); ++i)
    if (name == to_string(Activation(i))) return Activation(i);
  throw Error(str("activation: expected linear, relu, lrelu, tanh, sigmoid, elu, selu, softplus or swish, got '", name, "'"));
}
/// The gain bias_act uses when none is given: sqrt(2) for relu, lrelu and swish, else 1.
inline double default_gain(Activation a) {
  return a == Activation::relu || a == Activation::lrelu || a == Activation::swish ? 1.4142135623730951 : 1.0;
}
/// No curvature anywhere but at the kink.
inline bool piecewise_linear(Activation a) { return a == Activation::linear || a == Activation::relu || a == Activation::lrelu; }

namespace detail {

template <class T> RIG_HD T sigmoid_value(T x) { return T(1) / (T(1) + std::exp(-x)); }

/// k-th derivative of the logistic function, k = 0..3.
template <class T> RIG_HD T sigmoid_derivative(int k, T x) {
  T const s = sigmoid_value(x), d = s * (T(1) - s);
  return k == 0 ? s : k == 1 ? d : k == 2 ? d * (T(1) - 2 * s) : d * (T(1) - 6 * d);
}

/// k-th derivative of an activation, k = 0 being the function. At x = 0 lrelu's slope is alpha and relu's is 0.
template <class T, Activation A> struct ActivationFunction {
  int order;
  T alpha;
  RIG_HD T operator()(T x) const {
    if constexpr (A == Activation::linear) return order == 0 ? x : T(order == 1);
    if constexpr (A == Activation::relu) return x > 0 ? (order == 0 ? x : T(order == 1)) : T(0);
    if constexpr (A == Activation::lrelu) {
      if (order > 1) return T(0);
      T const slope = x > 0 ? T(1) : alpha;
      return order == 0 ? slope * x : slope;
    }
    if constexpr (A == Activation::tanh) {
      T const t = std::tanh(x), d = T(1) - t * t;
      return order == 0 ? t : order == 1 ? d : order == 2 ? -2 * t * d : d * (6 * t * t - 2);
    }
    if constexpr (A == Activation::sigmoid) return sigmoid_derivative(order, x);
    if constexpr (A == Activation::elu) return x > 0 ? (order == 0 ? x : T(order == 1)) : (order == 0 ? std::expm1(x) : std::exp(x));
    if constexpr (A == Activation::selu) {
      T const lambda = T(1.0507009873554805), a = T(1.6732632423543772);
      return lambda * (x > 0 ? (order == 0 ? x : T(order == 1)) : a * (order == 0 ? std::expm1(x) : std::exp(x)));
    }
    if constexpr (A == Activation::softplus)
      return order == 0 ? (x > T(20) ? x : std::log1p(std::exp(x))) : sigmoid_derivative(order - 1, x);
    if constexpr (A == Activation::swish)
      return x * sigmoid_derivative(order, x) + (order > 0 ? T(order) * sigmoid_derivative(order - 1, x) : T(0));
    return x;
  }
};

/// Calls f(ActivationFunction<T, A>) for an activation known at run time.
template <class T, class F> void with_activation(Activation a, int order, T alpha, F&& f) {
  switch (a) {
    case Activation::linear: return f(ActivationFunction<T, Activation::linear>{order, alpha});
    case Activation::relu: return f(ActivationFunction<T, Activation::relu>{order, alpha});
    case Activation::lrelu: return f(ActivationFunction<T, Activation::lrelu>{order, alpha});
    case Activation::tanh: return f(ActivationFunction<T, Activation::tanh>{order, alpha});
    case Activation::sigmoid: return f(ActivationFunction<T, Activation::sigmoid>{order, alpha});
    case Activation::elu: return f(ActivationFunction<T, Activation::elu>{order, alpha});
    case Activation::selu: return f(ActivationFunction<T, Activation::selu>{order, alpha});
    case Activation::softplus: return f(ActivationFunction<T, Activation::softplus>{order, alpha});
    case Activation::swish: return f(ActivationFunction<T, Activation::swish>{order, alpha});
  }
}

/// y = clamp(gain * act(x + bias), -limit, limit); bias may be null.
template <class T, class F> struct BiasActKernel {
  T* y;
  T const *x, *bias;
  std::int64_t c;
  F f;
  T gain, limit;
  RIG_HD void operator()(std::int64_t r, std::int64_t j) const {
    T const v = gain * f(bias ? x[r * c + j] + bias[j] : x[r * c + j]);
    y[r * c + j] = v > limit ? limit : (v < -limit ? -limit : v);
  }
};
/// gx = gy * gain * slope, both read off the output y: its sign and whether it was clamped.
template <class T> struct BiasActSlopeKernel {
  T* gx;
  T const *gy, *y;
  T positive, negative, limit;
  RIG_HD void operator()(std::int64_t i) const {
    T const v = y[i], a = v < 0 ? -v : v;
    gx[i] = a < limit ? gy[i] * (v > 0 ? positive : negative) : T(0);
  }
};

}  // namespace detail

/// The order-th derivative of an activation, as an op.
template <class T> struct Activate {
  using scalar = T;
  static constexpr char const* name = "activate";
  Activation activation;
  T alpha;
  int order = 0;

  Tensor<T> forward(Tensor<T> const& x) const {
    check(order <= 3, to_string(activation), ": derivatives are known up to the third");
    Tensor<T> y = like(x);
    detail::with_activation<T>(activation, order, alpha, [&](auto f) {
#if RIG_GPU
      if constexpr (std::is_same_v<T, float>)
        if (y.device().is_cuda() && detail::each_number(y.device(), y.size(), detail::aligned_for_packs(x.data()),
                                                        detail::UnaryBody<decltype(f)>{y.mutate(), x.data(), f}))
          return;
#endif
      for_each(y.device(), y.size(), detail::UnaryKernel<T, decltype(f)>{y.mutate(), x.data(), f});
    });
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T> x) const {
    if (piecewise_linear(activation) && order >= 1) return {};
    return gy * apply(Activate{activation, alpha, order + 1}, x);
  }
};

/// Multiplies by the slope of a piecewise linear bias_act, which is fixed by its output. Linear in gy.
template <class T> struct BiasActSlope {
  using scalar = T;
  static constexpr char const* name = "bias_act_slope";
  Tensor<T> y;
  T positive, negative, limit;

  Tensor<T> forward(Tensor<T> const& gy) const {
    Tensor<T> gx = like(gy);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (gx.device().is_cuda() &&
          detail::each_number(gx.device(), gx.size(), detail::aligned_for_packs(gy.data(), y.data()),
                              detail::BiasActSlopeBody{gx.mutate(), {gy.data(), y.data(), positive, negative, limit}}))
        return gx;
#endif
    for_each(gx.device(), gx.size(), detail::BiasActSlopeKernel<T>{gx.mutate(), gy.data(), y.data(), positive, negative, limit});
    return gx;
  }
  Var<T> vjp(wrt<0>, Var<T> g, Var<T>, Var<T>) const { return apply(*this, g); }
};

/// The same summed to the last axis [c]: the gradient of the bias. Linear in gy.
template <class T> struct BiasActSlopeSum {
  using scalar = T;
  static constexpr char const* name = "bias_act_slope_sum";
  BiasActSlope<T> slope;

  Tensor<T> forward(Tensor<T> const& gy) const {
    std::int64_t const c = gy.dim(-1);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>) {
      Tensor<T> sum;
      if (gy.device().is_cuda() && gy.size() > 0 &&
          detail::cuda_sum_columns(gy.device(),
                                   detail::SlopeTimesGradient{gy.data(), slope.y.data(), slope.positive, slope.negative, slope.limit},
                                   detail::aligned_for_packs(gy.data(), slope.y.data()), 1, gy.size() / c, c, sum))
        return sum.reshape({c});
    }
#endif
    return SumTo<T>{{c}}.forward(slope.forward(gy));
  }
  Var<T> vjp(wrt<0>, Var<T> g, Var<T>, Var<T> gy) const { return apply(slope, broadcast_to(g, gy.shape())); }
};

struct BiasActOptions {
  Activation activation = Activation::lrelu;
  double alpha = -1;  ///< slope of lrelu for x < 0; -1: 0.2
  double gain = -1;   ///< replaces the default gain of the activation; -1: default_gain()
  double clamp = -1;  ///< largest magnitude of the result; -1: none
};

template <class T> struct BiasAct {
  using scalar = T;
  static constexpr char const* name = "bias_act";
  Activation activation;
  T alpha, gain, limit;

  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& b) const {
    check(x.rank() > 0, name, ": x must have at least one axis");
    std::int64_t const c = x.dim(-1);
    check(!b || b.shape() == Shape{c}, name, ": bias must be [", c, "] to match x ", x.shape(), ", got ", b.shape());
    Tensor<T> y = like(x);
    if (y.size() == 0) return y;
    detail::with_activation<T>(activation, 0, alpha, [&](auto f) {
#if RIG_GPU
      if constexpr (std::is_same_v<T, float>)
        if (y.device().is_cuda() && detail::each_channel(y.device(), 1, y.size() / c, c, detail::aligned_for_packs(x.data(), b.data()),
                                                         detail::NoiseBiasActBody<decltype(f)>{x.data(), nullptr, nullptr, b.data(),
                                                                                               y.mutate(), 0, 0, f, gain, limit}))
          return;
#endif
      for_each(y.device(), y.size() / c, c, detail::BiasActKernel<T, decltype(f)>{y.mutate(), x.data(), b.data(), c, f, gain, limit});
    });
    return y;
  }
  std::array<Var<T>, 2> vjps(std::array<bool, 2> const& wanted, Var<T> gy, Var<T> y, Var<T> x, Var<T> b) const {
    std::array<Var<T>, 2> g;
    if (wanted[0] || !sums_slopes(gy)) g[0] = before_bias(gy, y, x, b);
    if (wanted[1]) g[1] = bias_gradient(gy, y, b, g[0]);
    return g;
  }

  /// The gradient of what the bias is added to, x, and of the sum.
  Var<T> before_bias(Var<T> const& gy, Var<T> const& y, Var<T> const& x, Var<T> const& b) const {
    if (slope_shows()) return apply(slope(y), gy);
    Var<T> const z = b ? x + b : x;
    Var<T> const gx = gain * (gy * apply(Activate<T>{activation, alpha, 1}, z));
    return limit < unlimited()
               ? gx * apply(Unary<T, Inside<T>>{{-limit, limit}}, gain * apply(Activate<T>{activation, alpha, 0}, z.detach()))
               : gx;
  }
  /// The gradient of b, given that of the sum where it is not made from gy and y at once.
  Var<T> bias_gradient(Var<T> const& gy, Var<T> const& y, Var<T> const& b, Var<T> const& gx) const {
    return sums_slopes(gy) ? apply(BiasActSlopeSum<T>{slope(y)}, gy) : sum_to(gx, b.shape());
  }
  /// A device sums slopes on their way; the CPU sums the gradient that it has made for x.
  bool sums_slopes(Var<T> const& gy) const { return slope_shows() && !gy.device().is_cpu(); }

  /// The output tells the slope.
  bool slope_shows() const { return piecewise_linear(activation) && gain > 0 && alpha >= 0; }
  BiasActSlope<T> slope(Var<T> const& y) const { return {y.value(), gain, gain * slope_below_zero(), limit}; }
  /// Of a piecewise linear activation.
  T slope_below_zero() const { return activation == Activation::linear ? T(1) : activation == Activation::relu ? T(0) : alpha; }
  static constexpr T unlimited() { return std::numeric_limits<T>::infinity(); }
};

namespace detail {
template <class T> BiasAct<T> bias_act_of(BiasActOptions const& o) {
  return {o.activation, T(o.alpha < 0 ? 0.2 : o.alpha), T(o.gain == -1 ? default_gain(o.activation) : o.gain),
          o.clamp < 0 ? BiasAct<T>::unlimited() : T(o.clamp)};
}
}  // namespace detail

/// clamp(gain * act(x + b), -c, c) with b [channels] along the last axis (an empty Var: none).
/// Any order for piecewise linear activations, three derivatives for the smooth ones. StyleGAN2's bias_act.
template <class T> Var<T> bias_act(Var<T> const& x, Var<T> const& b, BiasActOptions o = {}) {
  return apply(detail::bias_act_of<T>(o), x, b);
}
template <class T> Var<T> bias_act(Var<T> const& x, Param<T> const& b, BiasActOptions o = {}) {
  return bias_act(x, static_cast<Var<T> const&>(b), o);
}

/// An activation alone, without gain. Three derivatives.
template <class T> Var<T> activate(Var<T> const& x, Activation a, double alpha = 0.2) { return apply(Activate<T>{a, T(alpha), 0}, x); }
template <class T> Var<T> relu(Var<T> const& x) { return activate(x, Activation::relu); }
template <class T> Var<T> lrelu(Var<T> const& x, double alpha = 0.2) { return activate(x, Activation::lrelu, alpha); }
template <class T> Var<T> tanh(Var<T> const& x) { return activate(x, Activation::tanh); }
template <class T> Var<T> sigmoid(Var<T> const& x) { return activate(x, Activation::sigmoid); }
template <class T> Var<T> elu(Var<T> const& x) { return activate(x, Activation::elu); }
template <class T> Var<T> selu(Var<T> const& x) { return activate(x, Activation::selu); }
template <class T> Var<T> softplus(Var<T> const& x) { return activate(x, Activation::softplus); }
template <class T> Var<T> swish(Var<T> const& x) { return activate(x, Activation::swish); }

#if RIG_EXTERN_TEMPLATES
RIG_OP(Activate)
RIG_OP(BiasActSlope)
RIG_OP(BiasActSlopeSum)
RIG_OP(BiasAct)
#endif

}  // namespace rig::inline RIG_ABI
