// The blocks a pool keeps when they come back, by size. Sizes are rounded up to 1/8 of their power of two, so that
// shapes that vary a little from step to step share blocks and at most an eighth of the memory is unused.
#pragma once
#include <cstddef>
#include <map>
#include <vector>

#include "rig/core/config.hpp"

namespace rig::inline RIG_ABI::detail {

class BlockCache {
 public:
  static std::size_t rounded(std::size_t bytes) {
    std::size_t power = 256;
    if (bytes <= power) return power;
    while (power <= bytes / 2) power *= 2;
    std::size_t const grain = power / 8 < 64 ? 64 : power / 8;
    return (bytes + grain - 1) / grain * grain;
  }
  /// A block of exactly this rounded size, or null.
  void* take(std::size_t size) {
    auto it = idle_.find(size);
    if (it == idle_.end() || it->second.empty()) return nullptr;
    void* p = it->second.back();
    it->second.pop_back();
    return p;
  }
  void give(std::size_t size, void* p) { idle_[size].push_back(p); }
  /// Frees every idle block; returns how many bytes that were.
  template <class F> std::size_t drain(F&& free_block) {
    std::size_t bytes = 0;
    for (auto& [size, blocks] : idle_)
      for (void* p : blocks) free_block(p), bytes += size;
    idle_.clear();
    return bytes;
  }

 private:
  std::map<std::size_t, std::vector<void*>> idle_;
};

}  // namespace rig::inline RIG_ABI::detail
