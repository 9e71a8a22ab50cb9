// Convolution on tensor cores as implicit GEMM, channels last: the three members of the family in ops/conv.hpp, and the same
// with each sample's channels scaled on the way in and out (scaled_conv.hpp).
//
// A block computes a tile of rows by columns and walks along what is summed 16 at a time:
//   forward  y:  rows are pixels of y, columns outputs, the sum runs over (tap, channels of x)
//   input    x:  rows are pixels of x of one parity class (those that meet the same taps), the sum runs over (tap, outputs)
//   weight   w:  rows are outputs, columns channels of x under one tap, the sum runs over pixels
// The windows are never laid out in memory: a thread that loads a row knows its pixel and moves from tap to tap. What makes it
// fast: cp.async keeps three stages on their way while the fourth is multiplied; a stage is read from shared memory in 16-byte
// pieces without bank conflicts, because the order of the sum is free (lane t of a quad takes summands 4t..4t+3) and where the
// sum does not run along memory the columns are exchanged in groups of eight (swizzled). Per stage a 128 by 128 tile moves
// 16 KB and does 0.5 million multiply-adds. Full float precision comes from two TF32 parts an operand and three products (the
// small ones first), added outside of the tensor cores every 16 summands, since these round towards zero; an infinite operand
// gives NaN. In bf16 the operands of forward and input are first laid out as pairs of bf16, scaled, with what is summed next to
// one another, in a pass of their own: half the bytes from then on, and no conversion in the loop. Too few tiles for the machine: the sum
// is split over blocks, whose parts are added in order by a second kernel. A 1 by 1 window to at most 16 outputs is bound by memory and has
// kernels of its own, which read x once. The same bits on every run and on every device. Not yet measured on a GPU; see
// bench/results/PENDING.md.
#pragma once
#include <algorithm>
#include <type_traits>

#include "rig/ops/conv.hpp"
#include "rig/ops/cuda/conv_pack.hpp"
#include "rig/ops/cuda/conv_warpgroup.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// Rows by columns of a block's tile; a warp has WarpRows by 32 of them.
template <int Rows, int Columns, int WarpRows> struct ConvTile {
  static constexpr int rows = Rows, columns = Columns, warp_rows = WarpRows, threads = 32 * (Rows / WarpRows) * (Columns / 32);
};
using WideTile = ConvTile<128, 128, 64>;
using SmallTile = ConvTile<64, 64, 32>;
using SlimTile = ConvTile<128, 32, 32>;

/// Up to four neighbours on their way to shared memory, and zeros for the rest.
RIG_DEVICE void copy_quad(float* to, float const* from, int valid, bool quads) {
  if (quads) return gpu::copy_async<16>(to, from, valid > 0);
  for (int e = 0; e < 4; ++e) gpu::copy_async<4>(to + e, e < valid ? from + e : from, e < valid);
}

/// Four numbers from memory of one row or column, as the matrix instructions want them: floats, or pairs of bf16 if Packed.
template <MatrixPrecision P, bool Packed> struct ConvQuad {
  static constexpr int words = P == MatrixPrecision::bf16 && !Packed ? 2 : 4;
  std::uint32_t high[words], low[P == MatrixPrecision::float32 ? 4 : 1];

  RIG_DEVICE void set(float const (&v)[4]) {
    if constexpr (P == MatrixPrecision::bf16 && !Packed) {
      high[0] = gpu::pack_bf16(v[0], v[1]), high[1] = gpu::pack_bf16(v[2], v[3]);
    } else {
      RIG_UNROLL
      for (int e = 0; e < 4; ++e) {
        high[e] = Packed ? gpu::to_bits(v[e]) : gpu::to_tf32(v[e]);
        if constexpr (P == MatrixPrecision::float32) low[e] = gpu::to_tf32(v[e] - gpu::from_bits(high[e]));
      }
    }
  }
};
/// sum [16, 8] += the products of what the quads of a warp hold; a: rows g and g + 8.
template <MatrixPrecision P, bool Packed>
RIG_DEVICE void conv_multiply(float (&sum)[4], ConvQuad<P, Packed> const& a0, ConvQuad<P, Packed> const& a1, ConvQuad<P, Packed> const& b) {
  if constexpr (P == MatrixPrecision::bf16) {
    RIG_UNROLL
    for (int e = 0; e < a0.words; e += 2)
      gpu::mma_bf16(sum, {a0.high[e], a1.high[e], a0.high[e + 1], a1.high[e + 1]}, {b.high[e], b.high[e + 1]});
  } else if constexpr (P == MatrixPrecision::tf32) {
    RIG_UNROLL
    for (int e = 0; e < 4; e += 2) gpu::mma_tf32(sum, {a0.high[e], a1.high[e], a0.high[e + 1], a1.high[e + 1]}, {b.high[e], b.high[e + 1]});
  } else {
    float part[4] = {0, 0, 0, 0};
    RIG_UNROLL
    for (int e = 0; e < 4; e += 2) {
      gpu::mma_tf32(part, {a0.low[e], a1.low[e], a0.low[e + 1], a1.low[e + 1]}, {b.high[e], b.high[e + 1]});
      gpu::mma_tf32(part, {a0.high[e], a1.high[e], a0.high[e + 1], a1.high[e + 1]}, {b.low[e], b.low[e + 1]});
    }
    RIG_UNROLL
    for (int e = 0; e < 4; e += 2)
      gpu::mma_tf32(part, {a0.high[e], a1.high[e], a0.high[e + 1], a1.high[e + 1]}, {b.high[e], b.high[e + 1]});
    RIG_UNROLL
    for (int e = 0; e < 4; ++e) sum[e] += part[e];
  }
}

template <ConvRole Role, class Tile, MatrixPrecision P> struct ConvGemm {
  static constexpr int threads = Tile::threads, depth = 16, stages = 4;
  static constexpr bool forward = Role == ConvRole::forward, weight = Role == ConvRole::weight;
  static constexpr int blocks = P == MatrixPrecision::float32 && forward && Tile::rows == 64 ? 3 : 0;  // four would have it spill
  static constexpr bool packed = P == MatrixPrecision::bf16 && !weight, b_along = forward || packed;
  // How many pieces of 16 bytes of a stage a thread copies.
  static constexpr int a_pieces = Tile::rows * depth / 4 / threads, b_pieces = Tile::columns * depth / 4 / threads;
  static constexpr int row_tiles = Tile::warp_rows / 16, column_tiles = 4;  // of 16 by 8, a warp
  static_assert(a_pieces * threads * 4 == Tile::rows * depth && b_pieces * threads * 4 == Tile::columns * depth);

  /// What lies in memory along the sum, a for pixels and b if b_along: [row][16]. Across it: [16][row], rows in groups of eight
  /// exchanged by bits 2 and 3 of the summand.
  struct Shared {
    alignas(16) float a[stages][Tile::rows * depth], b[stages][Tile::columns * depth], scale[stages][depth];
  };
  ConvTask p;

  RIG_DEVICE void operator()(Shared& shared) const {
    if constexpr (weight)
      weight_tile(shared);
    else
      pixel_tile(shared);
  }

 private:
  using Sums = float[row_tiles][column_tiles][4];

  static RIG_DEVICE int warp_row() { return gpu::warp() % (Tile::rows / Tile::warp_rows) * Tile::warp_rows; }
  static RIG_DEVICE int warp_column() { return gpu::warp() / (Tile::rows / Tile::warp_rows) * 32; }
  static RIG_DEVICE int exchanged(int k, int at) { return at ^ (8 * (k / 4 % 4)); }

  /// load(slot) starts the copies of the next stage; multiply(slot) uses one that is there.
  template <class Load, class Multiply> static RIG_DEVICE void pipeline(int count, Load const& load, Multiply const& multiply) {
    for (int i = 0; i < stages - 1; ++i) {
      if (i < count) load(i);
      gpu::copy_commit();
    }
    for (int i = 0; i < count; ++i) {
      gpu::copy_wait<stages - 2>();
      gpu::barrier();  // what all threads copied is there, and the slot filled next is no longer read
      if (i + stages - 1 < count) load((i + stages - 1) % stages);
      gpu::copy_commit();
      multiply(i % stages);
    }
  }

  /// Adds the products of one stage; scale_a and scale_b multiply raw values: (values, tile, half) and (values, tile).
  template <class ScaleA, class ScaleB>
  static RIG_DEVICE void add_products(float const* a, float const* b, Sums& sum, ScaleA const& scale_a, ScaleB const& scale_b) {
    int const g = gpu::lane() / 4, t = gpu::lane() % 4, m0 = warp_row(), n0 = warp_column();
    ConvQuad<P, packed> right[column_tiles];
    {
      float raw[column_tiles][4];
      RIG_UNROLL
      for (int i = 0; i < 4; ++i) {
        gpu::Float4 const v =
            gpu::load4(b_along ? b + (n0 + i * 8 + g) * depth + 4 * t : b + (4 * t + i) * Tile::columns + exchanged(4 * t, n0 + 4 * g));
        float const four[4] = {v.x, v.y, v.z, v.w};
        RIG_UNROLL
        for (int e = 0; e < 4; ++e) (b_along ? raw[i][e] : raw[e][i]) = four[e];
      }
      RIG_UNROLL
      for (int i = 0; i < column_tiles; ++i) scale_b(raw[i], i), right[i].set(raw[i]);
    }
    RIG_UNROLL
    for (int pair = 0; pair < row_tiles; pair += 2) {
      float raw[4][4];  // [tile, half][summand]
      RIG_UNROLL
      for (int i = 0; i < 4; ++i) {
        gpu::Float4 const v = gpu::load4(weight ? a + (4 * t + i) * Tile::rows + exchanged(4 * t, m0 + pair * 16 + 4 * g)
                                                : a + (m0 + pair * 16 + i * 8 + g) * depth + 4 * t);
        float const four[4] = {v.x, v.y, v.z, v.w};
        RIG_UNROLL
        for (int e = 0; e < 4; ++e) (weight ? raw[e][i] : raw[i][e]) = four[e];
      }
      RIG_UNROLL
      for (int i = 0; i < 2; ++i) {
        ConvQuad<P, packed> upper, lower;
        scale_a(raw[2 * i], pair + i, 0), scale_a(raw[2 * i + 1], pair + i, 1);
        upper.set(raw[2 * i]), lower.set(raw[2 * i + 1]);
        RIG_UNROLL
        for (int j = 0; j < column_tiles; ++j) conv_multiply(sum[pair + i][j], upper, lower, right[j]);
      }
    }
  }
  /// The tile's row that sum[tile][.][2 half] belongs to, and the first of this thread's columns.
  static RIG_DEVICE int row_of(int tile, int half) {
    int const g = gpu::lane() / 4;
    return warp_row() + (weight ? tile / 2 * 32 + 4 * g + tile % 2 * 2 + half : tile * 16 + half * 8 + g);
  }
  static RIG_DEVICE int first_column() { return warp_column() + (b_along ? 2 : 8) * (gpu::lane() % 4); }

  /// Writes this thread's results of one row to `to`, which is the row's column `column` of `columns`.
  template <class Finish>
  RIG_DEVICE void put_row(Sums const& sum, int tile, int half, float* to, int column, int columns, Finish const& finish) const {
    if constexpr (b_along) {  // column tile j: two neighbours, 8 j further
      put_pairs<column_tiles>(&sum[tile][0][2 * half], to, column, columns, p.quads, finish);
    } else {  // eight neighbours: entry e of column tile j is number 4 e + j
      RIG_UNROLL
      for (int e = 0; e < 2; ++e) {
        float v[4];
        RIG_UNROLL
        for (int j = 0; j < 4; ++j) v[j] = column + 4 * e + j < columns ? finish(sum[tile][j][2 * half + e], column + 4 * e + j) : 0.f;
        if (p.quads) {
          if (column + 4 * e < columns) gpu::store4(to + 4 * e, {v[0], v[1], v[2], v[3]});
        } else {
          RIG_UNROLL
          for (int j = 0; j < 4; ++j)
            if (column + 4 * e + j < columns) to[4 * e + j] = v[j];
        }
      }
    }
  }

  /// Forward and input: rows are pixels.
  RIG_DEVICE void pixel_tile(Shared& shared) const {
    int const in_c = p.summed, thread = gpu::thread(), split = gpu::block().z % p.splits,
              n0 = gpu::block().x % p.column_tiles * Tile::columns;
    ConvPixels<Role, Tile::rows> const pixels(p, gpu::block().x, gpu::block().z / p.splits);
    ConvClass const& k = pixels.k;
    int const columns = pixels.columns, sample0 = pixels.sample0;
    if (pixels.first >= pixels.pixels) return;
    int const pieces = (in_c + depth - 1) / depth, total = k.taps_u * k.taps_v * pieces;
    int const begin = int(std::int64_t(total) * split / p.splits), end = int(std::int64_t(total) * (split + 1) / p.splits);

    // What this thread copies: pieces of some rows of a, of b and, the first four threads, of the scales.
    int const channel = thread % 4 * 4;
    typename ConvPixels<Role, Tile::rows>::Place place[a_pieces];
    RIG_UNROLL
    for (int i = 0; i < a_pieces; ++i) place[i] = pixels.place(p, pixels.first + thread / 4 + i * (threads / 4));
    int first = begin % pieces * depth, v = k.taps_v ? begin / pieces % k.taps_v : 0, u = k.taps_v ? begin / pieces / k.taps_v : 0;
    auto load = [&](int slot) {
      int const left = in_c - first - channel;
      RIG_UNROLL
      for (int i = 0; i < a_pieces; ++i) {
        int const r = place[i].row + k.sign * u, q = place[i].col + k.sign * v;
        bool const there = r >= 0 && r < pixels.in_h && q >= 0 && q < pixels.in_w && left > 0;
        copy_quad(&shared.a[slot][(thread / 4 + i * (threads / 4)) * depth + channel],
                  there ? place[i].picture + std::int64_t(r * pixels.in_w + q) * in_c + first + channel : p.a, there ? left : 0, p.quads_a);
      }
      int const tap = pixels.tap(p, u, v);
      RIG_UNROLL
      for (int i = 0; i < b_pieces; ++i) {
        if constexpr (b_along) {
          int const at = thread / 4 + i * (threads / 4);
          bool const there = n0 + at < columns && left > 0;
          copy_quad(&shared.b[slot][at * depth + channel],
                    there ? p.b + (std::int64_t(n0 + at) * (p.kh * p.kw) + tap) * in_c + first + channel : p.b, there ? left : 0,
                    p.quads_b);
        } else {
          int const piece = thread + i * threads, s = piece / (Tile::columns / 4), at = piece % (Tile::columns / 4) * 4;
          bool const there = first + s < in_c && n0 + at < p.c;
          copy_quad(&shared.b[slot][s * Tile::columns + exchanged(s, at)],
                    there ? p.b + (std::int64_t(first + s) * (p.kh * p.kw) + tap) * p.c + n0 + at : p.b, there ? p.c - n0 - at : 0,
                    p.quads_b);
        }
      }
      if (p.a_scale && thread < 4)
        copy_quad(&shared.scale[slot][channel], left > 0 ? p.a_scale + std::int64_t(sample0) * in_c + first + channel : p.a_scale,
                  left > 0 ? left : 0, p.quads_scale);
      first += depth;
      if (first >= in_c) {
        first = 0;
        if (++v == k.taps_v) v = 0, ++u;
      }
    };
    Sums sum = {};
    auto as_is = [](float(&)[4], int, int) {};
    pipeline(end - begin, load, [&](int slot) {
      // The scales of a's channels are as well those of b's, of which a warp has fewer.
      float scale[4] = {1, 1, 1, 1};
      if constexpr (!packed)
        if (p.a_scale) {
          gpu::Float4 const s = gpu::load4(&shared.scale[slot][gpu::lane() % 4 * 4]);
          scale[0] = s.x, scale[1] = s.y, scale[2] = s.z, scale[3] = s.w;
        }
      add_products(shared.a[slot], shared.b[slot], sum, as_is, [&](float(&raw)[4], int) {
        if constexpr (!packed) {
          RIG_UNROLL
          for (int e = 0; e < 4; ++e) raw[e] *= scale[e];
        }
      });
    });

    int const column = n0 + first_column();
    float* const out = p.out + p.out_size * split;
    RIG_UNROLL
    for (int i = 0; i < 2 * row_tiles; ++i) {
      int const m = pixels.first + row_of(i / 2, i % 2);
      if (m >= pixels.pixels) continue;
      std::int64_t const pixel = pixels.result_of(m);
      if (p.splits > 1) {
        put_row(sum, i / 2, i % 2, out + pixel * columns + column, column, columns, [](float value, int) { return value; });
      } else {
        ConvFinish::Row const row_finish(p.finish, pixel, pixels.sample_of(m), columns);
        put_row(sum, i / 2, i % 2, out + pixel * columns + column, column, columns, row_finish);
      }
    }
  }

  /// Weight: rows are outputs, columns channels of x under one tap; the sum runs over pixels, 16 of one sample at a time.
  RIG_DEVICE void weight_tile(Shared& shared) const {
    int const taps = p.kh * p.kw, thread = gpu::thread(), split = gpu::block().z;
    int const n0 = gpu::block().x % p.column_tiles * Tile::columns, tap = gpu::block().x / p.column_tiles % taps, u = tap / p.kw,
              v = tap % p.kw, m0 = gpu::block().x / p.column_tiles / taps * Tile::rows;
    int const pixels = p.oh * p.ow, pieces = (pixels + depth - 1) / depth;
    std::int64_t const total = std::int64_t(p.n) * pieces, begin = total * split / p.splits, end = total * (split + 1) / p.splits;

    int sample = int(begin / pieces), first = int(begin % pieces) * depth;
    auto load = [&](int slot) {
      float const *y = p.a + std::int64_t(sample) * pixels * p.o, *x = p.b + std::int64_t(sample) * p.h * p.w * p.c;
      RIG_UNROLL
      for (int i = 0; i < a_pieces; ++i) {
        int const piece = thread + i * threads, s = piece / (Tile::rows / 4), at = piece % (Tile::rows / 4) * 4;
        bool const there = first + s < pixels && m0 + at < p.o;
        copy_quad(&shared.a[slot][s * Tile::rows + exchanged(s, at)], there ? y + std::int64_t(first + s) * p.o + m0 + at : p.a,
                  there ? p.o - m0 - at : 0, p.quads_a);
      }
      RIG_UNROLL
      for (int i = 0; i < b_pieces; ++i) {
        int const piece = thread + i * threads, s = piece / (Tile::columns / 4), at = piece % (Tile::columns / 4) * 4;
        int const r = (first + s) / p.ow * p.stride + u - p.top, q = (first + s) % p.ow * p.stride + v - p.left;
        bool const there = first + s < pixels && n0 + at < p.c && r >= 0 && r < p.h && q >= 0 && q < p.w;
        copy_quad(&shared.b[slot][s * Tile::columns + exchanged(s, at)], there ? x + std::int64_t(r * p.w + q) * p.c + n0 + at : p.b,
                  there ? p.c - n0 - at : 0, p.quads_b);
      }
      first += depth;
      if (first >= pixels) first = 0, ++sample;
    };
    // The scales of this thread's rows and columns, which change with the sample.
    float rows[2 * row_tiles], columns[4];
    RIG_UNROLL
    for (int i = 0; i < 2 * row_tiles; ++i) rows[i] = 1;
    RIG_UNROLL
    for (int j = 0; j < 4; ++j) columns[j] = 1;
    int const scaled_column = n0 + warp_column() + gpu::lane() / 4 * 4;
    int multiplied = -1, now = int(begin / pieces), left = pieces - int(begin % pieces);
    Sums sum = {};
    pipeline(int(end - begin), load, [&](int slot) {
      if (now != multiplied) {
        multiplied = now;
        if (p.a_scale) {
          RIG_UNROLL
          for (int i = 0; i < 2 * row_tiles; ++i)
            rows[i] = m0 + row_of(i / 2, i % 2) < p.o ? p.a_scale[std::int64_t(now) * p.o + m0 + row_of(i / 2, i % 2)] : 0.f;
        }
        if (p.b_scale) {
          RIG_UNROLL
          for (int j = 0; j < 4; ++j) columns[j] = scaled_column + j < p.c ? p.b_scale[std::int64_t(now) * p.c + scaled_column + j] : 0.f;
        }
      }
      if (--left == 0) left = pieces, ++now;
      add_products(
          shared.a[slot], shared.b[slot], sum,
          [&](float(&raw)[4], int tile, int half) {
            RIG_UNROLL
            for (int e = 0; e < 4; ++e) raw[e] *= rows[2 * tile + half];
          },
          [&](float(&raw)[4], int tile) {
            RIG_UNROLL
            for (int e = 0; e < 4; ++e) raw[e] *= columns[tile];
          });
    });

    int const column = n0 + first_column();
    float* const out = p.out + p.out_size * split;
    RIG_UNROLL
    for (int i = 0; i < 2 * row_tiles; ++i) {
      int const o = m0 + row_of(i / 2, i % 2);
      if (o < p.o)
        put_row(sum, i / 2, i % 2, out + (std::int64_t(o) * taps + tap) * p.c + column, column, p.c,
                [](float value, int) { return value; });
    }
  }
};

/// The parts of a split sum, added in order.
struct ConvSumKernel {
  float const* part;  // [splits, size]
  float* y;
  std::int64_t size, pixels, columns;  // pixels of one sample
  int splits;
  ConvFinish finish;
  RIG_HD void operator()(std::int64_t pixel, std::int64_t column) const {
    float sum = part[pixel * columns + column];
    for (int s = 1; s < splits; ++s) sum += part[s * size + pixel * columns + column];
    y[pixel * columns + column] = ConvFinish::Row(finish, pixel, pixel / pixels, columns)(sum, int(column));
  }
};

/// Where there are many parts of few numbers, a first step: runs of parts, added in order.
struct ConvSumRunKernel {
  static constexpr int run = 16;
  float const* part;  // [splits, size]
  float* y;           // [runs, size]
  std::int64_t size;
  int splits;
  RIG_HD void operator()(std::int64_t first, std::int64_t i) const {
    float sum = part[first * run * size + i];
    for (std::int64_t s = first * run + 1; s < splits && s < (first + 1) * run; ++s) sum += part[s * size + i];
    y[first * size + i] = sum;
  }
};

// ---- a 1 by 1 window to at most 16 outputs ---------------------------------------------------------------------------

/// What the three kernels share. Pixels of a sample are cut into `parts` runs of `run`, a block each.
struct ThinTask {
  int pixels, c, o, run, parts;
  float const *x, *y, *weight, *c_scale, *o_scale;  // c_scale [n, c], o_scale [n, o] or null
  float* out;
  ConvFinish finish;
};

/// y: a few lanes share a pixel, read its channels 16 bytes at a time and add up their sums; four pixels at once, so that a
/// weight is read from shared memory once for them.
template <int Most> struct ThinForward {
  static constexpr int threads = 256, together = 4;
  struct Shared {
    alignas(16) float weight[Most * 1024];
  };
  ThinTask p;

  RIG_DEVICE void operator()(Shared& shared) const {
    int const sample = gpu::block().y, begin = gpu::block().x * p.run, end = begin + p.run < p.pixels ? begin + p.run : p.pixels;
    for (int i = gpu::thread(); i < Most * p.c; i += threads) {
      float const v = i < p.o * p.c ? p.weight[i] : 0.f;
      shared.weight[i] = p.c_scale ? v * p.c_scale[std::int64_t(sample) * p.c + i % p.c] : v;
    }
    gpu::barrier();
    int lanes = 1;
    while (lanes < 32 && lanes * 4 < p.c) lanes *= 2;
    int const lane = gpu::lane() % lanes, first = gpu::thread() / lanes, groups = threads / lanes;
    float const* x = p.x + std::int64_t(sample) * p.pixels * p.c;
    for (int run = begin; run < end; run += groups * together) {
      float sum[together][Most] = {};
      for (int c = 4 * lane; c < p.c; c += 4 * lanes) {
        gpu::Float4 v[together];
        RIG_UNROLL
        for (int i = 0; i < together; ++i) {
          int const pixel = run + first + i * groups;
          v[i] = pixel < end ? gpu::load4(x + std::int64_t(pixel) * p.c + c) : gpu::Float4{0, 0, 0, 0};
        }
        RIG_UNROLL
        for (int o = 0; o < Most; ++o) {
          gpu::Float4 const w = gpu::load4(&shared.weight[o * p.c + c]);
          RIG_UNROLL
          for (int i = 0; i < together; ++i) sum[i][o] += v[i].x * w.x + v[i].y * w.y + v[i].z * w.z + v[i].w * w.w;
        }
      }
      for (int bits = lanes / 2; bits > 0; bits /= 2) {
        RIG_UNROLL
        for (int i = 0; i < together; ++i) {
          RIG_UNROLL
          for (int o = 0; o < Most; ++o) sum[i][o] += gpu::shuffle_xor(sum[i][o], bits);
        }
      }
      RIG_UNROLL
      for (int i = 0; i < together; ++i) {
        int const pixel = run + first + i * groups;
        if (pixel >= end || lane != 0) continue;
        std::int64_t const at = std::int64_t(sample) * p.pixels + pixel;
        ConvFinish::Row const finish(p.finish, at, sample, p.o);
        RIG_UNROLL
        for (int o = 0; o < Most; ++o)
          if (o < p.o) p.out[at * p.o + o] = finish(sum[i][o], o);
      }
    }
  }
};

/// x: a thread keeps the weights of four channels and goes from pixel to pixel.
template <int Most> struct ThinInput {
  static constexpr int threads = 256;
  struct Shared {};
  ThinTask p;

  RIG_DEVICE void operator()(Shared&) const {
    int const quads = p.c / 4, groups = threads / quads, group = gpu::thread() / quads, c = gpu::thread() % quads * 4;
    int const sample = gpu::block().y, begin = gpu::block().x * p.run, end = begin + p.run < p.pixels ? begin + p.run : p.pixels;
    if (group >= groups) return;
    gpu::Float4 w[Most];
    gpu::Float4 const s = p.c_scale ? gpu::load4(p.c_scale + std::int64_t(sample) * p.c + c) : gpu::Float4{1, 1, 1, 1};
    RIG_UNROLL
    for (int o = 0; o < Most; ++o) {
      float const d = o >= p.o ? 0.f : p.o_scale ? p.o_scale[std::int64_t(sample) * p.o + o] : 1.f;
      gpu::Float4 const v = gpu::load4(p.weight + std::int64_t(o < p.o ? o : 0) * p.c + c);
      w[o] = {v.x * s.x * d, v.y * s.y * d, v.z * s.z * d, v.w * s.w * d};
    }
    for (int pixel = begin + group; pixel < end; pixel += groups) {
      std::int64_t const at = std::int64_t(sample) * p.pixels + pixel;
      gpu::Float4 sum{0, 0, 0, 0};
      RIG_UNROLL
      for (int o = 0; o < Most; ++o) {
        float const g = o < p.o ? p.y[at * p.o + o] : 0.f;
        sum.x += g * w[o].x, sum.y += g * w[o].y, sum.z += g * w[o].z, sum.w += g * w[o].w;
      }
      gpu::store4(p.out + at * p.c + c, sum);
    }
  }
};

/// The weight: a thread sums the products of its four channels over every groups-th pixel of the run; the groups are then
/// added in order, and the runs by the kernels above.
template <int Most> struct ThinWeight {
  static constexpr int threads = 256, blocks = Most > 4 ? 2 : 3;
  struct Shared {
    alignas(16) float part[threads * 4];
  };
  ThinTask p;  // out [n * parts, o, c]

  RIG_DEVICE void operator()(Shared& shared) const {
    int const quads = p.c / 4, groups = threads / quads, group = gpu::thread() / quads, c = gpu::thread() % quads * 4;
    int const sample = gpu::block().y, begin = gpu::block().x * p.run, end = begin + p.run < p.pixels ? begin + p.run : p.pixels;
    gpu::Float4 sum[Most] = {};
    for (int pixel = begin + group; group < groups && pixel < end; pixel += groups) {
      std::int64_t const at = std::int64_t(sample) * p.pixels + pixel;
      gpu::Float4 const x = gpu::load4(p.x + at * p.c + c);
      RIG_UNROLL
      for (int o = 0; o < Most; ++o) {
        float const g = o < p.o ? p.y[at * p.o + o] : 0.f;
        sum[o].x += g * x.x, sum[o].y += g * x.y, sum[o].z += g * x.z, sum[o].w += g * x.w;
      }
    }
    float* const out = p.out + (std::int64_t(sample) * p.parts + gpu::block().x) * p.o * p.c;
    RIG_UNROLL
    for (int o = 0; o < Most; ++o) {
      if (o < p.o) {  // of all threads alike
        gpu::barrier();
        gpu::store4(&shared.part[4 * gpu::thread()], sum[o]);
        gpu::barrier();
        float const d = p.o_scale ? p.o_scale[std::int64_t(sample) * p.o + o] : 1.f;
        for (int i = gpu::thread(); i < p.c; i += threads) {
          float total = shared.part[i];
          for (int g = 1; g < groups; ++g) total += shared.part[g * p.c + i];
          out[o * p.c + i] = total * d * (p.c_scale ? p.c_scale[std::int64_t(sample) * p.c + i] : 1.f);
        }
      }
    }
  }
};

// ---- which kernel, with which tile -----------------------------------------------------------------------------------

enum class ConvTiles { wide, small, slim, warpgroups };
/// How one convolution is cut. Depends on the sizes alone, not on the machine, so that results do not either (but in bf16, where some
/// machines have warpgroups).
struct ConvPlan {
  ConvTiles tiles = ConvTiles::wide;
  int splits = 1;
};
inline constexpr std::int64_t conv_multiprocessors = 132;
/// Columns of a block of warpgroups.
inline int warpgroup_columns(std::int64_t columns) { return columns > 64 ? 128 : 64; }

/// `pieces` of 16 summands for each of `times` matrices of rows by columns. The weight has no slim tiles. Warpgroups, where the caller
/// may have them, take what fills a quarter of the machine without splitting a sum below eight stages of theirs.
inline ConvPlan plan_conv(std::int64_t rows, std::int64_t columns, std::int64_t times, std::int64_t pieces, bool weight,
                          bool warpgroups = false) {
  auto blocks = [&](std::int64_t r, std::int64_t c) { return (rows + r - 1) / r * ((columns + c - 1) / c) * times; };
  ConvPlan plan;
  if (warpgroups && rows > 64 && columns > 32) {
    std::int64_t const tiles = blocks(128, warpgroup_columns(columns)), most = std::max<std::int64_t>(1, pieces / (4 * 8));
    if (tiles * most >= conv_multiprocessors / 4) {
      plan.tiles = ConvTiles::warpgroups;
      if (tiles < conv_multiprocessors) plan.splits = int(std::min({2 * conv_multiprocessors / tiles, most, std::int64_t(64)}));
      return plan;
    }
  }
  std::int64_t now = blocks(128, 128);
  if (columns <= 32 && rows > 64 && !weight)
    plan.tiles = ConvTiles::slim, now = blocks(128, 32);
  else if (columns <= 64 || rows <= 64 || now < conv_multiprocessors * 3 / 4)  // nearly a wave of wide ones is better than more small ones
    plan.tiles = ConvTiles::small, now = blocks(64, 64);
  if (now < conv_multiprocessors)
    plan.splits = int(std::clamp<std::int64_t>(std::min(2 * conv_multiprocessors / std::max<std::int64_t>(now, 1), pieces / 8), 1, 64));
  return plan;
}

/// The kernels count in int; groups and larger pictures are left to the plain ones.
inline bool conv_on_tensor_cores(ConvSize const& s) {
  std::int64_t const most = std::int64_t(1) << 30;
  return s.groups == 1 && s.n * std::max(s.h * s.w, s.oh * s.ow) < most && s.h * s.w * s.c < most && s.oh * s.ow * s.o < most &&
         s.o * s.kh * s.kw * s.c < most && s.stride < 256;
}
inline bool thin_conv(ConvSize const& s) {
  return s.kh == 1 && s.kw == 1 && s.stride == 1 && s.top == 0 && s.left == 0 && s.oh == s.h && s.ow == s.w && s.o <= 16 && s.c % 4 == 0 &&
         s.c <= 1024;
}

template <ConvRole Role, class Tile, MatrixPrecision P>
void launch_conv_tile(Device const& device, ConvTask task, int groups, int rows, int columns, int times) {
  task.row_tiles = (rows + Tile::rows - 1) / Tile::rows, task.column_tiles = (columns + Tile::columns - 1) / Tile::columns;
  bool const weight = Role == ConvRole::weight;
  launch(device, {groups * task.row_tiles * task.column_tiles * (weight ? times : 1), 1, (weight ? 1 : times) * task.splits},
         ConvGemm<Role, Tile, P>{task});
}
template <ConvRole Role, class Tile>
void launch_conv_as(Device const& device, ConvTask const& task, int groups, int rows, int columns, int times) {
  switch (device.precision()) {
    case MatrixPrecision::float32:
      return launch_conv_tile<Role, Tile, MatrixPrecision::float32>(device, task, groups, rows, columns, times);
    case MatrixPrecision::tf32: return launch_conv_tile<Role, Tile, MatrixPrecision::tf32>(device, task, groups, rows, columns, times);
    case MatrixPrecision::bf16: return launch_conv_tile<Role, Tile, MatrixPrecision::bf16>(device, task, groups, rows, columns, times);
  }
}

/// The same by warpgroups; for the weight there is none.
template <ConvRole Role, int Columns>
void launch_warpgroups(Device const& device, ConvTask task, int groups, int rows, int columns, int times) {
  if constexpr (Role != ConvRole::weight) {
    task.row_tiles = (rows + 127) / 128, task.column_tiles = (columns + Columns - 1) / Columns;
    launch(device, {groups * task.row_tiles * task.column_tiles, 1, times * task.splits}, ConvWarpgroups<Role, Columns>{task});
  }
}

/// One member of the family on tensor cores. `plan` null: chosen by the sizes.
template <ConvRole Role>
void launch_conv_gemm(Device const& device, ConvSize const& s, float const* a, float const* b, float* out, float const* a_scale,
                      float const* b_scale, ConvFinish const& finish, ConvPlan const* plan) {
  constexpr bool weight = Role == ConvRole::weight, forward = Role == ConvRole::forward;
  std::int64_t const a_channels = forward ? s.c : s.o, b_channels = s.c, in_pixels = s.h * s.w, out_pixels = s.oh * s.ow;
  std::int64_t const columns = forward ? s.o : s.c, classes = Role == ConvRole::input ? s.stride * s.stride : 1;
  std::int64_t const result = weight ? s.o * s.kh * s.kw * s.c : forward ? s.n * out_pixels * s.o : s.n * in_pixels * s.c;
  if (result == 0) return;
  std::int64_t const a_pixels = forward ? in_pixels : out_pixels;
  std::int64_t summed = a_channels;
  std::int64_t const taps = s.kh * s.kw, times = weight ? taps : classes;
  Tensor<float> scaled, turned;
  bool const packed = !weight && device.precision() == MatrixPrecision::bf16;
  if (packed) {
    std::int64_t const parts = (a_channels + 7) / 8;
    summed = 4 * parts;
    scaled = Tensor<float>({s.n * a_pixels, summed}, device);
    launch(device, pack_blocks(s.n * a_pixels * parts),
           ConvPack{a, a_scale, scaled.mutate(), s.n * a_pixels, a_pixels, int(a_channels), int(parts), quad_rows(a, a_channels)});
    a = scaled.data(), a_scale = nullptr;
  }
  // A tile that stays within a sample needs one sample's scales only; tiny pictures are scaled beforehand instead.
  if (!weight && a_scale && s.n > 1 && (forward ? out_pixels : in_pixels / classes) < 64) {
    scaled = Tensor<float>({s.n, a_pixels, a_channels}, device);
    for_each(device, s.n * a_pixels, a_channels, ScaleChannelsKernel<float>{a, a_scale, scaled.mutate(), a_pixels, a_channels});
    a = scaled.data(), a_scale = nullptr;
  }
  bool const by_sample = !weight && a_scale != nullptr;
  int const groups = by_sample ? int(s.n) : 1;
  // The largest class of pixels decides the grid.
  std::int64_t const along_h = (s.h + s.stride - 1) / s.stride, along_w = (s.w + s.stride - 1) / s.stride;
  std::int64_t const rows = weight ? s.o : (forward ? out_pixels : along_h * along_w) * (by_sample ? 1 : s.n);
  std::int64_t const pieces = weight ? s.n * ((out_pixels + 15) / 16) : (taps + classes - 1) / classes * ((summed + 15) / 16);
  // Few channels leave most of a stage of warpgroups empty.
  ConvPlan own =
      plan ? *plan : plan_conv(rows, columns, times * groups, pieces, weight, packed && a_channels > 32 && has_warpgroups(device));
  if (!packed && own.tiles == ConvTiles::warpgroups) own.tiles = ConvTiles::wide;
  if (packed) {
    std::int64_t const parts = summed / 4;
    int const o = int(s.o), c = int(s.c), kk = int(taps);
    if (own.tiles == ConvTiles::warpgroups) {
      int const tile = warpgroup_columns(columns), tiles = int((columns + tile - 1) / tile), pieces_of_64 = int((parts + 7) / 8);
      turned = Tensor<float>({tiles, taps, pieces_of_64, tile, 32}, device);
      launch(device, pack_blocks(turned.size() / 4), ConvPackTiles{b, turned.mutate(), o, kk, c, tile, tiles, pieces_of_64, !forward});
    } else {
      turned = Tensor<float>({columns, taps, summed}, device);
      if (forward)
        launch(device, pack_blocks(s.o * taps * parts),
               ConvPack{b, nullptr, turned.mutate(), s.o * taps, s.o * taps, c, int(parts), quad_rows(b, s.c)});
      else
        launch(device, pack_blocks(s.c * taps * parts), ConvPackTurned{b, turned.mutate(), o, kk, c, int(parts)});
    }
    b = turned.data();
  }
  Tensor<float> parts;
  if (own.splits > 1) parts = Tensor<float>({own.splits, result}, device);
  float* const to = own.splits > 1 ? parts.mutate() : out;
  ConvTask const task{int(s.n),
                      int(s.h),
                      int(s.w),
                      int(s.c),
                      int(s.oh),
                      int(s.ow),
                      int(s.o),
                      int(s.kh),
                      int(s.kw),
                      int(s.stride),
                      int(s.top),
                      int(s.left),
                      int(summed),
                      a,
                      b,
                      a_scale,
                      b_scale,
                      to,
                      result,
                      own.splits,
                      0,
                      0,
                      by_sample,
                      quad_rows(a, summed),
                      quad_rows(b, packed ? summed : b_channels),
                      quad_rows(a_scale, a_channels),
                      quad_rows(to, columns) && result % 4 == 0,
                      finish};
  switch (own.tiles) {
    case ConvTiles::wide: launch_conv_as<Role, WideTile>(device, task, groups, int(rows), int(columns), int(times)); break;
    case ConvTiles::small: launch_conv_as<Role, SmallTile>(device, task, groups, int(rows), int(columns), int(times)); break;
    case ConvTiles::slim:
      launch_conv_as<Role, std::conditional_t<weight, SmallTile, SlimTile>>(device, task, groups, int(rows), int(columns), int(times));
      break;
    case ConvTiles::warpgroups:
      if (warpgroup_columns(columns) == 128)
        launch_warpgroups<Role, 128>(device, task, groups, int(rows), int(columns), int(times));
      else
        launch_warpgroups<Role, 64>(device, task, groups, int(rows), int(columns), int(times));
      break;
  }
  if (own.splits > 1)
    for_each(device, result / columns, columns,
             ConvSumKernel{to, out, result,
                           weight    ? result / columns
                           : forward ? out_pixels
                                     : in_pixels,
                           columns, own.splits, finish});
}

/// One of the three kernels of a window of 1 by 1; `role` says which.
template <int Most>
void launch_thin_conv(Device const& device, ConvRole role, ConvSize const& s, float const* x, float const* y, float const* weight,
                      float* out, float const* c_scale, float const* o_scale, ConvFinish const& finish) {
  std::int64_t const pixels = s.h * s.w;
  if (role != ConvRole::weight && s.n * pixels == 0) return;
  // About four blocks a multiprocessor, and enough pixels in each to be worth its weights.
  std::int64_t const wanted = std::max<std::int64_t>(1, 4 * conv_multiprocessors / std::max<std::int64_t>(s.n, 1));
  std::int64_t const run = std::clamp<std::int64_t>((pixels + wanted - 1) / wanted, 32, 4096), parts = (pixels + run - 1) / run;
  ThinTask task{int(pixels), int(s.c), int(s.o), int(run), int(parts), x, y, weight, c_scale, o_scale, out, finish};
  gpu::Index3 const grid{int(parts), int(s.n), 1};
  if (role == ConvRole::forward) return launch(device, grid, ThinForward<Most>{task});
  if (role == ConvRole::input) return launch(device, grid, ThinInput<Most>{task});
  int const blocks = int(s.n * parts), runs = (blocks + ConvSumRunKernel::run - 1) / ConvSumRunKernel::run;
  Tensor<float> sums({blocks, s.o * s.c}, device), fewer({runs, s.o * s.c}, device);
  task.out = sums.mutate();
  launch(device, grid, ThinWeight<Most>{task});
  for_each(device, runs, s.o * s.c, ConvSumRunKernel{sums.data(), fewer.mutate(), s.o * s.c, blocks});
  for_each(device, s.o, s.c, ConvSumKernel{fewer.data(), out, s.o * s.c, s.o, s.c, runs, {}});
}
inline bool launch_thin(Device const& device, ConvRole role, ConvSize const& s, float const* x, float const* y, float const* weight,
                        float* out, float const* c_scale, float const* o_scale, ConvFinish const& finish) {
  bool const aligned = (role == ConvRole::input || quad_rows(x, s.c)) && (role == ConvRole::weight || quad_rows(weight, s.c)) &&
                       (c_scale == nullptr || quad_rows(c_scale, s.c)) && quad_rows(role == ConvRole::input ? out : nullptr, s.c);
  if (!thin_conv(s) || !aligned || s.n > 65535 || s.n * s.h * s.w == 0) return false;
  if (s.o <= 4)
    launch_thin_conv<4>(device, role, s, x, y, weight, out, c_scale, o_scale, finish);
  else
    launch_thin_conv<16>(device, role, s, x, y, weight, out, c_scale, o_scale, finish);
  return true;
}

#if RIG_INCLUDE_IPP
RIG_INLINE bool cuda_conv(Device const& device, ConvSize const& s, float const* x, float const* weight, float* y, ConvScales const& scales,
                          ConvFinish const& finish) {
  if (!conv_on_tensor_cores(s)) return false;
  ConvFinish whole = finish;
  whole.scale = scales.o;
  if (!launch_thin(device, ConvRole::forward, s, x, nullptr, weight, y, scales.c, nullptr, whole))
    launch_conv_gemm<ConvRole::forward>(device, s, x, weight, y, scales.c, nullptr, whole, nullptr);
  return true;
}
RIG_INLINE bool cuda_conv_input(Device const& device, ConvSize const& s, float const* y, float const* weight, float* x,
                                ConvScales const& scales) {
  if (!conv_on_tensor_cores(s)) return false;
  if (launch_thin(device, ConvRole::input, s, nullptr, y, weight, x, scales.c, scales.o, {})) return true;
  ConvFinish finish;
  finish.scale = scales.c;
  launch_conv_gemm<ConvRole::input>(device, s, y, weight, x, scales.o, nullptr, finish, nullptr);
  return true;
}
RIG_INLINE bool cuda_conv_weight(Device const& device, ConvSize const& s, float const* x, float const* y, float* weight,
                                 ConvScales const& scales) {
  if (!conv_on_tensor_cores(s)) return false;
  if (!launch_thin(device, ConvRole::weight, s, x, y, nullptr, weight, scales.c, scales.o, {}))
    launch_conv_gemm<ConvRole::weight>(device, s, y, x, weight, scales.o, scales.c, {}, nullptr);
  return true;
}
#endif

}  // namespace rig::inline RIG_ABI::detail
#endif
