// Runs the text of CUDA kernels under g++: every thread of a block is a fiber, blocks run one after the other. A fiber runs
// until it has to wait for others, at a barrier or a warp's exchange. Threads that wait for one that never comes end the kernel
// with an error that says where everyone stands. The order in which threads run can be turned round, to find results that
// depend on it: a missing barrier. Copies that run beside the threads land as late as they may, when somebody waits for them, or as
// early, at once; a slot that is read before it was waited for shows in the first, one that is filled while others read it in the second.
// What kernels call is not inlined into them, which under the sanitizers would take minutes to compile.
// Test-only: rig/core/gpu.hpp includes it in builds with RIG_EMULATED.
#pragma once
#include <boost/context/fiber.hpp>
#include <boost/context/preallocated.hpp>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace emulator {

enum class Order { forward, backward, shuffled };
/// In which order the threads of a block run, and blocks of a grid.
inline Order& order() {
  static Order o = Order::forward;
  return o;
}

enum class Landing { late, early };
/// When the bytes of an asynchronous copy are there.
inline Landing& landing() {
  static Landing l = Landing::late;
  return l;
}
/// Runs f in every order, and with both kinds of landing.
template <class F> void in_every_order(F const& f) {
  struct Back {
    ~Back() { order() = Order::forward, landing() = Landing::late; }
  } const back;
  for (Order o : {Order::forward, Order::backward, Order::shuffled}) order() = o, f();
  landing() = Landing::early;
  for (Order o : {Order::forward, Order::backward}) order() = o, f();
}

/// What a kernel did wrong, in its own name.
struct KernelFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Place {
  int thread = 0;
  int block[3] = {}, blocks[3] = {};
};

namespace detail {

struct Copy {
  void* to;
  void const* from;
  int bytes;
  bool valid;
  void started() const {
    if (landing() == Landing::early) land();
  }
  void awaited() const {
    if (landing() == Landing::late) land();
  }

 private:
  void land() const {
    if (valid)
      std::memcpy(to, from, std::size_t(bytes));
    else
      std::memset(to, 0, std::size_t(bytes));
  }
};

/// What copy_block has started on one Arrival.
struct Arrivals {
  long phase = 0;
  std::vector<Copy> open;
};

struct Warp {
  int live = 0, arrived = 0;
  long generation = 0;
  // Two buffers, used in turns: a lane may start the next exchange while others still read this one.
  alignas(16) unsigned char slot[2][32][64] = {};
};

struct Thread {
  Place place;
  boost::context::fiber fiber;
  boost::context::fiber* scheduler = nullptr;  // where to go back to
  bool finished = false;
  long const* awaited = nullptr;  // runs on when *awaited differs from `seen`
  long seen = 0;
  char const* where = "";
  std::vector<std::vector<Copy>> groups;  // copies committed and not yet waited for
  std::vector<Copy> open;
  std::vector<std::function<void()>> products, committed;  // of the warpgroup, not yet waited for
  void* fake_stack = nullptr;
};

// One fiber's stack, allocated once and used for every block.
struct Stack {
  static constexpr std::size_t size = 256 * 1024;
  std::unique_ptr<char[]> memory{new char[size]};
};
struct Keep {  // Boost frees stacks through their allocator; these live on
  boost::context::stack_context allocate() { throw std::bad_alloc(); }
  void deallocate(boost::context::stack_context&) noexcept {}
};

struct State {
  Thread* thread = nullptr;  // that runs now
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<Stack> stacks;
  std::map<void const*, Arrivals> arrivals;
  long block_generation = 0;
  int block_arrived = 0;
  std::exception_ptr error;  // of the first thread that failed; the others are then given up
  bool given_up = false;
  void* scheduler_fake = nullptr;
  void const* scheduler_bottom = nullptr;
  std::size_t scheduler_size = 0;
};
inline State& state() {
  static State s;
  return s;
}

#if defined(__SANITIZE_ADDRESS__)
inline void leaving(void** fake, void const* bottom, std::size_t size) { __sanitizer_start_switch_fiber(fake, bottom, size); }
inline void arrived(void* fake, void const** bottom, std::size_t* size) { __sanitizer_finish_switch_fiber(fake, bottom, size); }
#else
inline void leaving(void**, void const*, std::size_t) {}
inline void arrived(void*, void const**, std::size_t*) {}
#endif

/// The frames in which the fiber before ended never returned: what the sanitizer knows of them is forgotten.
inline void clean([[maybe_unused]] char* stack) {
#if defined(__SANITIZE_ADDRESS__)
  constexpr std::size_t used = 64 * 1024;
  __asan_unpoison_memory_region(stack + Stack::size - used, used);
#endif
}

struct GivenUp {};

// Back to the scheduler, until it is this thread's turn again.
inline void yield() {
  State& s = state();
  Thread* const self = s.thread;
  leaving(&self->fake_stack, s.scheduler_bottom, s.scheduler_size);
  *self->scheduler = std::move(*self->scheduler).resume();
  arrived(self->fake_stack, &s.scheduler_bottom, &s.scheduler_size);
  if (s.given_up) throw GivenUp{};
}
[[gnu::noinline]] inline void wait_for(long const& generation, long seen, char const* where) {
  Thread* const self = state().thread;
  self->awaited = &generation, self->seen = seen, self->where = where;
  while (generation == seen) yield();
  self->awaited = nullptr;
}
[[gnu::noinline]] inline void meet(int& arrived_count, int live, long& generation, char const* where) {
  long const seen = generation;
  if (++arrived_count == live) {
    arrived_count = 0;
    ++generation;
  } else {
    wait_for(generation, seen, where);
  }
}

}  // namespace detail

inline Place const& current() { return detail::state().thread->place; }

[[gnu::noinline]] inline void barrier() {
  auto& s = detail::state();
  detail::meet(s.block_arrived, int(s.threads.size()), s.block_generation, "barrier");
}
[[gnu::noinline]] inline void warp_barrier() {
  auto& s = detail::state();
  auto& w = s.warps[std::size_t(s.thread->place.thread / 32)];
  detail::meet(w.arrived, w.live, w.generation, "warp_barrier");
}

/// Every lane puts a value down and takes another lane's.
template <class T, class From> T exchange(T value, From from) {
  static_assert(sizeof(T) <= 64);
  auto& s = detail::state();
  auto& w = s.warps[std::size_t(s.thread->place.thread / 32)];
  int const lane = s.thread->place.thread % 32, side = int(w.generation % 2);
  std::memcpy(w.slot[side][lane], &value, sizeof value);
  detail::meet(w.arrived, w.live, w.generation, "a warp's exchange");
  int const other = from(lane);
  if (other >= w.live) throw KernelFault("a shuffle asks lane " + std::to_string(other) + " of a warp of " + std::to_string(w.live));
  T result;
  std::memcpy(&result, w.slot[side][other], sizeof result);
  return result;
}
[[gnu::noinline]] inline unsigned ballot(bool vote) {
  auto& s = detail::state();
  auto& w = s.warps[std::size_t(s.thread->place.thread / 32)];
  int const lane = s.thread->place.thread % 32, side = int(w.generation % 2);
  w.slot[side][lane][0] = vote;
  detail::meet(w.arrived, w.live, w.generation, "a vote");
  unsigned bits = 0;
  for (int i = 0; i < w.live; ++i) bits |= unsigned(w.slot[side][i][0] != 0) << i;
  return bits;
}

[[gnu::noinline]] inline void copy_async(void* to, void const* from, int bytes, bool valid) {
  if (reinterpret_cast<std::uintptr_t>(to) % unsigned(bytes) || (valid && reinterpret_cast<std::uintptr_t>(from) % unsigned(bytes)))
    throw KernelFault("copy_async of " + std::to_string(bytes) + " bytes from or to an address that is not aligned to them");
  auto& open = detail::state().thread->open;
  open.push_back({to, from, bytes, valid});
  open.back().started();
}
[[gnu::noinline]] inline void copy_commit() {
  auto& t = *detail::state().thread;
  t.groups.push_back(std::move(t.open));
  t.open.clear();
}
[[gnu::noinline]] inline void copy_wait(int pending) {
  auto& groups = detail::state().thread->groups;
  while (int(groups.size()) > pending) {
    for (auto const& c : groups.front()) c.awaited();
    groups.erase(groups.begin());
  }
}

namespace detail {
// d += a b of one warp: every lane puts its fragments down, then computes its four results from all of them. Products are
// exact in double; the sum is rounded once, which is within what the hardware may do.
struct Fragments {
  std::uint32_t a[4], b[2];
};
template <int K, class Element> void mma(float (&d)[4], std::uint32_t const (&a)[4], std::uint32_t const (&b)[2], Element element) {
  auto& s = state();
  auto& w = s.warps[std::size_t(s.thread->place.thread / 32)];
  if (w.live != 32) throw KernelFault("a matrix instruction in a warp of " + std::to_string(w.live));
  int const lane = s.thread->place.thread % 32, side = int(w.generation % 2), g = lane / 4, t = lane % 4;
  Fragments mine;
  std::memcpy(mine.a, a, sizeof mine.a), std::memcpy(mine.b, b, sizeof mine.b);
  std::memcpy(w.slot[side][lane], &mine, sizeof mine);
  meet(w.arrived, w.live, w.generation, "a matrix instruction");
  auto of = [&](int from) -> Fragments const& { return *reinterpret_cast<Fragments const*>(w.slot[side][from]); };
  for (int i = 0; i < 4; ++i) {
    int const row = g + (i / 2) * 8, column = 2 * t + i % 2;
    double sum = d[i];
    for (int k = 0; k < K; ++k) sum += double(element.a(of, row, k)) * double(element.b(of, k, column));
    d[i] = float(sum);
  }
}
inline float bits_to_float(std::uint32_t b) {
  float v;
  std::memcpy(&v, &b, 4);
  return v;
}
struct Tf32Element {
  template <class Of> static float a(Of const& of, int row, int k) {
    return bits_to_float(of(row % 8 * 4 + k % 4).a[row / 8 + 2 * (k / 4)] & 0xffffe000u);
  }
  template <class Of> static float b(Of const& of, int k, int column) {
    return bits_to_float(of(column * 4 + k % 4).b[k / 4] & 0xffffe000u);
  }
};
struct Bf16Element {
  static float half(std::uint32_t pair, int k) { return bits_to_float(k % 2 ? pair & 0xffff0000u : pair << 16); }
  template <class Of> static float a(Of const& of, int row, int k) { return half(of(row % 8 * 4 + k % 8 / 2).a[row / 8 + 2 * (k / 8)], k); }
  template <class Of> static float b(Of const& of, int k, int column) { return half(of(column * 4 + k % 8 / 2).b[k / 8], k); }
};
}  // namespace detail
[[gnu::noinline]] inline void mma_tf32(float (&d)[4], std::uint32_t const (&a)[4], std::uint32_t const (&b)[2]) {
  detail::mma<8>(d, a, b, detail::Tf32Element{});
}
[[gnu::noinline]] inline void mma_bf16(float (&d)[4], std::uint32_t const (&a)[4], std::uint32_t const (&b)[2]) {
  detail::mma<16>(d, a, b, detail::Bf16Element{});
}

// ---- copies of whole blocks, and products of warpgroups ----

[[gnu::noinline]] inline void arrival_start(void const* a) {
  auto& s = detail::state();
  if (!s.arrivals.emplace(a, detail::Arrivals{}).second) throw KernelFault("arrival_start of one that was started");
}
[[gnu::noinline]] inline void copy_block(void* to, void const* from, int bytes, void const* a) {
  auto& s = detail::state();
  if (bytes <= 0 || bytes % 16 || reinterpret_cast<std::uintptr_t>(to) % 16 || reinterpret_cast<std::uintptr_t>(from) % 16)
    throw KernelFault("copy_block of " + std::to_string(bytes) + " bytes: they and both addresses must be multiples of 16");
  auto const found = s.arrivals.find(a);
  if (found == s.arrivals.end()) throw KernelFault("copy_block to an arrival that was not started");
  if (!found->second.open.empty()) throw KernelFault("copy_block to an arrival that is still waited for");
  found->second.open.push_back({to, from, bytes, true});
  found->second.open.back().started();
}
[[gnu::noinline]] inline void arrival_wait(void const* a, int phase) {
  auto& s = detail::state();
  auto const found = s.arrivals.find(a);
  if (found == s.arrivals.end()) throw KernelFault("arrival_wait for one that was not started");
  auto& arrivals = found->second;
  if (arrivals.phase % 2 != phase) return;
  if (arrivals.open.empty()) return detail::wait_for(arrivals.phase, arrivals.phase, "an arrival");
  for (auto const& c : arrivals.open) c.awaited();
  arrivals.open.clear();
  ++arrivals.phase;
}

namespace detail {
/// Number k of row `row` of a matrix as warpgroup instructions see it, `p` at number 0 of row 0.
inline float swizzled_bf16(void const* p, int row, int k) {
  auto const at = reinterpret_cast<std::uintptr_t>(p) + std::uintptr_t(row) * 128 + std::uintptr_t(k) * 2;
  std::uint16_t bits;
  std::memcpy(&bits, reinterpret_cast<void const*>(at ^ (at >> 7 & 7) << 4), 2);
  return bits_to_float(std::uint32_t(bits) << 16);
}
}  // namespace detail
/// This thread's part: its sums need no other thread, because both matrices lie in shared memory. Done at warpgroup_wait, not before.
[[gnu::noinline]] inline void warpgroup_mma_bf16(float* d, int sums, void const* a, void const* b) {
  auto& s = detail::state();
  int const thread = s.thread->place.thread, row = thread / 32 % 4 * 16 + thread % 32 / 4, column = 2 * (thread % 4);
  if (s.threads.size() % 128) throw KernelFault("a warpgroup's instruction in a block of " + std::to_string(s.threads.size()) + " threads");
  for (void const* p : {a, b})
    if (reinterpret_cast<std::uintptr_t>(p) % 32 || reinterpret_cast<std::uintptr_t>(p) % 1024 >= 128)
      throw KernelFault("a warpgroup's matrix must begin in the first row of 1024 bytes, at a multiple of 32 bytes");
  s.thread->products.push_back([=] {
    for (int i = 0; i < sums; ++i) {
      double sum = double(d[i]);
      for (int k = 0; k < 16; ++k)
        sum +=
            double(detail::swizzled_bf16(a, row + 8 * (i / 2 % 2), k)) * double(detail::swizzled_bf16(b, 8 * (i / 4) + column + i % 2, k));
      d[i] = float(sum);
    }
  });
}
[[gnu::noinline]] inline void warpgroup_commit() {
  auto& t = *detail::state().thread;
  for (auto& p : t.products) t.committed.push_back(std::move(p));
  t.products.clear();
}
[[gnu::noinline]] inline void warpgroup_wait() {
  auto& t = *detail::state().thread;
  for (auto const& p : t.committed) p();
  t.committed.clear();
}

/// body(thread) for every thread of one block, until all are done. Throws KernelFault when they wait for one another for ever.
template <class Body> void run_block(int threads, Place const& place, Body const& body) {
  namespace ctx = boost::context;
  auto& s = detail::state();
  s.warps.assign(std::size_t((threads + 31) / 32), {});
  for (int w = 0; w < int(s.warps.size()); ++w) s.warps[std::size_t(w)].live = threads - 32 * w < 32 ? threads - 32 * w : 32;
  s.block_arrived = 0;
  s.arrivals.clear();
  s.error = nullptr;
  while (int(s.stacks.size()) < threads) s.stacks.emplace_back();
  s.threads.clear();
  s.threads.resize(std::size_t(threads));
  for (int t = 0; t < threads; ++t) {
    auto& thread = s.threads[std::size_t(t)];
    thread.place = place;
    thread.place.thread = t;
    char* const bottom = s.stacks[std::size_t(t)].memory.get();
    detail::clean(bottom);
    ctx::stack_context stack;
    stack.size = detail::Stack::size;
    stack.sp = bottom + stack.size;
    thread.fiber = ctx::fiber(std::allocator_arg, ctx::preallocated(stack.sp, stack.size, stack), detail::Keep{},
                              [&s, &thread, &body](ctx::fiber&& back) {
                                detail::arrived(nullptr, &s.scheduler_bottom, &s.scheduler_size);
                                thread.scheduler = &back;
                                try {
                                  body();
                                } catch (detail::GivenUp const&) {
                                } catch (...) {
                                  if (!s.error) s.error = std::current_exception();
                                }
                                thread.finished = true;
                                detail::leaving(nullptr, s.scheduler_bottom, s.scheduler_size);
                                return std::move(back);
                              });
  }
  std::vector<int> turn(static_cast<std::size_t>(threads));
  for (int t = 0; t < threads; ++t) turn[std::size_t(t)] = order() == Order::backward ? threads - 1 - t : t;
  if (order() == Order::shuffled) {
    std::uint32_t seed = 1;
    for (int t = threads - 1; t > 0; --t) {
      seed = seed * 1664525u + 1013904223u;
      std::swap(turn[std::size_t(t)], turn[std::size_t(seed >> 8) % std::size_t(t + 1)]);
    }
  }
  auto resume = [&](int t) {
    auto& thread = s.threads[std::size_t(t)];
    s.thread = &thread;
    detail::leaving(&s.scheduler_fake, s.stacks[std::size_t(t)].memory.get(), detail::Stack::size);
    thread.fiber = std::move(thread.fiber).resume();
    detail::arrived(s.scheduler_fake, nullptr, nullptr);
    return thread.finished;
  };
  int left = threads;
  while (left > 0 && !s.error) {
    bool moved = false;
    for (int t : turn) {
      auto const& thread = s.threads[std::size_t(t)];
      if (thread.finished || (thread.awaited && *thread.awaited == thread.seen)) continue;
      moved = true;
      left -= resume(t);
      if (s.error) break;
    }
    if (moved) continue;
    std::string where;
    int shown = 0;
    for (auto const& thread : s.threads)
      if (!thread.finished && ++shown <= 4) where += " thread " + std::to_string(thread.place.thread) + " at " + thread.where + ",";
    where.back() = '.';
    s.error = std::make_exception_ptr(KernelFault(std::to_string(threads - left) + " of " + std::to_string(threads) +
                                                  " threads are done and the others wait for ever:" + where));
  }
  s.given_up = true;
  for (int t = 0; t < threads; ++t)
    if (!s.threads[std::size_t(t)].finished && s.threads[std::size_t(t)].scheduler) resume(t);
  s.given_up = false;
  s.threads.clear();
  s.thread = nullptr;
  if (s.error) std::rethrow_exception(s.error);
}

}  // namespace emulator
