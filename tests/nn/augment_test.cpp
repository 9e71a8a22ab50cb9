#include "rig/nn/augment.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <numbers>

#include "helpers.hpp"
#include "rig/autodiff/gradcheck.hpp"
#include "rig/nn/adaptive_strength.hpp"
#include "rig/train/checkpoint.hpp"
#include "rig/train/config.hpp"
#include "test_card.hpp"

using namespace rig;
using One = nn::PictureAugmentation;

namespace {

double const pi = std::numbers::pi;

std::int64_t reflect(std::int64_t k, std::int64_t n) {
  while (k < 0 || k >= n) k = k < 0 ? -k : 2 * (n - 1) - k;
  return k;
}
/// One picture [h, w, c] with one thing done to it.
template <class T> std::vector<T> done(Tensor<T> const& picture, One const& one) {
  Tensor<T> const x = picture.reshape({1, picture.dim(0), picture.dim(1), picture.dim(2)});
  return nn::apply_augmentation(Var<T>(x), nn::augmentation_of<T>({one})).value().host();
}
using Place = std::array<double, 2>;  // x, y from the centre
/// The card, pixel for pixel, is where `source` says.
void check_card(One const& one, std::function<Place(double, double)> const& source) {
  std::int64_t const n = 64;
  Tensor<float> const card = test_card::draw(int(n));
  std::vector<float> const y = done(card, one), x = card.host();
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      Place const p = source(double(j) - 31.5, double(i) - 31.5);
      std::int64_t const a = reflect(std::lround(p[1] + 31.5), n), b = reflect(std::lround(p[0] + 31.5), n);
      for (std::int64_t c = 0; c < 3; ++c) REQUIRE(y[std::size_t((i * n + j) * 3 + c)] == x[std::size_t((a * n + b) * 3 + c)]);
    }
}
/// Where a place of the result was before each operation, the last undone first. By hand, apart from the matrices.
Place undone(One const& a, Place p) {
  auto turn_back = [](Place q, double angle) {  // clockwise with y down is from x to y
    return Place{q[0] * std::cos(angle) + q[1] * std::sin(angle), q[1] * std::cos(angle) - q[0] * std::sin(angle)};
  };
  p = {p[0] - a.move_x, p[1] - a.move_y};
  p = turn_back(p, a.turn_after);
  p = {p[0] / a.stretch, p[1] * a.stretch};
  p = turn_back(p, a.turn_before);
  p = {p[0] / a.scale, p[1] / a.scale};
  p = {p[0] - a.shift_x, p[1] - a.shift_y};
  for (int q = 0; q < a.quarter_turns; ++q) p = {p[1], -p[0]};
  return {a.flip ? -p[0] : p[0], p[1]};
}
void check_smooth(One const& one) {
  std::int64_t const h = 40, w = 64;
  double const wx = pi * 3 / (w - 1), wy = pi * 2 / (h - 1);  // waves that go on as their own mirror image
  auto value = [&](Place const& p, double c) {
    return 0.5 * std::cos(wx * (p[0] + 0.5 * (w - 1))) * std::cos(wy * (p[1] + 0.5 * (h - 1))) +
           0.1 * c * std::cos(wx * (p[0] + 0.5 * (w - 1)));
  };
  auto place = [&](std::int64_t i, std::int64_t j) { return Place{double(j) - 0.5 * (w - 1), double(i) - 0.5 * (h - 1)}; };
  std::vector<double> v;
  for (std::int64_t e = 0; e < h * w * 3; ++e) v.push_back(value(place(e / 3 / w, e / 3 % w), double(e % 3)));
  auto const y = done(Tensor<double>({h, w, 3}, v), one);
  double worst = 0;
  for (std::int64_t e = 0; e < h * w * 3; ++e)
    worst = std::max(worst, std::abs(y[std::size_t(e)] - value(undone(one, place(e / 3 / w, e / 3 % w)), double(e % 3))));
  // Lines are drawn between samples half a pixel apart: off by (wave / 2)^2 / 8 of the amplitude along each axis, 0.0014 at most.
  INFO(worst);
  CHECK(worst < 0.002);
}
using Colour = std::array<double, 3>;
void check_colour(One const& one, std::function<Colour(Colour)> const& expected) {
  Tensor<double> const card = cast<double>(test_card::draw());
  std::vector<double> const y = done(card, one), x = card.host();
  double worst = 0;
  for (std::size_t k = 0; k < x.size(); k += 3) {
    Colour const e = expected({x[k], x[k + 1], x[k + 2]});
    for (std::size_t c = 0; c < 3; ++c) worst = std::max(worst, std::abs(e[c] - y[k + c]));
  }
  CHECK(worst < 1e-12);
}
Colour with_mean(Colour c, std::function<double(double, double)> const& f) {
  double const m = (c[0] + c[1] + c[2]) / 3;
  return {f(c[0], m), f(c[1], m), f(c[2], m)};
}
/// Each operation alone, and all of them.
std::vector<std::pair<std::string, One>> every_operation() {
  return {{"flip", {.flip = true}},
          {"quarter turns", {.quarter_turns = 3}},
          {"whole moves", {.shift_x = 2, .shift_y = -3}},
          {"scale", {.scale = 1.3}},
          {"rotation", {.turn_before = 0.7}},
          {"proportions", {.stretch = 0.8}},
          {"moves", {.move_x = 1.3, .move_y = -0.4}},
          {"brightness", {.brightness = 0.2}},
          {"contrast", {.contrast = 1.4}},
          {"luma flip", {.luma_flip = true}},
          {"hue", {.hue = 1.1}},
          {"saturation", {.saturation = 0.3}},
          {"all", {true, 1, 1, -2, 0.9, 0.3, 1.2, -0.8, 0.6, -1.7, 0.1, 1.3, true, -0.6, 1.8}}};
}

}  // namespace

TEST_CASE("augment: flips, quarter turns and whole moves of the test card, to the bit") {
  check_card({}, [](double x, double y) { return Place{x, y}; });
  check_card({.flip = true}, [](double x, double y) { return Place{-x, y}; });
  check_card({.quarter_turns = 1}, [](double x, double y) { return Place{y, -x}; });  // what was on top is on the right
  check_card({.quarter_turns = 2}, [](double x, double y) { return Place{-x, -y}; });
  check_card({.quarter_turns = 3}, [](double x, double y) { return Place{-y, x}; });
  check_card({.shift_x = 8, .shift_y = -5}, [](double x, double y) { return Place{x - 8, y + 5}; });
  One const all{.flip = true, .quarter_turns = 1, .shift_x = -7, .shift_y = 3};
  check_card(all, [&](double x, double y) { return undone(all, {x, y}); });
}

TEST_CASE("augment: geometry of a smooth picture") {
  for (One const& one : {One{.scale = 1.4}, One{.scale = 0.8}, One{.turn_before = 0.6}, One{.turn_after = -2.5}, One{.stretch = 1.3},
                         One{.stretch = 0.75}, One{.move_x = 5.3, .move_y = -11.8},
                         One{.turn_before = 0.4, .stretch = 1.2, .turn_after = 1}, One{true, 1, 3, -2, 1.2, 0.5, 0.9, -1.4, 2.5, 3.5}}) {
    INFO("scale ", one.scale, " turns ", one.turn_before, " ", one.turn_after, " stretch ", one.stretch);
    check_smooth(one);
  }
}

TEST_CASE("augment: colours of the test card") {
  check_colour({.brightness = 0.3}, [](Colour c) { return Colour{c[0] + 0.3, c[1] + 0.3, c[2] + 0.3}; });
  check_colour({.contrast = 1.7}, [](Colour c) { return Colour{1.7 * c[0], 1.7 * c[1], 1.7 * c[2]}; });
  check_colour({.luma_flip = true}, [](Colour c) { return with_mean(c, [](double v, double m) { return v - 2 * m; }); });
  check_colour({.saturation = 0.4}, [](Colour c) { return with_mean(c, [](double v, double m) { return m + 0.4 * (v - m); }); });
  // A third of a turn about the greys takes red to green, green to blue, blue to red.
  check_colour({.hue = 2 * pi / 3}, [](Colour c) { return Colour{c[2], c[0], c[1]}; });
  check_colour({.hue = 0.5}, [](Colour c) {
    double const k = 1 / std::sqrt(3.0), dot = k * (c[0] + c[1] + c[2]);
    Colour const cross{k * (c[2] - c[1]), k * (c[0] - c[2]), k * (c[1] - c[0])};
    Colour out;
    for (std::size_t i = 0; i < 3; ++i) out[i] = c[i] * std::cos(0.5) + cross[i] * std::sin(0.5) + k * dot * (1 - std::cos(0.5));
    return out;
  });
  check_colour({.brightness = 0.1, .contrast = 2, .luma_flip = true, .hue = 2 * pi / 3, .saturation = 0.5}, [](Colour c) {
    for (double& v : c) v = 2 * (v + 0.1);
    c = with_mean(c, [](double v, double m) { return v - 2 * m; });
    return with_mean({c[2], c[0], c[1]}, [](double v, double m) { return m + 0.5 * (v - m); });
  });
}

TEST_CASE("augment: grey pictures see brightness, contrast and luma flip; other channels only geometry") {
  Tensor<double> const x({1, 2, 1}, {0.25, -0.5});
  auto const y = done(x, One{.brightness = 0.1, .contrast = 2, .luma_flip = true, .hue = 1, .saturation = 3});
  CHECK(y[0] == doctest::Approx(-0.7));
  CHECK(y[1] == doctest::Approx(0.8));
  CHECK(done(x, One{.hue = 1, .saturation = 3})[1] == doctest::Approx(-0.5));
  Tensor<double> const two({1, 2, 2}, {1, 2, 3, 4});
  CHECK(done(two, One{.flip = true}) == std::vector<double>{3, 4, 1, 2});
  CHECK(contains(message_of([&] { done(two, One{.contrast = 2}); }), "1 or 3 channels, got [1, 1, 2, 2]"));
}

TEST_CASE("augment: gradients of every operation, first and second") {
  Rng rng(1);
  Tensor<double> const x = randn<double>({2, 6, 7, 3}, rng), grey = randn<double>({2, 5, 5, 1}, rng);
  for (auto const& [name, one] : every_operation()) {
    INFO(name);
    auto const a = nn::augmentation_of<double>({one, {}});  // beside a picture that is left alone
    for (Tensor<double> const& pictures : {x, grey}) {
      auto const first = gradcheck([&](auto const& v) { return nn::apply_augmentation(v[0], a); }, {pictures});
      CHECK(first.compared > 0);
      CHECK(first.worst < 1e-7);
      auto const second = gradcheck([&](auto const& v) { return square(nn::apply_augmentation(v[0], a)); }, {pictures}, {.order = 2});
      CHECK(second.compared > 0);
      CHECK(second.worst < 1e-7);
    }
  }
}

TEST_CASE("augment: what is drawn has the paper's frequencies and spreads") {
  std::int64_t const n = 20000;
  double const p = 0.5;
  nn::AugmentOptions const o{.xint = 0.8, .saturation = 0.4};
  Rng rng(7);
  auto const drawn = nn::draw_pictures({n, 64, 32, 3}, p, o, rng);
  REQUIRE(std::int64_t(drawn.size()) == n);
  // A share of 20,000 has a deviation of 0.0035 at most; a median of some 10,000 one of 1.25 / 100 of theirs.
  auto share = [&](auto const& f) { return double(std::count_if(drawn.begin(), drawn.end(), f)) / double(n); };
  auto near = [](double a, double b, double by) {
    INFO(a, " should be ", b);
    CHECK(std::abs(a - b) < by);
  };
  auto middle = [&](auto const& f, double quantile) {
    std::vector<double> v;
    for (One const& a : drawn)
      if (double const x = f(a); x != 0) v.push_back(x);
    std::sort(v.begin(), v.end());
    return v[std::size_t(quantile * double(v.size()))];
  };
  double const by = 0.015, above = 0.8413;  // the quantile one deviation above the mean
  near(share([](One const& a) { return a.flip; }), p / 2, by);
  near(share([](One const& a) { return a.luma_flip; }), p / 2, by);
  for (int q : {1, 2, 3}) near(share([q](One const& a) { return a.quarter_turns == q; }), p / 4, by);
  near(share([](One const& a) { return a.shift_x || a.shift_y; }), 0.8 * p, by);
  near(share([](One const& a) { return a.shift_y > 0; }), share([](One const& a) { return a.shift_y < 0; }), by);
  CHECK(share([](One const& a) { return std::abs(a.shift_x) > 4 || std::abs(a.shift_y) > 8; }) == 0);  // an eighth of 32 and of 64
  CHECK(share([](One const& a) { return a.shift_x == 4; }) > 0);
  CHECK(share([](One const& a) { return a.shift_y == -8; }) > 0);
  struct {
    char const* name;
    std::function<double(One const&)> value;
    double often, deviation;
  } const normals[] = {{"scale", [](One const& a) { return std::log2(a.scale); }, p, 0.2},
                       {"proportions", [](One const& a) { return std::log2(a.stretch); }, p, 0.2},
                       {"moves along x", [](One const& a) { return a.move_x; }, p, 0.125 * 32},
                       {"moves along y", [](One const& a) { return a.move_y; }, p, 0.125 * 64},
                       {"brightness", [](One const& a) { return a.brightness; }, p, 0.2},
                       {"contrast", [](One const& a) { return std::log2(a.contrast); }, p, 0.5},
                       {"saturation", [](One const& a) { return std::log2(a.saturation); }, 0.4 * p, 1}};
  for (auto const& s : normals) {
    INFO(s.name);
    near(share([&](One const& a) { return s.value(a) != 0; }), s.often, by);
    near(middle(s.value, 0.5), 0, 0.08 * s.deviation);
    near(middle(s.value, above), s.deviation, 0.1 * s.deviation);
    near(middle(s.value, 1 - above), -s.deviation, 0.1 * s.deviation);
  }
  near(share([](One const& a) { return a.turn_before != 0; }), 1 - std::sqrt(1 - p), by);
  near(share([](One const& a) { return a.turn_before != 0 || a.turn_after != 0; }), p, by);
  near(share([](One const& a) { return a.hue != 0; }), p, by);
  for (auto angle : {&One::turn_before, &One::turn_after, &One::hue})
    for (double q : {0.1, 0.5, 0.9}) near(middle([&](One const& a) { return a.*angle; }, q), pi * (2 * q - 1), 0.15);
  double both = 0;  // operations know nothing of each other
  for (One const& a : drawn) both += a.flip && a.luma_flip;
  near(both / double(n), p * p / 4, by);
}

TEST_CASE("augment: extreme luck stays within a factor of 8 of size") {
  Rng rng(8);
  for (One const& a : nn::draw_pictures({500, 8, 8, 3}, 1, {.scale_std = 50, .aniso_std = 50}, rng)) {
    CHECK((a.scale >= 0.125 && a.scale <= 8));
    CHECK((a.stretch >= 0.125 && a.stretch <= 8));
  }
}

TEST_CASE("augment: a seed names what happens, a picture's part of it is its own, and p only decides how much") {
  nn::AugmentOptions const o;
  auto draw = [&](std::uint64_t seed, std::int64_t n, double p) {
    Rng rng(seed);
    return nn::draw_pictures({n, 16, 16, 3}, p, o, rng);
  };
  auto const eight = draw(3, 8, 0.9), three = draw(3, 3, 0.9), less = draw(3, 8, 0.3);
  CHECK(eight == draw(3, 8, 0.9));
  CHECK_FALSE(eight == draw(4, 8, 0.9));
  CHECK(std::equal(three.begin(), three.end(), eight.begin()));
  int kept = 0;
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK((less[i].scale == 1 || less[i].scale == eight[i].scale));
    CHECK((less[i].hue == 0 || less[i].hue == eight[i].hue));
    CHECK((!less[i].flip || eight[i].flip));
    kept += less[i].scale != 1;
  }
  CHECK((kept > 0 && kept < 8));

  Rng once(5), again(5);
  Var<float> const x(randn<float>({4, 16, 16, 3}, again));
  again = Rng(5);
  auto const a = nn::augment(x, 0.8, o, once), b = nn::augment(x, 0.8, o, again), c = nn::augment(x, 0.8, o, once);
  CHECK(a.value().host() == b.value().host());
  CHECK_FALSE(a.value().host() == c.value().host());
  CHECK(once.draws() == 2);
}

TEST_CASE("augment: nothing at p = 0 or without strengths: the pictures themselves") {
  Rng rng(1);
  Var<float> const x(randn<float>({2, 8, 8, 3}, rng));
  CHECK(nn::augment(x, 0, {}, rng).value().data() == x.value().data());
  CHECK(nn::augment(x, 1, nn::augment_preset("none"), rng).value().data() == x.value().data());
  CHECK(rng.draws() == 3);  // a draw each, so that p changes nothing else
  CHECK_FALSE(nn::augment(x, 1, {}, rng).value().data() == x.value().data());
}

TEST_CASE("augment: presets, settings as text, and what cannot be") {
  CHECK(nn::augment_preset("bgc") == nn::AugmentOptions{});
  nn::AugmentOptions const bg = nn::augment_preset("bg"), blit = nn::augment_preset("blit"), none = nn::augment_preset("none");
  CHECK((bg.xflip == 1 && bg.rotate == 1 && bg.hue == 0 && bg.brightness == 0));
  CHECK((blit.xint == 1 && blit.rotate90 == 1 && blit.scale == 0 && blit.xfrac == 0 && blit.contrast == 0));
  CHECK((none.xflip == 0 && none.lumaflip == 0));
  CHECK(message_of([] { nn::augment_preset("bgcfnc"); }).find("none, blit, bg or bgc, got 'bgcfnc'") != std::string::npos);

  nn::AugmentOptions o{.xflip = 0.25, .hue_max = 0.1}, back;
  train::from_settings(back, train::to_settings(o));
  CHECK(back == o);
  CHECK(train::to_settings(o).size() == 21);

  Rng rng(1);
  Var<float> const x(zeros<float>({1, 8, 8, 3}));
  CHECK(contains(message_of([&] { nn::augment(x, -0.1, {}, rng); }), "p must not be negative, got -0.1"));
  CHECK(contains(message_of([&] { nn::augment(x, NAN, {}, rng); }), "p must not be negative"));
  CHECK(contains(message_of([&] { nn::augment(x, 1, {.scale_std = -1}, rng); }), "scale_std must not be negative, got -1"));
  CHECK(contains(message_of([&] { nn::augment(Var<float>(zeros<float>({8, 8, 3})), 1, {}, rng); }), "[n, h, w, c], got [8, 8, 3]"));
  auto two = nn::augmentation_of<float>({{}, {}});
  two.geometry = two.geometry.rows(0, 1);
  CHECK(contains(message_of([&] { nn::apply_augmentation(x, two); }), "colour must be [1, 4, 4] on the host, got [2, 4, 4]"));
}

TEST_CASE("adaptive strength: follows the sign of the scores, by so much a picture, and not below nothing") {
  nn::AdaptiveStrength s(nn::AdaptiveStrengthOptions{.target = 0.6, .interval = 4, .kimg = 2});
  Tensor<float> const sure({5, 1}, {1, 2, 3, 4, 0.1f}), unsure({5, 1}, {1, -2, 3, -4, 0});
  auto iteration = [&](Tensor<float> const& scores) {
    s.see(scores);
    return s.next(8);
  };
  for (int k = 0; k < 3; ++k) CHECK_FALSE(iteration(sure));
  CHECK(s.p == 0);
  CHECK(iteration(sure));
  CHECK(s.last_sign == 1);
  CHECK(s.p == doctest::Approx(8 * 4 / 2000.0));  // 32 pictures of the 2,000 from 0 to 1
  for (int k = 0; k < 400; ++k) iteration(sure);
  CHECK(s.p == doctest::Approx(101 * 0.016));
  for (int k = 0; k < 4; ++k) iteration(unsure);
  CHECK(s.last_sign == doctest::Approx(0));
  CHECK(s.p == doctest::Approx(100 * 0.016));
  for (int k = 0; k < 600; ++k) iteration(unsure);
  CHECK(s.p == 0);
  // Exactly the target moves nothing, and neither does an interval without a score.
  s.p = 0.3;
  for (int k = 0; k < 4; ++k) iteration(Tensor<float>({5}, {1, 1, 1, 1, -1}));
  CHECK(s.p == 0.3);
  for (int k = 0; k < 3; ++k) CHECK_FALSE(s.next(8));
  CHECK_FALSE(s.next(8));
  CHECK(s.p == 0.3);
}

TEST_CASE("adaptive strength: goes on from a checkpoint") {
  nn::AdaptiveStrength a(nn::AdaptiveStrengthOptions{}, 0.2), b;
  Rng rng(1);
  auto train = [](nn::AdaptiveStrength& s, Rng& r, int iterations) {
    for (int k = 0; k < iterations; ++k) s.see(randn<double>({16}, r)), s.next(16);
  };
  train(a, rng, 7);
  std::string const path = temporary("rig_strength.safetensors");
  io::save(path, {}, io::item("ada", a));
  io::load(path, io::item("ada", b));
  Rng same = rng;
  train(a, rng, 10), train(b, same, 10);
  CHECK(a.p == b.p);
  CHECK((a.signs == b.signs && a.scores == b.scores && a.iterations == b.iterations && a.pictures == b.pictures));
  CHECK(a.p > 0);
  CHECK(a.p != 0.2);
  std::filesystem::remove(path);
  CHECK(
      contains(message_of([] { nn::AdaptiveStrength(nn::AdaptiveStrengthOptions{.interval = 0}); }), "interval and kimg must be positive"));
  CHECK(contains(message_of([] { nn::AdaptiveStrength({}, -1); }), "must not be negative, got -1"));
}
