// Operands of convolutions laid out as bf16, with what is summed next to one another, before the products of conv.hpp.
#pragma once
#include "rig/ops/cuda/conv_task.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// Eight numbers as pairs of bf16, 16 bytes.
RIG_DEVICE void put_bf16(float* to, float const (&v)[8]) {
  auto pair = [&](int e) { return gpu::from_bits(gpu::pack_bf16(v[e], v[e + 1])); };
  gpu::store4(to, {pair(0), pair(2), pair(4), pair(6)});
}

/// The grid of the kernels below.
inline gpu::Index3 pack_blocks(std::int64_t items) { return {int((items + 255) / 256), 1, 1}; }

/// y [rows, 8 groups] in bf16 from x [rows, channels], times scale [samples, channels] if there is one; zeros behind.
struct ConvPack {
  static constexpr int threads = 256;
  struct Shared {};
  float const *x, *scale;
  float* y;
  std::int64_t rows, rows_of_sample;
  int channels, groups;
  bool quads;

  RIG_DEVICE void operator()(Shared&) const {
    std::int64_t const i = std::int64_t(gpu::block().x) * threads + gpu::thread();
    if (i >= rows * groups) return;
    std::int64_t const row = i / groups;
    int const first = int(i % groups) * 8;
    float v[8];
    if (quads) {
      RIG_UNROLL
      for (int half = 0; half < 2; ++half) {
        gpu::Float4 const q = first + 4 * half < channels ? gpu::load4(x + row * channels + first + 4 * half) : gpu::Float4{0, 0, 0, 0};
        v[4 * half] = q.x, v[4 * half + 1] = q.y, v[4 * half + 2] = q.z, v[4 * half + 3] = q.w;
      }
    } else {
      RIG_UNROLL
      for (int e = 0; e < 8; ++e) v[e] = first + e < channels ? x[row * channels + first + e] : 0.f;
    }
    if (scale) {
      float const* s = scale + row / rows_of_sample * channels + first;
      RIG_UNROLL
      for (int e = 0; e < 8; ++e) v[e] *= first + e < channels ? s[e] : 0.f;
    }
    put_bf16(y + i * 4, v);
  }
};
/// y [c, taps, 8 groups] in bf16 from a weight [o, taps, c]; zeros behind.
struct ConvPackTurned {
  static constexpr int threads = 256;
  struct Shared {};
  float const* w;
  float* y;
  int o, taps, c, groups;

  RIG_DEVICE void operator()(Shared&) const {
    std::int64_t const i = std::int64_t(gpu::block().x) * threads + gpu::thread();
    if (i >= std::int64_t(groups) * taps * c) return;
    int const channel = int(i % c), tap = int(i / c % taps), group = int(i / c / taps);
    float v[8];
    RIG_UNROLL
    for (int e = 0; e < 8; ++e) v[e] = 8 * group + e < o ? w[(std::int64_t(8 * group + e) * taps + tap) * c + channel] : 0.f;
    put_bf16(y + ((std::int64_t(channel) * taps + tap) * groups + group) * 4, v);
  }
};

/// A weight [o, taps, c] as conv_warpgroup.hpp wants it: [tile of columns, tap, 64 summands] blocks of columns by 64 bf16, in each row
/// of 128 bytes the pieces of 16 bytes exchanged as gpu::warpgroup_mma_bf16 says. Columns are outputs and c is summed, or, turned, the
/// other way round; zeros where there is nothing.
struct ConvPackTiles {
  static constexpr int threads = 256;
  struct Shared {};
  float const* w;
  float* y;
  int o, taps, c, tile, column_tiles, pieces;
  bool turned;

  RIG_DEVICE void operator()(Shared&) const {
    std::int64_t const i = std::int64_t(gpu::block().x) * threads + gpu::thread();
    if (i >= std::int64_t(column_tiles) * taps * pieces * tile * 8) return;
    // Neighbouring threads read neighbours: along the sum, or turned along the columns.
    std::int64_t const block = i / (tile * 8);
    int const inside = int(i % (tile * 8)), row = turned ? inside % tile : inside / 8, part = turned ? inside / tile : inside % 8;
    int const piece = int(block % pieces), tap = int(block / pieces % taps), column = int(block / pieces / taps) * tile + row;
    int const first = piece * 64 + part * 8, columns = turned ? c : o, summed = turned ? o : c;
    float v[8];
    RIG_UNROLL
    for (int e = 0; e < 8; ++e) {
      bool const there = column < columns && first + e < summed;
      std::int64_t const output = turned ? first + e : column, channel = turned ? column : first + e;
      v[e] = there ? w[(output * taps + tap) * c + channel] : 0.f;
    }
    put_bf16(y + (block * tile + row) * 32 + (part ^ (row & 7)) * 4, v);
  }
};

}  // namespace rig::inline RIG_ABI::detail
#endif
