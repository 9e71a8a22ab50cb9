// Snippets of docs/nn.md and docs/io.md. Files are written into the current folder. Each checks what the page says.
#include <cmath>
#include <cstdio>
#include <string>

#include "rig/io/file.hpp"
#include "rig/nn/adaptive_strength.hpp"
#include "rig/nn/augment.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/gan_loss.hpp"
#include "rig/nn/linear.hpp"
#include "rig/nn/optim/adam.hpp"
#include "rig/nn/optim/ema.hpp"
#include "rig/nn/seed_latents.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "rig/nn/stylegan3_loader.hpp"
#include "rig/train/checkpoint.hpp"

using namespace rig;

namespace {

/// A module: options, members, a constructor, a call, and one visit line.
template <class T> struct Net {
  nn::Linear<T> first, second;
  Tensor<T> mean;  // kept with the module, not trained

  explicit Net(Rng& rng) : first({.in = 2, .out = 16}, rng), second({.in = 16, .out = 1}, rng), mean(zeros<T>({2})) {}
  Var<T> operator()(Var<T> const& x) const { return second(tanh(first(x - Var<T>(mean)))); }
  void visit(auto&& f) { f("first", first), f("second", second), f("mean", mean); }
};

void training() {
  Rng rng(1);
  Net<float> net(rng), average = nn::clone(net);
  nn::Adam<float> optimiser({.rate = 0.01});
  Var<float> const x(randn<float>({64, 2}, rng)), y = slice(x, 1, 0, 1) * slice(x, 1, 1, 1);
  float first = 0, last = 0;
  for (int step = 0; step < 200; ++step) {
    Tape tape;
    tape.watch(net);
    auto const loss = mean(square(net(x) - y));
    (step == 0 ? first : last) = loss.item();
    tape.backward(loss);
    nn::clip_gradients(net, 1);
    optimiser.rate = nn::cosine_rate(step, 200, 0.02, 1e-4);
    optimiser.step(net);
    nn::update_average(average, net, 0.99);
  }
  check(last < 0.5f * first, "training: ", first, " to ", last);

  // Everything with a visit line goes into one file, and comes back with the same bits.
  io::save("net.safetensors", {{"step", "200"}}, io::item("net", net), io::item("average", average), io::item("optimiser", optimiser));
  Rng other(2);
  Net<float> loaded(other);
  nn::Adam<float> continued;
  continued.prepare(loaded);  // makes the state that the file is to fill
  io::Metadata const about = io::load("net.safetensors", io::item("net", loaded), io::item("optimiser", continued));
  check(io::metadata_value(about, "step") == "200" && loaded(x).value().host() == net(x).value().host(), "checkpoint");
  check(nn::content_hash(loaded) == nn::content_hash(net) && nn::parameter_count(net) == 2 * 16 + 16 + 16 + 1, "module");
}

void generator() {
  // Any StyleGAN2. Here: a small one with fresh weights, saved and loaded as an official file would be loaded.
  Rng rng(3);
  nn::StyleGAN2<float> fresh({.z_dim = 32, .w_dim = 32, .resolution = 32, .channel_base = 512, .channel_max = 16, .mapping_layers = 2},
                             rng);
  nn::save_stylegan2("generator.safetensors", fresh, {{"made by", "examples/docs/networks.cpp"}});
  nn::StyleGAN2<float> G = nn::load_stylegan2("generator.safetensors");  // or an official .pkl; nothing in it is executed

  auto const z = nn::seed_latents({3, 85}, G.z_dim());        // the latents of the official scripts' seeds 3 and 85
  auto const w = G.mapping(Var<float>(z), {}, {.psi = 0.7});  // [2, 8, 32]: codes, pulled towards the mean
  auto const image = G.synthesis(w);                          // [2, 32, 32, 3], about -1..1
  auto const v = G.mapping(Var<float>(nn::seed_latents({297, 849}, G.z_dim())));
  auto const mixed = nn::mix(w, v, 4);  // rows below 4 of w, the others of v
  check((image.shape() == Shape{2, 32, 32, 3}) && mixed.shape() == w.shape() && G.num_ws() == 8, "generator");

  // The gradient with respect to a code in W+. A watched Param with backward() needs less memory than Tape::grad.
  Param<float> code(w.value().clone());
  Tape tape;
  tape.watch(code);  // the generator is not watched: its weights take no gradient
  tape.backward(mean(square(G.synthesis(code, {.noise = nn::Noise::none}))));
  check(code.gradient().shape() == w.shape(), "gradient of a code");
}

void moving() {
  // Any StyleGAN3. Here: a small one with fresh weights, saved and loaded as an official file would be loaded.
  Rng rng(5);
  nn::StyleGAN3<float> fresh(
      {.z_dim = 16, .w_dim = 16, .resolution = 32, .channel_base = 256, .channel_max = 8, .layers = 6, .critical_layers = 1, .margin = 4},
      rng);
  nn::save_stylegan3("moving.safetensors", fresh);
  nn::StyleGAN3<float> G = nn::load_stylegan3("moving.safetensors");  // or an official .pkl

  auto const w = G.mapping(Var<float>(nn::seed_latents({3}, G.z_dim())));  // [1, 8, 16]: the input and seven layers
  auto const image = G.synthesis(w);                                       // [1, 32, 32, 3]
  auto const turned = G.synthesis(w, {.transform = nn::image_transform<float>({.x = 0.1, .degrees = 15})});
  check((image.shape() == Shape{1, 32, 32, 3}) && turned.shape() == image.shape() && G.num_ws() == 8, "moving generator");
}

void adversaries() {
  // One iteration of StyleGAN2's training: each network in turn, R1 in a step of its own (every 16th time, hence times 16).
  Rng rng(4);
  nn::StyleGAN2<float> G({.z_dim = 16, .w_dim = 16, .resolution = 16, .channel_base = 128, .channel_max = 8, .mapping_layers = 2}, rng);
  nn::Discriminator<float> D({.resolution = 16, .channel_base = 128, .channel_max = 8}, rng);  // or nn::load_discriminator(file)
  nn::AdamOptions const adam{.rate = 0.002, .beta1 = 0, .beta2 = 0.99};
  nn::Adam<float> step_G(nn::lazy(adam, 4)), step_D(nn::lazy(adam, 16));
  Var<float> const z(randn<float>({4, 16}, rng)), real(randn<float>({4, 16, 16, 3}, rng));
  {
    Tape tape;
    tape.watch(G);  // D is not watched: it judges and stays as it is
    tape.backward(nn::generator_loss(D(G(z))));
    step_G.step(G);
  }
  {
    Tape tape;
    tape.watch(D);
    tape.backward(nn::discriminator_loss(D(G(z)), D(real)));
    step_D.step(D);
  }
  Tape tape;
  tape.watch(D);
  auto const x = tape.watch(real), seen = D(x);
  auto const penalty = nn::r1_penalty(tape, seen, x);  // [4]
  tape.backward(16 * nn::r1_loss(penalty, 10));
  nn::complete_gradients(D);  // parameters that R1 does not reach count the step, too
  step_D.step(D);
  check((seen.shape() == Shape{4, 1}) && (penalty.shape() == Shape{4}) && mean(penalty).item() > 0, "adversaries");
}

void augmentation() {
  // What a discriminator sees, real or drawn, is augmented; how much, its scores of real pictures decide.
  Rng rng(6);
  nn::Discriminator<float> D({.resolution = 16, .channel_base = 128, .channel_max = 8}, rng);
  nn::AugmentOptions const options = nn::augment_preset("bgc");
  nn::AdaptiveStrength strength({.target = 0.6, .interval = 4, .kimg = 500});
  Var<float> const real(randn<float>({4, 16, 16, 3}, rng));
  for (int iteration = 0; iteration < 4; ++iteration) {
    Tape tape;
    auto const x = tape.watch(real), seen = D(nn::augment(x, strength.p, options, rng));
    auto const penalty = nn::r1_penalty(tape, seen, x);  // through the augmentation; drawn pictures go the same way
    strength.see(seen.value());
    strength.next(4);
    check(penalty.shape() == Shape{4}, "augmentation: R1");
  }
  check(strength.p == 0 || std::abs(strength.p - 16 / 500e3) < 1e-12, "augmentation: one change of p");
}

void files() {
  Tensor<float> const a({2, 3}, {1, 2, 3, 4, 5, 6});
  io::save_npz("arrays.npz", {{"a", a}, {"b", Tensor<std::int64_t>({2}, {7, 8})}});
  io::Document const file = io::read_any("arrays.npz");  // by its first bytes, not by its name
  for (auto const& [name, tensor] : file.tensors()) std::printf("%s %s\n", name.c_str(), str(tensor.dtype(), " ", tensor.shape()).c_str());
  check(file.kind == io::Kind::npz && file.tensors()[0].tensor.as<double>().host()[5] == 6, "npz");

  std::string message;
  try {
    io::write_file("broken.npz", io::MappedFile("arrays.npz").bytes().sub(0, 300).text());
    io::read_any("broken.npz");
  } catch (Error const& e) {
    message = e.what();  // names the file, the place and the reason
  }
  check(message.rfind("broken.npz: ", 0) == 0, "a shortened file: ", message);
  std::printf("%s\n", message.c_str());
}

}  // namespace

int main() {
  training();
  generator();
  moving();
  adversaries();
  augmentation();
  files();
  std::puts("networks: as the pages say");
}
