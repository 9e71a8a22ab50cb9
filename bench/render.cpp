// The face renderer part by part on a mesh of StyleRig's size, in float: ICT-FaceKit subdivided once (53,041 vertices) where
// its file is found under RIG_TEST_DATA or ../shared, else the built-in face of 53,000. Arguments are images and side.
// "bytes" is what the part must move at least, inputs and outputs once each.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <filesystem>

#include "rig/core/random.hpp"
#include "rig/render/face_renderer.hpp"
#include "rig/render/models/ict.hpp"
#include "rig/render/procedural_face.hpp"

using namespace rig;
using namespace rig::render;

namespace {

MorphableModel large_face() {
  char const* root = std::getenv("RIG_TEST_DATA");
  auto const path = std::filesystem::path(root ? root : "../shared") / "data/ict-facekit/ict_facekit_light.npz";
  if (!std::filesystem::exists(path)) return procedural_face({.vertices = 53000, .identity = 80, .reflectance = 80});
  return subdivide(load_ict(path.string(), "", {.part = IctPart::skin, .identity = 80, .reflectance = 80}));
}
struct Bench {
  MorphableModel model = large_face();
  FaceRenderer<float> face;
  Bench() {
    // The face fills about half of the picture's height.
    auto const v = model.mean.host();
    double low = v[1], high = v[1];
    for (std::size_t i = 1; i < v.size(); i += 3) low = std::min(low, double(v[i])), high = std::max(high, double(v[i]));
    face = FaceRenderer<float>(model, Camera::stylerig(4.2647 * (high - low) / 0.7));
  }
};
Bench const& bench() {
  static Bench const b;
  return b;
}

/// A batch of random faces and what follows from them.
struct Batch {
  std::int64_t n;
  ImageSize size;
  FaceRenderer<float> const& face = bench().face;
  FaceParts<float> p;
  Face<float> f;
  Tensor<float> photo;
  explicit Batch(benchmark::State const& state) : n(state.range(0)), size{state.range(1), state.range(1)} {
    Rng rng(3);
    p = {randn<float>({n, face.identities()}, rng),
         randn<float>({n, face.reflectances()}, rng),
         rand<float>({n, face.expressions()}, rng, {}, 0.0f, 0.2f),
         randn<float>({n, 27}, rng, {}, 0.1f),
         randn<float>({n, 3}, rng, {}, 0.15f),
         zeros<float>({n, 3})};
    f = face(p, size);
    photo = rand<float>({n, size.height, size.width, 3}, rng);
  }
  double points() const { return double(n * face.vertices()); }
};
void moves(benchmark::State& s, double bytes) {
  s.counters["bytes"] = benchmark::Counter(bytes, benchmark::Counter::kIsIterationInvariantRate, benchmark::Counter::kIs1024);
  s.counters["V"] = double(bench().face.vertices());
}

void geometry(benchmark::State& s) {
  Batch const b(s);
  Var<float> const c = concat<float>({b.p.identity, b.p.expression}, 1), basis(b.face.basis), mean(b.face.mean);
  for (auto _ : s) benchmark::DoNotOptimize(linear_model(c, basis, mean));
  moves(s, 4 * (double(b.face.basis.size()) + 3 * b.points()));
}
void geometry_backward(benchmark::State& s) {
  Batch const b(s);
  Var<float> const basis(b.face.basis);
  for (auto _ : s) benchmark::DoNotOptimize(linear_model_coefficients(b.f.vertices, basis));
  moves(s, 4 * (double(b.face.basis.size()) + 3 * b.points()));
}
void normals(benchmark::State& s) {
  Batch const b(s);
  for (auto _ : s) benchmark::DoNotOptimize(vertex_normals(b.f.vertices, b.face.mesh));
  moves(s, 4 * 6 * b.points() + 12.0 * double(b.face.mesh.faces()));
}
template <class F> void with_gradient(benchmark::State& s, std::vector<Tensor<float>> const& inputs, F f) {
  for (auto _ : s) {
    Tape tape;
    std::vector<Var<float>> x;
    for (auto const& t : inputs) x.push_back(tape.watch(t));
    benchmark::DoNotOptimize(tape.grad(f(x), x));
  }
}
void normals_gradient(benchmark::State& s) {
  Batch const b(s);
  with_gradient(s, {b.f.vertices.value()}, [&](auto const& x) { return vertex_normals(x[0], b.face.mesh); });
  moves(s, 4 * 15 * b.points());
}
void shading(benchmark::State& s) {
  Batch const b(s);
  for (auto _ : s) benchmark::DoNotOptimize(shade(b.f.albedo, b.f.normals, b.p.light));
  moves(s, 4 * 9 * b.points());
}
void shading_gradient(benchmark::State& s) {
  Batch const b(s);
  with_gradient(s, {b.f.albedo.value(), b.f.normals.value(), b.p.light.value()}, [](auto const& x) { return shade(x[0], x[1], x[2]); });
  moves(s, 4 * 24 * b.points());
}
void raster(benchmark::State& s) {
  Batch const b(s);
  for (auto _ : s) benchmark::DoNotOptimize(rasterize(b.f.projected.value(), b.face.mesh, b.size));
  moves(s, 12 * b.points() + 12.0 * double(b.face.mesh.faces() * b.n) + 16.0 * double(b.n * b.size.height * b.size.width));
}
void picture(benchmark::State& s) {
  Batch const b(s);
  for (auto _ : s) benchmark::DoNotOptimize(b.face.render(b.f, b.photo));
}
void vertex_loss(benchmark::State& s) {
  Batch const b(s);
  auto const w = normalized_weights(b.face.seen(b.f));
  with_gradient(s, {b.f.colors.value(), b.f.projected.value()}, [&](auto const& x) { return vertex_photometric(x[0], x[1], b.photo, w); });
  moves(s, 4 * 19 * b.points());
}
/// All of a training step's rendering: parameters to loss and back to parameters.
template <class F> void whole(benchmark::State& s, F loss) {
  Batch const b(s);
  std::vector<Tensor<float>> const in{b.p.identity.value(), b.p.reflectance.value(), b.p.expression.value(),
                                      b.p.light.value(),    b.p.rotation.value(),    b.p.translation.value()};
  with_gradient(s, in, [&](auto const& x) { return loss(b, b.face(FaceParts<float>{x[0], x[1], x[2], x[3], x[4], x[5]}, b.size)); });
}
void whole_vertex(benchmark::State& s) {
  whole(s, [](Batch const& b, Face<float> const& f) { return b.face.photometric(f, b.photo); });
}
void whole_pixel(benchmark::State& s) {
  whole(s, [](Batch const& b, Face<float> const& f) {
    return b.face.photometric(b.face.render(f, b.photo, {.gradient = VisibilityGradient::none}), b.photo);
  });
}
void whole_motion(benchmark::State& s) {
  whole(s, [](Batch const& b, Face<float> const& f) { return b.face.photometric(b.face.render(f, b.photo), b.photo); });
}

#define RIG_BENCH(f, ...) BENCHMARK(f)->Unit(benchmark::kMillisecond)->UseRealTime() __VA_ARGS__
RIG_BENCH(geometry, ->Args({1, 224})->Args({8, 224}));
RIG_BENCH(geometry_backward, ->Args({1, 224})->Args({8, 224}));
RIG_BENCH(normals, ->Args({1, 224})->Args({8, 224}));
RIG_BENCH(normals_gradient, ->Args({1, 224})->Args({8, 224}));
RIG_BENCH(shading, ->Args({1, 224})->Args({8, 224}));
RIG_BENCH(shading_gradient, ->Args({1, 224})->Args({8, 224}));
RIG_BENCH(raster, ->Args({1, 224})->Args({1, 512})->Args({8, 224})->Args({8, 512}));
RIG_BENCH(picture, ->Args({1, 224})->Args({1, 512}));
RIG_BENCH(vertex_loss, ->Args({1, 224})->Args({8, 512}));
RIG_BENCH(whole_vertex, ->Args({1, 224})->Args({8, 224})->Args({1, 512}));
RIG_BENCH(whole_pixel, ->Args({1, 224})->Args({1, 512}));
RIG_BENCH(whole_motion, ->Args({1, 224})->Args({1, 512}));

}  // namespace
