#include "networks.hpp"
#include "rig/nn/gan_loss.hpp"
#include "verifiers.hpp"

namespace program::verify {
using namespace rig;

namespace {

void verify_pictures(Case& k, nn::StyleGAN2<float>& g) {
  auto image = [&](char const* name, V const& codes, nn::SynthesisOptions<float> const& o = {}) {
    if (k.has(name)) k.compare(name, to_first(g.synthesis(codes, o)).value());
  };
  verify_codes(k, g, [&](char const* name, V const& codes) { image(name, codes); });
  V const w = g.mapping(k.var("z"), k.var("c"));
  nn::SynthesisOptions<float> observed;
  observed.observe = verify_activations(k);
  image("img_const", w, observed);
  nn::SynthesisOptions<float> none;
  none.noise = nn::Noise::none;
  image("img_none", w, none);
  if (k.has("img_random")) {
    nn::SynthesisOptions<float> random;
    random.noise = nn::Noise::random;
    for (auto const& site : g.synthesis.sites())
      if (site.has_noise) random.given.push_back(to_last(k.var("noise_in." + site.name)));
    image("img_random", w, random);
  }
}

/// The path length penalty (Karras et al. 2020, section 3.2); its parameter gradients are second derivatives.
void verify_path_length(Case& k, nn::StyleGAN2<float>& g) {
  if (!k.has("pl.noise")) return;
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
  verify_pictures(k, g);
  verify_gradients(k, g, [&](V const& ws) { return g.synthesis(ws); });
  verify_path_length(k, g);
}

}  // namespace program::verify
