// A rendered face is found again by optimising parameters alone, in both photometric forms.
#include <doctest/doctest.h>

#include "rig/nn/optim/adam.hpp"
#include "rig/ops/reduce.hpp"
#include "rig/render/face_renderer.hpp"
#include "rig/render/procedural_face.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

namespace {

struct Fitted {
  Param<float> identity, reflectance, expression, light, rotation, translation;
  FaceParts<float> parts() const { return {identity, reflectance, 0.2f * expression, 0.1f * light, 0.15f * rotation, 0.2f * translation}; }
  void visit(auto&& f) {
    f("identity", identity), f("reflectance", reflectance), f("expression", expression), f("light", light), f("rotation", rotation),
        f("translation", translation);
  }
};
Fitted make(FaceRenderer<float> const& face, std::int64_t n, Rng* rng) {
  auto some = [&](std::int64_t k) { return Param<float>(rng ? randn<float>({n, k}, *rng) : zeros<float>({n, k})); };
  Fitted f;
  f.identity = some(face.identities()), f.reflectance = some(face.reflectances());
  f.expression = Param<float>(rng ? rand<float>({n, face.expressions()}, *rng) : zeros<float>({n, face.expressions()}));
  f.light = some(27), f.rotation = some(3), f.translation = some(3);
  return f;
}

double correlation(float const* a, float const* b, int count) {
  double sa = 0, sb = 0, aa = 0, bb = 0, ab = 0;
  for (int i = 0; i < count; ++i) sa += a[i] / double(count), sb += b[i] / double(count);
  for (int i = 0; i < count; ++i) aa += (a[i] - sa) * (a[i] - sa), bb += (b[i] - sb) * (b[i] - sb), ab += (a[i] - sa) * (b[i] - sb);
  return ab / std::sqrt(aa * bb);
}

/// How many of n faces, every parameter one standard deviation from the start, are found within the bounds.
int recovered(bool pixel_form, std::int64_t n, int steps) {
  auto const model = procedural_face({.vertices = 2000, .identity = 10, .reflectance = 6});
  FaceRenderer<float> const face(model, Camera::stylerig(13));
  Rng rng(71);
  Fitted const truth = make(face, n, &rng);
  ImageSize const size{224, 224};
  auto const seen = face(truth.parts(), size);
  Tensor<float> const photo = face.render(seen, full<float>({n, 224, 224, 3}, 0.3f)).image.value(), points = face.landmarks(seen).value(),
                      weights = ones<float>({n, 68});
  Fitted fit = make(face, n, nullptr);
  nn::Adam<float> adam({.rate = 0.3, .beta2 = 0.99});
  for (int step = 0; step < steps; ++step) {
    adam.rate = 0.3 * std::pow(0.05, double(step) / steps);
    Tape tape;
    tape.watch(fit);
    auto const f = face(fit.parts(), size);
    auto const marks = landmark_loss(face.landmarks(f), points, weights);
    // Vertices at the silhouette see some background, which pulls at the vertex form: landmarks must weigh more there.
    Var<float> loss = (pixel_form ? 100.f : 1000.f) * sum(marks) +
                      1e-6f * (sum(square(fit.identity)) + sum(square(fit.expression)) + sum(square(fit.reflectance)));
    if (5 * step >= steps)
      loss = loss + sum(pixel_form ? face.photometric(face.render(f, photo), photo, {.distance = Distance::l21})
                                   : face.photometric(f, photo, {.distance = Distance::l21}));
    tape.backward(loss);
    adam.step(fit);
  }
  auto const landed = face.landmarks(fit.parts(), size).value();
  int good = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    double off = 0;
    for (int l = 0; l < 68; ++l)
      off += 224 *
             std::hypot(landed.data()[2 * (68 * i + l)] - points.data()[2 * (68 * i + l)],
                        landed.data()[2 * (68 * i + l) + 1] - points.data()[2 * (68 * i + l) + 1]) /
             68;
    double const yaw =
                     57.29578 * 0.15 * std::abs(double(fit.rotation.value().data()[3 * i + 1] - truth.rotation.value().data()[3 * i + 1])),
                 alike = correlation(fit.identity.value().data() + 10 * i, truth.identity.value().data() + 10 * i, 10);
    bool const found = off < 0.5 && yaw < 0.5 && alike > 0.9;
    if (!found) MESSAGE("face ", i, " is not: landmarks ", off, " px, yaw ", yaw, " degrees, identity ", alike);
    good += found;
  }
  return good;
}

}  // namespace

TEST_CASE("recovery: vertex form, at least 18 of 20 faces") { CHECK(recovered(false, 20, 450) >= 18); }
TEST_CASE("recovery: pixel form, at least 18 of 20 faces") { CHECK(recovered(true, 20, 450) >= 18); }
