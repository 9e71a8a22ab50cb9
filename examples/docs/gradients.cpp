// Snippets of docs/autodiff.md and docs/errors.md. Each checks what the page says.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/ops/activation.hpp"

namespace doc {
using namespace rig;

// Differentiable to any order: a rule an input, written in ops.
template <class T> struct Power {
  using scalar = T;
  static constexpr char const* name = "power";
  int n;

  Tensor<T> forward(Tensor<T> const& x) const {
    check(n >= 0, name, ": the exponent must not be negative, got ", n);
    Tensor<T> y = like(x);
    T* const to = y.mutate();
    for (std::int64_t i = 0; i < x.size(); ++i) to[i] = std::pow(x.data()[i], T(n));
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> /*y*/, Var<T> x) const {
    return n == 0 ? Var<T>{} : T(n) * (gy * apply(Power{n - 1}, x));  // an empty gradient is zero
  }
};
template <class T> Var<T> power(Var<T> const& x, int n) { return apply(Power<T>{n}, x); }

// Differentiable once: all gradients together, on tensors.
template <class T> struct Largest {
  using scalar = T;
  static constexpr char const* name = "largest";
  static std::int64_t at(Tensor<T> const& x) { return std::max_element(x.data(), x.data() + x.size()) - x.data(); }

  Tensor<T> forward(Tensor<T> const& x) const { return full<T>({}, x.data()[at(x)]); }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const& /*y*/, Tensor<T> const& x) const {
    Tensor<T> gx = zeros<T>(x.shape());
    gx.mutate()[at(x)] = gy.item();
    return {gx};
  }
};
template <class T> Var<T> largest(Var<T> const& x) { return apply(Largest<T>{}, x); }

}  // namespace doc

using namespace rig;

namespace {

void gradient_of_a_gradient() {
  Rng rng(1);
  Tensor<double> const start = randn<double>({5, 3}, rng);
  Param<double> weight(randn<double>({3}, rng));
  Tape tape;
  tape.watch(weight);                // a parameter: backward() fills weight.gradient()
  auto const x = tape.watch(start);  // a value: ask for its gradient by grad()
  auto const score = sum(softplus(x * weight));
  auto const gx = tape.grad(score, x);               // [5, 3], on the tape like any other value
  auto const penalty = 0.5 * sum(square(gx)) / 5.0;  // the R1 penalty of a critic
  tape.backward(penalty);                            // goes through the gradient; the tape is used up
  check(weight.gradient().shape() == Shape{3}, "R1");
  check(!gx.tracked(), "a spent tape still tracks");  // what it computed stays, as constants
}

void not_recorded() {
  Tape tape;
  Param<float> weight(ones<float>({3}));
  auto const y = square(weight);  // nothing is watched: nothing is recorded
  check(tape.size() == 0 && !y.tracked(), "recorded");
}

void one_for_once() {
  Tape tape;
  auto const x = tape.watch(Tensor<double>({3}, {1.0, 3.0, 2.0}));
  auto const g = tape.grad(square(doc::largest(x)), x);
  check(g.value().host()[1] == 6, "largest");
  try {
    tape.grad(sum(g), x);
  } catch (Error const& e) {
    std::printf("%s\n", e.what());  // largest: differentiable once, but a second derivative through it was asked for; ...
    return;
  }
  check(false, "a second derivative went through");
}

Var<double> scaled_cube(std::vector<Var<double>> const& x) { return doc::power(x[0], 3) * x[1]; }

void checked() {
  Rng rng(2);
  for (int order : {1, 2}) {
    auto const r = gradcheck(scaled_cube, {rand<double>({2, 5}, rng, {}, 0.5, 2), randn<double>({5}, rng)}, {.order = order});
    check(r.worst < 1e-6, "gradcheck: ", r.worst, " at entry ", r.entry, " of input ", r.input);
  }
}

void errors() {
  std::string message;
  try {
    Var<float> const x(zeros<float>({2, 5, 3})), b(zeros<float>({4}));
    bias_act(x, b);
  } catch (Error const& e) {
    message = e.what();
  }
  check(message == "bias_act: bias must be [3] to match x [2, 5, 3], got [4]", "errors: got ", message);
}

}  // namespace

int main() {
  gradient_of_a_gradient();
  not_recorded();
  one_for_once();
  checked();
  errors();
  std::puts("gradients: as the pages say");
}
