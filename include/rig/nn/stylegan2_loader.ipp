#pragma once
#include "rig/nn/stored_network.ipp"
#include "rig/nn/stylegan2_loader.hpp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

inline SynthesisLayer<float> build_layer(StoredNetwork& s, std::string const& path, std::int64_t w_dim, std::int64_t r, std::int64_t in,
                                         std::int64_t out, int up) {
  SynthesisLayer<float> l;
  l.weight = Param<float>(s.kernel(path + ".weight", out, in, 3));
  l.resolution = s.integer(path, "resolution");
  l.up = int(s.integer(path, "up", 1, widest));
  s.require(l.resolution == r && l.up == up, path, " should enlarge by ", up, " to ", r, " pixels, the file has ", l.up, " and ",
            l.resolution);
  l.activation = activation_of(s, path);
  l.act_gain = s.real(path, "act_gain");
  l.conv_clamp = clamp_of(s, path);
  if (s.has_attribute(path, "border")) {
    s.require(s.text(path, "border") == "mirrored", path, ".border should be 'mirrored' or absent, the file has '", s.text(path, "border"),
              "'");
    l.border = Border::mirrored;
  }
  l.affine = build_dense(s, path + ".affine", w_dim, in);
  l.bias = Param<float>(s.tensor(path + ".bias", {l.weight.dim(0)}));
  if (up > 1) l.resample_filter = s.filter(path + ".resample_filter");
  if (s.integer(path, "use_noise")) {
    l.noise_const = s.tensor(path + ".noise_const", {r, r});
    l.noise_strength = Param<float>(s.tensor(path + ".noise_strength", {}));
  }
  return l;
}

inline StyleGAN2<float> build_generator(StoredNetwork& s) {
  StyleGAN2<float> g;
  g.resolution = s.integer("", "img_resolution");
  g.image_channels = s.integer("", "img_channels", 1, widest);
  g.synthesis.w_dim = s.integer("", "w_dim");
  std::int64_t log2 = 0;
  while (log2 < 20 && (std::int64_t(1) << log2) < g.resolution) ++log2;
  s.require(g.resolution >= 4 && (std::int64_t(1) << log2) == g.resolution && log2 < 20,
            "the resolution should be a power of two, the file has ", g.resolution);
  g.synthesis.num_ws = rows_for_resolution(g.resolution);

  Mapping<float> const& m = g.mapping = build_mapping(s, "mapping");
  s.require(m.num_ws == g.synthesis.num_ws && m.w_dim == g.synthesis.w_dim, "the mapping should give ", g.synthesis.num_ws, " rows of ",
            g.synthesis.w_dim, ", the file says ", m.num_ws, " of ", m.w_dim);

  std::int64_t before = 0;
  for (std::int64_t r = 4; r <= g.resolution; r *= 2) {
    SynthesisBlock<float> b;
    b.name = "b" + std::to_string(r), b.resolution = r;
    std::string const path = "synthesis." + b.name;
    b.architecture = architecture_of(s, path);
    bool const last = r == g.resolution, torgb = last || b.architecture == Architecture::skip;
    if (r == 4) {
      b.constant = Param<float>(s.constant(path + ".const"));
      before = b.constant.dim(2);
    } else {
      b.conv0 = build_layer(s, path + ".conv0", m.w_dim, r, before, -1, 2);
      std::int64_t const c = b.conv0->weight.dim(0);
      if (b.architecture == Architecture::skip) b.resample_filter = s.filter(path + ".resample_filter");
      if (b.architecture == Architecture::resnet) {
        std::string const skip = path + ".skip";
        s.require(s.text(skip, "activation") == "linear" && !s.number(skip, "conv_clamp"), skip, " should be linear and not clamped");
        b.skip.emplace();
        b.skip->weight = Param<float>(s.kernel(skip + ".weight", c, before, 1));
        b.skip->weight_gain = s.real(skip, "weight_gain"), b.skip->act_gain = s.real(skip, "act_gain");
        b.skip->resample_filter = s.filter(skip + ".resample_filter");
      }
      before = c;
    }
    b.conv1 = build_layer(s, path + ".conv1", m.w_dim, r, before, before, 1);
    if (torgb) {
      std::string const rgb = path + ".torgb";
      b.torgb.emplace();
      b.torgb->weight = Param<float>(s.kernel(rgb + ".weight", g.image_channels, before, 1));
      b.torgb->conv_clamp = clamp_of(s, rgb), b.torgb->weight_gain = s.real(rgb, "weight_gain");
      b.torgb->affine = build_dense(s, rgb + ".affine", m.w_dim, before);
      b.torgb->bias = Param<float>(s.tensor(rgb + ".bias", {g.image_channels}));
    }
    g.synthesis.blocks.push_back(std::move(b));
  }
  if (s.has_attribute("", "truncation_psi"))
    g.truncation = {s.real("", "truncation_psi"), int(s.integer("", "truncation_cutoff", -widest, widest))};
  s.expect_all_used();
  return g;
}

inline bool present(io::Value const& v) { return v && !v.is_none(); }

/// The generator among the entries of an official pickle, with a sentence of its own for everything else people open.
inline io::Value find_generator(io::Value const& root, std::string const& file, GeneratorChoice choice) {
  if (root.is(io::ValueKind::object) && root.class_name() == "Generator") return root;
  check(!(root.is(io::ValueKind::tuple) || root.is(io::ValueKind::list)), file,
        ": this is a pickle of the TensorFlow era (a triple of networks), not one of stylegan2-ada-pytorch");
  check(root.is(io::ValueKind::dict), file, ": expected a dict with G, D and G_ema as stylegan2-ada-pytorch writes it, found a ",
        name_of(root.kind()));
  char const* wanted = choice == GeneratorChoice::averaged ? "G_ema" : "G";
  io::Value const g = root.find(wanted), other = root.find(choice == GeneratorChoice::averaged ? "G" : "G_ema");
  if (!present(g)) {
    check(!present(other), file, ": has no ", wanted, ", only ",
          choice == GeneratorChoice::averaged ? "G, the generator that was being trained" : "G_ema, the averaged generator",
          "; ask for that one");
    check(!present(root.find("D")), file, ": holds only a discriminator (D); a generator (G_ema) is needed");
    check(!present(root.find("g_ema")), file, ": this is a checkpoint of a community port (g_ema), not one of stylegan2-ada-pytorch");
    throw Error(str(file, ": holds no generator; expected an entry ", wanted));
  }
  check(g.is(io::ValueKind::object), file, ": ", wanted, " should be a network, found a ", name_of(g.kind()));
  check(g.class_name() == "Generator", file, ": ", wanted, " should be a Generator, found a ", g.class_name());
  io::Value const modules = g.find("_modules");
  check(modules.is(io::ValueKind::dict), file, ": ", wanted, " has no modules");
  io::Value const synthesis = modules.find("synthesis");
  check(synthesis.is(io::ValueKind::object) && present(modules.find("mapping")), file, ": ", wanted,
        " should have the modules mapping and synthesis");
  return g;
}

/// StyleGAN3 and StyleGAN2 have the same classes; the Fourier features are what only one of them has.
inline bool is_stylegan3(io::Value const& generator) {
  io::Value const modules = generator.find("_modules"),
                  synthesis = modules.is(io::ValueKind::dict) ? modules.find("synthesis") : io::Value{};
  io::Value const parts = synthesis.is(io::ValueKind::object) ? synthesis.find("_modules") : io::Value{};
  return parts.is(io::ValueKind::dict) && present(parts.find("input"));
}

/// The attributes that build_generator reads, as text.
inline void describe(io::Metadata& m, StyleGAN2<float> const& g) {
  Description const d{m};
  auto layer = [&](std::string const& path, SynthesisLayer<float> const& l) {
    d.integer(path, "resolution", l.resolution), d.integer(path, "up", l.up), d.integer(path, "use_noise", bool(l.noise_const));
    d.put(path, "activation", to_string(l.activation)), d.put(path, "act_gain", exact(l.act_gain));
    d.clamp(path, l.conv_clamp);
    if (l.border == Border::mirrored) d.put(path, "border", "mirrored");
    d.dense(path + ".affine", l.affine);
  };
  d.integer("", "img_resolution", g.resolution), d.integer("", "img_channels", g.image_channels), d.integer("", "w_dim", g.w_dim());
  if (g.truncation.psi != 1) {
    d.put("", "truncation_psi", exact(g.truncation.psi));
    d.integer("", "truncation_cutoff", g.truncation.cutoff);
  }
  d.mapping("mapping", g.mapping);
  for (auto const& b : g.synthesis.blocks) {
    std::string const path = "synthesis." + b.name;
    d.put(path, "architecture", to_string(b.architecture));
    if (b.conv0) layer(path + ".conv0", *b.conv0);
    layer(path + ".conv1", *b.conv1);
    if (b.torgb) {
      d.clamp(path + ".torgb", b.torgb->conv_clamp);
      d.put(path + ".torgb", "weight_gain", exact(b.torgb->weight_gain));
      d.dense(path + ".torgb.affine", b.torgb->affine);
    }
    if (b.skip) {
      d.put(path + ".skip", "activation", "linear"), d.put(path + ".skip", "conv_clamp", "none");
      d.put(path + ".skip", "weight_gain", exact(b.skip->weight_gain)), d.put(path + ".skip", "act_gain", exact(b.skip->act_gain));
    }
  }
}

}  // namespace detail

RIG_INLINE StyleGAN2<float> stylegan2_from(io::Document const& file, std::string const& name, Device device, GeneratorChoice choice) {
  StyleGAN2<float> g;
  if (file.kind == io::Kind::safetensors) {
    std::string const format = io::find_metadata(file.metadata, "format");
    check(format == "rig.stylegan2", name, ": expected a generator written by rig (format rig.stylegan2 in the metadata), found ",
          format.empty() ? std::string("none") : "'" + format + "'");
    detail::OwnNetwork s(name, file);
    g = detail::build_generator(s);
  } else {
    check(file.kind == io::Kind::pickle, name, ": a StyleGAN2 generator is read from an official .pkl or rig's .safetensors, this is a ",
          name_of(file.kind));
    io::Value const found = detail::find_generator(file.root, name, choice);
    check(!detail::is_stylegan3(found), name, ": this is a StyleGAN3 generator; StyleGAN2 was asked for");
    detail::PickledNetwork s(name, found);
    g = detail::build_generator(s);
  }
  move_to(g, device);
  return g;
}

RIG_INLINE StyleGAN2<float> load_stylegan2(std::string const& path, Device device, GeneratorChoice choice) {
  return stylegan2_from(io::read_any(path), path, std::move(device), choice);
}

RIG_INLINE void save_stylegan2(std::string const& path, StyleGAN2<float>& generator, io::Metadata metadata) {
  detail::describe(metadata, generator);
  detail::write_network(path, "rig.stylegan2", generator, std::move(metadata));
}

}  // namespace rig::inline RIG_ABI::nn
