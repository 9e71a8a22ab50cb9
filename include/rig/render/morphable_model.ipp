#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <unordered_map>

#include "rig/core/vec.hpp"
#include "rig/io/hash.hpp"
#include "rig/render/morphable_model.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

struct ModelHash {
  io::Hash hash;
  void number(std::int64_t v) { hash.add(std::as_bytes(std::span(&v, 1))); }
  void text(std::string const& s) {
    number(std::int64_t(s.size()));
    hash.add(s);
  }
  template <class T> void tensor(Tensor<T> const& t) {
    number(t ? t.rank() : -1);
    if (!t) return;
    for (auto d : t.shape()) number(d);
    hash.add(t);
  }
};

// Key of an undirected edge.
inline std::uint64_t edge_key(int a, int b) { return std::uint64_t(std::uint32_t(std::min(a, b))) << 32 | std::uint32_t(std::max(a, b)); }

// Mean of n . (centroid - centre), weighted by area and in units of the size of the mesh: positive when triangles face
// outwards on the whole, 0 to rounding for a flat patch.
inline double outwardness(Tensor<float> const& mean, Tensor<int> const& triangles) {
  using V = Vec3<double>;
  auto at = [&](std::int64_t i) { return V{mean.data()[3 * i], mean.data()[3 * i + 1], mean.data()[3 * i + 2]}; };
  V centre{0, 0, 0};
  for (std::int64_t i = 0; i < mean.dim(0); ++i) centre += (1 / double(mean.dim(0))) * at(i);
  double sum = 0, area = 0, extent = 0;
  for (std::int64_t f = 0; f < triangles.dim(0); ++f) {
    int const* const t = triangles.data() + 3 * f;
    V const a = at(t[0]) - centre, b = at(t[1]) - centre, c = at(t[2]) - centre, n = cross(b - a, c - a);
    sum += dot(n, a + b + c) / 3, area += length(n), extent = std::max(extent, length(a));
  }
  return area > 0 ? sum / (area * extent) : 0;
}

inline void check_finite(char const* field, Tensor<float> const& t) {
  for (std::int64_t i = 0; i < t.size(); ++i)
    check(std::isfinite(t.data()[i]), "face model: ", field, " must be finite, element ", i, " of ", t.shape(), " is ", t.data()[i]);
}

inline void check_modes(char const* field, Tensor<float> const& modes, std::int64_t vertices) {
  check(modes && modes.rank() == 3 && modes.dim(1) == vertices && modes.dim(2) == 3, "face model: ", field, " must be [K, ", vertices,
        ", 3], got ", modes.shape());
  check_finite(field, modes);
  for (std::int64_t k = 0; k < modes.dim(0); ++k) {
    float const* const p = modes.data() + k * vertices * 3;
    check(std::any_of(p, p + vertices * 3, [](float x) { return x != 0; }), "face model: ", field, " mode ", k, " is zero everywhere");
  }
}

// Rows of a per-vertex tensor [.., V, c] (lead = product of the extents before V) picked by old index.
template <class T> Tensor<T> pick(Tensor<T> const& x, std::vector<int> const& old, std::int64_t lead, Shape shape) {
  if (!x) return {};
  std::int64_t const v = lead ? x.size() / lead : 0;
  std::int64_t const n = std::int64_t(old.size()), c = shape.size() && lead && n ? shape.size() / lead / n : 0;
  Tensor<T> y(shape);
  T* const out = y.mutate();
  for (std::int64_t l = 0; l < lead; ++l)
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t a = 0; a < c; ++a) out[(l * n + i) * c + a] = x.data()[l * v + old[std::size_t(i)] * c + a];
  return y;
}

// Modes that move nothing have zero variance: a coefficient for them would never be determined.
inline void drop_zero_modes(Tensor<float>& modes, std::vector<std::string>* names) {
  std::int64_t const n = modes.dim(1) * 3;
  std::vector<float> kept;
  std::vector<std::string> kept_names;
  for (std::int64_t k = 0; k < modes.dim(0); ++k) {
    float const* const p = modes.data() + k * n;
    if (std::all_of(p, p + n, [](float x) { return x == 0; })) continue;
    kept.insert(kept.end(), p, p + n);
    if (names) kept_names.push_back((*names)[std::size_t(k)]);
  }
  std::int64_t const count = n ? std::int64_t(kept.size()) / n : 0;
  if (count == modes.dim(0)) return;
  modes = Tensor<float>({count, modes.dim(1), 3}, kept);
  if (names) *names = kept_names;
}

// [.., V, c] extended by the means of vertex pairs.
inline Tensor<float> with_midpoints(Tensor<float> const& x, std::vector<std::array<int, 2>> const& edges, std::int64_t lead,
                                    std::int64_t vertices, std::int64_t c, Shape shape) {
  if (!x) return {};
  Tensor<float> y(shape);
  float* out = y.mutate();
  for (std::int64_t l = 0; l < lead; ++l) {
    float const* const in = x.data() + l * vertices * c;
    out = std::copy(in, in + vertices * c, out);
    for (auto const& e : edges)
      for (std::int64_t a = 0; a < c; ++a) *out++ = 0.5f * (in[e[0] * c + a] + in[e[1] * c + a]);
  }
  return y;
}

}  // namespace detail

RIG_INLINE std::int64_t MorphableModel::expression_index(std::string const& wanted) const {
  auto const it = std::find(expression_names.begin(), expression_names.end(), wanted);
  if (it == expression_names.end()) {
    std::string known;
    for (auto const& n : expression_names) known += (known.empty() ? "" : ", ") + n;
    check(false, "face model ", name, ": no expression is called '", wanted, "'; it has ", known);
  }
  return it - expression_names.begin();
}

RIG_INLINE MorphableModel MorphableModel::to(Device const& device) const {
  MorphableModel m = *this;
  m.mean = mean.to(device), m.identity = identity.to(device), m.expression = expression.to(device);
  m.reflectance_mean = reflectance_mean.to(device), m.reflectance = reflectance.to(device), m.triangles = triangles.to(device);
  m.landmarks = landmarks.to(device), m.face_region = face_region.to(device), m.interior = interior.to(device), m.uv = uv.to(device);
  m.vertex_triangles = {vertex_triangles.offsets.to(device), vertex_triangles.list.to(device)};
  return m;
}

RIG_INLINE VertexTriangles make_vertex_triangles(Tensor<int> const& triangles, std::int64_t vertices) {
  check(triangles && triangles.rank() == 2 && triangles.dim(1) == 3, "make_vertex_triangles: triangles must be [F, 3], got ",
        triangles.shape());
  VertexTriangles r{zeros<int>({vertices + 1}), Tensor<int>({triangles.size()})};
  int* const offsets = r.offsets.mutate();
  int* const list = r.list.mutate();
  for (std::int64_t i = 0; i < triangles.size(); ++i) {
    int const v = triangles.data()[i];
    check(v >= 0 && v < vertices, "make_vertex_triangles: vertex ", v, " of triangle ", i / 3, " is outside [0, ", vertices, ")");
    ++offsets[v + 1];
  }
  for (std::int64_t v = 0; v < vertices; ++v) offsets[v + 1] += offsets[v];
  std::vector<int> next(offsets, offsets + vertices);
  for (std::int64_t i = 0; i < triangles.size(); ++i) list[next[std::size_t(triangles.data()[i])]++] = int(i / 3);
  return r;
}

RIG_INLINE std::uint64_t hash_model(MorphableModel const& m) {
  detail::ModelHash h;
  h.text(m.name), h.text(m.units), h.text(m.licence);
  h.tensor(m.mean), h.tensor(m.identity), h.tensor(m.expression), h.tensor(m.reflectance_mean), h.tensor(m.reflectance);
  h.tensor(m.triangles), h.tensor(m.landmarks), h.tensor(m.face_region), h.tensor(m.interior), h.tensor(m.uv);
  h.number(std::int64_t(m.expression_names.size()));
  for (auto const& n : m.expression_names) h.text(n);
  h.number(m.named_expressions);
  h.number(std::int64_t(m.contour.size()));
  for (auto const& c : m.contour) {
    h.number(std::int64_t(c.size()));
    h.hash.add(std::as_bytes(std::span(c.data(), c.size())));
  }
  return h.hash.value();
}

RIG_INLINE ModelReport check_model(MorphableModel const& m) {
  check(m.mean && m.mean.rank() == 2 && m.mean.dim(1) == 3 && m.mean.dim(0) > 0, "face model: mean must be [V, 3], got ", m.mean.shape());
  std::int64_t const v = m.vertices();
  detail::check_finite("mean", m.mean);
  detail::check_modes("identity", m.identity, v);
  detail::check_modes("expression", m.expression, v);
  detail::check_modes("reflectance", m.reflectance, v);
  check(m.reflectance_mean.shape() == m.mean.shape(), "face model: reflectance_mean must be ", m.mean.shape(), ", got ",
        m.reflectance_mean.shape());
  detail::check_finite("reflectance_mean", m.reflectance_mean);
  check(std::int64_t(m.expression_names.size()) == m.expressions(), "face model: expected ", m.expressions(), " expression names, got ",
        m.expression_names.size());
  std::set<std::string> names;
  for (auto const& n : m.expression_names) check(names.insert(n).second, "face model: the expression name '", n, "' occurs twice");

  check(m.triangles && m.triangles.rank() == 2 && m.triangles.dim(1) == 3, "face model: triangles must be [F, 3], got ",
        m.triangles.shape());
  ModelReport report;
  std::vector<unsigned char> used(std::size_t(v), 0);
  std::set<std::array<int, 3>> seen;
  std::unordered_map<std::uint64_t, int> edges;
  for (std::int64_t f = 0; f < m.faces(); ++f) {
    int const* const t = m.triangles.data() + 3 * f;
    for (int k = 0; k < 3; ++k) {
      check(t[k] >= 0 && t[k] < v, "face model: vertex ", t[k], " of triangle ", f, " is outside [0, ", v, ")");
      used[std::size_t(t[k])] = 1;
    }
    if (t[0] == t[1] || t[1] == t[2] || t[2] == t[0]) {
      ++report.degenerate_triangles;
      continue;
    }
    std::array<int, 3> key{t[0], t[1], t[2]};
    std::sort(key.begin(), key.end());
    if (!seen.insert(key).second) ++report.duplicate_triangles;
    for (int k = 0; k < 3; ++k)
      if (++edges[detail::edge_key(t[k], t[(k + 1) % 3])] == 3) ++report.non_manifold_edges;
  }
  report.isolated_vertices = std::count(used.begin(), used.end(), 0);
  check(detail::outwardness(m.mean, m.triangles) > -1e-6,
        "face model: triangles must be counter-clockwise seen from outside; they are turned inwards");

  check(m.landmarks && m.landmarks.shape() == Shape{68}, "face model: landmarks must be [68], got ", m.landmarks.shape());
  for (int i = 0; i < 68; ++i) {
    int const l = m.landmarks.data()[i];
    check(l >= 0 && l < v, "face model: landmark ", i, " is vertex ", l, ", outside [0, ", v, ")");
    check(used[std::size_t(l)], "face model: landmark ", i, " is vertex ", l, ", which has no triangle");
  }
  check(m.contour.empty() || m.contour.size() == 17, "face model: contour must have 17 lists or none, got ", m.contour.size());
  for (auto const& list : m.contour)
    for (int c : list)
      check(c >= 0 && c < v && used[std::size_t(c)], "face model: contour candidate ", c, " is not a vertex with a triangle");
  check(m.face_region && m.face_region.shape() == Shape{v}, "face model: face_region must be [", v, "], got ", m.face_region.shape());
  check(m.interior && m.interior.shape() == Shape{v}, "face model: interior must be [", v, "], got ", m.interior.shape());
  if (m.uv) {
    check(m.uv.shape() == Shape{v, 2}, "face model: uv must be [", v, ", 2] or empty, got ", m.uv.shape());
    detail::check_finite("uv", m.uv);
  }
  if (m.vertex_triangles.offsets)
    check(m.vertex_triangles.offsets.shape() == Shape{v + 1} && m.vertex_triangles.list.size() == 3 * m.faces(),
          "face model: vertex_triangles must be [", v + 1, "] and [", 3 * m.faces(), "], got ", m.vertex_triangles.offsets.shape(), " and ",
          m.vertex_triangles.list.shape());
  return report;
}

RIG_INLINE ModelReport finish_model(MorphableModel& m, bool* flipped) {
  check(m.mean && m.mean.rank() == 2 && m.mean.dim(1) == 3, "face model: mean must be [V, 3], got ", m.mean.shape());
  m.vertex_triangles = make_vertex_triangles(m.triangles, m.vertices());
  bool const inwards = detail::outwardness(m.mean, m.triangles) < -1e-6;
  if (inwards) {
    m.triangles = m.triangles.clone();
    int* const t = m.triangles.mutate();
    for (std::int64_t f = 0; f < m.faces(); ++f) std::swap(t[3 * f + 1], t[3 * f + 2]);
  }
  if (flipped) *flipped = inwards;
  ModelReport const report = check_model(m);
  m.hash = hash_model(m);
  return report;
}

RIG_INLINE MorphableModel subdivide(MorphableModel const& model, int times) {
  check(times >= 0 && times <= 4, "subdivide: times must be in 0..4, got ", times);
  MorphableModel m = model;
  for (int round = 0; round < times; ++round) {
    std::int64_t const v = m.vertices();
    std::unordered_map<std::uint64_t, int> index;
    std::vector<std::array<int, 2>> edges;
    std::vector<int> fine;
    fine.reserve(std::size_t(m.faces()) * 12);
    for (std::int64_t f = 0; f < m.faces(); ++f) {
      int const* const t = m.triangles.data() + 3 * f;
      int mid[3];
      for (int k = 0; k < 3; ++k) {
        int const a = t[k], b = t[(k + 1) % 3];
        auto const [it, fresh] = index.try_emplace(detail::edge_key(a, b), int(v + std::int64_t(edges.size())));
        if (fresh) edges.push_back({std::min(a, b), std::max(a, b)});
        mid[k] = it->second;
      }
      fine.insert(fine.end(), {t[0], mid[0], mid[2], mid[0], t[1], mid[1], mid[2], mid[1], t[2], mid[0], mid[1], mid[2]});
    }
    std::int64_t const n = v + std::int64_t(edges.size());
    std::int64_t const ki = m.identities(), ke = m.expressions(), kr = m.reflectances();
    m.mean = detail::with_midpoints(m.mean, edges, 1, v, 3, {n, 3});
    m.identity = detail::with_midpoints(m.identity, edges, ki, v, 3, {ki, n, 3});
    m.expression = detail::with_midpoints(m.expression, edges, ke, v, 3, {ke, n, 3});
    m.reflectance_mean = detail::with_midpoints(m.reflectance_mean, edges, 1, v, 3, {n, 3});
    m.reflectance = detail::with_midpoints(m.reflectance, edges, kr, v, 3, {kr, n, 3});
    m.uv = detail::with_midpoints(m.uv, edges, 1, v, 2, {n, 2});
    Tensor<unsigned char> region({n}), interior({n});
    unsigned char* const r = region.mutate();
    unsigned char* const in = interior.mutate();
    for (std::int64_t i = 0; i < n; ++i) {
      auto const e = i < v ? std::array<int, 2>{int(i), int(i)} : edges[std::size_t(i - v)];
      r[i] = m.face_region.data()[e[0]] & m.face_region.data()[e[1]];
      in[i] = m.interior.data()[e[0]] | m.interior.data()[e[1]];
    }
    m.face_region = region, m.interior = interior;
    m.triangles = Tensor<int>({std::int64_t(fine.size()) / 3, 3}, fine);
  }
  if (times) finish_model(m);
  return m;
}

RIG_INLINE MorphableModel crop(MorphableModel const& m, std::vector<unsigned char> const& keep) {
  std::int64_t const v = m.vertices();
  check(std::int64_t(keep.size()) == v, "crop: keep must have ", v, " entries, got ", keep.size());
  std::vector<int> old, fresh(std::size_t(v), -1);
  std::vector<unsigned char> used(std::size_t(v), 0);
  for (std::int64_t f = 0; f < m.faces(); ++f) {
    int const* const t = m.triangles.data() + 3 * f;
    if (keep[std::size_t(t[0])] && keep[std::size_t(t[1])] && keep[std::size_t(t[2])])
      for (int k = 0; k < 3; ++k) used[std::size_t(t[k])] = 1;
  }
  for (std::int64_t i = 0; i < v; ++i)
    if (used[std::size_t(i)]) {
      fresh[std::size_t(i)] = int(old.size());
      old.push_back(int(i));
    }
  std::int64_t const n = std::int64_t(old.size()), ki = m.identities(), ke = m.expressions(), kr = m.reflectances();
  MorphableModel c = m;
  c.mean = detail::pick(m.mean, old, 1, {n, 3});
  c.identity = detail::pick(m.identity, old, ki, {ki, n, 3});
  c.expression = detail::pick(m.expression, old, ke, {ke, n, 3});
  c.reflectance_mean = detail::pick(m.reflectance_mean, old, 1, {n, 3});
  c.reflectance = detail::pick(m.reflectance, old, kr, {kr, n, 3});
  c.face_region = detail::pick(m.face_region, old, 1, {n});
  c.interior = detail::pick(m.interior, old, 1, {n});
  c.uv = detail::pick(m.uv, old, 1, {n, 2});
  detail::drop_zero_modes(c.identity, nullptr);
  detail::drop_zero_modes(c.expression, &c.expression_names);
  detail::drop_zero_modes(c.reflectance, nullptr);
  std::vector<int> triangles, landmarks(68);
  for (std::int64_t f = 0; f < m.faces(); ++f) {
    int const* const t = m.triangles.data() + 3 * f;
    int const a = fresh[std::size_t(t[0])], b = fresh[std::size_t(t[1])], d = fresh[std::size_t(t[2])];
    if (a >= 0 && b >= 0 && d >= 0) triangles.insert(triangles.end(), {a, b, d});
  }
  c.triangles = Tensor<int>({std::int64_t(triangles.size()) / 3, 3}, triangles);
  for (int i = 0; i < 68; ++i) {
    landmarks[std::size_t(i)] = fresh[std::size_t(m.landmarks.data()[i])];
    check(landmarks[std::size_t(i)] >= 0, "crop: landmark ", i, " (vertex ", m.landmarks.data()[i], ") is outside the part that is kept");
  }
  c.landmarks = Tensor<int>({68}, landmarks);
  for (auto& list : c.contour) {
    std::vector<int> kept;
    for (int i : list)
      if (fresh[std::size_t(i)] >= 0) kept.push_back(fresh[std::size_t(i)]);
    list = kept;
  }
  finish_model(c);
  return c;
}

}  // namespace rig::inline RIG_ABI::render
