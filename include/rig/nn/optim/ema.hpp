// A moving average of a module's parameters. The average is a module of the same type, made by clone().
#pragma once
#include <cmath>

#include "rig/nn/module.hpp"

namespace rig::inline RIG_ABI::nn {

namespace detail {
template <class T> struct AverageKernel {
  T* average;
  T const* value;
  T rest;
  RIG_HD void operator()(std::int64_t i) const { average[i] += rest * (value[i] - average[i]); }
};
}  // namespace detail

/// average <- module + decay (average - module) for parameters; buffers are copied. Both have the same visit lines.
template <class M> void update_average(M& average, M& module, double decay) {
  std::vector<std::pair<std::string, void*>> current;
  tensors(module, [&](std::string const& name, auto& leaf) { current.emplace_back(name, &leaf); });
  std::size_t i = 0;
  tensors(average, [&](std::string const& name, auto& leaf) {
    using L = std::remove_cvref_t<decltype(leaf)>;
    check(i < current.size() && current[i].first == name, "update_average: the average has ", name, ", the module does not");
    L& now = *static_cast<L*>(current[i++].second);
    check(leaf.shape() == now.shape(), "update_average: ", name, " is ", leaf.shape(), " in the average and ", now.shape(),
          " in the module");
    if (!detail::tensor_of(leaf)) return;
    auto t = detail::tensor_of(leaf);  // shares the block
    using T = typename L::scalar;
    if constexpr (detail::is_param<L>::value)
      for_each(t.device(), t.size(), detail::AverageKernel<T>{t.mutate(), detail::tensor_of(now).data(), T(1 - decay)});
    else
      t.assign(detail::tensor_of(now));
  });
  check(i == current.size(), "update_average: the module has ", current.size(), " tensors, the average ", i);
}

/// The decay whose half-life is `half_life` images when a step sees `batch` of them. `seen` images so far shorten the
/// half-life to seen * ramp at the start of a run; a ramp of 0 switches that off.
inline double average_decay(double batch, double half_life, double seen = 0, double ramp = 0) {
  if (ramp > 0 && seen * ramp < half_life) half_life = seen * ramp;
  return std::pow(0.5, batch / (half_life > 1e-8 ? half_life : 1e-8));
}

}  // namespace rig::inline RIG_ABI::nn
