#pragma once
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/stored_network.ipp"
#include "rig/nn/tf_network.ipp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

/// `bias`: false for the branch of a residual block, which is linear and not clamped either.
inline DiscriminatorLayer<float> build_discriminator_layer(StoredNetwork& s, std::string const& path, std::int64_t in, std::int64_t out,
                                                           std::int64_t k, int down, bool bias = true) {
  DiscriminatorLayer<float> l;
  l.weight = Param<float>(s.kernel(path + ".weight", out, in, k));
  l.activation = activation_of(s, path);
  l.down = int(s.integer(path, "down", 1, widest));
  s.require(s.integer(path, "up") == 1 && l.down == down, path, " should reduce the size by ", down, ", the file has ", l.down);
  l.weight_gain = s.real(path, "weight_gain"), l.act_gain = s.real(path, "act_gain");
  l.conv_clamp = clamp_of(s, path);
  l.frozen = s.frozen(path);
  if (bias)
    l.bias = Param<float>(s.tensor(path + ".bias", {l.weight.dim(0)}));
  else
    s.require(l.activation == Activation::linear && l.conv_clamp < 0, path, " should be linear and not clamped");
  if (down > 1) l.resample_filter = s.filter(path + ".resample_filter");
  return l;
}

inline Discriminator<float> build_discriminator(StoredNetwork& s) {
  Discriminator<float> d;
  d.resolution = s.integer("", "img_resolution"), d.image_channels = s.integer("", "img_channels", 1, widest);
  d.c_dim = s.integer("", "c_dim", 0, widest);
  s.require(d.resolution >= 8 && d.resolution <= (1 << 20) && (d.resolution & (d.resolution - 1)) == 0,
            "the resolution should be a power of two from 8 up, the file has ", d.resolution);
  std::int64_t before = -1;
  for (std::int64_t r = d.resolution; r > 4; r /= 2) {
    DiscriminatorBlock<float> b;
    b.name = "b" + std::to_string(r), b.resolution = r;
    std::string const& path = b.name;
    b.architecture = architecture_of(s, path);
    bool const skips = b.architecture == Architecture::skip;
    if (r == d.resolution || skips) {
      b.fromrgb = build_discriminator_layer(s, path + ".fromrgb", d.image_channels, before, 1, 1);
      before = b.fromrgb->weight.dim(0);
    }
    b.conv0 = build_discriminator_layer(s, path + ".conv0", before, before, 3, 1);
    b.conv1 = build_discriminator_layer(s, path + ".conv1", before, -1, 3, 2);
    std::int64_t const next = b.conv1->weight.dim(0);
    if (b.architecture == Architecture::resnet) b.skip = build_discriminator_layer(s, path + ".skip", before, next, 1, 2, false);
    if (skips) b.resample_filter = s.filter(path + ".resample_filter");
    before = next;
    d.blocks.push_back(std::move(b));
  }
  DiscriminatorEpilogue<float>& e = d.epilogue;
  if (architecture_of(s, "b4") == Architecture::skip)
    e.fromrgb = build_discriminator_layer(s, "b4.fromrgb", d.image_channels, before, 1, 1);
  e.stddev_features = 0;
  if (s.has_attribute("b4.mbstd", "num_channels")) {
    e.stddev_features = int(s.integer("b4.mbstd", "num_channels", 1, widest));
    e.stddev_group = s.number("b4.mbstd", "group_size") ? int(s.integer("b4.mbstd", "group_size", 1, widest)) : -1;
    s.require(before % e.stddev_features == 0, "b4.mbstd should have a group and features that divide ", before, " channels, the file has ",
              e.stddev_group, " and ", e.stddev_features);
  }
  e.conv = build_discriminator_layer(s, "b4.conv", before + e.stddev_features, before, 3, 1);
  e.fc = build_dense(s, "b4.fc", 16 * before, -1);
  // rig's own files may hold a network of the TensorFlow era, whose labels choose a column of the scores.
  bool const columns = d.c_dim && s.channels_last() && !s.has_attribute("mapping", "c_dim");
  if (d.c_dim && !columns) d.mapping = build_mapping(s, "mapping");
  s.require(!d.mapping || (d.mapping->z_dim == 0 && d.mapping->c_dim == d.c_dim), "the mapping should take ", d.c_dim,
            " labels and nothing else");
  e.out = build_dense(s, "b4.out", e.fc.out(), columns ? d.c_dim : d.mapping ? d.mapping->w_dim : 1);
  s.expect_all_used();
  return d;
}

/// The discriminator among the entries of an official pickle, with a sentence of its own for everything else people open.
inline io::Value find_discriminator(io::Value const& root, std::string const& file) {
  if (root.is(io::ValueKind::object) && root.class_name() == "Discriminator") return root;
  check(!(root.is(io::ValueKind::tuple) || root.is(io::ValueKind::list)), file,
        ": this is a pickle of the TensorFlow era (a triple of networks), not one of stylegan2-ada-pytorch");
  check(root.is(io::ValueKind::dict), file, ": expected a dict with G, D and G_ema as stylegan2-ada-pytorch writes it, found a ",
        name_of(root.kind()));
  io::Value const d = root.find("D");
  if (!d || d.is_none()) {
    io::Value const community = root.find("d");
    check(!community || community.is_none(), file, ": this is a checkpoint of a community port (d), not one of stylegan2-ada-pytorch");
    throw Error(str(file, ": holds no discriminator; expected an entry D"));
  }
  check(d.is(io::ValueKind::object), file, ": D should be a network, found a ", name_of(d.kind()));
  check(d.class_name() == "Discriminator", file, ": D should be a Discriminator, found a ", d.class_name());
  return d;
}

/// The attributes that build_discriminator reads, as text.
inline void describe(io::Metadata& m, Discriminator<float> const& net) {
  Description const d{m};
  auto layer = [&](std::string const& path, std::optional<DiscriminatorLayer<float>> const& l) {
    if (!l) return;
    d.integer(path, "up", 1), d.integer(path, "down", l->down), d.put(path, "activation", to_string(l->activation));
    d.put(path, "weight_gain", exact(l->weight_gain)), d.put(path, "act_gain", exact(l->act_gain));
    d.clamp(path, l->conv_clamp);
    if (l->frozen) d.integer(path, "frozen", 1);
  };
  d.integer("", "img_resolution", net.resolution), d.integer("", "img_channels", net.image_channels), d.integer("", "c_dim", net.c_dim);
  for (auto const& b : net.blocks) {
    d.put(b.name, "architecture", to_string(b.architecture));
    layer(b.name + ".fromrgb", b.fromrgb), layer(b.name + ".conv0", b.conv0);
    layer(b.name + ".conv1", b.conv1), layer(b.name + ".skip", b.skip);
  }
  auto const& e = net.epilogue;
  d.put("b4", "architecture", to_string(e.fromrgb ? Architecture::skip : Architecture::orig));
  layer("b4.fromrgb", e.fromrgb), layer("b4.conv", e.conv);
  if (e.stddev_features) {
    d.integer("b4.mbstd", "num_channels", e.stddev_features);
    d.put("b4.mbstd", "group_size", e.stddev_group == -1 ? std::string("none") : std::to_string(e.stddev_group));
  }
  d.dense("b4.fc", e.fc), d.dense("b4.out", e.out);
  if (net.mapping) d.mapping("mapping", *net.mapping);
}

}  // namespace detail

RIG_INLINE Discriminator<float> discriminator_from(io::Document const& file, std::string const& name, Device device) {
  Discriminator<float> d;
  if (file.kind == io::Kind::safetensors) {
    std::string const format = io::find_metadata(file.metadata, "format");
    check(format == "rig.discriminator", name,
          ": expected a discriminator written by rig (format rig.discriminator in the metadata), found ",
          format.empty() ? std::string("none") : "'" + format + "'");
    detail::OwnNetwork s(name, file);
    d = detail::build_discriminator(s);
  } else if (file.root && detail::is_tf_pickle(file.root)) {
    return discriminator_from_tf(file, name, std::move(device));
  } else if (file.root && file.root.is(io::ValueKind::dict) && (file.root.find("d") || file.root.find("convs.0.0.weight"))) {
    return discriminator_from_rosinality(file, name, std::move(device));
  } else {
    check(file.kind == io::Kind::pickle, name, ": a discriminator is read from an official .pkl or rig's .safetensors, this is a ",
          name_of(file.kind));
    detail::PickledNetwork s(name, detail::find_discriminator(file.root, name));
    d = detail::build_discriminator(s);
  }
  move_to(d, device);
  return d;
}

RIG_INLINE Discriminator<float> load_discriminator(std::string const& path, Device device) {
  return discriminator_from(io::read_any(path), path, std::move(device));
}

RIG_INLINE void save_discriminator(std::string const& path, Discriminator<float>& discriminator, io::Metadata metadata) {
  detail::describe(metadata, discriminator);
  detail::write_network(path, "rig.discriminator", discriminator, std::move(metadata));
}

}  // namespace rig::inline RIG_ABI::nn

// These use what is above.
#include "rig/nn/stylegan2_rosinality_loader.ipp"
#include "rig/nn/stylegan2_tf_loader.ipp"
