// Cases of products.
#pragma once
#include "cases/case.hpp"
#include "rig/ops/matmul.hpp"

namespace cases {

inline void add_linear_algebra(Table& t) {
  // [rows, columns], or as it is stored when it is read transposed; with g, one for each entry of the first extent.
  auto matrix = [](std::int64_t g, bool transposed, std::int64_t rows, std::int64_t columns) {
    if (transposed) std::swap(rows, columns);
    return g > 0 ? Shape{g, rows, columns} : Shape{rows, columns};
  };
  for (int k = 0; k < 4; ++k) {
    MatmulOptions const o{k % 2 == 1, k / 2 == 1};
    std::string const how = std::string(o.a ? ", a transposed" : "") + (o.b ? ", b transposed" : "");
    auto shapes = [&](std::int64_t g, std::int64_t n, std::int64_t inner, std::int64_t m) {
      return std::vector<Shape>{matrix(g, o.a, n, inner), matrix(g, o.b, inner, m)};
    };
    auto inputs = [&](std::vector<Shape> const& s) { return std::vector<Input>{normal(s[0]), normal(s[1])}; };
    add(t, "matmul" + how, [o](auto const& x) { return matmul(x[0], x[1], o); }, inputs(shapes(0, 2, 5, 3)),
        {.wrong = {{matrix(0, o.a, 2, 4), matrix(0, o.b, 5, 3)}, {{5}, {5, 3}}, shapes(2, 2, 5, 3)},
         .bench = inputs(shapes(0, 256, 512, 384))});
    add(t, "batched_matmul" + how, [o](auto const& x) { return batched_matmul(x[0], x[1], o); }, inputs(shapes(3, 2, 5, 4)),
        {.wrong = {{matrix(3, o.a, 2, 5), matrix(2, o.b, 5, 4)}, {matrix(3, o.a, 2, 4), matrix(3, o.b, 5, 4)}, shapes(0, 2, 5, 4)},
         .bench = inputs(shapes(18, 16, 512, 256))});
  }
  add(t, "matmul, a single row", [](auto const& x) { return matmul(x[0], x[1]); }, {normal({1, 7}), normal({7, 5})},
      {.bench = {normal({1, 512}), normal({512, 512})}});
  add(t, "matmul of something with itself", [](auto const& x) { return matmul(x[0], x[0], {.b = true}); }, {normal({3, 5})});
}

}  // namespace cases
