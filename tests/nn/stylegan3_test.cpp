#include "rig/nn/stylegan3.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>

#include "helpers.hpp"
#include "ops/parity.hpp"
#include "rig/autodiff/gradcheck.hpp"
#include "rig/io/safetensors.hpp"
#include "rig/nn/stylegan3_loader.hpp"
#include "verify/verify.hpp"

using namespace rig;

namespace {

nn::StyleGAN3Options tiny() {
  nn::StyleGAN3Options o;
  o.z_dim = 5, o.w_dim = 6, o.resolution = 16, o.channel_base = 48, o.channel_max = 7, o.layers = 4, o.critical_layers = 1;
  o.margin = 3, o.filter_size = 4, o.conv_clamp = 3;
  return o;
}
nn::StyleGAN3Options tiny_turning() {
  nn::StyleGAN3Options o = tiny();
  o.conv_kernel = 1, o.radial_filters = true, o.c_dim = 2, o.image_channels = 1, o.output_scale = 1, o.conv_clamp = -1;
  return o;
}
std::string names_of(nn::StyleGAN3Options const& o) {
  std::string s;
  for (auto const& p : nn::layer_schedule(o)) s += (s.empty() ? "" : " ") + p.name;
  return s;
}
double largest_difference(Tensor<float> const& a, Tensor<float> const& b) {
  REQUIRE(a.shape() == b.shape());
  double d = 0;
  auto const x = a.host(), y = b.host();
  for (std::size_t i = 0; i < x.size(); ++i) d = std::max(d, std::abs(double(x[i]) - double(y[i])));
  return d;
}
}  // namespace

TEST_CASE("filter design: Bessel functions and a window against known values") {
  // Abramowitz and Stegun, tables 9.1 and 9.8.
  CHECK(nn::bessel_i0(0) == doctest::Approx(1).epsilon(1e-15));
  CHECK(nn::bessel_i0(1) == doctest::Approx(1.2660658777520082).epsilon(1e-14));
  CHECK(nn::bessel_i0(8) == doctest::Approx(427.56411572180474).epsilon(1e-14));
  CHECK(nn::bessel_j1(1) == doctest::Approx(0.44005058574493355).epsilon(1e-14));
  CHECK(std::abs(nn::bessel_j1(3.8317059702075125)) < 1e-15);  // its first zero
  CHECK(nn::bessel_j1(40) == doctest::Approx(0.12603831803114).epsilon(1e-11));
  CHECK(nn::bessel_j1(-1) == doctest::Approx(-0.44005058574493355).epsilon(1e-14));
  CHECK(nn::kaiser_beta(2, 0) == 0);
  auto const w = nn::kaiser_window(5, 3);
  CHECK(w[2] == 1);
  CHECK(w[0] == doctest::Approx(1 / nn::bessel_i0(3)));
  CHECK(w[1] == w[3]);
}

TEST_CASE("filter design: sum 1, symmetric, low frequencies pass and high ones do not") {
  nn::LowpassOptions o{.taps = 24, .cutoff = 2, .width = 4, .sampling_rate = 16};
  Tensor<double> const line = nn::design_lowpass<double>(o);
  auto response = [&](double frequency) {
    double s = 0;
    for (int j = 0; j < 24; ++j) s += line.data()[j] * std::cos(2 * nn::detail::pi * frequency / 16 * (j - 11.5));
    return s;
  };
  CHECK(response(0) == doctest::Approx(1));
  CHECK(response(2) == doctest::Approx(0.5).epsilon(0.01));  // the cutoff is the middle of the transition
  CHECK(std::abs(response(5)) < 1e-3);
  o.radial = true, o.taps = 12;
  Tensor<double> const disc = nn::design_lowpass<double>(o);
  double sum = 0;
  for (int a = 0; a < 12; ++a)
    for (int b = 0; b < 12; ++b) {
      sum += disc.data()[a * 12 + b];
      CHECK(disc.data()[a * 12 + b] == doctest::Approx(disc.data()[b * 12 + 11 - a]));  // a quarter turn
    }
  CHECK(sum == doctest::Approx(1));
  CHECK(!nn::design_lowpass<double>({.taps = 1, .cutoff = 1}));
  CHECK_THROWS_AS(nn::design_lowpass<double>({.taps = 5, .cutoff = 1, .radial = true}), Error);
  CHECK_THROWS_AS(nn::design_lowpass<double>({.taps = 0, .cutoff = 1}), Error);
}

TEST_CASE("StyleGAN3: the layers of the official configurations") {
  CHECK(names_of(nn::stylegan3_t(256)) ==
        "L0_36_512 L1_36_512 L2_36_512 L3_52_512 L4_52_512 L5_84_512 L6_84_512 L7_148_512 L8_148_512 L9_148_362 L10_276_256 L11_276_181 "
        "L12_276_128 L13_256_128 L14_256_3");
  CHECK(names_of(nn::stylegan3_t(512)) ==
        "L0_36_512 L1_36_512 L2_52_512 L3_52_512 L4_84_512 L5_84_512 L6_148_512 L7_148_483 L8_276_323 L9_276_215 L10_532_144 L11_532_96 "
        "L12_532_64 L13_512_64 L14_512_3");
  CHECK(names_of(nn::stylegan3_t(1024)) ==
        "L0_36_512 L1_36_512 L2_52_512 L3_52_512 L4_84_512 L5_148_512 L6_148_512 L7_276_323 L8_276_203 L9_532_128 L10_1044_81 L11_1044_51 "
        "L12_1044_32 L13_1024_32 L14_1024_3");
  CHECK(names_of(nn::stylegan3_r(1024)) ==
        "L0_36_1024 L1_36_1024 L2_52_1024 L3_52_1024 L4_84_1024 L5_148_1024 L6_148_1024 L7_276_645 L8_276_406 L9_532_256 L10_1044_161 "
        "L11_1044_102 L12_1044_64 L13_1024_64 L14_1024_3");
  auto const t = nn::layer_schedule(nn::stylegan3_t(1024)), r = nn::layer_schedule(nn::stylegan3_r(1024));
  CHECK(t[0].padding == Padding(9, 8, 9, 8));
  CHECK(t[2].padding == Padding(-6, -9, -6, -9));
  CHECK(t[2].up == 4);
  CHECK(t[13].padding == Padding(-11, -12, -11, -12));
  CHECK(t[14].padding == Padding());
  CHECK(r[0].padding == Padding(11, 10, 11, 10));
  CHECK(r[2].padding == Padding(-2, -5, -2, -5));
  CHECK(r[13].padding == Padding(-9, -10, -9, -10));
  CHECK(r[11].down_radial);
  CHECK(!r[12].down_radial);
  CHECK(t[3].fp16 == false);
  CHECK(t[14].fp16);
  for (auto const& plan : t) CHECK(plan.result_size() == plan.out_size);
  CHECK_THROWS_AS(nn::layer_schedule({.layers = 2, .critical_layers = 2}), Error);
}

TEST_CASE("StyleGAN3: the schedules of the stored networks follow from their options") {
  struct {
    char const* file;
    nn::StyleGAN3Options o;
  } cases[] = {{"sg3t_64", {.resolution = 64, .channel_base = 512, .channel_max = 16}},
               {"sg3r_64", {.resolution = 64, .channel_base = 512, .channel_max = 20, .conv_kernel = 1, .radial_filters = true}},
               {"sg3t_128_cond", {.resolution = 128, .channel_base = 512, .channel_max = 12, .layers = 10, .conv_clamp = 4}},
               {"sg3_misc32",
                {.resolution = 32,
                 .image_channels = 1,
                 .channel_base = 256,
                 .channel_max = 14,
                 .layers = 8,
                 .critical_layers = 1,
                 .first_cutoff = 1.5,
                 .first_stopband = 3.7321319661472296,
                 .last_stopband_rel = 1.3195079107728942,
                 .margin = 6,
                 .filter_size = 4,
                 .lrelu_upsampling = 4,
                 .radial_filters = true}}};
  for (auto const& c : cases) {
    std::string const path = parity::data_file(std::string("parity/stylegan/") + c.file + ".pkl");
    if (path.empty()) continue;
    INFO(c.file);
    auto const g = nn::load_stylegan3(path);
    auto const plans = nn::layer_schedule(c.o);
    REQUIRE(plans.size() == g.synthesis.layers.size());
    for (std::size_t i = 0; i < plans.size(); ++i) {
      nn::LayerPlan const &a = plans[i], &b = g.synthesis.layers[i].plan;
      INFO(b.name);
      CHECK(a.name == b.name);
      CHECK(a.in_channels == b.in_channels);
      CHECK(a.in_size == b.in_size);
      CHECK(a.out_size == b.out_size);
      CHECK(a.padding == b.padding);
      CHECK(a.up == b.up);
      CHECK(a.down == b.down);
      CHECK(a.up_taps == b.up_taps);
      CHECK(a.down_taps == b.down_taps);
      CHECK(a.kernel == b.kernel);
      CHECK(a.down_radial == b.down_radial);
      CHECK(a.critical == b.critical);
      CHECK(a.large_rate == b.large_rate);
      CHECK(a.out_cutoff == doctest::Approx(b.out_cutoff).epsilon(1e-14));
      CHECK(a.in_half_width == doctest::Approx(b.in_half_width).epsilon(1e-14));
    }
  }
}

TEST_CASE("StyleGAN3: names, sizes, rows") {
  Rng rng(1);
  nn::StyleGAN3<float> g({.z_dim = 8, .w_dim = 12, .c_dim = 3, .resolution = 64, .channel_base = 512, .channel_max = 16}, rng);
  CHECK(g.num_ws() == 16);
  CHECK(g.mapping.num_ws == 16);
  std::set<std::string> names;
  nn::tensors(g, [&](std::string const& name, auto& leaf) {
    if (leaf) names.insert(name + " " + str(leaf.shape()));
  });
  for (char const* expected :
       {"mapping.w_avg [12]", "mapping.embed.weight [12, 3]", "mapping.fc1.bias [12]", "synthesis.input.weight [16, 16]",
        "synthesis.input.affine.weight [4, 12]", "synthesis.input.transform [3, 3]", "synthesis.input.freqs [16, 2]",
        "synthesis.input.phases [16]", "synthesis.L10_84_13.weight [13, 3, 3, 16]", "synthesis.L10_84_13.affine.bias [16]",
        "synthesis.L10_84_13.magnitude_ema []", "synthesis.L4_52_16.up_filter [24]", "synthesis.L4_52_16.down_filter [12]",
        "synthesis.L14_64_3.weight [3, 1, 1, 8]"})
    CHECK_MESSAGE(names.count(expected) == 1, expected);
  CHECK(names.count("synthesis.L14_64_3.up_filter [1]") == 0);
  auto const sites = g.synthesis.sites();
  CHECK(sites.size() == 16);
  CHECK(sites[0].name == "input");
  CHECK(sites[0].channels == 4);
  CHECK(sites[15].name == "L14_64_3");
  CHECK(sites[15].row == 15);
  Var<float> const z(randn<float>({2, 8}, rng)), c(randn<float>({2, 3}, rng));
  Var<float> const img = g(z, c);
  CHECK(img.shape() == Shape{2, 64, 64, 3});
  // Each of the standard layers keeps the deviation of what it gets near 1.
  double power = 0;
  for (float v : img.value().host()) power += double(v) * v / double(img.size());
  CHECK(power > 1e-4);
  CHECK(power < 1);
}

TEST_CASE("StyleGAN3: gradients agree with central differences, for codes, styles, transforms and weights; twice for codes") {
  for (auto const& o : {tiny(), tiny_turning()}) {
    Rng rng(7);
    nn::StyleGAN3<double> g(o, rng);
    g.synthesis.input.affine.weight = Param<double>(randn<double>({4, o.w_dim}, rng, {}, 0.3));
    Tensor<double> const w = randn<double>({2, g.num_ws(), g.w_dim()}, rng);
    Tensor<double> const move = nn::image_transform<double>({.x = 0.1, .y = -0.05, .degrees = 20});
    // A small step: with so many elements between the filters a larger one carries some over a kink.
    auto const r = gradcheck([&](auto const& x) { return g.synthesis(x[0], {.transform = x[1]}); }, {w, move}, {.step = 1e-7});
    CHECK_MESSAGE(r.worst < 1e-6, "codes ", r.worst);
    std::vector<Tensor<double>> styles;
    for (auto const& s : g.synthesis.styles(Var(w))) styles.push_back(s.value());
    auto const s = gradcheck([&](auto const& x) { return g.synthesis.from_styles(x); }, styles, {.step = 1e-7, .points = 3});
    CHECK_MESSAGE(s.worst < 1e-6, "styles ", s.worst);
    auto const twice = gradcheck([&](auto const& x) { return g.synthesis(x[0]); }, {w}, {.order = 2, .points = 3});
    CHECK_MESSAGE(twice.worst < 1e-5, "codes twice ", twice.worst);

    // A weight, by one central difference along a random direction.
    Tensor<double> const direction = randn<double>(g.synthesis.layers[1].weight.shape(), rng);
    Var<double> const target(randn<double>({2, 16, 16, o.image_channels}, rng));
    Tape tape;
    tape.watch(g);
    double const rule = sum(tape.grad(sum(g.synthesis(Var(w)) * target), g.synthesis.layers[1].weight) * Var(direction)).item();
    double value[2];
    for (int k : {0, 1}) {
      nn::StyleGAN3<double> moved = nn::clone(g);
      double* p = moved.synthesis.layers[1].weight.tensor().mutate();
      for (std::int64_t i = 0; i < direction.size(); ++i) p[i] += (k ? 1e-5 : -1e-5) * direction.data()[i];
      value[k] = sum(moved.synthesis(Var(w)) * target).item();
    }
    CHECK((value[1] - value[0]) / 2e-5 == doctest::Approx(rule).epsilon(1e-6));
  }
}

TEST_CASE("StyleGAN3: a picture moves with its transform") {
  Rng rng(3);
  nn::StyleGAN3Options o = tiny();
  o.margin = 8, o.conv_clamp = -1;
  nn::StyleGAN3<float> g(o, rng);
  Var<float> const w = g.mapping(Var<float>(randn<float>({1, 5}, rng)));
  Tensor<float> const still = g.synthesis(w).value();
  // Two pixels of sixteen to the side: the waves move exactly, the layers up to what their filters let through.
  Tensor<float> const moved = g.synthesis(w, {.transform = Var<float>(nn::image_transform<float>({.x = 2.0 / 16}))}).value();
  double wrong = 0, right = 0, all = 0;
  for (int y = 4; y < 12; ++y)
    for (int x = 4; x < 12; ++x)
      for (int c = 0; c < 3; ++c) {
        double const a = moved.data()[(y * 16 + x) * 3 + c], b = still.data()[(y * 16 + x - 2) * 3 + c],
                     d = still.data()[(y * 16 + x) * 3 + c];
        right += (a - b) * (a - b), wrong += (a - d) * (a - d), all += b * b;
      }
  CHECK(right < 0.05 * wrong);
  CHECK(all > 0);
  // Two transforms in one batch are each one's own.
  std::vector<float> both;
  for (auto const& t : {nn::image_transform<float>({}), nn::image_transform<float>({.x = 2.0 / 16})})
    for (float v : t.host()) both.push_back(v);
  Var<float> const ww = concat(std::vector<Var<float>>{w, w}, 0);
  Tensor<float> const pair = g.synthesis(ww, {.transform = Var<float>(Tensor<float>({2, 3, 3}, both))}).value();
  CHECK(largest_difference(pair.rows(0, 1), still) < 1e-4);
  CHECK(largest_difference(pair.rows(1, 1), moved) < 1e-4);
  CHECK_THROWS_AS(g.synthesis(w, {.transform = Var<float>(zeros<float>({2, 2}))}), Error);
}

TEST_CASE("StyleGAN3: running averages follow what they average, and only in training") {
  Rng rng(4);
  nn::StyleGAN3Options o = tiny();
  o.magnitude_decay = 0.75;
  nn::StyleGAN3<float> g(o, rng);
  Var<float> const z(randn<float>({3, 5}, rng));
  double first = 0;
  nn::AliasFreeOptions<float> watch;
  watch.observe = [&](std::string const& name, Var<float> const& v) {
    if (name == "input")
      for (float x : v.value().host()) first += double(x) * x / double(v.size());
  };
  std::string const before = nn::content_hash(g);
  g(z, {}, {}, watch);
  CHECK(nn::content_hash(g) == before);
  Tensor<float> const code = g.mapping.code(z).value();
  g.track(z);
  CHECK(double(g.synthesis.layers[0].magnitude_ema.item()) == doctest::Approx(0.75 + 0.25 * first).epsilon(1e-5));
  double m = 0;
  for (int i = 0; i < 3; ++i) m += double(code.data()[i * 6]) / 3;
  CHECK(double(g.mapping.w_avg.data()[0]) == doctest::Approx(0.002 * m).epsilon(1e-4));
  // The averages are used in the very step that makes them: the next picture without one is the same.
  Tensor<float> const img = g.track(z).value();
  CHECK(largest_difference(g(z).value(), img) < 1e-5);
}

TEST_CASE("StyleGAN3: the stored cases, and the same from rig's own file") {
  for (char const* name : {"sg3t_64", "sg3r_64", "sg3t_128_cond", "sg3_misc32"}) {
    std::string const stem = std::string("parity/stylegan/") + name, pkl = parity::data_file(stem + ".pkl"),
                      npz = parity::data_file(stem + ".npz");
    if (pkl.empty() || npz.empty()) continue;
    std::ostringstream report;
    CHECK_MESSAGE(program::run_verify(pkl, npz, report) == 0, report.str());
    CHECK(contains(report.str(), "\"grad.ws\""));
    auto g = nn::load_stylegan3(pkl);
    std::string const own = temporary("rig_stylegan3_test.safetensors");
    nn::save_stylegan3(own, g, {{"note", "mine"}});
    auto back = nn::load_stylegan3(own);
    CHECK(nn::content_hash(back) == nn::content_hash(g));
    std::ostringstream again;
    CHECK_MESSAGE(program::run_verify(own, npz, again) == 0, again.str());
    std::remove(own.c_str());
  }
}

TEST_CASE("StyleGAN3: other families and broken files are refused by name") {
  for (auto const& [file, says] :
       {std::pair{"sg2ada_skip64.pkl", "this is a StyleGAN2 generator"}, {"sg2tf_skip32.tf.pkl", "TensorFlow"}}) {
    std::string const path = parity::data_file(std::string("parity/stylegan/") + file);
    std::string const part = says;
    if (!path.empty()) CHECK(contains(message_of([&] { nn::load_stylegan3(path); }), part));
  }
  Rng rng(2);
  nn::StyleGAN3<float> g(tiny(), rng);
  std::string const path = temporary("rig_stylegan3_test.safetensors");
  nn::save_stylegan3(path, g);
  io::Safetensors const whole = io::read_safetensors(path);
  auto with = [&](auto&& change) {
    io::Safetensors s = whole;
    change(s);
    io::save_safetensors(path, s.tensors, s.metadata);
    return message_of([&] { nn::load_stylegan3(path); });
  };
  CHECK(with([](io::Safetensors&) {}) == "");
  auto attribute = [&](std::string const& key, std::string const& value) {
    return with([&](io::Safetensors& s) {
      bool found = false;
      for (auto& [k, v] : s.metadata)
        if (k == key) v = value, found = true;
      REQUIRE_MESSAGE(found, key);
    });
  };
  std::string const layer = "synthesis." + g.synthesis.layers[1].plan.name;
  CHECK(contains(attribute(layer + ".padding", "1 2 3"), "padding should be four numbers"));
  CHECK(contains(attribute(layer + ".padding", "1 2 3 x"), "'x' among them"));
  CHECK(contains(attribute(layer + ".padding", "100 100 100 100"), "its filters and padding make"));
  CHECK(contains(attribute(layer + ".in_channels", "0"), "from 1 to a million"));
  CHECK(contains(attribute(layer + ".out_size", "99999999 4"), "sizes from 1 to 65536"));
  CHECK(contains(attribute("synthesis.layer_names", g.synthesis.layers[0].plan.name), "rows for the input"));
  CHECK(contains(attribute("format", "rig.stylegan2"), "format rig.stylegan3"));
  auto tensor = [&](std::string const& name, Tensor<float> const& value) {
    return with([&](io::Safetensors& s) {
      for (auto& t : s.tensors)
        if (t.name == name) t.tensor = io::AnyTensor(value);
    });
  };
  CHECK(contains(tensor(layer + ".up_filter", zeros<float>({3})), layer + ".up_filter should be ["));
  CHECK(contains(tensor("synthesis.input.freqs", zeros<float>({3, 2})), "synthesis.input.freqs should be ["));
  CHECK(contains(with([&](io::Safetensors& s) {
                   s.tensors.push_back({"synthesis.extra", io::AnyTensor(zeros<float>({1}))});
                 }),
                 "tensor synthesis.extra [1] belongs to no layer"));
  std::remove(path.c_str());
}
