#pragma once
#include "rig/nn/discriminator_loader.ipp"
#include "rig/nn/foreign_network.ipp"
#include "rig/nn/stylegan2_loader.ipp"
#include "rig/nn/stylegan2_tf_loader.hpp"
#include "rig/nn/tf_network.ipp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

/// Variables of a network and of its components, those with the component's name before theirs.
inline std::vector<io::NamedTensor> tf_variables(TfNetwork const& net, std::initializer_list<char const*> components = {}) {
  std::vector<io::NamedTensor> list = net.variables();
  for (char const* name : components) {
    TfNetwork const component = net.component(name);
    for (auto const& v : component.variables()) list.push_back({std::string(name) + "/" + v.name, v.tensor});
  }
  return list;
}

/// Keywords that both networks of a file understand the same way.
inline void read_tf_keywords(TfNetwork& net, ForeignSettings& s, Architecture architecture) {
  auto activation = [&](char const* key) {
    std::string const name = net.text(key, "lrelu");
    return at_place(str(net.file(), ": keyword ", key), [&] { return activation_from_name(name); });
  };
  s.activation = activation("nonlinearity"), s.mapping_activation = activation("mapping_nonlinearity");
  s.conv_clamp = net.number_or_none("conv_clamp", {});
  if (s.conv_clamp) net.require(*s.conv_clamp >= 0, "conv_clamp should be None or not negative, the file has ", *s.conv_clamp);
  s.filter = net.numbers("resample_kernel", {1, 3, 3, 1});
  if (s.filter.empty()) s.filter = {1, 1};
  std::string const name = net.text("architecture", to_string(architecture));
  s.architecture = at_place(net.file() + ": keyword", [&] { return architecture_from_name(name); });
  // What these set holds in training only, or for the order of additions, or which layers run in half precision.
  net.ignore({"num_fp16_res", "dtype", "structure", "is_training", "is_validation", "is_template_graph", "use_wscale", "fused_modconv"});
}

/// Channels at r pixels by the keywords of the original code.
struct TfChannels {
  double base, decay;
  std::int64_t smallest, largest;
  explicit TfChannels(TfNetwork& net)
      : base(net.real("fmap_base", 16384)),
        decay(net.real("fmap_decay", 1)),
        smallest(net.integer("fmap_min", 1)),
        largest(net.integer("fmap_max", 512)) {
    net.require(base >= 1 && base < 1e9 && decay >= 0 && decay < 100 && smallest >= 1 && largest >= smallest,
                "fmap_base, fmap_decay, fmap_min and fmap_max are not plausible: ", base, ", ", decay, ", ", smallest, ", ", largest);
  }
  std::int64_t operator()(int log2) const {
    return std::clamp<std::int64_t>(std::int64_t(base / std::pow(2.0, (log2 - 1) * decay)), smallest, largest);
  }
};

inline std::string tf_square(std::int64_t r) { return str(r, "x", r); }

class TfGenerator final : public ForeignNetwork {
 public:
  explicit TfGenerator(TfNetwork net) : ForeignNetwork(net.file(), tf_variables(net, {"mapping", "synthesis"})) {
    std::string const function = net.component("synthesis").function();
    bool const revised = function == "G_synthesis_stylegan_revised" || stored("synthesis/ToRGB_lod0/mod_weight");
    require(function == "G_synthesis" || function == "G_synthesis_stylegan2" || revised, "the synthesis function ", function,
            " is not known; G_synthesis_stylegan2 and G_synthesis are");
    read_tf_keywords(net, settings, Architecture::skip);
    // The progressive form of configurations B to D: when it has grown up, only the last conversion to colours is left.
    if (revised) settings.architecture = Architecture::orig;
    settings.mapping_lr_multiplier = net.real("mapping_lrmul", 0.01);
    settings.use_noise = net.flag("use_noise", true);
    std::int64_t const z = net.integer("latent_size", 512), c = net.integer("label_size", 0), w = net.integer("dlatent_size", 512);
    std::int64_t const resolution = net.integer("resolution", 1024), layers = net.integer("mapping_layers", 8);
    require(resolution >= 4 && resolution <= (1 << 16) && (resolution & (resolution - 1)) == 0,
            "the resolution should be a power of two, the file has ", resolution);
    require(z >= 0 && c >= 0 && w > 0 && layers > 0 && layers <= most_entries, "latent_size ", z, ", label_size ", c, ", dlatent_size ", w,
            " and mapping_layers ", layers, " are not plausible");
    resolution_ = resolution;
    auto put = [&](char const* key, double v) { settings.numbers[key] = v; };
    put("img_resolution", double(resolution)), put("img_channels", double(net.integer("num_channels", 3))), put("w_dim", double(w));
    put("mapping.z_dim", double(z)), put("mapping.c_dim", double(c)), put("mapping.w_dim", double(w));
    put("mapping.num_ws", 2 * log2_of(resolution) - 2), put("mapping.num_layers", double(layers));
    put("mapping.normalize", net.flag("normalize_latents", true));
    put("mapping.w_avg_beta", net.number_or_none("w_avg_beta", net.number_or_none("dlatent_avg_beta", 0.995)).value_or(1));
    put("truncation_psi", net.number_or_none("truncation_psi", 0.5).value_or(1));
    put("truncation_cutoff", net.number_or_none("truncation_cutoff", {}).value_or(-1));
    // Widths inside the mapping are those of its tensors; colours, noise and mixing are the caller's choice.
    net.ignore({"mapping_fmaps", "label_fmaps", "style_mixing_prob", "truncation_psi_val", "truncation_cutoff_val", "randomize_noise",
                "mapping_func", "synthesis_func", "components", "conditioning"});
    TfChannels const channels(net);
    net.expect_known_options();
    for (int k = 2; k <= log2_of(resolution); ++k) {
      std::int64_t const r = std::int64_t(1) << k;
      std::string const weight = "synthesis/" + tf_square(r) + (r == 4 ? "/Conv/weight" : "/Conv1/weight");
      io::AnyTensor const t = raw(weight);
      require(bool(t), "variable ", weight, " is missing (expected [3, 3, ", channels(k), ", ", channels(k), "])");
      require(t.rank() == 4 && t.dim(3) == channels(k), "variable ", weight, " should be [3, 3, ", channels(k), ", ", channels(k),
              "] by the keywords fmap_base and fmap_max, the file has ", t.shape());
    }
    if (revised && stored("lod")) {
      require(raw("lod").size() == 1, "variable lod should be a number, the file has ", raw("lod").shape());
      require(raw("lod").item<double>() == 0, "this generator had not finished growing (lod ", raw("lod").item<double>(),
              "); only a finished one can be used");
    }
  }

 private:
  ForeignTensor locate(std::string const& canonical) const override {
    if (canonical == "mapping.w_avg") return {"dlatent_avg", "c"};
    if (begins(canonical, "mapping.embed")) return {"mapping/LabelEmbed/" + canonical.substr(14), ends(canonical, ".weight") ? "io" : "c"};
    if (canonical == "mapping.label_weight") return {"mapping/LabelConcat/weight", "oi"};
    if (begins(canonical, "mapping.fc")) {
      std::size_t const dot = canonical.rfind('.');
      return {"mapping/Dense" + canonical.substr(10, dot - 10) + "/" + canonical.substr(dot + 1), ends(canonical, ".weight") ? "io" : "c"};
    }
    if (canonical == "synthesis.b4.const") return {"synthesis/4x4/Const/const", "1chw"};
    std::int64_t const r = resolution_of(canonical);
    if (r < 4) return {};
    std::string const path = canonical.substr(std::string("synthesis.b").size() + std::to_string(r).size() + 1);
    std::string const part = path.substr(0, path.find('.')), rest = path.substr(std::min(path.size(), part.size() + 1));
    if (part != "conv0" && part != "conv1" && part != "torgb" && part != "skip") return {};
    if (rest == "noise_const") return {str("synthesis/noise", r == 4 ? 0 : 2 * log2_of(r) - 5 + (part == "conv1")), "11hw"};
    std::string p = "synthesis/" + tf_square(r) +
                    (part == "conv0"   ? "/Conv0_up/"
                     : part == "skip"  ? "/Skip/"
                     : part == "torgb" ? "/ToRGB/"
                     : r == 4          ? "/Conv/"
                                       : "/Conv1/");
    if (part == "torgb" && r == resolution_ && stored("synthesis/ToRGB_lod0/weight")) p = "synthesis/ToRGB_lod0/";
    if (rest == "weight") return {p + "weight", part == "conv0" ? "HWio" : "hwio"};
    if (rest == "affine.weight") return {p + "mod_weight", "io"};
    if (rest == "affine.bias") return {p + "mod_bias", "c", 1};
    if (rest == "bias") return {p + "bias", "c"};
    if (rest == "noise_strength") return {p + "noise_strength", ""};
    return {};
  }
  bool ignored(std::string const& name) const override {
    if (name == "lod" || name == "synthesis/lod") return true;
    if (begins(name, "synthesis/ToRGB_lod") && stored("synthesis/ToRGB_lod0/weight")) return true;
    return !settings.use_noise && begins(name, "synthesis/noise");
  }
  std::int64_t resolution_ = 0;
};

class TfDiscriminator final : public ForeignNetwork {
 public:
  explicit TfDiscriminator(TfNetwork net) : ForeignNetwork(net.file(), tf_variables(net)) {
    settings.discriminator = true;
    read_tf_keywords(net, settings, Architecture::resnet);
    settings.mapping_activation = settings.activation;
    settings.mapping_lr_multiplier = net.real("mapping_lrmul", 0.1);
    std::int64_t const c = net.integer("label_size", 0), resolution = net.integer("resolution", 1024);
    auto put = [&](char const* key, std::optional<double> v) { settings.numbers[key] = v; };
    put("img_resolution", double(resolution)), put("img_channels", double(net.integer("num_channels", 3))), put("c_dim", double(c));
    std::int64_t const scores = dim("Output/weight", 2, 1);
    bool const mapped = stored("LabelEmbed/weight");
    std::int64_t const layers = net.integer("mapping_layers", 0), width = net.integer_or_none("mapping_fmaps", {}).value_or(scores);
    if (mapped) {
      require(c > 0, "variable LabelEmbed/weight belongs to no layer: label_size is ", c);
      require(scores == width, "variable Output/weight should be [any, ", width, "] by the keyword mapping_fmaps, the file has ",
              raw("Output/weight").shape());
      put("mapping.z_dim", 0), put("mapping.c_dim", double(c)), put("mapping.w_dim", double(scores));
      put("mapping.num_layers", double(layers)), put("mapping.num_ws", {});
    }
    auto const group = net.number_or_none("mbstd_group_size", net.version() >= 5 ? std::optional<double>() : 4.0);
    std::int64_t const features = net.integer("mbstd_num_features", 1);
    if (features > 0 && (!group || *group > 1)) put("b4.mbstd.num_channels", double(features)), put("b4.mbstd.group_size", group);
    freeze(net.integer("freeze_layers", 0), resolution);
    TfChannels const channels(net);
    net.expect_known_options();
    for (int k = 3; k <= 20 && (std::int64_t(1) << k) <= resolution; ++k) {
      std::string const weight = tf_square(std::int64_t(1) << k) + "/Conv0/weight";
      io::AnyTensor const t = raw(weight);
      require(!t || (t.rank() == 4 && t.dim(3) == channels(k)), "variable ", weight, " should be [3, 3, ", channels(k), ", ", channels(k),
              "] by the keywords fmap_base and fmap_max, the file has ", t.shape());
    }
  }

 private:
  /// The first layers in the order of evaluation, to the branch of a residual block after its convolutions.
  void freeze(std::int64_t count, std::int64_t resolution) {
    std::int64_t n = 0;
    for (std::int64_t r = resolution; r > 4 && n < count; r /= 2)
      for (char const* part : {"fromrgb", "conv0", "conv1", "skip"}) {
        std::string const path = str("b", r, ".", part);
        if (stored(locate(path + ".weight").name) && n++ < count) settings.frozen.insert(path);
      }
  }
  ForeignTensor locate(std::string const& canonical) const override {
    std::size_t const dot = canonical.rfind('.');
    std::string const path = canonical.substr(0, dot), rest = dot == std::string::npos ? std::string() : canonical.substr(dot + 1);
    if (rest != "weight" && rest != "bias") return {};
    auto in = [&](std::string const& p, char const* axes) { return ForeignTensor{p + "/" + rest, rest == "bias" ? "c" : axes, 0}; };
    if (path == "mapping.embed") return in("LabelEmbed", "io");
    if (begins(path, "mapping.fc")) return in("Mapping" + path.substr(10), "io");
    if (path == "b4.conv") return in("4x4/Conv", "hwio");
    if (path == "b4.fc") return in("4x4/Dense0", "io");
    if (path == "b4.out") return in("Output", "io");
    std::int64_t const r = resolution_of(path);
    std::string const part = path.substr(path.find('.') + 1);
    for (auto const& [ours, theirs] : {std::pair{"fromrgb", "/FromRGB"}, {"conv0", "/Conv0"}, {"conv1", "/Conv1_down"}, {"skip", "/Skip"}})
      if (r >= 4 && part == ours) return in(tf_square(r) + theirs, "hwio");
    return {};
  }
  bool ignored(std::string const& name) const override { return name == "lod"; }
};

inline std::string tf_function(io::Value const& network) {
  io::Value const f = network.is(io::ValueKind::object) ? network.find("build_func_name") : io::Value{};
  return f.is(io::ValueKind::string) ? std::string(f.string()) : std::string();
}

}  // namespace detail

RIG_INLINE Discriminator<float> discriminator_from_tf(io::Document const& file, std::string const& name, Device device) {
  detail::TfNetwork net = detail::tf_part(file.root, name, detail::TfPart::discriminator);
  net.require(net.function() == "D_main" || net.function() == "D_stylegan2",
              "expected a StyleGAN2 discriminator (D_stylegan2 or D_main), found ", net.function());
  net.require(net.version() >= 4, "a StyleGAN2 discriminator has version 4 or 5, the file says ", net.version());
  detail::TfDiscriminator s(std::move(net));
  Discriminator<float> d = detail::build_discriminator(s);
  move_to(d, device);
  return d;
}

RIG_INLINE bool is_stylegan2_tf(io::Document const& file) {
  if (!file.root || !detail::is_tf_pickle(file.root)) return false;
  io::Value const& root = file.root;
  if (root.is(io::ValueKind::object)) return detail::tf_function(root) == "G_main";
  for (std::size_t i = 0; i < root.size(); ++i)
    if (detail::tf_function(root[i]) == "G_main") return true;
  return false;
}

RIG_INLINE StyleGAN2<float> stylegan2_from_tf(io::Document const& file, std::string const& name, Device device, GeneratorChoice choice) {
  check(bool(file.root), name, ": expected a pickle of the TensorFlow era");
  detail::TfNetwork net =
      detail::tf_part(file.root, name, choice == GeneratorChoice::averaged ? detail::TfPart::averaged : detail::TfPart::trained);
  net.require(net.function() == "G_main", "expected a StyleGAN2 generator (G_main), found ", net.function());
  net.require(net.version() >= 4, "a StyleGAN2 generator has version 4 or 5, the file says ", net.version());
  detail::TfGenerator s(std::move(net));
  StyleGAN2<float> g = detail::build_generator(s);
  move_to(g, device);
  return g;
}

}  // namespace rig::inline RIG_ABI::nn
