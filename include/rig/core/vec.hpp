// Small vectors for kernels: three numbers, nine numbers.
#pragma once
#include <cmath>

#include "rig/core/config.hpp"

namespace rig::inline RIG_ABI {

template <class T> struct Vec2 { T x, y; };

template <class T> struct Vec3 {
  T x, y, z;
  RIG_HD friend Vec3 operator+(Vec3 a, Vec3 b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
  RIG_HD friend Vec3 operator-(Vec3 a, Vec3 b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
  RIG_HD friend Vec3 operator-(Vec3 a) { return {-a.x, -a.y, -a.z}; }
  RIG_HD friend Vec3 operator*(T s, Vec3 a) { return {s * a.x, s * a.y, s * a.z}; }
  RIG_HD Vec3& operator+=(Vec3 b) { return *this = *this + b; }
  RIG_HD friend T dot(Vec3 a, Vec3 b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
  RIG_HD friend Vec3 cross(Vec3 a, Vec3 b) { return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
  RIG_HD static Vec3 load(T const* p) { return {p[0], p[1], p[2]}; }
  RIG_HD void store(T* p) const { p[0] = x, p[1] = y, p[2] = z; }
};
template <class T> RIG_HD T length(Vec3<T> a) { return std::sqrt(dot(a, a)); }

/// Row-major 3x3.
template <class T> struct Mat3 {
  T m[9];
  RIG_HD static Mat3 load(T const* p) {
    Mat3 r;
    for (int i = 0; i < 9; ++i) r.m[i] = p[i];
    return r;
  }
  RIG_HD friend Vec3<T> operator*(Mat3 const& a, Vec3<T> v) {
    return {a.m[0] * v.x + a.m[1] * v.y + a.m[2] * v.z, a.m[3] * v.x + a.m[4] * v.y + a.m[5] * v.z,
            a.m[6] * v.x + a.m[7] * v.y + a.m[8] * v.z};
  }
  /// Transpose times vector.
  RIG_HD Vec3<T> transposed_times(Vec3<T> v) const {
    return {m[0] * v.x + m[3] * v.y + m[6] * v.z, m[1] * v.x + m[4] * v.y + m[7] * v.z, m[2] * v.x + m[5] * v.y + m[8] * v.z};
  }
  RIG_HD friend Mat3 operator*(Mat3 const& a, Mat3 const& b) {
    Mat3 r;
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) r.m[3 * i + j] = a.m[3 * i] * b.m[j] + a.m[3 * i + 1] * b.m[3 + j] + a.m[3 * i + 2] * b.m[6 + j];
    return r;
  }
};

}  // namespace rig::inline RIG_ABI
