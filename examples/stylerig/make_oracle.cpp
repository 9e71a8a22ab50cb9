// stylerig make-oracle: a small StyleGAN2 whose pictures show the built-in face, and whose truth is known.
#include <filesystem>

#include "lock.hpp"
#include "rig/stylerig/oracle_fit.hpp"
#include "run.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct MakeOracleOptions {
  stylerig::OracleFitOptions fit;
  bool fresh = false;
};

int make(Context const& context, MakeOracleOptions& options) {
  stylerig::OracleFitOptions& o = options.fit;
  std::string const generator = context.out + "/generator.safetensors", truth = context.out + "/truth.safetensors";
  o.checkpoint = context.out + "/checkpoint.safetensors";
  o.world.rows = nn::rows_for_resolution(o.resolution);
  o.device = context.target();
  OutputFolder const folder(context.out);
  FolderLock const lock(context.out);
  if (options.fresh) fs::remove(o.checkpoint);
  // A finished fit leaves no checkpoint: the command would begin anew and write over its result.
  if (!options.fresh)
    check_no_results(context.out, "rig oracle fit", {"generator.safetensors"},
                     "from a fit that was finished; --fresh makes another in its place");
  train::Log log;
  stylerig::OracleWorld world = stylerig::fit_oracle(o, log, context.stop);
  if (train::stop_asked(context.stop))
    return context.stopped(fs::exists(o.checkpoint) ? o.checkpoint + " is written; " + go_on(options.fresh)
                                                    : "nothing is written; the same command starts again");
  nn::save_stylegan2(generator, world.generator, {{"command", context.command}, {"psnr", str(world.psnr)}});
  nn::StyleGAN2<float> written = nn::load_stylegan2(generator);
  std::string const hash = nn::content_hash(written);
  save_truth(truth, world.truth, o.world, hash);
  log.write_csv(context.out + "/fit.csv");
  fs::remove(o.checkpoint);
  fs::remove(o.checkpoint + ".log.jsonl");
  std::int64_t const weights = nn::parameter_count(world.generator);
  context.answer({{"generator", generator}, {"hash", hash}, {"weights", weights}, {"psnr", world.psnr}},
                 str(generator, ": ", weights, " weights, ", world.psnr, " dB on ", o.held_out, " held-out pictures"));
  return success;
}
}  // namespace

void add_make_oracle(CLI::App& app, Context& context) {
  auto options = std::make_shared<MakeOracleOptions>();
  stylerig::OracleFitOptions* const o = &options->fit;
  auto* verb = app.add_subcommand("make-oracle",
                                  "Fit a StyleGAN2 to pictures of the built-in face, whose parameters are a known function of the code");
  verb->add_option("--pictures", o->pictures, str("Pictures drawn to learn from (default ", o->pictures, ")"))->check(CLI::PositiveNumber);
  verb->add_option("--held-out", o->held_out, str("More of them, never trained on (default ", o->held_out, ")"))
      ->check(CLI::PositiveNumber);
  verb->add_option("--steps", o->steps, str("Steps (default ", o->steps, ")"))->check(CLI::PositiveNumber);
  verb->add_option("--batch", o->batch, str("Pictures a step (default ", o->batch, ")"))->check(CLI::PositiveNumber);
  verb->add_option("--rate", o->rate, str("Learning rate (default ", o->rate, ")"))->check(CLI::PositiveNumber);
  verb->add_option("--resolution", o->resolution, str("Side of the pictures, a power of two (default ", o->resolution, ")"))
      ->check(CLI::PositiveNumber);
  verb->add_option("--channel-base", o->channel_base, str("Channels times resolution (default ", o->channel_base, ")"))
      ->check(CLI::PositiveNumber);
  verb->add_option("--channel-max", o->channel_max, str("Most channels (default ", o->channel_max, ")"))->check(CLI::PositiveNumber);
  verb->add_option("--width", o->world.width, str("Numbers in a row of the code (default ", o->world.width, ")"))
      ->check(CLI::PositiveNumber);
  verb->add_option("--vertices", o->world.vertices, str("Vertices of the face (default ", o->world.vertices, ")"))
      ->check(CLI::PositiveNumber);
  verb->add_option("--hair-vertices", o->world.hair_vertices, str("Vertices of the hair (default ", o->world.hair_vertices, ")"))
      ->check(CLI::PositiveNumber);
  verb->add_option("--world-seed", o->world.seed, str("Seed of the truth (default ", o->world.seed, "); --seed is that of the fit"));
  verb->add_option("--checkpoint-every", o->check_every, str("Steps between checkpoints (default ", o->check_every, ")"))
      ->check(CLI::PositiveNumber);
  verb->add_flag("--fresh", options->fresh, "Start anew even if there is a checkpoint or a finished generator");
  add_common(*verb, context, "oracle", "Folder for generator.safetensors and truth.safetensors");
  verb->get_option("--seed")->description(str("Seed of the fit (default ", o->seed, ")"));
  verb->footer(
      "\nNothing adversarial is needed: the right picture of every code is known. Ctrl-C finishes the step and writes the checkpoint; the\n"
      "same command goes on from it.\n\nExample (the generator in the repository):\n  stylerig make-oracle --out data/oracle --seed 5");
  verb->callback([&context, options, verb] {
    if (context.out.empty()) context.out = "oracle";
    if (verb->count("--seed")) options->fit.seed = context.seed;
    context.action = [&context, options] { return with_fresh([&] { return make(context, *options); }); };
  });
}

}  // namespace program
