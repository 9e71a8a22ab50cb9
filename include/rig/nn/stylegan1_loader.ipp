#pragma once
#include "rig/nn/stored_network.ipp"
#include "rig/nn/stylegan1_loader.hpp"
#include "rig/nn/tf_network.ipp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

inline bool ends(std::string const& s, std::string_view with) {
  return s.size() >= with.size() && s.compare(s.size() - with.size(), with.size(), with) == 0;
}
inline Activation relu_or_lrelu(std::string const& file, std::string const& key, std::string const& value) {
  check(value == "relu" || value == "lrelu", file, ": ", key, " of a StyleGAN is lrelu or relu, the file has '", value, "'");
  return activation_from_name(value);
}

// ---- names: canonical -> that of a file -----------------------------------------------------------------------------------

/// "synthesis.b8.conv0.style.weight" -> resolution 8, "conv0.style.weight".
struct BlockName {
  std::int64_t resolution = 0;
  std::string rest;
  explicit BlockName(std::string const& canonical) {
    std::size_t const b = starts_synthesis(canonical) ? 10 : 0, dot = canonical.find('.', b);
    resolution = std::strtoll(canonical.c_str() + b + 1, nullptr, 10);
    rest = canonical.substr(dot + 1);
  }
  std::int64_t log2() const {
    std::int64_t k = 0;
    while ((std::int64_t(1) << k) < resolution) ++k;
    return k;
  }
  std::string after(char const* head) const { return rest.substr(std::char_traits<char>::length(head)); }
  static bool starts_synthesis(std::string const& s) { return s.compare(0, 10, "synthesis.") == 0; }
};
inline bool starts(std::string const& s, std::string_view with) { return s.compare(0, with.size(), with) == 0; }

/// Of a generator in a TensorFlow pickle; the component it is in comes first: "synthesis", "mapping" or "".
inline std::pair<std::string, std::string> tf_name(std::string const& canonical, std::int64_t resolution) {
  if (canonical == "lod") return {"", "lod"};
  if (canonical == "mapping.w_avg") return {"", "dlatent_avg"};
  if (canonical == "mapping.label_weight") return {"mapping", "LabelConcat/weight"};
  if (starts(canonical, "mapping.fc")) {
    std::string name = "Dense" + canonical.substr(10);
    name[name.find('.')] = '/';
    return {"mapping", name};
  }
  BlockName const b(canonical);
  std::string const size = std::to_string(b.resolution) + "x" + std::to_string(b.resolution) + "/";
  if (b.rest == "const") return {"synthesis", "4x4/Const/const"};
  if (starts(b.rest, "torgb.")) {
    std::int64_t lod = 0;
    for (std::int64_t r = b.resolution; r < resolution; r *= 2) ++lod;
    return {"synthesis", "ToRGB_lod" + std::to_string(lod) + "/" + b.after("torgb.")};
  }
  bool const second = b.rest[4] == '1';
  std::string const what = b.after("conv0.");
  if (what == "noise_const") return {"synthesis", "noise" + std::to_string(2 * b.log2() - 4 + second)};
  std::string const layer = size + (b.resolution == 4 ? (second ? "Conv" : "Const") : second ? "Conv1" : "Conv0_up") + "/";
  if (what == "noise_weight") return {"synthesis", layer + "Noise/weight"};
  if (starts(what, "style.")) return {"synthesis", layer + "StyleMod/" + what.substr(6)};
  return {"synthesis", layer + what};
}
/// Of a discriminator there.
inline std::string tf_discriminator_name(std::string const& canonical, std::int64_t resolution) {
  if (canonical == "lod") return "lod";
  BlockName const b(canonical);
  std::string const size = std::to_string(b.resolution) + "x" + std::to_string(b.resolution) + "/";
  if (starts(b.rest, "fromrgb.")) {
    std::int64_t lod = 0;
    for (std::int64_t r = b.resolution; r < resolution; r *= 2) ++lod;
    return "FromRGB_lod" + std::to_string(lod) + "/" + b.after("fromrgb.");
  }
  if (starts(b.rest, "conv0.")) return size + "Conv0/" + b.after("conv0.");
  if (starts(b.rest, "conv1.")) return size + "Conv1_down/" + b.after("conv1.");
  if (starts(b.rest, "conv.")) return size + "Conv/" + b.after("conv.");
  if (starts(b.rest, "fc.")) return size + "Dense0/" + b.after("fc.");
  return size + "Dense1/" + b.after("out.");
}
/// Of a generator in the port's state dict.
inline std::string port_name(std::string const& canonical) {
  if (canonical == "lod") return "synthesis.lod";
  if (canonical == "mapping.w_avg") return "truncation.w_avg";
  if (starts(canonical, "mapping.fc")) return "mapping.dense" + canonical.substr(10);
  if (starts(canonical, "mapping.")) return canonical;
  BlockName const b(canonical);
  if (b.rest == "const") return "synthesis.layer0.const";
  if (starts(b.rest, "torgb.")) return "synthesis.output" + std::to_string(b.log2() - 2) + "." + b.after("torgb.");
  std::string const what = b.after("conv0.");
  return "synthesis.layer" + std::to_string(2 * b.log2() - 4 + (b.rest[4] == '1')) + "." +
         (what == "noise_const"    ? "apply_noise.noise"
          : what == "noise_weight" ? "apply_noise.weight"
                                   : what);
}
/// Of a discriminator there.
inline std::string port_discriminator_name(std::string const& canonical, std::int64_t resolution) {
  if (canonical == "lod") return "lod";
  BlockName const b(canonical);
  std::int64_t step = 0;
  for (std::int64_t r = b.resolution; r < resolution; r *= 2) ++step;
  if (starts(b.rest, "fromrgb.")) return "input" + std::to_string(step) + "." + b.after("fromrgb.");
  int const which = starts(b.rest, "conv1.") || starts(b.rest, "fc.") ? 1 : starts(b.rest, "out.") ? 2 : 0;
  return "layer" + std::to_string(2 * step + which) + b.rest.substr(b.rest.find('.'));
}

// ---- tensors in rig's layout ----------------------------------------------------------------------------------------------

/// A variable of a TensorFlow network as rig has it, [out, k, k, in] and [out, in].
inline Tensor<float> from_tf(TfNetwork& net, std::string const& variable, std::string const& canonical, Shape const& s) {
  if (ends(canonical, ".const")) return permute(Var<float>(net.tensor(variable, {1, s[3], 4, 4})), {0, 2, 3, 1}).value();
  if (ends(canonical, ".noise_const")) return net.tensor(variable, {1, 1, s[1], s[2]}).reshape(s);
  if (s.rank() == 4) return net.kernel(variable, s[0], s[3], s[1]);
  if (s.rank() == 2 && !ends(canonical, "label_weight")) return net.matrix(variable, s[0], s[1]);
  std::vector<std::int64_t> shape;
  for (int i = 0; i < s.rank(); ++i) shape.push_back(s[i]);
  return net.tensor(variable, shape);
}
/// A tensor of a state dict, channels first there.
inline Tensor<float> from_port(StoredNetwork& s, std::string const& key, std::string const& canonical, Shape const& shape) {
  if (ends(canonical, ".noise_const")) return s.tensor(key, {1, 1, shape[1], shape[2]}).reshape(shape);
  if (shape.rank() == 4) return permute(Var<float>(s.tensor(key, {shape[0], shape[3], shape[1], shape[2]})), {0, 2, 3, 1}).value();
  std::vector<std::int64_t> list;
  for (int i = 0; i < shape.rank(); ++i) list.push_back(shape[i]);
  return s.tensor(key, list);
}

// ---- configurations -------------------------------------------------------------------------------------------------------

/// What generators and discriminators have in common among their keywords.
inline StyleGAN1Options tf_common_options(TfNetwork& net) {
  StyleGAN1Options o;
  o.resolution = net.integer("resolution", 1024), o.image_channels = net.integer("num_channels", 3);
  o.c_dim = net.integer("label_size", 0);
  o.fmap_base = net.real("fmap_base", 8192), o.fmap_decay = net.real("fmap_decay", 1), o.fmap_max = net.integer("fmap_max", 512);
  o.activation = relu_or_lrelu(net.file(), "nonlinearity", net.text("nonlinearity", "lrelu"));
  o.use_wscale = net.flag("use_wscale", true);
  o.blur_filter = net.numbers("blur_filter", {1, 2, 1});
  io::Value const fused = net.option("fused_scale");
  if (fused.is(io::ValueKind::string))
    net.require(fused.string() == "auto", "keyword fused_scale should be true, false or 'auto', the file has '", fused.string(), "'");
  else if (fused)
    o.fused_scale = net.flag("fused_scale", true) ? FusedScale::always : FusedScale::never;
  net.ignore({"dtype", "structure", "is_template_graph", "is_training"});
  return o;
}
inline void require_size(TfNetwork const& net, StyleGAN1Options const& o) {
  std::int64_t const r = o.resolution;
  net.require(r >= 4 && r <= (1 << 20) && (r & (r - 1)) == 0, "the resolution should be a power of two from 4 up, the file has ", r);
  net.require(o.image_channels > 0 && o.image_channels <= widest && o.c_dim >= 0 && o.c_dim <= widest, "num_channels ", o.image_channels,
              " and label_size ", o.c_dim, " make no sense");
  net.require(o.fmap_base >= 1 && o.fmap_base <= 1e9 && o.fmap_decay >= 0 && o.fmap_max > 0 && o.fmap_max < (1 << 20),
              "fmap_base, fmap_decay and fmap_max make no sense: ", o.fmap_base, ", ", o.fmap_decay, ", ", o.fmap_max);
  net.require(o.channels_at(r) > 0, "fmap_base, fmap_decay and fmap_max leave no channels at ", r, " pixels: ", o.fmap_base, ", ",
              o.fmap_decay, ", ", o.fmap_max);
}

inline StyleGAN1<float> stylegan1_from_tf(TfNetwork net) {
  if (net.function() != "G_style") {
    net.require(!starts(net.function(), "D_"), "this network is a discriminator (", net.function(), "); a generator is needed");
    net.require(net.function() != "G_main", "this is a StyleGAN2 of the TensorFlow era (G_main); StyleGAN1 was asked for");
    net.require(false, "networks built by ", net.function(), " are not known; a StyleGAN is built by G_style");
  }
  StyleGAN1Options o = tf_common_options(net);
  o.z_dim = net.integer("latent_size", 512), o.w_dim = net.integer("dlatent_size", 512);
  std::int64_t const layers = net.integer("mapping_layers", 8);
  o.mapping_features = net.integer("mapping_fmaps", 512);
  o.mapping_lr_multiplier = net.real("mapping_lrmul", 0.01);
  o.mapping_activation = relu_or_lrelu(net.file(), "mapping_nonlinearity", net.text("mapping_nonlinearity", "lrelu"));
  o.normalize_latents = net.flag("normalize_latents", true);
  o.use_noise = net.flag("use_noise", true), o.use_styles = net.flag("use_styles", true);
  o.use_instance_norm = net.flag("use_instance_norm", true), o.use_pixel_norm = net.flag("use_pixel_norm", false);
  net.require(net.flag("const_input_layer", true), "networks without a constant input (const_input_layer false) are not known");
  // None turns the truncation off.
  auto const psi = net.number_or_none("truncation_psi", 0.7);
  auto const cutoff = net.integer_or_none("truncation_cutoff", 8);
  o.truncation = {.psi = psi.value_or(1), .cutoff = cutoff ? int(std::clamp(*cutoff, -widest, widest)) : 0};
  o.average_decay = net.number_or_none("dlatent_avg_beta", 0.995).value_or(o.average_decay);
  net.ignore({"truncation_psi_val", "truncation_cutoff_val", "is_validation", "style_mixing_prob", "randomize_noise", "components",
              "force_clean_graph"});
  net.expect_known_options();
  require_size(net, o);
  for (auto const& [key, v, most] : {std::tuple{"latent_size", o.z_dim, widest},
                                     {"dlatent_size", o.w_dim, widest},
                                     {"mapping_fmaps", o.mapping_features, widest},
                                     {"mapping_layers", layers, most_entries}})
    net.require(v > 0 && v <= most, "keyword ", key, " should be from 1 to ", most, ", the file has ", v);
  o.mapping_layers = int(layers);

  TfNetwork mapping = net.component("mapping"), synthesis = net.component("synthesis");
  StyleGAN1<float> g(o, [&](std::string const& name, Shape const& shape, double, double) {
    auto const [part, variable] = tf_name(name, o.resolution);
    return from_tf(part.empty() ? net : part == "mapping" ? mapping : synthesis, variable, name, shape);
  });
  synthesis.skip("lod");  // the network's own is the one that counts
  for (TfNetwork const* n : {&net, &mapping, &synthesis}) n->expect_all_used();
  return g;
}

inline StyleGAN1Discriminator<float> stylegan1_discriminator_from_tf(TfNetwork net) {
  net.require(net.function() == "D_basic", "networks built by ", net.function(),
              " are not known; a StyleGAN's discriminator is built by D_basic");
  StyleGAN1DiscriminatorOptions o{.network = tf_common_options(net)};
  std::int64_t const group = net.integer("mbstd_group_size", 4), features = net.integer("mbstd_num_features", 1);
  net.require(group >= 0 && group <= widest && features >= 0 && features <= widest, "mbstd_group_size ", group, " and mbstd_num_features ",
              features, " make no sense");
  o.stddev_group = int(group), o.stddev_features = int(features);
  net.expect_known_options();
  require_size(net, o.network);
  o.fc_features = net.extent("4x4/Dense0/bias", 0);
  StyleGAN1Discriminator<float> d(o, [&](std::string const& name, Shape const& shape, double, double) {
    return from_tf(net, tf_discriminator_name(name, o.network.resolution), name, shape);
  });
  net.expect_all_used();
  return d;
}

/// One state dict of the port's checkpoint, by its key, without the constant kernels of the blur. A file that is a state dict
/// itself gives itself.
inline io::Document port_part(io::Value const& root, std::string const& file, char const* key, char const* sample) {
  check(root.is(io::ValueKind::dict), file, ": expected a dict of state dicts, found a ", name_of(root.kind()));
  io::Value const part = root.find(sample) ? root : root.find(key);
  check(part.is(io::ValueKind::dict), file, ": has no entry ", key);
  io::Document d;
  for (auto& t : at_place(file, [&] { return io::all_tensors(part); }))
    if (!ends(t.name, ".blur.kernel")) d.flat.push_back(std::move(t));
  return d;
}
inline std::size_t count(StoredNetwork const& s, std::string const& before, std::string const& after) {
  std::size_t n = 0;
  while (s.has(before + std::to_string(n) + after)) ++n;
  return n;
}

inline StyleGAN1<float> stylegan1_from_port(io::Document const& dict, std::string const& file, std::optional<FusedScale> fused) {
  OwnNetwork s(file, dict);
  StyleGAN1Options o;
  std::size_t const sizes = count(s, "synthesis.output", ".weight"), layers = count(s, "mapping.dense", ".weight");
  s.require(sizes > 0 && sizes < 20 && layers > 0 && layers <= most_entries,
            "should have layers synthesis.output0, ... and mapping.dense0, ..., found ", sizes, " and ", layers);
  o.resolution = std::int64_t(4) << (sizes - 1);
  for (std::size_t i = 0; i < sizes; ++i) o.channels.push_back(s.extent("synthesis.output" + std::to_string(i) + ".weight", 1));
  o.image_channels = s.extent("synthesis.output0.weight", 0);
  o.mapping_layers = int(layers), o.mapping_features = s.extent("mapping.dense0.weight", 0);
  o.z_dim = s.extent("mapping.dense0.weight", 1);
  o.w_dim = s.extent("mapping.dense" + std::to_string(layers - 1) + ".weight", 0);
  if (s.has("mapping.label_weight")) {
    o.c_dim = s.extent("mapping.label_weight", 0);
    o.z_dim -= s.extent("mapping.label_weight", 1);
    s.require(o.z_dim > 0, "mapping.label_weight is as wide as the first layer of the mapping");
  }
  o.use_noise = s.has("synthesis.layer0.apply_noise.noise"), o.use_styles = s.has("synthesis.layer0.style.weight");
  o.fused_scale = fused.value_or(FusedScale::automatic);
  StyleGAN1<float> g(
      o, [&](std::string const& name, Shape const& shape, double, double) { return from_port(s, port_name(name), name, shape); });
  s.expect_all_used();
  return g;
}

inline StyleGAN1Discriminator<float> stylegan1_discriminator_from_port(io::Document const& dict, std::string const& file,
                                                                       std::optional<FusedScale> fused) {
  OwnNetwork s(file, dict);
  StyleGAN1DiscriminatorOptions o;
  std::size_t const sizes = count(s, "input", ".weight");
  s.require(sizes > 0 && sizes < 20, "should have layers input0, ..., found ", sizes);
  o.network.resolution = std::int64_t(4) << (sizes - 1);
  for (std::size_t i = sizes; i-- > 0;) o.network.channels.push_back(s.extent("input" + std::to_string(i) + ".weight", 0));
  o.network.image_channels = s.extent("input0.weight", 1);
  o.network.fused_scale = fused.value_or(FusedScale::automatic);
  std::string const conv = "layer" + std::to_string(2 * sizes - 2), fc = "layer" + std::to_string(2 * sizes - 1),
                    out = "layer" + std::to_string(2 * sizes);
  o.fc_features = s.extent(fc + ".weight", 0);
  o.stddev_features = int(s.extent(conv + ".weight", 1) - o.network.channels[0]);
  if (o.stddev_features <= 0) o.stddev_group = 1;
  o.network.c_dim = s.extent(out + ".weight", 0) > 1 ? s.extent(out + ".weight", 0) : 0;
  StyleGAN1Discriminator<float> d(o, [&](std::string const& name, Shape const& shape, double, double) {
    return from_port(s, port_discriminator_name(name, o.network.resolution), name, shape);
  });
  s.expect_all_used();
  return d;
}

// ---- rig's own file -------------------------------------------------------------------------------------------------------

inline std::string words(std::vector<double> const& v) {
  std::string s;
  for (double x : v) {
    if (!s.empty()) s += ' ';
    s += exact(x);
  }
  return s;
}

inline void describe(io::Metadata& m, StyleGAN1<float> const& g) {
  Description const d{m};
  StyleGAN1Options const& o = g.options;
  d.integer("", "img_resolution", o.resolution), d.integer("", "img_channels", o.image_channels);
  d.integer("", "z_dim", o.z_dim), d.integer("", "c_dim", o.c_dim), d.integer("", "w_dim", o.w_dim);
  std::vector<double> channels;
  for (std::int64_t r = 4; r <= o.resolution; r *= 2) channels.push_back(double(o.channels_at(r)));
  d.put("", "channels", words(channels)), d.put("", "blur_filter", words(o.blur_filter));
  d.integer("", "mapping_layers", o.mapping_layers), d.integer("", "mapping_features", o.mapping_features);
  d.put("", "mapping_lr_multiplier", exact(o.mapping_lr_multiplier)), d.put("", "mapping_activation", to_string(o.mapping_activation));
  d.put("", "activation", to_string(o.activation)), d.put("", "fused_scale", to_string(o.fused_scale));
  d.integer("", "use_noise", o.use_noise), d.integer("", "use_styles", o.use_styles), d.integer("", "use_wscale", o.use_wscale);
  d.integer("", "use_instance_norm", o.use_instance_norm), d.integer("", "use_pixel_norm", o.use_pixel_norm);
  d.integer("", "normalize_latents", o.normalize_latents), d.put("", "w_avg_beta", exact(o.average_decay));
  d.put("", "truncation_psi", exact(o.truncation.psi)), d.integer("", "truncation_cutoff", o.truncation.cutoff);
}

inline StyleGAN1<float> stylegan1_from_own(io::Document const& file, std::string const& name) {
  OwnNetwork s(name, file);
  auto flag = [&](char const* key) { return s.integer("", key) != 0; };
  auto size = [&](char const* key, std::int64_t least) {
    std::int64_t const v = s.integer("", key);
    s.require(v >= least && v < (1 << 20), key, " should be at least ", least, ", the file has ", v);
    return v;
  };
  StyleGAN1Options o;
  o.resolution = size("img_resolution", 4), o.image_channels = size("img_channels", 1);
  s.require((o.resolution & (o.resolution - 1)) == 0, "the resolution should be a power of two, the file has ", o.resolution);
  o.z_dim = size("z_dim", 1), o.c_dim = size("c_dim", 0), o.w_dim = size("w_dim", 1);
  for (double c : s.numbers("", "channels")) {
    s.require(c >= 1 && c < (1 << 20) && c == std::floor(c), "channels should be whole numbers, the file has ", c);
    o.channels.push_back(std::int64_t(c));
  }
  s.require(std::int64_t(o.channels.size()) == rows_for_resolution(o.resolution) / 2, "channels should be listed for every size from 4 to ",
            o.resolution, " pixels, the file lists ", o.channels.size());
  o.blur_filter = s.numbers("", "blur_filter");
  o.mapping_layers = int(s.integer("", "mapping_layers", 1, most_entries)), o.mapping_features = size("mapping_features", 1);
  o.mapping_lr_multiplier = s.real("", "mapping_lr_multiplier");
  o.mapping_activation = relu_or_lrelu(name, "mapping_activation", s.text("", "mapping_activation"));
  o.activation = relu_or_lrelu(name, "activation", s.text("", "activation"));
  std::string const fused = s.text("", "fused_scale");
  bool known = false;
  for (FusedScale f : {FusedScale::never, FusedScale::always, FusedScale::automatic})
    if (fused == to_string(f)) o.fused_scale = f, known = true;
  s.require(known, "fused_scale should be never, always or automatic, the file has '", fused, "'");
  o.use_noise = flag("use_noise"), o.use_styles = flag("use_styles"), o.use_wscale = flag("use_wscale");
  o.use_instance_norm = flag("use_instance_norm"), o.use_pixel_norm = flag("use_pixel_norm");
  o.normalize_latents = flag("normalize_latents"), o.average_decay = s.real("", "w_avg_beta");
  o.truncation = {.psi = s.real("", "truncation_psi"), .cutoff = int(s.integer("", "truncation_cutoff", -widest, widest))};
  StyleGAN1<float> g(o, [&](std::string const& tensor, Shape const& shape, double, double) {
    std::vector<std::int64_t> list;
    for (int i = 0; i < shape.rank(); ++i) list.push_back(shape[i]);
    return s.tensor(tensor, list);
  });
  s.expect_all_used();
  return g;
}

inline bool is_own_stylegan1(io::Document const& file) { return io::find_metadata(file.metadata, "format") == "rig.stylegan1"; }
inline bool is_port(io::Value const& root) {
  if (!root.is(io::ValueKind::dict)) return false;
  auto holds = [](io::Value const& d, char const* key) { return d.is(io::ValueKind::dict) && d.find(key); };
  return holds(root, "synthesis.layer0.const") || holds(root.find("generator_smooth"), "synthesis.layer0.const") ||
         holds(root.find("generator"), "synthesis.layer0.const") || holds(root.find("discriminator"), "input0.weight");
}

}  // namespace detail

RIG_INLINE bool is_stylegan1(io::Document const& file) {
  if (file.kind == io::Kind::safetensors) return detail::is_own_stylegan1(file);
  if (detail::is_port(file.root)) return true;
  if (!detail::is_tf_pickle(file.root)) return false;
  auto of_stylegan1 = [](io::Value const& v) {
    if (!v.is(io::ValueKind::object) || v.class_name() != "Network") return false;
    io::Value const f = v.find("build_func_name");
    return f.is(io::ValueKind::string) && (f.string() == "G_style" || f.string() == "D_basic");
  };
  if (file.root.is(io::ValueKind::object)) return of_stylegan1(file.root);
  for (std::size_t i = 0; i < file.root.size(); ++i)
    if (of_stylegan1(file.root[i])) return true;
  return false;
}

RIG_INLINE bool says_fused_scale(io::Document const& file) { return !detail::is_port(file.root); }

RIG_INLINE StyleGAN1<float> stylegan1_from(io::Document const& file, std::string const& name, Device device, GeneratorChoice choice,
                                           std::optional<FusedScale> fused) {
  StyleGAN1<float> g;
  if (detail::is_port(file.root)) {
    bool const averaged = choice == GeneratorChoice::averaged;
    g = detail::stylegan1_from_port(
        detail::port_part(file.root, name, averaged ? "generator_smooth" : "generator", "synthesis.layer0.const"), name, fused);
  } else if (file.kind == io::Kind::safetensors) {
    check(detail::is_own_stylegan1(file), name, ": expected a generator written by rig (format rig.stylegan1 in the metadata)");
    g = detail::stylegan1_from_own(file, name);
  } else {
    check(detail::is_tf_pickle(file.root), name,
          ": a StyleGAN1 generator is read from NVIDIA's TensorFlow .pkl, the port's .pth or rig's .safetensors, this is a ",
          name_of(file.kind));
    g = detail::stylegan1_from_tf(
        detail::tf_part(file.root, name, choice == GeneratorChoice::averaged ? detail::TfPart::averaged : detail::TfPart::trained));
  }
  move_to(g, device);
  return g;
}

RIG_INLINE StyleGAN1Discriminator<float> stylegan1_discriminator_from(io::Document const& file, std::string const& name, Device device,
                                                                      std::optional<FusedScale> fused) {
  StyleGAN1Discriminator<float> d;
  if (detail::is_port(file.root)) {
    d = detail::stylegan1_discriminator_from_port(detail::port_part(file.root, name, "discriminator", "input0.weight"), name, fused);
  } else {
    check(detail::is_tf_pickle(file.root), name,
          ": a StyleGAN1 discriminator is read from NVIDIA's TensorFlow .pkl or the port's .pth, this is a ", name_of(file.kind));
    d = detail::stylegan1_discriminator_from_tf(detail::tf_part(file.root, name, detail::TfPart::discriminator));
  }
  move_to(d, device);
  return d;
}

RIG_INLINE StyleGAN1<float> load_stylegan1(std::string const& path, Device device, GeneratorChoice choice,
                                           std::optional<FusedScale> fused) {
  return stylegan1_from(io::read_any(path), path, std::move(device), choice, fused);
}

RIG_INLINE void save_stylegan1(std::string const& path, StyleGAN1<float>& generator, io::Metadata metadata) {
  detail::describe(metadata, generator);
  detail::write_network(path, "rig.stylegan1", generator, std::move(metadata));
}

}  // namespace rig::inline RIG_ABI::nn
