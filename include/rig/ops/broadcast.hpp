// How two shapes meet: NumPy's rule, trailing axes aligned, extent 1 stretched. Neighbouring axes that behave alike are
// merged, so a kernel sees a few long axes: [n, h, w, c] * [n, 1, 1, c] becomes (n both)(hw first only)(c both).
#pragma once
#include "rig/core/tensor.hpp"
#include "rig/ops/cuda/arithmetic.hpp"

namespace rig::inline RIG_ABI {

/// The shape both broadcast to. Throws with the op's name if they do not fit.
inline Shape broadcast_shape(char const* op, Shape const& a, Shape const& b) {
  int const rank = a.rank() > b.rank() ? a.rank() : b.rank();
  Shape s;
  for (int i = 0; i < rank; ++i) {
    int const ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    std::int64_t const ea = ia < 0 ? 1 : a[ia], eb = ib < 0 ? 1 : b[ib];
    check(ea == eb || ea == 1 || eb == 1, op, ": shapes ", a, " and ", b, " do not fit together: axis ", i - rank, " is ", ea, " and ", eb);
    s.append(ea == 1 ? eb : ea);
  }
  return s;
}

namespace detail {

/// The merged axes of a broadcast: extents and the strides of both arguments (0 where one is stretched).
struct BroadcastPlan {
  int rank = 0;
  std::int64_t extent[Shape::max_rank]{}, stride_a[Shape::max_rank]{}, stride_b[Shape::max_rank]{};

  BroadcastPlan(Shape const& out, Shape const& a, Shape const& b) {
    std::int64_t step_a = 1, step_b = 1;
    int pattern = -1;
    // From the last axis to the first; reversed at the end.
    for (int i = out.rank() - 1; i >= 0; --i) {
      int const ia = i - (out.rank() - a.rank()), ib = i - (out.rank() - b.rank());
      std::int64_t const ea = ia < 0 ? 1 : a[ia], eb = ib < 0 ? 1 : b[ib], e = out[i];
      if (e == 1) continue;
      int const here = (ea == 1 ? 0 : 1) | (eb == 1 ? 0 : 2);
      if (here == pattern) {
        extent[rank - 1] *= e;
      } else {
        extent[rank] = e;
        stride_a[rank] = ea == 1 ? 0 : step_a;
        stride_b[rank] = eb == 1 ? 0 : step_b;
        ++rank;
        pattern = here;
      }
      step_a *= ea;
      step_b *= eb;
    }
    if (rank == 0) extent[0] = out.size(), rank = 1;  // one element, or none
    for (int i = 0, j = rank - 1; i < j; ++i, --j) {
      swap(extent[i], extent[j]);
      swap(stride_a[i], stride_a[j]);
      swap(stride_b[i], stride_b[j]);
    }
  }

 private:
  static void swap(std::int64_t& a, std::int64_t& b) {
    std::int64_t const t = a;
    a = b, b = t;
  }
};

/// y[r, c] = f(a, b). StepA and StepB are 0 or 1: whether the argument moves along the last axis.
template <class T, class F, int StepA, int StepB> struct BroadcastKernel {
  T* y;
  T const *a, *b;
  F f;
  BroadcastPlan plan;

  RIG_HD void operator()(std::int64_t r, std::int64_t c) const {
    std::int64_t rest = r, ka = 0, kb = 0;
    for (int i = plan.rank - 2; i >= 0; --i) {
      std::int64_t const q = quotient(rest, plan.extent[i]), at = rest - q * plan.extent[i];
      ka += at * plan.stride_a[i], kb += at * plan.stride_b[i];
      rest = q;
    }
    y[r * plan.extent[plan.rank - 1] + c] = f(a[ka + StepA * c], b[kb + StepB * c]);
  }
};
/// The same for a run of rows on the CPU: one division a run, and an inner loop that vectorises.
template <class T, class F, int StepA, int StepB> struct BroadcastRunKernel {
  BroadcastKernel<T, F, StepA, StepB> k;
  std::int64_t rows, run;

  RIG_HD void operator()(std::int64_t chunk) const {
    BroadcastPlan const& p = k.plan;
    std::int64_t const cols = p.extent[p.rank - 1], begin = chunk * run, end = begin + run < rows ? begin + run : rows;
    std::int64_t at[Shape::max_rank]{}, ka = 0, kb = 0, rest = begin;
    for (int i = p.rank - 2; i >= 0; --i) {
      std::int64_t const q = rest / p.extent[i];
      at[i] = rest - q * p.extent[i];
      ka += at[i] * p.stride_a[i], kb += at[i] * p.stride_b[i];
      rest = q;
    }
    for (std::int64_t r = begin; r < end; ++r) {
      line(k.f, k.y + r * cols, k.a + ka, k.b + kb, cols);
      for (int i = p.rank - 2; i >= 0; --i) {
        ka += p.stride_a[i], kb += p.stride_b[i];
        if (++at[i] < p.extent[i]) break;
        ka -= at[i] * p.stride_a[i], kb -= at[i] * p.stride_b[i];
        at[i] = 0;
      }
    }
  }
  RIG_HD static void line(F f, T* y, T const* a, T const* b, std::int64_t cols) {
    for (std::int64_t c = 0; c < cols; ++c) y[c] = f(a[StepA * c], b[StepB * c]);
  }
};
template <int StepA, int StepB, class T, class F> void run_broadcast(Tensor<T>& y, T const* a, T const* b, F f, BroadcastPlan const& plan) {
  std::int64_t const cols = plan.extent[plan.rank - 1], rows = y.size() / cols;
  BroadcastKernel<T, F, StepA, StepB> const k{y.mutate(), a, b, f, plan};
#if RIG_GPU
  if constexpr (std::is_same_v<T, float>)
    if (y.device().is_cuda() && cols % 4 == 0 && aligned_for_packs(StepA ? a : nullptr, StepB ? b : nullptr) &&
        each_pack<4>(y.device(), 1, rows, cols, BroadcastBody<F, StepA, StepB, BroadcastPlan>{k.y, a, b, f, plan}))
      return;
#endif
  if (y.device().is_cuda()) return for_each(y.device(), rows, cols, k);
  std::int64_t const run = 1 + 8192 / cols, chunks = (rows + run - 1) / run;
  for_each_heavy(y.device(), chunks, BroadcastRunKernel<T, F, StepA, StepB>{k, rows, run});
}

template <class T, class F> struct SameShapeKernel {
  T* y;
  T const *a, *b;
  F f;
  RIG_HD void operator()(std::int64_t i) const { y[i] = f(a[i], b[i]); }
};

/// f of two tensors, broadcast.
template <class T, class F> Tensor<T> broadcast_apply(char const* op, F f, Tensor<T> const& a, Tensor<T> const& b) {
  check(a && b, op, ": ", a ? "the second" : "the first", " argument is an empty tensor");
  if (a.shape() == b.shape()) {
    Tensor<T> y = like(a);
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (y.device().is_cuda() &&
          each_number(y.device(), y.size(), aligned_for_packs(a.data(), b.data()), SameShapeBody<F>{y.mutate(), a.data(), b.data(), f}))
        return y;
#endif
    for_each(y.device(), y.size(), SameShapeKernel<T, F>{y.mutate(), a.data(), b.data(), f});
    return y;
  }
  Tensor<T> y(broadcast_shape(op, a.shape(), b.shape()), a.device());
  if (y.size() == 0) return y;
  BroadcastPlan const plan(y.shape(), a.shape(), b.shape());
  bool const sa = plan.stride_a[plan.rank - 1] != 0, sb = plan.stride_b[plan.rank - 1] != 0;
  if (sa && sb)
    run_broadcast<1, 1>(y, a.data(), b.data(), f, plan);
  else if (sa)
    run_broadcast<1, 0>(y, a.data(), b.data(), f, plan);
  else
    run_broadcast<0, 1>(y, a.data(), b.data(), f, plan);
  return y;
}

}  // namespace detail
}  // namespace rig::inline RIG_ABI
