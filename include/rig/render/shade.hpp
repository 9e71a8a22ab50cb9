// Shading of pixels instead of vertices, and the mask of the pixels that a loss looks at.
#pragma once
#include "rig/ops/shape.hpp"
#include "rig/render/interpolate.hpp"
#include "rig/render/spherical_harmonics.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

template <class T> struct NormalizeVectorsKernel {
  T* y;
  T const* x;
  RIG_HD void operator()(std::int64_t i) const {
    auto const v = Vec3<T>::load(x + 3 * i);
    T const l = length(v);
    (l > no_direction<T>() && finite(l) ? (T(1) / l) * v : Vec3<T>{T(0), T(0), T(0)}).store(y + 3 * i);
  }
};
template <class T> struct NormalizeVectorsBackwardKernel {
  T* g;
  T const *gy, *y, *x;
  RIG_HD void operator()(std::int64_t i) const {
    auto const v = Vec3<T>::load(x + 3 * i), n = Vec3<T>::load(y + 3 * i), h = Vec3<T>::load(gy + 3 * i);
    T const l = length(v);
    (l > no_direction<T>() && finite(l) ? (T(1) / l) * (h - dot(n, h) * n) : Vec3<T>{T(0), T(0), T(0)}).store(g + 3 * i);
  }
};
template <class T> struct NormalizeVectors {
  using scalar = T;
  static constexpr char const* name = "normalize_vectors";
  Tensor<T> forward(Tensor<T> const& x) const {
    check(x.rank() >= 1 && x.dim(-1) == 3, name, ": expected [..., 3], got ", x.shape());
    Tensor<T> y(x.shape(), x.device());
    for_each(y.device(), y.size() / 3, NormalizeVectorsKernel<T>{y.mutate(), x.data()});
    return y;
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& x) const {
    Tensor<T> g(x.shape(), x.device());
    for_each(g.device(), g.size() / 3, NormalizeVectorsBackwardKernel<T>{g.mutate(), gy.data(), y.data(), x.data()});
    return {g};
  }
};

template <class T> struct RegionMaskKernel {
  T* y;
  int const *triangle, *vertex;
  unsigned char const* region;
  RIG_HD void operator()(std::int64_t i) const {
    int const f = triangle[i];
    y[i] = f >= 0 && in_region(region, vertex + 3 * f) ? T(1) : T(0);
  }
};

}  // namespace detail

/// Vectors [..., 3] divided by their lengths; zero stays zero. Differentiable once.
template <class T> Var<T> normalize_vectors(Var<T> const& x) { return apply(detail::NormalizeVectors<T>{}, x); }

/// Albedo and normals [n, V, 3] interpolated to pixels, normals made unit again, shaded there: [n, h, w, 3].
template <class T>
Var<T> shade_pixels(Var<T> const& albedo, Var<T> const& normals, Var<T> const& light, Var<T> const& projected, Visibility const& visibility,
                    Mesh const& mesh) {
  Var<T> const both = interpolate(concat<T>({albedo, normals}, 2), projected, visibility, mesh);
  return shade(slice(both, 3, 0, 3), normalize_vectors(slice(both, 3, 3, 3)), light);
}

/// 1 where a triangle with all corners in `region` [V] is seen, 0 elsewhere: [n, h, w]. Without region, where anything is.
template <class T> Tensor<T> region_mask(Visibility const& visibility, Mesh const& mesh, Tensor<unsigned char> const& region = {}) {
  check(!region || region.size() == mesh.vertices, "region_mask: region must be [", mesh.vertices, "], got ", region.shape());
  Tensor<T> y(visibility.triangle.shape(), visibility.triangle.device());
  for_each(y.device(), y.size(), detail::RegionMaskKernel<T>{y.mutate(), visibility.triangle.data(), mesh.triangles.data(), region.data()});
  return y;
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::NormalizeVectors)
}  // namespace rig::inline RIG_ABI
#endif
