// stylerig corpus GENERATOR: codes, the generator's pictures of them and their landmarks, for training.
#include <filesystem>

#include "faces/landmarks.hpp"
#include "lock.hpp"
#include "program.hpp"
#include "rig/io/hash.hpp"
#include "rig/stylerig/corpus.hpp"
#include "world.hpp"

namespace program {
using namespace rig;

namespace {
struct CorpusOptions {
  std::string generator, landmarks = "auto";
  stylerig::CorpusOptions corpus;
  std::int64_t size = 0;
  int max_latents = 0;
  WorldOptions world;
};
}  // namespace

stylerig::LandmarkSource truth_landmarks(std::shared_ptr<Truth const> truth) {
  return [truth](std::int64_t, Tensor<float> const& codes, Tensor<float> const&) {
    return truth->scene.landmarks(truth->function.factors(codes.to(cpu())));
  };
}
stylerig::LandmarkSource found_landmarks(LandmarkFinder const& finder) {
  return [find = finder.find](std::int64_t, Tensor<float> const&, Tensor<float> const& pictures) {
    Tensor<float> const points = find(pictures).to(cpu());
    std::int64_t const n = points.dim(0), l = points.dim(1);
    Tensor<float> marks({n, l, 3});
    float* to = marks.mutate();
    for (std::int64_t i = 0; i < n * l; ++i) to[3 * i] = points.data()[2 * i], to[3 * i + 1] = points.data()[2 * i + 1], to[3 * i + 2] = 1;
    return marks;
  };
}
stylerig::TruthSource truth_parameters(std::shared_ptr<Truth const> truth) {
  return [truth](Tensor<float> const& codes) { return truth->parameters(codes); };
}

namespace {
int make(Context const& context, CorpusOptions o) {
  World const world = load_world(o.generator, context, o.world);
  check(world.network.image_channels() == 3, o.generator, ": a corpus needs pictures with 3 channels, this generator makes ",
        world.network.image_channels());
  // The default is more than the smallest generators have rows, which costs little.
  check(o.max_latents <= world.handle.rows, "--max-latents: expected at most ", world.handle.rows,
        ", a latent for every row of this generator's codes, found ", o.max_latents);
  if (o.max_latents > 0) o.corpus.max_latents = o.max_latents;
  o.corpus.seed = context.seed;
  o.corpus.picture_size = o.size > 0 ? o.size : std::min<std::int64_t>(world.handle.resolution, 256);
  check(world.handle.resolution % o.corpus.picture_size == 0, "--size: ", world.handle.resolution,
        " pixels of the generator must be a multiple of it, found ", o.corpus.picture_size);
  stylerig::LandmarkSource landmarks;
  std::string name = "none";
  if (o.landmarks == "auto") o.landmarks = world.truth ? "truth" : "none";
  if (o.landmarks == "truth") {
    check(bool(world.truth), "--landmarks truth: ", o.generator,
          " has no truth of its own beside it; give --truth FILE, or landmarks of your own");
    landmarks = truth_landmarks(world.truth), name = "truth";
  } else if (o.landmarks == "dlib" || o.landmarks.rfind("dlib:", 0) == 0 || std::filesystem::is_directory(o.landmarks)) {
    LandmarkFinder const finder = landmark_finder(o.landmarks, context.target());
    landmarks = found_landmarks(finder), name = finder.name;
  } else if (o.landmarks != "none") {
    landmarks = stylerig::landmarks_from_file(o.landmarks), name = "file " + io::hash_text(io::MappedFile(o.landmarks).bytes().span());
  }
  stylerig::CorpusHooks hooks;
  hooks.stop = context.stop;
  auto const show = context.progress("corpus");
  hooks.progress = [&](std::int64_t done, std::int64_t total) { show(done, total, ""); };
  hooks.note = note;
  OutputFolder const folder(context.out);
  FolderLock const lock(context.out);
  bool const whole = stylerig::write_corpus(context.out, world.handle, o.corpus, landmarks, name,
                                            world.truth ? truth_parameters(world.truth) : stylerig::TruthSource{}, hooks);
  if (!whole) return context.stopped("the finished chunks are kept; the same command goes on from there");
  context.answer({{"corpus", context.out},
                  {"items", o.corpus.count},
                  {"picture_size", o.corpus.picture_size},
                  {"landmarks", name},
                  {"truth", bool(world.truth)},
                  {"generator", world.handle.hash}},
                 str(context.out, ": ", o.corpus.count, " items of ", o.corpus.picture_size, " px, landmarks: ", name));
  return success;
}
}  // namespace

void add_corpus(CLI::App& app, Context& context) {
  auto o = std::make_shared<CorpusOptions>();
  auto* verb = app.add_subcommand("corpus", "Make the pictures that training learns from");
  verb->add_option("GENERATOR", o->generator, generator_help)->required();
  verb->add_option("-n,--count", o->corpus.count, "Items (default 50000)")->check(CLI::PositiveNumber);
  verb->add_option("--size", o->size, "Side of the stored pictures (default: the generator's, at most 256)")->check(CLI::NonNegativeNumber);
  verb->add_option("--psi", o->corpus.truncation, "Truncation of the codes (default 1)");
  verb->add_option("--max-latents", o->max_latents, str("Latents mixed in one code, at most (default ", o->corpus.max_latents, ")"))
      ->check(CLI::PositiveNumber);
  verb->add_option(
      "--landmarks", o->landmarks,
      "dlib (where it is installed), or a folder with face-api's landmark network: found in the pictures, which must be faces aligned as "
      "FFHQ's; or a file with one line an item: index, then u v (or u v weight) for 66 or 68 points in fractions of the picture; or truth, "
      "or none (default: truth where it is known, else none)");
  verb->add_option("--chunk", o->corpus.chunk, "Items a file (default 500)")->check(CLI::PositiveNumber);
  add_world_options(*verb, o->world);
  add_common(*verb, context, "corpus", "Folder to write");
  verb->footer(
      "\nItem i depends on the seed and i alone. A stopped run goes on where it was when the same command is given again.\n\nExample:\n"
      "  stylerig corpus ffhq.pkl --count 50000 --size 256 --landmarks dlib --out corpus");
  verb->callback([&context, o] {
    if (context.out.empty()) context.out = "corpus";
    context.action = [&context, o] { return make(context, *o); };
  });
}

}  // namespace program
