// The face renderer part by part on a mesh of StyleRig's size, in float: ICT-FaceKit subdivided once (53,041 vertices) where
// its file is found under RIG_TEST_DATA or ../shared, else the built-in face of 53,000. Arguments are images and side.
// MB is what the part must move at least, inputs and outputs once each; of_copy is that over the shortest time, as a fraction of
// the rate at which this machine copies memory with the same threads, measured when the program starts. With OMP_NUM_THREADS=1
// both count processor time, which other work on the machine hardly disturbs; with more threads they count wall time.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
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
  double pixels() const { return double(n * size.height * size.width); }
};
/// Seconds since some moment.
double now() {
  if (threads() == 1) return double(std::clock()) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
struct CopyKernel {
  char* y;
  char const* x;
  RIG_HD void operator()(std::int64_t i) const { std::memcpy(y + (i << 20), x + (i << 20), std::size_t(1) << 20); }
};
/// Bytes a second, read and written, of the best of ten copies of 256 MiB.
double copy_rate() {
  static double const rate = [] {
    std::int64_t const blocks = 256;
    std::vector<char> x(std::size_t(blocks << 20), 1), y(x.size(), 2);
    double best = 0;
    for (int round = 0; round < 10; ++round) {
      double const start = now();
      for_each_heavy(cpu(), blocks, CopyKernel{y.data(), x.data()});
      best = std::max(best, 2 * double(x.size()) / (now() - start));
    }
    return best;
  }();
  return rate;
}
/// Runs f, and states the bytes it must move and the shortest time it took, which other work on the machine disturbs least.
template <class F> void measure(benchmark::State& s, double bytes, F const& f) {
  double const rate = copy_rate();
  f();  // the pool has its blocks
  double best = 1e9;
  for (auto _ : s) {
    double const start = now();
    f();
    best = std::min(best, (now() - start));
  }
  s.counters["best_ms"] = 1e3 * best, s.counters["MB"] = bytes / 1e6, s.counters["of_copy"] = bytes / best / rate;
  s.counters["copy_GB/s"] = rate / 1e9;
}
/// Forward and backward of f(x), seeded with ones.
template <class F> void with_gradient(benchmark::State& s, double bytes, std::vector<Tensor<float>> const& inputs, F const& f) {
  measure(s, bytes, [&] {
    Tape tape;
    std::vector<Var<float>> x;
    for (auto const& t : inputs) x.push_back(tape.watch(t));
    benchmark::DoNotOptimize(tape.grad(f(x), x));
  });
}

void geometry(benchmark::State& s) {
  Batch const b(s);
  Var<float> const c = concat<float>({b.p.identity, b.p.expression}, 1), basis(b.face.basis), mean(b.face.mean);
  measure(s, 4 * (double(b.face.basis.size()) + 3 * b.points()), [&] { benchmark::DoNotOptimize(linear_model(c, basis, mean)); });
}
void geometry_gradient(benchmark::State& s) {
  Batch const b(s);
  Tensor<float> const c = concat<float>({b.p.identity, b.p.expression}, 1).value();
  Var<float> const basis(b.face.basis), mean(b.face.mean);
  with_gradient(s, 8 * (double(b.face.basis.size()) + 3 * b.points()), {c}, [&](auto const& x) { return linear_model(x[0], basis, mean); });
}
void normals(benchmark::State& s) {
  Batch const b(s);
  measure(s, 4 * 6 * b.points() + 12.0 * double(b.face.mesh.faces()),
          [&] { benchmark::DoNotOptimize(vertex_normals(b.f.vertices, b.face.mesh)); });
}
void normals_gradient(benchmark::State& s) {
  Batch const b(s);
  with_gradient(s, 4 * 18 * b.points() + 24.0 * double(b.face.mesh.faces()), {b.f.vertices.value()},
                [&](auto const& x) { return vertex_normals(x[0], b.face.mesh); });
}
void shading(benchmark::State& s) {
  Batch const b(s);
  measure(s, 4 * 9 * b.points(), [&] { benchmark::DoNotOptimize(shade(b.f.albedo, b.f.normals, b.p.light)); });
}
void shading_gradient(benchmark::State& s) {
  Batch const b(s);
  with_gradient(s, 4 * 24 * b.points(), {b.f.albedo.value(), b.f.normals.value(), b.p.light.value()},
                [](auto const& x) { return shade(x[0], x[1], x[2]); });
}
double raster_bytes(Batch const& b) { return 12 * b.points() + 12.0 * double(b.face.mesh.faces() * b.n) + 16.0 * b.pixels(); }
void raster(benchmark::State& s) {
  Batch const b(s);
  measure(s, raster_bytes(b), [&] { benchmark::DoNotOptimize(rasterize(b.f.projected.value(), b.face.mesh, b.size)); });
}
void picture(benchmark::State& s) {
  Batch const b(s);
  measure(s, raster_bytes(b) + 12 * b.points() + 4 * 13 * b.pixels(), [&] { benchmark::DoNotOptimize(b.face.render(b.f, b.photo)); });
}
/// Triangles, picture and their gradients to colours and positions.
template <VisibilityGradient G> void picture_gradient(benchmark::State& s) {
  Batch const b(s);
  with_gradient(s, 2 * (raster_bytes(b) + 12 * b.points() + 4 * 13 * b.pixels()), {b.f.colors.value(), b.f.projected.value()},
                [&](auto const& x) {
                  Face<float> f = b.f;
                  f.colors = x[0], f.projected = x[1];
                  return b.face.render(f, b.photo, {.gradient = G}).image;
                });
}
void vertex_loss(benchmark::State& s) {
  Batch const b(s);
  auto const w = normalized_weights(b.face.seen(b.f));
  measure(s, 4 * 7 * b.points() + 12 * b.pixels(),
          [&] { benchmark::DoNotOptimize(vertex_photometric(b.f.colors, b.f.projected, b.photo, w)); });
}
void vertex_loss_gradient(benchmark::State& s) {
  Batch const b(s);
  auto const w = normalized_weights(b.face.seen(b.f));
  with_gradient(s, 4 * 20 * b.points() + 24 * b.pixels(), {b.f.colors.value(), b.f.projected.value()},
                [&](auto const& x) { return vertex_photometric(x[0], x[1], b.photo, w); });
}
void pixel_loss(benchmark::State& s) {
  Batch const b(s);
  auto const picture = b.face.render(b.f, b.photo);
  auto const w = normalized_weights(picture.mask);
  Var<float> const image(picture.image.value());
  measure(s, 4 * 7 * b.pixels(), [&] { benchmark::DoNotOptimize(pixel_photometric(image, b.photo, w)); });
}
void pixel_loss_gradient(benchmark::State& s) {
  Batch const b(s);
  auto const picture = b.face.render(b.f, b.photo);
  auto const w = normalized_weights(picture.mask);
  with_gradient(s, 4 * 17 * b.pixels(), {picture.image.value()}, [&](auto const& x) { return pixel_photometric(x[0], b.photo, w); });
}
void landmarks_gradient(benchmark::State& s) {
  Batch const b(s);
  auto const target = zeros<float>({b.n, 68, 2}), weight = ones<float>({b.n, 68});
  with_gradient(s, 4 * 3 * b.points(), {b.f.projected.value()}, [&](auto const& x) {
    return landmark_loss(landmark_points(x[0], select_landmarks(b.f.projected.value(), b.face.landmark_table), b.size), target, weight);
  });
}
/// All of a training step's rendering: parameters to loss and back to parameters.
template <class F> void whole(benchmark::State& s, F loss) {
  Batch const b(s);
  std::vector<Tensor<float>> const in{b.p.identity.value(), b.p.reflectance.value(), b.p.expression.value(),
                                      b.p.light.value(),    b.p.rotation.value(),    b.p.translation.value()};
  double const bases = double(b.face.basis.size() + b.face.reflectance_basis.value().size());
  with_gradient(s, 8 * bases, in, [&](auto const& x) {
    return loss(b, b.face(FaceParts<float>{x[0], x[1], x[2], x[3], x[4], x[5]}, b.size));
  });
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

#define RIG_BENCH(f) BENCHMARK(f)->Unit(benchmark::kMillisecond)->UseRealTime()
void one_size(benchmark::internal::Benchmark* b) { b->Args({1, 224}); }
void both_sizes(benchmark::internal::Benchmark* b) { b->Args({1, 224})->Args({1, 512}); }
RIG_BENCH(geometry)->Apply(one_size);
RIG_BENCH(geometry_gradient)->Apply(one_size);
RIG_BENCH(normals)->Apply(one_size);
RIG_BENCH(normals_gradient)->Apply(one_size);
RIG_BENCH(shading)->Apply(one_size);
RIG_BENCH(shading_gradient)->Apply(one_size);
RIG_BENCH(raster)->Apply(both_sizes);
RIG_BENCH(picture)->Apply(both_sizes);
RIG_BENCH(picture_gradient<VisibilityGradient::none>)->Apply(both_sizes);
RIG_BENCH(picture_gradient<VisibilityGradient::motion>)->Apply(both_sizes);
RIG_BENCH(picture_gradient<VisibilityGradient::silhouette>)->Apply(both_sizes);
RIG_BENCH(vertex_loss)->Apply(both_sizes);
RIG_BENCH(vertex_loss_gradient)->Apply(both_sizes);
RIG_BENCH(pixel_loss)->Apply(both_sizes);
RIG_BENCH(pixel_loss_gradient)->Apply(both_sizes);
RIG_BENCH(landmarks_gradient)->Apply(both_sizes);
RIG_BENCH(whole_vertex)->Apply(both_sizes)->Args({8, 224});
RIG_BENCH(whole_pixel)->Apply(both_sizes);
RIG_BENCH(whole_motion)->Apply(both_sizes);

}  // namespace
