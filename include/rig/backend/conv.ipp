// Convolution on the CPU, channels last. Four ways, chosen by the sizes alone:
//   columns: the windows of a strip of pixels are laid out as a matrix and multiplied; any scalar, padding, stride, groups;
//   depthwise: forward, where every channel has a group of its own;
//   oneDNN:  for float and pictures large enough to be worth putting the weight into oneDNN's own order;
//   Winograd: for float, 3x3 windows, stride 1 or 2 and many channels and pixels: a quarter of the products, or 9/16.
// Every way the result is cut into strips by its shape, each computed by one thread: same bits for any number of threads.
// Size is the ConvSize of ops/conv.hpp.
#pragma once
#include <cstring>
#include <vector>

#include "rig/backend/winograd_strided.ipp"
#if RIG_USE_DNNL
#include "rig/backend/conv_dnnl.ipp"
#endif

namespace rig::inline RIG_ABI::detail {

template <class T> void copy_values(T* to, T const* from, std::int64_t count) { std::memcpy(to, from, std::size_t(count) * sizeof(T)); }
template <class T> void zero_values(T* to, std::int64_t count) { std::fill(to, to + count, T(0)); }

/// Rows [first, first + count) of the matrix [n oh ow, kh kw cg] of windows; channels from `channel` on.
template <class Size, class T>
void gather_windows(Size const& s, T const* x, std::int64_t first, std::int64_t count, std::int64_t channel, T* columns) {
  std::int64_t const cg = s.c / s.groups;
  for (std::int64_t p = first; p < first + count; ++p) {
    std::int64_t const j = p % s.ow, i = p / s.ow % s.oh, n = p / (s.ow * s.oh), q0 = j * s.stride - s.left;
    for (std::int64_t u = 0; u < s.kh; ++u) {
      std::int64_t const r = i * s.stride + u - s.top;
      if (r < 0 || r >= s.h) {
        zero_values(columns, s.kw * cg);
        columns += s.kw * cg;
        continue;
      }
      T const* row = x + (n * s.h + r) * s.w * s.c + channel;
      if (s.groups == 1 && q0 >= 0 && q0 + s.kw <= s.w) {
        copy_values(columns, row + q0 * s.c, s.kw * s.c);
        columns += s.kw * s.c;
        continue;
      }
      for (std::int64_t v = 0; v < s.kw; ++v, columns += cg) {
        std::int64_t const q = q0 + v;
        if (q < 0 || q >= s.w)
          zero_values(columns, cg);
        else
          copy_values(columns, row + q * s.c, cg);
      }
    }
  }
}

/// How many rows of a matrix with that many columns one strip has.
inline std::int64_t strip_rows(std::int64_t columns) {
  return std::clamp<std::int64_t>((1 << 20) / std::max<std::int64_t>(columns, 1), 128, 1024);
}

/// Whether x itself is the matrix of windows.
template <class Size> bool is_pointwise(Size const& s) {
  return s.kh == 1 && s.kw == 1 && s.stride == 1 && s.groups == 1 && s.top == 0 && s.left == 0 && s.oh == s.h && s.ow == s.w;
}

template <class Size, class T> void conv_forward_columns(Size const& s, T const* x, T const* weight, T* y) {
  std::int64_t const pixels = s.n * s.oh * s.ow, cg = s.c / s.groups, og = s.o / s.groups, k = s.kh * s.kw * cg;
  if (is_pointwise(s)) return product(1, pixels, s.o, k, false, true, x, weight, y);
  if (pixels <= 512 && s.groups == 1) {
    Scratch<T> columns(pixels * k);
    parallel_strips(pixels, 16, [&](std::int64_t p, std::int64_t count) { gather_windows(s, x, p, count, 0, columns.data() + p * k); });
    return product(1, pixels, s.o, k, false, true, columns.data(), weight, y);
  }
  parallel_strips(pixels, strip_rows(k), [&](std::int64_t p, std::int64_t count) {
    Scratch<T> columns(count * k);
    for (std::int64_t g = 0; g < s.groups; ++g) {
      gather_windows(s, x, p, count, g * cg, columns.data());
      tile_product(TileProduct<T>{false, true, false, count, og, k, columns.data(), k, weight + g * og * k, k, y + p * s.o + g * og, s.o});
    }
  });
}

// x in `stride * stride` interleaved parts: the pixels of one part see the same taps of the window, so each part is an
// ordinary convolution of y, with a smaller window.
template <class Size, class T> struct ConvInputPart {
  Size s;
  std::int64_t first_u, first_v, taps_u, taps_v, first_r, first_q, rows, cols;

  ConvInputPart(Size const& size, std::int64_t part) : s(size), first_u(part / s.stride), first_v(part % s.stride) {
    auto place = [&](std::int64_t first, std::int64_t window, std::int64_t pad, std::int64_t extent, std::int64_t& taps,
                     std::int64_t& start, std::int64_t& count) {
      taps = first < window ? (window - first - 1) / s.stride + 1 : 0;
      start = ((first - pad) % s.stride + s.stride) % s.stride;
      count = start < extent ? (extent - start - 1) / s.stride + 1 : 0;
    };
    place(first_u, s.kh, s.top, s.h, taps_u, first_r, rows);
    place(first_v, s.kw, s.left, s.w, taps_v, first_q, cols);
  }
  std::int64_t pixels() const { return s.n * rows * cols; }
  std::int64_t columns() const { return taps_u * taps_v * (s.o / s.groups); }

  /// The weight of one group as a matrix [taps_u taps_v og, cg].
  void gather_weight(T const* weight, std::int64_t g, T* to) const {
    std::int64_t const cg = s.c / s.groups, og = s.o / s.groups;
    for (std::int64_t m = 0; m < taps_u; ++m)
      for (std::int64_t l = 0; l < taps_v; ++l)
        for (std::int64_t o = g * og; o < (g + 1) * og; ++o, to += cg)
          copy_values(to, weight + ((o * s.kh + first_u + m * s.stride) * s.kw + first_v + l * s.stride) * cg, cg);
  }
  T* pixel(T* x, std::int64_t p) const {
    std::int64_t const q = first_q + p % cols * s.stride, r = first_r + p / cols % rows * s.stride;
    return x + ((p / (cols * rows) * s.h + r) * s.w + q) * s.c;
  }
  void gather(T const* y, std::int64_t first, std::int64_t count, std::int64_t g, T* to) const {
    std::int64_t const og = s.o / s.groups;
    for (std::int64_t p = first; p < first + count; ++p) {
      std::int64_t const j = (first_q + p % cols * s.stride + s.left - first_v) / s.stride,
                         i = (first_r + p / cols % rows * s.stride + s.top - first_u) / s.stride, n = p / (cols * rows);
      for (std::int64_t m = 0; m < taps_u; ++m)
        for (std::int64_t l = 0; l < taps_v; ++l, to += og)
          if (i - m >= 0 && i - m < s.oh && j - l >= 0 && j - l < s.ow)
            copy_values(to, y + ((n * s.oh + i - m) * s.ow + j - l) * s.o + g * og, og);
          else
            zero_values(to, og);
    }
  }
};

template <class Size, class T> void conv_input_columns(Size const& s, T const* y, T const* weight, T* x) {
  std::int64_t const cg = s.c / s.groups;
  if (is_pointwise(s)) return product(1, s.n * s.h * s.w, s.c, s.o, false, false, y, weight, x);
  for (std::int64_t part = 0; part < s.stride * s.stride; ++part) {
    ConvInputPart<Size, T> const at(s, part);
    std::int64_t const pixels = at.pixels(), k = at.columns();
    if (pixels == 0) continue;
    Scratch<T> weights(k * s.c);
    for (std::int64_t g = 0; g < s.groups; ++g) at.gather_weight(weight, g, weights.data() + g * k * cg);
    bool const whole = pixels <= 512 && k > 0 && s.groups == 1;
    if (whole) {
      Scratch<T> columns(pixels * k), out(pixels * cg);
      parallel_strips(pixels, 16, [&](std::int64_t p, std::int64_t count) { at.gather(y, p, count, 0, columns.data() + p * k); });
      product(1, pixels, cg, k, false, false, columns.data(), weights.data(), out.data());
      for (std::int64_t p = 0; p < pixels; ++p) copy_values(at.pixel(x, p), out.data() + p * cg, cg);
      continue;
    }
    parallel_strips(pixels, strip_rows(k), [&](std::int64_t p, std::int64_t count) {
      Scratch<T> columns(count * k), out(count * cg);
      for (std::int64_t g = 0; g < s.groups; ++g) {
        if (k > 0) {
          at.gather(y, p, count, g, columns.data());
          tile_product(
              TileProduct<T>{false, false, false, count, cg, k, columns.data(), k, weights.data() + g * k * cg, cg, out.data(), cg});
        } else {
          zero_values(out.data(), count * cg);
        }
        for (std::int64_t i = 0; i < count; ++i) copy_values(at.pixel(x, p + i) + g * cg, out.data() + i * cg, cg);
      }
    });
  }
}

template <class Size, class T> void conv_weight_columns(Size const& s, T const* x, T const* y, T* weight) {
  std::int64_t const pixels = s.n * s.oh * s.ow, cg = s.c / s.groups, og = s.o / s.groups, taps = s.kh * s.kw, k = taps * cg;
  if (pixels == 0) return zero_values(weight, s.o * k);
  if (is_pointwise(s)) return product(1, s.o, k, pixels, true, false, y, x, weight);
  if (pixels <= 512 && s.groups == 1) {
    Scratch<T> columns(pixels * k);
    parallel_strips(pixels, 16, [&](std::int64_t p, std::int64_t count) { gather_windows(s, x, p, count, 0, columns.data() + p * k); });
    return product(1, s.o, k, pixels, true, false, y, columns.data(), weight);
  }
  std::int64_t const chunk = strip_rows(k);
  auto sum_windows = [&](std::int64_t first, std::int64_t count, T* to) {
    Scratch<T> columns(std::min(chunk, count) * k);
    for (std::int64_t p = first; p < first + count; p += chunk) {
      std::int64_t const now = std::min(chunk, first + count - p);
      for (std::int64_t g = 0; g < s.groups; ++g) {
        gather_windows(s, x, p, now, g * cg, columns.data());
        tile_product(TileProduct<T>{true, false, p > first, og, k, now, y + p * s.o + g * og, s.o, columns.data(), k, to + g * og * k, k});
      }
    }
  };
  // A small weight: parts of the sum, added in order. A large one: one tap of some outputs a tile.
  if (s.groups > 1 || s.o * k <= 1 << 17) {
    std::int64_t const parts = std::clamp<std::int64_t>(pixels / 2048, 1, 16);
    Scratch<T> partial(parts * s.o * k);
    parallel_tiles(parts, [&](std::int64_t i) {
      std::int64_t const first = pixels * i / parts;
      sum_windows(first, pixels * (i + 1) / parts - first, partial.data() + i * s.o * k);
    });
    copy_values(weight, partial.data(), s.o * k);
    for (std::int64_t i = 1; i < parts; ++i)
      for (std::int64_t e = 0; e < s.o * k; ++e) weight[e] += partial.data()[i * s.o * k + e];
    return;
  }
  std::int64_t const block = std::min<std::int64_t>(s.o, 128), blocks = (s.o + block - 1) / block, depth = 512;
  parallel_tiles(taps * blocks, [&](std::int64_t tile) {
    std::int64_t const tap = tile / blocks, o = tile % blocks * block, u = tap / s.kw, v = tap % s.kw;
    Size one = s;
    one.kh = one.kw = 1, one.top -= u, one.left -= v;
    Scratch<T> shifted(depth * s.c);
    for (std::int64_t p = 0; p < pixels; p += depth) {
      std::int64_t const now = std::min(depth, pixels - p);
      gather_windows(one, x, p, now, 0, shifted.data());
      tile_product(TileProduct<T>{true, false, p > 0, std::min(block, s.o - o), s.c, now, y + p * s.o + o, s.o, shifted.data(), s.c,
                                  weight + (o * taps + tap) * s.c, k});
    }
  });
}

/// One channel in and one out a group: a product has nothing to share there, the channels side by side do.
template <class Size, class T> void conv_forward_depthwise(Size const& s, T const* x, T const* weight, T* y) {
  std::int64_t const taps = s.kh * s.kw, pixels = s.n * s.oh * s.ow;
  Scratch<T> turned(taps * s.c);
  exchange_weight(s.c, taps, 1, false, weight, turned.data());
  parallel_strips(pixels, strip_rows(taps * s.c), [&](std::int64_t first, std::int64_t count) {
    for (std::int64_t p = first; p < first + count; ++p) {
      std::int64_t const j = p % s.ow, i = p / s.ow % s.oh, n = p / (s.ow * s.oh);
      T* to = y + p * s.c;
      zero_values(to, s.c);
      for (std::int64_t u = 0; u < s.kh; ++u)
        for (std::int64_t v = 0; v < s.kw; ++v) {
          std::int64_t const r = i * s.stride + u - s.top, q = j * s.stride + v - s.left;
          if (r < 0 || r >= s.h || q < 0 || q >= s.w) continue;
          T const *a = x + ((n * s.h + r) * s.w + q) * s.c, *b = turned.data() + (u * s.kw + v) * s.c;
          for (std::int64_t c = 0; c < s.c; ++c) to[c] += a[c] * b[c];
        }
    }
  });
}

template <class Size, class T> void conv_forward(Size const& s, T const* x, T const* weight, T* y) {
  if (s.groups > 1 && s.groups == s.c && s.o == s.c) return conv_forward_depthwise(s, x, weight, y);
  if constexpr (std::is_same_v<T, float>)
    if (WinogradTiles<Size> const tiles(s); tiles.serve()) {
      Scratch<T> exchanged(s.o * 9 * s.c), u(Winograd::points * winograd_step(s.c * s.o));
      exchange_weight(s.o, 9, s.c, false, weight, exchanged.data());
      winograd_weight(exchanged.data(), s.c, s.o, false, u.data());
      return winograd_forward(tiles, x, u.data(), y);
    }
  if constexpr (std::is_same_v<T, float>)
    if (StridedWinogradTiles<Size> const tiles(s); tiles.serve()) return strided_winograd_forward(tiles, x, weight, y);
#if RIG_USE_DNNL
  if constexpr (std::is_same_v<T, float>)
    if (dnnl_conv(DnnlConvKind::forward, s, x, weight, y)) return;
#endif
  conv_forward_columns(s, x, weight, y);
}
/// conv_input with stride 1 is conv_forward of these sizes with the mirrored weight, its ends exchanged.
template <class Size> Size turned_size(Size const& s) {
  return {s.n, s.oh, s.ow, s.o, s.h, s.w, s.c, s.kh, s.kw, 1, s.kh - 1 - s.top, s.kw - 1 - s.left, 1};
}

template <class Size, class T> void conv_input(Size const& s, T const* y, T const* weight, T* x) {
  if constexpr (std::is_same_v<T, float>)
    if (s.stride == 1 && s.groups == 1) {
      Size const turned = turned_size(s);
      if (WinogradTiles<Size> const tiles(turned); tiles.serve()) {
        Scratch<T> u(Winograd::points * winograd_step(s.o * s.c));
        winograd_weight(weight, s.o, s.c, true, u.data());
        return winograd_forward(tiles, y, u.data(), x);
      }
    }
  if constexpr (std::is_same_v<T, float>)
    if (StridedWinogradTiles<Size> const tiles(s); tiles.serve()) return strided_winograd_input(tiles, y, weight, x);
#if RIG_USE_DNNL
  if constexpr (std::is_same_v<T, float>) {
    // With stride 1 it is a convolution with the mirrored weight, for which oneDNN has the faster code: worth it where the
    // picture is larger than the weight.
    if (s.stride == 1 && s.groups == 1 && s.kh * s.kw > 1 && s.n * s.h * s.w > s.o * s.kh * s.kw / 2) {
      Size const turned = turned_size(s);
      if (dnnl_conv_serves(turned)) {
        Scratch<T> mirrored(s.o * s.kh * s.kw * s.c);
        exchange_weight(s.o, s.kh * s.kw, s.c, true, weight, mirrored.data());
        if (dnnl_conv(DnnlConvKind::forward, turned, y, mirrored.data(), x)) return;
      }
    }
    if (dnnl_conv(DnnlConvKind::input, s, y, weight, x)) return;
  }
#endif
  conv_input_columns(s, y, weight, x);
}
template <class Size, class T> void conv_weight(Size const& s, T const* x, T const* y, T* weight) {
  if constexpr (std::is_same_v<T, float>)
    if (WinogradTiles<Size> const tiles(s); tiles.serve()) return winograd_gradient(tiles, x, y, weight);
  if constexpr (std::is_same_v<T, float>)
    if (StridedWinogradTiles<Size> const tiles(s); tiles.serve()) return strided_winograd_gradient(tiles, x, y, weight);
  conv_weight_columns(s, x, y, weight);
}

}  // namespace rig::inline RIG_ABI::detail
