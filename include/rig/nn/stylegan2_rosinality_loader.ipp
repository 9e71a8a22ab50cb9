#pragma once
#include "rig/nn/discriminator_loader.ipp"
#include "rig/nn/foreign_network.ipp"
#include "rig/nn/stylegan2_loader.ipp"
#include "rig/nn/stylegan2_rosinality_loader.hpp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

/// Entries without the prefix that data-parallel training puts before every name.
inline std::vector<io::NamedTensor> without_module(std::vector<io::NamedTensor> list) {
  std::string const prefix = "module.";
  bool all = !list.empty();
  for (auto const& t : list) all = all && t.name.compare(0, prefix.size(), prefix) == 0;
  if (all)
    for (auto& t : list) t.name.erase(0, prefix.size());
  return list;
}
inline std::vector<io::NamedTensor> state_dict(io::Value const& dict, std::string const& file) {
  return without_module(at_place(file, [&] { return io::all_tensors(dict); }));
}
inline bool holds_keys(io::Value const& dict, std::initializer_list<char const*> keys) {
  if (!dict.is(io::ValueKind::dict)) return false;
  for (char const* key : keys)
    if (!dict.find(key) && !dict.find(std::string("module.") + key)) return false;
  return true;
}
inline bool is_rosinality_generator(io::Value const& dict) {
  return holds_keys(dict, {"style.1.weight", "input.input", "conv1.conv.weight"});
}
inline bool is_rosinality_discriminator(io::Value const& dict) { return holds_keys(dict, {"convs.0.0.weight", "final_linear.1.weight"}); }

/// One more than the highest n of "prefix{n}.".
inline std::int64_t count_of(std::vector<io::NamedTensor> const& list, std::string const& prefix) {
  std::int64_t n = 0;
  for (auto const& t : list) {
    if (t.name.compare(0, prefix.size(), prefix) != 0) continue;
    std::int64_t i = 0;
    for (std::size_t k = prefix.size(); k < t.name.size() && t.name[k] >= '0' && t.name[k] <= '9' && i < 100; ++k)
      i = 10 * i + (t.name[k] - '0');
    n = std::max(n, i + 1);
  }
  return n;
}

class RosinalityGenerator final : public ForeignNetwork {
 public:
  RosinalityGenerator(std::string const& file, std::vector<io::NamedTensor> entries) : ForeignNetwork(file, std::move(entries)) {
    std::int64_t const convs = count_of(list(), "convs."), style = count_of(list(), "style.");
    require(convs % 2 == 0 && convs <= 32 && style >= 2 && style <= 64,
            "expected two convolutions a resolution and mapping layers style.1, style.2, ..., found ", convs, " and ",
            std::max<std::int64_t>(style - 1, 0));
    std::int64_t const resolution = std::int64_t(4) << (convs / 2);
    auto put = [&](char const* key, std::int64_t v) { settings.numbers[key] = double(v); };
    put("img_resolution", resolution), put("mapping.num_ws", convs + 2);
    put("img_channels", dim("to_rgb1.bias", 4, 1)), put("mapping.num_layers", style - 1);
    put("mapping.z_dim", dim("style.1.weight", 2, 1)), put("mapping.c_dim", 0);
    std::int64_t const w = dim("style." + std::to_string(style - 1) + ".weight", 2, 0);
    put("w_dim", w), put("mapping.w_dim", w);
  }

 private:
  ForeignTensor locate(std::string const& canonical) const override {
    auto in = [](std::string name, char const* axes) { return ForeignTensor{std::move(name), axes, 0}; };
    std::size_t const dot = canonical.rfind('.');
    if (canonical == "mapping.w_avg") return in("latent_avg", raw("latent_avg").rank() == 2 ? "1c" : "c");
    if (begins(canonical, "mapping.fc"))
      return in("style." + std::to_string(std::atoi(canonical.c_str() + 10) + 1) + canonical.substr(dot),
                ends(canonical, ".weight") ? "oi" : "c");
    if (canonical == "synthesis.b4.const") return in("input.input", "1chw");
    std::int64_t const r = resolution_of(canonical);
    if (r < 4) return {};
    int const b = log2_of(r) - 3;  // -1 at 4 pixels
    std::string const path = canonical.substr(std::string("synthesis.b").size() + std::to_string(r).size() + 1);
    std::string const part = path.substr(0, path.find('.')), rest = path.substr(std::min(path.size(), part.size() + 1));
    if (part == "resample_filter" && b >= 0) return {str("to_rgbs.", b, ".upsample.kernel"), "hw", 0, 4};
    bool const rgb = part == "torgb";
    if (!rgb && part != "conv0" && part != "conv1") return {};
    int const second = part == "conv1";
    std::string const p = rgb ? (b < 0 ? std::string("to_rgb1") : "to_rgbs." + std::to_string(b))
                              : (b < 0 ? std::string("conv1") : "convs." + std::to_string(2 * b + second));
    if (rest == "resample_filter") return {p + ".conv.blur.kernel", "hw", 0, 4};
    if (rest == "weight") return in(p + ".conv.weight", "1oihw");
    if (rest == "affine.weight") return in(p + ".conv.modulation.weight", "oi");
    if (rest == "affine.bias") return in(p + ".conv.modulation.bias", "c");
    if (rest == "bias") return rgb ? in(p + ".bias", "1c11") : in(p + ".activate.bias", "c");
    if (rest == "noise_strength") return in(p + ".noise.weight", "1");
    if (rest == "noise_const") return in("noises.noise_" + std::to_string(b < 0 ? 0 : 2 * b + 1 + second), "11hw");
    return {};
  }
  bool ignored(std::string const& name) const override { return ends(name, ".blur.kernel") || ends(name, ".upsample.kernel"); }
};

class RosinalityDiscriminator final : public ForeignNetwork {
 public:
  RosinalityDiscriminator(std::string const& file, std::vector<io::NamedTensor> entries) : ForeignNetwork(file, std::move(entries)) {
    settings.discriminator = true, settings.architecture = Architecture::resnet;
    std::int64_t const blocks = count_of(list(), "convs.") - 1;
    require(blocks >= 1 && blocks <= 16, "expected a conversion from colours, convs.0, and blocks convs.1, convs.2, ..., found ",
            std::max<std::int64_t>(blocks, 0), " blocks");
    resolution_ = std::int64_t(4) << blocks;
    settings.numbers["img_resolution"] = double(resolution_);
    settings.numbers["img_channels"] = double(dim("convs.0.0.weight", 4, 1));
    settings.numbers["c_dim"] = 0, settings.numbers["b4.mbstd.num_channels"] = 1, settings.numbers["b4.mbstd.group_size"] = 4;
  }

 private:
  ForeignTensor locate(std::string const& canonical) const override {
    std::size_t const dot = canonical.rfind('.');
    std::string const path = canonical.substr(0, dot), rest = dot == std::string::npos ? std::string() : canonical.substr(dot + 1);
    if (rest != "weight" && rest != "bias" && rest != "resample_filter") return {};
    // A layer of the port is a sequence: an optional blur, the convolution, the activation with the bias.
    auto in = [&](std::string const& p, int at) {
      return rest == "weight" ? ForeignTensor{str(p, ".", at, ".weight"), "oihw", 0} : ForeignTensor{str(p, ".", at + 1, ".bias"), "c", 0};
    };
    if (path == "b4.conv") return in("final_conv", 0);
    if (path == "b4.fc" || path == "b4.out")
      return {str("final_linear.", path == "b4.out" ? 1 : 0, ".", rest), rest == "weight" ? "oi" : "c", 0};
    std::int64_t const r = resolution_of(path);
    if (r < 8 || r > resolution_) return {};
    std::string const part = path.substr(path.find('.') + 1), block = str("convs.", log2_of(resolution_) - log2_of(r) + 1);
    if (rest == "resample_filter") {
      if (part != "conv1" && part != "skip") return {};
      return {block + (part == "skip" ? ".skip.0.kernel" : ".conv2.0.kernel"), "hw"};
    }
    if (part == "fromrgb" && r == resolution_) return in("convs.0", 0);
    if (part == "conv0") return in(block + ".conv1", 0);
    if (part == "conv1") return in(block + ".conv2", 1);
    if (part == "skip" && rest == "weight") return in(block + ".skip", 1);
    return {};
  }
  bool ignored(std::string const& name) const override { return ends(name, ".0.kernel"); }
  std::int64_t resolution_ = 0;
};

}  // namespace detail

RIG_INLINE Discriminator<float> discriminator_from_rosinality(io::Document const& file, std::string const& name, Device device) {
  io::Value dict = file.root;
  if (!detail::is_rosinality_discriminator(dict)) {
    dict = dict.find("d");
    check(detail::present(dict), name, ": holds no discriminator; expected an entry d");
    check(dict.is(io::ValueKind::dict), name, ": d should be a state dict, found a ", name_of(dict.kind()));
  }
  detail::RosinalityDiscriminator s(name, detail::state_dict(dict, name));
  Discriminator<float> d = detail::build_discriminator(s);
  move_to(d, device);
  return d;
}

RIG_INLINE bool is_rosinality(io::Document const& file) {
  io::Value const& root = file.root;
  if (!root || !root.is(io::ValueKind::dict)) return false;
  if (detail::is_rosinality_generator(root) || detail::is_rosinality_discriminator(root)) return true;
  for (char const* key : {"g_ema", "g", "d"})
    if (io::Value const v = root.find(key); v && (detail::is_rosinality_generator(v) || detail::is_rosinality_discriminator(v)))
      return true;
  return bool(root.find("g_ema"));
}

RIG_INLINE StyleGAN2<float> stylegan2_from_rosinality(io::Document const& file, std::string const& name, Device device,
                                                      GeneratorChoice choice) {
  check(file.root && file.root.is(io::ValueKind::dict), name, ": expected a dict with g_ema as the community port writes it, found ",
        file.root ? name_of(file.root.kind()) : "no values");
  io::Value const& root = file.root;
  char const *wanted = choice == GeneratorChoice::averaged ? "g_ema" : "g", *other = choice == GeneratorChoice::averaged ? "g" : "g_ema";
  io::Value dict = root;
  if (!detail::is_rosinality_generator(root)) {
    dict = root.find(wanted);
    if (!detail::present(dict)) {
      check(!detail::present(root.find(other)), name, ": has no ", wanted, ", only ",
            choice == GeneratorChoice::averaged ? "g, the generator that was being trained" : "g_ema, the averaged generator",
            "; ask for that one");
      check(!detail::present(root.find("d")) && !detail::is_rosinality_discriminator(root), name,
            ": holds only a discriminator (d); a generator (g_ema) is needed");
      throw Error(str(name, ": holds no generator; expected an entry ", wanted));
    }
    check(dict.is(io::ValueKind::dict), name, ": ", wanted, " should be a state dict, found a ", name_of(dict.kind()));
  }
  std::vector<io::NamedTensor> entries = detail::state_dict(dict, name);
  if (io::Value const centre = root.find("latent_avg"); detail::present(centre) && !(dict == root)) {
    check(centre.is(io::ValueKind::tensor), name, ": latent_avg should be a tensor, found a ", name_of(centre.kind()));
    entries.push_back({"latent_avg", centre.tensor()});
  }
  detail::RosinalityGenerator s(name, std::move(entries));
  StyleGAN2<float> g = detail::build_generator(s);
  move_to(g, device);
  return g;
}

}  // namespace rig::inline RIG_ABI::nn
