// One convolution as the kernels on tensor cores see it, and which pixels a block of theirs computes. See conv.hpp.
#pragma once
#include "rig/core/launch.hpp"
#include "rig/ops/conv_size.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

enum class ConvRole { forward, input, weight };

/// One convolution as the kernels see it. a and b: forward x and weight, input y and weight, weight y and x.
struct ConvTask {
  int n, h, w, c, oh, ow, o, kh, kw, stride, top, left;
  int summed;  // numbers in memory that a pixel of a and the sum have, each a float or two bf16
  float const *a, *b;
  float const *a_scale, *b_scale;  // [n, channels of it] or null; b's for the weight only
  float* out;                      // [splits, out_size]
  std::int64_t out_size;
  int splits, row_tiles, column_tiles;
  bool by_sample;                             // tiles of rows do not cross samples
  bool quads_a, quads_b, quads_scale, quads;  // whether rows of channels can be read, and results written, 16 bytes at a time
  ConvFinish finish;
};

/// The pixels of one parity class and the taps they meet; for the forward role there is one class with everything.
struct ConvClass {
  int rows, cols;            // pixels of the result, a sample
  int step, row, col, sign;  // pixel (i, j) meets (i step + row + sign u, j step + col + sign v) at tap (u, v)
  int taps_u, taps_v, first_u, first_v, tap_step;
  int out_row, out_col, out_step;  // where the pixel lies in the result

  RIG_HD ConvClass(ConvTask const& p, ConvRole role, int number) {
    if (role == ConvRole::forward) {
      rows = p.oh, cols = p.ow, step = p.stride, row = -p.top, col = -p.left, sign = 1;
      taps_u = p.kh, taps_v = p.kw, first_u = 0, first_v = 0, tap_step = 1, out_row = 0, out_col = 0, out_step = 1;
      return;
    }
    int const s = p.stride;
    first_u = number / s, first_v = number % s, tap_step = s, out_step = s, step = 1, sign = -1;
    out_row = ((first_u - p.top) % s + s) % s, out_col = ((first_v - p.left) % s + s) % s;
    rows = out_row < p.h ? (p.h - out_row - 1) / s + 1 : 0, cols = out_col < p.w ? (p.w - out_col - 1) / s + 1 : 0;
    row = (out_row + p.top - first_u) / s, col = (out_col + p.left - first_v) / s;
    taps_u = first_u < p.kh ? (p.kh - first_u - 1) / s + 1 : 0, taps_v = first_v < p.kw ? (p.kw - first_v - 1) / s + 1 : 0;
  }
};

/// The tile of pixels that a block of Rows computes, forward and input: where each of them reads, and where it is written.
template <ConvRole Role, int Rows> struct ConvPixels {
  static constexpr bool forward = Role == ConvRole::forward;
  ConvClass k;
  int in_h, in_w, out_h, out_w, columns;
  int first, pixels, sample0;  // rows are numbered from `first` on within a group of `pixels`: a sample, or the whole batch

  RIG_HD ConvPixels(ConvTask const& p, int block, int parity_class)
      : k(p, Role, parity_class),
        in_h(forward ? p.h : p.oh),
        in_w(forward ? p.w : p.ow),
        out_h(forward ? p.oh : p.h),
        out_w(forward ? p.ow : p.w),
        columns(forward ? p.o : p.c),
        first(block / p.column_tiles % p.row_tiles * Rows),
        pixels(k.rows * k.cols * (p.by_sample ? 1 : p.n)),
        sample0(p.by_sample ? block / p.column_tiles / p.row_tiles : 0) {}

  /// Row m reads pixel (row + sign u, col + sign v) of the picture at tap (u, v); of rows that are not there, far outside.
  struct Place {
    float const* picture;
    int row, col;
  };
  RIG_HD int sample_of(int m) const { return sample0 + m / (k.rows * k.cols); }
  RIG_HD Place place(ConvTask const& p, int m) const {
    bool const there = m < pixels;
    return {p.a + std::int64_t(there ? sample_of(m) : 0) * in_h * in_w * p.summed,
            there ? m / k.cols % k.rows * k.step + k.row : -(1 << 28), there ? m % k.cols * k.step + k.col : 0};
  }
  /// The pixel of the result, counted over the batch.
  RIG_HD std::int64_t result_of(int m) const {
    return (std::int64_t(sample_of(m)) * out_h + k.out_row + m / k.cols % k.rows * k.out_step) * out_w + k.out_col +
           m % k.cols * k.out_step;
  }
  RIG_HD int tap(ConvTask const& p, int u, int v) const { return (k.first_u + u * k.tap_step) * p.kw + k.first_v + v * k.tap_step; }
};

/// Writes pairs of neighbouring columns of one row, sum[4 j] and sum[4 j + 1] to columns 8 j and 8 j + 1 behind `to`, which is the
/// row's column `column` of `columns`.
template <int Pairs, class Finish>
RIG_DEVICE void put_pairs(float const* sum, float* to, int column, int columns, bool quads, Finish const& finish) {
  RIG_UNROLL
  for (int j = 0; j < Pairs; ++j) {
    int const at = column + 8 * j;
    if (quads && at < columns) {
      gpu::store2(to + 8 * j, {finish(sum[4 * j], at), finish(sum[4 * j + 1], at + 1)});
    } else {
      if (at < columns) to[8 * j] = finish(sum[4 * j], at);
      if (at + 1 < columns) to[8 * j + 1] = finish(sum[4 * j + 1], at + 1);
    }
  }
}

inline bool quad_rows(float const* p, std::int64_t channels) { return channels % 4 == 0 && reinterpret_cast<std::uintptr_t>(p) % 16 == 0; }

}  // namespace rig::inline RIG_ABI::detail
#endif
