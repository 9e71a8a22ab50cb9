// Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// Number i of draw d under seed s is a function of (s, d, i) alone, so CPU and CUDA, one thread or many, agree,
// and a run is continued from two integers.
#pragma once
#include <cmath>
#include <cstdint>

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI {

struct Philox {
  std::uint32_t v[4];

  /// Ten rounds on counter (c0, c1) under key.
  RIG_HD static Philox draw(std::uint64_t key, std::uint64_t c0, std::uint64_t c1) {
    std::uint32_t k0 = std::uint32_t(key), k1 = std::uint32_t(key >> 32);
    Philox x{{std::uint32_t(c0), std::uint32_t(c0 >> 32), std::uint32_t(c1), std::uint32_t(c1 >> 32)}};
    for (int round = 0; round < 10; ++round) {
      std::uint64_t const a = std::uint64_t(0xD2511F53u) * x.v[0], b = std::uint64_t(0xCD9E8D57u) * x.v[2];
      x = {{std::uint32_t(b >> 32) ^ x.v[1] ^ k0, std::uint32_t(b), std::uint32_t(a >> 32) ^ x.v[3] ^ k1, std::uint32_t(a)}};
      k0 += 0x9E3779B9u;
      k1 += 0xBB67AE85u;
    }
    return x;
  }
  /// In (0, 1), never 0 or 1.
  RIG_HD static double unit(std::uint32_t u) { return (double(u) + 0.5) * (1.0 / 4294967296.0); }
};

namespace detail {
// Logarithm and circle in double by sums, products and fma alone, which round alike on every processor: the same seed gives the
// same bits on a GPU. Errors are about one unit in the last place.

/// log(u), 0 < u < 1: with u = m 2^e and s = (m - 1) / (m + 1) it is e log 2 + 2 atanh(s).
RIG_HD inline double portable_log(double u) {
  int e = 0;
  double m = u;
  while (m < 0.7071067811865476) m *= 2, --e;  // at most 33 times; exact
  double const s = (m - 1) / (m + 1), z = s * s;
  double p = 1.0 / 23;
  for (int k = 21; k >= 3; k -= 2) p = std::fma(p, z, 1.0 / k);
  double const t = 2 * s;
  return std::fma(double(e), 0.6931471805599453, std::fma(t * z, p, t));
}
/// Cosine and sine of turn whole turns, 0 < turn < 1, from their series round the nearest quarter.
struct PointOnCircle {
  double x, y;
};
RIG_HD inline PointOnCircle point_on_circle(double turn) {
  int const quarter = int(std::fma(4.0, turn, 0.5));
  double const a = std::fma(-0.25, double(quarter), turn) * 6.283185307179586, z = a * a;
  double c = 1.0, s = 1.0;
  for (int k = 18; k >= 2; k -= 2) {
    c = std::fma(c, -z * (1.0 / (k * (k - 1))), 1.0);
    s = std::fma(s, -z * (1.0 / (k * (k + 1))), 1.0);
  }
  s *= a;
  switch (quarter & 3) {
    case 0: return {c, s};
    case 1: return {-s, c};
    case 2: return {-c, -s};
    default: return {s, -c};
  }
}
/// Two independent normal numbers (Box and Muller 1958).
RIG_HD inline PointOnCircle two_normals(Philox const& p) {
  double const r = std::sqrt(-2 * portable_log(Philox::unit(p.v[0])));
  PointOnCircle const n = point_on_circle(Philox::unit(p.v[1]));
  return {r * n.x, r * n.y};
}
}  // namespace detail

/// A seed and how many draws were made from it. A draw is one tensor or one number.
class Rng {
 public:
  explicit Rng(std::uint64_t seed = 0, std::uint64_t draws = 0) : seed_(seed), draws_(draws) {}
  std::uint64_t seed() const { return seed_; }
  std::uint64_t draws() const { return draws_; }
  std::uint64_t next_draw() { return draws_++; }
  /// An independent stream named by a number, for example one an item of a corpus.
  Rng split(std::uint64_t stream) const {
    Philox const p = Philox::draw(seed_, stream, 0x73706c6974ull);
    return Rng(p.v[0] | std::uint64_t(p.v[1]) << 32);
  }
  double uniform() { return Philox::unit(Philox::draw(seed_, next_draw(), 0).v[0]); }
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// An integer in [0, n).
  std::int64_t below(std::int64_t n) {
    check(n > 0, "Rng::below: expected a positive bound, got ", n);
    Philox const p = Philox::draw(seed_, next_draw(), 0);
    return std::int64_t((p.v[0] | std::uint64_t(p.v[1]) << 32) % std::uint64_t(n));
  }
  double normal() {
    Philox const p = Philox::draw(seed_, next_draw(), 0);
    return detail::two_normals(p).x;
  }

 private:
  std::uint64_t seed_, draws_;
};

namespace detail {
/// Seed and draw are numbers that a launch takes along, so captured work would draw the same in every round.
inline void check_draws_anew(Device const& device, char const* op) {
  check(!device.queue().capturing(), device, ": ", op,
        ": a step that is captured would draw the same numbers in every round; draw them before it, into a tensor that it reads");
}
template <class T> struct NormalKernel {
  T* y;
  std::int64_t n;
  std::uint64_t seed, draw;
  T scale;
  // In double, so that float and double tensors agree.
  RIG_HD void operator()(std::int64_t i) const {
    Philox const p = Philox::draw(seed, draw, std::uint64_t(i) + 1);
    PointOnCircle const two = two_normals(p);
    y[2 * i] = scale * T(two.x);
    if (2 * i + 1 < n) y[2 * i + 1] = scale * T(two.y);
  }
};
template <class T> struct UniformKernel {
  T* y;
  std::uint64_t seed, draw;
  T low, high;
  RIG_HD void operator()(std::int64_t i) const {
    Philox const p = Philox::draw(seed, draw, std::uint64_t(i) + 1);
    y[i] = std::fma(high - low, T(Philox::unit(p.v[0])), low);
  }
};
}  // namespace detail

/// Independent normal numbers with mean 0 and the given deviation. Not within a step that is captured, see core/repeated.hpp.
template <class T> Tensor<T> randn(Shape shape, Rng& rng, Device device = {}, T deviation = T(1)) {
  detail::check_draws_anew(device, "randn");
  Tensor<T> y(shape, std::move(device));
  for_each(y.device(), (y.size() + 1) / 2, detail::NormalKernel<T>{y.mutate(), y.size(), rng.seed(), rng.next_draw(), deviation});
  return y;
}
/// Independent numbers, uniform between low and high. Not within a step that is captured.
template <class T> Tensor<T> rand(Shape shape, Rng& rng, Device device = {}, T low = T(0), T high = T(1)) {
  detail::check_draws_anew(device, "rand");
  Tensor<T> y(shape, std::move(device));
  for_each(y.device(), y.size(), detail::UniformKernel<T>{y.mutate(), rng.seed(), rng.next_draw(), low, high});
  return y;
}

}  // namespace rig::inline RIG_ABI
