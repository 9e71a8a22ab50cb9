#include "rig/nn/stylegan1_loader.hpp"
#include "scores.hpp"
#include "verifiers.hpp"

namespace program::verify {
using namespace rig;

namespace {

/// grad_lod0.5.ws and the like: with respect to the codes at another level of detail.
void verify_gradients_at_levels(Case& k, nn::StyleGAN1<float>& g) {
  for (auto const& name : k.names("grad_lod")) {
    if (name.size() < 4 || name.compare(name.size() - 3, 3, ".ws") != 0) continue;
    k.attempt(name, [&] {
      nn::SynthesisOptions<float> o;
      o.lod = std::strtod(name.c_str() + 8, nullptr);
      Tape tape;
      V const ws = tape.watch(codes_of(k, g).value());
      k.compare(name, tape.grad(sum(g.synthesis(ws, o) * to_last(V(k.tensor("g")))), ws).value(), name);
    });
  }
}

V picture_of(Case& k, nn::StyleGAN1<float> const& g, V const& ws, Wanted const& o) {
  check(!o.identity, "a StyleGAN1 has no transform");
  return g.synthesis(ws, options_of(k, g, o));
}

/// The form of the convolutions, where the file does not say it: that whose picture is nearer to a stored one.
std::optional<nn::FusedScale> find_fused_scale(Case& k, io::Document const& file, std::string const& name) {
  if (nn::says_fused_scale(file)) return {};
  for (auto const& picture : k.names("img_")) {
    V const stored = k.var(picture);
    std::optional<nn::FusedScale> best;
    float least = 0;
    for (auto f : {nn::FusedScale::automatic, nn::FusedScale::always, nn::FusedScale::never}) {
      nn::StyleGAN1<float> const g = nn::stylegan1_from(file, name, k.device(), nn::GeneratorChoice::averaged, f);
      auto const o = wanted(k, picture, g.num_ws());
      if (!o) break;
      float const d = mean(square(to_first(picture_of(k, g, codes_of(k, g, *o), *o)) - stored)).item();
      if (!best || d < least) best = f, least = d;
    }
    if (!best) continue;
    k.note(str("the file does not say where scaling is fused into convolutions; '", to_string(*best),
               "' was chosen because its picture is nearest to ", picture));
    return best;
  }
  return {};
}

void verify_generator(Case& k, nn::StyleGAN1<float>& g) {
  verify_pictures(k, g, [&](V const& ws, Wanted const& o) { return picture_of(k, g, ws, o); });
  nn::SynthesisOptions<float> full;
  full.lod = 0;
  verify_activations(k, [&](auto const& observer) {
    nn::SynthesisOptions<float> o = full;
    o.observe = observer;
    g.synthesis(codes_of(k, g), o);
  });
  verify_gradients(k, g, [&](V const& ws) { return g.synthesis(ws, full); });
  verify_gradients_at_levels(k, g);
}

}  // namespace

void verify_stylegan1(Case& k, io::Document const& file, std::string const& name) {
  std::optional<nn::FusedScale> fused;
  k.attempt("fused scale", [&] { fused = find_fused_scale(k, file, name); });
  if (asks_for_generator(k))
    k.attempt("generator", [&] {
      nn::StyleGAN1<float> g = nn::stylegan1_from(file, name, k.device(), nn::GeneratorChoice::averaged, fused);
      check(g.c_dim() == 0 || k.has("c"), "holds no labels c, but the generator in ", name, " has ", g.c_dim(), " classes");
      verify_generator(k, g);
    });
  if (k.has("d.img"))
    k.attempt("d", [&] {
      nn::StyleGAN1Discriminator<float> d = nn::stylegan1_discriminator_from(file, name, k.device(), fused);
      verify_scores(k, d);
    });
}

}  // namespace program::verify
