// Convolution whose weight is scaled by a style, sample by sample: StyleGAN2's modulation and demodulation (Karras et al.,
// CVPR 2020, section 2.2). Scaling the input and the output instead of the weight is the same function, needs one
// convolution for the whole batch, and is made of ops that can be differentiated to any order.
#pragma once
#include <type_traits>

#include "rig/ops/activation.hpp"
#include "rig/ops/matmul.hpp"
#include "rig/ops/upfirdn.hpp"

namespace rig::inline RIG_ABI {

namespace detail {

inline constexpr std::int64_t channel_dot_leaf = 512;
// Leaf l of a sample sums pixels [512 l, ...) into part [n, leaves, c]: one column a call, or a whole row.
template <class T> struct ChannelDotKernel {
  T const *a, *b;
  T* part;
  std::int64_t pixels, leaves, c;
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const {
    std::int64_t const n = row / leaves, begin = row % leaves * channel_dot_leaf,
                       end = begin + channel_dot_leaf < pixels ? begin + channel_dot_leaf : pixels;
    T sum = 0;
    for (std::int64_t p = (n * pixels + begin) * c + j; p < (n * pixels + end) * c + j; p += c) sum += a[p] * b[p];
    part[row * c + j] = sum;
  }
  RIG_HD void operator()(std::int64_t row) const {
    std::int64_t const n = row / leaves, begin = row % leaves * channel_dot_leaf,
                       end = begin + channel_dot_leaf < pixels ? begin + channel_dot_leaf : pixels;
    T* to = part + row * c;
    for (std::int64_t j = 0; j < c; ++j) to[j] = 0;
    for (std::int64_t p = n * pixels + begin; p < n * pixels + end; ++p)
      for (std::int64_t j = 0; j < c; ++j) to[j] += a[p * c + j] * b[p * c + j];
  }
};
template <class T> struct SumTapsOfSquaresKernel {
  T const* w;
  T* y;
  std::int64_t taps, c;
  RIG_HD void operator()(std::int64_t o, std::int64_t j) const {
    T sum = 0;
    for (std::int64_t t = 0; t < taps; ++t) {
      T const v = w[(o * taps + t) * c + j];
      sum += v * v;
    }
    y[o * c + j] = sum;
  }
};
/// y = clamp(gain act(x + strength noise + bias)); noise is one number a pixel, the same for all samples if noise_rows is one
/// sample's; strength is one number (strength_step 0) or one a channel (1).
template <class T, class F> struct NoiseBiasActKernel {
  T const *x, *noise, *strength, *bias;
  T* y;
  std::int64_t noise_rows, c, strength_step;
  F f;
  T gain, limit;
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const {
    T const n = noise ? strength[j * strength_step] * noise[row % noise_rows] : T(0);
    T const v = gain * f(x[row * c + j] + n + bias[j]);
    y[row * c + j] = v > limit ? limit : (v < -limit ? -limit : v);
  }
};

/// The same on the CPU, a row of the picture a call; bias is never null here.
template <class T, class F> struct NoiseBiasActRowKernel {
  NoiseBiasActKernel<T, F> p;
  std::int64_t width;
  void operator()(std::int64_t row) const {
    for (std::int64_t pixel = row * width; pixel < (row + 1) * width; ++pixel) {
      T const n = p.noise ? p.noise[pixel % p.noise_rows] : T(0);
      if (p.noise && p.strength_step)
        one_pixel(p.x + pixel * p.c, p.strength, n, p.bias, p.y + pixel * p.c, p.c, p.f, p.gain, p.limit);
      else
        one_pixel(p.x + pixel * p.c, p.bias, p.y + pixel * p.c, p.noise ? *p.strength * n : n, p.c, p.f, p.gain, p.limit);
    }
  }

 private:
  static void one_pixel(T const* x, T const* bias, T* y, T n, std::int64_t c, F f, T gain, T limit) {
    for (std::int64_t j = 0; j < c; ++j) {
      T const v = gain * f(x[j] + n + bias[j]);
      y[j] = v > limit ? limit : (v < -limit ? -limit : v);
    }
  }
  static void one_pixel(T const* x, T const* strength, T noise, T const* bias, T* y, std::int64_t c, F f, T gain, T limit) {
    for (std::int64_t j = 0; j < c; ++j) {
      T const v = gain * f(x[j] + strength[j] * noise + bias[j]);
      y[j] = v > limit ? limit : (v < -limit ? -limit : v);
    }
  }
};
/// y(o, tap, c) = w(o, tap, c) s(c) d(o); d may be null.
template <class T> struct FoldStyleKernel {
  T const *w, *s, *d;
  T* y;
  std::int64_t taps, c;
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const { y[row * c + j] = w[row * c + j] * s[j] * (d ? d[row / taps] : T(1)); }
};

inline void check_channels(char const* op, Shape const& x, Shape const& s) {
  check(x.rank() == 4, op, ": x must be [n, h, w, c], got ", x);
  check((s == Shape{x[0], x[3]}), op, ": scales must be ", Shape{x[0], x[3]}, " to match x ", x, ", got ", s);
}

}  // namespace detail

template <class T> Var<T> scale_channels(Var<T> const& x, Var<T> const& s);
template <class T> Var<T> channel_dot(Var<T> const& a, Var<T> const& b);

template <class T> struct ScaleChannels {
  using scalar = T;
  static constexpr char const* name = "scale_channels";
  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& s) const {
    detail::check_channels(name, x.shape(), s.shape());
    Tensor<T> y = like(x);
    std::int64_t const pixels = x.dim(1) * x.dim(2);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (y.device().is_cuda() &&
          detail::each_channel(y.device(), x.dim(0), pixels, x.dim(3), detail::aligned_for_packs(x.data(), s.data()),
                               detail::ScaleChannelsBody{x.data(), s.data(), y.mutate(), x.dim(3)}))
        return y;
#endif
    for_each(y.device(), x.dim(0) * pixels, x.dim(3), detail::ScaleChannelsKernel<T>{x.data(), s.data(), y.mutate(), pixels, x.dim(3)});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> /*y*/, Var<T> /*x*/, Var<T> s) const { return scale_channels(gy, s); }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T> /*y*/, Var<T> x, Var<T> /*s*/) const { return channel_dot(gy, x); }
};

/// On the CPU sums over leaves of 512 pixels and then over the leaves, in order: the same bits for any number of threads.
template <class T> struct ChannelDot {
  using scalar = T;
  static constexpr char const* name = "channel_dot";
  Tensor<T> forward(Tensor<T> const& a, Tensor<T> const& b) const {
    check(a.rank() == 4 && a.shape() == b.shape(), name, ": both must be the same [n, h, w, c], got ", a.shape(), " and ", b.shape());
    std::int64_t const n = a.dim(0), c = a.dim(3), pixels = a.dim(1) * a.dim(2);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>) {
      Tensor<T> y;
      if (a.device().is_cuda() && a.size() > 0 &&
          detail::cuda_sum_columns(a.device(), detail::SumOfProducts{a.data(), b.data()}, detail::aligned_for_packs(a.data(), b.data()), n,
                                   pixels, c, y))
        return y.reshape({n, c});
    }
#endif
    std::int64_t const leaves = std::max<std::int64_t>(1, (pixels + detail::channel_dot_leaf - 1) / detail::channel_dot_leaf);
    Tensor<T> part({n, leaves, c}, a.device());
    detail::ChannelDotKernel<T> const k{a.data(), b.data(), part.mutate(), pixels, leaves, c};
    if (part.device().is_cpu())
      for_each_heavy(part.device(), n * leaves, k);
    else
      for_each(part.device(), n * leaves, c, k);
    return detail::sum_middle(part, n, leaves, c).reshape({n, c});
  }
  Var<T> vjp(wrt<0>, Var<T> g, Var<T> /*y*/, Var<T> /*a*/, Var<T> b) const { return scale_channels(b, g); }
  Var<T> vjp(wrt<1>, Var<T> g, Var<T> /*y*/, Var<T> a, Var<T> /*b*/) const { return scale_channels(a, g); }
};

/// x [n, h, w, c] times s [n, c], every pixel of a sample alike. Any order.
template <class T> Var<T> scale_channels(Var<T> const& x, Var<T> const& s) { return apply(ScaleChannels<T>{}, x, s); }
/// Sum of a b over the pixels, [n, c]: the partner of scale_channels. Any order.
template <class T> Var<T> channel_dot(Var<T> const& a, Var<T> const& b) { return apply(ChannelDot<T>{}, a, b); }

// ---- the convolution family with scales ------------------------------------------------------------------------------
// One form, linear in each of five: the sum over samples, pixels, window and channels of
//   (s x)(n, i stride + u - top, j stride + v - left, c) w(o, u, v, c) (d y)(n, i, j, o),
// with s [n, c] and d [n, o], either of which may be empty for ones. Its derivatives with respect to y, x and w are the ops
// scaled_conv2d, scaled_conv2d_input and scaled_conv2d_weight; those with respect to s and d are channel_dot of two of them.

/// `nonzero`: the scales of the result are never zero, so that their gradient can be read off the result instead of computing
/// it again without them.
struct ScaledConv2dOptions {
  Conv2dOptions conv = {};
  bool nonzero = false;
};

template <class T>
Var<T> scaled_conv2d(Var<T> const& x, Var<T> const& s, Var<T> const& w, Var<T> const& d, ScaledConv2dOptions const& o = {});
template <class T>
Var<T> scaled_conv2d_input(Var<T> const& y, Var<T> const& d, Var<T> const& w, Var<T> const& s, Shape const& x_shape,
                           ScaledConv2dOptions const& o = {});
template <class T>
Var<T> scaled_conv2d_weight(Var<T> const& x, Var<T> const& s, Var<T> const& y, Var<T> const& d, Shape const& w_shape,
                            Conv2dOptions const& o = {});

namespace detail {
template <class T> Tensor<T> scaled(Tensor<T> const& x, Tensor<T> const& s) { return s ? ScaleChannels<T>{}.forward(x, s) : x; }
inline void check_scales(char const* op, char const* which, Shape const& s, bool given, std::int64_t n, std::int64_t channels) {
  check(!given || s == Shape{n, channels}, op, ": scales of ", which, " must be ", Shape{n, channels}, " or left out, got ", s);
}
/// What an input x, multiplied by s on its way in, is due, given `of`(s): what it would be due if s multiplied it later.
template <class T, class Of>
void share_gradient(bool wants_x, bool wants_s, Var<T> const& x, Var<T> const& s, Var<T>& gx, Var<T>& gs, Of const& of) {
  if (!wants_s) {
    if (wants_x) gx = of(s);
    return;
  }
  Var<T> const bare = of(Var<T>{});
  gs = channel_dot(bare, x);
  if (wants_x) gx = scale_channels(bare, s);
}
}  // namespace detail

template <class T> struct ScaledConv2d {
  using scalar = T;
  static constexpr char const* name = "scaled_conv2d";
  ScaledConv2dOptions o;

  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& s, Tensor<T> const& w, Tensor<T> const& d) const {
    auto const size = detail::conv_size(name, x.shape(), w.shape(), o.conv);
    detail::check_scales(name, "x", s.shape(), bool(s), size.n, size.c);
    detail::check_scales(name, "y", d.shape(), bool(d), size.n, size.o);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (!x.device().is_cpu()) {
        Tensor<T> y({size.n, size.oh, size.ow, size.o}, x.device());
        if (detail::cuda_conv(y.device(), size, x.data(), w.data(), y.mutate(), {s.data(), d.data()})) return y;
      }
#endif
    return detail::scaled(Conv2d<T>{o.conv}.forward(detail::scaled(x, s), w), d);
  }
  std::array<Var<T>, 4> vjps(std::array<bool, 4> const& wanted, Var<T> gy, Var<T> y, Var<T> x, Var<T> s, Var<T> w, Var<T> d) const {
    std::array<Var<T>, 4> g;
    detail::share_gradient(wanted[0], wanted[1], x, s, g[0], g[1],
                           [&](Var<T> const& by) { return scaled_conv2d_input(gy, d, w, by, x.shape(), {o.conv}); });
    if (wanted[2]) g[2] = scaled_conv2d_weight(x, s, gy, d, w.shape(), o.conv);
    if (wanted[3]) g[3] = o.nonzero ? channel_dot(gy, y) / d : channel_dot(gy, scaled_conv2d(x, s, w, Var<T>{}, {o.conv}));
    return g;
  }
};

template <class T> struct ScaledConv2dInput {
  using scalar = T;
  static constexpr char const* name = "scaled_conv2d_input";
  Shape x_shape;
  ScaledConv2dOptions o;

  Tensor<T> forward(Tensor<T> const& y, Tensor<T> const& d, Tensor<T> const& w, Tensor<T> const& s) const {
    auto const size = detail::conv_size(name, x_shape, w.shape(), o.conv);
    detail::check_conv_result(name, size, x_shape, w.shape(), y.shape());
    detail::check_scales(name, "y", d.shape(), bool(d), size.n, size.o);
    detail::check_scales(name, "x", s.shape(), bool(s), size.n, size.c);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (!y.device().is_cpu()) {
        Tensor<T> x(x_shape, y.device());
        if (detail::cuda_conv_input(x.device(), size, y.data(), w.data(), x.mutate(), {s.data(), d.data()})) return x;
      }
#endif
    return detail::scaled(Conv2dInput<T>{x_shape, o.conv}.forward(detail::scaled(y, d), w), s);
  }
  std::array<Var<T>, 4> vjps(std::array<bool, 4> const& wanted, Var<T> gx, Var<T> x, Var<T> y, Var<T> d, Var<T> w, Var<T> s) const {
    std::array<Var<T>, 4> g;
    detail::share_gradient(wanted[0], wanted[1], y, d, g[0], g[1], [&](Var<T> const& by) { return scaled_conv2d(gx, s, w, by, {o.conv}); });
    if (wanted[2]) g[2] = scaled_conv2d_weight(gx, s, y, d, w.shape(), o.conv);
    if (wanted[3]) g[3] = o.nonzero ? channel_dot(gx, x) / s : channel_dot(gx, scaled_conv2d_input(y, d, w, Var<T>{}, x_shape, {o.conv}));
    return g;
  }
};

template <class T> struct ScaledConv2dWeight {
  using scalar = T;
  static constexpr char const* name = "scaled_conv2d_weight";
  Shape w_shape;
  Conv2dOptions o;

  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& s, Tensor<T> const& y, Tensor<T> const& d) const {
    auto const size = detail::conv_size(name, x.shape(), w_shape, o);
    detail::check_conv_result(name, size, x.shape(), w_shape, y.shape());
    detail::check_scales(name, "x", s.shape(), bool(s), size.n, size.c);
    detail::check_scales(name, "y", d.shape(), bool(d), size.n, size.o);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (!x.device().is_cpu()) {
        Tensor<T> w(w_shape, x.device());
        if (detail::cuda_conv_weight(w.device(), size, x.data(), y.data(), w.mutate(), {s.data(), d.data()})) return w;
      }
#endif
    return Conv2dWeight<T>{w_shape, o}.forward(detail::scaled(x, s), detail::scaled(y, d));
  }
  std::array<Var<T>, 4> vjps(std::array<bool, 4> const& wanted, Var<T> gw, Var<T> /*w*/, Var<T> x, Var<T> s, Var<T> y, Var<T> d) const {
    std::array<Var<T>, 4> g;
    detail::share_gradient(wanted[0], wanted[1], x, s, g[0], g[1],
                           [&](Var<T> const& by) { return scaled_conv2d_input(y, d, gw, by, x.shape(), {o}); });
    detail::share_gradient(wanted[2], wanted[3], y, d, g[2], g[3], [&](Var<T> const& by) { return scaled_conv2d(x, s, gw, by, {o}); });
    return g;
  }
};

/// scale_channels(conv2d(scale_channels(x, s), w), d), without the scaled copies where the device has a kernel for it.
/// x [n, h, w, c], s [n, c] or empty, w [o, kh, kw, c], d [n, o] or empty. Any order in all four.
template <class T> Var<T> scaled_conv2d(Var<T> const& x, Var<T> const& s, Var<T> const& w, Var<T> const& d, ScaledConv2dOptions const& o) {
  return apply(ScaledConv2d<T>{o}, x, s, w, d);
}
/// scale_channels(conv2d_input(scale_channels(y, d), w, x_shape), s), alike.
template <class T>
Var<T> scaled_conv2d_input(Var<T> const& y, Var<T> const& d, Var<T> const& w, Var<T> const& s, Shape const& x_shape,
                           ScaledConv2dOptions const& o) {
  return apply(ScaledConv2dInput<T>{x_shape, o}, y, d, w, s);
}
/// conv2d_weight(scale_channels(x, s), scale_channels(y, d), w_shape), alike.
template <class T>
Var<T> scaled_conv2d_weight(Var<T> const& x, Var<T> const& s, Var<T> const& y, Var<T> const& d, Shape const& w_shape,
                            Conv2dOptions const& o) {
  return apply(ScaledConv2dWeight<T>{w_shape, o}, x, s, y, d);
}

template <class T> struct SumTapsOfSquares {
  using scalar = T;
  static constexpr char const* name = "sum_taps_of_squares";
  Tensor<T> forward(Tensor<T> const& w) const {
    check(w.rank() == 4, name, ": weight must be [o, kh, kw, c], got ", w.shape());
    Tensor<T> y({w.dim(0), w.dim(3)}, w.device());
    for_each(y.device(), w.dim(0), w.dim(3), detail::SumTapsOfSquaresKernel<T>{w.data(), y.mutate(), w.dim(1) * w.dim(2), w.dim(3)});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> /*y*/, Var<T> w) const { return T(2) * (w * reshape(gy, {w.dim(0), 1, 1, w.dim(3)})); }
};
/// [o, c] from a weight [o, kh, kw, c]: the squares summed over its window. Any order.
template <class T> Var<T> sum_taps_of_squares(Var<T> const& w) { return apply(SumTapsOfSquares<T>{}, w); }

template <class T> struct ModulatedConvOptions {
  bool demodulate = true;
  int up = 1, down = 1;
  Padding padding = {};
  bool flip_weight = true;  ///< true: correlation; false: convolution (StyleGAN2's up-sampling layers)
  bool flip_filter = false;
  Tensor<T> filter = {};  ///< for up and down, from setup_filter

  ConvResampleOptions resample() const {
    return {.up = up, .down = down, .padding = padding, .flip_weight = flip_weight, .flip_filter = flip_filter};
  }
};

/// d [n, o] = 1 / sqrt(sum over window and channels of (w s)^2 + 1e-8): what brings a modulated convolution back to unit
/// variance. w [o, kh, kw, c], s [n, c]. Any order.
template <class T> Var<T> demodulation(Var<T> const& w, Var<T> const& s) {
  check(w.rank() == 4 && s.rank() == 2 && s.dim(1) == w.dim(3), "demodulation: styles must be [n, c] to match weight [o, kh, kw, c] ",
        w.shape(), ", got ", s.shape());
  return rsqrt(matmul(square(s), sum_taps_of_squares(w), {.b = true}) + 1e-8);
}

namespace detail {

template <class T, class... More> bool untracked(Var<T> const& v, More const&... more) {
  if constexpr (sizeof...(More) > 0) return !v.tracked() && untracked(more...);
  return !v.tracked();
}

/// x, its channels scaled by s [n, c], convolved with w and the result's channels scaled by d [n, o], none of them zero, if there
/// is one.
template <class T>
Var<T> convolve_scaled(Var<T> const& x, Var<T> const& w, Var<T> const& s, Var<T> const& d, ModulatedConvOptions<T> const& o) {
  std::int64_t const n = x.dim(0), pixels = x.dim(1) * x.dim(2), out = w.dim(0);
  ConvResampleOptions const resample = o.resample();
  // A device's convolution scales on its way; a filter treats all channels alike, so it may stand between.
  if (!x.device().is_cpu())
    return resample_around(
        x, w, o.filter, resample,
        [&](Var<T> const& v, Var<T> const& turned, Conv2dOptions const& how) {
          return scaled_conv2d(v, s, turned, d, {how, true});
        },
        [&](Var<T> const& v, Var<T> const& turned, Shape const& shape, Conv2dOptions const& how, UpfirdnOptions const& smooth) {
          return upfirdn2d(scaled_conv2d_input(v, s, turned, d, shape, {how, true}), o.filter, smooth);
        });
  // To a few colours: a product with each sample's own small weight reads x once and writes no scaled copy of it.
  if (out <= 16 && w.dim(1) == 1 && w.dim(2) == 1 && o.up == 1 && o.down == 1 && o.padding == Padding{}) {
    Var<T> own = reshape(w, {1, out, w.dim(3)}) * reshape(s, {n, 1, s.dim(1)});
    if (d) own = own * reshape(d, {n, out, 1});
    return reshape(batched_matmul(reshape(x, {n, pixels, x.dim(3)}), own, {.b = true}), {n, x.dim(1), x.dim(2), out});
  }
  // One sample and no gradient: the scales go into the weight, where that is the smaller.
  if (untracked(x, w, s, d) && n == 1 && w.size() < pixels * (w.dim(3) + out * o.up * o.up)) {
    Tensor<T> own = like(w.value());
    for_each(own.device(), out * w.dim(1) * w.dim(2), w.dim(3),
             FoldStyleKernel<T>{w.value().data(), s.value().data(), d ? d.value().data() : nullptr, own.mutate(), w.dim(1) * w.dim(2),
                                w.dim(3)});
    return conv2d_resample(x, Var<T>(own), o.filter, resample);
  }
  Var<T> const y = conv2d_resample(scale_channels(x, s), w, o.filter, resample);
  return d ? scale_channels(y, d) : y;
}

template <class T> void check_modulated(char const* op, Var<T> const& x, Var<T> const& w, Var<T> const& s) {
  check(x.rank() == 4 && w.rank() == 4 && w.dim(3) == x.dim(3), op, ": weight must be [o, kh, kw, ", x.rank() == 4 ? x.dim(3) : 0,
        "] to match x [n, h, w, c] ", x.shape(), ", got ", w.shape());
  check((s.shape() == Shape{x.dim(0), x.dim(3)}), op, ": styles must be ", Shape{x.dim(0), x.dim(3)}, " to match x ", x.shape(), ", got ",
        s.shape());
}

}  // namespace detail

/// x [n, h, w, c] convolved with w [o, kh, kw, c] times the styles s [n, c] of each sample, resampled as in conv2d_resample,
/// and, with `demodulate`, each output channel divided by the norm of its weight. Result [n, h up / down, w up / down, o]
/// with padding k / 2. Any order in x, w and s. The same bits for any number of threads; a single sample that no tape
/// watches takes a shorter way and may differ in the last bits from one that is watched.
template <class T> Var<T> modulated_conv2d(Var<T> const& x, Var<T> const& w, Var<T> const& s, ModulatedConvOptions<T> const& o = {}) {
  detail::check_modulated("modulated_conv2d", x, w, s);
  return detail::convolve_scaled(x, w, s, o.demodulate ? demodulation(w, s) : Var<T>{}, o);
}

struct NormalizedConvOptions {
  bool demodulate = true;
  int padding = 0;  ///< on every side
};

/// StyleGAN3's form (Karras et al. 2021, appendix): with `demodulate` the weights of each output channel and the styles of the
/// whole batch are first brought to unit mean square, which changes the result only through the epsilon of the demodulation.
/// x is then scaled by input_gain, one number, [c] or [n, c], or empty for none, which the demodulation does not undo.
/// x [n, h, w, c], w [o, k, k, c], s [n, c]. Any order in all four; determinism as modulated_conv2d.
template <class T>
Var<T> normalized_modulated_conv2d(Var<T> const& x, Var<T> const& w, Var<T> const& s, Var<T> const& input_gain,
                                   NormalizedConvOptions const& o = {}) {
  detail::check_modulated("normalized_modulated_conv2d", x, w, s);
  check(!input_gain || input_gain.size() == 1 || input_gain.shape() == Shape{s.dim(1)} || input_gain.shape() == s.shape(),
        "normalized_modulated_conv2d: the input gain must be one number, [", s.dim(1), "] or ", s.shape(), ", got ", input_gain.shape());
  auto scaled = [&](Var<T> const& styles) { return input_gain ? styles * input_gain : styles; };
  ModulatedConvOptions<T> const how{.padding = o.padding};
  if (!o.demodulate) return detail::convolve_scaled(x, w, scaled(s), Var<T>{}, how);
  Var<T> const power = T(1.0 / double(w.dim(1) * w.dim(2))) * mean(sum_taps_of_squares(w), 1);
  Var<T> const unit_w = w * reshape(rsqrt(power), {w.dim(0), 1, 1, 1}), unit_s = s * rsqrt(mean(square(s)));
  return detail::convolve_scaled(x, unit_w, scaled(unit_s), demodulation(unit_w, unit_s), how);
}

template <class T> struct NoiseBiasAct {
  using scalar = T;
  static constexpr char const* name = "noise_bias_act";
  BiasAct<T> act;

  static void check_shapes(char const* op, Shape const& x, Tensor<T> const& noise, Tensor<T> const& strength, Tensor<T> const& b) {
    check(x.rank() == 4, op, ": x must be [n, h, w, c], got ", x);
    std::int64_t const c = x[3];
    check(!b || b.shape() == Shape{c}, op, ": bias must be [", c, "] to match x ", x, ", got ", b.shape());
    check(bool(noise) == bool(strength) && (!strength || strength.size() == 1 || strength.shape() == Shape{c}), op,
          ": noise and its strength, one number or [", c, "], come together, got strength ", strength.shape());
    check(
        !noise || (noise.rank() == 4 && (noise.dim(0) == 1 || noise.dim(0) == x[0]) && noise.shape() == x.with(0, noise.dim(0)).with(3, 1)),
        op, ": noise must be [1 or n, h, w, 1] to match x ", x, ", got ", noise.shape());
  }

  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& noise, Tensor<T> const& strength, Tensor<T> const& b) const {
    check_shapes(name, x.shape(), noise, strength, b);
    std::int64_t const c = x.dim(3);
    Tensor<T> y = like(x);
    detail::with_activation<T>(act.activation, 0, act.alpha, [&](auto f) {
#if RIG_GPU
      if constexpr (std::is_same_v<T, float>) {
        std::int64_t const pixels = x.dim(1) * x.dim(2);
        detail::NoiseBiasActBody<decltype(f)> const body{
            x.data(), noise.data(), strength.data(), b.data(), y.mutate(), noise && noise.dim(0) > 1 ? pixels : 0, strength.size() > 1,
            f,        act.gain,     act.limit};
        if (y.device().is_cuda() &&
            detail::each_channel(y.device(), x.dim(0), pixels, c, detail::aligned_for_packs(x.data(), b.data()), body))
          return;
      }
#endif
      Tensor<T> const bias = b ? b : zeros<T>({c}, x.device());
      detail::NoiseBiasActKernel<T, decltype(f)> const k{
          x.data(), noise.data(), strength.data(), bias.data(), y.mutate(), noise ? noise.size() : 1, c, strength.size() > 1,
          f,        act.gain,     act.limit};
      if (y.device().is_cpu())
        for_each_on_cpu(x.dim(0) * x.dim(1), detail::NoiseBiasActRowKernel<T, decltype(f)>{k, x.dim(2)});
      else
        for_each(y.device(), x.dim(0) * x.dim(1) * x.dim(2), c, k);
    });
    return y;
  }
  std::array<Var<T>, 4> vjps(std::array<bool, 4> const& wanted, Var<T> gy, Var<T> y, Var<T> x, Var<T> noise, Var<T> strength,
                             Var<T> b) const {
    std::array<Var<T>, 4> g;
    Var<T> gx;
    if (wanted[0] || wanted[1] || wanted[2] || !act.sums_slopes(gy)) gx = act.before_bias(gy, y, before(x, noise, strength), b);
    if (wanted[0]) g[0] = gx;
    noise_gradients(wanted[1], wanted[2], gx, noise, strength, g[1], g[2]);
    if (wanted[3]) g[3] = act.bias_gradient(gy, y, b, gx);
    return g;
  }
  /// The gradients of noise and its strength, given that of the sum.
  static void noise_gradients(bool wants_noise, bool wants_strength, Var<T> const& gx, Var<T> const& noise, Var<T> const& strength,
                              Var<T>& of_noise, Var<T>& of_strength) {
    if (!wants_noise && !wants_strength) return;
    bool const one = strength.size() == 1;
    Var<T> const by_pixel = one ? sum_to(gx, noise.shape()) : gx;
    if (wants_noise) of_noise = one ? by_pixel * strength : sum_to(gx * strength, noise.shape());
    if (wants_strength) of_strength = sum_to(by_pixel * noise, strength.shape());
  }

 private:
  /// What the bias is added to; x where only y is asked for the slope.
  Var<T> before(Var<T> const& x, Var<T> const& noise, Var<T> const& strength) const {
    return noise && !act.slope_shows() ? x + noise * strength : x;
  }
};

/// bias_act(x + strength noise, b) in one pass over x [n, h, w, c]: noise [1 or n, h, w, 1] and its strength, one number or [c],
/// are both empty for none. Orders as in bias_act.
template <class T>
Var<T> noise_bias_act(Var<T> const& x, Var<T> const& noise, Var<T> const& strength, Var<T> const& b, BiasActOptions const& o = {}) {
  return apply(NoiseBiasAct<T>{detail::bias_act_of<T>(o)}, x, noise, strength, b);
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(ScaleChannels)
RIG_OP(ChannelDot)
RIG_OP(ScaledConv2d)
RIG_OP(ScaledConv2dInput)
RIG_OP(ScaledConv2dWeight)
RIG_OP(SumTapsOfSquares)
RIG_OP(NoiseBiasAct)
#endif

}  // namespace rig::inline RIG_ABI
