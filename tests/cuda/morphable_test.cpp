// The linear model and its partners on the device.
#include "rig/render/morphable.hpp"

#include "cuda/agree.hpp"
#include "rig/render/camera.hpp"
#include "rig/render/rotation.hpp"

using namespace rig;
using namespace rig::render;

TEST_CASE("cuda: linear_model and its partners, any number of images, modes and columns") {
  struct Case {
    std::int64_t images, modes, vertices;
  };
  for (auto const& c : std::vector<Case>{
           {1, 1, 1}, {1, 130, 173}, {3, 5, 7}, {8, 67, 171}, {9, 130, 43}, {17, 64, 180}, {40, 65, 11}, {65, 129, 5}, {2, 0, 3}}) {
    INFO(c.images, " images, ", c.modes, " modes, ", c.vertices, " vertices");
    auto const k = agree::random({c.images, c.modes}, 1), b = agree::random({c.modes, c.vertices, 3}, 2),
               mean = agree::random({c.vertices, 3}, 3), y = agree::random({c.images, c.vertices, 3}, 4);
    agree::check_on_device([](auto const& x) { return linear_model(x[0], x[1], x[2]); }, {k, b, mean});
    agree::check_on_device([](auto const& x) { return linear_model(x[0], x[1]); }, {k, b}, false);
    agree::check_on_device([](auto const& x) { return linear_model_coefficients(x[0], x[1]); }, {y, b}, false);
    agree::check_on_device([](auto const& x) { return linear_model_basis(x[0], x[1]); }, {k, y}, false);
  }
}

TEST_CASE("cuda: geometry has the CPU's bits") {
  Device device;
  if (!agree::device_for(device)) return;
  auto const k = agree::random({11, 70}, 1), b = agree::random({70, 191, 3}, 2), mean = agree::random({191, 3}, 3);
  agree::Function const f = [](auto const& x) { return linear_model(x[0], x[1], x[2]); };
  agree::Function const g = [](auto const& x) { return project(x[0], x[1], x[2], Camera{1.3, 40}, {30, 40}); };
  auto const v = agree::random({3, 191, 3}, 4), r = euler_to_matrix(Var<float>(agree::random({3, 3}, 5))).value(),
             t = agree::random({3, 3}, 6);
  CHECK(agree::results(f, {k, b, mean}, device, false) == agree::results(f, {k, b, mean}, cpu(), false));
  CHECK(agree::results(g, {v, r, t}, device, false) == agree::results(g, {v, r, t}, cpu(), false));
}
