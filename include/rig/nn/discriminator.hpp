// The StyleGAN2 discriminator (Karras et al. 2020), channels last: picture -> score. Architectures resnet, skip and orig;
// any resolution and widths. The structs mirror the names of the official files, so that the dotted names of visit() are
// the canonical ones: b16.conv0.weight. Layers may be frozen (Mo et al. 2020): visited as buffers, not as parameters.
//   Discriminator<float> D({.resolution = 64}, rng);
//   auto scores = D(img);                              // [n, 64, 64, 3] -> [n, 1], logits
#pragma once
#include "rig/nn/mapping.hpp"
#include "rig/nn/stylegan2.hpp"
#include "rig/ops/minibatch_stddev.hpp"

namespace rig::inline RIG_ABI::nn {

struct DiscriminatorOptions {
  std::int64_t resolution = 1024, image_channels = 3, c_dim = 0;
  std::int64_t channel_base = 32768, channel_max = 512;  ///< a layer at r pixels has min(base / r, max) channels
  Architecture architecture = Architecture::resnet;
  Activation activation = Activation::lrelu;
  std::vector<double> resample_filter = {1, 3, 3, 1};
  double conv_clamp = -1;  ///< largest magnitude of activations; -1: none
  int stddev_group = 4;    ///< of minibatch_stddev; -1: the whole batch
  int stddev_features = 1;
  int frozen_layers = 0;  ///< this many of the first layers are not trained
  // The label mapping, for c_dim > 0.
  std::int64_t cmap_dim = 0;                            ///< 0: the channels at 4 pixels
  std::int64_t embed_features = 0, layer_features = 0;  ///< 0: cmap_dim
  int mapping_layers = 8;
  double mapping_lr_multiplier = 0.01;
  Activation mapping_activation = Activation::lrelu;
};

/// bias_act(conv2d_resample(x, w weight_gain), b). Kernel k by k with padding k / 2; `down` halves the size.
template <class T> struct DiscriminatorLayer {
  int down = 1;
  Activation activation = Activation::linear;
  double weight_gain = 1, act_gain = 1, conv_clamp = -1;
  bool frozen = false;
  Param<T> weight, bias;      ///< [out, k, k, in], [out] or empty
  Tensor<T> resample_filter;  ///< [t, t] or [t], for down = 2

  /// gain multiplies both the activation's gain and the clamp.
  Var<T> operator()(Var<T> const& x, double gain = 1) const {
    Var<T> const y =
        conv2d_resample(x, T(weight_gain) * weight, resample_filter, {.down = down, .padding = Padding(int(weight.dim(1) / 2))});
    return bias_act(y, bias, {.activation = activation, .gain = act_gain * gain, .clamp = conv_clamp < 0 ? -1 : conv_clamp * gain});
  }
  void visit(auto&& f) {
    if (frozen)
      f("weight", weight.tensor());
    else
      f("weight", weight);
    if (bias && frozen) f("bias", bias.tensor());
    if (bias && !frozen) f("bias", bias);
    if (resample_filter) f("resample_filter", resample_filter);
  }
};

/// Two convolutions, the second halving the size.
template <class T> struct DiscriminatorBlock {
  std::string name;  ///< "b16"
  std::int64_t resolution = 0;
  Architecture architecture = Architecture::resnet;
  std::optional<DiscriminatorLayer<T>> fromrgb, conv0, conv1, skip;
  Tensor<T> resample_filter;  ///< halves the picture, for the skip architecture

  void visit(auto&& f) {
    if (fromrgb) f("fromrgb", *fromrgb);
    if (conv0) f("conv0", *conv0);
    if (conv1) f("conv1", *conv1);
    if (skip) f("skip", *skip);
    if (resample_filter) f("resample_filter", resample_filter);
  }
};

/// What turns features of 4 by 4 pixels into scores.
template <class T> struct DiscriminatorEpilogue {
  int stddev_group = 4, stddev_features = 1;     ///< of minibatch_stddev; without features there is none
  std::optional<DiscriminatorLayer<T>> fromrgb;  ///< skip architecture
  DiscriminatorLayer<T> conv;
  EqualLinear<T> fc, out;  ///< fc reads [c, 4, 4] flattened in this order, as the official files store it

  void visit(auto&& f) {
    if (fromrgb) f("fromrgb", *fromrgb);
    f("conv", conv), f("fc", fc), f("out", out);
  }
};

template <class T> struct Discriminator {
  using scalar = T;
  std::int64_t resolution = 0, image_channels = 0, c_dim = 0;
  std::vector<DiscriminatorBlock<T>> blocks;  ///< from `resolution` down to 8
  DiscriminatorEpilogue<T> epilogue;
  /// Labels meet the scores as sum(out mapping(c)) / sqrt(width). Labels without a mapping choose a column: sum(out c), as
  /// in StyleGAN2 of the TensorFlow era.
  std::optional<Mapping<T>> mapping;

  Discriminator() = default;
  /// The standard initialisation: weights N(0, 1) over the run-time gains, biases 0.
  Discriminator(DiscriminatorOptions const& o, Rng& rng, Device device = {});

  Device device() const { return epilogue.conv.weight.device(); }

  /// Scores [n, 1], logits, of pictures [n, resolution, resolution, image_channels] and labels [n, c_dim], if it has any.
  /// Orders as in bias_act: any with lrelu. The same bits for any number of threads.
  Var<T> operator()(Var<T> const& picture, Var<T> const& c = {}) const {
    check_pictures(picture.shape());
    std::int64_t const n = picture.dim(0);
    check(c_dim ? c && c.shape() == Shape{n, c_dim} : !c,
          "discriminator: ", c_dim ? str("labels must be [", n, ", ", c_dim, "]") : std::string("this network has no labels"), ", got ",
          c.shape());
    Var<T> const x = epilogue.out(features(picture));
    if (!c_dim) return x;
    if (!mapping) return sum(x * c, 1, true);
    return T(1 / std::sqrt(double(mapping->w_dim))) * sum(x * mapping->code({}, c), 1, true);
  }

  /// What the last layer makes scores of, [n, channels at 4 pixels]. Pictures of one group of minibatch_stddev see one another.
  Var<T> features(Var<T> const& picture) const {
    check_pictures(picture.shape());
    Var<T> x, img = picture;
    auto look = [&](std::optional<DiscriminatorLayer<T>> const& fromrgb) {
      if (!fromrgb) return;
      Var<T> const y = (*fromrgb)(img);
      x = x ? x + y : y;
    };
    for (auto const& b : blocks) {
      look(b.fromrgb);
      if (b.resample_filter) img = downsample2d(img, b.resample_filter);
      if (b.skip) {
        Var<T> const y = (*b.skip)(x, std::sqrt(0.5));
        x = y + (*b.conv1)((*b.conv0)(x), std::sqrt(0.5));
      } else {
        x = (*b.conv1)((*b.conv0)(x));
      }
    }
    look(epilogue.fromrgb);
    if (epilogue.stddev_features) x = minibatch_stddev(x, {epilogue.stddev_group, epilogue.stddev_features});
    x = permute(epilogue.conv(x), {0, 3, 1, 2});
    return epilogue.fc(reshape(x, {x.dim(0), x.size() / x.dim(0)}));
  }

  void visit(auto&& f) {
    for (auto& b : blocks) f(b.name.c_str(), b);
    f("b4", epilogue);
    if (mapping) f("mapping", *mapping);
  }

 private:
  void check_pictures(Shape const& s) const {
    check(s.rank() == 4 && s[1] == resolution && s[2] == resolution && s[3] == image_channels, "discriminator: pictures must be [n, ",
          resolution, ", ", resolution, ", ", image_channels, "], got ", s);
  }
};

template <class T>
Discriminator<T>::Discriminator(DiscriminatorOptions const& o, Rng& rng, Device device)
    : resolution(o.resolution), image_channels(o.image_channels), c_dim(o.c_dim) {
  check(o.resolution >= 8 && (o.resolution & (o.resolution - 1)) == 0,
        "Discriminator: the resolution must be a power of two from 8 up, got ", o.resolution);
  check(o.image_channels > 0 && o.channel_base >= o.resolution && o.channel_max > 0 && o.c_dim >= 0,
        "Discriminator: needs image channels, labels or none, and channel_base of at least the resolution, got ", o.image_channels, ", ",
        o.c_dim, " and ", o.channel_base);
  check(o.stddev_features >= 0 && (o.stddev_group == -1 || o.stddev_group > 0),
        "Discriminator: stddev_features must not be negative and stddev_group positive or -1, got ", o.stddev_features, " and ",
        o.stddev_group);
  Tensor<T> const filter = setup_filter<T>(o.resample_filter, {}, device);
  auto channels = [&](std::int64_t r) { return std::min(o.channel_base / r, o.channel_max); };
  auto layer = [&](std::int64_t in, std::int64_t out, std::int64_t k, double clamp) {
    DiscriminatorLayer<T> l;
    l.activation = o.activation, l.act_gain = default_gain(o.activation), l.conv_clamp = clamp;
    l.weight_gain = 1 / std::sqrt(double(in * k * k));
    l.weight = Param<T>(randn<T>({out, k, k, in}, rng, device));
    l.bias = Param<T>(zeros<T>({out}, device));
    return l;
  };
  int count = 0;
  auto numbered = [&](DiscriminatorLayer<T> l) {
    l.frozen = count++ < o.frozen_layers;
    return l;
  };
  auto halving = [&](DiscriminatorLayer<T> l) {
    l.down = 2, l.resample_filter = filter.clone();
    return l;
  };
  bool const skips = o.architecture == Architecture::skip;
  for (std::int64_t r = o.resolution; r > 4; r /= 2) {
    DiscriminatorBlock<T> b;
    b.name = "b" + std::to_string(r), b.resolution = r, b.architecture = o.architecture;
    std::int64_t const here = channels(r), next = channels(r / 2);
    if (r == o.resolution || skips) b.fromrgb = numbered(layer(o.image_channels, here, 1, o.conv_clamp));
    b.conv0 = numbered(layer(here, here, 3, o.conv_clamp));
    b.conv1 = numbered(halving(layer(here, next, 3, o.conv_clamp)));
    if (o.architecture == Architecture::resnet) {
      DiscriminatorLayer<T> l = halving(layer(here, next, 1, -1));
      l.activation = Activation::linear, l.act_gain = 1, l.bias = {};
      b.skip = numbered(std::move(l));
    }
    if (skips) b.resample_filter = filter.clone();
    blocks.push_back(std::move(b));
  }
  std::int64_t const c = channels(4), cmap = o.cmap_dim ? o.cmap_dim : c;
  epilogue.stddev_group = o.stddev_group, epilogue.stddev_features = o.stddev_features;
  if (skips) epilogue.fromrgb = layer(o.image_channels, c, 1, -1);
  epilogue.conv = layer(c + o.stddev_features, c, 3, o.conv_clamp);
  epilogue.fc = EqualLinear<T>({.in = 16 * c, .out = c, .activation = o.activation}, rng, device);
  epilogue.out = EqualLinear<T>({.in = c, .out = o.c_dim ? cmap : 1}, rng, device);
  if (o.c_dim)
    mapping.emplace(MappingOptions{.z_dim = 0,
                                   .c_dim = o.c_dim,
                                   .w_dim = cmap,
                                   .layers = o.mapping_layers,
                                   .embed_features = o.embed_features,
                                   .layer_features = o.layer_features,
                                   .lr_multiplier = o.mapping_lr_multiplier,
                                   .activation = o.mapping_activation,
                                   .average = false},
                    rng, device);
}

}  // namespace rig::inline RIG_ABI::nn
