// What the control vectors of a corpus look like: mean, spread, percentiles, histograms, covariance. Wishes are judged by
// it (what is dense, what is out of range), q is whitened by it, and it is what the paper's figure 6 shows.
#pragma once
#include <string>
#include <vector>

#include "rig/stylerig/parameters.hpp"
#include "rig/stylerig/whitening.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct ParameterStatistics {
  static constexpr int bins = 64;
  static constexpr double percents[9] = {0.5, 1, 5, 25, 50, 75, 95, 99, 99.5};

  Tensor<float> mean, deviation;  ///< [f], as measured
  Tensor<float> percentiles;      ///< [9, f]
  Tensor<float> histogram;        ///< [64, f], shares of the corpus between the 0.5 and the 99.5 percentile; the ends hold the tails
  Tensor<float> covariance;       ///< [f, f]
  std::int64_t count = 0;

  /// Value of entry i at percents[k].
  float percentile(int k, std::int64_t i) const { return percentiles.data()[k * mean.dim(0) + i]; }
  /// Share of the corpus in the bin where a value of entry i lies; 0 outside the 0.5 to 99.5 range.
  float density(std::int64_t i, float value) const;
  Whitening<float> whitening() const { return {mean, deviation}; }
  /// (sum var)^2 / sum var^2 over the entries of a component: how many directions carry its spread.
  double effective_dimensions(ParameterLayout const& layout, char const* component) const;
  void visit(auto&& f) {
    f("mean", mean), f("deviation", deviation), f("percentiles", percentiles), f("histogram", histogram), f("covariance", covariance),
        f("count", count);
  }
};

/// Of vectors p [n, f].
ParameterStatistics parameter_statistics(Tensor<float> const& p);

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/statistics.ipp"
#endif
