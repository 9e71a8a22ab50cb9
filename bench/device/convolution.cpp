// Convolutions at the sizes of StyleGAN2 config-f: the family itself, the modulated layer with its epilogue, to colours, and
// their gradients; demodulation alone. Names end in pixels a side of the result x channels / n pictures.
#include "config_f.hpp"
#include "measure.hpp"
#include "rig/ops/modulated_layer.hpp"

namespace bench {

namespace {

/// One modulated layer of the generator.
struct Layer {
  Tensor<float> x, w, s, noise, strength, bias;
  ModulatedConvOptions<float> options;

  Layer(std::int64_t n, std::int64_t r, std::int64_t in, std::int64_t out, int up, Rng& rng, Device const& d)
      : x(randn<float>({n, r / up, r / up, in}, rng, d)),
        w(randn<float>({out, 3, 3, in}, rng, d)),
        s(randn<float>({n, in}, rng, d)),
        noise(randn<float>({1, r, r, 1}, rng, d)),
        strength(full<float>({}, 0.1f, d)),
        bias(randn<float>({out}, rng, d)),
        options{.up = up, .padding = 1, .flip_weight = up == 1} {
    if (up > 1) options.filter = setup_filter<float>({1, 3, 3, 1}, {}, d);
  }
  Var<float> operator()(Var<float> const& in, Var<float> const& weight, Var<float> const& style, Var<float> const& of_noise,
                        Var<float> const& b) const {
    return modulated_conv2d_noise_bias_act<float>(in, weight, style, noise, of_noise, b, options, {.clamp = 256});
  }
};

void add_family(List& list, std::int64_t n, std::int64_t r, std::int64_t c) {
  std::string const at = size_name(r, c, n);
  double const area = double(n * r * r), picture = 4 * area * double(c), weight = 36.0 * double(c * c), flops = 18 * area * double(c * c);
  list.add({"conv2d/" + at, 2 * picture + weight, flops, [=](Rng& rng, Device const& d) -> Call {
              Var<float> const x(randn<float>({n, r, r, c}, rng, d)), w(randn<float>({c, 3, 3, c}, rng, d));
              return [=] { return keep(conv2d(x, w, {.padding = 1})); };
            }});
  list.add({"conv2d_input/" + at, 2 * picture + weight, flops, [=](Rng& rng, Device const& d) -> Call {
              Var<float> const y(randn<float>({n, r, r, c}, rng, d)), w(randn<float>({c, 3, 3, c}, rng, d));
              return [=] { return keep(conv2d_input(y, w, y.shape(), {.padding = 1})); };
            }});
  list.add({"conv2d_weight/" + at, 2 * picture + weight, flops, [=](Rng& rng, Device const& d) -> Call {
              Var<float> const x(randn<float>({n, r, r, c}, rng, d)), y(randn<float>({n, r, r, c}, rng, d));
              return [=] { return keep(conv2d_weight(x, y, {c, 3, 3, c}, {.padding = 1})); };
            }});
}

void add_layer(List& list, std::int64_t n, std::int64_t r, std::int64_t c, int up) {
  std::int64_t const in = up > 1 ? channels_at(r / up) : c;
  std::string const at = size_name(r, c, n), what = up > 1 ? "layer_up2" : "layer";
  double const area = double(n * r * r), x = 4 * area / double(up * up) * double(in), y = 4 * area * double(c),
               weight = 36.0 * double(c * in), flops = 18 * area / double(up * up) * double(c * in) + (up > 1 ? 32 * area * double(c) : 0);
  list.add({what + "/" + at, x + y + weight, flops, [=](Rng& rng, Device const& d) -> Call {
              Layer const layer(n, r, in, c, up, rng, d);
              return [=] { return keep(layer(layer.x, layer.w, layer.s, layer.strength, layer.bias)); };
            }});
  // A step of training. Read again: x, w, y for the slope and the gradient of y; written: gradients of x and w.
  list.add({what + "_gradients/" + at, 3 * x + 3 * y + 3 * weight, 3 * flops,
            [=](Rng& rng, Device const& d) -> Call {
              Layer const layer(n, r, in, c, up, rng, d);
              return [=] {
                return with_gradients({layer.x, layer.w, layer.s, layer.strength, layer.bias},
                                      [&](auto const& v) { return layer(v[0], v[1], v[2], v[3], v[4]); });
              };
            },
            8 * (x + y) + 4 * weight});
}

void add_colours(List& list, std::int64_t n, std::int64_t r, std::int64_t c) {
  std::string const at = size_name(r, c, n);
  double const area = double(n * r * r), x = 4 * area * double(c), y = 12 * area, flops = 6 * area * double(c);
  auto const make = [=](bool gradients) {
    return [=](Rng& rng, Device const& d) -> Call {
      Tensor<float> const in = randn<float>({n, r, r, c}, rng, d), w = randn<float>({3, 1, 1, c}, rng, d), s = randn<float>({n, c}, rng, d);
      Var<float> const bias(randn<float>({3}, rng, d));
      auto const layer = [=](Var<float> const& a, Var<float> const& weight, Var<float> const& style) {
        return modulated_conv2d_noise_bias_act<float>(a, weight, style, {}, {}, bias, {.demodulate = false},
                                                      {.activation = Activation::linear, .clamp = 256});
      };
      if (gradients) return [=] { return with_gradients({in, w, s}, [&](auto const& v) { return layer(v[0], v[1], v[2]); }); };
      return [=] { return keep(layer(in, w, s)); };
    };
  };
  list.add({"torgb/" + at, x + y, flops, make(false)});
  list.add({"torgb_gradients/" + at, 3 * x + 3 * y, 3 * flops, make(true)});
}

void add_demodulation(List& list, std::int64_t n, std::int64_t c) {
  std::string const at = std::to_string(c) + "/n" + std::to_string(n);
  double const weight = 36.0 * double(c * c), styles = 8 * double(n * c), flops = 18 * double(c * c) + 2 * double(n * c * c);
  list.add({"demodulation/" + at, weight + styles, flops, [=](Rng& rng, Device const& d) -> Call {
              Var<float> const w(randn<float>({c, 3, 3, c}, rng, d)), s(randn<float>({n, c}, rng, d));
              return [=] { return keep(demodulation(w, s)); };
            }});
  list.add({"demodulation_gradients/" + at, 3 * weight + 2 * styles, 3 * flops, [=](Rng& rng, Device const& d) -> Call {
              Tensor<float> const w = randn<float>({c, 3, 3, c}, rng, d), s = randn<float>({n, c}, rng, d);
              return [=] { return with_gradients({w, s}, [](auto const& v) { return demodulation(v[0], v[1]); }); };
            }});
}

}  // namespace

void add_convolutions(List& list) {
  for (std::int64_t n : list.batches())
    for (std::int64_t r : resolutions(list.small)) {
      std::int64_t const c = channels_at(r);
      add_family(list, n, r, c);
      add_layer(list, n, r, c, 1);
      if (r > 4) add_layer(list, n, r, c, 2);
      add_colours(list, n, r, c);
    }
  for (std::int64_t n : list.batches())
    for (std::int64_t c : list.small ? std::vector<std::int64_t>{16} : std::vector<std::int64_t>{32, 128, 512})
      add_demodulation(list, n, c);
}

}  // namespace bench
