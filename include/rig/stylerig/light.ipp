#pragma once
#include "rig/stylerig/light.hpp"

namespace rig::inline RIG_ABI::stylerig {

namespace detail {
inline constexpr double degrees = 57.29577951308232;
using Basis = render::LightBasis;
struct ChannelLight {
  double ambient;       // band 0 as shading
  double direction[3];  // band 1 as a vector
};
inline ChannelLight channel_light(float const* g) {
  return {(double(g[0]) + Basis::ambient) * Basis::h0, {-Basis::k1 * double(g[3]), -Basis::k1 * double(g[1]), Basis::k1 * double(g[2])}};
}
}  // namespace detail

RIG_INLINE Light read_light(float const* gamma) {
  Light l;
  double d[3] = {}, ambient[3] = {};
  for (int c = 0; c < 3; ++c) {
    detail::ChannelLight const k = detail::channel_light(gamma + 9 * c);
    ambient[c] = k.ambient;
    for (int a = 0; a < 3; ++a) d[a] += k.direction[a] / 3;
  }
  l.ambient = (ambient[0] + ambient[1] + ambient[2]) / 3;
  for (int c = 0; c < 3; ++c) l.colour[std::size_t(c)] = std::abs(l.ambient) > 1e-9 ? ambient[c] / l.ambient : 1;
  l.strength = std::sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
  if (l.strength > 1e-9) {
    l.azimuth = std::atan2(d[0], d[2]) * detail::degrees;
    l.elevation = std::asin(std::fmax(-1, std::fmin(1, d[1] / l.strength))) * detail::degrees;
  }
  return l;
}

RIG_INLINE double frontal_brightness(float const* gamma) {
  std::array<double, 9> const h = render::light_basis(Vec3<double>{0, 0, 1});
  double sum = detail::Basis::ambient * h[0];
  for (std::size_t i = 0; i < 27; ++i) sum += double(gamma[i]) * h[i % 9] / 3;
  return sum;
}

namespace detail {

/// The light with the wishes granted as they stand; strength and ambient are known.
inline std::array<float, 27> set_light(float const* gamma, Light const& now, LightWish const& wish, LightBands const& bands) {
  std::array<float, 27> y{};
  for (std::size_t i = 0; i < 27; ++i) y[i] = gamma[i];
  double const azimuth = wish.azimuth.value_or(now.azimuth) / degrees, elevation = wish.elevation.value_or(now.elevation) / degrees;
  double const strength = wish.strength.value_or(now.strength), ambient = wish.ambient.value_or(now.ambient);
  std::array<double, 3> const colour = wish.colour.value_or(now.colour);
  double const wanted[3] = {strength * std::cos(elevation) * std::sin(azimuth), strength * std::sin(elevation),
                            strength * std::cos(elevation) * std::cos(azimuth)};
  bool const turn = wish.azimuth || wish.elevation || wish.strength;
  // Band 1 first takes the new colour; what its mean then lacks is added in that colour.
  double tinted[3][3], mean[3] = {}, grey = (colour[0] + colour[1] + colour[2]) / 3;
  if (std::abs(grey) < 1e-9) grey = 1;
  for (int c = 0; c < 3; ++c) {
    auto const at = std::size_t(c);
    ChannelLight const k = channel_light(gamma + 9 * c);
    double const tint = wish.colour && std::abs(now.colour[at]) > 1e-9 ? colour[at] / now.colour[at] : 1;
    for (int a = 0; a < 3; ++a) tinted[c][a] = tint * k.direction[a], mean[a] += tinted[c][a] / 3;
  }
  for (int c = 0; c < 3; ++c) {
    float const* g = gamma + 9 * c;
    auto const at = std::size_t(c);
    float* out = y.data() + 9 * c;
    if (wish.ambient || wish.colour) out[0] = float(ambient * colour[at] / Basis::h0 - Basis::ambient);
    double d[3];
    for (int a = 0; a < 3; ++a) d[a] = tinted[c][a] + (turn ? (wanted[a] - mean[a]) * colour[at] / grey : 0);
    if (!turn && !wish.colour) continue;
    float const band[3] = {float(-d[1] / Basis::k1), float(d[2] / Basis::k1), float(-d[0] / Basis::k1)};
    for (int j = 0; j < 5; ++j)
      for (int a = 0; a < 3; ++a) out[4 + j] += bands.slope.data()[3 * j + a] * (band[a] - g[1 + a]);
    for (int a = 0; a < 3; ++a) out[1 + a] = band[a];
  }
  return y;
}

/// All of the light times a number.
inline void scale_light(std::array<float, 27>& gamma, double factor) {
  for (std::size_t i = 0; i < 27; ++i) {
    double const apart = i % 9 == 0 ? Basis::ambient : 0;
    gamma[i] = float(factor * (double(gamma[i]) + apart) - apart);
  }
}

}  // namespace detail

RIG_INLINE std::array<float, 27> change_light(float const* gamma, LightWish const& wish, LightBands const& bands) {
  check(!(wish.contrast && wish.strength && wish.ambient),
        "light: contrast is strength over ambient; ask for two of the three at most, got all");
  check(wish.strength.value_or(0) >= 0, "light: strength must not be negative, got ", wish.strength.value_or(0));
  check(wish.contrast.value_or(0) >= 0, "light: contrast must not be negative, got ", wish.contrast.value_or(0));
  check(!wish.contrast || !wish.strength || *wish.contrast > 0, "light: a strength has some contrast, got a contrast of 0");
  Light const now = read_light(gamma);
  LightWish full = wish;
  if (wish.contrast && wish.strength) full.ambient = *wish.strength / *wish.contrast;
  if (wish.contrast && !wish.strength) full.strength = *wish.contrast * wish.ambient.value_or(now.ambient);
  std::array<float, 27> y = detail::set_light(gamma, now, full, bands);
  bool const absolute = wish.strength || wish.ambient, moved = wish.azimuth || wish.elevation || wish.contrast;
  if (moved && !absolute) {
    // A camera opens as far as it can: what faces it may lie in the dark, and light may be negative in a fit.
    double const before = frontal_brightness(gamma), after = frontal_brightness(y.data()), least = 0.25 * std::abs(before);
    if (before > 0) detail::scale_light(y, before / std::max(after, least));
  }
  return y;
}

RIG_INLINE LightBands light_bands(ParameterLayout const& layout, Tensor<float> const& p) {
  LightBands bands;
  Component const* c = layout.find("illumination");
  if (!c || c->size != 27 || p.dim(0) < 8) return bands;
  Tensor<float> const x = p.to(cpu());
  std::int64_t const n = x.dim(0), f = x.dim(1);
  // Least squares of band 2 on band 1, both centred, pooled over channels: a 3 x 3 system.
  double mean[3][8] = {}, a[3][3] = {}, b[3][5] = {};
  for (std::int64_t r = 0; r < n; ++r)
    for (int k = 0; k < 3; ++k)
      for (int j = 0; j < 8; ++j) mean[k][j] += x.data()[r * f + c->offset + 9 * k + 1 + j] / double(n);
  for (std::int64_t r = 0; r < n; ++r)
    for (int k = 0; k < 3; ++k) {
      double v[8];
      for (int j = 0; j < 8; ++j) v[j] = x.data()[r * f + c->offset + 9 * k + 1 + j] - mean[k][j];
      for (int i = 0; i < 3; ++i) {
        for (int j = 0; j < 3; ++j) a[i][j] += v[i] * v[j];
        for (int j = 0; j < 5; ++j) b[i][j] += v[i] * v[3 + j];
      }
    }
  double const ridge = 1e-6 * (a[0][0] + a[1][1] + a[2][2]) + 1e-12;
  for (int i = 0; i < 3; ++i) a[i][i] += ridge;
  for (int i = 0; i < 3; ++i)  // Gauss elimination of a symmetric positive matrix needs no pivots
    for (int r = 0; r < 3; ++r) {
      if (r == i) continue;
      double const q = a[r][i] / a[i][i];
      for (int j = 0; j < 3; ++j) a[r][j] -= q * a[i][j];
      for (int j = 0; j < 5; ++j) b[r][j] -= q * b[i][j];
    }
  float* y = bands.slope.mutate();
  for (int j = 0; j < 5; ++j)
    for (int i = 0; i < 3; ++i) y[3 * j + i] = float(b[i][j] / a[i][i]);
  return bands;
}

}  // namespace rig::inline RIG_ABI::stylerig
