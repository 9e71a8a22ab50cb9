// The discriminator of the first StyleGAN (Karras et al. 2018, 2019), channels last: picture -> score. Levels of detail as in the
// generator. The dotted names of visit() are analogous to those of StyleGAN2's: b64.conv0.weight, b4.out.weight.
#pragma once
#include "rig/nn/stylegan1.hpp"
#include "rig/ops/minibatch_stddev.hpp"

namespace rig::inline RIG_ABI::nn {

struct StyleGAN1DiscriminatorOptions {
  StyleGAN1Options network = {};   ///< resolution, image channels, labels, channels, activation, fused_scale, blur, use_wscale
  std::int64_t fc_features = 512;  ///< of the dense layer at 4 pixels
  int stddev_group = 4;            ///< of minibatch_stddev; 1 or less: none
  int stddev_features = 1;
};

/// act(conv(x, w weight_gain) + b), `down`: with blur before and halving after the convolution.
template <class T> struct StyleGAN1DiscriminatorLayer {
  bool down = false;
  double weight_gain = 1;
  Activation activation = Activation::lrelu;
  std::vector<double> blur_filter;
  Param<T> weight, bias;  ///< [out, k, k, in], [out]

  Var<T> operator()(Var<T> const& x) const {
    Var<T> const w = T(weight_gain) * weight;
    if (!down) return act(conv2d(x, w, {.padding = int(w.dim(1) / 2)}));
    return act(conv2d_downscale(blur_filter.empty() ? x : blur2d(x, blur_filter), w));
  }
  void visit(auto&& f) { f("weight", weight), f("bias", bias); }

 private:
  Var<T> act(Var<T> const& y) const { return bias_act(y, bias, {.activation = activation, .gain = 1}); }
};

/// One size of picture: colours come in here, and two layers lead to the next smaller one.
template <class T> struct StyleGAN1DiscriminatorBlock {
  std::string name;                                      ///< "b64"
  StyleGAN1DiscriminatorLayer<T> fromrgb, conv0, conv1;  ///< the last two not at 4 pixels
  std::optional<StyleGAN1DiscriminatorLayer<T>> conv;    ///< at 4 pixels
  EqualLinear<T> fc, out;                                ///< at 4 pixels

  void visit(auto&& f) {
    f("fromrgb", fromrgb);
    if (conv)
      f("conv", *conv), f("fc", fc), f("out", out);
    else
      f("conv0", conv0), f("conv1", conv1);
  }
};

template <class T> struct StyleGAN1Discriminator {
  using scalar = T;
  StyleGAN1DiscriminatorOptions options;
  std::vector<StyleGAN1DiscriminatorBlock<T>> blocks;  ///< from the full size to 4 pixels
  HostTensor<T> lod;                                   ///< [], used unless another is asked for

  StyleGAN1Discriminator() = default;
  /// The standard initialisation: weights N(0, 1), biases 0.
  StyleGAN1Discriminator(StyleGAN1DiscriminatorOptions const& o, Rng& rng, Device device = {})
      : StyleGAN1Discriminator(o, [&](std::string const&, Shape const& shape, double deviation, double value) {
          return deviation > 0 ? randn<T>(shape, rng, device, T(deviation)) : full<T>(shape, T(value), device);
        }) {}
  /// With tensors from make(canonical name, shape, deviation of the standard initialisation, or 0 and the value it starts with).
  template <class Make> StyleGAN1Discriminator(StyleGAN1DiscriminatorOptions const& o, Make&& make);

  std::int64_t resolution() const { return options.network.resolution; }
  std::int64_t c_dim() const { return options.network.c_dim; }

  /// Scores [n, 1] of pictures [n, h, w, channels], with labels c [n, c_dim] where the network has them. level -1: the network's
  /// own level of detail. Any order.
  Var<T> operator()(Var<T> img, Var<T> const& c = {}, double level = -1) const {
    auto const& o = options.network;
    check(img.rank() == 4 && img.dim(1) == o.resolution && img.dim(2) == o.resolution && img.dim(3) == o.image_channels,
          "StyleGAN1Discriminator: pictures must be [n, ", o.resolution, ", ", o.resolution, ", ", o.image_channels, "], got ",
          img.shape());
    std::int64_t const n = img.dim(0);
    check(bool(c) == (o.c_dim > 0) && (!c || c.shape() == Shape{n, o.c_dim}), "StyleGAN1Discriminator: labels must be ",
          o.c_dim ? str(Shape{n, o.c_dim}) : std::string("left out"), ", got ", c.shape());
    if (level < 0) level = lod ? double(lod.item()) : 0;
    check(level >= 0, "StyleGAN1Discriminator: the level of detail must not be negative, got ", level);
    std::size_t const most = blocks.size() - 1, whole = level < double(most) ? std::size_t(level) : most;
    double const part = whole == most ? 0 : level - double(whole);
    img = downscale2d(img, 1 << whole);
    Var<T> x = blocks[whole].fromrgb(img);
    for (std::size_t i = whole; i < most; ++i) {
      x = blocks[i].conv1(blocks[i].conv0(x));
      if (i == whole && part > 0) x = T(1 - part) * x + T(part) * blocks[i + 1].fromrgb(downscale2d(img));
    }
    auto const& last = blocks[most];
    if (options.stddev_group > 1) x = minibatch_stddev(x, {.group = options.stddev_group, .features = options.stddev_features});
    x = (*last.conv)(x);
    // Dense weights are stored for [c, h, w].
    Var<T> const y = last.out(last.fc(reshape(permute(x, {0, 3, 1, 2}), {n, x.size() / n})));
    return c ? sum(y * c, 1, true) : y;
  }

  void visit(auto&& f) {
    f("lod", lod);
    for (auto& b : blocks) f(b.name.c_str(), b);
  }
};

template <class T>
template <class Make>
StyleGAN1Discriminator<T>::StyleGAN1Discriminator(StyleGAN1DiscriminatorOptions const& options_, Make&& make) : options(options_) {
  auto const& o = options.network;
  rows_for_resolution(o.resolution);
  check(o.activation == Activation::relu || o.activation == Activation::lrelu,
        "StyleGAN1Discriminator: the activation is relu or lrelu, got ", to_string(o.activation));
  double const root2 = std::sqrt(2.0);
  lod = make("lod", Shape{}, 0.0, 0.0);
  auto layer = [&](std::string const& name, std::int64_t in, std::int64_t out, std::int64_t k, bool down) {
    StyleGAN1DiscriminatorLayer<T> l;
    detail::ScaledWeight const w(o, root2, k * k * in);
    l.down = down, l.weight_gain = w.gain, l.activation = o.activation;
    if (down) l.blur_filter = o.blur_filter;
    l.weight = Param<T>(make(name + ".weight", Shape{out, k, k, in}, w.deviation, 0.0));
    l.bias = Param<T>(make(name + ".bias", Shape{out}, 0.0, 0.0));
    return l;
  };
  auto dense = [&](std::string const& name, std::int64_t in, std::int64_t out, double gain, Activation a) {
    detail::ScaledWeight const w(o, gain, in);
    EqualLinear<T> l;
    l.activation = a, l.weight_gain = w.gain, l.act_gain = 1;
    l.weight = Param<T>(make(name + ".weight", Shape{out, in}, w.deviation, 0.0));
    l.bias = Param<T>(make(name + ".bias", Shape{out}, 0.0, 0.0));
    return l;
  };
  for (std::int64_t r = o.resolution; r >= 4; r /= 2) {
    StyleGAN1DiscriminatorBlock<T> b;
    b.name = "b" + std::to_string(r);
    std::int64_t const c = o.channels_at(r);
    b.fromrgb = layer(b.name + ".fromrgb", o.image_channels, c, 1, false);
    if (r > 4) {
      b.conv0 = layer(b.name + ".conv0", c, c, 3, false);
      b.conv1 = layer(b.name + ".conv1", c, o.channels_at(r / 2), 3, true);
    } else {
      b.conv = layer(b.name + ".conv", c + (options.stddev_group > 1 ? options.stddev_features : 0), c, 3, false);
      b.fc = dense(b.name + ".fc", 16 * c, options.fc_features, root2, o.activation);
      b.out = dense(b.name + ".out", options.fc_features, std::max<std::int64_t>(o.c_dim, 1), 1, Activation::linear);
    }
    blocks.push_back(std::move(b));
  }
}

}  // namespace rig::inline RIG_ABI::nn
