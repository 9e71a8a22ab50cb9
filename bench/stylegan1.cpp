// The official StyleGAN1 against the bare convolutions of its layers; see against_convolutions.hpp.
#include "rig/nn/stylegan1.hpp"
#include "against_convolutions.hpp"

namespace {

using namespace rig;

std::vector<bench::Bare> convolutions(nn::StyleGAN1<float> const& g, Rng& rng) {
  std::vector<bench::Bare> all;
  for (auto const& b : g.synthesis.blocks) {
    std::int64_t const r = b.resolution, c = b.conv1.weight.dim(0);
    if (b.conv0.weight) {  // enlarging and a 3x3 together have a window of 4x4
      std::int64_t const in = b.conv0.weight.dim(3);
      all.push_back({randn<float>({1, r, r, c}, rng), randn<float>({in, 4, 4, c}, rng), randn<float>({1, r / 2, r / 2, in}, rng), true, 1,
                     b.name + ".conv0"});
    }
    all.push_back(bench::plain(r, b.conv1.weight, b.name + ".conv1", rng));
  }
  auto const& last = g.synthesis.blocks.back();
  all.push_back(bench::plain(last.resolution, last.torgb.weight, last.name + ".torgb", rng));
  return all;
}

}  // namespace

int main(int count, char** given) { bench::against_convolutions<nn::StyleGAN1<float>>(count, given, "StyleGAN1", convolutions); }
