#include "rig/render/rotation.hpp"

#include <doctest/doctest.h>

#include "scene.hpp"

using namespace rig;
using namespace rig::render;

TEST_CASE("rotations: gradients of every parametrisation") {
  Rng rng(3);
  auto const a3 = randn<double>({5, 3}, rng), a4 = randn<double>({5, 4}, rng), a6 = randn<double>({5, 6}, rng);
  CHECK(gradcheck([](auto const& x) { return euler_to_matrix(x[0]); }, {a3}).worst < 1e-6);
  CHECK(gradcheck([](auto const& x) { return axis_angle_to_matrix(x[0]); }, {a3}).worst < 1e-6);
  CHECK(gradcheck([](auto const& x) { return quaternion_to_matrix(x[0]); }, {a4}).worst < 1e-6);
  CHECK(gradcheck([](auto const& x) { return six_d_to_matrix(x[0]); }, {a6}).worst < 1e-6);
  auto const small = randn<double>({5, 3}, rng, {}, 1e-4);
  CHECK(gradcheck([](auto const& x) { return axis_angle_to_matrix(x[0]); }, {small}).worst < 1e-6);
}

TEST_CASE("rotations: one rotation written in four ways is one matrix") {
  double const th = 0.7;
  double const n = std::sqrt(14.0), ax = 1 / n, ay = 2 / n, az = 3 / n, s = std::sin(th / 2);
  Tensor<double> const r = axis_angle_to_matrix(Var<double>(Tensor<double>({1, 3}, {th * ax, th * ay, th * az}))).value();
  Tensor<double> const q =
      quaternion_to_matrix(Var<double>(Tensor<double>({1, 4}, {2 * std::cos(th / 2), 2 * s * ax, 2 * s * ay, 2 * s * az}))).value();
  CHECK(scene::largest_difference(r, q) < 1e-14);
  double const* m = r.data();
  Tensor<double> const d =
      six_d_to_matrix(Var<double>(Tensor<double>({1, 6}, {3 * m[0], 3 * m[3], 3 * m[6], m[1] + m[0], m[4] + m[3], m[7] + m[6]}))).value();
  CHECK(scene::largest_difference(r, d) < 1e-14);
  double const y = std::asin(-m[6]), x = std::atan2(m[7], m[8]), z = std::atan2(m[3], m[0]);
  Tensor<double> const e = euler_to_matrix(Var<double>(Tensor<double>({1, 3}, {x, y, z}))).value();
  CHECK(scene::largest_difference(r, e) < 1e-14);
  CHECK_NOTHROW(checked_rotation(r));
}

TEST_CASE("rotations: the small-angle branch joins the other smoothly") {
  for (double th : {0.0099999999, 0.0100000001}) {
    Tensor<double> const r = axis_angle_to_matrix(Var<double>(Tensor<double>({1, 3}, {0, th, 0}))).value();
    CHECK(std::abs(r.data()[0] - std::cos(th)) < 1e-15);
    CHECK(std::abs(r.data()[2] - std::sin(th)) < 1e-15);
  }
  Tensor<double> const zero = axis_angle_to_matrix(Var<double>(zeros<double>({1, 3}))).value();
  CHECK(zero.data()[0] == 1);
  CHECK(zero.data()[1] == 0);
}

TEST_CASE("rotations: signs of pitch, yaw and roll") {
  auto nose = [](double x, double y, double z) {
    Tensor<double> const r = euler_to_matrix(Var<double>(Tensor<double>({1, 3}, {x, y, z}))).value();
    return std::vector<double>{r.data()[2], r.data()[5], r.data()[8]};
  };
  CHECK(nose(0, 0.3, 0)[0] > 0);   // yaw: to the image's right
  CHECK(nose(-0.3, 0, 0)[1] > 0);  // negative x: up
  Tensor<double> const r = euler_to_matrix(Var<double>(Tensor<double>({1, 3}, {0, 0, -0.3}))).value();
  CHECK(r.data()[1] > 0);  // negative z: the top of the head goes right, clockwise
}

TEST_CASE("rotations: what gives no rotation is refused by name") {
  CHECK_THROWS_WITH_AS(quaternion_to_matrix(Var<double>(zeros<double>({2, 4}))),
                       doctest::Contains("quaternion_to_matrix: the quaternion of row 0"), Error);
  CHECK_THROWS_AS(six_d_to_matrix(Var<double>(Tensor<double>({1, 6}, {1, 2, 3, 2, 4, 6}))), Error);
  CHECK_THROWS_AS(euler_to_matrix(Var<double>(zeros<double>({2, 4}))), Error);
  CHECK_THROWS_AS(checked_rotation(Tensor<double>({1, 9}, {1, 0, 0, 0, 1, 0, 0, 0, -1})), Error);
  CHECK_THROWS_AS(checked_rotation(Tensor<double>({1, 9}, {1, 0.1, 0, 0, 1, 0, 0, 0, 1})), Error);
}
