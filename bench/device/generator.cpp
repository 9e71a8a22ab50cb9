// Whole pictures: StyleGAN2 config-f and StyleGAN3-T from codes, forward, and forward with the gradient of the codes.
#include "config_f.hpp"
#include "measure.hpp"
#include "rig/nn/stylegan2.hpp"
#include "rig/nn/stylegan3.hpp"

namespace bench {

namespace {

/// Products and sums in the convolutions, and the bytes of weights and of every layer's result written and read once.
struct Floor {
  double flops = 0, bytes = 0;
};
Floor config_f(std::int64_t resolution, std::int64_t n) {
  Floor f;
  for (std::int64_t r = 4; r <= resolution; r *= 2) {
    double const c = double(channels_at(r)), in = double(channels_at(r > 4 ? r / 2 : r)), area = double(n * r * r);
    if (r > 4) f.flops += 18 * area / 4 * c * in, f.bytes += 8 * area * c + 36 * c * in;
    f.flops += 18 * area * c * c + 6 * area * c, f.bytes += 8 * area * c + 36 * c * c + 24 * area;
  }
  return f;
}
Floor alias_free(nn::StyleGAN3Options const& o, std::int64_t n) {
  Floor f;
  for (auto const& p : nn::layer_schedule(o)) {
    double const in = double(p.in_channels), out = double(p.out_channels), side = double(p.in_size[0] + p.kernel - 1),
                 taps = p.kernel * p.kernel, area = double(n) * side * side;
    f.flops += 2 * taps * area * in * out;
    f.bytes += 4 * (2 * area * out + 2 * double(n * p.out_size[0] * p.out_size[1]) * out + taps * in * out);
  }
  return f;
}

/// One network for all cases of a size: the weights of a picture of 1024 pixels are beyond any L2.
template <class G>
void add_network(List& list, std::string const& name, std::int64_t n, Floor floor, std::function<G(Rng&, Device const&)> network) {
  auto const codes = [=](G const& g, Rng& rng, Device const& d) {
    return g.mapping(Var<float>(randn<float>({n, g.z_dim()}, rng, d))).value();
  };
  std::string const at = "/n" + std::to_string(n);
  list.add({name + at, floor.bytes, floor.flops, [=](Rng& rng, Device const& d) -> Call {
              auto const g = std::make_shared<G>(network(rng, d));
              Tensor<float> const ws = codes(*g, rng, d);
              return [=] { return keep(g->synthesis(Var<float>(ws))); };
            }});
  list.add({name + "_gradient" + at, 3 * floor.bytes, 2 * floor.flops,
            [=](Rng& rng, Device const& d) -> Call {
              auto const g = std::make_shared<G>(network(rng, d));
              Param<float> const ws(codes(*g, rng, d));
              return [=]() -> Kept {
                Param<float> code = ws;
                Tape tape;
                tape.watch(code);
                tape.backward(sum(g->synthesis(code)));
                Tensor<float> const gradient = code.gradient();
                code.gradient() = {};
                return Kept(gradient);
              };
            },
            3 * floor.bytes});
}

}  // namespace

void add_generators(List& list) {
  std::vector<std::int64_t> const sides = list.small ? std::vector<std::int64_t>{16} : std::vector<std::int64_t>{256, 1024};
  for (std::int64_t r : sides)
    for (std::int64_t n : list.batches()) {
      add_network<nn::StyleGAN2<float>>(list, "stylegan2_" + std::to_string(r), n, config_f(r, n),
                                        [=](Rng& rng, Device const& d) { return nn::StyleGAN2<float>({.resolution = r}, rng, d); });
      if (n > 8) continue;
      nn::StyleGAN3Options o = nn::stylegan3_t(r);
      if (list.small) o.channel_max = 8;
      add_network<nn::StyleGAN3<float>>(list, "stylegan3_t_" + std::to_string(r), n, alias_free(o, n),
                                        [=](Rng& rng, Device const& d) { return nn::StyleGAN3<float>(o, rng, d); });
    }
}

}  // namespace bench
