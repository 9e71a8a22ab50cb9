// StyleGAN2 from the checkpoints of the community port (.pt; converted official weights or snapshots of a training). They are
// state dicts without a configuration: sizes follow from the tensors, everything else is fixed in that port.
#pragma once
#include "rig/nn/stylegan2_loader.hpp"

namespace rig::inline RIG_ABI::nn {

/// Whether a decoded file is a checkpoint of the port, by its entries and their names.
bool is_rosinality(io::Document const& file);

/// `g_ema` or, if asked for the trained one, `g`. `latent_avg` becomes the centre of truncation; snapshots have none, and then
/// w_avg is empty. Errors as those of stylegan2_from.
StyleGAN2<float> stylegan2_from_rosinality(io::Document const& file, std::string const& name, Device device = {},
                                           GeneratorChoice choice = GeneratorChoice::averaged);

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/stylegan2_rosinality_loader.ipp"
#endif
