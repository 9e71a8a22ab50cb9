// Networks that a training starts from instead of new ones: those of an earlier run, or a trained generator with its discriminator,
// as transfer learning does (Karras et al. 2020, "Training Generative Adversarial Networks with Limited Data", section 4.2).
#pragma once
#include <string>

#include "rig/gan/iteration.hpp"

namespace rig::inline RIG_ABI::gan {

/// Fills `networks` from `source`: the checkpoint of a run; or "GENERATOR,DISCRIMINATOR", two files of any kind that
/// nn::load_stylegan2 and nn::load_discriminator read; or one file that holds both, as official pickles do. A file with two
/// generators gives the trained one and its average, one with one gives it twice. Weights are taken, the clamps of layers that were
/// meant for half precision are not. Error, naming file and tensor, unless every name and shape agrees; then nothing is changed.
void start_from(Gan& networks, std::string const& source);

}  // namespace rig::inline RIG_ABI::gan

#if RIG_INCLUDE_IPP
#include "rig/gan/start.ipp"
#endif
