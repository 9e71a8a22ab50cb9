// A run is a folder: setup.json (the face side), face.safetensors (F), NAME.safetensors (rigs trained on it) and the curves
// of the trainings. Everything in it belongs to one generator, and is refused for another.
#pragma once
#include <string>

#include "face.hpp"
#include "rig/stylerig/evaluation.hpp"
#include "rig/stylerig/training.hpp"

namespace program {

struct Run {
  std::string folder;
  FaceSetup setup;
  rig::stylerig::TrainedReconstruction reconstruction;

  std::string file(std::string const& name) const { return folder + "/" + name; }
};

/// setup.json and F. Error if F belongs to another generator or face model.
Run load_run(std::string const& folder, World const& world, rig::Device const& device);
void save_setup(std::string const& folder, FaceSetup const& setup, World const& world, rig::stylerig::Corpus const& corpus);

/// Adds --no-graph.
void add_no_graph(CLI::App& verb, Context& context);
/// Runs a verb that has --fresh; of a checkpoint of another run its Error says so.
int with_fresh(std::function<int()> const& verb);
/// How a stopped training is gone on with.
std::string go_on(bool fresh);

/// Hooks for a training: stop flag, log, progress line, checkpoint.
rig::stylerig::TrainingHooks training_hooks(Context const& context, std::string const& title, std::string const& checkpoint,
                                            std::int64_t every, rig::train::Log& log);

}  // namespace program
