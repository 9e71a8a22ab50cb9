// How kernels run. A kernel is a small struct with one call operator marked RIG_HD; the CPU runs the same text as CUDA.
//   for_each(device, n, kernel)            kernel(i),      i < n
//   for_each(device, rows, cols, kernel)   kernel(r, c),   the inner loop runs over c: no division for channels-last bias and rows
//   for_each_block(device, blocks, kernel) kernel(Block, Shared&), for threads that must meet; written in steps
//   launch(device, grid, kernel)           kernel(Shared&), written for the hardware with the words of gpu.hpp; where RIG_GPU
// An element is written by one call only, so the result does not depend on the number of threads.
#pragma once
#include <cstdint>

#include "rig/core/device.hpp"
#include "rig/core/gpu.hpp"
#if RIG_CUDA
#include "rig/backend/cuda_queue.ipp"
#elif RIG_EMULATED
#include "emulator/queue.hpp"
#endif

namespace rig::inline RIG_ABI {

namespace detail {
/// a / b for a >= 0, b > 0; on a GPU in 32 bits where they do, which is several times faster.
RIG_HD inline std::int64_t quotient(std::int64_t a, std::int64_t b) {
#if defined(__CUDA_ARCH__)
  if (((a | b) >> 32) == 0) return std::int64_t(unsigned(a) / unsigned(b));
#endif
  return a / b;
}
}  // namespace detail

/// The threads of one block. `each` runs its body once a thread and ends in a barrier.
template <int Threads> struct Block {
  std::int64_t index;

  template <class F> RIG_HD void each(F&& body) const {
#if defined(__CUDA_ARCH__)
    body(int(threadIdx.x));
    __syncthreads();
#else
    for (int t = 0; t < Threads; ++t) body(t);
#endif
  }
  /// part[0] = join of part[0..Threads), as a fixed tree; Threads is a power of two.
  template <class T, class Join> RIG_HD void reduce(T* part, Join join) const {
    static_assert((Threads & (Threads - 1)) == 0, "reduce needs a power of two");
    for (int half = Threads / 2; half > 0; half /= 2)
      each([&](int t) {
        if (t < half) part[t] = join(part[t], part[t + half]);
      });
  }
};

/// A value each thread keeps across barriers: a register on the GPU, an array entry on the CPU.
template <class T, int Threads> struct PerThread {
#if defined(__CUDA_ARCH__)
  T value;
  RIG_HD T& operator[](int) { return value; }
#else
  T value[Threads];
  RIG_HD T& operator[](int t) { return value[t]; }
#endif
};

#if RIG_CUDA
namespace detail {
template <class K> __global__ void for_each_kernel(std::int64_t n, K k) {
  for (std::int64_t i = blockIdx.x * std::int64_t(blockDim.x) + threadIdx.x; i < n; i += std::int64_t(gridDim.x) * blockDim.x) k(i);
}
template <class K> __global__ void for_each_2d_kernel(std::int64_t n, std::int64_t cols, K k) {
  for (std::int64_t i = blockIdx.x * std::int64_t(blockDim.x) + threadIdx.x; i < n; i += std::int64_t(gridDim.x) * blockDim.x) {
    std::int64_t const row = quotient(i, cols);
    k(row, i - row * cols);
  }
}
template <class K> __global__ void for_each_block_kernel(K k) {
  __shared__ typename K::Shared shared;
  k(Block<K::threads>{std::int64_t(blockIdx.x)}, shared);
}
template <class K>
concept SaysBlocks = requires {
  K::blocks;
};
// How many blocks of K are to fit on a multiprocessor at once; 0 leaves it to the compiler.
template <class K> constexpr int blocks_of() {
  if constexpr (SaysBlocks<K>)
    return K::blocks;
  else
    return 0;
}
// Threads and bytes of shared memory stand in the kernel's name for whoever reads a profile or bench/compile_resources.
template <class K, int Threads = K::threads, int SharedBytes = int(sizeof(typename K::Shared))>
__global__ void __launch_bounds__(Threads, blocks_of<K>()) launch_kernel(K const k) {
  extern __shared__ __align__(1024) unsigned char shared_bytes[];  // as matrix instructions of warpgroups want it
  k(*reinterpret_cast<typename K::Shared*>(shared_bytes));
}
inline unsigned blocks_for(std::int64_t n, int threads) {
  std::int64_t b = (n + threads - 1) / threads;
  return unsigned(b < 65536 ? b : 65536);
}
}  // namespace detail
#endif

namespace detail {
// Below this many elements a parallel region costs more than it saves.
inline constexpr std::int64_t parallel_threshold = 16384;

// The kernel is taken by value: with its members in registers the loop vectorises.
template <class K> void run_range(K kernel, std::int64_t begin, std::int64_t end) {
  for (std::int64_t i = begin; i < end; ++i) kernel(i);
}
template <class K> void run_row(K kernel, std::int64_t row, std::int64_t cols) {
  for (std::int64_t c = 0; c < cols; ++c) kernel(row, c);
}
}  // namespace detail

#if RIG_GPU
/// One block of K::threads threads for each index of the grid, on a device that is not the CPU; see gpu.hpp.
template <class K> void launch(Device const& device, gpu::Index3 grid, K const& kernel) {
  if (grid.x <= 0 || grid.y <= 0 || grid.z <= 0) return;
  check(grid.y <= 65535 && grid.z <= 65535, "launch: a grid has at most 65535 blocks along y and z, got ", grid.y, " and ", grid.z);
#if RIG_CUDA
  constexpr int bytes = int(sizeof(typename K::Shared));
  cudaStream_t const stream = detail::cuda_stream(device);  // selects the device, which the attribute is for
  if constexpr (bytes > 48 * 1024)
    detail::cuda_verify(device, cudaFuncSetAttribute(detail::launch_kernel<K>, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes),
                        "launch");
  detail::launch_kernel<K><<<dim3(unsigned(grid.x), unsigned(grid.y), unsigned(grid.z)), K::threads, bytes, stream>>>(kernel);
  detail::cuda_launched(device, "launch");
#else
  detail::emulated_launch<K>(device, {grid.x, grid.y, grid.z}, kernel);
#endif
}
#endif

template <class K> void for_each(Device const& device, std::int64_t n, K const& kernel) {
  if (n <= 0) return;
  if (device.is_cpu()) {
#if defined(_OPENMP)
    if (n >= detail::parallel_threshold) {
      std::int64_t const chunk = 4096, chunks = (n + chunk - 1) / chunk;
#pragma omp parallel for schedule(static)
      for (std::int64_t c = 0; c < chunks; ++c) detail::run_range(kernel, c * chunk, c + 1 < chunks ? (c + 1) * chunk : n);
      return;
    }
#endif
    detail::run_range(kernel, 0, n);
    return;
  }
#if RIG_CUDA
  detail::for_each_kernel<<<detail::blocks_for(n, 256), 256, 0, detail::cuda_stream(device)>>>(n, kernel);
  detail::cuda_launched(device, "for_each");
#elif RIG_EMULATED
  detail::emulated_run(device, kernel, [=] { detail::run_range(kernel, 0, n); });
#endif
}

template <class K> void for_each(Device const& device, std::int64_t rows, std::int64_t cols, K const& kernel) {
  if (rows <= 0 || cols <= 0) return;
  if (device.is_cpu()) {
#if defined(_OPENMP)
    if (rows > 1 && rows * cols >= detail::parallel_threshold) {
#pragma omp parallel for schedule(static)
      for (std::int64_t r = 0; r < rows; ++r) detail::run_row(kernel, r, cols);
      return;
    }
#endif
    for (std::int64_t r = 0; r < rows; ++r) detail::run_row(kernel, r, cols);
    return;
  }
#if RIG_CUDA
  detail::for_each_2d_kernel<<<detail::blocks_for(rows * cols, 256), 256, 0, detail::cuda_stream(device)>>>(rows * cols, cols, kernel);
  detail::cuda_launched(device, "for_each");
#elif RIG_EMULATED
  detail::emulated_run(device, kernel, [=] {
    for (std::int64_t r = 0; r < rows; ++r) detail::run_row(kernel, r, cols);
  });
#endif
}

/// Like for_each_heavy, for a kernel that is there for the CPU alone: it need not be RIG_HD, and nvcc makes nothing of it.
template <class K> void for_each_on_cpu(std::int64_t n, K const& kernel) {
#if defined(_OPENMP)
  if (n > 1) {
#pragma omp parallel for schedule(dynamic, 1)
    for (std::int64_t i = 0; i < n; ++i) kernel(i);
    return;
  }
#endif
  detail::run_range(kernel, 0, n);
}

/// Like for_each, but each call is heavy (a whole row, image, triangle): parallel from two calls up.
template <class K> void for_each_heavy(Device const& device, std::int64_t n, K const& kernel) {
  if (n <= 0) return;
  if (device.is_cpu()) return for_each_on_cpu(n, kernel);
#if RIG_CUDA
  detail::for_each_kernel<<<detail::blocks_for(n, 64), 64, 0, detail::cuda_stream(device)>>>(n, kernel);
  detail::cuda_launched(device, "for_each_heavy");
#elif RIG_EMULATED
  detail::emulated_run(device, kernel, [=] { detail::run_range(kernel, 0, n); });
#endif
}

template <class K> void for_each_block(Device const& device, std::int64_t blocks, K const& kernel) {
  if (blocks <= 0) return;
  if (device.is_cpu()) {
#if defined(_OPENMP)
#pragma omp parallel for schedule(static) if (blocks > 1)
#endif
    for (std::int64_t b = 0; b < blocks; ++b) {
      typename K::Shared shared;
      kernel(Block<K::threads>{b}, shared);
    }
    return;
  }
#if RIG_CUDA
  check(blocks <= 0x7fffffff, "for_each_block: at most 2^31 - 1 blocks, got ", blocks);
  detail::for_each_block_kernel<<<unsigned(blocks), K::threads, 0, detail::cuda_stream(device)>>>(kernel);
  detail::cuda_launched(device, "for_each_block");
#elif RIG_EMULATED
  detail::emulated_run(device, kernel, [=] {
    for (std::int64_t b = 0; b < blocks; ++b) {
      typename K::Shared shared;
      kernel(Block<K::threads>{b}, shared);
    }
  });
#endif
}

}  // namespace rig::inline RIG_ABI
