// stylerig edit GENERATOR: absolute wishes in human units, for some seeds.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>

#include "chart.hpp"
#include "rigging.hpp"
#include "watch.hpp"

namespace program {
using namespace rig;

namespace {
struct EditOptions {
  std::string seeds = "0-3", light, set, sweep, singles, state;
  std::vector<std::string> expression;
  double yaw = 0, pitch = 0, roll = 0, psi = 1;
  bool uncalibrated = false, mesh = false;
  std::int64_t refine = 0;
  int width = 0;
  RigPlace place;
};

/// The options as one line that parse_wishes reads.
std::string wish_line(CLI::App const& verb, EditOptions const& o) {
  std::vector<std::string> parts;
  auto add = [&](char const* option, char const* name, double v) {
    if (verb.count(option)) parts.push_back(std::string(name) + "=" + number(v, 9));
  };
  add("--yaw", "yaw", o.yaw), add("--pitch", "pitch", o.pitch), add("--roll", "roll", o.roll);
  for (auto const& list : o.expression)
    for (auto const& part : split(list)) parts.push_back(part);
  for (auto const& part : split(o.light)) parts.push_back("light." + part);
  for (auto const& part : split(o.set)) parts.push_back(part);
  return join(parts, ",");
}

/// "jawOpen" as "expression.jawOpen", and so on: one name for whatever is meant. What the layout does not have is an Error.
std::string full_name(stylerig::ParameterLayout const& layout, std::string const& name) {
  if (name == "roll" || name.rfind("light.", 0) == 0) return name == "light.color" ? "light.colour" : name;
  std::string const label = (name == "yaw" || name == "pitch")    ? "rotation." + name
                            : name.find('.') == std::string::npos ? "expression." + name
                                                                  : name;
  return layout.label(layout.entry(label));
}

/// Refuses numbers that mean nothing. Raw entries other than blendshapes are up to the caller.
void check_range(stylerig::ParameterLayout const& layout, std::string const& name, double value) {
  std::string const full = full_name(layout, name);
  // Names that only count, like those of Basel's modes, are of standard deviations.
  bool const blendshape =
      full.rfind("expression.", 0) == 0 && full.rfind("expression.expression", 0) != 0 && !layout.at("expression").entries.empty();
  constexpr double all = std::numeric_limits<double>::infinity();
  using Limits = std::pair<double, double>;
  auto const [low, high] = name == "yaw" || name == "pitch"            ? Limits(-60, 60)  // in degrees; the layout's are radians
                           : full == "roll" || full == "light.azimuth" ? Limits(-180, 180)
                           : full == "light.elevation"                 ? Limits(-90, 90)
                           : full.rfind("light.", 0) == 0              ? Limits(0, all)
                           : blendshape                                ? Limits(0, 1)
                                                                       : Limits(-all, all);
  if (value < low || value > high)
    throw Usage(
        str(name, ": expected a number ", high < all ? str("from ", low, " to ", high) : str("of at least ", low), ", found ", value));
}

/// Refuses numbers out of their range, and two wishes for one quantity, of which one would be passed over. The line is one that
/// parse_wishes reads.
void check_wishes(stylerig::ParameterLayout const& layout, std::string const& line) {
  std::map<std::string, std::string> named;
  for (auto const& part : split(line)) {
    auto const equals = part.find('=');
    std::string const name = part.substr(0, equals), value = part.substr(equals + 1);
    auto const [first, fresh] = named.emplace(full_name(layout, name), part);
    if (!fresh) throw Usage("edit: expected one wish for each quantity, found '" + first->second + "' and '" + part + "'");
    if (name != "light.colour" && name != "light.color") check_range(layout, name, number_list(value, name).at(0));
  }
}

Canvas picture_of(Tensor<float> const& pictures, std::int64_t i, int width) { return resized(to_canvas(pictures[i]), width); }

/// "yaw=-30:30:7"
struct Sweep {
  std::string axis;
  std::vector<double> values;
};
Sweep parse_sweep(std::string const& text) {
  auto const equals = text.find('=');
  auto const range = split(equals == std::string::npos ? "" : text.substr(equals + 1), ':');
  if (range.size() != 3) throw Usage("--sweep: expected AXIS=FROM:TO:COUNT like yaw=-30:30:7, found '" + text + "'");
  double const from = number_list(range[0], "--sweep")[0], to = number_list(range[1], "--sweep")[0];
  std::int64_t const count = size_list(range[2], "--sweep")[0];
  if (count < 2 || count > 99) throw Usage("--sweep: expected 2 to 99 values, found " + range[2]);
  Sweep s{text.substr(0, equals), {}};
  for (int i = 0; i < count; ++i) s.values.push_back(from + (to - from) * i / (count - 1));
  return s;
}

int sweep(Context const& context, EditOptions const& o, Sweep const& wanted, RiggedWorld& w, std::vector<std::uint32_t> const& seeds,
          stylerig::EditOptions const& edit) {
  watch_pictures(w.world, context, "edit", seeds.size() * (1 + wanted.values.size()));
  std::vector<std::string> names;
  for (auto s : seeds) names.push_back("seed " + std::to_string(s));
  Json numbers{{"sheet", context.out}, {"generator", w.world.handle.hash}, {"rig", w.rig_file}};
  Sheet const sheet = sweep_sheet(w, w.world.codes(seeds, {o.psi}), names, wanted.axis, wanted.values, edit, o.width, numbers);
  auto texts = provenance(context, w.world.texts());
  texts.push_back({"Rig", w.rig_file});
  texts.push_back({"Edit", "seeds " + o.seeds + ", sweep " + o.sweep});
  save_canvas(context.out, sheet.draw(), texts);
  context.answer(numbers, context.out + " written");
  return success;
}

int edit(Context const& context, EditOptions const& o, std::string const& line) {
  auto const seeds = seed_list(o.seeds, "--seeds");
  stylerig::EditOptions edit;
  edit.calibrated = !o.uncalibrated, edit.refine_steps = o.refine;
  if (line.empty() && o.sweep.empty())
    throw Usage("edit: nothing is wished for; give for example --yaw 20, --expression jawOpen=0.6 or --light azimuth=40");
  Sweep const wanted_sweep = o.sweep.empty() ? Sweep{} : parse_sweep(o.sweep);
  stylerig::Wishes const wishes = as_usage([&] { return stylerig::parse_wishes(o.sweep.empty() ? line : wanted_sweep.axis + "=0"); });
  std::vector<std::string> const read{o.place.generator, o.place.world.truth, o.place.file(), o.place.run + "/setup.json",
                                      o.place.run + "/face.safetensors"};
  check_picture_name(context.out);
  check_output(context.out, read);
  if (!o.state.empty()) {
    if (std::filesystem::path(o.state).extension() != ".json")
      throw Usage("--state: expected a name that ends in .json, found '" + o.state + "'");
    check_output(o.state, read);
  }
  RiggedWorld w = load_rigged(o.place, context);
  if (o.sweep.empty()) check_wishes(w.rig.layout(), line);
  for (double const v : wanted_sweep.values) check_range(w.rig.layout(), wanted_sweep.axis, v);
  make_folder_of(context.out);
  if (!o.sweep.empty()) return sweep(context, o, wanted_sweep, w, seeds, edit);

  watch_pictures(w.world, context, "edit", 2 * seeds.size());
  Tensor<float> const codes = w.world.codes(seeds, {o.psi}), p_w = w.rig.measure(codes);
  Tensor<float> const edited = w.rig.edit(codes, wishes, edit), p_hat = w.rig.measure(edited).to(cpu()),
                      wanted = w.rig.targets(p_w, wishes, false).first;
  Tensor<float> const before = w.world.pictures(codes);
  Tensor<float> after = w.world.pictures(edited);
  if (wishes.roll) after = stylerig::roll_picture(after, *wishes.roll);

  int const width = o.width > 0 ? o.width : int(std::clamp<std::int64_t>(w.world.handle.resolution, 96, 256));
  Tensor<float> mesh;
  if (o.mesh) mesh = render_faces(w.setup.loss(context.target()), wanted.to(context.target()), {}, std::max(width, 64));
  Sheet sheet("stylerig edit");
  std::vector<std::string> columns{"unedited", "edited"};
  if (o.mesh) columns.push_back("wished face");
  sheet.columns(columns);
  auto texts = provenance(context, w.world.texts());
  texts.push_back({"Rig", w.rig_file});
  texts.push_back({"Edit", line});
  Json faces = Json::array();
  auto const& layout = w.rig.layout();
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    auto const k = std::int64_t(i);
    std::vector<Canvas> cells{picture_of(before, k, width), picture_of(after, k, width)};
    if (o.mesh) cells.push_back(picture_of(mesh, k, width));
    sheet.row("seed " + std::to_string(seeds[i]), std::move(cells));
    Tensor<float> const p0 = p_w.to(cpu()), pt = wanted.to(cpu());
    std::int64_t const f = layout.size();
    Json face{{"seed", seeds[i]},
              {"unedited", human(layout, p0.data() + k * f)},
              {"wished", human(layout, pt.data() + k * f)},
              {"measured_by_F", human(layout, p_hat.data() + k * f)}};
    if (w.world.truth) {
      Tensor<float> const truth = w.world.truth->parameters(edited.rows(k, 1));
      if (truth.dim(1) == f) face["truth"] = human(layout, truth.data());
    }
    faces.push_back(std::move(face));
    if (!o.singles.empty()) {
      auto own = texts;
      own.push_back({"Picture", "seed " + std::to_string(seeds[i])});
      save_canvas(o.singles + "/seed" + std::to_string(seeds[i]) + ".png", to_canvas(after[k]), own);
    }
  }
  sheet.note(line);
  save_canvas(context.out, sheet.draw(), texts);
  if (!o.state.empty())
    save_json(o.state, {{"generator", w.world.handle.hash},
                        {"rig", w.rig_file},
                        {"seeds", o.seeds},
                        {"psi", o.psi},
                        {"wishes", line},
                        {"calibrated", edit.calibrated}});
  context.answer({{"sheet", context.out}, {"generator", w.world.handle.hash}, {"rig", w.rig_file}, {"wishes", line}, {"faces", faces}},
                 context.out + " written: " + line);
  return success;
}
}  // namespace

void add_edit(CLI::App& app, Context& context) {
  auto o = std::make_shared<EditOptions>();
  auto* verb = app.add_subcommand("edit", "Edit faces by absolute values: degrees, named expressions, light");
  o->place.add_to(*verb);
  verb->add_option("--seeds", o->seeds, "Faces to edit (default 0-3)");
  verb->add_option("--psi", o->psi, "Truncation of the seeds' codes (default 1)");
  verb->add_option("--yaw", o->yaw, "Degrees; positive turns to the right of the picture")->check(CLI::Range(-60., 60.));
  verb->add_option("--pitch", o->pitch, "Degrees; positive looks up")->check(CLI::Range(-60., 60.));
  verb->add_option("--roll", o->roll, "Degrees; positive is clockwise; done on the finished picture")->check(CLI::Range(-180., 180.));
  verb->add_option("--expression", o->expression,
                   "NAME=VALUE from 0 to 1, like jawOpen=0.6,mouthSmile_L=0.8; names as the face model has them (stylerig info "
                   "run/face.safetensors --list shows them)")
      ->allow_extra_args(false);
  verb->add_option("--light", o->light,
                   "azimuth, elevation (degrees), contrast (lamp over ambient; 0 is flat), strength, ambient, colour=R:G:B; like "
                   "azimuth=-40,contrast=0.8. Faces keep their brightness unless strength or ambient is asked for");
  verb->add_option("--set", o->set, "Raw entries by label, like illumination.12=0.1");
  auto* sweep = verb->add_option(
      "--sweep", o->sweep, "One quantity over a range, AXIS=FROM:TO:COUNT, like yaw=-30:30:7, jawOpen=0:1:5 or light.azimuth=-80:80:7");
  verb->add_option("--refine", o->refine, "Gradient steps through F after the edit (default 0)")->check(CLI::NonNegativeNumber);
  verb->add_flag("--uncalibrated", o->uncalibrated, "Ask the network for the wish itself");
  verb->add_flag("--mesh", o->mesh, "Also draw the face model with the wished parameters");
  verb->add_option("--singles", o->singles, "Folder for every edited picture on its own, full size");
  verb->add_option("--state", o->state, "File for the edit as JSON");
  for (char const* other : {"--yaw", "--pitch", "--roll", "--expression", "--light", "--set", "--mesh", "--singles", "--state"})
    verb->get_option(other)->excludes(sweep);
  verb->add_option("--width", o->width, "Width of a picture on the sheet (default: its own, from 96 to 256)")->check(CLI::Range(16, 4096));
  add_world_options(*verb, o->place.world);
  add_common(*verb, context, "edit.png", "Sheet to write");
  verb->footer(
      "\nLeft and right in names are the subject's. Every edit starts from the unedited face; what is not named stays.\n\nExamples:\n"
      "  stylerig edit ffhq.pkl --run run --seeds 0-3 --yaw 20 --expression jawOpen=0.6\n"
      "  stylerig edit ffhq.pkl --run run --light azimuth=-40,elevation=20 --mesh\n  stylerig edit ffhq.pkl --run run --sweep "
      "yaw=-30:30:7");
  verb->callback([&context, o, verb] {
    if (context.out.empty()) context.out = "edit.png";
    context.action = [&context, o, verb] { return edit(context, *o, wish_line(*verb, *o)); };
  });
}

}  // namespace program
