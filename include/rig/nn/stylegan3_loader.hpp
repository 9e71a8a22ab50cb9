// StyleGAN3 generators from files: the official pickle, of which nothing is executed, and rig's own safetensors, whose metadata
// holds the same attributes. The schedule, gains, clamps and filters are read, never derived again.
#pragma once
#include "rig/nn/stylegan2_loader.hpp"
#include "rig/nn/stylegan3.hpp"

namespace rig::inline RIG_ABI::nn {

/// Error, naming file, layer, expected and found, if anything is missing, unknown or of the wrong shape.
StyleGAN3<float> load_stylegan3(std::string const& path, Device device = {}, GeneratorChoice choice = GeneratorChoice::averaged);
/// The same from a file that has been read; `name` stands for it in messages.
StyleGAN3<float> stylegan3_from(io::Document const& file, std::string const& name, Device device = {},
                                GeneratorChoice choice = GeneratorChoice::averaged);

/// rig's own file: tensors under their canonical names, channels last, and the configuration as metadata. Atomic.
void save_stylegan3(std::string const& path, StyleGAN3<float>& generator, io::Metadata metadata = {});

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/stylegan3_loader.ipp"
#endif
