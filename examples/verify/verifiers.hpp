// One verifier a kind of case, each in its own file; run_verify chooses.
#pragma once
#include "case.hpp"
#include "rig/io/file.hpp"
#include "rig/nn/discriminator.hpp"
#include "rig/nn/stylegan2.hpp"
#include "rig/nn/stylegan3.hpp"

namespace program::verify {

/// Whether the case holds arrays of a generator beyond its inputs.
bool asks_for_generator(Case const& k);

/// The latents seed{n} of the official image scripts, to the last bits of a logarithm; of arrays that are not doubles, as floats.
void verify_seeds(Case& k);
/// Cases of single operators: value, gradient, gradient of the gradient.
void verify_operators(Case& k);
/// Codes, pictures, activations, gradients and path length of a StyleGAN2 generator.
void verify_generator(Case& k, rig::nn::StyleGAN2<float>& net);
/// Codes, pictures, activations, gradients, schedule, filters and running averages of a StyleGAN3 generator.
void verify_generator(Case& k, rig::nn::StyleGAN3<float>& net);
/// Scores, gradients and R1 of a StyleGAN2 discriminator: the arrays d.*.
void verify_discriminator(Case& k, rig::nn::Discriminator<float>& d);
/// A few iterations of StyleGAN2 training: logged values, first gradients, final weights of G, D and the average of G. The
/// networks are trained.
void verify_training(Case& k, rig::nn::StyleGAN2<float>& g, rig::nn::Discriminator<float>& d, rig::nn::StyleGAN2<float>& average);
/// Codes, pictures at all levels of detail, activations and gradients of a StyleGAN1 generator, and its discriminator's scores.
void verify_stylegan1(Case& k, rig::io::Document const& file, std::string const& name);

}  // namespace program::verify
