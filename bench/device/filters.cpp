// What moves pictures and computes little: four-tap filters, bias and activation, normalisations and sums at the sizes of
// StyleGAN2 config-f, augmentation, and StyleGAN3's filtered activation at the layers of T at 1024 pixels.
#include "config_f.hpp"
#include "measure.hpp"
#include "rig/nn/augment.hpp"
#include "rig/nn/filter_design.hpp"
#include "rig/nn/stylegan3.hpp"
#include "rig/ops/filtered_lrelu.hpp"
#include "rig/ops/norm.hpp"

namespace bench {

namespace {

/// f(x) on [n, h, h, c], forward and with the gradient of x.
template <class F>
void add_unary(List& list, std::string const& what, std::int64_t n, std::int64_t h, std::int64_t c, double out, double flops, F const& f) {
  std::string const at = size_name(h, c, n);
  double const in = double(n * h * h * c);
  list.add({what + "/" + at, 4 * (in + out), flops, [=](Rng& rng, Device const& d) -> Call {
              Var<float> const x(randn<float>({n, h, h, c}, rng, d));
              auto const op = f(rng, d);
              return [=] { return keep(op(x)); };
            }});
  list.add({what + "_gradient/" + at, 8 * (in + out), 2 * flops, [=](Rng& rng, Device const& d) -> Call {
              Tensor<float> const x = randn<float>({n, h, h, c}, rng, d);
              auto const op = f(rng, d);
              return [=] { return with_gradients({x}, [&](auto const& v) { return op(v[0]); }); };
            }});
}

void add_resampling(List& list, std::int64_t n, std::int64_t r, std::int64_t c) {
  auto const with_filter = [](auto op) {
    return [=](Rng&, Device const& d) {
      Tensor<float> const filter = setup_filter<float>({1, 3, 3, 1}, {}, d);
      return [=](Var<float> const& x) { return op(x, filter); };
    };
  };
  double const area = double(n * r * r);
  // What follows a transposed convolution: 2 products and sums a tap, 16 taps.
  add_unary(list, "upfirdn2d_blur", n, r + 1, c, area * double(c), 32 * area * double(c),
            with_filter([](auto const& x, auto const& f) { return upfirdn2d(x, f, {.padding = 1, .gain = 4}); }));
  add_unary(list, "upsample2d", n, r / 2, 3, 3 * area, 8 * 3 * area,
            with_filter([](auto const& x, auto const& f) { return upsample2d(x, f); }));
  add_unary(list, "downsample2d", n, r, c, area / 4 * double(c), 8 * area * double(c),
            with_filter([](auto const& x, auto const& f) { return downsample2d(x, f); }));
}

void add_pointwise(List& list, std::int64_t n, std::int64_t r, std::int64_t c) {
  double const size = double(n * r * r * c);
  add_unary(list, "bias_act", n, r, c, size, 4 * size, [=](Rng& rng, Device const& d) {
    Var<float> const b(randn<float>({c}, rng, d));
    return [=](Var<float> const& x) { return bias_act(x, b, {.clamp = 256}); };
  });
  add_unary(list, "noise_bias_act", n, r, c, size, 6 * size, [=](Rng& rng, Device const& d) {
    Tensor<float> const b = randn<float>({c}, rng, d), noise = randn<float>({1, r, r, 1}, rng, d), strength = full<float>({}, 0.1f, d);
    return [=](Var<float> const& x) { return noise_bias_act<float>(x, noise, strength, b, {.clamp = 256}); };
  });
  add_unary(list, "adain", n, r, c, size, 8 * size, [=](Rng& rng, Device const& d) {
    Tensor<float> const style = randn<float>({n, 2 * c}, rng, d);
    return [=](Var<float> const& x) { return adain<float>(x, style); };
  });
}

/// Gradients of sums are stretched pictures, those of channel_dot scaled ones.
void add_sums(List& list, std::int64_t n, std::int64_t r, std::int64_t c) {
  double const pixels = double(n * r * r), size = pixels * double(c);
  auto const sum_to_shape = [](Shape const& shape) {
    return [=](Rng&, Device const&) { return [=](Var<float> const& x) { return sum_to(x, shape); }; };
  };
  add_unary(list, "sum_rows", n, r, c, pixels, size, sum_to_shape({n, r, r, 1}));
  add_unary(list, "sum_columns", n, r, c, double(c), size, sum_to_shape({c}));
  add_unary(list, "channel_sum", n, r, c, double(n * c), size, sum_to_shape({n, 1, 1, c}));
  add_unary(list, "channel_dot", n, r, c, size + double(n * c), 2 * size, [=](Rng& rng, Device const& d) {
    Var<float> const other(randn<float>({n, r, r, c}, rng, d));
    return [=](Var<float> const& x) { return channel_dot(x, other); };
  });
}

/// Pictures turned, stretched and moved by chance, and the same with new colours. The host prepares the maps at each call. The
/// operations depend on the maps and are not counted.
void add_augmentation(List& list, std::int64_t n, std::int64_t r) {
  double const size = double(n * r * r * 3);
  add_unary(list, "warp2d", n, r, 3, size, 0, [=](Rng& rng, Device const&) {
    auto const a = nn::draw_augmentation<float>({n, r, r, 3}, 1, {}, rng);
    return [=](Var<float> const& x) { return warp2d(x, a.geometry); };
  });
  add_unary(list, "augment", n, r, 3, size, 0, [=](Rng& rng, Device const&) {
    auto const a = nn::draw_augmentation<float>({n, r, r, 3}, 1, {}, rng);
    return [=](Var<float> const& x) { return nn::apply_augmentation(x, a); };
  });
}

void add_filtered(List& list, std::int64_t n, nn::LayerPlan const& p, double clamp) {
  std::int64_t const h = p.in_size[1] + p.kernel - 1, c = p.out_channels;
  double const large_h = double((h * p.up) + p.padding.y0 + p.padding.y1 - p.up_taps + 1), out_h = double(p.out_size[1]);
  // Separable filters, zeros of up-sampling skipped; along x first.
  double const products = double(h) * large_h * p.up_taps / p.up + large_h * large_h * p.up_taps / p.up + large_h * out_h * p.down_taps +
                          out_h * out_h * p.down_taps;
  add_unary(list, "filtered_lrelu_" + p.name.substr(0, p.name.find('_')) + "_up" + std::to_string(p.up) + "_down" + std::to_string(p.down),
            n, h, c, double(n * c) * out_h * out_h, 2 * double(n * c) * products, [=](Rng& rng, Device const& d) {
              Tensor<float> const b = randn<float>({c}, rng, d), up = nn::design_lowpass<float>(p.up_filter(), d),
                                  down = nn::design_lowpass<float>(p.down_filter(), d);
              FilteredLreluOptions const o{.up = p.up, .down = p.down, .padding = p.padding, .clamp = clamp};
              return [=](Var<float> const& x) { return filtered_lrelu<float>(x, b, up, down, o); };
            });
}

}  // namespace

void add_filters(List& list) {
  for (std::int64_t n : list.batches())
    for (std::int64_t r : resolutions(list.small)) {
      if (r > 4) add_resampling(list, n, r, channels_at(r));
      add_pointwise(list, n, r, channels_at(r));
      if (n == 8 || list.small) add_sums(list, n, r, channels_at(r));
    }
  for (std::int64_t n : list.batches())
    for (std::int64_t r : list.small ? std::vector<std::int64_t>{16} : std::vector<std::int64_t>{64, 256, 1024})
      add_augmentation(list, n, r);
  for (std::int64_t n : list.batches()) {
    nn::StyleGAN3Options o = nn::stylegan3_t(list.small ? 16 : 1024);
    if (list.small) o.channel_max = 4;
    auto const plans = nn::layer_schedule(o);
    for (std::size_t i = 0; i + 1 < plans.size(); i += list.small ? 6 : 2) add_filtered(list, n, plans[i], o.conv_clamp);
  }
}

}  // namespace bench
