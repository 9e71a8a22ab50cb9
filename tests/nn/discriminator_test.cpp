#include "rig/nn/discriminator.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <sstream>

#include "altered_file.hpp"
#include "helpers.hpp"
#include "rig/autodiff/gradcheck.hpp"
#include "rig/io/safetensors.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/gan_loss.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "verify/verifiers.hpp"
#include "verify/verify.hpp"

using namespace rig;

namespace {

nn::DiscriminatorOptions tiny(nn::Architecture a) {
  return {.resolution = 16,
          .image_channels = 2,
          .c_dim = 3,
          .channel_base = 80,
          .channel_max = 6,
          .architecture = a,
          .stddev_group = 2,
          .stddev_features = 2,
          .cmap_dim = 5,
          .mapping_layers = 2};
}
template <class M> std::map<std::string, Shape> names_of(M& m, bool trained) {
  std::map<std::string, Shape> names;
  auto note = [&](std::string const& name, auto& leaf) { names[name] = leaf.shape(); };
  trained ? nn::parameters(m, note) : nn::buffers(m, note);
  return names;
}
constexpr nn::Architecture every_architecture[] = {nn::Architecture::resnet, nn::Architecture::skip, nn::Architecture::orig};

}  // namespace

TEST_CASE("discriminator: names and shapes; what is frozen is kept but not trained") {
  Rng rng(1);
  nn::DiscriminatorOptions o = tiny(nn::Architecture::resnet);
  o.frozen_layers = 5;
  nn::Discriminator<float> d(o, rng);
  auto const trained = names_of(d, true), kept = names_of(d, false);
  CHECK(trained.at("b8.conv1.weight") == Shape{6, 3, 3, 6});
  CHECK(trained.at("b4.conv.weight") == Shape{6, 3, 3, 8});
  CHECK(trained.at("b4.fc.weight") == Shape{6, 96});
  CHECK(trained.at("b4.out.weight") == Shape{5, 6});
  CHECK(trained.at("mapping.embed.weight") == Shape{5, 3});
  CHECK(trained.at("mapping.fc1.bias") == Shape{5});
  // The first five layers: b16's fromrgb, conv0, conv1 and skip, and b8's conv0.
  for (char const* name : {"b16.fromrgb.weight", "b16.fromrgb.bias", "b16.conv1.weight", "b16.skip.weight", "b8.conv0.bias"})
    CHECK_MESSAGE((kept.count(name) == 1 && trained.count(name) == 0), name);
  CHECK(kept.at("b16.conv1.resample_filter") == Shape{4, 4});
  CHECK(trained.count("b16.skip.bias") == 0);

  Var<float> const x(randn<float>({4, 16, 16, 2}, rng)), c(randn<float>({4, 3}, rng));
  auto const before = d.blocks[0].conv0->weight.value().host();
  nn::Adam<float> optimiser({.rate = 0.1});
  Tape tape;
  tape.watch(d);
  tape.backward(nn::generator_loss(d(x, c)));
  optimiser.step(d);
  CHECK(d.blocks[0].conv0->weight.value().host() == before);
  auto copy = nn::clone(d);
  CHECK(copy(x, c).value().host() == d(x, c).value().host());
  copy.blocks[0].conv0->weight.tensor().mutate()[0] += 1;  // a frozen weight of its own
  CHECK(d.blocks[0].conv0->weight.value().host() == before);

  nn::Discriminator<float> skip(tiny(nn::Architecture::skip), rng), orig(tiny(nn::Architecture::orig), rng);
  CHECK(names_of(skip, true).at("b4.fromrgb.weight") == Shape{6, 1, 1, 2});
  CHECK(names_of(skip, true).count("b8.fromrgb.weight") == 1);
  CHECK(names_of(skip, false).count("b8.resample_filter") == 1);
  CHECK(names_of(orig, true).count("b8.fromrgb.weight") == 0);
  CHECK(names_of(orig, true).count("b16.skip.weight") == 0);
  CHECK(contains(message_of([&] { d(x); }), "labels must be [4, 3]"));
  CHECK(contains(message_of([&] { d(Var<float>(zeros<float>({4, 8, 8, 2})), c); }), "pictures must be [n, 16, 16, 2]"));
  CHECK(contains(message_of([&] { d(Var<float>(zeros<float>({3, 16, 16, 2})), Var<float>(zeros<float>({3, 3}))); }), "groups of 2"));
  CHECK_THROWS_AS(nn::Discriminator<float>({.resolution = 24}, rng), Error);
}

TEST_CASE("discriminator: gradients and their gradients agree with central differences, for every architecture") {
  for (auto a : every_architecture) {
    Rng rng(4);
    nn::Discriminator<double> d(tiny(a), rng);
    Tensor<double> const x = randn<double>({4, 16, 16, 2}, rng), c = randn<double>({4, 3}, rng);
    auto const first = gradcheck([&](auto const& v) { return d(v[0], v[1]); }, {x, c});
    CHECK_MESSAGE(first.worst < 1e-6, nn::to_string(a), ": ", first.worst);
    auto const second = gradcheck([&](auto const& v) { return d(v[0], v[1]); }, {x, c}, {.order = 2, .points = 8});
    CHECK_MESSAGE(second.worst < 1e-5, nn::to_string(a), ": ", second.worst);
  }
}

TEST_CASE("discriminator: labels without a mapping choose a column") {
  Rng rng(5);
  nn::DiscriminatorOptions o = tiny(nn::Architecture::resnet);
  o.cmap_dim = 3;
  nn::Discriminator<float> d(o, rng);
  d.mapping.reset();
  nn::Discriminator<float> plain = d;
  plain.c_dim = 0;
  Var<float> const x(randn<float>({2, 16, 16, 2}, rng));
  auto const all = plain(x).value().host();
  auto const one = d(x, Var<float>(Tensor<float>({2, 3}, {0, 1, 0, 0, 0, 1}))).value();
  CHECK(one.shape() == Shape{2, 1});
  CHECK(one.host() == std::vector<float>{all[1], all[5]});
}

TEST_CASE("minibatch_stddev: by hand; members of a group lie n / group apart") {
  Tensor<double> const x({4, 1, 1, 2}, {1, 0, 5, 0, 3, 0, 9, 4});
  auto const one = minibatch_stddev(Var<double>(x), {.group = 2}).value();
  CHECK(one.shape() == Shape{4, 1, 1, 3});
  auto const v = one.host();
  double const none = std::sqrt(1e-8), unit = std::sqrt(1 + 1e-8), two = std::sqrt(4 + 1e-8);
  CHECK(v[0] == 1);
  CHECK(v[2] == doctest::Approx((unit + none) / 2).epsilon(1e-12));  // 1 with 3, 0 with 0
  CHECK(v[5] == doctest::Approx(two).epsilon(1e-12));                // 5 with 9, 0 with 4
  CHECK(v[8] == v[2]);
  CHECK(v[11] == v[5]);
  auto const split = minibatch_stddev(Var<double>(x), {.group = 2, .features = 2}).value().host();
  CHECK(split[2] == doctest::Approx(unit).epsilon(1e-12));
  CHECK(split[3] == doctest::Approx(none).epsilon(1e-12));
}

TEST_CASE("losses: logistic, R1, path length, lazy regularisation, by hand") {
  using V = Var<double>;
  V const zero(zeros<double>({3, 1})), two(full<double>({3, 1}, 2));
  CHECK(nn::generator_loss(zero).item() == doctest::Approx(std::log(2)));
  CHECK(nn::generator_loss(two).item() == doctest::Approx(std::log1p(std::exp(-2))));
  CHECK(nn::discriminator_loss(two, zero).item() == doctest::Approx(std::log1p(std::exp(2)) + std::log(2)));

  // Scores sum(k x^2) / 2 have the gradient k x: penalty k^2 |x|^2, whose derivative by k is 2 k |x|^2.
  Tape tape;
  V const x = tape.watch(Tensor<double>({2, 1, 2, 1}, {1, 2, 3, 4})), k = tape.watch(full<double>({}, 3));
  V const scores = 0.5 * sum(reshape(k * square(x), {2, 2}), 1);
  V const penalty = nn::r1_penalty(tape, scores, x);
  CHECK(penalty.value().host() == std::vector<double>{45, 225});
  V const loss = nn::r1_loss(penalty, 10);
  CHECK(loss.item() == doctest::Approx(675));
  CHECK(tape.grad(loss, k).item() == doctest::Approx(450));

  // Pictures of 2 by 2 pixels that are a times the sum of the codes: J = a sum(noise) / 2 in every entry.
  Tape second;
  V const codes = second.watch(Tensor<double>({1, 3, 2}, {1, 2, 3, 4, 5, 6})), a = second.watch(full<double>({}, 0.5));
  V const pictures = broadcast_to(reshape(a * sum(codes), {1, 1, 1, 1}), {1, 2, 2, 1});
  V const noise(Tensor<double>({1, 2, 2, 1}, {1, 2, 3, 2}));
  auto const p = nn::path_length(second, pictures, codes, noise, full<double>({}, 1));
  double const length = 2 * std::sqrt(2.0), average = 1 + 0.01 * (length - 1);
  CHECK(p.gradients.value().host() == std::vector<double>(6, 2));
  CHECK(p.lengths.item() == doctest::Approx(length));
  CHECK(p.average.item() == doctest::Approx(average));
  CHECK(p.penalty.item() == doctest::Approx((length - average) * (length - average)));
  // The average moves with the length: d(length - average) = 0.99 d length, and d length / d a = length / a.
  CHECK(second.grad(mean(p.penalty), a).item() == doctest::Approx(2 * (length - average) * 0.99 * length / 0.5));

  nn::AdamOptions const o = nn::lazy({.rate = 0.002, .beta1 = 0, .beta2 = 0.99}, 16);
  CHECK(o.rate == doctest::Approx(0.002 * 16 / 17));
  CHECK(o.beta1 == 0);
  CHECK(o.beta2 == doctest::Approx(std::pow(0.99, 16.0 / 17)));
  CHECK_THROWS_AS(nn::lazy({}, 0), Error);

  Rng rng(6);
  nn::Linear<double> layer({.in = 2, .out = 2}, rng);
  nn::complete_gradients(layer);
  CHECK(layer.weight.gradient().host() == std::vector<double>(4, 0));
}

TEST_CASE("discriminator: own files keep everything; missing, misshapen and unknown parts are named") {
  Rng rng(7);
  std::string const path = temporary("rig_discriminator_test.safetensors");
  for (auto a : every_architecture) {
    nn::DiscriminatorOptions o = tiny(a);
    o.frozen_layers = 3, o.conv_clamp = 1.5, o.resample_filter = {1, 2, 5, 3};
    if (a != nn::Architecture::resnet) o.stddev_group = -1;
    if (a == nn::Architecture::orig) o.stddev_features = 0;
    if (a == nn::Architecture::skip) o.cmap_dim = 3;
    nn::Discriminator<float> d(o, rng);
    if (a == nn::Architecture::skip) d.mapping.reset();  // labels choose a column
    nn::save_discriminator(path, d, {{"note", "mine"}});
    auto back = nn::load_discriminator(path);
    CHECK(nn::content_hash(back) == nn::content_hash(d));
    CHECK(nn::parameter_count(back) == nn::parameter_count(d));
    Var<float> const x(randn<float>({4, 16, 16, 2}, rng)), c(randn<float>({4, 3}, rng));
    CHECK(back(x, c).value().host() == d(x, c).value().host());
  }

  nn::Discriminator<float> d(tiny(nn::Architecture::resnet), rng);
  nn::save_discriminator(path, d);
  io::Safetensors const whole = io::read_safetensors(path);
  auto changed = [&](auto&& change) {
    return message_of_altered(whole, change, [](std::string const& file) { nn::load_discriminator(file); });
  };
  auto attribute = [&](std::string const& key, std::string const& value) {
    return changed([&](io::Safetensors& s) {
      for (auto& [k, v] : s.metadata)
        if (k == key) v = value;
    });
  };
  CHECK(contains(changed([&](io::Safetensors& s) { s.tensors.erase(tensor_of(s, "b8.conv0.bias")); }),
                 "b8.conv0.bias is missing (expected [6])"));
  CHECK(contains(changed([&](io::Safetensors& s) {
                   tensor_of(s, "b4.fc.weight")->tensor = Tensor<float>({6, 95}, std::vector<float>(6 * 95));
                 }),
                 "b4.fc.weight should be [any, 96], the file has [6, 95]"));
  CHECK(contains(changed([&](io::Safetensors& s) {
                   s.tensors.push_back({"b4.fromrgb.bias", Tensor<float>({6}, std::vector<float>(6))});
                 }),
                 "tensor b4.fromrgb.bias [6] belongs to no layer"));
  CHECK(contains(attribute("img_resolution", "4"), "power of two from 8 up"));
  CHECK(contains(attribute("b8.conv1.down", "1"), "b8.conv1 should reduce the size by 2"));
  CHECK(contains(attribute("b16.skip.activation", "lrelu"), "b16.skip should be linear"));
  CHECK(contains(attribute("b4.mbstd.num_channels", "4"), "b4.mbstd should have a group and features that divide 6"));
  CHECK(contains(attribute("b8.architecture", "resmet"), "rig_altered_network.safetensors: b8: architecture: expected"));
  CHECK(contains(attribute("b4.architecture", "resmet"), "rig_altered_network.safetensors: b4: architecture: expected"));
  CHECK(contains(attribute("format", "rig.stylegan2"), "expected a discriminator written by rig"));
  std::remove(path.c_str());
}

TEST_CASE("discriminator loader: files without one have a sentence of their own") {
  struct {
    char const *file, *says;
  } const cases[] = {{"sg2ada_skip256.pkl", "holds no discriminator"}, {"sg2ada_skip64.npz", "official .pkl"}};
  for (auto const& c : cases)
    if (present(c.file)) CHECK_MESSAGE(contains(message_of([&] { nn::load_discriminator(folder() + c.file); }), c.says), c.file);
  if (present("sg2ada_misc16.pkl")) {
    auto d = nn::load_discriminator(folder() + "sg2ada_misc16.pkl");
    CHECK(names_of(d, false).count("b16.fromrgb.weight") == 1);  // frozen in that file
    CHECK(names_of(d, true).count("b16.conv1.weight") == 1);
    CHECK(d.epilogue.stddev_features == 0);
  }
}

TEST_CASE("parity: a training of the original code, step by step") {
  if (!present("sg2ada_train16.pkl") || !present("sg2ada_train16.npz")) return;
  std::ostringstream report;
  CHECK_MESSAGE(program::run_verify(folder() + "sg2ada_train16.pkl", folder() + "sg2ada_train16.npz", report) == 0, report.str());
  for (char const* name :
       {"\"it0.Greg.grad.mapping.fc0.weight\"", "\"final.G_ema.mapping.w_avg\"", "\"final.D.b4.fc.weight\"", "\"pl_mean\""})
    CHECK_MESSAGE(contains(report.str(), name), name);

  // The judge notices a training that is a little different: another decay of the average of w, a forgotten step.
  auto g = nn::load_stylegan2(folder() + "sg2ada_train16.pkl", {}, nn::GeneratorChoice::trained);
  auto average = nn::load_stylegan2(folder() + "sg2ada_train16.pkl");
  auto d = nn::load_discriminator(folder() + "sg2ada_train16.pkl");
  g.mapping.average_decay = 0.99;
  program::verify::Case k(folder() + "sg2ada_train16.npz");
  program::verify::verify_training(k, g, d, average);
  std::ostringstream other;
  CHECK(k.report("", other) == 1);
  CHECK(contains(other.str(), "beyond tolerance"));
}

TEST_CASE("parity: a wrong discriminator is found out") {
  if (!present("sg2ada_cond32.pkl") || !present("sg2ada_cond32.npz")) return;
  auto judge = [](nn::Discriminator<float>& d) {
    program::verify::Case k(folder() + "sg2ada_cond32.npz");
    program::verify::verify_discriminator(k, d);
    std::ostringstream report;
    k.report("", report);
    return report.str();
  };
  auto d = nn::load_discriminator(folder() + "sg2ada_cond32.pkl");
  CHECK(contains(judge(d), "\"d.r1.grad.b8.conv0.bias\""));
  CHECK(!contains(judge(d), "beyond tolerance"));
  d.blocks[1].conv0->act_gain *= 1.0001;
  CHECK(contains(judge(d), "beyond tolerance"));
}
