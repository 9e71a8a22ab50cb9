// A generator against the bare convolutions of its layers, timed in turns in the same run: how much of the time is anything
// but convolution. Forward at 1024 pixels, forward and backward to W+ at 256. Arguments: resolutions to time (default 256
// 1024), --rounds N, --layers for the convolutions one by one, --forward for the time of a picture alone. Memory is what the
// operating system gave to a process of its own that does one thing once.
#pragma once
#include "rig/ops/conv.hpp"
#include "timing.hpp"

namespace bench {

using namespace rig;

/// One convolution of a generator: over x, or transposed from y to twice its size.
struct Bare {
  Tensor<float> x, w, y;
  bool up;
  int padding;
  std::string name;
  Conv2dOptions options() const { return {.stride = up ? 2 : 1, .padding = padding}; }
  void forward() const {
    if (up)
      conv2d_input<float>(y, w, x.shape(), options());
    else
      conv2d<float>(x, w, options());
  }
  void backward() const {
    if (up)
      conv2d<float>(x, w, options());
    else
      conv2d_input<float>(y, w, x.shape(), options());
  }
};
/// One that keeps the size: x [1, r, r, c], w [o, k, k, c].
inline Bare plain(std::int64_t r, Var<float> const& w, std::string name, Rng& rng) {
  return {
      randn<float>({1, r, r, w.dim(3)}, rng), w.value(), randn<float>({1, r, r, w.dim(0)}, rng), false, int(w.dim(1) / 2), std::move(name)};
}

template <class G> void report_memory(std::int64_t resolution) {
  auto const work = [&](bool backward) {
    return [resolution, backward] {
      Rng rng(1);
      G g({.resolution = resolution}, rng);
      Tensor<float> const ws = g.mapping(Var<float>(randn<float>({1, g.z_dim()}, rng))).value();
      if (!backward) {
        g.synthesis(Var<float>(ws));
        return;
      }
      Param<float> codes(ws);
      Tape tape;
      tape.watch(codes);
      tape.backward(sum(g.synthesis(codes)));
    };
  };
  std::printf("peak memory at %lld pixels: forward %.2f GB, forward and backward to W+ %.2f GB\n", (long long)resolution,
              peak_of(work(false)) / 1e9, peak_of(work(true)) / 1e9);
}

template <class G>
void time_resolution(char const* name, std::function<std::vector<Bare>(G const&, Rng&)> const& convolutions, std::int64_t resolution,
                     int rounds, bool layers, bool only_forward) {
  Rng rng(1);
  G g({.resolution = resolution}, rng);
  Tensor<float> const ws = g.mapping(Var<float>(randn<float>({1, g.z_dim()}, rng))).value();
  std::printf("%s, %lld pixels, one picture, float32, %d threads\n", name, (long long)resolution, threads());

  auto forward = [&] { g.synthesis(Var<float>(ws)); };
  if (only_forward) {
    std::printf("forward %8.1f ms\n", 1e3 * best_of(rounds, {forward})[0]);
    return;
  }
  std::vector<Bare> const bare = convolutions(g, rng);
  auto bare_forward = [&] {
    for (auto const& b : bare) b.forward();
  };
  auto backward = [&] {
    Tape tape;
    auto const w = tape.watch(ws);
    tape.grad(sum(g.synthesis(w)), w);
  };
  auto bare_both = [&] {
    for (auto const& b : bare) b.forward();
    for (auto const& b : bare) b.backward();
  };
  std::vector<std::function<void()>> things{forward, bare_forward};
  if (resolution <= 512) things.insert(things.end(), {backward, bare_both});
  auto const t = best_of(rounds, things);
  report("forward", t[0], t[1]);
  if (t.size() > 2) report("forward, backward to W+", t[2], t[3]);
  if (!layers) return;
  for (auto const& b : bare) {
    auto const each = best_of(rounds, {[&] { b.forward(); }, [&] { b.backward(); }});
    std::printf("  %-14s forward %7.2f ms   backward %7.2f ms\n", b.name.c_str(), 1e3 * each[0], 1e3 * each[1]);
  }
}

/// The whole program. G is made of {.resolution}; convolutions(g, rng) lists what its layers convolve.
template <class G>
void against_convolutions(int count, char** given, char const* name, std::function<std::vector<Bare>(G const&, Rng&)> const& convolutions) {
  Arguments const a(count, given, 5);
  if (!a.has("--forward"))
    for (auto r : a.resolutions) report_memory<G>(r);  // before this process has threads
  for (auto r : a.resolutions) time_resolution(name, convolutions, r, a.rounds, a.has("--layers"), a.has("--forward"));
}

}  // namespace bench
