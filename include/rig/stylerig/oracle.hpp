// A world with known truth (section 15 of our StyleRig study): a generator whose pictures are pictures of the built-in face
// and whose face parameters are a known function p*(w) of the code. A code is whitened; every group of factors (pose,
// expression, skin, ...) is read from one row, pose from a coarse one, expression from a medium one, colours from fine ones:
//   t_k = a_k . w~        u = 0.8 t + 0.5 tanh(B tanh(t))       B mixes the factors of a group
// and the factors become face parameters, hair and background by fixed smooth formulas. An edit of a code can then be
// judged against p*(edited code) instead of against another network's opinion.
#pragma once
#include <string>
#include <vector>

#include "rig/autodiff/var.hpp"
#include "rig/core/random.hpp"
#include "rig/render/camera.hpp"
#include "rig/render/mesh.hpp"
#include "rig/render/procedural_face.hpp"
#include "rig/stylerig/light_prior.hpp"
#include "rig/stylerig/parameters.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct OracleOptions {
  std::int64_t rows = 10;               ///< rows of a code: 10 for 64 x 64
  std::int64_t width = 32;              ///< numbers in a row
  std::uint64_t seed = 11;              ///< of the function from codes to factors
  int vertices = 5000;                  ///< of the face in the pictures
  int identity = 40, reflectance = 30;  ///< modes of the face model; the truth moves the first 10 and 6
  int hair_vertices = 2500;
  double camera_distance = 11.3;  ///< dm
  void visit(auto&& f) {
    f("rows", rows), f("width", width), f("seed", seed), f("vertices", vertices), f("identity", identity), f("reflectance", reflectance);
    f("hair_vertices", hair_vertices), f("camera_distance", camera_distance);
  }
};

/// The function p*. Its tensors are small and travel with the generator.
struct OracleTruth {
  std::int64_t rows = 0, width = 0;
  Tensor<float> center, scale;  ///< [width]: whitening of codes
  Tensor<float> directions;     ///< [K, rows * width]: a_k, zero outside the row of k's group
  Tensor<float> mixing;         ///< [K, K]: B

  void visit(auto&& f) { f("center", center), f("scale", scale), f("directions", directions), f("mixing", mixing); }
  /// u [n, K], each of roughly unit variance, from codes [n, rows, width].
  Tensor<float> factors(Tensor<float> const& codes) const;
};

/// Names of the K factors, in order: "yaw", "pitch", ..., "background 5".
std::vector<std::string> const& oracle_factor_names();

/// Fresh weights; `codes` [m, width] are rows of unmixed codes from which the whitening is taken.
OracleTruth make_oracle_truth(OracleOptions const& options, Tensor<float> const& codes);

/// The face, hair and camera of the pictures, and the formulas from factors to what is seen.
class OracleScene {
 public:
  explicit OracleScene(OracleOptions const& options = {});
  OracleOptions const& options() const { return options_; }
  render::MorphableModel const& model() const { return model_; }
  render::Camera const& camera() const { return camera_; }
  ParameterLayout const& layout() const { return layout_; }

  /// p* [n, layout().size()] from factors [n, K].
  Tensor<float> parameters(Tensor<float> const& factors) const;
  /// Pictures [n, side, side, 3], RGB in 0..1, drawn `supersampling` times larger and averaged.
  Tensor<float> pictures(Tensor<float> const& factors, std::int64_t side, int supersampling = 4) const;
  /// 1 where the front of the face is seen, eyes and mouth included, hair not: [n, side, side].
  Tensor<unsigned char> face_mask(Tensor<float> const& factors, std::int64_t side) const;
  /// Landmarks [n, 68, 3] = (u, v, 1) in fractions of the side.
  Tensor<float> landmarks(Tensor<float> const& factors) const;

 private:
  /// The slice of p that a component is.
  Var<float> part(Tensor<float> const& p, char const* component) const;
  Var<float> head_geometry(Tensor<float> const& p) const;
  /// Length, volume and fringe: [n, 3].
  Tensor<float> hair_styles(Tensor<float> const& factors) const;
  /// Head and hair before they are turned: [n, V, 3].
  Var<float> scene_geometry(Tensor<float> const& p, Tensor<float> const& hair_style) const;

  OracleOptions options_;
  render::MorphableModel model_;
  render::Camera camera_;
  ParameterLayout layout_;
  Tensor<float> shapes_;                   // [Ki + Ke, V, 3], both bases in one
  Tensor<float> hair_base_, hair_change_;  // [H, 3] round the mean face; [3, H, 3] from no to full length, volume, fringe
  Tensor<float> hair_tone_;                // [H, 3], colour of a strand over the colour of the head of hair
  Tensor<int> hair_root_;                  // [H]
  render::Mesh mesh_;                      // head and hair
  Tensor<unsigned char> region_;           // [V]: front of the face
};

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/oracle.ipp"
#endif
