// Adam (Kingma and Ba 2015), with decoupled weight decay (Loshchilov and Hutter 2019) when asked for.
#pragma once
#include <utility>

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
  T step, correction2, keep, factor, beta1, beta2, epsilon;
  RIG_HD void operator()(std::int64_t i) const {
    T const gi = factor * g[i];
    T const a = m[i] = beta1 * m[i] + (T(1) - beta1) * gi;
    T const b = v[i] = beta2 * v[i] + (T(1) - beta2) * gi * gi;
    p[i] = keep * p[i] - step * a / (std::sqrt(b) / correction2 + epsilon);
  }
};
#if RIG_GPU
template <class T> struct MakeAdam {
  T const *schedule, *factor;  // three numbers a parameter; one, or null
  T beta1, beta2, epsilon;
  RIG_DEVICE bool stays() const { return factor && *factor != *factor; }
  RIG_DEVICE AdamKernel<T> operator()(TensorArrays<T> const& x) const {
    T const* const s = schedule + 3 * x.index;
    return {x.a, x.b, x.c, x.g, s[0], s[1], s[2], factor ? *factor : T(1), beta1, beta2, epsilon};
  }
};
#endif
}  // namespace detail

/// m <- b1 m + (1 - b1) g, v <- b2 v + (1 - b2) g^2, p <- p - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps).
/// A parameter without a gradient is left alone and does not count the step. On a GPU a step is one launch, and the numbers that
/// change from step to step lie in the device's memory, so that captured work can be done again with the next ones.
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

  explicit Adam(AdamOptions o = {}) : rate(o.rate), beta1(o.beta1), beta2(o.beta2), epsilon(o.epsilon), decay(o.decay) {
    detail::check_rate("Adam", rate);
    detail::check_share("Adam", "beta1", beta1), detail::check_share("Adam", "beta2", beta2);
    check(epsilon >= 0 && decay >= 0, "Adam: epsilon and decay must not be negative, got ", epsilon, " and ", decay);
  }
  /// Makes the state of a module, so that it can be loaded before the first step.
  template <class M> void prepare(M& module) {
    detail::with_states<T>("Adam", states, module, [](Param<T>&, State&) {});
  }
  /// Before work that ends in step() and may be captured: counts the step and sends its numbers to the device. Without it step()
  /// does so itself. Nothing on the CPU.
  template <class M> void announce(M& module) {
    prepare(module);
    if (states.empty() || states[0].first.device().is_cpu()) return;
    if (moved_.size() != states.size()) moved_.assign(states.size(), 1);
    std::vector<T> numbers(3 * states.size(), T(1));
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (!moved_[i]) continue;
      ++states[i].steps;
      Numbers const n = numbers_of(states[i]);
      numbers[3 * i] = n.step, numbers[3 * i + 1] = n.correction2, numbers[3 * i + 2] = n.keep;
    }
    Shape const shape{std::int64_t(states.size()), 3};
    if (!schedule_ || schedule_.shape() != shape) schedule_ = Tensor<T>(shape, states[0].first.device());
    schedule_.device().queue().upload(schedule_.mutate(), numbers.data(), numbers.size() * sizeof(T));
    announced_ = true;
  }
  /// After announced work that was captured in vain: the step does not count, and gradients that are left are dropped.
  template <class M> void withdraw(M& module) {
    clear_gradients(module);
    for (std::size_t i = 0; i < moved_.size(); ++i) states[i].steps -= moved_[i];
    announced_ = false;
  }
  /// Uses up the gradients, each times `factor` [] if given (see gradient_factor); a factor that is NaN leaves everything as it is.
  template <class M> void step(M& module, Tensor<T> const& factor = {}) {
    prepare(module);
    if (!states.empty() && !states[0].first.device().is_cpu()) return step_on_device(module, factor);
    T const k = factor ? factor.item() : T(1);
    detail::with_states<T>("Adam", states, module, [&](Param<T>& p, State& s) {
      Tensor<T> const g = std::exchange(p.gradient(), {});
      if (!g || k != k) return;
      ++s.steps;
      Numbers const n = numbers_of(s);
      for_each(g.device(), g.size(),
               detail::AdamKernel<T>{p.tensor().mutate(), s.first.mutate(), s.second.mutate(), g.data(), n.step, n.correction2, n.keep, k,
                                     T(beta1), T(beta2), T(epsilon)});
    });
  }
  void visit(auto&& f) {
    for (auto& s : states) f(s.name.c_str(), s);
  }

 private:
  struct Numbers {
    T step, correction2, keep;
  };
  Numbers numbers_of(State const& s) const {
    double const c1 = 1 - std::pow(beta1, double(s.steps)), c2 = std::sqrt(1 - std::pow(beta2, double(s.steps)));
    return {T(rate / c1), T(c2), T(1 - rate * decay)};
  }
  template <class M> void step_on_device([[maybe_unused]] M& module, [[maybe_unused]] Tensor<T> const& factor) {
#if RIG_GPU
    std::vector<char> moved;
    parameters(module, [&](std::string const&, Param<T>& p) { moved.push_back(bool(p.gradient())); });
    if (announced_ && moved != moved_)  // announced for more parameters than have a gradient
      for (std::size_t i = 0; i < states.size(); ++i) states[i].steps -= moved_[i], announced_ = false;
    moved_ = moved;
    if (!announced_) announce(module);
    announced_ = false;
    std::vector<Tensor<T>> gradients;  // kept until the launch
    std::vector<detail::TensorArrays<T>> list;
    int i = 0;
    detail::with_states<T>("Adam", states, module, [&](Param<T>& p, State& s) {
      gradients.push_back(std::exchange(p.gradient(), {}));
      Tensor<T> const& g = gradients.back();
      if (g) list.push_back({p.tensor().mutate(), s.first.mutate(), s.second.mutate(), g.data(), g.size(), i});
      ++i;
    });
    schedule_.device().queue().enter("Adam");
    using Make = detail::MakeAdam<T>;
    detail::fused(schedule_.device(), list,
                  detail::ElementStep<T, Make>{{schedule_.data(), factor.data(), T(beta1), T(beta2), T(epsilon)}, 0});
#endif
  }
  Tensor<T> schedule_;       // [parameters, 3], on the device
  std::vector<char> moved_;  // which parameters the last step moved
  bool announced_ = false;
};

}  // namespace rig::inline RIG_ABI::nn
