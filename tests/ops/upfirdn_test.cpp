#include "rig/ops/upfirdn.hpp"

#include <doctest/doctest.h>

#include "ops/parity.hpp"
#include "rig/autodiff/gradcheck.hpp"
#include "rig/ops/arithmetic.hpp"

using namespace rig;

TEST_CASE("upfirdn2d: by hand") {
  Var<double> const x(Tensor<double>({1, 1, 2, 1}, {1, 2}));
  Tensor<double> const f({1, 3}, {1, 10, 100});
  // 1 0 2 0 padded with two zeros before and one after, convolved.
  CHECK(upfirdn2d(x, f, {.up = {2, 1}, .padding = {2, 1, 0, 0}}).value().host() == std::vector<double>{1, 10, 102, 20, 200});
  CHECK(upfirdn2d(x, f, {.up = {2, 1}, .padding = {2, 1, 0, 0}, .flip = true, .gain = 2}).value().host() ==
        std::vector<double>{200, 20, 402, 40, 4});
  CHECK(upfirdn2d(x, f, {.up = {2, 1}, .down = {2, 1}, .padding = {2, 1, 0, 0}}).value().host() == std::vector<double>{1, 102, 200});
  CHECK(upfirdn2d(x, Tensor<double>(), {.padding = {1, -1, 0, 0}}).value().host() == std::vector<double>{0, 1});
}

TEST_CASE("setup_filter: a short one is an outer product, a long one stays a row") {
  Tensor<double> const f = setup_filter<double>({1, 3, 3, 1});
  CHECK(f.shape() == Shape{4, 4});
  CHECK(f.host()[0] == 1 / 64.0);
  CHECK(f.host()[5] == 9 / 64.0);
  CHECK(setup_filter<double>({1, 1, 1, 1, 1, 1, 1, 1}).host() == std::vector<double>(8, 0.125));
  CHECK(setup_filter<double>({1, 3}, {.normalize = false, .flip = true, .gain = 2}).host() == std::vector<double>{18, 6, 6, 2});
  CHECK(setup_filter<double>({}).host() == std::vector<double>{1});
  CHECK_THROWS_AS(setup_filter<double>({1, -1}), Error);
}

TEST_CASE("upfirdn2d: rows of pixels against the plain kernel, and the same bits for any number of threads") {
  Rng rng(4);
  for (std::int64_t channels : {3, 32, 77}) {
    Tensor<float> const x = randn<float>({2, 19, 23, channels}, rng), f = randn<float>({4, 3}, rng);
    UpfirdnOptions const o{.up = {2, 3}, .down = {3, 2}, .padding = {2, -1, 3, 1}, .flip = true};
    int const before = threads();
    set_threads(1);
    Tensor<float> const y = upfirdn2d<float>(x, f, o).value();
    for (int n : {2, 7}) {
      set_threads(n);
      CHECK(upfirdn2d<float>(x, f, o).value().host() == y.host());
    }
    set_threads(before);
    Tensor<float> plain = like(y);
    detail::Resampling const rows{19, y.dim(1), 3, 2, 3, 4}, cols{23, y.dim(2), 2, 3, 2, 3};
    detail::UpfirdnKernel<float> const k{x.data(), f.data(), plain.mutate(), channels, rows, cols};
    for (std::int64_t p = 0; p < 2 * y.dim(1) * y.dim(2); ++p)
      for (std::int64_t c = 0; c < channels; ++c) k(p, c);
    auto const a = y.host(), b = plain.host();
    double d = 0;
    for (std::size_t i = 0; i < a.size(); ++i) d = std::max(d, std::abs(double(a[i]) - double(b[i])));
    CHECK(d < 1e-5);  // not equal bits: the compiler may fuse a multiplication and an addition in one of the two
  }
}

TEST_CASE("upfirdn2d: gradients, first and second") {
  Rng rng(5);
  Tensor<double> const x = randn<double>({2, 5, 7, 3}, rng), f = randn<double>({3, 4}, rng), line = randn<double>({8}, rng);
  for (int order = 1; order <= 2; ++order) {
    GradcheckOptions const check_order{.order = order};
    CHECK(gradcheck(
              [&](auto const& v) {
                return square(upfirdn2d(v[0], f, {.up = {2, 3}, .down = {3, 2}, .padding = {2, -1, 3, 1}, .gain = 0.7}));
              },
              {x}, check_order)
              .worst < 1e-6);
    CHECK(
        gradcheck([&](auto const& v) { return square(upfirdn2d(v[0], line, {.up = 2, .down = 3, .padding = 4, .flip = true, .gain = 3})); },
                  {x}, check_order)
            .worst < 1e-6);
    CHECK(gradcheck([&](auto const& v) { return square(downsample2d(upsample2d(filter2d(v[0], f), f), f)); }, {x}, check_order).worst <
          1e-6);
  }
}

TEST_CASE("upfirdn2d: the stored cases") {
  int const ran = parity::run("ops_upfirdn2d.npz", {"x"}, [](parity::Case const& c, auto const& in) {
    auto p = [&](int i) { return c.number("p", i); };
    UpfirdnOptions const o{
        .up = {p(0), p(1)}, .down = {p(2), p(3)}, .padding = {p(4), p(5), p(6), p(7)}, .flip = p(8) != 0, .gain = c.scalar("gain")};
    switch (int(c.scalar("kind"))) {
      case 1: return filter2d(in.at("x"), c.filter(), o);
      case 2: return upsample2d(in.at("x"), c.filter(), o);
      case 3: return downsample2d(in.at("x"), c.filter(), o);
      default: return upfirdn2d(in.at("x"), c.filter(), o);
    }
  });
  CHECK(ran != 0);
}

TEST_CASE("conv2d_resample: the stored cases") {
  int const ran = parity::run("ops_conv2d_resample.npz", {"x", "w"}, [](parity::Case const& c, auto const& in) {
    auto p = [&](int i) { return c.number("p", i); };
    return conv2d_resample(in.at("x"), in.at("w"), c.filter(),
                           {.up = p(0),
                            .down = p(1),
                            .padding = {p(2), p(3), p(4), p(5)},
                            .groups = p(6),
                            .flip_weight = p(7) != 0,
                            .flip_filter = p(8) != 0});
  });
  CHECK(ran != 0);
}

TEST_CASE("conv2d_resample: gradients, first and second") {
  Rng rng(8);
  Tensor<double> const x = randn<double>({2, 5, 4, 4}, rng), w = randn<double>({6, 3, 3, 2}, rng), f = randn<double>({4, 3}, rng);
  for (int order = 1; order <= 2; ++order)
    for (auto [up, down] : {std::pair{2, 1}, {1, 2}, {2, 2}}) {
      ConvResampleOptions const o{.up = up, .down = down, .padding = 1, .groups = 2, .flip_weight = up == down};
      CHECK(gradcheck([&](auto const& v) { return square(conv2d_resample(v[0], v[1], f, o)); }, {x, w}, {.order = order}).worst < 1e-6);
    }
}

TEST_CASE("upfirdn2d: wrong shapes are named") {
  Var<float> const x(zeros<float>({1, 2, 2, 1}));
  CHECK_THROWS_WITH_AS(upfirdn2d(x, zeros<float>({4, 4})),
                       "upfirdn2d: x [1, 2, 2, 1] up-sampled and padded is 2 by 2, smaller than the filter of 4 by 4", Error);
  CHECK_THROWS_AS(upfirdn2d(x, zeros<float>({1, 1}), {.up = 0}), Error);
  CHECK_THROWS_AS(upfirdn2d(Var<float>(zeros<float>({2, 2})), zeros<float>({1, 1})), Error);
  CHECK_THROWS_AS(conv2d_resample(x, Var<float>(zeros<float>({3, 3})), zeros<float>({1, 1})), Error);
  CHECK_THROWS_AS(filter2d(x, zeros<float>({1, 1}), {.up = 2}), Error);
}
