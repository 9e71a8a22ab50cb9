// Four-tap filters at StyleGAN2's sizes. Arguments: pixels a side, channels.
#include "rig/ops/upfirdn.hpp"

#include <benchmark/benchmark.h>

#include "rig/core/random.hpp"

namespace {

using namespace rig;

template <class F> void run(benchmark::State& state, F f) {
  Rng rng(1);
  Var<float> const x(randn<float>({1, state.range(0), state.range(0), state.range(1)}, rng));
  Tensor<float> const filter = setup_filter<float>({1, 3, 3, 1});
  std::int64_t out = 0;
  for (auto _ : state) {
    Var<float> const y = f(x, filter);
    benchmark::DoNotOptimize(y.value().data());
    out = y.size();
  }
  state.counters["B/s"] = benchmark::Counter(4.0 * double(x.size() + out) * double(state.iterations()), benchmark::Counter::kIsRate);
}
void blur(benchmark::State& state) {
  run(state, [](auto const& x, auto const& f) { return upfirdn2d(x, f, {.padding = 1, .gain = 4}); });
}
void up(benchmark::State& state) {
  run(state, [](auto const& x, auto const& f) { return upsample2d(x, f); });
}
void down(benchmark::State& state) {
  run(state, [](auto const& x, auto const& f) { return downsample2d(x, f); });
}

void sizes(benchmark::internal::Benchmark* b) {
  b->Args({65, 512})->Args({257, 128})->Args({1025, 32})->Args({512, 3})->UseRealTime()->Unit(benchmark::kMillisecond);
}
BENCHMARK(blur)->Apply(sizes);
BENCHMARK(up)->Apply(sizes);
BENCHMARK(down)->Apply(sizes);

}  // namespace
