// The StyleGAN3 generator (Karras et al. 2021), channels last: mapping z -> w, synthesis w -> picture. The picture starts as
// Fourier features, so that it can be moved and turned, and every layer keeps to the frequencies its size can hold. The
// structs mirror the names of the official files: synthesis.L0_36_512.affine.weight. Sizes and filters are those of the file.
//   auto w = G.mapping(z, c, {.psi = 0.7});                                   // [n, num_ws, w_dim]
//   auto img = G.synthesis(w, {.transform = image_transform<float>({.degrees = 25})});  // [n, h, w, channels], about -1..1
#pragma once
#include <array>

#include "rig/nn/filter_design.hpp"
#include "rig/nn/mapping.hpp"
#include "rig/nn/stylegan2.hpp"
#include "rig/ops/filtered_lrelu.hpp"
#include "rig/ops/modulated_conv.hpp"

namespace rig::inline RIG_ABI::nn {

/// Defaults: configuration T. stylegan3_r gives configuration R, which is equivariant to rotation too.
struct StyleGAN3Options {
  std::int64_t z_dim = 512, w_dim = 512, c_dim = 0;
  std::int64_t resolution = 1024, image_channels = 3;
  std::int64_t channel_base = 32768, channel_max = 512;
  int layers = 14, critical_layers = 2;           ///< without the one to colours; the last ones sampled critically
  double first_cutoff = 2;                        ///< of the first layer, in cycles a picture
  double first_stopband = 4.2870938501451725;     ///< 2^2.1
  double last_stopband_rel = 1.2311444133449163;  ///< 2^0.3: of the last layer, times its cutoff
  int margin = 10;                                ///< pixels around the picture in all but the last two layers
  double output_scale = 0.25;
  int conv_kernel = 3, filter_size = 6, lrelu_upsampling = 2;
  bool radial_filters = false;
  double conv_clamp = 256;   ///< largest magnitude of activations; -1: none
  int fp16_resolutions = 4;  ///< recorded in the schedule; rig computes in one type
  double magnitude_decay = 0.999;
  int mapping_layers = 2;
  double mapping_lr_multiplier = 0.01;
  bool average = true;
};
inline StyleGAN3Options stylegan3_t(std::int64_t resolution) { return {.resolution = resolution}; }
inline StyleGAN3Options stylegan3_r(std::int64_t resolution) {
  return {.resolution = resolution, .channel_base = 65536, .channel_max = 1024, .conv_kernel = 1, .radial_filters = true};
}

/// Width and height.
using Extent = std::array<std::int64_t, 2>;

/// The numbers of one layer, as the official files keep them.
struct LayerPlan {
  std::string name;  ///< "L0_36_512"
  bool to_rgb = false, critical = false, fp16 = false, down_radial = false;
  std::int64_t in_channels = 0, out_channels = 0;
  Extent in_size{}, out_size{};
  double in_rate = 0, out_rate = 0, large_rate = 0;  ///< sampling rates: before, after, and of the large picture in between
  double in_cutoff = 0, out_cutoff = 0, in_half_width = 0, out_half_width = 0;
  int kernel = 3, up = 1, down = 1, up_taps = 1, down_taps = 1;
  Padding padding;  ///< of the filters, in the large picture

  LowpassOptions up_filter() const {
    return {.taps = up_taps, .cutoff = in_cutoff, .width = 2 * in_half_width, .sampling_rate = large_rate};
  }
  LowpassOptions down_filter() const {
    return {.taps = down_taps, .cutoff = out_cutoff, .width = 2 * out_half_width, .sampling_rate = large_rate, .radial = down_radial};
  }
  /// What the padding makes of in_size; equal to out_size in a sound plan, and 0 if nothing is left.
  Extent result_size() const {
    auto along = [&](std::int64_t in, int p0, int p1) {
      std::int64_t const large = (in + kernel - 1) * up + p0 + p1 - (up_taps - 1) - (down_taps - 1);
      return large < 1 ? 0 : (large - 1) / down + 1;
    };
    return {along(in_size[0], padding.x0, padding.x1), along(in_size[1], padding.y0, padding.y1)};
  }
};

/// The layers of a network (the paper's appendix; all in double). There are layers + 1; the last makes colours.
inline std::vector<LayerPlan> layer_schedule(StyleGAN3Options const& o) {
  check(o.layers >= 1 && o.critical_layers >= 0 && o.critical_layers < o.layers, "StyleGAN3: needs fewer critical layers than layers, got ",
        o.critical_layers, " of ", o.layers);
  check(o.resolution >= 4 && o.image_channels > 0 && o.channel_base > 0 && o.channel_max > 0 && o.margin >= 0 && o.conv_kernel > 0 &&
            o.filter_size > 0 && o.lrelu_upsampling > 0 && o.first_cutoff > 0 && o.first_stopband > 0 && o.last_stopband_rel > 0,
        "StyleGAN3: resolution, channels, kernel, filters and cutoffs must be positive");
  double const resolution = double(o.resolution), last_cutoff = resolution / 2, last_stopband = last_cutoff * o.last_stopband_rel;
  struct Level {
    double cutoff, rate, half_width;
    std::int64_t size, channels;
  };
  std::vector<Level> level;
  for (int i = 0; i <= o.layers; ++i) {
    double const e = std::min(double(i) / double(o.layers - o.critical_layers), 1.0);
    double const cutoff = o.first_cutoff * std::pow(last_cutoff / o.first_cutoff, e),
                 stopband = o.first_stopband * std::pow(last_stopband / o.first_stopband, e);
    double const rate = std::exp2(std::ceil(std::log2(std::min(2 * stopband, resolution))));
    bool const full = i >= o.layers - 1;
    level.push_back({cutoff, rate, std::max(stopband, rate / 2) - cutoff, full ? o.resolution : std::int64_t(rate) + 2 * o.margin,
                     i == o.layers ? o.image_channels
                                   : std::int64_t(std::nearbyint(std::min(double(o.channel_base) / 2 / cutoff, double(o.channel_max))))});
  }
  std::vector<LayerPlan> plans;
  for (int i = 0; i <= o.layers; ++i) {
    Level const &in = level[std::size_t(std::max(i - 1, 0))], &out = level[std::size_t(i)];
    LayerPlan p;
    p.name = str("L", i, "_", out.size, "_", out.channels);
    p.to_rgb = i == o.layers, p.critical = i >= o.layers - o.critical_layers;
    p.fp16 = out.rate * std::exp2(o.fp16_resolutions) > resolution;
    p.in_channels = in.channels, p.out_channels = out.channels;
    p.in_size = {in.size, in.size}, p.out_size = {out.size, out.size};
    p.in_rate = in.rate, p.out_rate = out.rate, p.large_rate = std::max(in.rate, out.rate) * (p.to_rgb ? 1 : o.lrelu_upsampling);
    p.in_cutoff = in.cutoff, p.out_cutoff = out.cutoff, p.in_half_width = in.half_width, p.out_half_width = out.half_width;
    p.kernel = p.to_rgb ? 1 : o.conv_kernel;
    p.up = int(std::nearbyint(p.large_rate / in.rate)), p.down = int(std::nearbyint(p.large_rate / out.rate));
    p.up_taps = p.up > 1 && !p.to_rgb ? o.filter_size * p.up : 1;
    p.down_taps = p.down > 1 && !p.to_rgb ? o.filter_size * p.down : 1;
    p.down_radial = o.radial_filters && !p.critical;
    std::int64_t const total = (out.size - 1) * p.down + 1 - (in.size + p.kernel - 1) * p.up + p.up_taps + p.down_taps - 2;
    int const low = int(rig::detail::floor_quotient(total + p.up, 2)), high = int(total) - low;
    p.padding = {low, high, low, high};
    plans.push_back(std::move(p));
  }
  return plans;
}

struct ImageTransform {
  double x = 0, y = 0;  ///< in units of the picture
  double degrees = 0;
};
/// [3, 3] for SynthesisOptions: the inverse of the move and turn of the picture, as the official scripts store it.
template <class T> Tensor<T> image_transform(ImageTransform const& t, Device const& device = {}) {
  double const a = t.degrees * detail::pi / 180, c = std::cos(a), s = std::sin(a);
  // The inverse of [c s x; -s c y; 0 0 1].
  return Tensor<T>({3, 3}, {T(c), T(-s), T(s * t.y - c * t.x), T(s), T(c), T(-s * t.x - c * t.y), 0, 0, 1}, device);
}

namespace detail {
/// Where the middles of `count` pixels are when the middle of all is 0 and `rate` pixels make one unit.
template <class T> struct PixelCentersKernel {
  T* x;
  double count, rate;
  RIG_HD void operator()(std::int64_t j) const { x[j] = T((double(j) + 0.5 - 0.5 * count) / rate); }
};
}  // namespace detail

/// The picture before the first layer: waves of random frequency and phase, moved and turned as the first row of codes says,
/// and mixed by a 1x1 convolution.
template <class T> struct FourierInput {
  Extent size{};
  double sampling_rate = 0, bandwidth = 0;
  EqualLinear<T> affine;               ///< to four numbers: cosine and sine of the turn, and the move
  Param<T> weight;                     ///< [c, c]
  Tensor<T> freqs, phases, transform;  ///< [c, 2], [c], [3, 3]

  std::int64_t channels() const { return weight.dim(0); }
  /// [n, h, w, c] from style [n, 4]. transform [3, 3] or [n, 3, 3]; empty: the stored one. Any order.
  Var<T> operator()(Var<T> const& style, Var<T> const& given = {}) const {
    std::int64_t const n = style.dim(0), c = channels(), w = size[0], h = size[1];
    Var<T> const f = given ? given : Var<T>(transform);
    check(f.shape() == Shape{3, 3} || f.shape() == Shape{n, 3, 3}, "synthesis: the transform must be [3, 3] or [", n, ", 3, 3], got ",
          f.shape());
    auto row = [&](std::int64_t i) {
      Var<T> const all = reshape(f, {f.size() / 9, 3, 3});
      return reshape(slice(all, 1, i, 1), {f.size() / 9, 3});
    };
    auto part = [](Var<T> const& v, std::int64_t i) { return slice(v, 1, i, 1); };
    Var<T> const a0 = part(style, 0), b0 = part(style, 1), t = style / sqrt(square(a0) + square(b0));
    Var<T> const a = part(t, 0), b = part(t, 1);
    // Turn times move times transform, the first two rows of it.
    Var<T> const moved_x = row(0) - part(t, 2) * row(2), moved_y = row(1) - part(t, 3) * row(2);
    Var<T> const m0 = a * moved_x - b * moved_y, m1 = b * moved_x + a * moved_y;
    Var<T> const all(freqs), fx = reshape(part(all, 0), {1, c}), fy = reshape(part(all, 1), {1, c});
    auto turned = [&](std::int64_t i) { return part(m0, i) * fx + part(m1, i) * fy; };  // [n, c]
    Var<T> const gx = turned(0), gy = turned(1), phase = reshape(Var<T>(phases), {1, c}) + turned(2);
    // What is too fine for the sampling fades out.
    Var<T> const loud = clamp(T(1) - (sqrt(square(gx) + square(gy)) - T(bandwidth)) / T(sampling_rate / 2 - bandwidth), T(0), T(1));
    auto places = [&](std::int64_t count, Shape const& shape) {
      Tensor<T> x(shape, freqs.device());
      for_each(x.device(), count, detail::PixelCentersKernel<T>{x.mutate(), double(count), sampling_rate});
      return Var<T>(x);
    };
    auto spread = [&](Var<T> const& v) { return reshape(v, {n, 1, 1, c}); };
    Var<T> const angle = spread(gx) * places(w, {1, 1, w, 1}) + (spread(gy) * places(h, {1, h, 1, 1}) + spread(phase));
    Var<T> const waves = sin(angle * T(2 * detail::pi)) * spread(loud);
    Var<T> const mixed = matmul(reshape(waves, {n * h * w, c}), T(1 / std::sqrt(double(c))) * weight, {.b = true});
    return reshape(mixed, {n, h, w, c});
  }
  void visit(auto&& f) { f("affine", affine), f("weight", weight), f("freqs", freqs), f("phases", phases), f("transform", transform); }
};

/// A modulated convolution and a filtered activation. The last layer makes colours and only clamps.
template <class T> struct AliasFreeLayer {
  LayerPlan plan;
  double conv_clamp = -1, magnitude_decay = 0.999;
  EqualLinear<T> affine;
  Param<T> weight, bias;             ///< [out, k, k, in], [out]
  Tensor<T> magnitude_ema;           ///< []: the mean square of what comes in, in training
  Tensor<T> up_filter, down_filter;  ///< [taps], or [taps, taps]; empty: none

  /// magnitude: what stands for magnitude_ema. x is given away, so that its memory is free for the filters.
  Var<T> operator()(Var<T> x, Var<T> const& style, Tensor<T> const& magnitude) const {
    check(x.dim(1) == plan.in_size[1] && x.dim(2) == plan.in_size[0], "synthesis: layer ", plan.name, " expects a picture of ",
          plan.in_size[1], " by ", plan.in_size[0], ", got ", x.shape());
    std::int64_t const k = weight.dim(1);
    Var<T> const s = plan.to_rgb ? T(1 / std::sqrt(double(weight.dim(3) * k * k))) * style : style;
    x = normalized_modulated_conv2d<T>(x, weight, s, rsqrt(Var<T>(magnitude)), {.demodulate = !plan.to_rgb, .padding = int(k) - 1});
    Var<T> y = filtered_lrelu<T>(x, bias, up_filter, down_filter,
                                 {.up = plan.up,
                                  .down = plan.down,
                                  .padding = plan.padding,
                                  .gain = plan.to_rgb ? 1 : std::sqrt(2.0),
                                  .slope = plan.to_rgb ? 1 : 0.2,
                                  .clamp = conv_clamp});
    check(y.dim(1) == plan.out_size[1] && y.dim(2) == plan.out_size[0], "synthesis: layer ", plan.name, " should make a picture of ",
          plan.out_size[1], " by ", plan.out_size[0], ", it makes ", y.shape());
    return y;
  }
  void visit(auto&& f) {
    f("affine", affine), f("weight", weight), f("bias", bias), f("magnitude_ema", magnitude_ema);
    if (up_filter) f("up_filter", up_filter);
    if (down_filter) f("down_filter", down_filter);
  }
};

template <class T> struct AliasFreeOptions {
  Var<T> transform = {};  ///< [3, 3] or [n, 3, 3]: instead of the stored one, see image_transform
  /// Sees the result of "input" and of every layer, by name.
  std::function<void(std::string const&, Var<T> const&)> observe = {};
};

template <class T> struct AliasFreeSynthesis {
  std::int64_t w_dim = 0;
  double output_scale = 1;
  FourierInput<T> input;
  std::vector<AliasFreeLayer<T>> layers;

  /// One row of codes for the input and one for each layer.
  std::int64_t num_ws() const { return std::int64_t(layers.size()) + 1; }
  /// All places where styles enter, in the order of synthesis.
  std::vector<StyleSite> sites() const {
    std::vector<StyleSite> s{{"input", 0, 4, false}};
    for (auto const& l : layers) s.push_back({l.plan.name, std::int64_t(s.size()), l.affine.out(), false});
    return s;
  }
  /// Styles [n, channels], one a site, from codes [n, num_ws, w_dim].
  std::vector<Var<T>> styles(Var<T> const& ws) const {
    check(ws.rank() == 3 && ws.dim(1) == num_ws() && ws.dim(2) == w_dim, "synthesis: codes must be [n, ", num_ws(), ", ", w_dim, "], got ",
          ws.shape());
    auto code = [&](std::size_t r) { return reshape(slice(ws, 1, std::int64_t(r), 1), {ws.dim(0), w_dim}); };
    std::vector<Var<T>> s{input.affine(code(0))};
    for (std::size_t i = 0; i < layers.size(); ++i) s.push_back(layers[i].affine(code(i + 1)));
    return s;
  }
  /// The picture [n, h, w, channels] of codes [n, num_ws, w_dim]. Any order; the same bits for any number of threads.
  Var<T> operator()(Var<T> const& ws, AliasFreeOptions<T> const& o = {}) const { return from_styles(styles(ws), o); }
  /// The same from explicit styles, in the order of sites(); gradients reach them.
  Var<T> from_styles(std::vector<Var<T>> const& styles, AliasFreeOptions<T> const& o = {}) const { return run(styles, o, nullptr); }
  /// The same in training: each magnitude_ema first follows the mean square of what its layer gets, and is then used.
  Var<T> track(Var<T> const& ws, AliasFreeOptions<T> const& o = {}) {
    std::vector<Tensor<T>> magnitudes;
    Var<T> const img = run(styles(ws), o, &magnitudes);
    for (std::size_t i = 0; i < layers.size(); ++i) layers[i].magnitude_ema = magnitudes[i];
    return img;
  }

  void visit(auto&& f) {
    f("input", input);
    for (auto& l : layers) f(l.plan.name.c_str(), l);
  }

 private:
  Var<T> run(std::vector<Var<T>> const& styles, AliasFreeOptions<T> const& o, std::vector<Tensor<T>>* follow) const {
    auto const places = sites();
    check(styles.size() == places.size(), "synthesis: expected ", places.size(), " styles, got ", styles.size());
    std::int64_t const n = styles[0].dim(0);
    for (std::size_t i = 0; i < places.size(); ++i)
      check(styles[i].shape() == Shape{n, places[i].channels}, "synthesis: style ", places[i].name, " must be [", n, ", ",
            places[i].channels, "], got ", styles[i].shape());
    auto see = [&](std::string const& name, Var<T> const& v) {
      if (o.observe) o.observe(name, v);
    };
    Var<T> x = input(styles[0], o.transform);
    see("input", x);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      Tensor<T> magnitude = layers[i].magnitude_ema;
      if (follow) {
        Var<T> const now = mean(square(x.detach())), before(magnitude);
        magnitude = (before - T(1 - layers[i].magnitude_decay) * (before - now)).value();
        follow->push_back(magnitude);
      }
      x = layers[i](std::move(x), styles[i + 1], magnitude);
      see(layers[i].plan.name, x);
    }
    return output_scale == 1 ? x : T(output_scale) * x;
  }
};

template <class T> struct StyleGAN3 {
  using scalar = T;
  std::int64_t resolution = 0, image_channels = 0;
  Mapping<T> mapping;
  AliasFreeSynthesis<T> synthesis;

  StyleGAN3() = default;
  /// The standard initialisation: weights N(0, 1), biases 0, affine biases 1, frequencies within the first bandwidth.
  StyleGAN3(StyleGAN3Options const& o, Rng& rng, Device device = {});

  std::int64_t z_dim() const { return mapping.z_dim; }
  std::int64_t c_dim() const { return mapping.c_dim; }
  std::int64_t w_dim() const { return synthesis.w_dim; }
  std::int64_t num_ws() const { return synthesis.num_ws(); }
  Device device() const { return synthesis.input.freqs.device(); }

  /// mapping and synthesis in one.
  Var<T> operator()(Var<T> const& z, Var<T> const& c = {}, Truncation t = {}, AliasFreeOptions<T> const& o = {}) const {
    return synthesis(mapping(z, c, t), o);
  }
  /// The same in training, where w_avg and every magnitude_ema follow what they average.
  Var<T> track(Var<T> const& z, Var<T> const& c = {}, AliasFreeOptions<T> const& o = {}) {
    Var<T> const w = mapping.code(z, c);
    mapping.track(w.value());
    return synthesis.track(mapping.repeat(w), o);
  }
  void visit(auto&& f) { f("mapping", mapping), f("synthesis", synthesis); }
};

template <class T>
StyleGAN3<T>::StyleGAN3(StyleGAN3Options const& o, Rng& rng, Device device) : resolution(o.resolution), image_channels(o.image_channels) {
  auto const plans = layer_schedule(o);
  mapping = Mapping<T>({.z_dim = o.z_dim,
                        .c_dim = o.c_dim,
                        .w_dim = o.w_dim,
                        .num_ws = std::int64_t(plans.size()) + 1,
                        .layers = o.mapping_layers,
                        .lr_multiplier = o.mapping_lr_multiplier,
                        .average = o.average,
                        .average_decay = 0.998},
                       rng, device);
  synthesis.w_dim = o.w_dim, synthesis.output_scale = o.output_scale;
  FourierInput<T>& in = synthesis.input;
  std::int64_t const c = plans[0].in_channels;
  in.size = plans[0].in_size, in.sampling_rate = plans[0].in_rate, in.bandwidth = plans[0].in_cutoff;
  std::vector<T> freqs, phases;
  for (std::int64_t i = 0; i < c; ++i) {
    double const x = rng.normal(), y = rng.normal(), r = std::hypot(x, y), scale = in.bandwidth / (r * std::pow(std::exp(r * r), 0.25));
    freqs.push_back(T(x * scale)), freqs.push_back(T(y * scale));
    phases.push_back(T(rng.uniform(-0.5, 0.5)));
  }
  in.freqs = Tensor<T>({c, 2}, freqs, device), in.phases = Tensor<T>({c}, phases, device);
  in.transform = image_transform<T>({}, device);
  in.weight = Param<T>(randn<T>({c, c}, rng, device));
  in.affine = EqualLinear<T>({.in = o.w_dim, .out = 4}, rng, device);
  in.affine.weight = Param<T>(zeros<T>({4, o.w_dim}, device));
  in.affine.bias = Param<T>(Tensor<T>({4}, {1, 0, 0, 0}, device));
  for (auto const& p : plans) {
    AliasFreeLayer<T> l;
    l.plan = p, l.conv_clamp = o.conv_clamp, l.magnitude_decay = o.magnitude_decay;
    l.affine = EqualLinear<T>({.in = o.w_dim, .out = p.in_channels, .bias = 1}, rng, device);
    l.weight = Param<T>(randn<T>({p.out_channels, p.kernel, p.kernel, p.in_channels}, rng, device));
    l.bias = Param<T>(zeros<T>({p.out_channels}, device));
    l.magnitude_ema = ones<T>({}, device);
    l.up_filter = design_lowpass<T>(p.up_filter(), device), l.down_filter = design_lowpass<T>(p.down_filter(), device);
    synthesis.layers.push_back(std::move(l));
  }
}

}  // namespace rig::inline RIG_ABI::nn
