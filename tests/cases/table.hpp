// All rows of the table together, and how two runs of a row are compared.
#pragma once
#include "cases/case.hpp"

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
/// is normalised has no gradient.
inline std::vector<std::vector<float>> value_and_gradients(Case const& c, std::vector<Tensor<float>> const& inputs) {
  Tape tape;
  std::vector<Var<float>> x;
  for (auto const& t : inputs) x.push_back(tape.watch(t));
  Var<float> const y = c.in_float(x);
  std::vector<std::vector<float>> all{y.value().host()};
  Rng rng(21);
  Var<float> const weights(randn<float>(y.shape(), rng).to(y.value().device()));
  for (auto const& g : tape.grad(y, x, weights, true)) all.push_back(g ? g.value().host() : std::vector<float>{});
  return all;
}

}  // namespace cases
