// upfirdn2d on the device: every kernel it can pick, on sizes that fill no tile, beside the CPU's.
#include "rig/ops/upfirdn.hpp"

#include "cuda/agree.hpp"
#include "rig/ops/progressive.hpp"

using namespace rig;

namespace {
struct Way {
  char const* how;
  Shape filter, x;
  UpfirdnOptions o;
};
void check_ways(std::vector<Way> const& ways) {
  for (auto const& w : ways) {
    INFO(w.how, ", filter ", w.filter, ", x ", w.x);
    Tensor<float> const f = w.filter.rank() ? agree::random(w.filter, 9) : Tensor<float>();
    agree::check_on_device([&](auto const& x) { return upfirdn2d(x[0], f ? f.to(x[0].device()) : f, w.o); }, {agree::random(w.x)});
  }
}
}  // namespace

TEST_CASE("cuda: upfirdn2d with small filters") {
  check_ways({
      {"a filter", {4, 4}, {1, 1, 1, 1}, {.padding = {2, 1, 2, 1}}},
      {"a filter", {4, 4}, {2, 17, 19, 4}, {.padding = {2, 1, 2, 1}, .gain = 1.7}},
      {"a filter", {3, 4}, {1, 20, 5, 3}, {.padding = {-1, 2, 1, 0}, .flip = true}},
      {"a filter", {2, 3}, {1, 7, 6, 44}, {.padding = 1}},
      {"a filter of a row", {4}, {1, 9, 23, 8}, {.padding = {2, 1, 0, 3}, .gain = 4}},
      {"nothing", {}, {1, 9, 4, 5}, {.padding = {1, -2, 0, 3}, .gain = 2}},
      {"up", {4, 4}, {1, 1, 1, 1}, {.up = 2, .padding = {2, 1, 2, 1}, .gain = 4}},
      {"up", {4, 4}, {2, 11, 13, 3}, {.up = 2, .padding = {2, 1, 1, 2}, .gain = 4}},
      {"up, odd", {4, 4}, {1, 9, 33, 12}, {.up = 2, .padding = {1, 2, 3, 0}}},
      {"up, cropped", {3, 3}, {1, 9, 8, 40}, {.up = 2, .padding = {-3, 0, -2, -1}, .flip = true}},
      {"up by a box", {2, 2}, {2, 5, 6, 4}, {.up = 2, .padding = {1, 0, 1, 0}}},
      {"up without a filter", {}, {2, 5, 6, 4}, {.up = 2, .padding = {1, 0, 2, 1}}},
      {"down", {4, 4}, {1, 2, 2, 1}, {.down = 2, .padding = {1, 1, 1, 1}}},
      {"down", {4, 4}, {2, 31, 26, 3}, {.down = 2, .padding = {1, 1, 2, 1}}},
      {"down", {4, 4}, {1, 37, 21, 36}, {.down = 2, .padding = {-1, 2, 1, 0}, .flip = true}},
  });
}

TEST_CASE("cuda: upfirdn2d with rows of taps") {
  check_ways({
      {"a filter", {12}, {1, 3, 5, 1}, {.padding = {6, 5, 6, 5}}},
      {"a filter", {7}, {2, 19, 70, 3}, {.padding = {3, 3, 2, 1}, .gain = 1.7}},
      {"up", {12}, {1, 5, 4, 9}, {.up = 2, .padding = {7, 6, 6, 5}, .gain = 4}},
      {"up, odd", {12}, {2, 10, 37, 4}, {.up = 2, .padding = {8, 5, 7, 4}, .flip = true, .gain = 4}},
      {"up, cropped", {8}, {1, 35, 9, 2}, {.up = 2, .padding = {-3, 0, -4, 7}}},
      {"down", {12}, {1, 13, 12, 1}, {.down = 2, .padding = {5, 5, 5, 5}}},
      {"down", {11}, {2, 43, 127, 5}, {.down = 2, .padding = {6, 4, -1, 2}, .flip = true}},
      {"up by four", {24}, {1, 7, 6, 4}, {.up = 4, .padding = {13, 10, 14, 12}, .gain = 16}},
  });
}

TEST_CASE("cuda: upfirdn2d with anything") {
  check_ways({
      {"up and down", {4, 3}, {2, 5, 7, 3}, {.up = {2, 3}, .down = {3, 2}, .padding = {2, -1, 3, 1}}},
      {"up and down by taps", {5}, {2, 5, 7, 8}, {.up = {2, 3}, .down = {3, 2}, .padding = {2, 1, 3, 1}}},
      {"down by a radial filter", {12, 12}, {1, 41, 39, 6}, {.down = 2, .padding = 5}},
      {"up by a radial filter", {12, 12}, {1, 9, 20, 40}, {.up = 2, .padding = {7, 6, 6, 7}}},
      {"down by five", {6, 7}, {1, 83, 31, 36}, {.down = 5, .padding = {1, 2, 3, 0}}},
      {"a filter for the plain kernel", {33, 33}, {1, 9, 7, 2}, {.padding = 16}},
      {"down without a filter", {}, {1, 9, 8, 3}, {.down = {1, 3}, .padding = {1, -2, 0, 3}}},
  });
}

TEST_CASE("cuda: resampling of the first StyleGAN") {
  agree::check_on_device([](auto const& x) { return blur2d(upscale2d(x[0])); }, {agree::random({2, 5, 7, 4})});
  agree::check_on_device([](auto const& x) { return downscale2d(x[0], 8); }, {agree::random({1, 16, 24, 3})});
}
