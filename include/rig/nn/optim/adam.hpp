// Adam (Kingma and Ba 2015), with decoupled weight decay (Loshchilov and Hutter 2019) when asked for.
#pragma once
#include "rig/nn/optim/sgd.hpp"

namespace rig::inline RIG_ABI::nn {

struct AdamOptions {
  double rate = 1e-3;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double decay = 0;  ///< each step also multiplies the parameters by 1 - rate * decay
};

namespace detail {
template <class T> struct AdamKernel {
  T *p, *m, *v;
  T const* g;
  T step, beta1, beta2, correction2, epsilon, keep;
  RIG_HD void operator()(std::int64_t i) const {
    T const a = m[i] = beta1 * m[i] + (T(1) - beta1) * g[i];
    T const b = v[i] = beta2 * v[i] + (T(1) - beta2) * g[i] * g[i];
    p[i] = keep * p[i] - step * a / (std::sqrt(b) / correction2 + epsilon);
  }
};
}  // namespace detail

/// m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
/// A parameter without a gradient is left alone and does not count the step.
template <class T> struct Adam {
  struct State {
    std::string name;
    std::int64_t steps = 0;
    Tensor<T> first, second;
    static State zero(std::string const& n, Tensor<T> const& p) {
      return {n, 0, zeros<T>(p.shape(), p.device()), zeros<T>(p.shape(), p.device())};
    }
    Shape const& shape() const { return first.shape(); }
    void visit(auto&& f) { f("steps", steps), f("first", first), f("second", second); }
  };
  double rate, beta1, beta2, epsilon, decay;
  std::vector<State> states;

  explicit Adam(AdamOptions o = {}) : rate(o.rate), beta1(o.beta1), beta2(o.beta2), epsilon(o.epsilon), decay(o.decay) {}
  /// Makes the state of a module, so that it can be loaded before the first step.
  template <class M> void prepare(M& module) {
    detail::with_states<T>("Adam", states, module, [](Param<T>&, State&) {});
  }
  /// Uses up the gradients.
  template <class M> void step(M& module) {
    detail::with_states<T>("Adam", states, module, [&](Param<T>& p, State& s) {
      Tensor<T> const g = p.gradient();
      if (!g) return;
      ++s.steps;
      double const c1 = 1 - std::pow(beta1, double(s.steps)), c2 = std::sqrt(1 - std::pow(beta2, double(s.steps)));
      for_each(g.device(), g.size(),
               detail::AdamKernel<T>{p.tensor().mutate(), s.first.mutate(), s.second.mutate(), g.data(), T(rate / c1), T(beta1), T(beta2),
                                     T(c2), T(epsilon), T(1 - rate * decay)});
      p.gradient() = {};
    });
  }
  void visit(auto&& f) {
    for (auto& s : states) f(s.name.c_str(), s);
  }
};

}  // namespace rig::inline RIG_ABI::nn
