// Cases of what StyleGAN3 adds: the filtered activation and its modulated convolution.
#pragma once
#include "cases/case.hpp"
#include "cases/convolution.hpp"
#include "rig/ops/filtered_lrelu.hpp"

namespace cases {

inline void add_alias_free(Table& t) {
  Shape const x{2, 5, 6, 3}, large{1, 64, 60, 64};
  auto filtered = [&](std::string const& how, FilteredLreluOptions const& o, bool line_up, bool line_down) {
    add(t, "filtered_lrelu, " + how,
        [=](auto const& v) {
          using T = ScalarOf<decltype(v)>;
          Device const d = v[0].device();
          return filtered_lrelu(v[0], v[1], line_up ? crooked_taps<T>(d) : crooked_filter<T>(d),
                                line_down ? crooked_taps<T>(d) : crooked_filter<T>(d), o);
        },
        {normal(x), normal({3})}, {.wrong = {{x, {4}}, {{5, 6, 3}, {3}}, {{2, 0, 0, 3}, {3}}}, .bench = {normal(large), normal({64})}});
  };
  filtered("taps both ways, clamped", {.up = 2, .down = 2, .padding = {4, 3, 5, 2}, .clamp = 1.2}, true, true);
  filtered("taps up, no product down", {.up = 2, .down = 2, .padding = {4, 3, 4, 3}, .flip = true}, true, false);
  filtered("no product either way", {.up = 2, .down = 3, .padding = 3, .slope = 0.5}, false, false);
  filtered("growing, cropped", {.up = 4, .down = 2, .padding = {-1, -2, 1, -3}}, true, true);
  add(t, "filtered_lrelu without filters",
      [](auto const& v) { return filtered_lrelu(v[0], v[1], {}, {}, {.gain = 1, .slope = 1, .clamp = 1.5}); }, {normal(x), normal({3})},
      {.wrong = {{x, {4}}}, .bench = {normal(large), normal({64})}});
  add(t, "filtered_lrelu without a bias",
      [](auto const& v) {
        using T = ScalarOf<decltype(v)>;
        return filtered_lrelu(v[0], {}, crooked_taps<T>(v[0].device()), {}, {.up = 2, .padding = 2});
      },
      {normal(x)}, {.wrong = {{{5, 6, 3}}}, .bench = {normal(large)}});
  add(t, "filtered_lrelu_slope",
      [](auto const& v) {
        using T = ScalarOf<decltype(v)>;
        Device const d = v[0].device();
        Shape const size{v[0].dim(0), 2 * v[0].dim(1), 2 * v[0].dim(2), v[0].dim(3)};
        std::vector<signed char> codes;
        for (std::int64_t i = 0; i < size.size(); ++i) codes.push_back(static_cast<signed char>(i * i % 7 % 3));
        return apply(FilteredSlope<T>{{crooked_taps<T>(d), {.up = 2, .padding = 2}},
                                      {crooked_taps<T>(d), {.down = 2}},
                                      Tensor<signed char>(size, codes, d),
                                      T(1.4),
                                      T(0.3)},
                     v[0]);
      },
      {normal(x)}, {.bench = {normal(large)}});

  auto modulated = [&](std::string const& how, NormalizedConvOptions const& o, Shape const& w, Shape const& gain) {
    Shape const large_w{64, w[1], w[2], 64};
    Shape const large_gain = gain.rank() == 0 ? gain : gain.rank() == 1 ? Shape{64} : Shape{1, 64};
    add(t, "normalized_modulated_conv2d, " + how, [o](auto const& v) { return normalized_modulated_conv2d(v[0], v[1], v[2], v[3], o); },
        {normal(x), normal(w), positive({2, 3}), positive(gain)},
        {.wrong = {{x, w, {1, 3}, gain}, {x, w.with(3, 2), {2, 3}, gain}, {x, w, {2, 3}, {7}}},
         .bench = {normal(large), normal(large_w), positive({1, 64}), positive(large_gain)}});
  };
  modulated("one gain", {.padding = 2}, {4, 3, 3, 3}, {});
  modulated("a gain for each channel", {}, {4, 1, 1, 3}, {3});
  modulated("a gain for each channel and sample, without demodulation", {.demodulate = false}, {3, 1, 1, 3}, {2, 3});
}

}  // namespace cases
