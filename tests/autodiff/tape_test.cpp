#include "rig/autodiff/tape.hpp"

#include <doctest/doctest.h>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/ops/activation.hpp"

using namespace rig;

namespace {

/// Twice its input, differentiable once.
template <class T> struct Twice {
  using scalar = T;
  static constexpr char const* name = "twice";
  Tensor<T> forward(Tensor<T> const& a) const { return (T(2) * Var<T>(a)).value(); }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const&) const { return {(T(2) * Var<T>(gy)).value()}; }
};

/// An op whose rule is wrong by a thousandth.
struct Wrong {
  using scalar = double;
  static constexpr char const* name = "wrong";
  Tensor<double> forward(Tensor<double> const& a) const { return square(Var<double>(a)).value(); }
  Var<double> vjp(wrt<0>, Var<double> gy, Var<double>, Var<double> a) const { return 2.001 * (gy * a); }
};

/// Ops whose rules give another shape than their input has.
struct Summed {
  using scalar = double;
  static constexpr char const* name = "summed";
  Tensor<double> forward(Tensor<double> const& a) const { return a.clone(); }
  Var<double> vjp(wrt<0>, Var<double> gy, Var<double>, Var<double>) const { return sum(gy); }
};
struct Halved {
  using scalar = double;
  static constexpr char const* name = "halved";
  Tensor<double> forward(Tensor<double> const& a) const { return a.clone(); }
  std::tuple<Tensor<double>> backward(Tensor<double> const&, Tensor<double> const&, Tensor<double> const&) const {
    return {Tensor<double>({2}, {1, 2})};
  }
};

/// A small critic: two layers, used for R1.
template <class T> struct Critic {
  Param<T> a, b;
  explicit Critic(Rng& rng) : a(randn<T>({4, 1, 3}, rng)), b(randn<T>({4}, rng)) {}
  Var<T> operator()(Var<T> const& x) const {    // x [n, 3]
    Var<T> const h = softplus(sum(a * x, -1));  // [4, n]
    return sum(h * reshape(b, {4, 1}), 0);
  }
  void visit(auto&& f) { f("a", a), f("b", b); }
};

}  // namespace

TEST_CASE("grad: hand-computed, and again") {
  Tape tape;
  auto x = tape.watch(Tensor<double>({2}, {3, -2}));
  auto y = sum(x * x * x);
  auto g = tape.grad(y, x);
  CHECK(g.value().host() == std::vector<double>{27, 12});
  auto h = tape.grad(sum(g), x);
  CHECK(h.value().host() == std::vector<double>{18, -12});
  CHECK(tape.grad(sum(h), x).value().host() == std::vector<double>{6, 6});
}

TEST_CASE("grad: several at once, an interior value, one that is not used") {
  Tape tape;
  auto a = tape.watch(Tensor<double>({1}, {2})), b = tape.watch(Tensor<double>({1}, {5})), c = tape.watch(Tensor<double>({1}, {7}));
  auto m = a * b;
  auto y = m * m + b;
  auto g = tape.grad(y, {a, m, b});
  CHECK(g[0].item() == 100);
  CHECK(g[1].item() == 20);
  CHECK(g[2].item() == 41);
  CHECK_THROWS_WITH_AS(tape.grad(y, c), "grad: y of shape [1] does not depend on x of shape [1]", Error);
  CHECK(!tape.grad(y, std::vector{a, c}, {}, true)[1]);
}

TEST_CASE("backward: fills and adds to parameters, frees the tape") {
  Param<double> p(Tensor<double>({2}, {1, 2}));
  for (int round = 1; round <= 2; ++round) {
    Tape tape;
    tape.watch(p);
    tape.backward(sum(square(p)));
    CHECK(tape.size() == 0);
    CHECK(p.gradient().host() == std::vector<double>{2.0 * round, 4.0 * round});
    CHECK_THROWS_AS(tape.watch(p), Error);
  }
}

TEST_CASE("only what depends on something watched is recorded") {
  Tape tape;
  Var<float> c(ones<float>({3}));
  auto d = c * c;
  CHECK(!d.tracked());
  CHECK(tape.size() == 0);
  auto x = tape.watch(ones<float>({3}));
  auto y = x + d;
  CHECK(tape.size() == 2);
  CHECK(!y.detach().tracked());
}

TEST_CASE("a Var outlives its tape as a constant") {
  Var<float> y;
  {
    Tape tape;
    y = 2.f * tape.watch(ones<float>({2}));
    CHECK(y.tracked());
  }
  CHECK(!y.tracked());
  CHECK((y + y).value().host() == std::vector<float>{4, 4});
}

TEST_CASE("R1: gradient of a squared gradient norm agrees with differences") {
  Rng rng(1);
  Critic<double> d(rng);
  auto const x = randn<double>({5, 3}, rng);
  auto loss = [&](bool fill) {
    Tape tape;
    tape.watch(d);
    auto v = tape.watch(x);
    auto seen = d(v);
    auto l = mean(softplus(-seen)) + 0.5 * sum(square(tape.grad(sum(seen), v)));
    double const value = l.item();
    if (fill) tape.backward(l);
    return value;
  };
  loss(true);
  int compared = 0;
  visit_leaves(d, [&](std::string const& name, Param<double>& p) {
    for (std::int64_t i = 0; i < p.size(); ++i) {
      double const v = p.value().data()[i], h = 1e-5;
      p.tensor().mutate()[i] = v + h;
      double const up = loss(false);
      p.tensor().mutate()[i] = v - h;
      double const down = loss(false);
      p.tensor().mutate()[i] = v;
      INFO(name, " ", i);
      CHECK(p.gradient().data()[i] == doctest::Approx((up - down) / (2 * h)).epsilon(1e-6));
      ++compared;
    }
  });
  CHECK(compared == 16);
}

TEST_CASE("differentiable once: first order works, a second is refused by name") {
  Tape tape;
  auto x = tape.watch(Tensor<double>({3}, {1, 2, 3}));
  auto y = sum(square(apply(Twice<double>{}, x)));
  auto g = tape.grad(y, x);
  CHECK(g.value().host() == std::vector<double>{8, 16, 24});
  CHECK_THROWS_WITH_AS(tape.grad(sum(square(g)), x), doctest::Contains("twice: differentiable once"), Error);
  Param<double> p(Tensor<double>({2}, {1, 1}));
  Tape other;
  other.watch(p);
  auto l = sum(square(other.grad(sum(square(apply(Twice<double>{}, p))), p)));
  CHECK_THROWS_WITH_AS(other.backward(l), doctest::Contains("differentiable once"), Error);
}

TEST_CASE("in-place changes between forward and backward are caught") {
  Param<double> p(Tensor<double>({2}, {1, 2}));
  Tape tape;
  tape.watch(p);
  auto l = sum(square(p));
  p.tensor().mutate()[0] = 5;
  CHECK_THROWS_WITH_AS(tape.backward(l), doctest::Contains("square: a value of shape [2] was changed in place"), Error);
}

TEST_CASE("messages") {
  Tape a, b;
  auto x = a.watch(ones<float>({2})), y = b.watch(ones<float>({2}));
  CHECK_THROWS_WITH_AS(x + y, "add: inputs belong to two different tapes", Error);
  CHECK_THROWS_WITH_AS(x + Var<float>(ones<float>({3})), doctest::Contains("add: shapes [2] and [3] do not fit together"), Error);
  CHECK_THROWS_WITH_AS(a.backward(x), "backward: the loss must be a single number, got shape [2]", Error);
  CHECK_THROWS_WITH_AS(a.backward(Var<float>(ones<float>({}))), doctest::Contains("does not depend on anything this tape watches"), Error);
  CHECK_THROWS_WITH_AS(a.grad(sum(x), y), doctest::Contains("x is not on this tape"), Error);
  CHECK_THROWS_AS(a.watch(Tensor<float>()), Error);
  CHECK_THROWS_WITH_AS(x * Var<float>(), "multiply: the second argument is an empty tensor", Error);
  CHECK_THROWS_WITH_AS(square(Var<float>()), "square: the argument is an empty tensor", Error);
}

TEST_CASE("a rule that gives another shape is named, and so is a tape that is used up") {
  Param<double> p(Tensor<double>({3}, {1, 2, 3}));
  Tape tape;
  tape.watch(p);
  Var<double> const a = apply(Summed{}, p), b = apply(Halved{}, p);
  CHECK_THROWS_WITH_AS(tape.grad(sum(a), p), "summed: the rule for input 0 gave a gradient of shape [], expected [3]", Error);
  CHECK_THROWS_WITH_AS(tape.grad(sum(b), p), "halved: the rule for input 0 gave a gradient of shape [2], expected [3]", Error);
  Var<double> const loss = sum(square(p));
  CHECK_THROWS_WITH_AS(tape.backward(sum(b)), doctest::Contains("halved: the rule for input 0"), Error);
  CHECK_THROWS_WITH_AS(tape.backward(loss), "backward: backward() has used this tape up; make a new one", Error);
  CHECK_THROWS_WITH_AS(tape.grad(loss, p), "grad: backward() has used this tape up; make a new one", Error);
}

TEST_CASE("a chain of 300,000 ops is walked without recursion") {
  Tape tape;
  auto x = tape.watch(ones<float>({1}));
  Var<float> y = x;
  for (int i = 0; i < 300000; ++i) y = 1.0f * y;
  CHECK(tape.grad(y, x).item() == 1);
}

TEST_CASE("a value used twice gets both gradients, and shared gradients are not overwritten") {
  Tape tape;
  Param<double> p(Tensor<double>({2}, {1, 2}));
  tape.watch(p);
  auto a = p + Var<double>(Tensor<double>({2}, {0, 0}));
  auto l = sum(a + a) + sum(p * p);
  tape.backward(l);
  CHECK(p.gradient().host() == std::vector<double>{4, 6});
}

TEST_CASE("gradcheck finds a wrong rule") {
  Rng rng(2);
  auto const x = randn<double>({7}, rng);
  CHECK(gradcheck([](auto const& v) { return apply(Wrong{}, v[0]); }, {x}).worst > 1e-4);
  CHECK(gradcheck([](auto const& v) { return square(v[0]); }, {x}).worst < 1e-8);
}
