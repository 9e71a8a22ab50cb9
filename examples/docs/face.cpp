// Snippets of docs/rendering.md. Each checks what the page says.
#include <cmath>
#include <cstdio>

#include "rig/render/face_renderer.hpp"
#include "rig/render/procedural_face.hpp"

using namespace rig;
using namespace rig::render;

namespace {

Tensor<float> expression(MorphableModel const& model, char const* name, float value) {
  std::vector<float> e(std::size_t(model.expressions()), 0.f);
  e[std::size_t(model.expression_index(name))] = value;
  return Tensor<float>({1, model.expressions()}, e);
}

void picture_and_gradients() {
  MorphableModel const model = procedural_face({.vertices = 2000});
  FaceRenderer<float> const face(model, Camera::stylerig(13));  // the camera is 13 dm away
  Tensor<float> const background = full<float>({1, 96, 96, 3}, 0.4f);

  // A photograph: here the face itself, turned and with an open mouth.
  Tensor<float> const turned({1, 3}, {0.f, 0.3f, 0.f});  // (pitch, yaw, roll) in radians
  auto const seen = face({.expression = expression(model, "jawOpen", 0.6f), .rotation = turned}, {96, 96});
  Tensor<float> const photograph = face.render(seen, background).image.value();
  Tensor<float> const points = face.landmarks(seen).value(), weights = ones<float>({1, 68});

  Tape tape;
  auto const rotation = tape.watch(zeros<float>({1, 3}));
  auto const shape = tape.watch(zeros<float>({1, model.expressions()}));
  auto const f = face({.expression = shape, .rotation = rotation}, {96, 96});
  auto const vertex_form = face.photometric(f, photograph);                    // [1]
  auto const marks = landmark_loss(face.landmarks(f), points, weights);        // [1]
  auto const g = tape.grad(sum(vertex_form + 20 * marks), {rotation, shape});  // [1, 3], [1, Ke]
  check(g[0].value().host()[1] < 0, "turning towards the photograph must lower the loss");
  check(g[1].value().host()[std::size_t(model.expression_index("jawOpen"))] < 0, "opening the mouth must lower the loss");

  // A picture whose gradient knows that silhouettes move.
  Picture<float> const p = face.render(f, background);  // .image [1, 96, 96, 3], .mask [1, 96, 96]
  auto const pixel_gradient = tape.grad(mean(square(p.image - Var<float>(photograph))), rotation);
  check(pixel_gradient.value().host()[1] < 0, "motion_gradient");
}

void step_by_step() {
  MorphableModel const model = procedural_face({.vertices = 2000});
  Mesh const mesh(model);
  Camera const camera = Camera::stylerig(13);
  ImageSize const size{64, 64};
  Var<float> const identity(zeros<float>({1, model.identities()})), angles(zeros<float>({1, 3})), where(zeros<float>({1, 3}));
  Var<float> const light(zeros<float>({1, 27})), albedo(model.reflectance_mean.reshape({1, model.vertices(), 3}));

  auto const vertices = linear_model(identity, Var<float>(model.identity), Var<float>(model.mean));  // [1, V, 3]
  auto const r = euler_to_matrix(angles);                                                            // [1, 9]
  auto const normals = rotate(vertex_normals(vertices, mesh), r);                                    // camera frame
  auto const colors = shade(albedo, normals, light);                                                 // at the vertices
  auto const projected = project(vertices, r, where, camera, size);                                  // (u, v, depth)
  Visibility const visibility = rasterize(projected.value(), mesh, size);                            // which triangle, exact
  auto const image = interpolate(colors, projected, visibility, mesh);                               // [1, 64, 64, 3]
  Tensor<int> const report = raster_report(projected.value(), mesh, visibility);                     // invalid, flat, covered, crossing
  check((image.shape() == Shape{1, 64, 64, 3}) && report.data()[0] == 0 && report.data()[2] > 500, "step by step: ", report.data()[2]);
}

}  // namespace

int main() {
  picture_and_gradients();
  step_by_step();
  std::puts("face: as the page says");
}
