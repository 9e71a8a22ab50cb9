// Cases of what the first StyleGAN is made of: norms with styles, nearest neighbour, means, blurs, and convolutions joined with them.
#pragma once
#include "cases/case.hpp"
#include "rig/ops/norm.hpp"
#include "rig/ops/progressive.hpp"

namespace cases {

inline void add_progressive(Table& t) {
  Shape const x{2, 4, 5, 3}, large{2, 45, 40, 64};  // four leaves of the moments a sample at the large size
  add(t, "instance_norm", [](auto const& v) { return instance_norm(v[0]); }, {normal(x)},
      {.wrong = {{{4, 5, 3}}, {{2, 0, 5, 3}}}, .bench = {normal(large)}});
  // The deviation is small beside the mean, as in a picture that is nearly flat; a large epsilon shows in the derivatives.
  add(t, "instance_norm, a large mean", [](auto const& v) { return instance_norm(v[0], 0.01); }, {Input{x, 0.3, 5}},
      {.wrong = {{{5, 3}}}, .bench = {normal(large)}});
  add(t, "instance_scale", [](auto const& v) { return instance_scale(v[0], 0.02); }, {normal(x)},
      {.wrong = {{{4, 5, 3}}}, .bench = {normal(large)}});
  add(t, "adain", [](auto const& v) { return adain(v[0], v[1]); }, {normal(x), normal({2, 6})},
      {.wrong = {{x, {2, 3}}, {x, {1, 6}}, {{4, 5, 3}, {4, 6}}}, .bench = {normal(large), normal({2, 128})}});
  add(t, "modulate_channels", [](auto const& v) { return modulate_channels(v[0], v[1]); }, {normal(x), normal({2, 6})},
      {.wrong = {{x, {2, 3}}, {x, {1, 6}}, {{5, 3}, {5, 6}}}, .bench = {normal(large), normal({2, 128})}});
  Input const s = normal({2, 3}), large_s = normal({2, 64});
  add(t, "mix_channels", [](auto const& v) { return mix_channels(v[0], v[1], v[2], v[3], v[4]); }, {normal(x), s, normal(x), s, s},
      {.wrong = {{x, {2, 3}, {2, 4, 5, 2}, {2, 3}, {2, 3}}, {x, {2, 3}, x, {2, 3}, {1, 3}}, {x, {3}, x, {2, 3}, {2, 3}}},
       .bench = {normal(large), large_s, normal(large), large_s, large_s}});

  add(t, "blur2d", [](auto const& v) { return blur2d(v[0]); }, {normal(x)}, {.wrong = {{{4, 5, 3}}}, .bench = {normal(large)}});
  add(t, "blur2d, four taps",
      [](auto const& v) {
        return blur2d(v[0], {1, 2, 3, 4});
      },
      {normal(x)}, {.wrong = {{{5, 3}}}, .bench = {normal(large)}});
  add(t, "upscale2d", [](auto const& v) { return upscale2d(v[0]); }, {normal(x)}, {.wrong = {{{4, 5, 3}}}, .bench = {normal(large)}});
  add(t, "upscale2d, eight times", [](auto const& v) { return upscale2d(v[0], 8); }, {normal({1, 2, 3, 2})},
      {.wrong = {{{4, 5, 3}}}, .bench = {normal({1, 32, 32, 3})}});
  add(t, "downscale2d", [](auto const& v) { return downscale2d(v[0]); }, {normal({2, 4, 6, 3})},
      {.wrong = {{{4, 6, 3}}}, .bench = {normal({2, 64, 64, 64})}});
  Shape const w{2, 3, 3, 3};
  Options const conv{.wrong = {{x, {2, 3, 3, 2}}, {x, {2, 2, 2, 3}}, {x, {2, 3, 5, 3}}, {{4, 5, 3}, w}},
                     .bench = {normal({1, 64, 64, 64}), normal({64, 3, 3, 64})}};
  for (bool const fused : {false, true})
    add(
        t, fused ? "upscale_conv2d, fused" : "upscale_conv2d", [fused](auto const& v) { return upscale_conv2d(v[0], v[1], fused); },
        {normal(x), normal(w)}, conv);
  add(
      t, "conv2d_downscale", [](auto const& v) { return conv2d_downscale(v[0], v[1]); }, {normal({2, 4, 6, 3}), normal(w)}, conv);
  add(
      t, "conv2d_downscale, 1 by 1", [](auto const& v) { return conv2d_downscale(v[0], v[1]); },
      {normal({2, 4, 6, 3}), normal({2, 1, 1, 3})}, conv);
}

}  // namespace cases
