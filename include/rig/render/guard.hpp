// Gradients that are not finite, noticed. The renderer's ops drop them where they arise; here they are counted as well,
// image by image and without waiting for the device, or refused.
#pragma once
#include "rig/autodiff/op.hpp"
#include "rig/render/per_image.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

template <class T> struct ZeroBadKernel {
  T* y;
  T const* gy;
  std::int64_t count;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const { y[image * count + i] = or_zero(gy[image * count + i]); }
};
template <class T> struct CountBadLeaf {
  static constexpr int width = 1;
  T const* gy;
  std::int64_t count;
  RIG_HD void add(std::int64_t image, std::int64_t i, int* s) const { s[0] += !finite(gy[image * count + i]); }
};
struct AddCountKernel {
  int* y;
  int const* more;
  RIG_HD void operator()(std::int64_t i) const { y[i] += more[i]; }
};

template <class T> struct GuardGradient {
  using scalar = T;
  static constexpr char const* name = "guard_gradient";
  Tensor<int> counts;
  bool strict = false;
  Tensor<T> forward(Tensor<T> const& x) const {
    check(x.rank() >= 1, name, ": x must have images as its first extent, got ", x.shape());
    check(!counts || counts.shape() == Shape{x.dim(0)}, name, ": counts must be [", x.dim(0), "], got ", counts.shape());
    check_device(name, "counts", counts, x.device());
    return x;
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& x) const {
    std::int64_t const n = x.dim(0), count = n ? x.size() / n : 0;
    Tensor<T> g(gy.shape(), gy.device());
    Tensor<int> const bad = sum_images<int>(gy.device(), n, count,
                                            WithSum<ZeroBadKernel<T>, CountBadLeaf<T>>{{g.mutate(), gy.data(), count}, {gy.data(), count}});
    if (counts) {
      Tensor<int> total = counts;
      for_each(gy.device(), n, AddCountKernel{total.mutate(), bad.data()});
    }
    if (strict) {
      auto const list = bad.host();
      for (std::int64_t i = 0; i < n; ++i)
        check(list[std::size_t(i)] == 0, name, ": ", list[std::size_t(i)], " of ", count, " gradients of image ", i, " are not finite");
    }
    return {g};
  }
};

}  // namespace detail

/// x [n, ...], unchanged. On the way back gradients that are not finite become zero and are counted: counts [n], if given,
/// grows by their number in each image. `strict` makes the first of them an Error, at the price of waiting for the device.
/// Once differentiable.
///   Tensor<int> bad = zeros<int>({n});
///   auto loss = pixel_photometric(guard_gradient(picture.image, bad), photographs, weights);
template <class T> Var<T> guard_gradient(Var<T> const& x, Tensor<int> const& counts = {}, bool strict = false) {
  return apply(detail::GuardGradient<T>{counts, strict}, x);
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::GuardGradient)
}  // namespace rig::inline RIG_ABI
#endif
