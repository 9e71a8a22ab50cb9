// How far a picture of a face is from a photograph, without the picture: colours are interpolated, compared and summed in one pass
// over the pixels, and on the way back every triangle finds the differences of its pixels again. Between the two only the
// triangle of each pixel is kept, where the chain of interpolate, composite and pixel_photometric keeps and reads four pictures.
#pragma once
#include "rig/render/interpolate.hpp"
#include "rig/render/photometric.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

/// A pixel's colour minus the photograph's, with what the corners of its triangle have to do with it.
template <class T> struct RenderedDifference {
  T const *color, *photo;
  std::int64_t vertices;
  ImageSize size;
  RIG_HD Vec3<T> operator()(std::int64_t image, Fragment<T> const& p, int const* corners, std::int64_t row, std::int64_t column,
                            Vec3<T> (&a)[3]) const {
    Vec3<T> c{T(0), T(0), T(0)};
    for (int k = 0; k < 3; ++k) {
      a[k] = Vec3<T>::load(color + 3 * (image * vertices + corners[p.order[k]]));
      c += p.beta[k] * a[k];
    }
    return c - Vec3<T>::load(photo + 3 * ((image * size.height + row) * size.width + column));
  }
};
/// Sum of distances and number of pixels, over the pixels that see a region.
template <class T> struct RenderedPhotometricLeaf {
  static constexpr int width = 2;
  RenderedDifference<T> difference;
  T const* projected;
  int const* triangle;
  unsigned char const* region;
  MeshView<T> mesh;
  Rho<T> rho;
  RIG_HD void add(std::int64_t image, std::int64_t i, T* s) const {
    ImageSize const size = difference.size;
    int const f = triangle[image * size.height * size.width + i], *corners = mesh.triangle + 3 * (f < 0 ? 0 : f);
    ScreenTriangle<T> t;
    if (f < 0 || !in_region(region, corners) || !screen_triangle(t, projected + 3 * image * mesh.vertices, corners, size)) return;
    std::int64_t const row = i / size.width, column = i % size.width;
    Vec3<T> a[3];
    s[0] += rho.value(difference(image, Fragment<T>(t, row, column), corners, row, column, a)), s[1] += T(1);
  }
};
/// The gradients of its sum to the corners of a triangle: (du, dv, ddepth, colour). See cuda/owned_pixels.hpp.
template <class T> struct RenderedPhotometricTerms {
  static constexpr int width = 18;
  RenderedDifference<T> difference;
  T const *scale, *projected;  // scale [n]: gradient of an image's sum
  int const* triangle;
  unsigned char const* region;
  MeshView<T> mesh;
  ImageSize size;
  Rho<T> rho;
  RIG_HD void add(std::int64_t image, ScreenTriangle<T> const& s, int const* corners, std::int64_t row, std::int64_t column, T* sum) const {
    if (!in_region(region, corners)) return;
    Fragment<T> const p(s, row, column);
    Vec3<T> a[3];
    Vec3<T> const g = or_zero(scale[image] * rho.gradient(difference(image, p, corners, row, column, a)));
    T const gb[3] = {dot(g, a[0]), dot(g, a[1]), dot(g, a[2])};
    WeightGradient<T> const d(p, gb);
    for (int k = 0; k < 3; ++k) {
      T* const o = sum + 6 * k;
      o[0] -= p.lambda[k] * d.du, o[1] -= p.lambda[k] * d.dw, o[2] += d.depth[k];
      o[3] += p.beta[k] * g.x, o[4] += p.beta[k] * g.y, o[5] += p.beta[k] * g.z;
    }
  }
};
/// Number of pixels that see a region.
template <class T> struct RegionCountLeaf {
  static constexpr int width = 1;
  int const *triangle, *vertex;
  unsigned char const* region;
  std::int64_t pixels;
  RIG_HD void add(std::int64_t image, std::int64_t i, T* s) const {
    int const f = triangle[image * pixels + i];
    if (f >= 0 && in_region(region, vertex + 3 * f)) s[0] += T(1);
  }
};
/// y = x / count, 0 where that is 0.
template <class T> struct OverCountKernel {
  T* y;
  T const *x, *count;
  int stride;  // of both
  RIG_HD void operator()(std::int64_t i) const { y[i] = count[stride * i] > T(0) ? x[stride * i] / count[stride * i] : T(0); }
};

template <class T> struct RenderedPhotometric {
  using scalar = T;
  static constexpr char const* name = "rendered_photometric";
  Tensor<T> photo;
  Visibility visibility;
  Mesh mesh;
  Tensor<unsigned char> region;
  Rho<T> rho;
  Tensor<T> forward(Tensor<T> const& color, Tensor<T> const& projected) const {
    check_projected(name, projected, mesh);
    check_visibility(name, visibility, projected);
    check(color.shape() == projected.shape(), name, ": colours must be ", projected.shape(), " as the positions, got ", color.shape());
    Shape const want{projected.dim(0), visibility.size.height, visibility.size.width, 3};
    check(photo.shape() == want, name, ": photograph must be ", want, ", got ", photo.shape());
    check(!region || region.size() == mesh.vertices, name, ": region must be [", mesh.vertices, "], got ", region.shape());
    check_device(name, "photograph", photo, color.device()), check_device(name, "region", region, color.device());
    ImageSize const size = visibility.size;
    Tensor<T> const s = sum_images<T>(color.device(), color.dim(0), size.height * size.width,
                                      RenderedPhotometricLeaf<T>{{color.data(), photo.data(), mesh.vertices, size},
                                                                 projected.data(),
                                                                 visibility.triangle.data(),
                                                                 region.data(),
                                                                 MeshView<T>(mesh),
                                                                 rho});
    Tensor<T> y({color.dim(0)}, color.device());
    for_each(y.device(), y.size(), OverCountKernel<T>{y.mutate(), s.data(), s.data() + 1, 2});
    return y;
  }
  std::tuple<Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& color,
                                            Tensor<T> const& projected) const {
    std::int64_t const n = projected.dim(0), pixels = visibility.size.height * visibility.size.width;
    Device const device = projected.device();
    MeshView<T> const m(mesh);
    Tensor<T> gc(color.shape(), device), gp(projected.shape(), device), scale({n}, device);
    Tensor<T> const seen =
        sum_images<T>(device, n, pixels, RegionCountLeaf<T>{visibility.triangle.data(), m.triangle, region.data(), pixels});
    for_each(device, n, OverCountKernel<T>{scale.mutate(), gy.data(), seen.data(), 1});
    using Terms = RenderedPhotometricTerms<T>;
    std::int64_t const step = images_at_once(n, m.faces * Terms::width * std::int64_t(sizeof(T)));
    Tensor<T> sum({step, m.faces, Terms::width}, device);
    Tensor<unsigned char> owns({step, m.faces}, device);
    for (std::int64_t b = 0; b < n; b += step) {
      std::int64_t const count = std::min(step, n - b), v = 3 * b * m.vertices;
      sum_over_triangles(device, sum.mutate(), owns.mutate(), count,
                         Terms{{color.data() + v, photo.data() + 3 * b * pixels, m.vertices, visibility.size},
                               scale.data() + b,
                               projected.data() + v,
                               visibility.triangle.data() + b * pixels,
                               region.data(),
                               m,
                               visibility.size,
                               rho});
      for_each_in_images(device, count, m.vertices, GatherCornersKernel<T>{gp.mutate() + v, sum.data(), owns.data(), m, 6, 0, 3});
      for_each_in_images(device, count, m.vertices, GatherCornersKernel<T>{gc.mutate() + v, sum.data(), owns.data(), m, 6, 3, 3});
    }
    return {gc, gp};
  }
};

}  // namespace detail

/// Mean over the pixels that see a triangle with all corners in `region` [V] (or any) of rho(colour - photograph), for colours
/// and projected vertices [n, V, 3] and a photograph [n, h, w, 3]: [n], 0 for an image without such pixels. The same number as
/// pixel_photometric of the interpolated colours with the normalised region_mask, and the same gradients, for fixed visibility.
/// Differentiable once; sums in fixed order.
///   auto loss = rendered_photometric(colors, projected, photograph, rasterize(projected.value(), mesh, size), mesh);
template <class T>
Var<T> rendered_photometric(Var<T> const& colors, Var<T> const& projected, Tensor<T> const& photograph, Visibility const& visibility,
                            Mesh const& mesh, Tensor<unsigned char> const& region = {}, Distance d = Distance::l2) {
  return apply(detail::RenderedPhotometric<T>{photograph, visibility, mesh, region, {d, T(1e-6)}}, colors, projected);
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::RenderedPhotometric)
}  // namespace rig::inline RIG_ABI
#endif
