// The first StyleGAN: names, sizes, variants, files. That it computes what the original code computes is judged by the stored
// cases; without them those tests say so and do nothing.
#include "rig/nn/stylegan1.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>

#include "helpers.hpp"
#include "rig/autodiff/gradcheck.hpp"
#include "rig/nn/stylegan1_loader.hpp"
#include "verify/verify.hpp"

using namespace rig;

namespace {

nn::StyleGAN1Options tiny() {
  nn::StyleGAN1Options o;
  o.z_dim = 5, o.w_dim = 7, o.resolution = 16, o.channels = {6, 5, 4}, o.mapping_layers = 2, o.mapping_features = 8;
  return o;
}
/// Initial biases and noise weights are zero; here nothing is.
template <class M> void loud(M& net, Rng& rng) {
  using T = typename M::scalar;
  nn::parameters(net, [&](std::string const&, Param<T>& p) {
    for (std::int64_t i = 0; i < p.size(); ++i) p.tensor().mutate()[i] += T(0.3 * rng.normal());
  });
}
double largest_difference(Tensor<float> const& a, Tensor<float> const& b) {
  REQUIRE(a.shape() == b.shape());
  double d = 0;
  auto const x = a.host(), y = b.host();
  for (std::size_t i = 0; i < x.size(); ++i) d = std::max(d, std::abs(double(x[i]) - y[i]));
  return d;
}

}  // namespace

TEST_CASE("StyleGAN1: names, sizes and rows") {
  Rng rng(1);
  nn::StyleGAN1Options o;
  o.resolution = 64, o.fmap_base = 512, o.fmap_max = 24, o.c_dim = 3, o.z_dim = 20, o.w_dim = 30, o.mapping_features = 28;
  nn::StyleGAN1<float> g(o, rng);
  CHECK(g.num_ws() == 10);
  CHECK(g.truncation.psi == 0.7);
  CHECK(g.truncation.cutoff == 8);
  std::set<std::string> names;
  nn::tensors(g, [&](std::string const& name, auto& leaf) {
    if (leaf) names.insert(name + " " + str(leaf.shape()));
  });
  for (char const* expected :
       {"lod []", "mapping.w_avg [30]", "mapping.label_weight [3, 20]", "mapping.fc0.weight [28, 40]", "mapping.fc7.bias [30]",
        "synthesis.b4.const [1, 4, 4, 24]", "synthesis.b4.conv0.bias [24]", "synthesis.b4.conv1.weight [24, 3, 3, 24]",
        "synthesis.b64.conv0.weight [16, 3, 3, 24]", "synthesis.b64.conv0.noise_const [1, 64, 64, 1]",
        "synthesis.b64.conv1.noise_weight [16]", "synthesis.b64.conv1.style.weight [32, 30]", "synthesis.b64.torgb.weight [3, 1, 1, 16]"})
    CHECK_MESSAGE(names.count(expected) == 1, expected);
  CHECK(names.count("synthesis.b4.conv0.weight [24, 3, 3, 24]") == 0);
  auto const sites = g.synthesis.sites();
  CHECK(sites.size() == 10);
  CHECK(sites[9].name == "b64.conv1");
  CHECK(sites[9].row == 9);
  CHECK(nn::StyleGAN1Options{}.channels_at(1024) == 16);
  CHECK(nn::StyleGAN1Options{}.channels_at(32) == 512);
  CHECK(!nn::StyleGAN1Options{}.fused_at(64));
  CHECK(nn::StyleGAN1Options{}.fused_at(128));
}

TEST_CASE("StyleGAN1: gradients to codes, styles and pictures, for every variant") {
  for (int variant = 0; variant < 6; ++variant) {
    nn::StyleGAN1Options o = tiny();
    if (variant == 1) o.fused_scale = nn::FusedScale::always;
    if (variant == 2) o.blur_filter = {}, o.use_pixel_norm = true;
    if (variant == 3) o.use_instance_norm = false, o.activation = Activation::relu;
    if (variant == 4) o.use_wscale = false, o.use_noise = false;
    if (variant == 5) o.blur_filter = {1, 2, 3, 4};
    Rng rng(7);
    nn::StyleGAN1<double> g(o, rng);
    loud(g, rng);
    Tensor<double> const w = randn<double>({2, g.num_ws(), g.w_dim()}, rng);
    for (double lod : {0.0, 0.4, 1.0}) {
      nn::SynthesisOptions<double> s;
      s.lod = lod;
      auto const r = gradcheck([&](auto const& x) { return g.synthesis(x[0], s); }, {w}, {.points = 6});
      CHECK_MESSAGE(r.compared > 0, variant);
      CHECK_MESSAGE(r.worst < 1e-6, "variant ", variant, " lod ", lod, ": ", r.worst);
    }
    std::vector<Tensor<double>> styles;
    for (auto const& s : g.synthesis.styles(Var(w))) styles.push_back(s.value());
    auto const r = gradcheck([&](auto const& x) { return g.synthesis.from_styles(x); }, styles, {.points = 2});
    CHECK_MESSAGE(r.worst < 1e-6, "variant ", variant, ", styles: ", r.worst);
  }
}

TEST_CASE("StyleGAN1: gradients to noise that is given agree with central differences, once and twice") {
  Rng rng(11);
  nn::StyleGAN1Options o = tiny();
  o.resolution = 8, o.channels = {6, 5};
  nn::StyleGAN1<double> g(o, rng);
  loud(g, rng);
  std::vector<Tensor<double>> inputs = {randn<double>({2, g.num_ws(), g.w_dim()}, rng)};
  for (std::int64_t r : {4, 4, 8, 8}) inputs.push_back(randn<double>({inputs.size() == 2 ? 1 : 2, r, r, 1}, rng));  // one map is shared
  auto picture = [&](std::vector<Var<double>> const& x) {
    return g.synthesis(x[0], {.noise = nn::Noise::random, .given = {x.begin() + 1, x.end()}});
  };
  auto const once = gradcheck(picture, inputs, {.step = 1e-6});
  CHECK_MESSAGE((once.worst < 1e-6 && once.compared > 80), once.worst);
  auto const twice = gradcheck(picture, inputs, {.order = 2, .step = 1e-6, .points = 6});
  CHECK_MESSAGE(twice.worst < 1e-5, "twice: ", twice.worst);
}

TEST_CASE("StyleGAN1: levels of detail") {
  Rng rng(8);
  nn::StyleGAN1<float> g(tiny(), rng);
  loud(g, rng);
  Var<float> const w = g.mapping(Var(randn<float>({2, 5}, rng)));
  auto at = [&](double lod) {
    nn::SynthesisOptions<float> o;
    o.lod = lod;
    return g.synthesis(w, o).value();
  };
  // At level 1 squares of 2 by 2 pixels are alike, at 2 squares of 4 by 4; beyond the last level nothing changes.
  CHECK(at(0).shape() == Shape{2, 16, 16, 3});
  CHECK(largest_difference(upscale2d(downscale2d(Var(at(1)))).value(), at(1)) < 1e-6);
  CHECK(largest_difference(upscale2d(downscale2d(Var(at(2)), 4), 4).value(), at(2)) < 1e-6);
  CHECK(largest_difference(at(5), at(2)) == 0);
  CHECK(largest_difference(at(1.25), (0.75f * Var(at(1)) + 0.25f * Var(at(2))).value()) < 1e-5);
  g.synthesis.lod.mutate()[0] = 1;  // the stored level counts unless another is asked for
  CHECK(largest_difference(g.synthesis(w).value(), at(1)) == 0);
  nn::StyleGAN2<float> other({.z_dim = 4, .w_dim = 4, .resolution = 8, .channel_base = 32, .channel_max = 4, .mapping_layers = 1}, rng);
  nn::SynthesisOptions<float> o;
  o.lod = 1;
  CHECK_THROWS_AS(other.synthesis(Var(randn<float>({1, 4, 4}, rng)), o), Error);
}

TEST_CASE("StyleGAN1: noise modes, truncation, labels, networks without styles") {
  Rng rng(2);
  nn::StyleGAN1Options o = tiny();
  o.c_dim = 3, o.truncation.cutoff = 4;
  nn::StyleGAN1<float> g(o, rng);
  loud(g, rng);
  g.mapping.w_avg = randn<float>({7}, rng);
  Var<float> const z(randn<float>({2, 5}, rng)), c(randn<float>({2, 3}, rng));
  CHECK_THROWS_AS(g.mapping(z), Error);
  Tensor<float> const whole = g.mapping(z, c).value(), cut = g.mapping(z, c, g.truncation).value();
  CHECK(largest_difference(slice(Var(whole), 1, 4, 2).value(), slice(Var(cut), 1, 4, 2).value()) == 0);
  CHECK(largest_difference(slice(Var(whole), 1, 0, 4).value(), slice(Var(cut), 1, 0, 4).value()) > 1e-3);

  Var<float> const w(whole);
  nn::SynthesisOptions<float> none, random, given;
  none.noise = nn::Noise::none, random.noise = given.noise = nn::Noise::random;
  Tensor<float> const stored = g.synthesis(w).value();
  CHECK(largest_difference(stored, g.synthesis(w, none).value()) > 1e-3);
  CHECK_THROWS_AS(g.synthesis(w, random), Error);
  Rng a(5);
  random.rng = &a;
  CHECK(largest_difference(stored, g.synthesis(w, random).value()) > 1e-3);
  for (auto const& b : g.synthesis.blocks)
    for (auto const* l : {&b.conv0, &b.conv1}) given.given.push_back(Var(l->noise_const));
  CHECK(largest_difference(stored, g.synthesis(w, given).value()) == 0);

  o = tiny(), o.use_styles = false;
  nn::StyleGAN1<float> plain(o, rng);
  loud(plain, rng);
  CHECK(plain.synthesis(Var(randn<float>({1, 6, 7}, rng))).shape() == Shape{1, 16, 16, 3});
}

TEST_CASE("StyleGAN1 discriminator: gradients to pictures at every level, labels") {
  Rng rng(9);
  nn::StyleGAN1DiscriminatorOptions o;
  o.network = tiny(), o.network.c_dim = 2, o.fc_features = 5;
  nn::StyleGAN1Discriminator<double> d(o, rng);
  loud(d, rng);
  Tensor<double> const img = randn<double>({4, 16, 16, 3}, rng), c = randn<double>({4, 2}, rng);
  for (double lod : {0.0, 0.4, 2.0}) {
    auto const r = gradcheck([&](auto const& x) { return d(x[0], x[1], lod); }, {img, c}, {.points = 6});
    CHECK_MESSAGE(r.worst < 1e-6, lod, ": ", r.worst);
  }
  CHECK_THROWS_AS(d(Var(img)), Error);
  CHECK_THROWS_AS(d(Var(randn<double>({4, 8, 8, 3}, rng)), Var(c)), Error);
}

TEST_CASE("StyleGAN1: own files; what is missing, misshapen or unknown is named") {
  Rng rng(3);
  nn::StyleGAN1Options o = tiny();
  o.c_dim = 2, o.blur_filter = {1, 3, 1}, o.fused_scale = nn::FusedScale::always, o.truncation = {.psi = 0.6, .cutoff = 3};
  nn::StyleGAN1<float> g(o, rng);
  loud(g, rng);
  std::string const path = (std::filesystem::temp_directory_path() / "rig_stylegan1_test.safetensors").string();
  nn::save_stylegan1(path, g);
  nn::StyleGAN1<float> back = nn::load_stylegan1(path);
  CHECK(nn::content_hash(back) == nn::content_hash(g));
  CHECK(back.truncation.psi == 0.6);
  CHECK(back.truncation.cutoff == 3);
  Var<float> const w(randn<float>({1, 6, 7}, rng));
  CHECK(back.synthesis(w).value().host() == g.synthesis(w).value().host());
  CHECK(nn::is_stylegan1(io::read_any(path)));

  io::Safetensors const whole = io::read_safetensors(path);
  auto changed = [&](auto&& change) {
    io::Safetensors s = whole;
    change(s);
    io::save_safetensors(path, s.tensors, s.metadata);
    return message_of([&] { nn::load_stylegan1(path); });
  };
  auto attribute = [&](std::string const& key, std::string const& value) {
    return changed([&](io::Safetensors& s) {
      for (auto& [k, v] : s.metadata)
        if (k == key) v = value;
    });
  };
  CHECK(contains(changed([](io::Safetensors& s) {
                   for (std::size_t i = 0; i < s.tensors.size(); ++i)
                     if (s.tensors[i].name == "synthesis.b8.conv1.bias") s.tensors.erase(s.tensors.begin() + std::ptrdiff_t(i));
                 }),
                 "synthesis.b8.conv1.bias is missing"));
  CHECK(contains(changed([](io::Safetensors& s) {
                   s.tensors.push_back({"synthesis.b32.torgb.bias", Tensor<float>({1}, {0})});
                 }),
                 "synthesis.b32.torgb.bias [1] belongs to no layer"));
  CHECK(contains(attribute("channels", "6 5 3"), "should be"));
  CHECK(contains(attribute("channels", "6 5"), "channels should be listed"));
  CHECK(contains(attribute("fused_scale", "sometimes"), "never, always or automatic"));
  CHECK(contains(attribute("activation", "swish"), "lrelu or relu"));
  CHECK(contains(attribute("img_resolution", "12"), "power of two"));
  std::remove(path.c_str());
}

TEST_CASE("StyleGAN1: every stored case of the original code, from every file of its network") {
  struct {
    char const *network, *arrays;
  } const cases[] = {{"sg1_64.tf.pkl", "sg1_64.npz"},
                     {"sg1_128_auto.tf.pkl", "sg1_128_auto.npz"},
                     {"sg1_32_fused_cond.tf.pkl", "sg1_32_fused_cond.npz"},
                     {"sg1_32_fused_cond.pth", "sg1_32_fused_cond.npz"}};
  for (auto const& c : cases) {
    if (!present(c.network) || !present(c.arrays)) continue;
    std::ostringstream report;
    int const rc = program::run_verify(folder() + c.network, folder() + c.arrays, report);
    CHECK_MESSAGE(rc == 0, report.str());
    CHECK_MESSAGE(contains(report.str(), "\"grad.ws\""), c.network);
  }
}

TEST_CASE("StyleGAN1: one network from two files is one network; other families have a sentence of their own") {
  if (present("sg1_32_fused_cond.tf.pkl") && present("sg1_32_fused_cond.pth")) {
    auto a = nn::load_stylegan1(folder() + "sg1_32_fused_cond.tf.pkl");
    auto b = nn::load_stylegan1(folder() + "sg1_32_fused_cond.pth", {}, nn::GeneratorChoice::averaged, nn::FusedScale::always);
    CHECK(nn::content_hash(a) == nn::content_hash(b));
    CHECK(a.truncation.cutoff == 8);
    auto trained = nn::load_stylegan1(folder() + "sg1_32_fused_cond.tf.pkl", {}, nn::GeneratorChoice::trained);
    CHECK(nn::content_hash(trained) != nn::content_hash(a));
    std::string const path = (std::filesystem::temp_directory_path() / "rig_stylegan1_parity_test.safetensors").string();
    nn::save_stylegan1(path, a);
    auto back = nn::load_stylegan1(path);
    CHECK(nn::content_hash(back) == nn::content_hash(a));
    std::remove(path.c_str());
  }
  if (present("sg1_128_auto.tf.pkl"))
    CHECK(contains(message_of([] { nn::load_stylegan1(folder() + "sg1_128_auto.tf.pkl", {}, nn::GeneratorChoice::trained); }),
                   "component mapping"));
  if (present("sg2tf_skip32.tf.pkl"))
    CHECK(contains(message_of([] { nn::load_stylegan1(folder() + "sg2tf_skip32.tf.pkl"); }), "StyleGAN2 of the TensorFlow era"));
  if (present("sg2ada_cond32.pkl"))
    CHECK(contains(message_of([] { nn::load_stylegan1(folder() + "sg2ada_cond32.pkl"); }), "NVIDIA's TensorFlow .pkl"));
}
