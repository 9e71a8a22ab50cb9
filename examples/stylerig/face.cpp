#include "face.hpp"

#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "rig/io/file.hpp"
#include "rig/render/models/ict.hpp"
#include "rig/render/procedural_face.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
int whole(std::string const& text, std::string const& spec) {
  int v = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  check(error == std::errc() && end == text.data() + text.size(), spec,
        ": expected builtin:VERTICES or builtin:VERTICES:IDENTITY:REFLECTANCE, found '", text, "' for a number");
  return v;
}

Tensor<float> grey_background(std::int64_t n, std::int64_t side, Device const& device) {
  return full<float>({n, side, side, 3}, 0.5f, device);
}
}  // namespace

render::MorphableModel load_face_model(std::string const& spec) {
  auto const parts = split(spec, ':');
  check(!parts.empty(), "face model: expected builtin or a file, found an empty name");
  if (parts[0] == "builtin") {
    render::ProceduralFaceOptions o;
    check(parts.size() <= 4 && parts.size() != 3, spec, ": expected builtin, builtin:VERTICES or builtin:VERTICES:IDENTITY:REFLECTANCE");
    if (parts.size() > 1) o.vertices = whole(parts[1], spec);
    if (parts.size() > 2) o.identity = whole(parts[2], spec), o.reflectance = whole(parts[3], spec);
    return render::procedural_face(o);
  }
  render::IctOptions o;
  o.part = render::IctPart::face;
  std::string path = spec;
  static std::pair<char const*, render::IctPart> const names[] = {
      {"face", render::IctPart::face}, {"skin", render::IctPart::skin}, {"head", render::IctPart::head}, {"all", render::IctPart::all}};
  for (auto const& [name, part] : names)
    if (parts.size() > 1 && parts.back() == name) o.part = part, path = spec.substr(0, spec.rfind(':'));
  io::Kind const kind = io::identify(io::MappedFile(path).bytes());
  // Of a damaged archive the reader says what is wrong.
  check(kind == io::Kind::npz || kind == io::Kind::zip, path, ": expected a face model, builtin or an ICT-FaceKit .npz, found ",
        io::name_of(kind));
  std::string const indices = (fs::path(path).parent_path() / "vertex_indices.json").string();
  return render::load_ict(path, fs::exists(indices) ? indices : "", o);
}

std::string find_face_model() {
  if (char const* const set = std::getenv("RIG_FACE_MODEL")) return set;
  for (char const* folder : {"", "data/ict-facekit/", "../shared/data/ict-facekit/"})
    if (std::string const path = std::string(folder) + "ict_facekit_light.npz"; fs::exists(path)) return path;
  return "builtin";
}

stylerig::RenderedFaceLoss<float> FaceSetup::loss(render::MorphableModel const& m, Device const& device) const {
  return {m,
          camera,
          size,
          {.form = form == "pixel" ? stylerig::PhotometricForm::pixel : stylerig::PhotometricForm::vertex,
           .distance = distance == "l21" ? render::Distance::l21 : render::Distance::l2},
          device};
}

Json FaceSetup::json() const {
  return {{"model", model},
          {"camera",
           {{"focal", camera.focal},
            {"distance", camera.distance},
            {"center_x", camera.center_x},
            {"center_y", camera.center_y},
            {"near_fraction", camera.near_fraction}}},
          {"size", size},
          {"form", form},
          {"distance", distance},
          {"mean", mean}};
}

FaceSetup FaceSetup::from(Json const& j, std::string const& where) {
  FaceSetup s;
  Json const& c = member(j, "camera", where);
  try {
    s.model = member(j, "model", where).get<std::string>();
    s.camera = {member(c, "focal", where).get<double>(), member(c, "distance", where).get<double>(),
                member(c, "center_x", where).get<double>(), member(c, "center_y", where).get<double>(),
                member(c, "near_fraction", where).get<double>()};
    s.size = member(j, "size", where).get<std::int64_t>();
    s.form = member(j, "form", where).get<std::string>();
    s.distance = member(j, "distance", where).get<std::string>();
    s.mean = member(j, "mean", where).get<std::vector<float>>();
    if (j.contains("truncation")) s.truncation = j["truncation"].get<double>();
  } catch (nlohmann::json::exception const& e) {
    throw Error(where + ": an entry has the wrong type: " + e.what());
  }
  check(s.size > 0 && s.camera.distance > 0 && s.camera.focal > 0, where, ": size, distance and focal length must be positive");
  check(s.form == "vertex" || s.form == "pixel", where, ": expected form vertex or pixel, found '", s.form, "'");
  check(s.distance == "l2" || s.distance == "l21", where, ": expected distance l2 or l21, found '", s.distance, "'");
  return s;
}

namespace {
void set_translation(FaceSetup& setup, render::MorphableModel const& model, double x, double y, double z) {
  auto const layout = stylerig::ParameterLayout::of(model);
  setup.mean.assign(std::size_t(layout.size()), 0);
  std::int64_t const t = layout.at("translation").offset;
  setup.mean[std::size_t(t)] = float(x), setup.mean[std::size_t(t + 1)] = float(y), setup.mean[std::size_t(t + 2)] = float(z);
}
}  // namespace

void place_as_aligned(FaceSetup& setup, render::MorphableModel const& model) {
  check(model.landmarks && model.landmarks.size() == 68, "face model ", model.name,
        ": placing it needs its 68 landmarks; give --distance instead");
  auto const index = model.landmarks.host();
  auto const v = model.mean.host();
  double eye[2][3] = {};
  for (int side = 0; side < 2; ++side)
    for (int l = 36 + 6 * side; l < 42 + 6 * side; ++l)
      for (int a = 0; a < 3; ++a) eye[side][a] += double(v[std::size_t(3 * index[std::size_t(l)] + a)]) / 6;
  double const depth = setup.camera.focal * (eye[1][0] - eye[0][0]) / 0.25;
  check(depth > 0, "face model ", model.name, ": its left and right eyes are the wrong way round");
  setup.camera.distance = depth + (eye[0][2] + eye[1][2]) / 2;
  set_translation(setup, model, -(eye[0][0] + eye[1][0]) / 2, (0.5 - 0.4725) * depth / setup.camera.focal - (eye[0][1] + eye[1][1]) / 2, 0);
}

void place_on_landmarks(FaceSetup& setup, render::MorphableModel const& model, Tensor<float> const& landmarks) {
  std::int64_t const n = landmarks.dim(0), count = landmarks.dim(1);
  auto const x = landmarks.host();
  std::vector<float> points(std::size_t(2 * count), 0), weights(std::size_t(count), 0);
  for (std::int64_t l = 0; l < count; ++l) {
    double u = 0, w = 0, k = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      float const* p = &x[std::size_t(3 * (i * count + l))];
      if (p[2] > 0) u += double(p[2]) * double(p[0]), w += double(p[2]) * double(p[1]), k += double(p[2]);
    }
    if (k > 0)
      points[std::size_t(2 * l)] = float(u / k), points[std::size_t(2 * l + 1)] = float(w / k),
                             weights[std::size_t(l)] = float(k / double(n));
  }
  auto const placed =
      render::place_mean_face(model, Tensor<float>({count, 2}, points), Tensor<float>({count}, weights), setup.camera.focal);
  setup.camera = placed.camera;
  set_translation(setup, model, placed.translation.x, placed.translation.y, placed.translation.z);
}

Tensor<float> render_faces(stylerig::RenderedFaceLoss<float> const& face, Tensor<float> const& p, Tensor<float> const& background,
                           std::int64_t side) {
  std::int64_t const s = side > 0 ? side : face.size().height;
  auto const f = face.renderer(stylerig::face_parts(face.layout(), Var<float>(p)), {s, s});
  auto const picture = face.renderer.render(f, background ? background : grey_background(p.dim(0), s, p.device()),
                                            {.gradient = render::VisibilityGradient::none});
  return clamp(picture.image, 0, 1).value();
}

Tensor<float> render_normals(stylerig::RenderedFaceLoss<float> const& face, Tensor<float> const& p, Tensor<float> const& background,
                             std::int64_t side) {
  std::int64_t const s = side > 0 ? side : face.size().height;
  auto f = face.renderer(stylerig::face_parts(face.layout(), Var<float>(p)), {s, s});
  f.colors = affine(f.normals, 0.5f, 0.5f);
  auto const picture = face.renderer.render(f, background ? background : grey_background(p.dim(0), s, p.device()),
                                            {.gradient = render::VisibilityGradient::none});
  return clamp(picture.image, 0, 1).value();
}

Tensor<float> face_landmarks(stylerig::RenderedFaceLoss<float> const& face, Tensor<float> const& p) {
  return face.renderer.landmarks(stylerig::face_parts(face.layout(), Var<float>(p)), face.size()).value();
}

}  // namespace program
