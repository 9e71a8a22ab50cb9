// stylerig sample GENERATOR: pictures of seeds, truncated or mixed, as a sheet.
#include <algorithm>
#include <filesystem>

#include "program.hpp"
#include "rig/io/atomic_file.hpp"
#include "watch.hpp"

namespace program {
using namespace rig;

namespace {
struct SampleOptions {
  std::string generator, seeds = "0-15", psi = "1", mix_with, singles;
  int cutoff = -1, columns = 0, width = 0;
  std::int64_t cut = 4;
  WorldOptions world;
};

/// Only a file says how many rows there are; what none could make right is a wrong command line.
void check_row(std::string const& option, std::int64_t row, std::int64_t first, std::int64_t last) {
  std::string const said = str(option, ": expected a row from ", first, " to ", last, ", found ", row);
  if (row < first) throw Usage(said);
  check(row <= last, said);
}

int sample(Context const& context, SampleOptions const& o) {
  auto const seeds = seed_list(o.seeds, "--seeds");
  auto const psi = number_list(o.psi, "--psi");
  auto const others = o.mix_with.empty() ? std::vector<std::uint32_t>{} : seed_list(o.mix_with, "--mix-with");
  if (psi.size() > 1 && !others.empty()) throw Usage("--psi: expected one number with --mix-with, found " + o.psi);
  if (psi.size() > 1 && o.columns > 0) throw Usage("--columns: is for one --psi; several make a column each");
  check_picture_name(context.out);
  check_output(context.out, {o.generator, o.world.truth});
  World world = load_world(o.generator, context, o.world);
  check_row("--cutoff", o.cutoff, -1, world.handle.rows);
  if (!others.empty()) check_row("--cut", o.cut, 1, world.handle.rows - 1);
  make_folder_of(context.out);
  watch_pictures(world, context, "sample", seeds.size() * std::max({others.size(), psi.size(), std::size_t(1)}));

  int const width = o.width > 0 ? o.width : int(std::clamp<std::int64_t>(world.handle.resolution, 64, 256));
  auto picture = [&](Tensor<float> const& code, std::string const& name) {
    Canvas c = to_canvas(world.pictures(code));
    if (!o.singles.empty()) {
      auto texts = provenance(context, world.texts());
      texts.push_back({"Picture", name});
      save_canvas(o.singles + "/" + name + ".png", c, texts);
    }
    return resized(c, width);
  };
  Sheet sheet("stylerig sample");
  Json pictures = Json::array();
  if (!others.empty()) {
    // Rows below the cut, pose and shape, come from the seed of the column; the finer ones from the seed of the row.
    std::vector<std::string> labels;
    Tensor<float> const coarse = world.codes(seeds, {psi[0], o.cutoff}), fine = world.codes(others, {psi[0], o.cutoff});
    for (auto s : seeds) labels.push_back("seed " + std::to_string(s));
    sheet.columns(labels);
    for (std::size_t r = 0; r < others.size(); ++r) {
      std::vector<Canvas> cells;
      for (std::size_t c = 0; c < seeds.size(); ++c) {
        Var<float> const mixed = nn::mix(Var<float>(coarse.rows(std::int64_t(c), 1)), Var<float>(fine.rows(std::int64_t(r), 1)), o.cut);
        std::string const name = "mix" + std::to_string(seeds[c]) + "-" + std::to_string(others[r]);
        cells.push_back(picture(mixed.value(), name));
        pictures.push_back({{"coarse", seeds[c]}, {"fine", others[r]}, {"cut", o.cut}});
      }
      sheet.row("seed " + std::to_string(others[r]), std::move(cells));
    }
    sheet.note(str("rows 0 to ", o.cut - 1, " from the column's seed, ", o.cut, " to ", world.handle.rows - 1, " from the row's"));
  } else if (psi.size() > 1) {
    std::vector<std::string> labels;
    for (double p : psi) labels.push_back(str("psi ", p));
    sheet.columns(labels);
    for (auto seed : seeds) {
      std::vector<Canvas> cells;
      for (double p : psi) {
        cells.push_back(picture(world.codes({seed}, {p, o.cutoff}), str("seed", seed, "_psi", p)));
        pictures.push_back({{"seed", seed}, {"psi", p}});
      }
      sheet.row("seed " + std::to_string(seed), std::move(cells));
    }
  } else {
    int const columns = o.columns > 0 ? o.columns : int(std::min<std::size_t>(8, seeds.size()));
    for (std::size_t i = 0; i < seeds.size(); i += std::size_t(columns)) {
      std::vector<Canvas> cells;
      std::vector<std::string> captions;
      for (std::size_t k = i; k < std::min(seeds.size(), i + std::size_t(columns)); ++k) {
        cells.push_back(picture(world.codes({seeds[k]}, {psi[0], o.cutoff}), "seed" + std::to_string(seeds[k])));
        captions.push_back("seed " + std::to_string(seeds[k]));
        pictures.push_back({{"seed", seeds[k]}, {"psi", psi[0]}});
      }
      sheet.row("", std::move(cells), std::move(captions));
    }
  }
  auto const rows = world.network.row_names();
  auto count = [&](char const* name) { return std::count(rows.begin(), rows.end(), name); };
  sheet.note(str(rows.size(), " rows: ", count("coarse"), " coarse, ", count("medium"), " medium, ", count("fine"), " fine"));
  sheet.note("generator " + world.handle.hash + (others.empty() && psi.size() > 1 ? "" : str(", psi ", psi[0])));
  auto texts = provenance(context, world.texts());
  texts.push_back({"Seeds", o.seeds});
  texts.push_back({"Truncation", o.psi});
  save_canvas(context.out, sheet.draw(), texts);
  context.answer({{"sheet", context.out}, {"generator", world.handle.hash}, {"pictures", pictures}}, context.out + " written");
  return success;
}
}  // namespace

void add_sample(CLI::App& app, Context& context) {
  auto o = std::make_shared<SampleOptions>();
  auto* verb = app.add_subcommand("sample", "Draw pictures of seeds: a sheet, truncated or mixed");
  verb->add_option("GENERATOR", o->generator, generator_help)->required();
  verb->add_option("--seeds", o->seeds, "Seeds, as the official scripts number them (default 0-15)");
  verb->add_option("--psi", o->psi, "Truncation; several make a column each (default 1)");
  verb->add_option("--cutoff", o->cutoff, "Truncate only rows below this one; -1 for all (default -1)");
  auto* mix_with = verb->add_option("--mix-with", o->mix_with, "Seeds whose finer rows are mixed in, a sheet row each");
  verb->add_option("--cut", o->cut, "First row that comes from --mix-with (default 4)")->needs(mix_with);
  verb->add_option("--columns", o->columns, "Pictures side by side (default up to 8)")->check(CLI::Range(1, 1000))->excludes(mix_with);
  verb->add_option("--width", o->width, "Width of a picture on the sheet (default: its own, from 64 to 256)")->check(CLI::Range(16, 4096));
  verb->add_option("--singles", o->singles, "Folder for every picture on its own, full size");
  add_world_options(*verb, o->world);
  add_common(*verb, context, "sample.png", "Sheet to write");
  verb->footer(
      "\nExamples:\n  stylerig sample ffhq.pkl --seeds 85,265,297 --psi 0.7\n  stylerig sample ffhq.pkl --seeds 0-3 --psi 0,0.35,0.7,1\n"
      "  stylerig sample ffhq.pkl --seeds 0-5 --mix-with 10-13 --cut 4");
  verb->callback([&context, o] {
    if (context.out.empty()) context.out = "sample.png";
    context.action = [&context, o] { return sample(context, *o); };
  });
}

}  // namespace program
