// Cases of what discriminators add.
#pragma once
#include "cases/case.hpp"
#include "rig/ops/minibatch_stddev.hpp"

namespace cases {

inline void add_discriminator(Table& t) {
  auto stddev = [&](char const* how, MinibatchStddevOptions const& o, std::vector<std::vector<Shape>> const& wrong) {
    add(t, std::string("minibatch_stddev, ") + how, [o](auto const& x) { return minibatch_stddev(x[0], o); }, {normal({6, 3, 2, 4})},
        {.wrong = wrong, .bench = {normal({12, 4, 4, 512})}});
  };
  stddev("groups of 3, 2 features", {.group = 3, .features = 2}, {{{5, 3, 2, 4}}, {{6, 3, 2, 5}}, {{6, 2, 4}}, {{0, 3, 2, 4}}});
  stddev("the whole batch", {.group = -1}, {{{6, 2, 4}}});
  stddev("a group larger than the batch", {.group = 99, .features = 4}, {{{6, 3, 2, 6}}});
}

}  // namespace cases
