#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "rig/stylerig/evaluation.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE Judge judge_by(PictureReader<float> const& reader, GeneratorHandle const& generator) {
  check(reader.options.side > 0 && generator.resolution % reader.options.side == 0, "judge_by: the judge reads pictures of ",
        reader.options.side, " pixels, the generator makes ", generator.resolution);
  return [reader, synthesis = generator.synthesis](Tensor<float> const& codes) {
    std::int64_t const n = codes.dim(0), chunk = 64;
    Tensor<float> p({n, reader.outputs()}, codes.device());
    for (std::int64_t i = 0; i < n; i += chunk) {
      std::int64_t const m = std::min(chunk, n - i);
      p.rows(i, m).assign(reader(Var<float>(reduce_pictures(synthesis(codes.rows(i, m)), reader.options.side))).value());
    }
    return p;
  };
}

RIG_INLINE ParameterMetric ParameterMetric::plain(ParameterLayout const& layout) {
  ParameterMetric m;
  m.layout_ = layout;
  return m;
}

RIG_INLINE ParameterMetric ParameterMetric::of(ParameterLayout const& layout, render::MorphableModel const& model) {
  ParameterMetric m;
  m.layout_ = layout;
  m.plain_ = false;
  std::int64_t const v = model.vertices();
  std::vector<unsigned char> const face = model.face_region ? model.face_region.host() : std::vector<unsigned char>(std::size_t(v), 1);
  double const faces = std::max<double>(1, double(std::count_if(face.begin(), face.end(), [](unsigned char c) { return c != 0; })));
  std::vector<int> const marks = model.landmarks ? model.landmarks.host() : std::vector<int>{};
  double eye = 1;
  if (marks.size() == 68) {
    float const *a = model.mean.data() + 3 * marks[36], *b = model.mean.data() + 3 * marks[45];
    eye = std::sqrt(double(a[0] - b[0]) * (a[0] - b[0]) + double(a[1] - b[1]) * (a[1] - b[1]) + double(a[2] - b[2]) * (a[2] - b[2]));
  }
  auto gram = [&](char const* name, Tensor<float> const& basis, double scale) {
    Component const* c = layout.find(name);
    if (!c || c->size == 0) return;
    check(basis && basis.dim(0) == c->size, "ParameterMetric: the model has ", basis ? basis.dim(0) : 0, " modes of ", name,
          ", the layout ", c->size);
    std::vector<double> g(std::size_t(c->size * c->size), 0);
    for (std::int64_t i = 0; i < c->size; ++i)
      for (std::int64_t j = 0; j <= i; ++j) {
        float const *a = basis.data() + i * v * 3, *b = basis.data() + j * v * 3;
        double s = 0;
        for (std::int64_t k = 0; k < v; ++k)
          if (face[std::size_t(k)])
            s += double(a[3 * k]) * b[3 * k] + double(a[3 * k + 1]) * b[3 * k + 1] + double(a[3 * k + 2]) * b[3 * k + 2];
        g[std::size_t(i * c->size + j)] = g[std::size_t(j * c->size + i)] = scale * scale * s / faces;
      }
    m.gram_.emplace_back(name, std::move(g));
  };
  gram("identity", model.identity, 100 / eye);
  gram("expression", model.expression, 100 / eye);
  gram("reflectance", model.reflectance, 1);
  if (Component const* t = layout.find("translation")) {
    std::vector<double> g(std::size_t(t->size * t->size), 0);
    for (std::int64_t i = 0; i < t->size; ++i) g[std::size_t(i * t->size + i)] = 1e4 / (eye * eye);
    m.gram_.emplace_back("translation", std::move(g));
  }
  if (Component const* c = layout.find("illumination"); c && c->size == 27) {
    std::vector<double> g(27 * 27, 0);
    for (std::size_t i = 0; i < 27; ++i) {
      std::size_t const b = i % 9;
      g[i * 27 + i] = (b == 0 ? 0.785398 : b < 4 ? 1.047198 : 0.392699) / 3;
    }
    m.gram_.emplace_back("illumination", std::move(g));
  }
  return m;
}

RIG_INLINE double ParameterMetric::distance(Component const& c, float const* a, float const* b) const {
  if (c.size == 0) return 0;
  if (!plain_ && c.name == "rotation" && c.size == 3) {
    auto matrix = [](float const* r, double* m) {
      double const sx = std::sin(r[0]), cx = std::cos(r[0]), sy = std::sin(r[1]), cy = std::cos(r[1]), sz = std::sin(r[2]),
                   cz = std::cos(r[2]);
      double const v[9] = {
          cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx, sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx, -sy, cy * sx,
          cy * cx};
      std::copy(v, v + 9, m);
    };
    double x[9], y[9], trace = 0;
    matrix(a + c.offset, x), matrix(b + c.offset, y);
    for (int i = 0; i < 9; ++i) trace += x[i] * y[i];
    return std::acos(std::clamp((trace - 1) / 2, -1.0, 1.0)) * detail::degrees;
  }
  for (auto const& [name, g] : gram_)
    if (name == c.name) {
      double s = 0;
      for (std::int64_t i = 0; i < c.size; ++i) {
        double row = 0;
        for (std::int64_t j = 0; j < c.size; ++j) row += g[std::size_t(i * c.size + j)] * (double(a[c.offset + j]) - b[c.offset + j]);
        s += row * (double(a[c.offset + i]) - b[c.offset + i]);
      }
      return std::sqrt(std::max(0.0, s));
    }
  double s = 0;
  for (std::int64_t i = c.offset; i < c.offset + c.size; ++i) s += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return std::sqrt(s / double(c.size));
}

RIG_INLINE std::string ParameterMetric::unit(Component const& c) const {
  if (plain_) return "root mean square of " + c.unit();
  if (c.name == "rotation") return "degrees";
  if (c.name == "identity" || c.name == "expression" || c.name == "translation") return "% of the outer-eye distance";
  if (c.name == "reflectance") return "colour, 0..1";
  if (c.name == "illumination") return "shading";
  return c.unit();
}

RIG_INLINE Interval bootstrap_ratio(std::vector<double> const& a, std::vector<double> const& b, std::uint64_t seed, int resamples) {
  check(a.size() == b.size() && !a.empty() && resamples > 1, "bootstrap_ratio: both lists must have the same length, not 0, got ", a.size(),
        " and ", b.size());
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  auto ratio = [](double x, double y) { return y > 0 ? x / y : none; };
  Interval r;
  r.value = ratio(std::accumulate(a.begin(), a.end(), 0.0), std::accumulate(b.begin(), b.end(), 0.0));
  std::vector<double> values;
  Rng rng(seed);
  std::int64_t const n = std::int64_t(a.size());
  for (int k = 0; k < resamples; ++k) {
    double x = 0, y = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      auto const at = std::size_t(rng.below(n));
      x += a[at], y += b[at];
    }
    if (y > 0) values.push_back(ratio(x, y));  // a resample without a denominator has no ratio
  }
  std::sort(values.begin(), values.end());
  auto quantile = [&](double q) {
    return values.empty() ? none : values[std::min(std::size_t(q * double(values.size())), values.size() - 1)];
  };
  r.low = quantile(0.025), r.high = quantile(0.975);
  return r;
}

RIG_INLINE RowEllipsoid::RowEllipsoid(Tensor<float> const& codes, double share) {
  check(codes.rank() == 3 && codes.dim(0) * codes.dim(1) > 1, "RowEllipsoid: codes must be [n, rows, d], got ", codes.shape());
  Tensor<float> const x = codes.to(cpu());
  d_ = x.dim(2);
  std::int64_t const n = x.dim(0) * x.dim(1);
  mean_.assign(std::size_t(d_), 0);
  for (std::int64_t r = 0; r < n; ++r)
    for (std::int64_t i = 0; i < d_; ++i) mean_[std::size_t(i)] += x.data()[r * d_ + i] / double(n);
  std::vector<double> c(std::size_t(d_ * d_), 0), v(static_cast<std::size_t>(d_));
  double trace = 0;
  for (std::int64_t r = 0; r < n; ++r) {
    for (std::int64_t i = 0; i < d_; ++i) v[std::size_t(i)] = x.data()[r * d_ + i] - mean_[std::size_t(i)];
    for (std::int64_t i = 0; i < d_; ++i)
      for (std::int64_t j = 0; j <= i; ++j) c[std::size_t(i * d_ + j)] += v[std::size_t(i)] * v[std::size_t(j)] / double(n);
  }
  for (std::int64_t i = 0; i < d_; ++i) trace += c[std::size_t(i * d_ + i)];
  double const ridge = 1e-6 * trace / double(d_) + 1e-30;
  for (std::int64_t i = 0; i < d_; ++i)
    for (std::int64_t j = 0; j <= i; ++j) {
      double s = c[std::size_t(i * d_ + j)] + (i == j ? ridge : 0);
      for (std::int64_t k = 0; k < j; ++k) s -= c[std::size_t(i * d_ + k)] * c[std::size_t(j * d_ + k)];
      c[std::size_t(i * d_ + j)] = i == j ? std::sqrt(std::max(s, 1e-30)) : s / c[std::size_t(j * d_ + j)];
    }
  factor_ = std::move(c);
  std::vector<double> all = distances(x);
  std::sort(all.begin(), all.end());
  limit_ = all[std::min(all.size() - 1, std::size_t(share * double(all.size())))];
}

RIG_INLINE std::vector<double> RowEllipsoid::distances(Tensor<float> const& codes) const {
  Tensor<float> const x = codes.to(cpu());
  std::vector<double> result, y(static_cast<std::size_t>(d_));
  for (std::int64_t r = 0; r < x.size() / d_; ++r) {
    double total = 0;
    for (std::int64_t i = 0; i < d_; ++i) {
      double s = x.data()[r * d_ + i] - mean_[std::size_t(i)];
      for (std::int64_t k = 0; k < i; ++k) s -= factor_[std::size_t(i * d_ + k)] * y[std::size_t(k)];
      y[std::size_t(i)] = s / factor_[std::size_t(i * d_ + i)];
      total += y[std::size_t(i)] * y[std::size_t(i)];
    }
    result.push_back(total);
  }
  return result;
}

RIG_INLINE double RowEllipsoid::inside(Tensor<float> const& codes) const {
  check(codes.rank() == 3 && codes.dim(2) == d_, "RowEllipsoid: codes must be [n, rows, ", d_, "], got ", codes.shape());
  std::vector<double> const all = distances(codes);
  std::int64_t good = 0, rows = codes.dim(1);
  for (std::int64_t i = 0; i < codes.dim(0); ++i)
    good += std::all_of(all.begin() + i * rows, all.begin() + (i + 1) * rows, [&](double v) { return v <= limit_; });
  return double(good) / double(codes.dim(0));
}

namespace detail {

inline double mean_absolute(ParameterLayout const& layout, char const* name, Tensor<float> const& a, Tensor<float> const& b) {
  Component const* c = layout.find(name);
  if (!c || c->size == 0) return std::numeric_limits<double>::quiet_NaN();
  double s = 0;
  for (std::int64_t r = 0; r < a.dim(0); ++r)
    for (std::int64_t i = c->offset; i < c->offset + c->size; ++i)
      s += std::abs(double(a.data()[r * a.dim(1) + i]) - b.data()[r * a.dim(1) + i]);
  return s / double(a.dim(0) * c->size);
}

/// p_w, p_v, p_hat by one measurer.
inline ControlScore score_control(ParameterMetric const& metric, Control control, Tensor<float> const& p_w, Tensor<float> const& p_v,
                                  Tensor<float> const& p_hat, bool keep_translation) {
  ParameterLayout const& layout = metric.layout();
  std::vector<unsigned char> const edited = control_mask(layout, control), kept = kept_mask(layout, control, keep_translation);
  ControlScore s;
  s.control = control;
  std::int64_t const n = p_w.dim(0), f = p_w.dim(1);
  std::vector<double> left(std::size_t(n), 0), asked(std::size_t(n), 0);
  auto row = [&](Tensor<float> const& p, std::int64_t r) { return p.data() + r * f; };
  int edited_parts = 0;
  for (auto const& c : layout.components()) {
    if (c.size == 0) continue;
    bool const is_edited = edited[std::size_t(c.offset)], is_kept = kept[std::size_t(c.offset)];
    std::vector<double> moved, apart;
    double mean_asked = 0;
    for (std::int64_t r = 0; r < n; ++r) {
      double const between = metric.distance(c, row(p_v, r), row(p_w, r));
      apart.push_back(between);
      moved.push_back(is_edited ? metric.distance(c, row(p_hat, r), row(p_v, r)) : metric.distance(c, row(p_hat, r), row(p_w, r)));
      mean_asked += between / double(n);
    }
    if (is_edited) {  // several edited components are weighed equally
      ++edited_parts;
      for (std::int64_t r = 0; r < n; ++r) {
        left[std::size_t(r)] += mean_asked > 0 ? moved[std::size_t(r)] / mean_asked : 0;
        asked[std::size_t(r)] += mean_asked > 0 ? apart[std::size_t(r)] / mean_asked : 0;
      }
    } else if (is_kept) {
      s.leakage.emplace_back(c.name, bootstrap_ratio(moved, apart));
      s.mean_leakage += s.leakage.back().second.value;
    }
    if (c.name == "identity") {
      double a = 0, b = 0;
      for (std::int64_t r = 0; r < n; ++r) a += moved[std::size_t(r)], b += apart[std::size_t(r)];
      s.identity = b > 0 ? 1 - a / b : std::numeric_limits<double>::quiet_NaN();
    }
  }
  if (!s.leakage.empty()) s.mean_leakage /= double(s.leakage.size());
  Interval const r = edited_parts ? bootstrap_ratio(left, asked) : Interval{};
  s.success = {1 - r.value, 1 - r.high, 1 - r.low};
  s.expression_difference = mean_absolute(layout, "expression", p_hat, contains(control, Control::expression) ? p_v : p_w);
  s.pose_difference = mean_absolute(layout, "rotation", p_hat, contains(control, Control::pose) ? p_v : p_w);
  s.light_difference = mean_absolute(layout, "illumination", p_hat, contains(control, Control::illumination) ? p_v : p_w);
  return s;
}

inline double relative_change(Tensor<float> const& to, Tensor<float> const& from, Tensor<float> const& mean) {
  double change = 0, size = 0;
  std::int64_t const d = from.dim(-1);
  for (std::int64_t i = 0; i < from.size(); ++i) {
    double const a = double(to.data()[i]) - from.data()[i], b = double(from.data()[i]) - mean.data()[i % d];
    change += a * a, size += b * b;
  }
  return size > 0 ? std::sqrt(change / size) : 0;
}
inline Tensor<float> mixed_target(Tensor<float> const& p_w, Tensor<float> const& p_v, Tensor<unsigned char> const& mask) {
  return replace(Var<float>(p_w), Var<float>(p_v), mask).value();
}

}  // namespace detail

RIG_INLINE std::vector<std::pair<std::string, double>> ControlScore::numbers() const {
  std::vector<std::pair<std::string, double>> n{{"success", success.value}, {"success_low", success.low}, {"success_high", success.high}};
  for (auto const& [name, v] : leakage) {
    n.emplace_back("leakage_" + name, v.value);
    n.emplace_back("leakage_" + name + "_low", v.low);
    n.emplace_back("leakage_" + name + "_high", v.high);
  }
  n.insert(n.end(), {{"leakage", mean_leakage},
                     {"aed", expression_difference},
                     {"apd", pose_difference},
                     {"ald", light_difference},
                     {"identity", identity}});
  return n;
}
RIG_INLINE std::vector<std::pair<std::string, double>> EditScore::numbers() const {
  std::vector<std::pair<std::string, double>> n = judged.numbers();
  for (auto const& [name, v] : by_reconstruction.numbers()) n.emplace_back("f_" + name, v);
  n.insert(n.end(), {{"reconstruction_change", reconstruction_change}, {"round_trip", round_trip}, {"plausible", plausible}});
  return n;
}

RIG_INLINE EditScore evaluate_edits(EditFunction const& edit, Tensor<float> const& sources, Tensor<float> const& targets, Control control,
                                    Reconstruction<float> const& F, Judge const& judge, ParameterMetric const& metric,
                                    Whitening<float> const& codes, RowEllipsoid const* ellipsoid, bool keep_translation) {
  check(sources.shape() == targets.shape() && sources.rank() == 3,
        "evaluate_edits: sources and targets must both be [n, rows, w_dim], got ", sources.shape(), " and ", targets.shape());
  Tensor<unsigned char> const mask = mask_row(control_mask(metric.layout(), control), sources.device());
  Tensor<float> const p_w = F.evaluate(sources), p_v = F.evaluate(targets);
  Tensor<float> const hat = edit(sources, p_w, p_v, mask), p_hat = F.evaluate(hat);
  EditScore s;
  s.by_reconstruction = detail::score_control(metric, control, p_w.to(cpu()), p_v.to(cpu()), p_hat.to(cpu()), keep_translation);
  s.judged =
      detail::score_control(metric, control, judge(sources).to(cpu()), judge(targets).to(cpu()), judge(hat).to(cpu()), keep_translation);
  Tensor<float> const mean = codes.mean.to(cpu()), from = sources.to(cpu()), to = hat.to(cpu());
  s.reconstruction_change = detail::relative_change(edit(sources, p_w, p_w, mask).to(cpu()), from, mean);
  s.round_trip = detail::relative_change(edit(hat, p_hat, detail::mixed_target(p_hat, p_w, mask), mask).to(cpu()), from, mean);
  s.plausible = ellipsoid ? ellipsoid->inside(hat) : std::numeric_limits<double>::quiet_NaN();
  std::int64_t const n = from.dim(0), rows = from.dim(1), d = from.dim(2);
  for (std::int64_t i = 0; i < rows; ++i) {
    double sum = 0, square = 0;
    for (std::int64_t r = 0; r < n; ++r) {
      double length = 0;
      for (std::int64_t k = 0; k < d; ++k) {
        double const v = double(to.data()[(r * rows + i) * d + k]) - from.data()[(r * rows + i) * d + k];
        length += v * v;
      }
      sum += std::sqrt(length) / double(n), square += length / double(n);
    }
    s.row_change.push_back(sum);
    s.row_variance.push_back(std::max(0.0, square - sum * sum));
  }
  return s;
}

namespace detail {
inline double axis_difference(Axis const& axis, double to, double from) {
  double d = to - from;
  if (axis.circular) d -= 360 * std::round(d / 360);
  return d;
}
}  // namespace detail

RIG_INLINE double Calibration::invert(double value) const {
  float const *x = requested.data(), *y = achieved.data();
  std::int64_t const n = requested.size();
  if (value <= y[0]) return x[0];
  for (std::int64_t i = 1; i < n; ++i)
    if (value <= y[i])
      return y[i] > y[i - 1] ? x[i - 1] + (x[i] - x[i - 1]) * (value - y[i - 1]) / (double(y[i]) - y[i - 1]) : double(x[i]);
  return x[n - 1];
}

RIG_INLINE SweepScore sweep_axis(EditFunction const& edit, ParameterLayout const& layout, Axis const& axis, Tensor<float> const& codes,
                                 Reconstruction<float> const& F, Judge const& judge, int steps, Calibration const* calibration) {
  check(steps > 1 && codes.rank() == 3 && codes.dim(0) > 1, "sweep_axis: at least two steps and two codes are needed, got ", steps, " and ",
        codes.shape());
  Tensor<unsigned char> const mask = mask_row(control_mask(layout, axis.control), codes.device());
  Tensor<float> const p_w = F.evaluate(codes), source = p_w.to(cpu()), before = judge(codes).to(cpu());
  std::int64_t const n = codes.dim(0), f = layout.size();
  SweepScore s;
  s.axis = axis.name;
  // By code: the sums of one code's own sweep, x requested and y achieved.
  struct Sums {
    double x = 0, y = 0, xx = 0, xy = 0, yy = 0;
  };
  std::vector<Sums> sums(static_cast<std::size_t>(n));
  std::vector<char> usable;
  for (int k = 0; k < steps; ++k) {
    double const value = axis.within(double(k) / double(steps - 1));
    Tensor<float> target = source.clone();
    float* to = target.mutate();
    double const ask = calibration ? calibration->invert(value) : value;
    for (std::int64_t r = 0; r < n; ++r) axis.write(to + r * f, ask);
    Tensor<float> const after = judge(edit(codes, p_w, target.to(codes.device()), mask)).to(cpu());
    double mean = 0, square = 0, miss = 0, asked = 0;
    for (std::int64_t r = 0; r < n; ++r) {
      // A calibrated wish is in the judge's terms, one to the network in F's.
      double const x = detail::axis_difference(axis, value, axis.read((calibration ? before : source).data() + r * f));
      double const y = detail::axis_difference(axis, axis.read(after.data() + r * f), axis.read(before.data() + r * f));
      Sums& q = sums[std::size_t(r)];
      q.x += x, q.y += y, q.xx += x * x, q.xy += x * y, q.yy += y * y;
      double const reached = axis.read(after.data() + r * f);
      mean += reached / double(n), square += reached * reached / double(n);
      miss += std::abs(x - y), asked += std::abs(x);
    }
    s.requested.push_back(value);
    s.achieved.push_back(mean);
    s.spread.push_back(std::sqrt(std::max(0.0, square - mean * mean)));
    usable.push_back(miss <= 0.2 * asked);
  }
  double vx = 0, vy = 0, vxy = 0;
  for (Sums const& q : sums) vx += q.xx - q.x * q.x / steps, vy += q.yy - q.y * q.y / steps, vxy += q.xy - q.x * q.y / steps;
  s.slope = vx > 0 ? vxy / vx : std::numeric_limits<double>::quiet_NaN();
  s.r_squared = vx > 0 && vy > 0 ? vxy * vxy / (vx * vy) : std::numeric_limits<double>::quiet_NaN();
  // From the step nearest to the mean outwards as long as the steps are usable.
  int middle = 0;
  for (int k = 1; k < steps; ++k)
    if (std::abs(s.requested[std::size_t(k)] - axis.centre) < std::abs(s.requested[std::size_t(middle)] - axis.centre)) middle = k;
  s.usable_low = s.usable_high = axis.centre;
  for (int k = middle; k < steps && (k == middle || usable[std::size_t(k)]); ++k)
    if (usable[std::size_t(k)]) s.usable_high = std::max(s.usable_high, s.requested[std::size_t(k)]);
  for (int k = middle; k >= 0 && (k == middle || usable[std::size_t(k)]); --k)
    if (usable[std::size_t(k)]) s.usable_low = std::min(s.usable_low, s.requested[std::size_t(k)]);
  return s;
}

RIG_INLINE double disentanglement_score(EditFunction const& edit, ParameterLayout const& layout, Tensor<float> const& bases,
                                        Tensor<float> const& partners, Control control, Reconstruction<float> const& F, Judge const& judge,
                                        ParameterStatistics const& s, int members) {
  check(members > 1 && partners.dim(0) >= bases.dim(0) * members, "disentanglement_score: ", bases.dim(0), " groups of ", members, " need ",
        bases.dim(0) * members, " partners, got ", partners.dim(0));
  char const* const factors[4] = {"rotation", "expression", "illumination", "identity"};
  char const* const varied = component_of(control);
  double within[4] = {}, corpus[4] = {};
  Tensor<unsigned char> const mask = mask_row(control_mask(layout, control), bases.device());
  Tensor<float> const p_v = F.evaluate(partners.rows(0, bases.dim(0) * members));
  for (std::int64_t g = 0; g < bases.dim(0); ++g) {
    Tensor<float> const w = broadcast_to(Var<float>(bases.rows(g, 1)), bases.shape().with(0, members)).value();
    Tensor<float> const p = judge(edit(w, F.evaluate(w), p_v.rows(g * members, members), mask)).to(cpu());
    for (int k = 0; k < 4; ++k)
      if (Component const* c = layout.find(factors[k])) {
        double variance = 0;
        for (std::int64_t i = c->offset; i < c->offset + c->size; ++i) {
          double mean = 0, square = 0;
          for (int r = 0; r < members; ++r) {
            double const v = p.data()[r * p.dim(1) + i];
            mean += v / members, square += v * v / members;
          }
          variance += std::max(0.0, square - mean * mean);
        }
        within[k] += std::sqrt(variance) / double(bases.dim(0));
      }
  }
  double score = 1, own = 0;
  for (int k = 0; k < 4; ++k)
    if (Component const* c = layout.find(factors[k])) {
      for (std::int64_t i = c->offset; i < c->offset + c->size; ++i) corpus[k] += double(s.deviation.data()[i]) * s.deviation.data()[i];
      within[k] /= std::max(std::sqrt(corpus[k]), 1e-12);
      if (std::string_view(factors[k]) == varied) own = within[k];
    }
  for (int k = 0; k < 4; ++k)
    if (layout.has(factors[k]) && std::string_view(factors[k]) != varied) score *= own / std::max(within[k], 1e-12);
  return score;
}

}  // namespace rig::inline RIG_ABI::stylerig
