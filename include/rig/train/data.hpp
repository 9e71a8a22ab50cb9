// Which items a training step sees. Everything is a function of (seed, step): a run is continued from two integers.
#pragma once
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "rig/core/random.hpp"

namespace rig::inline RIG_ABI::train {

/// A random order of 0..n-1.
inline std::vector<int> permutation(std::int64_t n, Rng rng) {
  std::vector<int> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::int64_t i = n - 1; i > 0; --i) std::swap(order[std::size_t(i)], order[std::size_t(rng.below(i + 1))]);
  return order;
}

/// Batches that go through all items in a new order each epoch.
class EpochSampler {
 public:
  EpochSampler(std::vector<int> items, std::int64_t batch, std::uint64_t seed) : items_(std::move(items)), batch_(batch), seed_(seed) {
    check(!items_.empty(), "EpochSampler: there is nothing to draw from");
    check(batch > 0, "EpochSampler: the batch must be positive, got ", batch);
  }
  /// The items of a step; a batch may lie in two epochs.
  std::vector<int> batch(std::int64_t step) {
    std::int64_t const n = std::int64_t(items_.size());
    std::vector<int> b;
    for (std::int64_t k = step * batch_; k < (step + 1) * batch_; ++k) {
      if (k / n != epoch_ || order_.empty()) {
        epoch_ = k / n;
        order_ = permutation(n, Rng(seed_).split(std::uint64_t(epoch_)));
      }
      b.push_back(items_[std::size_t(order_[std::size_t(k % n)])]);
    }
    return b;
  }

 private:
  std::vector<int> items_;
  std::int64_t batch_;
  std::uint64_t seed_;
  std::int64_t epoch_ = -1;
  std::vector<int> order_;
};

}  // namespace rig::inline RIG_ABI::train
