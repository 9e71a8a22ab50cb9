// A triangle on the screen: which pixels it covers and how deep it is there. The rule is exact, so that any machine gives the
// same answer for the same projected numbers: positions are snapped to 1/256 pixel, coverage is decided in integers with the
// top-left rule (a shared edge belongs to one side), and a 64-bit key of inverse depth and triangle index says who is nearest.
// In double nothing is snapped and coverage is decided by real comparisons: for gradient checks.
#pragma once
#include <bit>
#include <cmath>
#include <type_traits>

#include "rig/render/camera.hpp"
#include "rig/render/mesh.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

template <class T> struct Raster;
template <> struct Raster<float> {
  using Coordinate = std::int32_t;
  using Product = std::int64_t;
  static constexpr int unit = 256;  // coordinates a pixel
  RIG_HD static bool snap(float x, Coordinate& y) {
    float const s = std::rint(x * 256.0f);
    bool const ok = s >= -2097152.0f && s <= 2097152.0f;
    y = ok ? Coordinate(s) : 0;
    return ok;
  }
  RIG_HD static std::int64_t first_pixel(Coordinate low) { return (low + 127) >> 8; }
  RIG_HD static std::int64_t last_pixel(Coordinate high) { return (high - 128) >> 8; }
  RIG_HD static Coordinate center(std::int64_t pixel) { return Coordinate(256 * pixel + 128); }
};
template <> struct Raster<double> {
  using Coordinate = double;
  using Product = double;
  static constexpr int unit = 1;
  RIG_HD static bool snap(double x, Coordinate& y) {
    bool const ok = x >= -8192 && x <= 8192;
    y = ok ? x : 0;
    return ok;
  }
  RIG_HD static std::int64_t first_pixel(Coordinate low) { return std::int64_t(std::ceil(low - 0.5)); }
  RIG_HD static std::int64_t last_pixel(Coordinate high) { return std::int64_t(std::floor(high - 0.5)); }
  RIG_HD static Coordinate center(std::int64_t pixel) { return double(pixel) + 0.5; }
};

template <class T> struct ScreenVertex {
  typename Raster<T>::Coordinate u, w;
  T q;  // inverse depth; 0 marks an invalid vertex
};

template <class T> struct ScreenVertexKernel {
  ScreenVertex<T>* y;
  T const* projected;
  RIG_HD void operator()(std::int64_t i) const { y[i] = load(projected + 3 * i); }
  RIG_HD static ScreenVertex<T> load(T const* p) {
    ScreenVertex<T> s;
    bool const u = Raster<T>::snap(p[0], s.u), w = Raster<T>::snap(p[1], s.w);
    s.q = u && w && p[2] > T(0) && finite(p[2]) ? T(1) / p[2] : T(0);
    if (!finite(s.q)) s.q = T(0);
    return s;
  }
};

/// A triangle on the screen, turned so that its double area is positive, with the pixels its box touches.
template <class T> struct ScreenTriangle {
  using R = Raster<T>;
  using C = typename R::Coordinate;
  using P = typename R::Product;
  ScreenVertex<T> v[3];
  int order[3];  // corner of the mesh's triangle that v[k] is
  P area2;
  std::int64_t left, right, top, bottom;  // inclusive

  /// False if the triangle cannot cover a pixel of the image.
  RIG_HD bool set(ScreenVertex<T> const& a, ScreenVertex<T> const& b, ScreenVertex<T> const& c, ImageSize size, bool cull) {
    if (!(a.q > T(0)) || !(b.q > T(0)) || !(c.q > T(0))) return false;
    C const ul = a.u < b.u ? (a.u < c.u ? a.u : c.u) : (b.u < c.u ? b.u : c.u),
            uh = a.u > b.u ? (a.u > c.u ? a.u : c.u) : (b.u > c.u ? b.u : c.u);
    C const wl = a.w < b.w ? (a.w < c.w ? a.w : c.w) : (b.w < c.w ? b.w : c.w),
            wh = a.w > b.w ? (a.w > c.w ? a.w : c.w) : (b.w > c.w ? b.w : c.w);
    left = R::first_pixel(ul), right = R::last_pixel(uh), top = R::first_pixel(wl), bottom = R::last_pixel(wh);
    if (left < 0) left = 0;
    if (top < 0) top = 0;
    if (right >= size.width) right = size.width - 1;
    if (bottom >= size.height) bottom = size.height - 1;
    if (left > right || top > bottom) return false;
    area2 = P(b.u - a.u) * P(c.w - a.w) - P(b.w - a.w) * P(c.u - a.u);
    if (area2 == P(0) || (area2 > P(0) && cull)) return false;
    // With v downward and triangles counter-clockwise from outside, those that face the camera come out negative.
    bool const front = area2 < P(0);
    v[0] = a, v[1] = front ? c : b, v[2] = front ? b : c;
    order[0] = 0, order[1] = front ? 2 : 1, order[2] = front ? 1 : 2;
    if (front) area2 = -area2;
    return true;
  }
  RIG_HD std::int64_t pixels() const { return (right - left + 1) * (bottom - top + 1); }
  /// True if 32 bits hold all products of edge functions: no side of the box is longer than 64 pixels.
  RIG_HD bool fits_32_bits() const {
    auto const near = [](C a, C b) { return a - b < 16384 && b - a < 16384; };
    auto const &a = v[0], &b = v[1], &c = v[2];
    return std::is_same_v<T, float> && near(a.u, b.u) && near(b.u, c.u) && near(c.u, a.u) && near(a.w, b.w) && near(b.w, c.w) &&
           near(c.w, a.w);
  }
  /// Edge function k (of the edge opposite corner k) at a point: twice the area it spans there.
  RIG_HD P edge(int k, C u, C w) const {
    auto const &a = v[(k + 1) % 3], &b = v[(k + 2) % 3];
    return P(b.u - a.u) * P(w - a.w) - P(b.w - a.w) * P(u - a.u);
  }
  RIG_HD bool owns_edge(int k) const {
    auto const &a = v[(k + 1) % 3], &b = v[(k + 2) % 3];
    return b.w < a.w || (b.w == a.w && b.u > a.u);
  }
  template <class Int> RIG_HD T inverse_depth(Int e0, Int e1, Int e2, T inverse_area) const {
    return std::fma(T(e0), v[0].q, std::fma(T(e1), v[1].q, T(e2) * v[2].q)) * inverse_area;
  }
};

RIG_HD inline std::uint64_t depth_key(float r, std::uint32_t triangle) {
#if defined(__CUDA_ARCH__)
  std::uint32_t const bits = __float_as_uint(r);
#else
  std::uint32_t const bits = std::bit_cast<std::uint32_t>(r);
#endif
  return std::uint64_t(bits) << 32 | (0xffffffffu - triangle);
}
RIG_HD inline void keep_nearest(std::uint64_t* z, std::uint64_t key) {
#if defined(__CUDA_ARCH__)
  atomicMax(reinterpret_cast<unsigned long long*>(z), static_cast<unsigned long long>(key));
#else
  if (key > *z) *z = key;
#endif
}

template <class T> RIG_HD bool set_screen_triangle(ScreenTriangle<T>& s, T const* projected, int const* t, ImageSize size, bool cull) {
  using S = ScreenVertexKernel<T>;
  return s.set(S::load(projected + 3 * t[0]), S::load(projected + 3 * t[1]), S::load(projected + 3 * t[2]), size, cull);
}

/// Draws one triangle into the keys of one image. Int holds all products: 32 bits for small boxes. Columns x Rows threads may
/// share it; this is the pixels of one.
template <class T, class Int, int Columns = 1, int Rows = 1>
RIG_HD void draw(ScreenTriangle<T> const& s, std::uint64_t* keys, std::int64_t width, std::uint32_t id, int thread = 0) {
  using R = Raster<T>;
  auto const &a = s.v[0], &b = s.v[1], &c = s.v[2];
  Int const dx0 = Int(c.u - b.u), dy0 = Int(c.w - b.w), dx1 = Int(a.u - c.u), dy1 = Int(a.w - c.w), dx2 = Int(b.u - a.u),
            dy2 = Int(b.w - a.w);
  // Exact in integers: covered if E + bias >= 0. In double the bias is a choice between > and >=.
  bool const o0 = s.owns_edge(0), o1 = s.owns_edge(1), o2 = s.owns_edge(2);
  T const inverse_area = T(1) / T(s.area2);
  int const left = int(s.left) + thread % Columns, right = int(s.right), bottom = int(s.bottom);
  for (int i = int(s.top) + thread / Columns; i <= bottom; i += Rows) {
    auto const w = R::center(i);
    Int const y0 = dx0 * Int(w - b.w), y1 = dx1 * Int(w - c.w), y2 = dx2 * Int(w - a.w);
    for (int j = left; j <= right; j += Columns) {
      auto const u = R::center(j);
      Int const e0 = y0 - dy0 * Int(u - b.u), e1 = y1 - dy1 * Int(u - c.u), e2 = y2 - dy2 * Int(u - a.u);
      bool const in = (e0 > 0 || (e0 == 0 && o0)) && (e1 > 0 || (e1 == 0 && o1)) && (e2 > 0 || (e2 == 0 && o2));
      if (in) keep_nearest(keys + i * width + j, depth_key(float(s.inverse_depth(e0, e1, e2, inverse_area)), id));
    }
  }
}
template <class T> RIG_HD void draw(ScreenTriangle<T> const& s, std::uint64_t* keys, std::int64_t width, std::uint32_t id) {
  if constexpr (std::is_same_v<T, float>)
    if (s.fits_32_bits()) return draw<T, std::int32_t>(s, keys, width, id, 0);
  draw<T, typename Raster<T>::Product>(s, keys, width, id, 0);
}

}  // namespace detail

}  // namespace rig::inline RIG_ABI::render
