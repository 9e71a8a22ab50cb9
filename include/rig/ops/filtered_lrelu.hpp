// StyleGAN3's non-linearity: bias, up-sampling, leaky relu with gain and clamp, down-sampling, so that the corners the relu
// makes stay below the frequency the result can hold (Karras et al., "Alias-Free Generative Adversarial Networks", 2021).
// The large picture in between is never kept: it exists a tile at a time, and the gradient makes it again to
// read one code an element off it (rising, falling, clamped). With the codes fixed everything is linear: any order.
#pragma once
#include <new>

#include "rig/ops/activation.hpp"
#include "rig/ops/cuda/filtered_lrelu.hpp"
#include "rig/ops/upfirdn.hpp"

namespace rig::inline RIG_ABI {

struct FilteredLreluOptions {
  int up = 1, down = 1;
  Padding padding = {};  ///< counted in the up-sampled picture; negative crops
  bool flip = false;     ///< of both filters; false: convolution, true: correlation
  double gain = 1.4142135623730951;
  double slope = 0.2;  ///< below zero; 1: nothing but gain and clamp
  double clamp = -1;   ///< largest magnitude after the gain; -1: none
};

namespace detail {

/// clamp(gain lrelu(u)) in place.
template <class T> struct LreluInPlace {
  T gain, slope, limit;
  RIG_HD T operator()(T u) const {
    T const v = gain * ((u > 0 ? T(1) : slope) * u);
    return v > limit ? limit : (v < -limit ? -limit : v);
  }
  /// Of one number: 0 clamped, 1 rising, 2 falling.
  RIG_HD signed char code(T u) const {
    T const v = gain * ((u > 0 ? T(1) : slope) * u);
    return v > limit || v < -limit ? 0 : u > 0 ? 1 : 2;
  }
};
template <class T> struct LreluKernel {
  T* u;
  LreluInPlace<T> f;
  RIG_HD void operator()(std::int64_t i) const { u[i] = f(u[i]); }
};
template <class T> struct LreluCodeKernel {
  T const* u;
  signed char* codes;
  LreluInPlace<T> f;
  RIG_HD void operator()(std::int64_t i) const { codes[i] = f.code(u[i]); }
};
template <class T> struct CodeSlopeKernel {
  T* u;
  signed char const* codes;
  T rising, falling;
  RIG_HD void operator()(std::int64_t i) const { u[i] *= codes[i] == 0 ? T(0) : codes[i] == 1 ? rising : falling; }
};

/// What happens between the filters of a tile: the activation, which is the same everywhere and leaves zeros,
template <class T> struct ActivateTile {
  static constexpr bool everywhere = true;
  LreluInPlace<T> f;
  void operator()(T* u, std::int64_t n) const {
    for (std::int64_t e = 0; e < n; ++e) u[e] = f(u[e]);
  }
};
/// or its slope, which depends on the place.
template <class T> struct SlopeTile {
  static constexpr bool everywhere = false;
  signed char const* codes;  // [n, h, w, c] of the large picture
  T rising, falling;
  void operator()(T* u, std::int64_t at, std::int64_t n) const {
    for (std::int64_t e = 0; e < n; ++e) u[e] *= codes[at + e] == 0 ? T(0) : codes[at + e] == 1 ? rising : falling;
  }
};

inline std::int64_t ceil_quotient(std::int64_t a, std::int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }
inline std::int64_t floor_quotient(std::int64_t a, std::int64_t b) { return -ceil_quotient(-a, b); }

/// A row of numbers and what it is multiplied by.
template <class T> struct WeightedRow {
  T const* from;
  T weight;
};
template <bool Add, class T, class... R> void add_rows(T* __restrict y, std::int64_t n, R const... rows) {
  for (std::int64_t e = 0; e < n; ++e) y[e] = ((Add ? y[e] : T(0)) + ... + (rows.weight * rows.from[e]));
}
template <bool Add, class T> void add_up_to_twelve(T* y, std::int64_t n, WeightedRow<T> const* r, std::int64_t count) {
  switch (count) {
    case 1: return add_rows<Add>(y, n, r[0]);
    case 2: return add_rows<Add>(y, n, r[0], r[1]);
    case 3: return add_rows<Add>(y, n, r[0], r[1], r[2]);
    case 4: return add_rows<Add>(y, n, r[0], r[1], r[2], r[3]);
    case 5: return add_rows<Add>(y, n, r[0], r[1], r[2], r[3], r[4]);
    case 6: return add_rows<Add>(y, n, r[0], r[1], r[2], r[3], r[4], r[5]);
    case 7: return add_rows<Add>(y, n, r[0], r[1], r[2], r[3], r[4], r[5], r[6]);
    case 8: return add_rows<Add>(y, n, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7]);
    default: return add_rows<Add>(y, n, r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11]);
  }
}
/// y = the sum of weighted rows of n numbers, in their order. y overlaps none of them.
template <class T> void sum_rows(T* y, std::int64_t n, std::vector<WeightedRow<T>> const& rows) {
  std::int64_t const count = std::int64_t(rows.size());
  if (count == 0) return void(std::fill(y, y + n, T(0)));
  auto at_once = [&](std::int64_t from) { return count - from >= 12 ? 12 : std::min<std::int64_t>(count - from, 8); };
  add_up_to_twelve<false>(y, n, rows.data(), at_once(0));
  for (std::int64_t k = at_once(0); k < count; k += at_once(k)) add_up_to_twelve<true>(y, n, rows.data() + k, at_once(k));
}

/// Rows that start on a cache line: a vector register read across two lines costs twice.
template <class T> struct LineAllocator {
  using value_type = T;
  static constexpr std::align_val_t line{64};
  LineAllocator() = default;
  template <class U> LineAllocator(LineAllocator<U> const&) {}
  T* allocate(std::size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), line)); }
  void deallocate(T* p, std::size_t) { ::operator delete(p, line); }
  bool operator==(LineAllocator const&) const { return true; }
};
template <class T> using LineVector = std::vector<T, LineAllocator<T>>;

/// A filter's taps on the host, as correlation and with the gain: a column times a row, or else all of them.
template <class T> struct HostTaps {
  std::vector<T> column, row, all;
  explicit HostTaps(Upfirdn2d<T> const& f) {
    if (!f.filter) {
      column = {T(f.o.gain)}, row = {T(1)};
      return;
    }
    bool const line = f.filter.rank() == 1;
    all = f.filter.host();
    if (!f.o.flip) std::reverse(all.begin(), all.end());
    for (T& v : all) v *= T(line ? std::sqrt(f.o.gain) : f.o.gain);
    if (line) column = row = all;
    if (!line && !separate(all.data(), f.filter.dim(0), f.filter.dim(1), column, row)) column.clear(), row.clear();
  }
  bool separable() const { return !row.empty(); }
};

/// Up-sampling, something at every element of the large picture, down-sampling: on the CPU, tile by tile. A tile is 128 by 64
/// pixels of the result and up to 32 channels; its rows are made one after the other, and only as many rows of each stage
/// are kept as the next one still needs. Tiles and order are the same for any number of threads.
/// Within a tile a pixel takes a whole number of vectors, and columns that meet the same taps lie together: every stage is a
/// sum of weighted rows, without a branch or a gap.
template <class T, class Middle> struct FilterTilesKernel {
  T const *x, *bias;  // bias may be null
  T* y;
  std::int64_t n, c;
  Resampling up_rows, up_cols, down_rows, down_cols;  // the large picture is up_rows.out by up_cols.out
  HostTaps<T> const *up, *down;
  Middle middle;
  std::int64_t workers = 1;
  static constexpr std::int64_t tall = 128, side = 64, most_channels = 32, vector = 32 / std::int64_t(sizeof(T));

  std::int64_t strips() const { return (down_rows.out + tall - 1) / tall; }
  std::int64_t blocks() const { return (down_cols.out + side - 1) / side; }
  std::int64_t chunks() const { return (c + most_channels - 1) / most_channels; }
  /// Whole vectors, unless there is not even one and a half.
  static std::int64_t padded(std::int64_t channels) {
    return 2 * channels < 3 * vector ? channels : (channels + vector - 1) / vector * vector;
  }
  std::int64_t tiles() const { return n * strips() * blocks() * chunks(); }

  void operator()(std::int64_t worker) const {
    Tile t{*this};
    for (std::int64_t i = worker; i < tiles(); i += workers) t.run(i);
  }

 private:
  struct Phase {  // columns first, first + up, ... of the large picture meet the same taps
    std::int64_t first, many, first_in, first_tap, taps;
  };
  struct Tile {
    FilterTilesKernel const& k;
    std::int64_t sample = 0, c0 = 0, cc = 0, j0 = 0, width = 0;        // channels and columns of the result
    std::int64_t cs = 0;                                               // from pixel to pixel within the tile, at least cc
    std::int64_t planes = 0, parts = 0, part_size = 0;                 // columns of the large picture, and of the result, that lie together
    std::int64_t low = 0, inside_low = 0, inside_high = 0, plane = 0;  // columns of the large picture: first, those inside it
    std::int64_t in_low = 0, in_width = 0, in_rows = 0, next_in = 0, next_large = 0;
    std::vector<Phase> phases = {};
    LineVector<T> x_rows = {}, x_sum = {}, part = {}, large = {}, reduced = {}, out = {};
    std::vector<WeightedRow<T>> rows = {};

    void run(std::int64_t index) {
      std::int64_t const chunk = index % k.chunks(), block = index / k.chunks() % k.blocks(),
                         strip = index / (k.chunks() * k.blocks()) % k.strips(), step = padded((k.c + k.chunks() - 1) / k.chunks());
      sample = index / (k.chunks() * k.blocks() * k.strips());
      c0 = chunk * step, cc = std::min(step, k.c - c0);
      if (cc <= 0) return;
      cs = padded(cc);
      j0 = block * side, width = std::min(side, k.down_cols.out - j0);
      plan();
      std::int64_t const i0 = strip * tall, i1 = std::min(k.down_rows.out, i0 + tall);
      next_in = next_large = 0;
      for (std::int64_t i = i0; i < i1; ++i) {
        TapSpan const d(k.down_rows, i);
        for (next_large = std::max(next_large, d.first_in); next_large < d.first_in + d.count; ++next_large) large_row();
        result_row(i, d);
      }
    }

   private:
    void plan() {
      low = j0 * k.down_cols.down - k.down_cols.pad;
      std::int64_t const large_width = (width - 1) * k.down_cols.down + k.down_cols.taps;
      inside_low = std::clamp<std::int64_t>(low, 0, k.up_cols.out);
      inside_high = std::clamp<std::int64_t>(low + large_width, inside_low, k.up_cols.out);
      planes = k.up_cols.up % k.down_cols.down == 0 ? k.up_cols.up : k.down_cols.down;
      plane = (large_width + planes - 1) / planes * cs;
      parts = planes / k.down_cols.down, part_size = (width + parts - 1) / parts * cs;
      Resampling const& u = k.up_cols;
      phases.clear();
      std::int64_t most = 0, in_high = 0;
      in_low = 0;
      for (std::int64_t p = 0; p < u.up && inside_low + p < inside_high; ++p) {
        Phase f{inside_low + p - low, (inside_high - 1 - inside_low - p) / u.up + 1, 0, 0, 0};
        std::int64_t const start = inside_low + p - u.pad;
        f.first_in = ceil_quotient(start, u.up), f.first_tap = f.first_in * u.up - start;
        f.taps = f.first_tap < u.taps ? (u.taps - f.first_tap - 1) / u.up + 1 : 0;
        in_low = p ? std::min(in_low, f.first_in) : f.first_in;
        in_high = std::max(p ? in_high : f.first_in, f.first_in + f.many - 1 + f.taps);
        most = std::max(most, f.many);
        phases.push_back(f);
      }
      in_width = phases.empty() ? 0 : in_high - in_low;
      in_rows = (k.up_rows.taps + k.up_rows.up - 1) / k.up_rows.up;
      x_rows.resize(std::size_t(in_rows * in_width * cs)), x_sum.resize(std::size_t(in_width * cs));
      part.resize(std::size_t(most * cs)), out.resize(std::size_t(parts * part_size));
      // Columns outside the large picture stay zero.
      large.assign(std::size_t((k.down->separable() ? 1 : k.down_rows.taps) * planes * plane), T(0));
      if (k.down->separable()) reduced.resize(std::size_t(k.down_rows.taps * parts * part_size));
    }
    /// Number 0 of a column of the large picture, counted from `low`: columns of the same remainder lie together.
    T* column(T* row, std::int64_t q) const { return row + q % planes * plane + q / planes * cs; }
    /// The part of a row of the result that starts at `column`: how many numbers it has.
    std::int64_t in_part(std::int64_t first) const { return (width - first + parts - 1) / parts * cs; }

    void read_row(std::int64_t r) {
      T* to = x_rows.data() + r % in_rows * in_width * cs;
      T const* line = k.x + (sample * k.up_rows.in + r) * k.up_cols.in * k.c + c0;
      for (std::int64_t b = in_low; b < in_low + in_width; ++b, to += cs) {
        if (b < 0 || b >= k.up_cols.in)
          std::fill(to, to + cc, T(0));
        else
          copy_pixel(to, line + b * k.c);
      }
    }
    void copy_pixel(T* __restrict to, T const* from) const {
      if (!k.bias) return void(std::copy(from, from + cc, to));
      T const* b = k.bias + c0;
      for (std::int64_t e = 0; e < cc; ++e) to[e] = from[e] + b[e];
    }
    /// Row next_large of the large picture, through the middle; reduced along x if the filter is a column times a row.
    void large_row() {
      TapSpan const a(k.up_rows, next_large);
      for (next_in = std::max(next_in, a.first_in); next_in < a.first_in + a.count; ++next_in) read_row(next_in);
      rows.clear();
      for (std::int64_t i = 0; i < a.count; ++i)
        rows.push_back(
            {x_rows.data() + (a.first_in + i) % in_rows * in_width * cs, k.up->column[std::size_t(a.first_tap + i * k.up_rows.up)]});
      sum_rows(x_sum.data(), in_width * cs, rows);
      std::int64_t const slot = next_large % k.down_rows.taps;
      bool const separable = k.down->separable();
      T* to = large.data() + (separable ? 0 : slot * planes * plane);
      for (Phase const& f : phases) {
        rows.clear();
        for (std::int64_t t = 0; t < f.taps; ++t)
          rows.push_back({x_sum.data() + (f.first_in - in_low + t) * cs, k.up->row[std::size_t(f.first_tap + t * k.up_cols.up)]});
        if (k.up_cols.up == planes) {
          sum_rows(column(to, f.first), f.many * cs, rows);
        } else {
          sum_rows(part.data(), f.many * cs, rows);
          for (std::int64_t m = 0; m < f.many; ++m)
            std::copy(part.data() + m * cs, part.data() + (m + 1) * cs, column(to, f.first + m * k.up_cols.up));
        }
      }
      if constexpr (Middle::everywhere) {
        k.middle(to, planes * plane);
      } else {
        std::int64_t const line = (sample * k.up_rows.out + next_large) * k.up_cols.out;
        for (std::int64_t a_col = inside_low; a_col < inside_high; ++a_col)
          k.middle(column(to, a_col - low), (line + a_col) * k.c + c0, cc);
      }
      if (!separable) return;
      for (std::int64_t p = 0; p < std::min(parts, width); ++p) {
        rows.clear();
        for (std::int64_t b = 0; b < k.down_cols.taps; ++b)
          rows.push_back({column(to, p * k.down_cols.down + b), k.down->row[std::size_t(b)]});
        sum_rows(reduced.data() + (slot * parts + p) * part_size, in_part(p), rows);
      }
    }
    void result_row(std::int64_t i, TapSpan const& d) {
      T* line = k.y + ((sample * k.down_rows.out + i) * k.down_cols.out + j0) * k.c + c0;
      bool const direct = parts == 1 && cs == k.c;
      T* to = direct ? line : out.data();
      for (std::int64_t p = 0; p < std::min(parts, width); ++p) {
        rows.clear();
        for (std::int64_t a = 0; a < d.count; ++a) {
          std::int64_t const slot = (d.first_in + a) % k.down_rows.taps, tap = d.first_tap + a;
          if (k.down->separable())
            rows.push_back({reduced.data() + (slot * parts + p) * part_size, k.down->column[std::size_t(tap)]});
          else
            for (std::int64_t b = 0; b < k.down_cols.taps; ++b)
              rows.push_back({column(large.data() + slot * planes * plane, p * k.down_cols.down + b),
                              k.down->all[std::size_t(tap * k.down_cols.taps + b)]});
        }
        sum_rows(to + p * part_size, in_part(p), rows);
        for (std::int64_t j = p, at = p * part_size; !direct && j < width; j += parts, at += cs)
          std::copy(to + at, to + at + cc, line + j * k.c);
      }
    }
  };
};

/// How the rows and columns of x [n, h, w, c] go through an upfirdn2d. Throws if x is smaller than the filter.
template <class T> std::pair<Resampling, Resampling> resampling_of(char const* op, Upfirdn2d<T> const& f, std::int64_t h, std::int64_t w) {
  std::int64_t const fh = filter_height(f.filter), fw = filter_width(f.filter);
  Resampling rows{h, 0, f.o.up.y, f.o.down.y, f.o.padding.y0, fh}, cols{w, 0, f.o.up.x, f.o.down.x, f.o.padding.x0, fw};
  std::int64_t const height = h * f.o.up.y + f.o.padding.y0 + f.o.padding.y1, width = w * f.o.up.x + f.o.padding.x0 + f.o.padding.x1;
  check(height >= fh && width >= fw, op, ": the picture up-sampled and padded is ", height, " by ", width, ", smaller than the filter of ",
        fh, " by ", fw);
  rows.out = (height - fh) / rows.down + 1, cols.out = (width - fw) / cols.down + 1;
  return {rows, cols};
}

/// True if the tiles can do it, and then y is made: `up` only enlarges by a column times a row, `down` only reduces.
template <class T, class Middle>
bool filter_by_tiles(char const* op, Tensor<T> const& x, Tensor<T> const& bias, Upfirdn2d<T> const& up, Upfirdn2d<T> const& down,
                     Middle const& middle, Tensor<T>& y) {
  if (!x.device().is_cpu() || up.o.down != Factor(1) || down.o.up != Factor(1)) return false;
  HostTaps<T> const up_taps(up), down_taps(down);
  if (!up_taps.separable()) return false;
  auto const [up_rows, up_cols] = resampling_of(op, up, x.dim(1), x.dim(2));
  auto const [down_rows, down_cols] = resampling_of(op, down, up_rows.out, up_cols.out);
  y = Tensor<T>({x.dim(0), down_rows.out, down_cols.out, x.dim(3)}, x.device());
  FilterTilesKernel<T, Middle> k{x.data(), bias.data(), y.mutate(), x.dim(0), x.dim(3),   up_rows,
                                 up_cols,  down_rows,   down_cols,  &up_taps, &down_taps, middle};
  k.workers = std::min<std::int64_t>(threads(), k.tiles());
  for_each_on_cpu(k.workers, k);
  return true;
}

#if RIG_GPU
/// The same by strips on a device.
template <class Middle>
bool filter_by_strips(char const* op, Tensor<float> const& x, Tensor<float> const& bias, Upfirdn2d<float> const& up,
                      Upfirdn2d<float> const& down, Middle const& middle, Tensor<float>& y) {
  if (!x.device().is_cuda() || up.o.down != Factor(1) || down.o.up != Factor(1)) return false;
  auto const [up_rows, up_cols] = resampling_of(op, up, x.dim(1), x.dim(2));
  auto const [down_rows, down_cols] = resampling_of(op, down, up_rows.out, up_cols.out);
  for (auto const& axis : {up_rows, up_cols, down_rows, down_cols})
    if (!filter_fits_gpu(x.dim(0), x.dim(3), axis)) return false;
  return cuda_filter_strips(
      x, bias.data(), {up.on_gpu(), down.on_gpu(), on_gpu(up_rows), on_gpu(up_cols), on_gpu(down_rows), on_gpu(down_cols)}, middle, y);
}
#endif

template <class T> Tensor<T> with_bias(Tensor<T> const& x, Tensor<T> const& bias) {
  return bias ? broadcast_apply("filtered_lrelu", Plus{}, x, bias) : x;
}

}  // namespace detail

/// Filter, slope of the activation, filter: what filtered_lrelu is while no element of the large picture changes its code.
/// Linear; its transpose is another one.
template <class T> struct FilteredSlope {
  using scalar = T;
  static constexpr char const* name = "filtered_lrelu_slope";
  Upfirdn2d<T> up, down;
  Tensor<signed char> codes;  ///< [n, h, w, c] of the large picture
  T rising, falling;

  Tensor<T> forward(Tensor<T> const& x) const {
    Tensor<T> y;
    if (detail::filter_by_tiles(name, x, Tensor<T>(), up, down, detail::SlopeTile<T>{codes.data(), rising, falling}, y)) return y;
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (detail::filter_by_strips(name, x, Tensor<T>(), up, down, detail::SlopeStrip{codes.data(), rising, falling}, y)) return y;
#endif
    Tensor<T> u = up.forward(x);
    for_each(u.device(), u.size(), detail::CodeSlopeKernel<T>{u.mutate(), codes.data(), rising, falling});
    return down.forward(u);
  }
  Var<T> vjp(wrt<0>, Var<T> g, Var<T> y, Var<T> x) const { return apply(transposed(x.shape(), y.shape()), g); }

  /// Of the one that makes y of x.
  FilteredSlope transposed(Shape const& x, Shape const& y) const {
    auto turn = [](Upfirdn2d<T> const& f, Shape const& from, Shape const& to) {
      return Upfirdn2d<T>{f.filter, detail::adjoint(f.o, detail::filter_height(f.filter), detail::filter_width(f.filter), from, to)};
    };
    return {turn(down, codes.shape(), y), turn(up, x, codes.shape()), codes, rising, falling};
  }
};

template <class T> struct FilteredLrelu {
  using scalar = T;
  static constexpr char const* name = "filtered_lrelu";
  Upfirdn2d<T> up, down;
  detail::LreluInPlace<T> f;
  Tensor<T> bias;  ///< [c] or empty; without gradient

  Tensor<T> forward(Tensor<T> const& x) const {
    check(x.rank() == 4, name, ": x must be [n, h, w, c], got ", x.shape());
    check(!bias || bias.shape() == Shape{x.dim(3)}, name, ": bias must be [", x.dim(3), "] to match x ", x.shape(), ", got ", bias.shape());
    check_device(name, "bias", bias, x.device());
    for (auto const* filter : {&up.filter, &down.filter}) {
      check(!*filter || (filter->rank() >= 1 && filter->rank() <= 2 && filter->size() > 0), name,
            ": filters must be [h, w] or [taps], got ", filter->shape());
      check_device(name, "filter", *filter, x.device());
    }
    check(up.o.up.x > 0 && down.o.down.x > 0, name, ": factors must be positive, got up ", up.o.up.x, " down ", down.o.down.x);
    Tensor<T> y;
    if (detail::filter_by_tiles(name, x, bias, up, down, detail::ActivateTile<T>{f}, y)) return y;
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (detail::filter_by_strips(name, x, bias, up, down, detail::ActivateStrip<detail::LreluInPlace<T>>{f}, y)) return y;
#endif
    Tensor<T> u = up.forward(detail::with_bias(x, bias));
    for_each(u.device(), u.size(), detail::LreluKernel<T>{u.mutate(), f});
    return down.forward(u);
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> y, Var<T> x) const {
    return apply(FilteredSlope<T>{up, down, codes_of(x.value()), f.gain, f.gain * f.slope}.transposed(x.shape(), y.shape()), gy);
  }

 private:
  /// The large picture again, in bands of rows of one sample each, so that in full there is only its code.
  Tensor<signed char> codes_of(Tensor<T> const& x) const {
    auto const [rows, cols] = detail::resampling_of(name, up, x.dim(1), x.dim(2));
    std::int64_t const line = cols.out * x.dim(3), most = std::max<std::int64_t>(1, (std::int64_t(1) << 22) / line);
    Tensor<signed char> codes({x.dim(0), rows.out, cols.out, x.dim(3)}, x.device());
    signed char* to = codes.mutate();
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (x.device().is_cuda() && detail::filter_fits_gpu(x.dim(0), x.dim(3), rows) && detail::filter_fits_gpu(x.dim(0), x.dim(3), cols) &&
          detail::cuda_filter_codes(x, bias.data(), up.on_gpu(), detail::on_gpu(rows), detail::on_gpu(cols), f, to))
        return codes;
#endif
    for (std::int64_t n = 0; n < x.dim(0); ++n)
      for (std::int64_t q = 0; q < rows.out; q += most) {
        std::int64_t const count = std::min(most, rows.out - q);
        Upfirdn2d<T> band = up;
        band.o.padding.y0 -= int(q), band.o.padding.y1 -= int(rows.out - q - count);
        Tensor<T> const u = band.forward(detail::with_bias(x.rows(n, 1), bias));
        for_each(u.device(), u.size(), detail::LreluCodeKernel<T>{u.data(), to, f});
        to += u.size();
      }
    return codes;
  }
};

/// x [n, h, w, c] plus b [c] (empty: none), up-sampled with up_filter ([h, w], or [taps] along each axis, or empty for none),
/// then clamp(gain lrelu), then down-sampled with down_filter. Result per axis:
/// (in up + p0 + p1 - up taps - down taps + 1 + down) / down, rounded down. Any order in x and b; the filters have no gradient.
/// The same bits for any number of threads. Of the large picture the gradient keeps one byte an element, and only while it runs.
///   auto y = filtered_lrelu(x, b, up12, down12, {.up = 2, .down = 2, .padding = {9, 8, 9, 8}, .clamp = 256});
template <class T>
Var<T> filtered_lrelu(Var<T> const& x, Var<T> const& b, Tensor<T> const& up_filter, Tensor<T> const& down_filter,
                      FilteredLreluOptions const& o = {}) {
  T const limit = o.clamp < 0 ? BiasAct<T>::unlimited() : T(o.clamp);
  if (!up_filter && !down_filter && o.up == 1 && o.down == 1 && o.padding == Padding{})
    return bias_act(x, b, {.activation = Activation::lrelu, .alpha = o.slope, .gain = o.gain, .clamp = o.clamp});
  FilteredLrelu<T> op{{up_filter, {.up = o.up, .padding = o.padding, .flip = o.flip, .gain = double(o.up) * o.up}},
                      {down_filter, {.down = o.down, .flip = o.flip}},
                      {T(o.gain), T(o.slope), limit},
                      {}};
  if (b && !b.tracked()) {
    op.bias = b.value();
    return apply(op, x);
  }
  check(!b || (x.rank() == 4 && b.shape() == Shape{x.dim(3)}), FilteredLrelu<T>::name, ": bias must be [", x.rank() == 4 ? x.dim(3) : 0,
        "] to match x [n, h, w, c] ", x.shape(), ", got ", b.shape());
  return apply(op, b ? x + b : x);
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(FilteredSlope)
RIG_OP(FilteredLrelu)
#endif

}  // namespace rig::inline RIG_ABI
