// How do I get a gradient, and the gradient of a gradient?
//   build/example_02_gradient --steps 200
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "rig/rig.hpp"

using namespace rig;

namespace {
/// A module is a struct with one visit line; watching, optimising and saving go through it.
struct Net {
  nn::Linear<float> first, second;
  Net(Rng& rng) : first({.in = 1, .out = 32}, rng), second({.in = 32, .out = 1}, rng) {}
  Var<float> operator()(Var<float> const& x) const { return second(tanh(first(x))); }
  void visit(auto&& f) { f("first", first), f("second", second); }
};
}  // namespace

int main(int argc, char** argv) {
  int const steps = argc == 3 && std::string(argv[1]) == "--steps" ? std::atoi(argv[2]) : 300;

  // grad() returns Vars, so what it returns can be differentiated again. f(x) = x^3 at 2: f' = 12, f'' = 12, f''' = 6.
  {
    Tape tape;
    auto const x = tape.watch(Tensor<double>({1}, {2.0}));
    auto const y = x * x * x;
    auto const first = tape.grad(y, x);
    auto const second = tape.grad(first, x);
    auto const third = tape.grad(second, x);
    std::printf("x^3 at 2: %g, derivatives %g, %g, %g\n", y.item(), first.item(), second.item(), third.item());
    if (second.item() != 12 || third.item() != 6) return 1;
  }

  // backward() is first order and fills the parameters of a watched module; an optimiser uses them up. The loss here asks
  // for values and for slopes of sin(x), so the gradient of the input's gradient is needed.
  Rng rng(1);
  Net net(rng);
  nn::Adam<float> optimiser({.rate = 0.01});
  std::vector<float> at, value, slope;
  for (int i = 0; i < 32; ++i) {
    at.push_back(-3.f + 6.f * float(i) / 31.f);
    value.push_back(std::sin(at.back()));
    slope.push_back(std::cos(at.back()));
  }
  Tensor<float> const points({32, 1}, at);
  Var<float> const values(Tensor<float>({32, 1}, value)), slopes(Tensor<float>({32, 1}, slope));
  float start = 0, loss_now = 0;
  for (int step = 0; step < steps; ++step) {
    Tape tape;  // a list of what happens from here on; gone at the end of the step
    tape.watch(net);
    auto const x = tape.watch(points);
    auto const y = net(x);
    auto const dy = tape.grad(sum(y), x);
    auto const loss = mean(square(y - values)) + mean(square(dy - slopes));
    loss_now = loss.item();
    if (step == 0) start = loss_now;
    if (step % 100 == 0 || step + 1 == steps) std::printf("step %4d  loss %.5f\n", step, loss_now);
    tape.backward(loss);
    optimiser.step(net);
  }
  return steps < 2 || loss_now < start ? 0 : 1;
}
