// Cameras. A point of the object frame goes to the camera frame by x = R v + t and from there to (u, v, depth): pixels with
// the centre of pixel (row i, column j) at (j + .5, i + .5), v downward, depth = distance - x.z, positive in front.
// Focal length and principal point are fractions of the image's height, so resizing a picture changes no camera.
// A vertex nearer than `near`, or not finite, is invalid: it projects to (0, 0, 0), takes no gradient, and depth 0 marks it.
#pragma once
#include <algorithm>

#include "rig/autodiff/op.hpp"
#include "rig/core/vec.hpp"
#include "rig/render/per_image.hpp"

namespace rig::inline RIG_ABI::render {

/// A perspective camera on the +z axis that looks along -z. Plain numbers; store them with every checkpoint, because a
/// reconstruction network is useless with another camera.
struct Camera {
  double focal = 4.2647;        ///< focal length / image height (the value of public Deep3D and StyleRig-like tools)
  double distance = 10;         ///< of the camera from the origin, in the model's unit
  double center_x = 0.5;        ///< principal point / image width
  double center_y = 0.5;        ///< principal point / image height
  double near_fraction = 0.01;  ///< vertices with depth < near_fraction * distance are invalid

  static Camera stylerig(double distance) { return {4.2647, distance}; }
  /// Deep3DFaceRecon: f = 1015 at 224 px, distance 10, mesh in decimetres.
  static Camera deep3d() { return {1015.0 / 224, 10}; }
  /// Occlusion-robust MoFA (FOCUS): f = 9.06 x 112 at 224 px; its t_0 of (0, 0, 1000) mm is our distance.
  static Camera focus() { return {9.06 * 112 / 224, 1000}; }

  double focal_pixels(std::int64_t height) const { return focal * double(height); }
  friend bool operator==(Camera const&, Camera const&) = default;
};

/// The extent of a picture in pixels.
struct ImageSize {
  std::int64_t height = 0, width = 0;
  friend bool operator==(ImageSize const&, ImageSize const&) = default;
};

/// A point in another tool's image convention as rig's (u, v), and back. Pixels.
struct ImagePoint {
  double u, v;
};
inline ImagePoint from_opencv(double u, double v) { return {u + 0.5, v + 0.5}; }
inline ImagePoint to_opencv(ImagePoint p) { return {p.u - 0.5, p.v - 0.5}; }
/// OpenGL normalised device coordinates: x right, y up, image from -1 to 1.
inline ImagePoint from_opengl(double x, double y, ImageSize s) { return {(x + 1) * double(s.width) / 2, (1 - y) * double(s.height) / 2}; }
inline ImagePoint to_opengl(ImagePoint p, ImageSize s) { return {2 * p.u / double(s.width) - 1, 1 - 2 * p.v / double(s.height)}; }
/// PyTorch3D normalised coordinates: x left, y up, the short side from -1 to 1.
inline ImagePoint from_pytorch3d(double x, double y, ImageSize s) {
  double const k = double(std::min(s.width, s.height)) / 2;
  return {double(s.width) / 2 - x * k, double(s.height) / 2 - y * k};
}
inline ImagePoint to_pytorch3d(ImagePoint p, ImageSize s) {
  double const k = double(std::min(s.width, s.height)) / 2;
  return {(double(s.width) / 2 - p.u) / k, (double(s.height) / 2 - p.v) / k};
}
/// Deep3DFaceRecon image points: origin at the bottom left, y up.
inline ImagePoint from_deep3d(double u, double y_up, ImageSize s) { return {u, double(s.height) - y_up}; }
inline ImagePoint to_deep3d(ImagePoint p, ImageSize s) { return {p.u, double(s.height) - p.v}; }
/// DECA: x right, y up, image from -1 to 1, after its camera (scale, tx, ty).
inline ImagePoint from_deca(double x, double y, double scale, double tx, double ty, ImageSize s) {
  return {(scale * (x + tx) + 1) * double(s.width) / 2, (1 - scale * (y + ty)) * double(s.height) / 2};
}
/// OpenCV's camera frame (x right, y down, z forward from the camera) as rig's, and back; the same map both ways.
inline Vec3<double> flip_opencv_frame(Vec3<double> x, double distance) { return {x.x, -x.y, distance - x.z}; }
/// MoFA: p = Rm^T (v - tm) in OpenCV's frame. Rotation and translation of rig's camera frame.
struct CameraPose {
  Mat3<double> rotation;
  Vec3<double> translation;
};
inline CameraPose from_mofa(Mat3<double> const& rm, Vec3<double> tm, double distance) {
  CameraPose p{};
  double const flip[3] = {1, -1, -1};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) p.rotation.m[3 * i + j] = flip[i] * rm.m[3 * j + i];
  p.translation = -(p.rotation * tm) + Vec3<double>{0, 0, distance};
  return p;
}

namespace detail {

/// A camera in pixels of one image size, for kernels.
template <class T> struct PixelCamera {
  T f, cx, cy, distance, near;
  PixelCamera(Camera const& c, ImageSize s)
      : f(T(c.focal_pixels(s.height))),
        cx(T(c.center_x * double(s.width))),
        cy(T(c.center_y * double(s.height))),
        distance(T(c.distance)),
        near(T(c.near_fraction * c.distance)) {}
};

template <class T> struct ProjectKernel {
  T* y;
  T const *v, *r, *t;
  std::int64_t vertices;
  PixelCamera<T> c;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = 3 * (image * vertices + i);
    auto const p = Vec3<T>::load(v + k);
    auto turned = [&](int row) {
      T const* m = r + 9 * image + 3 * row;
      return product(m[0], p.x) + product(m[1], p.y) + product(m[2], p.z) + t[3 * image + row];
    };
    T const d = c.distance - turned(2), s = c.f / d;
    T const u = product(turned(0), s) + c.cx, w = c.cy - product(turned(1), s);
    bool const valid = d >= c.near && finite(d) && finite(u) && finite(w);
    y[k] = valid ? u : T(0), y[k + 1] = valid ? w : T(0), y[k + 2] = valid ? d : T(0);
  }
};
/// dL/dx in the camera frame; zero for invalid vertices and for upstream gradients that are not finite.
template <class T> struct ProjectForce {
  T const *gy, *y;
  std::int64_t vertices;
  PixelCamera<T> c;
  RIG_HD Vec3<T> operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = 3 * (image * vertices + i);
    T const d = y[k + 2], gu = gy[k], gw = gy[k + 1], gd = gy[k + 2];
    if (!(d > 0) || !finite(gu) || !finite(gw) || !finite(gd)) return {T(0), T(0), T(0)};
    T const s = c.f / d;
    // x.x f/d = u - cx, x.y f/d = cy - w
    return {s * gu, -s * gw, ((y[k] - c.cx) * gu + (y[k + 1] - c.cy) * gw) / d - gd};
  }
};
template <class T> struct ProjectVertexBackwardKernel {
  T* gv;
  T const* r;
  ProjectForce<T> force;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    or_zero(Mat3<T>::load(r + 9 * image).transposed_times(force(image, i))).store(gv + 3 * (image * force.vertices + i));
  }
};
/// Sums of force x vertex^T (9) and force (3).
template <class T, class Force> struct PoseSumLeaf {
  static constexpr int width = 12;
  T const* v;
  Force force;
  RIG_HD void add(std::int64_t image, std::int64_t i, T* s) const {
    Vec3<T> const h = or_zero(force(image, i)), p = or_zero(Vec3<T>::load(v + 3 * (image * force.vertices + i)));
    s[0] += h.x * p.x, s[1] += h.x * p.y, s[2] += h.x * p.z;
    s[3] += h.y * p.x, s[4] += h.y * p.y, s[5] += h.y * p.z;
    s[6] += h.z * p.x, s[7] += h.z * p.y, s[8] += h.z * p.z;
    s[9] += h.x, s[10] += h.y, s[11] += h.z;
  }
};
/// Splits [n, 12] into [n, 9] and [n, 3].
template <class T> struct SplitPoseKernel {
  T *gr, *gt;
  T const* sum;
  RIG_HD void operator()(std::int64_t i) const {
    for (int k = 0; k < 9; ++k) gr[9 * i + k] = or_zero(sum[12 * i + k]);
    for (int k = 0; k < 3; ++k) gt[3 * i + k] = or_zero(sum[12 * i + 9 + k]);
  }
};

template <class T> void check_points(char const* op, Tensor<T> const& v, char const* what = "vertices") {
  check(v.rank() == 3 && v.dim(2) == 3, op, ": ", what, " must be [n, V, 3], got ", v.shape());
}
template <class T> void check_per_image(char const* op, Tensor<T> const& x, std::int64_t n, std::int64_t width, char const* what) {
  check(x.rank() == 2 && x.dim(0) == n && x.dim(1) == width, op, ": ", what, " must be [", n, ", ", width, "], got ", x.shape());
}

template <class T> struct Project {
  using scalar = T;
  static constexpr char const* name = "project";
  Camera camera;
  ImageSize size;
  Tensor<T> forward(Tensor<T> const& v, Tensor<T> const& r, Tensor<T> const& t) const {
    check_points(name, v);
    check_per_image(name, r, v.dim(0), 9, "rotation");
    check_per_image(name, t, v.dim(0), 3, "translation");
    check(camera.distance > 0 && camera.focal > 0 && size.height > 0 && size.width > 0, name,
          ": camera and image must have positive sizes, got focal ", camera.focal, ", distance ", camera.distance, ", image ", size.height,
          " x ", size.width);
    Tensor<T> y(v.shape(), v.device());
    for_each_in_images(v.device(), v.dim(0), v.dim(1),
                       ProjectKernel<T>{y.mutate(), v.data(), r.data(), t.data(), v.dim(1), PixelCamera<T>(camera, size)});
    return y;
  }
  std::tuple<Tensor<T>, Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& v, Tensor<T> const& r,
                                                       Tensor<T> const& t) const {
    std::int64_t const n = v.dim(0), count = v.dim(1);
    ProjectForce<T> const force{gy.data(), y.data(), count, PixelCamera<T>(camera, size)};
    Tensor<T> gv(v.shape(), v.device()), gr(r.shape(), v.device()), gt(t.shape(), v.device());
    Tensor<T> const sum = sum_images<T>(
        v.device(), n, count,
        WithSum<ProjectVertexBackwardKernel<T>, PoseSumLeaf<T, ProjectForce<T>>>{{gv.mutate(), r.data(), force}, {v.data(), force}});
    for_each(v.device(), n, SplitPoseKernel<T>{gr.mutate(), gt.mutate(), sum.data()});
    return {gv, gr, gt};
  }
};

template <class T> struct RotateKernel {
  T* y;
  T const *v, *r;
  std::int64_t vertices;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = 3 * (image * vertices + i);
    (Mat3<T>::load(r + 9 * image) * Vec3<T>::load(v + k)).store(y + k);
  }
};
template <class T> struct RotateForce {
  T const* gy;
  std::int64_t vertices;
  RIG_HD Vec3<T> operator()(std::int64_t image, std::int64_t i) const { return Vec3<T>::load(gy + 3 * (image * vertices + i)); }
};
template <class T> struct RotateVertexBackwardKernel {
  T* gv;
  T const *gy, *r;
  std::int64_t vertices;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = 3 * (image * vertices + i);
    or_zero(Mat3<T>::load(r + 9 * image).transposed_times(Vec3<T>::load(gy + k))).store(gv + k);
  }
};
template <class T> struct Rotate {
  using scalar = T;
  static constexpr char const* name = "rotate";
  Tensor<T> forward(Tensor<T> const& v, Tensor<T> const& r) const {
    check_points(name, v, "vectors");
    check_per_image(name, r, v.dim(0), 9, "rotation");
    Tensor<T> y(v.shape(), v.device());
    for_each_in_images(v.device(), v.dim(0), v.dim(1), RotateKernel<T>{y.mutate(), v.data(), r.data(), v.dim(1)});
    return y;
  }
  std::tuple<Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& v, Tensor<T> const& r) const {
    std::int64_t const n = v.dim(0), count = v.dim(1);
    Tensor<T> gv(v.shape(), v.device()), gr(r.shape(), v.device()), unused({n, 3}, v.device());
    Tensor<T> const sum = sum_images<T>(v.device(), n, count,
                                        WithSum<RotateVertexBackwardKernel<T>, PoseSumLeaf<T, RotateForce<T>>>{
                                            {gv.mutate(), gy.data(), r.data(), count}, {v.data(), {gy.data(), count}}});
    for_each(v.device(), n, SplitPoseKernel<T>{gr.mutate(), unused.mutate(), sum.data()});
    return {gv, gr};
  }
};

template <class T> struct OrthographicKernel {
  T* y;
  T const *v, *r, *stt;
  std::int64_t vertices;
  T half_w, half_h;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    std::int64_t const k = 3 * (image * vertices + i);
    auto const x = Mat3<T>::load(r + 9 * image) * Vec3<T>::load(v + k);
    T const* c = stt + 3 * image;
    y[k] = (c[0] * (x.x + c[1]) + 1) * half_w, y[k + 1] = (1 - c[0] * (x.y + c[2])) * half_h, y[k + 2] = -x.z;
  }
};
/// dL/d of the scaled point; x and y still wait for the scale.
template <class T> struct OrthographicForce {
  T const* gy;
  std::int64_t vertices;
  T half_w, half_h;
  RIG_HD Vec3<T> operator()(std::int64_t image, std::int64_t i) const {
    T const* g = gy + 3 * (image * vertices + i);
    return {half_w * g[0], -half_h * g[1], -g[2]};
  }
};
template <class T> struct OrthographicVertexBackwardKernel {
  T* gv;
  T const *r, *stt;
  OrthographicForce<T> force;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    Vec3<T> h = force(image, i);
    h.x *= stt[3 * image], h.y *= stt[3 * image];
    or_zero(Mat3<T>::load(r + 9 * image).transposed_times(h)).store(gv + 3 * (image * force.vertices + i));
  }
};
/// With h the force and S = sum h v^T: dL/dt = s sum h, and dL/ds = sum over x and y of h . (R v + t).
template <class T> struct OrthographicCameraBackwardKernel {
  T *gr, *gc;
  T const *sum, *r, *stt;
  RIG_HD void operator()(std::int64_t i) const {
    T const *s = sum + 12 * i, *m = r + 9 * i, *c = stt + 3 * i;
    for (int k = 0; k < 9; ++k) gr[9 * i + k] = k < 6 ? c[0] * s[k] : s[k];
    T e = s[9] * c[1] + s[10] * c[2];
    for (int k = 0; k < 6; ++k) e += s[k] * m[k];
    gc[3 * i] = e, gc[3 * i + 1] = c[0] * s[9], gc[3 * i + 2] = c[0] * s[10];
  }
};
template <class T> struct ProjectOrthographic {
  using scalar = T;
  static constexpr char const* name = "project_orthographic";
  ImageSize size;
  Tensor<T> forward(Tensor<T> const& v, Tensor<T> const& r, Tensor<T> const& stt) const {
    check_points(name, v);
    check_per_image(name, r, v.dim(0), 9, "rotation");
    check_per_image(name, stt, v.dim(0), 3, "camera (scale, tx, ty)");
    Tensor<T> y(v.shape(), v.device());
    for_each_in_images(v.device(), v.dim(0), v.dim(1),
                       OrthographicKernel<T>{y.mutate(), v.data(), r.data(), stt.data(), v.dim(1), T(size.width) / 2, T(size.height) / 2});
    return y;
  }
  std::tuple<Tensor<T>, Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& v, Tensor<T> const& r,
                                                       Tensor<T> const& stt) const {
    std::int64_t const n = v.dim(0), count = v.dim(1);
    OrthographicForce<T> const force{gy.data(), count, T(size.width) / 2, T(size.height) / 2};
    Tensor<T> gv(v.shape(), v.device()), gr(r.shape(), v.device()), gc(stt.shape(), v.device());
    Tensor<T> const sum = sum_images<T>(v.device(), n, count,
                                        WithSum<OrthographicVertexBackwardKernel<T>, PoseSumLeaf<T, OrthographicForce<T>>>{
                                            {gv.mutate(), r.data(), stt.data(), force}, {v.data(), force}});
    for_each(v.device(), n, OrthographicCameraBackwardKernel<T>{gr.mutate(), gc.mutate(), sum.data(), r.data(), stt.data()});
    return {gv, gr, gc};
  }
};

}  // namespace detail

/// Perspective projection of vertices [n, V, 3] under rotation [n, 9] and translation [n, 3]: [n, V, 3] = (u, v, depth).
/// Gradients to all three; differentiable once; deterministic.
///   auto screen = project(vertices, euler_to_matrix(angles), translation, camera, {256, 256});
template <class T>
Var<T> project(Var<T> const& vertices, Var<T> const& rotation, Var<T> const& translation, Camera const& camera, ImageSize size) {
  return apply(detail::Project<T>{camera, size}, vertices, rotation, translation);
}
/// Scaled orthographic projection with a camera [n, 3] = (scale, tx, ty) in DECA's sense: u = (s (x + tx) + 1) w/2,
/// v = (1 - s (y + ty)) h/2; the third number is -z. It differs from perspective by the relief over the distance.
template <class T>
Var<T> project_orthographic(Var<T> const& vertices, Var<T> const& rotation, Var<T> const& scale_translation, ImageSize size) {
  return apply(detail::ProjectOrthographic<T>{size}, vertices, rotation, scale_translation);
}
/// Vectors [n, V, 3] turned by rotations [n, 9]; for normals. Differentiable once.
template <class T> Var<T> rotate(Var<T> const& vectors, Var<T> const& rotation) { return apply(detail::Rotate<T>{}, vectors, rotation); }

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::Project)
RIG_OP(render::detail::Rotate)
RIG_OP(render::detail::ProjectOrthographic)
}  // namespace rig::inline RIG_ABI
#endif
