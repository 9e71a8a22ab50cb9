// Who finds the 68 landmarks of faces in pictures: dlib's regression trees where dlib is installed, or the network of
// face_nets.hpp. Either way the pictures are aligned as those of FFHQ are, so that nobody has to look for the face first.
#pragma once
#include <functional>
#include <string>

#include "rig/core/tensor.hpp"

namespace program {

struct LandmarkFinder {
  std::string name;  ///< "dlib" or "face-api", for those who ask where landmarks come from
  /// Points [n, 68, 2] in fractions of square pictures [n, s, s, 3] (0..1).
  std::function<rig::Tensor<float>(rig::Tensor<float> const& pictures)> find;
};

/// "dlib", "dlib:FILE" with a 68-point shape predictor, or a folder with face-api's landmark network.
LandmarkFinder landmark_finder(std::string const& what, rig::Device const& device = {});
/// Whether landmark_finder("dlib") would work: it was compiled in, and Debian's file is there.
bool dlib_is_there();

}  // namespace program
