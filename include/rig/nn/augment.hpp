// Augmentation of what a discriminator sees, real pictures and drawn ones alike, so that it cannot learn a small set of pictures
// by heart: Karras et al., "Training Generative Adversarial Networks with Limited Data", NeurIPS 2020, appendix B. Here are the
// operations of its "bgc": pixels moved whole, geometry, colour. Its filters, noise and cutout, which are no part of bgc, are not.
// How strong it is to be, nn/adaptive_strength.hpp finds out while training.
#pragma once
#include <array>
#include <cmath>
#include <numbers>
#include <string_view>

#include "rig/core/random.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/ops/matmul.hpp"
#include "rig/ops/warp.hpp"

namespace rig::inline RIG_ABI::nn {

/// Each operation is applied to a picture with probability p times its strength; then how far it goes. Defaults: bgc.
struct AugmentOptions {
  double xflip = 1, rotate90 = 1, xint = 1;            ///< blit: mirrored half of the time, 0 to 3 quarter turns, moved by whole pixels
  double scale = 1, rotate = 1, aniso = 1, xfrac = 1;  ///< geometry: size, angle, proportions, moved by anything
  double brightness = 1, contrast = 1, lumaflip = 1;   ///< colour: added, multiplied, light and dark exchanged half of the time
  double hue = 1, saturation = 1;                      ///< colour, of pictures with three channels
  double xint_max = 0.125;                             ///< largest move, in parts of the picture
  double scale_std = 0.2, aniso_std = 0.2;             ///< deviation of log2; beyond a factor of 8 cut there
  double rotate_max = 1;                               ///< largest angle, in half turns
  double xfrac_std = 0.125;                            ///< deviation, in parts of the picture
  double brightness_std = 0.2;                         ///< deviation, pictures being -1..1
  double contrast_std = 0.5, saturation_std = 1;       ///< deviation of log2
  double hue_max = 1;                                  ///< largest angle about the axis of greys, in half turns

  void visit(auto&& f) {
    f("xflip", xflip), f("rotate90", rotate90), f("xint", xint), f("scale", scale), f("rotate", rotate), f("aniso", aniso);
    f("xfrac", xfrac), f("brightness", brightness), f("contrast", contrast), f("lumaflip", lumaflip), f("hue", hue);
    f("saturation", saturation), f("xint_max", xint_max), f("scale_std", scale_std), f("aniso_std", aniso_std);
    f("rotate_max", rotate_max), f("xfrac_std", xfrac_std), f("brightness_std", brightness_std), f("contrast_std", contrast_std);
    f("saturation_std", saturation_std), f("hue_max", hue_max);
  }
  friend bool operator==(AugmentOptions const&, AugmentOptions const&) = default;
};

/// "none", "blit", "bg" (blit and geometry), "bgc" (and colour): the paper's names.
inline AugmentOptions augment_preset(std::string_view name) {
  AugmentOptions o;
  bool const bgc = name == "bgc", bg = bgc || name == "bg", blit = bg || name == "blit";
  check(blit || name == "none", "augment_preset: expected none, blit, bg or bgc, got '", name, "'");
  if (!bgc) o.brightness = o.contrast = o.lumaflip = o.hue = o.saturation = 0;
  if (!bg) o.scale = o.rotate = o.aniso = o.xfrac = 0;
  if (!blit) o.xflip = o.rotate90 = o.xint = 0;
  return o;
}

/// What is done to one picture, in this order. The defaults do nothing.
struct PictureAugmentation {
  bool flip = false;              ///< left and right exchanged
  int quarter_turns = 0;          ///< clockwise
  int shift_x = 0, shift_y = 0;   ///< pixels, to the right and down
  double scale = 1;               ///< how many times as large
  double turn_before = 0;         ///< radians, clockwise
  double stretch = 1;             ///< width times this, height by it
  double turn_after = 0;          ///< radians, clockwise
  double move_x = 0, move_y = 0;  ///< pixels, to the right and down
  double brightness = 0;          ///< added
  double contrast = 1;            ///< multiplied
  bool luma_flip = false;         ///< the part along the axis of greys changes its sign
  double hue = 0;                 ///< radians about that axis
  double saturation = 1;          ///< multiplies the part across it
  friend bool operator==(PictureAugmentation const&, PictureAugmentation const&) = default;
};

/// Matrices that do it, on the host.
template <class T> struct Augmentation {
  Tensor<T> geometry;  ///< [n, 3, 3]: of a place of the result its place in the picture, as warp2d() takes it
  Tensor<T> colour;    ///< [n, 4, 4]: of (r, g, b, 1) the new one
};

namespace detail {

template <std::size_t N> struct Square {
  std::array<double, N * N> v{};
  static Square identity() {
    Square m;
    for (std::size_t i = 0; i < N; ++i) m.v[i * N + i] = 1;
    return m;
  }
  friend Square operator*(Square const& a, Square const& b) {
    Square m;
    for (std::size_t i = 0; i < N; ++i)
      for (std::size_t j = 0; j < N; ++j)
        for (std::size_t k = 0; k < N; ++k) m.v[i * N + j] += a.v[i * N + k] * b.v[k * N + j];
    return m;
  }
};
inline Square<3> stretched(double x, double y) { return {{x, 0, 0, 0, y, 0, 0, 0, 1}}; }
inline Square<3> moved(double x, double y) { return {{1, 0, x, 0, 1, y, 0, 0, 1}}; }
inline Square<3> turned(double cosine, double sine) { return {{cosine, -sine, 0, sine, cosine, 0, 0, 0, 1}}; }
/// The part of a colour along the axis of greys times `along`, that across it times `across` and turned about it.
inline Square<4> about_greys(double along, double across, double angle) {
  Square<4> m = Square<4>::identity();
  double const c = across * std::cos(angle), s = across * std::sin(angle) / std::sqrt(3.0), rest = (along - c) / 3;
  for (std::size_t i = 0; i < 3; ++i)
    for (std::size_t j = 0; j < 3; ++j) m.v[4 * i + j] = rest + (i == j ? c : (j + 1) % 3 == i ? s : -s);
  return m;
}

inline Square<3> geometry_of(PictureAugmentation const& a) {
  // Inverses, the first operation on the left: G^-1 of the paper.
  double const quarter_cosine[] = {1, 0, -1, 0}, quarter_sine[] = {0, 1, 0, -1};
  int const q = ((a.quarter_turns % 4) + 4) % 4;
  Square<3> const before = turned(std::cos(a.turn_before), -std::sin(a.turn_before)),
                  after = turned(std::cos(a.turn_after), -std::sin(a.turn_after));
  return stretched(a.flip ? -1 : 1, 1) * turned(quarter_cosine[q], -quarter_sine[q]) * moved(-a.shift_x, -a.shift_y) *
         stretched(1 / a.scale, 1 / a.scale) * before * stretched(1 / a.stretch, a.stretch) * after * moved(-a.move_x, -a.move_y);
}
inline Square<4> colour_of(PictureAugmentation const& a) {
  Square<4> lighter = Square<4>::identity(), contrast = lighter;
  for (std::size_t i = 0; i < 3; ++i) lighter.v[4 * i + 3] = a.brightness, contrast.v[5 * i] = a.contrast;
  return about_greys(1, a.saturation, 0) * about_greys(1, 1, a.hue) * about_greys(a.luma_flip ? -1 : 1, 1, 0) * contrast * lighter;
}

}  // namespace detail

template <class T> Augmentation<T> augmentation_of(std::vector<PictureAugmentation> const& pictures) {
  std::vector<T> geometry, colour;
  for (auto const& a : pictures) {
    for (double v : detail::geometry_of(a).v) geometry.push_back(T(v));
    for (double v : detail::colour_of(a).v) colour.push_back(T(v));
  }
  std::int64_t const n = std::int64_t(pictures.size());
  return {Tensor<T>({n, 3, 3}, geometry), Tensor<T>({n, 4, 4}, colour)};
}

/// What to do to pictures of shape [n, h, w, c]. One draw of rng: operation k (in the order of PictureAugmentation, the two
/// angles apart) of picture i has number 16 i + k of it, whatever the others do, so that p and the strengths decide only which
/// are applied, and a picture's luck does not depend on how many there are. Either angle is used with probability
/// 1 - sqrt(1 - p rotate), at least one with p rotate.
inline std::vector<PictureAugmentation> draw_pictures(Shape const& pictures, double p, AugmentOptions const& o, Rng& rng) {
  check(pictures.rank() == 4, "augment: pictures must be [n, h, w, c], got ", pictures);
  check(p >= 0 && std::isfinite(p), "augment: p must not be negative, got ", p);
  AugmentOptions options = o;
  options.visit([](char const* name, double v) { check(v >= 0 && std::isfinite(v), "augment: ", name, " must not be negative, got ", v); });
  std::uint64_t const draw = rng.next_draw();
  double const h = double(pictures[1]), w = double(pictures[2]);
  std::vector<PictureAugmentation> all;
  for (std::int64_t i = 0; i < pictures[0]; ++i) {
    PictureAugmentation a;
    std::uint64_t k = 0;
    Philox luck{};
    auto happens = [&](double probability) {
      luck = Philox::draw(rng.seed(), draw, std::uint64_t(16 * i) + k++);
      return Philox::unit(luck.v[3]) < probability;
    };
    auto uniform = [&](int of, double most) { return most * (2 * Philox::unit(luck.v[of]) - 1); };
    auto factor = [&](double deviation) { return std::exp2(std::clamp(deviation * rig::detail::two_normals(luck).x, -3.0, 3.0)); };
    double const half_turn = std::numbers::pi, one_angle = 1 - std::sqrt(1 - std::min(1.0, p * o.rotate));
    if (happens(p * o.xflip)) a.flip = Philox::unit(luck.v[0]) < 0.5;
    if (happens(p * o.rotate90)) a.quarter_turns = int(4 * Philox::unit(luck.v[0]));
    if (happens(p * o.xint))
      a.shift_x = int(std::lround(w * uniform(0, o.xint_max))), a.shift_y = int(std::lround(h * uniform(1, o.xint_max)));
    if (happens(p * o.scale)) a.scale = factor(o.scale_std);
    if (happens(one_angle)) a.turn_before = uniform(0, half_turn * o.rotate_max);
    if (happens(p * o.aniso)) a.stretch = factor(o.aniso_std);
    if (happens(one_angle)) a.turn_after = uniform(0, half_turn * o.rotate_max);
    if (happens(p * o.xfrac)) {
      auto const two = rig::detail::two_normals(luck);
      a.move_x = w * o.xfrac_std * two.x, a.move_y = h * o.xfrac_std * two.y;
    }
    if (happens(p * o.brightness)) a.brightness = o.brightness_std * rig::detail::two_normals(luck).x;
    if (happens(p * o.contrast)) a.contrast = std::exp2(o.contrast_std * rig::detail::two_normals(luck).x);
    if (happens(p * o.lumaflip)) a.luma_flip = Philox::unit(luck.v[0]) < 0.5;
    if (happens(p * o.hue)) a.hue = uniform(0, half_turn * o.hue_max);
    if (happens(p * o.saturation)) a.saturation = std::exp2(o.saturation_std * rig::detail::two_normals(luck).x);
    all.push_back(a);
  }
  return all;
}
/// The matrices for it.
template <class T> Augmentation<T> draw_augmentation(Shape const& pictures, double p, AugmentOptions const& o, Rng& rng) {
  return augmentation_of<T>(draw_pictures(pictures, p, o, rng));
}

/// Pictures [n, h, w, c] with their geometry, then their colour, changed. Three channels, or one, of which brightness, contrast and
/// luma flip are seen; with any other number the colours must stay. Linear in the pictures up to what brightness adds; any order.
/// The same bits for any number of threads. What the identity would change is left out; a GPU is given the matrices without waiting.
template <class T> Var<T> apply_augmentation(Var<T> const& pictures, Augmentation<T> const& a) {
  Var<T> const y = warp2d(pictures, a.geometry);
  std::int64_t const n = y.dim(0), h = y.dim(1), w = y.dim(2), c = y.dim(3);
  check(a.colour.shape() == Shape{n, 4, 4} && a.colour.device().is_cpu(), "augment: colour must be [", n, ", 4, 4] on the host, got ",
        a.colour.shape(), " on ", a.colour.device());
  std::vector<T> matrix, added;
  bool identity = true;
  for (std::int64_t i = 0; i < n; ++i) {
    T const* m = a.colour.data() + 16 * i;
    for (int k = 0; k < 16; ++k) identity = identity && m[k] == T(k % 5 == 0);
    T grey = 0, grey_added = 0;
    for (int r = 0; r < 3; ++r) {
      for (int s = 0; s < 3; ++s) grey += m[4 * r + s] / 3;
      grey_added += m[4 * r + 3] / 3;
      if (c == 3) matrix.insert(matrix.end(), m + 4 * r, m + 4 * r + 3), added.push_back(m[4 * r + 3]);
    }
    if (c == 1) matrix.push_back(grey), added.push_back(grey_added);
  }
  if (identity) return y;
  check(c == 1 || c == 3, "augment: colours can be changed in pictures of 1 or 3 channels, got ", y.shape());
  Var<T> const m(Tensor<T>({n, c, c}, matrix, y.device())), b(Tensor<T>({n, 1, c}, added, y.device()));
  if (c == 1) return reshape(reshape(y, {n, h * w, c}) * m + b, y.shape());
  return reshape(batched_matmul(reshape(y, {n, h * w, c}), m, {.b = true}) + b, y.shape());
}

/// Pictures [n, h, w, c] in -1..1, each changed by luck: what a discriminator is shown. p is the strength of all of it; with 0, or
/// where luck leaves all alone, the pictures themselves are returned. One draw of rng in any case.
///   auto seen = D(nn::augment(G(z), strength.p, options, rng));
template <class T> Var<T> augment(Var<T> const& pictures, double p, AugmentOptions const& o, Rng& rng) {
  return apply_augmentation(pictures, draw_augmentation<T>(pictures.shape(), p, o, rng));
}

}  // namespace rig::inline RIG_ABI::nn
