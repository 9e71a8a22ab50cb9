// How strong augmentation is to be (Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020, section 3):
// a discriminator that learns pictures by heart is sure of real ones, so p follows the mean sign of its scores on them.
#pragma once
#include <cmath>

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::nn {

struct AdaptiveStrengthOptions {
  double target = 0.6;        ///< mean sign of the scores of real pictures that p is to hold
  std::int64_t interval = 4;  ///< iterations from one change of p to the next
  double kimg = 500;          ///< thousands of real pictures in which p can go from 0 to 1

  void visit(auto&& f) { f("target", target), f("interval", interval), f("kimg", kimg); }
};

/// A training loop tells it the scores of real pictures and where an iteration ends:
///   strength.see(D(augment(real, strength.p, o, rng)).value());
///   strength.next(batch);
/// Its visit line is what a checkpoint needs to go on with the same bits.
struct AdaptiveStrength {
  AdaptiveStrengthOptions options;
  double p = 0;                 ///< never negative; from 1 on every operation of strength 1 is applied
  double signs = 0;             ///< their sum since p was last changed,
  std::int64_t scores = 0;      ///< how many there were,
  std::int64_t iterations = 0;  ///< and in how many iterations
  std::int64_t pictures = 0;    ///< that these were for
  double last_sign = 0;         ///< the mean sign that p was last changed by: r_t of the paper

  AdaptiveStrength() = default;
  explicit AdaptiveStrength(AdaptiveStrengthOptions const& o, double start = 0) : options(o), p(start) {
    check(o.interval > 0 && o.kimg > 0, "AdaptiveStrength: interval and kimg must be positive, got ", o.interval, " and ", o.kimg);
    check(std::abs(o.target) < 1, "AdaptiveStrength: the target must lie between -1 and 1, got ", o.target);
    check(start >= 0 && std::isfinite(start), "AdaptiveStrength: p must not be negative, got ", start);
  }

  /// Scores of real pictures, any shape. From a GPU it waits for them.
  template <class T> void see(Tensor<T> const& real_scores) {
    for (T s : real_scores.host()) signs += double(s > 0) - double(s < 0);
    scores += real_scores.size();
  }
  /// An iteration has ended that was for `batch` real pictures. Whether p was changed.
  bool next(std::int64_t batch) {
    check(batch > 0, "AdaptiveStrength: the batch must be positive, got ", batch);
    pictures += batch;
    if (++iterations < options.interval) return false;
    bool const seen = scores > 0;
    if (seen) {
      last_sign = signs / double(scores);
      double const over = last_sign - options.target;
      p += (double(over > 0) - double(over < 0)) * double(pictures) / (1000 * options.kimg);
      p = p > 0 ? p : 0;
    }
    signs = 0, scores = 0, iterations = 0, pictures = 0;
    return seen;
  }

  void visit(auto&& f) {
    f("p", p), f("signs", signs), f("scores", scores), f("iterations", iterations), f("pictures", pictures), f("last_sign", last_sign);
  }
};

}  // namespace rig::inline RIG_ABI::nn
