// The sums of loss_sum.hpp on a device: one block, which adds every part in the same order each time. What is added is a number an
// image or less, so that more blocks would have nothing to do. Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include "rig/core/launch.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::stylerig::detail {

template <class T, class Given> struct LossSumInBlock {
  static constexpr int threads = 128;
  struct Shared {
    T part[threads / 32], term[decltype(Given::plan)::most_terms];
  };
  Given given;
  RIG_DEVICE void operator()(Shared& shared) const {
    auto const& plan = given.plan;
    int const t = gpu::thread();
    if (t < plan.terms) shared.term[t] = 0;  // by the first warp, and block_sum's barriers come before thread 0 adds
    for (int k = 0; k < plan.parts; ++k) {
      T s = 0;
      for (std::int64_t i = t; i < plan.count[k]; i += threads) s += given.x[k][i];
      s = gpu::block_sum<threads>(s, shared.part);
      if (t == 0) shared.term[plan.term[k]] += plan.scale[k] * s;
    }
    gpu::barrier();
    if (t < plan.terms) given.y[1 + t] = shared.term[t];
    if (t != 0) return;
    T total = 0;
    for (int k = 0; k < plan.terms; ++k) total += plan.weight[k] * shared.term[k];
    given.y[0] = total;
  }
};

}  // namespace rig::inline RIG_ABI::stylerig::detail
#endif
