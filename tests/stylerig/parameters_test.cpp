#include <doctest/doctest.h>

#include <cmath>
#include <set>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/stylerig/corpus.hpp"
#include "rig/stylerig/light.hpp"
#include "rig/stylerig/light_prior.hpp"
#include "rig/stylerig/statistics.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {
ParameterLayout small_layout() {
  ParameterLayout l = ParameterLayout::standard(4, 3, 2);
  l.name_entries("expression", {"jawOpen", "smile"});
  return l;
}
}  // namespace

TEST_CASE("the standard layout is that of the paper") {
  ParameterLayout const l = ParameterLayout::standard();
  CHECK(l.size() == 257);
  std::vector<std::pair<std::string, std::int64_t>> const expected{{"identity", 0},       {"reflectance", 80}, {"expression", 160},
                                                                   {"illumination", 224}, {"rotation", 251},   {"translation", 254}};
  for (auto const& [name, offset] : expected) CHECK(l.at(name).offset == offset);
  CHECK(l.at("illumination").size == 27);
}

TEST_CASE("a layout survives its text, and labels find entries") {
  ParameterLayout const l = small_layout(), back = ParameterLayout::from_text(l.text());
  CHECK(back == l);
  CHECK(back.hash() == l.hash());
  CHECK(ParameterLayout::standard(4, 3, 2).hash() != l.hash());
  for (std::int64_t i = 0; i < l.size(); ++i) CHECK(l.entry(l.label(i)) == i);
  CHECK(l.entry("expression.smile") == 8);
  CHECK(l.entry("expression.1") == 8);
  CHECK(l.entry("rotation.yaw") == 4 + 3 + 2 + 27 + 1);
  CHECK_THROWS_WITH_AS(l.entry("expression.frown"), "ParameterLayout: expression has no entry 'frown'; it has jawOpen, smile", Error);
  CHECK_THROWS_AS(l.entry("expression.2"), Error);
  CHECK_THROWS_AS(l.at("hair"), Error);
  CHECK_THROWS_AS(ParameterLayout::from_text("identity:x"), Error);
  CHECK_THROWS_AS(ParameterLayout::from_text("a:1,a:2"), Error);
}

TEST_CASE("Deep3D order and Greek letters go both ways") {
  ParameterLayout const l = small_layout();
  Rng rng(3);
  Tensor<float> const p = randn<float>({5, l.size()}, rng);
  Tensor<float> const d = to_deep3d(l, p);
  // identity 4, expression 2, texture 3, angles 3, light 27, translation 3
  CHECK(d.data()[4] == p.data()[l.at("expression").offset]);
  CHECK(d.data()[6] == p.data()[l.at("reflectance").offset]);
  CHECK(d.data()[9] == p.data()[l.at("rotation").offset]);
  CHECK(d.data()[12] == p.data()[l.at("illumination").offset]);
  CHECK(from_deep3d(l, d).host() == p.host());
  auto const pie = to_greek(l, GreekNaming::pie, p), ours = to_greek(l, GreekNaming::stylerig, p);
  CHECK(pie.at("beta").host() == ours.at("delta").host());
  CHECK(pie.at("delta").host() == ours.at("beta").host());
  CHECK(pie.at("beta").dim(1) == 2);
  CHECK(from_greek(l, GreekNaming::pie, pie).host() == p.host());
  CHECK(from_greek(l, GreekNaming::stylerig, ours).host() == p.host());
  CHECK_THROWS_AS(from_greek(l, GreekNaming::stylerig, pie), Error);
}

TEST_CASE("an edit of c touches c and keeps keep(c)") {
  ParameterLayout const l = small_layout();
  for (Control c : single_controls) {
    auto const edited = control_mask(l, c), kept = kept_mask(l, c);
    for (auto const& part : l.components())
      for (std::int64_t i = part.offset; i < part.offset + part.size; ++i) {
        bool const own = part.name == component_of(c), free = c == Control::pose && part.name == "translation";
        CHECK(bool(edited[std::size_t(i)]) == own);
        CHECK(bool(kept[std::size_t(i)]) == (!own && !free));
      }
  }
  CHECK(kept_mask(l, Control::pose, true)[std::size_t(l.at("translation").offset)] == 1);
  CHECK(control_from_name("light,pose") == (Control::pose | Control::illumination));
  CHECK(to_string(Control::pose | Control::illumination) == "pose+illumination");
  CHECK(control_from_name("all") == Control::all);
  CHECK_THROWS_AS(control_from_name("hair"), Error);
}

TEST_CASE("replacement is exact and passes gradients only where it takes") {
  ParameterLayout const l = small_layout();
  Rng rng(5);
  Tensor<double> const a = randn<double>({3, l.size()}, rng), b = randn<double>({3, l.size()}, rng);
  for (Control c : {Control::pose, Control::expression, Control::illumination, Control::pose | Control::expression}) {
    auto const mask = control_mask(l, c);
    Tape tape;
    auto const kept = tape.watch(a), taken = tape.watch(b);
    auto const y = replace(kept, taken, mask_row(mask));
    auto const g = tape.grad(sum(square(y)), std::vector<Var<double>>{kept, taken});
    for (std::int64_t r = 0; r < 3; ++r)
      for (std::int64_t i = 0; i < l.size(); ++i) {
        std::int64_t const k = r * l.size() + i;
        bool const take = mask[std::size_t(i)];
        CHECK(y.value().data()[k] == (take ? b : a).data()[k]);
        CHECK(g[0].value().data()[k] == (take ? 0 : 2 * a.data()[k]));
        CHECK(g[1].value().data()[k] == (take ? 2 * b.data()[k] : 0));
      }
  }
  auto const rows = mask_rows({control_mask(l, Control::pose), kept_mask(l, Control::pose), control_mask(l, Control::illumination)});
  for (int order : {1, 2}) {
    auto const r = gradcheck([&](auto const& x) { return square(replace(x[0], x[1], rows)) * x[0]; }, {a, b}, {.order = order});
    CHECK(r.worst < 1e-6);
  }
  CHECK_THROWS_AS(replace(Var<double>(a), Var<double>(b), mask_row({1, 0})), Error);
}

TEST_CASE("mixed codes: few latents, distinct cuts, and a function of the seed alone") {
  std::int64_t const rows = 18;
  int counts[6] = {};
  for (std::int64_t item = 0; item < 2000; ++item) {
    MixingRecipe const m = mixing_recipe(11, item, rows, 5);
    REQUIRE(m.latents >= 1);
    REQUIRE(m.latents <= 5);
    ++counts[m.latents];
    CHECK(std::set<int>(m.cuts.begin(), m.cuts.end()).size() == m.cuts.size());
    CHECK(int(m.cuts.size()) == m.latents - 1);
    std::set<int> used(m.row.begin(), m.row.end());
    CHECK(int(used.size()) == m.latents);  // every cut lies in 1..rows-1, so every latent has a row
    if (m.latents == 1) CHECK(used == std::set<int>{0});
    MixingRecipe const again = mixing_recipe(11, item, rows, 5);
    CHECK(again.row == m.row);
  }
  for (int k = 1; k <= 5; ++k) CHECK(counts[k] > 300);
  CHECK(mixing_noise(11, 7, 3, 64).host() == mixing_noise(11, 7, 3, 64).host());
  CHECK(mixing_noise(11, 7, 3, 64).host() != mixing_noise(11, 8, 3, 64).host());
  int split[3] = {};
  for (std::int64_t i = 0; i < 20000; ++i) ++split[int(split_of(i))];
  CHECK(split[0] == doctest::Approx(19200).epsilon(0.01));
  CHECK(split[1] == doctest::Approx(400).epsilon(0.2));
  CHECK(split[2] == doctest::Approx(400).epsilon(0.2));
}

TEST_CASE("light comes from where it was asked to") {
  std::vector<float> gamma(27, 0.f);
  Rng rng(9);
  for (auto& g : gamma) g = float(0.2 * rng.normal());
  LightBands bands;
  float* slope = bands.slope.mutate();
  for (int i = 0; i < 15; ++i) slope[i] = float(0.1 * rng.normal());
  Light const now = read_light(gamma.data());
  LightWish same;
  same.azimuth = now.azimuth, same.elevation = now.elevation, same.strength = now.strength, same.ambient = now.ambient,
  same.colour = now.colour;
  auto const unchanged = change_light(gamma.data(), same, bands);
  for (std::size_t i = 0; i < 27; ++i) CHECK(unchanged[i] == doctest::Approx(gamma[i]).epsilon(1e-4));
  auto const y = change_light(
      gamma.data(), {.azimuth = 40, .elevation = -20, .strength = 0.7, .ambient = 0.9, .colour = std::array<double, 3>{1.2, 1.0, 0.8}},
      bands);
  Light const l = read_light(y.data());
  CHECK(l.azimuth == doctest::Approx(40).epsilon(0.001));
  CHECK(l.elevation == doctest::Approx(-20).epsilon(0.001));
  CHECK(l.strength == doctest::Approx(0.7).epsilon(0.001));
  CHECK(l.ambient == doctest::Approx(0.9).epsilon(0.001));
  CHECK(l.colour[0] == doctest::Approx(1.2).epsilon(0.001));

  // A sphere under a pure band-1 light is brightest toward the stated direction: to the right and above is +x, +y.
  std::vector<float> dark(27, 0.f);
  auto const lit = change_light(dark.data(), {.azimuth = 50, .elevation = 30, .strength = 0.5}, {});
  double best = -1e9;
  Vec3<double> at{0, 0, 0};
  for (int i = 0; i < 4000; ++i) {
    double const z = 1 - 2 * (i + 0.5) / 4000, a = 2.399963229728653 * i, r = std::sqrt(1 - z * z);
    Vec3<double> const n{r * std::cos(a), r * std::sin(a), z};
    auto const h = render::light_basis(n);
    double s = 0;
    for (std::size_t b = 0; b < 9; ++b) s += (double(lit[b]) + (b == 0 ? render::LightBasis::ambient : 0)) * h[b];
    if (s > best) best = s, at = n;
  }
  double const az = 50 / 57.29577951308232, el = 30 / 57.29577951308232;
  CHECK(at.x * std::cos(el) * std::sin(az) + at.y * std::sin(el) + at.z * std::cos(el) * std::cos(az) > 0.998);
}

TEST_CASE("a lamp that is moved leaves skin that faces the camera as bright as it was") {
  double const colour[3] = {1.1, 1.0, 0.9};
  std::vector<float> gamma(27, 0.f);
  lambertian_light(0.3, 0.4, 0.6, 0.45, colour, gamma.data());
  double const bright = frontal_brightness(gamma.data());
  CHECK(bright == doctest::Approx(lambertian_shading(std::cos(0.3) * std::cos(0.4), 0.6, 0.45)).epsilon(1e-5));
  Light const now = read_light(gamma.data());
  CHECK(now.contrast() == doctest::Approx(0.3 / 0.6).epsilon(1e-5));  // half a lamp in band 1; a quarter of it and the rest in band 0

  auto const moved = change_light(gamma.data(), {.azimuth = -50, .elevation = 10}, {});
  Light const to = read_light(moved.data());
  CHECK(to.azimuth == doctest::Approx(-50).epsilon(1e-4));
  CHECK(to.elevation == doctest::Approx(10).epsilon(1e-4));
  CHECK(to.contrast() == doctest::Approx(now.contrast()).epsilon(1e-4));
  CHECK(frontal_brightness(moved.data()) == doctest::Approx(bright).epsilon(1e-4));
  CHECK(to.ambient > now.ambient);  // the lamp is farther from the camera, so the camera opens
  CHECK(to.colour[0] == doctest::Approx(now.colour[0]).epsilon(1e-4));

  auto const hard = change_light(gamma.data(), {.contrast = 0.9}, {});
  Light const h = read_light(hard.data());
  CHECK(h.contrast() == doctest::Approx(0.9).epsilon(1e-4));
  CHECK(h.azimuth == doctest::Approx(now.azimuth).epsilon(1e-4));
  CHECK(h.elevation == doctest::Approx(now.elevation).epsilon(1e-4));
  CHECK(frontal_brightness(hard.data()) == doctest::Approx(bright).epsilon(1e-4));
  CHECK(h.strength > now.strength);
  CHECK(h.ambient < now.ambient);
  auto const flat = change_light(gamma.data(), {.contrast = 0}, {});
  CHECK(read_light(flat.data()).strength == doctest::Approx(0).epsilon(1e-6));
  CHECK(frontal_brightness(flat.data()) == doctest::Approx(bright).epsilon(1e-4));

  // Absolute amounts are taken as they stand, and contrast then gives the other one.
  Light const bound = read_light(change_light(gamma.data(), {.contrast = 0.5, .strength = 0.2}, {}).data());
  CHECK(bound.strength == doctest::Approx(0.2).epsilon(1e-4));
  CHECK(bound.ambient == doctest::Approx(0.4).epsilon(1e-4));
  Light const dim = read_light(change_light(gamma.data(), {.contrast = 0.5, .ambient = 0.3}, {}).data());
  CHECK(dim.strength == doctest::Approx(0.15).epsilon(1e-4));
  CHECK(dim.ambient == doctest::Approx(0.3).epsilon(1e-4));
  // Behind the head: the camera opens four times at most.
  auto const back = change_light(gamma.data(), {.azimuth = 180, .contrast = 3}, {});
  CHECK(read_light(back.data()).strength > 0);
  for (float v : back) CHECK(std::abs(v) < 20);

  CHECK_THROWS_WITH_AS(change_light(gamma.data(), {.contrast = 1, .strength = 1, .ambient = 1}, {}), doctest::Contains("two of the three"),
                       Error);
  CHECK_THROWS_WITH_AS(change_light(gamma.data(), {.contrast = -1}, {}), doctest::Contains("contrast must not be negative"), Error);
  CHECK_THROWS_WITH_AS(change_light(gamma.data(), {.strength = -1}, {}), doctest::Contains("strength must not be negative"), Error);
  CHECK_THROWS_WITH_AS(change_light(gamma.data(), {.contrast = 0, .strength = 1}, {}), doctest::Contains("some contrast"), Error);
}

TEST_CASE("band 2 follows band 1 as in the corpus") {
  ParameterLayout const l({{"illumination", 27}});
  Rng rng(2);
  Tensor<float> p = randn<float>({400, 27}, rng);
  float* x = p.mutate();
  for (int r = 0; r < 400; ++r)
    for (int c = 0; c < 3; ++c) {
      float* g = x + r * 27 + 9 * c;
      for (int j = 0; j < 5; ++j) g[4 + j] = 0.5f * g[1] - 0.25f * float(j) * g[2] + 0.1f;
    }
  LightBands const b = light_bands(l, p);
  for (int j = 0; j < 5; ++j) {
    CHECK(b.slope.data()[3 * j] == doctest::Approx(0.5).epsilon(1e-3));
    CHECK(b.slope.data()[3 * j + 1] == doctest::Approx(-0.25 * j).epsilon(1e-3));
    CHECK(std::abs(b.slope.data()[3 * j + 2]) < 1e-3);
  }
}

TEST_CASE("statistics of vectors") {
  ParameterLayout const l({{"identity", 2}, {"rotation", 3}});
  Rng rng(4);
  Tensor<float> p = randn<float>({5001, 5}, rng);
  float* x = p.mutate();
  for (int r = 0; r < 5001; ++r) x[5 * r + 1] = 3 + 2 * x[5 * r], x[5 * r + 2] = 0, x[5 * r + 4] *= 1e-3f;
  ParameterStatistics const s = parameter_statistics(p);
  CHECK(s.mean.data()[1] == doctest::Approx(3).epsilon(0.03));
  CHECK(s.deviation.data()[1] == doctest::Approx(2).epsilon(0.03));
  CHECK(s.covariance.data()[1] == doctest::Approx(2).epsilon(0.06));
  CHECK(s.covariance.data()[1] == s.covariance.data()[5]);
  CHECK(s.percentile(4, 0) == doctest::Approx(0).epsilon(0.05));
  CHECK(s.percentile(2, 0) == doctest::Approx(-1.645).epsilon(0.05));
  float total = 0;
  for (int b = 0; b < ParameterStatistics::bins; ++b) total += s.histogram.data()[b * 5];
  CHECK(total == doctest::Approx(1));
  CHECK(s.density(0, 0) > s.density(0, 2));
  CHECK(s.density(0, 40) == 0);
  CHECK(s.effective_dimensions(l, "identity") == doctest::Approx(25.0 / 17).epsilon(0.02));
  CHECK(s.effective_dimensions(l, "rotation") == doctest::Approx(1).epsilon(0.01));
}
