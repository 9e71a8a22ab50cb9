// How good a rig is: the numbers of an evaluation, as JSON, CSV, tables and charts.
#include <algorithm>
#include <chrono>
#include <cmath>

#include "chart.hpp"
#include "rig/io/atomic_file.hpp"
#include "rigging.hpp"

namespace program {
using namespace rig;

namespace {
Json known(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }
Json json_of(stylerig::Interval const& i) { return {{"value", known(i.value)}, {"low", known(i.low)}, {"high", known(i.high)}}; }
Json json_of(stylerig::ControlScore const& s) {
  Json leakage = Json::object();
  for (auto const& [name, share] : s.leakage) leakage[name] = json_of(share);
  return {{"success", json_of(s.success)},
          {"mean_leakage", known(s.mean_leakage)},
          {"leakage", leakage},
          {"expression_difference", known(s.expression_difference)},
          {"pose_difference", known(s.pose_difference)},
          {"light_difference", known(s.light_difference)},
          {"identity", known(s.identity)}};
}
Json list_of(std::vector<double> const& values) {
  Json j = Json::array();
  for (double v : values) j.push_back(known(v));
  return j;
}

double milliseconds(std::function<void()> const& work) {
  auto const start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}
std::vector<double> timed(int times, std::function<void()> const& work) {
  work();
  std::vector<double> t;
  for (int i = 0; i < times; ++i) t.push_back(milliseconds(work));
  std::sort(t.begin(), t.end());
  return t;
}

/// The axes worth sweeping: angles, light, and the expressions that vary most over codes, as the judge sees them (`seen`).
/// Ranges are in the terms in which wishes are made: the judge's for a calibrated rig, else those of F (`p`).
std::vector<stylerig::Axis> sweep_axes(stylerig::Rig const& rig, Tensor<float> const& p, Tensor<float> const& seen,
                                       std::int64_t expressions) {
  auto const& layout = rig.layout();
  auto const judged = stylerig::parameter_statistics(seen);
  bool const calibrated = !rig.calibrations.empty();
  auto axes = stylerig::standard_axes(layout, calibrated ? judged : rig.statistics, calibrated ? seen : p, rig.bands, rig.controls(),
                                      layout.size());
  std::vector<float> const varies = judged.deviation.host();
  auto deviation = [&](stylerig::Axis const& a) { return double(varies[std::size_t(layout.entry(a.name))]); };
  std::vector<double> spread;
  for (auto const& a : axes)
    if (a.control == stylerig::Control::expression) spread.push_back(deviation(a));
  std::sort(spread.rbegin(), spread.rend());
  double const least =
      spread.empty() ? 0
                     : std::max(spread[std::size_t(std::min<std::int64_t>(expressions, std::int64_t(spread.size())) - 1)], 0.1 * spread[0]);
  std::erase_if(axes, [&](stylerig::Axis const& a) { return a.control == stylerig::Control::expression && deviation(a) < least; });
  return axes;
}

std::string percent(double v) { return std::isfinite(v) ? number(100 * v) + " %" : "-"; }
std::string shown(stylerig::Interval const& i) { return number(i.value) + " (" + number(i.low) + " to " + number(i.high) + ")"; }
}  // namespace

Json Evaluation::json() const {
  Json j{
      {"judge", judge}, {"controls", Json::object()}, {"sweeps", Json::object()}, {"speed_ms", Json::object()}, {"peak_bytes", peak_bytes}};
  for (auto const& e : edits)
    j["controls"][stylerig::to_string(e.judged.control)] = {{"judged", json_of(e.judged)},
                                                            {"by_F", json_of(e.by_reconstruction)},
                                                            {"reconstruction_change", known(e.reconstruction_change)},
                                                            {"round_trip", known(e.round_trip)},
                                                            {"plausible", known(e.plausible)},
                                                            {"row_change", list_of(e.row_change)},
                                                            {"row_variance", list_of(e.row_variance)}};
  for (std::size_t i = 0; i < sweeps.size(); ++i) {
    stylerig::SweepScore const& s = sweeps[i];
    j["sweeps"][s.axis] = {{"slope", known(s.slope)},           {"slope_of_network", known(network_slopes[i])},
                           {"r_squared", known(s.r_squared)},   {"usable", {known(s.usable_low), known(s.usable_high)}},
                           {"requested", list_of(s.requested)}, {"achieved", list_of(s.achieved)},
                           {"spread", list_of(s.spread)}};
  }
  for (auto const& [what, t] : speed)
    j["speed_ms"][what] = {{"median", t[t.size() / 2]}, {"p95", t[std::min(t.size() - 1, t.size() * 95 / 100)]}};
  return j;
}

Evaluation evaluate_rig(RiggedWorld const& w, NamedJudge const& judge, EvaluationOptions const& o, std::uint64_t seed,
                        Context const& context) {
  stylerig::Rig const& rig = w.rig;
  auto const& F = rig.reconstruction.F;
  Evaluation e;
  e.judge = judge.name;
  Tensor<float> const sources = fresh_codes(w.world, o.pairs, seed, purpose_sources),
                      targets = fresh_codes(w.world, o.pairs, seed, purpose_targets);
  Tensor<float> const spread = fresh_codes(w.world, std::max<std::int64_t>(4 * w.world.handle.w_dim, 1000), seed, purpose_spread);
  stylerig::RowEllipsoid const ellipsoid(spread);
  auto const metric = stylerig::ParameterMetric::of(rig.layout(), load_face_model(w.setup.model));
  std::vector<stylerig::Axis> const axes = o.sweep_codes > 0
                                               ? sweep_axes(rig, F.evaluate(spread).to(cpu()), judge.ask(spread).to(cpu()), o.expressions)
                                               : std::vector<stylerig::Axis>{};

  auto const show = context.progress("evaluate");
  std::int64_t const total = 3 + std::int64_t(axes.size());
  std::int64_t done = 0;
  for (stylerig::Control const c : stylerig::single_controls) {
    ++done;
    if (!contains(rig.controls(), c)) continue;
    if (train::stop_asked(context.stop)) return e;
    show(done, total, stylerig::to_string(c));
    e.edits.push_back(stylerig::evaluate_edits(rig.edit_function(c), sources, targets, c, F, judge.ask, metric, F.codes, &ellipsoid));
  }
  Tensor<float> const swept = axes.empty() ? Tensor<float>{} : sources.rows(0, std::min(o.sweep_codes, o.pairs));
  for (auto const& a : axes) {
    if (train::stop_asked(context.stop)) return e;
    show(++done, total, a.name);
    auto const sweep = [&](stylerig::Calibration const* c) {
      return stylerig::sweep_axis(rig.edit_function(a.control), rig.layout(), a, swept, F, judge.ask, o.sweep_steps, c);
    };
    stylerig::Calibration const* const calibration = rig.calibration(a.name);
    e.sweeps.push_back(sweep(calibration));
    e.network_slopes.push_back(calibration ? sweep(nullptr).slope : e.sweeps.back().slope);
  }
  if (!e.edits.empty()) {
    Tensor<float> const one = sources.rows(0, 1), p = rig.measure(one), wanted = rig.measure(targets.rows(0, 1));
    auto const edit = rig.edit_function(e.edits[0].judged.control);
    auto const mask = stylerig::mask_row(stylerig::control_mask(rig.layout(), e.edits[0].judged.control), one.device());
    e.speed.push_back({"F, one code", timed(30, [&] { rig.measure(one).device().wait(); })});
    e.speed.push_back({"N, one edit", timed(30, [&] { edit(one, p, wanted, mask).device().wait(); })});
    e.speed.push_back(
        {str("G, one picture of ", w.world.handle.resolution, " px"), timed(5, [&] { w.world.pictures(one).device().wait(); })});
  }
  e.peak_bytes = double(peak_memory());
  return e;
}

namespace {
std::string usable_range(stylerig::SweepScore const& s) {
  return s.usable_high > s.usable_low ? number(s.usable_low) + " to " + number(s.usable_high) : "nowhere";
}
}  // namespace

std::string summary(Evaluation const& e) {
  std::string text = "judged by " + e.judge + "\n";
  for (auto const& s : e.edits)
    text += stylerig::to_string(s.judged.control) + ": success " + number(s.judged.success.value) + ", leakage " +
            number(s.judged.mean_leakage) + ", reconstruction change " + number(s.reconstruction_change) + "\n";
  for (auto const& s : e.sweeps)
    text += s.axis + ": slope " + number(s.slope) + ", R2 " + number(s.r_squared) + ", usable " + usable_range(s) + "\n";
  return text;
}

void report_evaluation(Report& report, Evaluation const& e, stylerig::Rig const& rig) {
  report.paragraph(
      "Judged by " + e.judge +
      ". Success is the share of the wanted change that is reached; leakage is the change of what should have stayed, as a share of how "
      "much it differs between faces. In brackets: 95 % intervals over pairs.");
  std::vector<std::vector<std::string>> rows;
  for (auto const& s : e.edits)
    rows.push_back({stylerig::to_string(s.judged.control), shown(s.judged.success), number(s.judged.mean_leakage),
                    number(s.by_reconstruction.success.value), number(s.judged.identity), number(s.reconstruction_change),
                    number(s.round_trip), percent(s.plausible)});
  report.table(
      {"control", "success", "leakage", "success as F sees it", "identity kept", "reconstruction change", "round trip", "plausible codes"},
      rows);

  std::vector<std::vector<std::string>> leaks;
  std::vector<std::string> names;
  for (auto const& s : e.edits)
    for (auto const& [name, share] : s.judged.leakage) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  for (auto const& s : e.edits) {
    std::vector<std::string> row{stylerig::to_string(s.judged.control)};
    for (auto const& n : names) {
      auto const it = std::find_if(s.judged.leakage.begin(), s.judged.leakage.end(), [&](auto const& l) { return l.first == n; });
      row.push_back(it == s.judged.leakage.end() ? "-" : shown(it->second));
    }
    leaks.push_back(std::move(row));
  }
  std::vector<std::string> head{"edited"};
  head.insert(head.end(), names.begin(), names.end());
  report.table(head, leaks, "Leakage from the edited control to each kept component");

  if (!e.sweeps.empty()) {
    std::vector<std::vector<std::string>> table;
    std::vector<std::string> charts;
    for (std::size_t i = 0; i < e.sweeps.size(); ++i) {
      stylerig::SweepScore const& s = e.sweeps[i];
      table.push_back({s.axis, number(s.slope), number(e.network_slopes[i]), number(s.r_squared), usable_range(s)});
      charts.push_back(line_chart(
          {{"", s.requested, s.achieved}, {"", s.requested, s.achieved, true}},
          {.title = s.axis, .x_label = "requested", .y_label = "achieved", .diagonal = true, .square = true, .width = 360, .height = 300}));
    }
    report.table({"axis", "slope", "of the network alone", "R2", "usable range"}, table,
                 "Achieved against requested; a calibrated rig asks its network for what achieves the wish");
    report.charts(charts);
  }

  std::vector<Series> change;
  for (auto const& s : e.edits) {
    Series line{stylerig::to_string(s.judged.control), {}, s.row_change};
    for (std::size_t i = 0; i < s.row_change.size(); ++i) line.x.push_back(double(i));
    change.push_back(std::move(line));
  }
  std::vector<Distribution> spread;
  auto const& st = rig.statistics;
  for (char const* name : {"rotation", "expression"})
    if (auto const* c = rig.layout().find(name)) {
      std::vector<std::pair<double, std::int64_t>> order;
      for (std::int64_t i = c->offset; i < c->offset + c->size; ++i) order.push_back({-double(st.deviation.data()[i]), i});
      std::sort(order.begin(), order.end());
      for (std::size_t k = 0; k < std::min<std::size_t>(6, order.size()); ++k) {
        std::int64_t const i = order[k].second;
        spread.push_back({rig.layout().label(i), st.percentile(2, i), st.percentile(3, i), st.percentile(4, i), st.percentile(5, i),
                          st.percentile(6, i)});
      }
    }
  report.charts({line_chart(change, {.title = "Change of the code by row", .x_label = "row", .y_label = "mean |change|"}),
                 distribution_chart(spread, {.title = "Parameters over the corpus", .y_label = "5, 25, 50, 75, 95 %"})});

  std::vector<std::vector<std::string>> speed;
  for (auto const& [what, t] : e.speed)
    speed.push_back({what, number(t[t.size() / 2]) + " ms", number(t[std::min(t.size() - 1, t.size() * 95 / 100)]) + " ms"});
  speed.push_back({"peak memory", number(e.peak_bytes / 1e6) + " MB", ""});
  report.table({"cost", "median", "95 %"}, speed);
}

void write_tables(std::string const& folder, Evaluation const& e, stylerig::Rig const& rig) {
  std::string sweeps = "axis,requested,achieved,spread\n", rows = "control,row,mean,variance\n",
              spread = "entry,mean,deviation,p0.5,p1,p5,p25,p50,p75,p95,p99,p99.5\n";
  for (auto const& s : e.sweeps)
    for (std::size_t i = 0; i < s.requested.size(); ++i)
      sweeps += str(s.axis, ",", s.requested[i], ",", s.achieved[i], ",", s.spread[i], "\n");
  for (auto const& s : e.edits)
    for (std::size_t i = 0; i < s.row_change.size(); ++i)
      rows += str(stylerig::to_string(s.judged.control), ",", i, ",", s.row_change[i], ",", s.row_variance[i], "\n");
  auto const& st = rig.statistics;
  for (std::int64_t i = 0; i < rig.layout().size(); ++i) {
    spread += str(rig.layout().label(i), ",", st.mean.data()[i], ",", st.deviation.data()[i]);
    for (int k = 0; k < 9; ++k) spread += str(",", st.percentile(k, i));
    spread += "\n";
  }
  io::write_file(folder + "/requested_achieved.csv", sweeps);
  io::write_file(folder + "/latent_change.csv", rows);
  io::write_file(folder + "/parameters.csv", spread);
}

}  // namespace program
