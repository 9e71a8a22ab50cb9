#include "world.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "rig/nn/seed_latents.hpp"
#include "rig/train/checkpoint.hpp"

#ifndef RIG_DATA_FOLDER
#define RIG_DATA_FOLDER "data"
#endif

namespace program {
using namespace rig;
namespace fs = std::filesystem;
using V = Var<float>;

namespace {
constexpr char const* truth_format = "rig.oracle-truth";

void copy_rows(Tensor<float>& to, std::int64_t first, Tensor<float> const& from) {
  std::int64_t const row = to.dim(0) ? to.size() / to.dim(0) : 0;
  to.device().queue().copy(to.mutate() + first * row, from.data(), std::size_t(from.size()) * sizeof(float));
}
}  // namespace

void add_world_options(CLI::App& verb, WorldOptions& o) {
  verb.add_option("--class", o.label, "Class of a conditional generator")->check(CLI::NonNegativeNumber);
  verb.add_option("--noise", o.noise, "Noise inputs: stored or none (default stored)")->check(CLI::IsMember({"stored", "none"}));
  verb.add_flag("--trained", o.trained, "Take the generator that was being trained instead of the averaged one");
  verb.add_option("--truth", o.truth,
                  "File with the known truth of an oracle world (default: truth.safetensors beside the generator, if it is its own)");
}

namespace {
/// Whether a file holds the truth of this generator. Another one may lie beside it: a generator that was converted or rounded has none.
bool is_truth_of(std::string const& path, std::string const& generator_hash) {
  try {
    io::Metadata const m = io::load_metadata(path);
    return io::find_metadata(m, "format") == truth_format && io::find_metadata(m, "generator") == generator_hash;
  } catch (Error const&) {
    return false;
  }
}
}  // namespace

World load_world(std::string const& path, Context const& context, WorldOptions const& options) {
  World world;
  world.path = path;
  world.network =
      nn::load_generator(path, context.target(), options.trained ? nn::GeneratorChoice::trained : nn::GeneratorChoice::averaged);
  std::int64_t const classes = world.network.c_dim();
  check(classes == 0 || (options.label >= 0 && options.label < classes), path, ": this generator has ", classes,
        " classes, expected --class from 0 to ", classes - 1, ", found ",
        options.label < 0 ? std::string("none") : std::to_string(options.label));
  check(classes > 0 || options.label < 0, path, ": this generator has no classes, but --class ", options.label, " was given");

  Tensor<float> label;
  if (classes > 0) {
    std::vector<float> hot(std::size_t(classes), 0);
    hot[std::size_t(options.label)] = 1;
    label = Tensor<float>({1, classes}, hot, context.target());
  }
  world.handle = stylerig::generator_handle(world.network, options.noise == "none" ? nn::Noise::none : nn::Noise::stored, label);
  std::string const hash = world.handle.hash;
  if (!world.network.centre()) {
    // Snapshots of a training keep no mean code; the handle's hash is that of the file all the same.
    world.network.set_centre(nn::find_centre(world.network, label));
    world.handle.mean_latent = world.network.centre().host();
  }
  if (classes > 0) world.handle.hash += "/class" + std::to_string(options.label);

  std::string const beside = (fs::path(path).parent_path() / "truth.safetensors").string();
  if (!options.truth.empty())
    world.truth = load_truth(options.truth, hash);
  else if (fs::exists(beside) && is_truth_of(beside, hash))
    world.truth = load_truth(beside, hash);
  return world;
}

Tensor<float> World::codes(std::vector<std::uint32_t> const& seeds, nn::Truncation truncation) const {
  V const w = network.mapper().repeat(V(handle.mapping(nn::seed_latents(seeds, handle.z_dim, network.device()))));
  return network.truncate(w, truncation).value();
}

Tensor<float> World::pictures(Tensor<float> const& codes) const {
  std::int64_t const n = codes.dim(0), side = handle.resolution, batch = std::clamp<std::int64_t>((1 << 18) / (side * side), 1, 64);
  Tensor<float> y;
  for (std::int64_t i = 0; i < n; i += batch) {
    Tensor<float> const x = handle.synthesis(codes.rows(i, std::min(batch, n - i)));
    if (!y) y = Tensor<float>(x.shape().with(0, n), x.device());
    copy_rows(y, i, clamp(affine(V(x), 0.5f, 0.5f), 0, 1).value());
  }
  return y;
}

// ---- truth --------------------------------------------------------------------------------------------------------

void save_truth(std::string const& path, stylerig::OracleTruth& truth, stylerig::OracleOptions const& o,
                std::string const& generator_hash) {
  Json options;
  options["rows"] = o.rows, options["width"] = o.width, options["seed"] = o.seed, options["vertices"] = o.vertices,
  options["identity"] = o.identity;
  options["reflectance"] = o.reflectance, options["hair_vertices"] = o.hair_vertices, options["camera_distance"] = o.camera_distance;
  make_folder_of(path);
  io::save(path, {{"format", truth_format}, {"generator", generator_hash}, {"options", options.dump()}}, io::item("truth", truth));
}

std::shared_ptr<Truth const> load_truth(std::string const& path, std::string const& generator_hash) {
  io::Metadata const metadata = io::load_metadata(path);
  check(io::metadata_value(metadata, "format", path) == truth_format, path, ": expected the truth of an oracle world (format ",
        truth_format, "), found ", io::metadata_value(metadata, "format", path));
  check(io::metadata_value(metadata, "generator", path) == generator_hash, path, ": is the truth of generator ",
        io::metadata_value(metadata, "generator", path), ", expected that of ", generator_hash);
  stylerig::OracleOptions o;
  try {
    Json const j = Json::parse(io::metadata_value(metadata, "options", path));
    o.rows = j.at("rows"), o.width = j.at("width"), o.seed = j.at("seed"), o.vertices = j.at("vertices"), o.identity = j.at("identity");
    o.reflectance = j.at("reflectance"), o.hair_vertices = j.at("hair_vertices"), o.camera_distance = j.at("camera_distance");
  } catch (nlohmann::json::exception const& e) {
    throw Error(path + ": the options of the oracle world cannot be read: " + e.what());
  }
  // A truth of the same options, so that what the file must hold is known exactly.
  Rng rng(1);
  stylerig::OracleTruth truth = stylerig::make_oracle_truth(o, randn<float>({64, o.width}, rng));
  io::load(path, io::item("truth", truth));
  return std::make_shared<Truth>(Truth{truth, stylerig::OracleScene(o)});
}

std::string shipped_generator() {
  char const* const set = std::getenv("RIG_DATA");
  std::string const folder = set ? set : RIG_DATA_FOLDER, portraits = folder + "/generators/portraits-64.safetensors",
                    oracle = folder + "/oracle/generator.safetensors";
  if (fs::exists(portraits)) return portraits;
  check(fs::exists(oracle), portraits, ": the generator of the demo is not there, and neither is ", oracle,
        "; make the latter with: stylerig make-oracle --out ", fs::path(oracle).parent_path().string());
  return oracle;
}

}  // namespace program
