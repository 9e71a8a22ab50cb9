// Matrix products of the sizes that StyleGAN's mapping, RigNet and 1x1 convolutions ask for.
#include "rig/ops/matmul.hpp"

#include <benchmark/benchmark.h>

#include "rig/core/random.hpp"

namespace {

using namespace rig;

// Arguments: g, n, k, m; the second factor is read transposed, as a layer's weight is.
void product(benchmark::State& state) {
  Rng rng(1);
  Var<float> const a(randn<float>({state.range(0), state.range(1), state.range(2)}, rng));
  Var<float> const b(randn<float>({state.range(0), state.range(3), state.range(2)}, rng));
  for (auto _ : state) benchmark::DoNotOptimize(batched_matmul(a, b, {.b = true}).value().data());
  double const flops = 2.0 * double(state.range(0)) * double(state.range(1)) * double(state.range(2)) * double(state.range(3));
  state.counters["flop/s"] = benchmark::Counter(flops * double(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(product)
    ->Args({1, 1, 512, 512})
    ->Args({1, 64, 512, 512})
    ->Args({18, 16, 512, 512})
    ->Args({1, 1024, 1024, 1024})
    ->Args({1, 1 << 18, 64, 3})
    ->UseRealTime()
    ->Unit(benchmark::kMicrosecond);

}  // namespace
