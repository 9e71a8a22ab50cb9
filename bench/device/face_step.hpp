// A step of F's training on made-up pictures, as train-face has it by default: 64 codes of a generator of 1024 pixels, landmarks
// and colours of a face of StyleRig's size. The codes and pictures that a step is given are not sent anew.
#pragma once
#include <memory>

#include "faces.hpp"
#include "rig/stylerig/reconstruction_training.hpp"
#include "rig/stylerig/rendered_face.hpp"

namespace bench {

struct FaceStepSize {
  std::int64_t batch = 64, rows = 18, w_dim = 512, side = 224;
  std::vector<std::int64_t> hidden = {1024, 1024};
  bool small = false;  ///< the face

  static FaceStepSize smallest() { return {.batch = 2, .rows = 4, .w_dim = 16, .side = 32, .hidden = {16, 16}, .small = true}; }
};

struct FaceStep {
  rig::stylerig::ReconstructionTraining options = rig::stylerig::ReconstructionTraining::best();
  std::unique_ptr<rig::stylerig::RenderedFaceLoss<float>> face;
  rig::stylerig::Reconstruction<float> F;
  rig::stylerig::LightPriorOn<float> light;
  rig::Tensor<float> codes;
  rig::stylerig::Observation seen;
  rig::stylerig::Optimiser optimiser;

  FaceStep(FaceStepSize const& s, rig::Rng& rng, rig::Device const& d) : optimiser(options.optimiser) {
    using namespace rig;
    using namespace rig::stylerig;
    render::MorphableModel const& model = timed_face(s.small);
    face = std::make_unique<RenderedFaceLoss<float>>(model, timed_camera(model), s.side, PhotometricChoice{}, d);
    Whitening<float> const whitening{zeros<float>({s.w_dim}, d), ones<float>({s.w_dim}, d)};
    F = Reconstruction<float>({.rows = s.rows, .w_dim = s.w_dim, .hidden = s.hidden}, whitening,
                              output_scale(face->layout(), face->camera_distance()), rng, d);
    light = LightPrior::natural().on<float>(d);
    codes = randn<float>({s.batch, s.rows, s.w_dim}, rng, d);
    seen.pictures = rand<float>({s.batch, s.side, s.side, 3}, rng, d);
    seen.landmarks = rand<float>({s.batch, face->renderer.landmark_table.size(), 3}, rng, d);
    optimiser.prepare(F);
  }

  void announce() { optimiser.announce(F, 0, options.steps); }
  rig::Tensor<float> step() {
    rig::Tape tape;
    tape.watch(F);
    rig::Var<float> const p = F(rig::Var<float>(codes));
    rig::Var<float> const total = render_loss((*face)(seen, p), options.landmark) +
                                  regulariser(face->layout(), p, options.regulariser, face->named_expressions(), light);
    tape.backward(total);
    optimiser.step(F);
    return total.value();
  }
};

}  // namespace bench
