#pragma once
#include <algorithm>
#include <optional>
#include <tuple>

#include "rig/stylerig/axes.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE Axis entry_axis(ParameterLayout const& layout, ParameterStatistics const& s, std::string const& label) {
  std::int64_t const e = layout.entry(label);
  Axis a;
  a.name = layout.label(e);
  for (Control c : single_controls)
    if (Component const* part = layout.find(component_of(c)); part && e >= part->offset && e < part->offset + part->size) a.control = c;
  check(a.control != Control::none, "entry_axis: ", label, " belongs to no control");
  a.read = [e](float const* p) { return double(p[e]); };
  a.write = [e](float* p, double v) { p[e] = float(v); };
  a.low = s.percentile(1, e), a.high = s.percentile(7, e), a.centre = s.mean.data()[e];
  return a;
}

RIG_INLINE std::vector<Axis> standard_axes(ParameterLayout const& layout, ParameterStatistics const& s, Tensor<float> const& p,
                                           LightBands const& bands, Control controls, std::int64_t expressions) {
  std::vector<Axis> axes;
  if (Component const* r = layout.find("rotation"); r && r->size == 3 && contains(controls, Control::pose))
    for (auto const& [name, entry, sign] : {std::tuple{"yaw", r->offset + 1, 1.0}, std::tuple{"pitch", r->offset, -1.0}}) {
      Axis a;
      a.name = name, a.control = Control::pose;
      double const unit = sign * detail::degrees;
      std::int64_t const e = entry;
      a.read = [e, unit](float const* q) { return unit * double(q[e]); };
      a.write = [e, unit](float* q, double v) { q[e] = float(v / unit); };
      a.low = unit * s.percentile(1, e), a.high = unit * s.percentile(7, e), a.centre = unit * s.mean.data()[e];
      if (a.low > a.high) std::swap(a.low, a.high);
      axes.push_back(std::move(a));
    }
  if (Component const* d = layout.find("expression"); d && contains(controls, Control::expression))
    for (std::int64_t i = 0; i < std::min(expressions, d->size); ++i)
      if (s.deviation.data()[d->offset + i] > 1e-6f) axes.push_back(entry_axis(layout, s, layout.label(d->offset + i)));
  if (Component const* g = layout.find("illumination"); g && g->size == 27 && contains(controls, Control::illumination)) {
    std::int64_t const at = g->offset;
    struct Quantity {
      char const* name;
      using Wish = std::optional<double> LightWish::*;
      double (*value)(Light const&);
      Wish wish;
    };
    for (Quantity const& q : {Quantity{"light azimuth", [](Light const& l) { return l.azimuth; }, &LightWish::azimuth},
                              Quantity{"light elevation", [](Light const& l) { return l.elevation; }, &LightWish::elevation},
                              Quantity{"light contrast", [](Light const& l) { return l.contrast(); }, &LightWish::contrast}}) {
      Axis a;
      a.name = q.name, a.control = Control::illumination;
      a.circular = q.wish == &LightWish::azimuth;
      if (q.wish == &LightWish::contrast) a.least = 0;
      if (q.wish == &LightWish::elevation) a.least = -90, a.most = 90;
      a.read = [at, q](float const* v) { return q.value(read_light(v + at)); };
      a.write = [at, q, bands](float* v, double x) {
        LightWish w;
        w.*q.wish = x;
        std::array<float, 27> const y = change_light(v + at, w, bands);
        std::copy(y.begin(), y.end(), v + at);
      };
      std::vector<double> values;
      for (std::int64_t r = 0; r < p.dim(0); ++r) values.push_back(a.read(p.data() + r * p.dim(1)));
      std::sort(values.begin(), values.end());
      a.low = values[std::size_t(0.01 * double(values.size() - 1))], a.high = values[std::size_t(0.99 * double(values.size() - 1))];
      a.centre = values[values.size() / 2];
      axes.push_back(std::move(a));
    }
  }
  return axes;
}

}  // namespace rig::inline RIG_ABI::stylerig
