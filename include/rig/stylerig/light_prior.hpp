// Which lights are likely. A light and a skin explain a picture only as a product, and from the visible half of a head several
// lights look alike; without a prior a network that reads faces splits the two at random. Ours is a Gaussian over the 27
// coefficients, the moments of lamps in front of the face with ambient light, under a camera that meters the face.
#pragma once
#include "rig/ops/matmul.hpp"
#include "rig/stylerig/light.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// Illumination coefficients (27 numbers) of ambient light and one distant Lambertian light, first three harmonic bands:
/// shading = ambient + strength (1/4 + c/2 + 5/32 (3 c^2 - 1)), c the cosine to the light, times a colour a channel.
/// Azimuth is positive toward the image's right, elevation upward; radians.
void lambertian_light(double azimuth, double elevation, double strength, double ambient, double const colour[3], float* gamma);

/// The shading of such a light where its cosine is c.
inline double lambertian_shading(double c, double strength, double ambient) {
  return ambient + strength * (0.25 + c / 2 + 5.0 / 32 * (3 * c * c - 1));
}

/// The prior as a loss takes it: on the loss's device.
template <class T> struct LightPriorOn {
  Tensor<T> mean;       ///< [27]
  Tensor<T> whitening;  ///< [27, 27]
  Tensor<T> precision;  ///< [27, 27], whitening^T whitening: half the distance's second derivative
  /// Squared Mahalanobis distance of lights gamma [n, 27]: [n]. Any order.
  Var<T> squared_distance(Var<T> const& gamma) const {
    check(gamma.rank() == 2 && gamma.dim(1) == 27, "LightPrior: lights must be [n, 27], got ", gamma.shape());
    return sum(square(matmul(gamma - Var<T>(mean), Var<T>(whitening), {.b = true})), 1);
  }
};

/// A Gaussian over lights.
struct LightPrior {
  Tensor<double> mean;       ///< [27]
  Tensor<double> whitening;  ///< [27, 27]: whitening (gamma - mean) has unit covariance

  /// Lamps from -75 to 75 degrees of azimuth and -15 to 55 of elevation, half to three times as strong as the ambient light, a
  /// tenth warmer or colder, with a sky a little brighter or darker than the ground; the exposure is such that a face turned to
  /// the camera is as bright as the next one, to some 6 %.
  static LightPrior natural();
  /// whitening^T whitening
  Tensor<double> precision() const { return matmul(Var<double>(whitening), Var<double>(whitening), {.a = true}).value(); }
  template <class T> LightPriorOn<T> on(Device const& device) const {
    return {cast<T>(mean).to(device), cast<T>(whitening).to(device), cast<T>(precision()).to(device)};
  }
  template <class T> Var<T> squared_distance(Var<T> const& gamma) const { return on<T>(gamma.device()).squared_distance(gamma); }
};

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/light_prior.ipp"
#endif
