// StyleGAN2 from a plain state dict, which somebody wrote as .safetensors, .npz or .pt: tensors under the canonical names, in
// the official layout, or under those of the community port. Sizes follow from the tensors. What a state dict does not tell
// is as in the original training: leaky ReLU, a learning rate multiplier of 0.01 in the mapping, no clamp.
#pragma once
#include "rig/nn/stylegan2_loader.hpp"

namespace rig::inline RIG_ABI::nn {

/// Whether a file has tensors that only a StyleGAN2 state dict has.
bool is_stylegan2_state(io::Document const& file);

/// From the entries below G_ema or g_ema (G or g for the trained one) or, if there are none, from all.
StyleGAN2<float> stylegan2_from_state(io::Document const& file, std::string const& name, Device device = {},
                                      GeneratorChoice choice = GeneratorChoice::averaged);

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/stylegan2_state_loader.ipp"
#endif
