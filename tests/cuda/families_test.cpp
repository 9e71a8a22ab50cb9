// Every family of networks on the device: pictures, scores, penalties with second derivatives and a step of both players agree
// with the CPU's; a generator fitted to drawn pictures there.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/device.hpp"
#include "rig/core/repeated.hpp"
#include "rig/nn/discriminator.hpp"
#include "rig/nn/gan_loss.hpp"
#include "rig/nn/generator.hpp"
#include "rig/nn/optim/ema.hpp"
#include "rig/nn/stylegan1_discriminator.hpp"
#include "rig/stylerig/oracle_fit.hpp"

using namespace rig;

namespace {
nn::StyleGAN1<float> stylegan1(Rng& rng) {
  return nn::StyleGAN1<float>(
      {.z_dim = 5, .w_dim = 7, .resolution = 16, .fmap_base = 64, .fmap_max = 8, .mapping_layers = 2, .mapping_features = 6}, rng);
}
nn::StyleGAN2<float> stylegan2(Rng& rng) {
  return nn::StyleGAN2<float>({.z_dim = 5, .w_dim = 7, .resolution = 16, .channel_base = 64, .channel_max = 8, .mapping_layers = 2}, rng);
}
nn::StyleGAN3<float> stylegan3(Rng& rng) {
  return nn::StyleGAN3<float>({.z_dim = 5, .w_dim = 7, .resolution = 16, .channel_base = 64, .channel_max = 6, .layers = 4, .margin = 3},
                              rng);
}
void check_near(std::vector<float> const& a, std::vector<float> const& b, double share = 5e-4) {
  REQUIRE(a.size() == b.size());
  double largest = 0, error = 0;
  bool finite = true;
  for (std::size_t i = 0; i < a.size(); ++i) {
    finite = finite && std::isfinite(b[i]);
    largest = std::max(largest, double(std::abs(a[i]))),
    error = std::max(error, double(std::abs(a[i]) == INFINITY ? 0 : std::abs(a[i] - b[i])));
  }
  INFO("largest ", largest, ", error ", error);
  CHECK(finite);
  CHECK(error <= share * largest + 1e-7);
}
template <class M> M moved(M const& m, Device const& device) {
  M copy = nn::clone(m);
  nn::move_to(copy, device);
  return copy;
}
/// Does `work` once; with `captured` as work that is captured after the first round and replayed twice.
template <class F> void done(Device const& d, bool captured, F const& work) {
  Repeated repeated(d, captured, 1);
  for (int round = 0; round < (captured ? 3 : 1); ++round) repeated(work);
  CHECK(repeated.captured() == (captured && d.queue().can_capture()));
}
/// A picture and the gradient of its square's sum to every weight.
template <class G> std::vector<float> of_generator(G g, Tensor<float> const& z, Device const& d, bool captured = false) {
  Var<float> const latents(z.to(d));
  Var<float> picture;
  done(d, captured, [&] {
    nn::clear_gradients(g);
    Tape tape;
    tape.watch(g);
    picture = g(latents);
    tape.backward(mean(square(picture)));
  });
  std::vector<float> v = picture.value().host();
  nn::parameters(g, [&](std::string const&, auto& p) {
    if (!p.gradient()) return;
    for (float x : p.gradient().host()) v.push_back(x);
  });
  return v;
}
/// Scores, the R1 penalty, and the gradient of both to every weight.
template <class D> std::vector<float> of_discriminator(D net, Tensor<float> const& pictures, Device const& d, bool captured = false) {
  Tensor<float> const given = pictures.to(d);
  Var<float> scores, penalty;
  done(d, captured, [&] {
    nn::clear_gradients(net);
    Tape tape;
    tape.watch(net);
    Var<float> const x = tape.watch(given);
    scores = net(x);
    penalty = nn::r1_penalty(tape, scores, x);
    tape.backward(mean(softplus(-scores)) + nn::r1_loss(penalty, 2));
    nn::complete_gradients(net);
    nn::sanitize_gradients(net);
  });
  std::vector<float> v = scores.value().host();
  for (float p : penalty.value().host()) v.push_back(p);
  nn::parameters(net, [&](std::string const&, auto& p) {
    for (float g : p.gradient().host()) v.push_back(g);
  });
  return v;
}
/// The device agrees with the CPU, and captured work with both.
template <class M> void check_network(M const& net, Device const& device, auto const& of) {
  std::vector<float> const there = of(moved(net, device), device, false);
  check_near(of(nn::clone(net), Device(), false), there);
  CHECK((of(moved(net, device), device, true) == there));
}
}  // namespace

TEST_CASE("cuda: generators of every family agree with the CPU's, captured too") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(4);
  Tensor<float> const z = randn<float>({2, 5}, rng);
  auto const one = stylegan1(rng);
  auto const two = stylegan2(rng);
  auto const three = stylegan3(rng);
  auto const of = [&](auto const& g, Device const& d, bool captured) { return of_generator(g, z, d, captured); };
  check_network(one, device, of), check_network(two, device, of), check_network(three, device, of);
  auto average = moved(two, device), now = moved(two, device);
  nn::update_average(average, now, 0.9);
}

TEST_CASE("cuda: discriminators and their second derivatives agree with the CPU's, captured too") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(4);
  Tensor<float> const pictures = randn<float>({4, 16, 16, 3}, rng);
  nn::Discriminator<float> const two({.resolution = 16, .channel_base = 64, .channel_max = 8}, rng);
  nn::StyleGAN1Discriminator<float> const one({.network = {.resolution = 16, .fmap_base = 64, .fmap_max = 8}, .fc_features = 8}, rng);
  auto const of = [&](auto const& net, Device const& d, bool captured) { return of_discriminator(net, pictures, d, captured); };
  check_network(two, device, of), check_network(one, device, of);
}

TEST_CASE("cuda: make-oracle fits its generator on the device") {
  Device device;
  if (!test::device_for(device)) return;
  stylerig::OracleFitOptions o;
  o.world.rows = 6, o.world.width = 8, o.world.vertices = 2000, o.world.hair_vertices = 400;
  o.resolution = 16, o.channel_base = 64, o.channel_max = 6;
  o.pictures = 12, o.held_out = 4, o.steps = 6, o.batch = 2, o.check_every = 1000, o.log_every = 2;
  train::Log here, there;
  stylerig::OracleWorld const a = stylerig::fit_oracle(o, here, nullptr, nullptr);
  o.device = device;
  stylerig::OracleWorld const b = stylerig::fit_oracle(o, there, nullptr, nullptr);
  CHECK(b.generator.device().is_cpu());
  CHECK(b.psnr == doctest::Approx(a.psnr).epsilon(1e-3));
  CHECK(device.queue().work().replays == (device.queue().can_capture() ? 4 : 0));
}
