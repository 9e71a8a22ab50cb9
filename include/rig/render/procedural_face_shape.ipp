// The anatomy of the built-in face: where a point of the parameter surface lies and what colour it has, as functions of
// named controls that are all 0 for the mean face. Lengths in dm. Numbers are proportions of an average adult head.
#pragma once
#include <algorithm>
#include <cmath>

#include "rig/core/vec.hpp"
#include "rig/render/procedural_face.hpp"

namespace rig::inline RIG_ABI::render::detail::face {

using V = Vec3<double>;

inline double const pi = 3.14159265358979323846;

inline double bell(double x) { return std::exp(-x * x); }
inline double bell(double x, double y) { return std::exp(-x * x - y * y); }
/// 0 at a, 1 at b (a > b is allowed), with level ends.
inline double ramp(double a, double b, double x) {
  double const u = std::clamp((x - a) / (b - a), 0.0, 1.0);
  return u * u * (3 - 2 * u);
}
inline double smooth_max(double a, double b, double k) { return 0.5 * (a + b + std::sqrt((a - b) * (a - b) + k * k)); }
inline V mix(V a, V b, double k) { return (1 - k) * a + k * b; }

// Rows from crown to neck. A row is a closed curve: front, sides and back lie at their own heights, so that a row can
// follow the jaw. Depths are measured from side_z.
struct Row {
  double front_y, front, side_y, width, side_z, back_y, back, power;
};
inline constexpr int row_count = 17;
inline constexpr Row rows[row_count] = {
    {1.16, 0.00, 1.16, 0.000, -0.12, 1.16, 0.00, 2.0},       //  0 crown
    {1.11, 0.45, 1.11, 0.390, -0.12, 1.11, -0.45, 2.0},      //  1
    {0.95, 0.82, 0.95, 0.630, -0.13, 0.90, -0.75, 2.05},     //  2
    {0.71, 1.01, 0.71, 0.735, -0.13, 0.62, -0.88, 2.1},      //  3 hair line
    {0.47, 1.07, 0.44, 0.765, -0.13, 0.28, -0.90, 2.2},      //  4 forehead
    {0.27, 1.08, 0.20, 0.757, -0.12, 0.02, -0.86, 2.3},      //  5 brows
    {0.08, 1.05, 0.02, 0.740, -0.10, -0.16, -0.80, 2.3},     //  6 eyes
    {-0.18, 1.05, -0.18, 0.725, -0.08, -0.31, -0.74, 2.3},   //  7
    {-0.42, 1.05, -0.32, 0.703, -0.08, -0.45, -0.68, 2.25},  //  8 base of the nose
    {-0.61, 1.04, -0.44, 0.675, -0.08, -0.58, -0.63, 2.2},   //  9 mouth
    {-0.79, 1.00, -0.55, 0.643, -0.08, -0.71, -0.59, 2.15},  // 10
    {-0.92, 0.97, -0.65, 0.600, -0.08, -0.84, -0.56, 2.1},   // 11 chin
    {-1.02, 0.87, -0.74, 0.550, -0.09, -0.95, -0.54, 2.05},  // 12 edge of the jaw
    {-1.07, 0.66, -0.84, 0.485, -0.11, -1.03, -0.56, 2.0},   // 13
    {-1.15, 0.42, -1.01, 0.430, -0.15, -1.18, -0.52, 2.0},   // 14 neck
    {-1.50, 0.38, -1.50, 0.430, -0.18, -1.50, -0.49, 2.0},   // 15
    {-2.00, 0.50, -1.95, 0.600, -0.20, -1.95, -0.52, 2.0},   // 16
};
inline constexpr double eye_row = 6, mouth_row = 9;

/// Row at a real-valued position k in 0..16, cubic through the table. Beyond the crown the curve goes on to the other side.
inline Row row_at(double k) {
  int const i = std::clamp(int(std::floor(k)), 0, row_count - 2);
  double const u = k - i;
  auto get = [](int j) {
    if (j >= row_count) return rows[row_count - 1];
    if (j >= 0) return rows[j];
    Row r = rows[-j];
    r.width = -r.width, r.front = -r.front, r.back = -r.back;
    return r;
  };
  Row const a = get(i - 1), b = get(i), c = get(i + 1), d = get(i + 2);
  auto cubic = [u](double p, double q, double r, double s) {
    return q + 0.5 * u * (r - p + u * (2 * p - 5 * q + 4 * r - s + u * (3 * (q - r) + s - p)));
  };
  return {cubic(a.front_y, b.front_y, c.front_y, d.front_y),
          cubic(a.front, b.front, c.front, d.front),
          cubic(a.side_y, b.side_y, c.side_y, d.side_y),
          cubic(a.width, b.width, c.width, d.width),
          cubic(a.side_z, b.side_z, c.side_z, d.side_z),
          cubic(a.back_y, b.back_y, c.back_y, d.back_y),
          cubic(a.back, b.back, c.back, d.back),
          cubic(a.power, b.power, c.power, d.power)};
}

/// The smooth head without features. angle: 0 in front, +pi/2 at the subject's left, +-pi behind.
inline V head(double angle, double k) {
  Row const r = row_at(k);
  double const s = std::sin(angle), c = std::cos(angle);
  double const round = std::pow(std::pow(std::abs(s), r.power) + std::pow(std::abs(c), r.power), -1 / r.power);
  double const f = std::max(c, 0.0), b = std::max(-c, 0.0);
  return {r.width * round * s, r.side_y + (r.front_y - r.side_y) * f * f + (r.back_y - r.side_y) * b * b,
          r.side_z + r.front * round * f + r.back * round * b};
}

/// The angle in (0, pi/2) at which row k has the given x.
inline double angle_at(double x, double k) {
  double low = 0, high = pi / 2;
  for (int i = 0; i < 60; ++i) {
    double const mid = 0.5 * (low + high);
    (head(mid, k).x < x ? low : high) = mid;
  }
  return 0.5 * (low + high);
}

// Everything that can move. Expressions run over 0..1; identity controls are in standard deviations. [0] is the
// subject's left (+x), [1] the right.
struct Controls {
  // expressions
  double jaw_open, jaw_side, jaw_forward, smile[2], frown[2], pucker, funnel, press, stretch[2], upper_up[2], lower_down[2], mouth_side;
  double brow_inner, brow_down[2], brow_outer[2], blink[2], wide[2], squint[2], puff, sneer[2];
  // identity
  double face_width, face_length, jaw_width, chin_length, chin_forward, cheekbone, cheek, forehead_height, forehead_slope, temple;
  double brow_ridge, brow_height, eye_distance, eye_size, eye_tilt, eye_depth, eye_height, lid;
  double nose_length, nose_width, nose_forward, nose_bridge, bridge_width, nose_tip;
  double mouth_width, mouth_height, upper_lip, lower_lip, lips_forward, ear_size, ear_flare, head_depth, crown, neck, jaw_angle, chin_width;
};

enum class Part { skin, lid, eye, glint, mouth, teeth, ear };

/// One vertex before any control acts.
struct Point {
  Part part = Part::skin;
  double angle = 0, k = 0;
  int side = 0;                   ///< on a slit: +1 = its upper edge, -1 = its lower edge
  int hand = 0;                   ///< of eyes and ears: +1 = subject's left
  V local{0, 0, 0};               ///< eye: direction; mouth: (depth, up, towards the lower lip); teeth, ear: position
  V q{0, 0, 0};                   ///< the point of the smooth head that carries it
  double eye_y = 0, mouth_y = 0;  ///< height of the slits at this angle
};

/// Height of the brow over the slit of the eye, at a distance from the middle.
inline double brow_height(double ax) { return 0.208 + 0.048 * ramp(0.08, 0.38, ax) - 0.070 * ramp(0.38, 0.56, ax); }
inline constexpr double brow_row = 5;

/// A point of the grid. Rows near the brows bend along them, so that their colour has smooth edges at any resolution.
inline Point on_head(double angle, double k, int side = 0) {
  if (std::abs(k - brow_row) < 1 && std::abs(angle) < 1.2) {
    V const b = head(angle, brow_row), e = head(angle, eye_row);
    double const x = std::abs(b.x), rise = (e.y + brow_height(x) - b.y) * ramp(0.75, 0.5, x);
    double const u = 1 - (k - brow_row) * (k - brow_row);
    k -= rise / 0.2 * u * u;
  }
  Point p;
  p.angle = angle, p.k = k, p.side = side, p.q = head(angle, k), p.eye_y = head(angle, eye_row).y, p.mouth_y = head(angle, mouth_row).y;
  return p;
}

// Eyes: centre of the left one, radius of ball and of the lids upon it, half length of the slit.
inline constexpr double eye_x = 0.325, eye_half = 0.152, ball = 0.168, lid_shell = 0.181, iris = 0.069, pupil = 0.030;
inline V const eye_centre{eye_x, 0.066, 0.655};
inline constexpr double mouth_half = 0.25;
inline V const jaw_hinge{0, -0.10, -0.05};
inline constexpr double jaw_angle = 0.27;

inline double eye_mask(V q) {
  if (q.z < 0) return 0;
  double const x = (std::abs(q.x) - eye_x) / 0.20, y = (q.y - eye_centre.y) / 0.145;
  double const r = x * x + y * y;
  return std::exp(-r * r);
}
/// Almond: 1 in the middle of the slit, 0 at its ends.
inline double almond(double u) { return std::abs(u) < 1 ? std::pow(1 - u * u, 0.75) : 0; }

inline double upper_lip(double u, Controls const& c) {
  double const a = std::abs(u);
  return 0.080 * std::pow(std::max(0.0, 1 - a * a), 0.7) * (1 - 0.16 * bell(a / 0.13) + 0.16 * bell((a - 0.25) / 0.18)) *
         (1 + 0.22 * c.upper_lip);
}
inline double lower_lip(double u, Controls const& c) { return 0.098 * std::pow(std::max(0.0, 1 - u * u), 0.8) * (1 + 0.20 * c.lower_lip); }

/// What identity does to the point q of the head, features apart. Smooth; also moves eyes, ears and teeth.
inline V identity_shift(V q, Controls const& c) {
  double const ax = std::abs(q.x), h = q.x < 0 ? -1 : 1, front = ramp(-0.1, 0.5, q.z);
  V d{0, 0, 0};
  if (c.face_width != 0) d.x += 0.045 * c.face_width * q.x;
  if (c.face_length != 0) d.y += 0.060 * c.face_length * (q.y < 0.2 ? (q.y - 0.2) * ramp(0.3, -0.4, q.y) : 0.0) * ramp(-2.2, -1.2, q.y);
  if (c.jaw_width != 0) d.x += 0.075 * c.jaw_width * q.x * ramp(-0.15, -0.7, q.y) * ramp(-1.5, -1.0, q.y);
  if (c.jaw_angle != 0) d.y += 0.04 * c.jaw_angle * bell((ax - 0.50) / 0.25, (q.y + 0.72) / 0.28) * ramp(-0.3, 0.2, q.z);
  if (c.chin_length != 0) d.y -= 0.055 * c.chin_length * ramp(-0.66, -0.98, q.y) * bell(ax / 0.45) * ramp(-1.4, -1.1, q.y) * front;
  if (c.chin_forward != 0) d.z += 0.050 * c.chin_forward * bell(ax / 0.40, (q.y + 0.98) / 0.28) * front;
  if (c.chin_width != 0) d.x += h * 0.036 * c.chin_width * bell((ax - 0.27) / 0.22, (q.y + 0.93) / 0.24) * front;
  if (c.cheekbone != 0) d += (0.026 * c.cheekbone * bell((ax - 0.55) / 0.23, (q.y + 0.06) / 0.19) * front) * V{h * 0.8, 0, 0.6};
  if (c.cheek != 0) d += (0.034 * c.cheek * bell((ax - 0.52) / 0.25, (q.y + 0.46) / 0.28) * front) * V{h * 0.8, 0, 0.6};
  if (c.forehead_height != 0) d.y += 0.05 * c.forehead_height * ramp(0.25, 0.9, q.y);
  if (c.forehead_slope != 0) d.z += 0.035 * c.forehead_slope * ramp(0.25, 0.75, q.y) * front;
  if (c.temple != 0) d.x += h * 0.025 * c.temple * bell((ax - 0.72) / 0.25, (q.y - 0.35) / 0.30);
  if (c.brow_height != 0) d.y += 0.030 * c.brow_height * bell((ax - 0.3) / 0.35, (q.y - 0.28) / 0.10) * front;
  if (c.eye_distance != 0) d.x += h * 0.024 * c.eye_distance * bell((ax - eye_x) / 0.20, (q.y - 0.07) / 0.25) * front;
  if (c.eye_height != 0) d.y += 0.022 * c.eye_height * bell((ax - eye_x) / 0.45, (q.y - 0.10) / 0.22) * front;
  if (c.eye_depth != 0) d.z -= 0.022 * c.eye_depth * bell((ax - eye_x) / 0.22, (q.y - 0.08) / 0.16) * front;
  if (c.mouth_height != 0) d.y += 0.025 * c.mouth_height * bell(ax / 0.45, (q.y + 0.62) / 0.20) * front;
  if (c.head_depth != 0) d.z += 0.06 * c.head_depth * (q.z + 0.1) * ramp(0.3, -0.4, q.z);
  if (c.crown != 0) d.y += 0.05 * c.crown * ramp(0.6, 1.2, q.y);
  if (c.neck != 0) d += (0.10 * c.neck * ramp(-0.95, -1.3, q.y)) * V{q.x, 0, q.z + 0.12};
  return d;
}

/// How far a point follows the jaw: 1 below the mouth, 0 above, torn apart along the slit.
inline double jaw_weight(Point const& p) {
  double const ax = std::abs(p.q.x), dm = p.q.y - p.mouth_y, u = ax / mouth_half;
  double const reach = 0.16 + 0.30 * ramp(0.25, 0.6, ax);
  double w = ramp(reach, -reach, dm);
  double const lip = p.side ? p.side : (p.k < mouth_row ? 1 : -1);
  if (u < 1) w -= 0.5 * lip * std::sqrt(1 - u * u) * bell(dm / 0.10);
  return std::clamp(w, 0.0, 1.0) * ramp(-0.30, 0.25, p.q.z) * ramp(14.3, 12.4, p.k);
}
inline V jaw_shift(V p, Controls const& c) {
  V const r = p - jaw_hinge;
  double const a = jaw_angle * c.jaw_open, s = std::sin(a), k = std::cos(a);
  return V{0.08 * c.jaw_side, r.y * k - r.z * s - r.y, r.y * s + r.z * k - r.z + 0.08 * c.jaw_forward};
}

inline V eye_position(int hand, Controls const& c) {
  V e = eye_centre;
  e.x *= hand;
  return e + identity_shift(e, c);
}

/// Skin: smooth head, features, lids on the eyeballs, expression, identity.
inline V skin(Point const& p, Controls const& c) {
  V const q = p.q;
  double const ax = std::abs(q.x), h = q.x < 0 ? -1 : 1, y = q.y;
  int const hand = q.x < 0 ? 1 : 0;
  V d{0, 0, 0};  // displacement from the smooth head
  double const front = ramp(-0.05, 0.40, q.z);
  double const on_eye = eye_mask(q);
  if (front > 0) {
    double const dm = y - p.mouth_y, u = ax / mouth_half, de = y - p.eye_y;
    double const lip = p.side ? p.side : (p.k < mouth_row ? 1.0 : -1.0), above = p.side ? p.side : (p.k < eye_row ? 1.0 : -1.0);
    // Skull under the skin.
    double z = -0.065 * bell((ax - 0.29) / 0.17, (y - 0.085) / 0.115);                                                        // socket
    z += (0.034 + 0.014 * c.brow_ridge) * bell((y - 0.265 - 0.03 * bell((ax - 0.3) / 0.15)) / 0.075) * ramp(0.62, 0.35, ax);  // brow ridge
    z -= 0.016 * bell(ax / 0.07, (y - 0.27) / 0.07);
    double const zygoma = 0.040 * bell((ax - 0.47) / 0.15, (y + 0.11) / 0.12);
    d.x += h * 0.5 * zygoma, z += 0.8 * zygoma;
    d.x -= h * 0.016 * bell((ax - 0.70) / 0.12, (y - 0.33) / 0.16);  // temple
    z -= 0.018 * bell((ax - 0.46) / 0.12, (y + 0.52) / 0.16);        // hollow of the cheek
    z += 0.030 * bell(ax / 0.30, (y + 0.60) / 0.22);                 // round of the teeth
    z -= 0.032 * bell(ax / 0.20, (y + 0.765) / 0.045);               // above the chin
    z += 0.050 * bell(ax / 0.19, (y + 0.90) / 0.10);                 // chin
    double const fold = ax - (0.20 + 0.42 * (-0.36 - y));            // beside nose and mouth
    z -= (0.010 + 0.018 * (c.smile[hand] + 0.6 * c.sneer[hand])) * bell(fold / 0.035) * ramp(-0.32, -0.42, y) * ramp(-0.68, -0.58, y);
    z += 0.012 * bell((fold - 0.07) / 0.06) * ramp(-0.30, -0.42, y) * ramp(-0.70, -0.55, y);
    z -= 0.013 * bell(ax / 0.026) * ramp(-0.44, -0.48, y) * ramp(0.06, 0.09, dm);  // philtrum
    z += 0.006 * bell((ax - 0.05) / 0.022) * ramp(-0.44, -0.48, y) * ramp(0.06, 0.09, dm);

    // Nose: ridge from the root down to the tip, then back under it; wings and nostrils.
    if (ax < 0.40 && y > -0.55 && y < 0.40) {
      double const t = std::clamp((0.17 - y) / 0.47, 0.0, 1.0);
      double ridge = (0.030 + 0.175 * std::pow(t, 1.20)) * ramp(0.33, 0.10, y) * ramp(-0.445, -0.295, y);
      ridge += 0.030 * c.nose_bridge * bell((y + 0.0) / 0.14) + 0.008 * bell((y - 0.02) / 0.08);
      ridge *= 1 + 0.13 * c.nose_forward;
      double const half = (0.068 + 0.052 * t * t) * (1 + 0.13 * c.bridge_width * (1 - t) + 0.12 * c.nose_width * t);
      double nose = ridge * std::exp(-std::pow(ax / half, 2.2));
      nose += 0.050 * bell(ax / 0.090, (y + 0.300) / 0.085);  // tip
      double const wing_x = 0.122 * (1 + 0.12 * c.nose_width);
      nose += 0.105 * bell((ax - wing_x) / 0.058, (y + 0.335) / 0.062);
      nose -= 0.075 * bell((ax - 0.066) / 0.034, (y + 0.402) / 0.026);
      nose += 0.030 * bell(ax / 0.022, (y + 0.405) / 0.04);  // between the nostrils
      z += nose;
      double const tip = bell(ax / 0.19, (y + 0.30) / 0.15);
      d.y += tip * (0.030 * c.nose_tip - 0.036 * c.nose_length) + 0.030 * bell(ax / 0.15, (y + 0.40) / 0.05) * 0.5;
      d.y += 0.035 * (c.sneer[hand]) * bell((ax - 0.13) / 0.08, (y + 0.33) / 0.09);
      z += 0.012 * c.sneer[hand] * bell((ax - 0.10) / 0.05, (y - 0.02) / 0.06);
    }

    // Lips, rolled in along the slit.
    if (u < 1.15 && std::abs(dm) < 0.2) {
      double const up = upper_lip(u, c), low = lower_lip(u, c), edge = std::max(0.0, 1 - u * u);
      double const bulge = lip > 0 ? 0.038 * bell((dm - 0.50 * up) / (0.55 * up + 0.012)) * (1 + 0.2 * c.upper_lip)
                                   : 0.050 * bell((dm + 0.50 * low) / (0.55 * low + 0.012)) * (1 + 0.2 * c.lower_lip);
      double const seam = 1 - bell(dm / 0.016);  // both edges of the slit stay together
      z += bulge * seam * std::sqrt(edge) * (1 + 0.35 * c.lips_forward);
      z -= 0.010 * (1 - seam) * std::pow(edge, 0.25);
      d.y += (lip > 0 ? 0.016 * c.upper_lip * bell((dm - 0.08) / 0.06) : -0.018 * c.lower_lip * bell((dm + 0.09) / 0.06)) * edge *
             (1 - bell(dm / 0.04));
    }
    z -= 0.022 * bell((u - 1.05) / 0.16, dm / 0.045);  // corner of the mouth
    d.y -= 0.010 * bell((u - 1.0) / 0.3, dm / 0.06) - 0.004 * bell(u / 0.2, dm / 0.05);
    z += 0.024 * c.lips_forward * bell(ax / 0.24, dm / 0.14);
    d.x += h * 0.030 * c.mouth_width * u * bell((ax - 0.2) / 0.2, dm / 0.14);
    d.z += z * front;

    // Lids: moved along the face, then laid on the eyeball.
    double const along = (ax - eye_x) / eye_half;
    double const slit = almond(along);
    if (on_eye > 1e-4) {
      double const top = 0.071 * slit * (1 - 0.16 * along), bottom = -0.043 * slit * (1 + 0.16 * along), closed = 0.72 * bottom;
      double const up = top * (1 + 0.12 * c.lid + 0.30 * c.wide[hand] - 0.12 * c.squint[hand]) + c.blink[hand] * (closed - top);
      double const low = bottom * (1 + 0.08 * c.lid + 0.10 * c.wide[hand] - 0.55 * c.squint[hand]) + c.blink[hand] * (closed - bottom);
      d.y += above > 0 ? up * bell(de / 0.105) : low * bell(de / 0.095);
      d.y += (0.05 + 0.07 * c.eye_tilt) * (ax - eye_x) * on_eye;
      double const size = 0.07 * c.eye_size * on_eye;
      d.x += h * size * (ax - eye_x), d.y += size * (y + d.y - eye_centre.y);
      double const ex = q.x + d.x - h * eye_x, ey = y + d.y - eye_centre.y, shell = lid_shell * (1 + 0.07 * c.eye_size);
      double const r = std::sqrt(ex * ex + ey * ey) / shell;
      double const globe = eye_centre.z + shell * (r < 0.9 ? std::sqrt(1 - r * r) : 0.43589 - 2.06474 * (r - 0.9));
      double const under = q.z + d.z, over = smooth_max(under, globe, 0.016),
                   fit = ramp(1.50, 0.65, std::abs(along)) * ramp(0.16, 0.03, std::abs(de));
      d.z += (over + fit * (globe - over) - under) * ramp(0.34, 0.26, std::sqrt(ex * ex + ey * ey));
      if (above > 0) d.z -= 0.013 * bell((de - 0.060) / 0.020) * ramp(1.25, 0.6, std::abs(along)) * (1 - 0.9 * c.blink[hand]);  // crease
      d.z -= 0.008 * bell((de + 0.085) / 0.03) * ramp(1.3, 0.5, std::abs(along)) * (above < 0);                                 // bag
    }

    // Expressions.
    for (int s = 0; s < 2; ++s) {
      double const sx = s ? -q.x : q.x;  // positive on the side that this one acts on
      double const corner = bell((sx - mouth_half) / 0.18, dm / 0.18), lips = bell(dm / 0.16) * bell((sx - 0.10) / 0.15);
      double const hs = s ? -1 : 1;
      if (c.smile[s] != 0) {
        double const a = c.smile[s], cheek = bell((sx - 0.43) / 0.15, (y + 0.27) / 0.14);
        d += (a * corner) * V{hs * 0.085, 0.085, -0.055};
        d += (a * cheek) * V{hs * 0.020, 0.050, 0.030};
        d.y += a * 0.016 * bell((sx - eye_x) / 0.15, (y + 0.04) / 0.07) + a * 0.010 * lips * 0.5;
        d.y += a * 0.010 * bell((sx - eye_x) / 0.11, de / 0.03) * slit * (above < 0);
      }
      if (c.frown[s] != 0)
        d += (c.frown[s] * corner) * V{hs * -0.010, -0.085, -0.012}, d.z += c.frown[s] * 0.012 * bell(sx / 0.2, (y + 0.9) / 0.12);
      if (c.stretch[s] != 0) d += (c.stretch[s] * corner) * V{hs * 0.110, -0.035, -0.060};
      if (c.upper_up[s] != 0)
        d += (c.upper_up[s] * bell((sx - 0.12) / 0.14) * (lip > 0 ? bell(dm / 0.16) * ramp(1.1, 0.6, u) : 0.0)) * V{0, 0.075, 0.012};
      if (c.lower_down[s] != 0)
        d += (c.lower_down[s] * bell((sx - 0.12) / 0.14) * (lip < 0 ? bell(dm / 0.16) * ramp(1.1, 0.6, u) : 0.0)) * V{0, -0.075, 0.005};
      if (c.sneer[s] != 0) {
        d.y += c.sneer[s] * (lip > 0 ? 0.030 * bell((sx - 0.13) / 0.09) * bell(dm / 0.14) * ramp(1.1, 0.6, u) : 0.0);
        d.y += c.sneer[s] * -0.018 * bell((sx - 0.14) / 0.12, (y - 0.26) / 0.09);
      }
      if (c.brow_down[s] != 0) d += (c.brow_down[s] * bell((sx - 0.24) / 0.20, (y - 0.29) / 0.11)) * V{hs * -0.022, -0.065, 0.016};
      if (c.brow_outer[s] != 0) d += (c.brow_outer[s] * bell((sx - 0.43) / 0.20, (y - 0.30) / 0.16)) * V{0, 0.070, 0.0};
      if (c.squint[s] != 0) d += (c.squint[s] * bell((sx - 0.40) / 0.14, (y + 0.08) / 0.08)) * V{0, 0.024, 0.012};
    }
    if (c.brow_inner != 0) d.y += c.brow_inner * 0.090 * bell((ax - 0.12) / 0.17, (y - 0.30) / 0.13);
    if (c.puff != 0) {
      double const a = c.puff * bell((ax - 0.46) / 0.17, (y + 0.52) / 0.20);
      d += (0.11 * a) * V{h * 0.80, 0, 0.55};
      d.z += 0.02 * c.puff * bell(ax / 0.3, dm / 0.12);
    }
    double const round = bell(ax / 0.34, dm / 0.20);
    if (c.pucker != 0) {
      d += (c.pucker * round) * V{-0.50 * q.x, -0.10 * dm, 0.0};
      d.z += c.pucker * 0.105 * bell(ax / 0.20, dm / 0.13);
    }
    if (c.funnel != 0) {
      double const gape = std::sqrt(std::max(0.0, 1 - u * u)) * bell(dm / 0.13);
      d += (c.funnel * round) * V{-0.34 * q.x, 0.065 * (lip > 0 ? gape : -1.2 * gape), 0.0};
      d.z += c.funnel * 0.085 * bell(ax / 0.20, dm / 0.14);
    }
    if (c.press != 0) d += (c.press * bell(ax / 0.26) * bell(dm / 0.10)) * V{0, -0.45 * dm, -0.028};
    if (c.mouth_side != 0) d.x += c.mouth_side * 0.085 * bell(ax / 0.36, dm / 0.20);
  }

  if (c.jaw_open != 0 || c.jaw_side != 0 || c.jaw_forward != 0) d += jaw_weight(p) * jaw_shift(q, c);
  V shift = identity_shift(q, c);
  if (on_eye > 1e-4) {  // the lids go with the eyeball
    V e = eye_centre;
    e.x *= h;
    shift = mix(shift, identity_shift(e, c), on_eye);
  }
  return q + d + shift;
}

inline V const mouth_centre{0, -0.61, 0.97};
inline V const ear_root{0.725, 0.0, -0.10};

/// Where any vertex of the model lies.
inline V position(Point const& p, Controls const& c) {
  switch (p.part) {
    case Part::skin: return skin(p, c);
    case Part::lid: {  // from the edge of the lid onto the eyeball
      V const edge = skin(p, c), e = eye_position(p.hand, c), r = edge - e;
      return e + (0.985 * ball * (1 + 0.07 * c.eye_size) / length(r)) * r;
    }
    case Part::eye: return eye_position(p.hand, c) + (ball * (1 + 0.07 * c.eye_size)) * p.local;
    case Part::glint: return eye_position(p.hand, c) + (1.02 * ball * (1 + 0.07 * c.eye_size)) * p.local;
    case Part::mouth: {
      Point edge = p;
      edge.side = 1;
      V const up = skin(edge, c);
      edge.side = -1;
      V r = mix(up, skin(edge, c), p.local.z);
      r.x *= 1 - 0.3 * p.local.x;
      return r + V{0, p.local.y, -p.local.x};
    }
    case Part::teeth: {
      V const r = mouth_centre + p.local + V{0, 0, 0.020 * c.lips_forward}, lower = p.side < 0 ? jaw_shift(r, c) : V{0, 0, 0};
      return r + lower + identity_shift(mouth_centre, c);
    }
    case Part::ear: {
      double const flare = 0.50 + 0.14 * c.ear_flare, s = std::sin(flare), k = std::cos(flare), size = 1 + 0.08 * c.ear_size;
      V const l = size * p.local;  // x: towards the back, y: up, z: away from the head
      V root = ear_root;
      root.x *= p.hand;
      double const lean = -0.18 * l.y;
      return root + identity_shift(root, c) + V{p.hand * (s * l.x + k * l.z), l.y, lean - k * l.x + s * l.z};
    }
  }
  return p.q;
}

// ---- colours ----

struct ColourMasks {
  double skin = 0, lips = 0, brow = 0, lash = 0, nostril = 0, blush = 0, beard = 0, lid = 0, under_eye = 0, nose = 0, iris = 0, white = 0,
         pupil = 0, mouth = 0, teeth = 0, glint = 0, shade = 0;
};

inline ColourMasks colour_masks(Point const& p) {
  ColourMasks m;
  switch (p.part) {
    case Part::eye: {
      double const r = ball * std::hypot(p.local.x, p.local.y);
      m.pupil = ramp(pupil + 0.001, pupil - 0.001, r);
      m.iris = (1 - m.pupil) * ramp(iris + 0.001, iris - 0.001, r);
      m.white = 1 - m.pupil - m.iris;
      m.shade = 0.45 * m.iris * ramp(iris - 0.012, iris, r) + 0.25 * m.white * ramp(0.09, 0.15, r) + 0.18 * ramp(0.2, 0.5, p.local.y);
      return m;
    }
    case Part::glint: m.glint = 1; return m;
    case Part::teeth: m.teeth = 1, m.shade = 0.5 * ramp(0.05, 0.20, std::abs(p.local.x)) + (p.side < 0 ? 0.15 : 0.0); return m;
    case Part::mouth: m.mouth = 1, m.shade = 0.75 * ramp(0.04, 0.3, p.local.x); return m;
    case Part::lid: m.lid = 1, m.skin = p.side > 0 ? 0.25 : 0.7, m.lash = 1 - m.skin; return m;
    case Part::ear: m.skin = 1, m.blush = 0.35, m.shade = 0.40 * bell((p.local.x - 0.05) / 0.07, (p.local.y + 0.03) / 0.12); return m;
    case Part::skin: break;
  }
  V const q = p.q;
  double const ax = std::abs(q.x), y = q.y, dm = y - p.mouth_y, u = ax / mouth_half, de = y - p.eye_y, front = ramp(0, 0.4, q.z);
  Controls const mean{};
  if (u < 1 && q.z > 0) {
    double const up = upper_lip(u, mean), low = lower_lip(u, mean);
    double const above = p.side ? p.side : (p.k < mouth_row ? 1 : -1);
    m.lips = above > 0 ? ramp(up + 0.012, up - 0.010, dm) : ramp(-low - 0.014, -low + 0.012, dm);
    m.lips *= ramp(1.0, 0.93, u);
  }
  double const hair = (de - brow_height(ax)) / (0.038 - 0.016 * ramp(0.25, 0.52, ax));
  m.brow = std::exp(-std::pow(std::abs(hair), 3)) * ramp(0.065, 0.150, ax) * ramp(0.58, 0.46, ax) * front;
  double const along = (ax - eye_x) / eye_half;
  bool const edge = p.side != 0 && p.k == eye_row;
  if (edge && std::abs(along) < 1.001) m.lash = p.side > 0 ? 0.85 : 0.30;
  m.lid = front * (p.k < eye_row || (edge && p.side > 0) ? bell(along / 1.0) * bell(de / 0.09) : 0.0);
  m.under_eye = front * bell((ax - 0.30) / 0.13, (de + 0.09) / 0.05);
  m.nostril = front * bell((ax - 0.066) / 0.036, (y + 0.400) / 0.024);
  m.nostril = ramp(0.25, 0.75, m.nostril);
  m.blush = front * bell((ax - 0.42) / 0.17, (y + 0.22) / 0.16);
  m.nose = front * bell(ax / 0.13, (y + 0.28) / 0.11);
  m.beard = ramp(-0.36, -0.50, y + 0.10 * ramp(0.3, 0.6, ax)) * ramp(-0.1, 0.15, q.z) * ramp(13.2, 12.2, p.k);
  m.beard *= (1 - m.lips) * (1 - bell((ax - 0.32) / 0.16, (y + 0.40) / 0.16));
  // Light that corners do not get, as part of the colour.
  m.shade = 0.22 * front * bell((ax - 0.155) / 0.06, (y - 0.08) / 0.07) + 0.12 * front * bell(ax / 0.14, (y + 0.45) / 0.03) +
            0.28 * ramp(12.3, 13.4, p.k) + 0.14 * front * bell(ax / 0.17, (y + 0.78) / 0.035) +
            0.14 * front * bell((ax - 0.19) / 0.025, (y + 0.36) / 0.06) + 0.30 * front * (u < 1.1 ? bell(dm / 0.010) : 0.0) +
            0.15 * front * bell((u - 1.03) / 0.08, dm / 0.02);
  m.skin = 1;
  return m;
}

// The parts that colour modes act on: amounts of each are the controls.
struct Colouring {
  double melanin, redness, yellow, lips, brow, blush, beard, iris_blue, iris_light, under_eye, eye_shadow, nose, lip_dark, freckles;
};

/// The mean colour, or with controls the coloured one. Linear in the controls.
inline V colour(Point const& p, ColourMasks const& m, Colouring const& c) {
  V const skin_colour{0.760, 0.565, 0.465};
  V a = skin_colour;
  double const body = m.skin * (1 - m.brow) * (1 - m.lips) * (1 - m.nostril) * (1 - m.lash);
  if (p.part == Part::skin || p.part == Part::ear || p.part == Part::lid) {
    a += (0.06 * m.blush + 0.05 * m.nose) * V{0.35, -0.75, -0.6};
    a += (0.035 * m.under_eye) * V{-1, -1.2, -0.9} + (0.04 * m.lid) * V{-0.8, -1.1, -1.0} + (0.020 * m.beard) * V{-1.0, -0.8, -0.6};
    a = mix(a, V{0.640, 0.330, 0.310}, 0.85 * m.lips);
    a = mix(a, V{0.200, 0.135, 0.100}, 0.82 * m.brow);
    a = mix(a, V{0.100, 0.070, 0.060}, m.lash);
    a = mix(a, V{0.200, 0.100, 0.080}, 0.85 * m.nostril);
  } else {
    a = m.white * V{0.84, 0.82, 0.80} + m.iris * V{0.30, 0.20, 0.13} + m.pupil * V{0.025, 0.022, 0.022} + m.mouth * V{0.45, 0.17, 0.16} +
        m.teeth * V{0.86, 0.83, 0.76} + m.glint * V{1.0, 1.0, 1.0};
  }
  a = (1 - m.shade) * a;
  a += (c.melanin * (body + 0.5 * m.lips + 0.3 * m.nostril)) * V{-0.105, -0.100, -0.090};
  a += (c.redness * body) * V{0.030, -0.022, -0.020} + (c.yellow * body) * V{0.012, 0.006, -0.040};
  a += (c.lips * m.lips) * V{0.055, -0.060, -0.040} + (c.lip_dark * m.lips) * V{-0.060, -0.040, -0.035};
  a += (c.brow * m.brow) * V{0.085, 0.060, 0.040};
  a += (c.blush * m.blush * body) * V{0.016, -0.028, -0.022} + (c.nose * m.nose * body) * V{0.018, -0.024, -0.020};
  a += (c.beard * m.beard * body) * V{-0.060, -0.052, -0.042};
  a += (c.under_eye * m.under_eye * body) * V{-0.030, -0.036, -0.026} + (c.eye_shadow * m.lid * body) * V{-0.060, -0.070, -0.040};
  a += (c.iris_blue * m.iris) * V{-0.060, 0.030, 0.120} + (c.iris_light * m.iris) * V{0.060, 0.065, 0.045};
  if (c.freckles != 0) {
    V const q = p.q;
    double const grain = std::sin(17 * q.x + 2 * std::sin(9 * q.y)) * std::sin(19 * q.y + 2 * std::sin(11 * q.x));
    a += (c.freckles * body * (0.3 + m.blush + m.nose) * grain * ramp(0, 0.4, q.z)) * V{-0.014, -0.018, -0.018};
  }
  return a;
}

}  // namespace rig::inline RIG_ABI::render::detail::face
