// StyleGAN2 config-f against the bare convolutions of its layers, timed in turns in the same run: how much of the time is
// anything but convolution. Forward at 1024 pixels, forward and backward to W+ at 256. Arguments: resolutions to time
// (default 256 1024), then --rounds N. Prints one line a measurement and a table a resolution. Memory is what the operating
// system gave to a process of its own that does one thing once.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "rig/nn/stylegan2.hpp"

namespace {

using namespace rig;

double seconds(std::function<void()> const& f) {
  auto const start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The best of several rounds of several things, taken in turns, so that a busy moment of the machine hits all alike.
std::vector<double> best_of(int rounds, std::vector<std::function<void()>> const& things) {
  std::vector<double> best(things.size(), 1e30);
  for (int r = 0; r <= rounds; ++r)
    for (std::size_t i = 0; i < things.size(); ++i) {
      double const t = seconds(things[i]);
      if (r > 0) best[i] = std::min(best[i], t);  // the first round warms up
    }
  return best;
}

/// One convolution of the generator: 3x3 at `size`, or transposed from size / 2 to size + 1.
struct Bare {
  Tensor<float> x, w, y;
  bool up;
  std::string name;
  void forward() const {
    if (up)
      conv2d_input<float>(y, w, x.shape(), {.stride = 2});
    else
      conv2d<float>(x, w, {.padding = int(w.dim(1) / 2)});
  }
  void backward() const {
    if (up)
      conv2d<float>(x, w, {.stride = 2});
    else
      conv2d_input<float>(y, w, x.shape(), {.padding = int(w.dim(1) / 2)});
  }
};

std::vector<Bare> bare_convolutions(nn::StyleGAN2<float> const& g, Rng& rng) {
  std::vector<Bare> all;
  for (auto const& b : g.synthesis.blocks) {
    std::int64_t const r = b.resolution;
    if (b.conv0) {
      std::int64_t const in = b.conv0->weight.dim(3), out = b.conv0->weight.dim(0);
      all.push_back({randn<float>({1, r + 1, r + 1, out}, rng), randn<float>({in, 3, 3, out}, rng),
                     randn<float>({1, r / 2, r / 2, in}, rng), true, b.name + ".conv0"});
    }
    for (auto const* w : {static_cast<Var<float> const*>(&b.conv1->weight), static_cast<Var<float> const*>(&b.torgb->weight)}) {
      std::int64_t const out = w->dim(0), in = w->dim(3);
      all.push_back({randn<float>({1, r, r, in}, rng), w->value(), randn<float>({1, r, r, out}, rng), false,
                     b.name + (out == 3 ? ".torgb" : ".conv1")});
    }
  }
  return all;
}

void report(char const* what, double ours, double bare) {
  std::printf("%-28s %8.1f ms   bare convolutions %8.1f ms   ratio %.2f\n", what, 1e3 * ours, 1e3 * bare, ours / bare);
}

/// Peak of the resident memory of a process that does f, in bytes; negative if it failed.
double peak_of(std::function<void()> const& f) {
  std::fflush(stdout);
  pid_t const child = fork();
  if (child == 0) {
    f();
    _exit(0);
  }
  int status = 1;
  rusage used{};
  if (child < 0 || wait4(child, &status, 0, &used) != child || status != 0) return -1;
  return 1024.0 * double(used.ru_maxrss);
}

void report_memory(std::int64_t resolution) {
  auto const work = [&](bool backward) {
    return [resolution, backward] {
      Rng rng(1);
      nn::StyleGAN2<float> g({.resolution = resolution}, rng);
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

void time_resolution(std::int64_t resolution, int rounds, bool layers) {
  Rng rng(1);
  nn::StyleGAN2<float> g({.resolution = resolution}, rng);
  std::vector<Bare> const bare = bare_convolutions(g, rng);
  Tensor<float> const ws = g.mapping(Var<float>(randn<float>({1, g.z_dim()}, rng))).value();
  std::printf("StyleGAN2 config-f, %lld pixels, one picture, float32, %d threads\n", (long long)resolution, threads());

  auto forward = [&] { g.synthesis(Var<float>(ws)); };
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

}  // namespace

int main(int count, char** arguments) {
  std::vector<std::int64_t> resolutions;
  int rounds = 5;
  bool layers = false;
  for (int i = 1; i < count; ++i) {
    std::string const a = arguments[i];
    if (a == "--rounds" && i + 1 < count)
      rounds = std::max(1, std::atoi(arguments[++i]));
    else if (a == "--layers")
      layers = true;
    else
      resolutions.push_back(std::atoll(a.c_str()));
  }
  if (resolutions.empty()) resolutions = {256, 1024};
  for (auto r : resolutions) report_memory(r);  // before this process has threads
  for (auto r : resolutions) time_resolution(r, rounds, layers);
}
