#pragma once
#include "rig/nn/stored_network.ipp"
#include "rig/nn/stylegan2_loader.ipp"
#include "rig/nn/stylegan3_loader.hpp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

/// A whole number from 1 to a million: sizes, channels, factors.
inline std::int64_t count_of(StoredNetwork const& s, std::string const& path, char const* key) {
  std::int64_t const v = s.integer(path, key);
  s.require(v >= 1 && v <= 1000000, path, ".", key, " should be from 1 to a million, the file has ", v);
  return v;
}
inline Extent extent_of(StoredNetwork const& s, std::string const& path, char const* key) {
  auto const v = s.numbers(path, key);
  s.require(v.size() == 2, path, ".", key, " should be a width and a height, the file has ", v.size(), " numbers");
  for (double x : v)
    s.require(x >= 1 && x <= 65536 && x == std::floor(x), path, ".", key, " should be sizes from 1 to 65536, the file has ", x);
  return {std::int64_t(v[0]), std::int64_t(v[1])};
}
/// A number above zero and below infinity.
inline double positive_of(StoredNetwork const& s, std::string const& path, char const* key) {
  double const v = s.real(path, key);
  s.require(v > 0 && std::isfinite(v), path, ".", key, " should be positive, the file has ", v);
  return v;
}

inline LayerPlan build_plan(StoredNetwork const& s, std::string const& path, std::string const& layer) {
  LayerPlan p;
  p.name = layer;
  p.to_rgb = s.integer(path, "is_torgb") != 0, p.critical = s.integer(path, "is_critically_sampled") != 0;
  p.fp16 = s.integer(path, "use_fp16") != 0, p.down_radial = s.integer(path, "down_radial") != 0;
  p.in_channels = count_of(s, path, "in_channels"), p.out_channels = count_of(s, path, "out_channels");
  p.in_size = extent_of(s, path, "in_size"), p.out_size = extent_of(s, path, "out_size");
  p.in_rate = positive_of(s, path, "in_sampling_rate"), p.out_rate = positive_of(s, path, "out_sampling_rate");
  p.large_rate = positive_of(s, path, "tmp_sampling_rate");
  p.in_cutoff = positive_of(s, path, "in_cutoff"), p.out_cutoff = positive_of(s, path, "out_cutoff");
  p.in_half_width = s.real(path, "in_half_width"), p.out_half_width = s.real(path, "out_half_width");
  p.kernel = int(count_of(s, path, "conv_kernel"));
  p.up = int(count_of(s, path, "up_factor")), p.down = int(count_of(s, path, "down_factor"));
  p.up_taps = int(count_of(s, path, "up_taps")), p.down_taps = int(count_of(s, path, "down_taps"));
  auto const padding = s.numbers(path, "padding");
  s.require(padding.size() == 4, path, ".padding should be four numbers, the file has ", padding.size());
  for (double v : padding)
    s.require(std::abs(v) <= 1e6 && v == std::floor(v), path, ".padding should be four whole numbers, the file has ", v);
  p.padding = {int(padding[0]), int(padding[1]), int(padding[2]), int(padding[3])};
  Extent const size = p.result_size();
  s.require(size == p.out_size, path, " says that it makes a picture ", p.out_size[0], " wide and ", p.out_size[1],
            " high, but its filters and padding make ", size[0], " by ", size[1]);
  return p;
}

inline Tensor<float> build_filter(StoredNetwork& s, std::string const& name, std::int64_t taps, bool radial) {
  if (taps == 1 && !s.has(name)) return {};
  return s.tensor(name, radial && taps > 1 ? std::vector<std::int64_t>{taps, taps} : std::vector<std::int64_t>{taps});
}

inline StyleGAN3<float> build_stylegan3(StoredNetwork& s) {
  StyleGAN3<float> g;
  g.resolution = count_of(s, "", "img_resolution"), g.image_channels = count_of(s, "", "img_channels");
  g.mapping = build_mapping(s, "mapping");
  std::int64_t const w = g.mapping.w_dim;
  s.require(w == s.integer("", "w_dim"), "w_dim is ", s.integer("", "w_dim"), ", but the mapping gives codes of ", w);
  g.synthesis.w_dim = w, g.synthesis.output_scale = s.real("synthesis", "output_scale");

  std::string path = "synthesis.input";
  FourierInput<float>& in = g.synthesis.input;
  std::int64_t channels = count_of(s, path, "channels");
  in.size = extent_of(s, path, "size");
  in.sampling_rate = positive_of(s, path, "sampling_rate"), in.bandwidth = positive_of(s, path, "bandwidth");
  in.affine = build_dense(s, path + ".affine", w, 4);
  in.weight = Param<float>(s.tensor(path + ".weight", {channels, channels}));
  in.freqs = s.tensor(path + ".freqs", {channels, 2}), in.phases = s.tensor(path + ".phases", {channels});
  in.transform = s.tensor(path + ".transform", {3, 3});

  auto const names = s.names("synthesis", "layer_names");
  s.require(!names.empty() && g.mapping.num_ws == std::int64_t(names.size()) + 1, "the mapping should give ", names.size() + 1,
            " rows for the input and ", names.size(), " layers, the file says ", g.mapping.num_ws);
  Extent size = in.size;
  std::set<std::string> known;
  for (std::string const& name : names) {
    path = "synthesis." + name;
    s.require(known.insert(name).second, "synthesis.layer_names should be different names, the file has ", name, " twice");
    AliasFreeLayer<float> l;
    l.plan = build_plan(s, path, name);
    LayerPlan const& p = l.plan;
    s.require(p.in_channels == channels && p.in_size == size, path, " expects ", p.in_channels, " channels of ", p.in_size[0], " by ",
              p.in_size[1], ", but gets ", channels, " of ", size[0], " by ", size[1]);
    l.conv_clamp = clamp_of(s, path);
    if (s.has_attribute(path, "magnitude_ema_beta")) l.magnitude_decay = s.real(path, "magnitude_ema_beta");  // for training only
    l.weight = Param<float>(s.kernel(path + ".weight", p.out_channels, p.in_channels, p.kernel));
    l.bias = Param<float>(s.tensor(path + ".bias", {p.out_channels}));
    l.affine = build_dense(s, path + ".affine", w, p.in_channels);
    l.magnitude_ema = s.tensor(path + ".magnitude_ema", {});
    l.up_filter = build_filter(s, path + ".up_filter", p.up_taps, false);
    l.down_filter = build_filter(s, path + ".down_filter", p.down_taps, p.down_radial);
    channels = p.out_channels, size = p.out_size;
    g.synthesis.layers.push_back(std::move(l));
  }
  s.require(channels == g.image_channels && size == Extent{g.resolution, g.resolution}, "the last layer should make ", g.image_channels,
            " channels of ", g.resolution, " pixels a side, it makes ", channels, " of ", size[0], " by ", size[1]);
  s.expect_all_used();
  return g;
}

/// The attributes that build_stylegan3 reads, as text.
inline void describe(io::Metadata& m, StyleGAN3<float> const& g) {
  Description const d{m};
  auto real = [&](std::string const& path, char const* key, double v) { d.put(path, key, exact(v)); };
  auto extent = [&](std::string const& path, char const* key, Extent const& e) { d.put(path, key, str(e[0], " ", e[1])); };
  d.integer("", "img_resolution", g.resolution), d.integer("", "img_channels", g.image_channels), d.integer("", "w_dim", g.w_dim());
  d.mapping("mapping", g.mapping);
  real("synthesis", "output_scale", g.synthesis.output_scale);
  FourierInput<float> const& in = g.synthesis.input;
  d.integer("synthesis.input", "channels", in.channels()), extent("synthesis.input", "size", in.size);
  real("synthesis.input", "sampling_rate", in.sampling_rate), real("synthesis.input", "bandwidth", in.bandwidth);
  d.dense("synthesis.input.affine", in.affine);
  std::string names;
  for (auto const& l : g.synthesis.layers) {
    LayerPlan const& p = l.plan;
    names += (names.empty() ? "" : " ") + p.name;
    std::string const path = "synthesis." + p.name;
    d.integer(path, "is_torgb", p.to_rgb), d.integer(path, "is_critically_sampled", p.critical);
    d.integer(path, "use_fp16", p.fp16), d.integer(path, "down_radial", p.down_radial);
    d.integer(path, "in_channels", p.in_channels), d.integer(path, "out_channels", p.out_channels);
    extent(path, "in_size", p.in_size), extent(path, "out_size", p.out_size);
    real(path, "in_sampling_rate", p.in_rate), real(path, "out_sampling_rate", p.out_rate), real(path, "tmp_sampling_rate", p.large_rate);
    real(path, "in_cutoff", p.in_cutoff), real(path, "out_cutoff", p.out_cutoff);
    real(path, "in_half_width", p.in_half_width), real(path, "out_half_width", p.out_half_width);
    d.integer(path, "conv_kernel", p.kernel), d.integer(path, "up_factor", p.up), d.integer(path, "down_factor", p.down);
    d.integer(path, "up_taps", p.up_taps), d.integer(path, "down_taps", p.down_taps);
    d.put(path, "padding", str(p.padding.x0, " ", p.padding.x1, " ", p.padding.y0, " ", p.padding.y1));
    d.clamp(path, l.conv_clamp);
    real(path, "magnitude_ema_beta", l.magnitude_decay);
    d.dense(path + ".affine", l.affine);
  }
  d.put("synthesis", "layer_names", names);
}

}  // namespace detail

RIG_INLINE StyleGAN3<float> stylegan3_from(io::Document const& file, std::string const& name, Device device, GeneratorChoice choice) {
  StyleGAN3<float> g;
  if (file.kind == io::Kind::safetensors) {
    std::string const format = io::find_metadata(file.metadata, "format");
    check(format == "rig.stylegan3", name, ": expected a generator written by rig (format rig.stylegan3 in the metadata), found ",
          format.empty() ? std::string("none") : "'" + format + "'");
    detail::OwnNetwork s(name, file);
    g = detail::build_stylegan3(s);
  } else {
    check(file.kind == io::Kind::pickle, name, ": a StyleGAN3 generator is read from an official .pkl or rig's .safetensors, this is a ",
          name_of(file.kind));
    io::Value const found = detail::find_generator(file.root, name, choice);
    check(detail::is_stylegan3(found), name, ": this is a StyleGAN2 generator; StyleGAN3 was asked for");
    detail::PickledNetwork s(name, found);
    g = detail::build_stylegan3(s);
  }
  move_to(g, device);
  return g;
}

RIG_INLINE StyleGAN3<float> load_stylegan3(std::string const& path, Device device, GeneratorChoice choice) {
  return stylegan3_from(io::read_any(path), path, std::move(device), choice);
}

RIG_INLINE void save_stylegan3(std::string const& path, StyleGAN3<float>& generator, io::Metadata metadata) {
  detail::describe(metadata, generator);
  detail::write_network(path, "rig.stylegan3", generator, std::move(metadata));
}

}  // namespace rig::inline RIG_ABI::nn
