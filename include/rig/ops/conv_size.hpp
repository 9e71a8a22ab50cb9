// The sizes of a convolution, and what a device does beside its products: what every kernel of the family is told.
#pragma once
#include <cstdint>
#include <limits>

#include "rig/core/config.hpp"

namespace rig::inline RIG_ABI::detail {

/// x [n, h, w, c], y [n, oh, ow, o], weight [o, kh, kw, c / groups]:
/// y(n, i, j, o) = sum over u, v, c of x(n, i stride + u - top, j stride + v - left, c) weight(o, u, v, c).
struct ConvSize {
  std::int64_t n, h, w, c, oh, ow, o, kh, kw, stride, top, left, groups;
  RIG_HD std::int64_t c_in_group() const { return c / groups; }
  RIG_HD std::int64_t o_in_group() const { return o / groups; }
};

/// Scales of the channels of x [n, c] and of y [n, o], or null: what a device's convolution multiplies on its way.
struct ConvScales {
  float const *c = nullptr, *o = nullptr;
};
/// What a device's convolution, or the filter after one, does with a sum before it is written: clamp(gain act(scale sum + strength noise +
/// bias)) with a piecewise linear activation of slope `slope` below zero. Noise is one number a pixel, the same for all samples if there
/// are noise_rows of one; strength is one number (strength_step 0) or one a channel (1). Null: none.
struct ConvFinish {
  float const *scale = nullptr, *noise = nullptr, *strength = nullptr, *bias = nullptr;
  std::int64_t noise_rows = 1;
  int strength_step = 0;
  float slope = 1, gain = 1, limit = std::numeric_limits<float>::infinity();

  /// What comes after the sum with noise and bias.
  RIG_HD float act(float v) const {
    v = gain * (v > 0 ? v : slope * v);
    return v > limit ? limit : (v < -limit ? -limit : v);
  }
  /// One pixel's.
  struct Row {
    ConvFinish const& f;
    float const* scale;
    float noise;
    RIG_HD Row(ConvFinish const& finish, std::int64_t pixel, std::int64_t sample, std::int64_t columns)
        : f(finish), scale(f.scale ? f.scale + sample * columns : nullptr), noise(f.noise ? f.noise[pixel % f.noise_rows] : 0.f) {}
    RIG_HD float operator()(float v, int column) const {
      if (scale) v *= scale[column];
      if (f.noise) v += f.strength[column * f.strength_step] * noise;
      if (f.bias) v += f.bias[column];
      return f.act(v);
    }
  };
};

}  // namespace rig::inline RIG_ABI::detail
