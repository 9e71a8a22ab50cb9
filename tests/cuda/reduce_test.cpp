// Sums on the device: everything, rows, columns, products of two, in one pass and in several.
#include "rig/ops/reduce.hpp"

#include "cuda/agree.hpp"
#include "rig/ops/modulated_conv.hpp"

using namespace rig;

TEST_CASE("cuda: sum_to") {
  struct Row {
    Shape from, to;
  };
  std::vector<Row> const rows{{{1}, {}},
                              {{5}, {}},
                              {{2049}, {}},
                              {{70001}, {}},          // several leaves, one number at a time
                              {{40, 1013}, {40, 1}},  // rows of half a block
                              {{3, 33000}, {3, 1}},   // long rows, four at a time
                              {{1000, 3}, {1000, 1}},
                              {{77, 2}, {77, 1}},
                              {{1000, 1}, {1, 1}},
                              {{9, 64}, {64}},
                              {{20011, 12}, {12}},  // columns in several runs
                              {{3001, 7}, {7}},
                              {{700, 132}, {132}},
                              {{2, 13, 11, 5}, {2, 1, 1, 5}},
                              {{2, 13, 11, 36}, {1, 13, 11, 1}},
                              {{3, 40, 41, 8}, {1, 40, 41, 8}},
                              {{4, 7, 200, 20}, {4, 7, 1, 20}},
                              {{31, 70000}, {70000}}};
  for (auto const& r : rows) {
    INFO(r.from, " to ", r.to);
    agree::check_on_device([&](auto const& x) { return sum_to(x[0], r.to); }, {agree::random(r.from)});
  }
}

TEST_CASE("cuda: sums of rows that do not start on sixteen bytes") {
  agree::check_on_device([](auto const& x) { return sum_to(slice(x[0], 0, 1, 4096), {}); }, {agree::random({4101})});
  agree::check_on_device([](auto const& x) { return sum_to(reshape(slice(x[0], 0, 3, 4000), {1000, 4}), {4}); }, {agree::random({4005})});
}

TEST_CASE("cuda: channel_dot") {
  for (auto const& s : std::vector<Shape>{{1, 1, 1, 1}, {2, 5, 7, 3}, {1, 70, 65, 8}, {3, 9, 1, 132}, {2, 33, 31, 16}})
    agree::check_on_device([](auto const& x) { return channel_dot(x[0], x[1]); }, {agree::random(s), agree::random(s, 2)});
}

TEST_CASE("cuda: a sum of many keeps its digits") {
  // One by one in float, a million halves near 2^19 would lose a part in ten thousand.
  Device device;
  if (!agree::device_for(device)) return;
  Tensor<float> const x = full<float>({1 << 20}, 0.7f, device);
  CHECK(double(sum(Var<float>(x)).value().item()) == doctest::Approx(double(0.7f) * (1 << 20)).epsilon(1e-6));
}
