#pragma once
#include <algorithm>
#include <cmath>

#include "rig/stylerig/statistics.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE ParameterStatistics parameter_statistics(Tensor<float> const& p) {
  check(p.rank() == 2 && p.dim(0) > 1 && p.dim(1) > 0, "parameter_statistics: expected [n, f] with at least two rows, got ", p.shape());
  Tensor<float> const x = p.to(cpu());
  std::int64_t const n = x.dim(0), f = x.dim(1);
  ParameterStatistics s;
  s.count = n;
  std::vector<double> sum(std::size_t(f), 0);
  for (std::int64_t r = 0; r < n; ++r)
    for (std::int64_t i = 0; i < f; ++i) {
      check(std::isfinite(x.data()[r * f + i]), "parameter_statistics: entry ", i, " of row ", r, " is not finite");
      sum[std::size_t(i)] += x.data()[r * f + i];
    }
  for (auto& v : sum) v /= double(n);
  std::vector<double> cov(std::size_t(f * f), 0), d(static_cast<std::size_t>(f));
  for (std::int64_t r = 0; r < n; ++r) {
    for (std::int64_t i = 0; i < f; ++i) d[std::size_t(i)] = x.data()[r * f + i] - sum[std::size_t(i)];
    for (std::int64_t i = 0; i < f; ++i)
      for (std::int64_t j = 0; j <= i; ++j) cov[std::size_t(i * f + j)] += d[std::size_t(i)] * d[std::size_t(j)];
  }
  std::vector<float> mean, deviation, covariance(std::size_t(f * f)), percentiles(std::size_t(9 * f)),
      histogram(std::size_t(ParameterStatistics::bins * f), 0);
  for (std::int64_t i = 0; i < f; ++i)
    for (std::int64_t j = 0; j <= i; ++j)
      covariance[std::size_t(i * f + j)] = covariance[std::size_t(j * f + i)] = float(cov[std::size_t(i * f + j)] / double(n));
  std::vector<float> column(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < f; ++i) {
    mean.push_back(float(sum[std::size_t(i)]));
    deviation.push_back(float(std::sqrt(cov[std::size_t(i * f + i)] / double(n))));
    for (std::int64_t r = 0; r < n; ++r) column[std::size_t(r)] = x.data()[r * f + i];
    std::sort(column.begin(), column.end());
    for (int k = 0; k < 9; ++k) {
      double const at = ParameterStatistics::percents[k] / 100 * double(n - 1);
      auto const low = std::size_t(at);
      double const t = at - double(low);
      percentiles[std::size_t(k * f + i)] = float((1 - t) * column[low] + t * column[std::min(low + 1, std::size_t(n - 1))]);
    }
    float const from = percentiles[std::size_t(i)], to = percentiles[std::size_t(8 * f + i)];
    for (float v : column) {
      int const b = to > from ? int(float(ParameterStatistics::bins) * (v - from) / (to - from)) : 0;
      histogram[std::size_t(std::clamp(b, 0, ParameterStatistics::bins - 1) * f + i)] += 1.f / float(n);
    }
  }
  s.mean = Tensor<float>({f}, mean);
  s.deviation = Tensor<float>({f}, deviation);
  s.percentiles = Tensor<float>({9, f}, percentiles);
  s.histogram = Tensor<float>({ParameterStatistics::bins, f}, histogram);
  s.covariance = Tensor<float>({f, f}, covariance);
  return s;
}

RIG_INLINE float ParameterStatistics::density(std::int64_t i, float value) const {
  float const from = percentile(0, i), to = percentile(8, i);
  if (!(value >= from && value <= to)) return 0;
  int const b = to > from ? std::min(int(float(bins) * (value - from) / (to - from)), bins - 1) : 0;
  return histogram.data()[b * mean.dim(0) + i];
}

RIG_INLINE double ParameterStatistics::effective_dimensions(ParameterLayout const& layout, char const* component) const {
  Component const& c = layout.at(component);
  double sum = 0, square = 0;
  for (std::int64_t i = c.offset; i < c.offset + c.size; ++i) {
    double const v = double(deviation.data()[i]) * double(deviation.data()[i]);
    sum += v, square += v * v;
  }
  return square > 0 ? sum * sum / square : 0;
}

}  // namespace rig::inline RIG_ABI::stylerig
