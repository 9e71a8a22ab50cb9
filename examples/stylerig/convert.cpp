// stylerig convert FROM TO: the same content in another format, named by the extension of TO.
#include <filesystem>

#include "face.hpp"
#include "program.hpp"
#include "rig/io/file.hpp"
#include "rig/io/obj.hpp"
#include "rig/nn/load_generator.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
Json convert(std::string const& from, std::string const& to, bool raw, bool trained) {
  std::string const extension = fs::path(to).extension().string();
  make_folder_of(to);
  if (extension == ".obj") {
    render::MorphableModel const model = load_face_model(from);
    io::save_obj(to, model.mean, model.triangles, model.reflectance_mean);
    return {{"from", from}, {"to", to}, {"vertices", model.vertices()}, {"triangles", model.faces()}};
  }
  io::MappedFile const mapped(from);
  io::Kind const kind = io::identify(mapped.bytes());
  if (kind == io::Kind::png || kind == io::Kind::jpeg) {
    check(extension == ".png", to, ": a picture is converted to .png, found the extension '", extension, "'");
    Tensor<float> const picture = io::load_image(from);
    io::save_png(to, picture, kind == io::Kind::png ? io::read_png_texts(from) : io::Texts{});
    return {{"from", from}, {"to", to}, {"height", picture.dim(0)}, {"width", picture.dim(1)}};
  }
  check(extension == ".safetensors" || extension == ".npz", to,
        ": expected a name that ends in .safetensors, .npz, .png or .obj, found the extension '", extension, "'");
  io::Document const file = io::read_any(from);
  if (!raw && extension == ".safetensors" && !nn::describe_networks(file).origin.empty()) {
    nn::Generator<float> g = nn::generator_from(file, from, {}, trained ? nn::GeneratorChoice::trained : nn::GeneratorChoice::averaged);
    nn::save_generator(to, g);  // reads it again and compares
    return {{"from", from},
            {"to", to},
            {"network", std::string(to_string(g.family())) + " generator"},
            {"hash", nn::content_hash(g)},
            {"checked", true}};
  }
  auto const tensors = file.tensors();
  check(!tensors.empty(), from, ": holds no tensors to convert");
  if (extension == ".npz")
    io::save_npz(to, tensors, io::NpzTypes::wide);
  else
    io::save_safetensors(to, tensors, file.metadata);
  return {{"from", from}, {"to", to}, {"tensors", tensors.size()}};
}
}  // namespace

void add_convert(CLI::App& app, Context& context) {
  struct ConvertOptions {
    std::string from, to;
    bool raw = false, trained = false;
  };
  auto o = std::make_shared<ConvertOptions>();
  auto* verb = app.add_subcommand("convert", "Write the content of a file in another format");
  verb->add_option("FROM", o->from, "Checkpoint (.pkl, .pt, .npz, .safetensors), picture, or face model (for .obj)")->required();
  verb->add_option("TO", o->to, "File to write: .safetensors, .npz, .png or .obj")->required();
  verb->add_flag("--raw", o->raw, "Keep names and layouts of the tensors as they are, even in a generator");
  verb->add_flag("--trained", o->trained, "Take the generator that was being trained instead of the averaged one");
  add_common(*verb, context);
  verb->footer(
      "\nExamples:\n  stylerig convert ffhq.pkl ffhq.safetensors      an official pickle as rig's own file; nothing in it is executed\n"
      "  stylerig convert weights.pt weights.npz         every tensor under its path\n"
      "  stylerig convert builtin:20000 head.obj         the mean of a face model, with its colours");
  verb->callback([&context, o] {
    context.action = [&context, o] {
      Json const done = convert(o->from, o->to, o->raw, o->trained);
      context.answer(done, o->to + " written");
      return success;
    };
  });
}

}  // namespace program
