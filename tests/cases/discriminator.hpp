// Cases of what discriminators add.
#pragma once
#include "cases/case.hpp"
#include "rig/ops/minibatch_stddev.hpp"
#include "rig/ops/warp.hpp"

namespace cases {

/// Of every kind: turned and squeezed, so small that it repeats, mirrored, turned by a quarter over the edge, enlarged, slanted.
template <class T> Tensor<T> crooked_maps(std::int64_t n) {
  T const kinds[6][6] = {{0.8, -0.7, 0.3, 0.5, 0.9, -1.2}, {5.1, 0.4, 1, -0.3, 6.2, 0.5}, {-1, 0, 0, 0, 1, 0}, {0, 1, 3, -1, 0, -2},
                         {0.3, 0.1, 0, -0.1, 0.25, 2.5},   {1, 0.5, 0, 0, 1, 0.25}};
  std::vector<T> maps;
  for (std::int64_t i = 0; i < n; ++i) {
    maps.insert(maps.end(), kinds[i % 6], kinds[i % 6] + 6);
    maps.insert(maps.end(), {0, 0, 1});
  }
  return Tensor<T>({n, 3, 3}, maps);
}

inline void add_discriminator(Table& t) {
  auto stddev = [&](char const* how, MinibatchStddevOptions const& o, std::vector<std::vector<Shape>> const& wrong) {
    add(t, std::string("minibatch_stddev, ") + how, [o](auto const& x) { return minibatch_stddev(x[0], o); }, {normal({6, 3, 2, 4})},
        {.wrong = wrong, .bench = {normal({12, 4, 4, 512})}});
  };
  stddev("groups of 3, 2 features", {.group = 3, .features = 2}, {{{5, 3, 2, 4}}, {{6, 3, 2, 5}}, {{6, 2, 4}}, {{0, 3, 2, 4}}});
  stddev("the whole batch", {.group = -1}, {{{6, 2, 4}}});
  stddev("a group larger than the batch", {.group = 99, .features = 4}, {{{6, 3, 2, 6}}});

  auto warp = [&](std::string const& how, Shape const& x, Shape const& large) {
    std::int64_t const n = x[0], large_n = large[0];
    add(t, "warp2d, " + how,
        [=](auto const& v) { return warp2d(v[0], crooked_maps<ScalarOf<decltype(v)>>(v[0].dim(1) == large[1] ? large_n : n)); },
        {normal(x)}, {.wrong = {{x.with(0, n + 1)}, {{n, 5, 7}}, {x.with(3, 0)}}, .bench = {normal(large)}});
    add(t, "warp2d_transposed, " + how,
        [=](auto const& v) {
          using T = ScalarOf<decltype(v)>;
          auto const maps = crooked_maps<T>(v[0].dim(1) == large[1] ? large_n : n);
          return apply(Warp2dTransposed<T>{std::make_shared<detail::WarpPlan<T> const>(maps, v[0].dim(1), v[0].dim(2), v[0].device())},
                       v[0]);
        },
        {normal(x)}, {.wrong = {{x.with(0, n + 1)}}, .bench = {normal(large)}});
  };
  warp("every kind of map", {6, 5, 7, 3}, {16, 64, 64, 3});
  warp("more channels than lie together", {2, 6, 4, 5}, {3, 33, 40, 9});
  warp("a line of pixels", {6, 1, 6, 1}, {6, 32, 32, 1});
}

}  // namespace cases
