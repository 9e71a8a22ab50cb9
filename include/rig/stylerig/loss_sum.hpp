// The last step of a loss: numbers that stand for images, codes and parameters become weighted terms and their total, in one launch.
#pragma once
#include <vector>

#include "rig/autodiff/op.hpp"
#include "rig/stylerig/cuda/loss_sum.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// The sum of entries [first, first + count) of tensor `from`, times `scale`, is added to term `term`.
struct LossPart {
  int term = 0, from = 0;
  std::int64_t first = 0, count = 0;
  double scale = 1;
};

namespace detail {

/// Plain numbers, as a kernel takes them. y[0] is the total, y[1 + k] is term k.
template <class T> struct LossSumPlan {
  static constexpr int most = 12, most_terms = 8;
  int parts = 0, terms = 0;
  int term[most] = {}, from[most] = {};
  std::int64_t first[most] = {}, count[most] = {};
  T scale[most] = {}, weight[most_terms] = {};
};
template <class T> LossSumPlan<T> loss_sum_plan(std::vector<LossPart> const& parts, std::vector<double> const& weights) {
  LossSumPlan<T> plan;
  check(parts.size() <= std::size_t(plan.most) && weights.size() <= std::size_t(plan.most_terms), "loss_sum: at most ", plan.most,
        " parts and ", plan.most_terms, " terms, got ", parts.size(), " and ", weights.size());
  plan.terms = int(weights.size());
  for (std::size_t k = 0; k < weights.size(); ++k) plan.weight[k] = T(weights[k]);
  for (LossPart const& part : parts) {
    int const k = plan.parts++;
    check(part.term >= 0 && part.term < plan.terms, "loss_sum: part ", k, " is of term ", part.term, " of ", plan.terms);
    plan.term[k] = part.term, plan.from[k] = part.from, plan.first[k] = part.first, plan.count[k] = part.count;
    plan.scale[k] = T(part.scale);
  }
  return plan;
}
template <class T> struct LossSumKernel {
  LossSumPlan<T> plan;
  T* y;
  T const* x[LossSumPlan<T>::most];  // where each part begins
  void operator()() const {
    double total = 0;
    for (int t = 0; t < plan.terms; ++t) {
      double sum = 0;
      for (int k = 0; k < plan.parts; ++k) {
        double s = 0;
        for (std::int64_t i = 0; plan.term[k] == t && i < plan.count[k]; ++i) s += double(x[k][i]);
        sum += double(plan.scale[k]) * s;
      }
      y[1 + t] = T(sum), total += double(plan.weight[t]) * sum;
    }
    y[0] = T(total);
  }
};
template <class T> struct LossSumSpreadKernel {
  LossSumPlan<T> plan;
  int from;
  T* gx;
  T const* gy;
  RIG_HD void operator()(std::int64_t i) const {
    T g = 0;
    for (int k = 0; k < plan.parts; ++k)
      if (plan.from[k] == from && i >= plan.first[k] && i < plan.first[k] + plan.count[k])
        g += plan.scale[k] * (gy[1 + plan.term[k]] + plan.weight[plan.term[k]] * gy[0]);
    gx[i] = g;
  }
};

/// Linear.
template <class T> struct LossSum {
  using scalar = T;
  static constexpr char const* name = "loss_sum";
  LossSumPlan<T> plan;
  Tensor<T> forward(std::vector<Tensor<T>> const& x) const {
    LossSumKernel<T> kernel{plan, {}, {}};
    for (int k = 0; k < plan.parts; ++k) {
      int const from = plan.from[k];
      std::int64_t const size = from >= 0 && from < int(x.size()) ? x[std::size_t(from)].size() : 0;
      check(plan.first[k] >= 0 && plan.count[k] >= 0 && plan.first[k] + plan.count[k] <= size, name, ": part ", k, " has entries [",
            plan.first[k], ", ", plan.first[k] + plan.count[k], ") of tensor ", from, ", which has ", size);
      kernel.x[k] = plan.count[k] > 0 ? x[std::size_t(from)].data() + plan.first[k] : nullptr;
    }
    Device const device = x.at(0).device();
    Tensor<T> y({1 + plan.terms}, device);
    kernel.y = y.mutate();
#if RIG_GPU
    if (!device.is_cpu()) {
      launch(device, {1, 1, 1}, LossSumInBlock<T, LossSumKernel<T>>{kernel});
      return y;
    }
#endif
    kernel();
    return y;
  }
  Var<T> vjp(std::size_t i, Var<T> const& gy, Var<T> const&, std::vector<Var<T>> const& x) const;
};
/// The adjoint of LossSum for one of its tensors. Linear.
template <class T> struct LossSumSpread {
  using scalar = T;
  static constexpr char const* name = "loss_sum_spread";
  LossSumPlan<T> plan;
  int from;
  Shape shape;
  Tensor<T> forward(Tensor<T> const& gy) const {
    check(gy.shape() == Shape{1 + plan.terms}, name, ": the gradient must be [", 1 + plan.terms, "], got ", gy.shape());
    Tensor<T> gx(shape, gy.device());
    for_each(gx.device(), gx.size(), LossSumSpreadKernel<T>{plan, from, gx.mutate(), gy.data()});
    return gx;
  }
  Var<T> vjp(wrt<0>, Var<T> h, Var<T>, Var<T>) const {
    LossSum<T> back{plan};
    back.plan.parts = 0;
    for (int k = 0; k < plan.parts; ++k)
      if (plan.from[k] == from) {
        int const to = back.plan.parts++;
        back.plan.term[to] = plan.term[k], back.plan.from[to] = 0, back.plan.first[to] = plan.first[k];
        back.plan.count[to] = plan.count[k], back.plan.scale[to] = plan.scale[k];
      }
    return apply_list(back, {h});
  }
};
template <class T> Var<T> LossSum<T>::vjp(std::size_t i, Var<T> const& gy, Var<T> const&, std::vector<Var<T>> const& x) const {
  return apply(LossSumSpread<T>{plan, int(i), x[i].shape()}, gy);
}

}  // namespace detail

/// The total sum_k weights[k] term_k, and behind it the terms themselves, which are sums of `parts` of the tensors x: [1 + terms].
/// Linear. Sums in fixed order.
///   sum_losses<T>({photo, landmark}, {{0, 0, 0, n, 1.0 / n}, {0, 1, 0, n, 20.0 / n}}, {10});  // [10 L, L]
template <class T> Var<T> sum_losses(std::vector<Var<T>> const& x, std::vector<LossPart> const& parts, std::vector<double> const& weights) {
  check(!x.empty(), "loss_sum: nothing to add");
  return apply_list(detail::LossSum<T>{detail::loss_sum_plan<T>(parts, weights)}, x);
}

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(stylerig::detail::LossSumSpread)
}  // namespace rig::inline RIG_ABI
#endif
