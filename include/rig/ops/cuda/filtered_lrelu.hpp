// Filtered leaky relu on a GPU: what lies between the filters of a strip (see upfirdn.hpp). The large picture is never in memory:
// forward, about 80 multiplications and 8 bytes a result at factors of 2 and 12 taps; the gradient reads one code byte a number of
// the large picture, and these are made by the first half of the same strip. Factors up 2 and 4, down 2 and 4 (not 4 and 4),
// taps up to six times the factor, the same along both axes; other filters go through upfirdn2d, also on the device.
// Not yet measured on a GPU; see bench/results/PENDING.md.
#pragma once
#include "rig/ops/cuda/upfirdn.hpp"

#if RIG_GPU
namespace rig::inline RIG_ABI::detail {

/// The activation, F as LreluInPlace,
template <class F> struct ActivateStrip {
  static constexpr bool result = true, reads = false;
  F f;
  RIG_DEVICE int read(std::int64_t) const { return 0; }
  RIG_DEVICE float operator()(float u, int, std::int64_t) const { return f(u); }
};
/// or its slope by code,
struct SlopeStrip {
  static constexpr bool result = true, reads = true;
  signed char const* codes;
  float rising, falling;
  RIG_DEVICE int read(std::int64_t at) const { return codes[at]; }
  RIG_DEVICE float operator()(float u, int code, std::int64_t) const { return u * (code == 0 ? 0.f : code == 1 ? rising : falling); }
};
/// or the codes themselves.
template <class F> struct CodeStrip {
  static constexpr bool result = false, reads = false;
  signed char* codes;
  F f;
  RIG_DEVICE int read(std::int64_t) const { return 0; }
  RIG_DEVICE float operator()(float u, int, std::int64_t at) const {
    codes[at] = f.code(u);
    return u;
  }
};

/// How x goes up through one filter and down through another.
struct FilterPair {
  FilterOnGpu up, down;
  AxisOnGpu up_rows, up_cols, down_rows, down_cols;
  bool alike() const {
    return up_rows.up == up_cols.up && down_rows.down == down_cols.down && up_rows.down == 1 && up_cols.down == 1 && down_rows.up == 1 &&
           down_cols.up == 1;
  }
  bool small(FilterOnGpu const& f, int taps) const { return f.line && f.width <= taps; }
};

/// y from x [n, h, w, c] plus bias, if any, and true; false if no strip kernel is made for these filters.
template <class Middle>
bool cuda_filter_strips(Tensor<float> const& x, float const* bias, FilterPair const& p, Middle const& middle, Tensor<float>& y) {
  int const up = p.up_rows.up, down = p.down_rows.down, c = int(x.dim(3));
  if (!p.alike() || !p.small(p.up, 6 * up) || !p.small(p.down, 6 * down)) return false;
  bool const four = c % 4 == 0 && aligned_for_packs(x.data());
  auto run = [&](auto up_by, auto down_by) {
    constexpr int U = decltype(up_by)::value, D = decltype(down_by)::value;
    y = Tensor<float>({x.dim(0), p.down_rows.out, p.down_cols.out, c}, x.device());
    if (y.size() == 0) return true;
    filter_strips(x.device(), x.dim(0),
                  FilterStripKernel<U, D, 6 * U, 6 * D, Middle>{x.data(), bias, y.mutate(), p.up, p.down, p.up_rows, p.up_cols, p.down_rows,
                                                                p.down_cols, c, 0, four, middle});
    return true;
  };
  using Two = std::integral_constant<int, 2>;
  using Four = std::integral_constant<int, 4>;
  if (up == 2 && down == 2) return run(Two{}, Two{});
  if (up == 4 && down == 2) return run(Four{}, Two{});
  if (up == 2 && down == 4) return run(Two{}, Four{});
  return false;
}
/// The codes of the large picture, and true; false as above.
template <class F>
bool cuda_filter_codes(Tensor<float> const& x, float const* bias, FilterOnGpu const& f, AxisOnGpu const& rows, AxisOnGpu const& cols,
                       F const& activation, signed char* codes) {
  int const up = rows.up, c = int(x.dim(3));
  if (up != cols.up || rows.down != 1 || cols.down != 1 || !f.line || f.width > 6 * up) return false;
  bool const four = c % 4 == 0 && aligned_for_packs(x.data());
  FilterOnGpu const none{nullptr, 1, 1, true, false, 1};
  AxisOnGpu const r{rows.out, rows.out, 1, 1, 0, 1}, q{cols.out, cols.out, 1, 1, 0, 1};
  auto run = [&](auto up_by) {
    constexpr int U = decltype(up_by)::value;
    filter_strips(x.device(), x.dim(0),
                  FilterStripKernel<U, 1, 6 * U, 1, CodeStrip<F>>{
                      x.data(), bias, nullptr, f, none, rows, cols, r, q, c, 0, four, {codes, activation}});
    return true;
  };
  if (up == 2) return run(std::integral_constant<int, 2>{});
  if (up == 4) return run(std::integral_constant<int, 4>{});
  return false;
}

}  // namespace rig::inline RIG_ABI::detail
#endif
