// A generator of every family and the renderer under the trainings, on the device: pictures of a tiny StyleGAN explained by a small
// face model, in both photometric forms, with landmarks and the prior over lights.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/device.hpp"
#include "cuda/modules.hpp"
#include "rig/nn/module.hpp"
#include "rig/render/procedural_face.hpp"
#include "rig/stylerig/reconstruction_training.hpp"
#include "rig/stylerig/rendered_face.hpp"
#include "rig/stylerig/stylegan_handle.hpp"
#include "rig/stylerig/training.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {
nn::StyleGAN2<float> tiny_generator() {
  Rng rng(5);
  return nn::StyleGAN2<float>({.z_dim = 6, .w_dim = 8, .resolution = 16, .channel_base = 64, .channel_max = 8, .mapping_layers = 2}, rng);
}
/// Points of a small face in the middle of the picture, two of them missing.
Tensor<float> landmarks(std::int64_t, Tensor<float> const& codes, Tensor<float> const&) {
  std::vector<float> v;
  for (std::int64_t i = 0; i < codes.dim(0); ++i)
    for (int l = 0; l < 68; ++l)
      v.insert(v.end(), {0.5f + 0.2f * std::cos(0.7f * float(l)), 0.5f + 0.2f * std::sin(0.9f * float(l)), l == 5 || l == 60 ? 0.f : 1.f});
  return Tensor<float>({codes.dim(0), 68, 3}, v);
}
}  // namespace

TEST_CASE("cuda: pictures and gradients of a tiny StyleGAN2 are the CPU's") {
  Device device;
  if (!test::device_for(device)) return;
  nn::StyleGAN2<float> const here = tiny_generator();
  nn::StyleGAN2<float> there = nn::clone(here);
  nn::move_to(there, device);
  Rng rng(3);
  Tensor<float> const z = randn<float>({3, 6}, rng);
  auto run = [&](nn::StyleGAN2<float> const& g, Device const& d) {
    Tape tape;
    auto const x = tape.watch(z.to(d));
    Var<float> const picture = g.synthesis(g.mapping(x, {}, {0.7}));
    std::vector<float> v = picture.value().host();
    for (float e : tape.grad(sum(square(picture)), x).value().host()) v.push_back(e);
    return v;
  };
  std::vector<float> const a = run(here, {}), b = run(there, device);
  REQUIRE(a.size() == b.size());
  double largest = 0, error = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, double(std::abs(a[i]))), error = std::max(error, double(std::abs(a[i] - b[i])));
  CHECK(error < 2e-4 * largest);
}

TEST_CASE("cuda: both trainings under the renderer: no waiting, no allocation, the CPU's numbers") {
  Device device;
  if (!test::device_for(device)) return;
  nn::StyleGAN2<float> there = tiny_generator();
  nn::move_to(there, device);
  GeneratorHandle const G = generator_handle(nn::Generator<float>(there));
  Corpus const corpus = make_corpus(G, {.count = 200, .picture_size = 16, .chunk = 100, .batch = 50}, landmarks, "made up");
  render::MorphableModel const model = render::procedural_face({.vertices = 2000, .identity = 4, .reflectance = 4});
  render::Camera const camera{.distance = 11.3};
  for (PhotometricForm form : {PhotometricForm::pixel, PhotometricForm::vertex}) {
    INFO("form ", int(form));
    PhotometricChoice const choice{form, form == PhotometricForm::pixel ? render::Distance::l21 : render::Distance::l2};
    RenderedFaceLoss<float> const face_here(model, camera, 16, choice), face(model, camera, 16, choice, device);
    CHECK(face.device() == device);
    ReconstructionTraining o = ReconstructionTraining::best();
    o.batch = 4, o.steps = 9, o.landmark_steps = 2, o.hidden = {8}, o.validation_items = 2, o.optimiser.clip = 1;
    std::vector<std::int64_t> waits, asked;
    TrainingHooks hooks;
    hooks.log_every = 0;
    hooks.progress = [&](std::int64_t, std::int64_t, std::string const&) {
      waits.push_back(device.queue().work().waits), asked.push_back(device.queue().memory().system_allocations);
    };
    TrainedReconstruction const a = train_reconstruction(corpus, face_here, o), b = train_reconstruction(corpus, face, o, hooks);
    CHECK(test::difference(a.F, b.F) < 5e-4);
    REQUIRE(waits.size() == 9);
    for (std::size_t i = 6; i < 9; ++i) {  // two steps of landmarks, two of the whole, one that is captured
      INFO("step ", i);
      CHECK(waits[i] == waits[5]);
      CHECK(asked[i] == asked[5]);
    }

    Tensor<float> const p = reconstruct_corpus(corpus, a.F), q = reconstruct_corpus(corpus, b.F);
    RigTraining r = RigTraining::best(Control::all);
    r.encoder = 4, r.hidden = {8}, r.steps = 7, r.pairs = 2;
    TrainedRig const x = train_rig(corpus, a, p, parameter_statistics(p), face_here, r);
    waits.clear(), asked.clear();
    TrainedRig const y = train_rig(corpus, b, q, parameter_statistics(q), face, r, hooks);
    CHECK(test::difference(x.network.net, y.network.net) < 5e-3);
    REQUIRE(waits.size() == 7);
    for (std::size_t i = 4; i < 7; ++i) {
      INFO("step ", i);
      CHECK(waits[i] == waits[3]);
      CHECK(asked[i] == asked[3]);
    }
  }
}
