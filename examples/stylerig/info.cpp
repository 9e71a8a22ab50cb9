// stylerig info FILE: what is in any file that rig can read.
#include <algorithm>
#include <filesystem>
#include <map>

#include "program.hpp"
#include "rig/io/file.hpp"
#include "rig/io/obj.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "rig/stylerig/corpus.hpp"
#include "rig/train/checkpoint.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct Description {
  Json json;
  std::string text;
  template <class V> void say(std::string const& key, V const& value, std::string const& shown = {}) {
    json[key] = value;
    text += key + std::string(key.size() < 14 ? 14 - key.size() : 1, ' ') + (shown.empty() ? Json(value).dump() : shown) + "\n";
  }
};

Json shape_of(Shape const& s) {
  Json j = Json::array();
  for (auto d : s) j.push_back(d);
  return j;
}

void describe_generator(Description& d, io::Document const& file, std::string const& path) {
  nn::StyleGAN2<float> g = nn::stylegan2_from(file, path);
  std::int64_t const count = nn::parameter_count(g);
  d.say("network", "StyleGAN2 generator", "StyleGAN2 generator");
  d.say("resolution", g.resolution, str(g.resolution, " x ", g.resolution, ", ", g.image_channels, " channels"));
  d.say("rows", g.num_ws(), str(g.num_ws(), " rows of ", g.w_dim(), " numbers, from latents of ", g.z_dim()));
  d.say("classes", g.c_dim());
  d.say("truncation", bool(g.mapping.w_avg), g.mapping.w_avg ? "possible" : "not possible: no average is kept");
  d.say("parameters", count);
  d.say("hash", nn::content_hash(g));
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
  std::string format;
  for (auto const& [key, value] : file.metadata) {
    metadata[key] = value;
    if (key == "format") format = value;
  }
  // A pickle, or rig's own file, may hold a generator; whatever else it is, its tensors are listed.
  if (file.kind == io::Kind::pickle || format == "rig.stylegan2") {
    try {
      describe_generator(d, file, path);
    } catch (Error const& e) {
      d.say("network", nullptr, str("not a StyleGAN2 generator: ", e.what()));
    }
  }
  if (!metadata.empty()) {
    std::string shown;
    for (auto const& [key, value] : file.metadata)
      shown += str("\n  ", key, " = ", value.size() > 100 ? value.substr(0, 97) + "..." : value);
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
  d.say("kind", "corpus", "corpus");
  d.say("items", c.size(),
        str(c.size(), " (", c.items(stylerig::Split::train).size(), " to train, ", c.items(stylerig::Split::validation).size(),
            " to validate, ", c.items(stylerig::Split::test).size(), " to test, ", c.rejected(), " left out)"));
  d.say("picture size", c.options.picture_size);
  d.say("codes", Json{c.rows, c.w_dim}, str(c.rows, " rows of ", c.w_dim, " numbers, up to ", c.options.max_latents, " latents each"));
  d.say("truncation", c.options.truncation);
  d.say("seed", c.options.seed);
  d.say("landmarks", c.landmarks, c.landmarks);
  d.say("truth known", c.has_truth(), c.has_truth() ? "yes" : "no");
  d.say("generator", c.generator, c.generator);
}
}  // namespace

void add_info(CLI::App& app, Context& context) {
  auto* verb = app.add_subcommand("info", "Say what is in a file: checkpoint, archive, picture, mesh, corpus");
  auto file = std::make_shared<std::string>();
  auto list = std::make_shared<bool>(false);
  verb->add_option("FILE", *file, "Any file that rig can read, or a corpus folder")->required();
  verb->add_flag("-l,--list", *list, "List every tensor with type and shape");
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
          if (kind != io::Kind::unknown) d.say("kind", io::name_of(kind), io::name_of(kind));
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
