// stylerig fit-photo PHOTOS: a face model fitted to photographs with landmarks, by optimising its parameters alone.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <sstream>

#include "chart.hpp"
#include "face.hpp"
#include "lock.hpp"
#include "rig/io/atomic_file.hpp"
#include "rig/io/obj.hpp"
#include "rig/nn/optim/adam.hpp"
#include "rig/stylerig/reconstruction.hpp"

namespace program {
using namespace rig;
namespace fs = std::filesystem;

namespace {
struct FitPhotoOptions {
  std::vector<std::string> photos;
  std::string landmarks, face = "builtin", form = "vertex";
  std::int64_t count = 24, landmark_steps = 120, steps = 200, batch = 8;
  double rate = 0.04, landmark_weight = 60, focal = 4.2647;
  int width = 160;
  bool meshes = false;
};

/// Cells of a line of CSV, empty ones included, without blanks round them.
std::vector<std::string> cells_of(std::string const& line) {
  std::vector<std::string> cells;
  std::istringstream parts(line + ",");
  for (std::string cell; std::getline(parts, cell, ',');) {
    auto const first = cell.find_first_not_of(" \t\r"), last = cell.find_last_not_of(" \t\r");
    cells.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
  }
  return cells;
}

/// The line of a photograph in the file of landmarks.
struct Landmarks {
  int line = 0;
  std::vector<double> points;  // x0, y0, ..., x67, y67 in pixels
};

/// A CSV with a header: one column "image", and x0, y0, ..., x67, y67 in pixels of the picture, (0, 0) its top left corner.
std::map<std::string, Landmarks> read_landmarks(std::string const& path) {
  std::istringstream lines{std::string(io::MappedFile(path).bytes().text())};
  std::map<std::string, Landmarks> photos;
  std::vector<int> column(136, -1);
  int image = -1, line_number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++line_number;
    auto const cells = cells_of(line);
    if (cells.size() == 1 && cells[0].empty()) continue;
    if (image < 0) {
      for (std::size_t i = 0; i < cells.size(); ++i) {
        if (cells[i] == "image") image = int(i);
        for (int l = 0; l < 68; ++l) {
          if (cells[i] == str("x", l)) column[std::size_t(2 * l)] = int(i);
          if (cells[i] == str("y", l)) column[std::size_t(2 * l + 1)] = int(i);
        }
      }
      check(image >= 0 && std::count(column.begin(), column.end(), -1) == 0, path,
            ": expected a first line with the columns image, x0, y0, ..., x67, y67, found: ", line.substr(0, 80));
      continue;
    }
    auto& [place, p] = photos[cells.size() > std::size_t(image) ? cells[std::size_t(image)] : ""];
    place = line_number;
    p.clear();
    for (int c : column) {
      check(std::size_t(c) < cells.size(), path, ": line ", line_number, " has ", cells.size(), " columns, expected at least ", c + 1);
      char* end = nullptr;
      p.push_back(std::strtod(cells[std::size_t(c)].c_str(), &end));
      check(!cells[std::size_t(c)].empty() && *end == 0, path, ": line ", line_number, ": expected a number, found '",
            cells[std::size_t(c)], "'");
    }
  }
  return photos;
}

/// The photographs that have landmarks, in order of their names.
std::vector<std::string> find_photos(FitPhotoOptions const& o, std::map<std::string, Landmarks> const& points) {
  std::vector<std::string> paths;
  for (auto const& name : o.photos) {
    if (!fs::is_directory(name)) {
      paths.push_back(name);
      continue;
    }
    for (auto const& entry : fs::directory_iterator(name))
      if (points.count(entry.path().filename().string())) paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  if (std::int64_t(paths.size()) > o.count) paths.resize(std::size_t(o.count));
  check(!paths.empty(), join(o.photos), ": no photograph there has landmarks in ", o.landmarks);
  for (auto const& p : paths) check(points.count(fs::path(p).filename().string()) > 0, p, ": has no line in ", o.landmarks);
  std::map<std::string, std::string> seen;  // meshes are named without the extension
  for (auto const& p : paths) {
    auto const [other, fresh] = seen.emplace((o.meshes ? fs::path(p).stem() : fs::path(p).filename()).string(), p);
    check(fresh, p, ": expected photographs with names of their own, found ", other->second,
          o.meshes ? ", whose mesh would have the same name" : ", which has the same landmarks");
  }
  return paths;
}

/// The points of a photograph as (u, v, weight) in fractions of its side. Error if one lies where no face in the picture has it.
std::vector<float> marks_of(Landmarks const& landmarks, double side, std::string const& file) {
  std::vector<float> marks;
  for (std::size_t i = 0; i < landmarks.points.size(); ++i) {
    double const v = landmarks.points[i] / side;
    check(v >= -0.5 && v <= 1.5, file, ": line ", landmarks.line, ": expected ", i % 2 ? "y" : "x", i / 2, " from ", -0.5 * side, " to ",
          1.5 * side, " in a photograph of ", side, " pixels, found ", landmarks.points[i]);
    marks.push_back(float(v));
    if (i % 2) marks.push_back(1);
  }
  return marks;
}

struct FittedVector {
  Param<float> x;
  void visit(auto&& f) { f("x", x); }
};

/// p of photographs: first where the landmarks are, then colours as well.
Tensor<float> fit(stylerig::RenderedFaceLoss<float> const& face, stylerig::Observation const& seen, std::vector<float> const& mean,
                  FitPhotoOptions const& o, train::StopFlag const* stop, std::function<void(std::int64_t)> const& step_done) {
  std::int64_t const n = seen.pictures.dim(0);
  auto const scale = stylerig::output_scale(face.layout(), face.camera_distance(), mean);
  Device const device = seen.pictures.device();
  std::int64_t const f = face.layout().size();
  Var<float> const unit(Tensor<float>({f}, scale.scale, device)), offset(Tensor<float>({f}, scale.offset, device));
  FittedVector v{Param<float>(zeros<float>({n, f}, device))};
  nn::Adam<float> adam({.rate = o.rate});
  std::int64_t const total = o.landmark_steps + o.steps;
  for (std::int64_t step = 0; step < total && !train::stop_asked(stop); ++step) {
    bool const colours = step >= o.landmark_steps;
    Tape tape;
    tape.watch(v);
    Var<float> const p = v.x * unit + offset;
    auto const loss = stylerig::render_loss(face(seen, p, {colours, true}), o.landmark_weight) +
                      stylerig::regulariser(face.layout(), p, stylerig::RegulariserOptions{}, face.named_expressions());
    tape.backward(float(n) * loss);
    std::int64_t const first = colours ? o.landmark_steps : 0, length = colours ? o.steps : o.landmark_steps;
    adam.rate = nn::cosine_rate(step - first, length, o.rate, 0.05 * o.rate);
    adam.step(v);
    step_done(step + 1);
  }
  return (Var<float>(v.x.value()) * unit + offset).value();
}

Canvas with_points(Canvas c, float const* points, std::int64_t count, int stride, Colour colour) {
  for (std::int64_t l = 0; l < count; ++l)
    c.dot(double(points[stride * l]) * c.width, double(points[stride * l + 1]) * c.height, std::max(1.0, c.width / 100.0), colour);
  return c;
}

int run(Context const& context, FitPhotoOptions const& o) {
  OutputFolder const folder(context.out);
  auto const points = read_landmarks(o.landmarks);
  auto const paths = find_photos(o, points);
  render::MorphableModel const model = load_face_model(o.face);
  FaceSetup setup;
  setup.model = o.face, setup.form = o.form, setup.camera.focal = o.focal;

  std::vector<Tensor<float>> pictures;
  std::vector<float> marks;
  for (auto const& path : paths) {
    pictures.push_back(io::load_image(path));
    auto const& first = pictures.front();
    check(pictures.back().dim(0) == pictures.back().dim(1) && pictures.back().shape() == first.shape(), path,
          ": photographs must be square and of one size, expected ", first.shape(), ", found ", pictures.back().shape());
    auto const of_one = marks_of(points.at(fs::path(path).filename().string()), double(first.dim(0)), o.landmarks);
    marks.insert(marks.end(), of_one.begin(), of_one.end());
  }
  std::int64_t const n = std::int64_t(paths.size()), side = pictures[0].dim(0);
  setup.size = side;
  Tensor<float> const landmarks({n, 68, 3}, marks);
  place_on_landmarks(setup, model, landmarks);
  auto const face = setup.loss(model, context.target());

  Tensor<float> all({n, side, side, 3});
  float* to = all.mutate();
  for (auto const& p : pictures) to = std::copy_n(p.data(), p.size(), to);
  auto const show = context.progress("fit");
  std::int64_t const total = o.landmark_steps + o.steps, batches = (n + o.batch - 1) / o.batch;
  std::vector<float> vectors;
  for (std::int64_t b = 0; b < batches; ++b) {
    std::int64_t const first = b * o.batch, m = std::min(o.batch, n - first);
    stylerig::Observation const seen{all.rows(first, m).to(context.target()), landmarks.rows(first, m).to(context.target())};
    auto const p =
        fit(face, seen, setup.mean, o, context.stop, [&](std::int64_t step) { show(b * total + step, batches * total, ""); }).host();
    if (train::stop_asked(context.stop)) return context.stopped("nothing is written");
    vectors.insert(vectors.end(), p.begin(), p.end());
  }
  std::int64_t const f = face.layout().size();
  Tensor<float> const p({n, f}, vectors);

  Sheet sheet("stylerig fit-photo");
  sheet.columns({"photograph", "landmarks", "fitted face", "without photo", "normals", "error x 3"});
  Json fits = Json::array();
  std::vector<double> landmark_errors, colour_errors;
  for (std::int64_t i = 0; i < n; ++i) {
    Tensor<float> const one = p.rows(i, 1).to(context.target()), photo = all.rows(i, 1).to(context.target());
    auto const picture = face.renderer.render(face.renderer(stylerig::face_parts(face.layout(), Var<float>(one)), face.size()), photo,
                                              {.gradient = render::VisibilityGradient::none});
    Tensor<float> const shown = clamp(picture.image, 0, 1).value().to(cpu()), mask = picture.mask.to(cpu()),
                        found = face_landmarks(face, one).to(cpu());
    Tensor<float> error({side, side, 3});
    float* e = error.mutate();
    double square = 0, covered = 0;
    float const* photograph = all.data() + i * side * side * 3;
    for (std::int64_t k = 0; k < side * side; ++k)
      for (int c = 0; c < 3; ++c) {
        float const d = mask.data()[k] > 0 ? shown.data()[3 * k + c] - photograph[3 * k + c] : 0;
        e[3 * k + c] = std::min(1.f, 3 * std::abs(d));
        square += double(d) * double(d), covered += mask.data()[k] > 0 ? 1 : 0;
      }
    check(covered > 0, paths[std::size_t(i)], ": the fitted face covers no pixel of it; are its landmarks in ", o.landmarks, " right?");
    float const* truth = landmarks.data() + i * 68 * 3;
    double distance = 0;
    for (int l = 0; l < 68; ++l)
      distance += std::hypot(double(found.data()[2 * l] - truth[3 * l]), double(found.data()[2 * l + 1] - truth[3 * l + 1])) / 68;
    double const eyes = std::hypot(double(truth[3 * 36] - truth[3 * 45]), double(truth[3 * 36 + 1] - truth[3 * 45 + 1]));
    landmark_errors.push_back(distance / eyes), colour_errors.push_back(std::sqrt(square / std::max(1.0, covered)));

    std::string const name = fs::path(paths[std::size_t(i)]).stem().string();
    Canvas const original = resized(to_canvas(all[i]), o.width), fitted = resized(to_canvas(shown), o.width);
    Canvas const marked = with_points(with_points(original, truth, 68, 3, {40, 200, 60}), found.data(), 68, 2, {230, 60, 40});
    Tensor<float> const alone = render_faces(face, one, {}, std::max<std::int64_t>(o.width, 64)),
                        normals = render_normals(face, one, {}, std::max<std::int64_t>(o.width, 64));
    sheet.row(name,
              {original, marked, fitted, resized(to_canvas(alone), o.width), resized(to_canvas(normals), o.width),
               resized(to_canvas(error), o.width)},
              {"", "landmarks " + number(100 * landmark_errors.back()) + " %", "colour " + number(colour_errors.back())});
    fits.push_back({{"photo", paths[std::size_t(i)]},
                    {"landmark_error", landmark_errors.back()},
                    {"colour_rmse", colour_errors.back()},
                    {"p", std::vector<float>(p.data() + i * f, p.data() + (i + 1) * f)}});
    if (o.meshes) {
      auto const geometry = face.renderer(stylerig::face_parts(face.layout(), Var<float>(one)), face.size());
      io::save_obj(context.out + "/" + name + ".obj", geometry.vertices.value()[0].to(cpu()), model.triangles,
                   clamp(geometry.albedo, 0, 1).value()[0].to(cpu()));
    }
  }
  double const landmark_median = distribution_of("", landmark_errors).median, colour_median = distribution_of("", colour_errors).median;
  sheet.note(
      "green: given landmarks, red: the model's; errors: mean landmark distance over the outer-eye distance, root mean square of colours "
      "on the face");
  save_canvas(context.out + "/sheet.png", sheet.draw(), provenance(context, {{"Face", face.identity()}}));
  Json const numbers{{"sheet", context.out + "/sheet.png"}, {"face", face.identity()},
                     {"layout", face.layout().text()},      {"landmark_error_median", landmark_median},
                     {"colour_rmse_median", colour_median}, {"fits", fits}};
  save_json(context.out + "/fits.json", numbers);
  context.answer(numbers, str(n, " photographs: median landmark error ", number(100 * landmark_median),
                              " % of the outer-eye distance, median colour error ", number(colour_median), "\n", context.out,
                              "/sheet.png and fits.json written"));
  return success;
}
}  // namespace

void add_fit_photo(CLI::App& app, Context& context) {
  auto o = std::make_shared<FitPhotoOptions>();
  auto* verb = app.add_subcommand("fit-photo", "Fit a face model to photographs with landmarks");
  verb->add_option("PHOTOS", o->photos, "Square photographs of one size, or folders of them")->required();
  verb->add_option("--landmarks", o->landmarks, "CSV with the columns image, x0, y0, ..., x67, y67 in pixels")->required();
  verb->add_option("--face", o->face, std::string(face_model_help) + " (default builtin)");
  verb->add_option("--count", o->count, "Photographs, at most (default 24)")->check(CLI::PositiveNumber);
  verb->add_option("--landmark-steps", o->landmark_steps, "First steps, on landmarks alone (default 120)")->check(CLI::NonNegativeNumber);
  verb->add_option("--steps", o->steps, "Steps on landmarks and colours (default 200)")->check(CLI::NonNegativeNumber);
  verb->add_option("--batch", o->batch, "Photographs fitted side by side (default 8)")->check(CLI::PositiveNumber);
  verb->add_option("--rate", o->rate, "Step size (default 0.04)")->check(CLI::PositiveNumber);
  verb->add_option("--landmark", o->landmark_weight, "Weight of landmarks against colours (default 60)")->check(CLI::NonNegativeNumber);
  verb->add_option("--form", o->form, "Colours compared at vertices or in pixels (default vertex)")
      ->check(CLI::IsMember({"vertex", "pixel"}));
  verb->add_option("--focal", o->focal, "Focal length over picture height (default 4.2647)")->check(CLI::PositiveNumber);
  verb->add_option("--width", o->width, "Width of a picture on the sheet (default 160)")->check(CLI::Range(16, 4096));
  verb->add_flag("--meshes", o->meshes, "Also write every fitted face as an OBJ mesh");
  add_common(*verb, context, "fit", "Folder for sheet.png and fits.json");
  verb->footer(
      "\nExample:\n  stylerig fit-photo portraits/aligned128 --landmarks portraits/landmarks68.csv --face ict_facekit_light.npz --count "
      "24");
  verb->callback([&context, o] {
    if (context.out.empty()) context.out = "fit";
    context.action = [&context, o] { return run(context, *o); };
  });
}

}  // namespace program
