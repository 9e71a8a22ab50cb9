// The words of kernels: barriers, exchanges, votes, asynchronous copies, matrix instructions, on a GPU or in the emulator; and
// what the emulator finds wrong.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>

#include "cuda/device.hpp"
#include "rig/core/random.hpp"
#include "rig/core/tensor.hpp"
#include "rig/ops/cuda/conv_warpgroup.hpp"

using namespace rig;

namespace {

/// y = x reversed in each run of 256, through shared memory.
struct Reverse {
  static constexpr int threads = 256;
  struct Shared {
    float part[256];
  };
  float const* x;
  float* y;
  RIG_DEVICE void operator()(Shared& shared) const {
    int const t = gpu::thread();
    std::int64_t const first = std::int64_t(gpu::block().x) * threads;
    shared.part[t] = x[first + t];
    gpu::barrier();
    y[first + t] = shared.part[threads - 1 - t];
  }
};
#if RIG_EMULATED
struct ForgotBarrier : Reverse {
  RIG_DEVICE void operator()(Shared& shared) const {
    int const t = gpu::thread();
    std::int64_t const first = std::int64_t(gpu::block().x) * threads;
    shared.part[t] = x[first + t];
    y[first + t] = shared.part[threads - 1 - t];
  }
};
struct LostThread : Reverse {
  RIG_DEVICE void operator()(Shared& shared) const {
    if (gpu::thread() == 7) return;
    gpu::barrier();
    y[gpu::thread()] = shared.part[0];
  }
};
/// Fills the slot again while others may still read it.
struct SlotInUse {
  static constexpr int threads = 64;
  struct Shared {
    alignas(16) float slot[64];
  };
  float const* x;
  float* y;
  RIG_DEVICE void operator()(Shared& shared) const {
    int const t = gpu::thread();
    shared.slot[t] = x[t];
    gpu::barrier();
    float const mine = shared.slot[63 - t];
    if (t < 16) gpu::copy_async<16>(&shared.slot[4 * t], x + 64 + 4 * t);
    gpu::copy_commit();
    gpu::barrier();
    gpu::copy_wait<0>();
    y[t] = mine;
  }
};
#endif
struct Warps {
  static constexpr int threads = 96;
  struct Shared {
    float part[3];
  };
  float const* x;
  float* y;  // sums of blocks, then of warps, then votes
  RIG_DEVICE void operator()(Shared& shared) const {
    int const t = gpu::thread();
    float const v = x[t];
    float const all = gpu::block_sum<threads>(v, shared.part), warp = gpu::warp_sum(v), next = gpu::shuffle(v, gpu::lane() + 1);
    y[t] = all, y[threads + t] = warp, y[2 * threads + t] = next;
    y[3 * threads + t] = float(gpu::count_bits(gpu::ballot(v > 0)));
    y[4 * threads + t] = float(gpu::lowest_bit(gpu::ballot(gpu::lane() >= 5)));
  }
};
struct AsyncCopy {
  static constexpr int threads = 32;
  struct Shared {
    alignas(16) float part[2][128];
  };
  float const* x;
  float* y;
  RIG_DEVICE void operator()(Shared& shared) const {
    int const t = gpu::thread();
    gpu::copy_async<16>(&shared.part[0][4 * t], x + 4 * t);
    gpu::copy_commit();
    gpu::copy_async<16>(&shared.part[1][4 * t], x + 128 + 4 * t, t != 3);
    gpu::copy_commit();
    gpu::copy_wait<1>();
    gpu::barrier();
    y[t] = shared.part[0][127 - 4 * t];
    gpu::copy_wait<0>();
    gpu::barrier();
    y[32 + t] = shared.part[1][4 * ((t + 1) % 32)];
  }
};
template <bool Half> struct Product {
  static constexpr int threads = 32, k = Half ? 16 : 8;
  struct Shared {};
  float const *a, *b;  // [16, k], [k, 8]
  float* y;            // [16, 8]
  RIG_DEVICE void operator()(Shared&) const {
    int const g = gpu::lane() / 4, t = gpu::lane() % 4;
    float d[4] = {};
    if constexpr (Half) {
      auto at = [&](int r, int c) { return gpu::pack_bf16(a[r * k + c], a[r * k + c + 1]); };
      auto bt = [&](int r) { return gpu::pack_bf16(b[r * 8 + g], b[(r + 1) * 8 + g]); };
      gpu::mma_bf16(d, {at(g, 2 * t), at(g + 8, 2 * t), at(g, 2 * t + 8), at(g + 8, 2 * t + 8)}, {bt(2 * t), bt(2 * t + 8)});
    } else {
      auto at = [&](int r, int c) { return gpu::to_tf32(a[r * k + c]); };
      auto bt = [&](int r) { return gpu::to_tf32(b[r * 8 + g]); };
      gpu::mma_tf32(d, {at(g, t), at(g + 8, t), at(g, t + 4), at(g + 8, t + 4)}, {bt(t), bt(t + 4)});
    }
    for (int i = 0; i < 4; ++i) y[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
  }
};

/// y [64, N] = a [64, 64] b [N, 64]^T, a by copies of 16 bytes, b as one block that lies in memory as it is wanted.
template <int N> struct WarpgroupProduct {
  static constexpr int threads = 128;
  struct Shared {
    alignas(1024) float a[64 * 32], b[N * 32];
    gpu::Arrival arrival;
  };
  float const *a, *b;  // pairs of bf16
  float* y;
  RIG_DEVICE void operator()(Shared& shared) const {
    if constexpr (gpu::warpgroup_code) {
      int const t = gpu::thread();
      if (t == 0) gpu::arrival_start(shared.arrival);
      gpu::fence_for_engines();
      gpu::barrier();
      for (int i = t; i < 64 * 8; i += threads) gpu::copy_async<16>(&shared.a[(i / 8 * 8 + (i % 8 ^ (i / 8 & 7))) * 4], a + i * 4);
      gpu::copy_commit();
      if (t == 0) gpu::copy_block(shared.b, b, N * 128, shared.arrival);
      gpu::copy_wait<0>();
      gpu::fence_for_engines();
      gpu::arrival_wait(shared.arrival, 0);
      gpu::barrier();
      float d[N / 2] = {};
      gpu::warpgroup_begin(d);
      for (int k = 0; k < 4; ++k) gpu::warpgroup_mma_bf16(d, shared.a + 8 * k, shared.b + 8 * k);
      gpu::warpgroup_commit();
      gpu::warpgroup_wait(d);
      for (int i = 0; i < N / 2; ++i) y[(t / 32 * 16 + t % 32 / 4 + i / 2 % 2 * 8) * N + i / 4 * 8 + t % 4 * 2 + i % 2] = d[i];
    }
  }
};

}  // namespace

TEST_CASE("emulator: barriers and shared memory") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(1);
  auto const x = randn<float>({16384}, rng).to(device);
  test::in_every_order([&] {
    Tensor<float> y({16384}, device);
    launch(device, {64, 1, 1}, Reverse{x.data(), y.mutate()});
    auto const a = x.host(), b = y.host();
    for (int i = 0; i < 16384; ++i) REQUIRE(b[std::size_t(i)] == a[std::size_t(i / 256 * 256 + 255 - i % 256)]);
  });
}

#if RIG_EMULATED
TEST_CASE("emulator: a missing barrier changes the result with the order of threads, a lost thread is named") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(1);
  auto const x = randn<float>({256}, rng).to(device);
  std::vector<std::vector<float>> results;
  test::in_every_order([&] {
    Tensor<float> y({256}, device);
    launch(device, {1, 1, 1}, ForgotBarrier{{x.data(), y.mutate()}});
    results.push_back(y.host());
    CHECK_THROWS_WITH_AS(launch(device, {1, 1, 1}, LostThread{{x.data(), y.mutate()}}), doctest::Contains("thread 0 at barrier"), Error);
  });
  CHECK(results[0] != results[1]);
}

TEST_CASE("emulator: a slot that is filled while others read it shows where copies land at once") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(1);
  auto const x = randn<float>({128}, rng).to(device);
  std::vector<float> reversed = x.rows(0, 64).host();
  std::reverse(reversed.begin(), reversed.end());
  test::in_every_order([&] {
    Tensor<float> y({64}, device);
    launch(device, {1, 1, 1}, SlotInUse{x.data(), y.mutate()});
    CHECK((y.host() == reversed) == (emulator::landing() == emulator::Landing::late));
  });
}
#endif

TEST_CASE("emulator: sums, shuffles and votes") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(2);
  auto const x = randn<float>({96}, rng).to(device);
  auto const v = x.host();
  test::in_every_order([&] {
    Tensor<float> y({5, 96}, device);
    launch(device, {1, 1, 1}, Warps{x.data(), y.mutate()});
    auto const r = y.host();
    double all = 0;
    for (float e : v) all += double(e);
    for (std::size_t t = 0; t < 96; ++t) {
      double warp = 0;
      int positive = 0;
      for (std::size_t i = t / 32 * 32; i < t / 32 * 32 + 32; ++i) warp += double(v[i]), positive += v[i] > 0;
      CHECK(r[t] == doctest::Approx(all).epsilon(1e-5));
      CHECK(r[96 + t] == doctest::Approx(warp).epsilon(1e-5));
      CHECK(r[192 + t] == v[t / 32 * 32 + (t + 1) % 32]);
      CHECK(int(r[288 + t]) == positive);
      CHECK(r[384 + t] == 5);
    }
  });
}

TEST_CASE("emulator: copies arrive when they are waited for") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(3);
  auto const x = randn<float>({256}, rng).to(device);
  auto const v = x.host();
  test::in_every_order([&] {
    Tensor<float> y({64}, device);
    launch(device, {1, 1, 1}, AsyncCopy{x.data(), y.mutate()});
    auto const r = y.host();
    for (std::size_t t = 0; t < 32; ++t) {
      CHECK(r[t] == v[127 - 4 * t]);
      CHECK(r[32 + t] == (t == 2 ? 0.f : v[128 + 4 * ((t + 1) % 32)]));
    }
  });
}

TEST_CASE("emulator: matrix instructions") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(4);
  for (int k : {8, 16}) {
    auto const a = randn<float>({16, k}, rng), b = randn<float>({k, 8}, rng);
    Tensor<float> const ad = a.to(device), bd = b.to(device);
    Tensor<float> y({16, 8}, device);
    if (k == 8)
      launch(device, {1, 1, 1}, Product<false>{ad.data(), bd.data(), y.mutate()});
    else
      launch(device, {1, 1, 1}, Product<true>{ad.data(), bd.data(), y.mutate()});
    auto const r = y.host();
    for (int i = 0; i < 16; ++i)
      for (int j = 0; j < 8; ++j) {
        double sum = 0, size = 0;
        for (int q = 0; q < k; ++q) {
          double const p = double(a.data()[i * k + q]) * double(b.data()[q * 8 + j]);
          sum += p, size += std::abs(p);
        }
        double const difference = std::abs(double(r[std::size_t(i * 8 + j)]) - sum);
        CHECK(difference <= (k == 8 ? 1e-3 : 8e-3) * size);
        CHECK(difference > 0);  // operands really are rounded
      }
  }
}

TEST_CASE("emulator: matrix instructions of a warpgroup") {
  Device device;
  if (!test::device_for(device) || !detail::has_warpgroups(device)) return;
  Rng rng(5);
  auto const rounded = [&](Shape const& s) {
    Tensor<float> x = randn<float>(s, rng);
    for (std::int64_t i = 0; i < x.size(); ++i)
      x.mutate()[i] = std::bit_cast<float>(std::bit_cast<std::uint32_t>(x.data()[i]) & 0xffff0000u);
    return x;
  };
  auto const pair = [](float lo, float hi) {
    return std::bit_cast<float>(std::bit_cast<std::uint32_t>(lo) >> 16 | std::bit_cast<std::uint32_t>(hi));
  };
  auto const check_for = [&]<int N>() {
    auto const a = rounded({64, 64}), b = rounded({N, 64});
    Tensor<float> ah({64, 32}), bh({N, 32}), y({64, N}, device);
    for (int i = 0; i < 64 * 32; ++i) ah.mutate()[i] = pair(a.data()[2 * i], a.data()[2 * i + 1]);
    for (int i = 0; i < N * 32; ++i)  // pieces of four exchanged within a row
      bh.mutate()[i / 32 * 32 + ((i / 4 % 8) ^ (i / 32 & 7)) * 4 + i % 4] = pair(b.data()[2 * i], b.data()[2 * i + 1]);
    Tensor<float> const ad = ah.to(device), bd = bh.to(device);
    launch(device, {1, 1, 1}, WarpgroupProduct<N>{ad.data(), bd.data(), y.mutate()});
    auto const r = y.host();
    for (int i = 0; i < 64; ++i)
      for (int j = 0; j < N; ++j) {
        double sum = 0;
        for (int k = 0; k < 64; ++k) sum += double(a.data()[i * 64 + k]) * double(b.data()[j * 64 + k]);
        REQUIRE(double(r[std::size_t(i * N + j)]) == doctest::Approx(sum).epsilon(1e-4));
      }
  };
  test::in_every_order([&] { check_for.template operator()<64>(), check_for.template operator()<128>(); });
}
