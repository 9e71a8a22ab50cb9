// How far two copies of a module are from one another.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "rig/nn/module.hpp"

namespace test {

/// The length of the difference between the tensors of two modules, wherever they are, over the length of the first's. Not the largest:
/// Adam makes whole steps of gradients that are rounding noise, and takes one weight the other way when a bit differs.
template <class M> double difference(M a, M b) {
  std::vector<float> x, y;
  rig::nn::tensors(a, [&](std::string const&, auto& leaf) {
    for (auto v : rig::nn::detail::tensor_of(leaf).host()) x.push_back(float(v));
  });
  rig::nn::tensors(b, [&](std::string const&, auto& leaf) {
    for (auto v : rig::nn::detail::tensor_of(leaf).host()) y.push_back(float(v));
  });
  REQUIRE(x.size() == y.size());
  double apart = 0, length = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double const d = double(x[i]) - double(y[i]);
    apart += d * d, length += double(x[i]) * double(x[i]);
  }
  return std::sqrt(apart / length);
}

}  // namespace test
