// StyleGAN2 config-f against the bare convolutions of its layers; see against_convolutions.hpp.
#include "rig/nn/stylegan2.hpp"
#include "against_convolutions.hpp"

namespace {

using namespace rig;

std::vector<bench::Bare> convolutions(nn::StyleGAN2<float> const& g, Rng& rng) {
  std::vector<bench::Bare> all;
  for (auto const& b : g.synthesis.blocks) {
    std::int64_t const r = b.resolution;
    if (b.conv0) {
      std::int64_t const in = b.conv0->weight.dim(3), out = b.conv0->weight.dim(0);
      all.push_back({randn<float>({1, r + 1, r + 1, out}, rng), randn<float>({in, 3, 3, out}, rng),
                     randn<float>({1, r / 2, r / 2, in}, rng), true, 0, b.name + ".conv0"});
    }
    all.push_back(bench::plain(r, b.conv1->weight, b.name + ".conv1", rng));
    all.push_back(bench::plain(r, b.torgb->weight, b.name + ".torgb", rng));
  }
  return all;
}

}  // namespace

int main(int count, char** given) { bench::against_convolutions<nn::StyleGAN2<float>>(count, given, "StyleGAN2 config-f", convolutions); }
