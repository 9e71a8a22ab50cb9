// StyleGAN2 from the pickles of the official TensorFlow code: StyleGAN2 (version 4) and StyleGAN2-ADA (version 5), each a
// triple of networks. The configuration is in keywords that differ from the defaults of the function that built the network;
// tensors are turned, and the differences of the dialect (a bias of styles without its 1, mirrored enlarging weights) undone.
#pragma once
#include "rig/nn/stylegan2_loader.hpp"

namespace rig::inline RIG_ABI::nn {

/// Whether a decoded file is a triple of the TensorFlow era whose generator is a StyleGAN2.
bool is_stylegan2_tf(io::Document const& file);

/// The averaged generator Gs, or G. Errors as those of stylegan2_from; keywords and variables nobody knows are errors too.
StyleGAN2<float> stylegan2_from_tf(io::Document const& file, std::string const& name, Device device = {},
                                   GeneratorChoice choice = GeneratorChoice::averaged);

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/stylegan2_tf_loader.ipp"
#endif
