// The whole of stylerig on the device: corpus, both trainings, evaluation, wishes, transfers, a rig's file. In the emulator any step
// that reads the device's memory on the host, or hands the CPU's to a kernel, ends the test.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>

#include "cuda/device.hpp"
#include "cuda/modules.hpp"
#include "rig/nn/module.hpp"
#include "rig/stylerig/toy_world.hpp"
#include "rig/stylerig/transfer.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {

/// Adds a light, so that the prior over lights takes part.
ReconstructionTraining face_training(std::int64_t steps) {
  ReconstructionTraining o;
  o.steps = steps, o.batch = 16, o.hidden = {24}, o.optimiser = OptimiserOptions::adam(2e-3, 2e-5, 1), o.validate_every = 1000;
  o.validation_items = 8, o.regulariser.monochrome = 0;
  return o;
}
RigTraining rig_training(Control c, std::int64_t steps) {
  RigTraining o = RigTraining::best(c);
  o.encoder = 4, o.hidden = {8}, o.steps = steps, o.pairs = 3;
  return o;
}
/// What a device did in each step, noted when the step was over.
struct Watched {
  Device device;
  std::vector<WorkStatistics> work;
  std::vector<MemoryStatistics> memory;
  TrainingHooks hooks() {
    TrainingHooks h;
    h.log_every = 0;
    h.progress = [this](std::int64_t, std::int64_t, std::string const&) {
      work.push_back(device.queue().work()), memory.push_back(device.queue().memory());
    };
    return h;
  }
  /// Nothing waits and nothing is asked of the system from step `first` to the last.
  void check_steady(std::size_t first) const {
    REQUIRE(work.size() > first);
    for (std::size_t i = first; i < work.size(); ++i) {
      INFO("step ", i);
      CHECK(work[i].waits == work[first - 1].waits);
      CHECK(memory[i].system_allocations == memory[first - 1].system_allocations);
    }
  }
};

struct Worlds {
  ToyWorld<float> here;
  ToyFaceLoss<float> face{here};
  Corpus corpus = make_corpus(here.generator(), {.count = 400, .picture_size = 8, .chunk = 100, .batch = 50}, {}, "none", here.truth());
};
Worlds const& worlds() {
  static Worlds const w;
  return w;
}

}  // namespace

TEST_CASE("cuda: a corpus made on the device is the CPU's") {
  Device device;
  if (!test::device_for(device)) return;
  ToyWorld<float> const there(7, device);
  Corpus const a = make_corpus(worlds().here.generator(), {.count = 30, .picture_size = 8, .chunk = 20, .batch = 7}, {}, "none",
                               worlds().here.truth()),
               b = make_corpus(there.generator(), {.count = 30, .picture_size = 8, .chunk = 20, .batch = 7}, {}, "none", there.truth());
  std::vector<int> const some{3, 29, 0, 3};
  Tensor<float> const codes = a.codes(some), codes_there = b.codes(some, device);
  CHECK(codes_there.device() == device);
  std::vector<float> const x = codes.host(), y = codes_there.host(), p = a.observe(some).pictures.host(),
                           q = b.observe(some, device).pictures.host();
  REQUIRE(x.size() == y.size());
  REQUIRE(p.size() == q.size());
  for (std::size_t i = 0; i < x.size(); ++i) CHECK(std::abs(x[i] - y[i]) < 1e-5f);
  for (std::size_t i = 0; i < p.size(); ++i) CHECK(std::abs(p[i] - q[i]) < 1.01f / 255);
}

TEST_CASE("cuda: train-face on the device: the CPU's numbers, no waiting, no allocation, captured or not") {
  Device device;
  if (!test::device_for(device)) return;
  Worlds const& w = worlds();
  ToyFaceLoss<float> const face{ToyWorld<float>(7, device)};
  ReconstructionTraining const o = face_training(12);
  TrainedReconstruction const cpu_run = train_reconstruction(w.corpus, w.face, o);
  for (bool capture : {false, true}) {
    Watched watched{device, {}, {}};
    TrainingHooks hooks = watched.hooks();
    hooks.capture = capture;
    TrainedReconstruction const run = train_reconstruction(w.corpus, face, o, hooks);
    CHECK(run.finished);
    CHECK(run.F.scale.device() == device);
    CHECK(test::difference(run.F, cpu_run.F) < 1e-4);
    watched.check_steady(capture ? 4 : 3);
    CHECK((watched.work.back().replays - watched.work.front().replays > 0) == (capture && device.queue().can_capture()));
  }
}

#if RIG_EMULATED
TEST_CASE("cuda: a training whose capture is refused, in whatever place, goes on step by step to the same bits and says so") {
  Device device;
  if (!test::device_for(device)) return;
  auto& queue = static_cast<rig::detail::EmulatedQueue&>(device.queue());
  Worlds const& w = worlds();
  ToyFaceLoss<float> const face{ToyWorld<float>(7, device)};
  std::vector<std::string> notes;
  auto const train = [&](bool capture) {
    TrainingHooks hooks;
    hooks.capture = capture;
    hooks.note = [&](std::string const& what) { notes.push_back(what); };
    return train_reconstruction(w.corpus, face, face_training(8), hooks);
  };
  TrainedReconstruction const plain = train(false);
  CHECK(notes.empty());
  for (char const* where : {"matmul", "Adam", "the end"}) {
    INFO(where);
    notes.clear();
    queue.refuse_captures(where);
    CHECK(test::difference(train(true).F, plain.F) == 0);
    REQUIRE(notes.size() == 1);
    CHECK(notes[0].find("none could be captured: cuda:0: ") != std::string::npos);
    CHECK(notes[0].find("the capture is refused") != std::string::npos);
  }
  queue.refuse_captures({});
}
#endif

TEST_CASE("cuda: train-rig, wishes, transfers, evaluation and files on the device") {
  Device device;
  if (!test::device_for(device)) return;
  Worlds const& w = worlds();
  ToyWorld<float> const there(7, device);
  ToyFaceLoss<float> const face{there};
  TrainedReconstruction const F = train_reconstruction(w.corpus, w.face, face_training(30));
  TrainedReconstruction G = F;
  G.F = nn::clone(F.F);
  nn::move_to(G.F, device);
  Tensor<float> const p = reconstruct_corpus(w.corpus, F.F), q = reconstruct_corpus(w.corpus, G.F);
  CHECK(q.device() == device);
  ParameterStatistics const s = parameter_statistics(p), s_there = parameter_statistics(q);
  std::vector<TrainedRig> here_rigs, there_rigs;
  for (Control c : {Control::all, Control::pose})
    for (bool adadelta : {false, true}) {
      RigTraining o = rig_training(c, 10);
      if (adadelta) o.optimiser = OptimiserOptions::adadelta();
      Watched watched{device, {}, {}};
      TrainedRig const a = train_rig(w.corpus, F, p, s, w.face, o), b = train_rig(w.corpus, G, q, s_there, face, o, watched.hooks());
      CHECK(test::difference(a.network.net, b.network.net) < 2e-4);
      watched.check_steady(4);
      if (c == Control::all && !adadelta) here_rigs = {a}, there_rigs = {b};
    }
  CHECK_THROWS_WITH_AS(train_rig(w.corpus, F, p, s, face, rig_training(Control::pose, 2)), doctest::Contains("must be on one device"),
                       Error);

  Rig rig = make_rig(G, there_rigs, q);
  std::vector<int> const items{1, 2, 3, 4, 5, 6};
  Tensor<float> const codes = w.corpus.codes(items, device), others = w.corpus.codes({11, 12, 13, 14, 15, 16}, device);
  Rig const cpu_rig = make_rig(F, here_rigs, p);
  auto near = [](Tensor<float> const& a, Tensor<float> const& b) {
    std::vector<float> const x = a.host(), y = b.host();
    double largest = 0;
    for (std::size_t i = 0; i < x.size(); ++i) largest = std::max(largest, double(std::abs(x[i] - y[i])));
    return x.size() == y.size() && largest < 1e-2;
  };
  Wishes const wishes{.yaw = 20, .expression = {{"1", 0.5f}}};
  CHECK(near(rig.edit(codes, wishes), cpu_rig.edit(codes.to(cpu()), wishes)));
  CHECK(near(rig.edit(codes, wishes, {.refine_steps = 3}), cpu_rig.edit(codes.to(cpu()), wishes, {.refine_steps = 3})));
  CHECK(near(transfer(rig, codes, others, Control::pose), transfer(cpu_rig, codes.to(cpu()), others.to(cpu()), Control::pose)));
  CHECK(transfer_grid(rig, codes.rows(0, 2), others.rows(0, 3), Control::expression).device() == device);
  transfer_entries(rig, codes, others, {"rotation.yaw"});
  transfer_each(rig, codes, others, {}, {});
  mix_layers(codes, others, 0, 4);
  generate(rig, there.generator(), {.yaw = 10}, {.count = 2, .tolerance = 0.5, .tries = 2});

  Judge const judge = there.truth();
  ParameterMetric const metric = ParameterMetric::plain(there.layout);
  RowEllipsoid const ellipsoid(codes);
  EditScore const score =
      evaluate_edits(rig.edit_function(Control::pose), codes, others, Control::pose, G.F, judge, metric, G.F.codes, &ellipsoid);
  CHECK(std::isfinite(score.reconstruction_change));
  disentanglement_score(rig.edit_function(Control::pose), rig.layout(), codes.rows(0, 2), others, Control::pose, G.F, judge, s_there, 3);
  calibrate(rig, codes, judge, 3);
  judge_reconstruction(w.corpus, G, face, w.corpus.items(Split::validation), 4, 3);

  auto const folder = std::filesystem::temp_directory_path() / "rig_test_cuda_stylerig";
  std::filesystem::create_directories(folder);
  std::string const file = (folder / "rig.safetensors").string();
  save_rig(file, rig);
  Rig const loaded = load_rig(file, {}, {}, device), on_cpu = load_rig(file);
  CHECK(loaded.edit(codes, wishes).host() == rig.edit(codes, wishes).host());
  CHECK(near(on_cpu.edit(codes.to(cpu()), wishes), rig.edit(codes, wishes)));
  save_reconstruction(file, G);
  CHECK(load_reconstruction(file, {}, {}, device).F.scale.device() == device);
  std::filesystem::remove_all(folder);
}
