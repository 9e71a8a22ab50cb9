// How fast the tape is: ops recorded a second, and walked back, for values so small that the arithmetic does not count.
#include <benchmark/benchmark.h>

#include "rig/ops/arithmetic.hpp"

using namespace rig;

namespace {

/// A chain of n products by one.
Var<float> chain(Var<float> y, int n) {
  for (int i = 0; i < n; ++i) y = 1.0f * y;
  return y;
}

void record(benchmark::State& state) {
  Tensor<float> const one({1}, {1.f});
  for (auto _ : state) {
    Tape tape;
    benchmark::DoNotOptimize(chain(tape.watch(one), int(state.range(0))));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(record)->Arg(1000)->Arg(100000);

void record_and_backward(benchmark::State& state) {
  Param<float> p(Tensor<float>({1}, {1.f}));
  for (auto _ : state) {
    Tape tape;
    tape.watch(p);
    tape.backward(sum(chain(p, int(state.range(0)))));
    p.gradient() = {};
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(record_and_backward)->Arg(1000)->Arg(100000);

/// A gradient that can be differentiated again: every rule is recorded too.
void gradient_of_gradient(benchmark::State& state) {
  Tensor<float> const one({1}, {1.f});
  for (auto _ : state) {
    Tape tape;
    auto x = tape.watch(one);
    Var<float> y = x;
    for (int i = 0; i < int(state.range(0)); ++i) y = square(y);
    benchmark::DoNotOptimize(tape.grad(tape.grad(y, x), x));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(gradient_of_gradient)->Arg(1000);

/// The same chain on constants: what an op costs without a tape.
void untracked(benchmark::State& state) {
  Tensor<float> const one({1}, {1.f});
  for (auto _ : state) benchmark::DoNotOptimize(chain(Var<float>(one), int(state.range(0))));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(untracked)->Arg(1000);

}  // namespace
