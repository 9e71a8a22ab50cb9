#pragma once
#include "rig/nn/load_generator.hpp"
#include "rig/nn/stylegan1_loader.ipp"
#include "rig/nn/stylegan2_hdf5_loader.ipp"
#include "rig/nn/stylegan2_rosinality_loader.ipp"
#include "rig/nn/stylegan2_state_loader.ipp"
#include "rig/nn/stylegan2_tf_loader.ipp"
#include "rig/nn/stylegan3_loader.ipp"

namespace rig::inline RIG_ABI::nn {
namespace detail {

enum class Origin { none, rig, pytorch, tensorflow, rosinality, stylegan1_port, state, hdf5 };

inline std::string format_of(io::Document const& file) { return io::find_metadata(file.metadata, "format"); }

/// rig.stylegan2 and the like; rig's other files hold rigs, corpora, trainings.
inline bool is_network_format(std::string const& format) { return format.substr(0, 12) == "rig.stylegan" || format == "rig.discriminator"; }

inline Origin origin_of(io::Document const& file) {
  if (format_of(file).substr(0, 4) == "rig.") return Origin::rig;
  io::Value const& root = file.root;
  if (root && is_tf_pickle(root)) return Origin::tensorflow;
  if (root && root.is(io::ValueKind::object) && (root.class_name() == "Generator" || root.class_name() == "Discriminator"))
    return Origin::pytorch;
  if (root && root.is(io::ValueKind::dict)) {
    bool state = false, official = false;
    for (char const* key : {"G_ema", "G", "D"})
      if (io::Value const v = root.find(key)) official = true, state = state || v.is(io::ValueKind::dict);
    if (official && !state) return Origin::pytorch;
    if (present(root.find("generator_smooth")) || (present(root.find("generator")) && !present(root.find("g_ema"))))
      return Origin::stylegan1_port;
    if (is_rosinality(file)) return Origin::rosinality;
  }
  if (is_stylegan2_hdf5(file)) return Origin::hdf5;
  return is_stylegan2_state(file) ? Origin::state : Origin::none;
}

/// Whether a file has one network and does not say which of a training's two generators it is.
inline bool holds_one_network(io::Document const& file, Origin origin) {
  switch (origin) {
    case Origin::rig: return is_network_format(format_of(file));
    case Origin::hdf5: return true;
    case Origin::pytorch:
    case Origin::tensorflow: return file.root.is(io::ValueKind::object);
    case Origin::state: return is_single_state(file);
    default: return false;
  }
}

inline Generator<float> generator_from_tf(io::Document const& file, std::string const& name, Device device, GeneratorChoice choice) {
  TfNetwork const net = tf_part(file.root, name, choice == GeneratorChoice::averaged ? TfPart::averaged : TfPart::trained);
  std::string const f = net.function();
  if (f == "G_style") return stylegan1_from(file, name, device, choice);
  if (f == "G_main") return stylegan2_from_tf(file, name, device, choice);
  net.require(f.substr(0, 2) != "D_", "this network is a discriminator (", f, "); a generator is needed");
  net.require(false, "generators built by ", f, " are not known to rig; G_style (StyleGAN) and G_main (StyleGAN2, StyleGAN2-ADA) are");
  return {};
}

inline Generator<float> generator_from_rig(io::Document const& file, std::string const& name, Device device) {
  std::string const format = format_of(file);
  if (format == "rig.stylegan1") return stylegan1_from(file, name, device);
  if (format == "rig.stylegan2") return stylegan2_from(file, name, device);
  if (format == "rig.stylegan3") return stylegan3_from(file, name, device);
  check(format != "rig.discriminator", name, ": holds only a discriminator; a generator is needed");
  throw Error(str(name, ": expected a generator written by rig (format rig.stylegan1, 2 or 3 in the metadata), found '", format, "'"));
}

template <class Net> std::string saved_form(Net& g) {
  io::Metadata m;
  describe(m, g);
  std::string text = content_hash(g);
  for (auto const& [k, v] : m) text += "\n" + k + "=" + v;
  return text;
}

}  // namespace detail

RIG_INLINE Generator<float> generator_from(io::Document const& file, std::string const& name, Device device, GeneratorChoice choice) {
  detail::Origin const origin = detail::origin_of(file);
  check(choice == GeneratorChoice::averaged || !detail::holds_one_network(file, origin), name,
        ": holds one network alone; the generator that was being trained cannot be chosen in it");
  switch (origin) {
    case detail::Origin::rig: return detail::generator_from_rig(file, name, device);
    case detail::Origin::pytorch:
      if (detail::is_stylegan3(detail::find_generator(file.root, name, choice))) return stylegan3_from(file, name, device, choice);
      return stylegan2_from(file, name, device, choice);
    case detail::Origin::tensorflow: return detail::generator_from_tf(file, name, device, choice);
    case detail::Origin::rosinality: return stylegan2_from_rosinality(file, name, device, choice);
    case detail::Origin::stylegan1_port: return stylegan1_from(file, name, device, choice);
    case detail::Origin::state: return stylegan2_from_state(file, name, device, choice);
    case detail::Origin::hdf5: return stylegan2_from_hdf5(file, name, device);
    case detail::Origin::none: break;
  }
  auto const all = detail::at_place(name, [&] { return file.tensors(); });
  check(!detail::ends_any(all, "synthesis.input.freqs"), name,
        ": holds tensors of a StyleGAN3 without their configuration; the official .pkl is needed");
  check(!detail::any_named(all, "b4.fc.weight") && !detail::any_named(all, "D.b4.fc.weight"), name,
        ": holds only a discriminator; a generator is needed");
  throw Error(str(name, ": holds no generator that rig knows; this is a ", name_of(file.kind), " of ", all.size(), " tensors",
                  all.empty() ? "" : ", the first named ", all.empty() ? "" : all[0].name));
}

RIG_INLINE Generator<float> load_generator(std::string const& path, Device device, GeneratorChoice choice) {
  return generator_from(io::read_any(path), path, std::move(device), choice);
}

RIG_INLINE void save_generator(std::string const& path, Generator<float>& generator, io::Metadata metadata) {
  switch (generator.family()) {
    case Family::stylegan1: save_stylegan1(path, generator.as<StyleGAN1<float>>(), std::move(metadata)); break;
    case Family::stylegan2: save_stylegan2(path, generator.as<StyleGAN2<float>>(), std::move(metadata)); break;
    case Family::stylegan3: save_stylegan3(path, generator.as<StyleGAN3<float>>(), std::move(metadata)); break;
  }
  Generator<float> back = load_generator(path);
  auto form = [](Generator<float>& g) { return std::visit([](auto& net) { return detail::saved_form(net); }, g.network); };
  check(back.family() == generator.family() && form(back) == form(generator), path,
        ": was written, but what it holds is not the generator it was made from; is the disk sound?");
}

RIG_INLINE NetworkFile describe_networks(io::Document const& file) {
  NetworkFile d;
  auto entry = [&](std::string const& name, io::Value const& v) {
    if (!detail::present(v)) return;
    std::string what;
    if (v.is(io::ValueKind::object)) what = std::string(v.class_name());
    if (std::string const f = detail::tf_function(v); !f.empty()) what = f;
    d.networks.push_back(what.empty() ? name : name + " (" + what + ")");
  };
  io::Value const& root = file.root;
  switch (detail::origin_of(file)) {
    case detail::Origin::rig:
      if (detail::is_network_format(detail::format_of(file))) d.origin = "written by rig", d.networks = {detail::format_of(file)};
      break;
    case detail::Origin::pytorch: {
      d.origin = "official PyTorch pickle";
      // The two repositories pass their keywords to networks in different ways.
      for (io::Value const& net : {root, root.is(io::ValueKind::dict) ? root.find("G_ema") : io::Value{}}) {
        if (!net.is(io::ValueKind::object)) continue;
        io::Value const keywords = net.find("_init_kwargs");
        if (!keywords.is(io::ValueKind::dict)) continue;
        if (keywords.find("synthesis_kwargs")) d.version = "StyleGAN2-ADA";
        for (char const* key : {"channel_base", "channel_max", "num_fp16_res", "conv_clamp"})
          if (keywords.find(key)) d.version = "StyleGAN3";
      }
      if (root.is(io::ValueKind::object)) {
        entry("network", root);
        break;
      }
      for (char const* key : {"G", "D", "G_ema"}) entry(key, root.find(key));
      break;
    }
    case detail::Origin::tensorflow: {
      d.origin = "official TensorFlow pickle";
      char const* const names[] = {"G", "D", "Gs"};
      bool const one = root.is(io::ValueKind::object);
      for (std::size_t i = 0; i < (one ? 1 : root.size()) && i < 3; ++i) {
        io::Value const net = one ? root : root[i];
        entry(one ? "network" : names[i], net);
        io::Value const version = net.is(io::ValueKind::object) ? net.find("version") : io::Value{};
        if (version.is(io::ValueKind::integer)) d.version = std::to_string(version.integer());
      }
      break;
    }
    case detail::Origin::rosinality:
      d.origin = "checkpoint of the community port of StyleGAN2";
      for (char const* key : {"g_ema", "g", "d", "latent_avg"}) entry(key, root.find(key));
      break;
    case detail::Origin::stylegan1_port:
      d.origin = "checkpoint of a port of StyleGAN1";
      for (char const* key : {"generator_smooth", "generator", "discriminator"}) entry(key, root.find(key));
      break;
    case detail::Origin::state: d.origin = "StyleGAN2 state dict"; break;
    case detail::Origin::hdf5: d.origin = "HDF5 file of precure-stylegan-ada"; break;
    case detail::Origin::none: break;
  }
  return d;
}

}  // namespace rig::inline RIG_ABI::nn
