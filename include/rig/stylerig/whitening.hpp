// Numbers brought to mean 0 and deviation 1 over the corpus. The statistics belong to the network that was trained with
// them and are saved with it.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::stylerig {

template <class T> struct Whitening {
  Tensor<T> mean, deviation;  ///< [k]
  void visit(auto&& f) { f("mean", mean), f("deviation", deviation); }
};

/// Mean and deviation of every column of x seen as [rows, k], in double. Deviations under `floor` times their median are
/// raised to it, so that a constant column stays finite.
inline Whitening<float> whitening_of(Tensor<float> const& x, double floor = 1e-3) {
  check(x.rank() >= 2 && x.size() > 0, "whitening_of: expected [rows, .., k] with values, got ", x.shape());
  std::int64_t const k = x.dim(-1), rows = x.size() / k;
  Tensor<float> const host = x.to(cpu());
  std::vector<double> sum(std::size_t(k), 0), square(std::size_t(k), 0);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < k; ++i) sum[std::size_t(i)] += host.data()[r * k + i];
  for (auto& s : sum) s /= double(rows);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < k; ++i) {
      double const d = host.data()[r * k + i] - sum[std::size_t(i)];
      square[std::size_t(i)] += d * d;
    }
  for (auto& s : square) s = std::sqrt(s / double(rows));
  std::vector<double> sorted = square;
  std::nth_element(sorted.begin(), sorted.begin() + std::ptrdiff_t(sorted.size() / 2), sorted.end());
  double const least = floor * sorted[sorted.size() / 2];
  std::vector<float> m, d;
  for (std::int64_t i = 0; i < k; ++i) {
    m.push_back(float(sum[std::size_t(i)]));
    d.push_back(float(std::max(square[std::size_t(i)], least)));
  }
  for (auto& v : d)
    if (!(v > 0)) v = 1;
  return {Tensor<float>({k}, m, x.device()), Tensor<float>({k}, d, x.device())};
}

/// The same statistics for another scalar type.
template <class T> Whitening<T> whitening_cast(Whitening<float> const& w) { return {cast<T>(w.mean), cast<T>(w.deviation)}; }

}  // namespace rig::inline RIG_ABI::stylerig
