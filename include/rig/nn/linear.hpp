// Dense layers. Linear is the plain one; EqualLinear is the one of the StyleGAN family, whose stored weight is multiplied
// by a constant at run time (equalized learning rate, Karras et al. 2018).
#pragma once
#include <cmath>

#include "rig/core/random.hpp"
#include "rig/nn/module.hpp"
#include "rig/ops/activation.hpp"
#include "rig/ops/matmul.hpp"

namespace rig::inline RIG_ABI::nn {

struct LinearOptions {
  std::int64_t in = 0, out = 0;
  bool bias = true;
  double scale = 1;  ///< times the initial deviation sqrt(2 / in) of He et al. 2015; 0 starts with a zero weight
};

/// y [n, out] = x [n, in] weight^T + bias. Any order.
template <class T> struct Linear {
  LinearOptions options;
  Param<T> weight, bias;

  Linear() = default;
  Linear(LinearOptions o, Rng& rng, Device device = {}) : options(o) {
    check(o.in > 0 && o.out > 0, "Linear: in and out must be positive, got ", o.in, " and ", o.out);
    weight = Param<T>(randn<T>({o.out, o.in}, rng, device, T(o.scale * std::sqrt(2.0 / double(o.in)))));
    if (o.bias) bias = Param<T>(zeros<T>({o.out}, device));
  }
  Var<T> operator()(Var<T> const& x) const {
    check(x.rank() == 2 && x.dim(1) == weight.dim(1), "Linear: x must be [n, ", weight.dim(1), "], got ", x.shape());
    Var<T> y = matmul(x, weight, {.b = true});
    return bias ? y + bias : y;
  }
  void visit(auto&& f) {
    f("weight", weight);
    if (bias) f("bias", bias);
  }
};

struct EqualLinearOptions {
  std::int64_t in = 0, out = 0;
  Activation activation = Activation::linear;
  double lr_multiplier = 1;
  double bias = 0;  ///< initial bias, before bias_gain
};

/// bias_act(x (w weight_gain)^T, b bias_gain, activation, act_gain). x [n, in], w [out, in], b [out] or empty; act_gain -1: the
/// activation's default. Orders as in bias_act.
template <class T>
Var<T> dense(Var<T> const& x, Var<T> const& w, Var<T> const& b, Activation activation, double weight_gain, double bias_gain,
             double act_gain = -1) {
  Var<T> const y = matmul(weight_gain == 1 ? x : T(weight_gain) * x, w, {.b = true});
  if (!b && activation == Activation::linear && (act_gain == -1 || act_gain == 1)) return y;
  return bias_act(y, b && bias_gain != 1 ? T(bias_gain) * b : b, {.activation = activation, .gain = act_gain});
}

/// The layer of dense(). The gains are members because a file may carry other values than the formulas give.
template <class T> struct EqualLinear {
  Activation activation = Activation::linear;
  double weight_gain = 1, bias_gain = 1;
  double act_gain = -1;  ///< -1: the activation's default; 1 in StyleGAN1, whose weight_gain holds the root of 2
  Param<T> weight, bias;

  EqualLinear() = default;
  EqualLinear(EqualLinearOptions o, Rng& rng, Device device = {})
      : activation(o.activation), weight_gain(o.lr_multiplier / std::sqrt(double(o.in))), bias_gain(o.lr_multiplier) {
    check(o.in > 0 && o.out > 0, "EqualLinear: in and out must be positive, got ", o.in, " and ", o.out);
    weight = Param<T>(randn<T>({o.out, o.in}, rng, device, T(1 / o.lr_multiplier)));
    bias = Param<T>(full<T>({o.out}, T(o.bias), device));
  }
  std::int64_t in() const { return weight.dim(1); }
  std::int64_t out() const { return weight.dim(0); }

  Var<T> operator()(Var<T> const& x) const {
    check(x.rank() == 2 && x.dim(1) == in(), "EqualLinear: x must be [n, ", in(), "], got ", x.shape());
    return dense<T>(x, weight, bias, activation, weight_gain, bias_gain, act_gain);
  }
  void visit(auto&& f) {
    f("weight", weight);
    if (bias) f("bias", bias);
  }
};

}  // namespace rig::inline RIG_ABI::nn
