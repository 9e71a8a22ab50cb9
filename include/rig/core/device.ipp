#pragma once
#include <cstdlib>
#include <cstring>
#include <mutex>
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "rig/backend/block_cache.ipp"
#include "rig/core/device.hpp"
#if RIG_CUDA
#include "rig/backend/cuda_queue_impl.ipp"
#elif RIG_EMULATED
#include "emulator/queue.hpp"
#endif

namespace rig::inline RIG_ABI {
namespace detail {

class CpuQueue final : public Queue {
 public:
  ~CpuQueue() override { trim(); }
  void* allocate(std::size_t bytes) override {
    std::lock_guard lock(mutex_);
    std::size_t size = BlockCache::rounded(bytes);
    void* p = cache_.take(size);
    if (!p) {
      p = std::aligned_alloc(64, size);
      if (!p) {
        drain();
        p = std::aligned_alloc(64, size);
      }
      check(p != nullptr, "cpu: out of memory: ", bytes, " bytes asked for, ", statistics_.in_use, " in use");
      statistics_.reserved += size;
      ++statistics_.system_allocations;
#if RIG_EMULATED
      EmulatedMemory::get().of_host(p, size);
#endif
    }
    statistics_.in_use += size;
    if (statistics_.in_use > statistics_.peak) statistics_.peak = statistics_.in_use;
    return p;
  }
  void release(void* p, std::size_t bytes) noexcept override {
    std::lock_guard lock(mutex_);
    std::size_t size = BlockCache::rounded(bytes);
    statistics_.in_use -= size;
    try {
      cache_.give(size, p);
    } catch (...) {
      give_back(p);
      statistics_.reserved -= size;
    }
  }
  void copy(void* to, void const* from, std::size_t bytes) override {
    if (bytes) std::memcpy(to, from, bytes);
  }
  void upload(void* to, void const* from, std::size_t bytes) override { copy(to, from, bytes); }
  void download(void* to, void const* from, std::size_t bytes) override { copy(to, from, bytes); }
  void wait() override {}
  void trim() noexcept override {
    std::lock_guard lock(mutex_);
    drain();
  }
  MemoryStatistics memory() const override {
    std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  static void give_back(void* p) {
#if RIG_EMULATED
    EmulatedMemory::get().forget_host(p);
#endif
    std::free(p);
  }
  void drain() { statistics_.reserved -= cache_.drain(give_back); }
  mutable std::mutex mutex_;
  BlockCache cache_;
  MemoryStatistics statistics_;
};

}  // namespace detail

// A machine has one host memory, so this is the one object of static life in rig. Tensors keep it alive, not the reverse.
RIG_INLINE Device cpu() {
  static std::shared_ptr<Queue> const queue = std::make_shared<detail::CpuQueue>();
  return Device(queue);
}

RIG_INLINE Device cuda([[maybe_unused]] int index) {
#if RIG_CUDA
  return detail::make_cuda_device(index);
#elif RIG_EMULATED
  return detail::make_emulated_device(index);
#else
  throw Error("rig::cuda: this program was built without CUDA; build it with nvcc (cmake -DRIG_CUDA=ON)");
#endif
}

RIG_INLINE Device device_from_name(std::string_view name) {
  if (name == "cpu") return cpu();
  if (name == "cuda") return cuda(0);
  if (name.substr(0, 5) == "cuda:" && name.size() > 5 && name.size() < 8 &&
      name.find_first_not_of("0123456789", 5) == std::string_view::npos)
    return cuda(std::atoi(std::string(name.substr(5)).c_str()));
  throw Error(str("device: expected cpu, cuda or cuda:N, got '", name, "'"));
}

#if defined(_OPENMP)
RIG_INLINE void set_threads(int count) { omp_set_num_threads(count > 0 ? count : omp_get_num_procs()); }
RIG_INLINE int threads() { return omp_get_max_threads(); }
#else
RIG_INLINE void set_threads(int) {}
RIG_INLINE int threads() { return 1; }
#endif

}  // namespace rig::inline RIG_ABI
