// Which triangle each pixel sees. The rule is exact, so that any machine gives the same triangle for the same projected
// numbers: positions are snapped to 1/256 pixel, coverage is decided in integers with the top-left rule (a shared edge
// belongs to one side), and the nearest wins by a 64-bit key of inverse depth and triangle index.
// Only the triangle index is kept; everything else at a pixel is computed from it again. Nothing here is differentiable.
// In double nothing is snapped and coverage is decided by real comparisons: for gradient checks.
#pragma once
#include <bit>
#include <cmath>
#include <type_traits>

#include "rig/render/camera.hpp"
#include "rig/render/mesh.hpp"
#include "rig/render/normals.hpp"

namespace rig::inline RIG_ABI::render {

struct RasterOptions {
  bool cull = true;  ///< leave out triangles seen from behind
};

/// The answer for a batch of images.
struct Visibility {
  Tensor<int> triangle;         ///< [n, h, w], -1 where nothing is seen
  Tensor<float> inverse_depth;  ///< [n, h, w], 0 where nothing is seen
  ImageSize size;
};

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
  /// Edge function k (of the edge opposite corner k) at a point: twice the area it spans there.
  RIG_HD P edge(int k, C u, C w) const {
    auto const &a = v[(k + 1) % 3], &b = v[(k + 2) % 3];
    return P(b.u - a.u) * P(w - a.w) - P(b.w - a.w) * P(u - a.u);
  }
  RIG_HD bool owns_edge(int k) const {
    auto const &a = v[(k + 1) % 3], &b = v[(k + 2) % 3];
    return b.w < a.w || (b.w == a.w && b.u > a.u);
  }
  RIG_HD T inverse_depth(P e0, P e1, P e2, T inverse_area) const {
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

/// Draws one triangle into the keys of one image, rows [top, bottom] of it. Int holds all products: 32 bits for small boxes.
template <class T, class Int> RIG_HD void draw(ScreenTriangle<T> const& s, std::uint64_t* keys, std::int64_t width, std::uint32_t id) {
  using R = Raster<T>;
  auto const &a = s.v[0], &b = s.v[1], &c = s.v[2];
  Int const dx0 = Int(c.u - b.u), dy0 = Int(c.w - b.w), dx1 = Int(a.u - c.u), dy1 = Int(a.w - c.w), dx2 = Int(b.u - a.u),
            dy2 = Int(b.w - a.w);
  // Exact in integers: covered if E + bias >= 0. In double the bias is a choice between > and >=.
  bool const o0 = s.owns_edge(0), o1 = s.owns_edge(1), o2 = s.owns_edge(2);
  T const inverse_area = T(1) / T(s.area2);
  for (std::int64_t i = s.top; i <= s.bottom; ++i) {
    auto const w = R::center(i);
    Int const y0 = dx0 * Int(w - b.w), y1 = dx1 * Int(w - c.w), y2 = dx2 * Int(w - a.w);
    for (std::int64_t j = s.left; j <= s.right; ++j) {
      auto const u = R::center(j);
      Int const e0 = y0 - dy0 * Int(u - b.u), e1 = y1 - dy1 * Int(u - c.u), e2 = y2 - dy2 * Int(u - a.u);
      bool const in = (e0 > 0 || (e0 == 0 && o0)) && (e1 > 0 || (e1 == 0 && o1)) && (e2 > 0 || (e2 == 0 && o2));
      if (!in) continue;
      using P = typename R::Product;
      keep_nearest(keys + i * width + j, depth_key(float(s.inverse_depth(P(e0), P(e1), P(e2), inverse_area)), id));
    }
  }
}
template <class T> RIG_HD void draw(ScreenTriangle<T> const& s, std::uint64_t* keys, std::int64_t width, std::uint32_t id) {
  if constexpr (std::is_same_v<T, float>) {
    auto const near = [&](auto a, auto b) { return a - b < 16384 && b - a < 16384; };
    auto const &a = s.v[0], &b = s.v[1], &c = s.v[2];
    if (near(a.u, b.u) && near(b.u, c.u) && near(c.u, a.u) && near(a.w, b.w) && near(b.w, c.w) && near(c.w, a.w))
      return draw<T, std::int32_t>(s, keys, width, id);
  }
  draw<T, typename Raster<T>::Product>(s, keys, width, id);
}

/// One triangle of one image: CUDA, where many threads meet at a key.
template <class T> struct RasterKernel {
  std::uint64_t* keys;
  ScreenVertex<T> const* vertex;
  MeshView<T> mesh;
  ImageSize size;
  bool cull;
  RIG_HD void operator()(std::int64_t image, std::int64_t f) const { draw_rows(image, f, 0, size.height - 1); }
  RIG_HD void draw_rows(std::int64_t image, std::int64_t f, std::int64_t top, std::int64_t bottom) const {
    auto const* v = vertex + image * mesh.vertices;
    int const* t = mesh.triangle + 3 * f;
    ScreenTriangle<T> s;
    if (!s.set(v[t[0]], v[t[1]], v[t[2]], size, cull)) return;
    if (s.top < top) s.top = top;
    if (s.bottom > bottom) s.bottom = bottom;
    draw(s, keys + image * size.height * size.width, size.width, std::uint32_t(f));
  }
};
/// All triangles into one band of rows of one image: the CPU, without atomics.
template <class T> struct RasterBandKernel {
  RasterKernel<T> kernel;
  std::int64_t bands;
  RIG_HD void operator()(std::int64_t i) const {
    RasterKernel<T> const k = kernel;
    std::int64_t const image = i / bands, band = i % bands, h = k.size.height, top = h * band / bands, bottom = h * (band + 1) / bands - 1;
    for (std::int64_t f = 0; f < k.mesh.faces; ++f) k.draw_rows(image, f, top, bottom);
  }
};
struct ResolveKernel {
  int* triangle;
  float* inverse_depth;
  std::uint64_t const* keys;
  RIG_HD void operator()(std::int64_t i) const {
    std::uint64_t const k = keys[i];
    std::uint32_t const bits = std::uint32_t(k >> 32);
    triangle[i] = k ? int(0xffffffffu - std::uint32_t(k)) : -1;
#if defined(__CUDA_ARCH__)
    inverse_depth[i] = __uint_as_float(bits);
#else
    inverse_depth[i] = std::bit_cast<float>(bits);
#endif
  }
};

template <class T> void check_projected(char const* op, Tensor<T> const& projected, Mesh const& mesh) {
  check(projected.rank() == 3 && projected.dim(1) == mesh.vertices && projected.dim(2) == 3, op, ": projected must be [n, ", mesh.vertices,
        ", 3], got ", projected.shape());
}

/// Counts of an image: invalid vertices, triangles without area, pixels covered, places where triangles cut each other.
template <class T> struct RasterCountKernel {
  int* y;
  ScreenVertex<T> const* vertex;
  int const* triangle;
  MeshView<T> mesh;
  ImageSize size;
  /// True if a triangle covers the centre of a pixel (borders included).
  RIG_HD bool covers(ScreenVertex<T> const* v, int f, std::int64_t row, std::int64_t column) const {
    int const* t = mesh.triangle + 3 * f;
    ScreenTriangle<T> s;
    if (!s.set(v[t[0]], v[t[1]], v[t[2]], size, false)) return false;
    using P = typename Raster<T>::Product;
    auto const u = Raster<T>::center(column), w = Raster<T>::center(row);
    return s.edge(0, u, w) >= P(0) && s.edge(1, u, w) >= P(0) && s.edge(2, u, w) >= P(0);
  }
  /// True if two pixels see different triangles that both lie under both: between them the nearer has become the farther.
  RIG_HD bool cross(ScreenVertex<T> const* v, int const* seen, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) const {
    int const a = seen[i * size.width + j], b = seen[k * size.width + l];
    return a >= 0 && b >= 0 && a != b && covers(v, a, k, l) && covers(v, b, i, j);
  }
  RIG_HD void operator()(std::int64_t image) const {
    auto const* v = vertex + image * mesh.vertices;
    int const* seen = triangle + image * size.height * size.width;
    int invalid = 0, flat = 0, covered = 0, crossings = 0;
    for (std::int64_t i = 0; i < mesh.vertices; ++i) invalid += !(v[i].q > T(0));
    for (std::int64_t f = 0; f < mesh.faces; ++f) {
      auto const &a = v[mesh.triangle[3 * f]], &b = v[mesh.triangle[3 * f + 1]], &c = v[mesh.triangle[3 * f + 2]];
      using P = typename Raster<T>::Product;
      if (a.q > T(0) && b.q > T(0) && c.q > T(0)) flat += P(b.u - a.u) * P(c.w - a.w) == P(b.w - a.w) * P(c.u - a.u);
    }
    for (std::int64_t i = 0; i < size.height; ++i)
      for (std::int64_t j = 0; j < size.width; ++j) {
        covered += seen[i * size.width + j] >= 0;
        if (j + 1 < size.width) crossings += cross(v, seen, i, j, i, j + 1);
        if (i + 1 < size.height) crossings += cross(v, seen, i, j, i + 1, j);
      }
    y[4 * image] = invalid, y[4 * image + 1] = flat, y[4 * image + 2] = covered, y[4 * image + 3] = crossings;
  }
};

template <class T> struct VisibleVertexKernel {
  T* y;
  T const *projected, *normal;
  float const* inverse_depth;   // null: facing the camera is enough
  unsigned char const* region;  // null: all
  std::int64_t vertices;
  PixelCamera<T> camera;
  ImageSize size;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = image * vertices + i;
    y[k] = visible(image, i, projected + 3 * k, Vec3<T>::load(normal + 3 * k)) ? T(1) : T(0);
  }
  RIG_HD bool visible(std::int64_t image, std::int64_t i, T const* p, Vec3<T> n) const {
    if (region && !region[i]) return false;
    T const u = p[0], w = p[1], d = p[2];
    if (!(d > T(0)) || !(u >= T(0)) || !(w >= T(0)) || !(u < T(size.width)) || !(w < T(size.height))) return false;
    Vec3<T> const to_camera{(camera.cx - u) / camera.f, (w - camera.cy) / camera.f, T(1)};
    T const c = dot(n, to_camera) / length(to_camera);
    if (!(c > T(0.1))) return false;
    if (!inverse_depth) return true;
    float const r = inverse_depth[(image * size.height + std::int64_t(w)) * size.width + std::int64_t(u)];
    if (r == 0.0f) return true;
    T const slope = std::sqrt(T(1) - c * c > T(0) ? T(1) - c * c : T(0)) / c;
    return d <= T(1) / T(r) + 2 * (d / camera.f) * slope + T(1e-3) * d;
  }
};
/// Divides each row by its sum, rows of zeros stay.
template <class T> struct NormalizeKernel {
  T* y;
  T const* sum;
  std::int64_t count;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    T const s = sum[image];
    y[image * count + i] = s > T(0) ? y[image * count + i] / s : T(0);
  }
};
template <class T> struct SumLeaf {
  T const* x;
  std::int64_t count;
  RIG_HD void operator()(std::int64_t image, std::int64_t begin, std::int64_t end, T* out) const {
    T s = 0;
    for (std::int64_t i = begin; i < end; ++i) s += x[image * count + i];
    out[0] = s;
  }
};

}  // namespace detail

/// Weights [n, ...] with the same proportions that sum to one in every image; an image of zeros stays zero.
template <class T> Tensor<T> normalized_weights(Tensor<T> const& weights) {
  Tensor<T> y = weights.clone();
  std::int64_t const n = weights.dim(0), count = n ? weights.size() / n : 0;
  Tensor<T> const sum = detail::sum_images<T>(y.device(), n, count, 1, detail::SumLeaf<T>{y.data(), count});
  detail::for_each_in_images(y.device(), n, count, detail::NormalizeKernel<T>{y.mutate(), sum.data(), count});
  return y;
}

/// The triangle each pixel centre sees, for projected vertices [n, V, 3] = (u, v, depth). No gradient; exact (see above).
/// A triangle with an invalid vertex (depth 0, not finite, or beyond 8,192 pixels) is not drawn.
template <class T> Visibility rasterize(Tensor<T> const& projected, Mesh const& mesh, ImageSize size, RasterOptions options = {}) {
  detail::check_projected("rasterize", projected, mesh);
  check(size.height >= 0 && size.width >= 0 && size.height <= 8192 && size.width <= 8192, "rasterize: image sides must be in 0..8192, got ",
        size.height, " x ", size.width);
  std::int64_t const n = projected.dim(0), pixels = size.height * size.width;
  Device const device = projected.device();
  Visibility y{Tensor<int>({n, size.height, size.width}, device), Tensor<float>({n, size.height, size.width}, device), size};
  int* const triangle = y.triangle.mutate();
  float* const inverse_depth = y.inverse_depth.mutate();
  std::int64_t const step = detail::images_at_once(n, 8 * pixels + std::int64_t(sizeof(detail::ScreenVertex<T>)) * mesh.vertices);
  Tensor<std::uint64_t> keys({step, pixels}, device);
  Tensor<detail::ScreenVertex<T>> vertex({step, mesh.vertices}, device);
  for (std::int64_t first = 0; first < n; first += step) {
    std::int64_t const count = std::min(step, n - first);
    for_each(device, count * pixels, rig::detail::FillKernel<std::uint64_t>{keys.mutate(), 0});
    for_each(device, count * mesh.vertices, detail::ScreenVertexKernel<T>{vertex.mutate(), projected.data() + 3 * first * mesh.vertices});
    detail::RasterKernel<T> const kernel{keys.mutate(), vertex.data(), detail::MeshView<T>(mesh), size, options.cull};
    if (device.is_cpu()) {
      // Every band walks over all triangles, so an image is cut only when there are fewer images than threads.
      std::int64_t const bands = count >= threads() || size.height < 32 ? 1 : std::min<std::int64_t>((threads() + count - 1) / count, 16);
      for_each_heavy(device, count * bands, detail::RasterBandKernel<T>{kernel, bands});
    } else {
      for_each(device, count, mesh.faces(), kernel);
    }
    for_each(device, count * pixels, detail::ResolveKernel{triangle + first * pixels, inverse_depth + first * pixels, keys.data()});
  }
  return y;
}

/// What was odd in a call, per image and without waiting for the device: [n, 4] = invalid vertices, triangles without
/// area, covered pixels (0: the image is empty), pairs of neighbouring pixels between which two triangles cut each other
/// (both must lie under both pixels, so triangles smaller than a pixel do not count; gradients let the nearer one carry).
/// Mesh::out_of_range counts bad indices.
template <class T> Tensor<int> raster_report(Tensor<T> const& projected, Mesh const& mesh, Visibility const& visibility) {
  detail::check_projected("raster_report", projected, mesh);
  std::int64_t const n = projected.dim(0);
  Tensor<int> y({n, 4}, projected.device());
  Tensor<detail::ScreenVertex<T>> vertex({n, mesh.vertices}, projected.device());
  for_each(y.device(), n * mesh.vertices, detail::ScreenVertexKernel<T>{vertex.mutate(), projected.data()});
  for_each_heavy(
      y.device(), n,
      detail::RasterCountKernel<T>{y.mutate(), vertex.data(), visibility.triangle.data(), detail::MeshView<T>(mesh), visibility.size});
  return y;
}

/// 1 for every vertex that is seen, else 0: [n, V]. Seen is a vertex of `region` (if given, [V]) inside the image, whose
/// normal (camera frame, [n, V, 3]) leans to the camera by a cosine above 0.1 and that is not behind what its pixel shows,
/// up to two pixel footprints along the surface. Without `visibility` the last test is left out, and a turned nose or jaw
/// counts as seen through the cheek.
template <class T>
Tensor<T> visible_vertices(Tensor<T> const& projected, Tensor<T> const& normals, Visibility const* visibility, Camera const& camera,
                           ImageSize size, Tensor<unsigned char> const& region = {}) {
  check(projected.rank() == 3 && projected.dim(2) == 3 && normals.shape() == projected.shape(),
        "visible_vertices: projected and normals must be [n, V, 3], got ", projected.shape(), " and ", normals.shape());
  check(!region || region.size() == projected.dim(1), "visible_vertices: region must be [", projected.dim(1), "], got ", region.shape());
  check(!visibility || (visibility->size == size && visibility->triangle.dim(0) == projected.dim(0)),
        "visible_vertices: the visibility is of other images");
  Tensor<T> y({projected.dim(0), projected.dim(1)}, projected.device());
  detail::for_each_in_images(
      y.device(), y.dim(0), y.dim(1),
      detail::VisibleVertexKernel<T>{y.mutate(), projected.data(), normals.data(), visibility ? visibility->inverse_depth.data() : nullptr,
                                     region.data(), y.dim(1), detail::PixelCamera<T>(camera, size), size});
  return y;
}

}  // namespace rig::inline RIG_ABI::render
