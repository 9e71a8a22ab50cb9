#include "rig/render/face_renderer.hpp"

#include <doctest/doctest.h>

#include "rig/render/procedural_face.hpp"
#include "scene.hpp"

using namespace rig;
using namespace rig::render;

namespace {

MorphableModel const& small_face() {
  static MorphableModel const m = procedural_face({.vertices = 2000, .identity = 6, .reflectance = 5});
  return m;
}
Tensor<double> numbers(Shape s, double scale, Rng& rng) { return randn<double>(s, rng, {}, scale); }

struct Drawn {
  Tensor<double> identity, reflectance, expression, light, rotation, translation;
};
Drawn draw(std::int64_t n, Rng& rng) {
  auto const& m = small_face();
  return {numbers({n, m.identities()}, 1, rng),
          numbers({n, m.reflectances()}, 1, rng),
          rand<double>({n, m.expressions()}, rng, {}, 0.0, 0.2),
          numbers({n, 27}, 0.1, rng),
          numbers({n, 3}, 0.15, rng),
          numbers({n, 3}, 0.05, rng)};
}
template <class T> FaceParts<T> parts(std::vector<Var<T>> const& x) { return {x[0], x[1], x[2], x[3], x[4], x[5]}; }

}  // namespace

TEST_CASE("FaceRenderer: signs of yaw, pitch and roll in the picture") {
  FaceRenderer<double> const face(small_face(), Camera::stylerig(10));
  auto tip = [&](double x, double y, double z) {
    auto const l = face.landmarks(FaceParts<double>{.rotation = Var<double>(Tensor<double>({1, 3}, {x, y, z}))}, {64, 64}).value();
    return std::vector<double>{l.data()[60], l.data()[61], l.data()[2 * 36 + 1], l.data()[2 * 45 + 1]};  // nose tip; outer eye corners
  };
  auto const rest = tip(0, 0, 0);
  CHECK(std::abs(rest[0] - 0.5) < 0.02);
  CHECK(tip(0, 0.3, 0)[0] > rest[0] + 0.01);   // yaw > 0: right
  CHECK(tip(-0.3, 0, 0)[1] < rest[1] - 0.01);  // x < 0: up
  auto const rolled = tip(0, 0, -0.3);         // z < 0: clockwise, the eye on the right goes down
  CHECK(rolled[3] > rolled[2] + 0.02);
}

TEST_CASE("FaceRenderer: landmark rows alone give the landmarks of the whole face") {
  FaceRenderer<double> const face(small_face(), Camera::stylerig(10));
  Rng rng(41);
  Drawn const p = draw(3, rng);
  FaceParts<double> const q{p.identity, p.reflectance, p.expression, p.light, p.rotation, p.translation};
  auto const all = face.landmarks(face(q, {64, 64})).value(), rows = face.landmarks(q, {64, 64}).value();
  CHECK(all.shape() == Shape{3, 68, 2});
  CHECK(scene::largest_difference(all, rows) < 1e-12);
}

TEST_CASE("FaceRenderer: gradients of the whole chain to every part, vertex form and landmarks") {
  FaceRenderer<double> const face(small_face(), Camera::stylerig(10));
  Rng rng(42);
  Drawn const p = draw(2, rng);
  ImageSize const size{64, 64};
  auto const photo = [&] {  // smooth, so that central differences do not cross a kink of the bilinear photograph often
    std::vector<double> v;
    for (int n = 0; n < 2; ++n)
      for (int i = 0; i < 64; ++i)
        for (int j = 0; j < 64; ++j)
          for (int c = 0; c < 3; ++c) v.push_back(0.5 + 0.3 * std::sin(0.11 * (j + 0.5) + c) * std::cos(0.07 * (i + 0.5) + n));
    return Tensor<double>({2, 64, 64, 3}, v);
  }();
  std::vector<Tensor<double>> const inputs{p.identity, p.reflectance, p.expression, p.light, p.rotation, p.translation};
  std::vector<Var<double>> constants(inputs.begin(), inputs.end());
  auto const weights = normalized_weights(face.seen(face(parts<double>(constants), size)));
  std::int64_t seen = 0;
  for (double w : weights.host()) seen += w > 0;
  CHECK(seen > 500);
  auto f = [&](std::vector<Var<double>> const& x) {
    auto const y = face(parts<double>(x), size);
    return vertex_photometric(y.colors, y.projected, photo, weights, Distance::l21);
  };
  // The bilinear photograph has kinks at pixel centres: a few of some hundred vertices lie within a step of one.
  CHECK(gradcheck(f, inputs, {.step = 1e-7, .points = 6}).worst < 2e-5);
  auto g = [&](std::vector<Var<double>> const& x) {
    return face.landmarks(parts<double>({x[0], constants[1], x[1], constants[3], x[2], x[3]}), size);
  };
  CHECK(gradcheck(g, {p.identity, p.expression, p.rotation, p.translation}, {.points = 6}).worst < 1e-6);
}

TEST_CASE("FaceRenderer: pictures, masks, both shadings, and the mean face placed on landmarks") {
  auto const& model = small_face();
  FaceRenderer<float> const face(model, Camera::stylerig(10));
  auto const f = face(FaceParts<float>{.rotation = Var<float>(Tensor<float>({2, 3}, {0, 0.2f, 0, 0.1f, -0.3f, 0}))}, {96, 96});
  auto const back = full<float>({2, 96, 96, 3}, 0.25f);
  auto const a = face.render(f, back), b = face.render(f, back, {.shading = Shading::pixel});
  CHECK(a.image.shape() == Shape{2, 96, 96, 3});
  CHECK(a.image.value().data()[0] == 0.25f);
  double covered = 0, masked = 0, difference = 0;
  for (std::int64_t i = 0; i < a.visibility.triangle.size(); ++i) {
    covered += a.visibility.triangle.data()[i] >= 0, masked += a.mask.data()[i] != 0;
    for (std::int64_t c = 3 * i; c < 3 * i + 3; ++c) difference += std::abs(a.image.value().data()[c] - b.image.value().data()[c]);
  }
  CHECK(covered > 2000);
  CHECK(masked > 500);
  CHECK(masked < covered);
  CHECK(difference / (3 * covered) < 0.02);
  CHECK(face.photometric(a, a.image.value()).value().data()[0] == 0);
  CHECK(face.photometric(f, a.image.value()).value().data()[0] < 0.01f);  // the face agrees with its own picture

  auto const rest = face.landmarks(FaceParts<float>{.translation = Var<float>(Tensor<float>({1, 3}, {0.2f, -0.1f, 0}))}, {96, 96}).value();
  std::vector<float> weight(68, 1.0f);  // without the jaw, whose points have slid away from the model's vertices
  std::fill(weight.begin(), weight.begin() + 17, 0.0f);
  Tensor<float> const inner({68}, weight);
  auto const placed = place_mean_face(model, rest.reshape({68, 2}), inner);
  CHECK(placed.camera.distance == doctest::Approx(10).epsilon(1e-4));
  FaceRenderer<float> const again(model, placed.camera);
  auto const t = Tensor<float>({1, 3}, {float(placed.translation.x), float(placed.translation.y), float(placed.translation.z)});
  auto const landed = again.landmarks(FaceParts<float>{.translation = Var<float>(t)}, {96, 96}).value();
  for (std::int64_t i = 34; i < 136; ++i) CHECK(std::abs(landed.data()[i] - rest.data()[i]) < 1e-5f);
}

TEST_CASE("FaceRenderer: the loss of a picture that is not kept is the loss of the picture") {
  FaceRenderer<double> const face(small_face(), Camera::stylerig(10));
  Rng rng(44);
  Drawn const p = draw(2, rng);
  auto const photo = rand<double>({2, 40, 56, 3}, rng);
  for (auto d : {Distance::l2, Distance::l21}) {
    auto run = [&](bool kept) {
      Tape tape;
      std::vector<Var<double>> x;
      for (auto const& t : {p.identity, p.reflectance, p.expression, p.light, p.rotation, p.translation}) x.push_back(tape.watch(t));
      auto const f = face(parts<double>(x), {40, 56});
      auto const loss = kept ? face.photometric(face.render(f, photo, {.gradient = VisibilityGradient::none}), photo, {.distance = d})
                             : face.drawn_photometric(f, photo, {.distance = d});
      std::vector<Tensor<double>> all{loss.value()};
      for (auto const& g : tape.grad(loss, x, Var<double>(Tensor<double>({2}, {1.0, -0.5})))) all.push_back(g.value());
      return all;
    };
    auto const a = run(true), b = run(false);
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(scene::largest_difference(a[i], b[i]) < 1e-9);
  }
}

TEST_CASE("FaceRenderer: wrong parts are refused by name") {
  FaceRenderer<float> const face(small_face(), Camera::stylerig(10));
  CHECK_THROWS_WITH_AS(face(FaceParts<float>{}, {8, 8}), doctest::Contains("at least one part"), Error);
  CHECK_THROWS_WITH_AS(face(FaceParts<float>{.identity = Var<float>(zeros<float>({1, 7}))}, {8, 8}),
                       doctest::Contains("identity must be [1, 6]"), Error);
}

TEST_CASE("FaceRenderer: the same bits for any number of threads and any order in the batch") {
  FaceRenderer<float> const face(small_face(), Camera::stylerig(10));
  Rng rng(43);
  std::int64_t const n = 3;
  Drawn const p = draw(n, rng);
  auto const photo = rand<float>({n, 48, 48, 3}, rng);
  std::vector<Tensor<float>> const inputs{cast<float>(p.identity), cast<float>(p.reflectance), cast<float>(p.expression),
                                          cast<float>(p.light),    cast<float>(p.rotation),    cast<float>(p.translation)};
  auto run = [&](std::vector<Tensor<float>> const& in, Tensor<float> const& target) {
    Tape tape;
    std::vector<Var<float>> x;
    for (auto const& t : in) x.push_back(tape.watch(t));
    auto const f = face(parts<float>(x), {48, 48});
    auto const picture = face.render(f, zeros<float>({in[0].dim(0), 48, 48, 3}));
    auto const loss = face.photometric(f, target) + face.photometric(picture, target) +
                      landmark_loss(face.landmarks(f), zeros<float>({in[0].dim(0), 68, 2}), ones<float>({in[0].dim(0), 68}));
    std::vector<std::vector<float>> out{loss.value().host(), picture.image.value().host()};
    for (auto const& g : tape.grad(loss, x)) out.push_back(g.value().host());
    return out;
  };
  std::vector<std::vector<float>> first;
  for (int threads : {1, 2, 7}) {
    set_threads(threads);
    auto const all = run(inputs, photo);
    if (first.empty()) first = all;
    CHECK(all == first);
    for (std::int64_t i = 0; i < n; ++i) {
      std::vector<Tensor<float>> one;
      for (auto const& t : inputs) one.push_back(t.rows(i, 1));
      auto const single = run(one, photo.rows(i, 1));
      for (std::size_t k = 0; k < single.size(); ++k) {
        auto const width = std::int64_t(single[k].size());
        CHECK(std::equal(single[k].begin(), single[k].end(), first[k].begin() + i * width));
      }
    }
  }
  set_threads(0);
}
