// What training does with the two penalties: their gradients with respect to weights, through the gradient that is in them.
#include <doctest/doctest.h>

#include "rig/nn/discriminator.hpp"
#include "rig/nn/gan_loss.hpp"
#include "rig/nn/stylegan2.hpp"

using namespace rig;

namespace {

/// Some entries of the gradient of every parameter against central differences. loss(tape) is made from the network on that tape.
template <class M, class F> void check_gradients(M& net, F const& loss) {
  auto value = [&] {
    Tape tape;
    tape.watch(net);
    return loss(tape).item();
  };
  {
    Tape tape;
    tape.watch(net);
    tape.backward(loss(tape));
  }
  nn::complete_gradients(net);
  int moving = 0;
  nn::parameters(net, [&](std::string const& name, Param<double>& p) {
    std::int64_t const last = p.tensor().size() - 1;
    for (std::int64_t i : {std::int64_t(0), last / 3, last}) {
      double const g = p.gradient().data()[i], kept = p.tensor().data()[i], step = 1e-5;
      p.tensor().mutate()[i] = kept + step;
      double const above = value();
      p.tensor().mutate()[i] = kept - step;
      double const slope = (above - value()) / (2 * step);
      p.tensor().mutate()[i] = kept;
      moving += g != 0;
      INFO(name, " ", i);
      CHECK(g == doctest::Approx(slope).epsilon(1e-5).scale(0.01));
    }
  });
  CHECK(moving > 12);
}

}  // namespace

TEST_CASE("R1: its gradient with respect to every weight of a discriminator") {
  Rng rng(1);
  nn::Discriminator<double> d({.resolution = 8, .channel_base = 32, .channel_max = 4, .stddev_group = 2}, rng);
  Tensor<double> const real = randn<double>({4, 8, 8, 3}, rng);
  check_gradients(d, [&](Tape& tape) {
    Var<double> const x = tape.watch(real);
    return nn::r1_loss(nn::r1_penalty(tape, d(x), x), 3);
  });
}

TEST_CASE("path length: its gradient with respect to every weight of a generator") {
  Rng rng(2);
  nn::StyleGAN2Options o;
  o.z_dim = o.w_dim = 5, o.resolution = 8, o.mapping_layers = 2, o.channel_base = 32, o.channel_max = 4;
  nn::StyleGAN2<double> g(o, rng);
  Var<double> const z(randn<double>({3, 5}, rng)), noise(randn<double>({3, 8, 8, 3}, rng));
  Tensor<double> const before = full<double>({}, 0.3);
  check_gradients(g, [&](Tape& tape) {
    Var<double> const codes = g.mapping(z), pictures = g.synthesis(codes, {.noise = nn::Noise::stored});
    return mean(nn::path_length(tape, pictures, codes, noise, before).penalty);
  });
}
