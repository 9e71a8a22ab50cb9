// How far a picture is from a face, one number an image. Two forms:
//   vertex: colours of visible vertices against the photograph sampled where they project. No shaded picture is drawn, and
//           the photograph's own slope moves the vertices, so silhouettes need nothing special.
//   pixel:  a rendered picture against the photograph over a mask.
// Weights, masks and the photograph are constants.
#pragma once
#include "rig/autodiff/op.hpp"
#include "rig/render/visibility.hpp"

namespace rig::inline RIG_ABI::render {

/// Of a difference x over three channels.
enum class Distance {
  l2,   ///< sum x^2 / 3
  l21,  ///< sqrt(sum x^2 + eps): less moved by outliers (MoFA, Deep3DFaceRecon)
};

namespace detail {

template <class T> struct Rho {
  Distance distance;
  T eps;
  RIG_HD T value(Vec3<T> x) const { return distance == Distance::l2 ? dot(x, x) / T(3) : std::sqrt(dot(x, x) + eps); }
  RIG_HD Vec3<T> gradient(Vec3<T> x) const {
    return distance == Distance::l2 ? (T(2) / T(3)) * x : (T(1) / std::sqrt(dot(x, x) + eps)) * x;
  }
};

/// A photograph [h, w, 3] seen as a piecewise bilinear function with pixel centres at +.5, constant beyond the outermost.
template <class T> struct Bilinear {
  T const* p;
  std::int64_t h, w;
  struct Axis {
    std::int64_t low, high;
    T f;
    bool inside;
  };
  RIG_HD static Axis axis(T x, std::int64_t n) {
    T const c = x - T(0.5);
    if (!(c > T(0))) return {0, 0, T(0), false};
    if (!(c < T(n - 1))) return {n - 1, n - 1, T(0), false};
    std::int64_t const i = std::int64_t(c);
    return {i, i + 1, c - T(i), true};
  }
  RIG_HD Vec3<T> at(std::int64_t i, std::int64_t j) const { return Vec3<T>::load(p + 3 * (i * w + j)); }
  RIG_HD Vec3<T> value(T u, T v) const {
    Axis const x = axis(u, w), y = axis(v, h);
    Vec3<T> const a = (T(1) - x.f) * at(y.low, x.low) + x.f * at(y.low, x.high),
                  b = (T(1) - x.f) * at(y.high, x.low) + x.f * at(y.high, x.high);
    return (T(1) - y.f) * a + y.f * b;
  }
  RIG_HD void slope(T u, T v, Vec3<T>& du, Vec3<T>& dv) const {
    Axis const x = axis(u, w), y = axis(v, h);
    Vec3<T> const a = at(y.low, x.low), b = at(y.low, x.high), c = at(y.high, x.low), d = at(y.high, x.high);
    du = x.inside ? (T(1) - y.f) * (b - a) + y.f * (d - c) : Vec3<T>{T(0), T(0), T(0)};
    dv = y.inside ? (T(1) - x.f) * (c - a) + x.f * (d - b) : Vec3<T>{T(0), T(0), T(0)};
  }
};

template <class T> struct VertexPhotometricLeaf {
  static constexpr int width = 1;
  T const *color, *projected, *photo, *weight;
  std::int64_t vertices, h, w;
  Rho<T> rho;
  RIG_HD void add(std::int64_t image, std::int64_t i, T* s) const {
    std::int64_t const k = image * vertices + i;
    if (!(weight[k] > T(0))) return;
    Bilinear<T> const picture{photo + image * h * w * 3, h, w};
    s[0] += weight[k] * rho.value(picture.value(projected[3 * k], projected[3 * k + 1]) - Vec3<T>::load(color + 3 * k));
  }
};
template <class T> struct VertexPhotometricBackwardKernel {
  T *gc, *gp;
  T const *gy, *color, *projected, *photo, *weight;
  std::int64_t vertices, h, w;
  Rho<T> rho;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = image * vertices + i;
    Vec3<T> const zero{T(0), T(0), T(0)};
    if (!(weight[k] > T(0))) {
      zero.store(gc + 3 * k), zero.store(gp + 3 * k);
      return;
    }
    Bilinear<T> const picture{photo + image * h * w * 3, h, w};
    T const u = projected[3 * k], v = projected[3 * k + 1];
    Vec3<T> const g = or_zero((gy[image] * weight[k]) * rho.gradient(picture.value(u, v) - Vec3<T>::load(color + 3 * k)));
    Vec3<T> du, dv;
    picture.slope(u, v, du, dv);
    (-g).store(gc + 3 * k);
    gp[3 * k] = or_zero(dot(g, du)), gp[3 * k + 1] = or_zero(dot(g, dv)), gp[3 * k + 2] = T(0);
  }
};
template <class T> struct VertexPhotometric {
  using scalar = T;
  static constexpr char const* name = "vertex_photometric";
  Tensor<T> photo, weight;
  Rho<T> rho;
  Tensor<T> forward(Tensor<T> const& color, Tensor<T> const& projected) const {
    check_points(name, color, "colours");
    check(projected.shape() == color.shape(), name, ": projected must be ", color.shape(), " as the colours, got ", projected.shape());
    check(photo.rank() == 4 && photo.dim(0) == color.dim(0) && photo.dim(3) == 3 && photo.dim(1) > 0 && photo.dim(2) > 0, name,
          ": photograph must be [", color.dim(0), ", h, w, 3], got ", photo.shape());
    check(weight.shape() == Shape({color.dim(0), color.dim(1)}), name, ": weights must be [", color.dim(0), ", ", color.dim(1), "], got ",
          weight.shape());
    check_device(name, "photograph", photo, color.device()), check_device(name, "weight", weight, color.device());
    return sum_images<T>(color.device(), color.dim(0), color.dim(1),
                         VertexPhotometricLeaf<T>{color.data(), projected.data(), photo.data(), weight.data(), color.dim(1), photo.dim(1),
                                                  photo.dim(2), rho})
        .reshape({color.dim(0)});
  }
  std::tuple<Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& color,
                                            Tensor<T> const& projected) const {
    Tensor<T> gc(color.shape(), color.device()), gp(color.shape(), color.device());
    for_each_in_images(color.device(), color.dim(0), color.dim(1),
                       VertexPhotometricBackwardKernel<T>{gc.mutate(), gp.mutate(), gy.data(), color.data(), projected.data(), photo.data(),
                                                          weight.data(), color.dim(1), photo.dim(1), photo.dim(2), rho});
    return {gc, gp};
  }
};

template <class T> struct PixelPhotometricLeaf {
  static constexpr int width = 1;
  T const *image, *photo, *weight;
  std::int64_t pixels;
  Rho<T> rho;
  RIG_HD void add(std::int64_t n, std::int64_t i, T* s) const {
    std::int64_t const k = n * pixels + i;
    if (weight[k] > T(0)) s[0] += weight[k] * rho.value(Vec3<T>::load(image + 3 * k) - Vec3<T>::load(photo + 3 * k));
  }
};
template <class T> struct PixelPhotometricBackwardKernel {
  T* g;
  T const *gy, *image, *photo, *weight;
  std::int64_t pixels;
  Rho<T> rho;
  RIG_HD void operator()(std::int64_t n, std::int64_t i) const {
    std::int64_t const k = n * pixels + i;
    Vec3<T> r{T(0), T(0), T(0)};
    if (weight[k] > T(0)) r = or_zero((gy[n] * weight[k]) * rho.gradient(Vec3<T>::load(image + 3 * k) - Vec3<T>::load(photo + 3 * k)));
    r.store(g + 3 * k);
  }
};
template <class T> struct PixelPhotometric {
  using scalar = T;
  static constexpr char const* name = "pixel_photometric";
  Tensor<T> photo, weight;
  Rho<T> rho;
  Tensor<T> forward(Tensor<T> const& image) const {
    check(image.rank() == 4 && image.dim(3) == 3, name, ": image must be [n, h, w, 3], got ", image.shape());
    check(photo.shape() == image.shape(), name, ": photograph must be ", image.shape(), " as the image, got ", photo.shape());
    check(weight.shape() == Shape({image.dim(0), image.dim(1), image.dim(2)}), name, ": weights must be [n, h, w] of ", image.shape(),
          ", got ", weight.shape());
    check_device(name, "photograph", photo, image.device()), check_device(name, "weight", weight, image.device());
    std::int64_t const pixels = image.dim(1) * image.dim(2);
    return sum_images<T>(image.device(), image.dim(0), pixels,
                         PixelPhotometricLeaf<T>{image.data(), photo.data(), weight.data(), pixels, rho})
        .reshape({image.dim(0)});
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& image) const {
    Tensor<T> g(image.shape(), image.device());
    std::int64_t const pixels = image.dim(1) * image.dim(2);
    for_each_in_images(image.device(), image.dim(0), pixels,
                       PixelPhotometricBackwardKernel<T>{g.mutate(), gy.data(), image.data(), photo.data(), weight.data(), pixels, rho});
    return {g};
  }
};

}  // namespace detail

/// sum_v weight_v rho(photograph(u_v, v_v) - colour_v) for colours and projected vertices [n, V, 3], a photograph
/// [n, h, w, 3] and weights [n, V], usually normalized_weights(visible_vertices(...)): [n]. Gradients to the colours and,
/// by the exact slope of the bilinear photograph, to the projections. Differentiable once; sums in fixed order.
template <class T>
Var<T> vertex_photometric(Var<T> const& colors, Var<T> const& projected, Tensor<T> const& photograph, Tensor<T> const& weights,
                          Distance d = Distance::l21) {
  return apply(detail::VertexPhotometric<T>{photograph, weights, {d, T(1e-8)}}, colors, projected);
}
/// sum over pixels of weight rho(image - photograph) for pictures [n, h, w, 3] and weights [n, h, w], usually the normalised
/// mask: [n]. Differentiable once; sums in fixed order.
template <class T>
Var<T> pixel_photometric(Var<T> const& image, Tensor<T> const& photograph, Tensor<T> const& weights, Distance d = Distance::l2) {
  return apply(detail::PixelPhotometric<T>{photograph, weights, {d, T(1e-6)}}, image);
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::VertexPhotometric)
RIG_OP(render::detail::PixelPhotometric)
}  // namespace rig::inline RIG_ABI
#endif
