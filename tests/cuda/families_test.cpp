// Every family of networks on the device: pictures, scores, penalties with second derivatives and a step of both players agree
// with the CPU's; a generator fitted to drawn pictures there.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/device.hpp"
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
/// A picture and the gradient of its square's sum to every weight.
template <class G> std::vector<float> of_generator(G g, Tensor<float> const& z, Device const& d) {
  Tape tape;
  tape.watch(g);
  Var<float> const picture = g(Var<float>(z.to(d)));
  std::vector<float> v = picture.value().host();
  tape.backward(mean(square(picture)));
  nn::parameters(g, [&](std::string const&, auto& p) {
    if (!p.gradient()) return;
    for (float x : p.gradient().host()) v.push_back(x);
  });
  return v;
}
/// Scores, the R1 penalty, and the gradient of both to every weight.
template <class D> std::vector<float> of_discriminator(D net, Tensor<float> const& pictures, Device const& d) {
  Tape tape;
  tape.watch(net);
  Var<float> const x = tape.watch(pictures.to(d)), scores = net(x);
  Var<float> const penalty = nn::r1_penalty(tape, scores, x);
  std::vector<float> v = scores.value().host();
  for (float p : penalty.value().host()) v.push_back(p);
  tape.backward(mean(softplus(-scores)) + nn::r1_loss(penalty, 2));
  nn::complete_gradients(net);
  nn::sanitize_gradients(net);
  nn::parameters(net, [&](std::string const&, auto& p) {
    for (float g : p.gradient().host()) v.push_back(g);
  });
  return v;
}
}  // namespace

TEST_CASE("cuda: generators of every family agree with the CPU's") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(4);
  Tensor<float> const z = randn<float>({2, 5}, rng);
  auto const one = stylegan1(rng);
  auto const two = stylegan2(rng);
  auto const three = stylegan3(rng);
  check_near(of_generator(nn::clone(one), z, {}), of_generator(moved(one, device), z, device));
  check_near(of_generator(nn::clone(two), z, {}), of_generator(moved(two, device), z, device));
  check_near(of_generator(nn::clone(three), z, {}), of_generator(moved(three, device), z, device));
  auto average = moved(two, device), now = moved(two, device);
  nn::update_average(average, now, 0.9);
}

TEST_CASE("cuda: discriminators and their second derivatives agree with the CPU's") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(4);
  Tensor<float> const pictures = randn<float>({4, 16, 16, 3}, rng);
  nn::Discriminator<float> const two({.resolution = 16, .channel_base = 64, .channel_max = 8}, rng);
  nn::StyleGAN1Discriminator<float> const one({.network = {.resolution = 16, .fmap_base = 64, .fmap_max = 8}, .fc_features = 8}, rng);
  check_near(of_discriminator(nn::clone(two), pictures, {}), of_discriminator(moved(two, device), pictures, device));
  check_near(of_discriminator(nn::clone(one), pictures, {}), of_discriminator(moved(one, device), pictures, device));
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
