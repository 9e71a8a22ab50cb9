// Fits a StyleGAN2 to the pictures of an oracle world by plain regression: G(w) is to be the picture of p*(w), for mixed
// codes and for codes a little off the mapping's manifold, where edits lead. Nothing adversarial is needed, because the
// right picture of every code is known.
#pragma once
#include <functional>

#include "rig/nn/optim/adam.hpp"
#include "rig/nn/stylegan2.hpp"
#include "rig/stylerig/oracle.hpp"
#include "rig/train/checkpoint.hpp"
#include "rig/train/log.hpp"
#include "rig/train/progress.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct OracleFitOptions {
  OracleOptions world;
  std::int64_t resolution = 64;
  std::int64_t channel_base = 2048, channel_max = 128;
  int mapping_layers = 2;
  std::int64_t pictures = 24000;  ///< drawn once and shown again and again
  std::int64_t held_out = 512;    ///< more of them, never trained on
  std::int64_t steps = 13000, batch = 8;
  double rate = 2e-2;      ///< of Adam (0.9, 0.99), to zero along a cosine
  double face_weight = 4;  ///< of a pixel of the face in the loss, against 1 elsewhere: what p* says is seen there
  double wander = 0.35;    ///< deviation of the noise on half of the codes, in deviations of w
  std::uint64_t seed = 5;
  std::int64_t log_every = 50, check_every = 500;
  Device device;           ///< of the fit; the pictures are drawn on the CPU
  std::string checkpoint;  ///< written every check_every steps; a run continues from it if it is there
  /// What the result depends on.
  void visit(auto&& f) {
    f("world", world), f("resolution", resolution), f("channel_base", channel_base), f("channel_max", channel_max);
    f("mapping_layers", mapping_layers), f("pictures", pictures), f("held_out", held_out), f("steps", steps), f("batch", batch);
    f("rate", rate), f("face_weight", face_weight), f("wander", wander), f("seed", seed);
  }
};

/// A generator with the truth behind it.
struct OracleWorld {
  nn::StyleGAN2<float> generator;
  OracleTruth truth;
  double psnr = 0;  ///< of held-out pictures, dB: mean square over all pixels of all pictures, peak 1
  void visit(auto&& f) { f("generator", generator), f("truth", truth); }
};

/// Codes [n, rows, width] of one mixing law: each from up to five latents with distinct cuts, the items [first, first + n)
/// of stream `seed`; `wander` deviations of noise on every second one. Pure: the same numbers on every machine.
Tensor<float> oracle_codes(nn::StyleGAN2<float> const& generator, OracleTruth const& truth, std::int64_t first, std::int64_t n,
                           std::uint64_t seed, double wander);

/// PSNR in dB of a generator's pictures of these codes against pictures [n, side, side, 3] in 0..255.
double oracle_psnr(nn::StyleGAN2<float> const& generator, Tensor<float> const& codes, Tensor<unsigned char> const& pictures);

/// Runs or continues the fit. `stop` ends it early at a checkpoint. Curves: "loss", "psnr".
OracleWorld fit_oracle(OracleFitOptions const& options, train::Log& log, train::StopFlag const* stop = nullptr,
                       std::FILE* progress = stderr);

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/oracle_fit.ipp"
#endif
