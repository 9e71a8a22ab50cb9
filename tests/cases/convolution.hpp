// Cases of convolution, resampling and modulated convolution.
#pragma once
#include "cases/case.hpp"
#include "rig/ops/modulated_layer.hpp"

namespace cases {

/// A filter without symmetry that is no product of a column and a row.
template <class T> Tensor<T> crooked_filter(Device const& device) {
  return Tensor<T>({4, 3}, {T(0.1), T(0.3), T(-0.2), T(0.5), T(0.7), T(0.2), T(0.4), T(0.6), T(-0.1), T(0.05), T(0.15), T(0.25)}, device);
}
/// Taps of a filter that is one, without symmetry.
template <class T> Tensor<T> crooked_taps(Device const& device) {
  return Tensor<T>({5}, {T(0.1), T(0.5), T(-0.3), T(0.7), T(0.2)}, device);
}

inline void add_conv2d(Table& t) {
  // Three rows for each: the convolution of x with w, and its two partners between the same shapes.
  auto family = [&](std::string const& how, Conv2dOptions const& o, Shape const& x, Shape const& w, Shape const& large_x,
                    Shape const& large_w) {
    auto result = [&](Shape const& a, Shape const& b) {
      return conv2d(Var<float>(zeros<float>(a)), Var<float>(zeros<float>(b)), o).shape();
    };
    Shape const y = result(x, w), large_y = result(large_x, large_w);
    Shape const other_w = w.with(3, w[3] + 1), other_y = y.with(1, y[1] + 1), line{x[1], x[2], x[3]};
    add(t, "conv2d, " + how, [o](auto const& v) { return conv2d(v[0], v[1], o); }, {normal(x), normal(w)},
        {.wrong = {{x, other_w}, {line, w}, {x.with(1, 0), w.with(1, 9)}}, .bench = {normal(large_x), normal(large_w)}});
    add(t, "conv2d_input, " + how, [=](auto const& v) { return conv2d_input(v[0], v[1], v[0].shape() == large_y ? large_x : x, o); },
        {normal(y), normal(w)}, {.wrong = {{other_y, w}, {y, other_w}}, .bench = {normal(large_y), normal(large_w)}});
    add(t, "conv2d_weight, " + how, [=](auto const& v) { return conv2d_weight(v[0], v[1], v[0].shape() == large_x ? large_w : w, o); },
        {normal(x), normal(y)}, {.wrong = {{x, other_y}, {line, y}}, .bench = {normal(large_x), normal(large_y)}});
  };
  family("3 by 3", {.padding = 1}, {2, 5, 7, 3}, {4, 3, 3, 3}, {1, 64, 64, 64}, {64, 3, 3, 64});
  family("1 by 1", {}, {2, 5, 7, 3}, {4, 1, 1, 3}, {1, 96, 96, 128}, {32, 1, 1, 128});
  family("stride 2, each side padded differently", {.stride = 2, .padding = {0, 1, 2, 1}}, {2, 5, 7, 3}, {4, 3, 2, 3}, {1, 65, 65, 64},
         {64, 3, 3, 64});
  family("stride 2, transposed as in up-sampling", {.stride = 2}, {2, 9, 7, 3}, {5, 3, 3, 3}, {1, 65, 65, 64}, {64, 3, 3, 64});
  family("stride 3, a window of 2: some of x is never seen", {.stride = 3}, {2, 8, 7, 2}, {3, 2, 2, 2}, {1, 60, 61, 32}, {32, 2, 2, 32});
  family("cropped", {.padding = {-1, 1, 0, -2}}, {2, 7, 8, 3}, {4, 3, 2, 3}, {1, 64, 64, 32}, {32, 3, 3, 32});
  family("2 groups", {.padding = 1, .groups = 2}, {2, 5, 6, 4}, {6, 3, 3, 2}, {1, 48, 48, 64}, {64, 3, 3, 32});
  family("a group a channel", {.stride = 2, .padding = {0, 1, 1, 2}, .groups = 5}, {2, 6, 7, 5}, {5, 3, 2, 1}, {1, 57, 57, 5},
         {5, 3, 3, 1});

  add(t, "turn_weight", [](auto const& x) { return turn_weight(x[0], true, true, 2); }, {normal({4, 3, 2, 5})},
      {.wrong = {{{4, 3, 2}}, {{5, 3, 3, 2}}}, .bench = {normal({256, 3, 3, 256})}});
  add(t, "turn_weight, ends exchanged", [](auto const& x) { return turn_weight(x[0], true, false); }, {normal({4, 3, 2, 5})},
      {.bench = {normal({256, 3, 3, 251})}});
  add(t, "turn_weight, window mirrored", [](auto const& x) { return turn_weight(x[0], false, true); }, {normal({4, 3, 2, 5})},
      {.bench = {normal({256, 3, 3, 256})}});
}

inline void add_resampling(Table& t) {
  std::vector<std::vector<Shape>> const no_picture{{{5, 7, 3}}};
  std::vector<Input> const small{normal({2, 5, 7, 3})}, large{normal({1, 128, 128, 64})}, pictures{normal({2, 256, 256, 3})};
  auto crooked = [&](char const* how, UpfirdnOptions const& o, std::vector<Input> const& bench) {
    add(t, std::string("upfirdn2d, ") + how,
        [o](auto const& x) { return upfirdn2d(x[0], crooked_filter<ScalarOf<decltype(x)>>(x[0].device()), o); }, small,
        {.wrong = {{{5, 7, 3}}, {{2, 0, 0, 3}}}, .bench = bench});
  };
  crooked("up and down, padded and cropped", {.up = {2, 3}, .down = {3, 2}, .padding = {2, -1, 3, 1}}, large);
  crooked("a filter", {.padding = {1, 1, 2, 1}, .flip = true, .gain = 1.7}, large);
  crooked("up", {.up = 2, .padding = {2, 1, 2, 1}, .gain = 4}, pictures);
  crooked("down", {.down = 2, .padding = {1, 1, 2, 1}}, large);
  auto separable = [&](char const* how, UpfirdnOptions const& o, std::vector<Input> const& bench) {
    add(t, std::string("upfirdn2d, separable, ") + how,
        [o](auto const& x) { return upfirdn2d(x[0], crooked_taps<ScalarOf<decltype(x)>>(x[0].device()), o); }, small,
        {.wrong = no_picture, .bench = bench});
  };
  separable("a filter", {.padding = {2, 2, 1, 3}, .gain = 1.7}, large);
  separable("up", {.up = 2, .padding = {3, 1, 2, 2}, .flip = true, .gain = 4}, pictures);
  separable("down", {.down = 2, .padding = {1, 2, 2, 1}}, large);
  separable("up along y, down along x, cropped", {.up = {1, 3}, .down = {2, 1}, .padding = {2, 0, -1, 4}}, large);
  separable("up and down", {.up = {2, 3}, .down = {3, 2}, .padding = {2, 1, 3, 1}}, large);
  auto product = [&](char const* how, UpfirdnOptions const& o) {
    add(t, std::string("upfirdn2d, a product of taps, ") + how,
        [o](auto const& x) {
          return upfirdn2d(x[0], setup_filter<ScalarOf<decltype(x)>>({1, 3, 3, 1}, {}, x[0].device()), o);
        },
        small, {.wrong = no_picture, .bench = large});
  };
  product("a filter", {.padding = {2, 1, 2, 1}});
  product("up", {.up = 2, .padding = {2, 1, 2, 1}, .gain = 4});
  product("down", {.down = 2, .padding = {1, 1, 1, 1}});
  add(t, "upfirdn2d without a filter",
      [](auto const& x) {
        return upfirdn2d(x[0], {}, {.up = 2, .down = {1, 3}, .padding = {1, -2, 0, 3}});
      },
      small, {.wrong = no_picture, .bench = large});

  add(t, "filter2d", [](auto const& x) { return filter2d(x[0], crooked_filter<ScalarOf<decltype(x)>>(x[0].device())); }, small,
      {.wrong = no_picture, .bench = pictures});
  add(t, "upsample2d",
      [](auto const& x) {
        return upsample2d(x[0], setup_filter<ScalarOf<decltype(x)>>({1, 3, 3, 1}, {}, x[0].device()));
      },
      small, {.wrong = no_picture, .bench = pictures});
  add(t, "downsample2d",
      [](auto const& x) {
        return downsample2d(x[0], setup_filter<ScalarOf<decltype(x)>>({1, 3, 3, 1}, {}, x[0].device()));
      },
      small, {.wrong = no_picture, .bench = pictures});

  auto resample = [&](std::string const& how, ConvResampleOptions const& o, Shape const& w, Shape const& large_w) {
    Shape const x{2, 5, 4, 4}, large_x{1, 32, 32, 64};
    add(t, "conv2d_resample, " + how,
        [o](auto const& v) { return conv2d_resample(v[0], v[1], crooked_filter<ScalarOf<decltype(v)>>(v[0].device()), o); },
        {normal(x), normal(w)},
        {.wrong = {{x, w.with(3, w[3] + 1)}, {{5, 4, 4}, w}, {x, {4, 3, 4}}}, .bench = {normal(large_x), normal(large_w)}});
  };
  resample("neither up nor down", {.padding = {1, 0, 2, 1}}, {3, 3, 2, 4}, {64, 3, 3, 64});
  resample("up, mirrored as in StyleGAN2", {.up = 2, .padding = 1, .flip_weight = false}, {3, 3, 3, 4}, {64, 3, 3, 64});
  resample("up, 2 groups", {.up = 2, .padding = 1, .groups = 2}, {6, 3, 3, 2}, {64, 3, 3, 32});
  resample("up, cropped", {.up = 2, .padding = {-2, -3, -2, -2}, .flip_filter = true}, {3, 3, 3, 4}, {64, 3, 3, 64});
  resample("down", {.down = 2, .padding = 1}, {3, 3, 3, 4}, {64, 3, 3, 64});
  resample("up and down", {.up = 3, .down = 2, .padding = 1}, {3, 3, 3, 4}, {64, 3, 3, 64});
  resample("1 by 1, up", {.up = 2}, {3, 1, 1, 4}, {64, 1, 1, 64});
  resample("1 by 1, down", {.down = 2}, {3, 1, 1, 4}, {64, 1, 1, 64});
}

/// The layer in one op, on the CPU too, where it is made of the parts; and the sums that its gradients are made of.
inline void add_modulated_layer(Table& t) {
  Shape const x{2, 4, 5, 3}, large{2, 32, 32, 128};
  auto sums = [&](std::string const& how, BiasActOptions const& o, std::int64_t samples, bool own_strengths) {
    Shape const own = own_strengths ? Shape{3} : Shape{}, large_own = own_strengths ? Shape{128} : Shape{};
    add(t, "layer_sums, " + how, [o](auto const& v) { return layer_sums(v[0], v[1], v[2], v[3], v[4], o); },
        {normal(x), normal(x), normal({samples, 4, 5, 1}), normal(own), normal({3})},
        {.wrong = {{x, {2, 4, 5, 4}, {1, 4, 5, 1}, own, {3}}, {x, x, {1, 4, 5, 3}, own, {3}}, {x, x, {1, 4, 5, 1}, own, {4}}},
         .bench = {normal(large), normal(large), normal({samples, 32, 32, 1}), normal(large_own), normal({128})}});
    add(t, "layer_spread, " + how, [o](auto const& v) { return layer_spread(v[0], v[1], v[2], v[3], v[4], o); },
        {normal({2, 3, 3}), normal(x), normal({samples, 4, 5, 1}), normal(own), normal({3})},
        {.wrong = {{{2, 2, 3}, x, {1, 4, 5, 1}, own, {3}}, {{2, 3, 3}, x, {1, 4, 5, 3}, own, {3}}, {{2, 3, 3}, x, {1, 4, 5, 1}, own, {4}}},
         .bench = {normal({2, 3, 128}), normal(large), normal({samples, 32, 32, 1}), normal(large_own), normal({128})}});
  };
  sums("one noise for all, clamped", {.clamp = 1.4}, 1, false);
  sums("a noise for each, a strength for each channel", {.activation = Activation::relu, .gain = 0.7}, 2, true);
  add(t, "layer_sums, neither noise nor bias",
      [](auto const& v) { return layer_sums(v[0], v[1], {}, {}, {}, {.activation = Activation::linear, .clamp = 1.4}); },
      {normal(x), normal(x)}, {.wrong = {{x, {2, 4, 5, 4}}, {{5, 3}, {5, 3}}}, .bench = {normal(large), normal(large)}});
  add(t, "layer_spread, neither noise nor bias",
      [](auto const& v) { return layer_spread(v[0], v[1], {}, {}, {}, {.activation = Activation::linear, .clamp = 1.4}); },
      {normal({2, 2, 3}), normal(x)}, {.wrong = {{{2, 3, 3}, x}, {{2, 2, 3}, {5, 3}}}, .bench = {normal({2, 2, 128}), normal(large)}});

  auto layer = [&](std::string const& how, BiasActOptions const& act, int up, std::int64_t samples, bool own_strengths) {
    Shape const s{2, 3}, d{2, 4}, w = up > 1 ? Shape{3, 3, 3, 4} : Shape{4, 3, 3, 3}, noise{samples, 4 * up, 5 * up, 1},
                                  own = own_strengths ? Shape{4} : Shape{}, large_own = own_strengths ? Shape{128} : Shape{};
    add(t, "modulated_layer, " + how,
        [=](auto const& v) {
          using T = ScalarOf<decltype(v)>;
          ModulatedLayerOptions<T> o{.conv = {.padding = 1}, .act = act};
          if (up > 1) {
            Shape const& from = v[0].shape();
            o.conv = {.stride = 2}, o.large = {from[0], 2 * from[1] + 1, 2 * from[2] + 1, v[2].dim(3)};
            o.filter = setup_filter<T>({1, 3, 3, 1}, {}, v[0].device()), o.smooth = {.padding = 1, .gain = 4};
          }
          return modulated_layer(v[0], v[1], v[2], v[3], v[4], v[5], v[6], o);
        },
        {normal(x), normal(s), normal(w), positive(d), normal(noise), normal(own), normal({4})},
        {.wrong = {{x, {2, 9}, w, d, noise, own, {4}},
                   {x, s, w, {2, 9}, noise, own, {4}},
                   {x, s, w, d, {1, 3, 5, 1}, own, {4}},
                   {x, s, w, d, noise, own, {5}}},
         .bench = {normal(large), normal({2, 128}), normal({128, 3, 3, 128}), positive({2, 128}), normal({samples, 32 * up, 32 * up, 1}),
                   normal(large_own), normal({128})}});
  };
  layer("clamped", {.clamp = 4.1}, 1, 1, false);
  layer("relu, a noise for each, a strength for each channel", {.activation = Activation::relu}, 1, 2, true);
  layer("up, clamped", {.clamp = 1.9}, 2, 1, false);
  layer("up, linear, a noise for each, a strength for each channel", {.activation = Activation::linear, .gain = 0.7}, 2, 2, true);
  add(t, "modulated_layer, without scales and noise",
      [](auto const& v) {
        using T = ScalarOf<decltype(v)>;
        return modulated_layer<T>(v[0], {}, v[1], {}, {}, {}, v[2], {.conv = {.stride = 2, .padding = 1}, .act = {.clamp = 4.1}});
      },
      {normal(x), normal({4, 3, 3, 3}), normal({4})},
      {.wrong = {{x, {4, 3, 3, 2}, {4}}, {x, {4, 3, 3, 3}, {3}}}, .bench = {normal(large), normal({128, 3, 3, 128}), normal({128})}});
  add(t, "modulated_layer, to colours, scaled and without noise",
      [](auto const& v) {
        using T = ScalarOf<decltype(v)>;
        return modulated_layer<T>(v[0], v[1], v[2], v[3], {}, {}, v[4], {.act = {.activation = Activation::linear}});
      },
      {normal(x), normal({2, 3}), normal({3, 1, 1, 3}), positive({2, 3}), normal({3})},
      {.wrong = {{x, {2, 3}, {3, 1, 1, 3}, {2, 4}, {3}}},
       .bench = {normal(large), normal({2, 128}), normal({3, 1, 1, 128}), positive({2, 3}), normal({3})}});
}

inline void add_modulated_conv(Table& t) {
  Shape const x{2, 4, 5, 3}, large{2, 32, 32, 128};
  add(t, "scale_channels", [](auto const& v) { return scale_channels(v[0], v[1]); }, {normal(x), normal({2, 3})},
      {.wrong = {{x, {1, 3}}, {x, {2, 4}}, {{4, 5, 3}, {4, 3}}}, .bench = {normal(large), normal({2, 128})}});
  // Four leaves of the sum a sample at the large size.
  add(t, "channel_dot", [](auto const& v) { return channel_dot(v[0], v[1]); }, {normal(x), normal(x)},
      {.wrong = {{x, {2, 4, 5, 4}}, {{5, 3}, {5, 3}}}, .bench = {normal({2, 45, 40, 128}), normal({2, 45, 40, 128})}});
  add(t, "sum_taps_of_squares", [](auto const& v) { return sum_taps_of_squares(v[0]); }, {normal({4, 3, 2, 5})},
      {.wrong = {{{4, 3, 3}}}, .bench = {normal({256, 3, 3, 256})}});
  add(t, "demodulation", [](auto const& v) { return demodulation(v[0], v[1]); }, {normal({4, 3, 2, 5}), positive({2, 5})},
      {.wrong = {{{4, 3, 2, 5}, {2, 4}}, {{4, 3, 5}, {2, 5}}}, .bench = {normal({256, 3, 3, 256}), positive({4, 256})}});

  // The family with scales: x and s, w, y and d in the form that binds them. All rows at one set of sizes, that of the large y with
  // scales that are never zero.
  auto family = [&](std::string const& how, Conv2dOptions const& o, Shape const& w, Shape const& y, Shape const& large_w,
                    Shape const& large_y) {
    Shape const s{2, 3}, d{2, w[0]}, large_s{2, 128}, large_d{2, large_w[0]}, other{2, 9};
    add(t, "scaled_conv2d, " + how, [o](auto const& v) { return scaled_conv2d(v[0], v[1], v[2], v[3], {o}); },
        {normal(x), normal(s), normal(w), normal(d)},
        {.wrong = {{x, other, w, d}, {x, s, w, other}, {x, s, w.with(3, 2), d}},
         .bench = {normal(large), normal(large_s), normal(large_w), normal(large_d)}});
    add(t, "scaled_conv2d_input, " + how,
        [=](auto const& v) { return scaled_conv2d_input(v[0], v[1], v[2], v[3], v[0].shape() == large_y ? large : x, {o}); },
        {normal(y), normal(d), normal(w), normal(s)},
        {.wrong = {{y, other, w, s}, {y, d, w, other}, {y.with(1, 9), d, w, s}},
         .bench = {normal(large_y), normal(large_d), normal(large_w), normal(large_s)}});
    add(t, "scaled_conv2d_weight, " + how,
        [=](auto const& v) { return scaled_conv2d_weight(v[0], v[1], v[2], v[3], v[0].shape() == large ? large_w : w, o); },
        {normal(x), normal(s), normal(y), normal(d)},
        {.wrong = {{x, other, y, d}, {x, s, y, other}, {x, s, y.with(1, 9), d}},
         .bench = {normal(large), normal(large_s), normal(large_y), normal(large_d)}});
  };
  family("3 by 3", {.padding = 1}, {4, 3, 3, 3}, {2, 4, 5, 4}, {128, 3, 3, 128}, {2, 32, 32, 128});
  family("stride 2", {.stride = 2, .padding = {0, 1, 1, 0}}, {5, 3, 2, 3}, {2, 2, 3, 5}, {64, 3, 2, 128}, {2, 16, 16, 64});
  family("1 by 1 to colours", {}, {3, 1, 1, 3}, {2, 4, 5, 3}, {3, 1, 1, 128}, {2, 32, 32, 3});
  add(t, "scaled_conv2d, without scales", [](auto const& v) { return scaled_conv2d(v[0], {}, v[1], {}, {{.padding = 1}}); },
      {normal(x), normal({4, 3, 3, 3})}, {.wrong = {{x, {4, 3, 3, 2}}}, .bench = {normal(large), normal({128, 3, 3, 128})}});
  add(t, "scaled_conv2d, its scale's gradient read off the result",
      [](auto const& v) {
        return scaled_conv2d(v[0], v[1], v[2], v[3], {{.padding = 1}, true});
      },
      {normal(x), normal({2, 3}), normal({4, 3, 3, 3}), positive({2, 4})},
      {.bench = {normal(large), normal({2, 128}), normal({128, 3, 3, 128}), positive({2, 128})}});
  add(t, "scaled_conv2d_input, its scale's gradient read off the result",
      [large](auto const& v) {
        return scaled_conv2d_input(v[0], v[1], v[2], v[3], v[0].dim(1) == 15 ? large : Shape{2, 4, 5, 3}, {{.stride = 2}, true});
      },
      {normal({2, 1, 2, 4}), normal({2, 4}), normal({4, 3, 3, 3}), positive({2, 3})},
      {.bench = {normal({2, 15, 15, 128}), normal({2, 128}), normal({128, 3, 3, 128}), positive({2, 128})}});

  struct How {
    bool demodulate;
    int up, down;
    Padding padding;
    bool flip_weight;
  };
  auto modulated = [&](std::string const& how, How const& h, Shape const& w) {
    Shape const large_w{w[0] == 3 ? 3 : 128, w[1], w[2], 128};
    add(t, "modulated_conv2d, " + how,
        [h](auto const& v) {
          using T = ScalarOf<decltype(v)>;
          ModulatedConvOptions<T> o{
              .demodulate = h.demodulate, .up = h.up, .down = h.down, .padding = h.padding, .flip_weight = h.flip_weight};
          if (h.up * h.down > 1) o.filter = setup_filter<T>({1, 3, 3, 1}, {}, v[0].device());
          return modulated_conv2d(v[0], v[1], v[2], o);
        },
        {normal(x), normal(w), positive({2, 3})},
        {.wrong = {{x, w, {1, 3}}, {x, w.with(3, 2), {2, 3}}, {{4, 5, 3}, w, {4, 3}}},
         .bench = {normal(large), normal(large_w), positive({2, 128})}});
  };
  modulated("3 by 3", {true, 1, 1, 1, true}, {4, 3, 3, 3});
  modulated("3 by 3, without demodulation", {false, 1, 1, 1, true}, {4, 3, 3, 3});
  modulated("up", {true, 2, 1, 1, false}, {4, 3, 3, 3});
  modulated("up, without demodulation", {false, 2, 1, 1, false}, {4, 3, 3, 3});
  modulated("down", {true, 1, 2, 1, true}, {4, 3, 3, 3});
  modulated("1 by 1", {true, 1, 1, 0, true}, {4, 1, 1, 3});
  modulated("1 by 1 to colours, without demodulation", {false, 1, 1, 0, true}, {3, 1, 1, 3});

  auto noisy = [&](std::string const& how, BiasActOptions const& o, std::int64_t samples) {
    add(t, "noise_bias_act, " + how, [o](auto const& v) { return noise_bias_act(v[0], v[1], v[2], v[3], o); },
        {normal(x), normal({samples, 4, 5, 1}), normal({}), normal({3})},
        {.wrong = {{x, {1, 4, 5, 3}, {}, {3}}, {x, {1, 4, 5, 1}, {}, {4}}, {x, {3, 4, 5, 1}, {}, {3}}, {x, {1, 4, 5, 1}, {2}, {3}}},
         .bench = {normal({2, 64, 64, 128}), normal({samples, 64, 64, 1}), normal({}), normal({128})}});
  };
  noisy("one noise for all, clamped", {.clamp = 1.9}, 1);
  noisy("a noise for each", {.gain = 0.7}, 2);
  noisy("swish, clamped", {.activation = Activation::swish, .clamp = 1.9}, 1);
  noisy("tanh", {.activation = Activation::tanh}, 2);
  for (Activation const act : {Activation::lrelu, Activation::softplus})
    add(t, std::string("noise_bias_act, a strength for each channel, ") + to_string(act),
        [act](auto const& v) { return noise_bias_act(v[0], v[1], v[2], v[3], {.activation = act}); },
        {normal(x), normal({1, 4, 5, 1}), normal({3}), normal({3})},
        {.wrong = {{x, {1, 4, 5, 1}, {2}, {3}}, {x, {1, 4, 5, 1}, {1, 3}, {3}}},
         .bench = {normal({2, 64, 64, 128}), normal({1, 64, 64, 1}), normal({128}), normal({128})}});
  for (int const up : {1, 2})
    add(t, up == 1 ? "modulated_conv2d_noise_bias_act" : "modulated_conv2d_noise_bias_act, up",
        [up](auto const& v) {
          using T = ScalarOf<decltype(v)>;
          ModulatedConvOptions<T> o{.up = up, .padding = 1, .flip_weight = up == 1};
          if (up > 1) o.filter = setup_filter<T>({1, 3, 3, 1}, {}, v[0].device());
          return modulated_conv2d_noise_bias_act(v[0], v[1], v[2], v[3], v[4], v[5], o, {.clamp = 1.9});
        },
        {normal(x), normal({4, 3, 3, 3}), positive({2, 3}), normal({1, 4 * up, 5 * up, 1}), normal({}), normal({4})},
        {.wrong = {{x, {4, 3, 3, 2}, {2, 3}, {1, 4 * up, 5 * up, 1}, {}, {4}}, {x, {4, 3, 3, 3}, {2, 3}, {1, 3, 5, 1}, {}, {4}}},
         .bench = {normal(large), normal({128, 3, 3, 128}), positive({2, 128}), normal({1, 32 * up, 32 * up, 1}), normal({}),
                   normal({128})}});
  add_modulated_layer(t);
  add(t, "noise_bias_act, neither noise nor bias",
      [](auto const& v) { return noise_bias_act(v[0], {}, {}, {}, {.activation = Activation::sigmoid}); }, {normal(x)},
      {.wrong = {{{5, 3}}}, .bench = {normal({2, 64, 64, 128})}});
}

inline void add_convolution(Table& t) {
  add_conv2d(t);
  add_resampling(t);
  add_modulated_conv(t);
}

}  // namespace cases
