// Resampling as the first StyleGAN does it (Karras et al. 2018, 2019): nearest neighbour, means, a binomial blur, and
// convolutions joined with them. Doubling and a k by k convolution is one transposed convolution with a window of k + 1, and a
// convolution and halving one strided convolution with it: so both are computed. All made of ops that can be differentiated to
// any order.
#pragma once
#include "rig/ops/upfirdn.hpp"

namespace rig::inline RIG_ABI {

namespace detail {
/// A box of `factor` by `factor` taps; for eight and more a row.
template <class T> Tensor<T> box_filter(int factor, Device const& device) {
  return setup_filter<T>(std::vector<double>(std::size_t(factor), 1.0), {}, device);
}
}  // namespace detail

/// x [n, h, w, c] filtered by the outer product of `taps` with themselves, normalised, at the same size with zeros outside.
/// Correlation. Linear; any order.
template <class T> Var<T> blur2d(Var<T> const& x, std::vector<double> const& taps = {1, 2, 1}) {
  int const t = int(taps.size());
  check(t > 0, "blur2d: there are no taps");
  return upfirdn2d(x, setup_filter<T>(taps, {}, x.device()), {.padding = {(t - 1) / 2, t / 2, (t - 1) / 2, t / 2}, .flip = true});
}

/// Each pixel becomes a square of `factor` by `factor`. Linear; any order.
template <class T> Var<T> upscale2d(Var<T> const& x, int factor = 2) {
  check(factor > 0, "upscale2d: the factor must be positive, got ", factor);
  return factor == 1 ? x : upsample2d(x, detail::box_filter<T>(factor, x.device()), {.up = factor});
}
/// Each square of `factor` by `factor` becomes its mean. Linear; any order.
template <class T> Var<T> downscale2d(Var<T> const& x, int factor = 2) {
  check(factor > 0, "downscale2d: the factor must be positive, got ", factor);
  return factor == 1 ? x : downsample2d(x, detail::box_filter<T>(factor, x.device()), {.down = factor});
}

/// A weight [o, k, k, c] convolved with a 2 by 2 box of `gain` in all: [o, k + 1, k + 1, c]. Linear; any order.
template <class T> Var<T> widen_weight(Var<T> const& w, double gain) {
  return upfirdn2d(w, detail::box_filter<T>(2, w.device()), {.padding = 1, .gain = gain});
}

/// upscale2d, then the correlation with w [o, k, k, c], k odd, at the same size. `fused`: as the networks trained with the fused
/// form compute it, the window mirrored. Result [n, 2 h, 2 w, o]. Any order in x and w.
template <class T> Var<T> upscale_conv2d(Var<T> const& x, Var<T> const& w, bool fused = false) {
  check(x.rank() == 4 && w.rank() == 4 && w.dim(3) == x.dim(3) && w.dim(1) == w.dim(2) && w.dim(1) % 2 == 1,
        "upscale_conv2d: weight must be [o, k, k, ", x.rank() == 4 ? x.dim(3) : 0, "] with k odd to match x [n, h, w, c] ", x.shape(),
        ", got ", w.shape());
  return conv2d_input(x, turn_weight(widen_weight(w, 4), true, !fused), {x.dim(0), 2 * x.dim(1), 2 * x.dim(2), w.dim(0)},
                      {.stride = 2, .padding = int(w.dim(1) / 2)});
}
/// The correlation with w [o, k, k, c], k odd, at the same size, then downscale2d. Result [n, h / 2, w / 2, o]. Any order in x
/// and w.
template <class T> Var<T> conv2d_downscale(Var<T> const& x, Var<T> const& w) {
  check(x.rank() == 4 && w.rank() == 4 && w.dim(3) == x.dim(3) && w.dim(1) == w.dim(2) && w.dim(1) % 2 == 1,
        "conv2d_downscale: weight must be [o, k, k, ", x.rank() == 4 ? x.dim(3) : 0, "] with k odd to match x [n, h, w, c] ", x.shape(),
        ", got ", w.shape());
  return conv2d(x, widen_weight(w, 1), {.stride = 2, .padding = int(w.dim(1) / 2)});
}

}  // namespace rig::inline RIG_ABI
