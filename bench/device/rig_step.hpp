// A step of RigNet's training on made-up pictures: sixteen pairs of codes of a generator of 1024 pixels, both directions, so 32
// edits, each judged by two renders of a face of StyleRig's size. The step that bench_device times and that the peers repeat.
#pragma once
#include <memory>

#include "faces.hpp"
#include "rig/nn/optim/adam.hpp"
#include "rig/stylerig/losses.hpp"
#include "rig/stylerig/rendered_face.hpp"

namespace bench {

struct RigStepSize {
  std::int64_t pairs = 16, rows = 18, w_dim = 512, side = 224;
  std::vector<std::int64_t> reconstruction = {1024, 1024}, hidden = {128};
  bool small = false;  ///< the face
  bool landmarks = true;

  static RigStepSize smallest() {
    return {.pairs = 2, .rows = 4, .w_dim = 16, .side = 32, .reconstruction = {16, 16}, .hidden = {8}, .small = true};
  }
};

struct RigStep {
  RigStepSize size;
  std::unique_ptr<rig::stylerig::RenderedFaceLoss<float>> face;
  rig::stylerig::Reconstruction<float> F;
  rig::stylerig::ControlInput<float> control;
  rig::stylerig::RigNet<float> N;
  rig::stylerig::RigBatch<float> batch;
  rig::stylerig::RigLossOptions losses;
  rig::nn::Adam<float> adam;

  RigStep(RigStepSize const& s, rig::Rng& rng, rig::Device const& d) : size(s) {
    using namespace rig;
    using namespace rig::stylerig;
    render::MorphableModel const& model = timed_face(s.small);
    face = std::make_unique<RenderedFaceLoss<float>>(model, timed_camera(model), s.side, PhotometricChoice{}, d);
    ParameterLayout const& layout = face->layout();
    Whitening<float> const codes{zeros<float>({s.w_dim}, d), ones<float>({s.w_dim}, d)},
        parameters{zeros<float>({layout.size()}, d), ones<float>({layout.size()}, d)};
    F = Reconstruction<float>({.rows = s.rows, .w_dim = s.w_dim, .hidden = s.reconstruction}, codes,
                              output_scale(layout, face->camera_distance()), rng, d);
    // F starts at one face for all codes; as large as this its faces differ as those of a trained one do.
    auto& last = F.layers.back().weight;
    last = Param<float>((300.0f * Var<float>(last)).value());
    control = ControlInput<float>(ControlMode::merged_delta, layout, Control::all, parameters, d);
    N = RigNet<float>({.rows = s.rows, .w_dim = s.w_dim, .hidden = s.hidden}, control.size(), codes, rng, d);
    Tensor<float> const w = randn<float>({s.pairs, s.rows, s.w_dim}, rng, d), v = randn<float>({s.pairs, s.rows, s.w_dim}, rng, d);
    auto both = [](Tensor<float> const& a, Tensor<float> const& b) { return concat<float>({Var<float>(a), Var<float>(b)}, 0).value(); };
    batch.codes = both(w, v);
    batch.source_p = F.evaluate(batch.codes), batch.target_p = F.evaluate(both(v, w));
    auto seen = [&] { return rand<float>({s.pairs, s.side, s.side, 3}, rng, d); };
    Tensor<float> const first = seen(), second = seen();
    batch.source.pictures = both(first, second), batch.target.pictures = both(second, first);
    if (s.landmarks) {
      std::int64_t const marks = face->renderer.landmark_table.size();
      auto points = [&] {
        return concat<float>(
                   {Var<float>(rand<float>({2 * s.pairs, marks, 2}, rng, d)), Var<float>(ones<float>({2 * s.pairs, marks, 1}, d))}, 2)
            .value();
      };
      batch.source.landmarks = points(), batch.target.landmarks = points();
    } else {
      losses.landmark = 0;
    }
    batch.edited = mask_row(control_mask(layout, Control::all), d), batch.kept = mask_row(kept_mask(layout, Control::all), d);
    adam.prepare(N);
  }

  /// The losses, with gradients left in N; step() uses them up.
  rig::stylerig::RigLosses<float> gradients() {
    rig::Tape tape;
    tape.watch(N);
    auto const l = rig::stylerig::rig_losses(N, control, F, *face, batch, losses);
    tape.backward(l.total);
    return l;
  }
  rig::Tensor<float> step() {
    rig::Tensor<float> const loss = gradients().total.value();
    adam.step(N);
    return loss;
  }
};

}  // namespace bench
