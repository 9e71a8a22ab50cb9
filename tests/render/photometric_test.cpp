#include "rig/render/photometric.hpp"

#include <doctest/doctest.h>

#include "rig/render/landmarks.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

TEST_CASE("vertex_photometric: a linear photograph is sampled exactly, and only weighted vertices count") {
  std::int64_t const h = 5, w = 7;
  std::vector<double> photo;
  for (int i = 0; i < h; ++i)
    for (int j = 0; j < w; ++j)
      for (int c = 0; c < 3; ++c) photo.push_back((c + 1) * (j + 0.5) + 10 * (i + 0.5));
  Tensor<double> const picture({1, h, w, 3}, photo), color = zeros<double>({1, 2, 3});
  Tensor<double> const p({1, 2, 3}, {2.3, 3.1, 1, 1, 1, 1}), weight({1, 2}, {1, 0});
  double const a = 2.3 + 31, b = 4.6 + 31, c = 6.9 + 31;
  CHECK(vertex_photometric(Var<double>(color), Var<double>(p), picture, weight, Distance::l2).value().data()[0] ==
        doctest::Approx((a * a + b * b + c * c) / 3));
  CHECK(vertex_photometric(Var<double>(color), Var<double>(p), picture, weight, Distance::l21).value().data()[0] ==
        doctest::Approx(std::sqrt(a * a + b * b + c * c)));
}

TEST_CASE("photometric losses: gradients") {
  Rng rng(31);
  std::int64_t const n = 2, v = 23, h = 9, w = 11;
  auto const photo = rand<double>({n, h, w, 3}, rng), color = rand<double>({n, v, 3}, rng), image = rand<double>({n, h, w, 3}, rng);
  std::vector<double> p;
  for (std::int64_t i = 0; i < n * v; ++i) p.insert(p.end(), {rng.uniform(0, double(w)), rng.uniform(0, double(h)), 5.0});
  auto const weight = normalized_weights(rand<double>({n, v}, rng)), mask = normalized_weights(rand<double>({n, h, w}, rng));
  for (auto d : {Distance::l2, Distance::l21}) {
    CHECK(gradcheck([&](auto const& x) { return vertex_photometric(x[0], x[1], photo, weight, d); }, {color, Tensor<double>({n, v, 3}, p)},
                    {.step = 1e-6, .points = 138})
              .worst < 1e-6);
    CHECK(gradcheck([&](auto const& x) { return pixel_photometric(x[0], photo, mask, d); }, {image}, {.points = 60}).worst < 1e-6);
  }
  CHECK_THROWS_WITH_AS(vertex_photometric(Var<double>(color), Var<double>(color), photo, zeros<double>({n, v + 1})),
                       doctest::Contains("vertex_photometric: weights must be [2, 23]"), Error);
  CHECK_THROWS_AS(pixel_photometric(Var<double>(image), color, mask), Error);
}

TEST_CASE("photometric losses: same bits for any number of threads") {
  Rng rng(32);
  std::int64_t const n = 3, v = 5000, h = 40, w = 40;
  auto const photo = rand<float>({n, h, w, 3}, rng), color = rand<float>({n, v, 3}, rng);
  auto const p = rand<float>({n, v, 3}, rng, {}, 1.0f, 39.0f), weight = rand<float>({n, v}, rng);
  std::vector<float> first;
  for (int threads : {1, 2, 7}) {
    set_threads(threads);
    Tape tape;
    auto const c = tape.watch(color), q = tape.watch(p);
    auto const loss = vertex_photometric(c, q, photo, weight);
    auto const g = tape.grad(loss, {c, q});
    std::vector<float> all = loss.value().host();
    for (auto const& e : g)
      for (float x : e.value().host()) all.push_back(x);
    if (first.empty()) first = all;
    CHECK(all == first);
  }
  set_threads(0);
}

TEST_CASE("landmarks: choice of jaw points, points, loss and gradients") {
  // Five vertices; three landmarks of which the outer two slide.
  LandmarkTable const table({0, 1, 2}, {{0, 3}, {1}, {2, 4}});
  CHECK(table.side.host() == std::vector<int>{-1, 0, 1});
  Tensor<double> const p({2, 5, 3}, {10, 1, 5, 20, 2, 5, 30, 3, 5, 9,  4, 5, 31, 5, 5,  //
                                     10, 1, 5, 20, 2, 5, 30, 3, 5, 11, 4, 5, 31, 5, 0});
  auto const index = select_landmarks(p, table);
  CHECK(index.host() == std::vector<int>{3, 1, 4, 0, 1, 2});  // in the second image vertex 3 is not outer and 4 is invalid
  auto const points = landmark_points(Var<double>(p), index, {40, 50});
  CHECK(points.value().data()[0] == doctest::Approx(9.0 / 40));
  CHECK(points.value().data()[1] == doctest::Approx(4.0 / 40));

  Tensor<double> const target({2, 3, 2}, {0, 0, 0.5, 0, 1, 1, 0, std::nan(""), 0.5, 0, 1, 1}), weight({2, 3}, {1, 2, 1, 0, 2, 1});
  auto const loss = landmark_loss(points, target, weight).value();
  double const second = 2 * (0.0 + 0.05 * 0.05) + (0.25 * 0.25 + 0.925 * 0.925);
  CHECK(loss.data()[1] == doctest::Approx(second / 3));
  CHECK(gradcheck(
            [&](auto const& x) {
              return landmark_loss(landmark_points(x[0], index, {40, 50}), target, weight);
            },
            {p}, {.points = 60})
            .worst < 1e-6);
  CHECK(landmark_loss(points, target, zeros<double>({2, 3})).value().host() == std::vector<double>{0, 0});
  CHECK_THROWS_AS(landmark_points(Var<double>(p), Tensor<int>({2, 1}, {5, 0}), {4, 4}), Error);
  CHECK(landmarks66().size() == 66);
  // Two landmarks on one vertex add up.
  Tensor<int> const twice({1, 2}, {1, 1});
  CHECK(gradcheck([&](auto const& x) { return landmark_points(x[0], twice, {40, 50}); }, {p.rows(0, 1)}).worst < 1e-6);
}
