// The numbers a person asks an edit for: an angle, a named expression, where the light comes from. Each axis reads its number out
// of a vector p and writes it back, whatever entries it is made of.
#pragma once
#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "rig/stylerig/light.hpp"
#include "rig/stylerig/statistics.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// Something that can be asked for as one number: an entry of p, an angle in degrees, a quantity of the light.
struct Axis {
  std::string name;
  Control control = Control::none;
  std::function<double(float const* p)> read;
  std::function<void(float* p, double value)> write;
  double low = 0, high = 0, centre = 0;  ///< range to sweep and the corpus's mean
  bool circular = false;                 ///< differences are taken modulo 360
  double least = -1e30, most = 1e30;     ///< there is nothing beyond: a contrast, an elevation
  /// The value at a share of the range; 0 is its low end, 1 its high one.
  double within(double share) const { return std::max(least, low + share * (high - low)); }
  /// The axis with a range as wide as requests may be: a network that gives less than it is asked for must be asked for more
  /// than there is. An angle stays short of all the way round.
  Axis widened() const;
};
inline Axis Axis::widened() const {
  double const width = high - low, beyond = circular ? std::clamp(0.5 * (170 - width), 0.0, 0.8 * width) : 0.8 * width;
  Axis a = *this;
  a.low = std::max(least, low - beyond), a.high = std::min(most, high + beyond);
  return a;
}
/// An entry in its own unit between its 1 and 99 percentiles.
Axis entry_axis(ParameterLayout const& layout, ParameterStatistics const& s, std::string const& label);
/// Yaw and pitch in degrees with the signs people expect, the first `expressions` expression entries, and of a 27-number
/// light azimuth, elevation and contrast, what a picture shows of it. Only those of `controls`; p [n, f] gives ranges.
std::vector<Axis> standard_axes(ParameterLayout const& layout, ParameterStatistics const& s, Tensor<float> const& p,
                                LightBands const& bands, Control controls, std::int64_t expressions = 10);

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/axes.ipp"
#endif
