#pragma once
#include <mutex>

#include "rig/backend/block_cache.ipp"
#include "rig/backend/cuda_queue.ipp"

namespace rig::inline RIG_ABI::detail {

class CudaQueue final : public Queue {
 public:
  explicit CudaQueue(int index) : index_(index) {
    select();
    cuda_check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cuda");
  }
  // At shutdown the driver may be gone already; what it says then is not an error.
  ~CudaQueue() override {
    if (cudaSetDevice(index_) != cudaSuccess) return;
    cudaStreamSynchronize(stream_);
    cache_.drain([](void* p) { cudaFree(p); });
    cudaStreamDestroy(stream_);
  }
  void* allocate(std::size_t bytes) override {
    std::lock_guard lock(mutex_);
    std::size_t const size = BlockCache::rounded(bytes);
    void* p = cache_.take(size);
    if (!p) {
      select();
      cudaError_t e = cudaMalloc(&p, size);
      if (e == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        cudaStreamSynchronize(stream_);
        statistics_.reserved -= cache_.drain([](void* q) { cudaFree(q); });
        e = cudaMalloc(&p, size);
      }
      if (e != cudaSuccess) {
        cudaGetLastError();
        std::size_t free_bytes = 0, total = 0;
        cudaMemGetInfo(&free_bytes, &total);
        throw Error(str("cuda:", index_, ": out of memory: ", bytes, " bytes asked for, ", free_bytes, " of ", total, " free, ",
                        statistics_.in_use, " in use by rig"));
      }
      statistics_.reserved += size;
      ++statistics_.system_allocations;
    }
    statistics_.in_use += size;
    if (statistics_.in_use > statistics_.peak) statistics_.peak = statistics_.in_use;
    return p;
  }
  void release(void* p, std::size_t bytes) noexcept override {
    std::lock_guard lock(mutex_);
    std::size_t const size = BlockCache::rounded(bytes);
    statistics_.in_use -= size;
    try {
      cache_.give(size, p);
    } catch (...) {
      cudaFree(p);
      statistics_.reserved -= size;
    }
  }
  void copy(void* to, void const* from, std::size_t bytes) override {
    select();
    if (bytes) cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), "copy");
  }
  void wait() override { cuda_check(cudaStreamSynchronize(stream_), "wait"); }
  void trim() noexcept override {
    std::lock_guard lock(mutex_);
    cudaStreamSynchronize(stream_);
    statistics_.reserved -= cache_.drain([](void* p) { cudaFree(p); });
  }
  MemoryStatistics memory() const override {
    std::lock_guard lock(mutex_);
    return statistics_;
  }
  bool is_cuda() const override { return true; }
  int index() const override { return index_; }
  cudaStream_t stream() const {
    select();
    return stream_;
  }

 private:
  void select() const { cuda_check(cudaSetDevice(index_), "cuda"); }
  int index_;
  cudaStream_t stream_{};
  mutable std::mutex mutex_;
  BlockCache cache_;
  MemoryStatistics statistics_;
};

RIG_INLINE cudaStream_t cuda_stream(Device const& device) { return static_cast<CudaQueue&>(device.queue()).stream(); }

RIG_INLINE Device make_cuda_device(int index) {
  int count = 0;
  cudaError_t e = cudaGetDeviceCount(&count);
  check(e == cudaSuccess, "rig::cuda: the driver does not answer: ", cudaGetErrorString(e));
  check(index >= 0 && index < count, "rig::cuda: device ", index, " does not exist; this machine has ", count);
  return Device(std::make_shared<CudaQueue>(index));
}

}  // namespace rig::inline RIG_ABI::detail
