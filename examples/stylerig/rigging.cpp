#include "rigging.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "chart.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

void RigPlace::add_to(CLI::App& verb) {
  verb.add_option("GENERATOR", generator, generator_help)->required();
  verb.add_option("--run", run, "Folder of the run (default run)");
  verb.add_option("--name", name, "Name of the rig in the run (default rig)")->check([](std::string const& given) {
    // Files of a run that are not a rig's: face.safetensors and every NAME.checkpoint.safetensors.
    fs::path const path(given);
    bool const fine = !given.empty() && given != "face" && given.find('/') == std::string::npos && path.extension() != ".checkpoint";
    return fine ? std::string()
                : "expected a name for a file in the run, not face, without / and not ending in .checkpoint, found '" + given + "'";
  });
  verb.add_option("--face", face, "Face model, if its file has moved since train-face; another model is refused");
}

RiggedWorld load_rigged(RigPlace const& place, Context const& context) {
  auto const& run = place.run;
  RiggedWorld w{load_world(place.generator, context, place.world), {}, {}, place.file()};
  std::string const setup = run + "/setup.json";
  check(fs::exists(setup), run, ": expected the folder of a run with setup.json, as train-face writes it; found ",
        fs::exists(run) ? "no setup.json in it" : "no such folder");
  w.setup = FaceSetup::from(load_json(setup), setup);
  if (!place.face.empty()) w.setup.model = place.face;
  w.world.psi = w.setup.truncation;
  check(fs::exists(w.rig_file), w.rig_file, ": expected a rig in this run, as train-rig writes it, found no such file");
  w.rig = stylerig::load_rig(w.rig_file, w.world.handle.hash, w.setup.loss().identity(), context.target());
  return w;
}

NamedJudge choose_judge(World const& world, stylerig::TrainedReconstruction const& r, std::string const& judge_run, Device const& device) {
  stylerig::Reconstruction<float> F = r.F;  // shares its weights
  NamedJudge const itself{stylerig::judge_by(F), "F itself, which it was trained with: not a result"};
  if (!judge_run.empty()) {
    std::string const file = judge_run + "/face.safetensors";
    check(fs::exists(file), judge_run, ": expected the folder of a run with face.safetensors in it, as train-face writes it; found ",
          fs::exists(judge_run) ? "no such file in it" : "no such folder");
    if (stylerig::is_picture_reader(file))
      return {stylerig::judge_by(stylerig::load_picture_reader(file, world.handle.hash, r.face, device).F, world.handle),
              "the network in " + judge_run + ", which reads pictures"};
    auto other = stylerig::load_reconstruction(file, world.handle.hash, r.face, device).F;
    if (nn::content_hash(other) == nn::content_hash(F)) return itself;
    return {stylerig::judge_by(other), "the network in " + judge_run};
  }
  if (world.truth) {
    auto const truth = world.truth;
    if (truth->scene.layout().size() == F.outputs())
      return {[truth](Tensor<float> const& codes) { return truth->parameters(codes); }, "the known truth"};
  }
  return itself;
}

Tensor<float> fresh_codes(World const& world, std::int64_t count, std::uint64_t seed, std::uint64_t purpose) {
  stylerig::GeneratorHandle silent = world.handle;
  silent.resolution = 1;
  silent.synthesis = [](Tensor<float> const& w) { return zeros<float>({w.dim(0), 1, 1, 3}, w.device()); };
  stylerig::CorpusOptions o;
  o.count = count, o.seed = Rng(seed ^ 0x6672657368ull).split(purpose).seed(), o.picture_size = 1, o.truncation = world.psi;
  stylerig::Corpus const c = stylerig::make_corpus(silent, o);
  return c.codes(c.all_items(), world.network.device());
}

stylerig::Rig assemble(World const& world, stylerig::TrainedReconstruction const& r, std::vector<stylerig::TrainedRig> const& networks,
                       Tensor<float> const& p, NamedJudge const* calibrate, std::uint64_t seed, std::int64_t codes, int steps) {
  stylerig::Rig rig = stylerig::make_rig(r, networks, p);
  if (calibrate) stylerig::calibrate(rig, fresh_codes(world, codes, seed, purpose_calibration), calibrate->ask, steps);
  return rig;
}

Json human(stylerig::ParameterLayout const& layout, float const* p) {
  Json j;
  if (auto const* r = layout.find("rotation"); r && r->size == 3) {
    double const degrees = 57.29577951308232;
    j["yaw"] = degrees * double(p[r->offset + 1]), j["pitch"] = -degrees * double(p[r->offset]),
    j["roll"] = -degrees * double(p[r->offset + 2]);
  }
  if (auto const* d = layout.find("expression"); d && d->size > 0)
    for (std::int64_t i = 0; i < d->size; ++i)
      j["expression"][d->entries.empty() ? std::to_string(i) : d->entries[std::size_t(i)]] = p[d->offset + i];
  if (auto const* g = layout.find("illumination"); g && g->size == 27) {
    stylerig::Light const l = stylerig::read_light(p + g->offset);
    j["light"] = {{"azimuth", l.azimuth},   {"elevation", l.elevation}, {"contrast", l.contrast()},
                  {"strength", l.strength}, {"ambient", l.ambient},     {"colour", l.colour}};
  }
  return j;
}

namespace {
/// Pictures [n, h, w, 3] as canvases of one width.
std::vector<Canvas> canvases(Tensor<float> const& pictures, int width) {
  std::vector<Canvas> c;
  for (std::int64_t i = 0; i < pictures.dim(0); ++i) c.push_back(resized(to_canvas(pictures[i]), width));
  return c;
}
std::vector<Canvas> with_first(Canvas first, std::vector<Canvas> rest) {
  rest.insert(rest.begin(), std::move(first));
  return rest;
}
int shown_width(World const& world, int width) {
  return width > 0 ? width : int(std::clamp<std::int64_t>(world.handle.resolution, 96, 128));
}
}  // namespace

Sheet transfer_sheet(RiggedWorld const& w, Tensor<float> const& targets, std::vector<std::string> const& target_names,
                     Tensor<float> const& sources, std::vector<std::string> const& source_names, TransferOptions const& o, Json& numbers) {
  std::int64_t const t = targets.dim(0), s = sources.dim(0);
  int const width = shown_width(w.world, o.width);
  std::vector<Canvas> const source_pictures = canvases(w.world.pictures(sources), width),
                            target_pictures = canvases(w.world.pictures(targets), width);
  Sheet sheet("stylerig transfer");
  std::vector<std::string> columns{"target"};
  columns.insert(columns.end(), source_names.begin(), source_names.end());
  sheet.columns(columns);
  sheet.row("source", with_first(Canvas(), source_pictures));
  numbers["cells"] = Json::array();

  auto block = [&](std::string const& name, auto&& edited) {
    for (std::int64_t i = 0; i < t; ++i) {
      Tensor<float> const codes = edited(i), p = w.rig.measure(codes).to(cpu());
      sheet.row(name, with_first(target_pictures[std::size_t(i)], canvases(w.world.pictures(codes), width)),
                {target_names[std::size_t(i)]});
      for (std::int64_t k = 0; k < s; ++k)
        numbers["cells"].push_back({{"edit", name},
                                    {"target", target_names[std::size_t(i)]},
                                    {"source", source_names[std::size_t(k)]},
                                    {"measured_by_F", human(w.rig.layout(), p.data() + k * p.dim(1))}});
    }
  };
  auto repeated = [&](std::int64_t i) { return broadcast_to(Var<float>(targets.rows(i, 1)), sources.shape()).value(); };
  if (!o.entries.empty())
    block(join(o.entries, "+"), [&](std::int64_t i) { return stylerig::transfer_entries(w.rig, repeated(i), sources, o.entries, o.edit); });
  for (stylerig::Control const c : o.controls)
    block(stylerig::to_string(c), [&](std::int64_t i) { return stylerig::transfer(w.rig, repeated(i), sources, c, o.edit); });
  if (o.mix_layers) {
    for (auto const& r : stylerig::row_ranges(w.world.network.row_names()))
      block(str(r.name, " rows ", r.first, "-", r.last - 1),
            [&](std::int64_t i) { return stylerig::mix_layers(repeated(i), sources, r.first, r.last); });
  }
  sheet.note("each row: the target with the named things taken from the source of the column");
  return sheet;
}

namespace {
/// The number of human() that a wish for `axis` is about; NaN if there is none, as for roll: the picture is turned, not the code.
double measured(Json const& h, std::string const& axis) {
  if (axis == "roll") return std::nan("");
  for (auto const& [group, prefix] : {std::pair{"", ""}, std::pair{"light", "light."}, std::pair{"expression", ""}}) {
    if (axis.rfind(prefix, 0) != 0) continue;
    Json const& there = *group ? h.value(group, Json::object()) : h;
    std::string const name = axis.substr(std::string(prefix).size());
    if (there.contains(name) && there[name].is_number()) return there[name];
  }
  return std::nan("");
}
}  // namespace

std::optional<std::pair<double, double>> attainable(stylerig::Rig const& rig, std::string const& axis) {
  auto const* c = axis.rfind("light.", 0) == 0 ? rig.calibration("light " + axis.substr(6)) : rig.calibration(axis);
  if (!c) c = rig.calibration("expression." + axis);
  if (!c || !c->achieved) return {};
  auto const reached = c->achieved.host();
  return std::pair{double(reached.front()), double(reached.back())};
}

Sheet sweep_sheet(RiggedWorld const& w, Tensor<float> const& codes, std::vector<std::string> const& names, std::string const& axis,
                  std::vector<double> const& values, stylerig::EditOptions const& o, int width, Json& numbers) {
  Sheet sheet("stylerig edit: " + axis);
  std::vector<std::string> columns{"unedited"};
  for (double v : values) columns.push_back(number(v));
  sheet.columns(columns);
  int const shown = shown_width(w.world, width);
  std::vector<std::vector<Canvas>> rows;
  std::vector<std::vector<std::string>> captions;
  // What F reads from row i of p, below its picture.
  auto caption = [&](Tensor<float> const& p, std::size_t i) {
    double const v = measured(human(w.rig.layout(), p.data() + std::int64_t(i) * p.dim(1)), axis);
    captions[i].push_back(std::isfinite(v) ? number(v, 3) : "");
  };
  Tensor<float> const unedited = w.rig.measure(codes).to(cpu());
  for (auto const& c : canvases(w.world.pictures(codes), shown)) {
    rows.push_back({c}), captions.emplace_back();
    caption(unedited, rows.size() - 1);
  }
  for (double v : values) {
    stylerig::Wishes const wishes = stylerig::parse_wishes(axis + "=" + number(v, 9));
    Tensor<float> const edited = w.rig.edit(codes, wishes, o), p = w.rig.measure(edited).to(cpu());
    Tensor<float> pictures = w.world.pictures(edited);
    if (wishes.roll) pictures = stylerig::roll_picture(pictures, *wishes.roll);
    auto const c = canvases(pictures, shown);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      rows[i].push_back(c[i]);
      caption(p, i);
      numbers["cells"].push_back({{"code", names[i]},
                                  {"axis", axis},
                                  {"requested", v},
                                  {"measured_by_F", human(w.rig.layout(), p.data() + std::int64_t(i) * p.dim(1))}});
    }
  }
  for (std::size_t i = 0; i < rows.size(); ++i) sheet.row(names[i], std::move(rows[i]), std::move(captions[i]));
  std::string note = "above: what is asked for";
  if (axis != "roll") note += "; below each picture: what F reads there";
  auto const [least, most] = std::minmax_element(values.begin(), values.end());
  if (auto const range = o.calibrated ? attainable(w.rig, axis) : std::nullopt; range && (*least < range->first || *most > range->second))
    note += str("; what can be attained is ", number(range->first, 3), " to ", number(range->second, 3));
  sheet.note(note);
  return sheet;
}

}  // namespace program
