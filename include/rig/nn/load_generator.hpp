// Any generator from any file: what the file is shows in its content, never in its name. NVIDIA's pickles (StyleGAN1 and 2 and
// 2-ADA of TensorFlow, 2-ADA and 3 of PyTorch), the community port's .pt, the port of StyleGAN1 (.pth), plain state dicts of
// StyleGAN2 under the canonical names or the port's (.safetensors, .npz), the HDF5 files of precure-stylegan-ada, rig's own
// safetensors. Nothing is executed.
#pragma once
#include "rig/io/file.hpp"
#include "rig/nn/generator.hpp"
#include "rig/nn/stylegan2_loader.hpp"

namespace rig::inline RIG_ABI::nn {

/// Error, naming file, layer, expected and found, if the file holds no generator or not all of one, or if the one that was being trained
/// is asked for and the file has a single one.
Generator<float> load_generator(std::string const& path, Device device = {}, GeneratorChoice choice = GeneratorChoice::averaged);
/// The same from a file that has been read; `name` stands for it in messages.
Generator<float> generator_from(io::Document const& file, std::string const& name, Device device = {},
                                GeneratorChoice choice = GeneratorChoice::averaged);

/// rig's own file of the generator's family: tensors under their canonical names, channels last, the configuration as
/// metadata. Atomic. Then it is read again and compared; Error if it does not hold the same network.
void save_generator(std::string const& path, Generator<float>& generator, io::Metadata metadata = {});

/// What a file is as a checkpoint of networks, as far as that can be told without building one.
struct NetworkFile {
  std::string origin;                 ///< "official PyTorch pickle", "official TensorFlow pickle", ...; empty: no networks known to rig
  std::string version;                ///< of the format, if it has one
  std::vector<std::string> networks;  ///< entries: "G", "D", "G_ema", with the class or function that made them
};
NetworkFile describe_networks(io::Document const& file);

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/load_generator.ipp"
#endif
