#include <doctest/doctest.h>

#include "rig/render/camera.hpp"
#include "rig/render/morphable.hpp"
#include "rig/render/normals.hpp"
#include "rig/render/rotation.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

TEST_CASE("linear_model: values, and gradients to second order") {
  Tensor<double> const c({1, 2}, {2, -1}), b({2, 2, 3}, {1, 2, 3, 4, 5, 6, 1, 1, 1, 0, 0, 2}), mean({2, 3}, {10, 0, 0, 0, 0, 1});
  auto const y = linear_model(Var<double>(c), Var<double>(b), Var<double>(mean));
  CHECK(y.shape() == Shape{1, 2, 3});
  std::vector<double> const want{11, 3, 5, 8, 10, 11};
  CHECK(y.value().host() == want);

  Rng rng(5);
  auto const c2 = randn<double>({3, 5}, rng), b2 = randn<double>({5, 7, 3}, rng), m2 = randn<double>({7, 3}, rng),
             g2 = randn<double>({3, 7, 3}, rng);
  auto model = [](auto const& x) { return linear_model(x[0], x[1], x[2]); };
  CHECK(gradcheck(model, {c2, b2, m2}).worst < 1e-6);
  CHECK(gradcheck(model, {c2, b2, m2}, {.order = 2}).worst < 1e-6);
  CHECK(gradcheck([](auto const& x) { return linear_model_coefficients(x[0], x[1]); }, {g2, b2}, {.order = 2}).worst < 1e-6);
  CHECK(gradcheck([](auto const& x) { return linear_model_basis(x[0], x[1]); }, {c2, g2}, {.order = 2}).worst < 1e-6);
}

TEST_CASE("linear_model: the tiled sums are the plain ones, bit for bit, at awkward sizes and for any threads") {
  Rng rng(6);
  for (std::int64_t n : {1, 3, 4, 9})
    for (std::int64_t v : {1, 11, 100, 401}) {
      std::int64_t const k = 13, columns = 3 * v;
      auto const c = randn<float>({n, k}, rng), b = randn<float>({k, v, 3}, rng), mean = randn<float>({v, 3}, rng),
                 g = randn<float>({n, v, 3}, rng);
      Tensor<float> plain({n, v, 3});
      render::detail::CombineKernel<float> const kernel{plain.mutate(), c.data(), b.data(), mean.data(), n, k, columns};
      for_each(cpu(), (n + 7) / 8, columns, kernel);
      Tensor<float> const tiled = linear_model(Var<float>(c), Var<float>(b), Var<float>(mean)).value();
      CHECK(tiled.host() == plain.host());

      std::int64_t const blocks = (columns + render::detail::inner_columns - 1) / render::detail::inner_columns;
      Tensor<float> partial({blocks, n, k}), sum({n, k});
      for_each(cpu(), blocks, n * k, render::detail::InnerKernel<float>{partial.mutate(), g.data(), b.data(), n, k, columns});
      for_each(cpu(), 1, n * k, render::detail::AddLeavesKernel<float>{sum.mutate(), partial.data(), blocks, n * k});
      for (int threads : {1, 2, 7}) {
        set_threads(threads);
        CHECK(linear_model_coefficients(Var<float>(g), Var<float>(b)).value().host() == sum.host());
      }
      set_threads(0);
    }
}

TEST_CASE("linear_model: no modes, no images, wrong shapes") {
  Tensor<double> const mean({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(linear_model(Var<double>(zeros<double>({1, 0})), Var<double>(zeros<double>({0, 2, 3})), Var<double>(mean)).value().host() ==
        mean.host());
  CHECK(linear_model(Var<double>(zeros<double>({0, 2})), Var<double>(zeros<double>({2, 2, 3})), Var<double>(mean)).size() == 0);
  CHECK_THROWS_WITH_AS(linear_model(Var<double>(zeros<double>({1, 3})), Var<double>(zeros<double>({2, 2, 3}))),
                       doctest::Contains("linear_model: coefficients must be [n, 2]"), Error);
  CHECK(take_vertices(mean, {1, 0}).host() == std::vector<double>{4, 5, 6, 1, 2, 3});
  CHECK_THROWS_AS(take_vertices(mean, {2}), Error);
}

TEST_CASE("project: a hand-calculated point and gradients") {
  Camera const camera{2, 10};  // 2 x 100 px = 200 px focal length
  Tensor<double> const eye({1, 9}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  auto const y = project(Var<double>(Tensor<double>({1, 1, 3}, {1, 2, 1})), Var<double>(eye),
                         Var<double>(Tensor<double>({1, 3}, {0.5, 0, 1})), camera, {100, 160});
  CHECK(y.value().data()[0] == doctest::Approx(80 + 200 * 1.5 / 8));
  CHECK(y.value().data()[1] == doctest::Approx(50 - 200 * 2.0 / 8));
  CHECK(y.value().data()[2] == doctest::Approx(8));

  Rng rng(7);
  auto const v = randn<double>({2, 7, 3}, rng), a = randn<double>({2, 3}, rng), t = randn<double>({2, 3}, rng),
             r = randn<double>({2, 9}, rng);
  CHECK(gradcheck([](auto const& x) { return project(x[0], x[1], x[2], Camera{1.3, 20}, {30, 40}); }, {v, r, t}).worst < 1e-6);
  CHECK(gradcheck(
            [](auto const& x) {
              return project(x[0], euler_to_matrix(x[1]), x[2], Camera{1.3, 20}, {30, 40});
            },
            {v, a, t})
            .worst < 1e-6);
  CHECK(gradcheck([](auto const& x) { return rotate(x[0], x[1]); }, {v, r}).worst < 1e-6);
  CHECK(gradcheck([](auto const& x) { return project_orthographic(x[0], x[1], x[2], {30, 40}); }, {v, r, t}).worst < 1e-6);
}

TEST_CASE("project: what is behind the camera or not finite is marked and takes no gradient") {
  double const inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  Tensor<double> const v({1, 5, 3}, {0, 0, 10, 0, 0, 11, nan, 0, 0, inf, 0, 0, 0, 0, 0}), eye({1, 9}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  Tape tape;
  auto const x = tape.watch(v), t = tape.watch(zeros<double>({1, 3}));
  auto const y = project(x, Var<double>(eye), t, Camera{2, 10}, {8, 8});
  for (int i = 0; i < 4; ++i) CHECK(y.value().data()[3 * i + 2] == 0);
  CHECK(y.value().data()[14] == 10);
  auto const g = tape.grad(y, {x, t});
  for (auto const& e : g)
    for (double q : e.value().host()) CHECK(std::isfinite(q));
  CHECK(g[0].value().data()[0] == 0);
  CHECK(g[0].value().data()[12] != 0);
}

TEST_CASE("cameras: conventions of other tools go both ways") {
  ImageSize const s{200, 300};
  CHECK(from_opencv(0, 0).u == 0.5);
  CHECK(to_opencv(from_opencv(3, 4)).v == 4);
  ImagePoint const p = from_opengl(-1, 1, s);
  CHECK(p.u == 0);
  CHECK(p.v == 0);
  CHECK(to_opengl(from_opengl(0.3, -0.2, s), s).u == doctest::Approx(0.3));
  CHECK(to_opengl(from_opengl(0.3, -0.2, s), s).v == doctest::Approx(-0.2));
  CHECK(from_pytorch3d(1, 1, s).v == 0);
  CHECK(from_pytorch3d(1, 1, s).u == 50);
  CHECK(to_pytorch3d(from_pytorch3d(0.3, -0.2, s), s).u == doctest::Approx(0.3));
  CHECK(to_deep3d(from_deep3d(5, 7, s), s).v == 7);
  CHECK(from_deca(0, 0, 2, 0.1, 0.1, s).u == doctest::Approx(180));
  // The same world point through OpenCV's formula and through ours.
  Vec3<double> const x = flip_opencv_frame({0.3, 0.2, 9}, 10);
  double const f = 120;
  Tensor<double> const eye({1, 9}, {1, 0, 0, 0, 1, 0, 0, 0, 1});
  auto const y = project(Var<double>(Tensor<double>({1, 1, 3}, {x.x, x.y, x.z})), Var<double>(eye), Var<double>(zeros<double>({1, 3})),
                         Camera{f / 200, 10}, s);
  ImagePoint const q = from_opencv(f * 0.3 / 9 + 149.5, f * 0.2 / 9 + 99.5);
  CHECK(y.value().data()[0] == doctest::Approx(q.u));
  CHECK(y.value().data()[1] == doctest::Approx(q.v));
  // MoFA's pose: p = Rm^T (v - tm).
  Mat3<double> const rm{{0, -1, 0, 1, 0, 0, 0, 0, 1}};
  Vec3<double> const tm{0.1, 0.2, -9}, v{1, 2, 3}, pc = rm.transposed_times(v - tm);
  CameraPose const pose = from_mofa(rm, tm, 10);
  Vec3<double> const ours = pose.rotation * v + pose.translation, same = flip_opencv_frame(pc, 10);
  CHECK(length(ours - same) < 1e-12);
}

TEST_CASE("vertex_normals: a sphere's point outwards, and gradients with both weightings") {
  auto const s = scene::sphere(7, 9);
  Mesh const mesh(s.triangles, s.vertices.dim(0));
  Tensor<double> const n = vertex_normals(Var<double>(s.vertices.reshape({1, s.vertices.dim(0), 3})), mesh).value();
  for (std::int64_t i = 0; i < s.vertices.dim(0); ++i)
    CHECK(dot(Vec3<double>::load(n.data() + 3 * i), Vec3<double>::load(s.vertices.data() + 3 * i)) > 0.98);
  Rng rng(8);
  auto const v = scene::batch(s.vertices, 2, 0.05, rng);
  CHECK(gradcheck([&](auto const& x) { return vertex_normals(x[0], mesh); }, {v}, {.points = 60}).worst < 1e-6);
  CHECK(gradcheck([&](auto const& x) { return vertex_normals(x[0], mesh, NormalWeights::unit); }, {v}, {.points = 60}).worst < 1e-6);
}

TEST_CASE("vertex_normals: degenerate input gives (0, 0, 1), no gradient and no NaN") {
  Tensor<int> const t({3, 3}, {0, 1, 2, 0, 1, 1, -1, 0, 9});
  Mesh const mesh(t, 4);
  CHECK(mesh.out_of_range == 1);
  Tape tape;
  auto const v = tape.watch(zeros<float>({1, 4, 3}));
  auto const n = vertex_normals(v, mesh);
  CHECK(n.value().host() == std::vector<float>{0, 0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1});
  for (float g : tape.grad(n, v).value().host()) CHECK(g == 0);
  CHECK(mesh.edges.dim(0) == 3);
}
