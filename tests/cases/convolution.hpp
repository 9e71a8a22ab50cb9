// Products, convolution, resampling, modulated convolution.
#pragma once
#include "cases/case.hpp"
#include "rig/ops/modulated_conv.hpp"

namespace cases {

/// A fixed filter without symmetry, in any scalar.
template <class T>
Tensor<T> crooked_filter() {
  return Tensor<T>({4, 3}, {T(0.1), T(0.3), T(-0.2), T(0.5), T(0.7), T(0.2), T(0.4), T(0.6), T(-0.1), T(0.05), T(0.15), T(0.25)});
}

inline void add_convolution(Table& t) {
  add(t, "matmul", [](auto const& x) { return matmul(x[0], x[1]); }, {normal({2, 5}), normal({5, 3})},
      {.wrong = {{{2, 5}, {4, 3}}, {{5}, {5, 3}}}, .bench = {normal({256, 512}), normal({512, 512})}});
  add(t, "matmul, both transposed", [](auto const& x) { return matmul(x[0], x[1], {.a = true, .b = true}); },
      {normal({5, 2}), normal({3, 5})});
  add(t, "batched_matmul", [](auto const& x) { return batched_matmul(x[0], x[1], {.b = true}); }, {normal({3, 2, 5}), normal({3, 4, 5})},
      {.wrong = {{{3, 2, 5}, {2, 4, 5}}, {{2, 5}, {4, 5}}}, .bench = {normal({18, 16, 512}), normal({18, 512, 512})}});
  add(t, "conv2d",
      [](auto const& x) {
        return conv2d(x[0], x[1], {.stride = 2, .padding = {0, 1, 2, 1}});
      },
      {normal({2, 5, 7, 3}), normal({4, 3, 2, 3})},
      {.wrong = {{{2, 5, 7, 3}, {4, 3, 2, 2}}, {{5, 7, 3}, {4, 3, 2, 3}}}, .bench = {normal({1, 64, 64, 128}), normal({128, 3, 3, 128})}});
  add(t, "conv2d_input",
      [](auto const& x) {
        return conv2d_input(x[0], x[1], {2, 9, 7, 3}, {.stride = 2});
      },
      {normal({2, 4, 3, 5}), normal({5, 3, 3, 3})}, {.wrong = {{{2, 4, 4, 5}, {5, 3, 3, 3}}}});
  add(t, "conv2d_weight",
      [](auto const& x) {
        return conv2d_weight(x[0], x[1], {4, 3, 3, 3}, {.padding = 1});
      },
      {normal({2, 5, 7, 3}), normal({2, 5, 7, 4})}, {.wrong = {{{2, 5, 7, 3}, {2, 5, 6, 4}}}});
  add(t, "turn_weight", [](auto const& x) { return turn_weight(x[0], true, true, 2); }, {normal({4, 3, 2, 5})},
      {.wrong = {{{4, 3, 2}}, {{5, 3, 3, 2}}}});
  add(t, "upfirdn2d",
      [](auto const& x) {
        return upfirdn2d(x[0], crooked_filter<typename std::decay_t<decltype(x[0])>::scalar>(),
                         {.up = {2, 3}, .down = {3, 2}, .padding = {2, -1, 3, 1}});
      },
      {normal({2, 5, 7, 3})}, {.wrong = {{{5, 7, 3}}}, .bench = {normal({1, 256, 256, 64})}});
  add(t, "conv2d_resample, up",
      [](auto const& x) {
        return conv2d_resample(x[0], x[1], crooked_filter<typename std::decay_t<decltype(x[0])>::scalar>(),
                               {.up = 2, .padding = 1, .flip_weight = false});
      },
      {normal({2, 5, 4, 3}), normal({4, 3, 3, 3})}, {.wrong = {{{2, 5, 4, 3}, {4, 3, 3, 2}}}});
  add(t, "scale_channels", [](auto const& x) { return scale_channels(x[0], x[1]); }, {normal({2, 5, 7, 3}), normal({2, 3})},
      {.wrong = {{{2, 5, 7, 3}, {1, 3}}}});
  add(t, "channel_dot", [](auto const& x) { return channel_dot(x[0], x[1]); }, {normal({2, 5, 7, 3}), normal({2, 5, 7, 3})},
      {.wrong = {{{2, 5, 7, 3}, {2, 5, 7, 4}}}});
  add(t, "sum_taps_of_squares", [](auto const& x) { return sum_taps_of_squares(x[0]); }, {normal({4, 3, 3, 5})}, {.wrong = {{{4, 3, 3}}}});
  add(t, "modulated_conv2d", [](auto const& x) { return modulated_conv2d(x[0], x[1], x[2], {.padding = 1}); },
      {normal({2, 4, 5, 3}), normal({4, 3, 3, 3}), positive({2, 3})},
      {.wrong = {{{2, 4, 5, 3}, {4, 3, 3, 3}, {1, 3}}, {{2, 4, 5, 3}, {4, 3, 3, 2}, {2, 3}}}});
  add(t, "noise_bias_act", [](auto const& x) { return noise_bias_act(x[0], x[1], x[2], x[3], {.clamp = 1.9}); },
      {normal({2, 4, 5, 3}), normal({1, 4, 5, 1}), normal({}), normal({3})},
      {.wrong = {{{2, 4, 5, 3}, {1, 4, 5, 3}, {}, {3}}, {{2, 4, 5, 3}, {1, 4, 5, 1}, {}, {4}}}});
}

}  // namespace cases
