// stylerig train-face GENERATOR: phase 1, the network F from codes to face parameters.
#include <cmath>
#include <filesystem>

#include "lock.hpp"
#include "run.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct TrainFaceOptions {
  std::string generator, corpus = "corpus", run = "run", face, preset = "best", form, photometric, hidden, reads = "codes", setup;
  std::int64_t steps = 0, batch = 0, every = 1000, fit_items = 100, landmark_steps = -1;
  double rate = 0, landmark = -1, focal = 0, distance = 0;
  bool fresh = false;
  WorldOptions world;
};

/// Model and camera: those of the oracle world where there is one, else fitted to the corpus's landmarks, else as aligned.
FaceSetup make_setup(TrainFaceOptions const& o, World const& world, stylerig::Corpus const& corpus) {
  FaceSetup setup;
  if (!o.setup.empty()) {
    std::string const file = o.setup + "/setup.json";
    setup = FaceSetup::from(load_json(file), file);
    if (!o.face.empty()) setup.model = o.face;
    check(setup.size == corpus.options.picture_size, file, ": losses there see pictures of ", setup.size,
          " pixels, those of the corpus have ", corpus.options.picture_size);
    return setup;
  }
  setup.size = corpus.options.picture_size;
  // The paper's squares over vertices; a face among hair and glasses is better read from pixels, with less weight on outliers.
  bool const by_paper = o.preset == "paper";
  setup.form = !o.form.empty() ? o.form : by_paper ? "vertex" : "pixel";
  setup.distance = !o.photometric.empty() ? o.photometric : by_paper ? "l2" : "l21";
  bool const own_world = world.truth && o.face.empty();
  if (own_world) {
    auto const& w = world.truth->scene.options();
    setup.model = str("builtin:", w.vertices, ":", w.identity, ":", w.reflectance);
    setup.camera = world.truth->scene.camera();
  } else {
    setup.model = o.face.empty() ? "builtin" : o.face;
  }
  if (o.focal > 0) setup.camera.focal = o.focal;
  if (o.distance > 0) {
    setup.camera.distance = o.distance;
  } else if (!own_world) {
    auto const model = load_face_model(setup.model);
    std::vector<int> items = corpus.items(stylerig::Split::train);
    if (items.size() > 2000) items.resize(2000);
    if (corpus.has_landmarks())
      place_on_landmarks(setup, model, corpus.landmarks_of(items));
    else
      place_as_aligned(setup, model);
  }
  return setup;
}

Json numbers(stylerig::ReconstructionReport const& r) {
  auto known = [](double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); };
  Json explained = Json::object();
  for (auto const& [name, share] : r.explained) explained[name] = known(share);
  return {{"items", r.items},
          {"landmark_error", known(r.landmark_error)},
          {"photometric_share", known(r.photometric_share)},
          {"yaw_error_degrees", known(r.yaw_error)},
          {"inside_four", known(r.inside_four)},
          {"finite", r.finite},
          {"explained", explained},
          {"accepted", r.accepted()}};
}

int stopped(Context const& context, TrainFaceOptions const& o, std::int64_t step, std::int64_t steps, std::string const& checkpoint) {
  return context.stopped(str("step ", step, " of ", steps, " is in ", checkpoint, "; ", go_on(o.fresh)));
}

int train(Context const& context, TrainFaceOptions const& o) {
  World const world = load_world(o.generator, context, o.world);
  stylerig::Corpus const corpus = stylerig::open_corpus(o.corpus, world.handle.hash);
  stylerig::ReconstructionTraining t =
      o.preset == "paper" ? stylerig::ReconstructionTraining::paper() : stylerig::ReconstructionTraining::best();
  t.seed = context.seed;
  if (o.steps > 0)
    t.steps = o.steps, t.landmark_steps = std::min(t.landmark_steps, o.steps / 10),
    t.validate_every = std::max<std::int64_t>(1, std::min(t.validate_every, o.steps / 10));
  if (o.landmark_steps >= 0) t.landmark_steps = o.landmark_steps;
  if (o.batch > 0) t.batch = o.batch;
  if (o.rate > 0) t.optimiser.rate = o.rate;
  if (o.landmark >= 0) t.landmark = o.landmark;
  if (!o.hidden.empty()) {
    t.hidden = size_list(o.hidden, "--hidden");
  }
  FaceSetup const setup = make_setup(o, world, corpus);
  auto const face = setup.loss(context.target());
  OutputFolder const folder(o.run);
  NameLock const lock(o.run + "/face");
  std::string const checkpoint = o.run + "/face.checkpoint.safetensors", result = o.run + "/face.safetensors";
  if (o.fresh) fs::remove(checkpoint);
  train::Log log;
  auto const hooks = training_hooks(context, "train F", checkpoint, o.every, log);
  if (o.reads == "pictures") {
    if (o.hidden.empty()) t.hidden = {256};
    auto trained = stylerig::train_picture_reader(corpus, face, t, hooks, setup.mean);
    log.write_csv(o.run + "/face.csv");
    if (!trained.finished) return stopped(context, o, trained.steps, t.steps, checkpoint);
    stylerig::save_reconstruction(result, trained);
    save_setup(o.run, setup, world, corpus);
    context.answer({{"run", o.run},
                    {"reader", result},
                    {"steps", trained.steps},
                    {"validation", trained.validation},
                    {"generator", world.handle.hash},
                    {"face", face.identity()}},
                   str(result, " written after ", trained.steps, " steps, validation loss ", trained.validation,
                       "; it reads pictures: evaluate --judge ", o.run));
    return success;
  }
  auto trained = stylerig::train_reconstruction(corpus, face, t, hooks, setup.mean);
  log.write_csv(o.run + "/face.csv");
  if (!trained.finished) return stopped(context, o, trained.steps, t.steps, checkpoint);
  stylerig::save_reconstruction(result, trained);
  save_setup(o.run, setup, world, corpus);

  std::vector<int> test = corpus.items(stylerig::Split::test);
  if (test.size() > 1000) test.resize(1000);
  Json report = nullptr;
  std::string text = str(result, " written after ", trained.steps, " steps, validation loss ", trained.validation, "\n");
  if (!test.empty() && o.fit_items > 0) {
    auto const judged = stylerig::judge_reconstruction(corpus, trained, face, test, o.fit_items);
    report = numbers(judged);
    text += str("on ", judged.items, " test items: ",
                std::isfinite(judged.landmark_error)
                    ? str("median landmark error ", 100 * judged.landmark_error, " % of the outer-eye distance")
                    : std::string("no landmarks to judge by"),
                ", photometric share ", judged.photometric_share, ", yaw error ", judged.yaw_error, " degrees\n",
                judged.accepted() ? "good enough to rig with\n" : "not yet good enough: train longer, on more items, or with landmarks\n");
  }
  context.answer({{"run", o.run},
                  {"reconstruction", result},
                  {"steps", trained.steps},
                  {"validation", trained.validation},
                  {"generator", world.handle.hash},
                  {"face", face.identity()},
                  {"test", report}},
                 text);
  return success;
}
}  // namespace

void add_train_face(CLI::App& app, Context& context) {
  auto o = std::make_shared<TrainFaceOptions>();
  auto* verb = app.add_subcommand("train-face", "Train F: from a code to the face parameters of its picture");
  verb->add_option("GENERATOR", o->generator, generator_help)->required();
  verb->add_option("--corpus", o->corpus, "Folder that stylerig corpus wrote (default corpus)");
  verb->add_option("--run", o->run, "Folder of the run to write (default run)");
  verb->add_option("--face", o->face, std::string(face_model_help) + " (default: the oracle world's, else builtin)");
  verb->add_option("--reads", o->reads,
                   "What the network reads: codes (F), or pictures, for a judge of edits that shares nothing with F (default codes)")
      ->check(CLI::IsMember({"codes", "pictures"}));
  auto* const setup =
      verb->add_option("--setup", o->setup, "Run whose face model and camera are used, so that one network may judge the other");
  verb->add_option("--preset", o->preset, "best or paper (default best)")->check(CLI::IsMember({"best", "paper"}));
  verb->add_option("--steps", o->steps, "Steps (default: the preset's)")->check(CLI::PositiveNumber);
  verb->add_option("--batch", o->batch, "Items a step (default: the preset's)")->check(CLI::PositiveNumber);
  verb->add_option("--rate", o->rate, "Learning rate at the start (default: the preset's)")->check(CLI::PositiveNumber);
  verb->add_option("--hidden", o->hidden, "Widths of the hidden layers, like 1024,1024 (default: the preset's)");
  verb->add_option("--landmark", o->landmark, "Weight of landmarks against colours (default 20)")->check(CLI::NonNegativeNumber);
  verb->add_option("--landmark-steps", o->landmark_steps, "First steps on landmarks alone (default: the preset's)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--form", o->form, "Colours compared at vertices or in pixels: vertex or pixel (default pixel; vertex for paper)")
      ->check(CLI::IsMember({"vertex", "pixel"}))
      ->excludes(setup);
  verb->add_option("--photometric", o->photometric, "Distance of colours: l2 (squares) or l21 (lengths) (default l21; l2 for paper)")
      ->check(CLI::IsMember({"l2", "l21"}))
      ->excludes(setup);
  verb->add_option("--focal", o->focal, "Focal length over picture height (default 4.2647)")->check(CLI::PositiveNumber)->excludes(setup);
  verb->add_option("--distance", o->distance,
                   "Camera distance in the model's unit (default: so that the mean face lies on the mean landmarks)")
      ->check(CLI::PositiveNumber)
      ->excludes(setup);
  verb->add_option("--checkpoint-every", o->every, "Steps between checkpoints (default 1000)")->check(CLI::PositiveNumber);
  verb->add_option("--fit-items", o->fit_items, "Pictures fitted one by one afterwards, to judge F by; 0 for none (default 100)")
      ->check(CLI::NonNegativeNumber);
  verb->add_flag("--fresh", o->fresh, "Start anew even if there is a checkpoint");
  add_no_graph(*verb, context);
  add_world_options(*verb, o->world);
  add_common(*verb, context);
  verb->footer(
      "\nCtrl-C finishes the step and writes the checkpoint; the same command goes on from it, to the same bits.\n\nExamples:\n"
      "  stylerig train-face ffhq.pkl --corpus corpus --run run\n"
      "  stylerig train-face ffhq.pkl --corpus corpus --run run-ict --face ict_facekit_light.npz --steps 20000\n"
      "  stylerig train-face ffhq.pkl --corpus corpus-2 --run judge --setup run --reads pictures --seed 2");
  verb->callback([&context, o] { context.action = [&context, o] { return with_fresh([&] { return train(context, *o); }); }; });
}

}  // namespace program
