#pragma once
#include <array>

#include "rig/core/random.hpp"
#include "rig/render/procedural_face.hpp"
#include "rig/render/procedural_face_shape.ipp"

namespace rig::inline RIG_ABI::render {

namespace detail::face {

struct NamedControl {
  char const* name;
  void (*set)(Controls&, double);
};
// Order is importance: a model with fewer modes has the first ones.
inline constexpr NamedControl identity_controls[] = {
    {"face width", [](Controls& c, double v) { c.face_width = v; }},
    {"face length", [](Controls& c, double v) { c.face_length = v; }},
    {"jaw width", [](Controls& c, double v) { c.jaw_width = v; }},
    {"nose length", [](Controls& c, double v) { c.nose_length = v; }},
    {"nose width", [](Controls& c, double v) { c.nose_width = v; }},
    {"chin length", [](Controls& c, double v) { c.chin_length = v; }},
    {"cheek fullness", [](Controls& c, double v) { c.cheek = v; }},
    {"eye distance", [](Controls& c, double v) { c.eye_distance = v; }},
    {"eye size", [](Controls& c, double v) { c.eye_size = v; }},
    {"mouth width", [](Controls& c, double v) { c.mouth_width = v; }},
    {"nose projection", [](Controls& c, double v) { c.nose_forward = v; }},
    {"chin projection", [](Controls& c, double v) { c.chin_forward = v; }},
    {"cheekbones", [](Controls& c, double v) { c.cheekbone = v; }},
    {"mouth height", [](Controls& c, double v) { c.mouth_height = v; }},
    {"brow height", [](Controls& c, double v) { c.brow_height = v; }},
    {"lower lip", [](Controls& c, double v) { c.lower_lip = v; }},
    {"upper lip", [](Controls& c, double v) { c.upper_lip = v; }},
    {"forehead height", [](Controls& c, double v) { c.forehead_height = v; }},
    {"brow ridge", [](Controls& c, double v) { c.brow_ridge = v; }},
    {"nose bridge", [](Controls& c, double v) { c.nose_bridge = v; }},
    {"eye tilt", [](Controls& c, double v) { c.eye_tilt = v; }},
    {"lid opening", [](Controls& c, double v) { c.lid = v; }},
    {"nose tip", [](Controls& c, double v) { c.nose_tip = v; }},
    {"jaw angle", [](Controls& c, double v) { c.jaw_angle = v; }},
    {"chin width", [](Controls& c, double v) { c.chin_width = v; }},
    {"eye height", [](Controls& c, double v) { c.eye_height = v; }},
    {"eye depth", [](Controls& c, double v) { c.eye_depth = v; }},
    {"lip projection", [](Controls& c, double v) { c.lips_forward = v; }},
    {"bridge width", [](Controls& c, double v) { c.bridge_width = v; }},
    {"forehead slope", [](Controls& c, double v) { c.forehead_slope = v; }},
    {"temples", [](Controls& c, double v) { c.temple = v; }},
    {"head depth", [](Controls& c, double v) { c.head_depth = v; }},
    {"crown", [](Controls& c, double v) { c.crown = v; }},
    {"ear size", [](Controls& c, double v) { c.ear_size = v; }},
    {"ear flare", [](Controls& c, double v) { c.ear_flare = v; }},
    {"neck width", [](Controls& c, double v) { c.neck = v; }},
};
inline constexpr NamedControl expression_controls[] = {
    {"jawOpen", [](Controls& c, double v) { c.jaw_open = v; }},
    {"mouthSmile_L", [](Controls& c, double v) { c.smile[0] = v; }},
    {"mouthSmile_R", [](Controls& c, double v) { c.smile[1] = v; }},
    {"browInnerUp", [](Controls& c, double v) { c.brow_inner = v; }},
    {"eyeBlink_L", [](Controls& c, double v) { c.blink[0] = v; }},
    {"eyeBlink_R", [](Controls& c, double v) { c.blink[1] = v; }},
    {"mouthPucker", [](Controls& c, double v) { c.pucker = v; }},
    {"browDown_L", [](Controls& c, double v) { c.brow_down[0] = v; }},
    {"browDown_R", [](Controls& c, double v) { c.brow_down[1] = v; }},
    {"browOuterUp_L", [](Controls& c, double v) { c.brow_outer[0] = v; }},
    {"browOuterUp_R", [](Controls& c, double v) { c.brow_outer[1] = v; }},
    {"mouthFrown_L", [](Controls& c, double v) { c.frown[0] = v; }},
    {"mouthFrown_R", [](Controls& c, double v) { c.frown[1] = v; }},
    {"mouthFunnel", [](Controls& c, double v) { c.funnel = v; }},
    {"jawLeft", [](Controls& c, double v) { c.jaw_side = v; }},
    {"jawRight", [](Controls& c, double v) { c.jaw_side = -v; }},
    {"mouthStretch_L", [](Controls& c, double v) { c.stretch[0] = v; }},
    {"mouthStretch_R", [](Controls& c, double v) { c.stretch[1] = v; }},
    {"cheekPuff", [](Controls& c, double v) { c.puff = v; }},
    {"eyeWide_L", [](Controls& c, double v) { c.wide[0] = v; }},
    {"eyeWide_R", [](Controls& c, double v) { c.wide[1] = v; }},
    {"eyeSquint_L", [](Controls& c, double v) { c.squint[0] = v; }},
    {"eyeSquint_R", [](Controls& c, double v) { c.squint[1] = v; }},
    {"noseSneer_L", [](Controls& c, double v) { c.sneer[0] = v; }},
    {"noseSneer_R", [](Controls& c, double v) { c.sneer[1] = v; }},
    {"mouthPress", [](Controls& c, double v) { c.press = v; }},
    {"mouthUpperUp_L", [](Controls& c, double v) { c.upper_up[0] = v; }},
    {"mouthUpperUp_R", [](Controls& c, double v) { c.upper_up[1] = v; }},
    {"mouthLowerDown_L", [](Controls& c, double v) { c.lower_down[0] = v; }},
    {"mouthLowerDown_R", [](Controls& c, double v) { c.lower_down[1] = v; }},
    {"mouthLeft", [](Controls& c, double v) { c.mouth_side = v; }},
    {"mouthRight", [](Controls& c, double v) { c.mouth_side = -v; }},
    {"jawForward", [](Controls& c, double v) { c.jaw_forward = v; }},
};
struct NamedColour {
  char const* name;
  using Member = double Colouring::*;
  Member member;
};
inline constexpr NamedColour colour_controls[] = {
    {"melanin", &Colouring::melanin},       {"redness", &Colouring::redness},          {"yellow", &Colouring::yellow},
    {"lip redness", &Colouring::lips},      {"brow lightness", &Colouring::brow},      {"beard shadow", &Colouring::beard},
    {"blush", &Colouring::blush},           {"iris blue", &Colouring::iris_blue},      {"iris lightness", &Colouring::iris_light},
    {"lip darkness", &Colouring::lip_dark}, {"under the eyes", &Colouring::under_eye}, {"eye shadow", &Colouring::eye_shadow},
    {"nose redness", &Colouring::nose},     {"freckles", &Colouring::freckles},
};
inline constexpr int identity_count = int(std::size(identity_controls)), expression_count = int(std::size(expression_controls)),
                     colour_count = int(std::size(colour_controls));

/// Positions 0..n along an axis, spaced by a density, with given points exactly on integers.
class Spacing {
 public:
  /// density is sampled on [0, end]; fixed are inner points, ascending.
  template <class Density> Spacing(int n, double end, Density density, std::vector<double> fixed) {
    int const samples = 2048;
    std::vector<double> sum(samples + 1, 0.0);
    for (int i = 0; i < samples; ++i) sum[std::size_t(i + 1)] = sum[std::size_t(i)] + density(end * (i + 0.5) / samples);
    auto cumulative = [&](double x) {
      double const u = x / end * samples;
      int const i = std::min(int(u), samples - 1);
      return (sum[std::size_t(i)] + (u - i) * (sum[std::size_t(i + 1)] - sum[std::size_t(i)])) / sum.back();
    };
    auto inverse = [&](double s) {
      auto const it = std::upper_bound(sum.begin(), sum.end(), s * sum.back());
      int const i = std::clamp(int(it - sum.begin()) - 1, 0, samples - 1);
      return end * (i + (s * sum.back() - sum[std::size_t(i)]) / (sum[std::size_t(i + 1)] - sum[std::size_t(i)])) / samples;
    };
    fixed.insert(fixed.begin(), 0.0);
    fixed.push_back(end);
    int index = 0;
    at_.push_back(0.0);
    for (std::size_t f = 1; f < fixed.size(); ++f) {
      int const next = f + 1 == fixed.size() ? n : std::max(index + 2, int(std::lround(n * cumulative(fixed[f]))));
      double const a = cumulative(fixed[f - 1]), b = cumulative(fixed[f]);
      for (int i = index + 1; i < next; ++i) at_.push_back(inverse(a + (b - a) * (i - index) / (next - index)));
      at_.push_back(fixed[f]);
      index = next;
    }
  }
  int count() const { return int(at_.size()) - 1; }
  double operator[](int i) const { return at_[std::size_t(i)]; }
  int nearest(double x) const {
    int best = 0;
    for (int i = 1; i <= count(); ++i)
      if (std::abs(at_[std::size_t(i)] - x) < std::abs(at_[std::size_t(best)] - x)) best = i;
    return best;
  }

 private:
  std::vector<double> at_;
};

inline double row_density(double k) {
  constexpr double d[16] = {1.4, 1.6, 1.8, 2.0, 3.2, 5.2, 4.4, 5.2, 6.2, 5.6, 3.4, 2.4, 1.4, 1.2, 1.2, 0.8};
  double const u = std::clamp(k - 0.5, 0.0, 15.0);
  int const i = std::min(int(u), 14);
  return d[i] + (u - i) * (d[i + 1] - d[i]);
}
inline double column_density(double angle) { return 0.2 + 0.8 * bell(angle / 0.95); }

/// The points and triangles of the model at one resolution.
struct Mesh {
  std::vector<Point> points;
  std::vector<int> triangles;
  Spacing row, column;
  int half, eye_at, mouth_at, eye_in, eye_out, mouth_end;
  std::vector<int> grid, lower;  // vertex of (row, column); `lower`: of the lower edge where the grid is slit, else -1

  explicit Mesh(double scale)
      : row(std::max(30, int(std::lround(52 * scale))), 16.0, row_density, {brow_row, eye_row, mouth_row}),
        column(std::max(22, int(std::lround(38 * scale))), pi, column_density,
               {angle_at(eye_x - eye_half, eye_row), angle_at(mouth_half, mouth_row), angle_at(eye_x + eye_half, eye_row)}),
        half(column.count()) {
    eye_at = row.nearest(eye_row), mouth_at = row.nearest(mouth_row);
    eye_in = column.nearest(angle_at(eye_x - eye_half, eye_row)), eye_out = column.nearest(angle_at(eye_x + eye_half, eye_row));
    mouth_end = column.nearest(angle_at(mouth_half, mouth_row));
    add_skin();
    for (int hand : {1, -1}) {
      add_lids(hand);
      add_eye(hand, scale);
    }
    add_mouth(scale);
    for (int hand : {1, -1}) add_ear(hand, scale);
  }

  /// Vertex at row i and column j in -half..half; side -1 takes the lower edge of a slit.
  int at(int i, int j, int side = 1) const {
    std::size_t const cell = std::size_t(i * 2 * half + (j + 4 * half) % (2 * half));
    return side < 0 && lower[cell] >= 0 ? lower[cell] : grid[cell];
  }

 private:
  int add(Point const& p) {
    points.push_back(p);
    return int(points.size()) - 1;
  }
  void triangle(int a, int b, int c) {
    if (a != b && b != c && c != a) triangles.insert(triangles.end(), {a, b, c});
  }
  /// a over b on the left, d over c on the right, seen from outside.
  void quad(int a, int b, int c, int d) {
    triangle(a, b, c);
    triangle(a, c, d);
  }
  /// The mirror image of a quad, so that both halves of the face are cut alike.
  void quad(int a, int b, int c, int d, bool mirrored) {
    if (!mirrored) return quad(a, b, c, d);
    triangle(a, b, d);
    triangle(b, c, d);
  }
  double angle_of(int j) const { return j < 0 ? -column[-j] : column[j]; }
  bool slit(int i, int j) const {
    int const a = std::abs(j);
    return (i == eye_at && a > eye_in && a < eye_out) || (i == mouth_at && a < mouth_end);
  }

  void add_skin() {
    int const columns = 2 * half;
    grid.assign(std::size_t((row.count() + 1) * columns), -1);
    lower = grid;
    int const crown = add(on_head(0, 0));
    for (int i = 0; i <= row.count(); ++i)
      for (int j = 0; j < columns; ++j) {
        int const signed_j = j < half ? j : j - columns;
        std::size_t const cell = std::size_t(i * columns + j);
        bool const open = slit(i, signed_j);
        grid[cell] = i == 0 ? crown : add(on_head(angle_of(signed_j), row[i], open ? 1 : 0));
        if (open) lower[cell] = add(on_head(angle_of(signed_j), row[i], -1));
      }
    for (int i = 0; i < row.count(); ++i)
      for (int j = -half; j < half; ++j) quad(at(i, j, -1), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1, -1), j < 0);
  }

  // A band from the edge of both lids back onto the eyeball.
  void add_lids(int hand) {
    std::vector<int> top, bottom, inner_top, inner_bottom;
    for (int a = eye_in; a <= eye_out; ++a) {
      int const j = hand * a;
      top.push_back(at(eye_at, j)), bottom.push_back(at(eye_at, j, -1));
      auto inner = [&](int from) {
        Point p = points[std::size_t(from)];
        p.part = Part::lid, p.hand = hand;
        return add(p);
      };
      inner_top.push_back(inner(top.back()));
      inner_bottom.push_back(top.back() == bottom.back() ? inner_top.back() : inner(bottom.back()));
    }
    for (std::size_t s = 0; s + 1 < top.size(); ++s) {
      std::size_t const l = hand > 0 ? s : s + 1, r = hand > 0 ? s + 1 : s;
      quad(top[l], inner_top[l], inner_top[r], top[r], hand < 0);
      quad(inner_bottom[l], bottom[l], bottom[r], inner_bottom[r], hand < 0);
    }
  }

  /// Rings round the direction of gaze, close together where the colour changes.
  void add_eye(int hand, double scale) {
    int const sectors = std::max(14, int(std::lround(17 * scale)));
    std::vector<double> radii;
    int const fine = std::max(1, int(std::lround(scale)));
    auto ring = [&](double from, double to, int n) {
      for (int i = 1; i <= n; ++i) radii.push_back(from + (to - from) * i / n);
    };
    ring(0, pupil * 0.96, fine), ring(0, pupil * 1.05, 1), ring(pupil * 1.05, iris * 0.97, fine + 1), ring(0, iris * 1.04, 1);
    ring(iris * 1.04, 0.152, 2 * fine + 1);
    V const e{hand * eye_centre.x, eye_centre.y, eye_centre.z};
    auto vertex = [&](double r, double turn) {
      Point p;
      p.part = Part::eye, p.hand = hand, p.q = e;
      double const s = r / ball;
      p.local = {hand * s * std::cos(turn), s * std::sin(turn), std::sqrt(1 - s * s)};
      return add(p);
    };
    int const centre = vertex(0, 0);
    std::vector<int> inner(std::size_t(sectors), centre), outer = inner;
    for (double r : radii) {
      for (int s = 0; s < sectors; ++s) outer[std::size_t(s)] = vertex(r, 2 * pi * s / sectors);
      for (int s = 0; s < sectors; ++s) {
        std::size_t const a = std::size_t(s), b = std::size_t((s + 1) % sectors);
        if (hand > 0)
          quad(inner[a], outer[a], outer[b], inner[b]);
        else
          quad(inner[b], outer[b], outer[a], inner[a], true);
      }
      inner = outer;
    }
    // The reflection of a window, the same side in both eyes.
    V const to{0.17, 0.24, std::sqrt(1 - 0.17 * 0.17 - 0.24 * 0.24)};
    auto spot = [&](double dx, double dy) {
      Point p;
      p.part = Part::glint, p.hand = hand, p.q = e;
      V const d{to.x + dx, to.y + dy, to.z};
      p.local = (1 / length(d)) * d;
      return add(p);
    };
    int const middle = spot(0, 0);
    std::vector<int> rim;
    for (int s = 0; s < 8; ++s) rim.push_back(spot(0.075 * std::cos(pi * s / 4), 0.085 * std::sin(pi * s / 4)));
    for (std::size_t s = 0; s < 8; ++s) triangle(middle, rim[s], rim[(s + 1) % 8]);
  }

  // The cavity: from the upper lip back along the palate and forward along the floor to the lower lip; two rows of teeth.
  void add_mouth(double scale) {
    struct Step {
      double depth, up, lower;
    };
    constexpr Step steps[] = {{0.05, 0.025, 0.0}, {0.22, 0.10, 0.0}, {0.42, 0.0, 0.5}, {0.22, -0.10, 1.0}, {0.05, -0.03, 1.0}};
    std::vector<int> above, below;
    for (int j = -mouth_end; j <= mouth_end; ++j) above.push_back(at(mouth_at, j));
    auto band = [&] {
      for (std::size_t s = 0; s + 1 < above.size(); ++s) quad(above[s], below[s], below[s + 1], above[s + 1], int(s) < mouth_end);
      above = below;
    };
    for (Step const& step : steps) {
      below.clear();
      for (int j = -mouth_end; j <= mouth_end; ++j) {
        if (std::abs(j) == mouth_end) {
          below.push_back(at(mouth_at, j));
          continue;
        }
        Point p = on_head(angle_of(j), mouth_row);
        double const round = std::sqrt(1 - std::pow(double(j) / mouth_end, 2));
        p.part = Part::mouth, p.local = {step.depth, step.up * round, step.lower};
        below.push_back(add(p));
      }
      band();
    }
    below.clear();
    for (int j = -mouth_end; j <= mouth_end; ++j) below.push_back(at(mouth_at, j, -1));
    band();

    int const columns = std::max(10, 2 * int(std::lround(8 * scale)));
    for (int side : {1, -1}) {
      std::vector<int> last;
      for (int r = 0; r < 3; ++r) {
        std::vector<int> now;
        for (int s = 0; s <= columns; ++s) {
          double const x = 0.205 * (2.0 * s / columns - 1), down = r * 0.042;
          Point p;
          p.part = Part::teeth, p.side = side, p.q = mouth_centre;
          p.local = {x, side > 0 ? 0.060 - down : -0.012 - 0.8 * down,
                     -0.055 - 1.8 * x * x + (r == 1 ? 0.008 : 0.0) - (side < 0 ? 0.018 : 0.0)};
          now.push_back(add(p));
        }
        for (int s = 0; r > 0 && s < columns; ++s)
          quad(last[std::size_t(s)], now[std::size_t(s)], now[std::size_t(s + 1)], last[std::size_t(s + 1)], s < columns / 2);
        last = now;
      }
    }
  }

  // A shell: bowl, fold and rim in front, then round the edge to the back.
  void add_ear(int hand, double scale) {
    int const sectors = std::max(14, int(std::lround(24 * scale)));
    struct Ring {
      double radius, height;
    };
    std::vector<Ring> rings;
    int const n = std::max(4, int(std::lround(5 * scale)));
    for (int i = 1; i <= n; ++i) {
      double const r = double(i) / n;
      rings.push_back({r, 0.045 - 0.050 * bell(r / 0.40) + 0.030 * bell((r - 0.62) / 0.12) - 0.010 * bell((r - 0.78) / 0.08) +
                              0.038 * bell((r - 0.93) / 0.10)});
    }
    rings.push_back({0.985, 0.015});
    rings.push_back({0.75, -0.045});
    auto vertex = [&](double r, double height, double turn) {
      Point p;
      p.part = Part::ear, p.hand = hand, p.q = V{hand * ear_root.x, ear_root.y, ear_root.z};
      double const s = std::sin(turn), c = std::cos(turn), lobe = ramp(-0.2, -1.0, s);
      double const x = 0.075 + r * c * (0.150 + 0.030 * s - 0.030 * lobe) - (c < 0 ? r * c * 0.045 : 0.0);
      p.local = {x, r * s * 0.31 + 0.01, height * (1 - 0.5 * lobe * ramp(0.3, 0.8, r)) - 0.03 * ramp(0.3, -0.6, c * r)};
      return add(p);
    };
    int const centre = vertex(0, -0.005, 0);
    std::vector<int> inner(std::size_t(sectors), centre), outer = inner;
    for (Ring const& g : rings) {
      for (int s = 0; s < sectors; ++s) outer[std::size_t(s)] = vertex(g.radius, g.height, 2 * pi * s / sectors);
      for (int s = 0; s < sectors; ++s) {
        std::size_t const a = std::size_t(s), b = std::size_t((s + 1) % sectors);
        // Seen from the subject's left, the back of the head is to the right.
        if (hand > 0)
          quad(inner[a], outer[a], outer[b], inner[b]);
        else
          quad(inner[b], outer[b], outer[a], inner[a], true);
      }
      inner = outer;
    }
  }
};

/// The finest mesh with at most `wanted` vertices.
inline Mesh make_mesh(int wanted) {
  double low = 0.4, high = 5;
  for (int i = 0; i < 24; ++i) {
    double const mid = 0.5 * (low + high);
    (int(Mesh(mid).points.size()) <= wanted ? low : high) = mid;
  }
  return Mesh(low);
}

/// The 68 landmarks in the iBUG order, and the rows of vertices the jaw points may slide along.
inline void place_landmarks(Mesh const& m, MorphableModel& model) {
  std::array<int, 68> l{};
  struct Cell {
    int i, j, side;
  };
  auto put = [&](int left, int right, Cell c) {  // on the subject's left, mirrored on the right
    l[std::size_t(left)] = m.at(c.i, c.j, c.side);
    l[std::size_t(right)] = m.at(c.i, -c.j, c.side);
  };
  auto nearest = [&](double x, double y) {  // on the smooth head seen from the front
    Cell best{0, 0, 1};
    double least = 1e30;
    for (int i = 1; i <= m.row.count(); ++i)
      for (int j = 0; j <= (x == 0 ? 0 : m.half / 2); ++j) {
        V const q = m.points[std::size_t(m.at(i, j))].q;
        double const d = std::hypot(q.x - x, q.y - y);
        if (q.z > 0.1 && d < least) least = d, best = {i, j, 1};
      }
    return best;
  };
  double const jaw[9][2] = {{1.30, 6.0},  {1.29, 7.4},  {1.27, 8.8},  {1.24, 10.1}, {1.16, 11.1},
                            {0.96, 11.6}, {0.66, 11.7}, {0.33, 11.7}, {0.0, 11.7}};
  model.contour.assign(17, {});
  for (int i = 0; i < 9; ++i) {
    Cell const c{m.row.nearest(jaw[i][1]), m.column.nearest(jaw[i][0]), 1};
    put(16 - i, i, c);
    for (int j = 0; j <= m.half; ++j) {
      if (i == 8 ? j > 0 : m.column[j] < jaw[i][0] - 0.55 || m.column[j] > jaw[i][0] + 0.45) continue;
      model.contour[std::size_t(16 - i)].push_back(m.at(c.i, j));
      if (i < 8) model.contour[std::size_t(i)].push_back(m.at(c.i, -j));
    }
  }
  int const brow = m.row.nearest(brow_row);
  for (int i = 0; i < 5; ++i) put(22 + i, 21 - i, {brow, m.column.nearest(angle_at(0.11 + 0.10 * i, brow_row)), 1});
  double const ridge[4] = {0.10, -0.03, -0.16, -0.29};
  for (int i = 0; i < 4; ++i) l[std::size_t(27 + i)] = m.at(nearest(0, ridge[i]).i, 0);
  put(33, 33, nearest(0, -0.425)), put(34, 32, nearest(0.065, -0.425)), put(35, 31, nearest(0.130, -0.405));

  int const third = std::max(1, int(std::lround((m.eye_out - m.eye_in) / 3.0)));
  put(42, 39, {m.eye_at, m.eye_in, 1}), put(45, 36, {m.eye_at, m.eye_out, 1});
  put(43, 38, {m.eye_at, m.eye_in + third, 1}), put(44, 37, {m.eye_at, m.eye_out - third, 1});
  put(47, 40, {m.eye_at, m.eye_in + third, -1}), put(46, 41, {m.eye_at, m.eye_out - third, -1});

  Controls const mean{};
  double const mouth_y = head(0, mouth_row).y;
  auto lip = [&](double x, double edge) { return nearest(x, head(angle_at(std::max(x, 1e-6), mouth_row), mouth_row).y + edge); };
  put(54, 48, {m.mouth_at, m.mouth_end, 1});
  put(53, 49, lip(0.155, upper_lip(0.62, mean))), put(52, 50, lip(0.065, upper_lip(0.26, mean)));
  put(51, 51, nearest(0, mouth_y + upper_lip(0, mean)));
  put(55, 59, lip(0.160, -lower_lip(0.64, mean))), put(56, 58, lip(0.075, -lower_lip(0.30, mean)));
  put(57, 57, nearest(0, mouth_y - lower_lip(0, mean)));
  int const middle = std::max(1, m.mouth_end / 2);
  put(64, 60, {m.mouth_at, m.mouth_end - 1, 1}), put(63, 61, {m.mouth_at, middle, 1}), put(62, 62, {m.mouth_at, 0, 1});
  put(65, 67, {m.mouth_at, middle, -1}), put(66, 66, {m.mouth_at, 0, -1});
  model.landmarks = Tensor<int>({68}, std::vector<int>(l.begin(), l.end()));
}

/// Sum of a few waves: smooth over the head.
struct Waves {
  struct Wave {
    V frequency, amount;
    double phase;
  };
  std::vector<Wave> waves;
  Waves(Rng rng, double detail) {
    for (int i = 0; i < 6; ++i) {
      V f{rng.normal(), rng.normal(), rng.normal()};
      double const phase = rng.uniform(0, 2 * pi);
      waves.push_back({(detail * rng.uniform(0.6, 1.2)) * f, {rng.normal(), rng.normal(), rng.normal()}, phase});
    }
  }
  V operator()(V q) const {
    V s{0, 0, 0};
    for (auto const& w : waves) s += std::cos(dot(w.frequency, q) + w.phase) * w.amount;
    return s;
  }
};

/// Makes mode k orthogonal to those before it and gives it a root mean square length.
inline void orthogonalise(float* modes, std::int64_t size, int k, double rms) {
  float* const m = modes + k * size;
  for (int round = 0; round < 2; ++round)
    for (int j = 0; j < k; ++j) {
      float const* const o = modes + j * size;
      double dots = 0, squares = 0;
      for (std::int64_t i = 0; i < size; ++i) dots += double(m[i]) * o[i], squares += double(o[i]) * o[i];
      float const f = float(dots / squares);
      for (std::int64_t i = 0; i < size; ++i) m[i] -= f * o[i];
    }
  double squares = 0;
  for (std::int64_t i = 0; i < size; ++i) squares += double(m[i]) * m[i];
  float const scale = float(rms / std::sqrt(squares / (double(size) / 3)));
  for (std::int64_t i = 0; i < size; ++i) m[i] *= scale;
}

inline void check_options(ProceduralFaceOptions const& o) {
  check(o.vertices >= 2000 && o.vertices <= 60000, "procedural_face: vertices must be in 2000..60000, got ", o.vertices);
  check(o.identity >= 1 && o.identity <= 200, "procedural_face: identity must be in 1..200, got ", o.identity);
  check(o.reflectance >= 1 && o.reflectance <= 200, "procedural_face: reflectance must be in 1..200, got ", o.reflectance);
}

}  // namespace detail::face

RIG_INLINE std::vector<std::string> procedural_identity_names(ProceduralFaceOptions const& o) {
  detail::face::check_options(o);
  std::vector<std::string> names;
  for (int k = 0; k < o.identity; ++k)
    names.push_back(k < detail::face::identity_count ? detail::face::identity_controls[k].name
                                                     : "field " + std::to_string(k - detail::face::identity_count + 1));
  return names;
}

RIG_INLINE std::vector<std::string> procedural_reflectance_names(ProceduralFaceOptions const& o) {
  detail::face::check_options(o);
  std::vector<std::string> names;
  for (int k = 0; k < o.reflectance; ++k)
    names.push_back(k < detail::face::colour_count ? detail::face::colour_controls[k].name
                                                   : "field " + std::to_string(k - detail::face::colour_count + 1));
  return names;
}

RIG_INLINE MorphableModel procedural_face(ProceduralFaceOptions const& o) {
  namespace face = detail::face;
  using face::V;
  face::check_options(o);
  face::Mesh const mesh = face::make_mesh(o.vertices);
  std::int64_t const v = std::int64_t(mesh.points.size());
  MorphableModel m;
  m.name = "rig procedural face", m.units = "dm", m.licence = "made by code, no rights of others";
  m.triangles = Tensor<int>({std::int64_t(mesh.triangles.size()) / 3, 3}, mesh.triangles);

  face::Controls const neutral{};
  std::vector<V> mean;
  std::vector<face::ColourMasks> masks;
  std::vector<double> on_eye;
  m.mean = Tensor<float>({v, 3}), m.reflectance_mean = Tensor<float>({v, 3}), m.uv = Tensor<float>({v, 2});
  m.face_region = Tensor<unsigned char>({v}), m.interior = Tensor<unsigned char>({v});
  float *mean_out = m.mean.mutate(), *colour_out = m.reflectance_mean.mutate(), *uv = m.uv.mutate();
  unsigned char *region = m.face_region.mutate(), *interior = m.interior.mutate();
  auto store = [](V a, float* out) { out[0] = float(a.x), out[1] = float(a.y), out[2] = float(a.z); };
  for (std::int64_t i = 0; i < v; ++i) {
    face::Point const& p = mesh.points[std::size_t(i)];
    mean.push_back(face::position(p, neutral));
    masks.push_back(face::colour_masks(p));
    bool const eye = p.part == face::Part::eye || p.part == face::Part::glint || p.part == face::Part::lid;
    on_eye.push_back(eye ? 1 : p.part == face::Part::skin ? face::eye_mask(p.q) : 0);
    store(mean.back(), mean_out + 3 * i);
    store(face::colour(p, masks.back(), {}), colour_out + 3 * i);
    uv[2 * i] = float(p.angle / (2 * face::pi) + 0.5), uv[2 * i + 1] = float(p.k / 16);
    bool const inside = eye || p.part == face::Part::mouth || p.part == face::Part::teeth;
    interior[i] = inside;
    // Brows to chin and cheek to cheek: beyond, hair and collars fall over the skin, and no model of skin explains them.
    region[i] = inside || (p.part == face::Part::skin && std::abs(p.angle) < 1.0 && p.k > 4.4 && p.k < 12.1);
  }

  auto fill = [&](float* out, auto const& controls) {
    for (std::int64_t i = 0; i < v; ++i) store(face::position(mesh.points[std::size_t(i)], controls) - mean[std::size_t(i)], out + 3 * i);
  };
  Rng const rng(o.seed);
  m.identity = Tensor<float>({o.identity, v, 3});
  float* const identity = m.identity.mutate();
  for (int k = 0; k < o.identity; ++k) {
    if (k < face::identity_count) {
      face::Controls c{};
      face::identity_controls[k].set(c, 1);
      fill(identity + k * v * 3, c);
      continue;
    }
    int const n = k - face::identity_count;
    face::Waves const waves(rng.split(std::uint64_t(n)), 0.9 + 0.05 * n);
    for (std::int64_t i = 0; i < v; ++i) {
      V const q = mesh.points[std::size_t(i)].q;
      V eye = face::eye_centre;
      eye.x *= q.x < 0 ? -1 : 1;
      store(face::mix(waves(q), waves(eye), on_eye[std::size_t(i)]), identity + (k * v + i) * 3);
    }
    face::orthogonalise(identity, v * 3, k, 0.012 * 8 / (8 + n));
  }

  m.named_expressions = true;
  m.expression = Tensor<float>({face::expression_count, v, 3});
  float* const expression = m.expression.mutate();
  for (int k = 0; k < face::expression_count; ++k) {
    face::Controls c{};
    face::expression_controls[k].set(c, 1);
    fill(expression + k * v * 3, c);
    m.expression_names.push_back(face::expression_controls[k].name);
  }

  m.reflectance = Tensor<float>({o.reflectance, v, 3});
  float* const reflectance = m.reflectance.mutate();
  for (int k = 0; k < o.reflectance; ++k) {
    face::Colouring c{};
    if (k < face::colour_count) {
      c.*face::colour_controls[k].member = 1;
      for (std::int64_t i = 0; i < v; ++i) {
        face::Point const& p = mesh.points[std::size_t(i)];
        store(face::colour(p, masks[std::size_t(i)], c) - face::colour(p, masks[std::size_t(i)], {}), reflectance + (k * v + i) * 3);
      }
      continue;
    }
    int const n = k - face::colour_count;
    face::Waves const waves(rng.split(std::uint64_t(1000 + n)), 1.4 + 0.08 * n);
    for (std::int64_t i = 0; i < v; ++i) {
      face::ColourMasks const& w = masks[std::size_t(i)];
      V const a = waves(mesh.points[std::size_t(i)].q);
      double const grey = 0.5 * (a.x + a.y), body = w.skin * (1 - 0.7 * w.brow) * (1 - w.lash) * (1 - w.nostril);
      store(body * (V{grey, grey, grey} + 0.25 * V{a.z, -0.4 * a.z, -0.6 * a.z}), reflectance + (k * v + i) * 3);
    }
    face::orthogonalise(reflectance, v * 3, k, 0.016 * 6 / (6 + n));
  }

  face::place_landmarks(mesh, m);
  finish_model(m);
  return m;
}

}  // namespace rig::inline RIG_ABI::render
