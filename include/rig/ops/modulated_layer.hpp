// One layer of StyleGAN2 as one op, which keeps its result alone: the modulated convolution, enlarging or not, with noise, bias and
// activation. On a device all of it happens before the result of the convolution, or of the filter after it, is written.
// What the gradients need of the convolution's result is read off the layer's: where an activation is piecewise linear and nothing
// was clamped, gain slope (v + strength noise + bias) = y, and elsewhere the gradient of v is zero.
#pragma once
#include "rig/ops/modulated_conv.hpp"
#include "rig/ops/shape.hpp"

namespace rig::inline RIG_ABI {

namespace detail {

/// Leaf l of a sample sums pixels [512 l, ...) into part [n, leaves, sums, c]; what is summed says LayerSums.
template <class T> struct LayerSumsKernel {
  T const *gy, *y, *noise, *strength, *bias;
  T* part;
  std::int64_t pixels, leaves, c, noise_step, strength_step;
  T positive, negative, limit;
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const {
    std::int64_t const n = row / leaves, begin = row % leaves * channel_dot_leaf,
                       end = begin + channel_dot_leaf < pixels ? begin + channel_dot_leaf : pixels;
    T const b = bias ? bias[j] : T(0), s = noise ? strength[j * strength_step] : T(0);
    T sum[3] = {0, 0, 0};
    for (std::int64_t p = begin; p < end; ++p) {
      T const o = y[(n * pixels + p) * c + j], slope = o > 0 ? positive : negative,
              seen = (o < 0 ? -o : o) < limit ? gy[(n * pixels + p) * c + j] : T(0), by = noise ? noise[n * noise_step + p] : T(0);
      sum[0] += seen * (o - slope * (s * by + b));
      sum[1] += seen * slope;
      sum[2] += seen * slope * by;
    }
    std::int64_t const sums = noise ? 3 : 2;
    for (std::int64_t k = 0; k < sums; ++k) part[(row * sums + k) * c + j] = sum[k];
  }
};
/// Its adjoint: gy from g [n, sums, c].
template <class T> struct LayerSpreadKernel {
  T const *g, *y, *noise, *strength, *bias;
  T* gy;
  std::int64_t pixels, c, noise_step, strength_step;
  T positive, negative, limit;
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const {
    std::int64_t const n = row / pixels, sums = noise ? 3 : 2;
    T const *of = g + n * sums * c + j, o = y[row * c + j], slope = o > 0 ? positive : negative,
            by = noise ? noise[n * noise_step + row % pixels] : T(0),
            more = (noise ? strength[j * strength_step] * by : T(0)) + (bias ? bias[j] : T(0));
    T const sum = of[0] * (o - slope * more) + slope * (of[c] + (noise ? of[2 * c] * by : T(0)));
    gy[row * c + j] = (o < 0 ? -o : o) < limit ? sum : T(0);
  }
};

}  // namespace detail

// ---- sums of a layer's gradient, and their adjoint -------------------------------------------------------------------
// One form of a layer y = clamp(gain act(v + strength noise + bias)), linear in gy [n, h, w, c] and in g [n, 3, c]: the sum over samples,
// pixels and channels of gv (g0 v + g1 + g2 noise), where gv = gy slope is the gradient of v, and v is read off y. Without noise g is
// [n, 2, c]. Its derivatives with respect to g and gy are the ops layer_sums and layer_spread, which have the other four in common.

namespace detail {
template <class T>
Var<T> layer_sums(BiasActSlope<T> const& slope, Var<T> const& gy, Var<T> const& y, Var<T> const& noise, Var<T> const& strength,
                  Var<T> const& b);
template <class T>
Var<T> layer_spread(BiasActSlope<T> const& slope, Var<T> const& g, Var<T> const& y, Var<T> const& noise, Var<T> const& strength,
                    Var<T> const& b);

/// Number k of them [n, c].
template <class T> Var<T> layer_sum(Var<T> const& sums, std::int64_t k) {
  return reshape(slice(sums, 1, k, 1), {sums.dim(0), sums.dim(2)});
}
/// The form's derivatives with respect to y, noise, strength and bias, entries 1 to 4; `sums` are those of gy.
template <class T>
std::array<Var<T>, 5> layer_form_gradients(std::array<bool, 5> const& wanted, BiasActSlope<T> const& slope, Var<T> const& g,
                                           Var<T> const& gy, Var<T> const& sums, Var<T> const& noise, Var<T> const& strength,
                                           Var<T> const& b) {
  std::array<Var<T>, 5> to;
  Var<T> const of_v = layer_sum(g, 0);
  if (wanted[1]) to[1] = apply(BiasActSlope<T>{slope.y, T(1), T(1), slope.limit}, scale_channels(gy, of_v));
  if (wanted[2]) to[2] = sum_to(scale_channels(apply(slope, gy), layer_sum(g, 2) - strength * of_v), noise.shape());
  if (wanted[3]) to[3] = sum_to(-(of_v * layer_sum(sums, 2)), strength.shape());
  if (wanted[4]) to[4] = sum_to(-(of_v * layer_sum(sums, 1)), b.shape());
  return to;
}
}  // namespace detail

template <class T> struct LayerSums {
  using scalar = T;
  static constexpr char const* name = "layer_sums";
  BiasActSlope<T> slope;

  Tensor<T> forward(Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& noise, Tensor<T> const& strength, Tensor<T> const& b) const {
    check(gy.shape() == y.shape(), name, ": gradient and layer must be the same [n, h, w, c], got ", gy.shape(), " and ", y.shape());
    NoiseBiasAct<T>::check_shapes(name, y.shape(), noise, strength, b);
    std::int64_t const n = y.dim(0), pixels = y.dim(1) * y.dim(2), c = y.dim(3), sums = noise ? 3 : 2,
                       noise_step = noise && noise.dim(0) > 1 ? pixels : 0;
    bool const own_strengths = strength.size() > 1;
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>) {
      Tensor<T> sum;
      bool const four = detail::aligned_for_packs(gy.data(), y.data(), b.data());
      auto const run = [&](auto noisy) {
        detail::SumsOfLayer<decltype(noisy)::value> const source{
            gy.data(),
            {y.data(), noise.data(), strength.data(), b.data(), noise_step, own_strengths, slope.positive, slope.negative, slope.limit}};
        return detail::cuda_sum_columns(gy.device(), source, four, n, pixels, c, sum);
      };
      if (gy.device().is_cuda() && gy.size() > 0 && (noise ? run(std::true_type{}) : run(std::false_type{})))
        return sum.reshape({n, sums, c});
    }
#endif
    std::int64_t const leaves = std::max<std::int64_t>(1, (pixels + detail::channel_dot_leaf - 1) / detail::channel_dot_leaf);
    Tensor<T> part({n, leaves, sums, c}, gy.device());
    for_each(part.device(), n * leaves, c,
             detail::LayerSumsKernel<T>{gy.data(), y.data(), noise.data(), strength.data(), b.data(), part.mutate(), pixels, leaves, c,
                                        noise_step, own_strengths, slope.positive, slope.negative, slope.limit});
    return detail::sum_middle(part, n, leaves, sums * c).reshape({n, sums, c});
  }
  std::array<Var<T>, 5> vjps(std::array<bool, 5> const& wanted, Var<T> g, Var<T> sums, Var<T> gy, Var<T> y, Var<T> noise, Var<T> strength,
                             Var<T> b) const {
    auto to = detail::layer_form_gradients(wanted, slope, g, gy, sums, noise, strength, b);
    if (wanted[0]) to[0] = detail::layer_spread(slope, g, y, noise, strength, b);
    return to;
  }
};

template <class T> struct LayerSpread {
  using scalar = T;
  static constexpr char const* name = "layer_spread";
  BiasActSlope<T> slope;

  Tensor<T> forward(Tensor<T> const& g, Tensor<T> const& y, Tensor<T> const& noise, Tensor<T> const& strength, Tensor<T> const& b) const {
    NoiseBiasAct<T>::check_shapes(name, y.shape(), noise, strength, b);
    std::int64_t const n = y.dim(0), pixels = y.dim(1) * y.dim(2), c = y.dim(3), noise_step = noise && noise.dim(0) > 1 ? pixels : 0;
    Shape const expected{n, noise ? 3 : 2, c};
    check(g.shape() == expected, name, ": sums must be ", expected, " to match the layer ", y.shape(), ", got ", g.shape());
    bool const own_strengths = strength.size() > 1;
    Tensor<T> gy = like(y);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>) {
      bool const four = detail::aligned_for_packs(g.data(), y.data(), b.data());
      auto const run = [&](auto noisy) {
        detail::SpreadOverLayer<decltype(noisy)::value> const body{
            g.data(),
            gy.mutate(),
            c,
            {y.data(), noise.data(), strength.data(), b.data(), noise_step, own_strengths, slope.positive, slope.negative, slope.limit}};
        return detail::each_channel(gy.device(), n, pixels, c, four, body);
      };
      if (gy.device().is_cuda() && gy.size() > 0 && (noise ? run(std::true_type{}) : run(std::false_type{}))) return gy;
    }
#endif
    for_each(gy.device(), n * pixels, c,
             detail::LayerSpreadKernel<T>{g.data(), y.data(), noise.data(), strength.data(), b.data(), gy.mutate(), pixels, c, noise_step,
                                          own_strengths, slope.positive, slope.negative, slope.limit});
    return gy;
  }
  std::array<Var<T>, 5> vjps(std::array<bool, 5> const& wanted, Var<T> gy, Var<T> /*spread*/, Var<T> g, Var<T> y, Var<T> noise,
                             Var<T> strength, Var<T> b) const {
    Var<T> const sums = wanted[0] || wanted[3] || wanted[4] ? detail::layer_sums(slope, gy, y, noise, strength, b) : Var<T>{};
    auto to = detail::layer_form_gradients(wanted, slope, g, gy, sums, noise, strength, b);
    to[0] = sums;
    return to;
  }
};

namespace detail {
template <class T>
Var<T> layer_sums(BiasActSlope<T> const& slope, Var<T> const& gy, Var<T> const& y, Var<T> const& noise, Var<T> const& strength,
                  Var<T> const& b) {
  return apply(LayerSums<T>{slope}, gy, y, noise, strength, b);
}
template <class T>
Var<T> layer_spread(BiasActSlope<T> const& slope, Var<T> const& g, Var<T> const& y, Var<T> const& noise, Var<T> const& strength,
                    Var<T> const& b) {
  return apply(LayerSpread<T>{slope}, g, y, noise, strength, b);
}
}  // namespace detail

/// The sums over pixels [n, 3, c] of gv v, gv and gv noise; without noise [n, 2, c]. `act` is piecewise linear, of positive gain, and made
/// y. Noise with its strength and b as in noise_bias_act. Any order.
template <class T>
Var<T> layer_sums(Var<T> const& gy, Var<T> const& y, Var<T> const& noise, Var<T> const& strength, Var<T> const& b,
                  BiasActOptions const& act = {}) {
  return detail::layer_sums(detail::bias_act_of<T>(act).slope(y), gy, y, noise, strength, b);
}
/// Its adjoint: slope (g0 v + g1 + g2 noise), where nothing was clamped, from g. Any order.
template <class T>
Var<T> layer_spread(Var<T> const& g, Var<T> const& y, Var<T> const& noise, Var<T> const& strength, Var<T> const& b,
                    BiasActOptions const& act = {}) {
  return detail::layer_spread(detail::bias_act_of<T>(act).slope(y), g, y, noise, strength, b);
}

/// How x becomes v: by a convolution, or by a transposed one to the shape `large` and then by a filter.
template <class T> struct ModulatedLayerOptions {
  Conv2dOptions conv = {};
  Shape large = {};  ///< empty: a convolution
  Tensor<T> filter = {};
  UpfirdnOptions smooth = {};
  BiasActOptions act = {};  ///< piecewise linear
};

template <class T> struct ModulatedLayer {
  using scalar = T;
  static constexpr char const* name = "modulated_layer";
  Conv2dOptions conv;
  Shape large;
  Upfirdn2d<T> smooth;
  BiasAct<T> act;

  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& s, Tensor<T> const& w, Tensor<T> const& d, Tensor<T> const& noise,
                    Tensor<T> const& strength, Tensor<T> const& b) const {
    check(piecewise_linear(act.activation), name, ": the activation must be piecewise linear, got ", to_string(act.activation));
    NoiseBiasAct<T> const rest{act};
    if (!enlarges()) {
#if RIG_GPU
      if constexpr (std::is_same_v<T, float>)
        if (!x.device().is_cpu()) {
          auto const size = detail::conv_size(name, x.shape(), w.shape(), conv);
          detail::check_scales(name, "x", s.shape(), bool(s), size.n, size.c);
          detail::check_scales(name, "y", d.shape(), bool(d), size.n, size.o);
          Tensor<T> y({size.n, size.oh, size.ow, size.o}, x.device());
          rest.check_shapes(name, y.shape(), noise, strength, b);
          if (detail::cuda_conv(y.device(), size, x.data(), w.data(), y.mutate(), {s.data(), d.data()}, finish(noise, strength, b)))
            return y;
        }
#endif
      return rest.forward(ScaledConv2d<T>{{conv}}.forward(x, s, w, d), noise, strength, b);
    }
    // A filter treats all channels alike: the convolution scales them.
    Tensor<T> const v = ScaledConv2dInput<T>{large, {conv}}.forward(x, s, w, d);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (!x.device().is_cpu()) {
        auto const [rows, cols] = smooth.axes(v);
        rest.check_shapes(name, {v.dim(0), rows.out, cols.out, v.dim(3)}, noise, strength, b);
        if (Tensor<T> const y = smooth.finished(v, finish(noise, strength, b))) return y;
      }
#endif
    return rest.forward(smooth.forward(v), noise, strength, b);
  }

  std::array<Var<T>, 7> vjps(std::array<bool, 7> const& wanted, Var<T> gy, Var<T> y, Var<T> x, Var<T> s, Var<T> w, Var<T> d, Var<T> noise,
                             Var<T> strength, Var<T> b) const {
    check(act.slope_shows(), name, ": a gradient needs a gain above zero and a slope that is not negative, got ", act.gain, " and ",
          act.alpha);
    std::array<Var<T>, 7> g;
    bool const of_convolution = wanted[0] || wanted[1] || wanted[2], together = wanted[3];
    bool const by_pixel = wanted[4] || (!together && (wanted[5] || (wanted[6] && !act.sums_slopes(gy))));
    Var<T> const gv = of_convolution || by_pixel ? apply(act.slope(y), gy) : Var<T>{};
    if (of_convolution) {
      // A transposed convolution is that of the other name with its ends exchanged.
      std::array<bool, 4> const three{wanted[0], wanted[1], wanted[2], false};
      auto const of = enlarges()
                          ? ScaledConv2dInput<T>{large, {conv}}.vjps(three, apply(smooth.adjoint(large, y.shape()), gv), {}, x, s, w, d)
                          : ScaledConv2d<T>{{conv}}.vjps(three, gv, {}, x, s, w, d);
      std::copy(of.begin(), of.begin() + 3, g.begin());
    }
    NoiseBiasAct<T>::noise_gradients(wanted[4], wanted[5] && !together, gv, noise, strength, g[4], g[5]);
    if (together) {
      Var<T> const sums = detail::layer_sums(act.slope(y), gy, y, noise, strength, b);
      g[3] = detail::layer_sum(sums, 0) / d;
      if (wanted[5]) g[5] = sum_to(detail::layer_sum(sums, 2), strength.shape());
      if (wanted[6]) g[6] = sum_to(detail::layer_sum(sums, 1), b.shape());
    } else if (wanted[6]) {
      g[6] = act.bias_gradient(gy, y, b, gv);
    }
    return g;
  }

 private:
  bool enlarges() const { return large.rank() > 0; }
#if RIG_GPU
  detail::ConvFinish finish(Tensor<T> const& noise, Tensor<T> const& strength, Tensor<T> const& b) const requires std::is_same_v<T, float> {
    return {.noise = noise.data(),
            .strength = strength.data(),
            .bias = b.data(),
            .noise_rows = noise ? noise.size() : 1,
            .strength_step = strength.size() > 1,
            .slope = act.slope_below_zero(),
            .gain = act.gain,
            .limit = act.limit};
  }
#endif
};

/// clamp(gain act(v + strength noise + b)), where v is the convolution of x [n, h, w, c] by w [o, kh, kw, c], its channels scaled by s
/// [n, c] on the way in and by d [n, o], none of them zero, on the way out, or, with `large`, the transposed one of
/// scaled_conv2d_input, by w [c, kh, kw, o], with a filter after it. s, d, noise with its strength, and b may be left out; their shapes
/// are those of noise_bias_act. Nothing but the result is kept for the gradients. Any order in all seven, for a positive gain; the same
/// bits for any number of threads.
template <class T>
Var<T> modulated_layer(Var<T> const& x, Var<T> const& s, Var<T> const& w, Var<T> const& d, Var<T> const& noise, Var<T> const& strength,
                       Var<T> const& b, ModulatedLayerOptions<T> const& o = {}) {
  return apply(ModulatedLayer<T>{o.conv, o.large, {o.filter, o.smooth}, detail::bias_act_of<T>(o.act)}, x, s, w, d, noise, strength, b);
}

/// noise_bias_act(modulated_conv2d(x, w, s, o), noise, strength, b, act): one layer of StyleGAN2. On a device it is a modulated_layer
/// where that can be: with a piecewise linear activation of positive gain, and unless it reduces or enlarges with a window of 1 by 1.
/// The CPU goes the two steps: it scales by copies, which its tape then has for the gradients.
template <class T>
Var<T> modulated_conv2d_noise_bias_act(Var<T> const& x, Var<T> const& w, Var<T> const& s, Var<T> const& noise, Var<T> const& strength,
                                       Var<T> const& b, ModulatedConvOptions<T> const& o = {}, BiasActOptions const& act = {}) {
  detail::check_modulated("modulated_conv2d_noise_bias_act", x, w, s);
  bool const one_step = o.down == 1 && (o.up == 1 || w.dim(1) > 1 || w.dim(2) > 1),
             shows = detail::bias_act_of<T>(act).slope_shows() ||
                     (piecewise_linear(act.activation) && detail::untracked(x, w, s, noise, strength, b));
  if (x.device().is_cpu() || !one_step || !shows) return noise_bias_act(modulated_conv2d(x, w, s, o), noise, strength, b, act);
  Var<T> const d = o.demodulate ? demodulation(w, s) : Var<T>{};
  return detail::resample_around(
      x, w, o.filter, o.resample(),
      [&](Var<T> const& v, Var<T> const& turned, Conv2dOptions const& how) {
        return modulated_layer<T>(v, s, turned, d, noise, strength, b, {.conv = how, .act = act});
      },
      [&](Var<T> const& v, Var<T> const& turned, Shape const& large, Conv2dOptions const& how, UpfirdnOptions const& smooth) {
        return modulated_layer<T>(v, s, turned, d, noise, strength, b,
                                  {.conv = how, .large = large, .filter = o.filter, .smooth = smooth, .act = act});
      });
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(LayerSums)
RIG_OP(LayerSpread)
RIG_OP(ModulatedLayer)
#endif

}  // namespace rig::inline RIG_ABI
