#include "rig/nn/stylegan2.hpp"

#include <doctest/doctest.h>

#include <set>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/nn/optim/adam.hpp"

using namespace rig;

namespace {

nn::StyleGAN2Options tiny(nn::Architecture a) {
  return {.z_dim = 5,
          .w_dim = 7,
          .resolution = 16,
          .image_channels = 3,
          .channel_base = 80,
          .channel_max = 9,
          .architecture = a,
          .mapping_layers = 2};
}
template <class T> void loud(nn::StyleGAN2<T>& g, Rng& rng) {  // initial noise strengths are zero
  nn::parameters(g, [&](std::string const& name, Param<T>& p) {
    if (name.find("noise_strength") != std::string::npos) p.tensor().mutate()[0] = T(rng.uniform(0.1, 0.5));
  });
}
double largest_difference(Tensor<float> const& a, Tensor<float> const& b) {
  double d = 0;
  auto const x = a.host(), y = b.host();
  for (std::size_t i = 0; i < x.size(); ++i) d = std::max(d, std::abs(double(x[i]) - y[i]));
  return d;
}

}  // namespace

TEST_CASE("StyleGAN2: names, sizes and rows") {
  Rng rng(1);
  nn::StyleGAN2<float> g({.resolution = 64, .channel_base = 512, .channel_max = 16}, rng);
  CHECK(g.num_ws() == 10);
  CHECK(g.w_dim() == 512);
  std::set<std::string> names;
  nn::tensors(g, [&](std::string const& name, auto& leaf) {
    if (leaf) names.insert(name + " " + str(leaf.shape()));
  });
  for (char const* expected :
       {"mapping.fc0.weight [512, 512]", "mapping.w_avg [512]", "synthesis.b4.const [4, 4, 16]", "synthesis.b4.conv1.weight [16, 3, 3, 16]",
        "synthesis.b64.conv0.weight [8, 3, 3, 16]", "synthesis.b64.conv0.affine.weight [16, 512]",
        "synthesis.b64.conv0.noise_const [64, 64]", "synthesis.b64.conv0.noise_strength []", "synthesis.b64.torgb.weight [3, 1, 1, 8]",
        "synthesis.b64.resample_filter [4, 4]"})
    CHECK_MESSAGE(names.count(expected) == 1, expected);
  auto const sites = g.synthesis.sites();
  CHECK(sites.size() == 14);
  CHECK(sites[0].name == "b4.conv1");
  CHECK(sites[1].row == 1);   // b4.torgb shares its row
  CHECK(sites[2].row == 1);   // with b8.conv0
  CHECK(sites[13].row == 9);  // b64.torgb
  CHECK(std::string(nn::row_name(8)) == "coarse");
  CHECK(std::string(nn::row_name(16)) == "medium");
  CHECK(std::string(nn::row_name(64)) == "fine");
  CHECK(nn::rows_for_resolution(1024) == 18);
  CHECK_THROWS_AS(nn::rows_for_resolution(96), Error);
}

TEST_CASE("StyleGAN2: gradients to codes, styles and weights agree with central differences, for every architecture") {
  for (auto a : {nn::Architecture::skip, nn::Architecture::resnet, nn::Architecture::orig}) {
    Rng rng(7);
    nn::StyleGAN2<double> g(tiny(a), rng);
    loud(g, rng);
    Tensor<double> const w = randn<double>({2, g.num_ws(), g.w_dim()}, rng);
    auto const r = gradcheck([&](auto const& x) { return g.synthesis(x[0]); }, {w});
    CHECK_MESSAGE(r.worst < 1e-6, nn::to_string(a), ": codes ", r.worst);

    std::vector<Tensor<double>> styles;
    for (auto const& s : g.synthesis.styles(Var(w))) styles.push_back(s.value());
    auto const s = gradcheck([&](auto const& x) { return g.synthesis.from_styles(x); }, styles, {.points = 3});
    CHECK_MESSAGE(s.worst < 1e-6, nn::to_string(a), ": styles ", s.worst);
    CHECK(largest_difference(cast<float>(g.synthesis(Var(w)).value()),
                             cast<float>(g.synthesis.from_styles(std::vector<Var<double>>(styles.begin(), styles.end())).value())) == 0);

    // A weight, by one central difference along a random direction.
    auto& weight = g.synthesis.blocks[1].conv0->weight;
    Tensor<double> const direction = randn<double>(weight.shape(), rng);
    Var<double> const target(randn<double>({2, 16, 16, 3}, rng));
    auto loss = [&] { return sum(g.synthesis(Var(w)) * target); };
    Tape tape;
    tape.watch(g);
    double const rule = sum(tape.grad(loss(), weight) * Var(direction)).item();
    double value[2];
    for (int k : {0, 1}) {
      nn::StyleGAN2<double> moved = nn::clone(g);
      double* p = moved.synthesis.blocks[1].conv0->weight.tensor().mutate();
      for (std::int64_t i = 0; i < direction.size(); ++i) p[i] += (k ? 1e-5 : -1e-5) * direction.data()[i];
      value[k] = sum(moved.synthesis(Var(w)) * target).item();
    }
    CHECK((value[1] - value[0]) / 2e-5 == doctest::Approx(rule).epsilon(1e-6));
  }
}

TEST_CASE("StyleGAN2: a smooth one can be differentiated twice") {
  Rng rng(8);
  auto o = tiny(nn::Architecture::resnet);
  o.resolution = 8, o.activation = Activation::swish, o.resample_filter = {1, 3, 4, 2};
  nn::StyleGAN2<double> g(o, rng);
  loud(g, rng);
  auto const r = gradcheck([&](auto const& x) { return g.synthesis(x[0]); }, {randn<double>({1, g.num_ws(), g.w_dim()}, rng)},
                           {.order = 2, .step = 1e-4});
  CHECK_MESSAGE(r.worst < 1e-6, r.worst);
}

TEST_CASE("StyleGAN2: gradients to noise that is given agree with central differences, once and twice") {
  for (auto activation : {Activation::lrelu, Activation::swish}) {
    Rng rng(10);
    auto o = tiny(nn::Architecture::skip);
    o.resolution = 8, o.activation = activation;
    nn::StyleGAN2<double> g(o, rng);
    loud(g, rng);
    std::vector<Tensor<double>> inputs = {randn<double>({2, g.num_ws(), g.w_dim()}, rng)};
    for (std::int64_t r : {4, 8, 8}) inputs.push_back(randn<double>({inputs.size() == 2 ? 1 : 2, r, r, 1}, rng));  // one map is shared
    auto picture = [&](std::vector<Var<double>> const& x) {
      return g.synthesis(x[0], {.noise = nn::Noise::random, .given = {x.begin() + 1, x.end()}});
    };
    auto const once = gradcheck(picture, inputs);
    CHECK_MESSAGE((once.worst < 1e-6 && once.compared > 60), to_string(activation), ": ", once.worst);
    if (activation == Activation::lrelu) continue;
    auto const twice = gradcheck(picture, inputs, {.order = 2, .step = 1e-4, .points = 8});
    CHECK_MESSAGE(twice.worst < 1e-6, to_string(activation), ", twice: ", twice.worst);
  }
}

TEST_CASE("StyleGAN2: noise modes") {
  Rng rng(2);
  nn::StyleGAN2<float> g(tiny(nn::Architecture::skip), rng);
  loud(g, rng);
  Var<float> const w = g.mapping(Var(randn<float>({2, 5}, rng)));
  nn::SynthesisOptions<float> none, random, given;
  none.noise = nn::Noise::none;
  Tensor<float> const stored = g.synthesis(w).value(), quiet = g.synthesis(w, none).value();
  CHECK(largest_difference(stored, quiet) > 1e-3);

  random.noise = nn::Noise::random;
  CHECK_THROWS_AS(g.synthesis(w, random), Error);
  Rng a(5), b(5), c(6);
  random.rng = &a;
  Tensor<float> const first = g.synthesis(w, random).value();
  random.rng = &b;
  CHECK(largest_difference(first, g.synthesis(w, random).value()) == 0);
  random.rng = &c;
  CHECK(largest_difference(first, g.synthesis(w, random).value()) > 1e-3);

  // The stored maps given by hand are the stored mode.
  given.noise = nn::Noise::random;
  for (auto const& block : g.synthesis.blocks)
    for (auto const* layer : {block.conv0 ? &*block.conv0 : nullptr, &*block.conv1})
      if (layer) given.given.push_back(Var(layer->noise_const.reshape({1, layer->resolution, layer->resolution, 1})));
  CHECK(largest_difference(stored, g.synthesis(w, given).value()) == 0);
  given.given.pop_back();
  CHECK_THROWS_AS(g.synthesis(w, given), Error);
}

TEST_CASE("StyleGAN2: truncation, mixing, labels") {
  Rng rng(3);
  nn::StyleGAN2<float> g(tiny(nn::Architecture::skip), rng);
  g.mapping.w_avg = randn<float>({7}, rng);
  Var<float> const z(randn<float>({2, 5}, rng)), w = g.mapping(z);
  CHECK(w.shape() == Shape{2, 6, 7});
  Tensor<float> const at_mean = g.mapping(z, {}, {.psi = 0}).value();
  for (int i = 0; i < 84; ++i) CHECK(at_mean.data()[i] == doctest::Approx(g.mapping.w_avg.data()[i % 7]));
  Tensor<float> const half = g.mapping(z, {}, {.psi = 0.25, .cutoff = 2}).value();
  for (int i = 0; i < 84; ++i) {
    float const full = w.value().data()[i], mean = g.mapping.w_avg.data()[i % 7];
    CHECK(half.data()[i] == doctest::Approx(i / 7 % 6 < 2 ? mean + 0.25f * (full - mean) : full));
  }
  CHECK_THROWS_AS(g.mapping(z, {}, {.psi = 0.5, .cutoff = 7}), Error);
  CHECK_THROWS_AS(g.mapping(z, z), Error);
  g.mapping.w_avg = {};
  CHECK_THROWS_AS(g.mapping(z, {}, {.psi = 0.5}), Error);

  Var<float> const w2 = g.mapping(Var(randn<float>({2, 5}, rng)));
  Tensor<float> const mixed = nn::mix(w, w2, 4).value();
  for (int i = 0; i < 84; ++i) CHECK(mixed.data()[i] == (i / 7 % 6 < 4 ? w : w2).value().data()[i]);

  auto o = tiny(nn::Architecture::skip);
  o.c_dim = 4, o.embed_features = 3;
  nn::StyleGAN2<float> labelled(o, rng);
  CHECK(labelled.mapping.layers[0].in() == 8);
  CHECK_THROWS_AS(labelled.mapping(z), Error);
  CHECK(labelled.mapping(z, Var(randn<float>({2, 4}, rng))).shape() == Shape{2, 6, 7});
}

TEST_CASE("StyleGAN2: the clamp bounds activations, also where the resnet branch halves it") {
  Rng rng(4);
  auto o = tiny(nn::Architecture::resnet);
  o.conv_clamp = 0.4;
  nn::StyleGAN2<float> g(o, rng);
  nn::SynthesisOptions<float> watch;
  int seen = 0;
  watch.observe = [&](std::string const& name, Var<float> const& v) {
    if (name.find("conv") == std::string::npos) return;
    ++seen;
    bool const branch = name != "b4.conv1" && name.find("conv1") != std::string::npos;
    float top = 0;
    for (float x : v.value().host()) top = std::max(top, std::abs(x));
    CHECK_MESSAGE(top == doctest::Approx(branch ? 0.4 * std::sqrt(0.5) : 0.4).epsilon(1e-6), name);
  };
  g.synthesis(g.mapping(Var(randn<float>({2, 5}, rng))), watch);
  CHECK(seen == 5);
}

TEST_CASE("StyleGAN2: the same bits for one thread and for two, and alone or in a batch of codes the same picture") {
  Rng rng(5);
  nn::StyleGAN2<float> g({.z_dim = 16, .w_dim = 16, .resolution = 64, .channel_base = 1024, .channel_max = 24, .mapping_layers = 2}, rng);
  loud(g, rng);
  Param<float> ws(g.mapping(Var(randn<float>({2, 16}, rng))).value());
  auto run = [&] {
    Tape tape;
    tape.watch(ws);
    Var<float> const img = g.synthesis(ws);
    tape.backward(mean(square(img)));
    auto r = img.value().host();
    auto const d = ws.gradient().host();
    ws.gradient() = {};
    r.insert(r.end(), d.begin(), d.end());
    return r;
  };
  set_threads(1);
  auto const one = run();
  set_threads(2);
  auto const two = run();
  set_threads(0);
  CHECK(one == two);
  Tensor<float> const pair = g.synthesis(ws).value(), alone = g.synthesis(Var(ws.value().rows(1, 1))).value();
  CHECK(largest_difference(pair.rows(1, 1), alone) < 1e-4);
}

TEST_CASE("StyleGAN2: a few steps of Adam make its pictures darker") {
  Rng rng(6);
  nn::StyleGAN2<float> g(tiny(nn::Architecture::skip), rng);
  Var<float> const z(randn<float>({4, 5}, rng));
  nn::Adam<float> opt({.rate = 0.01});
  double first = 0, last = 0;
  for (int i = 0; i < 12; ++i) {
    Tape tape;
    tape.watch(g);
    Var<float> const loss = mean(square(g(z) + 1.0f));
    tape.backward(loss);
    opt.step(g);
    (i ? last : first) = loss.item();
  }
  CHECK(last < 0.7 * first);
}

TEST_CASE("StyleGAN2: wrong codes and styles are named") {
  Rng rng(9);
  nn::StyleGAN2<float> g(tiny(nn::Architecture::skip), rng);
  CHECK_THROWS_WITH_AS(g.synthesis(Var(randn<float>({1, 5, 7}, rng))), doctest::Contains("codes must be [n, 6, 7], got [1, 5, 7]"), Error);
  auto styles = g.synthesis.styles(Var(randn<float>({1, 6, 7}, rng)));
  styles[2] = Var(randn<float>({1, 3}, rng));
  CHECK_THROWS_WITH_AS(g.synthesis.from_styles(styles), doctest::Contains("style b8.conv0 must be"), Error);
  styles.pop_back();
  CHECK_THROWS_AS(g.synthesis.from_styles(styles), Error);
}
