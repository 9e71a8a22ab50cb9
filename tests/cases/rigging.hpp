// Cases of what networks and the rig add: dense layers, normalisation, style mixing, the replacement of parameters, and the losses on
// codes and parameters.
#pragma once
#include "cases/case.hpp"
#include "rig/nn/mapping.hpp"
#include "rig/stylerig/latent_losses.hpp"
#include "rig/stylerig/loss_sum.hpp"
#include "rig/stylerig/parameter_distance.hpp"
#include "rig/stylerig/regulariser.hpp"

namespace cases {

/// A mask of 0 and 1 that no permutation of rows or columns keeps.
inline Tensor<unsigned char> crooked_mask(std::int64_t n, std::int64_t f, Device const& device) {
  return once(std::tuple{n, f, device}, [&] {
    std::vector<unsigned char> m;
    for (std::int64_t i = 0; i < n * f; ++i) m.push_back(i * i % 7 < 3);
    return Tensor<unsigned char>({n, f}, m, device);
  });
}
/// Deviations [f], no two neighbours alike.
template <class T> Tensor<T> deviations(std::int64_t f, Device const& device) {
  return once(std::pair{f, device}, [&] {
    std::vector<T> d;
    for (std::int64_t i = 0; i < f; ++i) d.push_back(T(0.5) + T(i % 3) / 4);
    return Tensor<T>({f}, d, device);
  });
}
template <class T> stylerig::LightPriorOn<T> natural_lights(Device const& device) {
  return once(device, [&] { return stylerig::LightPrior::natural().on<T>(device); });
}

/// Losses on codes and on parameters, and their gradients as ops.
inline void add_losses(Table& t) {
  using namespace stylerig;
  // The last two samples of five, the last third of 96.
  auto edits = [](auto const& d) { return d.dim(0) == 96 ? std::int64_t(64) : std::int64_t(3); };
  add(t, "latent_losses", [edits](auto const& x) { return latent_losses(x[0], edits(x[0])); }, {normal({5, 2, 19})},
      {.wrong = {{{5, 19}}, {{2, 2, 19}}, {{5, 2, 0}}}, .bench = {normal({96, 18, 512})}});
  add(t, "latent_losses of edits alone", [](auto const& x) { return latent_losses(x[0], x[0].dim(0)); }, {normal({3, 2, 5}, 0.01)},
      {.bench = {normal({64, 18, 512})}});
  add(t, "latent_losses_slope",
      [edits](auto const& x) { return apply(stylerig::detail::LatentLossesSlope<ScalarOf<decltype(x)>>{edits(x[1])}, x[0], x[1]); },
      {normal({3}), normal({5, 2, 19})}, {.wrong = {{{2}, {5, 2, 19}}, {{3}, {5, 19}}}, .bench = {normal({3}), normal({96, 18, 512})}});
  add(t, "latent_losses_slope of edits alone",
      [](auto const& x) { return apply(stylerig::detail::LatentLossesSlope<ScalarOf<decltype(x)>>{x[1].dim(0)}, x[0], x[1]); },
      {normal({3}), normal({3, 2, 5})});

  auto distance = [&](char const* how, bool one_row) {
    add(t, std::string("masked_parameter_distance, ") + how,
        [one_row](auto const& x) {
          std::int64_t const n = x[0].dim(0) == 64 ? 64 : 3, f = n == 64 ? 257 : 7;
          return masked_parameter_distance(x[0], x[1], deviations<ScalarOf<decltype(x)>>(f, x[0].device()),
                                           crooked_mask(one_row ? 1 : n, f, x[0].device()));
        },
        {normal({3, 7}), normal({3, 7})},
        {.wrong = {{{3, 7}, {2, 7}}, {{3, 6}, {3, 6}}, {{7}, {7}}}, .bench = {normal({64, 257}), normal({64, 257})}});
  };
  distance("one mask for all", true);
  distance("a mask for each", false);
  add(t, "whitened_difference",
      [](auto const& x) {
        using T = ScalarOf<decltype(x)>;
        Device const device = x[1].device();
        Tensor<T> const count = once(device, [&] { return Tensor<T>({1}, {T(9)}, device); });
        return apply(stylerig::detail::WhitenedDifference<T>{{deviations<T>(7, device), crooked_mask(3, 7, device), count}}, x[0], x[1],
                     x[2]);
      },
      {normal(Shape{}), normal({3, 7}), normal({3, 7})}, {.wrong = {{{}, {3, 7}, {2, 7}}, {{}, {3, 6}, {3, 6}}}});

  auto prior = [&](char const* how, bool named, RegulariserOptions const& o) {
    add(t, std::string("regulariser, ") + how,
        [=](auto const& x) {
          using T = ScalarOf<decltype(x)>;
          ParameterLayout const layout = x[0].dim(0) == 64 ? ParameterLayout::standard() : ParameterLayout::standard(2, 3, 2);
          return regulariser(layout, x[0], o, named, natural_lights<T>(x[0].device()));
        },
        {normal({3, 40})}, {.wrong = {{{3, 39}}, {{40}}}, .bench = {normal({64, 257})}});
  };
  RegulariserOptions const all{.weight = 1, .light = 1e-3, .monochrome = 0.7, .named_l1 = 0.3};
  prior("squares", false, {.weight = 1, .monochrome = 0});
  prior("named shapes and lights", true, all);
  auto slope = [&](char const* how, bool second) {
    add(
        t, std::string("regulariser_slope, ") + how,
        [=](auto const& x) {
          using T = ScalarOf<decltype(x)>;
          auto const light = natural_lights<T>(x[1].device());
          auto const terms = stylerig::detail::regulariser_terms(ParameterLayout::standard(2, 3, 2), 3, all, true, light);
          return apply(stylerig::detail::RegulariserSlope<T>{terms, light}, x[0], x[1], second ? x[2] : Var<T>{});
        },
        second ? std::vector<Input>{normal(Shape{}), normal({3, 40}), normal({3, 40})}
               : std::vector<Input>{normal(Shape{}), normal({3, 40})});
  };
  slope("first", false);
  slope("second", true);

  std::vector<LossPart> const parts{{1, 0, 1, 3, 0.5}, {0, 1, 0, 6, 0.25}, {1, 1, 2, 2, -2}, {2, 0, 0, 1, 3}};
  std::vector<double> const weights{0.7, -1.5, 0.2};
  add(t, "loss_sum", [=](auto const& x) { return sum_losses(x, parts, weights); }, {normal({5}), normal({2, 3})},
      {.wrong = {{{3}, {2, 3}}, {{5}}}, .bench = {normal({64}), normal({64})}});
  add(t, "loss_sum_spread",
      [=](auto const& x) {
        using T = ScalarOf<decltype(x)>;
        return apply(stylerig::detail::LossSumSpread<T>{stylerig::detail::loss_sum_plan<T>(parts, weights), 1, {2, 3}}, x[0]);
      },
      {normal({4})}, {.wrong = {{{3}}}});
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
  add_losses(t);
}

}  // namespace cases
