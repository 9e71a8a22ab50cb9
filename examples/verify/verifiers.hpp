// One verifier a kind of case, each in its own file; run_verify chooses.
#pragma once
#include "case.hpp"
#include "rig/nn/stylegan2.hpp"

namespace program::verify {

/// Cases of single operators: value, gradient, gradient of the gradient.
void verify_operators(Case& k);
/// Codes, pictures, activations, gradients and path length of a StyleGAN2 generator.
void verify_generator(Case& k, rig::nn::StyleGAN2<float>& net);

}  // namespace program::verify
