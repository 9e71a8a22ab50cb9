// One launch for many tensors: an optimiser's step over all parameters of a module. A list of tensors goes to the device by value,
// 64 a launch; blocks take chunks of 4096 elements and find theirs by bisection. What is done to an element is the text of the
// plain kernel. Fast because small parameters share a launch: the bytes moved are the same (Adam: 28 an element in float), but a
// network of 100 parameters is two launches instead of 100. Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include <vector>

#include "rig/core/launch.hpp"
#include "rig/core/tensor.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::nn::detail {

/// Up to three arrays that are written and one that is read, all of n elements.
template <class T> struct TensorArrays {
  T *a, *b, *c;
  T const* g;
  std::int64_t n;
  int index;      ///< in the caller's order
  int first = 0;  ///< block, of a launch's
};

template <class T, class Step> struct FusedKernel {
  static constexpr int threads = 256, capacity = 64;
  static constexpr std::int64_t chunk = 4096;
  struct Shared {
    typename Step::Shared of_step;
  };
  TensorArrays<T> list[capacity];
  int count;
  Step step;

  RIG_DEVICE void operator()(Shared& shared) const {
    int const block = gpu::block().x;
    int k = 0;  // the last entry that does not begin after this block
    for (int half = capacity / 2; half > 0; half /= 2)
      if (k + half < count && list[k + half].first <= block) k += half;
    std::int64_t const begin = (block - list[k].first) * chunk, n = list[k].n;
    step(list[k], begin, begin + chunk < n ? begin + chunk : n, shared.of_step);
  }
};

/// Runs step(arrays, begin, end, shared) over all chunks of all tensors; step.block is the number of a launch's first block.
template <class T, class Step> int fused(Device const& device, std::vector<TensorArrays<T>> const& tensors, Step step) {
  using Kernel = FusedKernel<T, Step>;
  Kernel kernel{};
  int blocks = 0, total = 0;
  auto flush = [&] {
    step.block = total;
    kernel.step = step;
    launch(device, {blocks, 1, 1}, kernel);
    total += blocks, blocks = 0, kernel.count = 0;
  };
  for (auto const& t : tensors) {
    if (t.n == 0) continue;
    if (kernel.count == Kernel::capacity) flush();
    kernel.list[kernel.count] = t;
    kernel.list[kernel.count++].first = blocks;
    blocks += int((t.n + Kernel::chunk - 1) / Kernel::chunk);
  }
  flush();
  return total;
}

/// Sums of squares of a chunk each, in double.
template <class T> struct SquareSumStep {
  struct Shared {
    double part[8];
  };
  double* sums;
  int block;
  RIG_DEVICE void operator()(TensorArrays<T> const& x, std::int64_t begin, std::int64_t end, Shared& shared) const {
    double s = 0;
    for (std::int64_t i = begin + gpu::thread(); i < end; i += 256) s += double(x.g[i]) * double(x.g[i]);
    s = gpu::block_sum<256>(s, shared.part);
    if (gpu::thread() == 0) sums[block + gpu::block().x] = s;
  }
};
/// From sums of squares to the factor that bounds the norm: NaN, which optimisers take for "no step", if the norm is not finite.
template <class T> struct GradientFactorKernel {
  static constexpr int threads = 256;
  struct Shared {
    double part[8];
  };
  double const* sums;
  int count;
  double largest;
  T* factor;
  RIG_DEVICE void operator()(Shared& shared) const {
    double s = 0;
    for (int i = gpu::thread(); i < count; i += threads) s += sums[i];
    s = gpu::block_sum<threads>(s, shared.part);
    if (gpu::thread() != 0) return;
    double const norm = std::sqrt(s);
    *factor = norm - norm != 0 ? T(norm - norm) : norm > largest ? T(largest / norm) : T(1);
  }
};

/// An optimiser's plain kernel, made for each tensor by step.kernel(arrays), over the elements of a chunk.
template <class T, class Make> struct ElementStep {
  struct Shared {};
  Make make;
  int block;
  RIG_DEVICE void operator()(TensorArrays<T> const& x, std::int64_t begin, std::int64_t end, Shared&) const {
    if (make.stays()) return;
    auto const kernel = make(x);
    for (std::int64_t i = begin + gpu::thread(); i < end; i += 256) kernel(i);
  }
};

}  // namespace rig::inline RIG_ABI::nn::detail
#endif
