// Gradient descent with momentum, and what all optimisers share: clipping by the global norm, learning rate schedules.
// An optimiser is a struct with a mutable `rate` and step(module): it uses up the gradients that Tape::backward left,
// changes the parameters in place and keeps its state by the parameter's name, so that visit() can save it.
#pragma once
#include <cmath>

#include "rig/nn/module.hpp"
#include "rig/nn/optim/cuda/fused.hpp"
#include "rig/ops/arithmetic.hpp"

namespace rig::inline RIG_ABI::nn {

namespace detail {
template <class T> struct ScaleKernel {
  T* y;
  T const* x;
  T s;
  RIG_HD void operator()(std::int64_t i) const { y[i] = s * x[i]; }
};
// NaN becomes 0, infinities the largest value allowed.
template <class T> struct FiniteKernel {
  T* y;
  T const* x;
  T limit;
  RIG_HD void operator()(std::int64_t i) const {
    T const v = x[i], zero = v - v;  // NaN for an infinity
    y[i] = v != v ? T(0) : zero == T(0) ? v : v > 0 ? limit : -limit;
  }
};

/// Calls f(parameter, its state) for each parameter that has a gradient; makes missing states with `make`. `list` is in
/// visit order; a module whose parameters do not match the list is refused.
template <class T, class State, class M, class F> void with_states(char const* op, std::vector<State>& list, M& module, F&& f) {
  if (list.empty()) parameters(module, [&](std::string const& name, Param<T>& p) { list.push_back(State::zero(name, p.tensor())); });
  std::size_t i = 0;
  parameters(module, [&](std::string const& name, Param<T>& p) {
    check(i < list.size() && list[i].name == name && list[i].shape() == p.shape(), op, ": the state was made for another module; it has ",
          i < list.size() ? str(list[i].name, " ", list[i].shape()) : std::string("nothing"), " where this one has ", name, " ", p.shape());
    f(p, list[i++]);
  });
  check(i == list.size(), op, ": the state was made for another module: it has ", list.size(), " parameters, this one ", i);
}

/// Options that would end in weights that are no numbers: a rate that is negative or not finite, and a share of the past (momentum,
/// beta, rho) outside [0, 1).
inline void check_rate(char const* op, double rate) {
  check(rate >= 0 && std::isfinite(rate), op, ": the rate must be finite and not negative, got ", rate);
}
inline void check_share(char const* op, char const* name, double share) {
  check(share >= 0 && share < 1, op, ": ", name, " must be at least 0 and less than 1, got ", share);
}
}  // namespace detail

/// Square root of the sum of squares of all gradients. One number for the module, in a fixed order of addition.
template <class M> double gradient_norm(M& module) {
  double total = 0;
  parameters(module, [&]<class T>(std::string const&, Param<T>& p) {
    if (p.gradient()) total += double(sum(square(Var<T>(p.gradient()))).item());
  });
  return std::sqrt(total);
}

/// Scales all gradients so that their norm is at most `largest`; returns the norm before. A norm that is not finite clears them.
template <class M> double clip_gradients(M& module, double largest) {
  double const norm = gradient_norm(module);
  if (!std::isfinite(norm)) {
    clear_gradients(module);
  } else if (norm > largest) {
    parameters(module, [&]<class T>(std::string const&, Param<T>& p) {
      if (!p.gradient()) return;
      Tensor<T> g = like(p.gradient());  // not in place: two parameters may share one gradient
      for_each(g.device(), g.size(), detail::ScaleKernel<T>{g.mutate(), p.gradient().data(), T(largest / norm)});
      p.gradient() = g;
    });
  }
  return norm;
}

/// The factor [] that brings the norm of all gradients down to `largest`, 1 if it is not above it, NaN if it is not finite: what
/// the optimisers' step(module, factor) takes. Like clip_gradients, but the number stays on the device and nobody waits for it.
template <class T, class M> Tensor<T> gradient_factor(M& module, double largest) {
  std::vector<Tensor<T>> gradients;
  parameters(module, [&](std::string const&, Param<T>& p) {
    if (p.gradient()) gradients.push_back(p.gradient());
  });
  check(!gradients.empty(), "gradient_factor: no parameter has a gradient");
  Device const device = gradients[0].device();
  Tensor<T> factor(Shape{}, device);
#if RIG_GPU
  if (!device.is_cpu()) {
    std::vector<detail::TensorArrays<T>> list;
    std::int64_t blocks = 0;
    for (auto const& g : gradients) {
      list.push_back({nullptr, nullptr, nullptr, g.data(), g.size(), 0});
      blocks += (g.size() + 4095) / 4096;
    }
    Tensor<double> sums({blocks}, device);
    device.queue().enter("gradient_factor");
    int const count = detail::fused(device, list, detail::SquareSumStep<T>{sums.mutate(), 0});
    launch(device, {1, 1, 1}, detail::GradientFactorKernel<T>{sums.data(), count, largest, factor.mutate()});
    return factor;
  }
#endif
  double const norm = gradient_norm(module);
  *factor.mutate() = norm - norm != 0 ? T(norm - norm) : norm > largest ? T(largest / norm) : T(1);
  return factor;
}

/// NaN to 0 and infinities to +-limit, as StyleGAN's training does before each step.
template <class M> void sanitize_gradients(M& module, double limit = 1e5) {
  parameters(module, [&]<class T>(std::string const&, Param<T>& p) {
    if (!p.gradient()) return;
    Tensor<T> g = like(p.gradient());
    for_each(g.device(), g.size(), detail::FiniteKernel<T>{g.mutate(), p.gradient().data(), T(limit)});
    p.gradient() = g;
  });
}

/// From `high` at step 0 down to `low` at step `total` along half a cosine (Loshchilov and Hutter 2017); `low` afterwards.
/// During the first `warmup` steps it rises linearly to `high`.
inline double cosine_rate(std::int64_t step, std::int64_t total, double high, double low = 0, std::int64_t warmup = 0) {
  check(total > warmup && warmup >= 0, "cosine_rate: total must be larger than warmup, got ", total, " and ", warmup);
  if (step < warmup) return high * double(step + 1) / double(warmup);
  double const t = double(step - warmup) / double(total - warmup);
  return t >= 1 ? low : low + (high - low) * 0.5 * (1 + std::cos(3.141592653589793 * t));
}

struct SgdOptions {
  double rate = 0.01;
  double momentum = 0;
};

namespace detail {
template <class T> struct SgdKernel {
  T* p;
  T* v;  // velocity, or null
  T const* g;
  T rate, momentum;
  RIG_HD void operator()(std::int64_t i) const {
    T s = g[i];
    if (v) s = v[i] = momentum * v[i] + s;
    p[i] -= rate * s;
  }
};
}  // namespace detail

/// v <- momentum v + g; p <- p - rate v.
template <class T> struct Sgd {
  struct State {
    std::string name;
    Tensor<T> velocity;
    static State zero(std::string const& n, Tensor<T> const& p) { return {n, zeros<T>(p.shape(), p.device())}; }
    Shape const& shape() const { return velocity.shape(); }
    void visit(auto&& f) { f("velocity", velocity); }
  };
  double rate, momentum;
  std::vector<State> states;

  explicit Sgd(SgdOptions o = {}) : rate(o.rate), momentum(o.momentum) {
    detail::check_rate("Sgd", rate);
    detail::check_share("Sgd", "momentum", momentum);
  }
  /// Makes the state of a module, so that it can be loaded before the first step.
  template <class M> void prepare(M& module) {
    if (momentum != 0) detail::with_states<T>("Sgd", states, module, [](Param<T>&, State&) {});
  }
  template <class M> void step(M& module) {
    if (momentum != 0)
      detail::with_states<T>("Sgd", states, module, [&](Param<T>& p, State& s) { update(p, s.velocity); });
    else
      parameters(module, [&](std::string const&, Param<T>& p) { update(p, {}); });
  }
  void visit(auto&& f) {
    for (auto& s : states) f(s.name.c_str(), s);
  }

 private:
  void update(Param<T>& p, Tensor<T> velocity) const {
    Tensor<T> const g = p.gradient();
    if (!g) return;
    for_each(g.device(), g.size(),
             detail::SgdKernel<T>{p.tensor().mutate(), velocity ? velocity.mutate() : nullptr, g.data(), T(rate), T(momentum)});
    p.gradient() = {};
  }
};

}  // namespace rig::inline RIG_ABI::nn
