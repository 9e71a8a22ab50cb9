// The linear part of a morphable face model: y = mean + sum_k coefficient_k basis_k for a batch of images.
// For every number of the result k runs in ascending order with one rounding a step, never split, so that a lane of the
// CPU and a thread of the GPU round alike. The basis is read once a batch. Closed under differentiation, so any order:
//   linear_model(c, B)         wrt c -> linear_model_coefficients(gy, B)   wrt B -> linear_model_basis(c, gy)
//   linear_model_coefficients, linear_model_basis: the other two of the family
#pragma once
#include <algorithm>
#include <cstring>

#include "rig/autodiff/op.hpp"
#include "rig/ops/shape.hpp"
#include "rig/render/cuda/morphable.hpp"
#include "rig/render/morphable_model.hpp"
#include "rig/render/per_image.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

/// Eight images at a time for one column: the plain form, one thread a column on CUDA.
template <class T> struct CombineKernel {
  T* y;
  T const *c, *b, *mean;  // mean may be null
  std::int64_t images, modes, columns;
  RIG_HD void operator()(std::int64_t group, std::int64_t j) const {
    std::int64_t const first = 8 * group, count = first + 8 < images ? 8 : images - first;
    T s[8];
    for (int i = 0; i < 8; ++i) s[i] = mean ? mean[j] : T(0);
    for (std::int64_t k = 0; k < modes; ++k) {
      T const v = b[k * columns + j];
      for (int i = 0; i < 8; ++i)
        if (i < count) s[i] = mul_add(c[(first + i) * modes + k], v, s[i]);
    }
    for (int i = 0; i < 8; ++i)
      if (i < count) y[(first + i) * columns + j] = s[i];
  }
};

inline constexpr std::int64_t combine_columns = 256;  // a block of the basis that stays in the second-level cache
inline constexpr std::int64_t inner_columns = 512;    // columns of one partial sum of inner products
inline constexpr int lanes = 16;

/// Partial inner products of the rows of g and b over inner_columns columns, in 16 lanes that are then added in order:
/// out[block, image, mode]. The plain form.
template <class T> struct InnerKernel {
  T* out;
  T const *g, *b;
  std::int64_t images, modes, columns;
  RIG_HD void operator()(std::int64_t block, std::int64_t e) const {
    std::int64_t const i = e / modes, k = e % modes, begin = block * inner_columns;
    std::int64_t const count = begin + inner_columns < columns ? inner_columns : columns - begin;
    T const *p = g + i * columns + begin, *q = b + k * columns + begin;
    T s[lanes] = {};
    for (std::int64_t j = 0; j < count; ++j) s[j % lanes] = mul_add(p[j], q[j], s[j % lanes]);
    T sum = 0;
    for (int l = 0; l < lanes; ++l) sum += s[l];
    out[block * images * modes + e] = sum;
  }
};

#if defined(__GNUC__) && !RIG_CUDA
// The same sums with register tiles: 4 images x 32 columns, 4 images x 4 modes x 16 lanes. GNU vectors, because loops over
// arrays of accumulators do not reliably stay in registers.
template <class T> struct LaneVector {
  typedef T type __attribute__((vector_size(lanes * sizeof(T))));
  /// sum += a * b in one rounding a lane, whatever the compiler is told about contraction; becomes one instruction.
  static void add_product(type const& a, type const& b, type& sum) {
    for (int l = 0; l < lanes; ++l) sum[l] = mul_add(T(a[l]), T(b[l]), T(sum[l]));
  }
};
template <class T> struct CombineBlock {
  using V = typename LaneVector<T>::type;
  CombineKernel<T> plain;

  template <int I> void tile(std::int64_t image, std::int64_t j) const {
    auto const& p = plain;
    V s[I][2];
    for (int i = 0; i < I; ++i) {
      s[i][0] = s[i][1] = V{};
      if (p.mean) std::memcpy(&s[i][0], p.mean + j, sizeof(V)), std::memcpy(&s[i][1], p.mean + j + lanes, sizeof(V));
    }
    T const *c = p.c + image * p.modes, *b = p.b + j;
    for (std::int64_t k = 0; k < p.modes; ++k, b += p.columns) {
      V v0, v1;
      std::memcpy(&v0, b, sizeof(V)), std::memcpy(&v1, b + lanes, sizeof(V));
#pragma GCC unroll 4
      for (int i = 0; i < I; ++i) {
        V const a = V{} + c[i * p.modes + k];
        LaneVector<T>::add_product(a, v0, s[i][0]), LaneVector<T>::add_product(a, v1, s[i][1]);
      }
    }
    for (int i = 0; i < I; ++i) {
      T* y = p.y + (image + i) * p.columns + j;
      std::memcpy(y, &s[i][0], sizeof(V)), std::memcpy(y + lanes, &s[i][1], sizeof(V));
    }
  }
  void operator()(std::int64_t block) const {
    std::int64_t const begin = block * combine_columns, end = std::min(begin + combine_columns, plain.columns),
                       whole = begin + (end - begin) / 32 * 32;
    std::int64_t i = 0;
    for (; i + 4 <= plain.images; i += 4)
      for (std::int64_t j = begin; j < whole; j += 32) tile<4>(i, j);
    for (; i < plain.images; ++i)
      for (std::int64_t j = begin; j < whole; j += 32) tile<1>(i, j);
    for (std::int64_t g = 0; 8 * g < plain.images; ++g)
      for (std::int64_t j = whole; j < end; ++j) plain(g, j);
  }
};
template <class T> struct InnerBlock {
  using V = typename LaneVector<T>::type;
  InnerKernel<T> plain;

  template <int I, int K> void tile(std::int64_t block, std::int64_t image, std::int64_t mode) const {
    auto const& p = plain;
    std::int64_t const begin = block * inner_columns, count = std::min(inner_columns, p.columns - begin), whole = count / lanes * lanes;
    T const *g = p.g + image * p.columns + begin, *b = p.b + mode * p.columns + begin;
    V s[I][K];
    for (auto& row : s)
      for (auto& v : row) v = V{};
    for (std::int64_t j = 0; j < whole; j += lanes) {
      V u[I];
      for (int i = 0; i < I; ++i) std::memcpy(&u[i], g + i * p.columns + j, sizeof(V));
#pragma GCC unroll 4
      for (int k = 0; k < K; ++k) {
        V v;
        std::memcpy(&v, b + k * p.columns + j, sizeof(V));
#pragma GCC unroll 4
        for (int i = 0; i < I; ++i) LaneVector<T>::add_product(u[i], v, s[i][k]);
      }
    }
    for (int i = 0; i < I; ++i)
      for (int k = 0; k < K; ++k) {
        for (std::int64_t j = whole; j < count; ++j)
          s[i][k][int(j - whole)] = mul_add(g[i * p.columns + j], b[k * p.columns + j], T(s[i][k][int(j - whole)]));
        T sum = 0;
        for (int l = 0; l < lanes; ++l) sum += s[i][k][l];
        p.out[(block * p.images + image + i) * p.modes + mode + k] = sum;
      }
  }
  void operator()(std::int64_t block) const {
    std::int64_t i = 0;
    for (; i + 4 <= plain.images; i += 4) row<4>(block, i);
    for (; i < plain.images; ++i) row<1>(block, i);
  }
  template <int I> void row(std::int64_t block, std::int64_t image) const {
    std::int64_t k = 0;
    for (; k + 4 <= plain.modes; k += 4) tile<I, 4>(block, image, k);
    for (; k < plain.modes; ++k) tile<I, 1>(block, image, k);
  }
};
#endif

template <class T> void combine(Device const& device, CombineKernel<T> const& k) {
  if (!device.is_cpu()) {
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      combine_on_device(device, {k.y, k.c, k.b, k.mean, k.images, k.modes, k.columns});
    else
      for_each(device, (k.images + 7) / 8, k.columns, k);
#endif
    return;
  }
#if defined(__GNUC__) && !RIG_CUDA
  for_each_on_cpu((k.columns + combine_columns - 1) / combine_columns, CombineBlock<T>{k});
#else
  for_each(device, (k.images + 7) / 8, k.columns, k);
#endif
}
template <class T> Tensor<T> inner(Tensor<T> const& g, Tensor<T> const& b, std::int64_t images, std::int64_t modes, std::int64_t columns) {
#if RIG_GPU
  if constexpr (std::is_same_v<T, float>)
    if (!g.device().is_cpu()) return inner_on_device(g, b, images, modes, columns);
#endif
  std::int64_t const blocks = (columns + inner_columns - 1) / inner_columns;
  Tensor<T> partial({blocks, images, modes}, g.device()), y({images, modes}, g.device());
  InnerKernel<T> const k{partial.mutate(), g.data(), b.data(), images, modes, columns};
#if defined(__GNUC__) && !RIG_CUDA
  if (g.device().is_cpu())
    for_each_on_cpu(blocks, InnerBlock<T>{k});
  else
#endif
    for_each(g.device(), blocks, images * modes, k);
  for_each(g.device(), 1, images * modes, AddLeavesKernel<T>{y.mutate(), partial.data(), blocks, images * modes});
  return y;
}

template <class T> struct TransposeKernel {
  T* y;
  T const* x;
  std::int64_t rows, cols;
  RIG_HD void operator()(std::int64_t i) const { y[i % cols * rows + i / cols] = x[i]; }
};

inline Shape without_first(Shape const& s) { return Shape(s.begin() + 1, s.end()); }
inline Shape with_first(std::int64_t n, Shape const& rest) {
  Shape s{n};
  for (auto d : rest) s.append(d);
  return s;
}

}  // namespace detail

template <class T> Var<T> linear_model(Var<T> const& coefficients, Var<T> const& basis, Var<T> const& mean = {});
template <class T> Var<T> linear_model_coefficients(Var<T> const& gy, Var<T> const& basis);
template <class T> Var<T> linear_model_basis(Var<T> const& coefficients, Var<T> const& gy);

namespace detail {

template <class T> struct LinearModel {
  using scalar = T;
  static constexpr char const* name = "linear_model";
  Tensor<T> forward(Tensor<T> const& c, Tensor<T> const& b, Tensor<T> const& mean) const {
    check(b && b.rank() >= 1, name, ": basis must be [k, ...], got ", b.shape());
    check(c.rank() == 2 && c.dim(1) == b.dim(0), name, ": coefficients must be [n, ", b.dim(0), "] for basis ", b.shape(), ", got ",
          c.shape());
    Shape const rest = without_first(b.shape());
    check(!mean || mean.size() == rest.size(), name, ": mean must be ", rest, " for basis ", b.shape(), ", got ", mean.shape());
    Tensor<T> y(with_first(c.dim(0), rest), c.device());
    combine(c.device(), CombineKernel<T>{y.mutate(), c.data(), b.data(), mean.data(), c.dim(0), c.dim(1), rest.size()});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T>, Var<T> b, Var<T>) const { return linear_model_coefficients(gy, b); }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T>, Var<T> c, Var<T>, Var<T>) const { return linear_model_basis(c, gy); }
  Var<T> vjp(wrt<2>, Var<T> gy, Var<T>, Var<T>, Var<T>, Var<T> mean) const {
    return reshape(linear_model_basis(Var<T>(ones<T>({gy.dim(0), 1}, gy.device())), gy), mean.shape());
  }
};
template <class T> struct LinearModelCoefficients {
  using scalar = T;
  static constexpr char const* name = "linear_model_coefficients";
  Tensor<T> forward(Tensor<T> const& gy, Tensor<T> const& b) const {
    check(gy.rank() == b.rank() && b.rank() >= 1 && without_first(gy.shape()) == without_first(b.shape()), name,
          ": gy must be [n, ...] with the extents of basis ", b.shape(), ", got ", gy.shape());
    return inner(gy, b, gy.dim(0), b.dim(0), without_first(b.shape()).size());
  }
  Var<T> vjp(wrt<0>, Var<T> gc, Var<T>, Var<T>, Var<T> b) const { return linear_model(gc, b); }
  Var<T> vjp(wrt<1>, Var<T> gc, Var<T>, Var<T> gy, Var<T>) const { return linear_model_basis(gc, gy); }
};
template <class T> struct LinearModelBasis {
  using scalar = T;
  static constexpr char const* name = "linear_model_basis";
  Tensor<T> forward(Tensor<T> const& c, Tensor<T> const& gy) const {
    check(c.rank() == 2 && gy.rank() >= 1 && gy.dim(0) == c.dim(0), name, ": expected coefficients [n, k] and gy [n, ...], got ", c.shape(),
          " and ", gy.shape());
    std::int64_t const n = c.dim(0), k = c.dim(1);
    Shape const rest = without_first(gy.shape());
    Tensor<T> y(with_first(k, rest), c.device()), ct({k, n}, c.device());
    for_each(c.device(), c.size(), TransposeKernel<T>{ct.mutate(), c.data(), n, k});
    combine(c.device(), CombineKernel<T>{y.mutate(), ct.data(), gy.data(), nullptr, k, n, rest.size()});
    return y;
  }
  Var<T> vjp(wrt<0>, Var<T> gb, Var<T>, Var<T>, Var<T> gy) const { return linear_model_coefficients(gy, gb); }
  Var<T> vjp(wrt<1>, Var<T> gb, Var<T>, Var<T> c, Var<T>) const { return linear_model(c, gb); }
};

}  // namespace detail

/// mean [...] + sum_k coefficients[n, k] basis[k, ...]: [n, ...], for example [n, V, 3]. Without mean, the sum alone.
/// Differentiable to any order in all arguments; same bits for any number of threads.
template <class T> Var<T> linear_model(Var<T> const& coefficients, Var<T> const& basis, Var<T> const& mean) {
  return apply(detail::LinearModel<T>{}, coefficients, basis, mean);
}
/// Inner products of every gy[n, ...] with every basis[k, ...]: [n, k].
template <class T> Var<T> linear_model_coefficients(Var<T> const& gy, Var<T> const& basis) {
  return apply(detail::LinearModelCoefficients<T>{}, gy, basis);
}
/// sum_n coefficients[n, k] gy[n, ...]: [k, ...].
template <class T> Var<T> linear_model_basis(Var<T> const& coefficients, Var<T> const& gy) {
  return apply(detail::LinearModelBasis<T>{}, coefficients, gy);
}

/// The rows of some vertices of a mean [V, 3] or basis [k, V, 3], for evaluating landmarks alone.
template <class T> Tensor<T> take_vertices(Tensor<T> const& x, std::vector<int> const& vertices) {
  check(x.rank() == 2 || x.rank() == 3, "take_vertices: expected [V, c] or [k, V, c], got ", x.shape());
  std::int64_t const k = x.rank() == 3 ? x.dim(0) : 1, v = x.dim(-2), c = x.dim(-1), m = std::int64_t(vertices.size());
  for (int i : vertices) check(i >= 0 && i < v, "take_vertices: vertex ", i, " is outside [0, ", v, ")");
  std::vector<T> const from = x.host();
  std::vector<T> to;
  to.reserve(std::size_t(k * m * c));
  for (std::int64_t r = 0; r < k; ++r)
    for (int i : vertices) {
      auto const* p = from.data() + (r * v + i) * c;
      to.insert(to.end(), p, p + c);
    }
  return Tensor<T>(x.shape().with(-2, m), to, x.device());
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::LinearModel)
RIG_OP(render::detail::LinearModelCoefficients)
RIG_OP(render::detail::LinearModelBasis)
}  // namespace rig::inline RIG_ABI
#endif
