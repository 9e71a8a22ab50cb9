// AdaDelta (Zeiler 2012) with a learning rate in front, as StyleRig was trained.
#pragma once
#include <utility>

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
  T rate, rho, epsilon, factor;
  RIG_HD void operator()(std::int64_t i) const {
    T const gi = factor * g[i];
    T const square = a[i] = rho * a[i] + (T(1) - rho) * gi * gi;
    T const s = std::sqrt(b[i] + epsilon) / std::sqrt(square + epsilon) * gi;
    b[i] = rho * b[i] + (T(1) - rho) * s * s;
    p[i] -= rate * s;
  }
};
#if RIG_GPU
template <class T> struct MakeAdaDelta {
  T const* factor;  // or null
  T rate, rho, epsilon;
  RIG_DEVICE bool stays() const { return factor && *factor != *factor; }
  RIG_DEVICE AdaDeltaKernel<T> operator()(TensorArrays<T> const& x) const {
    return {x.a, x.b, x.c, x.g, rate, rho, epsilon, factor ? *factor : T(1)};
  }
};
#endif
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

  explicit AdaDelta(AdaDeltaOptions o = {}) : rate(o.rate), rho(o.rho), epsilon(o.epsilon) {
    detail::check_rate("AdaDelta", rate);
    detail::check_share("AdaDelta", "rho", rho);
    check(epsilon > 0, "AdaDelta: epsilon must be positive, or nothing moves, got ", epsilon);
  }
  /// Makes the state of a module, so that it can be loaded before the first step.
  template <class M> void prepare(M& module) {
    detail::with_states<T>("AdaDelta", states, module, [](Param<T>&, State&) {});
  }
  /// Uses up the gradients, each times `factor` [] if given (see gradient_factor); a factor that is NaN leaves everything as it is.
  /// On a GPU a step is one launch.
  template <class M> void step(M& module, Tensor<T> const& factor = {}) {
    prepare(module);
#if RIG_GPU
    if (!states.empty() && !states[0].steps.device().is_cpu()) return step_on_device(module, factor);
#endif
    T const k = factor ? factor.item() : T(1);
    detail::with_states<T>("AdaDelta", states, module, [&](Param<T>& p, State& s) {
      Tensor<T> const g = std::exchange(p.gradient(), {});
      if (!g || k != k) return;
      for_each(
          g.device(), g.size(),
          detail::AdaDeltaKernel<T>{p.tensor().mutate(), s.gradients.mutate(), s.steps.mutate(), g.data(), T(rate), T(rho), T(epsilon), k});
    });
  }
  void visit(auto&& f) {
    for (auto& s : states) f(s.name.c_str(), s);
  }

 private:
#if RIG_GPU
  template <class M> void step_on_device(M& module, Tensor<T> const& factor) {
    Device const device = states[0].steps.device();
    std::vector<Tensor<T>> gradients;  // kept until the launch
    std::vector<detail::TensorArrays<T>> list;
    detail::with_states<T>("AdaDelta", states, module, [&](Param<T>& p, State& s) {
      gradients.push_back(std::exchange(p.gradient(), {}));
      Tensor<T> const& g = gradients.back();
      if (g) list.push_back({p.tensor().mutate(), s.gradients.mutate(), s.steps.mutate(), g.data(), g.size(), 0});
    });
    device.queue().enter("AdaDelta");
    using Make = detail::MakeAdaDelta<T>;
    detail::fused(device, list, detail::ElementStep<T, Make>{{factor.data(), T(rate), T(rho), T(epsilon)}, 0});
  }
#endif
};

}  // namespace rig::inline RIG_ABI::nn
