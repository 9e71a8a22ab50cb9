// Trains a StyleGAN2 from nothing (Karras et al. 2020), with adaptive augmentation of what the discriminator sees. What an iteration does
// is in iteration.hpp; the loop round it is in training.ipp and can be read from top to bottom. An iteration is a function of (seed,
// number) and the saved state, so a killed run goes on to the same bits.
#pragma once
#include <algorithm>
#include <functional>
#include <string>

#include "rig/gan/iteration.hpp"
#include "rig/gan/picture_set.hpp"
#include "rig/nn/adaptive_strength.hpp"
#include "rig/nn/augment.hpp"
#include "rig/train/hooks.hpp"

namespace rig::inline RIG_ABI::gan {

struct GanTraining {
  std::int64_t resolution = 64;
  std::int64_t z_dim = 512, w_dim = 512;
  int mapping_layers = 2;
  std::int64_t channel_base = 4096, channel_max = 512;  ///< a layer at r pixels has min(base / r, max) channels, in both networks
  std::int64_t batch = 16;
  double kimg = 25000;  ///< length of the run, in thousands of real pictures shown; may be changed when it goes on
  GanLosses losses;
  double mixing = 0.9;                   ///< probability of codes from two latents
  int stddev_group = 4;                  ///< of the discriminator's minibatch deviation
  bool mirror = false;                   ///< the pictures and their mirror images
  nn::AugmentOptions augment;            ///< of all that the discriminator sees
  double strength = -1;                  ///< of the augmentation: p; -1: adaptive
  nn::AdaptiveStrengthOptions adaptive;  ///< how p follows the discriminator
  double first_strength = 0;             ///< where an adaptive p starts
  std::uint64_t seed = 1;

  /// Sensible values for a resolution and a batch, after the automatic configuration of StyleGAN2-ADA: 64 channels at the largest
  /// resolution up to 512, gamma = 0.0002 resolution^2 / batch, a half-life of 10/32 batch kimg, rate 0.002 from 1024 pixels on.
  static GanTraining for_resolution(std::int64_t resolution, std::int64_t batch);
  /// The same with its batch for one GPU: 4096 / resolution, at most 32.
  static GanTraining for_resolution(std::int64_t resolution);
  /// Iterations of the whole run.
  std::int64_t iterations() const;
  /// Error, saying what was expected and what was found, if no run can have these settings. train_gan asks first of all; a program
  /// that reads many pictures may want to know before.
  void check_settings() const;

  void visit(auto&& f) {
    f("resolution", resolution), f("z_dim", z_dim), f("w_dim", w_dim), f("mapping_layers", mapping_layers);
    f("channel_base", channel_base), f("channel_max", channel_max), f("batch", batch), f("kimg", kimg), f("losses", losses);
    f("mixing", mixing), f("stddev_group", stddev_group), f("mirror", mirror), f("augment", augment);
    f("strength", strength), f("adaptive", adaptive), f("first_strength", first_strength), f("seed", seed);
  }
};

/// What is random in iteration `number`: a function of the seed, the number and the phase.
class RandomDraws final : public GanDraws {
 public:
  /// p: strength of the augmentation.
  RandomDraws(GanTraining const& o, std::int64_t number, double p, Device device)
      : o_(o), p_(p), iteration_(Rng(o.seed).split(0x17e2).split(std::uint64_t(number))), device_(std::move(device)) {}
  void begin(GanPhase phase) override {
    rng_ = iteration_.split(std::uint64_t(phase));
    // The path length phase is the most expensive one: on half the batch, as in the official training.
    n_ = phase == GanPhase::path_length ? std::max<std::int64_t>(1, o_.batch / 2) : o_.batch;
  }
  Tensor<float> latents() override { return randn<float>({n_, o_.z_dim}, rng_, device_); }
  Mixing mixing(std::int64_t n, std::int64_t rows) override {
    if (rng_.uniform() >= o_.mixing) return {};
    std::int64_t const cut = 1 + rng_.below(rows - 1);
    return {cut, randn<float>({n, o_.z_dim}, rng_, device_)};
  }
  nn::SynthesisOptions<float> noise() override { return {.noise = nn::Noise::random, .rng = &rng_}; }
  Tensor<float> picture_noise(Shape const& shape) override { return randn<float>(shape, rng_, device_); }
  Var<float> augmented(Var<float> const& pictures) override { return nn::augment(pictures, p_, o_.augment, rng_); }

 private:
  GanTraining const& o_;
  double p_;
  Rng const iteration_;
  Device device_;
  Rng rng_;
  std::int64_t n_ = 0;
};

/// New networks with the standard initialisation, drawn from the seed.
Gan new_networks(GanTraining const& o, Device const& device = {});

struct GanHooks : train::TrainingHooks {
  /// Sees the networks before the first iteration of a new run, every snapshot_every iterations, and at the end; their weights are
  /// finite, and the checkpoint is written before. A run that goes on from where one is due makes that one again.
  std::function<void(Gan&, std::int64_t iteration)> snapshot;
  std::int64_t snapshot_every = 2000;
  std::string start;   ///< where to take the networks from, as start_from() understands it; empty: new ones
  bool fresh = false;  ///< start anew; a checkpoint that is there stays until the first new one takes its place
};

struct TrainedGan {
  Gan networks;
  std::int64_t iterations = 0;
  bool finished = false;  ///< false if it was stopped early
};

/// Trains on the device. With hooks.checkpoint naming an existing file it continues there; a file of another run is train::OtherRun,
/// which says in what it differs. A loss that is not finite ends the run with an Error that names the loss; what was saved before stays.
/// Curves, means since the last entry: "generator loss", "discriminator loss", "score of real", "score of generated", "r1",
/// "path length"; "augmentation" (p) and, where it is adaptive, "sign of real".
TrainedGan train_gan(PictureSet const& pictures, GanTraining const& o, GanHooks const& hooks, Device const& device = {});

}  // namespace rig::inline RIG_ABI::gan

#if RIG_INCLUDE_IPP
#include "rig/gan/training.ipp"
#endif
