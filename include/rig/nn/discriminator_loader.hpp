// StyleGAN2 discriminators from files: the entry D of an official stylegan2-ada-pytorch pickle (also as the StyleGAN3
// repository writes it), of which nothing is executed, and rig's own safetensors. Everything said of generators in
// stylegan2_loader.hpp holds here: attributes are read, weights turned once, a file is understood completely or refused.
#pragma once
#include "rig/io/file.hpp"
#include "rig/nn/discriminator.hpp"

namespace rig::inline RIG_ABI::nn {

/// Error, naming file, layer, expected and found, if anything is missing, unknown or of the wrong shape.
Discriminator<float> load_discriminator(std::string const& path, Device device = {});
/// The same from a file that has been read; `name` stands for it in messages.
Discriminator<float> discriminator_from(io::Document const& file, std::string const& name, Device device = {});

/// The discriminator of a triple of the TensorFlow era (StyleGAN2, StyleGAN2-ADA), and `d` of the community port's snapshots.
/// discriminator_from calls them for such files.
Discriminator<float> discriminator_from_tf(io::Document const& file, std::string const& name, Device device = {});
Discriminator<float> discriminator_from_rosinality(io::Document const& file, std::string const& name, Device device = {});

/// rig's own file: tensors under their canonical names, channels last, and the configuration as metadata. Atomic.
void save_discriminator(std::string const& path, Discriminator<float>& discriminator, io::Metadata metadata = {});

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/discriminator_loader.ipp"
#endif
