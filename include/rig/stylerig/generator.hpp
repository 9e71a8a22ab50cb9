// What rig's training asks of a generator, and nothing more: a mapping, a synthesis, sizes, and a name for the weights.
// Any StyleGAN (or in tests any function) becomes one of these; the networks of this folder never see more of it.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct GeneratorHandle {
  std::int64_t rows = 0, z_dim = 0, w_dim = 0;
  std::int64_t resolution = 0;
  std::string hash;                                                ///< of the weights: names the generator everywhere
  std::string noise = "fixed";                                     ///< how the noise inputs are filled; provenance only
  std::vector<float> mean_latent;                                  ///< [w_dim], where truncation pulls to
  std::function<Tensor<float>(Tensor<float> const& z)> mapping;    ///< [n, z_dim] -> [n, w_dim], without truncation
  std::function<Tensor<float>(Tensor<float> const& w)> synthesis;  ///< [n, rows, w_dim] -> [n, h, w, 3] in -1..1
};

}  // namespace rig::inline RIG_ABI::stylerig
