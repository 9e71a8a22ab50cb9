// The rig: what people load and use. F, the edit network or networks, the statistics wishes are judged by, and where all of
// it comes from. Wishes are absolute and in human units; every edit starts from the unedited code.
//   auto w_hat = rig.edit(w, {.yaw = 20, .expression = {{"jawOpen", 0.6f}}, .light = {.azimuth = -40}});
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rig/stylerig/evaluation.hpp"

namespace rig::inline RIG_ABI::stylerig {

inline namespace literals {
/// For readers: yaw = 20_deg.
constexpr double operator""_deg(long double v) { return double(v); }
constexpr double operator""_deg(unsigned long long v) { return double(v); }
}  // namespace literals

/// What is wanted of a face; whatever is not named stays. Angles in degrees with the signs of the picture: yaw > 0 turns the
/// face to the right of the picture, pitch > 0 looks up, roll > 0 is clockwise.
struct Wishes {
  std::optional<double> yaw = {}, pitch = {};
  std::optional<double> roll = {};  ///< aligned faces hardly have any, so it is done on the finished picture: see roll_picture
  std::vector<std::pair<std::string, float>> expression = {};  ///< by name ("jawOpen") or number ("3")
  LightWish light = {};
  std::vector<std::pair<std::string, float>> raw = {};  ///< by label ("rotation.roll", "illumination.12")
};
/// Reads "yaw=20,jawOpen=0.6,light.azimuth=-40,light.colour=1.1:1:0.9,rotation.roll=0.1".
Wishes parse_wishes(std::string_view text);

/// Least-squares ascending fit (pool adjacent violators).
std::vector<double> ascending_fit(std::vector<double> const& values);
/// The curve of a sweep, ascending, between the least and the most that is achieved on either side of its middle: asked for too much,
/// a network gives less again. Empty tensors if nothing rises.
Calibration calibration_of(SweepScore const& sweep);

struct EditOptions {
  bool calibrated = true;         ///< use the stored calibration, if there is one
  std::int64_t refine_steps = 0;  ///< closed loop: gradient steps on the code through F
  double refine_rate = 0.05;
};

class Rig {
 public:
  TrainedReconstruction reconstruction;
  std::vector<EditNetwork> networks;  ///< one a control, or one for all
  std::vector<RigTraining> trainings;
  ParameterStatistics statistics;
  LightBands bands;
  std::vector<Calibration> calibrations;

  ParameterLayout const& layout() const { return reconstruction.layout; }
  /// Everything some network controls.
  Control controls() const;
  /// p = F(w)
  Tensor<float> measure(Tensor<float> const& w) const { return reconstruction.F.evaluate(w); }

  /// Codes [n, rows, w_dim] with the wishes granted, the same for all. A wish for what no network controls is an Error.
  Tensor<float> edit(Tensor<float> const& w, Wishes const& wishes, EditOptions const& o = {}) const;
  /// The stored calibration of an axis, or null.
  Calibration const* calibration(std::string const& axis) const;
  /// Target vectors p_w[.. <- wishes] and which controls they touch.
  std::pair<Tensor<float>, Control> targets(Tensor<float> const& p_w, Wishes const& wishes, bool calibrated = true) const;
  /// Codes whose entries of `c` should be those of target [n, f]. One network that controls all of c is used at once;
  /// several are applied pose first, then expression, then light, p measured again after each.
  Tensor<float> move(Tensor<float> const& w, Tensor<float> const& target, Control c, EditOptions const& o = {}) const;
  /// move() as the evaluation wants it.
  EditFunction edit_function(Control c) const;

  void visit(auto&& f) {
    f("F", reconstruction.F), f("networks", networks), f("statistics", statistics), f("bands", bands), f("calibrations", calibrations);
  }
};

/// Puts a rig together and checks that its parts belong to each other.
Rig make_rig(TrainedReconstruction const& r, std::vector<TrainedRig> const& networks, Tensor<float> const& corpus_p);
void save_rig(std::string const& path, Rig& rig);
/// A rig of another generator or another face than those given (if not empty) is an Error.
Rig load_rig(std::string const& path, std::string const& generator = {}, std::string const& face = {}, Device const& device = {});

/// Measures requested against achieved on the standard axes with a judge that is not F, and stores the curves in the rig.
std::vector<SweepScore> calibrate(Rig& rig, Tensor<float> const& codes, Judge const& judge, int steps = 17);

/// Gradient steps on w_hat through F alone: whitened distance of F(w_hat) to the target vector (p_w with the wishes), plus
/// 0.1 times the whitened square of the move away from w_hat. It can fool F; judge it by another.
Tensor<float> refine_codes(Reconstruction<float> const& F, Tensor<float> const& w_hat, Tensor<float> const& target,
                           ParameterStatistics const& s, std::int64_t steps, double rate);

/// A finished picture [n, h, w, 3] turned by degrees clockwise about (x, y), fractions of its size; the border is stretched outwards.
Tensor<float> roll_picture(Tensor<float> const& picture, double degrees, double x = 0.5, double y = 0.5);

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/rig.ipp"
#endif
