// Launching over a batch of images. kernel(image, i) is called for every i < count of every image; the CPU cuts each image
// into pieces of fixed size, so that one large image keeps all cores busy as well as many small ones do.
// Sums over an image are made of leaves of 1,024 terms, added in ascending order: no thread count changes a bit. A GPU makes
// its own leaves (cuda/per_image.hpp).
#pragma once
#include <cmath>
#include <cstdint>

#include "rig/core/launch.hpp"
#include "rig/core/tensor.hpp"
#include "rig/core/vec.hpp"
#include "rig/render/cuda/per_image.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

/// a * b + c in one rounding, where the machine has the instruction; elsewhere as two (a call into libm costs more than all the rest).
/// A program that has a GPU rounds once on the host, too, so that geometry has the same bits on both.
template <class T> RIG_HD T mul_add(T a, T b, T c) {
#if defined(__FMA__) || defined(__CUDACC__) || defined(__ARM_FEATURE_FMA)
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

/// a * b, rounded: nvcc may not join it with the addition that follows. For geometry, which has the same bits on every machine.
template <class T> RIG_HD T product(T a, T b) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == 4)
    return __fmul_rn(a, b);
  else
    return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

template <class T> RIG_HD bool finite(T v) { return v - v == T(0); }
/// Gradients that are not finite are dropped where they arise: bad input must not spread over a whole batch.
template <class T> RIG_HD T or_zero(T v) { return finite(v) ? v : T(0); }
template <class T> RIG_HD Vec3<T> or_zero(Vec3<T> v) { return finite(v.x) && finite(v.y) && finite(v.z) ? v : Vec3<T>{T(0), T(0), T(0)}; }

template <class K> struct PieceKernel {
  K kernel;
  std::int64_t count, pieces, length;
  RIG_HD void operator()(std::int64_t p) const {
    std::int64_t const image = p / pieces, begin = p % pieces * length, end = begin + length < count ? begin + length : count;
    K k = kernel;
    for (std::int64_t i = begin; i < end; ++i) k(image, i);
  }
};

/// kernel(image, i) for all images and all i < count.
template <class K> void for_each_in_images(Device const& device, std::int64_t images, std::int64_t count, K const& kernel) {
  if (images <= 0 || count <= 0) return;
  if (device.is_cpu()) {
    std::int64_t const length = 4096, pieces = (count + length - 1) / length;
    PieceKernel<K> const piece{kernel, count, pieces, length};
    if (images * count < 8192) {
      for (std::int64_t p = 0; p < images * pieces; ++p) piece(p);
      return;
    }
    for_each_heavy(device, images * pieces, piece);
    return;
  }
#if RIG_GPU
  launch_in_images(device, images, count, kernel);
#endif
}

inline constexpr std::int64_t sum_leaf = 1024;
inline std::int64_t sum_leaves(std::int64_t count) { return (count + sum_leaf - 1) / sum_leaf; }

/// Adds the partial sums [images, leaves, width] of each image in ascending order: y is [images, width].
template <class T> struct AddLeavesKernel {
  T* y;
  T const* partial;
  std::int64_t leaves, width;
  RIG_HD void operator()(std::int64_t image, std::int64_t c) const {
    T const* p = partial + image * leaves * width + c;
    T s = 0;
    for (std::int64_t l = 0; l < leaves; ++l) s += p[l * width];
    y[image * width + c] = s;
  }
};

template <class T, class Leaf> struct LeafKernel {
  Leaf leaf;
  T* partial;
  std::int64_t count, leaves;
  RIG_HD void operator()(std::int64_t p) const {
    std::int64_t const image = p / leaves, begin = p % leaves * sum_leaf, end = begin + sum_leaf < count ? begin + sum_leaf : count;
    T s[Leaf::width] = {};
    for (std::int64_t i = begin; i < end; ++i) leaf.add(image, i, s);
    for (int c = 0; c < Leaf::width; ++c) partial[p * Leaf::width + c] = s[c];
  }
};
/// Sums over the elements of each image: [images, Leaf::width]. leaf.add(image, i, T* s) adds the terms of element i to s; it
/// may also store what it finds on the way, and is called once an element.
template <class T, class Leaf> Tensor<T> sum_images(Device const& device, std::int64_t images, std::int64_t count, Leaf const& leaf) {
  constexpr std::int64_t width = Leaf::width;
#if RIG_GPU
  if (!device.is_cpu()) {
    Tensor<T> y({images, width}, device), partial({images, (count + block_leaf - 1) / block_leaf, width}, device);
    add_in_blocks(device, y.mutate(), partial.mutate(), images, count, leaf);
    return y;
  }
#endif
  std::int64_t const leaves = sum_leaves(count);
  Tensor<T> y({images, width}, device), partial({images, leaves, width}, device);
  for_each_on_cpu(images * leaves, LeafKernel<T, Leaf>{leaf, partial.mutate(), count, leaves});
  for_each(device, images, width, AddLeavesKernel<T>{y.mutate(), partial.data(), leaves, width});
  return y;
}
/// kernel(image, i) for every element of a sum, in the same pass.
template <class K, class Leaf> struct WithSum {
  static constexpr int width = Leaf::width;
  K kernel;
  Leaf leaf;
  template <class T> RIG_HD void add(std::int64_t image, std::int64_t i, T* s) const {
    kernel(image, i);
    leaf.add(image, i, s);
  }
};

}  // namespace detail

}  // namespace rig::inline RIG_ABI::render
