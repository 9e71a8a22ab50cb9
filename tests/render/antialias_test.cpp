#include "rig/render/antialias.hpp"

#include <doctest/doctest.h>

#include "rig/render/procedural_face.hpp"
#include "rig/render/rotation.hpp"
#include "rig/render/shade.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

namespace {

Camera const camera{2.5, 8};
enum class Mode { none, motion, fragment, silhouette };

/// A coloured surface with five ways to move: tx, ty, tz, yaw, and its first local mode.
struct Scene {
  Tensor<float> vertices, mode, colors;  // [V, 3]
  Mesh mesh;
  bool mask = false;  // white on black
  double pose[3] = {0, 0.35, 0};

  Var<float> projected(Var<float> const& q, ImageSize size) const {  // q: [1, 5]
    std::int64_t const v = mesh.vertices;
    Var<float> const x =
        reshape(Var<float>(vertices), {1, v, 3}) + reshape(slice(q, 1, 4, 1), {1, 1, 1}) * reshape(Var<float>(mode), {1, v, 3});
    Var<float> const at(Tensor<float>({1, 3}, {float(pose[0]), float(pose[1]), float(pose[2])}));
    Var<float> const angle = at + unslice(slice(q, 1, 3, 1), 1, 1, 3);
    return project(x, euler_to_matrix(angle), slice(q, 1, 0, 3), camera, size);
  }
  Var<float> image(Var<float> const& q, ImageSize size, Mode way = Mode::none) const {
    auto const p = projected(q, size);
    auto const seen = rasterize(p.value(), mesh, size);
    Var<float> const c(mask ? ones<float>({1, mesh.vertices, 3}) : colors.reshape({1, mesh.vertices, 3}));
    Tensor<float> back = zeros<float>({1, size.height, size.width, 3});
    if (!mask)
      for (std::int64_t i = 0; i < back.size(); i += 3) back.mutate()[i] = 0.1f, back.mutate()[i + 1] = 0.2f, back.mutate()[i + 2] = 0.6f;
    auto const y = composite(interpolate(c, way == Mode::motion ? p.detach() : p, seen, mesh), Var<float>(back), seen);
    if (way == Mode::motion) return motion_gradient(y, p, seen, mesh, camera);
    if (way == Mode::fragment) return fragment_gradient(y, p, seen, mesh, camera);
    if (way == Mode::silhouette) return silhouette_gradient(y, p, c.value(), seen, mesh, camera);
    return y;
  }
};

/// A linear functional of the picture: 1 and a few smooth waves, at (u, v) in fractions.
double weight(double u, double v, int c) {
  return 1 + 0.5 * std::sin(5 * u + 3 * v + c) + 0.4 * std::cos(4 * v - 7 * u) + 0.3 * std::sin(9 * v + 0.5 * c);
}

/// Relative errors of the five derivatives against supersampled central differences of 0.7 pixel, one for each mode.
std::vector<double> errors(Scene const& scene, std::int64_t side, int samples, std::vector<Mode> const& modes) {
  // Steps that move the silhouette by about 0.7 pixel at the image's scale.
  double const pixel = camera.distance / camera.focal_pixels(side), reach = 1;
  double const step[5] = {0.7 * pixel, 0.7 * pixel, 0.7 * pixel * camera.distance / reach, 0.7 * pixel / reach, 0.7 * pixel / 0.3};
  std::vector<float> w;
  for (std::int64_t i = 0; i < side; ++i)
    for (std::int64_t j = 0; j < side; ++j)
      for (int c = 0; c < 3; ++c) w.push_back(float(weight((double(j) + 0.5) / double(side), (double(i) + 0.5) / double(side), c)));
  std::int64_t const fine = side * samples;
  auto functional = [&](int k, double d) {
    std::vector<float> v(5, 0.0f);
    v[std::size_t(k)] = float(d);
    auto const y = scene.image(Var<float>(Tensor<float>({1, 5}, v)), {fine, fine}).value();
    double s = 0;
    for (std::int64_t i = 0; i < fine; ++i)
      for (std::int64_t j = 0; j < fine; ++j)
        for (int c = 0; c < 3; ++c)
          s += double(w[std::size_t((i / samples * side + j / samples) * 3 + c)]) * double(y.data()[(i * fine + j) * 3 + c]);
    return s / (samples * samples);
  };
  double difference[5], down = 0;
  for (int k = 0; k < 5; ++k) {
    difference[k] = (functional(k, step[k]) - functional(k, -step[k])) / 2;
    down += difference[k] * difference[k];
  }
  std::vector<double> found;
  for (Mode const mode : modes) {
    Tape tape;
    auto const q = tape.watch(zeros<float>({1, 5}));
    auto const image = scene.image(q, {side, side}, mode);
    auto const g = tape.grad(image, q, Var<float>(Tensor<float>({1, side, side, 3}, w))).value().host();
    double up = 0;
    for (int k = 0; k < 5; ++k) up += std::pow(double(g[std::size_t(k)]) * step[k] - difference[k], 2);
    found.push_back(std::sqrt(up / down));
  }
  return found;
}

Scene face() {
  auto const m = procedural_face({.vertices = 12000, .identity = 2, .reflectance = 2});
  Scene s;
  s.vertices = m.mean, s.colors = m.reflectance_mean, s.mesh = Mesh(m);
  // A bump of 0.3 units at the nose.
  int const tip = m.landmarks.data()[30];
  std::vector<float> bump;
  for (std::int64_t i = 0; i < m.vertices(); ++i) {
    double d = 0;
    for (int a = 0; a < 3; ++a) d += std::pow(double(m.mean.data()[3 * i + a] - m.mean.data()[3 * tip + a]), 2);
    bump.insert(bump.end(), {0.0f, 0.0f, float(0.3 * std::exp(-d / 0.08))});
  }
  s.mode = Tensor<float>({m.vertices(), 3}, bump);
  return s;
}

}  // namespace

TEST_CASE("visibility gradients: agree with supersampled differences on a face, where fixed visibility is far off") {
  Scene s = face();
  auto const shaded = errors(s, 128, 16, {Mode::motion, Mode::none, Mode::fragment, Mode::silhouette});
  MESSAGE("shaded face, 128 px: motion ", shaded[0], ", none ", shaded[1], ", fragment ", shaded[2], ", silhouette ", shaded[3]);
  CHECK(shaded[0] < 0.07);
  CHECK(shaded[1] > 0.3);
  CHECK(shaded[2] < shaded[1]);
  auto const larger = errors(s, 224, 16, {Mode::motion, Mode::none, Mode::fragment, Mode::silhouette});
  MESSAGE("shaded face, 224 px: motion ", larger[0], ", none ", larger[1], ", fragment ", larger[2], ", silhouette ", larger[3]);
  CHECK(larger[0] < 0.05);
  CHECK(larger[3] < 0.17);
  s.mask = true;
  double const small = errors(s, 64, 16, {Mode::motion})[0];
  auto const middle = errors(s, 128, 16, {Mode::motion, Mode::fragment});
  MESSAGE("mask of the face: 64 px ", small, ", 128 px ", middle[0]);
  CHECK(small < 0.06);
  CHECK(middle[0] < 0.035);
  CHECK(middle[1] == doctest::Approx(middle[0]).epsilon(1e-3));  // a mask has no slopes: the two are one
  s.pose[1] = 0.7;
  double const turned = errors(s, 224, 8, {Mode::motion})[0];
  MESSAGE("mask of the face turned further, 224 px: ", turned);
  CHECK(turned < 0.02);
}

TEST_CASE("silhouette_gradient: all but exact on the mask of a sphere of 20,000 triangles") {
  auto const sphere = scene::sphere(100, 101);
  std::int64_t const v = sphere.vertices.dim(0);
  Scene s;
  s.mask = true;
  s.vertices = cast<float>(sphere.vertices), s.mesh = Mesh(sphere.triangles, v);
  std::vector<float> bulge;  // outwards, smooth, not the same everywhere
  for (std::int64_t i = 0; i < v; ++i) {
    float const* p = s.vertices.data() + 3 * i;
    float const k = 0.3f * (1 + std::sin(3 * p[0] + 2 * p[1]));
    bulge.insert(bulge.end(), {k * p[0], k * p[1], k * p[2]});
  }
  s.mode = Tensor<float>({v, 3}, bulge);
  auto const e = errors(s, 256, 16, {Mode::silhouette, Mode::motion, Mode::none});
  MESSAGE("mask of a sphere, 256 px: silhouette ", e[0], ", motion ", e[1]);
  CHECK(e[0] < 0.002);
  CHECK(e[1] < 0.02);
  CHECK(e[2] == doctest::Approx(1));  // with visibility held fixed a mask does not change at all
}

TEST_CASE("visibility gradients: a sphere before another moves against its colour, a hidden one not at all") {
  // Back: red and large. Front: green and small. Hidden: behind both.
  auto const back = scene::sphere(40, 60, 1.2), front = scene::sphere(30, 40, 0.5, 0.13, 0.07, 2),
             hidden = scene::sphere(10, 12, 0.3, 0, 0, -2.5);
  auto const all = scene::join(scene::join(back, front), hidden);
  std::int64_t const b = back.vertices.dim(0), f = front.vertices.dim(0), count = all.vertices.dim(0);
  std::vector<float> color, shift;
  for (std::int64_t i = 0; i < count; ++i) {
    bool const is_front = i >= b && i < b + f;
    color.insert(color.end(), {is_front ? 0.0f : 1.0f, is_front ? 1.0f : 0.0f, 0.0f});
    shift.insert(shift.end(), {is_front ? 1.0f : 0.0f, 0.0f, 0.0f});
  }
  Scene s;
  s.vertices = cast<float>(all.vertices), s.colors = Tensor<float>({count, 3}, color), s.mode = Tensor<float>({count, 3}, shift),
  s.mesh = Mesh(all.triangles, count);
  s.pose[1] = 0;
  std::int64_t const side = 96;
  auto red = [&](double d, std::int64_t size) {  // red left of the middle, fraction of the picture
    auto const y = s.image(Var<float>(Tensor<float>({1, 5}, {0, 0, 0, 0, float(d)})), {size, size}).value();
    double sum = 0;
    for (std::int64_t i = 0; i < size; ++i)
      for (std::int64_t j = 0; j < size / 2; ++j) sum += double(y.data()[3 * (i * size + j)]);
    return sum / double(size * size);
  };
  std::vector<float> w(std::size_t(side * side * 3), 0.0f);
  for (std::int64_t i = 0; i < side; ++i)
    for (std::int64_t j = 0; j < side / 2; ++j) w[std::size_t(3 * (i * side + j))] = 1.0f / float(side * side);
  std::vector<float> eye{1, 0, 0, 0, 1, 0, 0, 0, 1};
  double const h = 0.7 * camera.distance / camera.focal_pixels(side), truth = (red(h, 16 * side) - red(-h, 16 * side)) / (2 * h);
  CHECK(truth > 0);  // as the green sphere moves right it uncovers red on the left
  for (Mode const mode : {Mode::motion, Mode::fragment, Mode::silhouette}) {
    CAPTURE(int(mode));
    Tape tape;
    auto const x = tape.watch(s.vertices.reshape({1, count, 3}));
    auto const p = project(x, Var<float>(Tensor<float>({1, 9}, eye)), Var<float>(zeros<float>({1, 3})), camera, {side, side});
    auto const seen = rasterize(p.value(), s.mesh, {side, side});
    Var<float> const colors(s.colors.reshape({1, count, 3}));
    auto const plain = interpolate(colors, mode == Mode::motion ? p.detach() : p, seen, s.mesh);
    auto const image = mode == Mode::motion     ? motion_gradient(plain, p, seen, s.mesh, camera)
                       : mode == Mode::fragment ? fragment_gradient(plain, p, seen, s.mesh, camera)
                                                : silhouette_gradient(plain, p, colors.value(), seen, s.mesh, camera);
    auto const g = tape.grad(image, x, Var<float>(Tensor<float>({1, side, side, 3}, w))).value().host();
    double ours = 0, lost = 0;
    for (std::int64_t i = 0; i < count; ++i) {
      if (i >= b && i < b + f) ours += double(g[std::size_t(3 * i)]);
      if (i >= b + f)
        for (std::size_t c = 0; c < 3; ++c) lost += std::abs(double(g[std::size_t(3 * i) + c]));
    }
    CHECK(ours == doctest::Approx(truth).epsilon(0.05));
    CHECK(lost == 0);
  }
}

TEST_CASE("visibility gradients: the picture passes unchanged, and its gradient too") {
  auto const s = scene::sphere(6, 8);
  Mesh const mesh(s.triangles, s.vertices.dim(0));
  Visibility const seen{full<int>({1, 4, 5}, -1), zeros<float>({1, 4, 5}), {4, 5}};
  Rng rng(61);
  auto const image = rand<double>({1, 4, 5, 2}, rng), w = rand<double>({1, 4, 5, 2}, rng), p = rand<double>({1, mesh.vertices, 3}, rng);
  for (bool boundary : {false, true}) {
    Tape tape;
    auto const x = tape.watch(image), q = tape.watch(p);
    auto const y = boundary ? fragment_gradient(x, q, seen, mesh, camera) : motion_gradient(x, q, seen, mesh, camera);
    CHECK(y.value().host() == image.host());
    auto const g = tape.grad(y, {x, q}, Var<double>(w));
    CHECK(g[0].value().host() == w.host());
    for (double e : g[1].value().host()) CHECK(e == 0);  // nothing is seen, so nothing is carried
  }
  // Along silhouettes: none where every triangle has the same sign, and colours must be the vertices'.
  Tape tape;
  auto const x = tape.watch(image), q = tape.watch(zeros<double>({1, mesh.vertices, 3}));
  auto const y = silhouette_gradient(x, q, zeros<double>({1, mesh.vertices, 2}), seen, mesh, camera);
  CHECK(y.value().host() == image.host());
  auto const g = tape.grad(y, {x, q}, Var<double>(w));
  CHECK(g[0].value().host() == w.host());
  for (double e : g[1].value().host()) CHECK(e == 0);
  CHECK_THROWS_WITH_AS(silhouette_gradient(x, q, zeros<double>({1, mesh.vertices, 3}), seen, mesh, camera),
                       doctest::Contains("silhouette_gradient: colors must be"), Error);
}
