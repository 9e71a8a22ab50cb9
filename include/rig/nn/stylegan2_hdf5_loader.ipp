#pragma once
#include "rig/core/random.hpp"
#include "rig/nn/foreign_network.ipp"
#include "rig/nn/stylegan2_hdf5_loader.hpp"
#include "rig/nn/stylegan2_loader.ipp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

/// Taps of a cubic filter (Mitchell and Netravali 1988) that doubles a picture: its values a quarter of a pixel from the
/// middle and every half pixel from there.
inline std::vector<double> cubic_taps(double b, double c) {
  std::vector<double> taps;
  for (int i = -4; i < 4; ++i) {
    double const t = std::abs((i + 0.5) / 2);
    taps.push_back(t < 1 ? ((12 - 9 * b - 6 * c) * t * t * t + (-18 + 12 * b + 6 * c) * t * t + (6 - 2 * b)) / 6
                         : ((-b - 6 * c) * t * t * t + (6 * b + 30 * c) * t * t + (-12 * b - 48 * c) * t + (8 * b + 24 * c)) / 6);
  }
  return taps;
}

class Hdf5Generator final : public ForeignNetwork {
 public:
  Hdf5Generator(std::string const& file, io::Document const& d) : ForeignNetwork(file, d.flat) {
    std::map<std::string, std::string> attributes(d.metadata.begin(), d.metadata.end());
    auto whole = [&](char const* key) {
      auto const it = attributes.find(key);
      require(it != attributes.end(), "the attribute ", key, " is missing");
      char* end = nullptr;
      std::int64_t const v = std::strtoll(it->second.c_str(), &end, 10);
      require(!it->second.empty() && *end == 0 && v >= 0 && v < 100'000, "the attribute ", key,
              " should be a number below 100000, the file has '", it->second, "'");
      return v;
    };
    std::int64_t const size = whole("size"), depth = whole("depth"), levels = whole("levels"), labels = whole("categories");
    require(depth >= 1 && depth <= most_entries && levels >= 1 && levels <= 10, "a generator of ", levels, " levels and a mapping of ",
            depth, " layers is not plausible");
    std::int64_t const resolution = std::int64_t(4) << (levels - 1);
    auto put = [&](std::string const& key, double v) { settings.numbers[key] = v; };
    put("img_resolution", double(resolution)), put("w_dim", double(size));
    put("img_channels", double(dim("synthesizer.init.torgb.wmconv.w", 4, 0)));
    put("mapping.z_dim", double(size)), put("mapping.c_dim", double(labels)), put("mapping.w_dim", double(size));
    put("mapping.num_ws", double(2 * levels)), put("mapping.num_layers", double(depth));
    for (std::int64_t i = 0; i < depth; ++i) {
      std::string const layer = "mapping.fc" + std::to_string(i);
      put(layer + ".weight_gain", std::sqrt(2.0 / double(dim("mapper.mlp." + std::to_string(i) + ".w", 2, 1))));
      put(layer + ".bias_gain", 1), put(layer + ".act_gain", 1);
    }
    for (std::int64_t r = 4; r <= resolution; r *= 2) {
      std::string const block = "synthesis.b" + std::to_string(r);
      put(block + ".conv1.act_gain", 1), put(block + ".conv0.act_gain", 1);
      put(block + ".torgb.weight_gain", 2);  // and no other gain; 2 brings 0..1 to a width of 2
    }
  }

  bool has_attribute(std::string const& path, char const* key) const override {
    return (std::string_view(key) == "border" && is_convolution(path)) || ForeignNetwork::has_attribute(path, key);
  }
  std::string text(std::string const& path, char const* key) const override {
    return std::string_view(key) == "border" && is_convolution(path) ? "mirrored" : ForeignNetwork::text(path, key);
  }
  io::AnyTensor find(std::string const& name) const override {
    if (ends(name, ".conv0.resample_filter")) return setup_filter<float>(cubic_taps(0, 0.5));
    if (ends(name, ".resample_filter")) return setup_filter<float>(cubic_taps(1, 0));
    if (ends(name, ".noise_const")) {
      std::int64_t const r = resolution_of(name);
      Rng rng(std::uint64_t(2 * r + ends(name, ".conv1.noise_const")));
      return randn<float>({r, r}, rng);
    }
    return ForeignNetwork::find(name);
  }

 private:
  static bool is_convolution(std::string const& path) { return ends(path, ".conv0") || ends(path, ".conv1"); }
  ForeignTensor locate(std::string const& canonical) const override {
    std::string const weight = ends(canonical, ".weight") ? ".w" : ".b";
    if (begins(canonical, "mapping.embed.")) return {"embedder" + weight, weight == ".w" ? "oi" : "c"};
    if (begins(canonical, "mapping.fc")) {
      std::string const i = canonical.substr(10, canonical.find('.', 10) - 10);
      return {"mapper.mlp." + i + weight, weight == ".w" ? "oi" : "c"};
    }
    std::int64_t const r = resolution_of(canonical);
    if (r < 4 || (r & (r - 1))) return {"", ""};
    std::string const block = r == 4 ? "synthesizer.init." : "synthesizer.skips." + std::to_string(log2_of(r) - 3) + ".";
    if (ends(canonical, ".const")) return {r == 4 ? block + "const.c" : "", "chw"};
    bool const rgb = canonical.find(".torgb.") != std::string::npos, first = canonical.find(".conv0.") != std::string::npos;
    if (!rgb && !first && canonical.find(".conv1.") == std::string::npos) return {"", ""};
    // The first block has one convolution, the others two; colours come last.
    int const place = r == 4 ? (rgb ? 2 : 1) : rgb ? 3 : first ? 1 : 2;
    std::string const number = r == 4 ? "" : std::to_string(place);
    if (canonical.find(".affine.") != std::string::npos)
      return {block + "style" + std::to_string(place) + ".linear" + weight, weight == ".w" ? "oi" : "c"};
    if (ends(canonical, ".noise_strength")) return {block + "noise" + number + ".s", "1"};
    if (!ends(canonical, ".weight") && !ends(canonical, ".bias")) return {"", ""};
    return {block + (rgb ? "torgb.wmconv" : "wmconv" + number) + weight, weight == ".w" ? "oihw" : "c"};
  }
  bool ignored(std::string const&) const override { return false; }
};

}  // namespace detail

RIG_INLINE bool is_stylegan2_hdf5(io::Document const& file) {
  if (file.kind != io::Kind::hdf5) return false;
  for (auto const& t : file.flat)
    if (t.name == "synthesizer.init.const.c") return true;
  return false;
}

RIG_INLINE StyleGAN2<float> stylegan2_from_hdf5(io::Document const& file, std::string const& name, Device device) {
  check(is_stylegan2_hdf5(file), name, ": holds no StyleGAN2 generator: synthesizer.init.const.c is not among its tensors");
  detail::Hdf5Generator s(name, file);
  StyleGAN2<float> g = detail::build_generator(s);
  bool first = true;
  for (auto& b : g.synthesis.blocks) {
    Tensor<float> bias = b.torgb->bias.value().clone();
    for (std::int64_t i = 0; i < bias.size(); ++i) bias.mutate()[i] = 2 * bias.data()[i] - (first ? 1.0f : 0.0f);
    b.torgb->bias = Param<float>(bias);
    first = false;
  }
  move_to(g, device);
  return g;
}

}  // namespace rig::inline RIG_ABI::nn
