// The table of op cases. One line an op gives: its value is finite and its shape stable, gradients and gradients of
// gradients agree with central differences (or the second is refused by the op's name), wrong shapes are refused,
// CPU and CUDA agree, any thread count gives the same bits, and a benchmark. Constants of a case live where its inputs do.
// Readers: cases_test.cpp, bench/cases.cpp.
#pragma once
#include <string>
#include <vector>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/ops/arithmetic.hpp"

namespace cases {

using namespace rig;

/// How an input is filled: normal numbers times `scale` plus `shift`, or their magnitudes (`positive`).
struct Input {
  Shape shape;
  double scale = 1, shift = 0;
  bool positive = false;
};

inline Input normal(Shape s, double scale = 1) { return {s, scale, 0, false}; }
inline Input positive(Shape s, double shift = 0.5) { return {s, 1, shift, true}; }

/// The scalar of a generic lambda's argument.
template <class X> using ScalarOf = typename std::decay_t<decltype(std::declval<X>()[0])>::scalar;

template <class T> using Function = std::function<Var<T>(std::vector<Var<T>> const&)>;

struct Options {
  int order = 2;                               ///< derivatives that exist; 1: a second must be refused in the name of an op
  std::vector<std::vector<Shape>> wrong = {};  ///< input shapes that must be refused with rig::Error
  std::vector<Input> bench = {};               ///< inputs of a realistic size; empty: the checked ones
  double tolerance = 1e-6;                     ///< relative, of gradients; a larger one needs its reason beside the case
  bool slope = true;                           ///< false: the gradient is by design not the value's own; the case says who judges it
};

struct Case {
  std::string name;
  Function<double> in_double;
  Function<float> in_float;
  std::vector<Input> inputs;
  Options options;
};

using Table = std::vector<Case>;

/// f takes a std::vector of Var<T> for T float and double: a generic lambda.
template <class F> void add(Table& table, std::string name, F f, std::vector<Input> inputs, Options options = {}) {
  table.push_back({std::move(name), [f](std::vector<Var<double>> const& x) { return f(x); },
                   [f](std::vector<Var<float>> const& x) { return f(x); }, std::move(inputs), std::move(options)});
}

/// What `make` returns, made once a key: cases are also benchmarks, which should time ops and not scenes.
template <class Key, class Make> auto once(Key const& key, Make const& make) {
  static std::vector<std::pair<Key, decltype(make())>> made;
  for (auto const& [k, value] : made)
    if (k == key) return value;
  made.emplace_back(key, make());
  return made.back().second;
}

template <class T> std::vector<Tensor<T>> make_inputs(std::vector<Input> const& specification, Device const& device = {}) {
  Rng rng(20);
  std::vector<Tensor<T>> x;
  for (auto const& in : specification) {
    std::vector<double> const v = randn<double>(in.shape, rng).host();
    std::vector<T> w;
    for (double value : v) w.push_back(T(in.shift + in.scale * (in.positive && value < 0 ? -value : value)));
    x.push_back(Tensor<T>(in.shape, w, device));
  }
  return x;
}

}  // namespace cases
