// What the verbs that use or judge a trained rig share.
#pragma once
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report.hpp"
#include "rig/stylerig/transfer.hpp"
#include "run.hpp"

namespace program {

/// Where a rig is, as the command line says it.
struct RigPlace {
  std::string generator, run = "run", name = "rig", face = {};
  WorldOptions world;

  /// GENERATOR, --run, --name and --face; those of the world are added apart, last.
  void add_to(CLI::App& verb);
  std::string file() const { return run + "/" + name + ".safetensors"; }
};

/// A run with one of its rigs.
struct RiggedWorld {
  World world;
  FaceSetup setup;
  rig::stylerig::Rig rig;
  std::string rig_file;
};
/// Opens generator, setup and rig; each is refused if it belongs to another. `face` (if not empty) replaces the face model.
RiggedWorld load_rigged(RigPlace const& place, Context const& context);

/// Whoever says what is seen in a code's picture: the network of another run (--judge), from codes or from pictures, else the truth
/// where it is known, else F itself, which proves little.
struct NamedJudge {
  rig::stylerig::Judge ask;
  std::string name;
};
NamedJudge choose_judge(World const& world, rig::stylerig::TrainedReconstruction const& r, std::string const& judge_run,
                        rig::Device const& device);

/// Mixed codes that no corpus holds: items 0.. of another seed, one stream a purpose. No pictures are made.
rig::Tensor<float> fresh_codes(World const& world, std::int64_t count, std::uint64_t seed, std::uint64_t purpose);
inline constexpr std::uint64_t purpose_calibration = 1, purpose_sources = 2, purpose_targets = 3, purpose_spread = 4, purpose_sheet = 5;

/// A rig put together from networks trained on `corpus`, calibrated by a judge on so many fresh codes and steps of every axis if
/// `calibrate`.
rig::stylerig::Rig assemble(World const& world, rig::stylerig::TrainedReconstruction const& r,
                            std::vector<rig::stylerig::TrainedRig> const& networks, rig::Tensor<float> const& p,
                            NamedJudge const* calibrate, std::uint64_t seed, std::int64_t codes = 200, int steps = 17);

// ---- transfer and edit --------------------------------------------------------------------------------------------
struct TransferOptions {
  std::vector<rig::stylerig::Control> controls;
  std::vector<std::string> entries;  ///< single entries instead
  bool mix_layers = false;           ///< copies of coarse, medium and fine rows as well
  rig::stylerig::EditOptions edit;
  int width = 128;
};
/// Sources in columns, targets in rows, a block a set of controls.
Sheet transfer_sheet(RiggedWorld const& w, rig::Tensor<float> const& targets, std::vector<std::string> const& target_names,
                     rig::Tensor<float> const& sources, std::vector<std::string> const& source_names, TransferOptions const& o,
                     Json& numbers);

/// One quantity swept over values: a row a code, and below each picture what F reads from its code.
Sheet sweep_sheet(RiggedWorld const& w, rig::Tensor<float> const& codes, std::vector<std::string> const& names, std::string const& axis,
                  std::vector<double> const& values, rig::stylerig::EditOptions const& o, int width, Json& numbers);

/// The least and the most that the rig's calibration of a wish for `axis` ("yaw", "light.azimuth", "jawOpen") attains, if it has one.
std::optional<std::pair<double, double>> attainable(rig::stylerig::Rig const& rig, std::string const& axis);

/// Angles in degrees as they are seen, and the light, of one vector.
Json human(rig::stylerig::ParameterLayout const& layout, float const* p);

// ---- evaluation ---------------------------------------------------------------------------------------------------
struct EvaluationOptions {
  std::int64_t pairs = 1000, sweep_codes = 200, expressions = 8;
  int sweep_steps = 9;
};
struct Evaluation {
  std::string judge;
  std::vector<rig::stylerig::EditScore> edits;
  std::vector<rig::stylerig::SweepScore> sweeps;                   ///< of the rig as a user has it: calibrated, if it is
  std::vector<double> network_slopes;                              ///< one a sweep: without the calibration
  std::vector<std::pair<std::string, std::vector<double>>> speed;  ///< what, milliseconds
  double peak_bytes = 0;
  Json json() const;
};
Evaluation evaluate_rig(RiggedWorld const& w, NamedJudge const& judge, EvaluationOptions const& o, std::uint64_t seed,
                        Context const& context);
/// Tables and charts of an evaluation.
void report_evaluation(Report& report, Evaluation const& e, rig::stylerig::Rig const& rig);
/// One line a control, for people.
std::string summary(Evaluation const& e);
/// Curves, latent change by row and distributions as CSV beside the report.
void write_tables(std::string const& folder, Evaluation const& e, rig::stylerig::Rig const& rig);

}  // namespace program
