// A loaded generator of any family as the small thing that corpus and rig ask for.
#pragma once
#include "rig/nn/generator.hpp"
#include "rig/nn/module.hpp"
#include "rig/stylerig/generator.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// label [1, c_dim] is used for every code of a conditional generator. The handle keeps the generator's weights alive.
inline GeneratorHandle generator_handle(nn::Generator<float> const& G, nn::Noise noise = nn::Noise::stored,
                                        Tensor<float> const& label = {}) {
  check(G.c_dim() == 0 || (label && label.shape() == (Shape{1, G.c_dim()})), "generator_handle: this generator needs a label [1, ",
        G.c_dim(), "]");
  check(noise != nn::Noise::random, "generator_handle: pictures must be functions of their codes; use stored noise or none");
  GeneratorHandle h;
  nn::Generator<float> named = G;
  h.rows = G.num_ws(), h.z_dim = G.z_dim(), h.w_dim = G.w_dim(), h.resolution = G.resolution();
  h.hash = nn::content_hash(named);
  h.noise = noise == nn::Noise::stored ? "stored" : "none";
  if (G.centre()) h.mean_latent = G.centre().host();
  h.mapping = [G, label](Tensor<float> const& z) {
    Device const d = G.device();
    Var<float> const c = G.c_dim() > 0 ? broadcast_to(Var<float>(label.to(d)), {z.dim(0), G.c_dim()}) : Var<float>{};
    return G.mapper().code(Var<float>(z.to(d)), c).value();
  };
  h.synthesis = [G, noise](Tensor<float> const& w) {
    nn::PictureOptions<float> o;
    o.noise = noise;
    return G.synthesis(Var<float>(w.to(G.device())), o).value();
  };
  return h;
}

}  // namespace rig::inline RIG_ABI::stylerig
