// One training step of a StyleGAN2 at 64 pixels, phase by phase: generator, path length on half the batch, discriminator on
// drawn and real pictures, R1. Optimisers and the moving average are in the times.
//   bench_gan_step [--rounds N] [--batch N] [--base N] [--layers N] [--phase NAME] [--cases FILE.npz]
// --cases writes what bench/peers/gan_torch.py must reproduce before it is timed, and times nothing.
#include <cstring>
#include <map>

#include "rig/io/npz.hpp"
#include "rig/nn/discriminator.hpp"
#include "rig/nn/gan_loss.hpp"
#include "rig/nn/optim/ema.hpp"
#include "timing.hpp"

namespace {

using namespace rig;
using V = Var<float>;

struct Options {
  std::int64_t batch = 16, base = 4096, rounds = 5;
  int layers = 2;
  std::string phase, cases;

  Options(int count, char** given) {
    for (int i = 1; i < count; i += 2) {
      std::string const a = given[i];
      check(i + 1 < count, "bench_gan_step: ", a, " needs a value");
      char const* const v = given[i + 1];
      if (a == "--rounds")
        rounds = std::atoll(v);
      else if (a == "--batch")
        batch = std::atoll(v);
      else if (a == "--base")
        base = std::atoll(v);
      else if (a == "--layers")
        layers = std::atoi(v);
      else if (a == "--phase")
        phase = v;
      else if (a == "--cases")
        cases = v;
      else
        throw Error(str("bench_gan_step: unknown argument ", a, "; it knows --rounds, --batch, --base, --layers, --phase and --cases"));
    }
    check(rounds > 0 && batch > 0 && batch % 4 == 0, "bench_gan_step: rounds must be positive and the batch a multiple of 4, got ", rounds,
          " and ", batch);
  }
};

/// What goes into a phase besides the networks.
struct Inputs {
  V z, real, pixels;
  std::vector<V> noise;

  /// Those of one phase, or all of them.
  Inputs(std::string const& phase, std::vector<nn::StyleSite> const& places, std::int64_t n, Rng& rng, V pictures)
      : real(std::move(pictures)) {
    if (phase == "Dreg") return;
    z = V(randn<float>({n, 256}, rng));
    if (phase == "Greg" || phase.empty()) pixels = V(randn<float>({n / 2, 64, 64, 3}, rng));
    for (auto const& p : places)
      if (p.has_noise) {
        std::int64_t const r = std::atoll(p.name.c_str() + 1);
        noise.push_back(V(randn<float>({n, r, r, 1}, rng)));
      }
  }
};

struct Step {
  nn::StyleGAN2<float> g, average;
  nn::Discriminator<float> d;
  nn::Adam<float> optimise_g, optimise_d;
  Tensor<float> path_mean = zeros<float>({});

  Step(Options const& o, Rng& rng)
      : g({.z_dim = 256, .w_dim = 256, .resolution = 64, .channel_base = o.base, .channel_max = 256, .mapping_layers = o.layers}, rng),
        d({.resolution = 64, .channel_base = o.base, .channel_max = 256}, rng),
        optimise_g(nn::lazy({.rate = 2e-3, .beta1 = 0, .beta2 = 0.99}, 4)),
        optimise_d(nn::lazy({.rate = 2e-3, .beta1 = 0, .beta2 = 0.99}, 16)) {
    nn::parameters(g, [&](std::string const& name, Param<float>& p) {
      if (name.ends_with("noise_strength")) p = Param<float>(full<float>({}, 0.1f));
    });
    average = nn::clone(g);
  }
  V codes(V const& z) { return g.mapping.repeat(g.mapping.code(z)); }
  V pictures(V const& ws, std::vector<V> const& noise) { return g.synthesis(ws, {.noise = nn::Noise::random, .given = noise}); }

  V loss(std::string const& phase, Tape& tape, Inputs const& in) {
    std::int64_t const half = in.real.dim(0) / 2;
    if (phase == "Gmain") {
      tape.watch(g);
      return nn::generator_loss(d(pictures(codes(in.z), in.noise)));
    }
    if (phase == "Greg") {
      tape.watch(g);
      std::vector<V> noise;
      for (V const& v : in.noise) noise.push_back(slice(v, 0, 0, half));
      V const ws = codes(slice(in.z, 0, 0, half)), img = pictures(ws, noise);
      auto const p = nn::path_length(tape, img, ws, in.pixels, path_mean);
      path_mean = p.average.value();
      return 8.f * mean(p.penalty);
    }
    if (phase == "Dmain") {
      V const fake = pictures(codes(in.z), in.noise);
      tape.watch(d);
      return nn::discriminator_loss(d(fake), d(in.real));
    }
    check(phase == "Dreg", "bench_gan_step: expected phase Gmain, Greg, Dmain or Dreg, got ", phase);
    tape.watch(d);
    V const x = tape.watch(in.real);
    return 16.f * nn::r1_loss(nn::r1_penalty(tape, d(x), x), 1);
  }
  template <class M> void move(Tape& tape, V const& l, M& net, nn::Adam<float>& optimiser) {
    tape.backward(l);
    nn::complete_gradients(net);
    nn::sanitize_gradients(net);
    optimiser.step(net);
  }
  void run(std::string const& phase, Inputs const& in) {
    Tape tape;
    V const l = loss(phase, tape, in);
    phase[0] == 'G' ? move(tape, l, g, optimise_g) : move(tape, l, d, optimise_d);
  }
};

std::vector<std::string> const phases = {"Gmain", "Greg", "Dmain", "Dreg"};

void write_cases(Step& s, Inputs const& in, std::string const& path) {
  std::vector<io::NamedTensor> a{{"z", in.z.value()}, {"real", in.real.value()}, {"pixels", in.pixels.value()}};
  for (std::size_t i = 0; i < in.noise.size(); ++i) a.push_back({str("noise", i), in.noise[i].value()});
  nn::parameters(s.g, [&](std::string const& name, Param<float>& p) { a.push_back({"G." + name, p.tensor()}); });
  nn::parameters(s.d, [&](std::string const& name, Param<float>& p) { a.push_back({"D." + name, p.tensor()}); });
  for (auto const& phase : phases) {
    Tape tape;
    V const l = s.loss(phase, tape, in);
    a.push_back({phase + ".loss", l.value()});
    tape.backward(l);
    auto add = [&](std::string const& name, Param<float>& p) {
      float const norm = p.gradient() ? std::sqrt(sum(square(V(p.gradient()))).item()) : 0.f;
      a.push_back({phase + ".norm." + name, full<float>({}, norm)});
      p.gradient() = {};
    };
    phase[0] == 'G' ? nn::parameters(s.g, add) : nn::parameters(s.d, add);
  }
  io::save_npz(path, a);
}

double processor_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto seconds = [](timeval const& t) { return double(t.tv_sec) + 1e-6 * double(t.tv_usec); };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

void time_phases(Step& s, Options const& o, Rng& rng) {
  V const real(randn<float>({o.batch, 64, 64, 3}, rng)), square_matrix(randn<float>({1024, 1024}, rng));
  auto const places = s.g.synthesis.sites();
  std::vector<std::string> names;
  std::vector<std::function<void()>> things;
  for (auto const& phase : phases)
    if (o.phase.empty() || o.phase == phase) {
      names.push_back(phase);
      things.push_back([&, phase] { s.run(phase, Inputs(phase, places, o.batch, rng, real)); });
    }
  names.insert(names.end(), {"ema", "product"});
  things.push_back([&] { nn::update_average(s.average, s.g, 0.99); });
  things.push_back([&] { matmul(square_matrix, square_matrix); });
  // Besides the time what all threads together were busy, which a busy machine changes less.
  std::vector<double> busy(things.size(), 1e30);
  std::vector<std::function<void()>> counted;
  for (std::size_t i = 0; i < things.size(); ++i)
    counted.push_back([&, i] {
      double const start = processor_seconds();
      things[i]();
      busy[i] = std::min(busy[i], processor_seconds() - start);
    });
  auto const best = bench::best_of(int(o.rounds), counted);
  double step = 0;
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    std::printf("%-6s %9.1f ms   busy %9.1f ms\n", names[i].c_str(), 1e3 * best[i], 1e3 * busy[i]);
    step += best[i] / (names[i] == "Greg" ? 4 : names[i] == "Dreg" ? 16 : 1);
  }
  std::printf("step   %9.1f ms, %.2f pictures per second; path length every 4, R1 every 16\n", 1e3 * step, double(o.batch) / step);
  std::printf("a product of 1024 by 1024 matrices: %.0f GFLOP/s; memory %.0f MB\n", 2.147483648 / best.back(),
              1e-6 * double(cpu().queue().memory().peak));
}

}  // namespace

int main(int count, char** given) {
  try {
    Options const o(count, given);
    Rng rng(5);
    Step s(o, rng);
    if (o.cases.empty())
      time_phases(s, o, rng);
    else
      write_cases(s, Inputs("", s.g.synthesis.sites(), o.batch, rng, V(randn<float>({o.batch, 64, 64, 3}, rng))), o.cases);
  } catch (Error const& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
