// stylerig train-rig GENERATOR: phase 2, RigNet from pairs of corpus items.
#include <cmath>
#include <filesystem>
#include <optional>

#include "lock.hpp"
#include "rigging.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct TrainRigOptions {
  std::string corpus = "corpus", preset = "best", controls, ablation, hidden, mode, judge;
  std::int64_t steps = 0, pairs = 0, encoder = -1, every = 1000, samples = -1;
  double rate = 0, wishes = -1, wish_weight = -1, row_weight = -1;
  bool fresh = false, no_calibration = false, keep_translation = false;
  RigPlace place;
};

/// The networks to train: one for each set of controls. What two of them have in common could be asked of either.
std::vector<stylerig::Control> control_sets(TrainRigOptions const& o) {
  std::string const text = o.controls.empty() ? (o.preset == "paper" ? "separate" : "all") : o.controls;
  if (text == "separate") return {stylerig::Control::pose, stylerig::Control::expression, stylerig::Control::illumination};
  std::vector<stylerig::Control> sets;
  stylerig::Control before = stylerig::Control::none;
  for (auto const& part : split(text)) {
    stylerig::Control const set = stylerig::control_from_name(part), both = before & set;
    if (set == stylerig::Control::none || both != stylerig::Control::none)
      throw Usage("--controls: expected sets like pose,expression+light, each control in one of them alone, found '" + text + "'");
    sets.push_back(set), before = before | set;
  }
  if (sets.empty()) throw Usage("--controls: expected all, separate, or sets like pose,expression+light");
  return sets;
}

stylerig::RigTraining training_for(stylerig::Control c, TrainRigOptions const& o, std::uint64_t seed) {
  stylerig::RigTraining t = o.preset == "paper" ? stylerig::RigTraining::paper(c) : stylerig::RigTraining::best(c);
  if (!o.ablation.empty()) t = t.ablated(o.ablation);
  t.seed = seed;
  if (o.steps > 0) t.steps = o.steps;
  if (o.pairs > 0) t.pairs = o.pairs;
  if (o.rate > 0) t.optimiser.rate = o.rate;
  if (o.encoder >= 0) t.encoder = o.encoder;
  if (o.samples >= 0) t.samples = o.samples;
  if (o.wishes >= 0) t.wishes = o.wishes;
  if (o.wish_weight >= 0) t.losses.wish = o.wish_weight;
  if (o.row_weight >= 0) t.losses.rows = o.row_weight;
  if (!o.mode.empty()) t.mode = stylerig::control_mode_from_name(o.mode);
  if (o.keep_translation) t.losses.keep_translation = true;
  if (o.hidden == "none") {
    t.hidden.clear();
  } else if (!o.hidden.empty()) {
    t.hidden = size_list(o.hidden, "--hidden");
  }
  return t;
}

int train(Context const& context, TrainRigOptions const& o) {
  auto const sets = control_sets(o);
  if (!o.judge.empty() && (o.no_calibration || o.preset == "paper"))
    throw Usage(str("--judge: expected a rig that is calibrated, because the judge does nothing else, found ",
                    o.no_calibration ? "--no-calibration" : "--preset paper, which has no calibration"));
  World world = load_world(o.place.generator, context, o.place.world);
  stylerig::Corpus const corpus = stylerig::open_corpus(o.corpus, world.handle.hash);
  world.psi = corpus.options.truncation;
  Run run = load_run(o.place.run, world, context.target());
  NameLock const lock(run.file(o.place.name));
  if (!o.place.face.empty()) run.setup.model = o.place.face;
  auto const face = run.setup.loss(context.target());
  check(run.reconstruction.face == face.identity(), run.file("face.safetensors"), ": was trained with ", run.reconstruction.face,
        ", expected ", face.identity());
  std::optional<NamedJudge> judge;
  if (o.preset == "best" && !o.no_calibration && (world.truth || !o.judge.empty()))
    judge = choose_judge(world, run.reconstruction, o.judge, context.target());
  Tensor<float> const p = stylerig::reconstruct_corpus(corpus, run.reconstruction.F);
  auto const statistics = stylerig::parameter_statistics(p);

  std::vector<stylerig::TrainedRig> networks;
  Json trained = Json::array();
  for (stylerig::Control const c : sets) {
    stylerig::RigTraining const t = training_for(c, o, context.seed);
    std::string const stem = o.place.name + "-" + stylerig::to_string(c), checkpoint = run.file(stem + ".checkpoint.safetensors");
    if (o.fresh) fs::remove(checkpoint);
    train::Log log;
    networks.push_back(
        stylerig::train_rig(corpus, run.reconstruction, p, statistics, face, t,
                            training_hooks(context, "train rig (" + stylerig::to_string(c) + ")", checkpoint, o.every, log)));
    log.write_csv(run.file(stem + ".csv"));
    if (!networks.back().finished)
      return context.stopped(str("step ", networks.back().steps, " of ", t.steps, " is in ", checkpoint, "; ", go_on(o.fresh)));
    trained.push_back({{"controls", stylerig::to_string(c)}, {"steps", t.steps}, {"mode", stylerig::to_string(t.mode)}});
  }
  stylerig::Rig rig = assemble(world, run.reconstruction, networks, p, judge ? &*judge : nullptr, context.seed);
  std::string const result = run.file(o.place.name + ".safetensors");
  stylerig::save_rig(result, rig);
  context.answer(
      {{"rig", result},
       {"networks", trained},
       {"calibrated_by", judge ? Json(judge->name) : Json(nullptr)},
       {"generator", world.handle.hash}},
      str(result, " written: controls ", stylerig::to_string(rig.controls()), judge ? ", calibrated by " + judge->name : std::string()));
  return success;
}
}  // namespace

void add_train_rig(CLI::App& app, Context& context) {
  auto o = std::make_shared<TrainRigOptions>();
  auto* verb = app.add_subcommand("train-rig", "Train RigNet: from a code and a wish to the code of the edited face");
  o->place.add_to(*verb);
  verb->add_option("--corpus", o->corpus, "Folder that stylerig corpus wrote (default corpus)");
  verb->add_option("--preset", o->preset, "best or paper (default best)")->check(CLI::IsMember({"best", "paper"}));
  verb->add_option("--controls", o->controls,
                   "all: one network; separate: three; or sets like pose,expression+light (default: all, or separate for paper)");
  verb->add_option("--ablation", o->ablation, "One thing changed: " + join(stylerig::RigTraining::ablations()))
      ->check(CLI::IsMember(stylerig::RigTraining::ablations()));
  verb->add_option("--mode", o->mode,
                   "What the network is told of the wish: full, subset, merged, merged_delta or delta (default: the preset's)")
      ->check(CLI::IsMember({"full", "subset", "merged", "merged_delta", "delta"}));
  verb->add_option("--steps", o->steps, "Steps (default: the preset's)")->check(CLI::PositiveNumber);
  verb->add_option("--pairs", o->pairs, "Pairs a step (default: the preset's)")->check(CLI::PositiveNumber);
  verb->add_option("--samples", o->samples, "Joint control: samples made of a pair in a step, in turn; 0 for all (default: the preset's)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--wishes", o->wishes, "For every pair so many wishes for one value, which no picture shows (default: the preset's)")
      ->check(CLI::Range(0.0, 2.0));
  verb->add_option("--wish-weight", o->wish_weight, "Weight of how far such wishes are missed (default: the preset's)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--row-weight", o->row_weight, "Weight of how many rows of the code an edit changes (default: the preset's)")
      ->check(CLI::NonNegativeNumber);
  verb->add_option("--rate", o->rate, "Learning rate at the start (default: the preset's)")->check(CLI::PositiveNumber);
  verb->add_option("--encoder", o->encoder, "Size of the code's summary a row (default: the preset's)")->check(CLI::NonNegativeNumber);
  verb->add_option("--hidden", o->hidden,
                   "Widths of hidden layers a row, like 128, or none for the linear decoder (default: the preset's)");
  verb->add_flag("--keep-translation", o->keep_translation, "A pose edit must not shift the head");
  verb->add_option("--judge", o->judge, "Another run whose F calibrates the rig (default: the truth where it is known)");
  verb->add_flag("--no-calibration", o->no_calibration, "Do not measure requested against achieved afterwards");
  verb->add_option("--checkpoint-every", o->every, "Steps between checkpoints (default 1000)")->check(CLI::PositiveNumber);
  verb->add_flag("--fresh", o->fresh, "Start anew even if there is a checkpoint");
  add_no_graph(*verb, context);
  add_world_options(*verb, o->place.world);
  add_common(*verb, context);
  verb->footer(
      "\nThe generator is never run here: pictures come from the corpus. Ctrl-C finishes the step and writes the checkpoint; the same "
      "command\n"
      "goes on from it, to the same bits.\n\nExamples:\n"
      "  stylerig train-rig ffhq.pkl --corpus corpus --run run\n"
      "  stylerig train-rig ffhq.pkl --corpus corpus --run run --preset paper --name paper\n"
      "  stylerig train-rig ffhq.pkl --corpus corpus --run run --ablation no_consist --name no_consist");
  verb->callback([&context, o] { context.action = [&context, o] { return with_fresh([&] { return train(context, *o); }); }; });
}

}  // namespace program
