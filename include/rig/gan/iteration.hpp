// One iteration of training a StyleGAN2 (Karras et al. 2020): up to four phases, each with latents of its own, each ending in a
// step of Adam; then the moving average. Random numbers come from an interface, so that the same text trains a network and
// repeats a recorded training of the original code.
#pragma once
#include <cmath>
#include <string>

#include "rig/nn/discriminator.hpp"
#include "rig/nn/gan_loss.hpp"
#include "rig/nn/optim/ema.hpp"
#include "rig/nn/stylegan2.hpp"

namespace rig::inline RIG_ABI::gan {

/// What an iteration needs to know of a training.
struct GanLosses {
  double rate = 0.0025;  ///< of Adam (0, 0.99)
  double gamma = 0.05;   ///< of R1; 0: none
  int r1_interval = 16;
  double path_weight = 2;  ///< of path length regularisation; 0: none
  int path_interval = 4;
  double average_kimg = 5;     ///< half-life of the moving average of the generator, in thousands of pictures
  double average_ramp = 0.05;  ///< at the start the half-life is this share of the pictures seen; 0: full from the start
  void visit(auto&& f) {
    f("rate", rate), f("gamma", gamma), f("r1_interval", r1_interval), f("path_weight", path_weight), f("path_interval", path_interval),
        f("average_kimg", average_kimg), f("average_ramp", average_ramp);
  }
};

/// The networks of a run, with what changes beside their weights.
struct Gan {
  nn::StyleGAN2<float> generator;
  nn::StyleGAN2<float> average;  ///< moving average of the generator: the result
  nn::Discriminator<float> discriminator;
  Tensor<float> path_mean;  ///< [], running mean of path lengths
  void visit(auto&& f) { f("generator", generator), f("average", average), f("discriminator", discriminator), f("path_mean", path_mean); }
};

enum class GanPhase { generator, path_length, discriminator, r1 };
inline char const* to_string(GanPhase p) {
  constexpr char const* names[] = {"generator", "path length", "discriminator", "R1"};
  return names[int(p)];
}

/// Where an iteration gets what is random in it. Asked in this order: begin, latents, mixing, noise, picture_noise; augmented for
/// every batch that the discriminator sees, generated ones first.
struct GanDraws {
  struct Mixing {
    std::int64_t cut = 0;  ///< rows from here on come from z
    Tensor<float> z = {};  ///< [n, z_dim], or empty: codes are not mixed
  };
  virtual ~GanDraws() = default;
  virtual void begin(GanPhase phase) = 0;
  /// [n, z_dim]. The path length phase may have fewer than the others.
  virtual Tensor<float> latents() = 0;
  virtual Mixing mixing(std::int64_t n, std::int64_t rows) = 0;
  virtual nn::SynthesisOptions<float> noise() = 0;
  /// N(0, 1), for path lengths.
  virtual Tensor<float> picture_noise(Shape const& shape) = 0;
  virtual Var<float> augmented(Var<float> const& pictures) { return pictures; }
};

/// Sees what an iteration computes.
struct GanObserver {
  virtual ~GanObserver() = default;
  /// "loss" (before the factor of its interval), "fake" and "real" (scores [n, 1]), "penalty" [n], "lengths" [n].
  virtual void value(GanPhase, char const* /*name*/, Var<float> const&) {}
  /// Before Adam's step: gradients are in the parameters of the network that the phase trains.
  virtual void gradients(GanPhase, Gan&) {}
};

class GanIteration {
  using V = Var<float>;

 public:
  GanLosses losses;
  nn::Adam<float> optimise_generator, optimise_discriminator;

  /// The states of the optimisers are made here, so that they can be loaded.
  GanIteration(GanLosses const& o, Gan& networks)
      : losses(o), optimise_generator(adam(o, o.path_interval)), optimise_discriminator(adam(o, o.r1_interval)) {
    check(o.r1_interval > 0 && o.path_interval > 0, "GanIteration: intervals must be positive, got ", o.r1_interval, " and ",
          o.path_interval);
    optimise_generator.prepare(networks.generator), optimise_discriminator.prepare(networks.discriminator);
  }

  /// Iteration `number`, from 0, on real pictures [n, r, r, c]. Of every phase the first loss in each `check_every` iterations is read,
  /// and an Error names one that is not finite, before its step is taken. Deterministic.
  void operator()(Gan& g, std::int64_t number, V const& real, GanDraws& draws, GanObserver& seen, std::int64_t check_every = 1) {
    check_every_ = check_every, number_ = number;
    generator_phase(g, draws, seen);
    if (losses.path_weight > 0 && number % losses.path_interval == 0) path_length_phase(g, draws, seen);
    discriminator_phase(g, real, draws, seen);
    if (losses.gamma > 0 && number % losses.r1_interval == 0) r1_phase(g, real, draws, seen);
    nn::update_average(g.average, g.generator, average_decay(number, double(real.dim(0))));
  }
  /// Of the moving average, in this iteration.
  double average_decay(std::int64_t number, double batch) const {
    return nn::average_decay(batch, 1000 * losses.average_kimg, double(number) * batch, losses.average_ramp);
  }

  void visit(auto&& f) { f("generator", optimise_generator), f("discriminator", optimise_discriminator); }

 private:
  /// Scaled for lazy regularisation also where the weight of that is 0, as in the official training.
  static nn::Adam<float> adam(GanLosses const& o, int interval) {
    return nn::Adam<float>(nn::lazy({.rate = o.rate, .beta1 = 0, .beta2 = 0.99}, interval));
  }

  /// Codes of fresh latents, mixed from two. The average of w sees the first ones only.
  static V codes(Gan& g, GanDraws& draws) {
    auto& mapping = g.generator.mapping;
    V const w = mapping.code(V(draws.latents()));
    mapping.track(w.value());
    V const ws = mapping.repeat(w);
    auto const mixing = draws.mixing(w.dim(0), mapping.num_ws);
    return mixing.z ? nn::mix(ws, mapping(V(mixing.z)), mixing.cut) : ws;
  }
  static V generated(Gan& g, V const& ws, GanDraws& draws) { return g.generator.synthesis(ws, draws.noise()); }

  /// Gradients of the loss of a phase that comes once in `interval` iterations, times that, and a step.
  template <class M>
  void update(Tape& tape, GanPhase phase, V const& loss, int interval, Gan& g, M& net, nn::Adam<float>& optimiser, GanObserver& seen) {
    seen.value(phase, "loss", loss);
    if (number_ % check_every_ < interval)
      check(std::isfinite(loss.item()), "training has diverged: the ", to_string(phase), " loss is ", loss.item(), " in iteration ",
            number_, "; a lower learning rate or a larger gamma may help");
    tape.backward(interval == 1 ? loss : float(interval) * loss);
    nn::complete_gradients(net);
    nn::sanitize_gradients(net);
    seen.gradients(phase, g);
    optimiser.announce(net);
    optimiser.step(net);
  }

  void generator_phase(Gan& g, GanDraws& draws, GanObserver& seen) {
    draws.begin(GanPhase::generator);
    Tape tape;
    tape.watch(g.generator);
    V const scores = g.discriminator(draws.augmented(generated(g, codes(g, draws), draws)));
    seen.value(GanPhase::generator, "fake", scores);
    update(tape, GanPhase::generator, nn::generator_loss(scores), 1, g, g.generator, optimise_generator, seen);
  }
  void path_length_phase(Gan& g, GanDraws& draws, GanObserver& seen) {
    draws.begin(GanPhase::path_length);
    Tape tape;
    tape.watch(g.generator);
    V const ws = codes(g, draws), img = generated(g, ws, draws);
    auto const p = nn::path_length(tape, img, ws, V(draws.picture_noise(img.shape())), g.path_mean);
    seen.value(GanPhase::path_length, "lengths", p.lengths), seen.value(GanPhase::path_length, "penalty", p.penalty);
    update(tape, GanPhase::path_length, float(losses.path_weight) * mean(p.penalty), losses.path_interval, g, g.generator,
           optimise_generator, seen);
    g.path_mean.assign(p.average.value());
  }
  void discriminator_phase(Gan& g, V const& real, GanDraws& draws, GanObserver& seen) {
    draws.begin(GanPhase::discriminator);
    V const fake = draws.augmented(generated(g, codes(g, draws), draws));
    Tape tape;
    tape.watch(g.discriminator);
    V const score_fake = g.discriminator(fake.detach()), score_real = g.discriminator(draws.augmented(real));
    seen.value(GanPhase::discriminator, "fake", score_fake), seen.value(GanPhase::discriminator, "real", score_real);
    update(tape, GanPhase::discriminator, nn::discriminator_loss(score_fake, score_real), 1, g, g.discriminator, optimise_discriminator,
           seen);
  }
  void r1_phase(Gan& g, V const& real, GanDraws& draws, GanObserver& seen) {
    draws.begin(GanPhase::r1);
    Tape tape;
    tape.watch(g.discriminator);
    // The gradient is taken at the augmented pictures' source, as in StyleGAN2-ADA.
    V const x = tape.watch(real), scores = g.discriminator(draws.augmented(x)), penalty = nn::r1_penalty(tape, scores, x);
    seen.value(GanPhase::r1, "real", scores), seen.value(GanPhase::r1, "penalty", penalty);
    update(tape, GanPhase::r1, nn::r1_loss(penalty, losses.gamma), losses.r1_interval, g, g.discriminator, optimise_discriminator, seen);
  }

  std::int64_t check_every_ = 1, number_ = 0;
};

}  // namespace rig::inline RIG_ABI::gan
