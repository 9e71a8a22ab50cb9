// Sums along rows and over them on a device: a warp a row, whose lanes take every 32nd entry and join what they have as a tree; then
// one block over all rows. Rows are some hundred numbers long, so that a warp has several loads under way and nobody meets.
// Bytes: every input once, and `width` numbers a row. Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include "rig/core/launch.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::stylerig::detail {

/// part [rows, width]; see row_sums.hpp.
template <class T, class Loss> struct SumRowByWarp {
  static constexpr int threads = 128, width = Loss::width;
  struct Shared {};
  Loss loss;
  T* part;
  std::int64_t rows, count;
  /// Every lane gets the sums.
  static RIG_DEVICE void sum(Loss const& loss, std::int64_t row, std::int64_t count, T (&s)[width]) {
    for (std::int64_t i = gpu::lane(); i < count; i += 32) loss.add(row, i, s);
    for (int c = 0; c < width; ++c) s[c] = gpu::warp_sum(s[c]);
  }
  RIG_DEVICE void operator()(Shared&) const {
    std::int64_t const row = std::int64_t(gpu::block().x) * (threads / 32) + gpu::warp();
    if (row >= rows) return;  // a whole warp
    T s[width] = {};
    sum(loss, row, count, s);
    for (int c = 0; c < width; ++c)
      if (gpu::lane() == c) part[row * width + c] = s[c];
  }
};
/// What the rows give together, from part [rows, width].
template <class T, class Loss> struct AddRowsInBlock {
  static constexpr int threads = 256;
  struct Shared {
    T part[threads / 32];
  };
  Loss loss;
  T const* part;
  std::int64_t rows;
  RIG_DEVICE void operator()(Shared& shared) const {
    T t[Loss::results] = {};
    for (std::int64_t row = gpu::thread(); row < rows; row += threads) loss.add_row(row, part + row * Loss::width, t);
    for (int c = 0; c < Loss::results; ++c) t[c] = gpu::block_sum<threads>(t[c], shared.part);
    if (gpu::thread() == 0) loss.store(t);
  }
};
/// The sums along a row, and what follows from them for its entries: reads the row twice, the second time from L1.
template <class T, class Loss> struct WriteRowByWarp {
  static constexpr int threads = 128;
  struct Shared {};
  Loss loss;
  std::int64_t rows, count;
  RIG_DEVICE void operator()(Shared&) const {
    std::int64_t const row = std::int64_t(gpu::block().x) * (threads / 32) + gpu::warp();
    if (row >= rows) return;
    T s[Loss::width] = {};
    SumRowByWarp<T, Loss>::sum(loss, row, count, s);
    loss.write_row(row, gpu::lane(), 32, s);
  }
};
template <class K> void launch_in_rows(Device const& device, std::int64_t rows, K const& kernel) {
  std::int64_t const a_block = K::threads / 32, blocks = (rows + a_block - 1) / a_block;
  check(blocks < (std::int64_t(1) << 31), "launch: ", rows, " rows are more than a grid can hold");
  launch(device, {int(blocks), 1, 1}, kernel);
}

}  // namespace rig::inline RIG_ABI::stylerig::detail
#endif
