// What a loss sees of a picture, and the one question the trainers ask of a face model: how far are these pictures from
// renders under these parameters? Behind that question stands a renderer, or in tests any smooth function.
#pragma once
#include <string>

#include "rig/autodiff/var.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/stylerig/parameters.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// n pictures and, where known, their landmarks.
struct Observation {
  Tensor<float> pictures;   ///< [n, h, w, 3], RGB in 0..1
  Tensor<float> landmarks;  ///< [n, L, 3] = (u, v, weight): fractions of width and height, weight 0 where missing; or empty
};

/// Both parts of L_render, one number an image: photometric mean square over visible points and channels, and weighted
/// mean square of landmark distances in units of the picture's side. An empty Var is a part that there is not.
template <class T> struct RenderLoss {
  Var<T> photo, landmark;  ///< [n]
};
struct RenderParts {
  bool photo = true, landmark = true;
};

template <class T> class FaceLoss {
 public:
  virtual ~FaceLoss() = default;
  virtual ParameterLayout const& layout() const = 0;
  /// p is [n, layout().size()]. The visible points are those under p and are not differentiated.
  virtual RenderLoss<T> operator()(Observation const& seen, Var<T> const& p, RenderParts parts = {}) const = 0;
  /// Names face model, camera, size and form: networks trained under one are useless under another.
  virtual std::string identity() const = 0;
  /// Where pictures and p must be.
  virtual Device device() const { return {}; }
  /// Distance of the camera, in the model's unit; scales translations.
  virtual double camera_distance() const { return 1; }
  /// Expression coefficients are named shapes that live in 0..1.
  virtual bool named_expressions() const { return false; }
};

/// Mean over images of L_photo + weight L_land (equation 1 of the paper), shape [].
template <class T> Var<T> render_loss(RenderLoss<T> const& parts, double landmark_weight) {
  check(parts.photo || parts.landmark, "render_loss: neither pictures nor landmarks to compare");
  Var<T> total = parts.photo ? mean(parts.photo) : Var<T>{};
  if (parts.landmark && landmark_weight > 0) {
    Var<T> const l = T(landmark_weight) * mean(parts.landmark);
    total = total ? total + l : l;
  }
  return total ? total : T(0) * mean(parts.landmark);
}

}  // namespace rig::inline RIG_ABI::stylerig
