// The emulated CUDA device: host memory that only kernels and copies may touch. Under the address sanitizer it is poisoned in
// between, so that a step that reads the device's memory on the host is found without a GPU. The other way round, what is handed
// to a kernel is searched for pointers into the CPU's memory. Captured work is kept and done when it is replayed, as a GPU does.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <new>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "emulator/executor.hpp"
#include "rig/backend/device_pool.ipp"
#include "rig/core/device.hpp"

namespace rig::inline RIG_ABI::detail {

/// The blocks of all emulated devices and of the CPU, and whether something that runs on a device may read the former now.
struct EmulatedMemory {
  struct Block {
    std::size_t bytes;
    int device;
  };
  std::map<char const*, Block> blocks;             // that are handed out
  std::map<char const*, std::size_t> host_blocks;  // of the CPU's pool
  int open = 0;

  static EmulatedMemory& get() {
    static auto& memory = *new EmulatedMemory;  // the CPU's pool, which lives as long as the program, reports to it
    return memory;
  }
  void lock([[maybe_unused]] void const* p, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_poison_memory_region(p, bytes);
#endif
  }
  void unlock([[maybe_unused]] void const* p, [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
    __asan_unpoison_memory_region(p, bytes);
#endif
  }
  void of_host(void* p, std::size_t bytes) { host_blocks[static_cast<char*>(p)] = bytes; }
  void forget_host(void* p) { host_blocks.erase(static_cast<char*>(p)); }

  /// Throws if one of the words at `p` points where a kernel on that device may not go.
  void check_pointers(char const* op, int device, void const* p, std::size_t bytes) const {
    for (std::size_t at = 0; at + sizeof(char*) <= bytes; at += sizeof(char*)) {
      char const* word;
      std::memcpy(&word, static_cast<char const*>(p) + at, sizeof word);
      if (auto const host = host_blocks.upper_bound(word); host != host_blocks.begin()) {
        auto const& [first, size] = *std::prev(host);
        check(word >= first + size, op, ": a kernel on cuda:", device, " was given memory of the cpu");
      }
      if (auto const other = blocks.upper_bound(word); other != blocks.begin()) {
        auto const& [first, block] = *std::prev(other);
        check(word >= first + block.bytes || block.device == device, op, ": a kernel on cuda:", device,
              " was given memory of cuda:", block.device);
      }
    }
  }
};

/// While it lives a kernel runs, and the device's memory can be read.
class EmulatedKernel {
 public:
  EmulatedKernel() {
    auto& memory = EmulatedMemory::get();
    if (memory.open++ == 0)
      for (auto const& [p, block] : memory.blocks) memory.unlock(p, block.bytes);
  }
  ~EmulatedKernel() {
    auto& memory = EmulatedMemory::get();
    if (--memory.open == 0)
      for (auto const& [p, block] : memory.blocks) memory.lock(p, block.bytes);
  }
  EmulatedKernel(EmulatedKernel const&) = delete;
  EmulatedKernel& operator=(EmulatedKernel const&) = delete;
};

/// Where an emulated device's memory comes from. What the pool keeps is poisoned all the time.
struct EmulatedSystem {
  struct State {
    std::size_t limit = std::size_t(16) << 30, used = 0;
    std::unordered_map<void*, std::size_t> sizes;
  };
  std::shared_ptr<State> state = std::make_shared<State>();

  void* allocate(std::size_t size) noexcept {
    void* const p = size <= state->limit - state->used ? std::aligned_alloc(64, size) : nullptr;
    if (!p) return nullptr;
    state->used += size;
    state->sizes[p] = size;
    EmulatedMemory::get().lock(p, size);
    return p;
  }
  void release(void* p) noexcept {
    EmulatedMemory::get().unlock(p, state->sizes[p]);
    state->used -= state->sizes[p];
    state->sizes.erase(p);
    std::free(p);
  }
};

class EmulatedQueue final : public Queue {
 public:
  using Pool = DevicePool<EmulatedSystem>;
  explicit EmulatedQueue(int index) : index_(index), pool_(system_) {}
  ~EmulatedQueue() override { pool_.drain(); }
  void* allocate(std::size_t bytes) override {
    void* const p = pool_.take(bytes);
    check(p != nullptr, *this, ": out of memory in ", op(), ": ", bytes, " bytes asked for, ", free_bytes(), " free, ",
          pool_.statistics().in_use, " in use by rig");
    auto& memory = EmulatedMemory::get();
    memory.unlock(p, bytes);
    std::memset(p, 0x7f, bytes);  // numbers that show: about 3.4e38
    memory.blocks[static_cast<char*>(p)] = {bytes, index_};
    if (!memory.open) memory.lock(p, bytes);
    return p;
  }
  void release(void* p, std::size_t bytes) noexcept override {
    auto& memory = EmulatedMemory::get();
    memory.lock(p, bytes);
    memory.blocks.erase(static_cast<char*>(p));
    pool_.give(p, bytes);
  }
  void copy(void* to, void const* from, std::size_t bytes) override {
    run([=] {
      if (bytes) std::memmove(to, from, bytes);
    });
  }
  void upload(void* to, void const* from, std::size_t bytes) override {
    check(!capture_, *this, ": ", op(), ": values were sent from the host in a step that is captured");
    ++work_.uploads;
    EmulatedKernel const running;
    if (bytes) std::memmove(to, from, bytes);
  }
  void download(void* to, void const* from, std::size_t bytes) override {
    wait();
    EmulatedKernel const running;
    if (bytes) std::memmove(to, from, bytes);
  }
  void wait() override {
    check(!capture_, *this, ": ", op(), ": the host waited in a step that is captured");
    ++work_.waits;
  }
  void trim() noexcept override { pool_.drain(); }
  MemoryStatistics memory() const override { return pool_.statistics(); }
  bool is_cuda() const override { return true; }
  int index() const override { return index_; }

  bool can_capture() const override { return true; }
  bool capturing() const override { return bool(capture_); }
  void begin_capture() override {
    check(!capture_, *this, ": a capture is under way already");
    capture_ = std::make_shared<Captured>(*this, pool_.begin_capture());
  }
  std::shared_ptr<CapturedWork> end_capture() override {
    pool_.end_capture();
    auto const captured = std::exchange(capture_, nullptr);
    check(refused_ != "the end", *this, ": the capture is refused");
    return captured;
  }
  void replay(CapturedWork& work) override {
    ++work_.replays;
    auto& captured = static_cast<Captured&>(work);
    auto& memory = EmulatedMemory::get();
    EmulatedKernel const running;
    for (auto const& [p, size] : captured.arena->size) memory.unlock(p, size);
    for (auto const& step : captured.steps) step();
    for (auto const& [p, size] : captured.arena->size) memory.lock(p, size);  // ~EmulatedKernel locks what is in use
  }

  /// Does it now, or notes it in the capture.
  void run(std::function<void()> step) {
    if (capture_) {
      check(refused_.empty() || refused_ != op(), *this, ": ", op(), ": the capture is refused");
      return capture_->steps.push_back(std::move(step));
    }
    EmulatedKernel const running;
    step();
  }
  template <class K> void launched(K const& kernel) {
    count_launch();
    static_assert(std::is_trivially_copyable_v<K>, "a kernel is copied to the device byte by byte");
    auto const bytes = std::make_unique<std::byte[]>(sizeof kernel);
    K* const copy = new (bytes.get()) K(kernel);
    __builtin_clear_padding(copy);  // what lies between members may look like anything
    EmulatedMemory::get().check_pointers(op(), index_, copy, sizeof kernel);
  }
  /// Tests of what happens when a capture comes to nothing, in that op or at "the end"; empty: all captures succeed.
  void refuse_captures(std::string where) { refused_ = std::move(where); }
  /// Tests of what happens when memory runs out.
  void limit_memory(std::size_t bytes) { system_.state->limit = bytes; }
  friend std::ostream& operator<<(std::ostream& o, EmulatedQueue const& q) { return o << "cuda:" << q.index_; }

 private:
  struct Captured final : CapturedWork {
    EmulatedQueue& queue;
    std::shared_ptr<Pool::Arena> arena;
    std::vector<std::function<void()>> steps;
    Captured(EmulatedQueue& q, std::shared_ptr<Pool::Arena> a) : queue(q), arena(std::move(a)) {}
    ~Captured() override { queue.pool_.dissolve(*arena); }
  };
  std::size_t free_bytes() const { return system_.state->limit - system_.state->used; }

  int index_;
  EmulatedSystem system_;
  Pool pool_;
  std::shared_ptr<Captured> capture_;
  std::string refused_;
};

/// Two devices, so that mixing them can be tried.
inline Device make_emulated_device(int index) {
  check(index >= 0 && index < 2, "rig::cuda: device ", index, " does not exist; the emulator has 2");
  return Device(std::make_shared<EmulatedQueue>(index));
}

/// A plain kernel in a loop of the caller's.
template <class K, class Loop> void emulated_run(Device const& device, K const& kernel, Loop loop) {
  auto& queue = static_cast<EmulatedQueue&>(device.queue());
  queue.launched(kernel);
  queue.run(std::move(loop));
}

template <class K> void emulated_launch(Device const& device, std::array<int, 3> grid, K const& kernel) {
  auto& queue = static_cast<EmulatedQueue&>(device.queue());
  queue.launched(kernel);
  queue.run([grid, kernel, op = queue.op()] {
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
        throw Error(str(op, ": block (", place.block[0], ", ", place.block[1], ", ", place.block[2], "): ", e.what()));
      }
    }
  });
}

}  // namespace rig::inline RIG_ABI::detail
