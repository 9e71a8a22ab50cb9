// Every family of the case table.
#pragma once
#include "cases/alias_free.hpp"
#include "cases/basic.hpp"
#include "cases/convolution.hpp"
#include "cases/discriminator.hpp"
#include "cases/linear_algebra.hpp"
#include "cases/progressive.hpp"
#include "cases/render.hpp"
#include "cases/rigging.hpp"

namespace cases {

inline Table const& all() {
  static Table const table = [] {
    Table t;
    add_basic(t);
    add_linear_algebra(t);
    add_convolution(t);
    add_alias_free(t);
    add_discriminator(t);
    add_progressive(t);
    add_render(t);
    add_rigging(t);
    return t;
  }();
  return table;
}

}  // namespace cases
