#pragma once
// g++ 12 sees uninitialised registers in its own AVX-512 intrinsics when Eigen inlines them.
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <Eigen/Eigenvalues>
#include <Eigen/SparseCholesky>
#include <Eigen/SparseCore>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

#include "rig/core/random.hpp"
#include "rig/core/vec.hpp"
#include "rig/io/npz.hpp"
#include "rig/render/models/ict.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail::ict {

inline constexpr std::int64_t vertices = 26719, quads = 26384;
// First vertex after each part of the published mesh.
inline constexpr int face_end = 9409, narrow_end = 6706, neck_end = 11248, mouth_end = 13295, socket_end = 14062, gums_end = 17039,
                     teeth_end = 21451, eyes_end = 24591;
inline constexpr std::array<int, 68> landmarks = {1225, 1888, 1052, 367,  1719, 1722, 2199, 1447, 966,  3661, 4390, 3927, 3924, 2608,
                                                  3272, 4088, 3443, 268,  493,  1914, 2044, 1401, 3615, 4240, 4114, 2734, 2509, 978,
                                                  4527, 4942, 4857, 1140, 2075, 1147, 4269, 3360, 1507, 1542, 1537, 1528, 1518, 1511,
                                                  3742, 3751, 3756, 3721, 3725, 3732, 5708, 5695, 2081, 0,    4275, 6200, 6213, 6346,
                                                  6461, 5518, 5957, 5841, 5702, 5711, 5533, 6216, 6207, 6470, 5517, 5966};

/// The list of whole numbers under one key of a JSON object. Only that list is understood; the rest is not judged.
inline std::vector<int> json_integers(std::string const& path, std::string_view text, std::string_view key) {
  std::string const quoted = '"' + std::string(key) + '"';
  std::size_t i = text.find(quoted);
  check(i != text.npos, path, ": expected the key ", quoted, ", which is not there");
  i += quoted.size();
  auto skip = [&] {
    while (i < text.size() && (text[i] == ' ' || text[i] == '\n' || text[i] == '\r' || text[i] == '\t')) ++i;
  };
  auto take = [&](char c) {
    skip();
    if (i >= text.size() || text[i] != c) return false;
    ++i;
    return true;
  };
  check(take(':') && take('['), path, ": expected a list after ", quoted);
  std::vector<int> list;
  if (take(']')) return list;
  for (;;) {
    skip();
    long long value = 0;
    std::size_t const first = i;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9' && i - first < 9; ++i) value = 10 * value + (text[i] - '0');
    check(i > first, path, ": expected a whole number at byte ", first, " in the list ", quoted);
    list.push_back(int(value));
    if (take(']')) return list;
    check(take(','), path, ": expected ',' or ']' at byte ", i, " in the list ", quoted);
  }
}

/// A one-dimensional .npy of NumPy strings ("<U16": four bytes a character).
inline std::vector<std::string> npy_strings(std::string const& file, io::Bytes const& bytes) {
  io::Cursor c(bytes.span(), "expression_names.npy");
  c.require(c.remaining() > 10 && c.text(6) == "\x93NUMPY", "this is no .npy array");
  c.require(c.little<std::uint16_t>() == 1, "expected version 1.0");
  std::string_view const header = c.text(c.little<std::uint16_t>());
  auto number_after = [&](std::string_view mark) {
    std::size_t i = header.find(mark);
    check(i != header.npos, file, ": expression_names must be a list of strings, its header is ", io::excerpt(header, 80));
    std::size_t n = 0, digits = 0;
    for (i += mark.size(); i < header.size() && header[i] >= '0' && header[i] <= '9' && digits < 6; ++i, ++digits)
      n = 10 * n + std::size_t(header[i] - '0');
    return n;
  };
  std::size_t const width = number_after("'<U"), count = number_after("'shape': (");
  c.require(c.remaining() == 4 * width * count, "expected ", count, " strings of ", width, " characters, got ", c.remaining(), " bytes");
  std::vector<std::string> names(count);
  for (auto& name : names)
    for (std::size_t k = 0; k < width; ++k) {
      auto const code = c.little<std::uint32_t>();
      c.require(code < 128, "expected plain letters");
      if (code) name += char(code);
    }
  return names;
}

inline std::vector<int> cut_quads(std::vector<int> const& quad) {
  std::vector<int> t;
  for (std::size_t f = 0; f + 3 < quad.size(); f += 4) {
    t.insert(t.end(), {quad[f], quad[f + 1], quad[f + 2]});
    if (quad[f + 3] >= 0) t.insert(t.end(), {quad[f], quad[f + 2], quad[f + 3]});
  }
  return t;
}

/// Replaces a field by its mean with the neighbours, a few times.
inline void blur(std::vector<double>& field, std::vector<int> const& triangles, int rounds) {
  for (int r = 0; r < rounds; ++r) {
    std::vector<double> sum(field.size(), 0.0), count(field.size(), 0.0);
    for (std::size_t f = 0; f < triangles.size(); f += 3)
      for (int k = 0; k < 3; ++k) {
        auto const a = std::size_t(triangles[f + std::size_t(k)]), b = std::size_t(triangles[f + std::size_t((k + 1) % 3)]);
        sum[a] += field[b], sum[b] += field[a], ++count[a], ++count[b];
      }
    for (std::size_t i = 0; i < field.size(); ++i)
      if (count[i] > 0) field[i] = 0.5 * (field[i] + sum[i] / count[i]);
  }
}

/// Colour of the mean: skin, lips inside the outer lip landmarks, brows along theirs, eyes, teeth and mouth by vertex range.
inline Tensor<float> paint(Tensor<float> const& mean, std::vector<int> const& triangles, std::array<int, 68> const& l) {
  using V = Vec3<double>;
  std::int64_t const n = mean.dim(0);
  auto at = [&](std::int64_t i) { return V{mean.data()[3 * i], mean.data()[3 * i + 1], mean.data()[3 * i + 2]}; };
  std::vector<double> lips(std::size_t(n), 0.0), brows = lips;
  double const side = std::abs(at(l[45]).x - at(l[36]).x);  // between the outer corners of the eyes
  for (int i = 0; i < narrow_end; ++i) {
    V const p = at(i);
    if (p.z < at(l[48]).z - 0.1 * side) {
      if (p.z < at(l[17]).z - 0.1 * side) continue;
    } else {
      bool in = false;  // even-odd rule
      for (int a = 48, b = 59; a < 60; b = a++) {
        V const u = at(l[std::size_t(a)]), w = at(l[std::size_t(b)]);
        if ((u.y > p.y) != (w.y > p.y) && p.x < (w.x - u.x) * (p.y - u.y) / (w.y - u.y) + u.x) in = !in;
      }
      lips[std::size_t(i)] = in;
    }
    for (int k = 17; k < 26; ++k) {
      if (k == 21) continue;
      V const u = at(l[std::size_t(k)]), w = at(l[std::size_t(k + 1)]);
      double const dx = w.x - u.x, dy = w.y - u.y,
                   s = std::min(1.0, std::max(0.0, ((p.x - u.x) * dx + (p.y - u.y) * dy) / (dx * dx + dy * dy)));
      double const d = std::hypot(p.x - u.x - s * dx, p.y - u.y - s * dy) / (0.038 * side);
      brows[std::size_t(i)] = std::max(brows[std::size_t(i)], std::exp(-d * d * d));
    }
  }
  blur(lips, triangles, 1);
  Tensor<float> colour({n, 3});
  float* const out = colour.mutate();
  auto mix = [](V a, V b, double k) { return (1 - k) * a + k * b; };
  for (std::int64_t i = 0; i < n; ++i) {
    V c = mix(mix(V{0.760, 0.565, 0.465}, V{0.640, 0.340, 0.320}, 0.8 * lips[std::size_t(i)]), V{0.22, 0.15, 0.11},
              0.75 * brows[std::size_t(i)]);
    if (i >= neck_end && i < mouth_end) c = {0.40, 0.16, 0.15};
    if (i >= mouth_end && i < socket_end) c = {0.60, 0.40, 0.34};
    if (i >= socket_end && i < gums_end) c = {0.55, 0.24, 0.23};
    if (i >= gums_end && i < teeth_end) c = {0.86, 0.83, 0.76};
    if (i >= teeth_end) c = {0.84, 0.82, 0.80};
    out[3 * i] = float(c.x), out[3 * i + 1] = float(c.y), out[3 * i + 2] = float(c.z);
  }
  // Each eye is a ball (770 vertices) and an iris (800), which reaches outwards from the axis of sight.
  for (int first : {22221, 23791}) {
    V middle{0, 0, 0};
    for (int i = first; i < first + 800; ++i) middle += (1.0 / 800) * at(i);
    double reach = 0;
    for (int i = first; i < first + 800; ++i) reach = std::max(reach, std::hypot(at(i).x - middle.x, at(i).y - middle.y));
    for (int i = first; i < first + 800; ++i) {
      double const r = std::hypot(at(i).x - middle.x, at(i).y - middle.y) / reach;
      V const c = r < 0.40 ? V{0.025, 0.022, 0.022} : r < 0.93 ? V{0.30, 0.20, 0.13} : V{0.55, 0.50, 0.47};
      out[3 * i] = float(c.x), out[3 * i + 1] = float(c.y), out[3 * i + 2] = float(c.z);
    }
  }
  return colour;
}

}  // namespace detail::ict

RIG_INLINE Tensor<float> smooth_reflectance(Tensor<float> const& mean, Tensor<int> const& triangles,
                                            std::vector<unsigned char> const& region, int count) {
  std::int64_t const v = mean.dim(0);
  check(std::int64_t(region.size()) == v, "smooth_reflectance: region must have ", v, " entries, got ", region.size());
  check(count >= 0 && count <= 300, "smooth_reflectance: count must be in 0..300, got ", count);
  auto at = [&](std::int64_t i) { return Vec3<double>{mean.data()[3 * i], mean.data()[3 * i + 1], mean.data()[3 * i + 2]}; };

  // Cotangent Laplacian with lumped areas (Pinkall, Polthier 1993) on the vertices of the region that have a triangle there.
  std::vector<int> local(std::size_t(v), -1), global;
  std::vector<std::array<int, 3>> inside;
  for (std::int64_t f = 0; f < triangles.dim(0); ++f) {
    int const* const t = triangles.data() + 3 * f;
    if (!region[std::size_t(t[0])] || !region[std::size_t(t[1])] || !region[std::size_t(t[2])]) continue;
    for (int k = 0; k < 3; ++k)
      if (int& i = local[std::size_t(t[k])]; i < 0) i = int(global.size()), global.push_back(t[k]);
    inside.push_back({t[0], t[1], t[2]});
  }
  int const n = int(global.size()), fields = std::max(0, (count - 3 + 2) / 3);
  check(n > 2 * fields + 2, "smooth_reflectance: ", n, " vertices in the region are too few for ", count, " modes");
  std::vector<Eigen::Triplet<double>> entries;
  Eigen::VectorXd area = Eigen::VectorXd::Zero(n);
  for (auto const& t : inside)
    for (int k = 0; k < 3; ++k) {
      auto const a = at(t[std::size_t(k)]), b = at(t[std::size_t((k + 1) % 3)]), c = at(t[std::size_t((k + 2) % 3)]);
      double const twice = length(cross(b - a, c - a));
      int const i = local[std::size_t(t[std::size_t((k + 1) % 3)])], j = local[std::size_t(t[std::size_t((k + 2) % 3)])];
      area[local[std::size_t(t[std::size_t(k)])]] += twice / 6;
      // Bounded, so that a sliver cannot upset the rest.
      double const w = 0.5 * std::min(20.0, std::max(1e-3, dot(b - a, c - a) / std::max(twice, 1e-30)));
      entries.insert(entries.end(), {{i, i, w}, {j, j, w}, {i, j, -w}, {j, i, -w}});
    }
  double const total = area.sum();
  area = area.cwiseMax(1e-6 * total / n);
  Eigen::VectorXd const root = area.cwiseSqrt();
  for (auto& e : entries) e = {e.row(), e.col(), e.value() / (root[e.row()] * root[e.col()])};
  for (int i = 0; i < n; ++i) entries.emplace_back(i, i, 1 / total);  // shift: about a tenth of the first eigenvalue
  Eigen::SparseMatrix<double> shifted(n, n);
  shifted.setFromTriplets(entries.begin(), entries.end());

  // Lanczos on the inverse, orthogonal to the constant throughout.
  int const steps = std::min(n - 2, std::max(3 * fields, fields + 60));
  Eigen::MatrixXd basis(n, std::max(steps, 1) + 1);
  Eigen::MatrixXd reduced = Eigen::MatrixXd::Zero(steps, steps);
  Eigen::MatrixXd vectors(n, fields);
  if (fields > 0) {
    Eigen::SimplicialLDLT<Eigen::SparseMatrix<double>> const solver(shifted);
    check(solver.info() == Eigen::Success, "smooth_reflectance: the Laplacian could not be factored");
    basis.col(0) = root.normalized();
    Rng rng(80);
    Eigen::VectorXd x(n);
    for (int i = 0; i < n; ++i) x[i] = rng.normal();
    for (int s = 0; s <= steps; ++s) {
      for (int round = 0; round < 2; ++round)
        for (int j = 0; j <= s; ++j) x -= basis.col(j).dot(x) * basis.col(j);
      if (s == steps) break;
      basis.col(s + 1) = x.normalized();
      x = solver.solve(basis.col(s + 1));
      for (int j = 0; j <= s; ++j) reduced(j, s) = reduced(s, j) = basis.col(j + 1).dot(x);
    }
    Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> const small(reduced);
    for (int k = 0; k < fields; ++k) {
      Eigen::VectorXd y = basis.middleCols(1, steps) * small.eigenvectors().col(steps - 1 - k);
      y = y.cwiseQuotient(root);
      Eigen::Index peak;
      y.cwiseAbs().maxCoeff(&peak);
      y *= (y[peak] > 0 ? 1 : -1) * std::sqrt(double(n)) / y.norm();
      vectors.col(k) = y;
    }
  }

  constexpr double axes[3][3] = {{1.00, 0.92, 0.84}, {0.40, -0.28, -0.24}, {0.16, 0.10, -0.44}};
  Tensor<float> modes = zeros<float>({count, v, 3});
  float* const out = modes.mutate();
  for (int m = 0; m < count; ++m)
    for (int i = 0; i < n; ++i) {
      int const field = m / 3 - 1;
      double const value = field < 0 ? 0.09 : 0.035 / (1 + 0.12 * field) * vectors(i, field);
      for (int a = 0; a < 3; ++a) out[(m * v + global[std::size_t(i)]) * 3 + a] = float(value * axes[m % 3][a]);
    }
  return modes;
}

RIG_INLINE MorphableModel load_ict(std::string const& path, std::string const& json, IctOptions const& o) {
  namespace ict = detail::ict;
  check(o.identity >= 1 && o.identity <= 100, "load_ict: identity must be in 1..100, got ", o.identity);
  check(o.reflectance >= 0 && o.reflectance <= 300, "load_ict: reflectance must be in 0..300, got ", o.reflectance);
  io::MappedFile const file(path);
  MorphableModel m;
  std::vector<int> quads, uv_quads;
  Tensor<float> uv;
  try {
    io::ZipReader const zip(file.bytes());
    io::Budget budget({}, file.bytes().size);
    auto raw = [&](char const* name) {
      auto const* const entry = zip.find(std::string(name) + ".npy");
      check(entry, "expected an array ", name, ", which is not there");
      return zip.read(*entry, budget);
    };
    auto array = [&](char const* name, Shape shape) {  // -1 in shape: any extent
      io::AnyTensor const t = io::read_npy(raw(name), budget, name);
      check(t.rank() == shape.rank() && t.dim(-1) == shape[-1] && t.dim(-2) == shape[-2], name, " must be [.., ", shape[-2], ", ",
            shape[-1], "], got ", t.shape());
      return t;
    };
    m.mean = array("neutral", {ict::vertices, 3}).as<float>();
    Tensor<float> const identity = array("identity", {1, ict::vertices, 3}).as<float>();
    check(identity.dim(0) >= o.identity, "identity must have at least ", o.identity, " modes, got ", identity.dim(0));
    m.identity = identity.rows(0, o.identity).clone();
    m.expression = array("expression", {1, ict::vertices, 3}).as<float>();
    m.expression_names = ict::npy_strings(path, raw("expression_names"));
    check(std::int64_t(m.expression_names.size()) == m.expressions(), "expression_names must have ", m.expressions(), " entries, got ",
          m.expression_names.size());
    quads = array("faces_quad", {ict::quads, 4}).as<int>().host();
    if (zip.find("uv.npy") && zip.find("faces_uv.npy")) {
      io::AnyTensor const t = io::read_npy(raw("uv"), budget, "uv");
      check(t.rank() == 2 && t.dim(1) == 2, "uv must be [N, 2], got ", t.shape());
      uv = t.as<float>();
      uv_quads = array("faces_uv", {ict::quads, 4}).as<int>().host();
    }
  } catch (Error const& e) {
    throw Error(path + ": " + e.what());
  }
  for (std::size_t i = 0; i < quads.size(); ++i)
    check(quads[i] < ict::vertices && quads[i] >= (i % 4 == 3 ? -1 : 0), path, ": faces_quad names vertex ", quads[i], ", expected 0..",
          ict::vertices - 1);

  m.name = "ICT-FaceKit Light", m.units = "cm", m.licence = "MIT, (c) 2020 USC Institute for Creative Technologies";
  m.named_expressions = true;
  std::vector<int> const triangles = ict::cut_quads(quads);
  m.triangles = Tensor<int>({std::int64_t(triangles.size()) / 3, 3}, triangles);
  std::array<int, 68> landmarks = ict::landmarks;
  if (!json.empty()) {
    io::MappedFile const indices(json);
    std::vector<int> const list = ict::json_integers(json, indices.bytes().text(), "idx_to_landmark_verts");
    check(list.size() == 68, json, ": idx_to_landmark_verts must have 68 entries, got ", list.size());
    for (std::size_t i = 0; i < 68; ++i) {
      check(list[i] < ict::vertices, json, ": landmark ", i, " is vertex ", list[i], ", expected 0..", ict::vertices - 1);
      landmarks[i] = list[i];
    }
  }
  m.landmarks = Tensor<int>({68}, std::vector<int>(landmarks.begin(), landmarks.end()));

  std::vector<unsigned char> region(std::size_t(ict::vertices), 0), interior = region, skin = region, keep = region;
  int const end = o.part == IctPart::face   ? ict::face_end
                  : o.part == IctPart::skin ? ict::mouth_end
                  : o.part == IctPart::head ? ict::eyes_end
                                            : int(ict::vertices);
  for (int i = 0; i < ict::vertices; ++i) {
    auto const s = std::size_t(i);
    interior[s] = i >= ict::neck_end, region[s] = i < ict::narrow_end || interior[s], skin[s] = i < ict::neck_end, keep[s] = i < end;
  }
  m.face_region = Tensor<unsigned char>({ict::vertices}, region);
  m.interior = Tensor<unsigned char>({ict::vertices}, interior);
  m.reflectance_mean = ict::paint(m.mean, triangles, landmarks);
  m.reflectance = smooth_reflectance(m.mean, m.triangles, skin, o.reflectance);
  if (uv) {  // the first corner that uses a vertex gives its uv; seams are not cut open
    m.uv = zeros<float>({ict::vertices, 2});
    float* const out = m.uv.mutate();
    std::vector<unsigned char> set(std::size_t(ict::vertices), 0);
    for (std::size_t i = 0; i < quads.size(); ++i) {
      if (quads[i] < 0 || set[std::size_t(quads[i])]) continue;
      check(uv_quads[i] >= 0 && uv_quads[i] < uv.dim(0), path, ": faces_uv names row ", uv_quads[i], ", expected 0..", uv.dim(0) - 1);
      set[std::size_t(quads[i])] = 1;
      for (int a = 0; a < 2; ++a) out[2 * quads[i] + a] = uv.data()[2 * uv_quads[i] + a];
    }
  }
  if (o.part == IctPart::all)
    finish_model(m);
  else
    m = crop(m, keep);
  return m;
}

}  // namespace rig::inline RIG_ABI::render
