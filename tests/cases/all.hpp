// Every family of the case table.
#pragma once
#include "cases/basic.hpp"
#include "cases/convolution.hpp"
#include "cases/render.hpp"

namespace cases {

inline Table const& all() {
  static Table const table = [] {
    Table t;
    add_basic(t);
    add_convolution(t);
    add_render(t);
    return t;
  }();
  return table;
}

}  // namespace cases
