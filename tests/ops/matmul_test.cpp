#include "rig/ops/matmul.hpp"

#include <doctest/doctest.h>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/ops/arithmetic.hpp"

using namespace rig;

namespace {

template <class T> double distance(Tensor<T> const& a, Tensor<T> const& b) {
  REQUIRE(a.shape() == b.shape());
  double d = 0;
  auto const x = a.host(), y = b.host();
  for (std::size_t i = 0; i < x.size(); ++i) d = std::max(d, std::abs(double(x[i]) - double(y[i])));
  return d;
}
template <class T> Tensor<T> plain(Tensor<T> const& a, Tensor<T> const& b, detail::ProductSize const& s) {
  Tensor<T> y({s.g, s.n, s.m});
  detail::ProductKernel<T> const k{s, a.data(), b.data(), y.mutate()};
  for (std::int64_t i = 0; i < y.size(); ++i) k(i);
  return y;
}

}  // namespace

TEST_CASE("matmul: two by hand") {
  Var<float> a(Tensor<float>({2, 3}, {1, 2, 3, 4, 5, 6})), b(Tensor<float>({3, 1}, {1, 0, -1}));
  CHECK(matmul(a, b).value().host() == std::vector<float>{-2, -2});
  CHECK(matmul(b, a, {.a = true, .b = true}).value().host() == std::vector<float>{-2, -2});
}

TEST_CASE_TEMPLATE("matmul: the back end against the plain kernel", T, float, double) {
  // Among the sizes: a vector, a long sum with few results, more than one tile, colours of many pixels, 32 and 64 columns.
  std::int64_t const sizes[][4] = {{1, 2, 5, 7},     {1, 1, 513, 640}, {1, 3, 40001, 5}, {5, 4, 33, 17},  {1, 530, 129, 600},
                                   {3, 1, 1, 1},     {18, 2, 64, 48},  {3, 70, 3, 3},    {2, 4100, 2, 4}, {2, 23, 37, 64},
                                   {1, 11, 512, 32}, {2, 1, 9, 32},    {1, 200, 257, 64}};
  for (auto const& z : sizes)
    for (int flags = 0; flags < 4; ++flags) {
      bool const fa = flags & 1, fb = flags & 2;
      auto const [g, n, k, m] = z;
      Rng rng(3);
      Tensor<T> const a = randn<T>(fa ? Shape{g, k, n} : Shape{g, n, k}, rng), b = randn<T>(fb ? Shape{g, m, k} : Shape{g, k, m}, rng);
      Tensor<T> const y = batched_matmul<T>(a, b, {fa, fb}).value();
      double const eps = std::is_same_v<T, float> ? 1e-6 : 1e-14;
      CHECK(distance(y, plain(a, b, {g, n, k, m, fa, fb})) < 8 * eps * std::sqrt(double(k)) * 4);
    }
}

TEST_CASE("matmul: gradients of every transposition, first and second") {
  Rng rng(5);
  for (int order = 1; order <= 2; ++order)
    for (int flags = 0; flags < 4; ++flags) {
      MatmulOptions const o{bool(flags & 1), bool(flags & 2)};
      Tensor<double> const a = randn<double>(o.a ? Shape{5, 2} : Shape{2, 5}, rng), b = randn<double>(o.b ? Shape{3, 5} : Shape{5, 3}, rng);
      auto const r = gradcheck([o](auto const& x) { return square(matmul(x[0], x[1], o)); }, {a, b}, {.order = order});
      CHECK(r.compared > 0);
      CHECK(r.worst < 1e-6);
      Tensor<double> const c = randn<double>(o.a ? Shape{3, 5, 2} : Shape{3, 2, 5}, rng),
                           d = randn<double>(o.b ? Shape{3, 4, 5} : Shape{3, 5, 4}, rng);
      auto const q = gradcheck([o](auto const& x) { return square(batched_matmul(x[0], x[1], o)); }, {c, d}, {.order = order});
      CHECK(q.worst < 1e-6);
    }
}

TEST_CASE("matmul: the same bits for any number of threads") {
  Rng rng(6);
  struct {
    Shape a, b;
    MatmulOptions o;
  } const cases[] = {{{300, 700}, {700, 900}, {}}, {{70000, 5}, {70000, 33}, {.a = true}}, {{1, 2048}, {1024, 2048}, {.b = true}}};
  for (auto const& c : cases) {
    Tensor<float> const a = randn<float>(c.a, rng), b = randn<float>(c.b, rng);
    int const before = threads();
    set_threads(1);
    auto const one = matmul<float>(a, b, c.o).value().host();
    for (int n : {2, 7}) {
      set_threads(n);
      CHECK(matmul<float>(a, b, c.o).value().host() == one);
    }
    set_threads(before);
  }
}

TEST_CASE("matmul: wrong shapes are named") {
  Var<float> a(zeros<float>({2, 3})), b(zeros<float>({4, 5})), c(zeros<float>({2, 3, 4}));
  CHECK_THROWS_WITH_AS(matmul(a, b), "matmul: inner extents differ: a is [2, 3] and gives 3, b is [4, 5] and gives 4", Error);
  CHECK_THROWS_AS(matmul(c, c), Error);
  CHECK_THROWS_AS(batched_matmul(a, a), Error);
  CHECK_THROWS_AS(batched_matmul(c, Var<float>(zeros<float>({3, 4, 4}))), Error);
}
