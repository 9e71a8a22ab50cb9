// Two small networks that look at faces: one finds the 68 iBUG landmarks, one describes who it is with 128 numbers. Their
// weights are files of others (face-api: a JSON manifest and raw bytes, quantised or not); rig runs them with its own ops.
// Both see a square cut out of the picture, turned upright, which is a Crop.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "rig/autodiff/var.hpp"

namespace program {

/// Tensors of a weights manifest and the files it names, which lie beside it, with their names and shapes as stored. Every
/// length is checked against the files; Error, naming the manifest and the entry, for anything missing, left over or not finite.
std::map<std::string, rig::Tensor<float>> read_weights_manifest(std::string const& path);

/// A square of a picture: its top left corner and the vector along its top side, in pixels (0, 0 is the picture's corner).
struct Crop {
  float x = 0, y = 0, ax = 1, ay = 0;
};
/// The upright square with this corner and side, in fractions of a picture of w by h pixels; the side is one of min(w, h).
Crop upright_crop(double x, double y, double side, std::int64_t w, std::int64_t h);
/// n crops as pictures [n, side, side, 3]: crop i of picture i, or all of the only picture. Mean of bilinear samples, as many
/// as the crop is finer than the result; beyond the border the picture goes on as its last pixel.
rig::Tensor<float> cut_out(rig::Tensor<float> const& pictures, std::vector<Crop> const& crops, std::int64_t side);

/// A convolution with a bias: as stored, with what was folded into it.
struct FaceConv {
  rig::Var<float> weight, bias;
  int stride = 1, groups = 1;
  int before = 0, after = 0;  ///< padding, the same for x and y
  rig::Var<float> operator()(rig::Var<float> const& x) const;
};

/// 68 landmarks (iBUG order) of faces, 112 pixels in.
class LandmarkNet {
 public:
  LandmarkNet() = default;
  /// Reads face_landmark_68_model-weights_manifest.json in this folder.
  explicit LandmarkNet(std::string const& folder, rig::Device device = {});

  /// Points [n, 68, 2] of faces in crops: fractions of the crop.
  rig::Tensor<float> in_crops(rig::Tensor<float> const& faces) const;
  /// Points [n, 68, 2] in fractions of the pictures [n, h, w, 3] (0..1), which are aligned as those of FFHQ: the face is looked
  /// at where it lies in such pictures, once as it is and once in the mirror.
  rig::Tensor<float> operator()(rig::Tensor<float> const& pictures) const;

  rig::Device device() const { return fc_.device(); }

 private:
  struct Separable {
    FaceConv depth, point;
    rig::Var<float> operator()(rig::Var<float> const& x) const { return point(depth(x)); }
  };
  FaceConv first_;
  std::vector<Separable> layers_;  ///< four a block; the first block's first is first_
  rig::Var<float> fc_, fc_bias_;
};

/// Who a face is, as 128 numbers whose distances count (about 0.6 parts people): dlib's ResNet, 150 pixels in.
class FaceRecogniser {
 public:
  FaceRecogniser() = default;
  /// Reads face_recognition_model-weights_manifest.json in this folder.
  explicit FaceRecogniser(std::string const& folder, rig::Device device = {});

  /// Descriptors [n, 128] of faces in crops.
  rig::Tensor<float> in_crops(rig::Tensor<float> const& faces) const;
  /// Descriptors [n, 128] of the faces of pictures [n, h, w, 3] (0..1) with landmarks [n, 68, 2] in fractions.
  rig::Tensor<float> operator()(rig::Tensor<float> const& pictures, rig::Tensor<float> const& landmarks) const;

 private:
  struct Residual {
    FaceConv one, two;
    rig::Var<float> operator()(rig::Var<float> const& x) const;
  };
  FaceConv first_;
  std::vector<Residual> blocks_;
  rig::Var<float> fc_;
};

/// The crop that dlib's recogniser was trained with: the corners of the eyes and the base of the nose, of landmarks
/// [68, 2] in fractions of a picture of w by h pixels, where they lie in the mean face, with a quarter of its size around.
Crop recogniser_crop(float const* landmarks, std::int64_t w, std::int64_t h);

}  // namespace program
