// What the cases of every family have in common: codes, truncation, mixing, and first derivatives of one scalar.
#pragma once
#include <algorithm>
#include <functional>

#include "case.hpp"
#include "rig/autodiff/tape.hpp"
#include "rig/nn/mapping.hpp"

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

/// w, w_psi035_cut and w_mix; `look` gets "psi07" and "mix" with the codes whose pictures the case may hold.
template <class Net> void verify_codes(Case& k, Net& net, std::function<void(char const*, V const&)> const& look) {
  V const z = k.var("z"), c = k.var("c"), w = net.mapping(z, c);
  k.compare("w", w.value());
  if (k.has("w_psi07")) {
    V const v = net.mapping(z, c, {.psi = 0.7});
    k.compare("w_psi07", v.value());
    look("img_psi07", v);
  }
  if (k.has("w_psi035_cut"))
    k.compare("w_psi035_cut", net.mapping(z, c, {.psi = 0.35, .cutoff = int(std::min(k.number("cutoff"), double(net.num_ws())))}).value());
  if (k.has("w_mix")) {
    V const mixed = rig::nn::mix(w, net.mapping(k.var("z2"), c), std::int64_t(k.number("mix")));
    k.compare("w_mix", mixed.value());
    look("img_mix", mixed);
  }
}

/// Compares act.*: the first sample, and two channels only of what is larger than 16 pixels. For `observe` of a synthesis.
inline std::function<void(std::string const&, V const&)> verify_activations(Case& k) {
  return [&k](std::string const& name, V const& v) {
    if (!k.has("act." + name)) return;
    V const first = to_first(slice(v, 0, 0, 1));
    k.compare("act." + name, (v.dim(1) > 16 ? slice(first, 1, 0, std::min<std::int64_t>(2, first.dim(1))) : first).value());
  };
}

/// loss = sum(picture(w) g): grad.* with the codes as a leaf, gradz.* through the mapping.
template <class Net> void verify_gradients(Case& k, Net& net, std::function<V(V const&)> const& picture) {
  if (!k.has("g")) return;
  V const target = to_last(k.var("g"));
  {
    rig::Tape tape;
    Leaves leaves(tape, net);
    // A leaf of its own, whose gradient does not run through the mapping.
    V const ws = tape.watch(net.mapping(k.var("z"), k.var("c")).value());
    leaves.add("ws", ws);
    V const loss = sum(picture(ws) * target);
    k.compare("loss", loss.value(), "loss");
    leaves.compare(k, tape, loss, "grad.");
  }
  if (k.names("gradz.").empty()) return;
  rig::Tape tape;
  Leaves leaves(tape, net);
  V const z = tape.watch(k.tensor("z")), c = k.has("c") ? tape.watch(k.tensor("c")) : V{};
  leaves.add("z", z);
  if (c) leaves.add("c", c);
  leaves.compare(k, tape, sum(picture(net.mapping(z, c)) * target), "gradz.");
}

}  // namespace program::verify
