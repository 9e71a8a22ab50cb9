// stylerig convert FROM TO: the same content in another format, named by the extension of TO.
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "face.hpp"
#include "program.hpp"
#include "rig/io/file.hpp"
#include "rig/io/obj.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/load_generator.hpp"
#include "rig/nn/stylegan1_loader.hpp"
#include "rig/train/checkpoint.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct ConvertOptions {
  std::string from, to, fused;
  bool raw = false, trained = false, half = false;
};

/// The generator of a file; the form of its convolutions from --fused where the file does not say it.
nn::Generator<float> generator_of(io::Document const& file, ConvertOptions const& o) {
  auto const choice = o.trained ? nn::GeneratorChoice::trained : nn::GeneratorChoice::averaged;
  if (o.fused.empty()) return nn::generator_from(file, o.from, {}, choice);
  check(nn::is_stylegan1(file) && !nn::says_fused_scale(file), "--fused ", o.fused, ": ", o.from,
        " says itself how it convolves; only files of StyleGAN1's port (.pth) do not");
  return nn::stylegan1_from(file, o.from, {}, choice,
                            o.fused == "always"  ? nn::FusedScale::always
                            : o.fused == "never" ? nn::FusedScale::never
                                                 : nn::FusedScale::automatic);
}

/// Writes a network by save(metadata), with the texts of the original that the network does not say itself: how it came to be.
template <class Save> void save_with_origin(std::string const& to, io::Document const& file, Save const& save) {
  save(io::Metadata{});
  if (file.kind != io::Kind::safetensors) return;
  io::Metadata const own = io::load_metadata(to);
  io::Metadata origin;
  for (auto const& entry : file.metadata)
    if (std::none_of(own.begin(), own.end(), [&](auto const& o) { return o.first == entry.first; })) origin.push_back(entry);
  if (!origin.empty()) save(origin);
}

/// Reads what was written and compares it with what should have been, a tensor at a time.
void check_tensors(std::string const& to, std::vector<io::NamedTensor> const& tensors, bool npz) {
  for (auto const& t : tensors) t.tensor.bytes().release();  // so that the two files do not lie in memory together
  auto const back = npz ? io::read_npz(to) : io::read_safetensors(to).tensors;
  check(back.size() == tensors.size(), to, ": was written, but holds ", back.size(), " tensors instead of ", tensors.size(),
        "; is the disk sound?");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    io::AnyTensor const a = npz ? io::widened(tensors[i].tensor) : tensors[i].tensor, &b = back[i].tensor;
    bool const same =
        back[i].name == tensors[i].name && a.dtype() == b.dtype() && a.shape() == b.shape() && a.bytes().text() == b.bytes().text();
    check(same, to, ": was written, but not with the same ", tensors[i].name, "; is the disk sound?");
    a.bytes().release(), b.bytes().release();
  }
}

/// The same of a picture or the vertices of a mesh, which were rounded to `step`.
void check_rounded(std::string const& to, Tensor<float> const& wanted, Tensor<float> const& back, float step) {
  bool same = wanted.shape() == back.shape();
  std::vector<float> const a = wanted.host(), b = back.host();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = std::abs(a[i] - b[i]) <= step;
  check(same, to, ": was written, but holds something else; is the disk sound?");
}

Json convert(ConvertOptions const& o) {
  std::string const &from = o.from, &to = o.to, extension = fs::path(to).extension().string();
  bool const known = extension == ".safetensors" || extension == ".npz" || extension == ".png" || extension == ".obj";
  if (!known) throw Usage(to + ": expected a name that ends in .safetensors, .npz, .png or .obj, found the extension '" + extension + "'");
  std::string const of_network = o.half ? "--half" : o.trained ? "--trained" : o.fused.empty() ? "" : "--fused";
  if (!of_network.empty() && o.raw) throw Usage(of_network + ": changes a network, but --raw keeps every tensor as it is");
  if (!of_network.empty() && extension != ".safetensors")
    throw Usage(of_network + ": is for a network that is written as .safetensors, found " + to);
  if (o.raw && (extension == ".obj" || extension == ".png")) throw Usage("--raw: is for the tensors of a checkpoint, found " + to);
  check_output(to, {from});
  if (extension == ".obj") {
    render::MorphableModel const model = load_face_model(from);
    make_folder_of(to);
    io::save_obj(to, model.mean, model.triangles, model.reflectance_mean);
    io::ObjMesh const back = io::read_obj(to);
    float largest = 0;
    for (float v : model.mean.host()) largest = std::max(largest, std::abs(v));
    check_rounded(to, model.mean, back.vertices, 1e-5f * largest);
    check(back.triangles.host() == model.triangles.host(), to, ": was written, but with other triangles; is the disk sound?");
    return {{"from", from}, {"to", to}, {"vertices", model.vertices()}, {"triangles", model.faces()}, {"checked", true}};
  }
  io::MappedFile const mapped(from);
  io::Kind const kind = io::identify(mapped.bytes());
  if (kind == io::Kind::png || kind == io::Kind::jpeg) {
    check(extension == ".png", to, ": a picture is converted to .png, found the extension '", extension, "'");
    Tensor<float> const picture = io::load_image(from);
    make_folder_of(to);
    io::save_png(to, picture, kind == io::Kind::png ? io::read_png_texts(from) : io::Texts{});
    check_rounded(to, picture, io::load_image(to), 0.51f / 255);
    return {{"from", from}, {"to", to}, {"height", picture.dim(0)}, {"width", picture.dim(1)}, {"checked", true}};
  }
  check(extension != ".png", to, ": a checkpoint is converted to .safetensors or .npz, found the extension '", extension, "'");
  io::Document const file = io::read_any(from);
  auto const networks = nn::describe_networks(file);
  if (!o.raw && extension == ".safetensors" && !networks.origin.empty()) {
    if (networks.networks == std::vector<std::string>{"rig.discriminator"}) {
      check(!o.trained && o.fused.empty(), o.trained ? "--trained" : "--fused", ": is for a generator, but ", from,
            " holds a discriminator");
      nn::Discriminator<float> d = nn::discriminator_from(file, from);
      if (o.half) nn::round_to_half(d);
      make_folder_of(to);
      save_with_origin(to, file, [&](io::Metadata const& origin) { nn::save_discriminator(to, d, origin); });
      std::string const hash = nn::content_hash(d);
      nn::Discriminator<float> back = nn::load_discriminator(to);
      check(nn::content_hash(back) == hash, to, ": was written, but holds another discriminator; is the disk sound?");
      return {{"from", from}, {"to", to}, {"network", "StyleGAN2 discriminator"}, {"hash", hash}, {"checked", true}};
    }
    nn::Generator<float> g = generator_of(file, o);
    if (o.half) nn::round_to_half(g);
    make_folder_of(to);
    // Reads it again and compares.
    save_with_origin(to, file, [&](io::Metadata const& origin) { nn::save_generator(to, g, origin); });
    return {{"from", from},
            {"to", to},
            {"network", std::string(to_string(g.family())) + " generator"},
            {"hash", nn::content_hash(g)},
            {"checked", true}};
  }
  check(of_network.empty(), of_network, ": is for a network that is written as .safetensors, but ", from, " holds none");
  auto const tensors = file.tensors();
  check(!tensors.empty(), from, ": holds no tensors to convert");
  make_folder_of(to);
  if (extension == ".npz")
    io::save_npz(to, tensors, io::NpzTypes::wide);
  else
    io::save_safetensors(to, tensors, file.metadata);
  check_tensors(to, tensors, extension == ".npz");
  return {{"from", from}, {"to", to}, {"tensors", tensors.size()}, {"checked", true}};
}
}  // namespace

void add_convert(CLI::App& app, Context& context) {
  auto o = std::make_shared<ConvertOptions>();
  auto* verb = app.add_subcommand("convert", "Write the content of a file in another format");
  verb->add_option("FROM", o->from, "Checkpoint (.pkl, .pt, .pth, .hdf5, .npz, .safetensors), picture, or face model (for .obj)")
      ->required();
  verb->add_option("TO", o->to, "File to write: .safetensors, .npz, .png or .obj")->required();
  verb->add_flag("--raw", o->raw, "Keep names and layouts of the tensors as they are, even in a generator");
  verb->add_flag("--trained", o->trained, "Take the generator that was being trained instead of the averaged one");
  verb->add_flag("--half", o->half, "Round a network's weights to half precision: half the size");
  verb->add_option("--fused", o->fused,
                   "How a StyleGAN1 whose file does not say it (.pth) enlarges: always, never or automatic (default automatic)")
      ->check(CLI::IsMember({"always", "never", "automatic"}));
  add_common(*verb, context);
  verb->footer(
      "\nExamples:\n  stylerig convert ffhq.pkl ffhq.safetensors      an official pickle as rig's own file; nothing in it is executed\n"
      "  stylerig convert weights.pt weights.npz         every tensor under its path\n"
      "  stylerig convert builtin:20000 head.obj         the mean of a face model, with its colours");
  verb->callback([&context, o] {
    context.action = [&context, o] {
      Json const done = convert(*o);
      context.answer(done, printable(o->to) + " written");
      return success;
    };
  });
}

}  // namespace program
