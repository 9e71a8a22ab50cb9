// A moving average of a module's parameters. The average is a module of the same type, made by clone().
#pragma once
#include <cmath>
#include <tuple>

#include "rig/nn/module.hpp"
#include "rig/nn/optim/cuda/fused.hpp"

namespace rig::inline RIG_ABI::nn {

namespace detail {
template <class T> struct AverageKernel {
  T* average;
  T const* value;
  T rest;
  RIG_HD void operator()(std::int64_t i) const { average[i] += rest * (value[i] - average[i]); }
};
#if RIG_GPU
template <class T> struct MakeAverage {
  T rest;
  RIG_DEVICE bool stays() const { return false; }
  RIG_DEVICE AverageKernel<T> operator()(TensorArrays<T> const& x) const { return {x.a, x.g, rest}; }
};
// Parameters that wait for one launch together; of one scalar type, which is what modules have.
template <class T> struct FusedAverage {
  std::vector<TensorArrays<T>> list;
  Device device;
  void run(double decay) const {
    if (list.empty()) return;
    device.queue().enter("update_average");
    fused(device, list, ElementStep<T, MakeAverage<T>>{{T(1 - decay)}, 0});
  }
};
#endif
}  // namespace detail

/// average <- module + decay (average - module) for parameters; buffers are copied. Both have the same visit lines.
template <class M> void update_average(M& average, M& module, double decay) {
  std::vector<std::pair<std::string, void*>> current;
  tensors(module, [&](std::string const& name, auto& leaf) { current.emplace_back(name, &leaf); });
  std::size_t i = 0;
#if RIG_GPU
  std::tuple<detail::FusedAverage<float>, detail::FusedAverage<double>> together;
#endif
  tensors(average, [&](std::string const& name, auto& leaf) {
    using L = std::remove_cvref_t<decltype(leaf)>;
    check(i < current.size() && current[i].first == name, "update_average: the average has ", name, ", the module does not");
    L& now = *static_cast<L*>(current[i++].second);
    check(leaf.shape() == now.shape(), "update_average: ", name, " is ", leaf.shape(), " in the average and ", now.shape(),
          " in the module");
    if (!detail::tensor_of(leaf)) return;
    check(leaf.device() == now.device(), "update_average: ", name, " is on ", leaf.device(), " in the average and on ", now.device(),
          " in the module");
    auto t = detail::tensor_of(leaf);  // shares the block
    using T = typename L::scalar;
    if constexpr (detail::is_param<L>::value) {
#if RIG_GPU
      if (!t.device().is_cpu()) {
        auto& f = std::get<detail::FusedAverage<T>>(together);
        f.device = t.device();
        f.list.push_back({t.mutate(), nullptr, nullptr, detail::tensor_of(now).data(), t.size(), 0});
        return;
      }
#endif
      for_each(t.device(), t.size(), detail::AverageKernel<T>{t.mutate(), detail::tensor_of(now).data(), T(1 - decay)});
    } else {
      t.assign(detail::tensor_of(now));
    }
  });
#if RIG_GPU
  std::get<0>(together).run(decay);
  std::get<1>(together).run(decay);
#endif
  check(i == current.size(), "update_average: the module has ", current.size(), " tensors, the average ", i);
}

/// The decay whose half-life is `half_life` images when a step sees `batch` of them. `seen` images so far shorten the
/// half-life to seen * ramp at the start of a run; a ramp of 0 switches that off.
inline double average_decay(double batch, double half_life, double seen = 0, double ramp = 0) {
  if (ramp > 0 && seen * ramp < half_life) half_life = seen * ramp;
  return std::pow(0.5, batch / (half_life > 1e-8 ? half_life : 1e-8));
}

}  // namespace rig::inline RIG_ABI::nn
