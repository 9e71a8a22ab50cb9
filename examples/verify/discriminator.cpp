#include "scores.hpp"
#include "verifiers.hpp"

namespace program::verify {

void verify_discriminator(Case& k, rig::nn::Discriminator<float>& d) { verify_scores(k, d); }

}  // namespace program::verify
