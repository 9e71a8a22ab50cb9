// Pictures of vertex attributes: perspective-correct interpolation at the triangle each pixel sees, and its gradient.
// The backward has a fixed order: every triangle walks over the pixels of its box in row order and adds up those it owns,
// then every vertex gathers its triangles in ascending order. No atomics, so the same bits on every run and thread count.
#pragma once
#include "rig/autodiff/op.hpp"
#include "rig/render/cuda/owned_pixels.hpp"
#include "rig/render/visibility.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail {

/// One pixel of one triangle: weights, and what their gradients need. Positions are the snapped ones, in pixels.
template <class T> struct Fragment {
  T lambda[3], q[3], beta[3], s;  // screen and perspective-correct barycentrics, inverse depths, their mix
  T gu[3], gw[3];                 // gradient of lambda on the screen
  int order[3];
  RIG_HD Fragment(ScreenTriangle<T> const& t, std::int64_t row, std::int64_t column) {
    using R = Raster<T>;
    T const unit = T(R::unit), inverse = T(1) / T(t.area2);
    auto const u = R::center(column), w = R::center(row);
    s = T(0);
    for (int k = 0; k < 3; ++k) {
      auto const &a = t.v[(k + 1) % 3], &c = t.v[(k + 2) % 3];
      lambda[k] = T(t.edge(k, u, w)) * inverse;
      q[k] = t.v[k].q;
      s += lambda[k] * q[k];
      gu[k] = -T(c.w - a.w) * inverse * unit, gw[k] = T(c.u - a.u) * inverse * unit;
      order[k] = t.order[k];
    }
    for (int k = 0; k < 3; ++k) beta[k] = lambda[k] * q[k] / s;
  }
};

/// The triangle that owns a pixel, set up again from projected positions.
template <class T> RIG_HD bool screen_triangle(ScreenTriangle<T>& s, T const* projected, int const* t, ImageSize size) {
  return set_screen_triangle(s, projected, t, size, false);
}

template <class T> struct InterpolateKernel {
  T* y;
  T const *attribute, *projected;
  int const* triangle;
  MeshView<T> mesh;
  ImageSize size;
  std::int64_t channels;
  RIG_HD void operator()(std::int64_t image, std::int64_t p) const {
    std::int64_t const at = image * size.height * size.width + p;
    int const f = triangle[at];
    ScreenTriangle<T> s;
    int const* t = mesh.triangle + 3 * (f < 0 ? 0 : f);
    if (f < 0 || !screen_triangle(s, projected + 3 * image * mesh.vertices, t, size)) {
      for (std::int64_t c = 0; c < channels; ++c) y[at * channels + c] = T(0);
      return;
    }
    Fragment<T> const g(s, p / size.width, p % size.width);
    T const* a = attribute + image * mesh.vertices * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      T v = 0;
      for (int k = 0; k < 3; ++k) v += g.beta[k] * a[t[g.order[k]] * channels + c];
      y[at * channels + c] = v;
    }
  }
};

/// Calls body(row, column) for every pixel a triangle owns, in row order; true if there was one.
template <class T, class Body>
RIG_HD bool for_each_owned(ScreenTriangle<T> const& s, int const* triangle, int f, ImageSize size, Body const& body) {
  bool any = false;
  for (std::int64_t i = s.top; i <= s.bottom; ++i)
    for (std::int64_t j = s.left; j <= s.right; ++j) {
      if (triangle[i * size.width + j] != f) continue;
      body(i, j);
      any = true;
    }
  return any;
}

/// What gradients gb of a pixel's three weights say of the corners: the slope (du, dw) of the value that the loss sees, and depths.
template <class T> struct WeightGradient {
  T du = 0, dw = 0, depth[3];
  RIG_HD WeightGradient(Fragment<T> const& p, T const (&gb)[3]) {
    T const mean = p.beta[0] * gb[0] + p.beta[1] * gb[1] + p.beta[2] * gb[2];
    for (int k = 0; k < 3; ++k) {
      T const h = (gb[k] - mean) / p.s;
      du += p.q[k] * h * p.gu[k], dw += p.q[k] * h * p.gw[k];
      depth[k] = -p.q[k] * p.q[k] * p.lambda[k] * h;
    }
  }
};
/// Sums of one triangle: for each of its corners (du, dv, ddepth, then attributes): [3, 3 + channels].
template <class T> struct InterpolateTriangleKernel {
  T* sum;
  unsigned char* owns;
  T const *gy, *attribute, *projected;
  int const* triangle;
  MeshView<T> mesh;
  ImageSize size;
  std::int64_t channels;
  RIG_HD void operator()(std::int64_t image, std::int64_t f) const {
    int const* t = mesh.triangle + 3 * f;
    std::int64_t const pixels = size.height * size.width, row = 3 + channels;
    unsigned char& flag = owns[image * mesh.faces + f];
    flag = 0;
    ScreenTriangle<T> s;
    if (!screen_triangle(s, projected + 3 * image * mesh.vertices, t, size)) return;
    T* const out = sum + (image * mesh.faces + f) * 3 * row;
    T const *a = attribute + image * mesh.vertices * channels, *g = gy + image * pixels * channels;
    bool first = true;
    for_each_owned(s, triangle + image * pixels, int(f), size, [&](std::int64_t i, std::int64_t j) {
      Fragment<T> const p(s, i, j);
      if (first)
        for (std::int64_t k = 0; k < 3 * row; ++k) out[k] = T(0);
      first = false;
      T const* gp = g + (i * size.width + j) * channels;
      T gb[3];
      for (int k = 0; k < 3; ++k) {
        gb[k] = T(0);
        for (std::int64_t c = 0; c < channels; ++c) gb[k] += gp[c] * a[t[p.order[k]] * channels + c];
      }
      WeightGradient<T> const d(p, gb);
      for (int k = 0; k < 3; ++k) {
        T* o = out + p.order[k] * row;
        o[0] -= p.lambda[k] * d.du, o[1] -= p.lambda[k] * d.dw, o[2] += d.depth[k];
        for (std::int64_t c = 0; c < channels; ++c) o[3 + c] += p.beta[k] * gp[c];
      }
    });
    flag = first ? 0 : 1;
  }
};
/// The same for a number of channels that the compiler knows, as terms of cuda/owned_pixels.hpp.
template <int Channels> struct InterpolateTerms {
  static constexpr int width = 3 * (3 + Channels);
  float const *gy, *attribute, *projected;
  int const* triangle;
  MeshView<float> mesh;
  ImageSize size;
  RIG_HD void add(std::int64_t image, ScreenTriangle<float> const& s, int const* corners, int row, int column, float* sum) const {
    Fragment<float> const p(s, row, column);
    float const *g = gy + ((image * size.height + row) * size.width + column) * Channels, *a = attribute + image * mesh.vertices * Channels;
    float gp[Channels], gb[3] = {};
    for (int c = 0; c < Channels; ++c) gp[c] = g[c];
    for (int k = 0; k < 3; ++k)
      for (int c = 0; c < Channels; ++c) gb[k] += gp[c] * a[std::int64_t(corners[s.order[k]]) * Channels + c];
    WeightGradient<float> const d(p, gb);
    for (int k = 0; k < 3; ++k) {
      float* const o = sum + k * (3 + Channels);
      o[0] -= p.lambda[k] * d.du, o[1] -= p.lambda[k] * d.dw, o[2] += d.depth[k];
      for (int c = 0; c < Channels; ++c) o[3 + c] += p.beta[k] * gp[c];
    }
  }
};
/// What cuda/owned_pixels.hpp does, one thread a triangle.
template <class T, class Terms> struct OwnedPixelKernel {
  T* sum;
  unsigned char* owns;
  Terms terms;
  RIG_HD void operator()(std::int64_t image, std::int64_t f) const {
    constexpr int row = Terms::width / 3;
    auto const& m = terms.mesh;
    int const *seen = terms.triangle + image * terms.size.height * terms.size.width, *corners = m.triangle + 3 * f;
    ScreenTriangle<T> s;
    T total[Terms::width] = {};
    bool const any =
        screen_triangle(s, terms.projected + 3 * image * m.vertices, corners, terms.size) &&
        for_each_owned(s, seen, int(f), terms.size, [&](std::int64_t i, std::int64_t j) { terms.add(image, s, corners, i, j, total); });
    owns[image * m.faces + f] = any ? 1 : 0;
    if (!any) return;
    T* const out = sum + (image * m.faces + f) * Terms::width;
    for (int k = 0; k < 3; ++k)
      for (int c = 0; c < row; ++c) out[s.order[k] * row + c] = total[k * row + c];
  }
};
/// Sums of terms over the pixels of every triangle: [images, F, Terms::width], written where `owns` [images, F] says 1.
template <class T, class Terms>
void sum_over_triangles(Device const& device, T* sum, unsigned char* owns, std::int64_t images, Terms const& terms) {
#if RIG_GPU
  if constexpr (std::is_same_v<T, float>)
    if (!device.is_cpu()) return sum_owned_pixels(device, sum, owns, images, terms);
#endif
  for_each_in_images(device, images, terms.mesh.faces, OwnedPixelKernel<T, Terms>{sum, owns, terms});
}
/// y[vertex, c] = sum over its triangles that own pixels, ascending, of numbers begin + c of its corner.
template <class T> struct GatherCornersKernel {
  T* y;
  T const* sum;
  unsigned char const* owns;
  MeshView<T> mesh;
  std::int64_t row, begin, width;
  RIG_HD void operator()(std::int64_t image, std::int64_t i) const {
    T* out = y + (image * mesh.vertices + i) * width;
    for (std::int64_t c = 0; c < width; ++c) out[c] = T(0);
    for (int k = mesh.offset[i]; k < mesh.offset[i + 1]; ++k) {
      int const f = mesh.list[k], *t = mesh.triangle + 3 * f;
      if (!owns[image * mesh.faces + f]) continue;
      int const corner = t[0] == i ? 0 : t[1] == i ? 1 : 2;
      T const* s = sum + ((image * mesh.faces + f) * 3 + corner) * row + begin;
      for (std::int64_t c = 0; c < width; ++c) out[c] += or_zero(s[c]);
    }
  }
};

template <class T> void check_visibility(char const* op, Visibility const& v, Tensor<T> const& projected) {
  check(v.triangle.rank() == 3 && v.triangle.dim(0) == projected.dim(0), op, ": the visibility must be of ", projected.dim(0),
        " images, got ", v.triangle.shape());
  check_device(op, "visibility", v.triangle, projected.device());
}

template <class T> struct Interpolate {
  using scalar = T;
  static constexpr char const* name = "interpolate";
  Visibility visibility;
  Mesh mesh;
  Tensor<T> forward(Tensor<T> const& attribute, Tensor<T> const& projected) const {
    check_projected(name, projected, mesh);
    check_visibility(name, visibility, projected);
    check(attribute.rank() == 3 && attribute.dim(0) == projected.dim(0) && attribute.dim(1) == mesh.vertices, name, ": attribute must be [",
          projected.dim(0), ", ", mesh.vertices, ", c], got ", attribute.shape());
    ImageSize const s = visibility.size;
    Tensor<T> y({projected.dim(0), s.height, s.width, attribute.dim(2)}, projected.device());
    for_each_in_images(y.device(), y.dim(0), s.height * s.width,
                       InterpolateKernel<T>{y.mutate(), attribute.data(), projected.data(), visibility.triangle.data(), MeshView<T>(mesh),
                                            s, attribute.dim(2)});
    return y;
  }
  std::tuple<Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const&, Tensor<T> const& attribute,
                                            Tensor<T> const& projected) const {
    std::int64_t const n = projected.dim(0), channels = attribute.dim(2), row = 3 + channels,
                       pixels = visibility.size.height * visibility.size.width;
    MeshView<T> const m(mesh);
    Tensor<T> ga(attribute.shape(), projected.device()), gp(projected.shape(), projected.device());
    std::int64_t const step = images_at_once(n, m.faces * 3 * row * std::int64_t(sizeof(T)));
    Tensor<T> sum({step, m.faces, 3, row}, projected.device());
    Tensor<unsigned char> owns({step, m.faces}, projected.device());
    for (std::int64_t b = 0; b < n; b += step) {
      std::int64_t const count = std::min(step, n - b), v = b * m.vertices;
      sum_triangles(sum.mutate(), owns.mutate(), gy.data() + b * pixels * channels, attribute.data() + v * channels,
                    projected.data() + 3 * v, visibility.triangle.data() + b * pixels, gy.device(), count, channels);
      for_each_in_images(gy.device(), count, m.vertices,
                         GatherCornersKernel<T>{gp.mutate() + 3 * v, sum.data(), owns.data(), m, row, 0, 3});
      for_each_in_images(gy.device(), count, m.vertices,
                         GatherCornersKernel<T>{ga.mutate() + v * channels, sum.data(), owns.data(), m, row, 3, channels});
    }
    return {ga, gp};
  }
  /// [3, 3 + channels] numbers of every triangle that owns a pixel.
  void sum_triangles(T* sum, unsigned char* owns, T const* gy, T const* attribute, T const* projected, int const* triangle,
                     Device const& device, std::int64_t images, std::int64_t channels) const {
    MeshView<T> const m(mesh);
    ImageSize const size = visibility.size;
#if RIG_GPU
    if constexpr (std::is_same_v<T, float>)
      if (!device.is_cpu()) {
        if (channels == 3)
          return sum_owned_pixels(device, sum, owns, images, InterpolateTerms<3>{gy, attribute, projected, triangle, m, size});
        if (channels == 6)
          return sum_owned_pixels(device, sum, owns, images, InterpolateTerms<6>{gy, attribute, projected, triangle, m, size});
      }
#endif
    for_each_in_images(device, images, m.faces,
                       InterpolateTriangleKernel<T>{sum, owns, gy, attribute, projected, triangle, m, size, channels});
  }
};

/// Foreground where a triangle is seen, background elsewhere. With Background, the other way round: for gradients.
template <class T> struct CompositeKernel {
  T* y;
  T const *front, *back;  // null: zero
  int const* triangle;
  std::int64_t channels;
  RIG_HD void operator()(std::int64_t pixel, std::int64_t c) const {
    T const* from = triangle[pixel] >= 0 ? front : back;
    y[pixel * channels + c] = from ? from[pixel * channels + c] : T(0);
  }
};
template <class T> Tensor<T> composite(Tensor<T> const& like_this, T const* front, T const* back, Visibility const& v) {
  Tensor<T> y(like_this.shape(), like_this.device());
  for_each(y.device(), v.triangle.size(), y.dim(3), CompositeKernel<T>{y.mutate(), front, back, v.triangle.data(), y.dim(3)});
  return y;
}

}  // namespace detail

template <class T> Var<T> composite(Var<T> const& foreground, Var<T> const& background, Visibility const& visibility);

namespace detail {
template <class T> struct Composite {
  using scalar = T;
  static constexpr char const* name = "composite";
  Visibility visibility;
  Tensor<T> forward(Tensor<T> const& front, Tensor<T> const& back) const {
    check(front.rank() == 4 && front.size() == visibility.triangle.size() * front.dim(3), name, ": foreground must be [n, h, w, c] over ",
          visibility.triangle.shape(), ", got ", front.shape());
    check(back.shape() == front.shape(), name, ": background must be ", front.shape(), " as the foreground, got ", back.shape());
    return composite(front, front.data(), back.data(), visibility);
  }
  Var<T> vjp(wrt<0>, Var<T> gy, Var<T>, Var<T>, Var<T>) const {
    return render::composite(gy, Var<T>(zeros<T>(gy.shape(), gy.device())), visibility);
  }
  Var<T> vjp(wrt<1>, Var<T> gy, Var<T>, Var<T>, Var<T>) const {
    return render::composite(Var<T>(zeros<T>(gy.shape(), gy.device())), gy, visibility);
  }
};
}  // namespace detail

/// Attributes [n, V, c] of a mesh at projected positions [n, V, 3] as a picture [n, h, w, c], zero where nothing is seen.
/// Gradients to attributes and positions for fixed visibility, exact (pass projected.detach() for attributes alone).
/// Differentiable once; same bits for any number of threads.
template <class T> Var<T> interpolate(Var<T> const& attribute, Var<T> const& projected, Visibility const& visibility, Mesh const& mesh) {
  return apply(detail::Interpolate<T>{visibility, mesh}, attribute, projected);
}
/// Foreground [n, h, w, c] where a triangle is seen, background of the same shape elsewhere. Any order.
template <class T> Var<T> composite(Var<T> const& foreground, Var<T> const& background, Visibility const& visibility) {
  return apply(detail::Composite<T>{visibility}, foreground, background);
}

}  // namespace rig::inline RIG_ABI::render

#if RIG_EXTERN_TEMPLATES
namespace rig::inline RIG_ABI {
RIG_OP(render::detail::Interpolate)
RIG_OP(render::detail::Composite)
}  // namespace rig::inline RIG_ABI
#endif
