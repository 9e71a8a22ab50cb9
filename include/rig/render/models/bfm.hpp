// Basel Face Models (Paysan et al. 2009) from MATLAB files that a user has by agreement with the University of Basel; none
// is shipped. deep3d: the crop of Deep3DFaceRecon (Deng et al. 2019), BFM_model_front.mat, with the expressions of
// Guo et al. 2018. Lengths in decimetres, colours 0..1, as Camera::deep3d expects.
#pragma once
#include <string>
#include <vector>

#include "rig/render/morphable_model.hpp"

namespace rig::inline RIG_ABI::render {

/// BFM_model_front.mat: meanshape, idBase, exBase, meantex, texBase, tri, keypoints and, if there, skinmask and frontmask2_idx,
/// which choose the face region. Bases already hold the deviations; the mean is centred, as that tool does before it
/// projects. Its vectors are turned by stylerig::from_deep3d; its normals weigh triangles alike: NormalWeights::unit.
/// Error naming file, array, expected and found.
MorphableModel load_deep3d(std::string const& path);

struct Bfm2009Options {
  int identity = 80, reflectance = 80;  ///< modes, at most those of the file (199)
  std::vector<int> landmarks;           ///< 68 vertices, 0-based; the file has none
};
/// 01_MorphableModel.mat: shapeMU, shapePC, shapeEV (deviations), texMU, texPC, texEV, tl. No expressions.
MorphableModel load_bfm2009(std::string const& path, Bfm2009Options const& options);

}  // namespace rig::inline RIG_ABI::render

#if RIG_INCLUDE_IPP
#include "rig/render/models/bfm.ipp"
#endif
