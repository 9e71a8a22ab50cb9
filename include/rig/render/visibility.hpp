// Which triangle each pixel sees, by the exact rule of screen_triangle.hpp; the nearest wins.
// Only the triangle index is kept; everything else at a pixel is computed from it again. Nothing here is differentiable.
#pragma once
#include "rig/render/camera.hpp"
#include "rig/render/cuda/coverage.hpp"
#include "rig/render/normals.hpp"
#include "rig/render/screen_triangle.hpp"

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

/// One triangle of one image; on a GPU many threads meet at a key.
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
  void operator()(std::int64_t i) const {
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
  check_device(op, "mesh", mesh.triangles, projected.device());
}

/// Terms of raster_report: invalid vertices, triangles without area, pixels covered and places where triangles cut each other.
template <class T> struct InvalidVertexLeaf {
  static constexpr int width = 1;
  ScreenVertex<T> const* vertex;
  std::int64_t vertices;
  RIG_HD void add(std::int64_t image, std::int64_t i, int* s) const { s[0] += !(vertex[image * vertices + i].q > T(0)); }
};
template <class T> struct FlatTriangleLeaf {
  static constexpr int width = 1;
  ScreenVertex<T> const* vertex;
  MeshView<T> mesh;
  RIG_HD void add(std::int64_t image, std::int64_t f, int* s) const {
    auto const* v = vertex + image * mesh.vertices;
    int const* t = mesh.triangle + 3 * f;
    auto const &a = v[t[0]], &b = v[t[1]], &c = v[t[2]];
    using P = typename Raster<T>::Product;
    if (a.q > T(0) && b.q > T(0) && c.q > T(0)) s[0] += P(b.u - a.u) * P(c.w - a.w) == P(b.w - a.w) * P(c.u - a.u);
  }
};
template <class T> struct SeenPixelLeaf {
  static constexpr int width = 2;
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
  RIG_HD void add(std::int64_t image, std::int64_t p, int* s) const {
    auto const* v = vertex + image * mesh.vertices;
    int const* seen = triangle + image * size.height * size.width;
    std::int64_t const i = p / size.width, j = p % size.width;
    s[0] += seen[p] >= 0;
    if (j + 1 < size.width) s[1] += cross(v, seen, i, j, i, j + 1);
    if (i + 1 < size.height) s[1] += cross(v, seen, i, j, i + 1, j);
  }
};
struct JoinReportKernel {
  int* y;
  int const *invalid, *flat, *seen;
  RIG_HD void operator()(std::int64_t i) const {
    y[4 * i] = invalid[i], y[4 * i + 1] = flat[i], y[4 * i + 2] = seen[2 * i], y[4 * i + 3] = seen[2 * i + 1];
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
  static constexpr int width = 1;
  T const* x;
  std::int64_t count;
  RIG_HD void add(std::int64_t image, std::int64_t i, T* s) const { s[0] += x[image * count + i]; }
};

}  // namespace detail

/// Weights [n, ...] with the same proportions that sum to one in every image; an image of zeros stays zero.
template <class T> Tensor<T> normalized_weights(Tensor<T> const& weights) {
  Tensor<T> y = weights.clone();
  std::int64_t const n = weights.dim(0), count = n ? weights.size() / n : 0;
  Tensor<T> const sum = detail::sum_images<T>(y.device(), n, count, detail::SumLeaf<T>{y.data(), count});
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
  bool const hand_written = std::is_same_v<T, float> && !device.is_cpu();
  Tensor<detail::ScreenVertex<T>> vertex({hand_written ? 0 : step, mesh.vertices}, device);
  for (std::int64_t first = 0; first < n; first += step) {
    std::int64_t const count = std::min(step, n - first);
    for_each(device, count * pixels, rig::detail::FillKernel<std::uint64_t>{keys.mutate(), 0});
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (hand_written)
        detail::cover(device, keys.mutate(), projected.data() + 3 * first * mesh.vertices, count, detail::MeshView<T>(mesh), size,
                      options.cull);
#endif
    if (!hand_written) {
      for_each(device, count * mesh.vertices, detail::ScreenVertexKernel<T>{vertex.mutate(), projected.data() + 3 * first * mesh.vertices});
      detail::RasterKernel<T> const kernel{keys.mutate(), vertex.data(), detail::MeshView<T>(mesh), size, options.cull};
      if (device.is_cpu()) {
        // Every band walks over all triangles, so an image is cut only when there are fewer images than threads.
        std::int64_t const bands = count >= threads() || size.height < 32 ? 1 : std::min<std::int64_t>((threads() + count - 1) / count, 16);
        for_each_on_cpu(count * bands, detail::RasterBandKernel<T>{kernel, bands});
      } else {
        for_each(device, count, mesh.faces(), kernel);
      }
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
  detail::MeshView<T> const m(mesh);
  ImageSize const size = visibility.size;
  Tensor<int> const invalid =
      detail::sum_images<int>(y.device(), n, mesh.vertices, detail::InvalidVertexLeaf<T>{vertex.data(), mesh.vertices});
  Tensor<int> const flat = detail::sum_images<int>(y.device(), n, mesh.faces(), detail::FlatTriangleLeaf<T>{vertex.data(), m});
  Tensor<int> const seen = detail::sum_images<int>(y.device(), n, size.height * size.width,
                                                   detail::SeenPixelLeaf<T>{vertex.data(), visibility.triangle.data(), m, size});
  for_each(y.device(), n, detail::JoinReportKernel{y.mutate(), invalid.data(), flat.data(), seen.data()});
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
