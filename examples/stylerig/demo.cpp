// stylerig demo: the whole job on the generator in the repository, from nothing to edited pictures and numbers.
#include <filesystem>
#include <iostream>
#include <optional>

#include "chart.hpp"
#include "faces/landmarks.hpp"
#include "lock.hpp"
#include "rigging.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct DemoOptions {
  std::string generator, face, landmarks = "auto";
  /// Zeros are filled in for the kind of generator: one of real faces is seen with a finer face model, and has a judge to train.
  std::int64_t items = 0, face_steps = 0, rig_steps = 0;
  std::int64_t face_batch = 32, pairs = 8, evaluation_pairs = 400, sweep_codes = 60;
  std::optional<double> psi;  ///< empty: 0.7, or 1 where the truth is known
  WorldOptions world;
};

/// What the demo trains on and for how long, so that it ends within the quarter of an hour that it may take, build included.
struct Sizes {
  std::int64_t items, face_steps, rig_steps;
};
constexpr Sizes of_known_truth{3000, 4000, 3000}, of_real_faces{2000, 2000, 1200};

/// What a part of the demo took.
struct Clock {
  std::vector<std::pair<std::string, double>> parts;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  void lap(std::string const& name) {
    auto const now = std::chrono::steady_clock::now();
    parts.push_back({name, std::chrono::duration<double>(now - start).count()});
    start = now;
  }
};

std::vector<std::string> numbered(std::string const& name, std::int64_t n) {
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < n; ++i) names.push_back(name + " " + std::to_string(i + 1));
  return names;
}

std::string curve_chart(train::Log const& log, std::string const& curve, std::string const& title) {
  Series s{"", {}, {}};
  for (auto const& [step, value] : log.curve(curve)) s.x.push_back(double(step)), s.y.push_back(value);
  return line_chart({s}, {.title = title, .x_label = "step", .y_label = curve, .log_y = true, .width = 420, .height = 260});
}

class Demo {
 public:
  Demo(Context const& context, DemoOptions const& o) : context_(context), o_(o), folder_(context.out) {}

  int run() {
    std::string const generator = o_.generator.empty() ? shipped_generator() : o_.generator;
    World world = load_world(generator, context_, o_.world);
    for (auto const& [given, name] : {std::pair{o_.psi.has_value(), "--psi"}, {o_.landmarks != "auto", "--landmarks"}})
      check(!given || !world.truth, name, ": is for a generator whose truth is not known, but that of ", generator, " is");
    world.psi = world.truth ? 1 : o_.psi.value_or(0.7);
    Sizes const& sizes = world.truth ? of_known_truth : of_real_faces;
    for (auto [chosen, usual] : {std::pair{&o_.items, sizes.items}, {&o_.face_steps, sizes.face_steps}, {&o_.rig_steps, sizes.rig_steps}})
      if (*chosen == 0) *chosen = usual;
    choose_landmarks(world);
    make_folder(folder_);
    FolderLock const lock(folder_);
    say(str("1/5 corpus: ", o_.items, " pictures of ", world.handle.resolution, " px from ", generator,
            world.truth ? ", whose truth is known" : str(", landmarks: ", landmarks_.name)));
    if (!corpus(world, folder_ + "/corpus", o_.items, context_.seed)) return context_.stopped("the same command goes on from there");
    clock_.lap("corpus");
    stylerig::Corpus const items = stylerig::open_corpus(folder_ + "/corpus", world.handle.hash);

    say(str("2/5 F: from codes to face parameters, ", o_.face_steps, " steps"));
    auto const trained = train_face(world, items);
    if (!trained.finished) return context_.stopped("the checkpoint is written; the same command goes on from there");
    if (!world.truth) {
      say("    and a judge that shares nothing with it: from pictures of another corpus");
      if (!train_judge(world)) return context_.stopped("the checkpoint is written; the same command goes on from there");
    }

    say(str("3/5 RigNet: from codes and wishes to codes, ", o_.rig_steps, " steps"));
    if (!train_rig(world, items, trained)) return context_.stopped("the checkpoint is written; the same command goes on from there");

    say("4/5 sheets");
    RiggedWorld const w = load_rigged({.generator = generator, .run = folder_ + "/run", .world = o_.world}, context_);
    sheets(w);

    say("5/5 evaluation");
    NamedJudge const judge = choose_judge(w.world, w.rig.reconstruction, judge_run(w.world), context_.target());
    Evaluation const e =
        evaluate_rig(w, judge, {.pairs = o_.evaluation_pairs, .sweep_codes = o_.sweep_codes, .expressions = 4, .sweep_steps = 7},
                     context_.seed, context_);
    if (train::stop_asked(context_.stop)) return context_.stopped("the same command goes on with the evaluation");
    clock_.lap("evaluation");
    write(w, e);
    return success;
  }

 private:
  void say(std::string const& line) const { std::cerr << line << std::endl; }

  /// Where nobody knows the truth, whoever is there looks for landmarks in the pictures.
  void choose_landmarks(World const& world) {
    landmarks_ = {"none", {}};
    if (world.truth || o_.landmarks == "none") return;
    if (o_.landmarks != "auto" || dlib_is_there())
      landmarks_ = landmark_finder(o_.landmarks == "auto" ? "dlib" : o_.landmarks, context_.target());
    if (!landmarks_.find)
      say("no landmarks: install libdlib-dev and libdlib-data and build again, or give --landmarks; F will learn from colours alone");
  }
  std::string judge_run(World const& world) const { return world.truth ? "" : folder_ + "/judge"; }

  bool corpus(World const& world, std::string const& folder, std::int64_t items, std::uint64_t seed) {
    stylerig::CorpusOptions c;
    c.count = items, c.seed = seed, c.picture_size = std::min<std::int64_t>(world.handle.resolution, 256);
    c.truncation = world.psi;
    stylerig::CorpusHooks hooks;
    hooks.stop = context_.stop;
    hooks.note = note;
    auto const show = context_.progress("corpus");
    hooks.progress = [&](std::int64_t done, std::int64_t total) { show(done, total, ""); };
    bool const known = bool(world.truth);
    bool const whole =
        stylerig::write_corpus(folder, world.handle, c,
                               known             ? truth_landmarks(world.truth)
                               : landmarks_.find ? found_landmarks(landmarks_)
                                                 : stylerig::LandmarkSource{},
                               known ? "truth" : landmarks_.name, known ? truth_parameters(world.truth) : stylerig::TruthSource{}, hooks);
    return whole;
  }

  stylerig::TrainedReconstruction train_face(World const& world, stylerig::Corpus const& items) {
    setup_.size = items.options.picture_size;
    auto const model_spec = [&] {
      if (!world.truth || !o_.face.empty()) return o_.face.empty() ? find_face_model() : o_.face;
      auto const& s = world.truth->scene.options();
      return str("builtin:", s.vertices, ":", s.identity, ":", s.reflectance);
    }();
    setup_.model = model_spec, setup_.form = "pixel", setup_.distance = "l21";
    auto const model = load_face_model(model_spec);
    if (world.truth && o_.face.empty())
      setup_.camera = world.truth->scene.camera();
    else if (items.has_landmarks())
      place_on_landmarks(setup_, model, items.landmarks_of(items.items(stylerig::Split::train)));
    else
      place_as_aligned(setup_, model);
    auto const face = setup_.loss(model, context_.target());
    make_folder(folder_ + "/run");
    auto trained = stylerig::train_reconstruction(
        items, face, face_training(o_.face_steps, {512, 512}, context_.seed),
        training_hooks(context_, "train F", folder_ + "/run/face.checkpoint.safetensors", 250, face_log_), setup_.mean);
    if (trained.finished) {
      stylerig::save_reconstruction(folder_ + "/run/face.safetensors", trained);
      save_setup(folder_ + "/run", setup_, world, items);
      face_log_.write_csv(folder_ + "/run/face.csv");
    }
    clock_.lap("F");
    return trained;
  }

  stylerig::ReconstructionTraining face_training(std::int64_t steps, std::vector<std::int64_t> hidden, std::uint64_t seed) const {
    stylerig::ReconstructionTraining t = stylerig::ReconstructionTraining::best();
    t.seed = seed, t.steps = steps, t.batch = o_.face_batch, t.hidden = std::move(hidden);
    t.landmark_steps = steps / 10, t.validate_every = std::max<std::int64_t>(1, steps / 8), t.validation_items = 64;
    t.optimiser.rate = 1e-3, t.optimiser.final_rate = 1e-5;
    return t;
  }

  /// Another corpus, another seed, pictures in.
  bool train_judge(World const& world) {
    std::uint64_t const seed = context_.seed + 1000;
    std::string const folder = folder_ + "/judge";
    if (!corpus(world, folder + "/corpus", o_.items / 2, seed)) return false;
    stylerig::Corpus const items = stylerig::open_corpus(folder + "/corpus", world.handle.hash);
    auto const face = setup_.loss(context_.target());
    train::Log log;
    auto trained = stylerig::train_picture_reader(
        items, face, face_training(std::max<std::int64_t>(1, o_.face_steps / 2), {256}, seed),
        training_hooks(context_, "train judge", folder + "/face.checkpoint.safetensors", 250, log), setup_.mean);
    if (!trained.finished) return false;
    stylerig::save_reconstruction(folder + "/face.safetensors", trained);
    save_setup(folder, setup_, world, items);
    clock_.lap("judge");
    return true;
  }

  bool train_rig(World const& world, stylerig::Corpus const& items, stylerig::TrainedReconstruction const& r) {
    auto const face = setup_.loss(context_.target());
    Tensor<float> const p = stylerig::reconstruct_corpus(items, r.F);
    stylerig::RigTraining t = stylerig::RigTraining::best(stylerig::Control::all);
    t.seed = context_.seed, t.steps = o_.rig_steps, t.pairs = o_.pairs, t.samples = 1;
    auto trained =
        stylerig::train_rig(items, r, p, stylerig::parameter_statistics(p), face, t,
                            training_hooks(context_, "train rig", folder_ + "/run/rig-all.checkpoint.safetensors", 250, rig_log_));
    if (!trained.finished) return false;
    NamedJudge const judge = choose_judge(world, r, judge_run(world), context_.target());
    stylerig::Rig rig = assemble(world, r, {trained}, p, &judge, context_.seed, world.truth ? 200 : 24, world.truth ? 17 : 9);
    stylerig::save_rig(folder_ + "/run/rig.safetensors", rig);
    rig_log_.write_csv(folder_ + "/run/rig.csv");
    clock_.lap("RigNet");
    return true;
  }

  void sheets(RiggedWorld const& w) {
    Tensor<float> const codes = fresh_codes(w.world, 10, context_.seed, purpose_sheet), targets = codes.rows(0, 3),
                        sources = codes.rows(3, 5);
    auto save = [&](std::string const& name, Sheet const& sheet, std::string const& edit) {
      auto texts = provenance(context_, w.world.texts());
      texts.push_back({"Rig", w.rig_file});
      texts.push_back({"Edit", edit});
      save_canvas(folder_ + "/" + name + ".png", sheet.draw(), texts);
    };
    TransferOptions t;
    t.width = int(std::min<std::int64_t>(w.world.handle.resolution, 96));
    t.controls = {stylerig::Control::pose, stylerig::Control::expression, stylerig::Control::illumination, stylerig::Control::all};
    t.mix_layers = w.world.handle.rows > 8;
    Json cells;
    save("transfer", transfer_sheet(w, targets, numbered("target", 3), sources, numbered("source", 5), t, cells),
         "transfer of pose, expression, light and all");
    numbers_["transfer"] = cells["cells"];
    auto const names = numbered("face", 3);
    auto sweep = [&](std::string const& file, std::string const& axis, std::vector<double> values) {
      // Beyond what can be attained the pictures would only repeat.
      if (auto const range = attainable(w.rig, axis); range && (values.front() < range->first || values.back() > range->second))
        for (std::size_t i = 0; i < values.size(); ++i)
          values[i] = range->first + (range->second - range->first) * double(i) / double(values.size() - 1);
      Json j;
      save(file, sweep_sheet(w, targets, names, axis, values, {}, 0, j), "sweep of " + axis);
      sweep_files_.push_back({file, axis});
      numbers_["sweep_" + file] = j["cells"];
    };
    sweep("yaw", "yaw", {-25, -15, -5, 5, 15, 25});
    auto const* expression = w.rig.layout().find("expression");
    for (char const* name : {"jawOpen", "mouthSmile_L"})
      if (expression && std::find(expression->entries.begin(), expression->entries.end(), name) != expression->entries.end())
        sweep(name, name, {0, 0.2, 0.4, 0.6, 0.8, 1});
    if (auto const* g = w.rig.layout().find("illumination"); g && g->size == 27)
      sweep("light", "light.azimuth", {-70, -40, -15, 15, 40, 70});

    // What F makes of the pictures: the basis of everything.
    auto const face = w.setup.loss(context_.target());
    Tensor<float> const p = w.rig.measure(codes);
    Tensor<float> pictures = w.world.pictures(codes);
    int const width = int(std::min<std::int64_t>(w.world.handle.resolution, 128));
    std::vector<Canvas> seen, fitted, normals;
    Tensor<float> const background = stylerig::reduce_pictures(affine(Var<float>(pictures), 2, -1).value(), w.setup.size);
    Tensor<float> const over = render_faces(face, p, background), turned = render_normals(face, p);
    for (std::int64_t i = 0; i < codes.dim(0); ++i) {
      seen.push_back(resized(to_canvas(pictures[i]), width));
      fitted.push_back(resized(to_canvas(over[i]), width));
      normals.push_back(resized(to_canvas(turned[i]), width));
    }
    Sheet sheet("what F reads from codes");
    sheet.row("picture", seen), sheet.row("face over it", fitted), sheet.row("normals", normals);
    save("reconstruction", sheet, "none");
    clock_.lap("sheets");
  }

  void write(RiggedWorld const& w, Evaluation const& e) {
    Json j{{"generator", w.world.handle.hash}, {"command", context_.command}, {"seed", context_.seed}, {"items", o_.items},
           {"face_steps", o_.face_steps},      {"rig_steps", o_.rig_steps}};
    j["evaluation"] = e.json();
    double total = 0;
    std::vector<std::vector<std::string>> times;
    for (auto const& [name, seconds] : clock_.parts) {
      j["seconds"][name] = seconds;
      total += seconds;
      times.push_back({name, number(seconds) + " s"});
    }
    times.push_back({"total", number(total) + " s"});
    j["seconds"]["total"] = total;
    j["pictures"] = numbers_;

    Report report("rig: the demo",
                  "A generator, a face model and nothing else: a corpus was made, F learned to read faces from codes, RigNet learned to "
                  "edit codes, and the edits were "
                  "judged. All of it by the command below.");
    report.command(context_.command);
    report.heading("Transfer");
    report.picture(
        folder_ + "/transfer.png",
        "The target of each row takes the named things from the source of each column. Last rows: StyleGAN's own mixing of layers.");
    report.heading("Edits by value");
    for (auto const& [file, axis] : sweep_files_)
      report.picture(folder_ + "/" + file + ".png", axis + ": the unedited face, then the values asked for.");
    report.heading("How good the edits are");
    report_evaluation(report, e, w.rig);
    report.heading("What F sees");
    report.picture(folder_ + "/reconstruction.png",
                   "Pictures, the face model with the parameters that F reads from their codes, and its normals.");
    report.heading("Training");
    std::vector<std::string> curves;
    for (auto const* log : {&face_log_, &rig_log_})
      for (auto const& name : log->curves()) curves.push_back(curve_chart(*log, name, (log == &face_log_ ? "F: " : "RigNet: ") + name));
    report.charts(curves);
    report.table({"part", "time"}, times);
    write_tables(folder_, e, w.rig);
    report.save(folder_ + "/report.html", folder_ + "/report.json", j);
    context_.answer(j, summary(e) + str("in ", number(total), " s; look at ", folder_, "/report.html"));
  }

  Context const& context_;
  DemoOptions o_;
  std::string folder_;
  LandmarkFinder landmarks_;
  FaceSetup setup_;
  train::Log face_log_, rig_log_;
  Clock clock_;
  Json numbers_ = Json::object();
  std::vector<std::pair<std::string, std::string>> sweep_files_;
};
}  // namespace

void add_demo(CLI::App& app, Context& context) {
  auto o = std::make_shared<DemoOptions>();
  auto usual = [](char const* what, std::int64_t Sizes::*size) {
    return str(what, " (default ", of_known_truth.*size, "; ", of_real_faces.*size, " where the truth is not known)");
  };
  auto* verb = app.add_subcommand("demo", "The whole job on the generator in the repository: train, edit, judge, report");
  verb->add_option("--generator", o->generator, "Another StyleGAN (default: the one in the repository)");
  verb->add_option(
      "--face", o->face,
      std::string(face_model_help) + " (default: the generator's own world, else an ICT-FaceKit where it is found, else builtin)");
  verb->add_option("--landmarks", o->landmarks,
                   "Who finds landmarks in the pictures: dlib, a folder with face-api's landmark network, or none (default: dlib where it "
                   "is installed)");
  verb->add_option("--psi", o->psi, "Truncation of the codes, where the truth is not known (default 0.7)")->check(CLI::PositiveNumber);
  verb->add_option("--items", o->items, usual("Pictures to learn from", &Sizes::items))->check(CLI::Range(100, 10000000));
  verb->add_option("--face-steps", o->face_steps, usual("Steps of F", &Sizes::face_steps))->check(CLI::PositiveNumber);
  verb->add_option("--rig-steps", o->rig_steps, usual("Steps of RigNet", &Sizes::rig_steps))->check(CLI::PositiveNumber);
  verb->add_option("--pairs", o->pairs, str("Pairs a step (default ", o->pairs, ")"))->check(CLI::PositiveNumber);
  verb->add_option("--evaluation-pairs", o->evaluation_pairs, str("Pairs to judge by (default ", o->evaluation_pairs, ")"))
      ->check(CLI::Range(2, 1000000));
  verb->add_option("--sweep-codes", o->sweep_codes, str("Codes swept along each axis (default ", o->sweep_codes, ")"))
      ->check(CLI::NonNegativeNumber);
  add_world_options(*verb, o->world);
  add_common(*verb, context, "demo-out", "Folder for pictures, report.html and report.json");
  verb->footer("\nCtrl-C stops at a checkpoint; the same command goes on from it.\n\nExample:\n  stylerig demo --out demo-out");
  verb->callback([&context, o] {
    if (context.out.empty()) context.out = "demo-out";
    context.action = [&context, o] { return Demo(context, *o).run(); };
  });
}

}  // namespace program
