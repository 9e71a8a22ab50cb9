// Functions of each number, of two of the same place and of two that broadcast, four neighbours a thread; see channels.hpp. Where
// extents or addresses do not go by four the plain kernels do it.
// Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include "rig/ops/cuda/channels.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// y = f(x)
template <class F> struct UnaryBody {
  float* y;
  float const* x;
  F f;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t, std::int64_t, std::int64_t) const {
    Pack<V> v = load_pack<V>(x + at);
    for (int i = 0; i < V; ++i) v[i] = f(v[i]);
    store_pack<V>(y + at, v);
  }
};
/// y = f(a, b)
template <class F> struct SameShapeBody {
  float* y;
  float const *a, *b;
  F f;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t, std::int64_t, std::int64_t) const {
    Pack<V> v = load_pack<V>(a + at);
    Pack<V> const w = load_pack<V>(b + at);
    for (int i = 0; i < V; ++i) v[i] = f(v[i], w[i]);
    store_pack<V>(y + at, v);
  }
};
/// y = f(a, b), broadcast as in BroadcastKernel; rows are those of the plan's last axis.
template <class F, int StepA, int StepB, class Plan> struct BroadcastBody {
  float* y;
  float const *a, *b;
  F f;
  Plan plan;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t, std::int64_t row, std::int64_t column) const {
    std::int64_t rest = row, ka = 0, kb = 0;
    for (int i = plan.rank - 2; i >= 0; --i) {
      std::int64_t const q = quotient(rest, plan.extent[i]), here = rest - q * plan.extent[i];
      ka += here * plan.stride_a[i], kb += here * plan.stride_b[i];
      rest = q;
    }
    Pack<V> const v = take<StepA, V>(a + ka, column), w = take<StepB, V>(b + kb, column);
    Pack<V> r;
    for (int i = 0; i < V; ++i) r[i] = f(v[i], w[i]);
    store_pack<V>(y + at, r);
  }

 private:
  template <int Step, int V> RIG_DEVICE static Pack<V> take(float const* p, std::int64_t column) {
    if constexpr (Step == 1) {
      return load_pack<V>(p + column);
    } else {
      Pack<V> v;
      for (int i = 0; i < V; ++i) v[i] = *p;
      return v;
    }
  }
};

}  // namespace rig::inline RIG_ABI::detail
#endif
