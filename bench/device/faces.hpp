// The face of the timed renders: ICT-FaceKit subdivided once (53,041 vertices) where its file is found under RIG_TEST_DATA or
// ../shared, else the built-in face of about that size; 80 modes of identity and 80 of reflectance.
#pragma once
#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "rig/render/camera.hpp"
#include "rig/render/models/ict.hpp"
#include "rig/render/procedural_face.hpp"

namespace bench {

inline rig::render::MorphableModel make_timed_face(bool small) {
  if (small) return rig::render::procedural_face({.vertices = 2000, .identity = 10, .reflectance = 10});
  char const* root = std::getenv("RIG_TEST_DATA");
  auto const path = std::filesystem::path(root ? root : "../shared") / "data/ict-facekit/ict_facekit_light.npz";
  if (!std::filesystem::exists(path)) return rig::render::procedural_face({.vertices = 53041, .identity = 80, .reflectance = 80});
  return subdivide(rig::render::load_ict(path.string(), "", {.part = rig::render::IctPart::skin, .identity = 80, .reflectance = 80}));
}
/// The same, made once.
inline rig::render::MorphableModel const& timed_face(bool small) {
  static rig::render::MorphableModel const face = make_timed_face(small);
  return face;
}
/// A camera in which the face fills about half of the picture's height.
inline rig::render::Camera timed_camera(rig::render::MorphableModel const& model) {
  auto const v = model.mean.host();
  double low = v[1], high = v[1];
  for (std::size_t i = 1; i < v.size(); i += 3) low = std::min(low, double(v[i])), high = std::max(high, double(v[i]));
  return rig::render::Camera::stylerig(4.2647 * (high - low) / 0.7);
}

}  // namespace bench
