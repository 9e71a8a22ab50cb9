// AdaDelta (Zeiler 2012) with a learning rate in front, as StyleRig was trained.
#pragma once
#include "rig/nn/optim/sgd.hpp"

namespace rig::inline RIG_ABI::nn {

struct AdaDeltaOptions {
  double rate = 0.01;
  double rho = 0.95;
  double epsilon = 1e-8;  ///< sets the speed: under a steady gradient step t is about rate sqrt(epsilon (1 + (1 - rho) t))
};

namespace detail {
template <class T> struct AdaDeltaKernel {
  T *p, *a, *b;
  T const* g;
  T rate, rho, epsilon;
  RIG_HD void operator()(std::int64_t i) const {
    T const square = a[i] = rho * a[i] + (T(1) - rho) * g[i] * g[i];
    T const s = std::sqrt(b[i] + epsilon) / std::sqrt(square + epsilon) * g[i];
    b[i] = rho * b[i] + (T(1) - rho) * s * s;
    p[i] -= rate * s;
  }
};
}  // namespace detail

/// a <- rho a + (1 - rho) g^2; s = sqrt(b + eps) / sqrt(a + eps) g; b <- rho b + (1 - rho) s^2; p <- p - rate s.
template <class T> struct AdaDelta {
  struct State {
    std::string name;
    Tensor<T> gradients, steps;  // running means of squares
    static State zero(std::string const& n, Tensor<T> const& p) {
      return {n, zeros<T>(p.shape(), p.device()), zeros<T>(p.shape(), p.device())};
    }
    Shape const& shape() const { return gradients.shape(); }
    void visit(auto&& f) { f("gradients", gradients), f("steps", steps); }
  };
  double rate, rho, epsilon;
  std::vector<State> states;

  explicit AdaDelta(AdaDeltaOptions o = {}) : rate(o.rate), rho(o.rho), epsilon(o.epsilon) {}
  /// Makes the state of a module, so that it can be loaded before the first step.
  template <class M> void prepare(M& module) {
    detail::with_states<T>("AdaDelta", states, module, [](Param<T>&, State&) {});
  }
  /// Uses up the gradients.
  template <class M> void step(M& module) {
    detail::with_states<T>("AdaDelta", states, module, [&](Param<T>& p, State& s) {
      Tensor<T> const g = p.gradient();
      if (!g) return;
      for_each(
          g.device(), g.size(),
          detail::AdaDeltaKernel<T>{p.tensor().mutate(), s.gradients.mutate(), s.steps.mutate(), g.data(), T(rate), T(rho), T(epsilon)});
      p.gradient() = {};
    });
  }
  void visit(auto&& f) {
    for (auto& s : states) f(s.name.c_str(), s);
  }
};

}  // namespace rig::inline RIG_ABI::nn
