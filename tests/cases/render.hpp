// Cases of the renderer: rotations, cameras, the linear model, normals, light, losses, landmarks, pictures.
// motion_gradient is not here: its gradient is not that of its (unchanged) value; tests/render judges it.
#pragma once
#include "cases/case.hpp"
#include "rig/render/face_renderer.hpp"

namespace cases {

namespace render_scene {
/// A strip of triangles over n vertices.
inline render::Mesh strip(std::int64_t vertices) {
  std::vector<int> t;
  for (int i = 0; i + 2 < int(vertices); ++i) t.insert(t.end(), {i, i + 1 + i % 2, i + 2 - i % 2});
  return render::Mesh(Tensor<int>({std::int64_t(t.size()) / 3, 3}, t), vertices);
}
/// Constants in any scalar type.
template <class T>
Tensor<T> constant(Shape s, double low, double high, std::uint64_t seed) {
  Rng rng(seed);
  return cast<T>(rand<double>(s, rng, {}, low, high));
}
/// Two triangles that cover most of a picture of 6 x 7 pixels, at positions that both scalar types hold exactly.
template <class T>
Tensor<T> square() {
  return Tensor<T>({1, 4, 3}, {T(0.25), T(0.5), T(2), T(0.75), T(5.5), T(4), T(6.5), T(5.25), T(2), T(6.75), T(0.25), T(4)});
}
inline render::Mesh square_mesh() { return render::Mesh(Tensor<int>({2, 3}, {0, 1, 2, 0, 2, 3}), 4); }
}  // namespace render_scene

inline void add_render(Table& t) {
  using namespace render;
  namespace scene = render_scene;
  auto rotation = [&](char const* name, auto f, std::int64_t width) {
    add(t, name, f, {normal({3, width})}, {.order = 1, .wrong = {{{3, width + 1}}, {{width}}}, .bench = {normal({64, width})}});
  };
  rotation(
      "euler_to_matrix", [](auto const& x) { return euler_to_matrix(x[0]); }, 3);
  rotation(
      "axis_angle_to_matrix", [](auto const& x) { return axis_angle_to_matrix(x[0]); }, 3);
  rotation(
      "quaternion_to_matrix", [](auto const& x) { return quaternion_to_matrix(x[0]); }, 4);
  rotation(
      "six_d_to_matrix", [](auto const& x) { return six_d_to_matrix(x[0]); }, 6);

  add(t, "linear_model", [](auto const& x) { return linear_model(x[0], x[1], x[2]); }, {normal({3, 5}), normal({5, 7, 3}), normal({7, 3})},
      {.wrong = {{{3, 4}, {5, 7, 3}, {7, 3}}, {{3, 5}, {5, 7, 3}, {6, 3}}},
       .bench = {normal({64, 80}), normal({80, 3000, 3}), normal({3000, 3})}});
  add(t, "linear_model_coefficients", [](auto const& x) { return linear_model_coefficients(x[0], x[1]); },
      {normal({3, 7, 3}), normal({5, 7, 3})}, {.wrong = {{{3, 7, 3}, {5, 6, 3}}}});
  add(t, "linear_model_basis", [](auto const& x) { return linear_model_basis(x[0], x[1]); }, {normal({3, 5}), normal({3, 7, 3})},
      {.wrong = {{{2, 5}, {3, 7, 3}}}});

  auto camera = [&](char const* name, auto f) {
    add(t, name, f, {normal({2, 7, 3}), normal({2, 9}), normal({2, 3})},
        {.order = 1,
         .wrong = {{{2, 7, 3}, {2, 3, 3}, {2, 3}}, {{2, 7, 3}, {2, 9}, {1, 3}}},
         .bench = {normal({64, 3000, 3}), normal({64, 9}), normal({64, 3})}});
  };
  camera("project", [](auto const& x) { return project(x[0], x[1], x[2], Camera{1.3, 40}, {30, 40}); });
  camera("project_orthographic", [](auto const& x) { return project_orthographic(x[0], x[1], x[2], {30, 40}); });
  add(t, "rotate", [](auto const& x) { return rotate(x[0], x[1]); }, {normal({2, 7, 3}), normal({2, 9})},
      {.order = 1, .wrong = {{{2, 7, 3}, {1, 9}}}, .bench = {normal({64, 3000, 3}), normal({64, 9})}});
  add(t, "vertex_normals", [](auto const& x) { return vertex_normals(x[0], scene::strip(x[0].rank() == 3 ? x[0].dim(1) : 3)); },
      {normal({2, 7, 3})}, {.order = 1, .wrong = {{{7, 3}}}, .bench = {normal({16, 3000, 3})}});
  add(t, "vertex_normals, unit weights", [](auto const& x) { return vertex_normals(x[0], scene::strip(7), NormalWeights::unit); },
      {normal({2, 7, 3})}, {.order = 1, .wrong = {{{2, 6, 3}}}});
  add(t, "shade", [](auto const& x) { return shade(x[0], x[1], x[2]); }, {normal({2, 7, 3}), normal({2, 7, 3}), normal({2, 27})},
      {.order = 1,
       .wrong = {{{2, 7, 3}, {2, 6, 3}, {2, 27}}, {{2, 7, 3}, {2, 7, 3}, {2, 9}}},
       .bench = {normal({64, 3000, 3}), normal({64, 3000, 3}), normal({64, 27})}});
  add(t, "normalize_vectors", [](auto const& x) { return normalize_vectors(x[0]); }, {normal({2, 7, 3})},
      {.order = 1, .wrong = {{{2, 7, 4}}}});

  auto photometric = [&](char const* name, Distance d) {
    add(t, std::string("vertex_photometric, ") + name,
        [d](auto const& x) {
          using T = typename std::decay_t<decltype(x[0])>::scalar;
          return vertex_photometric(x[0], x[1], scene::constant<T>({2, 6, 8, 3}, 0, 1, 5), scene::constant<T>({2, 7}, 0, 1, 6), d);
        },
        {normal({2, 7, 3}), Input{{2, 7, 3}, 1.5, 4, false}}, {.order = 1, .wrong = {{{2, 7, 3}, {2, 6, 3}}, {{2, 6, 3}, {2, 6, 3}}}});
    add(t, std::string("pixel_photometric, ") + name,
        [d](auto const& x) {
          using T = typename std::decay_t<decltype(x[0])>::scalar;
          return pixel_photometric(x[0], scene::constant<T>({2, 6, 8, 3}, 0, 1, 5), scene::constant<T>({2, 6, 8}, 0, 1, 6), d);
        },
        {normal({2, 6, 8, 3})}, {.order = 1, .wrong = {{{2, 6, 7, 3}}}});
  };
  photometric("l2", Distance::l2);
  photometric("l21", Distance::l21);

  add(t, "landmark_points",
      [](auto const& x) {
        return landmark_points(x[0], Tensor<int>({2, 3}, {0, 4, 4, 6, 1, 0}), {20, 30});
      },
      {normal({2, 7, 3})}, {.order = 1, .wrong = {{{2, 4, 3}}, {{1, 7, 3}}}});
  add(t, "landmark_loss",
      [](auto const& x) {
        using T = typename std::decay_t<decltype(x[0])>::scalar;
        return landmark_loss(x[0], scene::constant<T>({2, 5, 2}, 0, 1, 7), scene::constant<T>({2, 5}, 0, 1, 8));
      },
      {normal({2, 5, 2})}, {.order = 1, .wrong = {{{2, 4, 2}}}});

  add(t, "interpolate",
      [](auto const& x) {
        using T = typename std::decay_t<decltype(x[0])>::scalar;
        auto const p = scene::square<T>();
        auto const mesh = scene::square_mesh();
        return interpolate(x[0], Var<T>(p), rasterize(p, mesh, {6, 7}), mesh);
      },
      {normal({1, 4, 5})}, {.order = 1, .wrong = {{{1, 3, 5}}, {{2, 4, 5}}}});
  add(t, "composite",
      [](auto const& x) {
        using T = typename std::decay_t<decltype(x[0])>::scalar;
        return composite(x[0], x[1], rasterize(scene::square<T>(), scene::square_mesh(), {6, 7}));
      },
      {normal({1, 6, 7, 3}), normal({1, 6, 7, 3})}, {.wrong = {{{1, 6, 7, 3}, {1, 6, 7, 2}}, {{1, 5, 7, 3}, {1, 5, 7, 3}}}});
}

}  // namespace cases
