// The lines of code that README.md shows, run.
#include <doctest/doctest.h>

#include "rig/rig.hpp"

TEST_CASE("a gradient and the gradient of a gradient") {
  using namespace rig;
  Rng rng(7);
  Tape tape;
  auto x = tape.watch(randn<float>({4, 3}, rng));  // differentiate with respect to this
  auto w = Var<float>(randn<float>({3, 2}, rng));  // a constant: nothing is recorded for it
  auto loss = sum(square(matmul(x, w)));
  auto g = tape.grad(loss, x);  // a Var: print it, use it, differentiate it again
  auto penalty = sum(square(g));
  auto again = tape.grad(penalty, x);

  // loss = |x w|^2, g = 2 x w w^T, again = 8 x (w w^T)^2
  auto const ww = matmul(w, w, {.b = true});
  auto const expected = 8.f * matmul(matmul(x, ww), ww);
  for (std::int64_t i = 0; i < x.size(); ++i) CHECK(again.value().data()[i] == doctest::Approx(expected.value().data()[i]).epsilon(1e-4));
}
