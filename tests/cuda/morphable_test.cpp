// The linear model and its partners on the device.
#include "rig/render/morphable.hpp"

#include "cuda/agree.hpp"

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
#if RIG_EMULATED || defined(__FMA__)
  CHECK(agree::results(f, {k, b, mean}, device, false) == agree::results(f, {k, b, mean}, cpu(), false));
#else
  agree::check_close(agree::results(f, {k, b, mean}, cpu(), false), agree::results(f, {k, b, mean}, device, false), 1e-6);
#endif
}
