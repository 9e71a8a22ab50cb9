// How do I fit a face model to a picture, with nothing but gradients?
// Parameters p alone are optimised: first on 68 landmarks, then on colours as well. The picture is a portrait of the data set
// in ../shared if it is there, else a face that this program draws itself, so that the fit can be compared with the truth.
//   build/example_04_fit_face --steps 300        writes fit_face.png: picture, fit, fit over picture
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "rig/rig.hpp"

using namespace rig;

namespace {
/// The parameters of one face, and where they start: each part is what the optimiser moves times a unit.
struct FittedFace {
  Param<float> identity, reflectance, expression, light, rotation, translation;
  Vec3<double> start;
  explicit FittedFace(render::FaceRenderer<float> const& face, Vec3<double> where) : start(where) {
    auto zero = [&](std::int64_t n) { return Param<float>(zeros<float>({1, n})); };
    identity = zero(face.identities()), reflectance = zero(face.reflectances()), expression = zero(face.expressions());
    light = zero(27), rotation = zero(3), translation = zero(3);
  }
  render::FaceParts<float> parts(double distance) const {
    Var<float> const at(Tensor<float>({1, 3}, {float(start.x), float(start.y), float(start.z)}));
    return {identity, reflectance, expression, 0.3f * light, 0.3f * rotation, float(0.05 * distance) * translation + at};
  }
  void visit(auto&& f) {
    f("identity", identity), f("reflectance", reflectance), f("expression", expression), f("light", light), f("rotation", rotation),
        f("translation", translation);
  }
};

/// A picture [1, h, w, 3] and its landmarks [1, 68, 2] in fractions of its height.
struct Target {
  Tensor<float> picture, landmarks;
  bool drawn = false;
};

/// The first portrait of the data set; an empty picture if it is not there.
Target portrait() {
  char const *data = std::getenv("RIG_TEST_DATA"), *root = std::getenv("RIG_ROOT");
  std::string const folder = (data ? std::string(data) : std::string(root ? root : ".") + "/../shared") + "/data/portraits/";
  std::ifstream csv(folder + "landmarks68.csv");
  std::string line, cell;
  if (!std::getline(csv, line) || !std::getline(csv, line)) return {};
  std::istringstream cells(line);
  std::vector<std::string> column;
  while (std::getline(cells, cell, ',')) column.push_back(cell);
  Tensor<float> const picture = io::load_image(folder + "aligned128/" + column.at(0));
  std::vector<float> points;
  for (std::size_t i = column.size() - 136; i < column.size(); ++i) points.push_back(std::stof(column[i]) / float(picture.dim(0)));
  return {picture.reshape({1, picture.dim(0), picture.dim(1), 3}), Tensor<float>({1, 68, 2}, points)};
}

/// A face drawn with parameters that the fit does not know.
Target drawn(render::FaceRenderer<float> const& face) {
  Rng rng(4);
  FittedFace truth(face, {0.2, -0.1, 0});
  truth.identity = Param<float>(randn<float>({1, face.identities()}, rng));
  truth.reflectance = Param<float>(randn<float>({1, face.reflectances()}, rng));
  truth.rotation = Param<float>(Tensor<float>({1, 3}, {0.2f, 0.9f, 0.f}));
  auto const f = face(truth.parts(face.camera.distance), {96, 96});
  return {clamp(face.render(f, full<float>({1, 96, 96, 3}, 0.4f)).image, 0, 1).value(), face.landmarks(f).value(), true};
}
}  // namespace

int main(int argc, char** argv) {
  int const steps = argc == 3 && std::string(argv[1]) == "--steps" ? std::atoi(argv[2]) : 300;
  render::MorphableModel const model = render::procedural_face({.vertices = 3000});
  render::FaceRenderer<float> face(model, render::Camera::stylerig(13));
  Target target = portrait();
  if (!target.picture) target = drawn(face);
  Tensor<float> const weights = ones<float>({1, 68});
  render::ImageSize const size{target.picture.dim(1), target.picture.dim(2)};

  // The camera stands so that the mean face, unturned, lies on the landmarks as well as it can.
  auto const placed = render::place_mean_face(model, target.landmarks[0], weights[0]);
  face.camera = placed.camera;
  FittedFace fit(face, placed.translation);
  nn::Adam<float> optimiser({.rate = 0.03});
  float first = 0, last = 0;
  for (int step = 0; step < steps; ++step) {
    bool const colours = 3 * step >= steps;
    Tape tape;
    tape.watch(fit);
    auto const parts = fit.parts(face.camera.distance);
    auto const f = face(parts, size);
    auto const marks = sum(render::landmark_loss(face.landmarks(f), target.landmarks, weights));
    auto loss = 20.f * marks + 1e-5f * (sum(square(parts.identity)) + sum(square(parts.reflectance))) +
                1e-3f * sum(square(parts.expression - clamp(parts.expression, 0, 1)));
    if (colours) loss = loss + sum(face.photometric(f, target.picture));
    last = std::sqrt(marks.item());
    if (step == 0) first = last;
    if (step % 50 == 0 || step + 1 == steps)
      std::printf("step %4d  loss %.5f  landmarks off by %.2f %% of the height\n", step, loss.item(), 100 * last);
    tape.backward(loss);
    optimiser.step(fit);
  }

  auto const parts = fit.parts(face.camera.distance);
  auto const f = face(parts, size);
  auto const alone = clamp(face.render(f, full<float>(target.picture.shape(), 1.f)).image, 0, 1),
             over = clamp(face.render(f, target.picture).image, 0, 1);
  io::save_png("fit_face.png", io::tile(concat<float>({Var<float>(target.picture), alone, over}, 0).value(), 3));
  float const degrees = 57.29578f * parts.rotation.value().host()[1];
  std::printf("%s: yaw %.1f degrees%s; see fit_face.png\n", target.drawn ? "drawn face" : "portrait", degrees,
              target.drawn ? " (15.5 are true)" : "");
  return steps < 10 ? !std::isfinite(last) : !(last < first);  // a few steps only show that it runs
}
