// A human head made by code: no file, no licence question, any size. Every vertex is a point of a parameter surface
// (angle round the head, row from crown to neck) and every mode is the difference of one analytic function of that point
// and of some named controls (nose length, jaw opening, ...), so all sizes show the same face with the same modes.
// Mouth and eyes are slits in the grid: they open and close, with teeth, a mouth cavity and eyeballs behind them.
#pragma once
#include <string>
#include <vector>

#include "rig/render/morphable_model.hpp"

namespace rig::inline RIG_ABI::render {

struct ProceduralFaceOptions {
  int vertices = 5000;     ///< 2,000..60,000; the model has this many or up to 4 % fewer
  int identity = 40;       ///< modes, 1..200: named controls first, then smooth random fields
  int reflectance = 30;    ///< modes, 1..200: colouring first, then smooth random fields
  std::uint64_t seed = 1;  ///< of the random fields
};

/// Lengths in dm (about 1.5 wide, 2.3 from crown to chin), origin in the middle of the head.
/// Expressions are named shapes with coefficients 0..1 (ARKit names, _L and _R are the subject's left and right), the
/// same list for every size. Same options, same bits, on one machine.
MorphableModel procedural_face(ProceduralFaceOptions const& options = {});

/// What the identity and reflectance modes of the built-in face are: "face width", ..., "field 3".
std::vector<std::string> procedural_identity_names(ProceduralFaceOptions const& options = {});
std::vector<std::string> procedural_reflectance_names(ProceduralFaceOptions const& options = {});

/// How a head of hair looks. Numbers outside their range are an Error.
struct HairStyle {
  float length = 0.3f;    ///< 0 = cropped, 0.5 = to the jaw, 1 = below the shoulders
  float volume = 0.5f;    ///< 0..1: distance from the head
  float fringe = 0.3f;    ///< 0 = forehead free, 1 = down to the brows
  float parting = 0.2f;   ///< -1..1: where the fringe parts, + is the subject's left
  float recession = 0.f;  ///< 0..1: how far the hair line lies back
  float colour[3] = {0.16f, 0.10f, 0.07f};
  int vertices = 2500;  ///< 300..40,000, reached to within a tenth
};

/// Hair as a mesh of its own, for pictures only; no part of the model that is fitted.
struct Hair {
  Tensor<float> vertices;  ///< [H, 3] round the mean face
  Tensor<float> colour;    ///< [H, 3]
  Tensor<int> triangles;   ///< [G, 3], counter-clockwise from outside
  Tensor<int> root;        ///< [H] vertex of the head that carries this one
};

/// Hair for a model made by procedural_face, of any size.
Hair procedural_hair(MorphableModel const& model, HairStyle const& style = {});
/// The hair on a face with geometry [V, 3] (in the object frame): every vertex goes where its root went. [H, 3]
Tensor<float> place_hair(Hair const& hair, MorphableModel const& model, Tensor<float> const& geometry);

}  // namespace rig::inline RIG_ABI::render

#if RIG_INCLUDE_IPP
#include "rig/render/procedural_face.ipp"
#include "rig/render/procedural_hair.ipp"
#endif
