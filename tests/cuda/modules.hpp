// How far two copies of a module are from one another.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "rig/nn/module.hpp"

namespace test {

/// The largest difference between the tensors of two modules, wherever they are.
template <class M> double difference(M a, M b) {
  std::vector<float> x, y;
  rig::nn::tensors(a, [&](std::string const&, auto& leaf) {
    for (auto v : rig::nn::detail::tensor_of(leaf).host()) x.push_back(float(v));
  });
  rig::nn::tensors(b, [&](std::string const&, auto& leaf) {
    for (auto v : rig::nn::detail::tensor_of(leaf).host()) y.push_back(float(v));
  });
  REQUIRE(x.size() == y.size());
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, double(std::abs(x[i] - y[i])));
  return largest;
}

}  // namespace test
