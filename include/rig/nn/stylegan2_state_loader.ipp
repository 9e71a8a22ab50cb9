#pragma once
#include "rig/nn/stylegan2_rosinality_loader.ipp"
#include "rig/nn/stylegan2_state_loader.hpp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

class CanonicalGenerator final : public ForeignNetwork {
 public:
  CanonicalGenerator(std::string const& file, std::vector<io::NamedTensor> entries) : ForeignNetwork(file, std::move(entries)) {
    std::int64_t resolution = 4;
    while (resolution < (1 << 16) && stored(str("synthesis.b", 2 * resolution, ".conv1.weight"))) resolution *= 2;
    settings.use_noise = stored("synthesis.b4.conv1.noise_strength");
    settings.architecture = stored("synthesis.b8.skip.weight")                       ? Architecture::resnet
                            : resolution > 4 && !stored("synthesis.b4.torgb.weight") ? Architecture::orig
                                                                                     : Architecture::skip;
    auto put = [&](char const* key, std::int64_t v) { settings.numbers[key] = double(v); };
    std::int64_t const layers = count_of(list(), "mapping.fc");
    require(layers > 0, "tensor mapping.fc0.weight is missing (expected [any, any])");
    // rig's own tensors run the other way round, and an .npz of them has lost what else rig's file says.
    if (io::AnyTensor const c = raw("synthesis.b4.const"); c && c.rank() == 3)
      require(c.dim(0) != 4 || c.dim(2) == 4, "synthesis.b4.const is ", c.shape(),
              ", channels last, as in an archive that was converted from rig's own file; a state dict has its channels first, [", c.dim(2),
              ", 4, 4]");
    std::int64_t const labels = stored("mapping.embed.weight") ? dim("mapping.embed.weight", 2, 1) : 0;
    std::int64_t const width = labels ? dim("mapping.embed.weight", 2, 0) : 0, w = dim(str("mapping.fc", layers - 1, ".weight"), 2, 0);
    put("img_resolution", resolution), put("img_channels", dim(str("synthesis.b", resolution, ".torgb.weight"), 4, 0)), put("w_dim", w);
    put("mapping.z_dim", dim("mapping.fc0.weight", 2, 1) - width), put("mapping.c_dim", labels), put("mapping.w_dim", w);
    put("mapping.num_ws", 2 * log2_of(resolution) - 2), put("mapping.num_layers", layers);
  }

 private:
  ForeignTensor locate(std::string const& name) const override {
    if (ends(name, ".resample_filter")) return {name, raw(name).rank() == 1 ? "c" : "hw"};
    if (ends(name, ".const")) return {name, "chw"};
    if (ends(name, ".noise_const")) return {name, "hw"};
    if (ends(name, ".noise_strength")) return {name, ""};
    if (!ends(name, ".weight")) return {name, "c"};
    return {name, begins(name, "mapping.") || ends(name, ".affine.weight") ? "oi" : "oihw"};
  }
  bool ignored(std::string const& name) const override { return ends(name, ".resample_filter"); }
};

/// Tensors whose names start with a prefix, without it and without that of data-parallel training.
inline std::vector<io::NamedTensor> entries_below(std::vector<io::NamedTensor> const& all, std::string const& prefix) {
  std::vector<io::NamedTensor> list;
  for (auto const& t : all)
    if (t.name.compare(0, prefix.size(), prefix) == 0) list.push_back({t.name.substr(prefix.size()), t.tensor});
  return without_module(std::move(list));
}
/// All tensors; none if there are too many to list, as no network has.
inline std::vector<io::NamedTensor> tensors_or_none(io::Document const& file) {
  try {
    return file.tensors();
  } catch (Error const&) {
    return {};
  }
}
/// Whether the tensors of a state dict belong to one generator alone: none lies below G, G_ema or the port's names of them.
inline bool is_single_state(io::Document const& file) {
  for (auto const& t : tensors_or_none(file))
    for (std::string_view const prefix : {"G_ema.", "G.", "g_ema.", "g."})
      if (std::string_view(t.name).substr(0, prefix.size()) == prefix) return false;
  return true;
}
inline bool any_named(std::vector<io::NamedTensor> const& list, std::string_view name) {
  for (auto const& t : list)
    if (t.name == name) return true;
  return false;
}
inline bool ends_any(std::vector<io::NamedTensor> const& list, std::string_view name) {
  for (auto const& t : list)
    if (t.name.size() >= name.size() && t.name.compare(t.name.size() - name.size(), name.size(), name) == 0) return true;
  return false;
}

}  // namespace detail

RIG_INLINE bool is_stylegan2_state(io::Document const& file) {
  auto const all = detail::tensors_or_none(file);
  for (std::string const prefix : {"", "G_ema.", "G.", "g_ema.", "g."})
    for (std::string const module : {"", "module."})
      if (detail::any_named(all, prefix + module + "synthesis.b4.const") ||
          (detail::any_named(all, prefix + module + "input.input") && detail::any_named(all, prefix + module + "style.1.weight")))
        return true;
  return false;
}

RIG_INLINE StyleGAN2<float> stylegan2_from_state(io::Document const& file, std::string const& name, Device device, GeneratorChoice choice) {
  auto const all = detail::at_place(name, [&] { return file.tensors(); });
  bool const averaged = choice == GeneratorChoice::averaged;
  std::vector<io::NamedTensor> list;
  auto known = [&] { return detail::any_named(list, "synthesis.b4.const") || detail::any_named(list, "input.input"); };
  for (char const* prefix : {averaged ? "G_ema." : "G.", averaged ? "g_ema." : "g.", ""})
    if (list = detail::entries_below(all, prefix); known()) break;
  if (!known()) {
    for (char const* other : {averaged ? "G." : "G_ema.", averaged ? "g." : "g_ema."})
      if (list = detail::entries_below(all, other); known())
        throw Error(str(name, ": has no ", averaged ? "averaged generator" : "generator that was being trained", ", only one below ", other,
                        "; ask for that one"));
    throw Error(str(name, ": holds no StyleGAN2 generator: neither synthesis.b4.const nor input.input is among its tensors"));
  }
  StyleGAN2<float> g;
  if (detail::any_named(list, "input.input")) {
    for (auto const& t : all)
      if (t.name == "latent_avg" && !detail::any_named(list, "latent_avg")) list.push_back(t);
    detail::RosinalityGenerator s(name, std::move(list));
    g = detail::build_generator(s);
  } else {
    detail::CanonicalGenerator s(name, std::move(list));
    g = detail::build_generator(s);
  }
  move_to(g, device);
  return g;
}

}  // namespace rig::inline RIG_ABI::nn
