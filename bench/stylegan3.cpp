// StyleGAN3 with fresh weights: how long a picture takes and how much memory, and of every layer the convolution, the filtered
// activation in tiles, and the same activation in three steps with the large picture in full. Arguments: t or r (default t),
// resolutions (default 256 1024), --rounds N, --layers for the table, --backward for the gradient of the codes too.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "rig/nn/stylegan3.hpp"

namespace {

using namespace rig;

/// The best of several rounds, the first of which warms up.
double best_of(int rounds, std::function<void()> const& f) {
  double best = 1e30;
  for (int r = 0; r <= rounds; ++r) {
    auto const start = std::chrono::steady_clock::now();
    f();
    double const t = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (r > 0 || rounds == 1) best = std::min(best, t);
  }
  return best;
}

void time_layers(nn::StyleGAN3<float> const& g, int rounds, Rng& rng) {
  std::printf("  %-16s %12s %12s %12s   ms\n", "layer", "convolution", "activation", "in 3 steps");
  for (auto const& l : g.synthesis.layers) {
    auto const& p = l.plan;
    int const pad = p.kernel - 1;
    Var<float> const x(randn<float>({1, p.in_size[1], p.in_size[0], p.in_channels}, rng));
    Var<float> const w = l.weight;
    Var<float> const y = conv2d(x, w, {.padding = pad});
    FilteredLreluOptions const o{.up = p.up, .down = p.down, .padding = p.padding, .clamp = l.conv_clamp};
    double const conv = best_of(rounds, [&] { conv2d(x, w, {.padding = pad}); });
    double const tiles = best_of(rounds, [&] { filtered_lrelu<float>(y, l.bias, l.up_filter, l.down_filter, o); });
    double const steps = best_of(rounds, [&] {
      Var<float> u = upfirdn2d(y + l.bias, l.up_filter, {.up = o.up, .padding = o.padding, .gain = double(o.up) * o.up});
      u = bias_act(u, Var<float>{}, {.gain = o.gain, .clamp = o.clamp});
      upfirdn2d(u, l.down_filter, {.down = o.down});
    });
    std::printf("  %-16s %12.1f %12.1f %12.1f\n", p.name.c_str(), 1e3 * conv, 1e3 * tiles, 1e3 * steps);
  }
}

void time_resolution(bool turning, std::int64_t resolution, int rounds, bool layers, bool backward) {
  Rng rng(1);
  nn::StyleGAN3<float> g(turning ? nn::stylegan3_r(resolution) : nn::stylegan3_t(resolution), rng);
  Tensor<float> const ws = g.mapping(Var<float>(randn<float>({1, g.z_dim()}, rng))).value();
  std::printf("StyleGAN3-%s, %lld pixels, one picture, float32, %d threads\n", turning ? "R" : "T", (long long)resolution, threads());
  std::printf("  forward %.2f s", best_of(rounds, [&] { g.synthesis(Var<float>(ws)); }));
  std::printf(", peak of the pool %.0f MB\n", double(cpu().queue().memory().peak) / 1e6);
  if (backward) {
    double const t = best_of(rounds, [&] {
      Param<float> code(ws.clone());
      Tape tape;
      tape.watch(code);
      tape.backward(sum(g.synthesis(code)));
    });
    std::printf("  forward and backward to W+ %.2f s, peak of the pool %.0f MB\n", t, double(cpu().queue().memory().peak) / 1e6);
  }
  if (layers) time_layers(g, rounds, rng);
}

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::int64_t> resolutions;
  int rounds = 3;
  bool layers = false, backward = false, turning = false;
  for (int i = 1; i < count; ++i) {
    std::string const a = arguments[i];
    if (a == "--rounds" && i + 1 < count)
      rounds = std::max(1, std::atoi(arguments[++i]));
    else if (a == "--layers")
      layers = true;
    else if (a == "--backward")
      backward = true;
    else if (a == "t" || a == "r")
      turning = a == "r";
    else
      resolutions.push_back(std::atoll(a.c_str()));
  }
  if (resolutions.empty()) resolutions = {256, 1024};
  for (auto r : resolutions) time_resolution(turning, r, rounds, layers, backward);
}
