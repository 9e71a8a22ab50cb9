// The Fréchet distance between two sets of features, each taken as a Gaussian (Heusel et al. 2017, equation 6):
//   |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)).
// Two draws from the same source are not at distance 0: the fewer the features, the larger it comes out. Compare sets of equal
// size, and put the distance between two halves of the real pictures beside it.
#pragma once
#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::gan {

/// Mean and covariance of feature vectors that come in batches. In double; the order of the batches changes only roundings.
class FeatureStatistics {
 public:
  FeatureStatistics() = default;
  explicit FeatureStatistics(Tensor<float> const& features) { add(features); }
  /// Features [n, d], all batches of the same d; Error if one is not finite.
  void add(Tensor<float> const& features);

  std::int64_t count() const { return count_; }
  std::int64_t dimensions() const { return mean_ ? mean_.dim(0) : 0; }
  /// [d]
  Tensor<double> mean() const;
  /// [d, d], sums divided by count - 1: two features at least. Its rank is below d where there are no more features than d.
  Tensor<double> covariance() const;

 private:
  std::int64_t count_ = 0;
  Tensor<double> mean_, scatter_;  // [d], and [d, d] about it
};

/// The distance of Gaussians with means [d] and covariances [d, d]: symmetric, without negative eigenvalues beyond rounding.
/// Finite and not negative for covariances of any rank, and 0 for equal ones up to rounding.
double frechet_distance(Tensor<double> const& mean1, Tensor<double> const& covariance1, Tensor<double> const& mean2,
                        Tensor<double> const& covariance2);
double frechet_distance(FeatureStatistics const& a, FeatureStatistics const& b);

}  // namespace rig::inline RIG_ABI::gan

#if RIG_INCLUDE_IPP
#include "rig/gan/frechet.ipp"
#endif
