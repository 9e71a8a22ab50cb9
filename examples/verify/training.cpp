#include "networks.hpp"
#include "rig/nn/gan_loss.hpp"
#include "rig/nn/optim/ema.hpp"
#include "verifiers.hpp"

namespace program::verify {
using namespace rig;

namespace {

/// The numbers of `hyper`, in the order of the case.
struct Hyper {
  double rate, g_interval, d_interval, gamma, path_weight, average_kimg, ramp, mixing;
  explicit Hyper(std::vector<double> const& h) {
    check(h.size() == 8, "training: hyper should hold eight numbers, the case has ", h.size());
    rate = h[0], g_interval = h[1], d_interval = h[2], gamma = h[3], path_weight = h[4], average_kimg = h[5], ramp = h[6], mixing = h[7];
    check(g_interval >= 1 && d_interval >= 1, "training: intervals should be 1 or more, the case has ", g_interval, " and ", d_interval);
  }
};

std::map<std::string, Tensor<float>> values_of(auto& net) {
  std::map<std::string, Tensor<float>> v;
  nn::tensors(net, [&](std::string const& name, auto& leaf) {
    if (leaf) v[name] = nn::detail::tensor_of(leaf).clone();
  });
  return v;
}

/// The run: networks, optimisers, the case's random draws in order of use, and where it stands.
class Training {
 public:
  Training(Case& k, nn::StyleGAN2<float>& g, nn::Discriminator<float>& d, nn::StyleGAN2<float>& average)
      : k_(k),
        h_(k.numbers("hyper")),
        g_(g),
        d_(d),
        average_(average),
        optimise_g_(nn::lazy({.rate = h_.rate, .beta1 = 0, .beta2 = 0.99}, h_.g_interval)),
        optimise_d_(nn::lazy({.rate = h_.rate, .beta1 = 0, .beta2 = 0.99}, h_.d_interval)) {}

  void run() {
    auto const g0 = values_of(g_), d0 = values_of(d_), average0 = values_of(average_);
    z_ = k_.var("z"), real_ = k_.var("real");
    check(z_.rank() == 4 && z_.dim(1) == 4, "training: z should be [iterations, 4 phases, n, z_dim], the case has ", z_.shape());
    check(real_.rank() == 5 && real_.dim(0) == z_.dim(0), "training: real should be [", z_.dim(0),
          " iterations, n, channels, h, w], the case has ", real_.shape());
    k_.use("draws");
    for (it_ = 0; it_ < z_.dim(0); ++it_) {
      generator_step();
      if (due(h_.g_interval) && h_.path_weight != 0) path_length_step();
      discriminator_step();
      if (due(h_.d_interval) && h_.gamma != 0) r1_step();
      double const batch = double(z_.dim(2));
      double const decay = nn::average_decay(batch, 1000 * h_.average_kimg, double(it_) * batch, h_.ramp);
      nn::update_average(average_, g_, decay);
      k_.compare_training(str("it", it_, ".ema_beta"), full<float>({}, float(decay)), "");
    }
    k_.compare_training("pl_mean", path_mean_, "");
    compare_final("final.G.", g_, g0), compare_final("final.D.", d_, d0), compare_final("final.G_ema.", average_, average0);
  }

 private:
  bool due(double interval) const { return it_ % std::int64_t(interval) == 0; }
  /// The batch of a phase of this iteration.
  V latents(std::int64_t phase) const { return reshape(slice(slice(z_, 0, it_, 1), 1, phase, 1), {z_.dim(2), z_.dim(3)}); }
  V real() const {
    Shape const s = real_.shape();
    return to_last(reshape(slice(real_, 0, it_, 1), {s[1], s[2], s[3], s[4]}));
  }
  std::string draw_name(std::int64_t ahead = 0) const {
    std::int64_t const i = next_draw_ + ahead;
    return str(i < 10 ? "draw0" : "draw", i);
  }
  V draw() {
    V const v(k_.tensor(draw_name()));
    ++next_draw_;
    return v;
  }

  /// Codes with style mixing. The average of w sees the first latents only.
  V codes(V const& z) {
    V const w = g_.mapping.code(z);
    g_.mapping.track(w.value());
    V const ws = g_.mapping.repeat(w);
    if (h_.mixing <= 0) return ws;
    auto const cut = std::int64_t(draw().item());
    V const second = draw();
    return nn::mix(ws, g_.mapping(second), cut);
  }
  V pictures(V const& ws) const { return g_.synthesis(ws, {.noise = nn::Noise::none}); }

  std::string name(char const* phase, char const* what) const { return str("it", it_, ".", phase, ".", what); }
  /// A batch mean that training logs.
  void log(char const* phase, char const* what, V const& v) { k_.compare_training(name(phase, what), mean(v.detach()).value(), ""); }
  /// One step of an optimiser, after a look at the gradients.
  template <class M> void step(Tape& tape, char const* phase, V const& loss, M& net, nn::Adam<float>& optimiser) {
    tape.backward(loss);
    nn::complete_gradients(net);
    nn::sanitize_gradients(net);
    std::string const prefix = name(phase, "grad.");
    nn::parameters(net, [&](std::string const& n, Param<float>& p) {
      k_.compare_training(prefix + n, canonical(n, p.gradient()), name(phase, "grad"));
    });
    optimiser.step(net);
  }

  void generator_step() {
    Tape tape;
    tape.watch(g_);
    V const scores = d_(pictures(codes(latents(0)))), loss = nn::generator_loss(scores);
    log("Gmain", "scores_fake", scores), log("Gmain", "G_loss", loss);
    step(tape, "Gmain", loss, g_, optimise_g_);
  }
  void path_length_step() {
    // On a part of the batch; the second latents, or the noise that is drawn after them, show how large.
    std::int64_t const n = k_.shape(draw_name(h_.mixing > 0 ? 1 : 0))[0];
    Tape tape;
    tape.watch(g_);
    V const ws = codes(slice(latents(1), 0, 0, n)), img = pictures(ws);
    auto const p = nn::path_length(tape, img, ws, to_last(draw()), path_mean_);
    path_mean_ = p.average.value();
    V const loss = float(h_.path_weight) * mean(p.penalty);
    log("Greg", "pl_penalty", p.penalty), log("Greg", "G_reg", loss);
    step(tape, "Greg", float(h_.g_interval) * loss, g_, optimise_g_);
  }
  void discriminator_step() {
    V const fake = pictures(codes(latents(2)));
    Tape tape;
    tape.watch(d_);
    V const scores_fake = d_(fake), scores_real = d_(real()), loss = nn::discriminator_loss(scores_fake, scores_real);
    log("Dmain", "scores_fake", scores_fake), log("Dmain", "scores_real", scores_real), log("Dmain", "D_loss", loss);
    step(tape, "Dmain", loss, d_, optimise_d_);
  }
  void r1_step() {
    Tape tape;
    tape.watch(d_);
    V const x = tape.watch(real()), scores = d_(x);
    V const penalty = nn::r1_penalty(tape, scores, x), loss = nn::r1_loss(penalty, h_.gamma);
    log("Dreg", "scores_real", scores), log("Dreg", "r1_penalty", penalty), log("Dreg", "D_reg", loss);
    step(tape, "Dreg", float(h_.d_interval) * loss, d_, optimise_d_);
  }

  template <class M> void compare_final(std::string const& prefix, M& net, std::map<std::string, Tensor<float>> const& initial) {
    nn::tensors(net, [&](std::string const& n, auto& leaf) {
      if (leaf) k_.compare_change(prefix + n, canonical(n, nn::detail::tensor_of(leaf)), canonical(n, initial.at(n)));
    });
  }

  Case& k_;
  Hyper h_;
  nn::StyleGAN2<float>& g_;
  nn::Discriminator<float>& d_;
  nn::StyleGAN2<float>& average_;
  nn::Adam<float> optimise_g_, optimise_d_;
  V z_, real_;
  Tensor<float> path_mean_ = zeros<float>({}, k_.device());
  std::int64_t it_ = 0, next_draw_ = 0;
};

}  // namespace

void verify_training(Case& k, nn::StyleGAN2<float>& g, nn::Discriminator<float>& d, nn::StyleGAN2<float>& average) {
  Training(k, g, d, average).run();
}

}  // namespace program::verify
