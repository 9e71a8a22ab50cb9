// The whole renderer on the device: both photometric forms, both shadings and landmarks, with gradients to every part.
#include "rig/render/face_renderer.hpp"

#include "cuda/agree.hpp"
#include "rig/render/procedural_face.hpp"

using namespace rig;
using namespace rig::render;

TEST_CASE("cuda: a face, its pictures and its losses") {
  MorphableModel const model = procedural_face({.vertices = 2000, .identity = 6, .reflectance = 5});
  std::int64_t const n = 2;
  ImageSize const size{40, 36};
  std::vector<Tensor<float>> const parts{agree::random({n, model.identities()}, 1),
                                         agree::random({n, model.reflectances()}, 2),
                                         agree::random({n, model.expressions()}, 3, 0.1f, 0.1f),
                                         agree::random({n, 27}, 4, 0.1f),
                                         agree::random({n, 3}, 5, 0.15f),
                                         agree::random({n, 3}, 6, 0.05f)};
  auto const photo = agree::random({n, size.height, size.width, 3}, 7, 0.2f, 0.5f), marks = agree::random({n, 68, 2}, 8, 0.2f, 0.5f);
  agree::check_on_device(
      [&](auto const& x) {
        Device const device = x[0].device();
        FaceRenderer<float> const face(model, Camera::stylerig(10), device);
        FaceParts<float> const p{x[0], x[1], x[2], x[3], x[4], x[5]};
        Tensor<float> const seen = photo.to(device);
        Face<float> const f = face(p, size);
        PhotometricOptions const l21{.distance = Distance::l21};
        return concat<float>({face.photometric(f, seen), face.drawn_photometric(f, seen, l21),
                              face.photometric(face.render(f, seen, {.gradient = VisibilityGradient::none}), seen),
                              face.photometric(face.render(f, seen, {.shading = Shading::pixel}), seen, l21),
                              landmark_loss(face.landmarks(p, size), marks.to(device), ones<float>({n, 68}, device))},
                             0);
      },
      parts, true, 1e-3);
}
