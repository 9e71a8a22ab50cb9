// 3x3 convolution of stride 2 on the CPU by minimal filtering. Along an axis the inputs of even and of odd place are apart: the
// even ones meet two taps, the odd ones one. Four results need five products of the former and four of the latter, at the points
// 1/2, -1/2, 5/4, -5/4 and, for two taps, infinity; so a tile of 4x4 results from 9x9 inputs takes 81 products instead of 144, and
// products at one point are one sum over channels and kinds of place. The error is about twice that of the direct way in float.
#pragma once
#include <array>

#include "rig/backend/winograd.ipp"

#if defined(_OPENMP)
#define RIG_INDEPENDENT _Pragma("omp simd")
#else
#define RIG_INDEPENDENT
#endif

namespace rig::inline RIG_ABI::detail {

/// The transforms along one axis: data 9 -> 9, weight 3 -> 9, result 5 -> 4, and their transposes. Of nine numbers the first five
/// belong to even places, point by point, the last four to odd ones. `count` neighbouring numbers, the channels, are done alike.
struct StridedWinograd {
  static constexpr std::int64_t lanes = 64, points = 25, values = 81;
  static constexpr float a = 0.5f, b = 1.25f, a2 = a * a, b2 = b * b, a3 = a * a2, b3 = b * b2, sum = a2 + b2, product = a2 * b2;
  static constexpr float na = float(1 / (2 * 0.5 * (0.25 - 1.5625))), nb = float(1 / (2 * 1.25 * (1.5625 - 0.25)));
  template <std::size_t N> using In = std::array<float const*, N>;
  template <std::size_t N> using Out = std::array<float*, N>;

  static void data(In<9> const& d, Out<9> const& v, std::int64_t count) {
    finite({d[0], d[2], d[4], d[6]}, {v[0], v[1], v[2], v[3]}, count);
    finite({d[1], d[3], d[5], d[7]}, {v[5], v[6], v[7], v[8]}, count);
    float const *d0 = d[0], *d2 = d[4], *d4 = d[8];
    float* to = v[4];
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) to[e] = product * d0[e] - sum * d2[e] + d4[e];
  }
  static void data_transposed(In<9> const& g, Out<9> const& d, std::int64_t count) {
    finite_transposed({g[0], g[1], g[2], g[3]}, {d[0], d[2], d[4], d[6]}, count);
    finite_transposed({g[5], g[6], g[7], g[8]}, {d[1], d[3], d[5], d[7]}, count);
    float const* last = g[4];
    float *d0 = d[0], *d2 = d[4], *d4 = d[8];
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      d0[e] += product * last[e];
      d2[e] -= sum * last[e];
      d4[e] = last[e];
    }
  }
  static void weight(In<3> const& w, Out<9> const& u, std::int64_t count) {
    float const *w0 = w[0], *w1 = w[1], *w2 = w[2];
    float *u0 = u[0], *u1 = u[1], *u2 = u[2], *u3 = u[3], *u4 = u[4], *u5 = u[5], *u6 = u[6], *u7 = u[7], *u8 = u[8];
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const low_a = na * w0[e], high_a = na * a * w2[e], low_b = nb * w0[e], high_b = nb * b * w2[e];
      u0[e] = high_a + low_a, u1[e] = high_a - low_a;
      u2[e] = high_b + low_b, u3[e] = high_b - low_b;
      u4[e] = w2[e];
      u5[e] = na * w1[e], u6[e] = -na * w1[e];
      u7[e] = nb * w1[e], u8[e] = -nb * w1[e];
    }
  }
  static void weight_transposed(In<9> const& u, Out<3> const& w, std::int64_t count) {
    float const *u0 = u[0], *u1 = u[1], *u2 = u[2], *u3 = u[3], *u4 = u[4], *u5 = u[5], *u6 = u[6], *u7 = u[7], *u8 = u[8];
    float *w0 = w[0], *w1 = w[1], *w2 = w[2];
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      w0[e] = na * (u0[e] - u1[e]) + nb * (u2[e] - u3[e]);
      w1[e] = na * (u5[e] - u6[e]) + nb * (u7[e] - u8[e]);
      w2[e] = na * a * (u0[e] + u1[e]) + nb * b * (u2[e] + u3[e]) + u4[e];
    }
  }
  static void result(In<5> const& m, Out<4> const& y, std::int64_t count) {
    float const *m0 = m[0], *m1 = m[1], *m2 = m[2], *m3 = m[3], *m4 = m[4];
    float *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const sum_a = m0[e] + m1[e], odd_a = m0[e] - m1[e], sum_b = m2[e] + m3[e], odd_b = m2[e] - m3[e];
      y0[e] = sum_a + sum_b;
      y1[e] = a * odd_a + b * odd_b;
      y2[e] = a2 * sum_a + b2 * sum_b;
      y3[e] = a3 * odd_a + b3 * odd_b + m4[e];
    }
  }
  static void result_transposed(In<4> const& y, Out<5> const& m, std::int64_t count) {
    float const *y0 = y[0], *y1 = y[1], *y2 = y[2], *y3 = y[3];
    float *m0 = m[0], *m1 = m[1], *m2 = m[2], *m3 = m[3], *m4 = m[4];
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const even_a = y0[e] + a2 * y2[e], odd_a = a * y1[e] + a3 * y3[e], even_b = y0[e] + b2 * y2[e], odd_b = b * y1[e] + b3 * y3[e];
      m0[e] = even_a + odd_a, m1[e] = even_a - odd_a;
      m2[e] = even_b + odd_b, m3[e] = even_b - odd_b;
      m4[e] = y3[e];
    }
  }

 private:
  static void finite(In<4> const& d, Out<4> const& v, std::int64_t count) {
    float const *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3];
    float *v0 = v[0], *v1 = v[1], *v2 = v[2], *v3 = v[3];
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const odd_a = d3[e] - b2 * d1[e], even_a = a * (d2[e] - b2 * d0[e]), odd_b = d3[e] - a2 * d1[e],
                  even_b = b * (d2[e] - a2 * d0[e]);
      v0[e] = odd_a + even_a, v1[e] = odd_a - even_a;
      v2[e] = odd_b + even_b, v3[e] = odd_b - even_b;
    }
  }
  static void finite_transposed(In<4> const& g, Out<4> const& d, std::int64_t count) {
    float const *g0 = g[0], *g1 = g[1], *g2 = g[2], *g3 = g[3];
    float *d0 = d[0], *d1 = d[1], *d2 = d[2], *d3 = d[3];
    RIG_INDEPENDENT for (std::int64_t e = 0; e < count; ++e) {
      float const odd_a = g0[e] + g1[e], even_a = a * (g0[e] - g1[e]), odd_b = g2[e] + g3[e], even_b = b * (g2[e] - g3[e]);
      d0[e] = -(b2 * even_a + a2 * even_b);
      d1[e] = -(b2 * odd_a + a2 * odd_b);
      d2[e] = even_a + even_b;
      d3[e] = odd_a + odd_b;
    }
  }
};

/// Where the 81 transformed values of a 9x9 window lie: by point, of which there are 25, and there by kind of place.
struct StridedPlace {
  std::int64_t point, kind;  // kind: even or odd along y, then along x, as far as the point has both
  StridedPlace(std::int64_t i, std::int64_t j) : point(i % 5 * 5 + j % 5), kind(i / 5 * (j % 5 < 4 ? 2 : 1) + j / 5) {}
  /// How many kinds a point has, and all points before it.
  static std::int64_t kinds(std::int64_t point) { return (point / 5 < 4 ? 2 : 1) * (point % 5 < 4 ? 2 : 1); }
  static std::int64_t before(std::int64_t point) {
    std::int64_t const i = point / 5, j = point % 5;
    return i * 18 + (i < 4 ? 4 : 2) * j;
  }
};

/// The tiles of the results y of one convolution, whose windows in x share a row or column with the next.
template <class Size> struct StridedWinogradTiles {
  using W = StridedWinograd;
  static constexpr std::int64_t lanes = W::lanes;
  Size const& s;
  std::int64_t across, down, count;
  explicit StridedWinogradTiles(Size const& size) : s(size), across((s.ow + 3) / 4), down((s.oh + 3) / 4), count(s.n * across * down) {}

  /// Transformed numbers of a tile.
  std::int64_t a_tile() const { return W::values * s.c + W::points * s.o; }
  bool serve() const {
    return s.kh == 3 && s.kw == 3 && s.stride == 2 && s.groups == 1 && s.c >= 32 && s.o >= 32 && count >= 128 && s.top >= 0 &&
           s.left >= 0 && s.h + s.top <= 8 * down + 1 && s.w + s.left <= 8 * across + 1 && 3 * s.oh * s.ow >= 32 * across * down;
  }
  std::int64_t sample(std::int64_t tile) const { return tile / (across * down); }
  std::int64_t row(std::int64_t tile) const { return tile / across % down * 4; }
  std::int64_t column(std::int64_t tile) const { return tile % across * 4; }
  std::int64_t strip() const {
    std::int64_t const fit = std::max<std::int64_t>(32, (1 << 20) / (4 * a_tile()));
    return std::clamp<std::int64_t>(std::min(fit, count / 8) / 8 * 8, 16, 128);
  }

  /// Transformed windows of x: v holds, point by point, [point_step tiles, kinds c].
  void gather_data(float const* x, std::int64_t first, std::int64_t many, float* v, std::int64_t at, std::int64_t point_step) const {
    float part[W::values * lanes], zeros[lanes] = {};
    for (std::int64_t t = 0; t < many; ++t) {
      std::int64_t const r0 = 2 * row(first + t) - s.top, q0 = 2 * column(first + t) - s.left;
      float const* const picture = x + sample(first + t) * s.h * s.w * s.c;
      for (std::int64_t c = 0; c < s.c; c += lanes) {
        std::int64_t const wide = std::min(lanes, s.c - c);
        for (std::int64_t i = 0; i < 9; ++i) {
          W::In<9> pixel;
          W::Out<9> to;
          for (std::int64_t j = 0; j < 9; ++j) {
            std::int64_t const r = r0 + i, q = q0 + j;
            pixel[std::size_t(j)] = r >= 0 && r < s.h && q >= 0 && q < s.w ? picture + (r * s.w + q) * s.c + c : zeros;
            to[std::size_t(j)] = part + (j * 9 + i) * lanes;
          }
          W::data(pixel, to, wide);
        }
        for (std::int64_t j = 0; j < 9; ++j) {
          W::In<9> from;
          W::Out<9> to;
          for (std::int64_t i = 0; i < 9; ++i) {
            StridedPlace const p(i, j);
            from[std::size_t(i)] = part + (j * 9 + i) * lanes;
            to[std::size_t(i)] =
                v + (StridedPlace::before(p.point) * point_step + (at + t) * StridedPlace::kinds(p.point) + p.kind) * s.c + c;
          }
          W::data(from, to, wide);
        }
      }
    }
  }
  /// Adds the transposed transforms of g, laid out like v, to x. A row or column that two windows share is stored by the first and
  /// added to by the second; rows shared with other strips are added to if `later`.
  void scatter_data(float const* g, std::int64_t at, std::int64_t point_step, std::int64_t first, std::int64_t many, bool later,
                    float* x) const {
    float part[W::values * lanes], out[9 * lanes];
    std::int64_t const first_row = row(first), last_row = row(first + many - 1);
    for (std::int64_t t = 0; t < many; ++t) {
      std::int64_t const r0 = 2 * row(first + t) - s.top, q0 = 2 * column(first + t) - s.left;
      bool const whole = many >= across * down;  // whole pictures: nothing is shared with other strips
      bool const add_top = row(first + t) > 0 && (whole || row(first + t) > first_row || later),
                 add_bottom = !whole && later && row(first + t) == last_row && last_row + 4 < s.oh, add_left = column(first + t) > 0;
      float* const picture = x + sample(first + t) * s.h * s.w * s.c;
      for (std::int64_t c = 0; c < s.c; c += lanes) {
        std::int64_t const wide = std::min(lanes, s.c - c);
        for (std::int64_t j = 0; j < 9; ++j) {
          W::In<9> from;
          W::Out<9> to;
          for (std::int64_t i = 0; i < 9; ++i) {
            StridedPlace const p(i, j);
            from[std::size_t(i)] =
                g + (StridedPlace::before(p.point) * point_step + (at + t) * StridedPlace::kinds(p.point) + p.kind) * s.c + c;
            to[std::size_t(i)] = part + (i * 9 + j) * lanes;
          }
          W::data_transposed(from, to, wide);
        }
        for (std::int64_t i = 0; i < 9; ++i) {
          if (r0 + i < 0 || r0 + i >= s.h) continue;
          bool const add_row = (i == 0 && add_top) || (i == 8 && add_bottom);
          W::In<9> from;
          W::Out<9> to;
          for (std::int64_t j = 0; j < 9; ++j) from[std::size_t(j)] = part + (i * 9 + j) * lanes, to[std::size_t(j)] = out + j * lanes;
          W::data_transposed(from, to, wide);
          for (std::int64_t j = 0; j < 9; ++j) {
            if (q0 + j < 0 || q0 + j >= s.w) continue;
            float* const pixel = picture + ((r0 + i) * s.w + q0 + j) * s.c + c;
            float const* const value = out + j * lanes;
            if (add_row || (j == 0 && add_left))
              for (std::int64_t e = 0; e < wide; ++e) pixel[e] += value[e];
            else
              for (std::int64_t e = 0; e < wide; ++e) pixel[e] = value[e];
          }
        }
      }
    }
  }
  /// m [25, point_step tiles, o]: the transposed transforms of y.
  void gather_results(float const* y, std::int64_t first, std::int64_t many, float* m, std::int64_t at, std::int64_t point_step) const {
    float part[5 * 4 * lanes], zeros[lanes] = {};
    for (std::int64_t t = 0; t < many; ++t) {
      std::int64_t const r0 = row(first + t), q0 = column(first + t);
      float const* const picture = y + sample(first + t) * s.oh * s.ow * s.o;
      for (std::int64_t o = 0; o < s.o; o += lanes) {
        std::int64_t const wide = std::min(lanes, s.o - o);
        for (std::int64_t i = 0; i < 4; ++i) {
          W::In<4> pixel;
          W::Out<5> to;
          for (std::int64_t j = 0; j < 4; ++j)
            pixel[std::size_t(j)] = r0 + i < s.oh && q0 + j < s.ow ? picture + ((r0 + i) * s.ow + q0 + j) * s.o + o : zeros;
          for (std::int64_t j = 0; j < 5; ++j) to[std::size_t(j)] = part + (j * 4 + i) * lanes;
          W::result_transposed(pixel, to, wide);
        }
        for (std::int64_t j = 0; j < 5; ++j) {
          W::In<4> from;
          W::Out<5> to;
          for (std::int64_t i = 0; i < 4; ++i) from[std::size_t(i)] = part + (j * 4 + i) * lanes;
          for (std::int64_t i = 0; i < 5; ++i) to[std::size_t(i)] = m + ((i * 5 + j) * point_step + at + t) * s.o + o;
          W::result_transposed(from, to, wide);
        }
      }
    }
  }
  void scatter_results(float const* m, std::int64_t at, std::int64_t point_step, std::int64_t first, std::int64_t many, float* y) const {
    float part[4 * 5 * lanes], out[4 * lanes];
    for (std::int64_t t = 0; t < many; ++t) {
      std::int64_t const r0 = row(first + t), q0 = column(first + t);
      float* const picture = y + sample(first + t) * s.oh * s.ow * s.o;
      for (std::int64_t o = 0; o < s.o; o += lanes) {
        std::int64_t const wide = std::min(lanes, s.o - o);
        for (std::int64_t j = 0; j < 5; ++j) {
          W::In<5> from;
          W::Out<4> to;
          for (std::int64_t i = 0; i < 5; ++i) from[std::size_t(i)] = m + ((i * 5 + j) * point_step + at + t) * s.o + o;
          for (std::int64_t i = 0; i < 4; ++i) to[std::size_t(i)] = part + (i * 5 + j) * lanes;
          W::result(from, to, wide);
        }
        for (std::int64_t i = 0; i < 4 && r0 + i < s.oh; ++i) {
          W::In<5> from;
          W::Out<4> to;
          for (std::int64_t j = 0; j < 5; ++j) from[std::size_t(j)] = part + (i * 5 + j) * lanes;
          for (std::int64_t j = 0; j < 4; ++j)
            to[std::size_t(j)] = q0 + j < s.ow ? picture + ((r0 + i) * s.ow + q0 + j) * s.o + o : out + j * lanes;
          W::result(from, to, wide);
        }
      }
    }
  }
};

/// The transformed weight, point by point: [kinds c, o] of a weight [c, 3, 3, o] (rows are channels), or [o, kinds c] of one
/// [o, 3, 3, c].
struct StridedWeight {
  std::int64_t rows, columns;
  bool rows_are_channels;

  float* at(float* u, StridedPlace const& p, std::int64_t r) const {
    std::int64_t const kinds = StridedPlace::kinds(p.point);
    return u + StridedPlace::before(p.point) * rows * columns +
           (rows_are_channels ? (p.kind * rows + r) * columns : (r * kinds + p.kind) * columns);
  }
  void transform(float const* weight, float* u) const {
    using W = StridedWinograd;
    parallel_tiles((rows + 7) / 8, [&](std::int64_t call) {
      float part[9 * 3 * W::lanes];
      for (std::int64_t r = call * 8; r < std::min(rows, call * 8 + 8); ++r)
        for (std::int64_t c = 0; c < columns; c += W::lanes) {
          std::int64_t const wide = std::min(W::lanes, columns - c);
          for (std::int64_t i = 0; i < 3; ++i) {
            W::Out<9> to;
            float const* const tap = weight + (r * 9 + 3 * i) * columns + c;
            for (std::int64_t j = 0; j < 9; ++j) to[std::size_t(j)] = part + (j * 3 + i) * W::lanes;
            W::weight({tap, tap + columns, tap + 2 * columns}, to, wide);
          }
          for (std::int64_t j = 0; j < 9; ++j) {
            W::Out<9> to;
            float const* const from = part + j * 3 * W::lanes;
            for (std::int64_t i = 0; i < 9; ++i) to[std::size_t(i)] = at(u, {i, j}, r) + c;
            W::weight({from, from + W::lanes, from + 2 * W::lanes}, to, wide);
          }
        }
    });
  }
  void transform_back(float* u, float* weight) const {
    using W = StridedWinograd;
    parallel_tiles((rows + 7) / 8, [&](std::int64_t call) {
      float part[3 * 9 * W::lanes];
      for (std::int64_t r = call * 8; r < std::min(rows, call * 8 + 8); ++r)
        for (std::int64_t c = 0; c < columns; c += W::lanes) {
          std::int64_t const wide = std::min(W::lanes, columns - c);
          for (std::int64_t j = 0; j < 9; ++j) {
            W::In<9> from;
            for (std::int64_t i = 0; i < 9; ++i) from[std::size_t(i)] = at(u, {i, j}, r) + c;
            float* const to = part + j * W::lanes;
            W::weight_transposed(from, {to, to + 9 * W::lanes, to + 18 * W::lanes}, wide);
          }
          for (std::int64_t i = 0; i < 3; ++i) {
            W::In<9> from;
            for (std::int64_t j = 0; j < 9; ++j) from[std::size_t(j)] = part + (i * 9 + j) * W::lanes;
            float* const tap = weight + (r * 9 + 3 * i) * columns + c;
            W::weight_transposed(from, {tap, tap + columns, tap + 2 * columns}, wide);
          }
        }
    });
  }
};

template <class Size>
void strided_winograd_forward(StridedWinogradTiles<Size> const& tiles, float const* x, float const* weight, float* y) {
  Size const& s = tiles.s;
  Scratch<float> exchanged(s.o * 9 * s.c), u(StridedWinograd::values * s.c * s.o);
  exchange_weight(s.o, 9, s.c, false, weight, exchanged.data());
  StridedWeight{s.c, s.o, true}.transform(exchanged.data(), u.data());
  // See winograd_forward.
  if (winograd_weight_is_large(StridedWinograd::values * s.c * s.o)) {
    std::int64_t const block = winograd_block(tiles.a_tile(), StridedWinograd::values * s.c * s.o);
    Scratch<float> v(StridedWinograd::values * block * s.c), m(StridedWinograd::points * block * s.o);
    for (std::int64_t first = 0; first < tiles.count; first += block) {
      std::int64_t const now = std::min(block, tiles.count - first);
      parallel_strips(now, 8, [&](std::int64_t at, std::int64_t many) { tiles.gather_data(x, first + at, many, v.data(), at, now); });
      parallel_tiles(StridedWinograd::points, [&](std::int64_t p) {
        std::int64_t const k = StridedPlace::kinds(p) * s.c, before = StridedPlace::before(p);
        tile_product(TileProduct<float>{false, false, false, now, s.o, k, v.data() + before * now * s.c, k, u.data() + before * s.c * s.o,
                                        s.o, m.data() + p * now * s.o, s.o});
      });
      parallel_strips(now, 8, [&](std::int64_t at, std::int64_t many) { tiles.scatter_results(m.data(), at, now, first + at, many, y); });
    }
    return;
  }
  std::int64_t const strip = tiles.strip();
  parallel_tiles((tiles.count + strip - 1) / strip, [&](std::int64_t i) {
    std::int64_t const first = i * strip, many = std::min(strip, tiles.count - first);
    Scratch<float> v(StridedWinograd::values * many * s.c), m(StridedWinograd::points * many * s.o);
    tiles.gather_data(x, first, many, v.data(), 0, many);
    for (std::int64_t p = 0; p < StridedWinograd::points; ++p) {
      std::int64_t const k = StridedPlace::kinds(p) * s.c, before = StridedPlace::before(p);
      tile_product(TileProduct<float>{false, false, false, many, s.o, k, v.data() + before * many * s.c, k, u.data() + before * s.c * s.o,
                                      s.o, m.data() + p * many * s.o, s.o});
    }
    tiles.scatter_results(m.data(), 0, many, first, many, y);
  });
}

/// Strips are whole pictures, or rows of tiles of one; then those of even number go first.
template <class Size> void strided_winograd_input(StridedWinogradTiles<Size> const& tiles, float const* y, float const* weight, float* x) {
  Size const& s = tiles.s;
  Scratch<float> u(StridedWinograd::values * s.c * s.o);
  StridedWeight{s.o, s.c, false}.transform(weight, u.data());
  std::int64_t const a_picture = tiles.across * tiles.down, wanted = tiles.strip();
  auto run = [&](std::int64_t first, std::int64_t many, bool later) {
    Scratch<float> g(StridedWinograd::values * many * s.c), m(StridedWinograd::points * many * s.o);
    tiles.gather_results(y, first, many, m.data(), 0, many);
    for (std::int64_t p = 0; p < StridedWinograd::points; ++p) {
      std::int64_t const k = StridedPlace::kinds(p) * s.c, before = StridedPlace::before(p);
      tile_product(TileProduct<float>{false, false, false, many, k, s.o, m.data() + p * many * s.o, s.o, u.data() + before * s.c * s.o, k,
                                      g.data() + before * many * s.c, k});
    }
    tiles.scatter_data(g.data(), 0, many, first, many, later, x);
  };
  if (std::int64_t const block = winograd_block(tiles.a_tile(), StridedWinograd::values * s.c * s.o);
      winograd_weight_is_large(StridedWinograd::values * s.c * s.o) && 2 * a_picture <= block) {
    std::int64_t const pictures = block / a_picture;
    Scratch<float> g(StridedWinograd::values * block * s.c), m(StridedWinograd::points * block * s.o);
    for (std::int64_t n = 0; n < s.n; n += pictures) {
      std::int64_t const first = n * a_picture, now = std::min(pictures, s.n - n) * a_picture;
      parallel_strips(now, 8, [&](std::int64_t at, std::int64_t many) { tiles.gather_results(y, first + at, many, m.data(), at, now); });
      parallel_tiles(StridedWinograd::points, [&](std::int64_t p) {
        std::int64_t const k = StridedPlace::kinds(p) * s.c, before = StridedPlace::before(p);
        tile_product(TileProduct<float>{false, false, false, now, k, s.o, m.data() + p * now * s.o, s.o, u.data() + before * s.c * s.o, k,
                                        g.data() + before * now * s.c, k});
      });
      parallel_strips(now, a_picture,
                      [&](std::int64_t at, std::int64_t many) { tiles.scatter_data(g.data(), at, now, first + at, many, false, x); });
    }
    return;
  }
  if (a_picture <= wanted) {
    std::int64_t const pictures = wanted / a_picture;
    return parallel_strips(s.n, pictures, [&](std::int64_t n, std::int64_t count) { run(n * a_picture, count * a_picture, false); });
  }
  std::int64_t const rows = std::max<std::int64_t>(1, wanted / tiles.across), bands = (tiles.down + rows - 1) / rows;
  for (std::int64_t odd : {0, 1}) {
    std::int64_t const now = (bands + 1 - odd) / 2;
    parallel_tiles(s.n * now, [&](std::int64_t i) {
      std::int64_t const n = i / now, first = (2 * (i % now) + odd) * rows, count = std::min(rows, tiles.down - first);
      run(n * a_picture + first * tiles.across, count * tiles.across, odd == 1);
    });
  }
}

/// The gradient of the weight [o, 3, 3, c]; see winograd_gradient.
template <class Size>
void strided_winograd_gradient(StridedWinogradTiles<Size> const& tiles, float const* x, float const* y, float* weight) {
  Size const& s = tiles.s;
  std::int64_t const strip = 8, block = winograd_block(tiles.a_tile(), StridedWinograd::values * s.c * s.o);
  Scratch<float> u(StridedWinograd::values * s.c * s.o), v(StridedWinograd::values * block * s.c), m(StridedWinograd::points * block * s.o);
  for (std::int64_t first = 0; first < tiles.count; first += block) {
    std::int64_t const now = std::min(block, tiles.count - first);
    parallel_strips(now, strip, [&](std::int64_t at, std::int64_t many) {
      tiles.gather_data(x, first + at, many, v.data(), at, now);
      tiles.gather_results(y, first + at, many, m.data(), at, now);
    });
    parallel_tiles(StridedWinograd::points, [&](std::int64_t p) {
      std::int64_t const k = StridedPlace::kinds(p) * s.c, before = StridedPlace::before(p);
      tile_product(TileProduct<float>{true, false, first > 0, s.o, k, now, m.data() + p * now * s.o, s.o, v.data() + before * now * s.c, k,
                                      u.data() + before * s.c * s.o, k});
    });
  }
  StridedWeight{s.o, s.c, false}.transform_back(u.data(), weight);
}

}  // namespace rig::inline RIG_ABI::detail
#undef RIG_INDEPENDENT
