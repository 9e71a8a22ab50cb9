// Charts as SVG text: lines, bars, scatter, distributions. Colours are CSS variables of the page that holds them, so a
// chart follows light and dark; a chart alone in a file falls back to plain ones.
#pragma once
#include <string>
#include <vector>

namespace program {

struct Series {
  std::string name;
  std::vector<double> x, y;
  bool points = false;  ///< dots instead of a line
};

struct ChartOptions {
  std::string title = {}, x_label = {}, y_label = {};
  bool log_y = false;
  bool diagonal = false;  ///< the line y = x: where achieved equals requested
  bool square = false;    ///< both axes on one scale
  int width = 520, height = 300;
};

/// Curves and dots over common axes. Values that are not finite are left out.
std::string line_chart(std::vector<Series> const& series, ChartOptions const& options);

/// Groups of bars side by side: values[series][group].
struct Bars {
  std::vector<std::string> groups, series;
  std::vector<std::vector<double>> values;
  std::vector<std::vector<double>> low, high;  ///< ends of intervals, or empty
};
std::string bar_chart(Bars const& bars, ChartOptions const& options);

/// Median, quartiles and 5 and 95 percent of each group, drawn as boxes.
struct Distribution {
  std::string name;
  double p5, p25, median, p75, p95;
};
std::string distribution_chart(std::vector<Distribution> const& groups, ChartOptions const& options);
/// Of some values; an Error if there are none.
Distribution distribution_of(std::string name, std::vector<double> values);

/// "0.25", "1.2e-05": at most `digits` significant digits.
std::string number(double v, int digits = 3);
/// The text with <, >, & and quotes as entities.
std::string escaped(std::string const& text);

}  // namespace program
