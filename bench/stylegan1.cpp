// The official StyleGAN1 against the bare convolutions of its layers, timed in turns in the same run: how much of the time is
// anything but convolution. Forward at 1024 pixels, forward and backward to W+ at 256. Arguments: resolutions to time
// (default 256 1024), --rounds N, --layers for the convolutions one by one, --forward for the time of a picture alone. Memory
// is what the operating system gave to a process of its own that does one thing once.
#include "rig/nn/stylegan1.hpp"
#include "timing.hpp"

namespace {

using namespace rig;

/// One convolution of the generator: 3x3, or transposed with the window of 4x4 that enlarging and a 3x3 make together.
struct Bare {
  Tensor<float> x, w, y;
  bool up;
  std::string name;
  void forward() const {
    if (up)
      conv2d_input<float>(y, w, x.shape(), {.stride = 2, .padding = 1});
    else
      conv2d<float>(x, w, {.padding = int(w.dim(1) / 2)});
  }
  void backward() const {
    if (up)
      conv2d<float>(x, w, {.stride = 2, .padding = 1});
    else
      conv2d_input<float>(y, w, x.shape(), {.padding = int(w.dim(1) / 2)});
  }
};

std::vector<Bare> bare_convolutions(nn::StyleGAN1<float> const& g, Rng& rng) {
  std::vector<Bare> all;
  auto plain = [&](std::int64_t r, Var<float> const& w, std::string const& name) {
    all.push_back({randn<float>({1, r, r, w.dim(3)}, rng), w.value(), randn<float>({1, r, r, w.dim(0)}, rng), false, name});
  };
  for (auto const& b : g.synthesis.blocks) {
    std::int64_t const r = b.resolution, c = b.conv1.weight.dim(0);
    if (b.conv0.weight) {
      std::int64_t const in = b.conv0.weight.dim(3);
      all.push_back({randn<float>({1, r, r, c}, rng), randn<float>({in, 4, 4, c}, rng), randn<float>({1, r / 2, r / 2, in}, rng), true,
                     b.name + ".conv0"});
    }
    plain(r, b.conv1.weight, b.name + ".conv1");
  }
  auto const& last = g.synthesis.blocks.back();
  plain(last.resolution, last.torgb.weight, last.name + ".torgb");
  return all;
}

void report_memory(std::int64_t resolution) {
  auto const work = [&](bool backward) {
    return [resolution, backward] {
      Rng rng(1);
      nn::StyleGAN1<float> g({.resolution = resolution}, rng);
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
              bench::peak_of(work(false)) / 1e9, bench::peak_of(work(true)) / 1e9);
}

void time_resolution(std::int64_t resolution, int rounds, bool layers, bool only_forward) {
  Rng rng(1);
  nn::StyleGAN1<float> g({.resolution = resolution}, rng);
  Tensor<float> const ws = g.mapping(Var<float>(randn<float>({1, g.z_dim()}, rng))).value();
  std::printf("StyleGAN1, %lld pixels, one picture, float32, %d threads\n", (long long)resolution, threads());
  auto forward = [&] { g.synthesis(Var<float>(ws)); };
  if (only_forward) {
    std::printf("forward %8.1f ms\n", 1e3 * bench::best_of(rounds, {forward})[0]);
    return;
  }
  std::vector<Bare> const bare = bare_convolutions(g, rng);
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
  auto const t = bench::best_of(rounds, things);
  bench::report("forward", t[0], t[1]);
  if (t.size() > 2) bench::report("forward, backward to W+", t[2], t[3]);
  if (!layers) return;
  for (auto const& b : bare) {
    auto const each = bench::best_of(rounds, {[&] { b.forward(); }, [&] { b.backward(); }});
    std::printf("  %-14s forward %7.2f ms   backward %7.2f ms\n", b.name.c_str(), 1e3 * each[0], 1e3 * each[1]);
  }
}

}  // namespace

int main(int count, char** given) {
  bench::Arguments const a(count, given, 5);
  if (!a.has("--forward"))
    for (auto r : a.resolutions) report_memory(r);  // before this process has threads
  for (auto r : a.resolutions) time_resolution(r, a.rounds, a.has("--layers"), a.has("--forward"));
}
