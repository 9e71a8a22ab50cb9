// Instance normalisation on the device: one pass and two, means far from zero.
#include "rig/ops/norm.hpp"

#include "cuda/agree.hpp"

using namespace rig;

TEST_CASE("cuda: instance_norm and adain") {
  for (auto const& s : std::vector<Shape>{{1, 1, 2, 1}, {2, 5, 7, 3}, {1, 67, 61, 4}, {3, 16, 16, 20}, {2, 4, 4, 132}, {1, 90, 83, 6}}) {
    INFO(s);
    agree::check_on_device([](auto const& x) { return instance_norm(x[0]); }, {agree::random(s)});
    agree::check_on_device([](auto const& x) { return instance_scale(x[0]); }, {agree::random(s, 2)});
    agree::check_on_device([](auto const& x) { return adain(x[0], x[1]); }, {agree::random(s), agree::random({s[0], 2 * s[3]}, 2)});
  }
}

TEST_CASE("cuda: deviations beside a large mean") {
  // Sums of squares would leave nothing of a deviation of 1 beside 3,000.
  agree::check_on_device([](auto const& x) { return instance_scale(x[0]); }, {agree::random({1, 61, 67, 8}, 3, 1, 3000)}, false, 2e-4);
}
