// stylerig train-gan PICTURES: a StyleGAN2 trained from nothing on a folder or an archive of pictures.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>

#include "chart.hpp"
#include "lock.hpp"
#include "picture_report.hpp"
#include "rig/gan/start.hpp"
#include "rig/gan/training.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "rig/train/config.hpp"
#include "rig/train/resume.hpp"
#include "run.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct TrainGanOptions {
  std::string pictures, run = "gan", start, augment = "bgc";
  gan::GanTraining training;
  std::int64_t resolution = 64, batch = 0, columns = 10, rows = 6;
  double checkpoint_kimg = 2, snapshot_kimg = 10;
  bool fresh = false;
};

/// The pictures shown before a sheet, if this is the name of one: nine digits or more.
std::optional<std::int64_t> sheet_number(fs::path const& file) {
  std::string const stem = file.stem().string();
  std::int64_t shown = 0;
  auto const [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), shown);
  if (file.extension() != ".png" || stem.size() < 9 || stem[0] == '-' || error != std::errc() || end != stem.data() + stem.size())
    return {};
  return shown;
}

/// The folder of a run and what is written into it.
class GanRun {
 public:
  GanRun(Context const& context, TrainGanOptions const& o, gan::PictureSet const& pictures, train::Log& log)
      : context_(context), o_(o), pictures_(pictures), log_(log) {
    Rng rng = Rng(o.training.seed).split(0x5a3e);
    latents_ = randn<float>({o.columns * o.rows, o.training.z_dim}, rng);
  }
  std::string file(std::string const& name) const { return o_.run + "/" + name; }

  /// Sheets of the fixed latents at truncation 1 and 0.7, the networks, and the page.
  void snapshot(gan::Gan& g, std::int64_t iteration) {
    std::int64_t const shown = iteration * o_.training.batch;
    double const kimg = double(shown) / 1000;
    std::string const digits = std::to_string(shown),
                      name = "samples/" + std::string(9 - std::min<std::size_t>(9, digits.size()), '0') + digits + ".png";
    write_sheet(g.average, 1, name, kimg);
    sheets_.erase(sheets_.upper_bound(shown), sheets_.end());  // of a later state, that was lost
    sheets_[shown] = name;
    write_real();
    if (iteration == 0) return;
    remove_other_sheets();
    write_sheet(g.average, 0.7, "samples-0.7.png", kimg);
    io::Metadata const origin{{"command", context_.command}, {"pictures", pictures_.hash()}, {"kimg", str(kimg)}};
    nn::save_stylegan2(file("generator.safetensors"), g.average, origin);
    nn::save_discriminator(file("discriminator.safetensors"), g.discriminator, origin);
    report(kimg);
  }
  /// The sheets that an earlier part of the run left.
  void find_sheets() {
    for (auto const& e : fs::directory_iterator(file("samples")))
      if (auto const shown = sheet_number(e.path())) sheets_[*shown] = "samples/" + e.path().filename().string();
  }
  Json numbers(double kimg) const {
    Json options = Json::object(), last = Json::object();
    for (auto const& [k, v] : train::to_settings(o_.training)) options[k] = v;
    for (auto const& c : log_.curves()) last[c] = log_.last(c);
    return {{"command", context_.command},
            {"kimg", kimg},
            {"pictures", pictures_.size()},
            {"pictures_hash", pictures_.hash()},
            {"skipped", skipped_json(pictures_)},
            {"ignored", pictures_.ignored},
            {"options", options},
            {"last", last}};
  }

 private:
  /// Those of a state that was lost, and of the run whose place a fresh one has taken.
  void remove_other_sheets() const {
    std::vector<fs::path> others;
    for (auto const& e : fs::directory_iterator(file("samples")))
      if (auto const shown = sheet_number(e.path()); shown && !sheets_.count(*shown)) others.push_back(e.path());
    for (auto const& p : others) fs::remove(p);
  }
  void write_sheet(nn::StyleGAN2<float> const& g, double psi, std::string const& name, double kimg) const {
    save(g(Var<float>(latents_.to(g.device())), {}, {.psi = psi}, {.noise = nn::Noise::stored}).value(), name,
         {{"Kimg", str(kimg)}, {"Truncation", str(psi)}});
  }
  void write_real() const {
    std::vector<int> items;
    Rng rng = Rng(o_.training.seed).split(0x4ea1);
    for (std::int64_t i = 0; i < o_.columns * o_.rows; ++i) items.push_back(int(rng.below(pictures_.size())));
    save(pictures_.batch(items), "real.png", {{"Pictures", pictures_.hash()}});
  }
  void save(Tensor<float> const& pictures, std::string const& name, io::Texts texts) const {
    make_folder_of(file(name));
    io::save_png(file(name), io::tile(io::from_signed(pictures.to(cpu())), o_.columns), provenance(context_, std::move(texts)));
  }
  void report(double kimg) const {
    Report page("A StyleGAN2 trained from nothing", str(kimg, " thousand pictures shown, out of ", pictures_.size(),
                                                        o_.training.mirror ? " and their mirror images" : "", "."));
    page.command(context_.command);
    page.heading("Samples");
    page.paragraph("Unchosen: the same latents in every sheet, from the moving average of the generator.");
    page.picture(file("samples-0.7.png"), "truncation 0.7");
    std::size_t const most = 6;
    for (std::size_t k = 0; k < std::min(most, sheets_.size()); ++k) {
      auto const& [shown, name] =
          *std::next(sheets_.begin(), std::ptrdiff_t(sheets_.size() <= most ? k : k * (sheets_.size() - 1) / (most - 1)));
      page.picture(file(name), str("truncation 1, after ", double(shown) / 1000, " thousand pictures"));
    }
    page.picture(file("real.png"), "some of the real pictures");
    page.heading("Curves");
    auto curves = [&](std::vector<std::string> const& names, std::string const& title, bool log_y = false) {
      std::vector<Series> list;
      for (auto const& n : names) {
        Series s{n, {}, {}};
        for (auto const& [step, value] : log_.curve(n)) s.x.push_back(double(step * o_.training.batch) / 1000), s.y.push_back(value);
        if (!s.x.empty()) list.push_back(std::move(s));
      }
      return line_chart(list, {.title = title, .x_label = "thousand pictures", .log_y = log_y});
    };
    page.charts({curves({"generator loss", "discriminator loss"}, "Losses"),
                 curves({"score of real", "score of generated"}, "Scores (logits)"), curves({"r1"}, "R1 penalty", true),
                 curves({"augmentation", "sign of real"}, "Strength of the augmentation"), curves({"path length"}, "Path length"),
                 curves({"pictures per second"}, "Pictures per second"), curves({"memory, MB"}, "Peak memory, MB")});
    page.heading("Settings");
    std::vector<std::vector<std::string>> rows;
    for (auto const& [k, v] : train::to_settings(o_.training)) rows.push_back({k, v});
    page.table({"option", "value"}, rows);
    report_skipped(page, pictures_);
    log_.write_csv(file("curves.csv"));
    page.save(file("report.html"), file("report.json"), numbers(kimg));
  }

  Context const& context_;
  TrainGanOptions const& o_;
  gan::PictureSet const& pictures_;
  train::Log& log_;
  Tensor<float> latents_;
  std::map<std::int64_t, std::string> sheets_;  // by the number of pictures shown
};

/// Everything that can be refused without the pictures, which may be many.
void check_before_reading(Context const& context, TrainGanOptions const& o, std::string const& checkpoint) {
  if (fs::exists(checkpoint)) {
    io::Metadata const there = io::load_metadata(checkpoint);
    train::check_same_run(checkpoint, there, {{"kind", "rig gan run"}});
    bool const started = !io::find_metadata(there, "started_from").empty();
    if (!o.fresh && started != !o.start.empty())
      throw train::OtherRun(str(checkpoint, ": was made by another run: it was begun ",
                                started ? "with --start; give that again" : "with new networks, here --start is " + o.start));
  }
  // Before its first checkpoint a run has written one sheet.
  std::vector<std::string> results{"generator.safetensors", "discriminator.safetensors", "report.html", "report.json", "curves.csv"};
  std::string const samples = o.run + "/samples";
  if (fs::is_directory(samples) && std::any_of(fs::directory_iterator(samples), {}, [](auto& e) { return sheet_number(e.path()) != 0; }))
    results.push_back("samples");
  check_no_results(o.run, "rig gan run", results, "and no checkpoint of train-gan with it; expected a folder of its own for --run");
  if (o.start.empty()) return;
  std::error_code ignored;
  check(!o.fresh || !fs::equivalent(o.start, checkpoint, ignored), "--start ", o.start, ": is the checkpoint that --fresh replaces; name ",
        "another --run");
  gan::Gan networks = gan::new_networks(o.training, context.target());
  gan::start_from(networks, o.start);
}

int train(Context const& context, TrainGanOptions const& o) {
  gan::GanTraining const& t = o.training;
  as_usage([&] { t.check_settings(); });
  std::string const checkpoint = o.run + "/checkpoint.safetensors", samples = o.run + "/samples";
  check_apart("--run", o.run, o.pictures, samples);
  OutputFolder const folder(o.run);
  FolderLock const lock(o.run);
  check_before_reading(context, o, checkpoint);
  gan::PictureSet const pictures = [&] {
    auto told = context.progress("read pictures");
    return gan::load_pictures(o.pictures, t.resolution, context.stop, [&](std::int64_t done, std::int64_t n) { told(done, n, {}); });
  }();
  if (train::stop_asked(context.stop)) return context.stopped("nothing is written; the same command starts again");
  std::string const left_out =
      pictures.skipped.empty()
          ? ""
          : str(pictures.skipped.size(), " files were left out, the first: ", pictures.skipped[0].name, ": ", pictures.skipped[0].why);
  note(str(pictures.size(), " pictures", pictures.ignored ? str(", ", pictures.ignored, " files of other kinds") : "",
           left_out.empty() ? "" : "; ", left_out));
  OutputFolder const sheets(samples);
  train::Log log;
  GanRun run(context, o, pictures, log);
  if (!o.fresh) run.find_sheets();

  auto every = [&](double kimg) { return std::int64_t(std::clamp(std::round(kimg * 1000 / double(t.batch)), 1.0, 1e15)); };
  gan::GanHooks hooks;
  hooks.stop = context.stop, hooks.log = &log, hooks.checkpoint = checkpoint, hooks.start = o.start;
  hooks.fresh = o.fresh, hooks.note = note;
  hooks.checkpoint_every = every(o.checkpoint_kimg), hooks.snapshot_every = every(o.snapshot_kimg);
  hooks.log_every = std::max<std::int64_t>(1, std::min<std::int64_t>(hooks.checkpoint_every, every(0.5)));
  hooks.checkpoint_every = (hooks.checkpoint_every + hooks.log_every - 1) / hooks.log_every * hooks.log_every;
  hooks.snapshot = [&](gan::Gan& g, std::int64_t iteration) { run.snapshot(g, iteration); };
  auto told = context.progress("train gan");
  auto began = std::chrono::steady_clock::now();
  std::int64_t before = -1;
  hooks.progress = [&](std::int64_t done, std::int64_t total, std::string const&) {
    std::string note;
    if (before < 0) before = done - 1;
    if (done % hooks.log_every == 0 || done == total) {
      auto const now = std::chrono::steady_clock::now();
      double const rate = double((done - before) * t.batch) / std::chrono::duration<double>(now - began).count();
      began = now, before = done;
      log.add("pictures per second", done, rate);
      Device const device = context.target();
      log.add("memory, MB", done, (device.is_cpu() ? double(peak_memory()) : double(device.queue().memory().peak)) / 1048576);
      note =
          str("G ", number(log.last("generator loss")), "  D ", number(log.last("discriminator loss")), "  ", number(rate), " pictures/s");
    }
    told(done, total, note);
  };
  gan::TrainedGan const result = gan::train_gan(pictures, t, hooks, context.target());
  double const kimg = double(result.iterations * t.batch) / 1000;
  if (!result.finished) return context.stopped(str(kimg, " of ", t.kimg, " thousand pictures are in ", checkpoint, "; ", go_on(o.fresh)));
  Json answer = run.numbers(kimg);
  answer["generator"] = run.file("generator.safetensors"), answer["report"] = run.file("report.html");
  context.answer(answer, str(run.file("generator.safetensors"), " written after ", kimg, " thousand pictures; see ",
                             run.file("report.html"), left_out.empty() ? "" : "\n", left_out));
  return success;
}
}  // namespace

void add_train_gan(CLI::App& app, Context& context) {
  auto o = std::make_shared<TrainGanOptions>();
  auto given = std::make_shared<gan::GanTraining>();
  auto* verb = app.add_subcommand("train-gan", "Train a StyleGAN2 from nothing on pictures of one kind");
  verb->add_option("PICTURES", o->pictures,
                   "Folder or zip archive of PNG and JPEG pictures; the middle square of each is made smaller by area, as it is stored: "
                   "an orientation in EXIF is not followed")
      ->required();
  verb->add_option("--run", o->run, "Folder of the run to write (default gan)");
  verb->add_option("--resolution", o->resolution, "Side of the pictures, a power of two (default 64)")->check(CLI::Range(8, 1024));
  verb->add_option("--batch", o->batch, "Pictures an iteration (default 4096 / resolution, at most 32)")->check(CLI::PositiveNumber);
  verb->add_option("--kimg", given->kimg, "Length in thousands of real pictures shown (default 25000); may be raised later")
      ->check(CLI::PositiveNumber);
  verb->add_flag("--mirror", given->mirror, "Show the mirror images too");
  auto from_zero = [&](char const* name, auto& value, char const* help) {
    return verb->add_option(name, value, help)->check(CLI::NonNegativeNumber);
  };
  auto above_zero = [&](char const* name, auto& value, char const* help) {
    return verb->add_option(name, value, help)->check(CLI::PositiveNumber);
  };
  auto share = [&](char const* name, auto& value, char const* help) {
    return verb->add_option(name, value, help)->check(CLI::Range(0., 1.));
  };
  above_zero("--latent", given->z_dim, "Numbers in z (default 512)");
  above_zero("--code", given->w_dim, "Numbers in w (default 512)");
  above_zero("--mapping-layers", given->mapping_layers, "Layers from z to w (default 2)");
  above_zero("--channel-base", given->channel_base, "Channels times resolution (default: 64 channels at the largest resolution)");
  above_zero("--channel-max", given->channel_max, "Most channels (default 512)");
  above_zero("--rate", given->losses.rate, "Learning rate (default 0.0025; 0.002 from 1024 pixels on)");
  from_zero("--gamma", given->losses.gamma, "Weight of R1 (default 0.0002 resolution^2 / batch)");
  above_zero("--r1-interval", given->losses.r1_interval, "Iterations between R1 phases (default 16)");
  from_zero("--path-weight", given->losses.path_weight, "Weight of path length regularisation, 0 for none (default 2)");
  above_zero("--path-interval", given->losses.path_interval, "Iterations between path length phases (default 4)");
  share("--mixing", given->mixing, "Probability of codes from two latents (default 0.9)");
  from_zero("--average-kimg", given->losses.average_kimg,
            "Half-life of the generator's moving average, thousand pictures (default 10/32 batch)");
  verb->add_option("--augment", o->augment,
                   "What the discriminator sees is changed by: none, blit (mirrored, turned and moved whole), bg (and geometry), bgc (and "
                   "colour) (default bgc)")
      ->check(CLI::IsMember({"none", "blit", "bg", "bgc"}));
  std::vector<CLI::Option*> const following{
      share("--augment-start", given->first_strength, "Where a strength that follows the discriminator starts (default 0)"),
      share("--augment-target", given->adaptive.target, "Mean sign of the scores of real pictures that it is to hold (default 0.6)"),
      above_zero("--augment-kimg", given->adaptive.kimg, "Thousand pictures in which it can go from 0 to 1 (default 500)")};
  auto* const fixed = share("--augment-p", given->strength, "Its strength, fixed (default: follows the discriminator)");
  for (CLI::Option* option : following) fixed->excludes(option);
  verb->add_option(
      "--start", o->start,
      "Networks of the same shapes to start from: the checkpoint of another run, an official pickle, or GENERATOR,DISCRIMINATOR. The "
      "moving average then has its full half-life from the first iteration on");
  from_zero("--checkpoint-kimg", o->checkpoint_kimg, "Thousand pictures between checkpoints (default 2)");
  from_zero("--snapshot-kimg", o->snapshot_kimg, "Thousand pictures between sheets and written networks (default 10)");
  verb->add_flag("--fresh", o->fresh, "Start anew even if there is a checkpoint");
  add_common(*verb, context);
  verb->footer(
      "\nCtrl-C finishes the iteration and writes the checkpoint; the same command goes on from it, to the same bits. The folder of the\n"
      "run gets generator.safetensors (the moving average), discriminator.safetensors, sheets, curves and report.html.\n\nExamples:\n"
      "  stylerig train-gan portraits --run gan --mirror --kimg 1000\n"
      "  stylerig sample gan/generator.safetensors --seeds 0-31 --psi 0.7");
  verb->callback([&context, o, given, verb] {
    context.action = [&context, o, given, verb] {
      for (char const* option : {"--augment-p", "--augment-start", "--augment-target", "--augment-kimg"})
        if (o->augment == "none" && verb->count(option))
          throw Usage(str(option, ": expected a strength for pictures that are changed, found --augment none"));
      gan::GanTraining t = verb->count("--batch") ? gan::GanTraining::for_resolution(o->resolution, o->batch)
                                                  : gan::GanTraining::for_resolution(o->resolution);
      gan::GanTraining const& g = *given;
      auto take = [&](char const* name, auto& value, auto const& wanted) {
        if (verb->count(name)) value = wanted;
      };
      take("--kimg", t.kimg, g.kimg), take("--mirror", t.mirror, g.mirror), take("--mixing", t.mixing, g.mixing);
      take("--latent", t.z_dim, g.z_dim), take("--code", t.w_dim, g.w_dim), take("--mapping-layers", t.mapping_layers, g.mapping_layers);
      take("--channel-base", t.channel_base, g.channel_base), take("--channel-max", t.channel_max, g.channel_max);
      take("--rate", t.losses.rate, g.losses.rate), take("--gamma", t.losses.gamma, g.losses.gamma);
      take("--r1-interval", t.losses.r1_interval, g.losses.r1_interval);
      take("--path-weight", t.losses.path_weight, g.losses.path_weight);
      take("--path-interval", t.losses.path_interval, g.losses.path_interval);
      take("--average-kimg", t.losses.average_kimg, g.losses.average_kimg);
      t.augment = nn::augment_preset(o->augment);
      take("--augment-p", t.strength, g.strength), take("--augment-start", t.first_strength, g.first_strength);
      take("--augment-target", t.adaptive.target, g.adaptive.target), take("--augment-kimg", t.adaptive.kimg, g.adaptive.kimg);
      if (!o->start.empty()) t.losses.average_ramp = 0;  // the average that is taken over is a good one
      t.seed = context.seed;
      o->training = t;
      return with_fresh([&] { return train(context, *o); });
    };
  });
}

}  // namespace program
