// Launches over a batch of images and sums over each image, for a device that is not the CPU. An image is a row of the grid, so
// no thread divides to find its place. A sum is made in two passes: blocks of 256 threads add 2,048 elements each, neighbouring
// threads neighbouring elements; a second kernel adds the blocks, eight at a time, in an order that the sizes alone fix.
// Bytes: every input once, and width numbers for 2,048 elements. Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include <algorithm>

#include "rig/core/launch.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::render::detail {

/// kernel(image, i), a thread for each.
template <class K> struct InImages {
  static constexpr int threads = 256;
  struct Shared {};
  K kernel;
  std::int64_t count, first;
  RIG_DEVICE void operator()(Shared&) const {
    std::int64_t const i = std::int64_t(gpu::block().x) * threads + gpu::thread();
    if (i < count) kernel(first + gpu::block().y, i);
  }
};
template <class K> void launch_in_images(Device const& device, std::int64_t images, std::int64_t count, K const& kernel) {
  for (std::int64_t first = 0; first < images; first += 65535)
    launch(device, {int((count + 255) / 256), int(std::min<std::int64_t>(images - first, 65535)), 1}, InImages<K>{kernel, count, first});
}

inline constexpr std::int64_t block_leaf = 2048;  // elements a block adds; no function of the batch, so images keep their bits

/// The terms of block_leaf elements of an image.
template <class T, class Leaf> struct AddInBlock {
  static constexpr int threads = 256, width = Leaf::width;
  struct Shared {
    T part[threads / 32][width];
  };
  Leaf leaf;
  T* partial;  // [images, leaves, width]
  std::int64_t count;
  int leaves;
  RIG_DEVICE void operator()(Shared& shared) const {
    int const t = gpu::thread();
    std::int64_t const image = gpu::block().x / leaves, begin = gpu::block().x % leaves * block_leaf,
                       end = begin + block_leaf < count ? begin + block_leaf : count;
    T s[width] = {};
    for (std::int64_t i = begin + t; i < end; i += threads) leaf.add(image, i, s);
    for (int c = 0; c < width; ++c) {
      T const sum = gpu::warp_sum(s[c]);
      if (gpu::lane() == 0) shared.part[gpu::warp()][c] = sum;
    }
    gpu::barrier();
    if (t < width) {
      T sum = shared.part[0][t];
      for (int w = 1; w < threads / 32; ++w) sum += shared.part[w][t];
      partial[std::int64_t(gpu::block().x) * width + t] = sum;
    }
  }
};

/// y[image, c] = sum over leaves of partial[image, leaf, c]: a lane for each result, every eighth leaf to a warp.
template <class T> struct AddPartialSums {
  static constexpr int threads = 256, slices = threads / 32;
  struct Shared {
    T part[slices][32];
  };
  T* y;
  T const* partial;
  std::int64_t leaves, width, results;
  RIG_DEVICE void operator()(Shared& shared) const {
    int const slice = gpu::warp(), lane = gpu::lane();
    std::int64_t const e = std::int64_t(gpu::block().x) * 32 + lane;
    T s = 0;
    if (e < results) {
      T const* p = partial + e / width * leaves * width + e % width;
      for (std::int64_t l = slice; l < leaves; l += slices) s += p[l * width];
    }
    shared.part[slice][lane] = s;
    gpu::barrier();
    if (slice > 0 || e >= results) return;
    for (int k = 1; k < slices; ++k) s += shared.part[k][lane];
    y[e] = s;
  }
};
template <class T>
void add_partial_sums(Device const& device, T* y, T const* partial, std::int64_t images, std::int64_t leaves, std::int64_t width) {
  launch(device, {int((images * width + 31) / 32), 1, 1}, AddPartialSums<T>{y, partial, leaves, width, images * width});
}

/// y [images, Leaf::width] from partial sums [images, leaves, width], leaves = (count + block_leaf - 1) / block_leaf.
template <class T, class Leaf>
void add_in_blocks(Device const& device, T* y, T* partial, std::int64_t images, std::int64_t count, Leaf const& leaf) {
  std::int64_t const leaves = (count + block_leaf - 1) / block_leaf;
  launch(device, {int(images * leaves), 1, 1}, AddInBlock<T, Leaf>{leaf, leaves == 1 ? y : partial, count, int(leaves)});
  if (leaves != 1) add_partial_sums(device, y, partial, images, leaves, std::int64_t(Leaf::width));
}

}  // namespace rig::inline RIG_ABI::render::detail
#endif
