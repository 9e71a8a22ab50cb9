// Landmarks: chosen vertices of the projected mesh, compared with detected points. Points are in fractions of the image's
// height (u and v alike), so a loss means the same at every resolution.
// Jaw points may slide: under the present pose the outermost of a list of candidates is taken; no gradient passes through
// the choice.
#pragma once
#include "rig/autodiff/op.hpp"
#include "rig/render/camera.hpp"
#include "rig/render/morphable_model.hpp"

namespace rig::inline RIG_ABI::render {

/// Which vertices the landmarks are, and where jaw points may slide to.
struct LandmarkTable {
  Tensor<int> vertex;     ///< [L]
  Tensor<int> offsets;    ///< [L + 1], candidates of landmark l are candidate[offsets[l]] ..
  Tensor<int> candidate;  ///< vertices
  Tensor<int> side;       ///< [L]: -1 the smallest u is taken, +1 the largest, 0 the landmark is fixed

  std::int64_t size() const { return vertex ? vertex.dim(0) : 0; }
  LandmarkTable() = default;
  /// contour holds candidates for the first points, which are jaw points in the iBUG order: the left half of the image
  /// first. The middle one (the chin) and those without candidates stay fixed.
  LandmarkTable(std::vector<int> const& vertices, std::vector<std::vector<int>> const& contour, Device const& device = {}) {
    check(contour.size() <= vertices.size(), "LandmarkTable: ", contour.size(), " lists of candidates for ", vertices.size(), " landmarks");
    std::vector<int> off{0}, list, which;
    for (std::size_t l = 0; l < vertices.size(); ++l) {
      bool const slides = l < contour.size() && !contour[l].empty() && 2 * l + 1 != contour.size();
      which.push_back(!slides ? 0 : 2 * l + 1 < contour.size() ? -1 : 1);
      if (slides) list.insert(list.end(), contour[l].begin(), contour[l].end());
      off.push_back(int(list.size()));
    }
    auto make = [&](std::vector<int> const& v) { return Tensor<int>({std::int64_t(v.size())}, v).to(device); };
    vertex = make(vertices), offsets = make(off), candidate = make(list), side = make(which);
  }
  explicit LandmarkTable(MorphableModel const& m, Device const& device = {})
      : LandmarkTable(m.landmarks ? m.landmarks.host() : std::vector<int>{}, m.contour, device) {}
};

/// The 66 of 68 points that trackers of the StyleRig family give: without the inner mouth corners, 60 and 64.
inline std::vector<int> landmarks66() {
  std::vector<int> v;
  for (int i = 0; i < 68; ++i)
    if (i != 60 && i != 64) v.push_back(i);
  return v;
}

namespace detail {

template <class T> struct SelectLandmarksKernel {
  int* y;
  T const* projected;
  int const *vertex, *offset, *candidate, *side;
  std::int64_t landmarks, vertices;
  RIG_HD void operator()(std::int64_t image, std::int64_t l) const {
    T const* p = projected + 3 * image * vertices;
    int best = vertex[l];
    T extreme = 0;
    bool found = false;
    for (int k = offset[l]; k < offset[l + 1]; ++k) {
      int const v = candidate[k];
      if (!(p[3 * v + 2] > T(0))) continue;
      T const u = T(side[l]) * p[3 * v];
      if (!found || u > extreme) best = v, extreme = u, found = true;
    }
    y[image * landmarks + l] = best;
  }
};
template <class T> struct LandmarkPointsKernel {
  T* y;
  T const* projected;
  int const* index;
  std::int64_t landmarks, vertices;
  T scale;
  RIG_HD void operator()(std::int64_t image, std::int64_t l) const {
    std::int64_t const k = image * landmarks + l;
    T const* p = projected + 3 * (image * vertices + index[k]);
    y[2 * k] = scale * p[0], y[2 * k + 1] = scale * p[1];
  }
};
/// The first landmark that names a vertex adds up all that do, in order, into gradients that were zero.
template <class T> struct LandmarkPointsBackwardKernel {
  T* g;
  T const* gy;
  int const* index;
  std::int64_t landmarks, vertices;
  T scale;
  RIG_HD void operator()(std::int64_t image, std::int64_t l) const {
    int const* names = index + image * landmarks;
    for (std::int64_t k = 0; k < l; ++k)
      if (names[k] == names[l]) return;
    T u = 0, v = 0;
    for (std::int64_t k = l; k < landmarks; ++k)
      if (names[k] == names[l]) u += scale * gy[2 * (image * landmarks + k)], v += scale * gy[2 * (image * landmarks + k) + 1];
    T* p = g + 3 * (image * vertices + names[l]);
    p[0] = u, p[1] = v;
  }
};
template <class T> struct LandmarkPoints {
  using scalar = T;
  static constexpr char const* name = "landmark_points";
  Tensor<int> index;  // [n, L]
  T scale;
  Tensor<T> forward(Tensor<T> const& projected) const {
    check_points(name, projected, "projected");
    check(index.rank() == 2 && index.dim(0) == projected.dim(0), name, ": index must be [", projected.dim(0), ", L], got ", index.shape());
    check_device(name, "index", index, projected.device());
    if (index.device().is_cpu())
      for (std::int64_t i = 0; i < index.size(); ++i)
        check(index.data()[i] >= 0 && index.data()[i] < projected.dim(1), name, ": vertex ", index.data()[i], " is outside [0, ",
              projected.dim(1), ")");
    Tensor<T> y({index.dim(0), index.dim(1), 2}, projected.device());
    for_each(y.device(), y.dim(0), y.dim(1),
             LandmarkPointsKernel<T>{y.mutate(), projected.data(), index.data(), y.dim(1), projected.dim(1), scale});
    return y;
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& projected) const {
    Tensor<T> g = zeros<T>(projected.shape(), projected.device());
    for_each(g.device(), index.dim(0), index.dim(1),
             LandmarkPointsBackwardKernel<T>{g.mutate(), gy.data(), index.data(), index.dim(1), projected.dim(1), scale});
    return {g};
  }
};

/// Terms of sum w |p - s|^2 and of sum w.
template <class T> struct LandmarkLossLeaf {
  static constexpr int width = 2;
  T const *p, *target, *weight;
  std::int64_t landmarks;
  RIG_HD void add(std::int64_t image, std::int64_t l, T* s) const {
    std::int64_t const k = image * landmarks + l;
    if (!(weight[k] > T(0))) return;
    T const a = p[2 * k] - target[2 * k], b = p[2 * k + 1] - target[2 * k + 1];
    s[0] += weight[k] * (a * a + b * b), s[1] += weight[k];
  }
};
template <class T> struct LandmarkLossKernel {
  T* y;
  T const* sum;
  RIG_HD void operator()(std::int64_t image) const { y[image] = sum[2 * image + 1] > T(0) ? sum[2 * image] / sum[2 * image + 1] : T(0); }
};
template <class T> struct LandmarkLossBackwardKernel {
  T* g;
  T const *gy, *p, *target, *weight, *sum;
  std::int64_t landmarks;
  RIG_HD void operator()(std::int64_t image, std::int64_t l) const {
    std::int64_t const k = image * landmarks + l;
    bool const counts = weight[k] > T(0);
    T const f = counts ? 2 * gy[image] * weight[k] / sum[2 * image + 1] : T(0);
    g[2 * k] = counts ? f * (p[2 * k] - target[2 * k]) : T(0), g[2 * k + 1] = counts ? f * (p[2 * k + 1] - target[2 * k + 1]) : T(0);
  }
};
template <class T> struct LandmarkLoss {
  using scalar = T;
  static constexpr char const* name = "landmark_loss";
  Tensor<T> target, weight;
  Tensor<T> forward(Tensor<T> const& p) const {
    check(p.rank() == 3 && p.dim(2) == 2, name, ": points must be [n, L, 2], got ", p.shape());
    check(target.shape() == p.shape(), name, ": targets must be ", p.shape(), " as the points, got ", target.shape());
    check(weight.shape() == Shape({p.dim(0), p.dim(1)}), name, ": weights must be [", p.dim(0), ", ", p.dim(1), "], got ", weight.shape());
    check_device(name, "target", target, p.device()), check_device(name, "weight", weight, p.device());
    Tensor<T> y({p.dim(0)}, p.device());
    Tensor<T> const s = sums(p);
    for_each(y.device(), y.size(), LandmarkLossKernel<T>{y.mutate(), s.data()});
    return y;
  }
  Tensor<T> sums(Tensor<T> const& p) const {
    return sum_images<T>(p.device(), p.dim(0), p.dim(1), LandmarkLossLeaf<T>{p.data(), target.data(), weight.data(), p.dim(1)});
  }
  std::tuple<Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& p) const {
    Tensor<T> g(p.shape(), p.device());
    Tensor<T> const s = sums(p);
    for_each(g.device(), p.dim(0), p.dim(1),
             LandmarkLossBackwardKernel<T>{g.mutate(), gy.data(), p.data(), target.data(), weight.data(), s.data(), p.dim(1)});
    return {g};
  }
};

}  // namespace detail

/// The vertex each landmark is under the present projection [n, V, 3]: [n, L].
template <class T> Tensor<int> select_landmarks(Tensor<T> const& projected, LandmarkTable const& table) {
  detail::check_points("select_landmarks", projected, "projected");
  check_device("select_landmarks", "table", table.vertex, projected.device());
  Tensor<int> y({projected.dim(0), table.size()}, projected.device());
  for_each(y.device(), y.dim(0), y.dim(1),
           detail::SelectLandmarksKernel<T>{y.mutate(), projected.data(), table.vertex.data(), table.offsets.data(), table.candidate.data(),
                                            table.side.data(), table.size(), projected.dim(1)});
  return y;
}
/// The points (u, v) of vertices `index` [n, L] of projected [n, V, 3], divided by the image's height: [n, L, 2].
/// A vertex behind the camera gives (0, 0), and project() passes no gradient to it. Differentiable once.
template <class T> Var<T> landmark_points(Var<T> const& projected, Tensor<int> const& index, ImageSize size) {
  check(size.height > 0, "landmark_points: the image has no height");
  return apply(detail::LandmarkPoints<T>{index, T(1) / T(size.height)}, projected);
}
/// sum_l w_l |p_l - s_l|^2 / sum_l w_l for points and targets [n, L, 2] and weights [n, L]: [n]. A target of weight 0 may
/// hold anything; without any weight an image's loss is 0. Differentiable once.
template <class T> Var<T> landmark_loss(Var<T> const& points, Tensor<T> const& targets, Tensor<T> const& weights) {
  return apply(detail::LandmarkLoss<T>{targets, weights}, points);
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::LandmarkPoints)
RIG_OP(render::detail::LandmarkLoss)
}  // namespace rig::inline RIG_ABI
#endif
