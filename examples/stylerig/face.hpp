// The face side of a run: which model, under which camera, seen how large. Kept as setup.json in the run's folder, so that
// every later verb uses exactly what F was trained with.
#pragma once
#include <string>
#include <vector>

#include "program.hpp"
#include "rig/render/morphable_model.hpp"
#include "rig/stylerig/rendered_face.hpp"
#include "world.hpp"

namespace program {

/// "builtin", "builtin:VERTICES", "builtin:VERTICES:IDENTITY:REFLECTANCE", or an ICT-FaceKit .npz, with ":face", ":skin",
/// ":head" or ":all" for the part (default face).
rig::render::MorphableModel load_face_model(std::string const& spec);
inline constexpr char const* face_model_help =
    "Face model: builtin, builtin:VERTICES, builtin:VERTICES:IDENTITY:REFLECTANCE, or an ICT-FaceKit .npz (with :face, :skin, :head or "
    ":all after it)";

/// The face model for generators of real faces: the file that RIG_FACE_MODEL names, else ict_facekit_light.npz in this folder, in
/// data/ict-facekit or in ../shared/data/ict-facekit, else builtin.
std::string find_face_model();

struct FaceSetup {
  std::string model = "builtin";
  rig::render::Camera camera;
  std::int64_t size = 64;       ///< of the pictures that losses see
  std::string form = "vertex";  ///< or "pixel"
  std::string distance = "l2";  ///< or "l21"
  std::vector<float> mean;      ///< where F's outputs start, or empty
  double truncation = 1;        ///< of the codes that were learned from

  rig::stylerig::RenderedFaceLoss<float> loss(rig::Device const& device = {}) const { return loss(load_face_model(model), device); }
  rig::stylerig::RenderedFaceLoss<float> loss(rig::render::MorphableModel const& model, rig::Device const& device = {}) const;
  Json json() const;
  static FaceSetup from(Json const& j, std::string const& where);
};

/// Camera and start vector for a mean face that lies as in FFHQ-aligned pictures: the eyes a quarter of the side apart,
/// their middle at (0.5, 0.4725).
void place_as_aligned(FaceSetup& setup, rig::render::MorphableModel const& model);
/// The same from the mean of landmarks [n, 68, 3].
void place_on_landmarks(FaceSetup& setup, rig::render::MorphableModel const& model, rig::Tensor<float> const& landmarks);

/// Shaded picture of vectors p [n, f] over `background` [n, h, w, 3] (grey if empty), and the same coloured by normal.
rig::Tensor<float> render_faces(rig::stylerig::RenderedFaceLoss<float> const& face, rig::Tensor<float> const& p,
                                rig::Tensor<float> const& background = {}, std::int64_t side = 0);
rig::Tensor<float> render_normals(rig::stylerig::RenderedFaceLoss<float> const& face, rig::Tensor<float> const& p,
                                  rig::Tensor<float> const& background = {}, std::int64_t side = 0);
/// Landmarks of vectors p, [n, L, 2] in fractions of the picture.
rig::Tensor<float> face_landmarks(rig::stylerig::RenderedFaceLoss<float> const& face, rig::Tensor<float> const& p);

}  // namespace program
