// Resampling with FIR filters, channels last: insert zeros, pad, filter, decimate (upfirdn2d), its wrappers, and
// convolution with resampling. The adjoint of upfirdn2d is upfirdn2d with up and down exchanged and the filter turned,
// so everything here can be differentiated to any order. There is no gradient with respect to the filter.
// Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, and their StyleGAN2-ADA.
#pragma once
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "rig/ops/conv.hpp"
#include "rig/ops/cuda/upfirdn.hpp"

namespace rig::inline RIG_ABI {

/// A whole number for each axis, or one for both.
struct Factor {
  int x = 1, y = 1;
  constexpr Factor() = default;
  constexpr Factor(int both) : x(both), y(both) {}
  constexpr Factor(int along_x, int along_y) : x(along_x), y(along_y) {}
  friend bool operator==(Factor const&, Factor const&) = default;
};

struct UpfirdnOptions {
  Factor up = 1;         ///< zeros are inserted after each sample, up - 1 of them
  Factor down = 1;       ///< every down-th sample is kept, from the first
  Padding padding = {};  ///< counted in the up-sampled picture; negative crops
  bool flip = false;     ///< false: convolution with the filter; true: correlation
  double gain = 1;       ///< of the 2-D filter
};

struct FilterOptions {
  bool normalize = true;  ///< to a sum of 1
  bool flip = false;
  double gain = 1;
};

namespace detail {

/// How one axis is resampled: y[i] = sum over t of taps[t] up(x)[i down + t - pad].
struct Resampling {
  std::int64_t in, out, up, down, pad, taps;
};
/// The taps that meet samples at output i: tap first_tap + k up meets sample first_in + k, k < count.
struct TapSpan {
  std::int64_t first_tap, first_in, count;
  RIG_HD TapSpan(Resampling const& r, std::int64_t i) {
    std::int64_t const start = i * r.down - r.pad;  // place of tap 0 in the up-sampled grid
    first_in = start > 0 ? (start + r.up - 1) / r.up : 0;
    first_tap = first_in * r.up - start;
    std::int64_t const by_taps = first_tap < r.taps ? (r.taps - first_tap - 1) / r.up + 1 : 0, left = r.in - first_in;
    count = by_taps < left ? by_taps : left;
    if (count < 0) count = 0;
  }
};

template <class T> struct UpfirdnKernel {
  T const *x, *taps;  // taps [rows.taps, cols.taps], as correlation, with the gain
  T* y;
  std::int64_t c;
  Resampling rows, cols;
  RIG_HD void operator()(std::int64_t pixel, std::int64_t channel) const {
    std::int64_t const j = pixel % cols.out, i = pixel / cols.out % rows.out, n = pixel / (cols.out * rows.out);
    TapSpan const a(rows, i), b(cols, j);
    T sum = 0;
    for (std::int64_t k = 0; k < a.count; ++k)
      for (std::int64_t l = 0; l < b.count; ++l)
        sum += taps[(a.first_tap + k * rows.up) * cols.taps + b.first_tap + l * cols.up] *
               x[((n * rows.in + a.first_in + k) * cols.in + b.first_in + l) * c + channel];
    y[pixel * c + channel] = sum;
  }
};
/// The same sums in the same order, a row of pixels a call and 32 channels at a time in registers.
template <class T> struct UpfirdnRowKernel {
  UpfirdnKernel<T> p;
  TapSpan const* spans;  // one an output column
  static constexpr std::int64_t lanes = 32;

  void operator()(std::int64_t row) const {
    std::int64_t const i = row % p.rows.out, n = row / p.rows.out;
    TapSpan const a(p.rows, i);
    T const* x = p.x + (n * p.rows.in + a.first_in) * p.cols.in * p.c;
    T* y = p.y + row * p.cols.out * p.c;
    for (std::int64_t j = 0; j < p.cols.out; ++j, y += p.c) {
      std::int64_t c = 0;
      for (; c + lanes <= p.c; c += lanes) pixel<lanes>(x + c, y + c, a, spans[j], lanes);
      if (c < p.c) pixel<0>(x + c, y + c, a, spans[j], p.c - c);
    }
  }

 private:
  template <std::int64_t Fixed> void pixel(T const* x, T* y, TapSpan const& a, TapSpan const& b, std::int64_t some) const {
    std::int64_t const width = Fixed ? Fixed : some;
    T sum[lanes] = {};
    for (std::int64_t k = 0; k < a.count; ++k)
      for (std::int64_t l = 0; l < b.count; ++l) {
        T const tap = p.taps[(a.first_tap + k * p.rows.up) * p.cols.taps + b.first_tap + l * p.cols.up];
        T const* from = x + (k * p.cols.in + b.first_in + l) * p.c;
        for (std::int64_t e = 0; e < width; ++e) sum[e] += tap * from[e];
      }
    for (std::int64_t e = 0; e < width; ++e) y[e] = sum[e];
  }
};
/// y[e] = sum over k < count of taps[k tap_step] x[e + k step], e < n: the inner loop of every separable filter.
template <class T>
void weighted_sum(T* y, std::int64_t n, T const* x, std::int64_t step, T const* taps, std::int64_t tap_step, std::int64_t count) {
  auto tap = [&](std::int64_t k) { return k < count ? taps[k * tap_step] : T(0); };
  T const t0 = tap(0), t1 = tap(1), t2 = tap(2), t3 = tap(3);
  switch (count) {
    case 0: return void(std::fill(y, y + n, T(0)));
    case 1:
      for (std::int64_t e = 0; e < n; ++e) y[e] = t0 * x[e];
      return;
    case 2:
      for (std::int64_t e = 0; e < n; ++e) y[e] = t0 * x[e] + t1 * x[e + step];
      return;
    case 3:
      for (std::int64_t e = 0; e < n; ++e) y[e] = t0 * x[e] + t1 * x[e + step] + t2 * x[e + 2 * step];
      return;
    default:
      for (std::int64_t e = 0; e < n; ++e) y[e] = t0 * x[e] + t1 * x[e + step] + t2 * x[e + 2 * step] + t3 * x[e + 3 * step];
  }
  for (std::int64_t k = 4; k < count; ++k) {
    T const t = taps[k * tap_step], *from = x + k * step;
    for (std::int64_t e = 0; e < n; ++e) y[e] += t * from[e];
  }
}

/// What to do with a row of the result once it is complete and still in cache; this one leaves it.
struct LeaveRow {
  template <class T> void operator()(T*, std::int64_t /*row*/) const {}
};

/// A filter that is a column times a row, on the CPU, several rows of the result a call: first the rows of x that meet are
/// summed, then the columns of that sum. Along x it enlarges or reduces, not both.
template <class T, class After> struct SeparableRowsKernel {
  T const *x, *tap_rows, *tap_cols;
  T *y, *work;  // work [calls, work_size]: one row of x with zeros around it, and one of y
  std::int64_t c, all_rows, rows_a_call;
  Resampling rows, cols;
  After after;
  std::int64_t left = 0, width = 0, work_size = 0;  // zeros before the row of x, and all its columns

  void plan() {
    std::int64_t low = 0, high = cols.in;
    for (std::int64_t f = 0; f < cols.up && f < cols.out; ++f) {
      low = std::min(low, first_in(f));
      high = std::max(high, first_in(f) + (cols.out - 1 - f) / cols.up * cols.down + count(f));
    }
    left = -low, width = high - low, work_size = (width + cols.out) * c;
  }
  void operator()(std::int64_t call) const {
    T *row = work + call * work_size, *part = row + width * c;
    std::int64_t const line = cols.in * c;
    std::fill(row, row + left * c, T(0));
    std::fill(row + left * c + line, row + width * c, T(0));
    for (std::int64_t r = call * rows_a_call; r < std::min(all_rows, (call + 1) * rows_a_call); ++r) {
      TapSpan const a(rows, r % rows.out);
      T* to = y + r * cols.out * c;
      T const* first_row = a.count ? x + (r / rows.out * rows.in + a.first_in) * line : x;
      weighted_sum(row + left * c, line, first_row, line, tap_rows + a.first_tap, rows.up, a.count);
      for (std::int64_t f = 0; f < cols.up && f < cols.out; ++f) {
        T const *from = row + (left + first_in(f)) * c, *taps = tap_cols + first_tap(f);
        std::int64_t const many = (cols.out - 1 - f) / cols.up + 1;
        if (cols.down > 1) {
          for (std::int64_t j = 0; j < many; ++j) weighted_sum(to + j * c, c, from + j * cols.down * c, c, taps, cols.up, count(f));
        } else if (cols.up == 1) {
          weighted_sum(to, many * c, from, c, taps, cols.up, count(f));
        } else {
          weighted_sum(part, many * c, from, c, taps, cols.up, count(f));
          for (std::int64_t j = 0; j < many; ++j)
            for (std::int64_t e = 0; e < c; ++e) to[(f + j * cols.up) * c + e] = part[j * c + e];
        }
      }
      after(to, r);
    }
  }

 private:
  // Of outputs f, f + up, ...: the sample that the first one's first tap meets, that tap, and how many taps meet samples.
  std::int64_t first_in(std::int64_t f) const {
    std::int64_t const start = f * cols.down - cols.pad;
    return start >= 0 ? (start + cols.up - 1) / cols.up : -(-start / cols.up);
  }
  std::int64_t first_tap(std::int64_t f) const { return first_in(f) * cols.up - (f * cols.down - cols.pad); }
  std::int64_t count(std::int64_t f) const { return first_tap(f) < cols.taps ? (cols.taps - first_tap(f) - 1) / cols.up + 1 : 0; }
};

/// f [h, w], on the host, as a column times a row. False if it is not one up to rounding.
template <class T> bool separate(T const* f, std::int64_t h, std::int64_t w, std::vector<T>& column, std::vector<T>& row) {
  std::int64_t best = 0;
  for (std::int64_t i = 0; i < h * w; ++i)
    if (std::abs(f[i]) > std::abs(f[best])) best = i;
  if (f[best] == 0) return false;
  column.clear(), row.clear();
  for (std::int64_t a = 0; a < h; ++a) column.push_back(f[a * w + best % w]);
  for (std::int64_t b = 0; b < w; ++b) row.push_back(f[best / w * w + b] / f[best]);
  T const allowed = 4 * std::numeric_limits<T>::epsilon() * std::abs(f[best]);
  for (std::int64_t i = 0; i < h * w; ++i)
    if (std::abs(f[i] - column[std::size_t(i / w)] * row[std::size_t(i % w)]) > allowed) return false;
  return true;
}

template <class T, class After = LeaveRow>
Tensor<T> upfirdn_separable(Tensor<T> const& x, T const* tap_rows, T const* tap_cols, Resampling const& rows, Resampling const& cols,
                            After const& after = {}) {
  Tensor<T> y({x.dim(0), rows.out, cols.out, x.dim(3)}, x.device());
  std::int64_t const all = x.dim(0) * rows.out, a_call = std::max<std::int64_t>(1, all / 64), calls = (all + a_call - 1) / a_call;
  SeparableRowsKernel<T, After> k{x.data(), tap_rows, tap_cols, y.mutate(), nullptr, x.dim(3), all, a_call, rows, cols, after};
  k.plan();
  Tensor<T> work({calls, k.work_size}, x.device());
  k.work = work.mutate();
  for_each_on_cpu(calls, k);
  return y;
}

template <class T> struct PrepareTapsKernel {
  T const* f;
  T* taps;
  std::int64_t last;
  bool turn;
  T gain;
  RIG_HD void operator()(std::int64_t i) const { taps[i] = gain * f[turn ? last - i : i]; }
};

/// One pass with taps [a, b].
template <class T> Tensor<T> upfirdn_pass(Tensor<T> const& x, Tensor<T> const& taps, Resampling const& rows, Resampling const& cols) {
  std::int64_t const n = x.dim(0), c = x.dim(3);
  Tensor<T> y({n, rows.out, cols.out, c}, x.device());
  UpfirdnKernel<T> const plain{x.data(), taps.data(), y.mutate(), c, rows, cols};
  if (!y.device().is_cpu()) {
    for_each(y.device(), n * rows.out * cols.out, c, plain);
    return y;
  }
  std::vector<TapSpan> spans;
  spans.reserve(std::size_t(cols.out));
  for (std::int64_t j = 0; j < cols.out; ++j) spans.emplace_back(cols, j);
  for_each_on_cpu(n * rows.out, UpfirdnRowKernel<T>{plain, spans.data()});
  return y;
}

inline std::int64_t floor_half(std::int64_t v) { return v >= 0 ? v / 2 : -((1 - v) / 2); }

/// Height and width of a filter; 1 by 1 if there is none.
template <class T> std::int64_t filter_height(Tensor<T> const& f) { return f ? f.dim(0) : 1; }
template <class T> std::int64_t filter_width(Tensor<T> const& f) { return f ? f.dim(-1) : 1; }

/// The transpose of upfirdn2d with a filter of height by width, which made y of x.
inline UpfirdnOptions adjoint(UpfirdnOptions const& o, std::int64_t height, std::int64_t width, Shape const& x, Shape const& y) {
  auto after = [](std::int64_t in, std::int64_t out, int up, int down, int before) { return int(in * up - out * down + before - up + 1); };
  Padding const p(int(width) - 1 - o.padding.x0, after(x[2], y[2], o.up.x, o.down.x, o.padding.x0), int(height) - 1 - o.padding.y0,
                  after(x[1], y[1], o.up.y, o.down.y, o.padding.y0));
  return {o.down, o.up, p, !o.flip, o.gain};
}

}  // namespace detail

/// Linear in x. Its adjoint is another one.
template <class T> struct Upfirdn2d {
  using scalar = T;
  static constexpr char const* name = "upfirdn2d";
  Tensor<T> filter;
  UpfirdnOptions o;

  /// How the rows and columns of x are resampled.
  std::array<detail::Resampling, 2> axes(Tensor<T> const& x) const {
    check(x.rank() == 4, name, ": x must be [n, h, w, c], got ", x.shape());
    check(!filter || (filter.rank() >= 1 && filter.rank() <= 2 && filter.size() > 0), name, ": filter must be [h, w] or [taps], got ",
          filter.shape());
    check_device(name, "filter", filter, x.device());
    check(o.up.x > 0 && o.up.y > 0 && o.down.x > 0 && o.down.y > 0, name, ": factors must be positive, got up ", o.up.x, " ", o.up.y,
          " down ", o.down.x, " ", o.down.y);
    std::int64_t const fh = detail::filter_height(filter), fw = detail::filter_width(filter);
    detail::Resampling rows{x.dim(1), 0, o.up.y, o.down.y, o.padding.y0, fh}, cols{x.dim(2), 0, o.up.x, o.down.x, o.padding.x0, fw};
    std::int64_t const height = rows.in * rows.up + o.padding.y0 + o.padding.y1, width = cols.in * cols.up + o.padding.x0 + o.padding.x1;
    check(height >= fh && width >= fw, name, ": x ", x.shape(), " up-sampled and padded is ", height, " by ", width,
          ", smaller than the filter of ", fh, " by ", fw);
    rows.out = (height - fh) / rows.down + 1, cols.out = (width - fw) / cols.down + 1;
    return {rows, cols};
  }

  Tensor<T> forward(Tensor<T> const& x) const {
    auto const [rows, cols] = axes(x);
    std::int64_t const fh = rows.taps, fw = cols.taps;
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>) {
      Tensor<T> y;
      if (fits_gpu(x, rows, cols) && detail::cuda_upfirdn(x, on_gpu(), detail::on_gpu(rows), detail::on_gpu(cols), y)) return y;
    }
#endif
    if (!filter) return detail::upfirdn_pass(x, full<T>({1, 1}, T(o.gain), x.device()), rows, cols);
    bool const line = filter.rank() == 1;
    Tensor<T> taps = like(filter);
    for_each(taps.device(), taps.size(),
             detail::PrepareTapsKernel<T>{filter.data(), taps.mutate(), taps.size() - 1, !o.flip, T(line ? std::sqrt(o.gain) : o.gain)});
    if (x.device().is_cpu() && (o.up.x == 1 || o.down.x == 1)) {
      if (line) return detail::upfirdn_separable(x, taps.data(), taps.data(), rows, cols);
      std::vector<T> column, row;
      if (detail::separate(taps.data(), fh, fw, column, row)) return detail::upfirdn_separable(x, column.data(), row.data(), rows, cols);
    }
    if (!line) return detail::upfirdn_pass(x, taps, rows, cols);
    detail::Resampling const keep{rows.in, rows.in, 1, 1, 0, 1}, kept{cols.out, cols.out, 1, 1, 0, 1};
    return detail::upfirdn_pass(detail::upfirdn_pass(x, taps.reshape({1, fw}), keep, cols), taps.reshape({fh, 1}), rows, kept);
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> y, Var<T> x) const { return apply(adjoint(x.shape(), y.shape()), gy); }
  /// The transpose of the one that made y of x.
  Upfirdn2d adjoint(Shape const& x, Shape const& y) const {
    return {filter, detail::adjoint(o, detail::filter_height(filter), detail::filter_width(filter), x, y)};
  }
#if RIG_GPU
  /// What is made of x, finished on its way to memory; empty if no kernel does that.
  Tensor<T> finished(Tensor<T> const& x, detail::ConvFinish const& finish) const requires std::is_same_v<T, float> {
    auto const [rows, cols] = axes(x);
    Tensor<T> y;
    if (fits_gpu(x, rows, cols)) detail::cuda_filter_finished(x, on_gpu(), detail::on_gpu(rows), detail::on_gpu(cols), finish, y);
    return y;
  }
  static bool fits_gpu(Tensor<T> const& x, detail::Resampling const& rows, detail::Resampling const& cols) {
    return x.device().is_cuda() && detail::filter_fits_gpu(x.dim(0), x.dim(3), rows) && detail::filter_fits_gpu(x.dim(0), x.dim(3), cols);
  }
  /// The filter as kernels take it.
  detail::FilterOnGpu on_gpu() const requires std::is_same_v<T, float> {
    bool const line = !filter || filter.rank() == 1;
    return {filter.data(), int(line ? 1 : detail::filter_height(filter)), int(detail::filter_width(filter)), line,
            !o.flip,       float(line ? std::sqrt(o.gain) : o.gain)};
  }
#endif
};

/// Every channel of x [n, h, w, c] on its own: zeros inserted (up), padded or cropped, filtered, decimated (down).
/// filter [fh, fw], or [taps] applied along x and then y, or empty for none. Result per axis: (in up + p0 + p1 - taps) / down + 1,
/// rounded down. Linear; any order. The same bits for any number of threads.
template <class T> Var<T> upfirdn2d(Var<T> const& x, Tensor<T> const& filter, UpfirdnOptions const& options = {}) {
  return apply(Upfirdn2d<T>{filter, options}, x);
}

/// The picture filtered at the same size. `padding` is added to the one that keeps the size.
template <class T> Var<T> filter2d(Var<T> const& x, Tensor<T> const& filter, UpfirdnOptions o = {}) {
  check(o.up == Factor(1) && o.down == Factor(1), "filter2d: up and down must be 1");
  int const w = int(detail::filter_width(filter)), h = int(detail::filter_height(filter));
  o.padding = {o.padding.x0 + w / 2, o.padding.x1 + (w - 1) / 2, o.padding.y0 + h / 2, o.padding.y1 + (h - 1) / 2};
  return upfirdn2d(x, filter, o);
}
/// The picture `up` times as large. The gain is multiplied by up.x up.y, so that brightness stays.
template <class T> Var<T> upsample2d(Var<T> const& x, Tensor<T> const& filter, UpfirdnOptions o = {.up = 2}) {
  check(o.down == Factor(1), "upsample2d: down must be 1");
  auto lead = [](std::int64_t t, int up) { return int(detail::floor_half(t + up - 1)); };
  auto trail = [](std::int64_t t, int up) { return int(detail::floor_half(t - up)); };
  std::int64_t const w = detail::filter_width(filter), h = detail::filter_height(filter);
  o.padding = {o.padding.x0 + lead(w, o.up.x), o.padding.x1 + trail(w, o.up.x), o.padding.y0 + lead(h, o.up.y),
               o.padding.y1 + trail(h, o.up.y)};
  o.gain *= o.up.x * o.up.y;
  return upfirdn2d(x, filter, o);
}
/// The picture `down` times as small.
template <class T> Var<T> downsample2d(Var<T> const& x, Tensor<T> const& filter, UpfirdnOptions o = {.down = 2}) {
  check(o.up == Factor(1), "downsample2d: up must be 1");
  auto lead = [](std::int64_t t, int down) { return int(detail::floor_half(t - down + 1)); };
  auto trail = [](std::int64_t t, int down) { return int(detail::floor_half(t - down)); };
  std::int64_t const w = detail::filter_width(filter), h = detail::filter_height(filter);
  o.padding = {o.padding.x0 + lead(w, o.down.x), o.padding.x1 + trail(w, o.down.x), o.padding.y0 + lead(h, o.down.y),
               o.padding.y1 + trail(h, o.down.y)};
  return upfirdn2d(x, filter, o);
}

namespace detail {
/// A few numbers that reach a device with the kernel, without a copy.
template <class T> struct FewNumbersKernel {
  static constexpr std::size_t most = 256;
  T* y;
  T values[most];
  RIG_HD void operator()(std::int64_t i) const { y[i] = values[i]; }
};
}  // namespace detail

/// A filter ready for upfirdn2d. Eight taps or more stay a row, applied along each axis; fewer become their outer product.
template <class T> Tensor<T> setup_filter(std::vector<double> const& taps, FilterOptions const& o = {}, Device const& device = {}) {
  std::vector<double> f;
  for (double v : taps) f.push_back(double(float(v)));
  if (f.empty()) f = {1};
  std::int64_t const n = std::int64_t(f.size());
  bool const row = n >= 8;
  if (!row) {
    std::vector<double> const line = f;
    f.clear();
    for (double a : line)
      for (double b : line) f.push_back(a * b);
  }
  double sum = 0;
  for (double v : f) sum += v;
  check(!o.normalize || sum != 0, "setup_filter: the taps sum to zero and cannot be normalised");
  double const scale = (o.normalize ? 1 / sum : 1) * (row ? std::sqrt(o.gain) : o.gain);
  std::vector<T> values;
  for (double v : f) values.push_back(T(v * scale));
  if (o.flip) std::reverse(values.begin(), values.end());
  Shape const shape = row ? Shape{n} : Shape{n, n};
  if (device.is_cpu() || values.size() > detail::FewNumbersKernel<T>::most) return Tensor<T>(shape, values, device);
  Tensor<T> filter(shape, device);
  detail::FewNumbersKernel<T> k{filter.mutate(), {}};
  std::copy(values.begin(), values.end(), k.values);
  for_each(device, filter.size(), k);
  return filter;
}

struct ConvResampleOptions {
  int up = 1, down = 1;
  Padding padding = {};
  int groups = 1;
  bool flip_weight = true;   ///< true: correlation, as conv2d; false: convolution, the window mirrored
  bool flip_filter = false;  ///< as `flip` of upfirdn2d
};

namespace detail {

/// conv2d_resample, given how to convolve: direct(x, w, options), and transposed(y, w, shape of x, options, options of the filter) with
/// the filter on its result.
template <class T, class Direct, class Transposed>
Var<T> resample_around(Var<T> const& x, Var<T> const& w, Tensor<T> const& filter, ConvResampleOptions const& o, Direct const& direct,
                       Transposed const& transposed) {
  check(w.rank() == 4, "conv2d_resample: weight must be [o, kh, kw, c], got ", w.shape());
  check(x.rank() == 4, "conv2d_resample: x must be [n, h, w, c], got ", x.shape());
  check(o.up > 0 && o.down > 0, "conv2d_resample: up and down must be positive, got ", o.up, " and ", o.down);
  std::int64_t const kh = w.dim(1), kw = w.dim(2), fh = filter_height(filter), fw = filter_width(filter);
  Padding p = o.padding;
  auto widen = [&](std::int64_t x0, std::int64_t x1, std::int64_t y0, std::int64_t y1) {
    p = {p.x0 + int(x0), p.x1 + int(x1), p.y0 + int(y0), p.y1 + int(y1)};
  };
  if (o.up > 1) widen(floor_half(fw + o.up - 1), floor_half(fw - o.up), floor_half(fh + o.up - 1), floor_half(fh - o.up));
  if (o.down > 1) widen(floor_half(fw - o.down + 1), floor_half(fw - o.down), floor_half(fh - o.down + 1), floor_half(fh - o.down));
  auto convolve = [&](Var<T> const& v, int stride, Padding const& padding) {
    return direct(v, turn_weight(w, false, !o.flip_weight), Conv2dOptions{stride, padding, o.groups});
  };
  double const gain = double(o.up) * o.up;
  if (kh == 1 && kw == 1 && o.down > 1 && o.up == 1)
    return convolve(upfirdn2d(x, filter, {.down = o.down, .padding = p, .flip = o.flip_filter}), 1, 0);
  if (kh == 1 && kw == 1 && o.up > 1 && o.down == 1)
    return upfirdn2d(convolve(x, 1, 0), filter, {.up = o.up, .padding = p, .flip = o.flip_filter, .gain = gain});
  if (o.up == 1 && o.down > 1) return convolve(upfirdn2d(x, filter, {.padding = p, .flip = o.flip_filter}), o.down, 0);
  if (o.up == 1) return convolve(x, 1, p);
  widen(1 - kw, o.up - kw, 1 - kh, o.up - kh);
  int const crop_x = std::max(std::min(-p.x0, -p.x1), 0), crop_y = std::max(std::min(-p.y0, -p.y1), 0);
  Shape const large{x.dim(0), (x.dim(1) - 1) * o.up + kh - 2 * crop_y, (x.dim(2) - 1) * o.up + kw - 2 * crop_x, w.dim(0)};
  UpfirdnOptions const smooth{.padding = {p.x0 + crop_x, p.x1 + crop_x, p.y0 + crop_y, p.y1 + crop_y}, .flip = o.flip_filter, .gain = gain};
  Var<T> const y = transposed(x, turn_weight(w, true, o.flip_weight, o.groups), large,
                              Conv2dOptions{o.up, {crop_x, crop_x, crop_y, crop_y}, o.groups}, smooth);
  return o.down > 1 ? upfirdn2d(y, filter, {.down = o.down, .flip = o.flip_filter}) : y;
}

}  // namespace detail

/// Zeros inserted (up), filtered, convolved with w [o, kh, kw, c / groups], filtered and decimated (down), in the cheapest
/// order that gives the same: up-sampling is a transposed convolution and a filter on its result, down-sampling a filter
/// and a strided convolution. With padding k / 2 the result is [n, h up / down, w up / down, o]. Any order.
template <class T> Var<T> conv2d_resample(Var<T> const& x, Var<T> const& w, Tensor<T> const& filter, ConvResampleOptions const& o = {}) {
  return detail::resample_around(
      x, w, filter, o, [](Var<T> const& v, Var<T> const& turned, Conv2dOptions const& how) { return conv2d(v, turned, how); },
      [&](Var<T> const& v, Var<T> const& turned, Shape const& shape, Conv2dOptions const& how, UpfirdnOptions const& smooth) {
        return upfirdn2d(conv2d_input(v, turned, shape, how), filter, smooth);
      });
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(Upfirdn2d)
#endif

}  // namespace rig::inline RIG_ABI
