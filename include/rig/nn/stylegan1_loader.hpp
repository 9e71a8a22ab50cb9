// StyleGAN1 from files: NVIDIA's TensorFlow pickle, of which nothing is executed, the checkpoint of the community's PyTorch
// port (.pth), and rig's own safetensors. The configuration of the first stands in its keywords; that of the second follows from
// its shapes, but for one thing the file does not say: whether convolutions that change the size are fused.
#pragma once
#include "rig/io/file.hpp"
#include "rig/nn/stylegan1_discriminator.hpp"
#include "rig/nn/stylegan2_loader.hpp"

namespace rig::inline RIG_ABI::nn {

/// Whether a decoded file holds networks of the first StyleGAN.
bool is_stylegan1(io::Document const& file);
/// Whether it says which form of its convolutions its networks were trained with. The port's files do not.
bool says_fused_scale(io::Document const& file);

/// Error, naming file, tensor, expected and found, if anything is missing, unknown or of the wrong shape. `fused` is for files
/// that do not say; without it `automatic`, as in all official networks.
StyleGAN1<float> load_stylegan1(std::string const& path, Device device = {}, GeneratorChoice choice = GeneratorChoice::averaged,
                                std::optional<FusedScale> fused = {});
/// The same from a file that has been read; `name` stands for it in messages.
StyleGAN1<float> stylegan1_from(io::Document const& file, std::string const& name, Device device = {},
                                GeneratorChoice choice = GeneratorChoice::averaged, std::optional<FusedScale> fused = {});
/// The discriminator of the same files, rig's own excepted.
StyleGAN1Discriminator<float> stylegan1_discriminator_from(io::Document const& file, std::string const& name, Device device = {},
                                                           std::optional<FusedScale> fused = {});

/// rig's own file: tensors under their canonical names, channels last, and the configuration as metadata. Atomic.
void save_stylegan1(std::string const& path, StyleGAN1<float>& generator, io::Metadata metadata = {});

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/stylegan1_loader.ipp"
#endif
