// stylerig make-oracle: a small StyleGAN2 whose pictures show the built-in face, and whose truth is known.
#include <filesystem>

#include "rig/stylerig/oracle_fit.hpp"
#include "world.hpp"

namespace program {
using namespace rig;

void add_make_oracle(CLI::App& app, Context& context) {
  auto o = std::make_shared<stylerig::OracleFitOptions>();
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
  add_common(*verb, context, "oracle", "Folder for generator.safetensors and truth.safetensors");
  verb->footer(
      "\nNothing adversarial is needed: the right picture of every code is known. Ctrl-C finishes the step and writes the checkpoint; the\n"
      "same command goes on from it.\n\nExample (the generator in the repository):\n  stylerig make-oracle --out data/oracle --seed 5");
  verb->callback([&context, o, verb] {
    if (context.out.empty()) context.out = "oracle";
    if (verb->count("--seed")) o->seed = context.seed;
    context.action = [&context, o] {
      o->world.rows = nn::rows_for_resolution(o->resolution);
      make_folder(context.out);
      o->checkpoint = context.out + "/checkpoint.safetensors";
      train::Log log;
      o->device = context.target();
      stylerig::OracleWorld world = stylerig::fit_oracle(*o, log, context.stop);
      if (train::stop_asked(context.stop)) return context.stopped(str(o->checkpoint, " is written; the same command goes on from there"));
      std::string const generator = context.out + "/generator.safetensors";
      nn::save_stylegan2(generator, world.generator, {{"command", context.command}, {"psnr", str(world.psnr)}});
      nn::StyleGAN2<float> written = nn::load_stylegan2(generator);
      std::string const hash = nn::content_hash(written);
      save_truth(context.out + "/truth.safetensors", world.truth, o->world, hash);
      log.write_csv(context.out + "/fit.csv");
      std::filesystem::remove(o->checkpoint);
      std::filesystem::remove(o->checkpoint + ".log.jsonl");
      std::int64_t const weights = nn::parameter_count(world.generator);
      context.answer({{"generator", generator}, {"hash", hash}, {"weights", weights}, {"psnr", world.psnr}},
                     str(generator, ": ", weights, " weights, ", world.psnr, " dB on ", o->held_out, " held-out pictures"));
      return success;
    };
  });
}

}  // namespace program
