// What does a discriminator see of augmented pictures? A sheet of a test card: one operation a row, from one end of its
// range to the other; below, the card by luck under p from 0 to 1.
//   build/example_05_augment
#include <cmath>
#include <cstdio>
#include <functional>
#include <numbers>

#include "rig/rig.hpp"
#include "test_card.hpp"

using namespace rig;

int main() {
  int const columns = 9;
  Tensor<float> const card = test_card::draw();
  std::int64_t const side = card.dim(0);
  Var<float> const cards = broadcast_to(Var<float>(card.reshape({1, side, side, 3})), {columns, side, side, 3});
  double const pi = std::numbers::pi;
  // t from -1 to 1: two deviations to either side, or the whole range.
  using One = nn::PictureAugmentation;
  std::vector<std::function<void(One&, double)>> const rows = {
      [](One& a, double t) { a.flip = t > 0, a.quarter_turns = int(std::lround(4 * t + 4)) % 4; },
      [&](One& a, double t) { a.shift_x = int(std::lround(0.125 * double(side) * t)), a.shift_y = -a.shift_x; },
      [](One& a, double t) { a.scale = std::exp2(0.4 * t); },
      [&](One& a, double t) { a.turn_before = pi * t; },
      [&](One& a, double t) { a.stretch = std::exp2(0.4 * t), a.turn_after = 0.25 * pi; },
      [&](One& a, double t) { a.move_x = 0.25 * double(side) * t, a.move_y = 0.1 * double(side) * t; },
      [](One& a, double t) { a.brightness = 0.4 * t; },
      [](One& a, double t) { a.contrast = std::exp2(t), a.luma_flip = t > 0.5; },
      [&](One& a, double t) { a.hue = pi * t; },
      [](One& a, double t) { a.saturation = std::exp2(2 * t); },
  };
  std::vector<Var<float>> sheet;
  for (auto const& set : rows) {
    std::vector<One> all(columns);
    for (int k = 0; k < columns; ++k) set(all[std::size_t(k)], 2.0 * k / (columns - 1) - 1);
    sheet.push_back(nn::apply_augmentation(cards, nn::augmentation_of<float>(all)));
  }
  for (std::uint64_t seed : {1, 2}) {
    std::vector<Var<float>> row;
    for (int k = 0; k < columns; ++k) {
      Rng rng(seed);  // the same luck, of which more and more happens
      row.push_back(nn::augment(slice(cards, 0, k, 1), double(k) / (columns - 1), nn::augment_preset("bgc"), rng));
    }
    sheet.push_back(concat(row, 0));
  }
  Tensor<float> const all = unslice(unslice(concat(sheet, 0), 1, 1, side + 2), 2, 1, side + 2).value();  // with an edge
  io::save_png("augmentations.png", io::from_signed(io::tile(all, columns)));
  std::printf("augmentations.png: %lld rows\n", static_cast<long long>(all.dim(0) / columns));

  // A gradient goes through all of it: of a picture's sum of squares with respect to the card, by the rule and by a difference.
  Rng rng(3);
  auto const luck = nn::draw_augmentation<double>({1, side, side, 3}, 1, {}, rng);
  auto energy = [&](Tensor<double> const& x, Tape& tape) {
    auto const v = tape.watch(x);
    return std::pair(v, sum(square(nn::apply_augmentation(v, luck))));
  };
  Tensor<double> x = cast<double>(card.reshape({1, side, side, 3}));
  Tape tape;
  auto const [v, e] = energy(x, tape);
  double const rule = tape.grad(e, v).value().host()[4321], step = 1e-4;
  double ends[2];
  for (int k = 0; k < 2; ++k) {
    Tensor<double> moved = x.clone();
    moved.mutate()[4321] += k ? step : -step;
    Tape t;
    ends[k] = energy(moved, t).second.item();
  }
  double const difference = (ends[1] - ends[0]) / (2 * step);
  std::printf("gradient of one number: %.8f by the rule, %.8f by a difference\n", rule, difference);
  return std::abs(rule - difference) < 1e-5 * (1 + std::abs(difference)) ? 0 : 1;
}
