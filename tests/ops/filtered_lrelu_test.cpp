#include "rig/ops/filtered_lrelu.hpp"

#include <doctest/doctest.h>

#include "ops/parity.hpp"
#include "rig/autodiff/gradcheck.hpp"
#include "rig/ops/modulated_conv.hpp"

using namespace rig;

namespace {

/// Step by step, with the large picture in full.
template <class T>
Var<T> composed(Var<T> const& x, Var<T> const& b, Tensor<T> const& fu, Tensor<T> const& fd, FilteredLreluOptions const& o) {
  Var<T> const u = upfirdn2d(b ? x + b : x, fu, {.up = o.up, .padding = o.padding, .flip = o.flip, .gain = double(o.up) * o.up});
  Var<T> const v = bias_act(u, Var<T>{}, {.activation = Activation::lrelu, .alpha = o.slope, .gain = o.gain, .clamp = o.clamp});
  return upfirdn2d(v, fd, {.down = o.down, .flip = o.flip});
}
template <class T> double largest_difference(Tensor<T> const& a, Tensor<T> const& b) {
  REQUIRE(a.shape() == b.shape());
  double d = 0;
  auto const x = a.host(), y = b.host();
  for (std::size_t i = 0; i < x.size(); ++i) d = std::max(d, std::abs(double(x[i]) - double(y[i])));
  return d;
}

struct Shapes {
  char const* how;
  Shape fu, fd, x;
  FilteredLreluOptions o;
};
// Every way through the tiles and past them; the picture of 150 by 130 has several tiles each way, the one of 70 channels three chunks.
std::vector<Shapes> const& ways() {
  static std::vector<Shapes> const w{
      {"as a layer of StyleGAN3", {12}, {12}, {2, 10, 9, 3}, {.up = 2, .down = 2, .padding = {9, 8, 9, 8}, .clamp = 1.5}},
      {"growing and cropped", {24}, {12}, {1, 14, 13, 2}, {.up = 4, .down = 2, .padding = {-6, -9, -6, -9}}},
      {"radial", {12}, {12, 12}, {1, 9, 8, 3}, {.up = 2, .down = 2, .padding = {11, 10, 9, 8}, .clamp = 2}},
      {"neither a product", {5, 4}, {3, 4}, {2, 7, 6, 3}, {.up = 2, .down = 2, .padding = {3, 2, 2, 4}}},
      {"mirrored, sides of their own", {5}, {7}, {2, 8, 7, 2}, {.up = 3, .down = 2, .padding = {5, 4, 3, 6}, .flip = true, .slope = 0.1}},
      {"up only", {4}, {}, {1, 8, 8, 2}, {.up = 2, .padding = {2, 1, 2, 1}, .gain = 0.7, .slope = 0, .clamp = 0.5}},
      {"down only", {}, {8}, {1, 12, 13, 2}, {.down = 3, .padding = {1, 2, 0, 3}}},
      {"fewer taps than the step", {2}, {2}, {1, 12, 11, 2}, {.up = 3, .down = 5, .padding = {4, 3, 6, 2}}},
      {"zeros all around", {6}, {4}, {1, 3, 3, 2}, {.up = 2, .down = 2, .padding = {20, 21, 22, 19}}},
      {"more bands than one", {4}, {4}, {2, 300, 60, 70}, {.up = 2, .down = 2, .padding = {2, 1, 2, 1}}},
      {"many tiles", {12}, {12}, {1, 150, 130, 2}, {.up = 2, .down = 2, .padding = {9, 8, 9, 8}}},
      {"many channels", {8}, {6, 6}, {2, 9, 10, 70}, {.up = 2, .down = 2, .padding = {6, 5, 6, 5}}},
      {"up by less than down", {6}, {12}, {1, 30, 33, 2}, {.up = 2, .down = 4, .padding = 7}},
      {"nothing but the activation", {}, {}, {2, 3, 4, 3}, {.gain = 1, .slope = 1, .clamp = 1}},
  };
  return w;
}

}  // namespace

TEST_CASE("filtered_lrelu: by hand") {
  // Pixels 1 and -2, each twice each way (taps of a half, gain 4), clamped; down-sampling averages the pairs again.
  Var<double> const x(Tensor<double>({1, 1, 2, 1}, {0.5, -2.5})), b(Tensor<double>({1}, {0.5}));
  Tensor<double> const f({2}, {0.5, 0.5});
  FilteredLreluOptions const o{.up = 2, .down = 2, .padding = {1, 0, 1, 0}, .gain = 1, .slope = 0.5, .clamp = 0.75};
  auto const y = filtered_lrelu(x, b, f, f, o).value();
  CHECK(y.host() == std::vector<double>{0.75, -0.75});
}

TEST_CASE("filtered_lrelu: tiles against the whole, values and both derivatives") {
  Rng rng(31);
  for (auto const& s : ways()) {
    INFO(s.how);
    Tensor<double> const x = randn<double>(s.x, rng), b = randn<double>({s.x[3]}, rng);
    Tensor<double> const fu = s.fu.rank() ? randn<double>(s.fu, rng, {}, 0.4) : Tensor<double>();
    Tensor<double> const fd = s.fd.rank() ? randn<double>(s.fd, rng, {}, 0.4) : Tensor<double>();
    auto const plain = filtered_lrelu<double>(x, b, fu, fd, s.o).value(), whole = composed<double>(x, b, fu, fd, s.o).value();
    CHECK(largest_difference(plain, whole) < 1e-11);
    std::vector<Tensor<double>> found[2];
    Rng other(5);
    Tensor<double> const gy0 = randn<double>(whole.shape(), other), along = randn<double>(s.x, other);
    for (int way : {0, 1}) {
      Tape tape;
      auto const tx = tape.watch(x), tb = tape.watch(b), gy = tape.watch(gy0);
      auto const y = way ? composed<double>(tx, tb, fu, fd, s.o) : filtered_lrelu<double>(tx, tb, fu, fd, s.o);
      auto const g = tape.grad(y, {tx, tb}, gy);
      auto const again = tape.grad(sum(g[0] * Var<double>(along)) + sum(square(g[1])), gy);
      found[way] = {y.value(), g[0].value(), g[1].value(), again.value()};
    }
    for (std::size_t i = 0; i < found[0].size(); ++i) CHECK(largest_difference(found[0][i], found[1][i]) < 1e-10);
  }
}

TEST_CASE("filtered_lrelu: the same bits for any number of threads") {
  Rng rng(7);
  Tensor<float> const x = randn<float>({2, 75, 66, 40}, rng), b = randn<float>({40}, rng), f = randn<float>({12}, rng),
                      radial = randn<float>({6, 6}, rng);
  FilteredLreluOptions const o{.up = 2, .down = 2, .padding = {9, 8, 9, 8}};
  int const before = threads();
  for (Tensor<float> const& fd : {f, radial}) {
    set_threads(1);
    auto const y = filtered_lrelu<float>(x, b, f, fd, o).value().host();
    for (int n : {2, 7}) {
      set_threads(n);
      CHECK(filtered_lrelu<float>(x, b, f, fd, o).value().host() == y);
    }
  }
  set_threads(before);
}

TEST_CASE("filtered_lrelu: wrong arguments are named") {
  Var<float> const x(zeros<float>({1, 4, 4, 2})), b(zeros<float>({2})), wrong(zeros<float>({3}));
  Tensor<float> const f = full<float>({4}, 0.25f);
  FilteredLreluOptions const o{.up = 2, .down = 2, .padding = 2};
  CHECK_THROWS_WITH_AS(filtered_lrelu(x, wrong, f, f, o), "filtered_lrelu: bias must be [2] to match x [1, 4, 4, 2], got [3]", Error);
  CHECK_THROWS_AS(filtered_lrelu(Var<float>(zeros<float>({4, 4, 2})), b, f, f, o), Error);
  CHECK_THROWS_AS(filtered_lrelu(x, b, zeros<float>({1, 2, 2}), f, o), Error);
  CHECK_THROWS_AS(filtered_lrelu(x, b, f, f, {.up = 0}), Error);
  CHECK_THROWS_WITH_AS(filtered_lrelu(x, b, f, f, {.padding = -2}),
                       "filtered_lrelu: the picture up-sampled and padded is 0 by 0, smaller than the filter of 4 by 4", Error);
}

TEST_CASE("filtered_lrelu: the stored cases") {
  int const ran = parity::run("ops_filtered_lrelu.npz", {"x", "b"}, [](parity::Case const& c, auto const& in) {
    auto p = [&](int i) { return c.number("p", i); };
    auto filter = [&](char const* name) { return c.has(name) ? c.raw(name).template as<float>() : Tensor<float>(); };
    return filtered_lrelu(in.at("x"), in.count("b") ? in.at("b") : Var<float>{}, filter("fu"), filter("fd"),
                          {.up = p(0),
                           .down = p(1),
                           .padding = {p(2), p(3), p(4), p(5)},
                           .flip = p(6) != 0,
                           .gain = c.scalar("gain"),
                           .slope = c.scalar("slope"),
                           .clamp = c.scalar("clamp")});
  });
  CHECK(ran != 0);
}

TEST_CASE("normalized_modulated_conv2d: the stored cases") {
  int const ran = parity::run("ops_modulated_conv2d_sg3.npz", {"x", "w", "s", "input_gain"}, [](parity::Case const& c, auto const& in) {
    return normalized_modulated_conv2d(in.at("x"), in.at("w"), in.at("s"), in.count("input_gain") ? in.at("input_gain") : Var<float>{},
                                       {.demodulate = c.number("p", 1) != 0, .padding = c.number("p", 0)});
  });
  CHECK(ran != 0);
}
