#pragma once
#include "rig/render/procedural_face.hpp"
#include "rig/render/procedural_face_shape.ipp"

namespace rig::inline RIG_ABI::render {

namespace detail::face {

/// Row of the head at which hair ends, by angle from the front, for a full head of cropped hair.
inline double hair_line(double angle) {
  constexpr double table[][2] = {{0.00, 3.10}, {0.35, 3.02}, {0.60, 2.95}, {0.80, 3.25}, {0.98, 4.20},
                                 {1.10, 5.60}, {1.18, 6.05}, {1.30, 5.95}, {1.42, 4.80}, {1.60, 4.45},
                                 {1.85, 4.80}, {2.00, 6.60}, {2.20, 8.10}, {2.60, 9.20}, {3.15, 9.50}};
  double const a = std::abs(angle);
  std::size_t i = 0;
  while (i + 2 < std::size(table) && table[i + 1][0] < a) ++i;
  return table[i][1] + (table[i + 1][1] - table[i][1]) * ramp(table[i][0], table[i + 1][0], a);
}

/// Unit vector away from the smooth head.
inline V away(double angle, double k) {
  double const e = 1e-3, kk = std::max(k, 0.05);
  V const n = cross(head(angle, kk + e) - head(angle, kk - e), head(angle + e, kk) - head(angle - e, kk));
  return (1 / length(n)) * n;
}

}  // namespace detail::face

RIG_INLINE Hair procedural_hair(MorphableModel const& model, HairStyle const& style) {
  namespace face = detail::face;
  using face::V;
  check(model.name == "rig procedural face", "procedural_hair: expected a model made by procedural_face, got '", model.name, "'");
  auto unit = [](char const* field, float value, float low) {
    check(value >= low && value <= 1, "procedural_hair: ", field, " must be in ", low, "..1, got ", value);
  };
  unit("length", style.length, 0), unit("volume", style.volume, 0), unit("fringe", style.fringe, 0);
  unit("parting", style.parting, -1), unit("recession", style.recession, 0);
  for (float c : style.colour) unit("colour", c, 0);
  check(style.vertices >= 300 && style.vertices <= 40000, "procedural_hair: vertices must be in 300..40000, got ", style.vertices);

  // A column runs from the crown over the head, hangs down, and returns inside to the skin.
  int const columns = std::max(16, int(std::lround(std::sqrt(2.4 * style.vertices))));
  int const rows = std::max(14, int(std::lround(double(style.vertices) / columns)));
  int const over = rows * 55 / 100, hang = rows * 25 / 100, back = rows - over - hang;
  double const length = style.length, volume = style.volume;
  double const covers = face::ramp(0.45, 0.60, length);  // from here on hair lies over the ears
  double const first = 1.80 - 0.72 * covers;
  double const thick = 0.035 + 0.125 * volume + 0.03 * face::ramp(0.2, 0.6, length);

  std::vector<float> vertices, colour;
  std::vector<int> triangles;
  std::vector<V> roots;
  auto put = [&](V p, V root, double shade) {
    vertices.insert(vertices.end(), {float(p.x), float(p.y), float(p.z)});
    for (float c : style.colour) colour.push_back(float(std::min(1.0, c * shade)));
    roots.push_back(root);
  };
  V const top = face::head(0, 0);
  put(top + V{0, 0.9 * thick, 0}, top, 1.0);
  for (int j = 0; j < columns; ++j) {
    double const angle = face::pi * (2.0 * j / columns - 1), a = std::abs(angle);
    double const parted = face::bell((angle - 0.45 * style.parting) / 0.16);
    double const locks = std::sin(19 * angle + 1.3) + 0.6 * std::sin(47 * angle + 2.0 * style.parting);
    double line = face::hair_line(angle) - 0.9 * style.recession * face::ramp(1.0, 0.2, a) * (1 + 0.5 * face::bell((a - 0.6) / 0.25));
    double const fringe = style.fringe * face::ramp(0.95, 0.65, a);
    line += fringe * (1.60 - 0.9 * parted + 0.10 * locks);
    double const falls = face::ramp(first - 0.14, first + 0.10, a) * face::ramp(0.08, 0.20, length);
    double const drop = falls * std::max(0.0, 2.3 * length + 0.03 * locks);
    double const longer = face::ramp(0.0, 0.3, drop);
    line += (std::min(line, 5.2) - line) * covers * longer;  // long hair hangs from above the ears
    V tip{0, 0, 0}, out{0, 0, 0};
    for (int i = 1; i <= over; ++i) {
      bool const last = i == over;  // tucked under the skin, so that hair ends in an edge
      double const r = double(i) / over, k = line * std::min(1.0, double(i) / (over - 1));
      V const n = face::away(angle, k), root = face::head(angle, k);
      // Full on top, thin at the hair line; a fringe and hanging hair keep their thickness and then turn in.
      double const end = last ? 1 : 0, keep = std::max(0.20 + 0.15 * face::ramp(0, 0.3, fringe), longer);
      double t = thick * (0.9 + 0.25 * face::bell((r - 0.45) / 0.35)) * (1 - (1 - keep) * std::pow(r, 3)) + 0.010 * locks * r * (1 - end);
      t = t * (1 - end * (1 - longer)) - 0.030 * end * (1 - longer);
      t += covers * longer * 0.07 * r * face::bell((a - 1.6) / 0.5);
      t *= 1 - 0.35 * face::bell((angle - 0.45 * style.parting) / 0.07) * face::ramp(0.05, 0.4, r) * face::ramp(1.6, 1.0, a);
      double const streak = 1 + 0.13 * std::sin(61 * angle + 4 * r) + 0.09 * std::sin(113 * angle - 2 * r) + 0.05 * locks;
      double const shine = 1 + 0.35 * face::bell((r - 0.42 - 0.02 * locks) / 0.14) * face::ramp(2.4, 1.2, a);
      tip = root + t * n, out = n;
      put(tip, root, streak * shine * (1 - 0.20 * std::pow(r, 6)));
    }
    V const root = face::head(angle, line);
    out.y = 0;
    out = (1 / rig::length(out)) * out;
    for (int i = 1; i <= hang; ++i) {
      double const s = double(i) / hang, wave = 0.02 * std::sin(9 * s + 5 * angle) * longer;
      double const belly = 0.10 * volume * std::sin(face::pi * s) - 0.16 * s * s + wave;
      V const p = tip + (drop > 0 ? belly * std::min(1.0, drop) : 0.0) * out - V{0, drop * s, 0};
      double const streak = 1 + 0.13 * std::sin(61 * angle + 4) + 0.09 * std::sin(113 * angle) + 0.05 * locks;
      put(p, root, streak * (1 - 0.25 * s) * (0.75 + 0.25 * longer));
    }
    V const low = tip + (drop > 0 ? -0.16 * std::min(1.0, drop) : 0.0) * out - V{0, drop, 0};
    for (int i = 1; i <= back; ++i) {
      double const s = double(i) / back, in = std::min(1.0, 3 * s) * 0.13 * longer;
      put(face::mix(low, root, std::pow(s, 1.2)) - in * std::sin(face::pi * std::min(1.0, 0.15 + s)) * out, root, 0.45);
    }
  }
  auto at = [&](int i, int j) { return i == 0 ? 0 : 1 + (j % columns) * rows + i - 1; };
  for (int j = 0; j < columns; ++j)
    for (int i = 0; i < rows; ++i) {
      int const a = at(i, j), b = at(i + 1, j), c = at(i + 1, j + 1), d = at(i, j + 1);
      triangles.insert(triangles.end(), {a, b, c});
      if (i > 0) triangles.insert(triangles.end(), {a, c, d});
    }

  Hair hair;
  std::int64_t const n = std::int64_t(roots.size());
  hair.vertices = Tensor<float>({n, 3}, vertices), hair.colour = Tensor<float>({n, 3}, colour);
  hair.triangles = Tensor<int>({std::int64_t(triangles.size()) / 3, 3}, triangles);
  std::vector<int> carrier;
  float const* const mean = model.mean.data();
  for (V const r : roots) {
    int best = 0;
    double least = 1e30;
    for (std::int64_t v = 0; v < model.vertices(); ++v) {
      double const x = mean[3 * v] - r.x, y = mean[3 * v + 1] - r.y, z = mean[3 * v + 2] - r.z, d = x * x + y * y + z * z;
      if (d < least && !model.interior.data()[v]) least = d, best = int(v);
    }
    carrier.push_back(best);
  }
  hair.root = Tensor<int>({n}, carrier);
  return hair;
}

RIG_INLINE Tensor<float> place_hair(Hair const& hair, MorphableModel const& model, Tensor<float> const& geometry) {
  check(geometry.shape() == model.mean.shape(), "place_hair: geometry must be ", model.mean.shape(), ", got ", geometry.shape());
  Tensor<float> const posed = geometry.to(cpu()), mean = model.mean.to(cpu());
  Tensor<float> placed = hair.vertices.clone();
  float* const p = placed.mutate();
  for (std::int64_t i = 0; i < placed.dim(0); ++i)
    for (int a = 0; a < 3; ++a) {
      std::int64_t const r = std::int64_t(hair.root.data()[i]) * 3 + a;
      p[3 * i + a] += posed.data()[r] - mean.data()[r];
    }
  return placed;
}

}  // namespace rig::inline RIG_ABI::render
