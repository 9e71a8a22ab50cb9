// Cases of arithmetic, sums, shapes, gather and activations.
#pragma once
#include "cases/case.hpp"
#include "rig/ops/activation.hpp"
#include "rig/ops/gather.hpp"

namespace cases {

inline void add_arithmetic(Table& t) {
  Shape const s{2, 5, 3}, big{64, 64, 128};
  std::vector<std::vector<Shape>> const unfit{{{2, 5, 3}, {2, 4, 3}}, {{4}, {3}}};
  auto two = [&](char const* name, auto f, Input b) {
    add(t, name, f, {normal(s), b}, {.wrong = unfit, .bench = {normal(big), normal(big)}});
    Input column = b, row = b;
    column.shape = {2, 1, 3}, row.shape = {3};
    add(t, std::string(name) + " [2,5,3] with [2,1,3]", f, {normal(s), column}, {.bench = {normal({8, 1024, 64}), normal({8, 1, 64})}});
    add(t, std::string(name) + " [3] with [2,5,3]", f, {normal({3}), Input{s, b.scale, b.shift, b.positive}},
        {.bench = {normal({64}), normal({8, 1024, 64})}});
    add(t, std::string(name) + " [2,5,3] with [5,1]", f, {normal(s), Input{{5, 1}, b.scale, b.shift, b.positive}});
    add(t, std::string(name) + " [2,5,3] with []", f, {normal(s), Input{{}, b.scale, b.shift, b.positive}});
  };
  two(
      "add", [](auto const& x) { return x[0] + x[1]; }, normal(s));
  two(
      "subtract", [](auto const& x) { return x[0] - x[1]; }, normal(s));
  two(
      "multiply", [](auto const& x) { return x[0] * x[1]; }, normal(s));
  two(
      "divide", [](auto const& x) { return x[0] / x[1]; }, positive(s));

  auto one = [&](char const* name, auto f, Input in) {
    Input b = in;
    b.shape = big;
    add(t, name, f, {in}, {.bench = {b}});
  };
  one(
      "affine", [](auto const& x) { return 1.5 * x[0] - 0.25; }, normal(s));
  one(
      "one over", [](auto const& x) { return 2.0 / x[0]; }, positive(s));
  one(
      "square", [](auto const& x) { return square(x[0]); }, normal(s));
  one(
      "sqrt", [](auto const& x) { return sqrt(x[0]); }, positive(s));
  one(
      "rsqrt", [](auto const& x) { return rsqrt(x[0]); }, positive(s));
  one(
      "exp", [](auto const& x) { return exp(x[0]); }, normal(s));
  one(
      "log", [](auto const& x) { return log(x[0]); }, positive(s));
  one(
      "sin", [](auto const& x) { return sin(x[0]); }, normal(s));
  one(
      "cos", [](auto const& x) { return cos(x[0]); }, normal(s));
  one(
      "abs", [](auto const& x) { return abs(x[0]); }, normal(s));
  one(
      "sign", [](auto const& x) { return apply(Unary<ScalarOf<decltype(x)>, Sign>{}, x[0]); }, normal(s));
  one(
      "inside",
      [](auto const& x) {
        return apply(Unary<ScalarOf<decltype(x)>, Inside<ScalarOf<decltype(x)>>>{{-0.5, 0.7}}, x[0]);
      },
      normal(s));
  one(
      "clamp", [](auto const& x) { return clamp(x[0], -0.5, 0.7); }, normal(s));
}

inline void add_reduce(Table& t) {
  for (Shape const& target : {Shape{}, Shape{3}, Shape{2, 1, 1, 3}, Shape{2, 5, 1, 1}, Shape{1, 5, 1, 3}})
    add(t, str("sum_to ", target), [target](auto const& x) { return sum_to(square(x[0]), target); }, {normal({2, 5, 7, 3})},
        {.wrong = target.rank() ? std::vector<std::vector<Shape>>{{Shape{7, 4}}} : std::vector<std::vector<Shape>>{}});
  add(t, "broadcast_to",
      [](auto const& x) {
        return broadcast_to(x[0], {4, 2, 5, 3});
      },
      {normal({2, 1, 3})}, {.wrong = {{Shape{2, 2, 3}}}});
  add(t, "broadcast_to from one", [](auto const& x) { return broadcast_to(x[0], {4, 2}); }, {normal({})});
  add(t, "sum", [](auto const& x) { return sum(square(x[0])); }, {normal({3, 50, 11})}, {.bench = {normal({8, 32, 32, 64})}});
  add(t, "sum over axis 1", [](auto const& x) { return sum(square(x[0]), 1); }, {normal({3, 5, 4})},
      {.wrong = {{Shape{3}}}, .bench = {normal({8, 1024, 64})}});
  add(t, "mean", [](auto const& x) { return mean(square(x[0])); }, {normal({3, 5, 4})}, {.wrong = {{Shape{3, 0}}}});
  add(t, "mean over the last axis", [](auto const& x) { return mean(square(x[0]), -1, true); }, {normal({3, 5, 4})},
      {.bench = {normal({8, 1024, 64})}});
}

inline void add_shape(Table& t) {
  add(t, "reshape", [](auto const& x) { return reshape(square(x[0]), {6, 5}); }, {normal({2, 3, 5})}, {.wrong = {{Shape{2, 3, 4}}}});
  add(t, "slice axis 0", [](auto const& x) { return slice(square(x[0]), 0, 1, 2); }, {normal({4, 3, 2})}, {.wrong = {{Shape{2, 3}}}});
  add(t, "slice axis 1", [](auto const& x) { return slice(square(x[0]), 1, 1, 2); }, {normal({4, 3, 2})},
      {.wrong = {{Shape{4, 2, 2}}}, .bench = {normal({64, 512, 64})}});
  add(t, "slice the last axis", [](auto const& x) { return slice(square(x[0]), -1, 2, 3); }, {normal({4, 3, 6})},
      {.bench = {normal({4096, 1, 512})}});
  add(t, "unslice", [](auto const& x) { return unslice(square(x[0]), 1, 2, 7); }, {normal({4, 3, 2})}, {.wrong = {{Shape{4, 6, 2}}}});
  add(t, "concat",
      [](auto const& x) {
        return concat<ScalarOf<decltype(x)>>({square(x[0]), x[1], x[0]}, 1);
      },
      {normal({2, 3, 2}), normal({2, 4, 2})},
      {.wrong = {{Shape{2, 3, 2}, Shape{2, 4, 3}}}, .bench = {normal({64, 512, 16}), normal({64, 512, 16})}});
  add(t, "permute",
      [](auto const& x) {
        return permute(square(x[0]), {2, 0, 3, 1});
      },
      {normal({2, 3, 4, 5})}, {.wrong = {{Shape{2, 3, 4}}}, .bench = {normal({8, 32, 32, 64})}});
  Tensor<int> const index({4}, {2, 0, 2, 1});
  add(t, "gather axis 0", [index](auto const& x) { return gather(square(x[0]), index.to(x[0].device())); }, {normal({3, 5})},
      {.wrong = {{Shape{2, 5}}}});
  add(t, "gather axis 1", [index](auto const& x) { return gather(square(x[0]), index.to(x[0].device()), 1); }, {normal({2, 3, 4})},
      {.wrong = {{Shape{4, 2, 4}}}});
  add(t, "scatter_add", [index](auto const& x) { return scatter_add(square(x[0]), index.to(x[0].device()), 5, 1); }, {normal({2, 4, 3})},
      {.wrong = {{Shape{2, 3, 3}}}});
}

inline void add_activation(Table& t) {
  add(t, "bias_act_slope",
      [](auto const& x) {
        using T = ScalarOf<decltype(x)>;
        return apply(
            BiasActSlope<T>{Tensor<T>({2, 3}, {T(0.3), T(-0.2), T(0.9), T(-0.9), T(1), T(-0.1)}, x[0].device()), T(1.3), T(0.4), T(0.8)},
            x[0]);
      },
      {normal({2, 3})});
  add(t, "bias_act_slope_sum",
      [](auto const& x) {
        using T = ScalarOf<decltype(x)>;
        BiasActSlope<T> const slope{Tensor<T>({2, 3}, {T(0.3), T(-0.2), T(0.9), T(-0.9), T(1), T(-0.1)}, x[0].device()), T(1.3), T(0.4),
                                    T(0.8)};
        return apply(BiasActSlopeSum<T>{slope}, x[0]);
      },
      {normal({2, 3})});
  for (int a = 0; a <= int(Activation::swish); ++a) {
    Activation const act = Activation(a);
    std::string const name = to_string(act);
    add(t, name, [act](auto const& x) { return activate(x[0], act); }, {normal({3, 5})}, {.bench = {normal({8, 32, 32, 64})}});
    add(t, "bias_act " + name, [act](auto const& x) { return bias_act(x[0], x[1], {.activation = act}); },
        {normal({2, 5, 7, 3}), normal({3})},
        {.wrong = {{Shape{2, 3, 4}, Shape{3}}, {Shape{4, 3}, Shape{1, 3}}}, .bench = {normal({8, 32, 32, 64}), normal({64})}});
    add(t, "bias_act " + name + " clamped",
        [act](auto const& x) { return bias_act(x[0], x[1], {.activation = act, .alpha = 0.35, .gain = 1.3, .clamp = 0.6}); },
        {normal({2, 5, 3}), normal({3})});
  }
}

inline void add_basic(Table& t) {
  add_arithmetic(t);
  add_reduce(t);
  add_shape(t);
  add_activation(t);
}

}  // namespace cases
