#include "networks.hpp"
#include "rig/nn/gan_loss.hpp"
#include "verifiers.hpp"

namespace program::verify {
using namespace rig;

namespace {

/// The path length penalty (Karras et al. 2020, section 3.2); its parameter gradients are second derivatives.
void verify_path_length(Case& k, nn::StyleGAN2<float>& g) {
  Tape tape;
  Leaves leaves(tape, g);
  Tensor<float> const noise = k.tensor("pl.noise");
  std::int64_t const n = noise.dim(0);
  V const z(k.tensor("z").rows(0, n)), c = k.has("c") ? V(k.tensor("c").rows(0, n)) : V{};
  V const ws = g.mapping(z, c);
  leaves.add("ws", ws);
  auto const p = nn::path_length(tape, g.synthesis(ws), ws, to_last(V(noise)), full<float>({}, float(k.number("pl.mean_in")), k.device()));
  V const loss = 2.0f * mean(p.penalty);
  k.compare("pl.grads", p.gradients.value(), "pl.grads");
  k.compare("pl.lengths", p.lengths.value(), "pl.lengths");
  k.compare("pl.mean_out", p.average.value(), "pl.mean_out");
  k.compare("pl.loss", loss.value(), "pl.loss");
  leaves.compare(k, tape, loss, "pl.grad.");
}

}  // namespace

void verify_generator(Case& k, nn::StyleGAN2<float>& g) {
  verify_pictures(k, g, [&](V const& ws, Wanted const& o) {
    check(o.lod <= 0 && !o.identity, "a StyleGAN2 has neither levels of detail nor transforms");
    return g.synthesis(ws, options_of(k, g, o));
  });
  verify_activations(k, [&](auto const& observer) {
    nn::SynthesisOptions<float> o;
    o.observe = observer;
    g.synthesis(codes_of(k, g), o);
  });
  verify_gradients(k, g, [&](V const& ws) { return g.synthesis(ws); });
  if (k.has("pl.noise")) k.attempt("pl", [&] { verify_path_length(k, g); });
}

}  // namespace program::verify
