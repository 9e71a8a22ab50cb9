#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "rig/io/safetensors.hpp"
#include "rig/nn/module.hpp"
#include "rig/stylerig/toy_world.hpp"
#include "rig/stylerig/transfer.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {

struct Folder {
  std::filesystem::path path;
  explicit Folder(char const* name) : path(std::filesystem::temp_directory_path() / (std::string("rig_test_") + name)) {
    std::filesystem::remove_all(path);
    std::filesystem::create_directories(path);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string operator/(char const* file) const { return (path / file).string(); }
};

CorpusOptions corpus_options(std::int64_t count) { return {.count = count, .picture_size = 8, .chunk = 500, .batch = 250}; }

ReconstructionTraining face_training(std::int64_t steps) {
  ReconstructionTraining o;
  o.steps = steps, o.hidden = {128, 128}, o.optimiser = OptimiserOptions::adam(2e-3, 2e-5, 0), o.validate_every = 200;
  o.regulariser.weight = 1e-6, o.regulariser.monochrome = 0;
  return o;
}
RigTraining rig_training(Control c, std::int64_t steps) {
  RigTraining o = RigTraining::best(c);
  o.encoder = 4, o.hidden = {32}, o.steps = steps;
  return o;
}

/// The whole world, trained once for all tests of this file.
struct World {
  ToyWorld<float> toy;
  ToyFaceLoss<float> face{toy};
  std::shared_ptr<std::int64_t> calls = std::make_shared<std::int64_t>(0);
  GeneratorHandle G = toy.generator(calls);
  Corpus corpus;
  TrainedReconstruction F;
  Tensor<float> p;
  ParameterStatistics statistics;
  ParameterMetric metric = ParameterMetric::plain(toy.layout);
  Judge judge = toy.truth();
  std::vector<int> unseen;
  Tensor<float> sources, targets;

  World() {
    corpus = make_corpus(G, corpus_options(4000), {}, "none", toy.truth());
    F = train_reconstruction(corpus, face, face_training(1500));
    p = reconstruct_corpus(corpus, F.F);
    statistics = parameter_statistics(p);
    unseen = corpus.items(Split::test);
    for (int i : corpus.items(Split::validation)) unseen.push_back(i);
    Rng rng(3);
    std::vector<int> a, b;
    for (int i = 0; i < 400; ++i) {
      a.push_back(unseen[std::size_t(rng.below(std::int64_t(unseen.size())))]);
      b.push_back(unseen[std::size_t(rng.below(std::int64_t(unseen.size())))]);
    }
    sources = corpus.codes(a), targets = corpus.codes(b);
  }
  TrainedRig train(RigTraining const& o, TrainingHooks const& hooks = {}) const {
    return train_rig(corpus, F, p, statistics, face, o, hooks);
  }
  static EditFunction function(TrainedRig const& t) {
    return [n = t.network](Tensor<float> const& w, Tensor<float> const& a, Tensor<float> const& b, Tensor<unsigned char> const& m) {
      return n(w, a, b, m);
    };
  }
  EditScore score(TrainedRig const& t, Control c) const {
    return evaluate_edits(function(t), sources, targets, c, F.F, judge, metric, F.F.codes);
  }
};
World const& world() {
  static World const w;
  return w;
}

template <class M> std::string hash(M const& m) {
  M copy = m;
  return nn::content_hash(copy);
}

}  // namespace

TEST_CASE("a corpus on disk is the corpus in memory, is continued, and is refused when wrong") {
  ToyWorld<float> const toy;
  Folder const folder("corpus");
  CorpusOptions const o = {.count = 130, .picture_size = 8, .chunk = 50, .batch = 16};
  Corpus const memory = make_corpus(toy.generator(), o, {}, "none", toy.truth());
  // Stopped after two chunks, then continued.
  train::StopFlag stop = false;
  CorpusHooks hooks;
  hooks.stop = &stop;
  hooks.progress = [&](std::int64_t done, std::int64_t) {
    if (done >= 100) stop = true;
  };
  std::string const path = folder / "c";
  CHECK(!write_corpus(path, toy.generator(), o, {}, "none", toy.truth(), hooks));
  CHECK_THROWS_AS(open_corpus(path), Error);  // one chunk is missing
  auto const calls = std::make_shared<std::int64_t>(0);
  CHECK(write_corpus(path, toy.generator(calls), o, {}, "none", toy.truth()));
  CHECK(*calls == 2);  // only the last 30 items, 16 at a time
  Corpus const disk = open_corpus(path, "toy world");
  REQUIRE(disk.size() == 130);
  std::vector<int> const some{3, 129, 50, 49, 3};
  CHECK(disk.codes(some).host() == memory.codes(some).host());
  CHECK(disk.observe(some).pictures.host() == memory.observe(some).pictures.host());
  CHECK(disk.truth(some).host() == memory.truth(some).host());
  CHECK(disk.provenance() == memory.provenance());
  CHECK_THROWS_WITH_AS(open_corpus(path, "another"), doctest::Contains("was made by another generator"), Error);
  CorpusOptions other = o;
  other.seed = 2;
  CHECK_THROWS_WITH_AS(write_corpus(path, toy.generator(), other), doctest::Contains("its seed is 1, asked for is 2"), Error);
  CHECK_THROWS_AS(open_corpus(folder / "nowhere"), Error);
  Corpus flagged = open_corpus(path);
  flagged.reject({3, 7});
  save_rejected(path, flagged);
  CHECK(open_corpus(path).rejected() == 2);
  std::string const second = (std::filesystem::path(path) / "chunk_000001.safetensors").string();
  io::Safetensors const whole = io::read_safetensors(second);
  auto with = [&](io::NamedTensor extra) {
    io::Safetensors s = whole;
    std::erase_if(s.tensors, [&](io::NamedTensor const& t) { return t.name == extra.name; });
    s.tensors.push_back(std::move(extra));
    io::save_safetensors(second, s.tensors, s.metadata);
  };
  with({"landmarks", io::AnyTensor(zeros<float>({50, 68, 3}))});
  CHECK_THROWS_WITH_AS(open_corpus(path), doctest::Contains("the chunk at item 50 has 68 landmarks"), Error);
  with({"landmarks", io::AnyTensor(zeros<float>({50}))});
  CHECK_THROWS_WITH_AS(open_corpus(path), doctest::Contains("landmarks must have 3 axes"), Error);
  io::save_safetensors(second, whole.tensors, whole.metadata);
  CHECK(open_corpus(path).size() == 130);
  std::filesystem::remove(second);
  CHECK_THROWS_WITH_AS(open_corpus(path), doctest::Contains("is missing"), Error);
}

TEST_CASE("a corpus that is continued makes damaged chunks again and counts only what it makes") {
  ToyWorld<float> const toy;
  Folder const folder("damaged");
  CorpusOptions const o = {.count = 130, .picture_size = 8, .chunk = 50, .batch = 50};
  std::string const path = folder / "c";
  auto const file = [&](char const* name) { return (std::filesystem::path(path) / name).string(); };
  auto const calls = std::make_shared<std::int64_t>(0);
  std::vector<std::string> notes;
  std::vector<std::int64_t> told;
  CorpusHooks hooks;
  hooks.note = [&](std::string const& what) { notes.push_back(what); };
  hooks.progress = [&](std::int64_t done, std::int64_t) { told.push_back(done); };
  auto write = [&] {
    *calls = 0, notes.clear(), told.clear();
    CHECK(write_corpus(path, toy.generator(calls), o, {}, "none", toy.truth(), hooks));
    CHECK(open_corpus(path).codes({0, 60, 129}).host() ==
          make_corpus(toy.generator(), o, {}, "none", toy.truth()).codes({0, 60, 129}).host());
  };
  write();
  CHECK(told == std::vector<std::int64_t>{0, 50, 100, 130});
  write();
  CHECK(*calls == 0);
  CHECK(notes.empty());
  CHECK(told == std::vector<std::int64_t>{130});

  std::filesystem::resize_file(file("chunk_000000.safetensors"), 1000);
  std::filesystem::copy_file(file("chunk_000001.safetensors"), file("chunk_000002.safetensors"),
                             std::filesystem::copy_options::overwrite_existing);
  write();
  CHECK(*calls == 2);
  CHECK(told == std::vector<std::int64_t>{50, 100, 130});
  REQUIRE(notes.size() == 2);
  for (auto const& n : notes) CHECK(n.ends_with("; it is made again"));
  CHECK(notes[1].find("belongs to another corpus") != std::string::npos);
  CHECK(write_corpus(path, toy.generator(calls), o, {}, "none", {}, hooks));  // nobody knows the truth any more
  CHECK(notes.back().find("was made with the true parameters") != std::string::npos);
  CHECK_FALSE(open_corpus(path).has_truth());

  // A process that is gone left a file half-written; this one, and whatever is not of the corpus, is not.
  std::string const dead = file("chunk_000001.safetensors.tmp-2147483646"),
                    alive = file("chunk_000001.safetensors.tmp-") + std::to_string(getpid()), other = file("notes.tmp-2147483646");
  for (auto const& f : {dead, alive, other}) std::ofstream(f) << "x";
  write();
  CHECK_FALSE(std::filesystem::exists(dead));
  CHECK(std::filesystem::exists(alive));
  CHECK(std::filesystem::exists(other));
}

TEST_CASE("F needs as many items as its batch, and some to validate on") {
  ToyWorld<float> const toy;
  ToyFaceLoss<float> const face(toy);
  ReconstructionTraining o = face_training(2);
  CHECK_THROWS_WITH_AS(train_reconstruction(make_corpus(toy.generator(), corpus_options(10)), face, o),
                       doctest::Contains("10 items to train on and 0 to validate on; from "), Error);
  Corpus const corpus = make_corpus(toy.generator(), corpus_options(100));
  o.batch = 100000;
  CHECK_THROWS_WITH_AS(train_reconstruction(corpus, face, o), doctest::Contains("items to train on, got 100000"), Error);
  o.batch = std::int64_t(corpus.items(Split::train).size());
  CHECK(train_reconstruction(corpus, face, o).finished);
}

TEST_CASE("landmarks come from a text file of any tool") {
  Folder const folder("landmarks");
  std::ofstream file(folder / "l.txt");
  file << "# index, 66 points\n1";
  for (int i = 0; i < 66; ++i) file << (i % 2 ? ", " : " ") << i * 0.01 << " " << 1 - i * 0.01;
  file << "\n";
  file.close();
  LandmarkSource const source = landmarks_from_file(folder / "l.txt");
  Tensor<float> const marks = source(0, zeros<float>({2, 6, 16}), {});
  REQUIRE(marks.shape() == (Shape{2, 68, 3}));
  CHECK(marks.data()[2] == 0);  // item 0 is not in the file
  CHECK(marks.data()[68 * 3 + 59 * 3] == doctest::Approx(0.59));
  CHECK(marks.data()[68 * 3 + 60 * 3 + 2] == 0);  // the inner mouth corners are not among the 66
  CHECK(marks.data()[68 * 3 + 61 * 3] == doctest::Approx(0.60));
  CHECK(marks.data()[68 * 3 + 67 * 3 + 2] == 1);
  std::ofstream(folder / "bad.txt") << "0 1 2 3\n";
  CHECK_THROWS_WITH_AS(landmarks_from_file(folder / "bad.txt"), doctest::Contains("66 or 68 points"), Error);
  for (char const* index : {"nan", "-1", "0.5", "1e300"}) {
    std::ofstream wrong(folder / "bad.txt");
    wrong << index;
    for (int i = 0; i < 132; ++i) wrong << " 0.5";
    wrong.close();
    CHECK_THROWS_WITH_AS(landmarks_from_file(folder / "bad.txt"), doctest::Contains("expected a whole index"), Error);
  }
}

TEST_CASE("F learns the truth of the toy world") {
  World const& w = world();
  CHECK(w.F.finished);
  Tensor<float> const truth = w.corpus.truth(w.unseen), seen = w.F.F.evaluate(w.corpus.codes(w.unseen));
  for (auto const& c : w.toy.layout.components()) {
    double miss = 0, spread = 0;
    for (std::int64_t r = 0; r < truth.dim(0); ++r)
      for (std::int64_t i = c.offset; i < c.offset + c.size; ++i) {
        double const t = truth.data()[r * 15 + i];
        miss += (t - seen.data()[r * 15 + i]) * (t - seen.data()[r * 15 + i]), spread += t * t;
      }
    INFO(c.name, ": ", miss / spread, " of the variance is missed");
    CHECK(miss / spread < 0.05);
  }
  ReconstructionReport const report = judge_reconstruction(w.corpus, w.F, w.face, w.corpus.items(Split::test), 20, 800);
  CHECK(report.finite);
  CHECK(report.inside_four > 0.99);
  CHECK(report.photometric_share < 0.2);
  CHECK(report.explained.size() == 4);
  for (auto const& [name, share] : report.explained) CHECK(share > 0.5);
}

TEST_CASE("training is reproducible and goes on after a stop to the same bits") {
  ToyWorld<float> const toy;
  ToyFaceLoss<float> const face(toy);
  Corpus const corpus = make_corpus(toy.generator(), corpus_options(600), {}, "none", toy.truth());
  Folder const folder("resume");
  ReconstructionTraining o = face_training(60);
  o.validate_every = 15;
  TrainedReconstruction const straight = train_reconstruction(corpus, face, o), again = train_reconstruction(corpus, face, o);
  CHECK(hash(straight.F) == hash(again.F));
  auto stopped_at = [&](std::int64_t step, train::StopFlag& stop, train::Log& log, std::string const& checkpoint) {
    TrainingHooks h;
    h.stop = &stop, h.checkpoint = checkpoint, h.checkpoint_every = 7, h.log = &log, h.log_every = 5;
    h.progress = [&stop, step](std::int64_t done, std::int64_t, std::string const&) {
      if (done == step) stop = true;
    };
    return h;
  };
  std::string const file = folder / "F.safetensors";
  train::StopFlag stop = false;
  train::Log log, whole;
  TrainedReconstruction r = train_reconstruction(corpus, face, o, stopped_at(23, stop, log, file));
  CHECK(!r.finished);
  CHECK(r.steps == 23);
  stop = false;
  r = train_reconstruction(corpus, face, o, stopped_at(-1, stop, log, file));
  CHECK(r.finished);
  CHECK(hash(r.F) == hash(straight.F));
  TrainingHooks all;
  all.log = &whole, all.log_every = 5;
  train_reconstruction(corpus, face, o, all);
  CHECK(log.csv() == whole.csv());
  ReconstructionTraining other = o;
  other.batch = 32;
  CHECK_THROWS_WITH_AS(train_reconstruction(corpus, face, other, stopped_at(-1, stop, log, file)),
                       doctest::Contains("its training.batch is '64', here it is '32'"), Error);

  Tensor<float> const p = reconstruct_corpus(corpus, straight.F);
  ParameterStatistics const s = parameter_statistics(p);
  for (auto preset : {RigTraining::best(Control::all), RigTraining::paper(Control::pose)}) {
    preset.encoder = 4, preset.pairs = 3, preset.steps = 100;
    if (!preset.hidden.empty()) preset.hidden = {12};
    TrainedRig const first = train_rig(corpus, straight, p, s, face, preset), second = train_rig(corpus, straight, p, s, face, preset);
    CHECK(hash(first.network) == hash(second.network));
    std::string const net = folder / (preset.simultaneous() ? "all.safetensors" : "pose.safetensors");
    train::Log l;
    stop = false;
    CHECK(train_rig(corpus, straight, p, s, face, preset, stopped_at(41, stop, l, net)).steps == 41);
    stop = false;
    TrainedRig const rest = train_rig(corpus, straight, p, s, face, preset, stopped_at(-1, stop, l, net));
    CHECK(rest.finished);
    CHECK(hash(rest.network) == hash(first.network));
    train::Log at_once;
    TrainingHooks one;
    one.log = &at_once, one.log_every = 5;
    train_rig(corpus, straight, p, s, face, preset, one);
    CHECK(l.csv() == at_once.csv());
  }
}

TEST_CASE("a training that diverges ends with an error, and the last checkpoint stays") {
  ToyWorld<float> const toy;
  ToyFaceLoss<float> const face(toy);
  Corpus const corpus = make_corpus(toy.generator(), corpus_options(600), {}, "none", toy.truth());
  Folder const folder("diverged");
  ReconstructionTraining o = face_training(40);
  o.validate_every = 10;
  TrainedReconstruction const straight = train_reconstruction(corpus, face, o);
  Tensor<float> const p = reconstruct_corpus(corpus, straight.F);
  ParameterStatistics const s = parameter_statistics(p);
  auto content = [](std::string const& file) {
    io::Bytes const bytes = io::MappedFile(file).bytes();
    return std::string(bytes.text());
  };
  for (double clip : {0.0, 1.0}) {  // with clipping a step whose gradient is not finite counts as nothing
    CAPTURE(clip);
    auto diverges = [&](char const* name, auto&& run) {
      TrainingHooks h;
      h.log_every = 5, h.checkpoint_every = 1, h.checkpoint = folder / name;
      CHECK_THROWS_WITH_AS(run(h), doctest::Contains("the training has diverged"), Error);
      std::string const before = std::filesystem::exists(h.checkpoint) ? content(h.checkpoint) : "";
      CHECK_THROWS_WITH_AS(run(h), doctest::Contains("the training has diverged"), Error);
      if (!before.empty()) CHECK(content(h.checkpoint) == before);
      std::filesystem::remove(h.checkpoint);
    };
    o.optimiser.rate = 1e30, o.optimiser.clip = clip;
    diverges("F.safetensors", [&](TrainingHooks const& h) { train_reconstruction(corpus, face, o, h); });
    RigTraining t = RigTraining::paper(Control::pose);
    t.encoder = 4, t.pairs = 3, t.steps = 40, t.hidden = {12};
    t.optimiser.rate = 1e30, t.optimiser.clip = clip;
    diverges("N.safetensors", [&](TrainingHooks const& h) { train_rig(corpus, straight, p, s, face, t, h); });
  }
}

TEST_CASE("the order of things in a world with known truth") {
  World const& w = world();
  std::string const frozen = hash(w.F.F);
  std::int64_t const calls = *w.calls;
  std::int64_t const steps = 500;
  for (Control c : {Control::pose, Control::illumination}) {
    INFO(to_string(c));
    RigTraining const best = rig_training(c, steps);
    RigTraining merged = best, full = best, paper = RigTraining::paper(c);
    merged.mode = ControlMode::merged, merged.hidden = {};
    full.mode = ControlMode::full, full.hidden = {};
    paper.encoder = 4, paper.steps = steps;
    TrainedRig const t = w.train(best);
    EditScore const b = w.score(t, c), m = w.score(w.train(merged), c), f = w.score(w.train(full), c), a = w.score(w.train(paper), c);
    CHECK(b.judged.success.value > 0.75);
    CHECK(b.judged.success.low < b.judged.success.value);
    CHECK(b.judged.success.high > b.judged.success.value);
    CHECK(b.judged.mean_leakage < 0.1);
    CHECK(b.judged.success.value > m.judged.success.value);
    CHECK(m.judged.success.value > f.judged.success.value);
    CHECK(f.judged.success.value > a.judged.success.value);
    CHECK(b.by_reconstruction.success.value > 0.8);
    EditScore const no_consist = w.score(w.train(best.ablated("no_consist")), c), no_rec = w.score(w.train(best.ablated("no_rec")), c),
                    no_edit = w.score(w.train(best.ablated("no_edit")), c);
    CHECK(no_consist.judged.mean_leakage > 2 * b.judged.mean_leakage);
    CHECK(no_rec.reconstruction_change > 2 * b.reconstruction_change);
    CHECK(std::abs(no_edit.judged.success.value) < 0.05);
    CHECK(no_edit.reconstruction_change < 0.01);
    Axis const axis = entry_axis(w.toy.layout, w.statistics, c == Control::pose ? "rotation.yaw" : "illumination.0");
    SweepScore const sweep = sweep_axis(World::function(t), w.toy.layout, axis, w.corpus.codes(w.unseen), w.F.F, w.judge);
    CHECK(sweep.slope > 0.9);
    CHECK(sweep.slope < 1.1);
    CHECK(sweep.r_squared > 0.95);
    CHECK(sweep.usable_high > sweep.usable_low);
    CHECK(b.row_change.size() == 6);
    // T ties pose to the first rows and light to the last.
    double const front = b.row_change[0] + b.row_change[1], back = b.row_change[4] + b.row_change[5];
    CHECK((c == Control::pose ? front > 1.5 * back : back > 1.5 * front));
  }
  CHECK(hash(w.F.F) == frozen);
  CHECK(*w.calls == calls);
}

TEST_CASE("wishes for one value change one value, within their range, and a network that saw them follows better") {
  World const& w = world();
  RigTraining o = rig_training(Control::all, 10);
  o.pairs = 4, o.wishes = 1.5;
  PartnerSampler const partners(w.p, w.corpus.items(Split::train), w.toy.layout, w.statistics, o.controls, o.balance_cap);
  WishSampler const sampler(o, w.p, w.toy.layout, w.statistics);
  auto const axes = standard_axes(w.toy.layout, w.statistics, w.p, {}, o.controls, w.toy.layout.size());
  REQUIRE(axes.size() == 6);  // yaw, pitch and four expressions; four numbers of light are no light with a direction
  std::set<std::string> seen;
  for (std::int64_t step = 0; step < 40; ++step) {
    RigPairs const pairs = draw_pairs(o, partners, step);
    auto const wishes = sampler.draw(pairs, step), again = sampler.draw(pairs, step);
    REQUIRE(wishes.size() == 6);
    for (std::size_t i = 0; i < wishes.size(); ++i) {
      RigWish const& x = wishes[i];
      CHECK(x.source == pairs.source[i]);
      CHECK(x.target == again[i].target);
      auto const mask = control_mask(w.toy.layout, x.control);
      CHECK(x.counted == mask);  // everything varies in the toy world
      std::vector<std::string> changed;
      for (Axis const& a : axes) {
        double const before = a.read(w.p.data() + x.source * 15), after = a.read(x.target.data());
        if (before == after) continue;
        changed.push_back(a.name);
        CHECK(a.control == x.control);
        CHECK(after >= a.within(-0.0001));
        CHECK(after <= a.within(1.0001));
      }
      CHECK(changed.size() == 1);
      seen.insert(changed.begin(), changed.end());
      int differ = 0;
      for (std::size_t k = 0; k < 15; ++k) differ += x.target[k] != w.p.data()[x.source * 15 + int(k)];
      CHECK(differ == 1);
    }
  }
  CHECK(seen.size() == 6);
  o.wishes = 2.5;
  CHECK_THROWS_WITH_AS(WishSampler(o, w.p, w.toy.layout, w.statistics), doctest::Contains("between 0 and 2 a pair, got 2.5"), Error);

  // The same steps with and without; one entry at a time, as the truth sees it.
  RigTraining with = rig_training(Control::expression, 250), without = with;
  with.pairs = without.pairs = 16, without.wishes = 0;
  auto slope = [&](TrainedRig const& t) {
    double sum = 0;
    for (char const* name : {"expression.0", "expression.1", "expression.2", "expression.3"})
      sum += sweep_axis(World::function(t), w.toy.layout, entry_axis(w.toy.layout, w.statistics, name), w.corpus.codes(w.unseen), w.F.F,
                        w.judge)
                 .slope;
    return sum / 4;
  };
  double const better = slope(w.train(with)), plain = slope(w.train(without));
  INFO("slope with wishes ", better, ", without ", plain);
  CHECK(better > plain);
  CHECK(better < 1.1);
}

TEST_CASE("one network for everything, and the rig made of it") {
  World const& w = world();
  RigTraining joint = rig_training(Control::all, 350);
  joint.pairs = 16;
  TrainedRig const t = w.train(joint);
  for (Control c : single_controls) {
    EditScore const s = w.score(t, c);
    INFO(to_string(c), " ", s.judged.success.value, " ", s.judged.mean_leakage);
    CHECK(s.judged.success.value > 0.65);
    CHECK(s.judged.mean_leakage < 0.15);
  }
  Folder const folder("rig");
  Rig rig = make_rig(w.F, {t}, w.p);
  CHECK(rig.controls() == Control::all);
  Tensor<float> const some = w.sources.rows(0, 12), other = w.targets.rows(0, 12);

  // Absolute wishes arrive, and nothing asked for is nothing done.
  Tensor<float> const turned = rig.edit(some, {.yaw = 30_deg, .expression = {{"2", 0.8f}}});
  Tensor<float> const truth = w.judge(turned), before = w.judge(some);
  double yaw = 0, expression = 0, light = 0, light_size = 0;
  for (int r = 0; r < 12; ++r) {
    yaw += truth.data()[r * 15 + 13] * 57.29577951308232 / 12, expression += truth.data()[r * 15 + 6] / 12;
    for (int i = 8; i < 12; ++i) {
      light += std::abs(truth.data()[r * 15 + i] - before.data()[r * 15 + i]) / 48;
      light_size += std::abs(before.data()[r * 15 + i]) / 48;
    }
  }
  CHECK(yaw == doctest::Approx(30).epsilon(0.35));
  CHECK(expression == doctest::Approx(0.8).epsilon(0.35));
  CHECK(light < 0.3 * light_size);
  CHECK(rig.edit(some, {}).host() == some.host());
  CHECK_THROWS_WITH_AS(rig.edit(some, {.yaw = 80_deg}), doctest::Contains("between -60 and 60"), Error);
  CHECK_THROWS_AS(rig.edit(some, {.light = {.azimuth = 10}}), Error);  // this world's light has no directions
  CHECK_THROWS_AS(rig.edit(some, {.raw = {{"identity.0", 1.f}}}), Error);

  // Transfers of subsets and entries.
  auto distance = [&](Tensor<float> const& a, Tensor<float> const& b, char const* name) {
    Component const& c = w.toy.layout.at(name);
    double d = 0;
    for (std::int64_t r = 0; r < a.dim(0); ++r) d += w.metric.distance(c, a.data() + r * 15, b.data() + r * 15) / double(a.dim(0));
    return d;
  };
  Tensor<float> const both = w.judge(transfer(rig, some, other, Control::pose | Control::expression)), wanted = w.judge(other);
  CHECK(distance(both, wanted, "rotation") < 0.5 * distance(before, wanted, "rotation"));
  CHECK(distance(both, wanted, "expression") < 0.5 * distance(before, wanted, "expression"));
  CHECK(distance(both, before, "illumination") < 0.3 * distance(wanted, before, "illumination"));
  CHECK(transfer_grid(rig, some.rows(0, 3), other.rows(0, 4), Control::pose).shape() == (Shape{12, 6, 16}));
  Tensor<float> const each = transfer_each(rig, some, other, {}, {});
  CHECK(each.host() == transfer(rig, some, other, Control::pose).host());
  Tensor<float> const one = w.judge(transfer_entries(rig, some, other, {"rotation.yaw"}));
  double moved = 0, kept = 0;
  for (int r = 0; r < 12; ++r)
    moved += std::abs(one.data()[r * 15 + 13] - wanted.data()[r * 15 + 13]),
        kept += std::abs(before.data()[r * 15 + 13] - wanted.data()[r * 15 + 13]);
  CHECK(moved < 0.5 * kept);
  Tensor<float> const mixed = mix_layers(some, other, 0, 4);
  CHECK(mixed.data()[3 * 16] == other.data()[3 * 16]);
  CHECK(mixed.data()[4 * 16] == some.data()[4 * 16]);

  // New faces with things fixed.
  Generated const g = generate(rig, w.G, {.raw = {{"rotation.yaw", 0.5f}}}, {.count = 5, .tolerance = 0.5, .tries = 4});
  REQUIRE(g.codes.shape() == (Shape{5, 6, 16}));
  for (double e : g.error) CHECK(e < 1);
  for (int i = 0; i < 5; ++i) CHECK(g.requested.data()[i * 15 + 13] == 0.5f);

  // Refinement through F brings F's own reading nearer to the wish.
  auto const [target, touched] = rig.targets(rig.measure(some), {.raw = {{"rotation.yaw", 1.2f}}});
  auto far = [&](Tensor<float> const& codes) {
    Tensor<float> const p = rig.measure(codes);
    double d = 0;
    for (int r = 0; r < 12; ++r) d += std::abs(p.data()[r * 15 + 13] - 1.2);
    return d;
  };
  CHECK(far(rig.move(some, target, touched, {.refine_steps = 10})) < far(rig.move(some, target, touched)));

  // Calibration: asked for x, reached f(x); afterwards f^-1(x) is asked for.
  auto const sweeps = calibrate(rig, w.corpus.codes(w.unseen), w.judge, 9);
  CHECK(sweeps.size() == 2 + 4);
  REQUIRE(!rig.calibrations.empty());
  Calibration const& yaw_curve = rig.calibrations[0];
  CHECK(yaw_curve.axis == "yaw");
  double const middle = 0.5 * (yaw_curve.achieved.data()[3] + yaw_curve.achieved.data()[4]);
  CHECK(yaw_curve.invert(middle) == doctest::Approx(0.5 * (yaw_curve.requested.data()[3] + yaw_curve.requested.data()[4])).epsilon(1e-3));
  CHECK(yaw_curve.invert(1e9) == yaw_curve.requested.data()[8]);
  CHECK(rig.calibration("yaw") == &rig.calibrations[0]);
  CHECK(rig.calibration("nothing") == nullptr);
  Tensor<float> const others = w.corpus.codes(w.corpus.items(Split::test));
  for (Axis const& axis : standard_axes(rig.layout(), rig.statistics, rig.measure(others), rig.bands, rig.controls()))
    if (axis.name == "yaw") {
      auto slope = [&](Calibration const* c) {
        return sweep_axis(rig.edit_function(axis.control), rig.layout(), axis, others, w.F.F, w.judge, 9, c).slope;
      };
      CHECK(std::abs(slope(&yaw_curve) - 1) < std::abs(slope(nullptr) - 1));
      CHECK(slope(&yaw_curve) == doctest::Approx(1).epsilon(0.1));
    }

  // Saved, loaded, refused.
  save_rig(folder / "rig.safetensors", rig);
  Rig const loaded = load_rig(folder / "rig.safetensors", "toy world", "toy face");
  CHECK(loaded.edit(some, {.yaw = 20}).host() == rig.edit(some, {.yaw = 20}).host());
  CHECK(loaded.layout() == rig.layout());
  CHECK(loaded.calibrations.size() == rig.calibrations.size());
  CHECK_THROWS_WITH_AS(load_rig(folder / "rig.safetensors", "other world"), doctest::Contains("this rig is for the generator toy world"),
                       Error);
  CHECK_THROWS_WITH_AS(load_rig(folder / "rig.safetensors", {}, "other face"), doctest::Contains("trained with the face 'toy face'"),
                       Error);
  TrainedReconstruction F = w.F;
  save_reconstruction(folder / "F.safetensors", F);
  CHECK(hash(load_reconstruction(folder / "F.safetensors", "toy world", "toy face").F) == hash(w.F.F));
  CHECK_THROWS_AS(load_reconstruction(folder / "F.safetensors", "other world"), Error);
  CHECK_THROWS_WITH_AS(load_rig(folder / "F.safetensors"), doctest::Contains("expected a rig, found rig reconstruction"), Error);
  CHECK_THROWS_AS(load_rig(folder / "nothing"), Error);
}

TEST_CASE("baselines and partners") {
  World const& w = world();
  RigTraining const best = rig_training(Control::expression, 150);
  for (std::string const& name : RigTraining::ablations()) {
    RigTraining o = best.ablated(name);
    o.steps = 3;
    CHECK_NOTHROW(w.train(o));
  }
  CHECK(best.ablated("steering").encoder == 0);
  CHECK_THROWS_AS(best.ablated("no_face"), Error);
  RigTraining impossible = RigTraining::best(Control::all);
  impossible.mode = ControlMode::full;
  CHECK_THROWS_WITH_AS(w.train(impossible), doctest::Contains("use merged or merged_delta"), Error);

  // Balanced partners are spread wider than the corpus.
  PartnerSampler const sampler(w.p, w.corpus.items(Split::train), w.toy.layout, w.statistics, Control::pose, 20);
  Rng rng(1);
  double even = 0, plain = 0;
  for (int i = 0; i < 3000; ++i) {
    auto spread = [&](int item) {
      double s = 0;
      for (int k = 12; k < 15; ++k) s += w.p.data()[item * 15 + k] * w.p.data()[item * 15 + k] / 3000;
      return s;
    };
    even += spread(sampler.balanced(rng)), plain += spread(sampler.uniform(rng));
  }
  CHECK(even > 1.25 * plain);

  // Simultaneous control: every ordered pair once a control, both directions alike, distinct codes first.
  RigTraining joint = rig_training(Control::all, 10);
  joint.pairs = 3;
  RigPairs const pairs = draw_pairs(joint, sampler, 5);
  REQUIRE(pairs.source.size() == 6 * 4);
  CHECK(pairs.distinct == 6);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(pairs.source[i] == pairs.target[(i + 3) % 6]);
    for (std::size_t k = 0; k < 4; ++k) {
      CHECK(pairs.source[6 * k + i] == pairs.source[i]);
      CHECK(pairs.control[6 * k + i] == pairs.control[6 * k + (i + 3) % 6]);
      if (k < 3) CHECK(pairs.control[6 * k + i] == single_controls[k]);
    }
    CHECK(!contains(Control::pose, pairs.control[18 + i]));
  }
  joint.samples = 1;
  CHECK(draw_pairs(joint, sampler, 5).source.size() == 6);
}

TEST_CASE("measures: intervals, ellipsoid, disentanglement, rolled pictures, wishes") {
  std::vector<double> a, b;
  Rng rng(5);
  for (int i = 0; i < 400; ++i) b.push_back(1 + rng.uniform()), a.push_back(0.3 * b.back() + 0.1 * rng.normal());
  Interval const r = bootstrap_ratio(a, b);
  CHECK(r.value == doctest::Approx(0.3).epsilon(0.05));
  CHECK(r.low < r.value);
  CHECK(r.high > r.value);
  CHECK(r.high - r.low == doctest::Approx(2 * 1.96 * 0.1 / (std::sqrt(400.0) * 1.5)).epsilon(0.2));
  std::vector<double> few(20, 0.0), over(20, 0.0);  // most resamples miss one of the two that count, some both
  few[3] = 2, over[3] = 1, few[9] = 15, over[9] = 3;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Interval const i = bootstrap_ratio(few, over, seed);
    REQUIRE(i.low >= 2);
    REQUIRE(i.low <= i.high);
    REQUIRE(i.high <= 5);
  }
  CHECK(std::isnan(bootstrap_ratio(few, std::vector<double>(20, 0.0)).high));
  Tensor<float> const codes = randn<float>({400, 3, 8}, rng);
  RowEllipsoid const e(codes);
  CHECK(e.inside(codes) == doctest::Approx(0.97).epsilon(0.02));
  CHECK(e.inside((5.f * Var<float>(codes)).value()) < 0.05);
  CHECK(ascending_fit({1, 3, 2, 4}) == std::vector<double>{1, 2.5, 2.5, 4});
  // Nothing is asked for beyond the peaks on either side: there a network gives less again.
  auto curve = [](std::vector<double> requested, std::vector<double> achieved) {
    SweepScore sweep;
    sweep.axis = "x", sweep.requested = std::move(requested), sweep.achieved = std::move(achieved);
    return calibration_of(sweep);
  };
  Calibration const c = curve({-4, -3, -2, -1, 0, 1, 2, 3, 4}, {-1, -2, -1, -1.5, 0, 1, 2, 1, 0});
  CHECK(c.requested.host() == std::vector<float>{-3, -2, -1, 0, 1, 2});
  CHECK(c.achieved.host() == std::vector<float>{-2, -1.25f, -1.25f, 0, 1, 2});
  CHECK(c.invert(9) == 2);
  CHECK(c.invert(-9) == -3);
  CHECK(c.invert(0.5) == doctest::Approx(0.5));
  CHECK(!curve({0, 1, 2}, {1, 1, 1}).achieved);
  World const& w = world();
  TrainedRig const t = w.train(rig_training(Control::pose, 150));
  EditFunction const edit = World::function(t), nothing = [](auto const&x, auto const&, auto const&, auto const&) { return x; };
  double const good =
      disentanglement_score(edit, w.toy.layout, w.sources.rows(0, 10), w.targets, Control::pose, w.F.F, w.judge, w.statistics, 10);
  CHECK(good > 10);
  Tensor<float> picture = zeros<float>({1, 9, 9, 3});
  picture.mutate()[(4 * 9 + 7) * 3] = 1;  // to the right of the centre
  Tensor<float> const rolled = roll_picture(picture, 90);
  CHECK(rolled.data()[(7 * 9 + 4) * 3] == doctest::Approx(1).epsilon(1e-3));  // clockwise: now below it
  Wishes const wish = parse_wishes("yaw=20,jawOpen=0.6,light.azimuth=-40,light.colour=1.1:1:0.9,rotation.roll=0.1");
  CHECK(*wish.yaw == 20);
  CHECK(wish.expression[0].first == "jawOpen");
  CHECK((*wish.light.colour)[2] == 0.9);
  CHECK(wish.raw[0].second == 0.1f);
  CHECK_THROWS_AS(parse_wishes("yaw"), Error);
  CHECK_THROWS_AS(parse_wishes("yaw=much"), Error);
  CHECK(*parse_wishes("light.contrast=0.6").light.contrast == 0.6);
  CHECK_THROWS_AS(parse_wishes("light.size=3"), Error);
}

TEST_CASE("a judge that reads pictures: trained on another corpus it agrees with the truth, and says so of edits") {
  World const& w = world();
  CorpusOptions other = corpus_options(3000);
  other.seed = 77;
  Corpus const corpus = make_corpus(w.G, other, {}, "none", w.toy.truth());
  ReconstructionTraining o = face_training(1500);
  o.hidden = {96};
  TrainedPictureReader reader = train_picture_reader(corpus, w.face, o);
  CHECK(reader.finished);
  CHECK(reader.F.options.channels == std::vector<std::int64_t>{32});
  Judge const judge = judge_by(reader.F, w.G);
  Tensor<float> const said = judge(w.sources), truth = w.judge(w.sources);
  CHECK(said.shape() == truth.shape());
  double wrong = 0, all = 0;
  for (std::int64_t i = 0; i < said.size(); ++i)
    wrong += std::pow(said.data()[i] - truth.data()[i], 2), all += std::pow(truth.data()[i], 2);
  double const share = wrong / all;
  INFO(share);
  CHECK(share < 0.2);

  Folder const folder("reader");
  save_reconstruction(folder / "reader.safetensors", reader);
  TrainedReconstruction F = w.F;
  save_reconstruction(folder / "F.safetensors", F);
  CHECK(is_picture_reader(folder / "reader.safetensors"));
  CHECK(!is_picture_reader(folder / "F.safetensors"));
  TrainedPictureReader const back = load_picture_reader(folder / "reader.safetensors", "toy world", "toy face");
  CHECK(hash(back.F) == hash(reader.F));
  CHECK(back.origin == corpus.provenance());
  CHECK_THROWS_WITH_AS(load_picture_reader(folder / "F.safetensors"),
                       doctest::Contains("expected a rig picture reader network saved by rig, found rig reconstruction"), Error);
  CHECK_THROWS_AS(load_reconstruction(folder / "reader.safetensors"), Error);
  CHECK_THROWS_AS(load_picture_reader(folder / "reader.safetensors", "other world"), Error);

  // Stopped and gone on with, to the same bits.
  ReconstructionTraining brief = o;
  brief.steps = 30;
  TrainedPictureReader const straight = train_picture_reader(corpus, w.face, brief);
  train::StopFlag stop = false;
  TrainingHooks h;
  h.stop = &stop, h.checkpoint = folder / "part.safetensors";
  h.progress = [&](std::int64_t done, std::int64_t, std::string const&) { stop = done == 11; };
  CHECK(train_picture_reader(corpus, w.face, brief, h).steps == 11);
  stop = false;
  h.progress = {};
  CHECK(hash(train_picture_reader(corpus, w.face, brief, h).F) == hash(straight.F));
}
