#include "chart.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "rig/core/error.hpp"

namespace program {
namespace {
constexpr int left = 56, right = 14, top = 30, bottom = 44;

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void include(double v) {
    if (std::isfinite(v)) low = std::min(low, v), high = std::max(high, v);
  }
  void settle() {
    if (!(low <= high)) low = 0, high = 1;
    if (high - low < 1e-12 * std::max(1.0, std::abs(high))) low -= 0.5, high += 0.5;
  }
};

/// 1, 2 or 5 times a power of ten, so that about `wanted` steps fill the range.
double tick_step(Range r, int wanted) {
  double const raw = (r.high - r.low) / wanted, power = std::pow(10, std::floor(std::log10(raw)));
  for (double m : {1.0, 2.0, 5.0})
    if (raw <= m * power * 1.0000001) return m * power;
  return 10 * power;
}

std::string colour(std::size_t i) {
  static char const* const fallback[] = {"#2463b0", "#c4572b", "#2d8659", "#8a4fae", "#a0801c", "#4c8c9b"};
  std::size_t const k = i % std::size(fallback);
  return "var(--c" + std::to_string(k + 1) + "," + fallback[k] + ")";
}

std::string coordinate(double v) {
  char s[32];
  std::snprintf(s, sizeof s, "%.1f", v);
  return s;
}

/// The frame of a chart: axes, ticks, titles and the map from values to pixels.
struct Frame {
  ChartOptions const& o;
  Range x, y;
  std::string svg;

  double place(double v) const { return o.log_y ? std::log10(v) : v; }
  bool shows(double v) const { return std::isfinite(v) && (!o.log_y || v > 0); }
  double px(double v) const { return left + (v - x.low) / (x.high - x.low) * (o.width - left - right); }
  double py(double v) const { return o.height - bottom - (place(v) - y.low) / (y.high - y.low) * (o.height - top - bottom); }

  void text(double at_x, double at_y, std::string const& s, char const* extra) {
    svg += "<text x=\"" + coordinate(at_x) + "\" y=\"" + coordinate(at_y) + "\" " + extra + ">" + escaped(s) + "</text>\n";
  }
  void stroke(double x0, double y0, double x1, double y1, std::string const& style) {
    svg += "<line x1=\"" + coordinate(x0) + "\" y1=\"" + coordinate(y0) + "\" x2=\"" + coordinate(x1) + "\" y2=\"" + coordinate(y1) +
           "\" " + style + "/>\n";
  }
  void open() {
    svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + std::to_string(o.width) + " " + std::to_string(o.height) +
          "\" role=\"img\" aria-label=\"" + escaped(o.title) +
          "\" font-family=\"system-ui,sans-serif\" font-size=\"11\" fill=\"currentColor\">\n";
    text(left, 17, o.title, "font-weight=\"600\" font-size=\"13\"");
    text(left + (o.width - left - right) / 2.0, o.height - 8, o.x_label, "text-anchor=\"middle\"");
    std::string const turn = "text-anchor=\"middle\" transform=\"rotate(-90 12 " + coordinate((top + o.height - bottom) / 2.0) + ")\"";
    text(12, (top + o.height - bottom) / 2.0, o.y_label, turn.c_str());
  }
  void y_ticks() {
    double const step = o.log_y ? std::max(1.0, std::ceil((y.high - y.low) / 6)) : tick_step(y, 5);
    for (double t = std::ceil(y.low / step - 1e-9) * step; t <= y.high + 1e-9 * step; t += step) {
      double const at = o.height - bottom - (t - y.low) / (y.high - y.low) * (o.height - top - bottom);
      stroke(left, at, o.width - right, at, "stroke=\"currentColor\" stroke-opacity=\"0.15\"");
      text(left - 5, at + 4, o.log_y ? "1e" + number(t) : number(std::abs(t) < 1e-9 * step ? 0 : t), "text-anchor=\"end\"");
    }
  }
  void x_ticks() {
    double const step = tick_step(x, 6);
    for (double t = std::ceil(x.low / step - 1e-9) * step; t <= x.high + 1e-9 * step; t += step) {
      stroke(px(t), o.height - bottom, px(t), o.height - bottom + 4, "stroke=\"currentColor\"");
      text(px(t), o.height - bottom + 16, number(std::abs(t) < 1e-9 * step ? 0 : t), "text-anchor=\"middle\"");
    }
  }
  void names(std::vector<std::string> const& list) {
    if (list.size() < 2 && (list.empty() || list[0].empty())) return;
    double at = left + 6;
    for (std::size_t i = 0; i < list.size(); ++i) {
      svg += "<rect x=\"" + coordinate(at) + "\" y=\"" + coordinate(top - 6) + "\" width=\"9\" height=\"9\" fill=\"" + colour(i) + "\"/>\n";
      text(at + 12, top + 3, list[i], "");
      at += 22 + 6.2 * double(list[i].size());
    }
  }
  std::string close() {
    stroke(left, o.height - bottom, o.width - right, o.height - bottom, "stroke=\"currentColor\"");
    stroke(left, top, left, o.height - bottom, "stroke=\"currentColor\"");
    return svg + "</svg>\n";
  }
};

/// Names under groups, turned when they are many.
void group_names(Frame& f, std::vector<std::string> const& groups) {
  double const step = double(f.o.width - left - right) / double(std::max<std::size_t>(1, groups.size()));
  for (std::size_t g = 0; g < groups.size(); ++g) {
    double const at = left + step * (double(g) + 0.5), y = f.o.height - bottom + 14;
    bool const turned = double(groups[g].size()) * 6 > step;
    std::string const extra =
        turned ? "text-anchor=\"end\" font-size=\"9\" transform=\"rotate(-35 " + coordinate(at) + " " + coordinate(y) + ")\""
               : "text-anchor=\"middle\"";
    f.text(at, y, groups[g], extra.c_str());
  }
}
}  // namespace

std::string number(double v, int digits) {
  char s[40];
  std::snprintf(s, sizeof s, "%.*g", digits, v);
  return s;
}

std::string escaped(std::string const& text) {
  std::string s;
  for (char c : text) {
    if (c == '<')
      s += "&lt;";
    else if (c == '>')
      s += "&gt;";
    else if (c == '&')
      s += "&amp;";
    else if (c == '"')
      s += "&quot;";
    else
      s += c;
  }
  return s;
}

std::string line_chart(std::vector<Series> const& series, ChartOptions const& options) {
  Frame f{options, {}, {}, {}};
  std::vector<std::string> names;
  for (auto const& s : series) {
    rig::check(s.x.size() == s.y.size(), "line_chart: series \"", s.name, "\" has ", s.x.size(), " x and ", s.y.size(), " y");
    names.push_back(s.name);
    for (std::size_t i = 0; i < s.x.size(); ++i)
      if (std::isfinite(s.x[i]) && f.shows(s.y[i])) f.x.include(s.x[i]), f.y.include(f.place(s.y[i]));
  }
  f.x.settle(), f.y.settle();
  if (options.square) f.x.low = f.y.low = std::min(f.x.low, f.y.low), f.x.high = f.y.high = std::max(f.x.high, f.y.high);
  f.open(), f.y_ticks(), f.x_ticks();
  if (options.diagonal) {
    double const a = std::max(f.x.low, f.y.low), b = std::min(f.x.high, f.y.high);
    if (a < b) f.stroke(f.px(a), f.py(a), f.px(b), f.py(b), "stroke=\"currentColor\" stroke-opacity=\"0.5\" stroke-dasharray=\"4 3\"");
  }
  for (std::size_t k = 0; k < series.size(); ++k) {
    Series const& s = series[k];
    std::string path;
    for (std::size_t i = 0; i < s.x.size(); ++i) {
      if (!std::isfinite(s.x[i]) || !f.shows(s.y[i])) continue;
      std::string const x = coordinate(f.px(s.x[i])), y = coordinate(f.py(s.y[i]));
      if (s.points)
        f.svg += "<circle cx=\"" + x + "\" cy=\"" + y + "\" r=\"2.2\" fill=\"" + colour(k) + "\" fill-opacity=\"0.65\"/>\n";
      else
        path += (path.empty() ? "M" : "L") + x + " " + y;
    }
    if (!path.empty()) f.svg += "<path d=\"" + path + "\" fill=\"none\" stroke-width=\"1.8\" stroke=\"" + colour(k) + "\"/>\n";
  }
  f.names(names);
  return f.close();
}

std::string bar_chart(Bars const& bars, ChartOptions const& options) {
  Frame f{options, {}, {}, {}};
  f.y.include(0);
  for (auto const& s : bars.values)
    for (double v : s) f.y.include(v);
  for (auto const& s : bars.high)
    for (double v : s) f.y.include(v);
  f.y.settle();
  f.x = {0, double(std::max<std::size_t>(1, bars.groups.size()))};
  f.open(), f.y_ticks();
  double const n = double(std::max<std::size_t>(1, bars.values.size()));
  for (std::size_t s = 0; s < bars.values.size(); ++s)
    for (std::size_t g = 0; g < bars.values[s].size(); ++g) {
      double const v = bars.values[s][g];
      if (!std::isfinite(v)) continue;
      double const x0 = f.px(double(g) + 0.12 + 0.76 * double(s) / n), x1 = f.px(double(g) + 0.12 + 0.76 * double(s + 1) / n);
      double const y0 = std::min(f.py(v), f.py(0)), y1 = std::max(f.py(v), f.py(0));
      f.svg += "<rect x=\"" + coordinate(x0) + "\" y=\"" + coordinate(y0) + "\" width=\"" + coordinate(x1 - x0 - 1) + "\" height=\"" +
               coordinate(y1 - y0) + "\" fill=\"" + colour(s) + "\"><title>" + escaped(bars.groups[g]) + ": " + number(v) +
               "</title></rect>\n";
      if (s < bars.low.size() && s < bars.high.size() && g < bars.low[s].size() && g < bars.high[s].size())
        f.stroke((x0 + x1) / 2, f.py(bars.low[s][g]), (x0 + x1) / 2, f.py(bars.high[s][g]), "stroke=\"currentColor\" stroke-width=\"1.2\"");
    }
  group_names(f, bars.groups);
  f.names(bars.series);
  return f.close();
}

Distribution distribution_of(std::string name, std::vector<double> v) {
  std::erase_if(v, [](double x) { return !std::isfinite(x); });
  rig::check(!v.empty(), "distribution of ", name, ": there are no values");
  std::sort(v.begin(), v.end());
  auto at = [&](double q) {
    double const k = q * double(v.size() - 1);
    std::size_t const i = std::size_t(k), j = std::min(i + 1, v.size() - 1);
    return v[i] + (k - double(i)) * (v[j] - v[i]);
  };
  return {std::move(name), at(0.05), at(0.25), at(0.5), at(0.75), at(0.95)};
}

std::string distribution_chart(std::vector<Distribution> const& groups, ChartOptions const& options) {
  Frame f{options, {}, {}, {}};
  std::vector<std::string> names;
  for (auto const& g : groups) f.y.include(g.p5), f.y.include(g.p95), names.push_back(g.name);
  f.y.settle();
  f.x = {0, double(std::max<std::size_t>(1, groups.size()))};
  f.open(), f.y_ticks();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    Distribution const& g = groups[i];
    double const middle = f.px(double(i) + 0.5), x0 = f.px(double(i) + 0.2), x1 = f.px(double(i) + 0.8);
    f.stroke(middle, f.py(g.p5), middle, f.py(g.p95), "stroke=\"currentColor\" stroke-opacity=\"0.6\"");
    f.svg += "<rect x=\"" + coordinate(x0) + "\" y=\"" + coordinate(f.py(g.p75)) + "\" width=\"" + coordinate(x1 - x0) + "\" height=\"" +
             coordinate(std::max(0.5, f.py(g.p25) - f.py(g.p75))) + "\" fill=\"" + colour(0) + "\" fill-opacity=\"0.7\"><title>" +
             escaped(g.name) + ": median " + number(g.median) + "</title></rect>\n";
    f.stroke(x0, f.py(g.median), x1, f.py(g.median), "stroke=\"currentColor\" stroke-width=\"1.6\"");
  }
  group_names(f, names);
  return f.close();
}

}  // namespace program
