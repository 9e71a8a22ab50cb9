// Matrix products on the CPU, on all threads. Threads come from one place, parallel_tiles: a product is cut into tiles by its shape
// alone and each tile is computed by one single-threaded call, so the bits do not depend on the number of threads.
#pragma once
#include <algorithm>
#include <atomic>
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "rig/backend/tile_product.ipp"
#include "rig/core/device.hpp"

namespace rig::inline RIG_ABI::detail {

/// While it lives, libraries called from this thread use this thread only.
class OneThread {
 public:
#if defined(_OPENMP)
  OneThread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  ~OneThread() { omp_set_num_threads(before_); }

 private:
  int before_;
#else
  OneThread() {}
  ~OneThread() {}
#endif
};

/// tile(i) for i < count, each on one thread, in any order. A tile must not throw.
template <class F> void parallel_tiles(std::int64_t count, F const& tile) {
#if defined(_OPENMP)
  if (count > 1 && omp_get_max_threads() > 1 && !omp_in_parallel()) {
#pragma omp parallel
    {
      OneThread const one;
#pragma omp for schedule(dynamic, 1)
      for (std::int64_t i = 0; i < count; ++i) tile(i);
    }
    return;
  }
#endif
  OneThread const one;
  for (std::int64_t i = 0; i < count; ++i) tile(i);
}

/// Temporary values from the CPU's pool.
template <class T> class Scratch {
 public:
  explicit Scratch(std::int64_t count)
      : bytes_(std::size_t(count) * sizeof(T)), device_(cpu()), p_(bytes_ ? device_.queue().allocate(bytes_) : nullptr) {}
  ~Scratch() {
    if (p_) device_.queue().release(p_, bytes_);
  }
  Scratch(Scratch const&) = delete;
  Scratch& operator=(Scratch const&) = delete;
  T* data() const { return static_cast<T*>(p_); }

 private:
  std::size_t bytes_;
  Device device_;
  void* p_;
};

/// How many rows and columns one tile has: enough tiles for a large machine, none too small to be worth a thread.
struct TileShape {
  std::int64_t rows, cols;
  TileShape(std::int64_t groups, std::int64_t n, std::int64_t m, std::int64_t k)
      : rows(std::min<std::int64_t>(n, 512)), cols(std::min<std::int64_t>(m, 512)) {
    auto tiles = [&] { return groups * ((n + rows - 1) / rows) * ((m + cols - 1) / cols); };
    while (tiles() < 16 && rows * cols * k > 500'000 && std::max(rows, cols) > 32) {
      std::int64_t& larger = cols >= rows ? cols : rows;
      larger = (larger / 2 + 15) / 16 * 16;
    }
  }
};

/// A long sum with few results is cut into this many parts, added in order.
inline std::int64_t parts_of_sum(std::int64_t groups, std::int64_t n, std::int64_t m, std::int64_t k) {
  if (groups > 4 || n * m > 128 * 128 || k < 16384) return 1;
  return std::min<std::int64_t>(16, k / 8192);
}

/// Products with a side of at most four, such as colours from features and back, run at the speed of memory.
inline constexpr std::int64_t narrow = 4;

/// y [n, m] = a [n, k] b^T for b [m, k], m <= 4: dot products as sixteen partial sums, joined as a tree.
template <class T> void narrow_results(std::int64_t n, std::int64_t m, std::int64_t k, T const* a, T const* b, T* y) {
  constexpr int lanes = 16;
  for (std::int64_t r = 0; r < n; ++r, a += k, y += m)
    for (std::int64_t c = 0; c < m; ++c) {
      T const* w = b + c * k;
      T part[lanes] = {};
      std::int64_t q = 0;
      for (; q + lanes <= k; q += lanes)
        for (int e = 0; e < lanes; ++e) part[e] += a[q + e] * w[q + e];
      for (int e = 0; q < k; ++q, ++e) part[e] += a[q] * w[q];
      for (int half = lanes / 2; half > 0; half /= 2)
        for (int e = 0; e < half; ++e) part[e] += part[e + half];
      y[c] = part[0];
    }
}
/// y [n, m] = a [n, k] b [k, m], k <= 4.
template <class T> void narrow_sum(std::int64_t n, std::int64_t m, std::int64_t k, T const* a, T const* b, T* y) {
  T const *b1 = b + (k > 1 ? m : 0), *b2 = b + (k > 2 ? 2 * m : 0), *b3 = b + (k > 3 ? 3 * m : 0);
  for (std::int64_t r = 0; r < n; ++r, a += k, y += m) {
    T const a0 = a[0], a1 = k > 1 ? a[1] : T(0), a2 = k > 2 ? a[2] : T(0), a3 = k > 3 ? a[3] : T(0);
    for (std::int64_t c = 0; c < m; ++c) y[c] = a0 * b[c] + a1 * b1[c] + a2 * b2[c] + a3 * b3[c];
  }
}
/// y [n, m] = a^T b for a [k, n], b [k, m], n <= 4.
template <class T> void narrow_rows(std::int64_t n, std::int64_t m, std::int64_t k, T const* a, T const* b, T* y) {
  std::fill(y, y + n * m, T(0));
  for (std::int64_t q = 0; q < k; ++q, a += n, b += m)
    for (std::int64_t r = 0; r < n; ++r) {
      T const v = a[r];
      T* to = y + r * m;
      for (std::int64_t c = 0; c < m; ++c) to[c] += v * b[c];
    }
}

/// y [g, n, m] = op(a) op(b) for each of g pairs, using all threads; a is [n, k] or transposed [k, n], b is [k, m] or [m, k].
template <class T>
void product(std::int64_t g, std::int64_t n, std::int64_t m, std::int64_t k, bool a_transposed, bool b_transposed, T const* a, T const* b,
             T* y) {
  std::int64_t const lda = a_transposed ? n : k, ldb = b_transposed ? k : m;
  auto tile = [&](std::int64_t group, std::int64_t r, std::int64_t rows, std::int64_t c, std::int64_t cols, std::int64_t k0,
                  std::int64_t depth, T* to) {
    T const* from_a = a + group * n * k + (a_transposed ? k0 * lda + r : r * lda + k0);
    T const* from_b = b + group * k * m + (b_transposed ? c * ldb + k0 : k0 * ldb + c);
    tile_product(TileProduct<T>{a_transposed, b_transposed, false, rows, cols, depth, from_a, lda, from_b, ldb, to, m});
  };
  if (g * n * m == 0) return;
  if (k == 0) return void(std::fill(y, y + g * n * m, T(0)));
  // Tall and narrow: strips of rows. Not for a few rows, where the second factor is what is large.
  bool const results = m <= narrow && !a_transposed && b_transposed, sum = k <= narrow && !a_transposed && !b_transposed;
  if ((results || sum) && n >= 64) {
    std::int64_t const rows = 4096, strips = (n + rows - 1) / rows;
    return parallel_tiles(g * strips, [&](std::int64_t i) {
      std::int64_t const r = i / strips * n + i % strips * rows, count = std::min(rows, n - i % strips * rows);
      T const* from_b = b + i / strips * k * m;
      T turned[narrow * narrow];
      if (results && k <= narrow) {
        for (std::int64_t e = 0; e < k * m; ++e) turned[e] = from_b[e % m * k + e / m];
        return narrow_sum(count, m, k, a + r * k, turned, y + r * m);
      }
      results ? narrow_results(count, m, k, a + r * k, from_b, y + r * m) : narrow_sum(count, m, k, a + r * k, from_b, y + r * m);
    });
  }
  bool const rows = n <= narrow && a_transposed && !b_transposed && k >= 64;
  std::int64_t const parts = rows ? std::clamp<std::int64_t>(k / 4096, 1, 16) : parts_of_sum(g, n, m, k);
  if (parts > 1 || rows) {
    Scratch<T> partial(g * parts * n * m);
    parallel_tiles(g * parts, [&](std::int64_t i) {
      std::int64_t const part = i % parts, k0 = k * part / parts, k1 = k * (part + 1) / parts;
      if (rows)
        narrow_rows(n, m, k1 - k0, a + (i / parts * k + k0) * n, b + (i / parts * k + k0) * m, partial.data() + i * n * m);
      else
        tile(i / parts, 0, n, 0, m, k0, k1 - k0, partial.data() + i * n * m);
    });
    for (std::int64_t i = 0; i < g * n * m; ++i) {
      T const* first = partial.data() + i / (n * m) * parts * n * m + i % (n * m);
      T total = 0;
      for (std::int64_t part = 0; part < parts; ++part) total += first[part * n * m];
      y[i] = total;
    }
    return;
  }
  TileShape const t(g, n, m, k);
  std::int64_t const down = (n + t.rows - 1) / t.rows, across = (m + t.cols - 1) / t.cols;
  parallel_tiles(g * down * across, [&](std::int64_t i) {
    std::int64_t const c = i % across * t.cols, r = i / across % down * t.rows, group = i / (across * down);
    tile(group, r, std::min(t.rows, n - r), c, std::min(t.cols, m - c), 0, k, y + (group * n + r) * m + c);
  });
}

}  // namespace rig::inline RIG_ABI::detail
