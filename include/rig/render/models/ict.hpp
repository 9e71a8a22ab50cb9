// ICT-FaceKit Light (Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020; MIT licence): a
// whole head with 100 identity modes and named expressions, from an .npz with the arrays neutral, identity, expression,
// expression_names, faces_quad and optionally uv and faces_uv. It has no colour: a plain skin, lips, brows and eyes are
// painted on, and reflectance modes are smooth fields, the lowest eigenvectors of the mesh Laplacian.
#pragma once
#include <string>

#include "rig/render/morphable_model.hpp"

namespace rig::inline RIG_ABI::render {

enum class IctPart {
  face,  ///< vertices 0..9408: the face with ears
  skin,  ///< 0..13294: head, neck and mouth cavity. Subdivided once: 53,041 vertices, the mesh of the benchmarks
  head,  ///< 0..24590: also eye sockets, gums, teeth, eyeballs
  all    ///< 26,719 vertices: also tear film, lashes and the shells over the eyes
};

struct IctOptions {
  IctPart part = IctPart::head;
  int identity = 80;     ///< modes, 1..100
  int reflectance = 80;  ///< modes, 0..300
};

/// Quads are cut from corner 0 to corner 2. Landmarks come from the key idx_to_landmark_verts of vertex_indices.json;
/// without a path, the indices of the published mesh are used. Expressions that do not move the chosen part are left out.
/// Lengths in cm. Error naming file, array, expected and found for anything else.
MorphableModel load_ict(std::string const& npz_path, std::string const& vertex_indices_json = "", IctOptions const& options = {});

/// Smooth colour fields for a model without reflectance: three constant modes and the lowest non-constant eigenvectors of
/// the Laplacian of the part of the mesh with region[v] != 0, times three colour axes, `count` in all. [count, V, 3]
Tensor<float> smooth_reflectance(Tensor<float> const& mean, Tensor<int> const& triangles, std::vector<unsigned char> const& region,
                                 int count);

}  // namespace rig::inline RIG_ABI::render

#if RIG_INCLUDE_IPP
#include "rig/render/models/ict.ipp"
#endif
