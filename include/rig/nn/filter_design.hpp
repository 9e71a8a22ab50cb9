// Low-pass filters by the window method, as StyleGAN3 designs them: an ideal filter times a Kaiser window whose shape follows
// from the width of the transition band. One-dimensional for both axes, or radial (Karras et al. 2021, appendix C). In double.
#pragma once
#include <cmath>
#include <vector>

#include "rig/core/error.hpp"
#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::nn {

namespace detail {

inline constexpr double pi = 3.141592653589793238462643383279502884;

/// The mean of f over one turn, with so many equally spaced points that a smooth f of this frequency is integrated exactly.
template <class F> double mean_over_turn(double frequency, F&& f) {
  int const points = 64 + 4 * int(std::abs(frequency));
  double sum = 0;
  for (int k = 0; k < points; ++k) sum += f(2 * pi * k / points);
  return sum / points;
}

}  // namespace detail

/// Modified Bessel function of the first kind, order 0: the mean of exp(x cos t).
inline double bessel_i0(double x) {
  return detail::mean_over_turn(x, [x](double t) { return std::exp(x * std::cos(t)); });
}
/// Bessel function of the first kind, order 1: the mean of cos(t - x sin t).
inline double bessel_j1(double x) {
  return detail::mean_over_turn(x, [x](double t) { return std::cos(t - x * std::sin(t)); });
}

/// Kaiser's estimate of beta for n taps and a transition band of `width`, a fraction of half the sampling rate.
inline double kaiser_beta(std::int64_t n, double width) {
  double const attenuation = 2.285 * double(n - 1) * detail::pi * width + 7.95;
  if (attenuation > 50) return 0.1102 * (attenuation - 8.7);
  if (attenuation > 21) return 0.5842 * std::pow(attenuation - 21, 0.4) + 0.07886 * (attenuation - 21);
  return 0;
}
inline std::vector<double> kaiser_window(std::int64_t n, double beta) {
  std::vector<double> w;
  for (std::int64_t j = 0; j < n; ++j) {
    double const u = n > 1 ? 2.0 * double(j) / double(n - 1) - 1 : 0;
    w.push_back(bessel_i0(beta * std::sqrt(std::max(0.0, 1 - u * u))) / bessel_i0(beta));
  }
  return w;
}

struct LowpassOptions {
  std::int64_t taps = 1;
  double cutoff = 0;         ///< in the unit of the sampling rate
  double width = 0;          ///< of the transition band
  double sampling_rate = 1;  ///< of the picture that is filtered
  bool radial = false;       ///< the same in all directions: [taps, taps]; else [taps], for each axis
};

/// The filter, with sum 1; empty, which is no filter, for one tap.
template <class T> Tensor<T> design_lowpass(LowpassOptions const& o, Device const& device = {}) {
  check(o.taps >= 1 && o.cutoff > 0 && o.sampling_rate > 0, "design_lowpass: needs taps, a cutoff and a sampling rate, got ", o.taps, ", ",
        o.cutoff, ", ", o.sampling_rate);
  std::int64_t const n = o.taps;
  if (n == 1) return {};
  check(!o.radial || n % 2 == 0, "design_lowpass: a radial filter has an even number of taps, got ", n);
  std::vector<double> const window = kaiser_window(n, kaiser_beta(n, o.width / (o.sampling_rate / 2)));
  auto place = [n](std::int64_t j) { return double(j) - double(n - 1) / 2; };
  std::vector<double> h;
  if (o.radial) {
    for (std::int64_t a = 0; a < n; ++a)
      for (std::int64_t b = 0; b < n; ++b) {
        double const r = std::hypot(place(a), place(b)) / o.sampling_rate;
        h.push_back(bessel_j1(2 * o.cutoff * detail::pi * r) / (detail::pi * r) * window[std::size_t(a)] * window[std::size_t(b)]);
      }
  } else {
    double const c = o.cutoff / (o.sampling_rate / 2);
    for (std::int64_t j = 0; j < n; ++j) {
      double const u = detail::pi * c * place(j);
      h.push_back(c * (u == 0 ? 1 : std::sin(u) / u) * window[std::size_t(j)]);
    }
  }
  double sum = 0;
  for (double v : h) sum += v;
  std::vector<T> values;
  for (double v : h) values.push_back(T(v / sum));
  return Tensor<T>(o.radial ? Shape{n, n} : Shape{n}, values, device);
}

}  // namespace rig::inline RIG_ABI::nn
