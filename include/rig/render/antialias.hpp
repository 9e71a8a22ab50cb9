// Gradients through visibility. A rendered picture jumps when a silhouette crosses a pixel centre, so its derivative with
// fixed visibility misses what matters most for pose. The ops here leave the picture as it is and add, on the way back, the
// position gradient of the finished picture. `motion_gradient`: by summation by parts, from differences between all
// neighbouring pixels; what is seen at a pair is carried by the nearer surface, or by both where they are one surface.
// `fragment_gradient`: the same at boundaries only, beside the slope inside triangles. `silhouette_gradient`: an integral
// along the silhouette edges of the mesh; it knows nothing of pairs of pixels, and so is an independent check of the others.
#pragma once
#include "rig/render/interpolate.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

/// Force on what each pixel sees: G = -sum over neighbour pairs of share x sum_c (C1 - C0)(g0 + g1)/2.
template <class T> struct MotionForceKernel {
  T* force;  // [n, h, w, 2]
  T const *gy, *image, *projected;
  int const* triangle;
  MeshView<T> mesh;
  ImageSize size;
  std::int64_t channels;
  T focal;
  T joined;  // share of each pixel in a pair on one surface

  /// Depth of the plane of the triangle seen at pixel a, at pixel b; nothing sensible (< 0) beyond its horizon.
  RIG_HD T depth(std::int64_t image_, int f, std::int64_t row, std::int64_t column) const {
    ScreenTriangle<T> s;
    if (!screen_triangle(s, projected + 3 * image_ * mesh.vertices, mesh.triangle + 3 * f, size)) return T(-1);
    T const r = Fragment<T>(s, row, column).s;
    return r > T(0) ? T(1) / r : T(-1);
  }
  /// Share of the surface at pixel (i, j) in the pair it forms with (k, l): 0, 1 or, on one surface, `joined`.
  RIG_HD T share(std::int64_t image_, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) const {
    int const* t = triangle + image_ * size.height * size.width;
    int const own = t[i * size.width + j], other = t[k * size.width + l];
    if (own < 0) return T(0);
    if (other < 0) return T(1);
    if (own == other) return joined;
    T const d = depth(image_, own, i, j), e = depth(image_, other, k, l);
    T const tau = 2 * (d < e ? d : e) / focal;
    auto gap = [](T a, T b) { return a > b ? a - b : b - a; };
    if (gap(d, e) <= tau) return joined;
    T const d_there = depth(image_, own, k, l), e_here = depth(image_, other, i, j);
    if ((d_there > T(0) && gap(d_there, e) <= tau) || (e_here > T(0) && gap(e_here, d) <= tau)) return joined;
    return d < e ? T(1) : T(0);
  }
  /// sum_c (C1 - C0) (g0 + g1) / 2 of the pair of pixels p0, p1.
  RIG_HD T jump(std::int64_t p0, std::int64_t p1) const {
    T s = 0;
    for (std::int64_t c = 0; c < channels; ++c)
      s += (image[p1 * channels + c] - image[p0 * channels + c]) * (gy[p0 * channels + c] + gy[p1 * channels + c]);
    return T(0.5) * s;
  }
  RIG_HD void operator()(std::int64_t n, std::int64_t p) const {
    std::int64_t const i = p / size.width, j = p % size.width, at = n * size.height * size.width + p;
    T u = 0, w = 0;
    if (triangle[at] >= 0) {
      if (j > 0) u -= share(n, i, j, i, j - 1) * jump(at - 1, at);
      if (j + 1 < size.width) u -= share(n, i, j, i, j + 1) * jump(at, at + 1);
      if (i > 0) w -= share(n, i, j, i - 1, j) * jump(at - size.width, at);
      if (i + 1 < size.height) w -= share(n, i, j, i + 1, j) * jump(at, at + size.width);
    }
    force[2 * at] = or_zero(u), force[2 * at + 1] = or_zero(w);
  }
};

/// A fragment as a material point of its surface: dL/dp_k = lambda_k G, dL/dd_k = lambda_k ((p_k - P) . G) q_k. Nine numbers a
/// triangle, as terms of cuda/owned_pixels.hpp: corner by corner of the screen triangle.
template <class T> struct MotionTerms {
  static constexpr int width = 9;
  T const *force, *projected;
  int const* triangle;
  MeshView<T> mesh;
  ImageSize size;
  RIG_HD void add(std::int64_t image, ScreenTriangle<T> const& s, int const*, std::int64_t row, std::int64_t column, T* sum) const {
    Fragment<T> const p(s, row, column);
    T const *g = force + 2 * ((image * size.height + row) * size.width + column), unit = T(1) / T(Raster<T>::unit);
    T const gu = g[0], gw = g[1];
    for (int k = 0; k < 3; ++k) {
      T const du = T(s.v[k].u) * unit - (T(column) + T(0.5)), dw = T(s.v[k].w) * unit - (T(row) + T(0.5));
      sum[3 * k] += p.lambda[k] * gu, sum[3 * k + 1] += p.lambda[k] * gw;
      sum[3 * k + 2] += p.lambda[k] * (du * gu + dw * gw) * p.q[k];
    }
  }
};
template <class T>
void check_finished(char const* name, Tensor<T> const& image, Tensor<T> const& projected, Visibility const& visibility, Mesh const& mesh) {
  check_projected(name, projected, mesh);
  check_visibility(name, visibility, projected);
  check(image.rank() == 4 && image.size() == visibility.triangle.size() * image.dim(3), name, ": image must be [n, h, w, c] over ",
        visibility.triangle.shape(), ", got ", image.shape());
}

/// The position gradient of a picture from pairs of neighbouring pixels.
template <class T>
Tensor<T> pair_gradient(Tensor<T> const& gy, Tensor<T> const& image, Tensor<T> const& projected, Visibility const& visibility,
                        Mesh const& mesh, Camera const& camera, T joined) {
  ImageSize const size = visibility.size;
  std::int64_t const n = projected.dim(0), pixels = size.height * size.width, channels = image.dim(3);
  MeshView<T> const m(mesh);
  Tensor<T> gp(projected.shape(), projected.device());
  std::int64_t const step = images_at_once(n, (m.faces * 9 + pixels * 2) * std::int64_t(sizeof(T)));
  Tensor<T> force({step, pixels, 2}, projected.device()), sum({step, m.faces, 9}, projected.device());
  Tensor<unsigned char> owns({step, m.faces}, projected.device());
  for (std::int64_t b = 0; b < n; b += step) {
    std::int64_t const count = std::min(step, n - b), v = 3 * b * m.vertices;
    int const* triangle = visibility.triangle.data() + b * pixels;
    for_each_in_images(
        gy.device(), count, pixels,
        MotionForceKernel<T>{force.mutate(), gy.data() + b * pixels * channels, image.data() + b * pixels * channels, projected.data() + v,
                             triangle, m, size, channels, T(camera.focal_pixels(size.height)), joined});
    MotionTerms<T> const terms{force.data(), projected.data() + v, triangle, m, size};
    sum_over_triangles(gy.device(), sum.mutate(), owns.mutate(), count, terms);
    for_each_in_images(gy.device(), count, m.vertices, GatherCornersKernel<T>{gp.mutate() + v, sum.data(), owns.data(), m, 3, 0, 3});
  }
  return gp;
}

template <class T, bool Motion> struct PairGradient {
  using scalar = T;
  static constexpr char const* name = Motion ? "motion_gradient" : "fragment_gradient";
  Visibility visibility;
  Mesh mesh;
  Camera camera;
  Tensor<T> forward(Tensor<T> const& image, Tensor<T> const& projected) const {
    check_finished(name, image, projected, visibility, mesh);
    return image;
  }
  std::tuple<Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& image,
                                            Tensor<T> const& projected) const {
    return {gy, pair_gradient(gy, image, projected, visibility, mesh, camera, T(Motion ? 0.5 : 0))};
  }
};
template <class T> struct MotionGradient : PairGradient<T, true> {};
template <class T> struct FragmentGradient : PairGradient<T, false> {};

/// Each silhouette edge walks along itself on the screen; at every sample the picture changes from the edge's own colour to
/// the pixel outside as the edge moves outward. force[edge] = dL/d(u, w) of its two ends.
template <class T> struct SilhouetteEdgeKernel {
  T* force;  // [n, E, 4]
  T const *gy, *image, *projected, *color;
  float const* inverse_depth;
  int const* edge;
  MeshView<T> mesh;
  ImageSize size;
  std::int64_t edges, channels;
  T focal;

  RIG_HD bool faces_camera(T const* p, int f) const {
    if (f < 0) return false;
    T const *a = p + 3 * mesh.triangle[3 * f], *b = p + 3 * mesh.triangle[3 * f + 1], *c = p + 3 * mesh.triangle[3 * f + 2];
    if (!(a[2] > T(0)) || !(b[2] > T(0)) || !(c[2] > T(0))) return false;
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) < T(0);
  }
  /// Index of the pixel that holds a point, or -1.
  RIG_HD std::int64_t pixel(T u, T w) const {
    if (!(u >= T(0)) || !(w >= T(0)) || !(u < T(size.width)) || !(w < T(size.height))) return -1;
    return std::int64_t(w) * size.width + std::int64_t(u);
  }
  RIG_HD void operator()(std::int64_t n, std::int64_t e) const {
    T* const out = force + 4 * (n * edges + e);
    for (int k = 0; k < 4; ++k) out[k] = T(0);
    int const *v = edge + 4 * e, a = v[0], b = v[1];
    T const* p = projected + 3 * n * mesh.vertices;
    bool const front0 = faces_camera(p, v[2]), front1 = faces_camera(p, v[3]);
    if (front0 == front1) return;
    T const *pa = p + 3 * a, *pb = p + 3 * b;
    if (!(pa[2] > T(0)) || !(pb[2] > T(0))) return;
    T const dx = pb[0] - pa[0], dy = pb[1] - pa[1], length = std::sqrt(dx * dx + dy * dy);
    if (!(length > T(1e-12)) || !(length < T(65536))) return;
    int const *t = mesh.triangle + 3 * (front0 ? v[2] : v[3]), third = t[0] != a && t[0] != b ? t[0] : t[1] != a && t[1] != b ? t[1] : t[2];
    T nx = dy / length, ny = -dx / length;  // turned outwards: away from the third vertex
    if (nx * (p[3 * third] - pa[0]) + ny * (p[3 * third + 1] - pa[1]) > T(0)) nx = -nx, ny = -ny;
    std::int64_t const samples = length > T(1) ? std::int64_t(std::ceil(length)) : 1, first = n * size.height * size.width;
    T const qa = T(1) / pa[2], qb = T(1) / pb[2];
    T ga = 0, gb = 0;
    for (std::int64_t i = 0; i < samples; ++i) {
      T const s = (T(i) + T(0.5)) / T(samples), u = pa[0] + s * dx, w = pa[1] + s * dy, q = (1 - s) * qa + s * qb, d = 1 / q;
      std::int64_t const outside = pixel(u + T(0.75) * nx, w + T(0.75) * ny), inside = pixel(u - T(0.75) * nx, w - T(0.75) * ny);
      if (outside < 0) continue;
      T const there = T(inverse_depth[first + outside]), here = inside < 0 ? T(0) : T(inverse_depth[first + inside]);
      if (there > T(0) && T(1) / there <= d + 2 * d / focal) continue;  // joined to what is outside, or hidden by it
      if (here > T(0) && T(1) / here < d - 40 * d / focal) continue;    // hidden from the inside
      T const beta = s * qb / q;
      T gain = 0;
      for (std::int64_t c = 0; c < channels; ++c) {
        T const own = (1 - beta) * color[(n * mesh.vertices + a) * channels + c] + beta * color[(n * mesh.vertices + b) * channels + c];
        gain += bilinear(gy + first * channels, u, w, c) * (own - image[(first + outside) * channels + c]);
      }
      gain *= length / T(samples);
      ga += (1 - s) * gain, gb += s * gain;
    }
    out[0] = or_zero(ga * nx), out[1] = or_zero(ga * ny), out[2] = or_zero(gb * nx), out[3] = or_zero(gb * ny);
  }
  RIG_HD T bilinear(T const* g, T u, T w, std::int64_t c) const {
    T const x = std::fmin(std::fmax(u - T(0.5), T(0)), T(size.width - 1)), y = std::fmin(std::fmax(w - T(0.5), T(0)), T(size.height - 1));
    std::int64_t const j = std::int64_t(x), i = std::int64_t(y), right = j + 1 < size.width ? j + 1 : j,
                       below = i + 1 < size.height ? i + 1 : i;
    T const fx = x - T(j), fy = y - T(i);
    auto at = [&](std::int64_t row, std::int64_t column) { return g[(row * size.width + column) * channels + c]; };
    return (1 - fy) * ((1 - fx) * at(i, j) + fx * at(i, right)) + fy * ((1 - fx) * at(below, j) + fx * at(below, right));
  }
};
/// Position gradients from the ends of edges, in ascending order of the edges.
template <class T> struct GatherEdgesKernel {
  T* y;
  T const* force;
  int const *edge, *offset, *list;
  std::int64_t vertices, edges;
  RIG_HD void operator()(std::int64_t n, std::int64_t i) const {
    T u = 0, w = 0;
    for (int k = offset[i]; k < offset[i + 1]; ++k) {
      std::int64_t const e = list[k];
      T const* f = force + 4 * (n * edges + e) + (edge[4 * e] == i ? 0 : 2);
      u += f[0], w += f[1];
    }
    T* const out = y + 3 * (n * vertices + i);
    out[0] = u, out[1] = w, out[2] = T(0);
  }
};

template <class T> struct SilhouetteGradient {
  using scalar = T;
  static constexpr char const* name = "silhouette_gradient";
  Tensor<T> colors;
  Visibility visibility;
  Mesh mesh;
  Camera camera;
  Tensor<T> forward(Tensor<T> const& image, Tensor<T> const& projected) const {
    check_finished(name, image, projected, visibility, mesh);
    Shape const want{projected.dim(0), mesh.vertices, image.dim(3)};
    check(colors.shape() == want, name, ": colors must be ", want, ", got ", colors.shape());
    return image;
  }
  std::tuple<Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& image,
                                            Tensor<T> const& projected) const {
    ImageSize const size = visibility.size;
    std::int64_t const n = projected.dim(0), pixels = size.height * size.width, channels = image.dim(3), edges = mesh.edges.dim(0);
    MeshView<T> const m(mesh);
    Tensor<T> gp(projected.shape(), projected.device());
    std::int64_t const step = images_at_once(n, 4 * edges * std::int64_t(sizeof(T)));
    Tensor<T> force({step, edges, 4}, projected.device());
    for (std::int64_t b = 0; b < n; b += step) {
      std::int64_t const count = std::min(step, n - b), v = b * m.vertices;
      for_each_in_images(
          gy.device(), count, edges,
          SilhouetteEdgeKernel<T>{force.mutate(), gy.data() + b * pixels * channels, image.data() + b * pixels * channels,
                                  projected.data() + 3 * v, colors.data() + v * channels, visibility.inverse_depth.data() + b * pixels,
                                  mesh.edges.data(), m, size, edges, channels, T(camera.focal_pixels(size.height))});
      for_each_in_images(gy.device(), count, m.vertices,
                         GatherEdgesKernel<T>{gp.mutate() + 3 * v, force.data(), mesh.edges.data(), mesh.edges_around.offsets.data(),
                                              mesh.edges_around.list.data(), m.vertices, edges});
    }
    return {gy, gp};
  }
};

}  // namespace detail

/// The finished picture [n, h, w, c], unchanged, with a gradient to the projected positions [n, V, 3] that knows about
/// silhouettes and occlusions. Composite the background before, mask, crop or blur after, and interpolate attributes with
/// projected.detach(), because this takes the place of the slope inside triangles. Once differentiable, deterministic.
///   auto image = composite(interpolate(colors, projected.detach(), seen, mesh), background, seen);
///   image = motion_gradient(image, projected, seen, mesh, camera);
template <class T>
Var<T> motion_gradient(Var<T> const& image, Var<T> const& projected, Visibility const& visibility, Mesh const& mesh, Camera const& camera) {
  return apply(detail::MotionGradient<T>{{visibility, mesh, camera}}, image, projected);
}

/// As motion_gradient, but only where two surfaces meet. The slope inside triangles stays in force: interpolate with
/// `projected` itself. Less accurate than motion_gradient on dense meshes; there for comparison.
template <class T>
Var<T> fragment_gradient(Var<T> const& image, Var<T> const& projected, Visibility const& visibility, Mesh const& mesh,
                         Camera const& camera) {
  return apply(detail::FragmentGradient<T>{{visibility, mesh, camera}}, image, projected);
}

/// The finished picture, unchanged, with the integral along silhouette edges (of triangles that face the camera, beside
/// others that do not or beside nothing) as gradient to the projected positions. `colors` [n, V, c] are the vertices' own,
/// as interpolated into the picture; the slope inside triangles stays in force: interpolate with `projected` itself.
/// All but exact for closed smooth surfaces. Once differentiable, deterministic.
///   auto image = composite(interpolate(colors, projected, seen, mesh), background, seen);
///   image = silhouette_gradient(image, projected, colors.value(), seen, mesh, camera);
template <class T>
Var<T> silhouette_gradient(Var<T> const& image, Var<T> const& projected, Tensor<T> const& colors, Visibility const& visibility,
                           Mesh const& mesh, Camera const& camera) {
  return apply(detail::SilhouetteGradient<T>{colors, visibility, mesh, camera}, image, projected);
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::MotionGradient)
RIG_OP(render::detail::FragmentGradient)
RIG_OP(render::detail::SilhouetteGradient)
}  // namespace rig::inline RIG_ABI
#endif
