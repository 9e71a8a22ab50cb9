// Light as three bands of spherical harmonics, 27 numbers an image, channel-major: R[0..8], G[0..8], B[0..8].
// The basis H is that of public Deep3D tools, so coefficients can be exchanged; kernels use the same light as a constant,
// a vector and a traceless symmetric matrix, I(n) = c + l.n + n^T Q n, in which gradients and turning are one line each.
#pragma once
#include <array>

#include "rig/autodiff/op.hpp"
#include "rig/core/vec.hpp"
#include "rig/render/per_image.hpp"

namespace rig::inline RIG_ABI::render {

/// Constants of H = [h0, -k1 y, k1 z, -k1 x, k2 xy, -k2 yz, k0 (3z^2 - 1), -k2 xz, k2/2 (x^2 - y^2)].
struct LightBasis {
  static constexpr double h0 = 0.88622692545275801365;  // sqrt(pi)/2
  static constexpr double k1 = 1.7724538509055160273;   // sqrt(pi)
  static constexpr double k2 = 2.4270323906946240;      // sqrt(15 pi/8)
  static constexpr double k0 = 0.70062390204974110;     // sqrt(5 pi/32)
  static constexpr double ambient = 0.8;                ///< g0, added to coefficient 0 of every channel
};

/// The nine values of H at a unit normal.
template <class T> std::array<T, 9> light_basis(Vec3<T> n) {
  using B = LightBasis;
  return {T(B::h0),
          T(-B::k1) * n.y,
          T(B::k1) * n.z,
          T(-B::k1) * n.x,
          T(B::k2) * n.x * n.y,
          T(-B::k2) * n.y * n.z,
          T(B::k0) * (3 * n.z * n.z - 1),
          T(-B::k2) * n.x * n.z,
          T(B::k2 / 2) * (n.x * n.x - n.y * n.y)};
}

/// How others write the nine numbers of one channel; see the table in docs/conventions.
enum class LightConvention {
  deep3d,      ///< rig, Deep3DFaceRecon: ambient .8 apart
  irradiance,  ///< 1, y, z, x, xy, yz, 3z2-1, xz, x2-y2 with the Lambertian kernel, all signs +
  radiance,    ///< the same order, harmonics alone
  deca,        ///< 1, x, y, z, xy, xz, yz, x2-y2, 3z2-1; stored [9][3] there: transpose first
  gvv,         ///< irradiance order with plain polynomials
  focus,       ///< order and signs of deep3d, harmonics alone, no ambient apart
};

namespace detail {
struct LightMap {
  std::array<int, 9> place;      // where coefficient b of rig stands over there
  std::array<double, 9> factor;  // their constant over ours, with sign
  double offset;
};
inline LightMap light_map(LightConvention c) {
  std::array<double, 9> const sign{1, -1, 1, -1, 1, -1, 1, -1, 1};
  LightMap m{{0, 1, 2, 3, 4, 5, 6, 7, 8}, {}, LightBasis::ambient};
  using B = LightBasis;
  double const inv_pi = 0.31830988618379067154, root3 = 0.57735026918962576451, root8 = 0.35355339059327376220;
  double const y1 = 0.48860251190291992159 / B::k1, y2 = 1.0925484305920790705 / B::k2;
  auto bands = [&](double dc, double one, double two, bool canonical) {
    for (std::size_t b = 0; b < 9; ++b) m.factor[b] = (canonical ? sign[b] : 1) * (b == 0 ? dc : b < 4 ? one : two);
  };
  switch (c) {
    case LightConvention::deep3d:
      bands(1, 1, 1, false);
      m.offset = 0;
      break;
    case LightConvention::irradiance: bands(1, root3, root8, true); break;
    case LightConvention::radiance: bands(inv_pi, y1, y2, true); break;
    case LightConvention::deca:
      bands(inv_pi, root3, root8, true);
      m.place = {0, 2, 3, 1, 4, 6, 8, 5, 7};
      break;
    case LightConvention::gvv:
      for (std::size_t b = 0; b < 9; ++b)
        m.factor[b] = sign[b] * (b == 0 ? 1 / B::h0 : b < 4 ? 1 / B::k1 : b == 6 ? 1 / B::k0 : b == 8 ? 2 / B::k2 : 1 / B::k2);
      break;
    case LightConvention::focus: bands(inv_pi, y1, y2, false); break;
  }
  return m;
}
}  // namespace detail

/// Nine coefficients of one channel from another convention, and back.
inline std::array<double, 9> import_light(std::array<double, 9> const& theirs, LightConvention c) {
  detail::LightMap const m = detail::light_map(c);
  std::array<double, 9> ours{};
  for (std::size_t b = 0; b < 9; ++b) ours[b] = m.factor[b] * theirs[std::size_t(m.place[b])] - (b == 0 ? m.offset : 0);
  return ours;
}
inline std::array<double, 9> export_light(std::array<double, 9> const& ours, LightConvention c) {
  detail::LightMap const m = detail::light_map(c);
  std::array<double, 9> theirs{};
  for (std::size_t b = 0; b < 9; ++b) theirs[std::size_t(m.place[b])] = (ours[b] + (b == 0 ? m.offset : 0)) / m.factor[b];
  return theirs;
}

namespace detail {

/// Light of one channel as c + l.n + n^T Q n.
template <class T> struct QuadraticLight {
  T c, lx, ly, lz, xx, xy, xz, yy, yz, zz;

  RIG_HD static QuadraticLight from(T const* g, T ambient) {
    using B = LightBasis;
    T const h = T(B::k2 / 2), k0 = T(B::k0), k1 = T(B::k1);
    return {T(B::h0) * (g[0] + ambient), -k1 * g[3], -k1 * g[1],   k1 * g[2], h * g[8] - k0 * g[6], h * g[4], -h * g[7],
            -h * g[8] - k0 * g[6],       -h * g[5],  2 * k0 * g[6]};
  }
  RIG_HD void to(T* g, T ambient) const {
    using B = LightBasis;
    T const h = T(2 / B::k2), i1 = T(1 / B::k1);
    g[0] = c * T(1 / B::h0) - ambient, g[1] = -ly * i1, g[2] = lz * i1, g[3] = -lx * i1;
    g[4] = h * xy, g[5] = -h * yz, g[6] = zz * T(0.5 / B::k0), g[7] = -h * xz, g[8] = (xx - yy) * T(1 / B::k2);
  }
  RIG_HD T operator()(Vec3<T> n) const {
    return c + lx * n.x + ly * n.y + lz * n.z + xx * n.x * n.x + yy * n.y * n.y + zz * n.z * n.z +
           2 * (xy * n.x * n.y + xz * n.x * n.z + yz * n.y * n.z);
  }
  RIG_HD Vec3<T> gradient(Vec3<T> n) const {
    return {lx + 2 * (xx * n.x + xy * n.y + xz * n.z), ly + 2 * (xy * n.x + yy * n.y + yz * n.z),
            lz + 2 * (xz * n.x + yz * n.y + zz * n.z)};
  }
};

template <class T> struct LightKernel {
  QuadraticLight<T>* y;
  T const* gamma;
  T ambient;
  RIG_HD void operator()(std::int64_t i) const { y[i] = QuadraticLight<T>::from(gamma + 9 * i, ambient); }
};
template <class T> Tensor<QuadraticLight<T>> quadratic_light(Tensor<T> const& gamma) {
  Tensor<QuadraticLight<T>> y({gamma.dim(0), 3}, gamma.device());
  for_each(y.device(), y.size(), LightKernel<T>{y.mutate(), gamma.data(), T(LightBasis::ambient)});
  return y;
}

template <class T> struct ShadeKernel {
  T* y;
  T const *albedo, *normal;
  QuadraticLight<T> const* light;
  std::int64_t points;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = 3 * (image * points + i);
    auto const n = Vec3<T>::load(normal + k);
    for (int ch = 0; ch < 3; ++ch) y[k + ch] = albedo[k + ch] * light[3 * image + ch](n);
  }
};
template <class T> struct ShadeBackwardKernel {
  T *ga, *gn;
  T const *gy, *albedo, *normal;
  QuadraticLight<T> const* light;
  std::int64_t points;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = 3 * (image * points + i);
    auto const n = Vec3<T>::load(normal + k);
    Vec3<T> g{T(0), T(0), T(0)};
    for (int ch = 0; ch < 3; ++ch) {
      auto const& l = light[3 * image + ch];
      ga[k + ch] = or_zero(gy[k + ch] * l(n));
      g += or_zero((gy[k + ch] * albedo[k + ch]) * l.gradient(n));
    }
    g.store(gn + k);
  }
};
/// The 27 sums of gy A H(n), with the extension of H off the sphere that the quadratic form has.
template <class T> struct LightSumLeaf {
  static constexpr int width = 27;
  T const *gy, *albedo, *normal;
  std::int64_t points;
  RIG_HD void add(std::int64_t image, std::int64_t i, T* s) const {
    using B = LightBasis;
    std::int64_t const k = 3 * (image * points + i);
    auto const n = or_zero(Vec3<T>::load(normal + k));
    T const h[9] = {T(B::h0),
                    T(-B::k1) * n.y,
                    T(B::k1) * n.z,
                    T(-B::k1) * n.x,
                    T(B::k2) * n.x * n.y,
                    T(-B::k2) * n.y * n.z,
                    T(B::k0) * (2 * n.z * n.z - n.x * n.x - n.y * n.y),
                    T(-B::k2) * n.x * n.z,
                    T(B::k2 / 2) * (n.x * n.x - n.y * n.y)};
    for (int ch = 0; ch < 3; ++ch) {
      T const g = or_zero(gy[k + ch] * albedo[k + ch]);
      for (int b = 0; b < 9; ++b) s[9 * ch + b] += g * h[b];
    }
  }
};

template <class T> struct Shade {
  using scalar = T;
  static constexpr char const* name = "shade";
  Tensor<T> forward(Tensor<T> const& albedo, Tensor<T> const& normal, Tensor<T> const& gamma) const {
    check(albedo.rank() >= 2 && albedo.dim(-1) == 3, name, ": albedo must be [n, ..., 3], got ", albedo.shape());
    check(normal.shape() == albedo.shape(), name, ": normals must have the shape of albedo, ", albedo.shape(), ", got ", normal.shape());
    check(gamma.rank() == 2 && gamma.dim(0) == albedo.dim(0) && gamma.dim(1) == 27, name, ": light must be [", albedo.dim(0), ", 27], got ",
          gamma.shape());
    Tensor<T> y(albedo.shape(), albedo.device());
    auto const light = quadratic_light(gamma);
    for_each_in_images(y.device(), albedo.dim(0), points(albedo),
                       ShadeKernel<T>{y.mutate(), albedo.data(), normal.data(), light.data(), points(albedo)});
    return y;
  }
  std::tuple<Tensor<T>, Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& albedo,
                                                       Tensor<T> const& normal, Tensor<T> const& gamma) const {
    Tensor<T> ga(albedo.shape(), albedo.device()), gn(albedo.shape(), albedo.device());
    auto const light = quadratic_light(gamma);
    std::int64_t const n = albedo.dim(0), count = points(albedo);
    Tensor<T> const gg = sum_images<T>(gy.device(), n, count,
                                       WithSum<ShadeBackwardKernel<T>, LightSumLeaf<T>>{
                                           {ga.mutate(), gn.mutate(), gy.data(), albedo.data(), normal.data(), light.data(), count},
                                           {gy.data(), albedo.data(), normal.data(), count}});
    return {ga, gn, gg};
  }
  static std::int64_t points(Tensor<T> const& x) { return x.dim(0) ? x.size() / x.dim(0) / 3 : 0; }
};

/// l' = O l, Q' = O Q O^T.
template <class T> struct RotateLightKernel {
  T* y;
  T const *gamma, *r;
  RIG_HD void operator()(std::int64_t i) const {
    auto const q = QuadraticLight<T>::from(gamma + 9 * i, T(0));
    auto const o = Mat3<T>::load(r + 9 * (i / 3));
    Vec3<T> const l = o * Vec3<T>{q.lx, q.ly, q.lz};
    Mat3<T> const m{{q.xx, q.xy, q.xz, q.xy, q.yy, q.yz, q.xz, q.yz, q.zz}},
        ot{{o.m[0], o.m[3], o.m[6], o.m[1], o.m[4], o.m[7], o.m[2], o.m[5], o.m[8]}};
    Mat3<T> const s = o * (m * ot);
    QuadraticLight<T>{q.c, l.x, l.y, l.z, s.m[0], s.m[1], s.m[2], s.m[4], s.m[5], s.m[8]}.to(y + 9 * i, T(0));
  }
};

}  // namespace detail

/// Colours c = albedo * sum_b (gamma_b + g0_b) H_b(n) for albedo and unit normals [n, ..., 3] (vertices or pixels) and light
/// gamma [n, 27]: [n, ..., 3]. Not clamped: a clamp would kill the gradient where the light is wrong. Differentiable once;
/// the 27 sums of an image run over leaves of 1,024 points in ascending order.
template <class T> Var<T> shade(Var<T> const& albedo, Var<T> const& normals, Var<T> const& gamma) {
  return apply(detail::Shade<T>{}, albedo, normals, gamma);
}
/// The light gamma [n, 27] turned by rotations [n, 9], so that I'(R n) = I(n). No gradient.
template <class T> Tensor<T> rotate_light(Tensor<T> const& gamma, Tensor<T> const& rotation) {
  check(gamma.rank() == 2 && gamma.dim(1) == 27, "rotate_light: light must be [n, 27], got ", gamma.shape());
  check(rotation.rank() == 2 && rotation.dim(0) == gamma.dim(0) && rotation.dim(1) == 9, "rotate_light: rotation must be [", gamma.dim(0),
        ", 9], got ", rotation.shape());
  Tensor<T> y(gamma.shape(), gamma.device());
  for_each(y.device(), 3 * gamma.dim(0), detail::RotateLightKernel<T>{y.mutate(), gamma.data(), rotation.data()});
  return y;
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::Shade)
}  // namespace rig::inline RIG_ABI
#endif
