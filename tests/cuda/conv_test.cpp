// The hand-written convolutions against the CPU's: every tile, split sums, odd sizes, scales, precisions, orders of threads.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/device.hpp"
#include "rig/core/random.hpp"
#include "rig/ops/cuda/conv.hpp"
#include "rig/ops/modulated_layer.hpp"

using namespace rig;

namespace {

double difference(std::vector<float> const& a, std::vector<float> const& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(b[i])) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(double(a[i]))), error = std::max(error, std::abs(double(a[i]) - double(b[i])));
  }
  return largest > 0 ? error / largest : error;
}

/// What f makes, the same bits in every order of threads there is.
template <class F> std::vector<float> the_same_in_every_order(F const& f) {
  std::vector<float> first;
  test::in_every_order([&] {
    std::vector<float> const got = f();
    if (first.empty()) first = got;
    CHECK((got == first));
  });
  return first;
}

struct Sizes {
  Shape x, w;
  Conv2dOptions o;
};
struct Numbers {
  Tensor<float> x, y, w, c, o;  // with scales of the channels of x and y
  detail::ConvSize s;
  Numbers(Sizes const& z, Device const& device) : s(detail::conv_size("test", z.x, z.w, z.o)) {
    Rng rng(5);
    auto some = [&](Shape const& shape) { return randn<float>(shape, rng).to(device); };
    x = some(z.x), w = some(z.w), y = some({s.n, s.oh, s.ow, s.o}), c = some({s.n, s.c}), o = some({s.n, s.o});
  }
};

/// The three members on one device, with or without scales; `plan` for the tensor cores' kernels alone.
std::vector<std::vector<float>> family(Sizes const& z, bool scaled, Device const& device, detail::ConvPlan const* plan) {
  Numbers const v(z, device);
  Tensor<float> y = like(v.y), x = like(v.x), w = like(v.w);
  if (device.is_cpu()) {
    auto const cx = scaled ? scale_channels(Var(v.x), Var(v.c)).value() : v.x,
               oy = scaled ? scale_channels(Var(v.y), Var(v.o)).value() : v.y;
    Var<float> a = conv2d(Var(cx), Var(v.w), z.o), b = conv2d_input(Var(oy), Var(v.w), z.x, z.o);
    if (scaled) a = scale_channels(a, Var(v.o)), b = scale_channels(b, Var(v.c));
    return {a.value().host(), b.value().host(), conv2d_weight(Var(cx), Var(oy), z.w, z.o).value().host()};
  }
  detail::ConvScales const scales = scaled ? detail::ConvScales{v.c.data(), v.o.data()} : detail::ConvScales{};
  using detail::ConvRole;
  if (plan) {
    detail::ConvFinish by_o, by_c;
    by_o.scale = scales.o, by_c.scale = scales.c;
    detail::launch_conv_gemm<ConvRole::forward>(device, v.s, v.x.data(), v.w.data(), y.mutate(), scales.c, nullptr, by_o, plan);
    detail::launch_conv_gemm<ConvRole::input>(device, v.s, v.y.data(), v.w.data(), x.mutate(), scales.o, nullptr, by_c, plan);
    detail::launch_conv_gemm<ConvRole::weight>(device, v.s, v.y.data(), v.x.data(), w.mutate(), scales.o, scales.c, {}, plan);
  } else {
    REQUIRE(detail::cuda_conv(device, v.s, v.x.data(), v.w.data(), y.mutate(), scales));
    REQUIRE(detail::cuda_conv_input(device, v.s, v.y.data(), v.w.data(), x.mutate(), scales));
    REQUIRE(detail::cuda_conv_weight(device, v.s, v.x.data(), v.y.data(), w.mutate(), scales));
  }
  return {y.host(), x.host(), w.host()};
}

void check_family(Sizes const& z, bool scaled, detail::ConvPlan const* plan, double tolerance, bool every_order) {
  Device device;
  if (!test::device_for(device)) return;
  auto const expected = family(z, scaled, cpu(), nullptr);
  auto run = [&] {
    std::vector<float> all;
    for (auto const& r : family(z, scaled, device, plan)) all.insert(all.end(), r.begin(), r.end());
    return all;
  };
  std::vector<float> const got = every_order ? the_same_in_every_order(run) : run();
  std::size_t first = 0;
  char const* const names[] = {"y", "x", "w"};
  for (int k = 0; k < 3; ++k) {
    auto const& e = expected[std::size_t(k)];
    INFO(names[k], " of x ", z.x, " and w ", z.w, ", stride ", z.o.stride, scaled ? ", scaled" : "");
    CHECK(difference(e, {got.begin() + std::ptrdiff_t(first), got.begin() + std::ptrdiff_t(first + e.size())}) <= tolerance);
    first += e.size();
  }
}

// Nothing is a multiple of anything; channels in fours are copied 16 bytes at a time.
Sizes const odd{{2, 5, 7, 3}, {5, 3, 3, 3}, {.padding = 1}}, fours{{2, 6, 5, 20}, {36, 3, 3, 20}, {.padding = 1}},
    strided{{2, 7, 9, 4}, {8, 3, 2, 4}, {.stride = 2, .padding = {0, 1, 2, 1}}};

}  // namespace

TEST_CASE("cuda conv: every tile, whole and split sums, with the same bits in every order") {
  for (auto tiles : {detail::ConvTiles::small, detail::ConvTiles::wide, detail::ConvTiles::slim})
    for (int splits : {1, 3}) {
      detail::ConvPlan const plan{tiles, splits};
      INFO("tiles ", int(tiles), ", splits ", splits);
      check_family(odd, false, &plan, 1e-6, tiles == detail::ConvTiles::small && splits == 3);
      if (splits == 1 || tiles == detail::ConvTiles::small) check_family(strided, true, &plan, 1e-6, false);
    }
}
TEST_CASE("cuda conv: sizes and scales") {
  for (bool scaled : {false, true}) {
    check_family(fours, scaled, nullptr, 1e-6, scaled);
    check_family(strided, scaled, nullptr, 1e-6, false);
    check_family({{1, 1, 1, 1}, {1, 1, 1, 1}, {}}, scaled, nullptr, 1e-6, false);
    check_family({{3, 4, 4, 17}, {6, 3, 3, 17}, {.padding = 1}}, scaled, nullptr, 1e-6, false);
    check_family({{2, 9, 8, 5}, {4, 3, 3, 5}, {.padding = 1}}, scaled, nullptr, 1e-6, false);  // a sample is more than a tile
    check_family({{2, 8, 7, 2}, {3, 2, 2, 2}, {.stride = 3}}, scaled, nullptr, 1e-6, false);   // classes without taps
    check_family({{2, 7, 8, 3}, {4, 3, 2, 3}, {.padding = {-1, 1, 0, -2}}}, scaled, nullptr, 1e-6, false);
    check_family({{1, 5, 5, 6}, {70, 1, 1, 6}, {}}, scaled, nullptr, 1e-6, false);
  }
}
TEST_CASE("cuda conv: few outputs of a 1 by 1 window") {
  for (bool scaled : {false, true}) {
    check_family({{2, 9, 10, 12}, {3, 1, 1, 12}, {}}, scaled, nullptr, 1e-6, true);
    check_family({{1, 7, 5, 132}, {11, 1, 1, 132}, {}}, scaled, nullptr, 1e-6, false);
    check_family({{3, 1, 1, 4}, {1, 1, 1, 4}, {}}, scaled, nullptr, 1e-6, false);
  }
}
TEST_CASE("cuda conv: lower precision rounds, and no more than it says") {
  Device device;
  if (!test::device_for(device)) return;
  CHECK(device.precision() == MatrixPrecision::float32);
  struct Range {
    MatrixPrecision precision;
    double least, most;
  };
  for (auto const& z : {fours, strided, Sizes{{1, 5, 4, 9}, {3, 3, 3, 9}, {.padding = 1}}})
    for (bool scaled : {false, true}) {
      auto const exact = family(z, scaled, cpu(), nullptr);
      for (auto const& [precision, least, most] : {Range{MatrixPrecision::tf32, 1e-5, 2e-3}, Range{MatrixPrecision::bf16, 2e-4, 2e-2}}) {
        device.set_precision(precision);
        auto const rounded = family(z, scaled, device, nullptr);
        device.set_precision(MatrixPrecision::float32);
        for (std::size_t k = 0; k < 3; ++k) {
          double const e = difference(exact[k], rounded[k]);
          INFO("result ", k, " of x ", z.x, ", precision ", int(precision), ", scaled ", scaled);
          CHECK(e > least);
          CHECK(e < most);
        }
      }
    }
}
TEST_CASE("cuda conv: warpgroups give what warps give, in every order") {
  Device device;
  if (!test::device_for(device)) return;
  if (!detail::has_warpgroups(device)) return;
  struct BackToFloat {
    Device const& device;
    ~BackToFloat() { device.set_precision(MatrixPrecision::float32); }
  } const back{device};
  device.set_precision(MatrixPrecision::bf16);
  // Sums of whole and begun stages, columns of one and of two blocks, tiles that reach over samples, strides, paddings; few channels.
  for (auto const& z : {Sizes{{2, 9, 9, 70}, {130, 3, 3, 70}, {.padding = 1}}, Sizes{{1, 12, 13, 64}, {64, 3, 3, 64}, {.padding = 1}},
                        Sizes{{2, 11, 10, 68}, {40, 3, 2, 68}, {.stride = 2, .padding = {0, 1, 2, 1}}}, odd})
    for (bool scaled : {false, true})
      for (int splits : {1, 3}) {
        if (scaled != (splits == 3) && z.w[0] != 40) continue;
        detail::ConvPlan const warps{detail::ConvTiles::small, 1}, groups{detail::ConvTiles::warpgroups, splits};
        auto const expected = family(z, scaled, device, &warps);
        auto const run = [&] {
          std::vector<float> all;
          auto const r = family(z, scaled, device, &groups);
          for (std::size_t k = 0; k < 2; ++k) all.insert(all.end(), r[k].begin(), r[k].end());
          return all;
        };
        std::vector<float> const got = splits == 3 && z.w[0] == 130 ? the_same_in_every_order(run) : run();
        INFO("x ", z.x, " and w ", z.w, scaled ? ", scaled" : "", ", splits ", splits);
        auto const middle = got.begin() + std::ptrdiff_t(expected[0].size());
        CHECK(difference(expected[0], {got.begin(), middle}) < 1e-5);
        CHECK(difference(expected[1], {middle, got.end()}) < 1e-5);
      }
}
TEST_CASE("cuda conv: a layer in one kernel") {
  Device device;
  if (!test::device_for(device)) return;
  struct Layer {
    std::int64_t n, noise_samples, strengths, out;
    Padding padding;
    BiasActOptions act;
    bool demodulate;
  };
  for (auto const& l : {Layer{1, 1, 1, 7, 1, {.clamp = 1.5}, true}, Layer{3, 3, 7, 7, {1, 0, 2, 1}, {.activation = Activation::relu}, true},
                        Layer{2, 0, 0, 70, 1, {.activation = Activation::linear, .gain = -2}, false},
                        Layer{2, 1, 1, 5, 1, {.activation = Activation::tanh}, true}}) {
    auto const run = [&](Device const& on) {
      Rng rng(6);
      auto some = [&](Shape const& s) { return Var<float>(randn<float>(s, rng).to(on)); };
      auto const x = some({l.n, 9, 8, 12}), w = some({l.out, 3, 3, 12}), s = some({l.n, 12}), b = some({l.out});
      std::int64_t const rows = 9 - 2 + l.padding.y0 + l.padding.y1, columns = 8 - 2 + l.padding.x0 + l.padding.x1;
      Var<float> noise, strength;
      if (l.noise_samples)
        noise = some({l.noise_samples, rows, columns, 1}), strength = some(l.strengths == 1 ? Shape{} : Shape{l.strengths});
      ModulatedConvOptions<float> const o{.demodulate = l.demodulate, .padding = l.padding};
      return modulated_conv2d_noise_bias_act(x, w, s, noise, strength, b, o, l.act).value().host();
    };
    INFO(to_string(l.act.activation), " of ", l.n, " samples");
    CHECK(difference(run(cpu()), the_same_in_every_order([&] { return run(device); })) < 2e-6);
  }
}
TEST_CASE("cuda conv: a layer refuses what is elsewhere or of another shape") {
  Device device;
  if (!test::device_for(device)) return;
  auto some = [&](Shape const& s) { return Var<float>(ones<float>(s, device)); };
  auto const x = some({1, 4, 4, 3}), w = some({5, 3, 3, 3}), s = some({1, 3}), b = some({5}), strength = some({});
  auto layer = [&](Var<float> const& noise) {
    return modulated_conv2d_noise_bias_act(x, w, s, noise, strength, b, ModulatedConvOptions<float>{.padding = 1});
  };
  CHECK_NOTHROW(layer(some({1, 4, 4, 1})));
  CHECK_THROWS_WITH_AS(layer(Var<float>(ones<float>({1, 4, 4, 1}))), doctest::Contains("different devices"), Error);
  CHECK_THROWS_WITH_AS(layer(some({1, 3, 4, 1})), doctest::Contains("noise must be [1 or n, h, w, 1]"), Error);
}
TEST_CASE("cuda conv: how a convolution is cut") {
  using detail::ConvTiles;
  auto const many = detail::plan_conv(8 * 256 * 256, 128, 1, 72, false), few = detail::plan_conv(16, 512, 1, 288, false),
             thin = detail::plan_conv(1 << 20, 32, 1, 18, false), weight = detail::plan_conv(64, 32, 9, 1 << 16, true);
  CHECK(many.tiles == ConvTiles::wide);
  CHECK(many.splits == 1);
  CHECK(few.tiles == ConvTiles::small);
  CHECK(few.splits > 16);
  CHECK(thin.tiles == ConvTiles::slim);
  CHECK(thin.splits == 1);
  CHECK(weight.splits > 8);
  auto const large = detail::plan_conv(8 * 64 * 64, 512, 1, 288, false, true), one = detail::plan_conv(32 * 32, 512, 1, 288, false, true),
             tiny = detail::plan_conv(16, 512, 1, 288, false, true);
  CHECK(large.tiles == ConvTiles::warpgroups);
  CHECK(large.splits == 1);
  CHECK(one.tiles == ConvTiles::warpgroups);
  CHECK(one.splits == 8);
  CHECK(tiny.tiles == ConvTiles::small);
}
