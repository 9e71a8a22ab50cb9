// Resampling with filters on a GPU, three ways, all channels last with neighbouring threads at neighbouring channels:
//   small filters (up to 4 by 4; up 2, down 2 or neither): a tile of x in shared memory, copied without passing registers; a
//     thread makes 4 rows (and both columns of an up-sampled pair) at a time, so that a number read from the tile meets up to
//     sixteen taps, which are registers. After a transposed convolution its write is that of a whole layer (ConvFinish): what is one a
//     channel is read once for those rows, and noise, bias and activation cost no pass over memory of their own;
//   a row of taps along both axes (up to 12 for a factor of 2, 24 for 4): a block marches down a strip of columns, one row of x a
//     step, copied two steps ahead. A thread owns two columns of the up-sampled picture: it filters along x out of shared
//     memory, along y out of a window of registers, applies what lies in between (filtered_lrelu's activation), and adds to
//     the sums along y of the rows of the result it meets; finished sums are filtered along x through shared memory.
//     Neither the up-sampled picture nor anything between the axes leaves the block: x is read once (and a fifth again
//     at the seams of strips), the result written once;
//   everything else: a tile in shared memory, taps there too, any factors.
// Taps are read from the device's memory, mirrored and scaled on the way; a filter never comes back to the host.
// Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include <algorithm>

#include "rig/core/tensor.hpp"
#include "rig/ops/conv_size.hpp"
#include "rig/ops/cuda/channels.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// How one axis is resampled, as Resampling, in 32 bits.
struct AxisOnGpu {
  int in, out, up, down, pad, taps;
};
/// A filter as correlation with its gain: `line` taps along each axis, or [height, width]; without f it is the gain alone.
struct FilterOnGpu {
  float const* f;
  int height, width;
  bool line, turn;
  float gain;  // of a tap; of each axis if line
  RIG_DEVICE float along(int t) const {
    if (t < 0 || t >= width) return 0;
    return f ? gain * f[turn ? width - 1 - t : t] : gain;
  }
  RIG_DEVICE float at(int a, int b) const {
    if (line) return along(a) * along(b);
    if (a < 0 || a >= height || b < 0 || b >= width) return 0;
    int const k = a * width + b;
    return f ? gain * f[turn ? height * width - 1 - k : k] : gain;
  }
};

RIG_HD constexpr int floor_div(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }
RIG_HD constexpr int ceil_div(int a, int b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

/// Copies x's rows [row, row + rows) and columns [column, column + columns), channels [channel, channel + packs V), to `to`
/// [rows, columns, packs V], with zeros outside the picture [height, width, c] at x. Not yet there when it returns.
template <int V, int Threads>
RIG_DEVICE void copy_tile(float* to, float const* x, int height, int width, int c, int row, int rows, int column, int columns, int channel,
                          int packs) {
  int const line = columns * packs;
  for (int e = gpu::thread(); e < rows * line; e += Threads) {
    int const i = e / line, rest = e - i * line, j = rest / packs, k = channel + (rest - j * packs) * V;
    int const r = row + i, q = column + j;
    bool const inside = r >= 0 && r < height && q >= 0 && q < width && k < c;
    gpu::copy_async<4 * V>(to + e * V, inside ? x + (std::int64_t(r) * width + q) * c + k : x, inside);
  }
}

/// What a small filter does with its sums before they are written: nothing,
struct FilteredAsIs {
  static constexpr int blocks = 0;
  template <int V> struct Channels {
    RIG_DEVICE Channels(FilteredAsIs const&, std::int64_t, int, int) {}
    RIG_DEVICE void operator()(Pack<V>&, int) const {}
  };
};
/// or what a convolution does; its channels are not scaled, as the convolution before the filter has done so.
struct FilteredFinish {
  static constexpr int blocks = 4;  // as many as of the bare filter fit
  ConvFinish f;
  /// Of V neighbouring channels, those that there are, and of a sample, whose first pixel is number `first_pixel` of the batch.
  template <int V> struct Channels {
    ConvFinish const& f;
    float const* noise;
    Pack<V> strength{}, bias{};
    RIG_DEVICE Channels(FilteredFinish const& finish, std::int64_t first_pixel, int first, int c)
        : f(finish.f), noise(f.noise_rows > first_pixel ? f.noise + first_pixel : f.noise) {
      RIG_UNROLL
      for (int i = 0; i < V; ++i) {
        if (noise && first + i < c) strength[i] = f.strength[(first + i) * f.strength_step];
        if (f.bias && first + i < c) bias[i] = f.bias[first + i];
      }
    }
    /// `pixel` of the sample.
    RIG_DEVICE void operator()(Pack<V>& v, int pixel) const {
      float const n = noise ? noise[pixel] : 0.f;
      RIG_UNROLL
      for (int i = 0; i < V; ++i) v[i] = f.act(v[i] + strength[i] * n + bias[i]);
    }
  };
};

/// Filters of up to 4 by 4 taps. U or D is 1, the other 1 or 2, both axes alike.
template <int U, int D, int V, class Finish> struct SmallFilterKernel {
  static constexpr int threads = 256, taps = 4, rows_a_thread = 4 / D, columns_a_thread = U, capacity = 11264, blocks = Finish::blocks;
  static constexpr int in_rows = ((rows_a_thread - 1) * D + taps - 1) / U + 1, in_columns = ((columns_a_thread - 1) * D + taps - 1) / U + 1;
  struct Shared {
    alignas(16) float tile[capacity];
    float tap[taps][taps];
  };
  float const* x;
  float* y;
  FilterOnGpu filter;
  AxisOnGpu rows, cols;
  int c, packs, runs, groups;  // packs of channels a tile, runs of rows_a_thread rows, groups of columns
  int first_row, first_column, column_tiles;
  Finish finish;

  RIG_HD static constexpr int needed(int outputs) { return ((outputs - 1) * D + taps - 1) / U + 1; }
  int tile_rows() const { return runs * rows_a_thread; }
  int tile_columns() const { return groups * columns_a_thread; }
  bool fits() const { return needed(tile_rows()) * needed(tile_columns()) * packs * V <= capacity; }
  /// Tiles start where an up-sampled sample lies under the first tap; they fill the shared memory and keep all threads busy.
  void plan() {
    auto start = [](AxisOnGpu const& a) { return U == 1 ? 0 : -(((a.pad % U) + U) % U); };
    first_row = start(rows), first_column = start(cols);
    packs = std::min((c + V - 1) / V, V == 4 ? 8 : 32);
    runs = std::min(16 / rows_a_thread, (rows.out - first_row + rows_a_thread - 1) / rows_a_thread), groups = 1;
    int const most = (cols.out - first_column + columns_a_thread - 1) / columns_a_thread;
    while (groups < most && runs * groups * packs < 4 * threads) {
      ++groups;
      if (fits()) continue;
      --groups;
      break;
    }
    column_tiles = (most + groups - 1) / groups;
  }
  gpu::Index3 grid(std::int64_t n) const {
    int const chunks = (c + packs * V - 1) / (packs * V);
    return {chunks * column_tiles, (rows.out - first_row + tile_rows() - 1) / tile_rows(), int(n)};
  }

  RIG_DEVICE void operator()(Shared& shared) const {
    int const chunk = gpu::block().x / column_tiles, channel = chunk * packs * V;
    int const i0 = first_row + gpu::block().y * runs * rows_a_thread,
              j0 = first_column + (gpu::block().x - chunk * column_tiles) * groups * columns_a_thread;
    std::int64_t const sample = gpu::block().z;
    // Exact: first_row and first_column were chosen so.
    int const row = floor_div(i0 * D - rows.pad, U), column = floor_div(j0 * D - cols.pad, U);
    int const height = needed(runs * rows_a_thread), width = needed(groups * columns_a_thread);
    copy_tile<V, threads>(shared.tile, x + sample * rows.in * cols.in * c, rows.in, cols.in, c, row, height, column, width, channel, packs);
    gpu::copy_commit();
    if (gpu::thread() < taps * taps)
      shared.tap[gpu::thread() / taps][gpu::thread() % taps] = filter.at(gpu::thread() / taps, gpu::thread() % taps);
    gpu::copy_wait<0>();
    gpu::barrier();
    float tap[taps][taps];
    RIG_UNROLL
    for (int a = 0; a < taps; ++a) RIG_UNROLL
    for (int b = 0; b < taps; ++b) tap[a][b] = shared.tap[a][b];
    int const line = groups * packs;
    for (int e = gpu::thread(); e < runs * line; e += threads) {
      int const run = e / line, rest = e - run * line, group = rest / packs, pack = rest - group * packs;
      float const* from = shared.tile + ((run * (rows_a_thread * D / U) * width + group * (columns_a_thread * D / U)) * packs + pack) * V;
      Pack<V> sum[rows_a_thread][columns_a_thread] = {};
      RIG_UNROLL
      for (int a = 0; a < in_rows; ++a) RIG_UNROLL
      for (int b = 0; b < in_columns; ++b) {
        Pack<V> const v = load_pack<V>(from + (a * width + b) * packs * V);
        RIG_UNROLL
        for (int r = 0; r < rows_a_thread; ++r) RIG_UNROLL
        for (int q = 0; q < columns_a_thread; ++q)
          if (a * U - r * D >= 0 && a * U - r * D < taps && b * U - q * D >= 0 && b * U - q * D < taps)
            add_scaled(sum[r][q], tap[a * U - r * D][b * U - q * D], v);
      }
      int const i = i0 + run * rows_a_thread, j = j0 + group * columns_a_thread, k = channel + pack * V;
      typename Finish::template Channels<V> const finished(finish, sample * rows.out * cols.out, k, c);
      RIG_UNROLL
      for (int r = 0; r < rows_a_thread; ++r) RIG_UNROLL
      for (int q = 0; q < columns_a_thread; ++q)
        if (i + r >= 0 && i + r < rows.out && j + q >= 0 && j + q < cols.out && k < c) {
          finished(sum[r][q], (i + r) * cols.out + j + q);
          store_pack<V>(y + ((sample * rows.out + i + r) * cols.out + j + q) * c + k, sum[r][q]);
        }
    }
  }
};

/// Any factors and filters of up to 1,024 taps.
template <int V> struct AnyFilterKernel {
  static constexpr int threads = 256, capacity = 10240, most_taps = 1024;
  struct Shared {
    alignas(16) float tile[capacity];
    float tap[most_taps];
  };
  float const* x;
  float* y;
  FilterOnGpu filter;
  AxisOnGpu rows, cols;
  int c, packs, tall, wide;  // of a tile of the result

  static int needed(AxisOnGpu const& a, int outputs) { return ((outputs - 1) * a.down + a.taps - 1) / a.up + 1; }
  bool fits() const { return needed(rows, tall) * std::int64_t(needed(cols, wide)) * packs * V <= capacity; }
  /// False if there is no tile for such a filter.
  bool plan() {
    if (rows.taps * std::int64_t(cols.taps) > most_taps) return false;
    for (packs = std::min((c + V - 1) / V, V == 4 ? 8 : 32);; packs /= 2) {
      for (tall = wide = 16; tall > 1 && !fits();) (tall >= wide ? tall : wide) /= 2;
      if (fits() && (tall >= 4 || packs == 1)) break;
      if (packs == 1) return false;
    }
    tall = std::min(tall, rows.out), wide = std::min(wide, cols.out);
    return true;
  }
  gpu::Index3 grid(std::int64_t n) const {
    int const chunks = (c + packs * V - 1) / (packs * V), across = (cols.out + wide - 1) / wide;
    return {chunks * across, (rows.out + tall - 1) / tall, int(n)};
  }

  struct Span {  // the first tap that meets a sample, that sample, how many such taps
    int tap, in, count;
    RIG_DEVICE Span(AxisOnGpu const& a, int i) {
      int const start = i * a.down - a.pad;
      in = ceil_div(start, a.up), tap = in * a.up - start, count = tap < a.taps ? (a.taps - tap - 1) / a.up + 1 : 0;
    }
  };
  RIG_DEVICE void operator()(Shared& shared) const {
    int const across = (cols.out + wide - 1) / wide, chunk = gpu::block().x / across, channel = chunk * packs * V;
    int const i0 = gpu::block().y * tall, j0 = (gpu::block().x - chunk * across) * wide;
    std::int64_t const sample = gpu::block().z;
    int const row = ceil_div(i0 * rows.down - rows.pad, rows.up), column = ceil_div(j0 * cols.down - cols.pad, cols.up);
    int const height = ((tall - 1) * rows.down + rows.taps - 1) / rows.up + 1,
              width = ((wide - 1) * cols.down + cols.taps - 1) / cols.up + 1;
    copy_tile<V, threads>(shared.tile, x + sample * rows.in * cols.in * c, rows.in, cols.in, c, row, height, column, width, channel, packs);
    gpu::copy_commit();
    for (int k = gpu::thread(); k < rows.taps * cols.taps; k += threads) shared.tap[k] = filter.at(k / cols.taps, k % cols.taps);
    gpu::copy_wait<0>();
    gpu::barrier();
    int const line = wide * packs;
    for (int e = gpu::thread(); e < tall * line; e += threads) {
      int const i = e / line, rest = e - i * line, j = rest / packs, pack = rest - j * packs, k = channel + pack * V;
      if (i0 + i >= rows.out || j0 + j >= cols.out || k >= c) continue;
      Span const a(rows, i0 + i), b(cols, j0 + j);
      Pack<V> sum{};
      for (int p = 0; p < a.count; ++p) {
        float const *from = shared.tile + (((a.in - row + p) * width + b.in - column) * packs + pack) * V,
                    *tap = shared.tap + (a.tap + p * rows.up) * cols.taps + b.tap;
        for (int q = 0; q < b.count; ++q) add_scaled(sum, tap[q * cols.up], load_pack<V>(from + q * packs * V));
      }
      store_pack<V>(y + ((sample * rows.out + i0 + i) * cols.out + j0 + j) * c + k, sum);
    }
  }
};

/// Nothing between the filters of a strip.
struct FilterAlone {
  static constexpr bool result = true, reads = false;
  RIG_DEVICE int read(std::int64_t) const { return 0; }
  RIG_DEVICE float operator()(float u, int, std::int64_t) const { return u; }
};

/// Up by U with up to UT taps along each axis, `middle` at every number of the large picture, down by D with up to DT taps; see
/// the top. middle(u, read, at) with the number's place in the large picture and what middle.read(at) said there, which is asked a
/// step ahead if Middle::reads; Middle::result: false if there is none but what middle itself keeps, and then D is 1.
template <int U, int D, int UT, int DT, class Middle> struct FilterStripKernel {
  static_assert((U % D == 0 || D % U == 0) && DT % D == 0);
  static constexpr int channels = 8, columns_a_thread = 2, depth = 2;
  static_assert(U == 1 || U % columns_a_thread == 0);
  static constexpr int groups = U == D || U * D == 2 ? 32 : 64;                            // of columns of the large picture
  static constexpr int large = groups * columns_a_thread, wide = (large - DT) / D + 1;     // columns of both pictures
  static constexpr int threads = groups * channels, window = (UT + 2 * U - 2) / U;         // samples that meet a column's taps
  static constexpr int step = U > D ? U : D, in_a_step = step / U, out_a_step = step / D;  // large rows, rows of x, of the result
  static constexpr int pending = DT / D - 1 + out_a_step, lead = (window - 1 + in_a_step - 1) / in_a_step;
  static constexpr int columns_in = (large - 1) / U + window, ring = (depth + 1) * in_a_step, plane = (large + D - 1) / D;
  struct Shared {
    alignas(16) float row[ring][columns_in][channels];
    float reduced[DT > 1 ? out_a_step : 1][DT > 1 ? D* plane : 1][channels];  // columns of the same remainder by D together
  };
  float const *x, *bias;  // bias may be null
  float* y;
  FilterOnGpu up, down;
  AxisOnGpu up_rows, up_cols, down_rows, down_cols;
  int c, strip;  // rows of the result a block
  bool four;     // rows of x can be copied four numbers at a time
  Middle middle;

  gpu::Index3 grid(std::int64_t n) const {
    return {(c + channels - 1) / channels * ((down_cols.out + wide - 1) / wide), (down_rows.out + strip - 1) / strip, int(n)};
  }

  /// Where the large picture's place `a` lies: sample b is the first that its taps, after z zeros, can meet.
  struct Start {
    int a, b, zeros;
    RIG_DEVICE Start(AxisOnGpu const& u, AxisOnGpu const& d, int first_out) {
      a = first_out * D - d.pad, b = ceil_div(a - u.pad, U), zeros = U - 1 - (b * U - (a - u.pad));
    }
  };
  RIG_DEVICE void copy_row(float (&to)[columns_in][channels], float const* picture, int r, int first, int channel) const {
    bool const there = r >= 0 && r < up_rows.in;
    int const shift = four ? 1 : 3, v = four ? 4 : 1;  // 8 channels are 2 copies of 4, or 8
    for (int e = gpu::thread(); e < columns_in << shift; e += threads) {
      int const j = e >> shift, k = (e - (j << shift)) * v, q = first + j;
      bool const inside = there && q >= 0 && q < up_cols.in && channel + k < c;
      float const* from = inside ? picture + (std::int64_t(r) * up_cols.in + q) * c + channel + k : picture;
      if (four)
        gpu::copy_async<16>(&to[j][k], from, inside);
      else
        gpu::copy_async<4>(&to[j][k], from, inside);
    }
  }

  RIG_DEVICE void operator()(Shared& shared) const {
    int const chunks = (c + channels - 1) / channels, tile = gpu::block().x / chunks, channel = (gpu::block().x - tile * chunks) * channels;
    int const k = gpu::thread() % channels, group = gpu::thread() / channels, my_channel = channel + k;
    int const i0 = gpu::block().y * strip, j0 = tile * wide;
    int const many = down_rows.out - i0 < strip ? down_rows.out - i0 : strip;
    std::int64_t const sample = gpu::block().z;
    float const* picture = x + sample * up_rows.in * up_cols.in * c;
    Start const rows(up_rows, down_rows, i0), cols(up_cols, down_cols, j0);

    // A thread's own columns, and their taps; the taps of each phase of the rows; those of the way down.
    int const first = group * columns_a_thread, from = first / U;
    float across[columns_a_thread][window], along[U][window], reduce[DT], of_bias[columns_a_thread];
    RIG_UNROLL
    for (int q = 0; q < columns_a_thread; ++q) {
      int const phase = (first + q) % U, start = U == 1 ? from + q : from;
      of_bias[q] = 0;
      RIG_UNROLL
      for (int i = 0; i < window; ++i) {
        across[q][i] = up.along(i * U + U - 1 - phase - cols.zeros);
        int const at = cols.b + start + i;
        if (at >= 0 && at < up_cols.in) of_bias[q] += across[q][i];
      }
      of_bias[q] *= bias && my_channel < c ? bias[my_channel] : 0.f;
    }
    RIG_UNROLL
    for (int r = 0; r < U; ++r) RIG_UNROLL
    for (int i = 0; i < window; ++i) along[r][i] = up.along(i * U + U - 1 - r - rows.zeros);
    RIG_UNROLL
    for (int t = 0; t < DT; ++t) reduce[t] = down.along(t);

    float seen[columns_a_thread][window] = {}, sum[columns_a_thread][pending] = {};
    int const steps = (many - 1 + DT / D + out_a_step - 1) / out_a_step;
    auto copy_step = [&](int m) {
      if (m < steps) {
        RIG_UNROLL
        for (int s = 0; s < in_a_step; ++s)
          copy_row(shared.row[((m + lead) % (depth + 1)) * in_a_step + s], picture, rows.b + m * in_a_step + s + window - 1, cols.b,
                   channel);
      }
      gpu::copy_commit();
    };
    struct Place {
      bool inside;
      std::int64_t at;
    };
    auto place = [&](int large_row, int q) {
      int const row = rows.a + large_row, column = cols.a + first + q;
      bool const inside = row >= 0 && row < up_rows.out && column >= 0 && column < up_cols.out && my_channel < c;
      return Place{inside, ((sample * up_rows.out + row) * up_cols.out + column) * c + my_channel};
    };
    int read[step][columns_a_thread] = {};
    auto read_step = [&](int m) {
      RIG_UNROLL
      for (int r = 0; r < step; ++r) RIG_UNROLL
      for (int q = 0; q < columns_a_thread; ++q) {
        Place const p = place(m * step + r, q);
        read[r][q] = p.inside ? middle.read(p.at) : 0;
      }
    };
    for (int d = 0; d < depth; ++d) copy_step(d - lead);
    for (int m = -lead; m < steps; ++m) {
      gpu::copy_wait<depth - 1>();
      gpu::barrier();
      copy_step(m + depth);
      RIG_UNROLL
      for (int s = 0; s < in_a_step; ++s) {
        auto const& line = shared.row[((m + lead) % (depth + 1)) * in_a_step + s];
        int const r_in = rows.b + m * in_a_step + s + window - 1;
        bool const biased = r_in >= 0 && r_in < up_rows.in;
        RIG_UNROLL
        for (int q = 0; q < columns_a_thread; ++q) {
          float v = biased ? of_bias[q] : 0.f;
          RIG_UNROLL
          for (int i = 0; i < window; ++i) v += across[q][i] * line[(U == 1 ? from + q : from) + i][k];
          RIG_UNROLL
          for (int i = 0; i + 1 < window; ++i) seen[q][i] = seen[q][i + 1];
          seen[q][window - 1] = v;
        }
        if (m < 0) continue;
        RIG_UNROLL
        for (int r = 0; r < U; ++r) {
          RIG_UNROLL
          for (int q = 0; q < columns_a_thread; ++q) {
            Place const here = place(m * step + s * U + r, q);
            float u = 0;
            if (here.inside) {
              RIG_UNROLL
              for (int i = 0; i < window; ++i) u += along[r][i] * seen[q][i];
              u = middle(u, read[s * U + r][q], here.at);
            }
            RIG_UNROLL
            for (int p = 0; p < pending; ++p) {
              int const t = s * U + r + (DT / D - 1 - p) * D;
              if (t >= 0 && t < DT) sum[q][p] += reduce[t] * u;
            }
          }
        }
      }
      if (Middle::reads && m >= -1) read_step(m + 1);
      if (m < 0 || !Middle::result) continue;
      // Rows out_a_step m - DT / D + 1 ... of the strip are complete.
      int const done = m * out_a_step - DT / D + 1;
      if constexpr (DT > 1) {
        RIG_UNROLL
        for (int p = 0; p < out_a_step; ++p) RIG_UNROLL
        for (int q = 0; q < columns_a_thread; ++q) shared.reduced[p][(first + q) % D * plane + (first + q) / D][k] = sum[q][p];
        gpu::barrier();
        for (int e = gpu::thread(); e < out_a_step * wide * channels; e += threads) {
          int const p = e / (wide * channels), j = (e - p * wide * channels) / channels, i = done + p;
          if (i < 0 || i >= many || j0 + j >= down_cols.out || my_channel >= c) continue;
          float v = 0;
          RIG_UNROLL
          for (int t = 0; t < DT; ++t) v += reduce[t] * shared.reduced[p][t % D * plane + t / D + j][k];
          y[((sample * down_rows.out + i0 + i) * down_cols.out + j0 + j) * c + my_channel] = v;
        }
      } else {
        RIG_UNROLL
        for (int p = 0; p < out_a_step; ++p) RIG_UNROLL
        for (int q = 0; q < columns_a_thread; ++q)
          if (done + p < many && j0 + first + q < down_cols.out && my_channel < c)
            y[((sample * down_rows.out + i0 + done + p) * down_cols.out + j0 + first + q) * c + my_channel] = sum[q][p];
      }
      RIG_UNROLL
      for (int q = 0; q < columns_a_thread; ++q) RIG_UNROLL
      for (int p = 0; p < pending; ++p) sum[q][p] = p + out_a_step < pending ? sum[q][p + out_a_step] : 0.f;
    }
  }
};

/// True if a grid can hold n samples of c channels, and these rows or columns, a Resampling, stay far below 32 bits.
template <class R> bool filter_fits_gpu(std::int64_t n, std::int64_t c, R const& axis) {
  std::int64_t const most = std::int64_t(1) << 19, pad = axis.pad < 0 ? -axis.pad : axis.pad;
  return n <= 65535 && c < most && axis.in * axis.up < most && axis.out * axis.down < most && pad < most && axis.taps < most;
}
template <class R> AxisOnGpu on_gpu(R const& r) { return {int(r.in), int(r.out), int(r.up), int(r.down), int(r.pad), int(r.taps)}; }

template <int U, int D, int UT, int DT, class Middle>
void filter_strips(Device const& device, std::int64_t n, FilterStripKernel<U, D, UT, DT, Middle> k) {
  // Long strips repeat less, short ones keep more multiprocessors busy.
  k.strip = 64;
  auto blocks = [&] { return n * k.grid(n).x * std::int64_t(k.grid(n).y); };
  while (k.strip > 16 && blocks() < 512) k.strip /= 2;
  launch(device, k.grid(n), k);
}

/// Filters of up to 4 by 4 taps.
template <int U, int D, class Finish>
Tensor<float> filter_small(Tensor<float> const& x, FilterOnGpu const& filter, AxisOnGpu const& rows, AxisOnGpu const& cols,
                           Finish const& finish) {
  std::int64_t const n = x.dim(0);
  int const c = int(x.dim(3));
  Tensor<float> y({n, rows.out, cols.out, c}, x.device());
  auto run = [&](auto kernel) {
    kernel.plan();
    launch(x.device(), kernel.grid(n), kernel);
  };
  if (c % 4 == 0 && aligned_for_packs(x.data()))
    run(SmallFilterKernel<U, D, 4, Finish>{x.data(), y.mutate(), filter, rows, cols, c, 0, 0, 0, 0, 0, 0, finish});
  else
    run(SmallFilterKernel<U, D, 1, Finish>{x.data(), y.mutate(), filter, rows, cols, c, 0, 0, 0, 0, 0, 0, finish});
  return y;
}

/// y [n, rows.out, cols.out, c] from x, finished, and true; false if it is no small filter at one size.
inline bool cuda_filter_finished(Tensor<float> const& x, FilterOnGpu const& filter, AxisOnGpu const& rows, AxisOnGpu const& cols,
                                 ConvFinish const& finish, Tensor<float>& y) {
  bool const one_size = rows.up == 1 && cols.up == 1 && rows.down == 1 && cols.down == 1,
             small = std::max(rows.taps, cols.taps) <= 4 && std::int64_t(rows.out) * cols.out < (std::int64_t(1) << 31);
  if (!one_size || !small || x.dim(0) * x.dim(3) * rows.out * cols.out == 0) return false;
  y = filter_small<1, 1>(x, filter, rows, cols, FilteredFinish{finish});
  return true;
}

/// y [n, rows.out, cols.out, c] from x, and true; false if the filter is too large for these kernels.
inline bool cuda_upfirdn(Tensor<float> const& x, FilterOnGpu const& filter, AxisOnGpu const& rows, AxisOnGpu const& cols,
                         Tensor<float>& y) {
  std::int64_t const n = x.dim(0);
  int const c = int(x.dim(3));
  auto make = [&](int height, int width) { return Tensor<float>({n, height, width, c}, x.device()); };
  bool const alike = rows.up == cols.up && rows.down == cols.down, four = c % 4 == 0 && aligned_for_packs(x.data());
  int const up = rows.up, down = rows.down, most = std::max(rows.taps, cols.taps);
  if (n * c * rows.out * cols.out == 0) return false;

  auto small_for = [&](auto up_by, auto down_by) {
    y = filter_small<decltype(up_by)::value, decltype(down_by)::value>(x, filter, rows, cols, FilteredAsIs{});
    return true;
  };
  using One = std::integral_constant<int, 1>;
  using Two = std::integral_constant<int, 2>;
  if (alike && most <= 4) {
    if (up == 1 && down == 1) return small_for(One{}, One{});
    if (up == 2 && down == 1) return small_for(Two{}, One{});
    if (up == 1 && down == 2) return small_for(One{}, Two{});
  }
  if (alike && filter.line && most <= 12) {
    FilterOnGpu const none{nullptr, 1, 1, true, false, 1};
    auto keep = [](int extent) { return AxisOnGpu{extent, extent, 1, 1, 0, 1}; };
    if (down == 1 && up <= 2) {
      y = make(rows.out, cols.out);
      AxisOnGpu const r = keep(rows.out), q = keep(cols.out);
      if (up == 1)
        filter_strips(
            x.device(), n,
            FilterStripKernel<1, 1, 12, 1, FilterAlone>{x.data(), nullptr, y.mutate(), filter, none, rows, cols, r, q, c, 0, four, {}});
      else
        filter_strips(
            x.device(), n,
            FilterStripKernel<2, 1, 12, 1, FilterAlone>{x.data(), nullptr, y.mutate(), filter, none, rows, cols, r, q, c, 0, four, {}});
      return true;
    }
    if (up == 1 && down == 2) {
      y = make(rows.out, cols.out);
      filter_strips(x.device(), n,
                    FilterStripKernel<1, 2, 1, 12, FilterAlone>{
                        x.data(), nullptr, y.mutate(), none, filter, keep(rows.in), keep(cols.in), rows, cols, c, 0, four, {}});
      return true;
    }
  }
  auto any = [&](auto kernel, Tensor<float>& to) {
    if (!kernel.plan() || kernel.grid(n).y > 65535) return false;
    kernel.y = (to = make(kernel.rows.out, kernel.cols.out)).mutate();
    launch(x.device(), kernel.grid(n), kernel);
    return true;
  };
  auto pass = [&](Tensor<float> const& from, FilterOnGpu const& f, AxisOnGpu const& r, AxisOnGpu const& q, Tensor<float>& to) {
    return four ? any(AnyFilterKernel<4>{from.data(), nullptr, f, r, q, c, 0, 0, 0}, to)
                : any(AnyFilterKernel<1>{from.data(), nullptr, f, r, q, c, 0, 0, 0}, to);
  };
  if (!filter.line) return pass(x, filter, rows, cols, y);
  // Along x, then along y.
  FilterOnGpu const flat{filter.f, 1, filter.width, false, filter.turn, filter.gain},
      tall{filter.f, filter.width, 1, false, filter.turn, filter.gain};
  Tensor<float> part;
  return pass(x, flat, {rows.in, rows.in, 1, 1, 0, 1}, cols, part) && pass(part, tall, rows, {cols.out, cols.out, 1, 1, 0, 1}, y);
}

}  // namespace rig::inline RIG_ABI::detail
#endif
