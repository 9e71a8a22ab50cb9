// stylerig transfer GENERATOR: pose, expression and light from some faces to others, as a sheet.
#include "rigging.hpp"
#include "watch.hpp"

namespace program {
using namespace rig;

namespace {
struct TransferArguments {
  std::string sources = "100-105", targets = "0-3", controls = "pose,expression,light,all", only;
  double psi = 1;
  bool mix_layers = false, uncalibrated = false;
  std::int64_t refine = 0;
  int width = 128;
  RigPlace place;
};

std::vector<std::string> seed_names(std::vector<std::uint32_t> const& seeds) {
  std::vector<std::string> names;
  for (auto s : seeds) names.push_back("seed " + std::to_string(s));
  return names;
}

std::vector<stylerig::Control> control_list(std::string const& text) {
  std::vector<stylerig::Control> controls;
  for (auto const& set : split(text)) controls.push_back(as_usage([&] { return stylerig::control_from_name(set); }));
  if (controls.empty()) throw Usage("--controls: expected at least one of pose, expression, light and all, found '" + text + "'");
  return controls;
}

int run(Context const& context, TransferArguments const& o) {
  auto const sources = seed_list(o.sources, "--sources"), targets = seed_list(o.targets, "--targets");
  TransferOptions t;
  if (o.only.empty()) {
    t.controls = control_list(o.controls);
  } else if (t.entries = split(o.only); t.entries.empty()) {
    throw Usage("--only: expected at least one entry like rotation.yaw, found '" + o.only + "'");
  }
  t.mix_layers = o.mix_layers, t.width = o.width;
  t.edit.calibrated = !o.uncalibrated, t.edit.refine_steps = o.refine;
  check_picture_name(context.out);
  check_output(context.out, {o.place.generator, o.place.world.truth});
  RiggedWorld w = load_rigged(o.place, context);
  make_folder_of(context.out);
  std::size_t const blocks =
      std::max<std::size_t>(1, t.controls.size()) + (t.mix_layers ? stylerig::row_ranges(w.world.network.row_names()).size() : 0);
  watch_pictures(w.world, context, "transfer", sources.size() + targets.size() + blocks * sources.size() * targets.size());
  Json numbers{{"sheet", context.out}, {"generator", w.world.handle.hash}, {"rig", w.rig_file}};
  Sheet const sheet = transfer_sheet(w, w.world.codes(targets, {o.psi}), seed_names(targets), w.world.codes(sources, {o.psi}),
                                     seed_names(sources), t, numbers);
  auto texts = provenance(context, w.world.texts());
  texts.push_back({"Rig", w.rig_file});
  texts.push_back(
      {"Edit", "transfer of " + (o.only.empty() ? o.controls : o.only) + " from seeds " + o.sources + " to seeds " + o.targets});
  save_canvas(context.out, sheet.draw(), texts);
  context.answer(numbers, context.out + " written");
  return success;
}
}  // namespace

void add_transfer(CLI::App& app, Context& context) {
  auto o = std::make_shared<TransferArguments>();
  auto* verb = app.add_subcommand("transfer", "Give faces the pose, expression or light of others: a sheet, sources x targets");
  o->place.add_to(*verb);
  verb->add_option("--sources", o->sources, "Seeds that give, a column each (default 100-105)");
  verb->add_option("--targets", o->targets, "Seeds that receive, a row each (default 0-3)");
  auto* controls = verb->add_option("--controls", o->controls,
                                    "Sets of pose, expression, light joined by +, a block each (default pose,expression,light,all)");
  verb->add_option("--only", o->only, "Single entries instead, like rotation.yaw,expression.jawOpen")->excludes(controls);
  verb->add_flag("--mix-layers", o->mix_layers, "Also StyleGAN's own mixing, rows copied from the source, for comparison");
  verb->add_option("--psi", o->psi, "Truncation of the seeds' codes (default 1)");
  verb->add_option("--refine", o->refine, "Gradient steps through F after each edit (default 0)")->check(CLI::NonNegativeNumber);
  verb->add_flag("--uncalibrated", o->uncalibrated, "Ask the network for the wish itself");
  verb->add_option("--width", o->width, "Width of a picture on the sheet (default 128)")->check(CLI::Range(16, 4096));
  add_world_options(*verb, o->place.world);
  add_common(*verb, context, "transfer.png", "Sheet to write");
  verb->footer(
      "\nExamples:\n  stylerig transfer ffhq.pkl --run run --sources 100-105 --targets 0-3\n"
      "  stylerig transfer ffhq.pkl --run run --controls pose+light --mix-layers\n  stylerig transfer ffhq.pkl --run run --only "
      "rotation.yaw");
  verb->callback([&context, o] {
    if (context.out.empty()) context.out = "transfer.png";
    context.action = [&context, o] { return run(context, *o); };
  });
}

}  // namespace program
