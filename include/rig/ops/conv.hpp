// Convolution, channels last. y, x and w are bound by one trilinear form, so the three members of the family
//   conv2d(x, w)   conv2d_input(y, w)   conv2d_weight(x, y)
// are one another's derivatives and all of them can be differentiated to any order.
// conv2d_input is also known as transposed convolution: with stride 2 it doubles the size of a picture.
#pragma once
#include <algorithm>

#include "rig/autodiff/op.hpp"
#include "rig/ops/conv_size.hpp"

namespace rig::inline RIG_ABI {

/// Rows and columns of zeros added on each side; negative numbers crop. x runs along the width, y along the height.
struct Padding {
  int x0 = 0, x1 = 0, y0 = 0, y1 = 0;
  constexpr Padding() = default;
  constexpr Padding(int all) : x0(all), x1(all), y0(all), y1(all) {}
  constexpr Padding(int left, int right, int top, int bottom) : x0(left), x1(right), y0(top), y1(bottom) {}
  friend bool operator==(Padding const&, Padding const&) = default;
};

struct Conv2dOptions {
  int stride = 1;
  Padding padding = {};
  int groups = 1;
};

namespace detail {

// The three plain kernels: one element of the result a call. What CUDA runs in double and for groups, and what the back ends and
// the hand-written kernels are tested against.
template <class T> struct ConvKernel {
  ConvSize s;
  T const *x, *weight;
  T* y;
  RIG_HD void operator()(std::int64_t row, std::int64_t o) const {
    std::int64_t const j = row % s.ow, i = row / s.ow % s.oh, n = row / (s.ow * s.oh), cg = s.c_in_group(), first = o / s.o_in_group() * cg;
    T sum = 0;
    for (std::int64_t u = 0; u < s.kh; ++u) {
      std::int64_t const r = i * s.stride + u - s.top;
      if (r < 0 || r >= s.h) continue;
      for (std::int64_t v = 0; v < s.kw; ++v) {
        std::int64_t const q = j * s.stride + v - s.left;
        if (q < 0 || q >= s.w) continue;
        T const *a = x + ((n * s.h + r) * s.w + q) * s.c + first, *b = weight + ((o * s.kh + u) * s.kw + v) * cg;
        for (std::int64_t c = 0; c < cg; ++c) sum += a[c] * b[c];
      }
    }
    y[row * s.o + o] = sum;
  }
};
template <class T> struct ConvInputKernel {
  ConvSize s;
  T const *y, *weight;
  T* x;
  RIG_HD void operator()(std::int64_t row, std::int64_t c) const {
    std::int64_t const q = row % s.w, r = row / s.w % s.h, n = row / (s.w * s.h), cg = s.c_in_group(), og = s.o_in_group(),
                       first = c / cg * og;
    T sum = 0;
    for (std::int64_t u = 0; u < s.kh; ++u) {
      std::int64_t const i = r + s.top - u;
      if (i < 0 || i % s.stride || i / s.stride >= s.oh) continue;
      for (std::int64_t v = 0; v < s.kw; ++v) {
        std::int64_t const j = q + s.left - v;
        if (j < 0 || j % s.stride || j / s.stride >= s.ow) continue;
        T const* a = y + ((n * s.oh + i / s.stride) * s.ow + j / s.stride) * s.o + first;
        for (std::int64_t o = 0; o < og; ++o) sum += a[o] * weight[(((first + o) * s.kh + u) * s.kw + v) * cg + c % cg];
      }
    }
    x[row * s.c + c] = sum;
  }
};
template <class T> struct ConvWeightKernel {
  ConvSize s;
  T const *x, *y;
  T* weight;
  RIG_HD void operator()(std::int64_t row, std::int64_t c) const {
    std::int64_t const v = row % s.kw, u = row / s.kw % s.kh, o = row / (s.kw * s.kh), cg = s.c_in_group(), first = o / s.o_in_group() * cg;
    T sum = 0;
    for (std::int64_t n = 0; n < s.n; ++n)
      for (std::int64_t i = 0; i < s.oh; ++i) {
        std::int64_t const r = i * s.stride + u - s.top;
        if (r < 0 || r >= s.h) continue;
        for (std::int64_t j = 0; j < s.ow; ++j) {
          std::int64_t const q = j * s.stride + v - s.left;
          if (q < 0 || q >= s.w) continue;
          sum += x[((n * s.h + r) * s.w + q) * s.c + first + c] * y[((n * s.oh + i) * s.ow + j) * s.o + o];
        }
      }
    weight[row * cg + c] = sum;
  }
};

/// y(row, j) = x(row, j) s(sample, j): channels scaled, every pixel of a sample alike.
template <class T> struct ScaleChannelsKernel {
  T const *x, *s;
  T* y;
  std::int64_t pixels, c;  // pixels of one sample
  RIG_HD void operator()(std::int64_t row, std::int64_t j) const { y[row * c + j] = x[row * c + j] * s[row / pixels * c + j]; }
};

void cpu_conv(ConvSize const& s, float const* x, float const* weight, float* y);
void cpu_conv(ConvSize const& s, double const* x, double const* weight, double* y);
void cpu_conv_input(ConvSize const& s, float const* y, float const* weight, float* x);
void cpu_conv_input(ConvSize const& s, double const* y, double const* weight, double* x);
void cpu_conv_weight(ConvSize const& s, float const* x, float const* y, float* weight);
void cpu_conv_weight(ConvSize const& s, double const* x, double const* y, double* weight);

/// The hand-written kernels of ops/cuda/conv.hpp; false if the plain ones have to do it.
template <class T> bool cuda_conv(Device const&, ConvSize const&, T const* /*x*/, T const* /*weight*/, T* /*y*/) { return false; }
template <class T> bool cuda_conv_input(Device const&, ConvSize const&, T const* /*y*/, T const* /*weight*/, T* /*x*/) { return false; }
template <class T> bool cuda_conv_weight(Device const&, ConvSize const&, T const* /*x*/, T const* /*y*/, T* /*weight*/) { return false; }
#if RIG_GPU
bool cuda_conv(Device const& device, ConvSize const& s, float const* x, float const* weight, float* y, ConvScales const& scales = {},
               ConvFinish const& finish = {});
bool cuda_conv_input(Device const& device, ConvSize const& s, float const* y, float const* weight, float* x, ConvScales const& scales = {});
bool cuda_conv_weight(Device const& device, ConvSize const& s, float const* x, float const* y, float* weight,
                      ConvScales const& scales = {});
#endif

/// The sizes of one member of the family; throws in its name.
inline ConvSize conv_size(char const* op, Shape const& x, Shape const& w, Conv2dOptions const& o) {
  check(x.rank() == 4, op, ": x must be [n, h, w, c], got ", x);
  check(o.stride > 0 && o.groups > 0, op, ": stride and groups must be positive, got ", o.stride, " and ", o.groups);
  check(w.rank() == 4 && w[3] * o.groups == x[3] && w[0] % o.groups == 0, op, ": weight must be [o, kh, kw, ", x[3] / o.groups,
        "] with o a multiple of ", o.groups, " to match x ", x, " in ", o.groups, " groups, got ", w);
  std::int64_t const height = x[1] + o.padding.y0 + o.padding.y1, width = x[2] + o.padding.x0 + o.padding.x1;
  check(w[1] > 0 && w[2] > 0 && height >= w[1] && width >= w[2], op, ": x ", x, " padded to ", height, " by ", width,
        " is smaller than the weight ", w);
  return {x[0],     x[1],         x[2],         x[3],    (height - w[1]) / o.stride + 1, (width - w[2]) / o.stride + 1, w[0], w[1], w[2],
          o.stride, o.padding.y0, o.padding.x0, o.groups};
}
inline void check_conv_result(char const* op, ConvSize const& s, Shape const& x, Shape const& w, Shape const& y) {
  Shape const expected{s.n, s.oh, s.ow, s.o};
  check(y == expected, op, ": y must be ", expected, ", the convolution of x ", x, " with weight ", w, ", got ", y);
}

}  // namespace detail

template <class T> Var<T> conv2d(Var<T> const& x, Var<T> const& w, Conv2dOptions const& options = {});
template <class T> Var<T> conv2d_input(Var<T> const& y, Var<T> const& w, Shape const& x_shape, Conv2dOptions const& options = {});
template <class T> Var<T> conv2d_weight(Var<T> const& x, Var<T> const& y, Shape const& w_shape, Conv2dOptions const& options = {});

template <class T> struct Conv2d {
  using scalar = T;
  static constexpr char const* name = "conv2d";
  Conv2dOptions o;

  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& w) const {
    auto const s = detail::conv_size(name, x.shape(), w.shape(), o);
    Tensor<T> y({s.n, s.oh, s.ow, s.o}, x.device());
    if (y.device().is_cpu())
      detail::cpu_conv(s, x.data(), w.data(), y.mutate());
    else if (!detail::cuda_conv(y.device(), s, x.data(), w.data(), y.mutate()))
      for_each(y.device(), s.n * s.oh * s.ow, s.o, detail::ConvKernel<T>{s, x.data(), w.data(), y.mutate()});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> /*y*/, Var<T> x, Var<T> w) const { return conv2d_input(gy, w, x.shape(), o); }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T> /*y*/, Var<T> x, Var<T> w) const { return conv2d_weight(x, gy, w.shape(), o); }
};

template <class T> struct Conv2dInput {
  using scalar = T;
  static constexpr char const* name = "conv2d_input";
  Shape x_shape;
  Conv2dOptions o;

  Tensor<T> forward(Tensor<T> const& y, Tensor<T> const& w) const {
    auto const s = detail::conv_size(name, x_shape, w.shape(), o);
    detail::check_conv_result(name, s, x_shape, w.shape(), y.shape());
    Tensor<T> x(x_shape, y.device());
    if (x.device().is_cpu())
      detail::cpu_conv_input(s, y.data(), w.data(), x.mutate());
    else if (!detail::cuda_conv_input(x.device(), s, y.data(), w.data(), x.mutate()))
      for_each(x.device(), s.n * s.h * s.w, s.c, detail::ConvInputKernel<T>{s, y.data(), w.data(), x.mutate()});
    return x;
  }
  Var<T> vjp(wrt<0>, Var<T> gx, Var<T> /*x*/, Var<T> /*y*/, Var<T> w) const { return conv2d(gx, w, o); }
  Var<T> vjp(wrt<1>, Var<T> gx, Var<T> /*x*/, Var<T> y, Var<T> w) const { return conv2d_weight(gx, y, w.shape(), o); }
};

template <class T> struct Conv2dWeight {
  using scalar = T;
  static constexpr char const* name = "conv2d_weight";
  Shape w_shape;
  Conv2dOptions o;

  Tensor<T> forward(Tensor<T> const& x, Tensor<T> const& y) const {
    auto const s = detail::conv_size(name, x.shape(), w_shape, o);
    detail::check_conv_result(name, s, x.shape(), w_shape, y.shape());
    Tensor<T> w(w_shape, y.device());
    if (w.device().is_cpu())
      detail::cpu_conv_weight(s, x.data(), y.data(), w.mutate());
    else if (!detail::cuda_conv_weight(w.device(), s, x.data(), y.data(), w.mutate()))
      for_each(w.device(), s.o * s.kh * s.kw, s.c_in_group(), detail::ConvWeightKernel<T>{s, x.data(), y.data(), w.mutate()});
    return w;
  }
  Var<T> vjp(wrt<0>, Var<T> gw, Var<T> /*w*/, Var<T> x, Var<T> y) const { return conv2d_input(y, gw, x.shape(), o); }
  Var<T> vjp(wrt<1>, Var<T> gw, Var<T> /*w*/, Var<T> x, Var<T> /*y*/) const { return conv2d(x, gw, o); }
};

/// y [n, oh, ow, o] from x [n, h, w, c] and w [o, kh, kw, c / groups], as correlation: w is not flipped.
/// oh = (h + padding.y0 + padding.y1 - kh) / stride + 1, rounded down, and ow alike.
/// Differentiable to any order in both. The same bits for any number of threads.
template <class T> Var<T> conv2d(Var<T> const& x, Var<T> const& w, Conv2dOptions const& options) { return apply(Conv2d<T>{options}, x, w); }

/// The transposed convolution: the gradient of conv2d with respect to its x, of shape `x_shape`, where y is the gradient.
/// Differentiable to any order in y and w.
template <class T> Var<T> conv2d_input(Var<T> const& y, Var<T> const& w, Shape const& x_shape, Conv2dOptions const& options) {
  return apply(Conv2dInput<T>{x_shape, options}, y, w);
}

/// The gradient of conv2d with respect to its weight, of shape `w_shape`. Differentiable to any order in x and y.
template <class T> Var<T> conv2d_weight(Var<T> const& x, Var<T> const& y, Shape const& w_shape, Conv2dOptions const& options) {
  return apply(Conv2dWeight<T>{w_shape, options}, x, y);
}

// ---- weights in another order -----------------------------------------------------------------------------------------

namespace detail {
/// y(b, u, v, a) = x(a, u', v', b) in each group, or with a and b in place; u', v' are mirrored if `flip`.
template <class T> struct TurnWeightKernel {
  T const* x;
  T* y;
  std::int64_t o, kh, kw, c, groups;  // of x: [groups * o, kh, kw, c]
  bool swap, flip;
  RIG_HD void operator()(std::int64_t row, std::int64_t col) const {
    std::int64_t const taps = kh * kw, tap = row % taps, from = flip ? taps - 1 - tap : tap, first = row / taps, out = swap ? c : o;
    std::int64_t const g = first / out, k = first % out;
    y[row * (swap ? o : c) + col] = swap ? x[((g * o + col) * taps + from) * c + k] : x[((g * o + k) * taps + from) * c + col];
  }
};
/// The same for `swap` on the CPU: sixteen rows of the result a call, in squares, so that cache lines are read and written
/// whole.
template <class T> struct TurnWeightTileKernel {
  TurnWeightKernel<T> p;
  static constexpr std::int64_t side = 16;
  void operator()(std::int64_t call) const {
    std::int64_t const tiles = (p.c + side - 1) / side, g = call / tiles, c0 = call % tiles * side, taps = p.kh * p.kw;
    std::int64_t const cs = std::min(side, p.c - c0);
    T square[side][side];
    for (std::int64_t o0 = 0; o0 < p.o; o0 += side) {
      std::int64_t const os = std::min(side, p.o - o0);
      for (std::int64_t tap = 0; tap < taps; ++tap) {
        T const* from = p.x + ((g * p.o + o0) * taps + (p.flip ? taps - 1 - tap : tap)) * p.c + c0;
        for (std::int64_t o = 0; o < os; ++o)
          for (std::int64_t c = 0; c < cs; ++c) square[c][o] = from[o * taps * p.c + c];
        T* to = p.y + ((g * p.c + c0) * taps + tap) * p.o + o0;
        for (std::int64_t c = 0; c < cs; ++c)
          for (std::int64_t o = 0; o < os; ++o) to[c * taps * p.o + o] = square[c][o];
      }
    }
  }
};
}  // namespace detail

template <class T> Var<T> turn_weight(Var<T> const& w, bool swap, bool flip, int groups = 1);

template <class T> struct TurnWeight {
  using scalar = T;
  static constexpr char const* name = "turn_weight";
  bool swap, flip;
  int groups;

  Tensor<T> forward(Tensor<T> const& w) const {
    check(w.rank() == 4 && groups > 0 && w.dim(0) % groups == 0, name, ": weight must be [o, kh, kw, c] with o a multiple of ", groups,
          ", got ", w.shape());
    std::int64_t const o = w.dim(0) / groups, c = w.dim(3);
    Tensor<T> y(swap ? Shape{groups * c, w.dim(1), w.dim(2), o} : w.shape(), w.device());
    detail::TurnWeightKernel<T> const k{w.data(), y.mutate(), o, w.dim(1), w.dim(2), c, groups, swap, flip};
    if (swap && y.device().is_cpu() && y.size() > 4096)
      for_each_on_cpu(groups * ((c + 15) / 16), detail::TurnWeightTileKernel<T>{k});
    else
      for_each(y.device(), y.dim(0) * y.dim(1) * y.dim(2), y.dim(3), k);
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> /*y*/, Var<T> /*w*/) const { return turn_weight(gy, swap, flip, groups); }
};

/// A convolution's weight [o, kh, kw, c] with its window mirrored (`flip`) and its ends exchanged to [c, kh, kw, o] (`swap`,
/// in each group apart). Its own inverse and adjoint; any order.
template <class T> Var<T> turn_weight(Var<T> const& w, bool swap, bool flip, int groups) {
  return swap || flip ? apply(TurnWeight<T>{swap, flip, groups}, w) : w;
}

#if RIG_EXTERN_TEMPLATES
RIG_OP(Conv2d)
RIG_OP(Conv2dInput)
RIG_OP(Conv2dWeight)
RIG_OP(TurnWeight)
#endif

}  // namespace rig::inline RIG_ABI

#if RIG_INCLUDE_IPP
#include "rig/ops/conv.ipp"
#endif
