// How do I add an op of my own: a kernel, its rules of differentiation, and the check that they are right?
// The op here is a Huber penalty, y = huber(x): x^2/2 near zero, d (|x| - d/2) beyond d.
//   build/example_03_custom_op
#include <cmath>
#include <cstdio>

#include "rig/rig.hpp"

namespace demo {
using namespace rig;

// The kernel: no Tensor, no allocation; the CPU and CUDA run this text.
template <class T> struct HuberKernel {
  T* y;
  T const* x;
  T d;
  RIG_HD void operator()(std::int64_t i) const {
    T const a = x[i] < 0 ? -x[i] : x[i];
    y[i] = a < d ? a * a / 2 : d * (a - d / 2);
  }
};

// The op: its options are members, forward() takes tensors, and there is one rule an input. The derivative of the penalty
// is x held within -d and d, which is an op itself; so the rule can be differentiated again.
template <class T> struct Huber {
  using scalar = T;
  static constexpr char const* name = "huber";
  T d;

  Tensor<T> forward(Tensor<T> const& x) const {
    check(d > 0, name, ": the width must be positive, got ", d);
    Tensor<T> y = like(x);
    for_each(y.device(), y.size(), HuberKernel<T>{y.mutate(), x.data(), d});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T> /*y*/, Var<T> x) const { return gy * clamp(x, -d, d); }
};

// The function people call. Any order.
template <class T> Var<T> huber(Var<T> const& x, std::type_identity_t<T> d) { return apply(Huber<T>{d}, x); }
}  // namespace demo

int main() {
  using namespace rig;

  // Values by hand.
  Tensor<double> const x({4}, {-3.0, -0.5, 0.25, 2.0});
  std::vector<double> const y = demo::huber(Var<double>(x), 1).value().host(), expected{2.5, 0.125, 0.03125, 1.5};
  for (std::size_t i = 0; i < y.size(); ++i) {
    std::printf("huber(%5.2f) = %.5f\n", x.data()[i], y[i]);
    if (std::abs(y[i] - expected[i]) > 1e-12) return 1;
  }

  // Rules against central differences, once and twice, in double and away from the kinks.
  Rng rng(3);
  GradcheckFunction const f = [](std::vector<Var<double>> const& in) { return demo::huber(in[0] * in[1], 1); };
  std::vector<Tensor<double>> const inputs{randn<double>({2, 5}, rng), randn<double>({5}, rng)};
  for (int order : {1, 2}) {
    GradcheckResult const r = gradcheck(f, inputs, {.order = order});
    std::printf("order %d: largest relative error %.1e over %lld entries\n", order, r.worst, static_cast<long long>(r.compared));
    if (r.worst > 1e-6) return 1;
  }
  return 0;
}
