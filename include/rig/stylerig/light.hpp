// Light as people say it: where it comes from, how strong, how much comes from everywhere, which colour. Band 0 of the
// spherical harmonics is the ambient part, band 1 is strength times direction, both times a colour; band 2 follows band 1
// as it does in the corpus. Changing nothing changes no coefficient.
//
// A picture shows skin times light, and its camera was metered: it tells where the lamp stands and how it compares to the light
// from everywhere (contrast), but neither part by itself. So a lamp that is moved, or a contrast that is changed, leaves skin that
// faces the camera as bright as it was, as a photographer would; strength and ambient ask for absolute amounts.
#pragma once
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "rig/render/spherical_harmonics.hpp"
#include "rig/stylerig/parameters.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// Angles in degrees. Azimuth 0 is light from the camera, positive from the right of the picture; elevation positive from above.
struct Light {
  double azimuth = 0, elevation = 0;
  double strength = 0;                    ///< length of the mean band-1 vector, in units of shading
  double ambient = 0;                     ///< mean band-0 shading
  std::array<double, 3> colour{1, 1, 1};  ///< of the ambient part, mean 1
  /// strength / ambient: 0 is flat, 2 a lamp alone; 0 where nothing is ambient.
  double contrast() const { return ambient > 1e-9 ? strength / ambient : 0; }
};
/// What of it is wanted; the rest stays. Contrast beside strength or ambient gives the other of the two; beside both it is an Error.
/// With neither, skin that faces the camera keeps its brightness (all of the light is scaled).
struct LightWish {
  std::optional<double> azimuth = {}, elevation = {}, contrast = {}, strength = {}, ambient = {};
  std::optional<std::array<double, 3>> colour = {};
  bool any() const { return azimuth || elevation || contrast || strength || ambient || colour; }
};

/// How band 2 (5 numbers) moves with band 1 (3 numbers) of a channel, by regression over a corpus. Zero if unknown.
struct LightBands {
  Tensor<float> slope = zeros<float>({5, 3});
  void visit(auto&& f) { f("slope", slope); }
};
LightBands light_bands(ParameterLayout const& layout, Tensor<float> const& p);

/// gamma: 27 numbers, channel by channel.
Light read_light(float const* gamma);
/// Mean shading over the colours where the normal points to the camera, (0, 0, 1).
double frontal_brightness(float const* gamma);
/// The same light with the wishes granted. A negative strength or contrast is an Error.
std::array<float, 27> change_light(float const* gamma, LightWish const& wish, LightBands const& bands);

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/light.ipp"
#endif
