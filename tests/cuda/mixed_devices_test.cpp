// What an op uses beside its inputs, a mesh or a photograph, must be on their device; on a GPU it would be read from nowhere.
#include <doctest/doctest.h>

#include "cuda/agree.hpp"
#include "rig/nn/linear.hpp"
#include "rig/nn/optim/ema.hpp"
#include "rig/ops/filtered_lrelu.hpp"
#include "rig/render/antialias.hpp"
#include "rig/render/guard.hpp"
#include "rig/render/landmarks.hpp"
#include "rig/render/normals.hpp"
#include "rig/render/rendered_photometric.hpp"
#include "rig/stylerig/parameters.hpp"

using namespace rig;
using namespace rig::render;

TEST_CASE("cuda: what an op uses beside its inputs must be on their device") {
  Device device;
  if (!test::device_for(device)) return;
  auto const wrong = [](char const* text, auto const& call) {
    INFO(text);
    CHECK_THROWS_WITH_AS(call(), str(text, " is on cpu, the inputs are on cuda:0").c_str(), Error);
  };
  auto const there = [&](Shape const& s) { return Var<float>(agree::random(s).to(device)); };
  Mesh const here(Tensor<int>({1, 3}, {0, 1, 2}), 3), mesh(Tensor<int>({1, 3}, {0, 1, 2}), 3, device);
  Var<float> const points = there({2, 3, 3}), picture = there({2, 4, 5, 3}), x = there({2, 6, 6, 4});
  Tensor<float> const photo = agree::random({2, 4, 5, 3}), weight = agree::random({2, 3});
  Visibility const seen = rasterize(points.value(), mesh, {4, 5});
  wrong("vertex_normals: mesh", [&] { vertex_normals(points, here); });
  wrong("rasterize: mesh", [&] { rasterize(points.value(), here, {4, 5}); });
  wrong("interpolate: mesh", [&] { interpolate(points, points, seen, here); });
  wrong("vertex_photometric: photograph", [&] { vertex_photometric(points, points, photo, weight.to(device)); });
  wrong("vertex_photometric: weight", [&] { vertex_photometric(points, points, photo.to(device), weight); });
  wrong("pixel_photometric: photograph", [&] { pixel_photometric(picture, photo, agree::random({2, 4, 5}).to(device)); });
  wrong("pixel_photometric: weight", [&] { pixel_photometric(picture, photo.to(device), agree::random({2, 4, 5})); });
  wrong("landmark_points: index", [&] { landmark_points(points, Tensor<int>({2, 1}, {0, 1}), {4, 5}); });
  wrong("landmark_loss: target", [&] { landmark_loss(there({2, 3, 2}), agree::random({2, 3, 2}), weight.to(device)); });
  wrong("guard_gradient: counts", [&] { guard_gradient(points, zeros<int>({2})); });
  wrong("filtered_lrelu: filter", [&] { filtered_lrelu<float>(x, {}, agree::random({4}), {}, {}); });
  wrong("upfirdn2d: filter", [&] { upfirdn2d(x, agree::random({4})); });

  Rng rng(1);
  nn::Linear<float> average({.in = 3, .out = 4}, rng), module({.in = 3, .out = 4}, rng);
  nn::move_to(module, device);
  CHECK_THROWS_WITH_AS(nn::update_average(average, module, 0.9),
                       "update_average: weight is on cpu in the average and on cuda:0 in the module", Error);
}
