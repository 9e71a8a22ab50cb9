// Latents for a seed as the official image scripts draw them: NumPy's classic generator, MT19937 (Matsumoto and Nishimura
// 1998) with normals by Marsaglia's polar method. Everybody names StyleGAN pictures by these seeds, so rig draws the same.
// rig's own random numbers are those of core/random.hpp.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::nn {

/// The stream of numpy.random.RandomState(seed).
class SeedStream {
 public:
  explicit SeedStream(std::uint32_t seed) {
    key_[0] = seed;
    for (std::uint32_t i = 1; i < key_.size(); ++i) key_[i] = 1812433253u * (key_[i - 1] ^ key_[i - 1] >> 30) + i;
  }
  /// 32 random bits.
  std::uint32_t bits() {
    if (next_ == key_.size()) regenerate();
    std::uint32_t y = key_[next_++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9d2c5680u;
    y ^= y << 15 & 0xefc60000u;
    return y ^ y >> 18;
  }
  /// In [0, 1), 53 bits: what random_sample() returns.
  double uniform() {
    std::uint32_t const high = bits() >> 5, low = bits() >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
  }
  /// What randn() returns. Numbers come in pairs, the second drawn first.
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    double a, b, r;
    do {
      a = 2 * uniform() - 1;
      b = 2 * uniform() - 1;
      r = a * a + b * b;
    } while (r >= 1 || r == 0);
    double const f = std::sqrt(-2 * std::log(r) / r);
    spare_ = f * a;
    has_spare_ = true;
    return f * b;
  }

 private:
  void regenerate() {
    std::size_t const n = key_.size(), m = 397;
    for (std::size_t i = 0; i < n; ++i) {
      std::uint32_t const y = (key_[i] & 0x80000000u) | (key_[(i + 1) % n] & 0x7fffffffu);
      key_[i] = key_[(i + m) % n] ^ y >> 1 ^ (y & 1 ? 0x9908b0dfu : 0u);
    }
    next_ = 0;
  }

  std::array<std::uint32_t, 624> key_{};
  std::size_t next_ = 624;
  double spare_ = 0;
  bool has_spare_ = false;
};

/// z [n, z_dim], one row a seed, each from a stream of its own as RandomState(seed).randn(1, z_dim); rounded to float once.
///   auto z = seed_latents({3, 85, 297}, 512);
inline Tensor<float> seed_latents(std::span<std::uint32_t const> seeds, std::int64_t z_dim, Device const& device = {}) {
  check(z_dim > 0 && !seeds.empty(), "seed_latents: needs seeds and a positive z_dim, got ", seeds.size(), " seeds, z_dim ", z_dim);
  std::vector<float> z;
  z.reserve(seeds.size() * std::size_t(z_dim));
  for (std::uint32_t const seed : seeds) {
    SeedStream stream(seed);
    for (std::int64_t i = 0; i < z_dim; ++i) z.push_back(float(stream.normal()));
  }
  return Tensor<float>({std::int64_t(seeds.size()), z_dim}, z, device);
}
inline Tensor<float> seed_latents(std::initializer_list<std::uint32_t> seeds, std::int64_t z_dim, Device const& device = {}) {
  return seed_latents(std::span<std::uint32_t const>(seeds.begin(), seeds.size()), z_dim, device);
}

}  // namespace rig::inline RIG_ABI::nn
