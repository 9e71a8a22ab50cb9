// All rows of the table together, and how two runs of a row are compared.
#pragma once
#include "cases/case.hpp"
#include "rig/core/repeated.hpp"

cases::Table basic_rows();
cases::Table convolution_rows();
cases::Table render_rows();

namespace cases {

inline Table const& all() {
  static Table const table = [] {
    Table t = basic_rows();
    for (auto const& more : {convolution_rows(), render_rows()}) t.insert(t.end(), more.begin(), more.end());
    return t;
  }();
  return table;
}

/// f's value and the gradients of sum(weights f) with respect to every input; the weights are random, as the sum of what
/// is normalised has no gradient. With `captured`, on a device that can: of work that is captured after a first round and then replayed.
inline std::vector<std::vector<float>> value_and_gradients(Case const& c, std::vector<Tensor<float>> const& inputs, bool captured = false) {
  Device const device = inputs.at(0).device();
  Var<float> y, weights;
  std::vector<Var<float>> gradients;
  Repeated repeated(device, captured, 1);
  for (int round = 0; round < (captured ? 3 : 1); ++round)
    repeated([&] {
      Tape tape;
      std::vector<Var<float>> x;
      for (auto const& t : inputs) x.push_back(tape.watch(t));
      y = c.in_float(x);
      if (!weights) {
        Rng rng(21);
        weights = Var<float>(randn<float>(y.shape(), rng).to(device));
      }
      gradients = tape.grad(y, x, weights, true);
    });
  std::vector<std::vector<float>> all{y.value().host()};
  for (auto const& g : gradients) all.push_back(g ? g.value().host() : std::vector<float>{});
  return all;
}

}  // namespace cases
