// The memory of one CUDA device, real or emulated: blocks that come back are kept and handed out again. Work on a queue runs in
// order, so a block can be given to the next op while the last one still uses it, and nothing has to wait.
// Captured work runs again on the same addresses. Its blocks are therefore its own for as long as it lives: they are handed out
// and come back within the capture, and nobody else gets them.
#pragma once
#include <memory>
#include <unordered_map>

#include "rig/backend/block_cache.ipp"
#include "rig/core/device.hpp"

namespace rig::inline RIG_ABI::detail {

/// System is a struct with `void* allocate(std::size_t) noexcept`, null when there is no memory or the device fails, and
/// `void release(void*) noexcept`.
template <class System> class DevicePool {
 public:
  /// What a capture owns.
  struct Arena {
    BlockCache idle;
    std::unordered_map<void*, bool> in_use;
    std::unordered_map<void*, std::size_t> size;
  };

  explicit DevicePool(System system) : system_(std::move(system)) {}

  /// Null if the system has none, even after it was given the idle blocks back.
  void* take(std::size_t bytes) {
    std::size_t const size = BlockCache::rounded(bytes);
    void* p = (capturing_ ? capturing_->idle : idle_).take(size);
    if (!p) {
      p = system_.allocate(size);
      if (!p && !capturing_) {
        drain();
        p = system_.allocate(size);
      }
      if (!p) return nullptr;
      statistics_.reserved += size;
      ++statistics_.system_allocations;
      if (capturing_) owner_[p] = capturing_, capturing_->size[p] = size;
    }
    if (capturing_) capturing_->in_use[p] = true;
    statistics_.in_use += size;
    if (statistics_.in_use > statistics_.peak) statistics_.peak = statistics_.in_use;
    return p;
  }
  void give(void* p, std::size_t bytes) noexcept {
    std::size_t const size = BlockCache::rounded(bytes);
    statistics_.in_use -= size;
    try {
      auto const it = owner_.find(p);
      if (it == owner_.end()) return idle_.give(size, p);
      it->second->in_use[p] = false;
      it->second->idle.give(size, p);
    } catch (...) {  // no memory to note it in: the block is lost until the process ends
    }
  }
  void drain() noexcept {
    statistics_.reserved -= idle_.drain([&](void* p) { system_.release(p); });
  }

  std::shared_ptr<Arena> begin_capture() {
    capturing_ = std::make_shared<Arena>();
    return capturing_;
  }
  void end_capture() { capturing_.reset(); }
  /// When captured work is given up: its idle blocks are everybody's, the others once they come back.
  void dissolve(Arena& arena) noexcept {
    try {
      for (auto const& [p, size] : arena.size) {
        owner_.erase(p);
        if (!arena.in_use[p]) idle_.give(size, p);
      }
    } catch (...) {}
    arena.size.clear();
  }
  MemoryStatistics const& statistics() const { return statistics_; }
  System const& system() const { return system_; }

 private:
  System system_;
  BlockCache idle_;
  std::shared_ptr<Arena> capturing_;
  std::unordered_map<void*, std::shared_ptr<Arena>> owner_;
  MemoryStatistics statistics_;
};

}  // namespace rig::inline RIG_ABI::detail
