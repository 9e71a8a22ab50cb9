// StyleGAN3 with fresh weights: how long a picture takes and how much memory, and of every layer the convolution, the filtered
// activation in tiles, and the same activation in three steps with the large picture in full. Arguments: t or r (default t),
// resolutions (default 256 1024), --rounds N, --layers for the table, --backward for the gradient of the codes too.
// The floor of T at 1024 pixels, from the schedule: 285 G products and sums in the convolutions, which a core does at what its
// FMA units give; 25 G in the separable filters, the zeros of up-sampling skipped; 4.2 GB read and written once. R: 124 G,
// 99 G and 8.3 GB.
#include "rig/nn/stylegan3.hpp"
#include "timing.hpp"

namespace {

using namespace rig;

double best_of(int rounds, std::function<void()> const& f) { return bench::best_of(rounds, {f})[0]; }

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
  std::printf("forward %8.1f ms", 1e3 * best_of(rounds, [&] { g.synthesis(Var<float>(ws)); }));
  std::printf(", peak of the pool %.0f MB\n", double(cpu().queue().memory().peak) / 1e6);
  if (backward) {
    double const t = best_of(rounds, [&] {
      Param<float> code(ws.clone());
      Tape tape;
      tape.watch(code);
      tape.backward(sum(g.synthesis(code)));
    });
    std::printf("forward, backward to W+ %8.1f ms, peak of the pool %.0f MB\n", 1e3 * t, double(cpu().queue().memory().peak) / 1e6);
  }
  if (layers) time_layers(g, rounds, rng);
}

}  // namespace

int main(int count, char** given) {
  bench::Arguments const a(count, given, 3);
  for (auto r : a.resolutions) time_resolution(a.has("r"), r, a.rounds, a.has("--layers"), a.has("--backward"));
}
