// Pictures seen through an affine map of their own each, without aliasing: Karras et al., "Training Generative Adversarial
// Networks with Limited Data", NeurIPS 2020, appendix B.1. The picture goes on as its own mirror image, is made twice as large
// with an orthogonal wavelet's filter, read between its samples at the mapped places, and made small again with the same filter.
// All of it is linear in the pictures; the transpose is written beside it, so that any order of derivative is there. No
// gradient reaches the maps.
// The filter is not symmetric: what it makes lies where its centre says, and maps are applied there. Left out of account, a half
// turn would move a picture by 0.4 pixels.
#pragma once
#include <atomic>

#include "rig/ops/filtered_lrelu.hpp"
#include "rig/ops/gather.hpp"

namespace rig::inline RIG_ABI {

namespace detail {

/// Daubechies' least asymmetric filter with six vanishing moments ("sym6"): sum h = sqrt 2, sum_k h[k] h[k + 2m] = [m = 0] and
/// sum_k (-1)^k k^j h[k] = 0 for j < 6, solved to 40 digits.
inline constexpr int wavelet_taps = 12;
inline constexpr double wavelet[wavelet_taps] = {0.015404109327044824, 0.0034907120842221626, -0.11799011114852002,  -0.04831174258569806,
                                                 0.49105594192797375,  0.787641141028651,     0.3379294217281658,    -0.07263752278637658,
                                                 -0.02106029251237085, 0.04472490177078139,   0.0017677118642540077, -0.00780070832503238};
/// sum_k k h[k] / sqrt 2. The taps' variance about it is zero.
inline constexpr double wavelet_centre = 5.0982608995463094;

/// After how many samples a line of n that goes on as its own mirror image, the ends not repeated, begins anew.
RIG_HD inline std::int64_t mirror_period(std::int64_t n) { return n > 1 ? 2 * (n - 1) : 1; }
RIG_HD inline std::int64_t remainder_of(std::int64_t a, std::int64_t b) {
  std::int64_t const r = a % b;
  return r < 0 ? r + b : r;
}
/// The sample that stands at place k of that line.
RIG_HD inline std::int64_t mirrored(std::int64_t k, std::int64_t n) {
  std::int64_t const m = remainder_of(k, mirror_period(n));
  return m < n ? m : mirror_period(n) - m;
}
/// f(k) for every place k of [begin, end) where sample r stands, in a fixed order.
template <class F> RIG_HD void for_each_mirrored(std::int64_t r, std::int64_t n, std::int64_t begin, std::int64_t end, F const& f) {
  std::int64_t const period = mirror_period(n);
  for (std::int64_t k = begin + remainder_of(r - begin, period); k < end; k += period) f(k);
  if (r > 0 && r < n - 1)
    for (std::int64_t k = begin + remainder_of(-r - begin, period); k < end; k += period) f(k);
}

/// One coordinate of a picture's map. Doubled pictures are counted in samples: the result has 2 extent + 10 of them, of which the
/// filter makes pixels; the picture has two a pixel, within a window of whole pixels.
template <class T> struct WarpAxis {
  T along_x, along_y, shift;    ///< place read by sample (x, y) of the doubled result, from the window's first sample on
  T back_u, back_v;             ///< the inverse: of sample (u, v) read, less the shifts
  std::int64_t low = 0, count;  ///< the window's pixels
  std::int64_t first, last;     ///< samples that are read; where they leave the window, it is a whole period and begins anew
  RIG_HD T at(T x, T y) const { return along_x * x + (along_y * y + shift); }
};
/// Of exact pictures (flips, quarter turns, whole pixels) the map tells the pixel that pixel (x, y) of the result is.
template <class T> struct PictureWarp {
  WarpAxis<T> x, y;
  bool exact;
  int place = -1;  ///< among those that are not exact
  RIG_HD std::int64_t source(std::int64_t i, std::int64_t j, std::int64_t h, std::int64_t w) const {
    return mirrored(std::int64_t(y.at(T(j), T(i))), h) * w + mirrored(std::int64_t(x.at(T(j), T(i))), w);
  }
};
/// The two samples beside a place, and the second one's part in it.
template <class T> struct Between {
  std::int64_t low, high;
  T part;
  RIG_HD Between(WarpAxis<T> const& a, T u) {
    T const f = std::floor(u);
    part = u - f, low = std::int64_t(f), high = low + 1;
    if (low < 0 || high >= 2 * a.count) low = remainder_of(low, 2 * a.count), high = remainder_of(high, 2 * a.count);
  }
};

/// What the maps of a batch of pictures of h by w ask for.
template <class T> struct WarpPlan {
  std::int64_t h, w;
  std::vector<PictureWarp<T>> pictures;
  std::vector<int> inexact;            ///< pictures, in order
  std::int64_t rows = 0, columns = 0;  ///< largest windows of these
  bool identity = true;
  Device device;
  Tensor<PictureWarp<T>> pictures_there;  ///< on a device that is not the CPU
  Tensor<int> inexact_there;

  WarpPlan(Tensor<T> const& maps, std::int64_t height, std::int64_t width, Device const& d) : h(height), w(width), device(d) {
    for (std::int64_t i = 0; i < maps.dim(0); ++i) {
      T const* m = maps.data() + 9 * i;
      pictures.push_back(plan(i, m));
      PictureWarp<T>& p = pictures.back();
      identity = identity && p.exact && m[0] == 1 && m[4] == 1 && m[2] == 0 && m[5] == 0;
      if (p.exact) continue;
      p.place = int(inexact.size());
      inexact.push_back(int(i));
      rows = std::max(rows, p.y.count), columns = std::max(columns, p.x.count);
    }
    if (device.is_cpu() || identity) return;
    pictures_there = Tensor<PictureWarp<T>>({std::int64_t(pictures.size())}, pictures, device);
    inexact_there = Tensor<int>({std::int64_t(inexact.size())}, inexact, device);
  }
  void check_pictures(char const* op, Tensor<T> const& x) const {
    check(x.rank() == 4 && x.dim(0) == std::int64_t(pictures.size()) && x.dim(1) == h && x.dim(2) == w, op, ": pictures must be [",
          pictures.size(), ", ", h, ", ", w, ", c], got ", x.shape());
    check(x.device() == device, op, ": the maps are on ", device, ", the pictures on ", x.device());
  }

 private:
  PictureWarp<T> plan(std::int64_t index, T const* m) const {
    double const a = m[0], b = m[1], c = m[3], d = m[4], det = a * d - b * c, largest = 1024 * double(std::max(h, w));
    auto within = [](double v, double limit) { return std::abs(v) <= limit; };
    check(within(a, 128) && within(b, 128) && within(c, 128) && within(d, 128) && std::abs(det) >= 1e-5 && within(m[2], largest) &&
              within(m[5], largest) && m[6] == 0 && m[7] == 0 && m[8] == 1,
          "warp2d: map ", index, " must be [a b c; d e f; 0 0 1], invertible, a b d e at most 128 and c f at most ", largest, ", got [",
          m[0], " ", m[1], " ", m[2], "; ", m[3], " ", m[4], " ", m[5], "; ", m[6], " ", m[7], " ", m[8], "]");
    double const half_w = 0.5 * double(w - 1), half_h = 0.5 * double(h - 1);
    PictureWarp<T> p;
    auto whole = [](double v) { return v == std::floor(v); };
    double const column = m[2] + half_w - a * half_w - b * half_h, row = m[5] + half_h - c * half_w - d * half_h;
    bool const turned = a == 0 && d == 0 && std::abs(b) == 1 && std::abs(c) == 1,
               straight = b == 0 && c == 0 && std::abs(a) == 1 && std::abs(d) == 1;
    p.exact = (turned || straight) && whole(column) && whole(row);
    if (p.exact) {
      p.x = {T(a), T(b), T(column), 0, 0, 0, 0, 0, 0}, p.y = {T(c), T(d), T(row), 0, 0, 0, 0, 0, 0};
      return p;
    }
    // Sample v of the doubled result lies at pixel (v - centre) / 2, sample u of the doubled picture at (u + 5 - centre) / 2.
    double const to_w = half_w + wavelet_centre / 2, to_h = half_h + wavelet_centre / 2;
    auto axis = [&](double ax, double ay, double t, double half, std::int64_t extent) {
      double const shift = 2 * (t + half - ax * to_w - ay * to_h) - 5 + wavelet_centre;
      double const over_x = ax * double(2 * w + 9), over_y = ay * double(2 * h + 9), slack = 1.0 / 64;
      double const least = shift + std::min(over_x, 0.0) + std::min(over_y, 0.0),
                   most = shift + std::max(over_x, 0.0) + std::max(over_y, 0.0);
      std::int64_t const first = std::int64_t(std::floor(least - slack)), last = std::int64_t(std::floor(most + slack)) + 1;
      std::int64_t low = floor_half(first), count = floor_half(last) - low + 1;
      if (count >= mirror_period(extent)) low = 0, count = mirror_period(extent);
      return WarpAxis<T>{T(ax), T(ay), T(shift - double(2 * low)), 0, 0, low, count, first - 2 * low, last - 2 * low};
    };
    p.x = axis(a, b, m[2], half_w, w), p.y = axis(c, d, m[5], half_h, h);
    p.x.back_u = T(d / det), p.x.back_v = T(-b / det), p.y.back_u = T(-c / det), p.y.back_v = T(a / det);
    return p;
  }
};

// ---- on the CPU: a picture after the other, so that what lies between its steps stays in cache ---------------------------
// Four channels lie together. Rows of doubled pictures hold their even samples, then their odd ones: every filter is then a
// sum of weighted rows of numbers that follow one another.

template <class T> class WarpWorker {
 public:
  WarpWorker(WarpPlan<T> const& plan, std::int64_t channels) : plan_(plan), h_(plan.h), w_(plan.w), c_(channels) {
    for (std::int64_t q = 0; q < half_taps; ++q)
      for (std::int64_t f = 0; f < 2; ++f) up_[f][q] = T(std::sqrt(2.0) * wavelet[wavelet_taps - 1 - f - 2 * q]);
    for (std::int64_t t = 0; t < wavelet_taps; ++t) down_[t] = T(std::sqrt(0.5) * wavelet[t]);
  }
  /// Picture n of the result.
  void forward(std::int64_t n, T const* x, T* y) {
    x += n * h_ * w_ * c_, y += n * h_ * w_ * c_;
    PictureWarp<T> const& p = plan_.pictures[std::size_t(n)];
    if (p.exact) {
      for (std::int64_t i = 0; i < h_; ++i)
        for (std::int64_t j = 0; j < w_; ++j, y += c_) copy_pixel(y, x + p.source(i, j, h_, w_) * c_, c_);
      return;
    }
    prepare(p);
    for (std::int64_t begin = 0; begin < c_; begin += lanes) {
      std::int64_t const few = std::min(lanes, c_ - begin);
      enlarge(x + begin, few);
      for (std::int64_t v = 0; v < 2 * h_ + 10; ++v) {
        read_row(p, v, small_.data() + v % wavelet_taps * small_row_);
        if (v % 2 == 1 && v >= wavelet_taps - 1) reduce((v - wavelet_taps + 1) / 2, y + begin, few);
      }
    }
  }
  /// Its transpose: picture n of the gradient, all of it.
  void transposed(std::int64_t n, T const* gy, T* gx) {
    gx += n * h_ * w_ * c_, gy += n * h_ * w_ * c_;
    std::fill(gx, gx + h_ * w_ * c_, T(0));
    PictureWarp<T> const& p = plan_.pictures[std::size_t(n)];
    if (p.exact) {
      for (std::int64_t i = 0; i < h_; ++i)
        for (std::int64_t j = 0; j < w_; ++j, gy += c_) add_pixel(gx + p.source(i, j, h_, w_) * c_, gy, c_);
      return;
    }
    prepare(p);
    for (std::int64_t begin = 0; begin < c_; begin += lanes) {
      std::int64_t const few = std::min(lanes, c_ - begin);
      reduce_transposed(gy + begin, few);
      std::fill(doubled_.begin(), doubled_.end(), T(0));
      for (std::int64_t v = 0; v < 2 * h_ + 10; ++v) {
        for (std::int64_t q = 0; q < half_taps; ++q) sum_[q] = {row_or_zero(small_, small_row_, v / 2 - q, h_), down_[2 * q + v % 2]};
        add_up_to_twelve<false>(part_.data(), small_row_, sum_, half_taps);
        read_row_transposed(p, v, part_.data());
      }
      enlarge_transposed(gx + begin, few);
    }
  }

 private:
  static constexpr std::int64_t lanes = 4, half_taps = wavelet_taps / 2;

  WarpPlan<T> const& plan_;
  std::int64_t h_, w_, c_;
  T up_[2][half_taps], down_[wavelet_taps];
  std::int64_t half_ = 0, wide_row_ = 0, small_half_ = 0, small_row_ = 0;  // numbers in a row: of the doubled window and the doubled result
  std::vector<std::int64_t> rows_, columns_;                               // that stand in the window and beside it
  LineVector<T> line_, wide_, doubled_, small_, part_, zero_;
  WeightedRow<T> sum_[wavelet_taps] = {};

  static void copy_pixel(T* __restrict to, T const* from, std::int64_t n) {
    for (std::int64_t e = 0; e < n; ++e) to[e] = from[e];
  }
  static void add_pixel(T* __restrict to, T const* from, std::int64_t n) {
    for (std::int64_t e = 0; e < n; ++e) to[e] += from[e];
  }
  T const* row_or_zero(LineVector<T> const& all, std::int64_t size, std::int64_t r, std::int64_t count) const {
    return r >= 0 && r < count ? all.data() + r * size : zero_.data();
  }
  void prepare(PictureWarp<T> const& p) {
    auto stand = [](std::vector<std::int64_t>& all, WarpAxis<T> const& a, std::int64_t extent) {
      all.resize(std::size_t(a.count + half_taps));
      for (std::size_t k = 0; k < all.size(); ++k) all[k] = mirrored(a.low - 3 + std::int64_t(k), extent);
    };
    stand(rows_, p.y, h_), stand(columns_, p.x, w_);
    half_ = p.x.count * lanes, wide_row_ = 2 * half_, small_half_ = (w_ + 5) * lanes, small_row_ = 2 * small_half_;
    line_.resize(std::size_t(2 * std::max(half_, small_half_) + 4 * wavelet_taps * lanes));
    part_.resize(line_.size());
    wide_.resize(std::size_t(h_ * wide_row_));
    doubled_.resize(std::size_t(2 * p.y.count * wide_row_));
    small_.resize(std::size_t(std::max<std::int64_t>(h_, wavelet_taps) * small_row_));
    zero_.assign(std::size_t(std::max(wide_row_, small_row_)), T(0));
  }
  /// The doubled window of a picture.
  void enlarge(T const* x, std::int64_t few) {
    for (std::int64_t r = 0; r < h_; ++r, x += w_ * c_) {
      for (std::size_t k = 0; k < columns_.size(); ++k) copy_pixel(line_.data() + std::int64_t(k) * lanes, x + columns_[k] * c_, few);
      for (std::int64_t f = 0; f < 2; ++f) {
        for (std::int64_t q = 0; q < half_taps; ++q) sum_[q] = {line_.data() + (f + q) * lanes, up_[f][q]};
        add_up_to_twelve<false>(wide_.data() + r * wide_row_ + f * half_, half_, sum_, half_taps);
      }
    }
    for (std::int64_t u = 0; u < std::int64_t(doubled_.size()) / wide_row_; ++u) {
      for (std::int64_t q = 0; q < half_taps; ++q)
        sum_[q] = {wide_.data() + rows_[std::size_t(u / 2 + u % 2 + q)] * wide_row_, up_[u % 2][q]};
      add_up_to_twelve<false>(doubled_.data() + u * wide_row_, wide_row_, sum_, half_taps);
    }
  }
  void enlarge_transposed(T* gx, std::int64_t few) {
    std::int64_t const height = std::int64_t(doubled_.size()) / wide_row_ / 2, width = half_ / lanes, edge = half_taps;
    std::fill(wide_.begin(), wide_.end(), T(0));
    for (std::int64_t k = 0; k < height + half_taps; ++k) {
      for (std::int64_t f = 0; f < 2; ++f)
        for (std::int64_t q = 0; q < half_taps; ++q)
          sum_[f * half_taps + q] = {row_or_zero(doubled_, 2 * wide_row_, k - f - q, height), up_[f][q]};
      for (std::int64_t q = 0; q < half_taps; ++q)
        if (sum_[half_taps + q].from != zero_.data()) sum_[half_taps + q].from += wide_row_;
      add_up_to_twelve<true>(wide_.data() + rows_[std::size_t(k)] * wide_row_, wide_row_, sum_, wavelet_taps);
    }
    std::int64_t const padded = half_ + 2 * edge * lanes;  // a phase between zeros
    std::fill(line_.begin(), line_.end(), T(0));
    for (std::int64_t r = 0; r < h_; ++r, gx += w_ * c_) {
      for (std::int64_t f = 0; f < 2; ++f) {
        T const* phase = wide_.data() + r * wide_row_ + f * half_;
        std::copy(phase, phase + half_, line_.data() + f * padded + edge * lanes);
        for (std::int64_t q = 0; q < half_taps; ++q)
          sum_[f * half_taps + q] = {line_.data() + f * padded + (edge - f - q) * lanes, up_[f][q]};
      }
      add_up_to_twelve<false>(part_.data(), (width + half_taps) * lanes, sum_, wavelet_taps);
      for (std::size_t k = 0; k < columns_.size(); ++k) add_pixel(gx + columns_[k] * c_, part_.data() + std::int64_t(k) * lanes, few);
    }
  }
  T* sample(std::int64_t row, std::int64_t column) { return doubled_.data() + row * wide_row_ + column % 2 * half_ + column / 2 * lanes; }
  template <class F> void for_each_sample(PictureWarp<T> const& p, std::int64_t v, T* row, F const& f) {
    for (std::int64_t phase = 0; phase < 2; ++phase)
      for (std::int64_t k = 0; k < w_ + 5; ++k, row += lanes) {
        T const at = T(2 * k + phase);
        Between<T> const a(p.x, p.x.at(at, T(v))), b(p.y, p.y.at(at, T(v)));
        T const right = a.part, below = b.part, left = 1 - right, above = 1 - below;
        f(row, sample(b.low, a.low), above * left, sample(b.low, a.high), above * right, sample(b.high, a.low), below * left,
          sample(b.high, a.high), below * right);
      }
  }
  /// Row v of the doubled result, read between the samples of the window.
  void read_row(PictureWarp<T> const& p, std::int64_t v, T* row) {
    for_each_sample(p, v, row, [](T* __restrict to, T const* a, T wa, T const* b, T wb, T const* c, T wc, T const* d, T wd) {
      for (std::int64_t e = 0; e < lanes; ++e) to[e] = wa * a[e] + wb * b[e] + (wc * c[e] + wd * d[e]);
    });
  }
  void read_row_transposed(PictureWarp<T> const& p, std::int64_t v, T* row) {
    for_each_sample(p, v, row, [](T const* g, T* a, T wa, T* b, T wb, T* c, T wc, T* d, T wd) {
      auto add = [g](T* __restrict to, T weight) {
        for (std::int64_t e = 0; e < lanes; ++e) to[e] += weight * g[e];
      };
      add(a, wa), add(b, wb), add(c, wc), add(d, wd);  // one after the other: some may be the same
    });
  }
  /// Row i of the result from the twelve rows of the doubled one that are kept.
  void reduce(std::int64_t i, T* y, std::int64_t few) {
    for (std::int64_t t = 0; t < wavelet_taps; ++t) sum_[t] = {small_.data() + (2 * i + t) % wavelet_taps * small_row_, down_[t]};
    add_up_to_twelve<false>(part_.data(), small_row_, sum_, wavelet_taps);
    for (std::int64_t t = 0; t < wavelet_taps; ++t) sum_[t] = {part_.data() + t % 2 * small_half_ + t / 2 * lanes, down_[t]};
    add_up_to_twelve<false>(line_.data(), w_ * lanes, sum_, wavelet_taps);
    y += i * w_ * c_;
    for (std::int64_t j = 0; j < w_; ++j) copy_pixel(y + j * c_, line_.data() + j * lanes, few);
  }
  /// Along x; along y each row of the doubled result is made when it is wanted.
  void reduce_transposed(T const* gy, std::int64_t few) {
    std::int64_t const edge = half_taps - 1;
    std::fill(line_.begin(), line_.end(), T(0));
    for (std::int64_t i = 0; i < h_; ++i, gy += w_ * c_) {
      for (std::int64_t j = 0; j < w_; ++j) copy_pixel(line_.data() + (edge + j) * lanes, gy + j * c_, few);
      for (std::int64_t f = 0; f < 2; ++f) {
        for (std::int64_t q = 0; q < half_taps; ++q) sum_[q] = {line_.data() + (edge - q) * lanes, down_[2 * q + f]};
        add_up_to_twelve<false>(small_.data() + i * small_row_ + f * small_half_, small_half_, sum_, half_taps);
      }
    }
  }
};

/// Takes a picture, and another when it is done.
template <class T, bool Transposed> struct WarpPicturesKernel {
  WarpPlan<T> const& plan;
  T const* x;
  T* y;
  std::int64_t c;
  std::atomic<std::int64_t>* next;
  void operator()(std::int64_t) const {
    WarpWorker<T> worker(plan, c);
    for (std::int64_t n = (*next)++; n < std::int64_t(plan.pictures.size()); n = (*next)++)
      if constexpr (Transposed)
        worker.transposed(n, x, y);
      else
        worker.forward(n, x, y);
  }
};
template <bool Transposed, class T> Tensor<T> warp_on_cpu(WarpPlan<T> const& plan, Tensor<T> const& x) {
  Tensor<T> y = like(x);
  std::atomic<std::int64_t> next{0};
  for_each_on_cpu(std::min<std::int64_t>(x.dim(0), threads()),
                  WarpPicturesKernel<T, Transposed>{plan, x.data(), y.mutate(), x.dim(3), &next});
  return y;
}

// ---- on a device: the same steps, each for all pictures that are not exact; kernels for the new ones, upfirdn2d between ------

/// What the kernels below share: [m, rows, columns, c] are windows with 3 pixels more on every side, m of the pictures.
template <class T> struct WarpViews {
  PictureWarp<T> const* pictures;
  int const* inexact;
  std::int64_t h, w, c, rows, columns;
};
template <class T> struct MirrorKernel {
  WarpViews<T> v;
  T* windows;
  T const* x;
  RIG_HD void operator()(std::int64_t pixel, std::int64_t channel) const {
    std::int64_t const k = quotient(pixel, v.columns), b = pixel - k * v.columns, m = quotient(k, v.rows), a = k - m * v.rows;
    std::int64_t const n = v.inexact[m], i = mirrored(v.pictures[n].y.low - 3 + a, v.h), j = mirrored(v.pictures[n].x.low - 3 + b, v.w);
    windows[pixel * v.c + channel] = x[((n * v.h + i) * v.w + j) * v.c + channel];
  }
};
/// The transpose, and that of the exact pictures.
template <class T> struct UnmirrorKernel {
  WarpViews<T> v;
  T* gx;
  T const *windows, *gy;
  RIG_HD void operator()(std::int64_t pixel, std::int64_t channel) const {
    std::int64_t const k = quotient(pixel, v.w), j = pixel - k * v.w, n = quotient(k, v.h), i = k - n * v.h;
    PictureWarp<T> const& p = v.pictures[n];
    T sum = 0;
    if (p.exact) {
      // A row of the picture is a row or a column of the result, read forwards or backwards.
      bool const turned = p.x.along_x == T(0);
      std::int64_t const right = turned ? v.h : v.w, down = turned ? v.w : v.h;
      std::int64_t const sx = std::int64_t(turned ? p.x.along_y : p.x.along_x), sy = std::int64_t(turned ? p.y.along_x : p.y.along_y);
      std::int64_t const x0 = std::int64_t(p.x.shift) - (sx < 0 ? right - 1 : 0), y0 = std::int64_t(p.y.shift) - (sy < 0 ? down - 1 : 0);
      for_each_mirrored(i, v.h, y0, y0 + down, [&](std::int64_t a) {
        for_each_mirrored(j, v.w, x0, x0 + right, [&](std::int64_t b) {
          std::int64_t const q = (a - std::int64_t(p.y.shift)) * sy, r = (b - std::int64_t(p.x.shift)) * sx;
          sum += gy[((n * v.h + (turned ? r : q)) * v.w + (turned ? q : r)) * v.c + channel];
        });
      });
    } else {
      for_each_mirrored(i, v.h, p.y.low - 3, p.y.low - 3 + v.rows, [&](std::int64_t a) {
        for_each_mirrored(j, v.w, p.x.low - 3, p.x.low - 3 + v.columns, [&](std::int64_t b) {
          sum += windows[((p.place * v.rows + a - p.y.low + 3) * v.columns + b - p.x.low + 3) * v.c + channel];
        });
      });
    }
    gx[pixel * v.c + channel] = sum;
  }
};
/// The doubled result [m, 2 h + 10, 2 w + 10, c] from doubled windows [m, 2 rows, 2 columns, c].
template <class T> struct ReadKernel {
  WarpViews<T> v;
  T* y;
  T const* doubled;
  RIG_HD void operator()(std::int64_t sample, std::int64_t channel) const {
    std::int64_t const width = 2 * v.w + 10, height = 2 * v.h + 10, k = quotient(sample, width), x = sample - k * width;
    std::int64_t const m = quotient(k, height), row = k - m * height;
    PictureWarp<T> const& p = v.pictures[v.inexact[m]];
    Between<T> const a(p.x, p.x.at(T(x), T(row))), b(p.y, p.y.at(T(x), T(row)));
    auto at = [&](std::int64_t i, std::int64_t j) { return doubled[((m * 2 * v.rows + i) * 2 * v.columns + j) * v.c + channel]; };
    T const above = at(b.low, a.low) + a.part * (at(b.low, a.high) - at(b.low, a.low));
    T const below = at(b.high, a.low) + a.part * (at(b.high, a.high) - at(b.high, a.low));
    y[sample * v.c + channel] = above + b.part * (below - above);
  }
};
/// The transpose, gathered: every sample of a window looks where in the result it may have been read. No order of threads shows.
template <class T> struct UnreadKernel {
  WarpViews<T> v;
  T* doubled;
  T const* gy;
  RIG_HD void operator()(std::int64_t sample, std::int64_t channel) const {
    std::int64_t const width = 2 * v.columns, height = 2 * v.rows, k = quotient(sample, width), j = sample - k * width;
    std::int64_t const m = quotient(k, height), i = k - m * height;
    PictureWarp<T> const& p = v.pictures[v.inexact[m]];
    T sum = 0;
    bool const mine = i < 2 * p.y.count && j < 2 * p.x.count;  // and not of a larger window beside it
    // Places of the result are at most one sample from (u, t) in the window: within these distances.
    T const by_x = size(p.x.back_u) + size(p.x.back_v) + T(0.01), by_y = size(p.y.back_u) + size(p.y.back_v) + T(0.01);
    for (std::int64_t t = p.y.first + remainder_of(i - p.y.first, 2 * p.y.count); mine && t <= p.y.last; t += 2 * p.y.count)
      for (std::int64_t u = p.x.first + remainder_of(j - p.x.first, 2 * p.x.count); u <= p.x.last; u += 2 * p.x.count) {
        T const du = T(u) - p.x.shift, dt = T(t) - p.y.shift;
        T const x = p.x.back_u * du + p.x.back_v * dt, y = p.y.back_u * du + p.y.back_v * dt;
        std::int64_t const rows = 2 * v.h + 10, columns = 2 * v.w + 10;
        for (std::int64_t r = begin(y - by_y); r < end(y + by_y, rows); ++r)
          for (std::int64_t s = begin(x - by_x); s < end(x + by_x, columns); ++s) {
            T const a = 1 - size(p.x.at(T(s), T(r)) - T(u)), b = 1 - size(p.y.at(T(s), T(r)) - T(t));
            if (a > 0 && b > 0) sum += a * b * gy[((m * rows + r) * columns + s) * v.c + channel];
          }
      }
    doubled[sample * v.c + channel] = sum;
  }

 private:
  RIG_HD static T size(T a) { return a < 0 ? -a : a; }
  RIG_HD static std::int64_t begin(T low) { return low > 0 ? std::int64_t(std::ceil(low)) : 0; }
  RIG_HD static std::int64_t end(T high, std::int64_t most) {
    if (high < 0) return 0;
    return high < T(most - 1) ? std::int64_t(high) + 1 : most;
  }
};
/// All pictures, from those that were warped and the exact ones.
template <class T> struct JoinKernel {
  WarpViews<T> v;
  T* y;
  T const *warped, *x;
  RIG_HD void operator()(std::int64_t pixel, std::int64_t channel) const {
    std::int64_t const n = quotient(pixel, v.h * v.w), inside = pixel - n * v.h * v.w;
    PictureWarp<T> const& p = v.pictures[n];
    std::int64_t const i = quotient(inside, v.w), j = inside - i * v.w;
    T const* from = p.exact ? x + (n * v.h * v.w + p.source(i, j, v.h, v.w)) * v.c : warped + (p.place * v.h * v.w + inside) * v.c;
    y[pixel * v.c + channel] = from[channel];
  }
};

template <class T> struct WarpOnDevice {
  WarpPlan<T> const& plan;
  std::int64_t n, c, m;
  WarpViews<T> views;
  Tensor<T> filter;

  WarpOnDevice(WarpPlan<T> const& p, Tensor<T> const& x)
      : plan(p),
        n(x.dim(0)),
        c(x.dim(3)),
        m(std::int64_t(p.inexact.size())),
        views{p.pictures_there.data(), p.inexact_there.data(), p.h, p.w, c, p.rows + 6, p.columns + 6},
        filter({wavelet_taps}, x.device()) {
    FewNumbersKernel<T> k{filter.mutate(), {}};
    for (int t = 0; t < wavelet_taps; ++t) k.values[t] = T(wavelet[t] / std::sqrt(2.0));
    for_each(x.device(), wavelet_taps, k);
  }
  Tensor<T> forward(Tensor<T> const& x) const {
    Tensor<T> warped({m, plan.h, plan.w, c}, x.device()), y = like(x);
    if (m > 0) {
      Tensor<T> windows({m, views.rows, views.columns, c}, x.device()), read({m, 2 * plan.h + 10, 2 * plan.w + 10, c}, x.device());
      for_each(x.device(), m * views.rows * views.columns, c, MirrorKernel<T>{views, windows.mutate(), x.data()});
      Tensor<T> const doubled = up().forward(windows);
      WarpViews<T> inner = views;
      inner.rows = plan.rows, inner.columns = plan.columns;
      for_each(x.device(), read.size() / c, c, ReadKernel<T>{inner, read.mutate(), doubled.data()});
      warped = down().forward(read);
    }
    for_each(x.device(), n * plan.h * plan.w, c, JoinKernel<T>{views, y.mutate(), warped.data(), x.data()});
    return y;
  }
  Tensor<T> transposed(Tensor<T> const& gy) const {
    Tensor<T> windows({m, views.rows, views.columns, c}, gy.device()), gx = like(gy);
    if (m > 0) {
      Tensor<T> const mine = Gather<T>{plan.inexact_there, 0}.forward(gy);
      Shape const read{m, 2 * plan.h + 10, 2 * plan.w + 10, c}, large{m, 2 * plan.rows, 2 * plan.columns, c};
      Tensor<T> const g_read = transpose(down(), read, mine.shape()).forward(mine);
      Tensor<T> doubled(large, gy.device());
      WarpViews<T> inner = views;
      inner.rows = plan.rows, inner.columns = plan.columns;
      for_each(gy.device(), doubled.size() / c, c, UnreadKernel<T>{inner, doubled.mutate(), g_read.data()});
      windows = transpose(up(), windows.shape(), large).forward(doubled);
    }
    for_each(gy.device(), n * plan.h * plan.w, c, UnmirrorKernel<T>{views, gx.mutate(), windows.data(), gy.data()});
    return gx;
  }

 private:
  Upfirdn2d<T> up() const { return {filter, {.up = 2, .padding = {0, -1, 0, -1}, .gain = 4}}; }
  Upfirdn2d<T> down() const { return {filter, {.down = 2, .flip = true}}; }
  static Upfirdn2d<T> transpose(Upfirdn2d<T> const& f, Shape const& x, Shape const& y) {
    return {f.filter, adjoint(f.o, wavelet_taps, wavelet_taps, x, y)};
  }
};

}  // namespace detail

template <class T> struct Warp2dTransposed;

/// Linear in x; its transpose is the other one.
template <class T> struct Warp2d {
  using scalar = T;
  static constexpr char const* name = "warp2d";
  std::shared_ptr<detail::WarpPlan<T> const> plan;

  Tensor<T> forward(Tensor<T> const& x) const {
    plan->check_pictures(name, x);
    if (x.device().is_cpu()) return detail::warp_on_cpu<false>(*plan, x);
    return detail::WarpOnDevice<T>(*plan, x).forward(x);
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T>) const { return apply(Warp2dTransposed<T>{plan}, gy); }
};
template <class T> struct Warp2dTransposed {
  using scalar = T;
  static constexpr char const* name = "warp2d_transposed";
  std::shared_ptr<detail::WarpPlan<T> const> plan;

  Tensor<T> forward(Tensor<T> const& gy) const {
    plan->check_pictures(name, gy);
    if (gy.device().is_cpu()) return detail::warp_on_cpu<true>(*plan, gy);
    return detail::WarpOnDevice<T>(*plan, gy).transposed(gy);
  }
  Var<T> vjp(wrt<0>, Var<T> gx, Var<T>, Var<T>) const { return apply(Warp2d<T>{plan}, gx); }
};

/// Picture i of x [n, h, w, c] seen through map i of [n, 3, 3], which tells of a place of the result where in the picture it is:
/// affine (last row 0 0 1), in pixels from the picture's centre, x to the right, y down. Beyond its edges a picture goes on as
/// its own mirror image. Flips, quarter turns and moves by whole pixels are exact; x itself is returned if all maps are the identity.
/// The maps lie on the host; a GPU is given them without waiting. Linear in x; any order. The same bits for any number of
/// threads, and for a picture alone or among others on the CPU.
///   auto mirrored = warp2d(x, Tensor<float>({1, 3, 3}, {-1, 0, 0, 0, 1, 0, 0, 0, 1}));
template <class T> Var<T> warp2d(Var<T> const& x, Tensor<T> const& maps) {
  check(x.rank() == 4 && x.size() > 0, "warp2d: x must be [n, h, w, c], got ", x.shape());
  check(maps.shape() == Shape{x.dim(0), 3, 3}, "warp2d: maps must be [", x.dim(0), ", 3, 3], got ", maps.shape());
  check(maps.device().is_cpu(), "warp2d: maps must lie on the host, got ", maps.device());
  auto plan = std::make_shared<detail::WarpPlan<T> const>(maps, x.dim(1), x.dim(2), x.device());
  return plan->identity ? x : apply(Warp2d<T>{std::move(plan)}, x);
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(Warp2d)
RIG_OP(Warp2dTransposed)
#endif

}  // namespace rig::inline RIG_ABI
