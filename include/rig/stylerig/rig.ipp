#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "rig/stylerig/rig.hpp"
#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE Wishes parse_wishes(std::string_view text) {
  Wishes w;
  auto number = [](std::string_view name, std::string_view value) {
    std::string const s(value);
    char* end = nullptr;
    double const v = std::strtod(s.c_str(), &end);
    check(!s.empty() && *end == 0 && std::isfinite(v), "wishes: ", name, " needs a number, got '", s, "'");
    return v;
  };
  for (std::size_t at = 0; at < text.size();) {
    std::size_t const end = std::min(text.find(',', at), text.size());
    std::string_view const part = text.substr(at, end - at);
    at = end + 1;
    auto const equals = part.find('=');
    check(equals != std::string_view::npos && equals > 0, "wishes: expected name=value, got '", part, "'");
    std::string const name(part.substr(0, equals));
    std::string_view const value = part.substr(equals + 1);
    if (name == "yaw")
      w.yaw = number(name, value);
    else if (name == "pitch")
      w.pitch = number(name, value);
    else if (name == "roll")
      w.roll = number(name, value);
    else if (name == "light.azimuth")
      w.light.azimuth = number(name, value);
    else if (name == "light.elevation")
      w.light.elevation = number(name, value);
    else if (name == "light.strength")
      w.light.strength = number(name, value);
    else if (name == "light.contrast")
      w.light.contrast = number(name, value);
    else if (name == "light.ambient")
      w.light.ambient = number(name, value);
    else if (name == "light.colour" || name == "light.color") {
      auto const a = value.find(':'), b = a == std::string_view::npos ? a : value.find(':', a + 1);
      check(b != std::string_view::npos, "wishes: ", name, " needs red:green:blue, got '", value, "'");
      w.light.colour = {number(name, value.substr(0, a)), number(name, value.substr(a + 1, b - a - 1)), number(name, value.substr(b + 1))};
    } else if (name.rfind("light.", 0) == 0)
      throw Error(str("wishes: of the light one can ask for azimuth, elevation, contrast, strength, ambient and colour, not ", name));
    else if (name.rfind("expression.", 0) == 0)
      w.expression.emplace_back(name.substr(11), float(number(name, value)));
    else if (name.find('.') != std::string::npos)
      w.raw.emplace_back(name, float(number(name, value)));
    else
      w.expression.emplace_back(name, float(number(name, value)));
  }
  return w;
}

RIG_INLINE std::vector<double> ascending_fit(std::vector<double> const& values) {
  std::vector<std::pair<double, int>> pools;  // mean, count
  for (double v : values) {
    pools.emplace_back(v, 1);
    while (pools.size() > 1 && pools[pools.size() - 2].first > pools.back().first) {
      auto const b = pools.back();
      pools.pop_back();
      auto& a = pools.back();
      a = {(a.first * a.second + b.first * b.second) / (a.second + b.second), a.second + b.second};
    }
  }
  std::vector<double> y;
  for (auto const& [mean, count] : pools) y.insert(y.end(), std::size_t(count), mean);
  return y;
}

RIG_INLINE Calibration calibration_of(SweepScore const& s) {
  check(s.achieved.size() > 1 && s.requested.size() == s.achieved.size(), "calibration_of: a sweep of at least two steps is needed, got ",
        s.achieved.size());
  auto const middle = s.achieved.begin() + std::ptrdiff_t(s.achieved.size() - 1) / 2, most = std::max_element(middle, s.achieved.end()),
             least = std::min_element(s.achieved.begin(), middle + 1);
  std::vector<double> const fit = ascending_fit({least, most + 1});
  if (!(fit.back() > fit.front())) return {s.axis, {}, {}};
  auto const first = s.requested.begin() + (least - s.achieved.begin());
  std::vector<float> const x(first, first + std::ptrdiff_t(fit.size())), y(fit.begin(), fit.end());
  std::int64_t const n = std::int64_t(fit.size());
  return {s.axis, Tensor<float>({n}, x), Tensor<float>({n}, y)};
}

RIG_INLINE Control Rig::controls() const {
  Control c = Control::none;
  for (auto const& n : networks) c = c | n.controls;
  return c;
}

RIG_INLINE Calibration const* Rig::calibration(std::string const& axis) const {
  for (auto const& c : calibrations)
    if (c.axis == axis) return &c;
  return nullptr;
}

RIG_INLINE std::pair<Tensor<float>, Control> Rig::targets(Tensor<float> const& p_w, Wishes const& wishes, bool calibrated) const {
  check(p_w.rank() == 2 && p_w.dim(1) == layout().size(), "Rig: vectors must be [n, ", layout().size(), "], got ", p_w.shape());
  Tensor<float> t = p_w.to(cpu()).clone();
  float* to = t.mutate();
  std::int64_t const n = t.dim(0), f = t.dim(1);
  Control touched = Control::none;
  auto asked = [&](std::string const& axis, double value) {
    Calibration const* c = calibrated ? calibration(axis) : nullptr;
    return c ? c->invert(value) : value;
  };
  auto set = [&](std::int64_t entry, double value) {
    for (std::int64_t r = 0; r < n; ++r) to[r * f + entry] = float(value);
  };
  if (wishes.yaw || wishes.pitch) {
    Component const& r = layout().at("rotation");
    auto angle = [&](char const* name, double value) {
      check(std::abs(value) <= 60, "Rig: ", name, " must be between -60 and 60 degrees, got ", value);
      return asked(name, value) / detail::degrees;
    };
    if (wishes.yaw) set(r.offset + 1, angle("yaw", *wishes.yaw));
    if (wishes.pitch) set(r.offset, -angle("pitch", *wishes.pitch));
    touched = touched | Control::pose;
  }
  for (auto const& [name, value] : wishes.expression) {
    std::int64_t const e = layout().entry("expression." + name);
    set(e, asked(layout().label(e), value));
    touched = touched | Control::expression;
  }
  if (wishes.light.any()) {
    Component const& g = layout().at("illumination");
    check(g.size == 27, "Rig: light by direction needs 27 coefficients of illumination, this rig has ", g.size);
    LightWish w = wishes.light;
    if (w.azimuth) w.azimuth = asked("light azimuth", *w.azimuth);
    if (w.elevation) w.elevation = asked("light elevation", *w.elevation);
    if (w.contrast) w.contrast = std::max(0.0, asked("light contrast", *w.contrast));
    for (std::int64_t r = 0; r < n; ++r) {
      std::array<float, 27> const y = change_light(to + r * f + g.offset, w, bands);
      std::copy(y.begin(), y.end(), to + r * f + g.offset);
    }
    touched = touched | Control::illumination;
  }
  for (auto const& [label, value] : wishes.raw) {
    std::int64_t const e = layout().entry(label);
    Control c = Control::none;
    for (Control k : single_controls)
      if (Component const* part = layout().find(component_of(k)); part && e >= part->offset && e < part->offset + part->size) c = k;
    check(c != Control::none, "Rig: ", label, " is not something a rig controls");
    set(e, value);
    touched = touched | c;
  }
  check(contains(controls(), touched), "Rig: asked for ", to_string(touched), ", but this rig controls ", to_string(controls()));
  return {t.to(p_w.device()), touched};
}

RIG_INLINE Tensor<float> Rig::move(Tensor<float> const& w, Tensor<float> const& target, Control c, EditOptions const& o) const {
  check(contains(controls(), c), "Rig: asked for ", to_string(c), ", but this rig controls ", to_string(controls()));
  if (c == Control::none) return w;
  Tensor<float> const p_first = measure(w);
  Tensor<float> now = w;
  EditNetwork const* all = nullptr;
  for (auto const& n : networks)
    if (contains(n.controls, c)) all = &n;
  if (all) {
    now = (*all)(now, p_first, target, mask_row(control_mask(layout(), c), w.device()));
  } else {
    for (Control k : single_controls) {
      if (!contains(c, k)) continue;
      for (auto const& n : networks)
        if (contains(n.controls, k)) {
          Tensor<unsigned char> const mask = mask_row(control_mask(layout(), k), w.device());
          Tensor<float> const p = measure(now);
          now = n(now, p, detail::mixed_target(p, target, mask), mask);
          break;
        }
    }
  }
  if (o.refine_steps > 0) now = refine_codes(reconstruction.F, now, target, statistics, o.refine_steps, o.refine_rate);
  return now;
}

RIG_INLINE Tensor<float> Rig::edit(Tensor<float> const& w, Wishes const& wishes, EditOptions const& o) const {
  check(w.rank() == 3, "Rig: codes must be [n, rows, w_dim], got ", w.shape());
  auto const [target, touched] = targets(measure(w), wishes, o.calibrated);
  return move(w, target, touched, o);
}

RIG_INLINE EditFunction Rig::edit_function(Control c) const {
  Rig const rig = *this;
  return [rig, c](Tensor<float> const& w, Tensor<float> const& p_w, Tensor<float> const& target, Tensor<unsigned char> const& mask) {
    return rig.move(w, detail::mixed_target(p_w, target, mask), c);
  };
}

RIG_INLINE Rig make_rig(TrainedReconstruction const& r, std::vector<TrainedRig> const& networks, Tensor<float> const& corpus_p) {
  check(!networks.empty(), "make_rig: no edit network was given");
  Rig rig;
  rig.reconstruction = r;
  for (auto const& t : networks) {
    check(t.network.net.options.rows == r.F.options.rows && t.network.net.options.w_dim == r.F.options.w_dim,
          "make_rig: a network is for codes of ", t.network.net.options.rows, " x ", t.network.net.options.w_dim, ", F for ",
          r.F.options.rows, " x ", r.F.options.w_dim);
    rig.networks.push_back(t.network);
    rig.trainings.push_back(t.training);
  }
  rig.statistics = parameter_statistics(corpus_p);
  rig.bands = light_bands(r.layout, corpus_p);
  return rig;
}

RIG_INLINE void save_rig(std::string const& path, Rig& rig) {
  train::Settings m = train::to_settings(rig.reconstruction.F.options, "network_F");
  auto const& r = rig.reconstruction;
  m["kind"] = "rig", m["layout"] = r.layout.text(), m["face"] = r.face, m["generator"] = r.generator, m["corpus"] = r.origin;
  m["F.hash"] = nn::content_hash(rig.reconstruction.F);
  m["F.steps"] = std::to_string(r.steps), m["F.validation"] = train::exact_text(r.validation);
  m["networks"] = std::to_string(rig.networks.size());
  for (std::size_t i = 0; i < rig.networks.size(); ++i) {
    std::string const name = "network_" + std::to_string(i);
    m[name + "_control_size"] = std::to_string(rig.networks[i].input.size());
    for (auto& [k, v] : train::to_settings(rig.trainings[i], name)) m[k] = v;
  }
  m["calibrations"] = std::to_string(rig.calibrations.size());
  for (std::size_t i = 0; i < rig.calibrations.size(); ++i) m["calibration_" + std::to_string(i)] = rig.calibrations[i].axis;
  io::save(path, io::Metadata(m.begin(), m.end()), io::item("rig", rig));
}

RIG_INLINE Rig load_rig(std::string const& path, std::string const& generator, std::string const& face, Device const& device) {
  io::Metadata const m = io::load_metadata(path);
  std::string const kind = io::find_metadata(m, "kind");
  check(kind == "rig", path, ": expected a rig, found ", kind.empty() ? "something else" : kind);
  auto value = [&](std::string const& key) { return io::metadata_value(m, key, path); };
  auto settings = [&](std::string const& prefix) {
    train::Settings s;
    for (auto const& [k, v] : m)
      if (k.rfind(prefix + ".", 0) == 0) s[k] = v;
    return s;
  };
  Rig rig;
  auto& r = rig.reconstruction;
  r.layout = ParameterLayout::from_text(value("layout"));
  r.face = value("face"), r.generator = value("generator"), r.origin = value("corpus");
  check(generator.empty() || generator == r.generator, path, ": this rig is for the generator ", r.generator, ", the one given is ",
        generator);
  check(face.empty() || face == r.face, path, ": this rig was trained with the face '", r.face, "', the one given is '", face, "'");
  ReconstructionOptions o;
  train::from_settings(o, settings("network_F"), "network_F");
  Rng rng(0);
  auto codes = [&] { return Whitening<float>{zeros<float>({o.w_dim}, device), ones<float>({o.w_dim}, device)}; };
  r.F = Reconstruction<float>(o, codes(), output_scale(r.layout, 1), rng, device);
  auto whole = [&](std::string const& key) { return train::metadata_number<std::int64_t>(m, key, path); };
  r.steps = whole("F.steps"), r.validation = train::metadata_number<double>(m, "F.validation", path), r.finished = true;
  std::int64_t const count = whole("networks"), curves = whole("calibrations");
  check(count > 0 && count < 16 && curves >= 0 && curves < 1000, path, ": its counts make no sense");
  for (std::int64_t i = 0; i < count; ++i) {
    std::string const name = "network_" + std::to_string(i);
    RigTraining t;
    train::from_settings(t, settings(name), name);
    EditNetwork n;
    n.controls = t.controls;
    n.input.mode = t.mode;
    n.net = RigNet<float>({.rows = o.rows, .w_dim = o.w_dim, .encoder = t.encoder, .hidden = t.hidden}, whole(name + "_control_size"),
                          codes(), rng, device);
    rig.networks.push_back(std::move(n));
    rig.trainings.push_back(t);
  }
  for (std::int64_t i = 0; i < curves; ++i) rig.calibrations.push_back({value("calibration_" + std::to_string(i)), {}, {}});
  io::load(path, io::item("rig", rig));
  nn::move_to(rig.reconstruction.F, device);
  for (auto& n : rig.networks) nn::move_to(n, device);
  check(nn::content_hash(rig.reconstruction.F) == value("F.hash"), path, ": F in it is not the one its networks were trained with");
  return rig;
}

RIG_INLINE std::vector<SweepScore> calibrate(Rig& rig, Tensor<float> const& codes, Judge const& judge, int steps) {
  std::vector<SweepScore> sweeps;
  rig.calibrations.clear();
  for (Axis const& known :
       standard_axes(rig.layout(), rig.statistics, rig.measure(codes).to(cpu()), rig.bands, rig.controls(), rig.layout().size())) {
    Axis const axis = known.widened();
    SweepScore const s = sweep_axis(rig.edit_function(axis.control), rig.layout(), axis, codes, rig.reconstruction.F, judge, steps);
    sweeps.push_back(s);
    if (axis.circular && axis.high - axis.low >= 180) continue;  // an angle all the way round has no monotone curve
    Calibration c = calibration_of(s);
    if (c.achieved) rig.calibrations.push_back(std::move(c));
  }
  return sweeps;
}

namespace detail {
struct MovedCode {
  Param<float> d;  // whitened
  void visit(auto&& f) { f("d", d); }
};
}  // namespace detail

RIG_INLINE Tensor<float> refine_codes(Reconstruction<float> const& F, Tensor<float> const& w_hat, Tensor<float> const& target,
                                      ParameterStatistics const& s, std::int64_t steps, double rate) {
  detail::MovedCode m{Param<float>(zeros<float>(w_hat.shape(), w_hat.device()))};
  nn::Adam<float> adam({.rate = rate});
  check(target.shape() == (Shape{w_hat.dim(0), F.outputs()}), "refine_codes: target must be [", w_hat.dim(0), ", ", F.outputs(), "], got ",
        target.shape());
  std::vector<float> safe = s.deviation.host();
  double largest = 0;
  for (float d : safe) largest = std::max(largest, double(d));
  for (auto& d : safe)
    if (!(d > 1e-3 * largest)) d = float(std::max(1e-3 * largest, 1e-12));
  Var<float> const deviation(Tensor<float>({std::int64_t(safe.size())}, safe, w_hat.device())), goal(target);
  for (std::int64_t i = 0; i < steps; ++i) {
    Tape tape;
    tape.watch(m);
    Var<float> const p = F(Var<float>(w_hat) + Var<float>(F.codes.deviation) * m.d);
    float const n = float(w_hat.dim(0));
    tape.backward(n * (mean(square((p - goal) / deviation)) + 0.1f * mean(square(m.d))));
    adam.step(m);
  }
  return (Var<float>(w_hat) + Var<float>(F.codes.deviation) * Var<float>(m.d.value())).value();
}

namespace detail {
struct RollKernel {
  float* y;
  float const* x;
  std::int64_t h, w;
  float cosine, sine, cx, cy;
  RIG_HD void operator()(std::int64_t row, std::int64_t col) const {
    std::int64_t const image = row / h, i = row % h;
    // Where the pixel came from: turned back about the centre.
    float const u = float(col) + 0.5f - cx, v = float(i) + 0.5f - cy;
    float a = cosine * u + sine * v + cx - 0.5f, b = -sine * u + cosine * v + cy - 0.5f;
    a = a < 0 ? 0 : a > float(w - 1) ? float(w - 1) : a;
    b = b < 0 ? 0 : b > float(h - 1) ? float(h - 1) : b;
    std::int64_t const j0 = std::int64_t(a), i0 = std::int64_t(b), j1 = j0 + 1 < w ? j0 + 1 : j0, i1 = i0 + 1 < h ? i0 + 1 : i0;
    float const s = a - float(j0), t = b - float(i0);
    float const* p = x + image * h * w * 3;
    for (int k = 0; k < 3; ++k)
      y[(row * w + col) * 3 + k] = (1 - t) * ((1 - s) * p[(i0 * w + j0) * 3 + k] + s * p[(i0 * w + j1) * 3 + k]) +
                                   t * ((1 - s) * p[(i1 * w + j0) * 3 + k] + s * p[(i1 * w + j1) * 3 + k]);
  }
};
}  // namespace detail

RIG_INLINE Tensor<float> roll_picture(Tensor<float> const& picture, double degrees, double x, double y) {
  check(picture.rank() == 4 && picture.dim(3) == 3, "roll_picture: expected [n, h, w, 3], got ", picture.shape());
  Tensor<float> out = like(picture);
  double const a = degrees / detail::degrees;
  for_each(out.device(), picture.dim(0) * picture.dim(1), picture.dim(2),
           detail::RollKernel{out.mutate(), picture.data(), picture.dim(1), picture.dim(2), float(std::cos(a)), float(std::sin(a)),
                              float(x * double(picture.dim(2))), float(y * double(picture.dim(1)))});
  return out;
}

}  // namespace rig::inline RIG_ABI::stylerig
