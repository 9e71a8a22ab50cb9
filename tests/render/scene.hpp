// Small meshes and poses for the tests of the renderer.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/core/random.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/render/mesh.hpp"

namespace scene {

using namespace rig;

struct Surface {
  Tensor<double> vertices;  // [V, 3]
  Tensor<int> triangles;    // [F, 3]
};

/// A closed sphere of rows x columns quads, triangles counter-clockwise from outside, poles on the y axis.
inline Surface sphere(int rows, int columns, double radius = 1, double x = 0, double y = 0, double z = 0) {
  std::vector<double> v;
  std::vector<int> t;
  double const pi = 3.14159265358979323846;
  auto put = [&](double theta, double phi) {
    v.insert(v.end(),
             {x + radius * std::sin(theta) * std::sin(phi), y + radius * std::cos(theta), z + radius * std::sin(theta) * std::cos(phi)});
  };
  put(0, 0);
  for (int r = 1; r < rows; ++r)
    for (int c = 0; c < columns; ++c) put(pi * r / rows, 2 * pi * c / columns);
  put(pi, 0);
  int const last = int(v.size() / 3) - 1;
  auto at = [&](int r, int c) { return r == 0 ? 0 : r == rows ? last : 1 + (r - 1) * columns + c % columns; };
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c) {
      int const a = at(r, c), b = at(r + 1, c), d = at(r + 1, c + 1), e = at(r, c + 1);
      if (r + 1 < rows) t.insert(t.end(), {a, b, d});
      if (r > 0) t.insert(t.end(), {a, d, e});
    }
  return {Tensor<double>({std::int64_t(v.size()) / 3, 3}, v), Tensor<int>({std::int64_t(t.size()) / 3, 3}, t)};
}

/// Two surfaces as one.
inline Surface join(Surface const& a, Surface const& b) {
  auto v = a.vertices.host();
  auto t = a.triangles.host();
  int const n = int(a.vertices.dim(0));
  for (double e : b.vertices.host()) v.push_back(e);
  for (int e : b.triangles.host()) t.push_back(e + n);
  return {Tensor<double>({std::int64_t(v.size()) / 3, 3}, v), Tensor<int>({std::int64_t(t.size()) / 3, 3}, t)};
}

/// n copies of [V, 3] with noise: [n, V, 3].
inline Tensor<double> batch(Tensor<double> const& v, std::int64_t n, double noise, Rng& rng) {
  std::vector<double> y;
  for (std::int64_t i = 0; i < n; ++i)
    for (double e : v.host()) y.push_back(e + noise * rng.normal());
  return Tensor<double>({n, v.dim(0), 3}, y);
}

inline double largest_difference(Tensor<double> const& a, Tensor<double> const& b) {
  auto const x = a.host(), y = b.host();
  double d = x.size() == y.size() ? 0 : 1e300;
  for (std::size_t i = 0; i < x.size() && i < y.size(); ++i) d = std::max(d, std::abs(x[i] - y[i]));
  return d;
}

}  // namespace scene
