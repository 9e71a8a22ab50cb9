// Filtered leaky relu on the device, in strips and in steps, with its gradients, beside the CPU's tiles.
#include "rig/ops/filtered_lrelu.hpp"

#include "cuda/agree.hpp"

using namespace rig;

namespace {
struct Way {
  char const* how;
  Shape up, down, x;
  FilteredLreluOptions o;
};
}  // namespace

TEST_CASE("cuda: filtered_lrelu") {
  std::vector<Way> const ways{
      {"as a layer of StyleGAN3", {12}, {12}, {2, 10, 9, 3}, {.up = 2, .down = 2, .padding = {9, 8, 9, 8}, .clamp = 1.5}},
      {"several tiles and strips", {12}, {12}, {1, 70, 33, 9}, {.up = 2, .down = 2, .padding = {9, 8, 8, 9}}},
      {"whole packs of channels", {12}, {12}, {1, 13, 30, 20}, {.up = 2, .down = 2, .padding = {-3, 8, 2, -1}}},
      {"growing and cropped", {24}, {12}, {1, 14, 13, 2}, {.up = 4, .down = 2, .padding = {-6, -9, -6, -9}}},
      {"growing, other phases", {24}, {12}, {1, 5, 18, 8}, {.up = 4, .down = 2, .padding = {16, 17, 19, 18}, .flip = true}},
      {"up by less than down", {6}, {12}, {1, 30, 33, 2}, {.up = 2, .down = 4, .padding = 7}},
      {"short taps", {5}, {3}, {2, 7, 6, 3}, {.up = 2, .down = 2, .padding = {3, 2, 2, 4}, .slope = 0.1, .clamp = 0.7}},
      {"zeros all around", {6}, {4}, {1, 3, 3, 2}, {.up = 2, .down = 2, .padding = {20, 21, 22, 19}}},
      {"radial", {12}, {12, 12}, {1, 9, 8, 3}, {.up = 2, .down = 2, .padding = {11, 10, 9, 8}, .clamp = 2}},
      {"mirrored, sides of their own", {5}, {7}, {2, 8, 7, 2}, {.up = 3, .down = 2, .padding = {5, 4, 3, 6}, .flip = true}},
      {"up only", {4}, {}, {1, 8, 8, 2}, {.up = 2, .padding = {2, 1, 2, 1}, .gain = 0.7, .slope = 0, .clamp = 0.5}},
      {"down only", {}, {8}, {1, 12, 13, 2}, {.down = 3, .padding = {1, 2, 0, 3}}},
  };
  for (auto const& w : ways) {
    INFO(w.how);
    auto taps = [](Shape const& s, int seed) { return s.rank() ? agree::random(s, seed, 0.5f, 0.1f) : Tensor<float>(); };
    Tensor<float> const up = taps(w.up, 5), down = taps(w.down, 6);
    agree::Function const f = [&](auto const& x) {
      Device const d = x[0].device();
      return filtered_lrelu(x[0], x[1], up ? up.to(d) : up, down ? down.to(d) : down, w.o);
    };
    std::vector<Tensor<float>> const inputs{agree::random(w.x), agree::random({w.x[3]}, 2)};
    agree::check_on_device(f, inputs);
    // A bias without gradient is added as x is read.
    agree::check_on_device([&](auto const& x) { return f({x[0], Var<float>(inputs[1].to(x[0].device()))}); }, {inputs[0]});
  }
}

TEST_CASE("cuda: gradients of gradients of filtered_lrelu") {
  agree::check_on_device(
      [](auto const& x) {
        Tensor<float> const up = agree::random({12}, 5, 0.5f, 0.1f).to(x[0].device()), down = agree::random({12}, 6).to(x[0].device());
        return apply(FilteredSlope<float>{{up, {.up = 2, .padding = {9, 8, 9, 8}, .gain = 4}},
                                          {down, {.down = 2}},
                                          full<signed char>({1, 24, 26, 5}, 1, x[0].device()),
                                          1.4f,
                                          0.3f},
                     x[0]);
      },
      {agree::random({1, 9, 10, 5})});
}
