// Phase 2: RigNet learns from pairs of corpus items (section 3.3 and 3.4 of the paper; the siamese cycle of section 3.4).
// F is frozen and its outputs on the corpus are made once; the generator is never called. A step is a function of
// (seed, step) and the saved state, so a killed run continues to the same bits.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "rig/stylerig/axes.hpp"
#include "rig/stylerig/losses.hpp"
#include "rig/stylerig/reconstruction_training.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct RigTraining {
  Control controls = Control::all;  ///< one: a separate network; several: simultaneous control by one network
  ControlMode mode = ControlMode::merged_delta;
  std::int64_t encoder = 32;
  std::vector<std::int64_t> hidden = {128};
  std::int64_t pairs = 32, steps = 60000;
  OptimiserOptions optimiser = OptimiserOptions::adam(1e-3, 1e-5, 1);
  RigLossOptions losses;
  bool siamese = true;
  double balanced = 0.5;      ///< share of partners drawn so that an entry of c is uniform over its 0.5..99.5 % range
  double balance_cap = 20;    ///< largest weight of an item then
  bool random_subset = true;  ///< simultaneous only: one more sample with a random set of two or more controls
  std::int64_t samples = 0;   ///< simultaneous only: samples made of each ordered pair in a step, drawn in turn; 0: all
  double wishes = 0.5;        ///< for every pair so many wishes for one value, as edits by value make them; at most 2
  std::uint64_t seed = 1;

  /// As close to the paper as is known; simultaneous control there needs `merged`, because `full` cannot express it.
  static RigTraining paper(Control c);
  static RigTraining best(Control c);
  /// A preset with one thing changed: "steering", "steering_mlp", "no_rec", "no_consist", "no_edit", "param_space", "one_way".
  RigTraining ablated(std::string_view name) const;
  static std::vector<std::string> ablations();
  bool simultaneous() const { return controls != Control::pose && controls != Control::expression && controls != Control::illumination; }
  void visit(auto&& f) {
    f("controls", controls), f("mode", mode), f("encoder", encoder), f("hidden", hidden), f("pairs", pairs), f("steps", steps),
        f("optimiser", optimiser), f("losses", losses), f("siamese", siamese), f("balanced", balanced), f("balance_cap", balance_cap),
        f("random_subset", random_subset), f("samples", samples), f("wishes", wishes), f("seed", seed);
  }
};

/// A trained N with what it is fed: takes codes, their vectors p_w and wanted vectors.
struct EditNetwork {
  Control controls = Control::none;
  ControlInput<float> input;
  RigNet<float> net;

  /// w_hat for codes [n, rows, w_dim] and target vectors [n, f] of which the entries with mask [n, f] or [1, f] are wanted.
  Tensor<float> operator()(Tensor<float> const& codes, Tensor<float> const& p_w, Tensor<float> const& target,
                           Tensor<unsigned char> const& edited) const;
  void visit(auto&& f) { f("input", input), f("net", net); }
};

/// Draws partners v: uniformly, or so that a randomly chosen entry of c comes out evenly over its range.
class PartnerSampler {
 public:
  /// p [N, f] of the whole corpus, of which `items` may be drawn.
  PartnerSampler(Tensor<float> const& p, std::vector<int> items, ParameterLayout const& layout, ParameterStatistics const& statistics,
                 Control controls, double cap);
  int uniform(Rng& rng) const { return items_[std::size_t(rng.below(std::int64_t(items_.size())))]; }
  int balanced(Rng& rng) const;

 private:
  std::vector<int> items_;
  std::vector<std::vector<double>> cumulative_;  // one table an entry of c
};

/// A wish for one value in the vector of a code, which no picture shows.
struct RigWish {
  int source = 0;
  Control control = Control::none;
  std::vector<float> target;           ///< [f]
  std::vector<unsigned char> counted;  ///< [f], the entries of c that vary over the corpus
};
/// Items of one step and which controls each ordered pair changes.
struct RigPairs {
  std::vector<int> source, target;
  std::vector<Control> control;
  std::int64_t distinct = 0;
  std::vector<RigWish> wishes;  ///< for codes that the first sources hold
};
/// Pairs alone.
RigPairs draw_pairs(RigTraining const& o, PartnerSampler const& partners, std::int64_t step);

/// Draws wishes: an entry or a quantity of the light, evenly over its range. Transfers between pairs hardly ever ask for one value
/// alone, edits by value ask for nothing else. Beyond the range F has seen nothing, and a network held to its reading there overshoots.
class WishSampler {
 public:
  /// p [N, f] of the whole corpus gives ranges.
  WishSampler(RigTraining const& o, Tensor<float> const& p, ParameterLayout const& layout, ParameterStatistics const& statistics);
  /// One for each of the first sources of a step, as many as RigTraining::wishes asks for.
  std::vector<RigWish> draw(RigPairs const& pairs, std::int64_t step) const;

 private:
  struct Group {
    Control control;
    std::vector<Axis> axes;
    std::vector<unsigned char> counted;
  };
  std::uint64_t seed_;
  std::int64_t count_;
  Tensor<float> p_;  // on the host
  std::vector<Group> groups_;
};

/// Gathers codes, vectors and pictures on p's device. p is [N, f] of the whole corpus.
RigBatch<float> make_batch(Corpus const& corpus, Tensor<float> const& p, ParameterLayout const& layout, RigPairs const& pairs,
                           RigLossOptions const& losses);
/// The same into a batch made with the same options. Nobody waits for the device.
void load_batch(RigBatch<float>& batch, Corpus const& corpus, Tensor<float> const& p, ParameterLayout const& layout, RigPairs const& pairs,
                RigLossOptions const& losses);

struct TrainedRig {
  EditNetwork network;
  RigTraining training;
  std::int64_t steps = 0;
  bool finished = false;
};
/// Trains N. p = reconstruct_corpus(corpus, r.F), statistics = parameter_statistics of it. r.F is not changed.
TrainedRig train_rig(Corpus const& corpus, TrainedReconstruction const& r, Tensor<float> const& p, ParameterStatistics const& statistics,
                     FaceLoss<float> const& face, RigTraining const& o, TrainingHooks const& hooks = {});

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/training.ipp"
#endif
