// Sums on a GPU, always in the same order: the extents alone decide who adds what, no atomics. Two shapes of work:
//   columns [outer, mid, inner] -> [outer, inner]: a block takes up to 32 packs of neighbouring columns and a run of rows; its
//     threads read whole lines, each adds every lanes-th row, and what they have is joined in shared memory as a tree;
//   rows [outer, mid] -> [outer]: a power of two of lanes for a short row, a block for 16,384 numbers of a long one.
// Runs are made so long that about a thousand blocks are busy; then their parts are joined the same way. x is read once.
// Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include <algorithm>

#include "rig/core/tensor.hpp"
#include "rig/ops/cuda/channels.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// How columns are shared out among blocks and threads.
struct ColumnPlan {
  std::int64_t mid, inner, run, leaves;  // rows a block, and such runs
  int columns, lanes;                    // packs of columns a block, threads a column
  /// V: numbers a pack.
  ColumnPlan(std::int64_t outer, std::int64_t all_mid, std::int64_t all_inner, int v) : mid(all_mid), inner(all_inner) {
    std::int64_t const packs = inner / v;
    columns = int(std::min<std::int64_t>(packs, 32)), lanes = 256 / columns;
    std::int64_t const others = outer * ((packs + columns - 1) / columns);
    std::int64_t const wanted = std::clamp<std::int64_t>(1024 / others, 1, std::max<std::int64_t>(1, mid / (std::int64_t(lanes) * 8)));
    run = std::max<std::int64_t>(1, (mid + wanted - 1) / wanted), leaves = std::max<std::int64_t>(1, (mid + run - 1) / run);
  }
  gpu::Index3 grid(std::int64_t outer, int v) const { return {int(outer * leaves), int((inner / v + columns - 1) / columns), 1}; }
  bool fits(std::int64_t outer, int v) const {
    return outer * leaves < (std::int64_t(1) << 31) && (inner / v + columns - 1) / columns <= 65535;
  }
  /// Of what is summed: row m, column `at`.
  RIG_DEVICE std::int64_t place(std::int64_t outer, std::int64_t m, std::int64_t at) const { return (outer * mid + m) * inner + at; }
};
/// What is read for one place of a column sum: x,
struct SumOfNumbers {
  static constexpr int sums = 1;
  float const* x;
  template <int V> RIG_DEVICE void add(Pack<V> (&sum)[1], ColumnPlan const& p, std::int64_t outer, std::int64_t m, std::int64_t at) const {
    sum[0] += load_pack<V>(x + p.place(outer, m, at));
  }
};
/// or a b. Sources of several sums read once for all of them.
struct SumOfProducts {
  static constexpr int sums = 1;
  float const *a, *b;
  template <int V> RIG_DEVICE void add(Pack<V> (&sum)[1], ColumnPlan const& p, std::int64_t outer, std::int64_t m, std::int64_t at) const {
    Pack<V> const va = load_pack<V>(a + p.place(outer, m, at)), vb = load_pack<V>(b + p.place(outer, m, at));
    for (int i = 0; i < V; ++i) sum[0][i] += va[i] * vb[i];
  }
};

/// What a thread of such a block goes through: rows begin + lane, begin + lane + lanes .. below end, of V columns from `at` on.
template <int V> struct ColumnPlace {
  int lane;
  std::int64_t outer, at, begin, end;
  bool inside;  // whether there are such columns
  RIG_DEVICE explicit ColumnPlace(ColumnPlan const& p) {
    lane = gpu::thread() / p.columns, outer = gpu::block().x / p.leaves;
    at = (std::int64_t(gpu::block().y) * p.columns + gpu::thread() - lane * p.columns) * V;
    inside = lane < p.lanes && at < p.inner;
    begin = (gpu::block().x - outer * p.leaves) * p.run, end = begin + p.run < p.mid ? begin + p.run : p.mid;
  }
};
/// A block's part [outer, leaves, sums, inner]: the sums of one run of rows.
template <class Source, int V> struct ColumnSumKernel {
  static constexpr int threads = 256, sums = Source::sums;
  struct Shared {
    alignas(16) float part[sums][threads][V];
  };
  Source source;
  float* part;
  ColumnPlan p;
  RIG_DEVICE void operator()(Shared& shared) const {
    int const t = gpu::thread();
    ColumnPlace<V> const own(p);
    Pack<V> sum[sums] = {};
    if (own.inside)
      for (std::int64_t m = own.begin + own.lane; m < own.end; m += p.lanes) source.template add<V>(sum, p, own.outer, m, own.at);
    RIG_UNROLL
    for (int k = 0; k < sums; ++k) store_pack<V>(shared.part[k][t], sum[k]);
    for (int n = p.lanes; n > 1;) {
      int const half = (n + 1) / 2;
      gpu::barrier();
      if (own.lane < n - half) {
        RIG_UNROLL
        for (int k = 0; k < sums; ++k) {
          sum[k] += load_pack<V>(shared.part[k][t + half * p.columns]);
          store_pack<V>(shared.part[k][t], sum[k]);
        }
      }
      n = half;
    }
    if (own.lane == 0 && own.inside) {
      RIG_UNROLL
      for (int k = 0; k < sums; ++k) store_pack<V>(part + (std::int64_t(gpu::block().x) * sums + k) * p.inner + own.at, sum[k]);
    }
  }
};

/// Short rows: `width` lanes of a warp each, a power of two.
struct ShortRowSumKernel {
  static constexpr int threads = 256;
  struct Shared {};
  float const* x;
  float* y;
  std::int64_t outer;
  int mid, width;
  RIG_DEVICE void operator()(Shared&) const {
    int const t = gpu::thread();
    std::int64_t const row = std::int64_t(gpu::block().x) * (threads / width) + t / width;
    float sum = 0;
    if (row < outer)
      for (int m = t % width; m < mid; m += width) sum += x[row * mid + m];
    for (int bits = width / 2; bits > 0; bits /= 2) sum += gpu::shuffle_xor(sum, bits);
    if (row < outer && t % width == 0) y[row] = sum;
  }
};
/// Long rows: y [outer, leaves], a block a leaf.
template <int V> struct LongRowSumKernel {
  static constexpr int threads = 256;
  static constexpr std::int64_t leaf = 16384;
  struct Shared {
    float part[threads / 32];
  };
  float const* x;
  float* y;
  std::int64_t mid, leaves;
  RIG_DEVICE void operator()(Shared& shared) const {
    std::int64_t const outer = gpu::block().x / leaves, begin = (gpu::block().x - outer * leaves) * leaf,
                       end = begin + leaf < mid ? begin + leaf : mid;
    Pack<V> sum{};
    for (std::int64_t m = begin + gpu::thread() * V; m < end; m += threads * V) sum += load_pack<V>(x + outer * mid + m);
    float mine = sum[0];
    for (int i = 1; i < V; ++i) mine += sum[i];
    float const all = gpu::block_sum<threads>(mine, shared.part);
    if (gpu::thread() == 0) y[gpu::block().x] = all;
  }
};

/// [outer, mid, inner] -> [outer, sums, inner], and true; false if the extents are too large for a grid.
template <class Source>
bool cuda_sum_columns(Device const& device, Source const& source, bool four, std::int64_t outer, std::int64_t mid, std::int64_t inner,
                      Tensor<float>& y) {
  int const v = four && inner % 4 == 0 ? 4 : 1;
  ColumnPlan const p(outer, mid, inner, v);
  if (!p.fits(outer, v)) return false;
  Tensor<float> part({outer, p.leaves, Source::sums * inner}, device);
  if (v == 4)
    launch(device, p.grid(outer, v), ColumnSumKernel<Source, 4>{source, part.mutate(), p});
  else
    launch(device, p.grid(outer, v), ColumnSumKernel<Source, 1>{source, part.mutate(), p});
  if (p.leaves > 1) return cuda_sum_columns(device, SumOfNumbers{part.data()}, true, outer, p.leaves, Source::sums * inner, y);
  y = part;
  return true;
}
inline bool cuda_sum_rows(Tensor<float> const& x, std::int64_t outer, std::int64_t mid, Tensor<float>& y) {
  if (mid <= 2048) {
    int width = 1;
    while (width < 32 && width * 2 <= mid) width *= 2;
    std::int64_t const rows_a_block = 256 / width, blocks = (outer + rows_a_block - 1) / rows_a_block;
    if (blocks >= (std::int64_t(1) << 31)) return false;
    y = Tensor<float>({outer, 1, 1}, x.device());
    launch(x.device(), {int(blocks), 1, 1}, ShortRowSumKernel{x.data(), y.mutate(), outer, int(mid), width});
    return true;
  }
  std::int64_t const leaves = (mid + LongRowSumKernel<1>::leaf - 1) / LongRowSumKernel<1>::leaf;
  if (outer * leaves >= (std::int64_t(1) << 31)) return false;
  Tensor<float> part({outer, leaves, 1}, x.device());
  gpu::Index3 const grid{int(outer * leaves), 1, 1};
  if (mid % 4 == 0 && aligned_for_packs(x.data()))
    launch(x.device(), grid, LongRowSumKernel<4>{x.data(), part.mutate(), mid, leaves});
  else
    launch(x.device(), grid, LongRowSumKernel<1>{x.data(), part.mutate(), mid, leaves});
  if (leaves > 1) return cuda_sum_rows(part, outer, leaves, y);
  y = part;
  return true;
}
/// x seen as [outer, mid, inner] -> [outer, 1, inner], and true; false if the plain kernel has to do it.
inline bool cuda_sum_middle(Tensor<float> const& x, std::int64_t outer, std::int64_t mid, std::int64_t inner, Tensor<float>& y) {
  if (outer == 0 || mid == 0 || inner == 0) return false;
  if (inner == 1) return cuda_sum_rows(x, outer, mid, y);
  // A few rows of many columns keep a thread a column of the plain kernel busy.
  if (mid <= 32 && outer * inner >= 65536) return false;
  return cuda_sum_columns(x.device(), SumOfNumbers{x.data()}, aligned_for_packs(x.data()), outer, mid, inner, y);
}

}  // namespace rig::inline RIG_ABI::detail
#endif
