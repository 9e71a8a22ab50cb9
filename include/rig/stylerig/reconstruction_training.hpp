// Phase 1: F learns to explain the pictures of the corpus (section 3.2 of the paper, equations 1 and 2). The loop is in
// reconstruction_training.ipp and can be read from top to bottom. A step is a function of (seed, step) and the saved
// state, so a killed run continues to the same bits.
#pragma once
#include <string>

#include "rig/stylerig/corpus.hpp"
#include "rig/stylerig/optimiser.hpp"
#include "rig/stylerig/picture_reader.hpp"
#include "rig/stylerig/reconstruction.hpp"
#include "rig/stylerig/statistics.hpp"
#include "rig/train/hooks.hpp"

namespace rig::inline RIG_ABI::stylerig {

using train::TrainingHooks;

struct ReconstructionTraining {
  std::int64_t batch = 64, steps = 150000;  ///< a batch of at most as many items as there are to train on
  std::int64_t landmark_steps = 2000;       ///< first steps with landmarks only; none are made if the corpus has no landmarks
  std::vector<std::int64_t> hidden = {1024, 1024};
  OptimiserOptions optimiser = OptimiserOptions::adam(1e-4, 1e-6, 0);
  double landmark = 20;  ///< lambda_land
  RegulariserOptions regulariser;
  std::int64_t validate_every = 1000, validation_items = 256;
  std::uint64_t seed = 1;

  static ReconstructionTraining paper();
  static ReconstructionTraining best() {
    ReconstructionTraining o;
    o.regulariser = RegulariserOptions::best();
    return o;
  }
  void visit(auto&& f) {
    f("batch", batch), f("steps", steps), f("landmark_steps", landmark_steps), f("hidden", hidden), f("optimiser", optimiser),
        f("landmark", landmark), f("regulariser", regulariser), f("validate_every", validate_every),
        f("validation_items", validation_items), f("seed", seed);
  }
};

/// F, or another network in its place, with all it must be loaded with.
template <class Net> struct TrainedReader {
  Net F;  ///< the weights with the lowest validation loss
  ParameterLayout layout;
  std::string face;       ///< FaceLoss::identity()
  std::string generator;  ///< hash
  std::string origin;     ///< corpus
  std::int64_t steps = 0;
  double validation = 0;  ///< L_render of F there
  bool finished = false;  ///< false if it was stopped early
};
using TrainedReconstruction = TrainedReader<Reconstruction<float>>;
using TrainedPictureReader = TrainedReader<PictureReader<float>>;

/// Statistics of the codes of a corpus (section 2), over at most `items` of them.
Whitening<float> code_whitening(Corpus const& corpus, std::int64_t items = 20000);

/// Trains F. With hooks.checkpoint naming an existing file it continues there; a file of another run is train::OtherRun, which says
/// in what it differs. mean_vector is where the outputs start (empty: zeros, the mean face in place).
TrainedReconstruction train_reconstruction(Corpus const& corpus, FaceLoss<float> const& face, ReconstructionTraining const& o,
                                           TrainingHooks const& hooks = {}, std::vector<float> const& mean_vector = {});

/// The same for a network that reads pictures: a judge. Of `o`, hidden is the widths of its dense layers.
TrainedPictureReader train_picture_reader(Corpus const& corpus, FaceLoss<float> const& face, ReconstructionTraining const& o,
                                          TrainingHooks const& hooks = {}, std::vector<float> const& mean_vector = {});

void save_reconstruction(std::string const& path, TrainedReconstruction& r);
void save_reconstruction(std::string const& path, TrainedPictureReader& r);
/// An F trained for another generator or another face than the given ones (if not empty) is an Error.
TrainedReconstruction load_reconstruction(std::string const& path, std::string const& generator = {}, std::string const& face = {},
                                          Device const& device = {});

TrainedPictureReader load_picture_reader(std::string const& path, std::string const& generator = {}, std::string const& face = {},
                                         Device const& device = {});
/// Whether a file holds a network that reads pictures.
bool is_picture_reader(std::string const& path);

/// p = F(w) of every item, [size, f]: made once, because F is frozen.
Tensor<float> reconstruct_corpus(Corpus const& corpus, Reconstruction<float> const& F);

/// Fits p alone to pictures by Adam on L_render + L_reg from `start` [n, f], as a yardstick for F.
Tensor<float> fit_parameters(FaceLoss<float> const& face, Observation const& seen, Tensor<float> const& start, Tensor<float> const& unit,
                             std::int64_t steps = 300, double rate = 0.1, double landmark = 20, RegulariserOptions const& regulariser = {});

/// Section 6.4. Shares and degrees; a number that cannot be known (no landmarks, no rotation) is NaN.
struct ReconstructionReport {
  std::int64_t items = 0, fitted = 0;
  double landmark_error = 0;     ///< median RMS landmark distance over the outer-eye distance
  double photometric_share = 0;  ///< photometric mean square over that of the mean face in place
  double yaw_error = 0;          ///< median |yaw of F - yaw fitted alone|, degrees
  double inside_four = 0;        ///< share of identity, reflectance and expression values within 4
  bool finite = false;
  std::vector<std::pair<std::string, double>> explained;  ///< by component: share of the fitted variance that F explains
  bool accepted() const;
};
ReconstructionReport judge_reconstruction(Corpus const& corpus, TrainedReconstruction const& r, FaceLoss<float> const& face,
                                          std::vector<int> const& items, std::int64_t fit_items = 100, std::int64_t fit_steps = 300);
/// Items whose landmark error is above the given percentile.
std::vector<int> landmark_outliers(Corpus const& corpus, Reconstruction<float> const& F, FaceLoss<float> const& face,
                                   double percentile = 99);

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/reconstruction_training.ipp"
#endif
