// Snippets of docs/rigging.md: the whole of rigging in a world small enough to train in a second, whose truth is known.
#include <cmath>
#include <cstdio>

#include "rig/stylerig/rig.hpp"
#include "rig/stylerig/toy_world.hpp"
#include "rig/stylerig/transfer.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {

void parameters() {
  ParameterLayout const layout = ParameterLayout::standard();  // 80 + 80 + 64 + 27 + 3 + 3
  check(layout.size() == 257 && layout.label(layout.entry("rotation.yaw")) == "rotation.yaw", "layout");

  // p_v with the pose of p_hat, bit for bit; the gradient reaches p_hat only there.
  Rng rng(1);
  Var<float> const p_v(randn<float>({2, 257}, rng)), p_hat(randn<float>({2, 257}, rng));
  auto const mixed = replace(p_v, p_hat, mask_row(control_mask(layout, Control::pose)));
  std::int64_t const yaw = layout.entry("rotation.yaw");
  check(mixed.value().data()[yaw] == p_hat.value().data()[yaw] && mixed.value().data()[0] == p_v.value().data()[0], "replace");
}

}  // namespace

int main() {
  parameters();

  // A generator, and a face loss that says how far pictures are from renders of parameters. For a StyleGAN2 these are
  // generator_handle(nn::load_stylegan2(path)) and RenderedFaceLoss<float>(model, camera, size).
  ToyWorld<float> const world;
  ToyFaceLoss<float> const face(world);
  GeneratorHandle const G = world.generator();

  // The corpus: mixed codes and their pictures. The generator is not needed after this.
  Corpus const corpus = make_corpus(G, {.count = 2000, .picture_size = 8, .chunk = 500, .batch = 250});

  // Phase 1: F reads parameters off a code.
  ReconstructionTraining first = ReconstructionTraining::best();
  first.steps = 300, first.hidden = {64, 64}, first.optimiser = OptimiserOptions::adam(3e-3, 3e-5, 0), first.validate_every = 150;
  first.regulariser.weight = 1e-6, first.regulariser.monochrome = 0;
  TrainedReconstruction const F = train_reconstruction(corpus, face, first);
  Tensor<float> const p = reconstruct_corpus(corpus, F.F);  // F is frozen from here on: its outputs are made once

  // Phase 2: RigNet moves codes so that F reads what was asked for.
  RigTraining second = RigTraining::best(Control::pose);
  second.encoder = 4, second.hidden = {32}, second.steps = 200, second.pairs = 16;
  TrainedRig const N = train_rig(corpus, F, p, parameter_statistics(p), face, second);

  // The rig: wishes in human units, the same for all codes.
  Rig rig = make_rig(F, {N}, p);
  std::vector<int> const unseen = corpus.items(Split::test);
  Tensor<float> const w = corpus.codes(unseen);
  Tensor<float> const turned = rig.edit(w, {.yaw = 20_deg});
  Tensor<float> const posed = transfer(rig, w.rows(0, 2), w.rows(2, 2), Control::pose);  // the pose of codes 2 and 3 for 0 and 1
  check(turned.shape() == w.shape() && (posed.shape() == Shape{2, 6, 16}), "edit");

  // A judge that is not F: here the world's truth.
  Judge const judge = world.truth();
  std::int64_t const n = w.dim(0) / 2;
  EditScore const score = evaluate_edits(rig.edit_function(Control::pose), w.rows(0, n), w.rows(n, n), Control::pose, F.F, judge,
                                         ParameterMetric::plain(rig.layout()), F.F.codes);
  std::printf("%lld unseen pairs: success %.2f, leakage %.2f\n", static_cast<long long>(n), score.judged.success.value,
              score.judged.mean_leakage);
  check(score.judged.success.value > 0.4, "the rig did not learn: success ", score.judged.success.value);

  // Saved with what it belongs to; a rig of another generator or face is refused.
  save_rig("toy_rig.safetensors", rig);
  Rig const loaded = load_rig("toy_rig.safetensors", G.hash, face.identity());
  check(loaded.edit(w, {.yaw = 20_deg}).host() == turned.host(), "a loaded rig edits alike");
  try {
    load_rig("toy_rig.safetensors", "another generator");
    return 1;
  } catch (Error const& e) {
    std::printf("%s\n", e.what());
  }
}
