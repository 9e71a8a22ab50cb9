// The first StyleGAN (Karras et al. 2019), channels last: mapping z -> w, synthesis w -> picture, in which every layer adds noise
// and lets a style scale and shift its normalised channels. All official variants: fused convolutions, blur, noise, norms,
// levels of detail. The dotted names of visit() are the canonical ones: synthesis.b8.conv0.style.weight.
//   auto w = G.mapping(z, c, G.truncation);                // [n, num_ws, w_dim]; the network's own default
//   auto img = G.synthesis(w, {.noise = Noise::none});     // [n, h, w, channels], about -1..1
#pragma once
#include "rig/nn/stylegan2.hpp"
#include "rig/ops/norm.hpp"
#include "rig/ops/progressive.hpp"

namespace rig::inline RIG_ABI::nn {

/// Whether layers that change the size use the fused form of their convolution, which is another function. A network works
/// with the form it was trained with; `automatic`: fused where the larger side of the layer is 128 pixels and more.
enum class FusedScale { never, always, automatic };
inline char const* to_string(FusedScale f) { return f == FusedScale::never ? "never" : f == FusedScale::always ? "always" : "automatic"; }

struct StyleGAN1Options {
  std::int64_t z_dim = 512, w_dim = 512, c_dim = 0;
  std::int64_t resolution = 1024, image_channels = 3;
  /// A layer at r pixels has min(fmap_base / (r / 2)^fmap_decay, fmap_max) channels, rounded down, unless `channels` lists
  /// them, for 4, 8, ... pixels.
  double fmap_base = 8192, fmap_decay = 1;
  std::int64_t fmap_max = 512;
  std::vector<std::int64_t> channels = {};
  int mapping_layers = 8;
  std::int64_t mapping_features = 512;
  double mapping_lr_multiplier = 0.01;
  Activation mapping_activation = Activation::lrelu, activation = Activation::lrelu;  ///< relu or lrelu
  FusedScale fused_scale = FusedScale::automatic;
  std::vector<double> blur_filter = {1, 2, 1};  ///< after enlarging; empty: none
  bool use_noise = true, use_styles = true, use_instance_norm = true, use_pixel_norm = false;
  bool use_wscale = true;  ///< equalised learning rate
  bool normalize_latents = true;
  Truncation truncation = {.psi = 0.7, .cutoff = 8};  ///< the network's own; a cutoff of 0 or less turns it off
  double average_decay = 0.995;

  std::int64_t channels_at(std::int64_t r) const {
    if (channels.empty()) return std::min(std::int64_t(fmap_base / std::pow(double(r / 2), fmap_decay)), fmap_max);
    std::size_t i = 0;
    for (std::int64_t s = 4; s < r; s *= 2) ++i;
    check(i < channels.size(), "StyleGAN1: channels are listed for ", channels.size(), " sizes, none for ", r, " pixels");
    return channels[i];
  }
  bool fused_at(std::int64_t r) const { return fused_scale == FusedScale::always || (fused_scale == FusedScale::automatic && r >= 128); }
};

/// One style layer: a convolution (none after the constant), noise, bias, activation, normalisation, style.
template <class T> struct StyleGAN1Layer {
  std::int64_t resolution = 0;
  bool up = false, fused = false;
  Activation activation = Activation::lrelu;
  double weight_gain = 1;
  bool instance_norm = true, pixel_norm = false;
  std::vector<double> blur_filter;
  Param<T> weight, bias;                ///< [out, 3, 3, in] or empty, [out]
  Tensor<T> noise_const;                ///< [1, resolution, resolution, 1], or empty: a layer without noise
  Param<T> noise_weight;                ///< [out]
  std::optional<EqualLinear<T>> style;  ///< w_dim -> 2 out: scales, then offsets

  std::int64_t channels() const { return bias.dim(0); }
  /// styles [n, 2 channels], or empty for a layer without; noise [n or 1, r, r, 1] before its strength, or empty.
  Var<T> operator()(Var<T> x, Var<T> const& styles, Var<T> const& noise) const {
    if (weight) {
      // The constant goes to the smaller of the two.
      bool const large = x.size() > weight.size();
      Var<T> const w = large ? T(weight_gain) * weight : static_cast<Var<T> const&>(weight);
      if (!large) x = T(weight_gain) * x;
      x = up ? upscale_conv2d(x, w, fused) : conv2d(x, w, {.padding = int(w.dim(1) / 2)});
      if (up && !blur_filter.empty()) x = blur2d(x, blur_filter);
    }
    x = noise_bias_act(x, noise, noise ? static_cast<Var<T> const&>(noise_weight) : Var<T>{}, static_cast<Var<T> const&>(bias),
                       {.activation = activation, .gain = 1});
    if (pixel_norm) x = reshape(normalize_second_moment(reshape(x, {x.dim(0) * x.dim(1) * x.dim(2), x.dim(3)})), x.shape());
    if (!styles) return instance_norm ? rig::instance_norm(x) : x;
    return instance_norm ? adain(x, styles) : modulate_channels(x, styles);
  }
  void visit(auto&& f) {
    if (weight) f("weight", weight);
    f("bias", bias);
    if (noise_const) f("noise_const", noise_const), f("noise_weight", noise_weight);
    if (style) f("style", *style);
  }
};

/// A 1x1 convolution to colours. No style.
template <class T> struct StyleGAN1ToRgb {
  double weight_gain = 1;
  Param<T> weight, bias;  ///< [colours, 1, 1, in], [colours]

  Var<T> operator()(Var<T> const& x) const {
    std::int64_t const n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
    Var<T> const y = matmul(reshape(x, {n * h * w, c}), T(weight_gain) * reshape(weight, {weight.dim(0), c}), {.b = true});
    return bias_act(reshape(y, {n, h, w, weight.dim(0)}), bias, {.activation = Activation::linear});
  }
  void visit(auto&& f) { f("weight", weight), f("bias", bias); }
};

template <class T> struct StyleGAN1Block {
  std::string name;  ///< "b8"
  std::int64_t resolution = 0;
  Param<T> constant;  ///< [1, 4, 4, c], in the first block
  StyleGAN1Layer<T> conv0, conv1;
  StyleGAN1ToRgb<T> torgb;

  void visit(auto&& f) {
    if (constant) f("const", constant);
    f("conv0", conv0), f("conv1", conv1), f("torgb", torgb);
  }
};

template <class T> struct StyleGAN1Synthesis {
  std::int64_t w_dim = 0, num_ws = 0;
  std::vector<StyleGAN1Block<T>> blocks;
  HostTensor<T> lod;  ///< [], the level of detail used unless another is asked for: 0 is full size, 1 half the size, ...

  /// All layers in the order of synthesis. A network without styles has layers of 0 channels.
  std::vector<StyleSite> sites() const {
    std::vector<StyleSite> s;
    for (auto const& b : blocks)
      for (auto const* l : {&b.conv0, &b.conv1})
        s.push_back(
            {b.name + (l == &b.conv0 ? ".conv0" : ".conv1"), std::int64_t(s.size()), l->style ? l->style->out() : 0, bool(l->noise_const)});
    return s;
  }
  /// Styles [n, 2 channels], one a layer, from codes [n, num_ws, w_dim].
  std::vector<Var<T>> styles(Var<T> const& ws) const {
    check(ws.rank() == 3 && ws.dim(1) == num_ws && ws.dim(2) == w_dim, "synthesis: codes must be [n, ", num_ws, ", ", w_dim, "], got ",
          ws.shape());
    std::vector<Var<T>> s;
    for (auto const& b : blocks)
      for (auto const* l : {&b.conv0, &b.conv1})
        s.push_back(l->style ? (*l->style)(reshape(slice(ws, 1, std::int64_t(s.size()), 1), {ws.dim(0), w_dim}))
                             : Var<T>(zeros<T>({ws.dim(0), 0}, ws.device())));
    return s;
  }
  /// The picture [n, h, w, channels] of codes [n, num_ws, w_dim]. Any order; the same bits for any number of threads.
  Var<T> operator()(Var<T> const& ws, SynthesisOptions<T> const& options = {}) const { return from_styles(styles(ws), options); }

  /// The same from explicit styles, in the order of sites(); gradients reach them. Blocks beyond the level of detail are not run.
  Var<T> from_styles(std::vector<Var<T>> const& styles, SynthesisOptions<T> const& o = {}) const {
    auto const places = sites();
    std::int64_t const n = check_styles(places, styles, o);
    double const level = o.lod >= 0 ? o.lod : lod ? double(lod.item()) : 0.0;
    check(level >= 0, "synthesis: the level of detail must not be negative, got ", level);
    std::size_t const most = blocks.size() - 1, whole = level < double(most) ? std::size_t(level) : most;
    double const part = whole == most ? 0 : level - double(whole);

    auto see = [&](std::string const& name, Var<T> const& v) {
      if (o.observe) o.observe(name, v);
    };
    std::size_t next_style = 0, next_noise = 0;
    Var<T> x, coarse;
    for (std::size_t i = 0; i + whole <= most; ++i) {
      auto const& b = blocks[i];
      if (part > 0 && i + whole == most) coarse = upscale2d(blocks[i - 1].torgb(x));
      if (b.constant) x = broadcast_to(static_cast<Var<T> const&>(b.constant), b.constant.shape().with(0, n));
      for (auto const* l : {&b.conv0, &b.conv1}) {
        std::string const name = places[next_style].name;
        Var<T> const noise = layer_noise(l->noise_const, l->resolution, name, n, o, next_noise);
        // What goes in is handed over, so that it can be released as soon as the layer is done with it.
        x = (*l)(std::move(x), places[next_style].channels ? styles[next_style] : Var<T>{}, noise);
        ++next_style;
        see(name, x);
      }
    }
    Var<T> img = blocks[most - whole].torgb(x);
    x = {};
    see(blocks[most - whole].name + ".torgb", img);
    if (coarse) img = T(1 - part) * img + T(part) * coarse;
    return upscale2d(img, 1 << whole);
  }

  void visit(auto&& f) {
    for (auto& b : blocks) f(b.name.c_str(), b);
  }
};

template <class T> struct StyleGAN1 {
  using scalar = T;
  StyleGAN1Options options;
  std::int64_t resolution = 0, image_channels = 0;
  Mapping<T> mapping;
  StyleGAN1Synthesis<T> synthesis;
  Truncation truncation = {};  ///< what the network's own code does when nothing is asked for

  StyleGAN1() = default;
  /// The standard initialisation: weights N(0, 1) over the learning rate multiplier, the constant 1, biases and noise weights 0.
  StyleGAN1(StyleGAN1Options const& o, Rng& rng, Device device = {})
      : StyleGAN1(o, [&](std::string const&, Shape const& shape, double deviation, double value) {
          return deviation > 0 ? randn<T>(shape, rng, device, T(deviation)) : full<T>(shape, T(value), device);
        }) {}
  /// With tensors from make(canonical name, shape, deviation of the standard initialisation, or 0 and the value it starts with).
  template <class Make> StyleGAN1(StyleGAN1Options const& o, Make&& make);

  std::int64_t z_dim() const { return mapping.z_dim; }
  std::int64_t c_dim() const { return mapping.c_dim; }
  std::int64_t w_dim() const { return synthesis.w_dim; }
  std::int64_t num_ws() const { return synthesis.num_ws; }
  Device device() const { return synthesis.blocks.empty() ? Device{} : synthesis.blocks[0].constant.device(); }

  /// mapping and synthesis in one.
  Var<T> operator()(Var<T> const& z, Var<T> const& c = {}, Truncation t = {}, SynthesisOptions<T> const& o = {}) const {
    return synthesis(mapping(z, c, t), o);
  }
  void visit(auto&& f) { f("lod", synthesis.lod), f("mapping", mapping), f("synthesis", synthesis); }
};

namespace detail {
/// The run-time constant and the initial deviation of a weight (He et al. 2015).
struct ScaledWeight {
  double gain, deviation;
  ScaledWeight(StyleGAN1Options const& o, double gain_of_activation, std::int64_t fan_in, double lr_multiplier = 1) {
    double const he = gain_of_activation / std::sqrt(double(fan_in));
    gain = o.use_wscale ? he * lr_multiplier : lr_multiplier;
    deviation = (o.use_wscale ? 1 : he) / lr_multiplier;
  }
};
}  // namespace detail

template <class T>
template <class Make>
StyleGAN1<T>::StyleGAN1(StyleGAN1Options const& o, Make&& make) : options(o), resolution(o.resolution), image_channels(o.image_channels) {
  check(o.image_channels > 0 && o.z_dim > 0 && o.w_dim > 0 && o.c_dim >= 0 && o.mapping_layers > 0 && o.mapping_features > 0,
        "StyleGAN1: needs image channels, z, w, mapping layers and features, got ", o.image_channels, ", ", o.z_dim, ", ", o.w_dim, ", ",
        o.mapping_layers, " and ", o.mapping_features);
  for (Activation a : {o.activation, o.mapping_activation})
    check(a == Activation::relu || a == Activation::lrelu, "StyleGAN1: activations are relu or lrelu, got ", to_string(a));
  double const root2 = std::sqrt(2.0);
  auto zero = [&](std::string const& name, Shape const& shape) { return Param<T>(make(name, shape, 0.0, 0.0)); };
  auto dense = [&](std::string const& name, std::int64_t in, std::int64_t out, double gain, double lr_multiplier) {
    detail::ScaledWeight const w(o, gain, in, lr_multiplier);
    EqualLinear<T> l;
    l.weight_gain = w.gain, l.bias_gain = lr_multiplier, l.act_gain = 1;
    l.weight = Param<T>(make(name + ".weight", Shape{out, in}, w.deviation, 0.0));
    l.bias = zero(name + ".bias", {out});
    return l;
  };
  synthesis.w_dim = o.w_dim;
  synthesis.num_ws = rows_for_resolution(o.resolution);
  if (o.truncation.cutoff > 0 && o.truncation.psi != 1)
    truncation = {o.truncation.psi, int(std::min<std::int64_t>(o.truncation.cutoff, synthesis.num_ws))};

  synthesis.lod = make("lod", Shape{}, 0.0, 0.0);
  mapping.z_dim = o.z_dim, mapping.c_dim = o.c_dim, mapping.w_dim = o.w_dim, mapping.num_ws = synthesis.num_ws;
  mapping.normalize = o.normalize_latents, mapping.average_decay = o.average_decay;
  mapping.w_avg = make("mapping.w_avg", Shape{o.w_dim}, 0.0, 0.0);
  if (o.c_dim) mapping.label_weight = Param<T>(make("mapping.label_weight", Shape{o.c_dim, o.z_dim}, 1.0, 0.0));
  for (int i = 0; i < o.mapping_layers; ++i) {
    std::int64_t const in = i ? o.mapping_features : o.z_dim * (o.c_dim ? 2 : 1),
                       out = i + 1 < o.mapping_layers ? o.mapping_features : o.w_dim;
    mapping.layers.push_back(dense("mapping.fc" + std::to_string(i), in, out, root2, o.mapping_lr_multiplier));
    mapping.layers.back().activation = o.mapping_activation;
  }

  auto layer = [&](std::string const& name, std::int64_t in, std::int64_t out, std::int64_t r, bool up) {
    StyleGAN1Layer<T> l;
    l.resolution = r, l.up = up, l.fused = up && o.fused_at(r), l.activation = o.activation;
    l.instance_norm = o.use_instance_norm, l.pixel_norm = o.use_pixel_norm;
    if (up) l.blur_filter = o.blur_filter;
    if (in) {
      detail::ScaledWeight const w(o, root2, 9 * in);
      l.weight_gain = w.gain;
      l.weight = Param<T>(make(name + ".weight", Shape{out, 3, 3, in}, w.deviation, 0.0));
    }
    l.bias = zero(name + ".bias", {out});
    if (o.use_noise)
      l.noise_const = make(name + ".noise_const", Shape{1, r, r, 1}, 1.0, 0.0), l.noise_weight = zero(name + ".noise_weight", {out});
    if (o.use_styles) l.style = dense(name + ".style", o.w_dim, 2 * out, 1, 1);
    return l;
  };
  for (std::int64_t r = 4; r <= o.resolution; r *= 2) {
    StyleGAN1Block<T> b;
    b.name = "b" + std::to_string(r), b.resolution = r;
    std::string const path = "synthesis." + b.name;
    std::int64_t const c = o.channels_at(r), before = r > 4 ? o.channels_at(r / 2) : 0;
    check(c > 0, "StyleGAN1: no channels are left at ", r, " pixels");
    if (r == 4) b.constant = Param<T>(make(path + ".const", Shape{1, 4, 4, c}, 0.0, 1.0));
    b.conv0 = layer(path + ".conv0", before, c, r, r > 4);
    b.conv1 = layer(path + ".conv1", c, c, r, false);
    detail::ScaledWeight const w(o, 1, c);
    b.torgb.weight_gain = w.gain;
    b.torgb.weight = Param<T>(make(path + ".torgb.weight", Shape{o.image_channels, 1, 1, c}, w.deviation, 0.0));
    b.torgb.bias = zero(path + ".torgb.bias", {o.image_channels});
    synthesis.blocks.push_back(std::move(b));
  }
}

}  // namespace rig::inline RIG_ABI::nn
