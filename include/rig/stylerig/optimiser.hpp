// The two optimisers of the presets behind one step(): AdaDelta as StyleRig was trained, and Adam with a cosine rate and a
// bound on the gradient's norm.
#pragma once
#include <string_view>

#include "rig/nn/optim/adadelta.hpp"
#include "rig/nn/optim/adam.hpp"

namespace rig::inline RIG_ABI::stylerig {

enum class OptimiserKind { adam, adadelta };

struct OptimiserOptions {
  OptimiserKind kind = OptimiserKind::adam;
  double rate = 1e-3;
  double final_rate = 1e-5;  ///< Adam: at the last step, along a cosine
  double clip = 1;           ///< Adam: largest gradient norm; 0: none
  double rho = 0.95;         ///< AdaDelta
  double epsilon = 1e-8;     ///< AdaDelta
  /// StyleRig's: AdaDelta with rate 0.01.
  static OptimiserOptions adadelta() { return {.kind = OptimiserKind::adadelta, .rate = 0.01, .final_rate = 0.01, .clip = 0}; }
  static OptimiserOptions adam(double rate, double final_rate, double clip) {
    return {.kind = OptimiserKind::adam, .rate = rate, .final_rate = final_rate, .clip = clip};
  }
  void visit(auto&& f) {
    f("kind", kind), f("rate", rate), f("final_rate", final_rate), f("clip", clip), f("rho", rho), f("epsilon", epsilon);
  }
};

struct Optimiser {
  OptimiserOptions options;
  nn::Adam<float> adam;
  nn::AdaDelta<float> adadelta;

  explicit Optimiser(OptimiserOptions o) : options(o), adadelta({.rate = o.rate, .rho = o.rho, .epsilon = o.epsilon}) {}
  template <class M> void prepare(M& module) { options.kind == OptimiserKind::adam ? adam.prepare(module) : adadelta.prepare(module); }
  /// Before the work that ends in step(): what it needs to know of the number of the step, from 0.
  template <class M> void announce(M& module, std::int64_t step, std::int64_t total) {
    if (options.kind == OptimiserKind::adadelta) return;
    adam.rate = nn::cosine_rate(step, total, options.rate, options.final_rate);
    adam.announce(module);
  }
  /// After announced work that was captured in vain.
  template <class M> void withdraw(M& module) { adam.withdraw(module); }
  /// Uses up the gradients. Gradients whose norm is not finite change nothing.
  template <class M> void step(M& module) {
    Tensor<float> const factor = options.clip > 0 ? nn::gradient_factor<float>(module, options.clip) : Tensor<float>{};
    options.kind == OptimiserKind::adam ? adam.step(module, factor) : adadelta.step(module, factor);
  }
  void visit(auto&& f) { f("adam", adam), f("adadelta", adadelta); }
};

}  // namespace rig::inline RIG_ABI::stylerig
