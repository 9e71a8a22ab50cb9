// The face loss of the real thing: a morphable model, a camera, a picture size, and one of two photometric forms.
#pragma once
#include "rig/render/face_renderer.hpp"
#include "rig/stylerig/observation.hpp"

namespace rig::inline RIG_ABI::stylerig {

enum class PhotometricForm {
  vertex,  ///< colours of visible vertices against the photograph where they project (the paper's)
  pixel    ///< a rendered picture against the photograph over its mask
};

/// How far a picture is from a face.
struct PhotometricChoice {
  PhotometricForm form = PhotometricForm::vertex;
  /// l21 is taken times 0.1: at a difference of about a fifth of white, where an occlusion begins, both are alike, so that the
  /// weights of the other losses fit either.
  render::Distance distance = render::Distance::l2;
};

/// Splits p [n, f] into what the renderer takes. A component that the layout lacks is zero.
template <class T> render::FaceParts<T> face_parts(ParameterLayout const& layout, Var<T> const& p) {
  auto part = [&](char const* name) {
    Component const* c = layout.find(name);
    return c ? slice(p, 1, c->offset, c->size) : Var<T>{};
  };
  return {part("identity"), part("reflectance"), part("expression"), part("illumination"), part("rotation"), part("translation")};
}

template <class T> class RenderedFaceLoss final : public FaceLoss<T> {
 public:
  /// Pictures must be size x size. `landmark_count` 66 leaves out the inner mouth corners (60 and 64 of 68).
  RenderedFaceLoss(render::MorphableModel const& model, render::Camera camera, std::int64_t size, PhotometricChoice photometric = {},
                   Device const& device = {})
      : renderer(model, camera, device),
        layout_(ParameterLayout::of(model)),
        size_{size, size},
        photometric_(photometric),
        named_(model.named_expressions) {
    identity_ =
        str("model ", model.name, " ", hash_text(model.hash), ", focal ", camera.focal, ", distance ", camera.distance, ", centre ",
            camera.center_x, " ", camera.center_y, ", ", size, " px, ", photometric.form == PhotometricForm::vertex ? "vertex" : "pixel",
            photometric.distance == render::Distance::l2 ? "" : " l21");
  }
  render::FaceRenderer<T> renderer;

  ParameterLayout const& layout() const override { return layout_; }
  std::string identity() const override { return identity_; }
  Device device() const override { return renderer.mean.device(); }
  double camera_distance() const override { return renderer.camera.distance; }
  bool named_expressions() const override { return named_; }
  render::ImageSize size() const { return size_; }

  RenderLoss<T> operator()(Observation const& seen, Var<T> const& p, RenderParts wanted = {}) const override {
    render::FaceParts<T> const parts = face_parts(layout_, p);
    RenderLoss<T> loss;
    if (wanted.landmark && seen.landmarks) {
      Tensor<T> const marks = cast<T>(seen.landmarks);
      Tensor<T> const points = slice(Var<T>(marks), 2, 0, 2).value();
      Tensor<T> const weights = slice(Var<T>(marks), 2, 2, 1).value().reshape({marks.dim(0), marks.dim(1)});
      loss.landmark = render::landmark_loss(renderer.landmarks(parts, size_), points, weights);
    }
    if (wanted.photo) {
      Tensor<T> const photograph = std::is_same_v<T, float> ? same(seen.pictures) : cast<T>(seen.pictures);
      render::Face<T> const face = renderer(parts, size_);
      render::PhotometricOptions const o{.distance = photometric_.distance};
      loss.photo =
          photometric_.form == PhotometricForm::vertex
              ? renderer.photometric(face, photograph, o)
              : renderer.photometric(renderer.render(face, photograph, {.gradient = render::VisibilityGradient::none}), photograph, o);
      if (photometric_.distance == render::Distance::l21) loss.photo = T(0.1) * loss.photo;
    }
    return loss;
  }

 private:
  static Tensor<T> same(Tensor<float> const& x) {
    if constexpr (std::is_same_v<T, float>)
      return x;
    else
      return {};
  }
  static std::string hash_text(std::uint64_t h) {
    std::string s(16, '0');
    for (int i = 0; i < 16; ++i) s[std::size_t(i)] = "0123456789abcdef"[(h >> (60 - 4 * i)) & 15u];
    return s;
  }

  ParameterLayout layout_;
  render::ImageSize size_;
  PhotometricChoice photometric_;
  bool named_;
  std::string identity_;
};

}  // namespace rig::inline RIG_ABI::stylerig
