#include "run.hpp"

#include <filesystem>

#include "rig/train/resume.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

void save_setup(std::string const& folder, FaceSetup const& setup, World const& world, stylerig::Corpus const& corpus) {
  Json j = setup.json();
  j["generator"] = world.handle.hash;
  j["corpus"] = corpus.provenance();
  j["truncation"] = corpus.options.truncation;
  save_json(folder + "/setup.json", j);
}

Run load_run(std::string const& folder, World const& world, Device const& device) {
  Run run{folder, {}, {}};
  check(fs::exists(run.file("setup.json")), folder,
        ": expected the folder of a run with setup.json and face.safetensors in it, as train-face writes it; found ",
        fs::exists(folder) ? "no setup.json" : "no such folder");
  Json const j = load_json(run.file("setup.json"));
  run.setup = FaceSetup::from(j, run.file("setup.json"));
  run.reconstruction = stylerig::load_reconstruction(run.file("face.safetensors"), world.handle.hash, {}, device);
  return run;
}

void add_no_graph(CLI::App& verb, Context& context) {
  verb.add_flag_callback(
      "--no-graph", [&context] { context.capture = false; }, "On a GPU: run every step as it is instead of capturing one as a CUDA graph");
}

int with_fresh(std::function<int()> const& verb) {
  try {
    return verb();
  } catch (train::OtherRun const& e) {
    throw Error(str(e.what(), "; --fresh starts anew"));
  }
}

std::string go_on(bool fresh) { return str("the same command ", fresh ? "without --fresh " : "", "goes on from there"); }

stylerig::TrainingHooks training_hooks(Context const& context, std::string const& title, std::string const& checkpoint, std::int64_t every,
                                       train::Log& log) {
  stylerig::TrainingHooks h;
  h.stop = context.stop;
  h.log = &log;
  h.progress = context.progress(title);
  h.note = note;
  h.checkpoint = checkpoint;
  h.checkpoint_every = every;
  h.capture = context.capture;
  return h;
}

}  // namespace program
