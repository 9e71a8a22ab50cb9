// Vertex normals: the cross products of the triangles round a vertex, summed (so weighted by area) and normalised.
// Both directions run as two kernels, one over triangles and one that gathers at vertices in ascending triangle order.
// A vertex whose sum is (nearly) zero, or that has no triangle, gets (0, 0, 1) and no gradient.
#pragma once
#include "rig/autodiff/op.hpp"
#include "rig/core/vec.hpp"
#include "rig/render/camera.hpp"
#include "rig/render/mesh.hpp"
#include "rig/render/per_image.hpp"

namespace rig::inline RIG_ABI::render {

enum class NormalWeights {
  area,  ///< cross products as they are
  unit,  ///< normalised first: every triangle counts alike (Deep3DFaceRecon, eos)
};

namespace detail {

// Below this length a sum of cross products has no direction. Squares of it must not vanish in float.
template <class T> RIG_HD T no_direction() { return sizeof(T) == 4 ? T(1e-18) : T(1e-150); }

/// The cross product of triangle t of vertices p.
template <class T> RIG_HD Vec3<T> face_normal(T const* p, int const* t, bool unit) {
  auto const a = Vec3<T>::load(p + 3 * t[0]), b = Vec3<T>::load(p + 3 * t[1]), c = Vec3<T>::load(p + 3 * t[2]);
  Vec3<T> n = cross(b - a, c - a);
  if (unit) {
    T const l = length(n);
    n = l > no_direction<T>() ? (T(1) / l) * n : Vec3<T>{T(0), T(0), T(0)};
  }
  return n;
}
template <class T> struct FaceNormalKernel {
  T* m;
  T const* v;
  MeshView<T> mesh;
  bool unit;
  RIG_HD void operator()(std::int64_t image, std::int64_t f) const {
    face_normal(v + 3 * image * mesh.vertices, mesh.triangle + 3 * f, unit).store(m + 3 * (image * mesh.faces + f));
  }
};
/// The sum round a vertex of what FaceNormalKernel found.
template <class T> struct NormalSum {
  T const* m;
  MeshView<T> mesh;
  RIG_HD Vec3<T> operator()(std::int64_t image, std::int64_t i) const {
    Vec3<T> u{T(0), T(0), T(0)};
    T const* p = m + 3 * image * mesh.faces;
    for (int k = mesh.offset[i]; k < mesh.offset[i + 1]; ++k) u += Vec3<T>::load(p + 3 * mesh.list[k]);
    return u;
  }
};
template <class T, class Sum> struct VertexNormalKernel {
  T* y;
  Sum sum;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    Vec3<T> const u = sum(image, i);
    T const l = length(u);
    Vec3<T> n{T(0), T(0), T(1)};
    if (l > no_direction<T>() && finite(l)) n = (T(1) / l) * u;
    n.store(y + 3 * (image * sum.mesh.vertices + i));
  }
};
/// k_v = (g - n (n . g)) / |u|
template <class T, class Sum> struct NormalSumBackwardKernel {
  T* k;
  T const *gy, *y;
  Sum sum;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const at = 3 * (image * sum.mesh.vertices + i);
    Vec3<T> const u = sum(image, i);
    T const l = length(u);
    Vec3<T> r{T(0), T(0), T(0)};
    auto const g = Vec3<T>::load(gy + at), n = Vec3<T>::load(y + at);
    if (l > no_direction<T>() && finite(l)) r = (T(1) / l) * (g - dot(n, g) * n);
    or_zero(r).store(k + at);
  }
};
/// s = sum of k over the triangle's vertices, brought back through the normalisation of the face normal if there was one.
template <class T> struct FaceNormalBackward {
  T const *k, *v;
  MeshView<T> mesh;
  bool unit;
  RIG_HD Vec3<T> operator()(std::int64_t image, std::int64_t f) const {
    T const *p = k + 3 * image * mesh.vertices, *x = v + 3 * image * mesh.vertices;
    int const* t = mesh.triangle + 3 * f;
    Vec3<T> r = Vec3<T>::load(p + 3 * t[0]) + Vec3<T>::load(p + 3 * t[1]) + Vec3<T>::load(p + 3 * t[2]);
    if (unit) {
      auto const a = Vec3<T>::load(x + 3 * t[0]), b = Vec3<T>::load(x + 3 * t[1]), c = Vec3<T>::load(x + 3 * t[2]);
      Vec3<T> const n = cross(b - a, c - a);
      T const l = length(n);
      if (l > no_direction<T>()) {
        Vec3<T> const e = (T(1) / l) * n;
        r = (T(1) / l) * (r - dot(e, r) * e);
      } else {
        r = {T(0), T(0), T(0)};
      }
    }
    return r;
  }
};
template <class T> struct FaceNormalBackwardKernel {
  T* s;
  FaceNormalBackward<T> backward;
  RIG_HD void operator()(std::int64_t image, std::int64_t f) const { backward(image, f).store(s + 3 * (image * backward.mesh.faces + f)); }
};
/// What FaceNormalBackwardKernel found.
template <class T> struct StoredFaces {
  T const* s;
  std::int64_t faces;
  RIG_HD Vec3<T> operator()(std::int64_t image, std::int64_t f) const { return Vec3<T>::load(s + 3 * (image * faces + f)); }
};
/// dL/dp_k += s x (p_{k+2} - p_{k+1})
template <class T, class Faces> struct NormalVertexBackwardKernel {
  T* gv;
  Faces s;
  T const* v;
  MeshView<T> mesh;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    T const* x = v + 3 * image * mesh.vertices;
    Vec3<T> g{T(0), T(0), T(0)};
    for (int k = mesh.offset[i]; k < mesh.offset[i + 1]; ++k) {
      int const f = mesh.list[k], *t = mesh.triangle + 3 * f;
      if (t[0] == t[1] || t[1] == t[2] || t[2] == t[0]) continue;  // its cross product is zero wherever its vertices go
      int const corner = t[0] == i ? 0 : t[1] == i ? 1 : 2;
      g += cross(s(image, f), Vec3<T>::load(x + 3 * t[(corner + 2) % 3]) - Vec3<T>::load(x + 3 * t[(corner + 1) % 3]));
    }
    or_zero(g).store(gv + 3 * (image * mesh.vertices + i));
  }
};

#if RIG_GPU
// On a GPU a vertex computes the cross products round it again instead of reading them: three times the arithmetic, which is
// free, and no scratch of 12 bytes a triangle and image that would be written and read six times over. Same order of additions,
// so the same bits. Not yet measured; see bench/results/PENDING.md.

/// NormalSum without scratch.
template <class T> struct GatheredNormalSum {
  T const* v;
  MeshView<T> mesh;
  bool unit;
  RIG_HD Vec3<T> operator()(std::int64_t image, std::int64_t i) const {
    Vec3<T> u{T(0), T(0), T(0)};
    T const* p = v + 3 * image * mesh.vertices;
    for (int k = mesh.offset[i]; k < mesh.offset[i + 1]; ++k) u += face_normal(p, mesh.triangle + 3 * mesh.list[k], unit);
    return u;
  }
};
template <class T> void normals_by_gather(T* y, Tensor<T> const& v, MeshView<T> const& m, bool unit) {
  for_each_in_images(v.device(), v.dim(0), m.vertices, VertexNormalKernel<T, GatheredNormalSum<T>>{y, {v.data(), m, unit}});
}
template <class T>
void normals_by_gather_backward(T* g, Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& v, MeshView<T> const& m, bool unit) {
  Tensor<T> k(v.shape(), v.device());
  for_each_in_images(v.device(), v.dim(0), m.vertices,
                     NormalSumBackwardKernel<T, GatheredNormalSum<T>>{k.mutate(), gy.data(), y.data(), {v.data(), m, unit}});
  for_each_in_images(v.device(), v.dim(0), m.vertices,
                     NormalVertexBackwardKernel<T, FaceNormalBackward<T>>{g, {k.data(), v.data(), m, unit}, v.data(), m});
}
#endif

/// Images at a time so that scratch of `bytes` an image stays under 64 MiB.
inline std::int64_t images_at_once(std::int64_t images, std::int64_t bytes) {
  std::int64_t const fit = (std::int64_t(64) << 20) / (bytes > 0 ? bytes : 1);
  return fit < 1 ? 1 : fit > images ? images : fit;
}

template <class T> struct VertexNormals {
  using scalar = T;
  static constexpr char const* name = "vertex_normals";
  Mesh mesh;
  NormalWeights weights;
  Tensor<T> forward(Tensor<T> const& v) const {
    check_points(name, v);
    check(v.dim(1) == mesh.vertices, name, ": the mesh has ", mesh.vertices, " vertices, got ", v.shape());
    check_device(name, "mesh", mesh.triangles, v.device());
    Tensor<T> y(v.shape(), v.device());
    MeshView<T> const m(mesh);
#if RIG_GPU
    if (!v.device().is_cpu()) {
      normals_by_gather(y.mutate(), v, m, weights == NormalWeights::unit);
      return y;
    }
#endif
    std::int64_t const step = images_at_once(v.dim(0), 3 * m.faces * std::int64_t(sizeof(T)));
    Tensor<T> faces({step, m.faces, 3}, v.device());
    for (std::int64_t b = 0; b < v.dim(0); b += step) {
      std::int64_t const n = std::min(step, v.dim(0) - b), at = 3 * b * m.vertices;
      for_each_in_images(v.device(), n, m.faces, FaceNormalKernel<T>{faces.mutate(), v.data() + at, m, weights == NormalWeights::unit});
      for_each_in_images(v.device(), n, m.vertices, VertexNormalKernel<T, NormalSum<T>>{y.mutate() + at, {faces.data(), m}});
    }
    return y;
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& v) const {
    Tensor<T> g(v.shape(), v.device());
    MeshView<T> const m(mesh);
    bool const unit = weights == NormalWeights::unit;
#if RIG_GPU
    if (!v.device().is_cpu()) {
      normals_by_gather_backward(g.mutate(), gy, y, v, m, unit);
      return {g};
    }
#endif
    std::int64_t const step = images_at_once(v.dim(0), 3 * (m.faces + m.vertices) * std::int64_t(sizeof(T)));
    Tensor<T> faces({step, m.faces, 3}, v.device()), k({step, m.vertices, 3}, v.device());
    for (std::int64_t b = 0; b < v.dim(0); b += step) {
      std::int64_t const n = std::min(step, v.dim(0) - b), at = 3 * b * m.vertices;
      for_each_in_images(v.device(), n, m.faces, FaceNormalKernel<T>{faces.mutate(), v.data() + at, m, unit});
      for_each_in_images(v.device(), n, m.vertices,
                         NormalSumBackwardKernel<T, NormalSum<T>>{k.mutate(), gy.data() + at, y.data() + at, {faces.data(), m}});
      for_each_in_images(v.device(), n, m.faces, FaceNormalBackwardKernel<T>{faces.mutate(), {k.data(), v.data() + at, m, unit}});
      for_each_in_images(v.device(), n, m.vertices,
                         NormalVertexBackwardKernel<T, StoredFaces<T>>{g.mutate() + at, {faces.data(), m.faces}, v.data() + at, m});
    }
    return {g};
  }
};

}  // namespace detail

/// Unit normals of the vertices [n, V, 3] of a mesh: [n, V, 3], in the frame of the vertices. Differentiable once; same bits
/// for any number of threads.
///   auto n = rotate(vertex_normals(vertices, mesh), rotation);   // in the camera frame
template <class T> Var<T> vertex_normals(Var<T> const& vertices, Mesh const& mesh, NormalWeights weights = NormalWeights::area) {
  return apply(detail::VertexNormals<T>{mesh, weights}, vertices);
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::VertexNormals)
}  // namespace rig::inline RIG_ABI
#endif
