// stylerig info FILE: what is in any file that rig can read.
#include <algorithm>
#include <filesystem>
#include <map>

#include "program.hpp"
#include "rig/io/file.hpp"
#include "rig/io/obj.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/load_generator.hpp"
#include "rig/nn/stylegan1_loader.hpp"
#include "rig/stylerig/corpus.hpp"
#include "rig/stylerig/transfer.hpp"
#include "rig/train/checkpoint.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct Description {
  Json json;
  std::string text;
  template <class V> void say(std::string const& key, V const& value, std::string const& shown = {}) {
    Json const& j = json[key] = value;
    text += key + std::string(key.size() < 14 ? 14 - key.size() : 1, ' ');
    text += (!shown.empty() ? shown : j.is_string() ? j.get<std::string>() : j.dump()) + "\n";
  }
};

Json shape_of(Shape const& s) {
  Json j = Json::array();
  for (auto d : s) j.push_back(d);
  return j;
}

std::string architecture_of(nn::Generator<float> const& g) {
  if (g.family() == nn::Family::stylegan2) return to_string(g.as<nn::StyleGAN2<float>>().synthesis.blocks.back().architecture);
  if (g.family() == nn::Family::stylegan1) return str("fused convolutions: ", to_string(g.as<nn::StyleGAN1<float>>().options.fused_scale));
  auto const& layers = g.as<nn::StyleGAN3<float>>().synthesis.layers;
  bool radial = false;
  for (auto const& l : layers) radial = radial || l.plan.down_radial;
  return str(layers.size(), " layers, kernels of ", layers[0].plan.kernel, ", ", radial ? "radial" : "separable", " filters");
}

void describe_generator(Description& d, nn::Generator<float> g, bool says_all) {
  d.say("network", std::string(to_string(g.family())) + " generator");
  std::string const architecture = architecture_of(g);
  d.say("architecture", architecture, architecture + (says_all ? "" : " (assumed: files of this kind do not say it)"));
  d.say("resolution", g.resolution(), str(g.resolution(), " x ", g.resolution(), ", ", g.image_channels(), " channels"));
  auto const names = g.row_names();
  std::string shown = str(g.num_ws(), " rows of ", g.w_dim(), " numbers, from latents of ", g.z_dim());
  for (auto const& r : stylerig::row_ranges(names))
    shown += str(r.first ? ", " : "; ", r.name, " ", r.first, r.last - r.first > 1 ? str(" to ", r.last - 1) : std::string());
  d.say("rows", g.num_ws(), shown);
  d.json["row_names"] = names, d.json["z"] = g.z_dim(), d.json["w"] = g.w_dim();
  d.say("classes", g.c_dim());
  nn::Truncation const t = g.truncation();
  d.say("truncation", bool(g.centre()),
        !g.centre()    ? std::string("no average is kept; it can be estimated")
        : t.psi == 1   ? std::string("possible")
        : t.cutoff < 0 ? str("possible; the file's own is psi ", t.psi)
                       : str("possible; the file's own is psi ", t.psi, " below row ", t.cutoff));
  Json layers = Json::array();
  for (auto const& l : g.layers())
    layers.push_back({{"name", l.name}, {"row", l.row}, {"resolution", l.resolution}, {"channels", l.channels}, {"noise", l.has_noise}});
  d.json["layers"] = std::move(layers);
  d.say("parameters", nn::parameter_count(g));
  d.say("hash", nn::content_hash(g));
}

/// The averaged generator of a file; the trained one if it is alone there.
nn::Generator<float> generator_of(io::Document const& file, std::string const& path, bool& trained) {
  try {
    return nn::generator_from(file, path);
  } catch (Error const& averaged) {
    try {
      nn::Generator<float> g = nn::generator_from(file, path, {}, nn::GeneratorChoice::trained);
      trained = true;
      return g;
    } catch (Error const&) {
      throw Error(averaged.what());
    }
  }
}

/// For files without a generator; says nothing if there is no discriminator either.
void describe_discriminator(Description& d, io::Document const& file, std::string const& path) {
  try {
    nn::Discriminator<float> net = nn::discriminator_from(file, path);
    std::string const architecture = to_string(net.blocks.back().architecture);
    d.say("discriminator", architecture, str("StyleGAN2, ", architecture, ", ", net.resolution, " x ", net.resolution));
    d.say("resolution", net.resolution), d.say("classes", net.c_dim);
    d.say("parameters", nn::parameter_count(net));
    d.say("hash", nn::content_hash(net));
  } catch (Error const&) {}
}

void describe_tensors(Description& d, io::Document const& file, bool list) {
  auto const tensors = file.tensors();
  std::int64_t values = 0, bytes = 0;
  Json all = Json::array();
  std::string lines;
  for (auto const& t : tensors) {
    values += t.tensor.size();
    bytes += t.tensor.size() * std::int64_t(io::size_of(t.tensor.dtype()));
    all.push_back({{"name", t.name}, {"type", io::name_of(t.tensor.dtype())}, {"shape", shape_of(t.tensor.shape())}});
    lines += str("  ", t.name, "  ", t.tensor.dtype(), " ", t.tensor.shape(), "\n");
  }
  d.say("tensors", tensors.size(), str(tensors.size(), " with ", values, " values in ", bytes, " bytes"));
  if (list) d.json["list"] = all, d.text += lines;
}

void describe_checkpoint(Description& d, std::string const& path, bool list) {
  io::Document const file = io::read_any(path);
  Json metadata = Json::object();
  for (auto const& [key, value] : file.metadata) metadata[key] = value;
  nn::NetworkFile const networks = nn::describe_networks(file);
  if (!networks.origin.empty()) {
    d.say("origin", networks.origin);
    if (!networks.version.empty()) d.say("version", networks.version);
    std::string shown;
    for (auto const& n : networks.networks) shown += (shown.empty() ? "" : ", ") + n;
    if (!shown.empty()) d.say("holds", networks.networks, shown);
    // Whatever cannot be built, its tensors are listed.
    try {
      bool trained = false;
      nn::Generator<float> const g = generator_of(file, path, trained);
      describe_generator(d, g, g.family() != nn::Family::stylegan1 || nn::says_fused_scale(file));
      if (trained) d.say("averaged", false, "no: this is the generator that was being trained, --trained asks for it");
    } catch (Error const& e) {
      d.say("network", nullptr, str("no generator: ", e.what()));
      describe_discriminator(d, file, path);
    }
  }
  if (!metadata.empty()) {
    // Networks have hundreds of entries, a few for every layer.
    std::size_t const most = list ? file.metadata.size() : 24;
    std::string shown = str(file.metadata.size(), file.metadata.size() > most ? " entries, all of them with --list" : " entries");
    for (std::size_t i = 0; i < std::min(most, file.metadata.size()); ++i) {
      auto const& [key, value] = file.metadata[i];
      shown += str("\n  ", key, " = ", !list && value.size() > 100 ? value.substr(0, 97) + "..." : value);
    }
    d.say("metadata", metadata, shown);
  }
  describe_tensors(d, file, list);
}

void describe_picture(Description& d, std::string const& path, bool png) {
  Tensor<float> const picture = io::load_image(path);
  d.say("size", shape_of(picture.shape()), str(picture.dim(1), " x ", picture.dim(0)));
  if (!png) return;
  for (auto const& [key, value] : io::read_png_texts(path)) {
    d.json["texts"][key] = value;
    d.text += str("  ", key, ": ", value, "\n");
  }
}

void describe_obj(Description& d, std::string const& path) {
  io::ObjMesh const mesh = io::read_obj(path);
  check(mesh.vertices.size() > 0, path, ": expected a checkpoint, an archive, a picture or an OBJ mesh, found none of them");
  d.say("kind", "obj", "OBJ mesh");
  d.say("vertices", mesh.vertices.dim(0));
  d.say("triangles", mesh.triangles ? mesh.triangles.dim(0) : 0);
  d.say("texcoords", mesh.texcoords ? mesh.texcoords.dim(0) : 0);
}

void describe_folder(Description& d, std::string const& path) {
  check(fs::exists(fs::path(path) / "corpus.safetensors"), path,
        ": is a folder; expected a file, or a corpus, which holds corpus.safetensors");
  stylerig::Corpus const c = stylerig::open_corpus(path);
  d.say("kind", "corpus");
  d.say("items", c.size(),
        str(c.size(), " (", c.items(stylerig::Split::train).size(), " to train, ", c.items(stylerig::Split::validation).size(),
            " to validate, ", c.items(stylerig::Split::test).size(), " to test, ", c.rejected(), " left out)"));
  d.say("picture size", c.options.picture_size);
  d.say("codes", Json{c.rows, c.w_dim}, str(c.rows, " rows of ", c.w_dim, " numbers, up to ", c.options.max_latents, " latents each"));
  d.say("truncation", c.options.truncation);
  d.say("seed", c.options.seed);
  d.say("landmarks", c.landmarks);
  d.say("truth known", c.has_truth(), c.has_truth() ? "yes" : "no");
  d.say("generator", c.generator);
}
}  // namespace

void add_info(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand("info", "Say what is in a file: checkpoint, archive, picture, mesh, corpus");
  auto file = std::make_shared<std::string>();
  auto list = std::make_shared<bool>(false);
  verb->add_option("FILE", *file, "Any file that rig can read, or a corpus folder")->required();
  verb->add_flag("-l,--list", *list, "Of a checkpoint or archive: list every tensor with type and shape, and all metadata in full");
  add_common(*verb, context);
  verb->footer(
      "\nExamples:\n  stylerig info ffhq.pkl\n  stylerig info run/rig.safetensors --list\n  stylerig info sheet.png        the seed, "
      "weights and edit a picture was made with");
  verb->callback([&context, file, list] {
    context.action = [&context, file, list] {
      Description d;
      d.json["file"] = *file;
      if (fs::is_directory(*file)) {
        describe_folder(d, *file);
      } else {
        io::MappedFile const mapped(*file);
        io::Kind const kind = io::identify(mapped.bytes());
        d.json["bytes"] = mapped.bytes().size;
        if (kind == io::Kind::unknown && fs::path(*file).extension() == ".obj") {
          describe_obj(d, *file);
        } else {
          if (kind != io::Kind::unknown) d.say("kind", io::name_of(kind));
          if (kind == io::Kind::png || kind == io::Kind::jpeg)
            describe_picture(d, *file, kind == io::Kind::png);
          else
            describe_checkpoint(d, *file, *list);
        }
      }
      context.answer(d.json, d.text);
      return success;
    };
  });
}

}  // namespace program
