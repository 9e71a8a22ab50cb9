// Gradients through visibility. A rendered picture jumps when a silhouette crosses a pixel centre, so its derivative with
// fixed visibility misses what matters most for pose. `motion_gradient` leaves the picture as it is and adds, on the way
// back, the position gradient of the finished picture: by summation by parts, from differences between neighbouring
// pixels. What is seen at a pair of pixels is carried by the nearer surface, or by both where they are one surface.
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

  /// Depth of the plane of the triangle seen at pixel a, at pixel b; nothing sensible (< 0) beyond its horizon.
  RIG_HD T depth(std::int64_t image_, int f, std::int64_t row, std::int64_t column) const {
    ScreenTriangle<T> s;
    if (!screen_triangle(s, projected + 3 * image_ * mesh.vertices, mesh.triangle + 3 * f, size)) return T(-1);
    T const r = Fragment<T>(s, row, column).s;
    return r > T(0) ? T(1) / r : T(-1);
  }
  /// Share of the surface at pixel (i, j) in the pair it forms with (k, l): 0, 1/2 or 1.
  RIG_HD T share(std::int64_t image_, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) const {
    int const* t = triangle + image_ * size.height * size.width;
    int const own = t[i * size.width + j], other = t[k * size.width + l];
    if (own < 0) return T(0);
    if (other < 0) return T(1);
    if (own == other) return T(0.5);
    T const d = depth(image_, own, i, j), e = depth(image_, other, k, l);
    T const tau = 2 * (d < e ? d : e) / focal;
    auto gap = [](T a, T b) { return a > b ? a - b : b - a; };
    if (gap(d, e) <= tau) return T(0.5);
    T const d_there = depth(image_, own, k, l), e_here = depth(image_, other, i, j);
    if ((d_there > T(0) && gap(d_there, e) <= tau) || (e_here > T(0) && gap(e_here, d) <= tau)) return T(0.5);
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

/// A fragment as a material point of its surface: dL/dp_k = lambda_k G, dL/dd_k = lambda_k ((p_k - P) . G) q_k.
template <class T> struct MotionTriangleKernel {
  T* sum;
  unsigned char* owns;
  T const *force, *projected;
  int const* triangle;
  MeshView<T> mesh;
  ImageSize size;
  RIG_HD void operator()(std::int64_t image, std::int64_t f) const {
    std::int64_t const pixels = size.height * size.width;
    unsigned char& flag = owns[image * mesh.faces + f];
    flag = 0;
    ScreenTriangle<T> s;
    if (!screen_triangle(s, projected + 3 * image * mesh.vertices, mesh.triangle + 3 * f, size)) return;
    T* const out = sum + (image * mesh.faces + f) * 9;
    T const *g = force + 2 * image * pixels, unit = T(1) / T(Raster<T>::unit);
    bool first = true;
    for_each_owned(s, triangle + image * pixels, int(f), size, [&](Fragment<T> const& p, std::int64_t i, std::int64_t j) {
      if (first)
        for (int k = 0; k < 9; ++k) out[k] = T(0);
      first = false;
      T const gu = g[2 * (i * size.width + j)], gw = g[2 * (i * size.width + j) + 1];
      for (int k = 0; k < 3; ++k) {
        T* o = out + 3 * p.order[k];
        T const du = T(s.v[k].u) * unit - (T(j) + T(0.5)), dw = T(s.v[k].w) * unit - (T(i) + T(0.5));
        o[0] += p.lambda[k] * gu, o[1] += p.lambda[k] * gw, o[2] += p.lambda[k] * (du * gu + dw * gw) * p.q[k];
      }
    });
    flag = first ? 0 : 1;
  }
};

template <class T> struct MotionGradient {
  using scalar = T;
  static constexpr char const* name = "motion_gradient";
  Visibility visibility;
  Mesh mesh;
  Camera camera;
  Tensor<T> forward(Tensor<T> const& image, Tensor<T> const& projected) const {
    check_projected(name, projected, mesh);
    check_visibility(name, visibility, projected.dim(0));
    check(image.rank() == 4 && image.size() == visibility.triangle.size() * image.dim(3), name, ": image must be [n, h, w, c] over ",
          visibility.triangle.shape(), ", got ", image.shape());
    return image;
  }
  std::tuple<Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& image,
                                            Tensor<T> const& projected) const {
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
      for_each_in_images(gy.device(), count, pixels,
                         MotionForceKernel<T>{force.mutate(), gy.data() + b * pixels * channels, image.data() + b * pixels * channels,
                                              projected.data() + v, triangle, m, size, channels, T(camera.focal_pixels(size.height))});
      for_each_in_images(gy.device(), count, m.faces,
                         MotionTriangleKernel<T>{sum.mutate(), owns.mutate(), force.data(), projected.data() + v, triangle, m, size});
      for_each_in_images(gy.device(), count, m.vertices, GatherCornersKernel<T>{gp.mutate() + v, sum.data(), owns.data(), m, 3, 0, 3});
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
  return apply(detail::MotionGradient<T>{visibility, mesh, camera}, image, projected);
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::MotionGradient)
}  // namespace rig::inline RIG_ABI
#endif
