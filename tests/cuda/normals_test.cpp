// Normals, rotations and projections on the device.
#include "rig/render/normals.hpp"
#include "rig/render/rotation.hpp"

#include "cuda/agree.hpp"
#include "render/scene.hpp"

using namespace rig;
using namespace rig::render;

namespace {

/// A sphere with a vertex alone, a triangle without area and one twice.
Mesh odd_sphere(std::int64_t vertices, std::vector<int> t, Device const& device) {
  t.insert(t.end(), {0, 1, 1, t[0], t[1], t[2]});
  return Mesh(Tensor<int>({std::int64_t(t.size()) / 3, 3}, t), vertices + 1, device);
}

}  // namespace

TEST_CASE("cuda: vertex_normals by gather") {
  auto const ball = scene::sphere(7, 11);
  std::int64_t const v = ball.vertices.dim(0) + 1;
  auto const list = ball.triangles.host();
  for (std::int64_t n : {1, 3})
    for (auto w : {NormalWeights::area, NormalWeights::unit})
      agree::check_on_device([&](auto const& x) { return vertex_normals(x[0], odd_sphere(v - 1, list, x[0].device()), w); },
                             {agree::random({n, v, 3})});
}

TEST_CASE("cuda: rotate, project and their sums over vertices") {
  for (auto const& s : std::vector<Shape>{{1, 1, 3}, {3, 7, 3}, {2, 2049, 3}, {1, 4500, 3}}) {
    INFO(s);
    auto const v = agree::random(s, 1), angles = agree::random({s[0], 3}, 2), t = agree::random({s[0], 3}, 3);
    agree::check_on_device(
        [](auto const& x) {
          return project(x[0], euler_to_matrix(x[1]), x[2], Camera{1.3, 40}, {30, 40});
        },
        {v, angles, t});
    agree::check_on_device([](auto const& x) { return project_orthographic(x[0], euler_to_matrix(x[1]), x[2], {30, 40}); }, {v, angles, t});
    agree::check_on_device([](auto const& x) { return rotate(x[0], axis_angle_to_matrix(x[1])); }, {v, angles});
  }
}
