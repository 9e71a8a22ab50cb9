// Convolution in bf16 by warpgroups (sm_90a: wgmma and TMA), forward and input: the implicit GEMM of conv.hpp on larger instructions.
// A block of two warpgroups computes 128 pixels by 64 or 128 columns and walks along (tap, channels) 64 summands at a time. What
// makes it fast: both operands are read by the matrix units straight from shared memory, so that threads only start copies;
// pixels come by cp.async, because neighbours in a tile may lie in different rows and pictures, and weights, laid out beforehand
// as the units want them, as one block by TMA; 96 KB of stages let two blocks share a multiprocessor, one copying while the other
// multiplies. A stage of 128 by 128 moves 32 KB for one million multiply-adds. The same bits on every run. Not yet measured, nor run
// on a GPU: a program has it only if it was built for 90a; see bench/results/PENDING.md.
#pragma once
#include "rig/ops/cuda/conv_task.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// Whether this program has the kernel and the device can run it.
bool has_warpgroups(Device const& device);

template <ConvRole Role, int Columns> struct ConvWarpgroups {
  static constexpr int rows = 128, threads = 256, depth = 64, blocks = 2, stages = Columns == 128 ? 3 : 4;
  static constexpr int sums = Columns / 2, a_pieces = rows * 8 / threads;  // a piece is 16 bytes, 8 of them a row of a stage
  static_assert(Role != ConvRole::weight && (Columns == 64 || Columns == 128));

  struct Shared {
    alignas(1024) float a[stages][rows * depth / 2], b[stages][Columns * depth / 2];
    gpu::Arrival arrival[stages];
  };
  ConvTask p;  // a packed by ConvPack, b by ConvPackTiles

  RIG_DEVICE void operator()(Shared& shared) const {
    if constexpr (gpu::warpgroup_code) tile(shared);
#if RIG_CUDA
    else
      __trap();  // a build for another architecture must not leave results unwritten in silence
#endif
  }

 private:
  RIG_DEVICE void tile(Shared& shared) const {
    int const thread = gpu::thread(), split = gpu::block().z % p.splits, column_tile = gpu::block().x % p.column_tiles;
    ConvPixels<Role, rows> const pixels(p, gpu::block().x, gpu::block().z / p.splits);
    ConvClass const& k = pixels.k;
    if (pixels.first >= pixels.pixels) return;
    int const parts = p.summed / 4, pieces = (parts + 7) / 8, total = k.taps_u * k.taps_v * pieces, taps = p.kh * p.kw;
    int const begin = int(std::int64_t(total) * split / p.splits), count = int(std::int64_t(total) * (split + 1) / p.splits) - begin;

    typename ConvPixels<Role, rows>::Place place[a_pieces];
    RIG_UNROLL
    for (int i = 0; i < a_pieces; ++i) place[i] = pixels.place(p, pixels.first + thread / 8 + i * (threads / 8));
    // All rows of a thread lie 32 apart, so its pieces are exchanged alike.
    int const part = thread % 8, to = thread / 8 * 32 + (part ^ (thread / 8 & 7)) * 4;
    int piece = begin % pieces, v = k.taps_v ? begin / pieces % k.taps_v : 0, u = k.taps_v ? begin / pieces / k.taps_v : 0;
    auto load = [&](int slot) {
      RIG_UNROLL
      for (int i = 0; i < a_pieces; ++i) {
        int const r = place[i].row + k.sign * u, q = place[i].col + k.sign * v, at = piece * 8 + part;
        bool const there = r >= 0 && r < pixels.in_h && q >= 0 && q < pixels.in_w && at < parts;
        gpu::copy_async<16>(&shared.a[slot][to + i * (threads / 8) * 32],
                            there ? place[i].picture + (std::int64_t(r * pixels.in_w + q) * parts + at) * 4 : p.a, there);
      }
      if (thread == 0)
        gpu::copy_block(shared.b[slot],
                        p.b + ((std::int64_t(column_tile) * taps + pixels.tap(p, u, v)) * pieces + piece) * (Columns * depth / 2),
                        Columns * depth * 2, shared.arrival[slot]);
      if (++piece == pieces) {
        piece = 0;
        if (++v == k.taps_v) v = 0, ++u;
      }
    };

    if (thread == 0)
      for (int i = 0; i < stages; ++i) gpu::arrival_start(shared.arrival[i]);
    gpu::fence_for_engines();
    gpu::barrier();
    for (int i = 0; i < stages - 1; ++i) {
      if (i < count) load(i);
      gpu::copy_commit();
    }
    float sum[sums] = {};
    float const* const own_rows = shared.a[0] + thread / 128 * 64 * 32;
    for (int i = 0; i < count; ++i) {
      int const slot = i % stages;
      gpu::warpgroup_wait(sum);  // the slot filled next is no longer read by this warpgroup
      gpu::copy_wait<stages - 2>();
      gpu::fence_for_engines();
      gpu::arrival_wait(shared.arrival[slot], i / stages);
      gpu::barrier();  // all threads' pieces are there, and neither warpgroup reads that slot
      gpu::warpgroup_begin(sum);
      RIG_UNROLL
      for (int step = 0; step < depth / 16; ++step)
        gpu::warpgroup_mma_bf16(sum, own_rows + slot * (rows * depth / 2) + 8 * step, shared.b[slot] + 8 * step);
      gpu::warpgroup_commit();
      if (i + stages - 1 < count) load((i + stages - 1) % stages);
      gpu::copy_commit();
    }
    gpu::warpgroup_wait(sum);

    int const column = column_tile * Columns + 2 * (gpu::lane() % 4), columns = pixels.columns;
    float* const out = p.out + p.out_size * split;
    RIG_UNROLL
    for (int half = 0; half < 2; ++half) {
      int const m = pixels.first + gpu::warp() * 16 + half * 8 + gpu::lane() / 4;
      if (m >= pixels.pixels) continue;
      std::int64_t const pixel = pixels.result_of(m);
      float* const row = out + pixel * columns + column;
      if (p.splits > 1)
        put_pairs<Columns / 8>(sum + 2 * half, row, column, columns, p.quads, [](float value, int) { return value; });
      else
        put_pairs<Columns / 8>(sum + 2 * half, row, column, columns, p.quads,
                               ConvFinish::Row(p.finish, pixel, pixels.sample_of(m), columns));
    }
  }
};

#if RIG_INCLUDE_IPP
RIG_INLINE bool has_warpgroups([[maybe_unused]] Device const& device) {
#if RIG_EMULATED
  return true;
#elif defined(RIG_CUDA_WARPGROUPS)
  int major = 0, minor = 0;
  cuda_verify(device, cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device.queue().index()), "conv");
  cuda_verify(device, cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device.queue().index()), "conv");
  return major == 9 && minor == 0;
#else
  return false;
#endif
}
#endif

}  // namespace rig::inline RIG_ABI::detail
#endif
