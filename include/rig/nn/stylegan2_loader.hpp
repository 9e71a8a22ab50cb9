// StyleGAN2 generators from files: the official stylegan2-ada-pytorch pickle (also as the StyleGAN3 repository writes it),
// of which nothing is executed, and rig's own safetensors, whose metadata holds the same attributes. Gains, clamps and
// activations are read, never derived again. Official files are channels first; their weights are turned once, here.
#pragma once
#include "rig/io/file.hpp"
#include "rig/nn/stylegan2.hpp"

namespace rig::inline RIG_ABI::nn {

/// Which of a training's two generators: the averaged one, meant for use, or the one that was being trained.
enum class GeneratorChoice { averaged, trained };

/// Error, naming file, layer, expected and found, if anything is missing, unknown or of the wrong shape.
StyleGAN2<float> load_stylegan2(std::string const& path, Device device = {}, GeneratorChoice choice = GeneratorChoice::averaged);
/// The same from a file that has been read; `name` stands for it in messages.
StyleGAN2<float> stylegan2_from(io::Document const& file, std::string const& name, Device device = {},
                                GeneratorChoice choice = GeneratorChoice::averaged);

/// rig's own file: tensors under their canonical names, channels last, and the configuration as metadata. Atomic.
void save_stylegan2(std::string const& path, StyleGAN2<float>& generator, io::Metadata metadata = {});

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/stylegan2_loader.ipp"
#endif
