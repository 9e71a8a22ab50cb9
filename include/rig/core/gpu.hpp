// What a hand-written CUDA kernel says to its hardware: who am I, barriers, shuffles, votes, atomics, copies that do not wait,
// matrix instructions of warps and of warpgroups. Each is a thin wrapper, so that the very text of a kernel also runs under g++, where the
// test-only executor of tests/emulator plays the threads. Present where RIG_GPU is; nothing else of rig needs it.
//
//   struct Kernel {
//     static constexpr int threads = 256;                       // and, if wanted, blocks: how many fit on a multiprocessor
//     struct Shared { float tile[32][33]; };                    // the block's shared memory, of any size the device has
//     ... members: pointers and sizes, copied to the device ...
//     RIG_DEVICE void operator()(Shared& shared) const { ... gpu::barrier(); ... }
//   };
//   launch(device, {columns, rows, samples}, Kernel{...});      // a block for each; blocks are one-dimensional in threads
//
// Every thread of a block must reach every barrier, every lane of a warp every shuffle, vote and matrix instruction.
#pragma once
#include <cstdint>
#include <cstring>

#include "rig/core/config.hpp"

#if RIG_GPU
#if RIG_CUDA
#define RIG_DEVICE __device__ __forceinline__
#define RIG_UNROLL _Pragma("unroll")  // before a loop over registers
#else
#define RIG_DEVICE inline
#define RIG_UNROLL
#include "emulator/executor.hpp"
#endif

namespace rig::inline RIG_ABI::gpu {

struct Index3 {
  int x = 0, y = 0, z = 0;
};

#if RIG_CUDA
RIG_DEVICE int thread() { return int(threadIdx.x); }
RIG_DEVICE Index3 block() { return {int(blockIdx.x), int(blockIdx.y), int(blockIdx.z)}; }
RIG_DEVICE Index3 blocks() { return {int(gridDim.x), int(gridDim.y), int(gridDim.z)}; }
/// All threads of the block meet; what they wrote before is seen by all after.
RIG_DEVICE void barrier() { __syncthreads(); }
RIG_DEVICE void warp_barrier() { __syncwarp(); }
/// v of lane `from` (its low five bits).
template <class T> RIG_DEVICE T shuffle(T v, int from) { return __shfl_sync(0xffffffffu, v, from); }
/// v of the lane whose number differs in `bits`.
template <class T> RIG_DEVICE T shuffle_xor(T v, int bits) { return __shfl_xor_sync(0xffffffffu, v, bits); }
/// Bit i is lane i's vote.
RIG_DEVICE unsigned ballot(bool vote) { return __ballot_sync(0xffffffffu, vote); }
/// What was there before. T: int, unsigned, unsigned long long; add also float, whose sums depend on the order.
template <class T> RIG_DEVICE T atomic_add(T* p, T v) { return atomicAdd(p, v); }
template <class T> RIG_DEVICE T atomic_max(T* p, T v) { return atomicMax(p, v); }
template <class T> RIG_DEVICE T atomic_min(T* p, T v) { return atomicMin(p, v); }
/// Writes before it are seen by other blocks before writes after it.
RIG_DEVICE void fence() { __threadfence(); }
RIG_DEVICE int count_bits(unsigned v) { return __popc(v); }
/// The number of the lowest set bit, from 0; -1 for none.
RIG_DEVICE int lowest_bit(unsigned v) { return __ffs(int(v)) - 1; }
#else
inline int thread() { return emulator::current().thread; }
inline Index3 block() { return {emulator::current().block[0], emulator::current().block[1], emulator::current().block[2]}; }
inline Index3 blocks() { return {emulator::current().blocks[0], emulator::current().blocks[1], emulator::current().blocks[2]}; }
inline void barrier() { emulator::barrier(); }
inline void warp_barrier() { emulator::warp_barrier(); }
template <class T> T shuffle(T v, int from) {
  return emulator::exchange(v, [=](int) { return from & 31; });
}
template <class T> T shuffle_xor(T v, int bits) {
  return emulator::exchange(v, [=](int lane) { return (lane ^ bits) & 31; });
}
inline unsigned ballot(bool vote) { return emulator::ballot(vote); }
template <class T> T atomic_add(T* p, T v) {
  T const before = *p;
  *p = before + v;
  return before;
}
template <class T> T atomic_max(T* p, T v) {
  T const before = *p;
  *p = before > v ? before : v;
  return before;
}
template <class T> T atomic_min(T* p, T v) {
  T const before = *p;
  *p = before < v ? before : v;
  return before;
}
inline void fence() {}
inline int count_bits(unsigned v) { return __builtin_popcount(v); }
inline int lowest_bit(unsigned v) { return __builtin_ffs(int(v)) - 1; }
#endif

RIG_DEVICE int lane() { return thread() & 31; }
RIG_DEVICE int warp() { return thread() >> 5; }
RIG_DEVICE bool any(bool vote) { return ballot(vote) != 0; }
RIG_DEVICE bool all(bool vote) { return ballot(vote) == 0xffffffffu; }
/// join over the lanes of a warp, as a fixed tree; every lane gets it.
template <class T, class Join> RIG_DEVICE T warp_reduce(T v, Join join) {
  for (int bits = 16; bits > 0; bits /= 2) v = join(v, shuffle_xor(v, bits));
  return v;
}
template <class T> RIG_DEVICE T warp_sum(T v) {
  for (int bits = 16; bits > 0; bits /= 2) v += shuffle_xor(v, bits);
  return v;
}
/// The sum over a block of Threads, as a fixed tree; every thread gets it. `part` is shared, one value a warp; the block meets twice.
template <int Threads, class T> RIG_DEVICE T block_sum(T v, T* part) {
  static_assert(Threads % 32 == 0 && Threads <= 1024);
  v = warp_sum(v);
  barrier();  // part may hold what others still read
  if (lane() == 0) part[warp()] = v;
  barrier();
  T total = part[0];
  for (int w = 1; w < Threads / 32; ++w) total += part[w];
  return total;
}

/// Four neighbours in one access; p must be aligned to 16 bytes.
struct alignas(16) Float4 {
  float x, y, z, w;
};
RIG_DEVICE Float4 load4(float const* p) { return *reinterpret_cast<Float4 const*>(p); }
RIG_DEVICE void store4(float* p, Float4 v) { *reinterpret_cast<Float4*>(p) = v; }
/// Two neighbours, aligned to 8 bytes.
struct alignas(8) Float2 {
  float x, y;
};
RIG_DEVICE void store2(float* p, Float2 v) { *reinterpret_cast<Float2*>(p) = v; }

// ---- copies from global to shared memory that do not wait (cp.async, sm_80) ----

/// Bytes (4, 8 or 16; both addresses aligned to them) on their way to shared memory; zeros if not `valid`, and then `from` is
/// not read. They are there after copy_commit, copy_wait and a barrier. In the emulator they land as late
/// as they may, or at once.
template <int Bytes> RIG_DEVICE void copy_async(void* to, void const* from, bool valid = true) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
#if RIG_CUDA
  unsigned const address = unsigned(__cvta_generic_to_shared(to));
  int const bytes = valid ? Bytes : 0;
  if constexpr (Bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(address), "l"(from), "r"(bytes) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;\n" ::"r"(address), "l"(from), "n"(Bytes), "r"(bytes) : "memory");
#else
  emulator::copy_async(to, from, Bytes, valid);
#endif
}
/// Closes the group of copies this thread has started.
RIG_DEVICE void copy_commit() {
#if RIG_CUDA
  asm volatile("cp.async.commit_group;\n" ::: "memory");
#else
  emulator::copy_commit();
#endif
}
/// Waits until at most Pending of this thread's groups are on their way.
template <int Pending> RIG_DEVICE void copy_wait() {
#if RIG_CUDA
  asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending) : "memory");
#else
  emulator::copy_wait(Pending);
#endif
}

// ---- matrix instructions of a warp (sm_80). PTX ISA, "Matrix Fragments for mma": with g = lane / 4, t = lane % 4,
//      d[0..4) are rows g, g, g+8, g+8 and columns 2t, 2t+1, 2t, 2t+1. ----

/// v with the 10 bits of mantissa that tensor cores keep, rounded to nearest.
RIG_DEVICE std::uint32_t to_tf32(float v) {
  std::uint32_t bits;
#if RIG_CUDA
  asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(bits) : "f"(v));
#else
  std::memcpy(&bits, &v, 4);
  bits = (bits + 0x1000u) & 0xffffe000u;
#endif
  return bits;
}
RIG_DEVICE std::uint32_t to_bits(float v) {
#if RIG_CUDA
  return __float_as_uint(v);
#else
  std::uint32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
#endif
}
RIG_DEVICE float from_bits(std::uint32_t bits) {
#if RIG_CUDA
  return __uint_as_float(bits);
#else
  float v;
  std::memcpy(&v, &bits, 4);
  return v;
#endif
}
/// lo and hi as two bf16, rounded to nearest even, lo in the low half.
RIG_DEVICE std::uint32_t pack_bf16(float lo, float hi) {
#if RIG_CUDA
  std::uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(bits) : "f"(hi), "f"(lo));
  return bits;
#else
  auto one = [](float v) {
    std::uint32_t b;
    std::memcpy(&b, &v, 4);
    return (b + 0x7fffu + ((b >> 16) & 1u)) >> 16;
  };
  return one(lo) | one(hi) << 16;
#endif
}
/// d [16, 8] += a [16, 8] b [8, 8] in TF32 with float sums. a: (g, t), (g+8, t), (g, t+4), (g+8, t+4); b: (t, g), (t+4, g).
RIG_DEVICE void mma_tf32(float (&d)[4], std::uint32_t const (&a)[4], std::uint32_t const (&b)[2]) {
#if RIG_CUDA
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  emulator::mma_tf32(d, a, b);
#endif
}
/// d [16, 8] += a [16, 16] b [16, 8] in bf16 with float sums. Pairs of neighbours along k in one register: a: (g, 2t), (g+8, 2t),
/// (g, 2t+8), (g+8, 2t+8); b: (2t, g), (2t+8, g).
RIG_DEVICE void mma_bf16(float (&d)[4], std::uint32_t const (&a)[4], std::uint32_t const (&b)[2]) {
#if RIG_CUDA
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  emulator::mma_bf16(d, a, b);
#endif
}

// ---- copies of whole blocks and matrix instructions of a warpgroup, 128 threads (sm_90a alone) ----

/// Whether this compilation has them; a kernel asks with if constexpr.
#if !RIG_CUDA || defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool warpgroup_code = true;
#else
inline constexpr bool warpgroup_code = false;
#endif

#if RIG_CUDA
RIG_DEVICE unsigned shared_address(void const* p) { return unsigned(__cvta_generic_to_shared(p)); }
#endif

/// In shared memory: counts the bytes of one copy_block after the other. Phase 0 ends when those of the first are there.
struct alignas(8) Arrival {
  std::uint64_t state;
};
/// By one thread, before a fence_for_engines and a barrier.
RIG_DEVICE void arrival_start(Arrival& a) {
#if RIG_CUDA
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;\n" ::"r"(shared_address(&a)) : "memory");
#else
  emulator::arrival_start(&a);
#endif
}
/// By one thread: bytes (a multiple of 16, both addresses aligned to 16) on their way from global to shared memory (TMA).
RIG_DEVICE void copy_block(void* to, void const* from, int bytes, Arrival& a) {
#if RIG_CUDA
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(shared_address(&a)), "r"(bytes) : "memory");
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(shared_address(to)),
               "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(&a))
               : "memory");
#else
  emulator::copy_block(to, from, bytes, &a);
#endif
}
/// By all threads: until the phase (its lowest bit) has ended.
RIG_DEVICE void arrival_wait(Arrival& a, int phase) {
#if RIG_CUDA
  unsigned done = 0;
  while (!done)
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}\n"
                 : "=r"(done)
                 : "r"(shared_address(&a)), "r"(phase & 1)
                 : "memory");
#else
  emulator::arrival_wait(&a, phase & 1);
#endif
}
/// What this thread wrote to shared memory, by copy_async too, will be seen by warpgroup instructions and copy_block after the next
/// barrier: they reach it by another way.
RIG_DEVICE void fence_for_engines() {
#if RIG_CUDA
  asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
#endif
}

/// d [64, N] += a [64, 16] b [N, 16]^T in bf16 with float sums, N 64 or 128, by the 128 threads of a warpgroup; it is not done before
/// warpgroup_wait, and d is not to be touched before. a and b: in shared memory, rows of 128 bytes (64 numbers along the sum) one
/// after the other from an address that is a multiple of 1024, in each row the 16-byte pieces exchanged: piece i lies at i ^ (row % 8)
/// (PTX ISA, "128B swizzle"). Both point into row 0, at the first of the 16 numbers (multiples of 32 bytes).
/// With g = lane / 4, t = lane % 4: d[4 j + 2 h + e] is row 16 (warp % 4) + 8 h + g, column 8 j + 2 t + e.
template <int Sums> RIG_DEVICE void warpgroup_mma_bf16(float (&d)[Sums], void const* a, void const* b);
/// Before the first of a run of products, by all threads of the warpgroup.
template <int Sums> RIG_DEVICE void warpgroup_begin(float (&d)[Sums]) {
#if RIG_CUDA
  RIG_UNROLL
  for (int i = 0; i < Sums; ++i) asm volatile("" : "+f"(d[i])::"memory");
  asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory");
#else
  (void)d;
#endif
}
/// Closes the run of products.
RIG_DEVICE void warpgroup_commit() {
#if RIG_CUDA
  asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory");
#else
  emulator::warpgroup_commit();
#endif
}
/// Until all closed runs are done. d is named, so that no compiler reads it earlier.
template <int Sums> RIG_DEVICE void warpgroup_wait(float (&d)[Sums]) {
#if RIG_CUDA
  asm volatile("wgmma.wait_group.sync.aligned 0;\n" ::: "memory");
  RIG_UNROLL
  for (int i = 0; i < Sums; ++i) asm volatile("" : "+f"(d[i])::"memory");
#else
  (void)d;
  emulator::warpgroup_wait();
#endif
}

#if RIG_CUDA
namespace detail {
/// How the instruction is told of a matrix: PTX ISA, "Matrix Descriptor Format"; 8 rows are 1024 bytes, swizzle of 128 bytes.
RIG_DEVICE std::uint64_t matrix_descriptor(void const* p) {
  return std::uint64_t((shared_address(p) & 0x3ffffu) >> 4) | std::uint64_t(1) << 16 | std::uint64_t(1024 >> 4) << 32 |
         std::uint64_t(1) << 62;
}
}  // namespace detail
#define RIG_D4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define RIG_D16(i) RIG_D4(i), RIG_D4(i + 4), RIG_D4(i + 8), RIG_D4(i + 12)
template <int Sums> RIG_DEVICE void warpgroup_mma_bf16(float (&d)[Sums], void const* a, void const* b) {
  static_assert(Sums == 32 || Sums == 64);
  std::uint64_t const da = detail::matrix_descriptor(a), db = detail::matrix_descriptor(b);
  if constexpr (Sums == 32)
    asm volatile(
        "{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, add, 1, 1, 0, 0;\n}\n"
        : RIG_D16(0), RIG_D16(16)
        : "l"(da), "l"(db), "r"(1));
  else
    asm volatile(
        "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
        "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, %64, %65, add, 1, 1, 0, 0;\n}\n"
        : RIG_D16(0), RIG_D16(16), RIG_D16(32), RIG_D16(48)
        : "l"(da), "l"(db), "r"(1));
}
#undef RIG_D16
#undef RIG_D4
#else
template <int Sums> void warpgroup_mma_bf16(float (&d)[Sums], void const* a, void const* b) {
  static_assert(Sums == 32 || Sums == 64);
  emulator::warpgroup_mma_bf16(d, Sums, a, b);
}
#endif

}  // namespace rig::inline RIG_ABI::gpu
#endif
