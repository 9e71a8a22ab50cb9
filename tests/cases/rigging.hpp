// Cases of what networks and the rig add: dense layers, normalisation, style mixing, the replacement of parameters.
#pragma once
#include "cases/case.hpp"
#include "rig/nn/mapping.hpp"
#include "rig/stylerig/parameters.hpp"

namespace cases {

/// A mask of 0 and 1 that no permutation of rows or columns keeps.
inline Tensor<unsigned char> crooked_mask(std::int64_t n, std::int64_t f, Device const& device) {
  std::vector<unsigned char> m;
  for (std::int64_t i = 0; i < n * f; ++i) m.push_back(i * i % 7 < 3);
  return Tensor<unsigned char>({n, f}, m, device);
}

inline void add_rigging(Table& t) {
  using namespace nn;
  auto replacement = [&](char const* how, bool one_row) {
    add(t, std::string("replace, ") + how,
        [one_row](auto const& x) {
          std::int64_t const n = x[0].dim(0) == 64 ? 64 : 3, f = n == 64 ? 257 : 7;
          return stylerig::replace(x[0], x[1], crooked_mask(one_row ? 1 : n, f, x[0].device()));
        },
        {normal({3, 7}), normal({3, 7})},
        {.wrong = {{{3, 7}, {2, 7}}, {{3, 6}, {3, 6}}, {{7}, {7}}}, .bench = {normal({64, 257}), normal({64, 257})}});
  };
  replacement("one mask for all", true);
  replacement("a mask for each", false);
  add(t, "replace by nothing", [](auto const& x) { return stylerig::replace(x[0], {}, crooked_mask(1, x[0].dim(-1), x[0].device())); },
      {normal({3, 7})}, {.wrong = {{{3, 7, 2}}}, .bench = {normal({64, 257})}});

  auto layer = [&](std::string const& how, Activation a) {
    add(t, "dense, " + how, [a](auto const& x) { return dense(x[0], x[1], x[2], a, 0.3, 0.7); },
        {normal({3, 5}), normal({4, 5}), normal({4})},
        {.wrong = {{{3, 5}, {4, 6}, {4}}, {{3, 5}, {4, 5}, {5}}}, .bench = {normal({64, 512}), normal({512, 512}), normal({512})}});
  };
  layer("linear", Activation::linear);
  layer("lrelu", Activation::lrelu);
  add(t, "normalize_second_moment", [](auto const& x) { return normalize_second_moment(x[0]); }, {normal({3, 5})},
      {.wrong = {{{3, 5, 2}}}, .bench = {normal({64, 512})}});
  add(t, "mix", [](auto const& x) { return mix(x[0], x[1], 2); }, {normal({2, 5, 3}), normal({2, 5, 3})},
      {.wrong = {{{2, 5, 3}, {2, 4, 3}}, {{2, 1, 3}, {2, 1, 3}}}, .bench = {normal({8, 18, 512}), normal({8, 18, 512})}});
}

}  // namespace cases
