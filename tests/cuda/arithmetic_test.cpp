// Functions and broadcasting on the device, four numbers at a time and one.
#include "rig/ops/arithmetic.hpp"

#include "cuda/agree.hpp"

using namespace rig;

TEST_CASE("cuda: functions") {
  for (auto const& s : std::vector<Shape>{{}, {3}, {4}, {5, 7}, {33, 8}, {300, 12}}) {
    INFO(s);
    agree::check_on_device([](auto const& x) { return 2.f * exp(x[0]) - square(x[0]); }, {agree::random(s)});
    agree::check_on_device([](auto const& x) { return clamp(abs(x[0]), 0.2f, 1.f) * x[1]; }, {agree::random(s), agree::random(s, 2)});
  }
  agree::check_on_device([](auto const& x) { return slice(x[0], 0, 1, 8) / (square(slice(x[0], 0, 3, 8)) + 1.f); }, {agree::random({11})});
}

TEST_CASE("cuda: broadcasting") {
  struct Pair {
    Shape a, b;
  };
  std::vector<Pair> const pairs{{{2, 5, 7, 4}, {4}},
                                {{2, 5, 7, 3}, {3}},
                                {{3, 5, 6, 8}, {3, 1, 1, 8}},
                                {{2, 5, 6, 8}, {2, 5, 6, 1}},
                                {{2, 1, 6, 8}, {1, 5, 1, 1}},
                                {{1, 5, 1, 12}, {3, 1, 2, 1}},
                                {{}, {16}},
                                {{300, 4}, {300, 1}}};
  for (auto const& p : pairs) {
    INFO(p.a, " and ", p.b);
    agree::check_on_device([](auto const& x) { return x[0] - x[1]; }, {agree::random(p.a), agree::random(p.b, 2)});
    agree::check_on_device([](auto const& x) { return x[1] * x[0]; }, {agree::random(p.a), agree::random(p.b, 2)});
  }
  agree::check_on_device([](auto const& x) { return broadcast_to(x[0], {3, 5, 8}); }, {agree::random({5, 1})});
}
