// The StyleGAN2-ADA of the project precure-stylegan-ada (Chainer), from its HDF5 files. It differs from NVIDIA's: features
// are enlarged by Catmull-Rom, colours by a cubic B-spline, both with mirrored borders, activations have no gain, and
// colours lie in 0..1. rig's picture is in -1..1, as of every other generator: 2 rgb - 1.
#pragma once
#include "rig/nn/stylegan2_loader.hpp"

namespace rig::inline RIG_ABI::nn {

/// Whether a file has the tensors of such a generator.
bool is_stylegan2_hdf5(io::Document const& file);

/// Error, naming file, layer, expected and found. The files keep no noise maps: those of Noise::stored are drawn from a
/// fixed seed. They keep no average of w either (see Generator::set_centre).
StyleGAN2<float> stylegan2_from_hdf5(io::Document const& file, std::string const& name, Device device = {});

}  // namespace rig::inline RIG_ABI::nn

#if RIG_INCLUDE_IPP
#include "rig/nn/stylegan2_hdf5_loader.ipp"
#endif
