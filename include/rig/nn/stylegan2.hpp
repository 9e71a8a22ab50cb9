// The StyleGAN2 generator (Karras et al. 2020), channels last: mapping z -> w, synthesis w -> picture. Architectures skip,
// resnet and orig; any resolution and widths. The structs mirror the names of the official files, so that the dotted names
// of visit() are the canonical ones: synthesis.b8.conv0.affine.weight.
//   auto w = G.mapping(z, c, {.psi = 0.7});               // [n, num_ws, w_dim]
//   auto img = G.synthesis(w, {.noise = Noise::none});    // [n, h, w, channels], about -1..1
#pragma once
#include <functional>

#include "rig/nn/mapping.hpp"
#include "rig/ops/gather.hpp"
#include "rig/ops/modulated_layer.hpp"
#include "rig/ops/upfirdn.hpp"

namespace rig::inline RIG_ABI::nn {

enum class Architecture { skip, resnet, orig };
inline char const* to_string(Architecture a) { return a == Architecture::skip ? "skip" : a == Architecture::resnet ? "resnet" : "orig"; }
inline Architecture architecture_from_name(std::string_view name) {
  for (Architecture a : {Architecture::skip, Architecture::resnet, Architecture::orig})
    if (name == to_string(a)) return a;
  throw Error(str("architecture: expected skip, resnet or orig, got '", name, "'"));
}

/// Where the noise of a layer comes from: the network's stored maps, fresh or given numbers, nowhere.
enum class Noise { stored, random, none };

struct StyleGAN2Options {
  std::int64_t z_dim = 512, w_dim = 512, c_dim = 0;
  std::int64_t resolution = 1024, image_channels = 3;
  std::int64_t channel_base = 32768, channel_max = 512;  ///< a layer at r pixels has min(base / r, max) channels
  Architecture architecture = Architecture::skip;
  Activation activation = Activation::lrelu;
  std::vector<double> resample_filter = {1, 3, 3, 1};
  double conv_clamp = -1;  ///< largest magnitude of activations; -1: none
  bool use_noise = true;
  int mapping_layers = 8;
  std::int64_t embed_features = 0, layer_features = 0;  ///< 0: w_dim
  double mapping_lr_multiplier = 0.01;
  Activation mapping_activation = Activation::lrelu;
  bool average = true;
};

/// 2 log2 resolution - 2, the number of rows of w. Throws unless the resolution is a power of two from 4 up.
inline std::int64_t rows_for_resolution(std::int64_t resolution) {
  std::int64_t log2 = 0;
  while ((std::int64_t(1) << log2) < resolution) ++log2;
  check(resolution >= 4 && (std::int64_t(1) << log2) == resolution, "StyleGAN2: the resolution must be a power of two from 4 up, got ",
        resolution);
  return 2 * log2 - 2;
}
/// What codes steer whose styles scale features of this many pixels across: up to 8 coarse things (pose, shape), at 16 and 32
/// medium ones, above fine ones (colour). Other sizes belong to the nearest power of two.
inline char const* row_name(double pixels) {
  return pixels < 8 * std::sqrt(2.0) ? "coarse" : pixels < 32 * std::sqrt(2.0) ? "medium" : "fine";
}

/// What lies beyond the border of a picture: nothing, as in the official networks, or its mirror image.
enum class Border { zeros, mirrored };

namespace detail {
/// x [n, h, w, c] with p more pixels on every side: b a | a b c | c b.
template <class T> Var<T> mirror(Var<T> const& x, int p) {
  Var<T> y = x;
  for (int axis : {1, 2}) {
    int const n = int(x.dim(axis));
    check(p <= n, "mirror: ", p, " pixels beyond the border of a picture of ", n);
    std::vector<int> index;
    for (int i = -p; i < n + p; ++i) index.push_back(i < 0 ? -1 - i : i < n ? i : 2 * n - 1 - i);
    y = gather(y, Tensor<int>({n + 2 * p}, index, x.device()), axis);
  }
  return y;
}
template <class T> Var<T> doubled(Var<T> const& x, Tensor<T> const& filter, Border border) {
  if (border == Border::zeros) return upsample2d(x, filter);
  int const p = int(filter.dim(-1) / 2 + 1) / 2;  // as far as the filter reaches
  return upsample2d(mirror(x, p), filter, {.up = 2, .padding = -2 * p});
}
}  // namespace detail

/// A 3x3 convolution modulated by a style, with noise, bias and activation; "conv0" doubles the size, "conv1" keeps it.
template <class T> struct SynthesisLayer {
  std::int64_t resolution = 0;
  int up = 1;
  Activation activation = Activation::lrelu;
  double act_gain = 1, conv_clamp = -1;
  Border border = Border::zeros;  ///< mirrored: enlarged before the convolution, whose weight is always for correlation
  EqualLinear<T> affine;
  Param<T> weight, bias;      ///< [out, 3, 3, in], [out]
  Tensor<T> resample_filter;  ///< [t, t] or [t], for up = 2
  Tensor<T> noise_const;      ///< [resolution, resolution], or empty: a layer without noise
  Param<T> noise_strength;    ///< []

  /// gain multiplies both the activation's gain and the clamp. noise [n, r, r, 1] or [r, r] before its strength, or empty.
  Var<T> operator()(Var<T> const& x, Var<T> const& style, Var<T> const& noise, double gain = 1) const {
    BiasActOptions const act{.activation = activation, .gain = act_gain * gain, .clamp = conv_clamp < 0 ? -1 : conv_clamp * gain};
    int const p = int(weight.dim(1) / 2);
    Var<T> const given = noise && noise.rank() == 2 ? reshape(noise, {1, resolution, resolution, 1}) : noise,
                 by = noise ? static_cast<Var<T> const&>(noise_strength) : Var<T>{};
    if (border == Border::mirrored)
      return modulated_conv2d_noise_bias_act(detail::mirror(up > 1 ? detail::doubled(x, resample_filter, border) : x, p), weight, style,
                                             given, by, bias, {}, act);
    // Enlarging layers store their weight for convolution, the others for correlation.
    return modulated_conv2d_noise_bias_act(x, weight, style, given, by, bias,
                                           {.up = up, .padding = p, .flip_weight = up == 1, .filter = resample_filter}, act);
  }
  void visit(auto&& f) {
    f("affine", affine), f("weight", weight), f("bias", bias);
    if (resample_filter) f("resample_filter", resample_filter);
    if (noise_const) f("noise_const", noise_const), f("noise_strength", noise_strength);
  }
};

/// A 1x1 convolution to colours, modulated but not demodulated.
template <class T> struct ToRgb {
  double conv_clamp = -1, weight_gain = 1;
  EqualLinear<T> affine;
  Param<T> weight, bias;  ///< [colours, 1, 1, in], [colours]

  Var<T> operator()(Var<T> const& x, Var<T> const& style) const {
    return modulated_conv2d_noise_bias_act(x, weight, T(weight_gain) * style, {}, {}, bias, {.demodulate = false},
                                           {.activation = Activation::linear, .clamp = conv_clamp});
  }
  void visit(auto&& f) { f("affine", affine), f("weight", weight), f("bias", bias); }
};

/// The branch of a resnet block: 1x1 convolution, then doubled in size.
template <class T> struct SkipBranch {
  double weight_gain = 1, act_gain = 1;
  Param<T> weight;  ///< [out, 1, 1, in]
  Tensor<T> resample_filter;

  Var<T> operator()(Var<T> const& x, double gain) const {
    return upsample2d(conv2d(x, T(weight_gain * act_gain * gain) * weight), resample_filter);
  }
  void visit(auto&& f) { f("weight", weight), f("resample_filter", resample_filter); }
};

template <class T> struct SynthesisBlock {
  std::string name;  ///< "b8"
  std::int64_t resolution = 0;
  Architecture architecture = Architecture::skip;
  Param<T> constant;  ///< [4, 4, c], in the first block
  std::optional<SynthesisLayer<T>> conv0, conv1;
  std::optional<ToRgb<T>> torgb;
  std::optional<SkipBranch<T>> skip;
  Tensor<T> resample_filter;  ///< doubles the picture of the block before

  void visit(auto&& f) {
    if (constant) f("const", constant);
    if (conv0) f("conv0", *conv0);
    if (conv1) f("conv1", *conv1);
    if (torgb) f("torgb", *torgb);
    if (skip) f("skip", *skip);
    if (resample_filter) f("resample_filter", resample_filter);
  }
};

/// A place where a style enters.
struct StyleSite {
  std::string name;       ///< "b8.conv0"
  std::int64_t row;       ///< the row of w that makes it
  std::int64_t channels;  ///< its width
  bool has_noise;
};

template <class T> struct SynthesisOptions {
  Noise noise = Noise::stored;
  Rng* rng = nullptr;              ///< for Noise::random
  std::vector<Var<T>> given = {};  ///< for Noise::random: one map [n, r, r, 1] a layer with noise, in order, instead of drawn ones
  double lod = -1;                 ///< StyleGAN1's level of detail: 0 full size, 1 half, ...; -1: the network's own
  /// Sees every layer's result: "b8.conv0", "b8.torgb", "b8.img", ...
  std::function<void(std::string const&, Var<T> const&)> observe = {};
};

/// The noise of a layer as the options want it: empty, [r, r] or [n, r, r, 1]. `next` counts the given maps; a layer without a
/// stored map has no noise.
template <class T>
Var<T> layer_noise(Tensor<T> const& stored, std::int64_t r, std::string const& name, std::int64_t n, SynthesisOptions<T> const& o,
                   std::size_t& next) {
  if (!stored || o.noise == Noise::none) return {};
  if (o.noise == Noise::stored) return Var<T>(stored);
  if (!o.given.empty()) {
    Var<T> const& m = o.given[next++];
    check(m.rank() == 4 && (m.dim(0) == n || m.dim(0) == 1) && m.dim(1) == r && m.dim(2) == r && m.dim(3) == 1, "synthesis: noise of ",
          name, " must be [", n, ", ", r, ", ", r, ", 1], got ", m.shape());
    return m;
  }
  check(o.rng != nullptr, "synthesis: random noise needs an Rng or given maps");
  return Var<T>(randn<T>({n, r, r, 1}, *o.rng, stored.device()));
}

/// How many samples there are, once there is a style for every place and, if any are given, a map for every noise.
template <class T>
std::int64_t check_styles(std::vector<StyleSite> const& places, std::vector<Var<T>> const& styles, SynthesisOptions<T> const& o) {
  check(styles.size() == places.size(), "synthesis: expected ", places.size(), " styles, got ", styles.size());
  std::int64_t const n = styles[0].dim(0);
  std::size_t noises = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    check(styles[i].shape() == Shape{n, places[i].channels}, "synthesis: style ", places[i].name, " must be [", n, ", ", places[i].channels,
          "], got ", styles[i].shape());
    noises += places[i].has_noise;
  }
  check(o.given.empty() || o.given.size() == noises, "synthesis: expected ", noises, " noise maps, got ", o.given.size());
  return n;
}

template <class T> struct Synthesis {
  std::int64_t w_dim = 0, num_ws = 0;
  std::vector<SynthesisBlock<T>> blocks;

  /// All places where styles enter, in the order of synthesis.
  std::vector<StyleSite> sites() const {
    std::vector<StyleSite> s;
    std::int64_t row = 0;
    for (auto const& b : blocks) {
      if (b.conv0) s.push_back({b.name + ".conv0", row++, b.conv0->affine.out(), bool(b.conv0->noise_const)});
      s.push_back({b.name + ".conv1", row++, b.conv1->affine.out(), bool(b.conv1->noise_const)});
      if (b.torgb) s.push_back({b.name + ".torgb", row, b.torgb->affine.out(), false});
    }
    return s;
  }
  /// Styles [n, channels], one a site, from codes [n, num_ws, w_dim].
  std::vector<Var<T>> styles(Var<T> const& ws) const {
    check(ws.rank() == 3 && ws.dim(1) == num_ws && ws.dim(2) == w_dim, "synthesis: codes must be [n, ", num_ws, ", ", w_dim, "], got ",
          ws.shape());
    std::vector<Var<T>> s;
    std::int64_t row = 0;
    auto code = [&](std::int64_t r) { return reshape(slice(ws, 1, r, 1), {ws.dim(0), w_dim}); };
    for (auto const& b : blocks) {
      if (b.conv0) s.push_back(b.conv0->affine(code(row++)));
      s.push_back(b.conv1->affine(code(row++)));
      if (b.torgb) s.push_back(b.torgb->affine(code(row)));
    }
    return s;
  }
  /// The picture [n, h, w, channels] of codes [n, num_ws, w_dim]. Any order; the same bits for any number of threads.
  /// For a first gradient alone, codes in a watched Param and Tape::backward need half the memory of Tape::grad.
  Var<T> operator()(Var<T> const& ws, SynthesisOptions<T> const& options = {}) const { return from_styles(styles(ws), options); }

  /// The same from explicit styles, in the order of sites(); gradients reach them.
  Var<T> from_styles(std::vector<Var<T>> const& styles, SynthesisOptions<T> const& o = {}) const {
    auto const places = sites();
    std::int64_t const n = check_styles(places, styles, o);
    check(o.lod <= 0, "synthesis: a StyleGAN2 has no levels of detail, ", o.lod, " was asked for");

    auto see = [&](std::string const& name, Var<T> const& v) {
      if (o.observe) o.observe(name, v);
    };
    std::size_t next_style = 0, next_noise = 0;
    Var<T> x, img;
    for (auto const& b : blocks) {
      // A layer and its noise; what went in is released before the next layer starts.
      auto run = [&](SynthesisLayer<T> const& layer, char const* name, double gain) {
        Var<T> const noise = layer_noise(layer.noise_const, layer.resolution, b.name + name, n, o, next_noise);
        x = layer(x, styles[next_style++], noise, gain);
        see(b.name + name, x);
      };
      if (b.constant)
        x = broadcast_to(reshape(static_cast<Var<T> const&>(b.constant), {1, 4, 4, b.constant.dim(2)}), {n, 4, 4, b.constant.dim(2)});
      if (b.skip) {
        Var<T> branch = (*b.skip)(x, std::sqrt(0.5));
        see(b.name + ".skip", branch);
        if (b.conv0) run(*b.conv0, ".conv0", 1);
        run(*b.conv1, ".conv1", std::sqrt(0.5));
        x = branch + x;
      } else {
        if (b.conv0) run(*b.conv0, ".conv0", 1);
        run(*b.conv1, ".conv1", 1);
      }
      if (img) img = detail::doubled(img, b.resample_filter, b.conv1->border);
      if (b.torgb) {
        Var<T> const y = (*b.torgb)(x, styles[next_style++]);
        see(b.name + ".torgb", y);
        img = img ? img + y : y;
      }
      if (img) see(b.name + ".img", img);
    }
    return img;
  }

  void visit(auto&& f) {
    for (auto& b : blocks) f(b.name.c_str(), b);
  }
};

template <class T> struct StyleGAN2 {
  using scalar = T;
  std::int64_t resolution = 0, image_channels = 0;
  Mapping<T> mapping;
  Synthesis<T> synthesis;
  Truncation truncation = {};  ///< what the file's own code does when nothing is asked for

  StyleGAN2() = default;
  /// The standard initialisation: weights N(0, 1) over the run-time gains, biases 0, affine biases 1, noise strengths 0.
  StyleGAN2(StyleGAN2Options const& o, Rng& rng, Device device = {});

  std::int64_t z_dim() const { return mapping.z_dim; }
  std::int64_t c_dim() const { return mapping.c_dim; }
  std::int64_t w_dim() const { return synthesis.w_dim; }
  std::int64_t num_ws() const { return synthesis.num_ws; }
  Device device() const { return synthesis.blocks.empty() ? Device{} : synthesis.blocks[0].constant.device(); }

  /// mapping and synthesis in one.
  Var<T> operator()(Var<T> const& z, Var<T> const& c = {}, Truncation t = {}, SynthesisOptions<T> const& o = {}) const {
    return synthesis(mapping(z, c, t), o);
  }
  void visit(auto&& f) { f("mapping", mapping), f("synthesis", synthesis); }
};

template <class T>
StyleGAN2<T>::StyleGAN2(StyleGAN2Options const& o, Rng& rng, Device device) : resolution(o.resolution), image_channels(o.image_channels) {
  check(o.image_channels > 0 && o.channel_base >= o.resolution && o.channel_max > 0,
        "StyleGAN2: needs image channels and channel_base of at least the resolution, got ", o.image_channels, " and ", o.channel_base);
  synthesis.w_dim = o.w_dim;
  synthesis.num_ws = rows_for_resolution(o.resolution);
  mapping = Mapping<T>({.z_dim = o.z_dim,
                        .c_dim = o.c_dim,
                        .w_dim = o.w_dim,
                        .num_ws = synthesis.num_ws,
                        .layers = o.mapping_layers,
                        .embed_features = o.embed_features,
                        .layer_features = o.layer_features,
                        .lr_multiplier = o.mapping_lr_multiplier,
                        .activation = o.mapping_activation,
                        .average = o.average},
                       rng, device);
  Tensor<T> const filter = setup_filter<T>(o.resample_filter, {}, device);
  auto channels = [&](std::int64_t r) { return std::min(o.channel_base / r, o.channel_max); };
  auto affine = [&](std::int64_t out) { return EqualLinear<T>({.in = o.w_dim, .out = out, .bias = 1}, rng, device); };
  auto layer = [&](std::int64_t in, std::int64_t out, std::int64_t r, int up) {
    SynthesisLayer<T> l;
    l.resolution = r, l.up = up, l.activation = o.activation, l.act_gain = default_gain(o.activation), l.conv_clamp = o.conv_clamp;
    l.affine = affine(in);
    l.weight = Param<T>(randn<T>({out, 3, 3, in}, rng, device));
    l.bias = Param<T>(zeros<T>({out}, device));
    if (up > 1) l.resample_filter = filter.clone();
    if (o.use_noise) l.noise_const = randn<T>({r, r}, rng, device), l.noise_strength = Param<T>(zeros<T>({}, device));
    return l;
  };
  for (std::int64_t r = 4; r <= o.resolution; r *= 2) {
    SynthesisBlock<T> b;
    b.name = "b" + std::to_string(r), b.resolution = r, b.architecture = o.architecture;
    std::int64_t const c = channels(r), before = r > 4 ? channels(r / 2) : c;
    if (r == 4) {
      b.constant = Param<T>(randn<T>({4, 4, c}, rng, device));
    } else {
      b.conv0 = layer(before, c, r, 2);
      if (o.architecture == Architecture::skip) b.resample_filter = filter.clone();
      if (o.architecture == Architecture::resnet) {
        b.skip.emplace();
        b.skip->weight = Param<T>(randn<T>({c, 1, 1, before}, rng, device));
        b.skip->weight_gain = 1 / std::sqrt(double(before));
        b.skip->resample_filter = filter.clone();
      }
    }
    b.conv1 = layer(c, c, r, 1);
    if (r == o.resolution || o.architecture == Architecture::skip) {
      b.torgb.emplace();
      b.torgb->conv_clamp = o.conv_clamp, b.torgb->weight_gain = 1 / std::sqrt(double(c));
      b.torgb->affine = affine(c);
      b.torgb->weight = Param<T>(randn<T>({o.image_channels, 1, 1, c}, rng, device));
      b.torgb->bias = Param<T>(zeros<T>({o.image_channels}, device));
    }
    synthesis.blocks.push_back(std::move(b));
  }
}

}  // namespace rig::inline RIG_ABI::nn
