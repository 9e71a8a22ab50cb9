// bias_act with noise, gain and clamp, its slope, and the maps of a sample's channels, four channels a thread: one read and one
// write a number; what is one a channel, a pixel or a sample comes out of the caches. See channels.hpp.
// Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include "rig/ops/cuda/arithmetic.hpp"
#include "rig/ops/cuda/reduce.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// y = clamp(gain f(x + strength noise + bias)). Noise (one number a pixel, of one sample or of all) and bias may be null;
/// strength is one number (strength_step 0) or one a channel (1).
template <class F> struct NoiseBiasActBody {
  float const *x, *noise, *strength, *bias;
  float* y;
  std::int64_t noise_step, strength_step;  // from sample to sample, from channel to channel
  F f;
  float gain, limit;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t sample, std::int64_t row, std::int64_t channel) const {
    Pack<V> v = load_pack<V>(x + at);
    Pack<V> const b = load_pack_or_zero<V>(bias, channel);
    float const n = noise ? noise[sample * noise_step + row] : 0.f;
    for (int i = 0; i < V; ++i) {
      float const s = noise ? strength[(channel + i) * strength_step] * n : 0.f;
      float const a = gain * f(v[i] + s + b[i]);
      v[i] = a > limit ? limit : (a < -limit ? -limit : a);
    }
    store_pack<V>(y + at, v);
  }
};
/// gy slope, read off the output y,
struct SlopeTimesGradient {
  static constexpr int sums = 1;
  float const *gy, *y;
  float positive, negative, limit;
  template <int V> RIG_DEVICE Pack<V> at(std::int64_t k) const {
    Pack<V> g = load_pack<V>(gy + k);
    Pack<V> const o = load_pack<V>(y + k);
    for (int i = 0; i < V; ++i) {
      float const a = o[i] < 0 ? -o[i] : o[i];
      g[i] = a < limit ? g[i] * (o[i] > 0 ? positive : negative) : 0.f;
    }
    return g;
  }
  /// in sums over rows, the gradient of the bias, it is never written.
  template <int V> RIG_DEVICE void add(Pack<V> (&sum)[1], ColumnPlan const& p, std::int64_t outer, std::int64_t m, std::int64_t c) const {
    sum[0] += at<V>(p.place(outer, m, c));
  }
};
/// A layer y = clamp(gain act(v + strength noise + bias)) with a piecewise linear activation, off which v is read. noise_step is from
/// sample to sample, strength_step from channel to channel; bias may be null, and unless Noisy noise and strength are.
template <bool Noisy> struct LayerOnGpu {
  float const *y, *noise, *strength, *bias;
  std::int64_t noise_step;
  int strength_step;
  float positive, negative, limit;
  /// Of V numbers: whether they were not clamped, their slope, and slope v.
  template <int V> struct Place {
    bool seen[V];
    float slope[V], v[V], noise;
  };
  template <int V> RIG_DEVICE Place<V> at(std::int64_t k, std::int64_t sample, std::int64_t row, std::int64_t channel) const {
    Place<V> p;
    Pack<V> const o = load_pack<V>(y + k), b = load_pack_or_zero<V>(bias, channel);
    p.noise = Noisy ? noise[sample * noise_step + row] : 0.f;
    RIG_UNROLL
    for (int i = 0; i < V; ++i) {
      p.seen[i] = (o[i] < 0 ? -o[i] : o[i])<limit, p.slope[i] = o[i]> 0 ? positive : negative;
      p.v[i] = o[i] - p.slope[i] * (Noisy ? strength[(channel + i) * strength_step] * p.noise + b[i] : b[i]);
    }
    return p;
  }
};
/// The sums over pixels of LayerSums, in one read of gy and y.
template <bool Noisy> struct SumsOfLayer {
  static constexpr int sums = Noisy ? 3 : 2;
  float const* gy;
  LayerOnGpu<Noisy> layer;
  template <int V>
  RIG_DEVICE void add(Pack<V> (&sum)[sums], ColumnPlan const& p, std::int64_t outer, std::int64_t m, std::int64_t c) const {
    Pack<V> const g = load_pack<V>(gy + p.place(outer, m, c));
    auto const here = layer.template at<V>(p.place(outer, m, c), outer, m, c);
    RIG_UNROLL
    for (int i = 0; i < V; ++i) {
      float const seen = here.seen[i] ? g[i] : 0.f;
      sum[0][i] += seen * here.v[i];
      sum[1][i] += seen * here.slope[i];
      if constexpr (Noisy) sum[2][i] += seen * here.slope[i] * here.noise;
    }
  }
};
/// Their adjoint, gy of g [n, sums, c], in one read of y and one write.
template <bool Noisy> struct SpreadOverLayer {
  float const* g;
  float* gy;
  std::int64_t c;
  LayerOnGpu<Noisy> layer;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t sample, std::int64_t row, std::int64_t channel) const {
    float const* const of = g + sample * (Noisy ? 3 : 2) * c + channel;
    Pack<V> const of_v = load_pack<V>(of);
    Pack<V> alike = load_pack<V>(of + c);
    auto const here = layer.template at<V>(at, sample, row, channel);
    if constexpr (Noisy) add_scaled(alike, here.noise, load_pack<V>(of + 2 * c));
    Pack<V> sum;
    RIG_UNROLL
    for (int i = 0; i < V; ++i) sum[i] = here.seen[i] ? of_v[i] * here.v[i] + here.slope[i] * alike[i] : 0.f;
    store_pack<V>(gy + at, sum);
  }
};
struct BiasActSlopeBody {
  float* gx;
  SlopeTimesGradient g;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t, std::int64_t, std::int64_t) const {
    store_pack<V>(gx + at, g.at<V>(at));
  }
};
/// y = x s, s one number a channel and sample.
struct ScaleChannelsBody {
  float const *x, *s;
  float* y;
  std::int64_t c;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t sample, std::int64_t, std::int64_t channel) const {
    Pack<V> v = load_pack<V>(x + at);
    Pack<V> const k = load_pack<V>(s + sample * c + channel);
    for (int i = 0; i < V; ++i) v[i] *= k[i];
    store_pack<V>(y + at, v);
  }
};
/// y = a p + b q + t, with p, q, t one number a channel and sample.
struct MixChannelsBody {
  float const *a, *p, *b, *q, *t;
  float* y;
  std::int64_t c;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t sample, std::int64_t, std::int64_t channel) const {
    std::int64_t const k = sample * c + channel;
    Pack<V> const va = load_pack<V>(a + at), vb = load_pack<V>(b + at), vp = load_pack<V>(p + k), vq = load_pack<V>(q + k);
    Pack<V> v = load_pack<V>(t + k);
    for (int i = 0; i < V; ++i) v[i] = va[i] * vp[i] + vb[i] * vq[i] + v[i];
    store_pack<V>(y + at, v);
  }
};
/// y = (x - mean) scale (1 + style scale) + style offset, as InstanceNormKernel; style [n, 2 c] may be null.
struct InstanceNormBody {
  float const *x, *mean, *scale, *style;
  float* y;
  std::int64_t c;
  template <int V> RIG_DEVICE void run(std::int64_t at, std::int64_t sample, std::int64_t, std::int64_t channel) const {
    std::int64_t const k = sample * c + channel, of_style = k + sample * c;
    Pack<V> v = load_pack<V>(x + at);
    Pack<V> const m = load_pack<V>(mean + k), s = load_pack<V>(scale + k), grow = load_pack_or_zero<V>(style, of_style),
                  offset = load_pack_or_zero<V>(style, of_style + c);
    for (int i = 0; i < V; ++i) v[i] = (v[i] - m[i]) * (s[i] * (1.f + grow[i])) + offset[i];
    store_pack<V>(y + at, v);
  }
};

}  // namespace rig::inline RIG_ABI::detail
#endif
