// 3x3 convolution of stride 1 on the CPU by Winograd's minimal filtering (Lavin and Gray, CVPR 2016): tiles of 4x4 results from
// 6x6 inputs, 36 products where the direct way has 144. The points of interpolation are 0, 3/2, -3/2, 3/4, -3/4 and infinity:
// with them the error is about three times that of the direct way in float (with the usual 1 and 2 it is seven times), because
// the powers in the transforms stay near one.
// Tiles are cut into strips by the shape alone, each computed by one thread: same bits for any number of threads.
#pragma once
#include "rig/backend/gemm.ipp"

// Before a loop over channels whose results overlap nothing that it reads.
#if defined(_OPENMP)
#define RIG_INDEPENDENT _Pragma("omp simd")
#else
#define RIG_INDEPENDENT
#endif

namespace rig::inline RIG_ABI::detail {

/// Calls body(first, count) for strips of [0, total), on all threads.
template <class F> void parallel_strips(std::int64_t total, std::int64_t strip, F const& body) {
  parallel_tiles((total + strip - 1) / strip, [&](std::int64_t i) { body(i * strip, std::min(strip, total - i * strip)); });
}

/// [o, taps, c] to [c, taps, o], with the taps in the opposite order if `mirrored`.
template <class T> void exchange_weight(std::int64_t os, std::int64_t taps, std::int64_t cs, bool mirrored, T const* weight, T* to) {
  constexpr std::int64_t side = 16;
  parallel_strips(cs, side, [&](std::int64_t c0, std::int64_t wide) {
    for (std::int64_t o0 = 0; o0 < os; o0 += side) {
      std::int64_t const high = std::min(side, os - o0);
      T square[side][side];
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        T const* from = weight + (o0 * taps + (mirrored ? taps - 1 - tap : tap)) * cs + c0;
        for (std::int64_t o = 0; o < high; ++o)
          for (std::int64_t c = 0; c < wide; ++c) square[c][o] = from[o * taps * cs + c];
        for (std::int64_t c = 0; c < wide; ++c) std::copy(square[c], square[c] + high, to + ((c0 + c) * taps + tap) * os + o0);
      }
    }
  });
}

/// The transforms along one axis: data 6 -> 6, weight 3 -> 6, result 6 -> 4, and the transposes of the last two. Arguments lie
/// `step` apart; `count` neighbouring numbers, the channels, are done alike.
struct Winograd {
  static constexpr std::int64_t side = 4, window = 6, points = 36, lanes = 64;
  static constexpr float a = 1.5f, b = 0.75f, a2 = a * a, b2 = b * b, a3 = a * a2, b3 = b * b2, sum = a2 + b2, product = a2 * b2;
  // 1 over the product of differences to the other points.
  static constexpr float n0 = float(1.0 / (2.25 * 0.5625)), na = float(1.0 / (2 * 2.25 * (2.25 - 0.5625))),
                         nb = float(1.0 / (2 * 0.5625 * (0.5625 - 2.25)));

  static void data(float const* const (&d)[6], float* v, std::int64_t step, std::int64_t count) {
    float const *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3], *d4 = d[4], *d5 = d[5];
    float *v0 = v, *v1 = v + step, *v2 = v + 2 * step, *v3 = v + 3 * step, *v4 = v + 4 * step, *v5 = v + 5 * step;
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const even_a = d4[e] - b2 * d2[e], odd_a = a * (d3[e] - b2 * d1[e]), even_b = d4[e] - a2 * d2[e],
                  odd_b = b * (d3[e] - a2 * d1[e]);
      v0[e] = product * d0[e] - sum * d2[e] + d4[e];
      v1[e] = even_a + odd_a, v2[e] = even_a - odd_a;
      v3[e] = even_b + odd_b, v4[e] = even_b - odd_b;
      v5[e] = product * d1[e] - sum * d3[e] + d5[e];
    }
  }
  static void weight(float const* const (&w)[3], float* u, std::int64_t step, std::int64_t count) {
    float const *w0 = w[0], *w1 = w[1], *w2 = w[2];
    float *u0 = u, *u1 = u + step, *u2 = u + 2 * step, *u3 = u + 3 * step, *u4 = u + 4 * step, *u5 = u + 5 * step;
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const even_a = na * (w0[e] + a2 * w2[e]), odd_a = na * (a * w1[e]), even_b = nb * (w0[e] + b2 * w2[e]),
                  odd_b = nb * (b * w1[e]);
      u0[e] = n0 * w0[e];
      u1[e] = even_a + odd_a, u2[e] = even_a - odd_a;
      u3[e] = even_b + odd_b, u4[e] = even_b - odd_b;
      u5[e] = w2[e];
    }
  }
  static void weight_transposed(float const* const (&u)[6], float* w, std::int64_t step, std::int64_t count) {
    float const *u0 = u[0], *u1 = u[1], *u2 = u[2], *u3 = u[3], *u4 = u[4], *u5 = u[5];
    float *w0 = w, *w1 = w + step, *w2 = w + 2 * step;
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const sum_a = na * (u1[e] + u2[e]), sum_b = nb * (u3[e] + u4[e]);
      w0[e] = n0 * u0[e] + sum_a + sum_b;
      w1[e] = na * a * (u1[e] - u2[e]) + nb * b * (u3[e] - u4[e]);
      w2[e] = a2 * sum_a + b2 * sum_b + u5[e];
    }
  }
  static void result(float const* const (&m)[6], float* y, std::int64_t step, std::int64_t count) {
    float const *m0 = m[0], *m1 = m[1], *m2 = m[2], *m3 = m[3], *m4 = m[4], *m5 = m[5];
    float *y0 = y, *y1 = y + step, *y2 = y + 2 * step, *y3 = y + 3 * step;
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const sum_a = m1[e] + m2[e], odd_a = m1[e] - m2[e], sum_b = m3[e] + m4[e], odd_b = m3[e] - m4[e];
      y0[e] = m0[e] + sum_a + sum_b;
      y1[e] = a * odd_a + b * odd_b;
      y2[e] = a2 * sum_a + b2 * sum_b;
      y3[e] = a3 * odd_a + b3 * odd_b + m5[e];
    }
  }
  static void result_transposed(float const* const (&y)[4], float* m, std::int64_t step, std::int64_t count) {
    float const *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
    float *m0 = m, *m1 = m + step, *m2 = m + 2 * step, *m3 = m + 3 * step, *m4 = m + 4 * step, *m5 = m + 5 * step;
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const even_a = y0[e] + a2 * y2[e], odd_a = a * y1[e] + a3 * y3[e], even_b = y0[e] + b2 * y2[e], odd_b = b * y1[e] + b3 * y3[e];
      m0[e] = y0[e];
      m1[e] = even_a + odd_a, m2[e] = even_a - odd_a;
      m3[e] = even_b + odd_b, m4[e] = even_b - odd_b;
      m5[e] = y3[e];
    }
  }
};

/// How far the transformed values of one point lie from those of the next: further than they reach, because at a distance that is a power
/// of two the points of a tile would meet in the same few lines of a cache.
inline std::int64_t winograd_step(std::int64_t values) { return values + 16; }

/// The tiles of the results of one convolution.
template <class Size> struct WinogradTiles {
  Size const& s;
  std::int64_t across, down, count;
  explicit WinogradTiles(Size const& size) : s(size), across((s.ow + 3) / 4), down((s.oh + 3) / 4), count(s.n * across * down) {}
  std::int64_t sample(std::int64_t tile) const { return tile / (across * down); }
  std::int64_t row(std::int64_t tile) const { return tile / across % down * 4; }
  std::int64_t column(std::int64_t tile) const { return tile % across * 4; }

  /// Whether it pays: enough tiles for the weight's transform, enough channels for those of the data, little beyond the border.
  bool serve() const {
    return s.kh == 3 && s.kw == 3 && s.stride == 1 && s.groups == 1 && s.c >= 32 && s.o >= 32 && count >= 48 &&
           3 * s.oh * s.ow >= 32 * across * down;
  }
  /// Tiles of a strip: their transforms are to stay in cache, and there are to be strips for many threads.
  std::int64_t strip() const {
    std::int64_t const fit = std::max<std::int64_t>(32, (1 << 20) / (Winograd::points * 4 * (s.c + s.o)));
    return std::clamp<std::int64_t>(std::min(fit, count / 8) / 8 * 8, 16, 128);
  }
  /// v [36, stride of a point] of tiles [first, first + many): the windows of x, transformed.
  void gather_data(float const* x, std::int64_t first, std::int64_t many, float* v, std::int64_t point_step) const {
    float part[6 * 6 * Winograd::lanes], zeros[Winograd::lanes] = {};
    for (std::int64_t t = 0; t < many; ++t) {
      std::int64_t const r0 = row(first + t) - s.top, q0 = column(first + t) - s.left;
      float const* const picture = x + sample(first + t) * s.h * s.w * s.c;
      for (std::int64_t c = 0; c < s.c; c += Winograd::lanes) {
        std::int64_t const lanes = std::min(Winograd::lanes, s.c - c);
        for (std::int64_t i = 0; i < 6; ++i) {
          float const* pixel[6];
          for (std::int64_t j = 0; j < 6; ++j) {
            std::int64_t const r = r0 + i, q = q0 + j;
            pixel[j] = r >= 0 && r < s.h && q >= 0 && q < s.w ? picture + (r * s.w + q) * s.c + c : zeros;
          }
          Winograd::data(pixel, part + i * Winograd::lanes, 6 * Winograd::lanes, lanes);
        }
        for (std::int64_t j = 0; j < 6; ++j) {
          float const* column_of[6];
          for (std::int64_t i = 0; i < 6; ++i) column_of[i] = part + (j * 6 + i) * Winograd::lanes;
          Winograd::data(column_of, v + j * point_step + t * s.c + c, 6 * point_step, lanes);
        }
      }
    }
  }
  /// The same for the transposed transform of y.
  void gather_results(float const* y, std::int64_t first, std::int64_t many, float* m, std::int64_t point_step) const {
    float part[6 * 4 * Winograd::lanes], zeros[Winograd::lanes] = {};
    for (std::int64_t t = 0; t < many; ++t) {
      std::int64_t const r0 = row(first + t), q0 = column(first + t);
      float const* const picture = y + sample(first + t) * s.oh * s.ow * s.o;
      for (std::int64_t o = 0; o < s.o; o += Winograd::lanes) {
        std::int64_t const lanes = std::min(Winograd::lanes, s.o - o);
        for (std::int64_t i = 0; i < 4; ++i) {
          float const* pixel[4];
          for (std::int64_t j = 0; j < 4; ++j)
            pixel[j] = r0 + i < s.oh && q0 + j < s.ow ? picture + ((r0 + i) * s.ow + q0 + j) * s.o + o : zeros;
          Winograd::result_transposed(pixel, part + i * Winograd::lanes, 4 * Winograd::lanes, lanes);
        }
        for (std::int64_t j = 0; j < 6; ++j) {
          float const* column_of[4];
          for (std::int64_t i = 0; i < 4; ++i) column_of[i] = part + (j * 4 + i) * Winograd::lanes;
          Winograd::result_transposed(column_of, m + j * point_step + t * s.o + o, 6 * point_step, lanes);
        }
      }
    }
  }
  /// From m, as above, to the pixels of y.
  void scatter_results(float const* m, std::int64_t first, std::int64_t many, std::int64_t point_step, float* y) const {
    float part[4 * 6 * Winograd::lanes], out[4 * Winograd::lanes];
    for (std::int64_t t = 0; t < many; ++t) {
      std::int64_t const r0 = row(first + t), q0 = column(first + t), rows = std::min<std::int64_t>(4, s.oh - r0),
                         columns = std::min<std::int64_t>(4, s.ow - q0);
      float* const picture = y + sample(first + t) * s.oh * s.ow * s.o;
      for (std::int64_t o = 0; o < s.o; o += Winograd::lanes) {
        std::int64_t const lanes = std::min(Winograd::lanes, s.o - o);
        for (std::int64_t j = 0; j < 6; ++j) {
          float const* point[6];
          for (std::int64_t i = 0; i < 6; ++i) point[i] = m + (i * 6 + j) * point_step + t * s.o + o;
          Winograd::result(point, part + j * Winograd::lanes, 6 * Winograd::lanes, lanes);
        }
        for (std::int64_t i = 0; i < rows; ++i) {
          float const* row_of[6];
          for (std::int64_t j = 0; j < 6; ++j) row_of[j] = part + (i * 6 + j) * Winograd::lanes;
          float* const to = picture + ((r0 + i) * s.ow + q0) * s.o + o;
          if (columns == 4) {
            Winograd::result(row_of, to, s.o, lanes);
          } else {
            Winograd::result(row_of, out, Winograd::lanes, lanes);
            for (std::int64_t j = 0; j < columns; ++j)
              std::copy(out + j * Winograd::lanes, out + j * Winograd::lanes + lanes, to + j * s.o);
          }
        }
      }
    }
  }
};

/// u [36, rows, columns] of a weight [rows, 3, 3, columns], mirrored if asked for.
inline void winograd_weight(float const* weight, std::int64_t rows, std::int64_t columns, bool mirrored, float* u) {
  std::int64_t const step = winograd_step(rows * columns);
  parallel_tiles((rows + 7) / 8, [&](std::int64_t call) {
    float part[6 * 3 * Winograd::lanes];
    for (std::int64_t r = call * 8; r < std::min(rows, call * 8 + 8); ++r)
      for (std::int64_t c = 0; c < columns; c += Winograd::lanes) {
        std::int64_t const lanes = std::min(Winograd::lanes, columns - c);
        for (std::int64_t i = 0; i < 3; ++i) {
          float const* tap[3];
          for (std::int64_t j = 0; j < 3; ++j) tap[j] = weight + (r * 9 + (mirrored ? 8 - 3 * i - j : 3 * i + j)) * columns + c;
          Winograd::weight(tap, part + i * Winograd::lanes, 3 * Winograd::lanes, lanes);
        }
        for (std::int64_t j = 0; j < 6; ++j) {
          float const* column_of[3];
          for (std::int64_t i = 0; i < 3; ++i) column_of[i] = part + (j * 3 + i) * Winograd::lanes;
          Winograd::weight(column_of, u + j * step + r * columns + c, 6 * step, lanes);
        }
      }
  });
}
/// Back: weight [rows, 3, 3, columns] from the gradient of u.
inline void winograd_weight_back(float const* u, std::int64_t rows, std::int64_t columns, float* weight) {
  std::int64_t const step = winograd_step(rows * columns);
  parallel_tiles((rows + 7) / 8, [&](std::int64_t call) {
    float part[3 * 6 * Winograd::lanes];
    for (std::int64_t r = call * 8; r < std::min(rows, call * 8 + 8); ++r)
      for (std::int64_t c = 0; c < columns; c += Winograd::lanes) {
        std::int64_t const lanes = std::min(Winograd::lanes, columns - c);
        for (std::int64_t j = 0; j < 6; ++j) {
          float const* point[6];
          for (std::int64_t i = 0; i < 6; ++i) point[i] = u + (i * 6 + j) * step + r * columns + c;
          Winograd::weight_transposed(point, part + j * Winograd::lanes, 6 * Winograd::lanes, lanes);
        }
        for (std::int64_t i = 0; i < 3; ++i) {
          float const* row_of[6];
          for (std::int64_t j = 0; j < 6; ++j) row_of[j] = part + (i * 6 + j) * Winograd::lanes;
          Winograd::weight_transposed(row_of, weight + (r * 9 + i * 3) * columns + c, columns, lanes);
        }
      }
  });
}

/// Whether a transformed weight of so many numbers leaves the caches between two strips of tiles.
inline bool winograd_weight_is_large(std::int64_t values) { return values > 1 << 20; }
/// How many tiles of so many transformed numbers each are done together then, and for a weight's gradient. 4 MB of them stay in the last
/// cache (2 to 8 MB were measured alike, 16 MB a tenth slower); half the size of a weight that does not is as good, and reads it less
/// often.
inline std::int64_t winograd_block(std::int64_t a_tile, std::int64_t weight) {
  return std::clamp<std::int64_t>(std::max<std::int64_t>(1 << 20, weight / 2) / a_tile / 8 * 8, 64, 1024);
}

/// y of x and u [36, c, o].
template <class Size> void winograd_forward(WinogradTiles<Size> const& tiles, float const* x, float const* u, float* y) {
  Size const& s = tiles.s;
  std::int64_t const u_step = winograd_step(s.c * s.o);
  auto multiply = [&](std::int64_t p, std::int64_t many, float const* v, float* m) {
    tile_product(TileProduct<float>{false, false, false, many, s.o, s.c, v + p * winograd_step(many * s.c), s.c, u + p * u_step, s.o,
                                    m + p * winograd_step(many * s.o), s.o});
  };
  // A weight that no cache holds is read once for a block of tiles, point by point.
  if (winograd_weight_is_large(Winograd::points * s.c * s.o)) {
    std::int64_t const block = winograd_block(Winograd::points * (s.c + s.o), Winograd::points * s.c * s.o);
    Scratch<float> v(Winograd::points * winograd_step(block * s.c)), m(Winograd::points * winograd_step(block * s.o));
    for (std::int64_t first = 0; first < tiles.count; first += block) {
      std::int64_t const now = std::min(block, tiles.count - first);
      parallel_strips(now, 8, [&](std::int64_t at, std::int64_t many) {
        tiles.gather_data(x, first + at, many, v.data() + at * s.c, winograd_step(now * s.c));
      });
      parallel_tiles(Winograd::points, [&](std::int64_t p) { multiply(p, now, v.data(), m.data()); });
      parallel_strips(now, 8, [&](std::int64_t at, std::int64_t many) {
        tiles.scatter_results(m.data() + at * s.o, first + at, many, winograd_step(now * s.o), y);
      });
    }
    return;
  }
  std::int64_t const strip = tiles.strip();
  parallel_tiles((tiles.count + strip - 1) / strip, [&](std::int64_t i) {
    std::int64_t const first = i * strip, many = std::min(strip, tiles.count - first);
    Scratch<float> v(Winograd::points * winograd_step(many * s.c)), m(Winograd::points * winograd_step(many * s.o));
    tiles.gather_data(x, first, many, v.data(), winograd_step(many * s.c));
    for (std::int64_t p = 0; p < Winograd::points; ++p) multiply(p, many, v.data(), m.data());
    tiles.scatter_results(m.data(), first, many, winograd_step(many * s.o), y);
  });
}

/// The gradient of the weight [o, 3, 3, c]: tiles in blocks, of each first the transforms, strip by strip, and then one sum a point.
template <class Size> void winograd_gradient(WinogradTiles<Size> const& tiles, float const* x, float const* y, float* weight) {
  Size const& s = tiles.s;
  std::int64_t const strip = 16, block = winograd_block(Winograd::points * (s.c + s.o), Winograd::points * s.c * s.o),
                     u_step = winograd_step(s.c * s.o);
  Scratch<float> u(Winograd::points * u_step), v(Winograd::points * winograd_step(block * s.c)),
      m(Winograd::points * winograd_step(block * s.o));
  for (std::int64_t first = 0; first < tiles.count; first += block) {
    std::int64_t const now = std::min(block, tiles.count - first), v_step = winograd_step(now * s.c), m_step = winograd_step(now * s.o);
    parallel_strips(now, strip, [&](std::int64_t at, std::int64_t many) {
      tiles.gather_data(x, first + at, many, v.data() + at * s.c, v_step);
      tiles.gather_results(y, first + at, many, m.data() + at * s.o, m_step);
    });
    parallel_tiles(Winograd::points, [&](std::int64_t p) {
      tile_product(TileProduct<float>{true, false, first > 0, s.o, s.c, now, m.data() + p * m_step, s.o, v.data() + p * v_step, s.c,
                                      u.data() + p * u_step, s.c});
    });
  }
  winograd_weight_back(u.data(), s.o, s.c, weight);
}

}  // namespace rig::inline RIG_ABI::detail
#undef RIG_INDEPENDENT
