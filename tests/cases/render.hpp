// Cases of the renderer: rotations, cameras, the linear model, normals, light, losses, landmarks, pictures.
// Visibility is fixed at the positions a case starts from, so that differences do not meet its jumps.
#pragma once
#include "cases/case.hpp"
#include "rig/render/face_renderer.hpp"
#include "rig/render/guard.hpp"

namespace cases {

namespace render_scene {
/// A strip of triangles over n vertices.
inline render::Mesh strip(std::int64_t vertices, Device const& device) {
  return once(std::pair{vertices, device}, [&] {
    std::vector<int> t;
    for (int i = 0; i + 2 < int(vertices); ++i) t.insert(t.end(), {i, i + 1 + i % 2, i + 2 - i % 2});
    return render::Mesh(Tensor<int>({std::int64_t(t.size()) / 3, 3}, t), vertices, device);
  });
}
/// Constants in any scalar type.
template <class T> Tensor<T> constant(Shape const& s, std::uint64_t seed, Device const& device) {
  return once(std::tuple{s, seed, device}, [&] {
    Rng rng(seed);
    return cast<T>(rand<double>(s, rng)).to(device);
  });
}
/// Vertices in pictures, at positions that both scalar types hold exactly, and what is seen of them.
template <class T> struct Scene {
  render::Mesh mesh;
  Tensor<T> projected;  // [n, V, 3]
  render::Visibility visibility;
};
/// Two triangles that cover most of a picture of 6 x 7 pixels.
template <class T> Scene<T> small(Device const& device) {
  return once(device, [&] {
    Tensor<T> const p({1, 4, 3}, {T(0.25), T(0.5), T(2), T(0.75), T(5.5), T(4), T(6.5), T(5.25), T(2), T(6.75), T(0.25), T(4)}, device);
    render::Mesh const mesh(Tensor<int>({2, 3}, {0, 1, 2, 0, 2, 3}), 4, device);
    return Scene<T>{mesh, p, render::rasterize(p, mesh, {6, 7})};
  });
}
/// 60 x 50 vertices over a picture of 224 x 224.
template <class T> Scene<T> large(Device const& device) {
  return once(device, [&] {
    std::vector<T> p;
    std::vector<int> t;
    for (int i = 0; i < 60; ++i)
      for (int j = 0; j < 50; ++j) {
        p.insert(p.end(), {T(4.25 * j + 0.5 * (i % 3)), T(3.5 * i + 0.25 * (j % 5)), T(4 + (i * j % 7) * 0.25)});
        if (int const v = 50 * i + j; i + 1 < 60 && j + 1 < 50) t.insert(t.end(), {v, v + 50, v + 1, v + 1, v + 50, v + 51});
      }
    Tensor<T> const projected({1, 3000, 3}, p, device);
    render::Mesh const mesh(Tensor<int>({std::int64_t(t.size()) / 3, 3}, t), 3000, device);
    return Scene<T>{mesh, projected, render::rasterize(projected, mesh, {224, 224})};
  });
}
inline render::Camera camera() { return {1.3, 40}; }
/// The scene for attributes [n, V, c] or pictures [n, h, w, c].
template <class T> Scene<T> scene_for(Var<T> const& x) {
  return x.dim(1) == (x.rank() == 4 ? 224 : 3000) ? large<T>(x.device()) : small<T>(x.device());
}
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
  add(t, "linear_model without a mean", [](auto const& x) { return linear_model(x[0], x[1]); }, {normal({3, 5}), normal({5, 7, 3})},
      {.wrong = {{{3, 4}, {5, 7, 3}}, {{5}, {5, 7, 3}}}, .bench = {normal({64, 80}), normal({80, 3000, 3})}});
  add(t, "linear_model_coefficients", [](auto const& x) { return linear_model_coefficients(x[0], x[1]); },
      {normal({3, 7, 3}), normal({5, 7, 3})}, {.wrong = {{{3, 7, 3}, {5, 6, 3}}}, .bench = {normal({64, 3000, 3}), normal({80, 3000, 3})}});
  add(t, "linear_model_basis", [](auto const& x) { return linear_model_basis(x[0], x[1]); }, {normal({3, 5}), normal({3, 7, 3})},
      {.wrong = {{{2, 5}, {3, 7, 3}}}, .bench = {normal({64, 80}), normal({64, 3000, 3})}});

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
  for (NormalWeights const w : {NormalWeights::area, NormalWeights::unit})
    add(t, w == NormalWeights::area ? "vertex_normals" : "vertex_normals, unit weights",
        [w](auto const& x) { return vertex_normals(x[0], scene::strip(x[0].dim(0) == 16 ? 3000 : 7, x[0].device()), w); },
        {normal({2, 7, 3})}, {.order = 1, .wrong = {{{7, 3}}, {{2, 6, 3}}}, .bench = {normal({16, 3000, 3})}});
  add(t, "shade", [](auto const& x) { return shade(x[0], x[1], x[2]); }, {normal({2, 7, 3}), normal({2, 7, 3}), normal({2, 27})},
      {.order = 1,
       .wrong = {{{2, 7, 3}, {2, 6, 3}, {2, 27}}, {{2, 7, 3}, {2, 7, 3}, {2, 9}}},
       .bench = {normal({64, 3000, 3}), normal({64, 3000, 3}), normal({64, 27})}});
  add(t, "normalize_vectors", [](auto const& x) { return normalize_vectors(x[0]); }, {normal({2, 7, 3})},
      {.order = 1, .wrong = {{{2, 7, 4}}}, .bench = {normal({64, 3000, 3})}});

  for (Distance const d : {Distance::l2, Distance::l21}) {
    std::string const name = d == Distance::l2 ? "l2" : "l21";
    add(t, "vertex_photometric, " + name,
        [d](auto const& x) {
          using T = ScalarOf<decltype(x)>;
          bool const large = x[0].dim(0) == 16;
          return vertex_photometric(x[0], x[1], scene::constant<T>(large ? Shape{16, 224, 224, 3} : Shape{2, 6, 8, 3}, 5, x[0].device()),
                                    scene::constant<T>(large ? Shape{16, 3000} : Shape{2, 7}, 6, x[0].device()), d);
        },
        {normal({2, 7, 3}), Input{{2, 7, 3}, 1.5, 4, false}},
        {.order = 1,
         .wrong = {{{2, 7, 3}, {2, 6, 3}}, {{2, 6, 3}, {2, 6, 3}}},
         .bench = {normal({16, 3000, 3}), Input{{16, 3000, 3}, 40, 112, false}}});
    add(t, "pixel_photometric, " + name,
        [d](auto const& x) {
          using T = ScalarOf<decltype(x)>;
          bool const large = x[0].dim(0) == 4;
          return pixel_photometric(x[0], scene::constant<T>(large ? Shape{4, 224, 224, 3} : Shape{2, 6, 8, 3}, 5, x[0].device()),
                                   scene::constant<T>(large ? Shape{4, 224, 224} : Shape{2, 6, 8}, 6, x[0].device()), d);
        },
        {normal({2, 6, 8, 3})}, {.order = 1, .wrong = {{{2, 6, 7, 3}}}, .bench = {normal({4, 224, 224, 3})}});
  }

  add(t, "landmark_points",
      [](auto const& x) {
        std::int64_t const n = x[0].dim(0) == 64 ? 64 : 2, count = n == 64 ? 68 : 3;
        std::vector<int> index{0, 4, 4, 6, 1, 0};  // one vertex twice, another in both rows
        for (int i = 6; i < int(n * count); ++i) index.push_back(i * 41 % 3000);
        return landmark_points(x[0], Tensor<int>({n, count}, index, x[0].device()), {20, 30});
      },
      {normal({2, 7, 3})}, {.order = 1, .wrong = {{{2, 4, 3}}, {{1, 7, 3}}}, .bench = {normal({64, 3000, 3})}});
  add(t, "landmark_loss",
      [](auto const& x) {
        using T = ScalarOf<decltype(x)>;
        std::int64_t const n = x[0].dim(0) == 64 ? 64 : 2, count = n == 64 ? 68 : 5;
        return landmark_loss(x[0], scene::constant<T>({n, count, 2}, 7, x[0].device()), scene::constant<T>({n, count}, 8, x[0].device()));
      },
      {normal({2, 5, 2})}, {.order = 1, .wrong = {{{2, 4, 2}}}, .bench = {normal({64, 68, 2})}});

  // The second input moves the vertices from where visibility was found; it is zero.
  add(t, "interpolate",
      [](auto const& x) {
        auto const s = scene::scene_for(x[0]);
        return interpolate(x[0], Var<ScalarOf<decltype(x)>>(s.projected) + x[1], s.visibility, s.mesh);
      },
      {normal({1, 4, 5}), normal({1, 4, 3}, 0)},
      {.order = 1,
       .wrong = {{{1, 3, 5}, {1, 4, 3}}, {{2, 4, 5}, {1, 4, 3}}, {{1, 4, 5}, {2, 4, 3}}},
       .bench = {normal({1, 3000, 3}), normal({1, 3000, 3}, 0)}});
  add(t, "rendered_photometric",
      [](auto const& x) {
        using T = ScalarOf<decltype(x)>;
        auto const s = scene::scene_for(x[0]);
        bool const large = x[0].dim(1) == 3000;
        return rendered_photometric(x[0], Var<T>(s.projected) + x[1],
                                    scene::constant<T>(large ? Shape{1, 224, 224, 3} : Shape{1, 6, 7, 3}, 5, x[0].device()), s.visibility,
                                    s.mesh, {}, Distance::l21);
      },
      {normal({1, 4, 3}), normal({1, 4, 3}, 0)},
      {.order = 1, .wrong = {{{1, 3, 3}, {1, 4, 3}}, {{2, 4, 3}, {1, 4, 3}}}, .bench = {normal({1, 3000, 3}), normal({1, 3000, 3}, 0)}});
  add(t, "shade_pixels",
      [](auto const& x) {
        auto const s = scene::scene_for(x[0]);
        return shade_pixels(x[0], x[1], x[2], Var<ScalarOf<decltype(x)>>(s.projected), s.visibility, s.mesh);
      },
      {normal({1, 4, 3}), normal({1, 4, 3}), normal({1, 27})},
      {.order = 1,
       .wrong = {{{1, 4, 3}, {1, 3, 3}, {1, 27}}, {{1, 4, 3}, {1, 4, 3}, {1, 9}}},
       .bench = {normal({1, 3000, 3}), normal({1, 3000, 3}), normal({1, 27})}});
  add(t, "composite", [](auto const& x) { return composite(x[0], x[1], scene::scene_for(x[0]).visibility); },
      {normal({1, 6, 7, 3}), normal({1, 6, 7, 3})},
      {.wrong = {{{1, 6, 7, 3}, {1, 6, 7, 2}}, {{1, 5, 7, 3}, {1, 5, 7, 3}}},
       .bench = {normal({1, 224, 224, 3}), normal({1, 224, 224, 3})}});
  add(t, "guard_gradient", [](auto const& x) { return guard_gradient(x[0]); }, {normal({2, 5, 3})},
      {.order = 1, .wrong = {}, .bench = {normal({4, 224, 224, 3})}});
  // tests/render/antialias_test.cpp judges these gradients against moving silhouettes.
  auto moving = [&](char const* name, auto f) {
    add(t, name,
        [f](auto const& x) {
          auto const s = scene::scene_for(x[0]);
          return f(x[0], Var<ScalarOf<decltype(x)>>(s.projected) + x[1], s);
        },
        {normal({1, 6, 7, 3}), normal({1, 4, 3}, 0)},
        {.order = 1,
         .wrong = {{{1, 5, 7, 3}, {1, 4, 3}}, {{1, 6, 7, 3}, {2, 4, 3}}},
         .bench = {normal({1, 224, 224, 3}), normal({1, 3000, 3}, 0)},
         .slope = false});
  };
  moving("motion_gradient",
         [](auto const& x, auto const& p, auto const& s) { return motion_gradient(x, p, s.visibility, s.mesh, scene::camera()); });
  moving("fragment_gradient",
         [](auto const& x, auto const& p, auto const& s) { return fragment_gradient(x, p, s.visibility, s.mesh, scene::camera()); });
  moving("silhouette_gradient", [](auto const& x, auto const& p, auto const& s) {
    using T = typename std::decay_t<decltype(x)>::scalar;
    return silhouette_gradient(x, p, scene::constant<T>({1, s.mesh.vertices, 3}, 9, x.device()), s.visibility, s.mesh, scene::camera());
  });
}

}  // namespace cases
