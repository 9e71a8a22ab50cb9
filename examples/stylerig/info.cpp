// stylerig info FILE: what is in any file that rig can read.
#include <algorithm>
#include <filesystem>
#include <map>

#include "program.hpp"
#include "rig/io/file.hpp"
#include "rig/io/hash.hpp"
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
    text += printable(!shown.empty() ? shown : j.is_string() ? j.get<std::string>() : json_text(j, -1)) + "\n";
  }
  /// A line below what was said last.
  void line(std::string const& shown) { text += "  " + printable(shown) + "\n"; }
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

/// Says nothing if the file has none. Beside a generator, whose numbers come first, in one line.
void describe_discriminator(Description& d, io::Document const& file, std::string const& path, bool alone) {
  auto describe = [&](auto net, std::string const& kind, std::int64_t resolution, std::int64_t classes) {
    std::int64_t const parameters = nn::parameter_count(net);
    std::string const hash = nn::content_hash(net);
    std::string const shown = str(kind, ", ", resolution, " x ", resolution);
    d.say("discriminator",
          Json{{"kind", kind}, {"resolution", resolution}, {"classes", classes}, {"parameters", parameters}, {"hash", hash}},
          alone ? shown : str(shown, ", ", parameters, " parameters, hash ", hash));
    if (alone) d.say("resolution", resolution), d.say("classes", classes), d.say("parameters", parameters), d.say("hash", hash);
  };
  try {
    if (nn::is_stylegan1(file)) {
      auto net = nn::stylegan1_discriminator_from(file, path);
      describe(net, "StyleGAN1", net.resolution(), net.c_dim());
    } else {
      auto net = nn::discriminator_from(file, path);
      describe(net, str("StyleGAN2, ", to_string(net.blocks.back().architecture)), net.resolution, net.c_dim);
    }
  } catch (Error const&) {}
}

/// Their number, shapes and size; their hash, unless that of a network was said: like a network's, of names, shapes and bytes.
void describe_tensors(Description& d, io::Document const& file, bool list) {
  auto const tensors = file.tensors();
  bool const hashed = d.json.contains("hash");
  std::size_t const most = list ? tensors.size() : 6;
  std::int64_t values = 0, bytes = 0;
  Json all = Json::array();
  io::Hash hash;
  for (auto const& t : tensors) {
    values += t.tensor.size();
    bytes += t.tensor.size() * std::int64_t(io::size_of(t.tensor.dtype()));
    all.push_back({{"name", t.name}, {"type", io::name_of(t.tensor.dtype())}, {"shape", shape_of(t.tensor.shape())}});
    if (hashed) continue;
    hash.add(t.name).add(str(t.tensor.shape())).add(t.tensor.bytes().span());
    t.tensor.bytes().release();
  }
  d.json["values"] = values;
  if (!hashed && !tensors.empty()) d.say("hash", hash.text());
  d.say("tensors", tensors.size(), str(tensors.size(), " with ", values, " values in ", bytes, " bytes"));
  d.json["list"] = std::move(all);
  for (std::size_t i = 0; i < std::min(most, tensors.size()); ++i)
    d.line(str(tensors[i].name, "  ", tensors[i].tensor.dtype(), " ", tensors[i].tensor.shape()));
  if (tensors.size() > most) d.line(str("... ", tensors.size() - most, " more, --list shows them"));
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
    bool generator = false;  // which is gone again before the discriminator is built
    try {
      bool trained = false;
      nn::Generator<float> const g = generator_of(file, path, trained);
      describe_generator(d, g, g.family() != nn::Family::stylegan1 || nn::says_fused_scale(file));
      if (trained) d.say("averaged", false, "no: this is the generator that was being trained, --trained asks for it");
      generator = true;
    } catch (Error const& e) {
      d.say("network", nullptr, str("no generator: ", e.what()));
    }
    describe_discriminator(d, file, path, !generator);
  }
  if (!metadata.empty()) {
    // Networks have hundreds of entries, a few for every layer.
    std::size_t const most = list ? file.metadata.size() : 24;
    d.say("metadata", metadata, str(file.metadata.size(), file.metadata.size() > most ? " entries, all of them with --list" : " entries"));
    for (std::size_t i = 0; i < std::min(most, file.metadata.size()); ++i) {
      auto const& [key, value] = file.metadata[i];
      std::string shown = value.substr(0, list || value.size() <= 100 ? value.size() : 97);
      if (shown.size() < value.size()) {
        for (int k = 0; k < 3 && !io::is_utf8(shown); ++k) shown.pop_back();  // not in the middle of a character
        shown += "...";
      }
      d.line(str(key, " = ", shown));
    }
  }
  describe_tensors(d, file, list);
}

/// PNG's plain texts are Latin-1, though many programs write UTF-8 there.
std::string utf8_of(std::string const& text) {
  if (io::is_utf8(text)) return text;
  std::string out;
  for (char c : text) io::append_utf8(out, static_cast<unsigned char>(c));
  return out;
}

void describe_picture(Description& d, std::string const& path, bool png) {
  Tensor<float> const picture = io::load_image(path);
  d.say("size", shape_of(picture.shape()), str(picture.dim(1), " x ", picture.dim(0)));
  if (!png) return;
  for (auto const& text : io::read_png_texts(path)) {
    std::string const key = utf8_of(text.first), value = utf8_of(text.second);
    d.json["texts"][key] = value;
    d.line(str(key, ": ", value));
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
  verb->add_flag("-l,--list", *list, "Of a checkpoint or archive: show every tensor with type and shape, and all metadata in full");
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
