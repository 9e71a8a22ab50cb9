// Rotations [n, 9] (row-major 3x3) from four parametrisations. All gradients pass through one vector an image, the torque
// tau = dL/d omega for R <- exp([omega]x) R, so a parametrisation is a small map from it.
// Each op: differentiable once; deterministic. Angles are in radians; sines and cosines are taken in double.
#pragma once
#include <cmath>

#include "rig/autodiff/op.hpp"
#include "rig/core/vec.hpp"
#include "rig/render/per_image.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

/// The torque of a gradient with respect to the entries of R: the antisymmetric part of G R^T.
template <class T> RIG_HD Vec3<double> torque(T const* g, T const* r) {
  double s[9];
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j)
      s[3 * i + j] =
          double(g[3 * i]) * double(r[3 * j]) + double(g[3 * i + 1]) * double(r[3 * j + 1]) + double(g[3 * i + 2]) * double(r[3 * j + 2]);
  return {s[7] - s[5], s[2] - s[6], s[3] - s[1]};
}

template <class T> struct EulerKernel {
  T* r;
  T const* angles;
  RIG_HD void operator()(std::int64_t i) const {
    T const* a = angles + 3 * i;
    double const sx = std::sin(double(a[0])), cx = std::cos(double(a[0])), sy = std::sin(double(a[1])), cy = std::cos(double(a[1])),
                 sz = std::sin(double(a[2])), cz = std::cos(double(a[2]));
    double const m[9] = {cz * cy,
                         cz * sy * sx - sz * cx,
                         cz * sy * cx + sz * sx,  //
                         sz * cy,
                         sz * sy * sx + cz * cx,
                         sz * sy * cx - cz * sx,  //
                         -sy,
                         cy * sx,
                         cy * cx};
    for (int k = 0; k < 9; ++k) r[9 * i + k] = T(m[k]);
  }
};
template <class T> struct EulerBackwardKernel {
  T* ga;
  T const *g, *r, *angles;
  RIG_HD void operator()(std::int64_t i) const {
    Vec3<double> const tau = torque(g + 9 * i, r + 9 * i);
    double const y = double(angles[3 * i + 1]), z = double(angles[3 * i + 2]);
    double const sy = std::sin(y), cy = std::cos(y), sz = std::sin(z), cz = std::cos(z);
    ga[3 * i] = or_zero(T(tau.x * cz * cy + tau.y * sz * cy - tau.z * sy));
    ga[3 * i + 1] = or_zero(T(-tau.x * sz + tau.y * cz));
    ga[3 * i + 2] = or_zero(T(tau.z));
  }
};

// sin(th)/th, (1 - cos th)/th^2 and (1 - sin(th)/th)/th^2, by series where the quotients lose digits.
struct AngleSeries {
  double a, b, c;
  RIG_HD explicit AngleSeries(double th2) {
    if (th2 < 1e-4) {
      a = 1 - th2 / 6 + th2 * th2 / 120 - th2 * th2 * th2 / 5040;
      b = 0.5 - th2 / 24 + th2 * th2 / 720;
      c = 1.0 / 6 - th2 / 120 + th2 * th2 / 5040;
    } else {
      double const th = std::sqrt(th2);
      double const h = std::sin(th / 2);
      a = std::sin(th) / th, b = 2 * h * h / th2, c = (1 - a) / th2;
    }
  }
};

template <class T> struct AxisAngleKernel {
  T* r;
  T const* w;
  RIG_HD void operator()(std::int64_t i) const {
    double const x = double(w[3 * i]), y = double(w[3 * i + 1]), z = double(w[3 * i + 2]);
    AngleSeries const s(x * x + y * y + z * z);
    // I + a K + b K^2, K^2 = r r^T - |r|^2 I
    double const m[9] = {1 - s.b * (y * y + z * z), -s.a * z + s.b * x * y,    s.a * y + s.b * x * z,   //
                         s.a * z + s.b * x * y,     1 - s.b * (x * x + z * z), -s.a * x + s.b * y * z,  //
                         -s.a * y + s.b * x * z,    s.a * x + s.b * y * z,     1 - s.b * (x * x + y * y)};
    for (int k = 0; k < 9; ++k) r[9 * i + k] = T(m[k]);
  }
};
template <class T> struct AxisAngleBackwardKernel {
  T* gw;
  T const *g, *r, *w;
  RIG_HD void operator()(std::int64_t i) const {
    Vec3<double> const tau = torque(g + 9 * i, r + 9 * i);
    Vec3<double> const v{double(w[3 * i]), double(w[3 * i + 1]), double(w[3 * i + 2])};
    AngleSeries const s(dot(v, v));
    // J^T tau with J = a I + c r r^T + b [r]x
    Vec3<double> const k = s.a * tau + (s.c * dot(v, tau)) * v - s.b * cross(v, tau);
    gw[3 * i] = or_zero(T(k.x)), gw[3 * i + 1] = or_zero(T(k.y)), gw[3 * i + 2] = or_zero(T(k.z));
  }
};

template <class T> struct QuaternionKernel {
  T* r;
  T const* q;
  RIG_HD void operator()(std::int64_t i) const {
    double w = double(q[4 * i]), x = double(q[4 * i + 1]), y = double(q[4 * i + 2]), z = double(q[4 * i + 3]);
    double const n = 1 / std::sqrt(w * w + x * x + y * y + z * z);
    w *= n, x *= n, y *= n, z *= n;
    double const m[9] = {1 - 2 * (y * y + z * z), 2 * (x * y - w * z),     2 * (x * z + w * y),  //
                         2 * (x * y + w * z),     1 - 2 * (x * x + z * z), 2 * (y * z - w * x),  //
                         2 * (x * z - w * y),     2 * (y * z + w * x),     1 - 2 * (x * x + y * y)};
    for (int k = 0; k < 9; ++k) r[9 * i + k] = T(m[k]);
  }
};
template <class T> struct QuaternionBackwardKernel {
  T* gq;
  T const *g, *r, *q;
  RIG_HD void operator()(std::int64_t i) const {
    Vec3<double> const tau = torque(g + 9 * i, r + 9 * i);
    double const w = double(q[4 * i]);
    Vec3<double> const v{double(q[4 * i + 1]), double(q[4 * i + 2]), double(q[4 * i + 3])};
    double const k = 2 / (w * w + dot(v, v));
    Vec3<double> const gv = k * (w * tau + cross(tau, v));
    gq[4 * i] = or_zero(T(-k * dot(tau, v))), gq[4 * i + 1] = or_zero(T(gv.x)), gq[4 * i + 2] = or_zero(T(gv.y)),
           gq[4 * i + 3] = or_zero(T(gv.z));
  }
};

/// Gram-Schmidt of two columns, with what its gradient needs again.
struct SixD {
  Vec3<double> b1, b2, b3, a2;
  double l1, lm, d;
  template <class T> RIG_HD explicit SixD(T const* a) {
    Vec3<double> const a1{double(a[0]), double(a[1]), double(a[2])};
    a2 = {double(a[3]), double(a[4]), double(a[5])};
    l1 = length(a1);
    b1 = (1 / l1) * a1;
    d = dot(b1, a2);
    Vec3<double> const m = a2 - d * b1;
    lm = length(m);
    b2 = (1 / lm) * m;
    b3 = cross(b1, b2);
  }
};
template <class T> struct SixDKernel {
  T* r;
  T const* a;
  RIG_HD void operator()(std::int64_t i) const {
    SixD const s(a + 6 * i);
    double const m[9] = {s.b1.x, s.b2.x, s.b3.x, s.b1.y, s.b2.y, s.b3.y, s.b1.z, s.b2.z, s.b3.z};
    for (int k = 0; k < 9; ++k) r[9 * i + k] = T(m[k]);
  }
};
template <class T> struct SixDBackwardKernel {
  T* ga;
  T const *g, *a;
  RIG_HD void operator()(std::int64_t i) const {
    SixD const s(a + 6 * i);
    T const* m = g + 9 * i;
    Vec3<double> const g1{double(m[0]), double(m[3]), double(m[6])}, g2{double(m[1]), double(m[4]), double(m[7])},
        g3{double(m[2]), double(m[5]), double(m[8])};
    Vec3<double> h1 = g1 + cross(s.b2, g3);
    Vec3<double> const h2 = g2 + cross(g3, s.b1);
    Vec3<double> k = (1 / s.lm) * (h2 - dot(s.b2, h2) * s.b2);
    h1 = h1 - s.d * k - dot(s.b1, k) * s.a2;
    k = k - dot(s.b1, k) * s.b1;
    Vec3<double> const k1 = (1 / s.l1) * (h1 - dot(s.b1, h1) * s.b1);
    T* y = ga + 6 * i;
    y[0] = T(k1.x), y[1] = T(k1.y), y[2] = T(k1.z), y[3] = T(k.x), y[4] = T(k.y), y[5] = T(k.z);
    for (int e = 0; e < 6; ++e) y[e] = or_zero(y[e]);
  }
};

template <class T> void check_parameters(char const* op, Tensor<T> const& x, std::int64_t width) {
  check(x.rank() == 2 && x.dim(1) == width, op, ": expected [n, ", width, "], got ", x.shape());
}
// On the host only, where looking at the numbers costs nothing; a CUDA device answers with what the formulas give.
template <class T> void check_length(char const* op, char const* what, Tensor<T> const& x, double (*smallest)(T const*)) {
  if (!x.device().is_cpu()) return;
  for (std::int64_t i = 0; i < x.dim(0); ++i)
    check(!(smallest(x.data() + i * x.dim(1)) < 1e-8), op, ": ", what, " of row ", i, " is shorter than 1e-8 and gives no rotation");
}
template <class T> double quaternion_length(T const* q) {
  return std::sqrt(double(q[0]) * double(q[0]) + double(q[1]) * double(q[1]) + double(q[2]) * double(q[2]) + double(q[3]) * double(q[3]));
}
template <class T> double six_d_length(T const* a) {
  SixD const s(a);
  return s.l1 < 1e-8 ? s.l1 : s.lm;
}

template <class T> struct EulerToMatrix {
  using scalar = T;
  static constexpr char const* name = "euler_to_matrix";
  Tensor<T> forward(Tensor<T> const& angles) const {
    check_parameters(name, angles, 3);
    Tensor<T> r({angles.dim(0), 9}, angles.device());
    for_each(r.device(), r.dim(0), EulerKernel<T>{r.mutate(), angles.data()});
    return r;
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& angles) const {
    Tensor<T> g(angles.shape(), angles.device());
    for_each(g.device(), g.dim(0), EulerBackwardKernel<T>{g.mutate(), gy.data(), y.data(), angles.data()});
    return {g};
  }
};
template <class T> struct AxisAngleToMatrix {
  using scalar = T;
  static constexpr char const* name = "axis_angle_to_matrix";
  Tensor<T> forward(Tensor<T> const& w) const {
    check_parameters(name, w, 3);
    Tensor<T> r({w.dim(0), 9}, w.device());
    for_each(r.device(), r.dim(0), AxisAngleKernel<T>{r.mutate(), w.data()});
    return r;
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& w) const {
    Tensor<T> g(w.shape(), w.device());
    for_each(g.device(), g.dim(0), AxisAngleBackwardKernel<T>{g.mutate(), gy.data(), y.data(), w.data()});
    return {g};
  }
};
template <class T> struct QuaternionToMatrix {
  using scalar = T;
  static constexpr char const* name = "quaternion_to_matrix";
  Tensor<T> forward(Tensor<T> const& q) const {
    check_parameters(name, q, 4);
    check_length(name, "the quaternion", q, &quaternion_length<T>);
    Tensor<T> r({q.dim(0), 9}, q.device());
    for_each(r.device(), r.dim(0), QuaternionKernel<T>{r.mutate(), q.data()});
    return r;
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& q) const {
    Tensor<T> g(q.shape(), q.device());
    for_each(g.device(), g.dim(0), QuaternionBackwardKernel<T>{g.mutate(), gy.data(), y.data(), q.data()});
    return {g};
  }
};
template <class T> struct SixDToMatrix {
  using scalar = T;
  static constexpr char const* name = "six_d_to_matrix";
  Tensor<T> forward(Tensor<T> const& a) const {
    check_parameters(name, a, 6);
    check_length(name, "one of the two columns", a, &six_d_length<T>);
    Tensor<T> r({a.dim(0), 9}, a.device());
    for_each(r.device(), r.dim(0), SixDKernel<T>{r.mutate(), a.data()});
    return r;
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& a) const {
    Tensor<T> g(a.shape(), a.device());
    for_each(g.device(), g.dim(0), SixDBackwardKernel<T>{g.mutate(), gy.data(), a.data()});
    return {g};
  }
};

}  // namespace detail

/// R = Rz(z) Ry(y) Rx(x) from angles [n, 3] = (x, y, z) = (pitch, yaw, roll): [n, 9]. Positive yaw turns the face to the
/// image's right, positive x makes it look down, positive z rolls it counter-clockwise in the image.
template <class T> Var<T> euler_to_matrix(Var<T> const& angles) { return apply(detail::EulerToMatrix<T>{}, angles); }
/// exp([r]x) of axis-angle vectors [n, 3]: [n, 9]. Smooth at zero.
template <class T> Var<T> axis_angle_to_matrix(Var<T> const& r) { return apply(detail::AxisAngleToMatrix<T>{}, r); }
/// From quaternions [n, 4] = (w, x, y, z) of any length but zero: [n, 9].
template <class T> Var<T> quaternion_to_matrix(Var<T> const& q) { return apply(detail::QuaternionToMatrix<T>{}, q); }
/// From two columns [n, 6], made orthonormal (Zhou et al. 2019): [n, 9].
template <class T> Var<T> six_d_to_matrix(Var<T> const& columns) { return apply(detail::SixDToMatrix<T>{}, columns); }

/// Rotation matrices [n, 9] given from outside: |R^T R - I| < 1e-4 and det > 0, or an Error naming the row.
template <class T> Tensor<T> checked_rotation(Tensor<T> const& r) {
  detail::check_parameters("checked_rotation", r, 9);
  std::vector<T> const m = r.host();
  for (std::int64_t i = 0; i < r.dim(0); ++i) {
    T const* a = m.data() + 9 * i;
    double worst = 0;
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 3; ++k) {
        double s = j == k ? -1 : 0;
        for (int l = 0; l < 3; ++l) s += double(a[3 * l + j]) * double(a[3 * l + k]);
        if (!(std::abs(s) <= worst)) worst = std::abs(s);
      }
    auto const x = Vec3<T>::load(a), y = Vec3<T>::load(a + 3), z = Vec3<T>::load(a + 6);
    check(worst < 1e-4, "checked_rotation: row ", i, " is not orthonormal: |R^T R - I| is ", worst);
    check(dot(x, cross(y, z)) > 0, "checked_rotation: row ", i, " is a reflection: its determinant is negative");
  }
  return r;
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::EulerToMatrix)
RIG_OP(render::detail::AxisAngleToMatrix)
RIG_OP(render::detail::QuaternionToMatrix)
RIG_OP(render::detail::SixDToMatrix)
}  // namespace rig::inline RIG_ABI
#endif
