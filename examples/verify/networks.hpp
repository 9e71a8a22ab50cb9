// What the cases of every family have in common: codes, truncation, mixing, and first derivatives of one scalar.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <optional>

#include "case.hpp"
#include "rig/autodiff/tape.hpp"
#include "rig/nn/stylegan2.hpp"

namespace program::verify {

/// One of rig's tensors in the layout of the original code.
inline rig::Tensor<float> canonical(std::string const& name, rig::Tensor<float> const& t) {
  if (!t) return t;
  if (t.rank() == 4) return to_first(V(t)).value();
  if (name.size() > 6 && name.compare(name.size() - 6, 6, ".const") == 0) return permute(V(t), {2, 0, 1}).value();
  return t;
}

/// Watches every parameter of a network and lists them with their canonical names.
struct Leaves {
  std::vector<std::string> names;
  std::vector<V> vars;

  template <class Net> Leaves(rig::Tape& tape, Net& net) {
    tape.watch(net);
    rig::nn::parameters(net, [&](std::string const& name, rig::Param<float>& p) { add(name, p); });
  }
  void add(std::string name, V const& v) { names.push_back(std::move(name)), vars.push_back(v); }
  /// Compares the gradients of a scalar with the arrays prefix + name, which are one group.
  void compare(Case& k, rig::Tape& tape, V const& scalar, std::string const& prefix) const {
    auto const gradients = tape.grad(scalar, vars, {}, true);
    std::string const group = prefix.substr(0, prefix.size() - 1);
    for (std::size_t i = 0; i < names.size(); ++i) k.compare(prefix + names[i], canonical(names[i], gradients[i].value()), group);
  }
};

/// What the name of codes or of a picture asks for: w_psi035_cut3, img_mix, img_none_psi07, img_lod0.5.
struct Wanted {
  rig::nn::Truncation truncation;
  std::optional<int> cut;  ///< of a mix: rows from here on are those of z2
  rig::nn::Noise noise = rig::nn::Noise::stored;
  double lod = -1;
  bool identity = false;  ///< StyleGAN3's picture without its transform
};

/// Of a name of words between underscores; nothing if one of them is unknown. psi07 is 0.7; cut and mix without a number are the
/// arrays `cutoff` and `mix`.
inline std::optional<Wanted> wanted(Case& k, std::string const& name, std::int64_t rows) {
  bool const picture = starts(name, "img");
  Wanted r;
  for (std::size_t at = name.find('_'); at != std::string::npos;) {
    std::size_t const end = name.find('_', at + 1);
    std::string const word = name.substr(at + 1, end == std::string::npos ? end : end - at - 1);
    at = end;
    std::string const kind = word.substr(0, word.find_first_of("-0123456789"));
    std::string digits = word.substr(kind.size());
    if (kind == "psi" && digits.find('.') == std::string::npos)
      digits.insert(std::min(digits.size(), digits.find_first_not_of('-') + 1), ".");
    char* last = nullptr;
    double const number = std::strtod(digits.c_str(), &last);
    bool const given = !digits.empty() && last == digits.c_str() + digits.size() && std::isfinite(number);
    bool const row = given && number >= 0 && number <= 1e6 && number == std::floor(number);
    if (kind == "psi" && given)
      r.truncation.psi = number;
    else if (kind == "cut" && (row || digits.empty()))
      r.truncation.cutoff = int(std::min<std::int64_t>(rows, row ? int(number) : k.whole("cutoff", 0, 1'000'000)));
    else if (kind == "mix" && (row || digits.empty()))
      r.cut = row ? int(number) : k.whole("mix", 0, 1'000'000);
    else if (picture && kind == "lod" && given && number >= 0)
      r.lod = number;
    else if (picture && word == "none")
      r.noise = rig::nn::Noise::none;
    else if (picture && word == "random")
      r.noise = rig::nn::Noise::random;
    else if (picture && word == "identity")
      r.identity = true;
    else if (!picture || word != "const")  // stored noise, which is what is used where nothing is said
      return {};
  }
  return r;
}

/// The codes of the case's latents; the stored ones where it has no latents.
template <class Net> V codes_of(Case& k, Net& net, Wanted const& o = {}) {
  if (!k.has("z") && net.z_dim() > 0) {
    rig::check(!o.cut, "a mix needs the latents z, which the case does not have");
    return net.mapping.truncate(V(k.tensor("w")), o.truncation);
  }
  V const z = k.var("z"), c = k.var("c"), w = net.mapping(z, c, o.truncation);
  return o.cut ? rig::nn::mix(w, net.mapping(V(k.tensor("z2")), c, o.truncation), *o.cut) : w;
}

/// Noise and level of detail of a picture; the maps of random noise are the case's.
template <class Net> rig::nn::SynthesisOptions<float> options_of(Case& k, Net const& net, Wanted const& o) {
  rig::nn::SynthesisOptions<float> options;
  options.noise = o.noise, options.lod = o.lod;
  if (o.noise != rig::nn::Noise::random) return options;
  for (auto const& site : net.synthesis.sites())
    if (site.has_noise) options.given.push_back(to_last(V(k.tensor("noise_in." + site.name))));
  return options;
}

/// Every w* and img* whose name is understood. picture(codes, what is wanted of it).
template <class Net> void verify_pictures(Case& k, Net& net, std::function<V(V const&, Wanted const&)> const& picture) {
  if (!k.has("z") && net.z_dim() > 0) k.note("the case has no latents z; its codes w were taken as they are");
  for (auto const& name : k.names(""))
    k.attempt(name, [&] {
      bool const codes = name == "w" || starts(name, "w_");
      if (!codes && name != "img" && !starts(name, "img_")) return;
      auto const o = wanted(k, name, net.num_ws());
      if (!o) return;
      V const w = codes_of(k, net, *o);
      if (name != "w" || k.has("z") || net.z_dim() == 0) k.compare(name, codes ? w.value() : to_first(picture(w, *o)).value());
    });
}

/// Compares act.*: the first sample, and two channels only of what is larger than 16 pixels. run(observer) makes the picture.
inline void verify_activations(Case& k, std::function<void(std::function<void(std::string const&, V const&)> const&)> const& run) {
  if (k.names("act.").empty()) return;
  k.attempt("act", [&] {
    run([&](std::string const& name, V const& v) {
      if (!k.has("act." + name)) return;
      V const first = to_first(slice(v, 0, 0, 1));
      k.compare("act." + name, (v.dim(1) > 16 ? slice(first, 1, 0, std::min<std::int64_t>(2, first.dim(1))) : first).value());
    });
  });
}

/// loss = sum(picture(w) g): grad.* with the codes as a leaf, gradz.* through the mapping.
template <class Net> void verify_gradients(Case& k, Net& net, std::function<V(V const&)> const& picture) {
  if (!k.has("g")) return;
  if (k.has("loss") || !k.names("grad.").empty())
    k.attempt("grad", [&] {
      rig::Tape tape;
      Leaves leaves(tape, net);
      // A leaf of its own, whose gradient does not run through the mapping.
      V const ws = tape.watch(codes_of(k, net).value());
      leaves.add("ws", ws);
      V const loss = sum(picture(ws) * to_last(k.var("g")));
      k.compare("loss", loss.value(), "loss");
      leaves.compare(k, tape, loss, "grad.");
    });
  if (!k.names("gradz.").empty())
    k.attempt("gradz", [&] {
      rig::Tape tape;
      Leaves leaves(tape, net);
      V const z = tape.watch(k.tensor("z")), c = k.has("c") ? tape.watch(k.tensor("c")) : V{};
      leaves.add("z", z);
      if (c) leaves.add("c", c);
      leaves.compare(k, tape, sum(picture(net.mapping(z, c)) * to_last(k.var("g"))), "gradz.");
    });
}

}  // namespace program::verify
