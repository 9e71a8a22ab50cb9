// The emulated CUDA device: host memory that only kernels and copies may touch. Under the address sanitizer it is poisoned in
// between, so that a step that reads the device's memory on the host is found without a GPU.
#pragma once
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <unordered_map>

#include "emulator/executor.hpp"
#include "rig/core/device.hpp"

namespace rig::inline RIG_ABI::detail {

/// The blocks of all emulated devices, and whether something that runs on a device may read them now.
struct EmulatedMemory {
  std::unordered_map<void*, std::size_t> blocks;
  int open = 0;

  static EmulatedMemory& get() {
    static EmulatedMemory memory;
    return memory;
  }
  void lock([[maybe_unused]] void* p, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    if (!open) __asan_poison_memory_region(p, bytes);
#endif
  }
  void unlock([[maybe_unused]] void* p, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(p, bytes);
#endif
  }
};

/// While it lives a kernel runs, and the device's memory can be read.
class EmulatedKernel {
 public:
  explicit EmulatedKernel(Device const& device) {
    check(device.is_cuda(), "an emulated kernel on ", device);
    auto& memory = EmulatedMemory::get();
    if (memory.open++ == 0)
      for (auto const& [p, bytes] : memory.blocks) memory.unlock(p, bytes);
  }
  ~EmulatedKernel() {
    auto& memory = EmulatedMemory::get();
    if (--memory.open == 0)
      for (auto const& [p, bytes] : memory.blocks) memory.lock(p, bytes);
  }
  EmulatedKernel(EmulatedKernel const&) = delete;
  EmulatedKernel& operator=(EmulatedKernel const&) = delete;
};

class EmulatedQueue final : public Queue {
 public:
  explicit EmulatedQueue(int index) : index_(index) {}
  void* allocate(std::size_t bytes) override {
    std::size_t const size = (bytes + 255) / 256 * 256;
    void* const p = std::aligned_alloc(256, size);
    check(p != nullptr, "emulated: out of memory");
    std::memset(p, 0x7f, size);  // numbers that show: about 3.4e38
    auto& memory = EmulatedMemory::get();
    memory.blocks[p] = bytes;
    memory.lock(p, bytes);
    ++statistics_.system_allocations;
    statistics_.in_use += size, statistics_.reserved += size;
    statistics_.peak = std::max(statistics_.peak, statistics_.in_use);
    return p;
  }
  void release(void* p, std::size_t bytes) noexcept override {
    auto& memory = EmulatedMemory::get();
    memory.unlock(p, bytes);
    memory.blocks.erase(p);
    std::size_t const size = (bytes + 255) / 256 * 256;
    statistics_.in_use -= size, statistics_.reserved -= size;
    std::free(p);
  }
  void copy(void* to, void const* from, std::size_t bytes) override {
    EmulatedKernel const running{Device(std::shared_ptr<Queue>(std::shared_ptr<Queue>(), this))};
    if (bytes) std::memmove(to, from, bytes);
  }
  void wait() override {}
  void trim() noexcept override {}
  MemoryStatistics memory() const override { return statistics_; }
  bool is_cuda() const override { return true; }
  int index() const override { return index_; }

 private:
  int index_;
  MemoryStatistics statistics_;
};

/// Two devices, so that mixing them can be tried.
inline Device make_emulated_device(int index) {
  check(index >= 0 && index < 2, "rig::cuda: device ", index, " does not exist; the emulator has 2");
  return Device(std::make_shared<EmulatedQueue>(index));
}

template <class K> void emulated_launch(Device const& device, std::array<int, 3> grid, K const& kernel) {
  EmulatedKernel const running(device);
  auto const shared = std::make_unique<typename K::Shared>();
  emulator::Place place;
  for (int a = 0; a < 3; ++a) place.blocks[a] = grid[std::size_t(a)];
  std::int64_t const blocks = std::int64_t(grid[0]) * grid[1] * grid[2];
  for (std::int64_t i = 0; i < blocks; ++i) {
    std::int64_t const b = emulator::order() == emulator::Order::forward ? i : blocks - 1 - i;
    place.block[0] = int(b % grid[0]), place.block[1] = int(b / grid[0] % grid[1]), place.block[2] = int(b / grid[0] / grid[1]);
    std::memset(static_cast<void*>(shared.get()), 0x7f, sizeof(typename K::Shared));  // nothing is left of the block before
    try {
      emulator::run_block(K::threads, place, [&] { kernel(*shared); });
    } catch (emulator::KernelFault const& e) {
      throw Error(str("block (", place.block[0], ", ", place.block[1], ", ", place.block[2], "): ", e.what()));
    }
  }
}

}  // namespace rig::inline RIG_ABI::detail
