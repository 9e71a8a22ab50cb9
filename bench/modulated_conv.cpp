// One layer of StyleGAN2: modulated convolution, noise, bias, activation; forward, and forward with backward to the style.
// Arguments: pixels a side of the result, channels, 2 for a layer that doubles the size or 1.
#include "rig/ops/modulated_conv.hpp"

#include <benchmark/benchmark.h>

#include "rig/core/random.hpp"

namespace {

using namespace rig;

struct Layer {
  Rng rng{1};
  Tensor<float> x, w, s, noise, strength, bias;
  ModulatedConvOptions<float> options;
  explicit Layer(benchmark::State const& state) {
    std::int64_t const r = state.range(0), c = state.range(1);
    int const up = int(state.range(2));
    x = randn<float>({1, r / up, r / up, c}, rng), w = randn<float>({c, 3, 3, c}, rng), s = randn<float>({1, c}, rng);
    noise = randn<float>({1, r, r, 1}, rng), strength = full<float>({}, 0.1f), bias = randn<float>({c}, rng);
    options = {.up = up, .padding = 1, .flip_weight = up == 1, .filter = setup_filter<float>({1, 3, 3, 1})};
  }
  Var<float> operator()(Var<float> const& in, Var<float> const& style) const {
    return noise_bias_act<float>(modulated_conv2d<float>(in, w, style, options), noise, strength, bias);
  }
};

void forward(benchmark::State& state) {
  Layer const layer(state);
  for (auto _ : state) benchmark::DoNotOptimize(layer(layer.x, layer.s).value().data());
}
void backward(benchmark::State& state) {
  Layer const layer(state);
  for (auto _ : state) {
    Tape tape;
    auto const x = tape.watch(layer.x), s = tape.watch(layer.s);
    benchmark::DoNotOptimize(tape.grad(sum(layer(x, s)), {x, s})[1].value().data());
  }
}

void sizes(benchmark::internal::Benchmark* b) {
  b->Args({64, 512, 1})->Args({64, 512, 2})->Args({256, 128, 1})->Args({256, 128, 2})->Args({1024, 32, 1})->Args({1024, 32, 2});
  b->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(forward)->Apply(sizes);
BENCHMARK(backward)->Apply(sizes);

}  // namespace
