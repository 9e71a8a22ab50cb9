// Instance normalisation and AdaIN (Huang and Belongie 2017; Karras et al. 2019): every channel of every picture to zero mean
// and unit deviation, then scaled and shifted by a style. Mean and deviation are taken a leaf of 512 pixels at a time and
// joined in order (Chan et al. 1983), one pass over the picture, exact also where the mean is large.
#pragma once
#include <algorithm>
#include <cmath>

#include "rig/ops/cuda/norm.hpp"
#include "rig/ops/modulated_conv.hpp"

namespace rig::inline RIG_ABI {

namespace detail {

inline constexpr std::int64_t moments_leaf = 512;

// Leaf l of a sample: mean and sum of squared differences of pixels [512 l, ...) into part [n, leaves, 2, c]: one column a call,
// or a whole row.
template <class T> struct MomentsLeafKernel {
  T const* x;
  T* part;
  std::int64_t pixels, leaves, c;
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const {
    std::int64_t const begin = row % leaves * moments_leaf, end = begin + moments_leaf < pixels ? begin + moments_leaf : pixels;
    T const* from = x + (row / leaves * pixels + begin) * c + j;
    T sum = 0, squares = 0;
    for (std::int64_t p = 0; p < end - begin; ++p) sum += from[p * c];
    T const mean = sum / T(end - begin);
    for (std::int64_t p = 0; p < end - begin; ++p) squares += (from[p * c] - mean) * (from[p * c] - mean);
    part[row * 2 * c + j] = mean, part[(row * 2 + 1) * c + j] = squares;
  }
  RIG_HD void operator()(std::int64_t row) const {
    std::int64_t const begin = row % leaves * moments_leaf, end = begin + moments_leaf < pixels ? begin + moments_leaf : pixels;
    T const* from = x + (row / leaves * pixels + begin) * c;
    T *mean = part + row * 2 * c, *squares = mean + c;
    for (std::int64_t j = 0; j < c; ++j) mean[j] = squares[j] = 0;
    for (std::int64_t p = 0; p < end - begin; ++p)
      for (std::int64_t j = 0; j < c; ++j) mean[j] += from[p * c + j];
    for (std::int64_t j = 0; j < c; ++j) mean[j] /= T(end - begin);
    for (std::int64_t p = 0; p < end - begin; ++p)
      for (std::int64_t j = 0; j < c; ++j) squares[j] += (from[p * c + j] - mean[j]) * (from[p * c + j] - mean[j]);
  }
};
/// The leaves of a sample joined: its mean, and 1 / sqrt(variance + epsilon).
template <class T> struct JoinMomentsKernel {
  T const* part;
  T *mean, *scale;
  std::int64_t pixels, leaves, c;
  T epsilon;
  RIG_HD void operator()(std::int64_t n, std::int64_t j) const {
    T m = 0, squares = 0, count = 0;
    for (std::int64_t l = 0; l < leaves; ++l) {
      std::int64_t const begin = l * moments_leaf;
      T const more = T((begin + moments_leaf < pixels ? begin + moments_leaf : pixels) - begin);
      T const* at = part + (n * leaves + l) * 2 * c + j;
      T const d = at[0] - m, all = count + more;
      m += d * (more / all);
      squares += at[c] + d * d * (count * (more / all));
      count = all;
    }
    mean[n * c + j] = m;
    scale[n * c + j] = T(1) / std::sqrt(squares / T(pixels) + epsilon);
  }
};
/// y = (x - mean) scale (1 + style scale) + style offset; style [n, 2 c] may be null.
template <class T> struct InstanceNormKernel {
  T const *x, *mean, *scale, *style;
  T* y;
  std::int64_t pixels, c;
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const {
    std::int64_t const n = row / pixels, k = n * c + j;
    T const s = style ? scale[k] * (T(1) + style[2 * n * c + j]) : scale[k];
    T const v = (x[row * c + j] - mean[k]) * s;
    y[row * c + j] = style ? v + style[(2 * n + 1) * c + j] : v;
  }
};
/// The same on the CPU, a run of pixels of one sample a call.
template <class T> struct InstanceNormRunKernel {
  InstanceNormKernel<T> p;
  std::int64_t leaves;
  void operator()(std::int64_t row) const {
    std::int64_t const n = row / leaves, begin = row % leaves * moments_leaf, end = std::min(begin + moments_leaf, p.pixels), c = p.c;
    T const *mean = p.mean + n * c, *scale = p.scale + n * c, *style = p.style ? p.style + 2 * n * c : nullptr;
    T const* from = p.x + (n * p.pixels + begin) * c;
    T* to = p.y + (n * p.pixels + begin) * c;
    for (std::int64_t i = 0; i < end - begin; ++i, from += c, to += c) {
      if (style)
        for (std::int64_t j = 0; j < c; ++j) to[j] = (from[j] - mean[j]) * (scale[j] * (T(1) + style[j])) + style[c + j];
      else
        for (std::int64_t j = 0; j < c; ++j) to[j] = (from[j] - mean[j]) * scale[j];
    }
  }
};
/// y = a p + b q + t, every pixel of a sample alike.
template <class T> struct MixChannelsKernel {
  T const *a, *p, *b, *q, *t;
  T* y;
  std::int64_t pixels, c;
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const {
    std::int64_t const k = row / pixels * c + j;
    y[row * c + j] = a[row * c + j] * p[k] + b[row * c + j] * q[k] + t[k];
  }
};

template <class T> struct Moments { Tensor<T> mean, scale; };

template <class T> Moments<T> moments(char const* op, Tensor<T> const& x, T epsilon) {
  check(x.rank() == 4 && x.size() > 0, op, ": x must be [n, h, w, c] and not empty, got ", x.shape());
  std::int64_t const n = x.dim(0), c = x.dim(3), pixels = x.dim(1) * x.dim(2), leaves = (pixels + moments_leaf - 1) / moments_leaf;
  Moments<T> m{Tensor<T>({n, c}, x.device()), Tensor<T>({n, c}, x.device())};
#if RIG_GPU
  if constexpr (std::is_same_v<T, float>)
    if (x.device().is_cuda() && cuda_moments(x, n, pixels, c, epsilon, m.mean, m.scale)) return m;
#endif
  Tensor<T> part({n, leaves, 2, c}, x.device());
  MomentsLeafKernel<T> const leaf{x.data(), part.mutate(), pixels, leaves, c};
  if (x.device().is_cpu())
    for_each_heavy(x.device(), n * leaves, leaf);
  else
    for_each(x.device(), n * leaves, c, leaf);
  for_each(x.device(), n, c, JoinMomentsKernel<T>{part.data(), m.mean.mutate(), m.scale.mutate(), pixels, leaves, c, epsilon});
  return m;
}

/// style may be empty.
template <class T> Tensor<T> normalize_instances(char const* op, Tensor<T> const& x, Tensor<T> const& style, T epsilon) {
  Moments<T> const m = moments(op, x, epsilon);
  Tensor<T> y = like(x);
  std::int64_t const n = x.dim(0), c = x.dim(3), pixels = x.dim(1) * x.dim(2);
#if RIG_GPU
  if constexpr (std::is_same_v<T, float>)
    if (y.device().is_cuda() && each_channel(y.device(), n, pixels, c, aligned_for_packs(x.data(), style.data()),
                                             InstanceNormBody{x.data(), m.mean.data(), m.scale.data(), style.data(), y.mutate(), c}))
      return y;
#endif
  InstanceNormKernel<T> const k{x.data(), m.mean.data(), m.scale.data(), style.data(), y.mutate(), pixels, c};
  if (y.device().is_cpu()) {
    std::int64_t const leaves = (pixels + moments_leaf - 1) / moments_leaf;
    for_each_on_cpu(n * leaves, InstanceNormRunKernel<T>{k, leaves});
  } else {
    for_each(y.device(), n * pixels, c, k);
  }
  return y;
}

}  // namespace detail

template <class T> Var<T> instance_norm(Var<T> const& x, double epsilon = 1e-8);
template <class T> Var<T> mix_channels(Var<T> const& a, Var<T> const& p, Var<T> const& b, Var<T> const& q, Var<T> const& t);

/// [n, h, w, c] -> [n, c]
template <class T> Var<T> channel_sum(Var<T> const& x) {
  check(x.rank() == 4, "channel_sum: x must be [n, h, w, c], got ", x.shape());
  return reshape(sum_to(x, {x.dim(0), 1, 1, x.dim(3)}), {x.dim(0), x.dim(3)});
}

template <class T> struct MixChannels {
  using scalar = T;
  static constexpr char const* name = "mix_channels";
  Tensor<T> forward(Tensor<T> const& a, Tensor<T> const& p, Tensor<T> const& b, Tensor<T> const& q, Tensor<T> const& t) const {
    detail::check_channels(name, a.shape(), p.shape());
    detail::check_channels(name, a.shape(), q.shape());
    detail::check_channels(name, a.shape(), t.shape());
    check(a.shape() == b.shape(), name, ": both pictures must have one shape, got ", a.shape(), " and ", b.shape());
    Tensor<T> y = like(a);
    std::int64_t const pixels = a.dim(1) * a.dim(2);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (y.device().is_cuda() &&
          detail::each_channel(y.device(), a.dim(0), pixels, a.dim(3),
                               detail::aligned_for_packs(a.data(), p.data(), b.data(), q.data(), t.data()),
                               detail::MixChannelsBody{a.data(), p.data(), b.data(), q.data(), t.data(), y.mutate(), a.dim(3)}))
        return y;
#endif
    for_each(y.device(), a.dim(0) * pixels, a.dim(3),
             detail::MixChannelsKernel<T>{a.data(), p.data(), b.data(), q.data(), t.data(), y.mutate(), pixels, a.dim(3)});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T>, Var<T> p, Var<T>, Var<T>, Var<T>) const { return scale_channels(gy, p); }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T>, Var<T> a, Var<T>, Var<T>, Var<T>, Var<T>) const { return channel_dot(gy, a); }
  Var<T> vjp(wrt<2>, Var<T> gy, Var<T>, Var<T>, Var<T>, Var<T>, Var<T> q, Var<T>) const { return scale_channels(gy, q); }
  Var<T> vjp(wrt<3>, Var<T> gy, Var<T>, Var<T>, Var<T>, Var<T> b, Var<T>, Var<T>) const { return channel_dot(gy, b); }
  Var<T> vjp(wrt<4>, Var<T> gy, Var<T>, Var<T>, Var<T>, Var<T>, Var<T>, Var<T>) const { return channel_sum(gy); }
};

/// a p + b q + t with pictures a, b [n, h, w, c] and p, q, t [n, c], every pixel of a sample alike. Any order.
template <class T> Var<T> mix_channels(Var<T> const& a, Var<T> const& p, Var<T> const& b, Var<T> const& q, Var<T> const& t) {
  return apply(MixChannels<T>{}, a, p, b, q, t);
}

template <class T> struct InstanceScale {
  using scalar = T;
  static constexpr char const* name = "instance_scale";
  T epsilon;
  Tensor<T> forward(Tensor<T> const& x) const { return detail::moments(name, x, epsilon).scale; }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> y, Var<T> x) const {
    return scale_channels(instance_norm(x, double(epsilon)), T(-1.0 / double(x.dim(1) * x.dim(2))) * (gy * y * y));
  }
};
/// 1 / sqrt(variance + epsilon) of every channel of every picture, [n, h, w, c] -> [n, c]. Any order.
template <class T> Var<T> instance_scale(Var<T> const& x, double epsilon = 1e-8) { return apply(InstanceScale<T>{T(epsilon)}, x); }

template <class T> struct InstanceNorm {
  using scalar = T;
  static constexpr char const* name = "instance_norm";
  T epsilon;
  Tensor<T> forward(Tensor<T> const& x) const { return detail::normalize_instances(name, x, Tensor<T>(), epsilon); }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> y, Var<T> x) const {
    // gx = scale (gy - mean gy - y mean(gy y))
    Var<T> const r = T(-1.0 / double(x.dim(1) * x.dim(2))) * instance_scale(x, double(epsilon));
    return mix_channels(gy, T(-double(x.dim(1) * x.dim(2))) * r, y, r * channel_dot(gy, y), r * channel_sum(gy));
  }
};
/// Each channel of each picture of x [n, h, w, c] minus its mean, over sqrt(variance + epsilon). Any order. The same bits for
/// any number of threads.
template <class T> Var<T> instance_norm(Var<T> const& x, double epsilon) { return apply(InstanceNorm<T>{T(epsilon)}, x); }

template <class T> struct Adain {
  using scalar = T;
  static constexpr char const* name = "adain";
  T epsilon;
  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& style) const {
    check(x.rank() == 4, name, ": x must be [n, h, w, c], got ", x.shape());
    Shape const expected{x.dim(0), 2 * x.dim(3)};
    check(style.shape() == expected, name, ": style must be ", expected, " (scales, then offsets) to match x ", x.shape(), ", got ",
          style.shape());
    return detail::normalize_instances(name, x, style, epsilon);
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> /*y*/, Var<T> x, Var<T> style) const {
    Var<T> const z = instance_norm(x, double(epsilon)), s = slice(style, 1, 0, x.dim(3)) + T(1);
    Var<T> const r = s * instance_scale(x, double(epsilon)), part = T(-1.0 / double(x.dim(1) * x.dim(2))) * r;
    return mix_channels(gy, r, z, part * channel_dot(gy, z), part * channel_sum(gy));
  }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T> /*y*/, Var<T> x, Var<T> /*style*/) const {
    return concat(std::vector<Var<T>>{channel_dot(gy, instance_norm(x, double(epsilon))), channel_sum(gy)}, 1);
  }
};
/// instance_norm(x) (1 + scale) + offset with style [n, 2 c], the scales first, then the offsets. Any order. The same bits for
/// any number of threads.
///   auto y = adain(x, affine(w));
template <class T> Var<T> adain(Var<T> const& x, Var<T> const& style, double epsilon = 1e-8) {
  return apply(Adain<T>{T(epsilon)}, x, style);
}
/// The second half alone: x (1 + scale) + offset. Any order.
template <class T> Var<T> modulate_channels(Var<T> const& x, Var<T> const& style) {
  check(x.rank() == 4, "modulate_channels: x must be [n, h, w, c], got ", x.shape());
  std::int64_t const n = x.dim(0), c = x.dim(3);
  check((style.shape() == Shape{n, 2 * c}), "modulate_channels: style must be ", Shape{n, 2 * c}, " to match x ", x.shape(), ", got ",
        style.shape());
  return scale_channels(x, slice(style, 1, 0, c) + T(1)) + reshape(slice(style, 1, c, c), {n, 1, 1, c});
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(MixChannels)
RIG_OP(InstanceScale)
RIG_OP(InstanceNorm)
RIG_OP(Adain)
#endif

}  // namespace rig::inline RIG_ABI
