// How good a rig is, measured by a judge that is not F: a known truth, or a second network trained on other codes
// (section 13). Distances are in units one can picture, ratios carry bootstrap intervals over pairs, and what F itself
// says stands in a second column, because a network can learn to fool the F it was trained with.
#pragma once
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "rig/stylerig/axes.hpp"
#include "rig/stylerig/generator.hpp"
#include "rig/stylerig/training.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// Codes [n, rows, w_dim] to parameters [n, f].
using Judge = std::function<Tensor<float>(Tensor<float> const& codes)>;
/// Codes, their vectors by F, wanted vectors, which entries of them are wanted; to edited codes.
using EditFunction = std::function<Tensor<float>(Tensor<float> const& codes, Tensor<float> const& p_w, Tensor<float> const& target,
                                                 Tensor<unsigned char> const& edited)>;
inline Judge judge_by(Reconstruction<float> const& F) {
  return [F](Tensor<float> const& w) { return F.evaluate(w); };
}
/// A judge that is shown the generator's pictures of the codes.
Judge judge_by(PictureReader<float> const& reader, GeneratorHandle const& generator);

/// Distances between vectors, component by component.
class ParameterMetric {
 public:
  /// Root mean square over the entries of a component, whatever they mean.
  static ParameterMetric plain(ParameterLayout const& layout);
  /// Rotation: geodesic degrees. Translation, identity, expression: RMS over face vertices, % of the outer-eye distance.
  /// Reflectance: RMS over face vertices. Illumination: RMS shading over all normals.
  static ParameterMetric of(ParameterLayout const& layout, render::MorphableModel const& model);
  /// Between two whole vectors.
  double distance(Component const& c, float const* a, float const* b) const;
  std::string unit(Component const& c) const;
  ParameterLayout const& layout() const { return layout_; }

 private:
  ParameterLayout layout_;
  bool plain_ = true;
  std::vector<std::pair<std::string, std::vector<double>>> gram_;  // size k * k: distance^2 = d^T G d
};

struct Interval {
  double value = 0, low = 0, high = 0;
};
/// sum(a) / sum(b) with a 95 % interval by 1,000 resamples of pairs; the same seed, the same resamples.
Interval bootstrap_ratio(std::vector<double> const& a, std::vector<double> const& b, std::uint64_t seed = 1, int resamples = 1000);

/// One control, judged on pairs.
struct ControlScore {
  Control control = Control::none;
  Interval success;                                       ///< 1 - dist_c(p(w_hat), p_v) / dist_c(p_w, p_v)
  std::vector<std::pair<std::string, Interval>> leakage;  ///< for each kept component: dist(p(w_hat), p_w) / dist(p_v, p_w)
  double mean_leakage = 0;
  double expression_difference = 0, pose_difference = 0,
         light_difference = 0;  ///< AED, APD, ALD: mean absolute difference, mean over entries
  double identity = 0;          ///< 1 - dist_identity / its mean over random pairs
  std::vector<std::pair<std::string, double>> numbers() const;
};
struct EditScore {
  ControlScore judged, by_reconstruction;
  double reconstruction_change = 0;  ///< |N(w, self) - w| / |w - mean|
  double round_trip = 0;             ///< |N(N(w, p_v), p_w) - w| / |w - mean|
  double plausible = 0;              ///< share of w_hat with all rows inside the 99 % ellipsoid of corpus rows; NaN if not asked for
  std::vector<double> row_change, row_variance;  ///< by row, of |w_hat_i - w_i|
  std::vector<std::pair<std::string, double>> numbers() const;
};

/// The 99 % Mahalanobis ellipsoid of single rows of codes [n, rows, d].
class RowEllipsoid {
 public:
  explicit RowEllipsoid(Tensor<float> const& codes, double share = 0.99);
  /// Share of codes whose rows all lie inside.
  double inside(Tensor<float> const& codes) const;

 private:
  std::vector<double> distances(Tensor<float> const& codes) const;
  std::int64_t d_ = 0;
  std::vector<double> mean_, factor_;  // factor: lower triangle of the covariance's Cholesky factor
  double limit_ = 0;
};

/// Judges one control on pairs (sources[i] <- targets[i]).
EditScore evaluate_edits(EditFunction const& edit, Tensor<float> const& sources, Tensor<float> const& targets, Control control,
                         Reconstruction<float> const& F, Judge const& judge, ParameterMetric const& metric, Whitening<float> const& codes,
                         RowEllipsoid const* ellipsoid = nullptr, bool keep_translation = false);

/// Requested against achieved on one axis, both ascending: what section 11's gain calibration stores.
struct Calibration {
  std::string axis;
  Tensor<float> requested, achieved;
  /// What to ask for so that `value` is achieved, within what can be attained.
  double invert(double value) const;
  void visit(auto&& f) { f("requested", requested), f("achieved", achieved); }
};

/// A sweep of one axis over many codes.
struct SweepScore {
  std::string axis;
  double slope = 0, r_squared = 0;         ///< of achieved on requested change along the sweeps, each code about its own mean
  double usable_low = 0, usable_high = 0;  ///< interval round the mean where the mean error is at most 20 % of the change asked for
  std::vector<double> requested, achieved, spread;  ///< by step: value asked for, mean and deviation of the value reached
};
/// The change asked for is measured from F's reading of the code. With a calibration the edit is asked for what achieves the
/// value, as a user's wish would be, and the change asked for is measured from the judge's reading, whose terms such wishes are in.
SweepScore sweep_axis(EditFunction const& edit, ParameterLayout const& layout, Axis const& axis, Tensor<float> const& codes,
                      Reconstruction<float> const& F, Judge const& judge, int steps = 9, Calibration const* calibration = nullptr);

/// Vary one control in `groups` codes with `members` partners each: s_j = mean deviation of factor j within groups over its
/// corpus deviation; DS = prod_{j != i} s_i / s_j over pose, expression, illumination, identity.
double disentanglement_score(EditFunction const& edit, ParameterLayout const& layout, Tensor<float> const& bases,
                             Tensor<float> const& partners, Control control, Reconstruction<float> const& F, Judge const& judge,
                             ParameterStatistics const& s, int members = 20);

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/evaluation.ipp"
#endif
