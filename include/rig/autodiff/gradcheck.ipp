#pragma once
#include "rig/autodiff/gradcheck.hpp"

namespace rig::inline RIG_ABI {
namespace detail {

using HostGradients = std::vector<std::vector<double>>;

inline double dot(Tensor<double> const& a, Tensor<double> const& b) {
  std::vector<double> const x = a.host(), y = b.host();
  double s = 0;
  for (std::size_t i = 0; i < x.size(); ++i) s += x[i] * y[i];
  return s;
}

// The number that is differentiated: f(x) . r, or for order 2 the sum over inputs of (its gradient) . v_i, and, if asked
// for, its gradients by the rules. Weights come from the seed alone, so every evaluation uses the same ones.
inline double gradcheck_value(GradcheckFunction const& f, std::vector<Tensor<double>> const& inputs, GradcheckOptions const& o,
                              HostGradients* gradients) {
  Tape tape;
  std::vector<Var<double>> x;
  for (auto const& t : inputs) x.push_back(tape.watch(t));
  Rng rng(o.seed);
  Var<double> const y = f(x);
  Tensor<double> const r = randn<double>(y.shape(), rng, y.device());

  auto add = [&](std::vector<Var<double>> const& g) {
    for (std::size_t j = 0; j < g.size(); ++j) {
      if (!g[j]) continue;
      std::vector<double> const v = g[j].value().host();
      for (std::size_t k = 0; k < v.size(); ++k) (*gradients)[j][k] += v[k];
    }
  };
  if (gradients) {
    gradients->clear();
    for (auto const& t : inputs) gradients->emplace_back(std::size_t(t.size()), 0.0);
  }
  if (o.order < 2) {
    if (gradients) add(tape.grad(y, x, Var<double>(r), true));
    return dot(y.value(), r);
  }
  double s = 0;
  for (auto const& g : tape.grad(y, x, Var<double>(r), true)) {
    if (!g) continue;
    Tensor<double> const v = randn<double>(g.shape(), rng, g.device());
    s += dot(g.value(), v);
    // A gradient that no longer depends on the inputs (a linear function's) contributes nothing further.
    if (gradients && g.tracked()) add(tape.grad(g, x, Var<double>(v), true));
  }
  return s;
}

}  // namespace detail

RIG_INLINE GradcheckResult gradcheck(GradcheckFunction const& f, std::vector<Tensor<double>> const& inputs, GradcheckOptions const& o) {
  detail::HostGradients gradient;
  detail::gradcheck_value(f, inputs, o, &gradient);
  double largest = 0;
  for (auto const& g : gradient)
    for (double v : g) largest = std::max(largest, std::abs(v));

  GradcheckResult r;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    std::int64_t const n = inputs[i].size(), stride = std::max<std::int64_t>(1, n / o.points);
    double scale = 1e-3 * largest;
    for (double v : gradient[i]) scale = std::max(scale, std::abs(v));
    if (scale < 1e-8) scale = 1e-2;  // all gradients vanish: differences must be at rounding level too
    for (std::int64_t k = 0; k < n; k += stride) {
      auto moved = [&](double by) {
        std::vector<Tensor<double>> x = inputs;
        std::vector<double> v = inputs[i].host();
        v[std::size_t(k)] += by;
        x[i] = Tensor<double>(inputs[i].shape(), v, inputs[i].device());
        return detail::gradcheck_value(f, x, o, nullptr);
      };
      double const difference = (moved(o.step) - moved(-o.step)) / (2 * o.step), rule = gradient[i][std::size_t(k)];
      double const error = std::abs(rule - difference) / scale;
      ++r.compared;
      if (!(error <= r.worst)) r.worst = error, r.input = int(i), r.entry = k, r.rule = rule, r.difference = difference;
    }
  }
  return r;
}

}  // namespace rig::inline RIG_ABI
