// The three members of the convolution family at the sizes of StyleGAN2's layers. Arguments: pixels a side, channels.
#include "rig/ops/conv.hpp"

#include <benchmark/benchmark.h>

#include "rig/core/random.hpp"

namespace {

using namespace rig;

struct Sizes {
  Rng rng{1};
  Var<float> x, w, half;
  Shape large;
  double flops;
  explicit Sizes(benchmark::State const& state) {
    std::int64_t const r = state.range(0), c = state.range(1);
    x = randn<float>({1, r, r, c}, rng), w = randn<float>({c, 3, 3, c}, rng), half = randn<float>({1, r / 2, r / 2, c}, rng);
    large = {1, r + 1, r + 1, c};
    flops = 18.0 * double(r * r) * double(c * c);
  }
};
void rate(benchmark::State& state, double flops) {
  state.counters["flop/s"] = benchmark::Counter(flops * double(state.iterations()), benchmark::Counter::kIsRate);
}

void forward(benchmark::State& state) {
  Sizes const s(state);
  for (auto _ : state) benchmark::DoNotOptimize(conv2d(s.x, s.w, {.padding = 1}).value().data());
  rate(state, s.flops);
}
void input(benchmark::State& state) {
  Sizes const s(state);
  for (auto _ : state) benchmark::DoNotOptimize(conv2d_input(s.x, s.w, s.x.shape(), {.padding = 1}).value().data());
  rate(state, s.flops);
}
void weight(benchmark::State& state) {
  Sizes const s(state);
  for (auto _ : state) benchmark::DoNotOptimize(conv2d_weight(s.x, s.x, s.w.shape(), {.padding = 1}).value().data());
  rate(state, s.flops);
}
void doubling(benchmark::State& state) {
  Sizes const s(state);
  for (auto _ : state) benchmark::DoNotOptimize(conv2d_input(s.half, s.w, s.large, {.stride = 2}).value().data());
  rate(state, s.flops / 4);
}

void sizes(benchmark::internal::Benchmark* b) {
  b->Args({8, 512})->Args({32, 512})->Args({64, 512})->Args({128, 256})->Args({256, 128})->Args({512, 64})->Args({1024, 32});
  b->Args({64, 32})->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(forward)->Apply(sizes);
BENCHMARK(input)->Apply(sizes);
BENCHMARK(weight)->Apply(sizes);
BENCHMARK(doubling)->Apply(sizes);

}  // namespace
