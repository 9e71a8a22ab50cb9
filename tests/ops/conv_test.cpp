#include "rig/ops/conv.hpp"

#include <doctest/doctest.h>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/ops/arithmetic.hpp"

using namespace rig;

namespace {

template <class T> double distance(Tensor<T> const& a, Tensor<T> const& b) {
  REQUIRE(a.shape() == b.shape());
  double d = 0, m = 1e-30;
  auto const x = a.host(), y = b.host();
  for (std::size_t i = 0; i < x.size(); ++i) {
    d = std::max(d, std::abs(double(x[i]) - double(y[i])));
    m = std::max(m, std::abs(double(y[i])));
  }
  return d / m;
}

struct ConvCase {
  Shape x, w;
  Conv2dOptions o;
};

// Sizes for every way through the back ends: small and large pictures, few and many channels, crops, strides that leave
// a rest, windows smaller than the stride, groups, several pictures a strip and several strips a picture.
std::vector<ConvCase> const conv_cases = {
    {{2, 5, 7, 3}, {4, 3, 3, 3}, {.padding = 1}},
    {{2, 5, 7, 3}, {4, 3, 2, 3}, {.stride = 2, .padding = {0, 1, 2, 1}}},
    {{1, 6, 8, 4}, {6, 1, 1, 4}, {}},
    {{1, 6, 8, 4}, {6, 1, 1, 4}, {.stride = 3}},
    {{2, 9, 6, 4}, {6, 3, 3, 2}, {.stride = 2, .padding = 1, .groups = 2}},
    {{1, 9, 8, 3}, {2, 3, 3, 3}, {.padding = {-1, 0, 2, -2}}},
    {{1, 24, 30, 12}, {20, 3, 3, 12}, {.padding = 1}},
    {{2, 33, 29, 16}, {24, 3, 3, 16}, {.stride = 2}},
    {{2, 33, 30, 16}, {24, 3, 3, 16}, {.stride = 2, .padding = 1}},
    {{1, 40, 37, 12}, {20, 3, 3, 12}, {.padding = {2, 1, 0, 2}}},
    {{20, 12, 12, 32}, {32, 3, 3, 32}, {.padding = 1}},
    {{1, 129, 65, 32}, {64, 3, 3, 32}, {.stride = 2}},
    {{1, 64, 64, 32}, {64, 3, 3, 32}, {.padding = 1}},
    {{1, 60, 60, 6}, {3, 5, 5, 6}, {.stride = 3, .padding = 2}},
    {{3, 24, 24, 160}, {140, 3, 3, 160}, {.padding = 1}},
    {{1, 70, 70, 8}, {8, 3, 3, 4}, {.padding = 1, .groups = 2}},
    {{2, 61, 70, 40}, {36, 3, 3, 40}, {.padding = {2, 1, 0, 2}}},
    {{4, 19, 13, 70}, {130, 3, 3, 70}, {.padding = {-1, 0, 1, -2}}},
    {{17, 33, 33, 40}, {36, 3, 3, 40}, {.stride = 2}},
    {{2, 90, 93, 33}, {70, 3, 3, 33}, {.stride = 2, .padding = 1}},
    {{1, 201, 199, 32}, {32, 3, 3, 32}, {.stride = 2, .padding = {1, 0, 0, 1}}},
};

template <class T> struct Family { Tensor<T> x, w, gy, y, gx, gw; };
template <class T> Family<T> family(ConvCase const& c) {
  Rng rng(11);
  Family<T> f;
  f.x = randn<T>(c.x, rng), f.w = randn<T>(c.w, rng);
  f.y = conv2d<T>(f.x, f.w, c.o).value();
  f.gy = randn<T>(f.y.shape(), rng);
  f.gx = conv2d_input<T>(f.gy, f.w, c.x, c.o).value();
  f.gw = conv2d_weight<T>(f.x, f.gy, c.w, c.o).value();
  return f;
}

}  // namespace

TEST_CASE("conv2d: by hand") {
  Var<float> x(Tensor<float>({1, 3, 3, 1}, {1, 2, 3, 4, 5, 6, 7, 8, 9})), w(Tensor<float>({1, 2, 2, 1}, {1, 10, 100, 1000}));
  CHECK(conv2d(x, w).value().host() == std::vector<float>{5421, 6532, 8754, 9865});
  CHECK(conv2d(x, w, {.stride = 2, .padding = {1, 0, 1, 0}}).value().host() == std::vector<float>{1000, 3200, 7040, 9865});
  Var<float> y(Tensor<float>({1, 1, 2, 1}, {1, 2}));
  CHECK(conv2d_input(y, w, {1, 2, 4, 1}, {.stride = 2}).value().host() == std::vector<float>{1, 10, 2, 20, 100, 1000, 200, 2000});
}

TEST_CASE_TEMPLATE("conv2d: the back ends against the plain kernels", T, float, double) {
  double const tolerance = std::is_same_v<T, float> ? 4e-6 : 1e-13;
  for (auto const& c : conv_cases) {
    INFO("x ", c.x, " w ", c.w, " stride ", c.o.stride);
    Family<T> const f = family<T>(c);
    auto const s = detail::conv_size("test", c.x, c.w, c.o);
    Tensor<T> y = like(f.y), gx = like(f.x), gw = like(f.w);
    for_each(cpu(), s.n * s.oh * s.ow, s.o, detail::ConvKernel<T>{s, f.x.data(), f.w.data(), y.mutate()});
    for_each(cpu(), s.n * s.h * s.w, s.c, detail::ConvInputKernel<T>{s, f.gy.data(), f.w.data(), gx.mutate()});
    for_each(cpu(), s.o * s.kh * s.kw, s.c_in_group(), detail::ConvWeightKernel<T>{s, f.x.data(), f.gy.data(), gw.mutate()});
    CHECK(distance(f.y, y) < tolerance);
    CHECK(distance(f.gx, gx) < tolerance);
    // A weight's gradient sums over all pixels, so plain addition in float is itself further off.
    CHECK(distance(f.gw, gw) < 10 * tolerance);
  }
}

TEST_CASE("conv2d: the same bits for any number of threads") {
  int const before = threads();
  for (auto const& c : conv_cases) {
    INFO("x ", c.x, " w ", c.w, " stride ", c.o.stride);
    set_threads(1);
    Family<float> const one = family<float>(c);
    for (int n : {2, 7}) {
      set_threads(n);
      Family<float> const many = family<float>(c);
      CHECK(many.y.host() == one.y.host());
      CHECK(many.gx.host() == one.gx.host());
      CHECK(many.gw.host() == one.gw.host());
    }
  }
  set_threads(before);
}

TEST_CASE("conv2d: gradients of the three members, first and second") {
  for (std::size_t i = 0; i < 6; ++i) {
    auto const c = conv_cases[i];
    Rng rng(12);
    Tensor<double> const x = randn<double>(c.x, rng), w = randn<double>(c.w, rng);
    Tensor<double> const y = randn<double>(conv2d<double>(x, w, c.o).value().shape(), rng);
    for (int order = 1; order <= 2; ++order) {
      INFO("case ", i, " order ", order);
      auto const a = gradcheck([&](auto const& v) { return square(conv2d(v[0], v[1], c.o)); }, {x, w}, {.order = order});
      auto const b = gradcheck([&](auto const& v) { return square(conv2d_input(v[0], v[1], c.x, c.o)); }, {y, w}, {.order = order});
      auto const d = gradcheck([&](auto const& v) { return square(conv2d_weight(v[0], v[1], c.w, c.o)); }, {x, y}, {.order = order});
      CHECK(a.compared > 0);
      CHECK(a.worst < 1e-6);
      CHECK(b.worst < 1e-6);
      CHECK(d.worst < 1e-6);
    }
  }
}

TEST_CASE("turn_weight: its own inverse; order and mirror by hand") {
  Tensor<double> const w({2, 1, 2, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(turn_weight<double>(w, true, false).value().host() == std::vector<double>{0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11});
  CHECK(turn_weight<double>(w, false, true).value().host() == std::vector<double>{3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8});
  Rng rng(13);
  Tensor<double> const g = randn<double>({6, 3, 2, 5}, rng);
  CHECK(turn_weight(turn_weight<double>(g, true, true, 3), true, true, 3).value().host() == g.host());
  CHECK(gradcheck([](auto const& v) { return square(turn_weight(v[0], true, true, 3)); }, {g}, {.order = 2}).worst < 1e-6);
}

TEST_CASE("conv2d: nothing is asked of the system once warm") {
  auto const c = conv_cases[12];
  family<float>(c);
  family<float>(c);
  auto const before = cpu().queue().memory().system_allocations;
  family<float>(c);
  CHECK(cpu().queue().memory().system_allocations == before);
}

TEST_CASE("conv2d: wrong shapes are named") {
  Var<float> x(zeros<float>({1, 4, 4, 3})), w(zeros<float>({8, 3, 3, 2})), v(zeros<float>({8, 3, 3, 3})), y(zeros<float>({1, 4, 4, 8}));
  CHECK_THROWS_WITH_AS(conv2d(x, w),
                       "conv2d: weight must be [o, kh, kw, 3] with o a multiple of 1 to match x [1, 4, 4, 3] in 1 groups, got [8, 3, 3, 2]",
                       Error);
  CHECK_THROWS_AS(conv2d(Var<float>(zeros<float>({4, 4, 3})), v), Error);
  CHECK_THROWS_AS(conv2d(x, v, {.stride = 0}), Error);
  CHECK_THROWS_AS(conv2d(x, v, {.padding = -1}), Error);
  CHECK_THROWS_AS(conv2d_input(y, v, {1, 4, 4, 3}), Error);
  CHECK_NOTHROW(conv2d_input(y, v, {1, 4, 4, 3}, {.padding = 1}));
  CHECK_THROWS_AS(conv2d_weight(x, y, {8, 3, 3, 3}), Error);
}
