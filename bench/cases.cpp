// Every row of the op table as a benchmark: forward, and forward with gradients of all inputs, at the row's realistic size.
// Counters: values moved a second (inputs and output, once each).
#include <benchmark/benchmark.h>

#include "cases/all.hpp"

using namespace rig;

namespace {

void run(benchmark::State& state, cases::Case const& c, bool gradients) {
  auto const inputs = cases::make_inputs<float>(c.options.bench.empty() ? c.inputs : c.options.bench);
  std::int64_t values = 0;
  for (auto const& t : inputs) values += t.size();
  for (auto _ : state) {
    if (gradients) {
      Tape tape;
      std::vector<Var<float>> x;
      for (auto const& t : inputs) x.push_back(tape.watch(t));
      Var<float> const y = c.in_float(x);
      benchmark::DoNotOptimize(tape.grad(y, x, {}, true));
    } else {
      std::vector<Var<float>> const x(inputs.begin(), inputs.end());
      Var<float> const y = c.in_float(x);
      benchmark::DoNotOptimize(y);
      state.counters["bytes"] = benchmark::Counter(double(4 * (values + y.size())), benchmark::Counter::kIsIterationInvariantRate);
    }
  }
}

bool const registered = [] {
  for (auto const& c : cases::all()) {
    benchmark::RegisterBenchmark((c.name + "/forward").c_str(), [&c](benchmark::State& s) {
      run(s, c, false);
    })->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark((c.name + "/with gradients").c_str(), [&c](benchmark::State& s) {
      run(s, c, true);
    })->Unit(benchmark::kMicrosecond);
  }
  return true;
}();

}  // namespace
