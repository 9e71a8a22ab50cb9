#include "networks.hpp"
#include "rig/gan/iteration.hpp"
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
    auto interval = [](double v) { return v >= 1 && v <= 1e6 && v == std::floor(v); };
    check(interval(g_interval) && interval(d_interval), "training: intervals should be whole numbers from 1 on, the case has ", g_interval,
          " and ", d_interval);
  }
};

std::map<std::string, Tensor<float>> values_of(auto& net) {
  std::map<std::string, Tensor<float>> v;
  nn::tensors(net, [&](std::string const& name, auto& leaf) {
    if (leaf) v[name] = nn::detail::tensor_of(leaf).clone();
  });
  return v;
}

/// The case's random draws in order of use, and comparison of all that it logged.
class Recorded final : public gan::GanDraws, public gan::GanObserver {
 public:
  Recorded(Case& k, Hyper const& h, std::int64_t z_dim) : k_(k), h_(h), z_(k.var("z")), real_(k.var("real")) {
    check(z_.rank() == 4 && z_.dim(1) == 4 && z_.dim(3) == z_dim, "training: z should be [iterations, 4 phases, n, ", z_dim,
          "], the case has ", z_.shape());
    check(real_.rank() == 5 && real_.dim(0) == z_.dim(0), "training: real should be [", z_.dim(0),
          " iterations, n, channels, h, w], the case has ", real_.shape());
    k_.use("draws");
  }
  std::int64_t iterations() const { return z_.dim(0); }
  std::int64_t batch() const { return z_.dim(2); }
  void start(std::int64_t iteration) { iteration_ = iteration; }
  V real() const {
    Shape const s = real_.shape();
    return to_last(reshape(slice(real_, 0, iteration_, 1), {s[1], s[2], s[3], s[4]}));
  }

  void begin(gan::GanPhase phase) override { phase_ = phase; }
  Tensor<float> latents() override {
    // Path lengths are of a part of the batch; the second latents, or the noise that is drawn after them, show how large.
    std::int64_t const n = phase_ == gan::GanPhase::path_length ? k_.shape(draw_name(h_.mixing > 0 ? 1 : 0))[0] : batch();
    V const all = reshape(slice(slice(z_, 0, iteration_, 1), 1, std::int64_t(phase_), 1), {batch(), z_.dim(3)});
    return slice(all, 0, 0, n).value();
  }
  Mixing mixing(std::int64_t, std::int64_t) override {
    if (h_.mixing <= 0) return {};
    auto const cut = std::int64_t(draw().item());
    return {cut, draw()};
  }
  nn::SynthesisOptions<float> noise() override { return {.noise = nn::Noise::none}; }
  Tensor<float> picture_noise(Shape const&) override { return to_last(V(draw())).value(); }

  void value(gan::GanPhase phase, char const* what, V const& v) override {
    static std::map<std::pair<gan::GanPhase, std::string>, char const*> const logged = {
        {{gan::GanPhase::generator, "fake"}, "scores_fake"},     {{gan::GanPhase::generator, "loss"}, "G_loss"},
        {{gan::GanPhase::path_length, "penalty"}, "pl_penalty"}, {{gan::GanPhase::path_length, "loss"}, "G_reg"},
        {{gan::GanPhase::discriminator, "fake"}, "scores_fake"}, {{gan::GanPhase::discriminator, "real"}, "scores_real"},
        {{gan::GanPhase::discriminator, "loss"}, "D_loss"},      {{gan::GanPhase::r1, "real"}, "scores_real"},
        {{gan::GanPhase::r1, "penalty"}, "r1_penalty"},          {{gan::GanPhase::r1, "loss"}, "D_reg"}};
    auto const it = logged.find({phase, what});
    if (it != logged.end()) k_.compare_training(name(phase, it->second), mean(v.detach()).value(), "");
  }
  void gradients(gan::GanPhase phase, gan::Gan& g) override {
    bool const generator = phase == gan::GanPhase::generator || phase == gan::GanPhase::path_length;
    generator ? compare(phase, g.generator) : compare(phase, g.discriminator);
  }

 private:
  std::string name(gan::GanPhase phase, std::string const& what) const {
    constexpr char const* official[] = {"Gmain", "Greg", "Dmain", "Dreg"};
    return str("it", iteration_, ".", official[int(phase)], ".", what);
  }
  std::string draw_name(std::int64_t ahead = 0) const {
    std::int64_t const i = next_draw_ + ahead;
    return str(i < 10 ? "draw0" : "draw", i);
  }
  Tensor<float> draw() {
    Tensor<float> const t = k_.tensor(draw_name());
    ++next_draw_;
    return t;
  }
  template <class M> void compare(gan::GanPhase phase, M& net) {
    std::string const prefix = name(phase, "grad.");
    nn::parameters(net, [&](std::string const& n, Param<float>& p) {
      k_.compare_training(prefix + n, canonical(n, p.gradient()), name(phase, "grad"));
    });
  }

  Case& k_;
  Hyper const& h_;
  V z_, real_;
  gan::GanPhase phase_ = gan::GanPhase::generator;
  std::int64_t iteration_ = 0, next_draw_ = 0;
};

template <class M> void compare_final(Case& k, std::string const& prefix, M& net, std::map<std::string, Tensor<float>> const& initial) {
  nn::tensors(net, [&](std::string const& n, auto& leaf) {
    if (leaf) k.compare_change(prefix + n, canonical(n, nn::detail::tensor_of(leaf)), canonical(n, initial.at(n)));
  });
}

}  // namespace

void verify_training(Case& k, nn::StyleGAN2<float>& g, nn::Discriminator<float>& d, nn::StyleGAN2<float>& average) {
  Hyper const h(k.numbers("hyper"));
  auto const g0 = values_of(g), d0 = values_of(d), average0 = values_of(average);
  gan::Gan networks{g, average, d, zeros<float>({}, k.device())};
  gan::GanIteration iterate({.rate = h.rate,
                             .gamma = h.gamma,
                             .r1_interval = int(h.d_interval),
                             .path_weight = h.path_weight,
                             .path_interval = int(h.g_interval),
                             .average_kimg = h.average_kimg,
                             .average_ramp = h.ramp},
                            networks);
  Recorded recorded(k, h, g.z_dim());
  for (std::int64_t i = 0; i < recorded.iterations(); ++i) {
    recorded.start(i);
    iterate(networks, i, recorded.real(), recorded, recorded);
    k.compare_training(str("it", i, ".ema_beta"), full<float>({}, float(iterate.average_decay(i, double(recorded.batch())))), "");
  }
  k.compare_training("pl_mean", networks.path_mean, "");
  compare_final(k, "final.G.", networks.generator, g0), compare_final(k, "final.D.", networks.discriminator, d0);
  compare_final(k, "final.G_ema.", networks.average, average0);
}

}  // namespace program::verify
