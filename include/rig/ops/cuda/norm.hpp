// Mean and deviation of every channel of every picture in one read: each thread keeps count, mean and sum of squared differences
// of the pixels it meets (Welford 1962), and these are joined in shared memory as a tree, then over the blocks (Chan et al.
// 1983): exact also where the mean is large, always in the same order. The columns are shared out as in reduce.hpp.
// Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include <cmath>

#include "rig/ops/cuda/reduce.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

template <int V> struct MomentsOfSome {
  float count;
  Pack<V> mean, squares;
  RIG_DEVICE void join(float more, Pack<V> const& other_mean, Pack<V> const& other_squares) {
    if (more == 0) return;
    float const all = count + more, share = more / all;
    for (int i = 0; i < V; ++i) {
      float const d = other_mean[i] - mean[i];
      mean[i] += d * share;
      squares[i] += other_squares[i] + d * d * (count * share);
    }
    count = all;
  }
};
/// What is joined: pixels of x [n, pixels, c],
struct MomentsOfPixels {
  float const* x;
  template <int V>
  RIG_DEVICE void add(MomentsOfSome<V>& s, ColumnPlan const& p, std::int64_t outer, std::int64_t m, std::int64_t at) const {
    s.join(1.f, load_pack<V>(x + (outer * p.mid + m) * p.inner + at), Pack<V>{});
  }
};
/// or parts [n, leaves, 2, c], each of `run` pixels but the last.
struct MomentsOfParts {
  float const* part;
  std::int64_t run, pixels;
  template <int V>
  RIG_DEVICE void add(MomentsOfSome<V>& s, ColumnPlan const& p, std::int64_t outer, std::int64_t m, std::int64_t at) const {
    float const* from = part + (outer * p.mid + m) * 2 * p.inner + at;
    std::int64_t const left = pixels - m * run;
    s.join(float(left < run ? left : run), load_pack<V>(from), load_pack<V>(from + p.inner));
  }
};
/// Where the moments of a run go: a part,
struct StoreMomentsPart {
  float* part;
  template <int V> RIG_DEVICE void store(MomentsOfSome<V> const& s, std::int64_t row, std::int64_t c, std::int64_t at) const {
    store_pack<V>(part + row * 2 * c + at, s.mean);
    store_pack<V>(part + (row * 2 + 1) * c + at, s.squares);
  }
};
/// or, at the end, the mean and 1 / sqrt(variance + epsilon).
struct StoreMeanAndScale {
  float *mean, *scale;
  float epsilon;
  template <int V> RIG_DEVICE void store(MomentsOfSome<V> const& s, std::int64_t row, std::int64_t c, std::int64_t at) const {
    Pack<V> inverse;
    for (int i = 0; i < V; ++i) inverse[i] = 1.f / std::sqrt(s.squares[i] / s.count + epsilon);
    store_pack<V>(mean + row * c + at, s.mean);
    store_pack<V>(scale + row * c + at, inverse);
  }
};
template <class Source, class Store, int V> struct MomentsKernel {
  static constexpr int threads = 256;
  struct Shared {
    alignas(16) float mean[threads][V];
    alignas(16) float squares[threads][V];
    float count[threads];
  };
  Source source;
  Store to;
  ColumnPlan p;
  RIG_DEVICE void operator()(Shared& shared) const {
    int const t = gpu::thread();
    ColumnPlace<V> const own(p);
    MomentsOfSome<V> s{};
    if (own.inside)
      for (std::int64_t m = own.begin + own.lane; m < own.end; m += p.lanes) source.template add<V>(s, p, own.outer, m, own.at);
    auto put_down = [&] {
      store_pack<V>(shared.mean[t], s.mean);
      store_pack<V>(shared.squares[t], s.squares);
      shared.count[t] = s.count;
    };
    put_down();
    for (int n = p.lanes; n > 1;) {
      int const half = (n + 1) / 2, other = t + half * p.columns;
      gpu::barrier();
      if (own.lane < n - half) {
        s.join(shared.count[other], load_pack<V>(shared.mean[other]), load_pack<V>(shared.squares[other]));
        put_down();
      }
      n = half;
    }
    if (own.lane == 0 && own.inside) to.template store<V>(s, gpu::block().x, p.inner, own.at);
  }
};

/// mean and scale [n, c] of x [n, pixels, c], and true; false if the plain kernels have to do it.
inline bool cuda_moments(Tensor<float> const& x, std::int64_t n, std::int64_t pixels, std::int64_t c, float epsilon, Tensor<float>& mean,
                         Tensor<float>& scale) {
  int const v = c % 4 == 0 && aligned_for_packs(x.data()) ? 4 : 1;
  ColumnPlan const p(n, pixels, c, v);
  if (!p.fits(n, v)) return false;
  StoreMeanAndScale const end{mean.mutate(), scale.mutate(), epsilon};
  auto run = [&](auto const& source, auto const& to, ColumnPlan const& plan) {
    using Source = std::decay_t<decltype(source)>;
    using Store = std::decay_t<decltype(to)>;
    if (v == 4)
      launch(x.device(), plan.grid(n, v), MomentsKernel<Source, Store, 4>{source, to, plan});
    else
      launch(x.device(), plan.grid(n, v), MomentsKernel<Source, Store, 1>{source, to, plan});
  };
  if (p.leaves == 1) {
    run(MomentsOfPixels{x.data()}, end, p);
    return true;
  }
  Tensor<float> part({n, p.leaves, 2, c}, x.device());
  run(MomentsOfPixels{x.data()}, StoreMomentsPart{part.mutate()}, p);
  ColumnPlan join(n, p.leaves, c, v);
  join.run = p.leaves, join.leaves = 1;
  run(MomentsOfParts{part.data(), p.run, pixels}, end, join);
  return true;
}

}  // namespace rig::inline RIG_ABI::detail
#endif
