// The face renderer part by part on a mesh of StyleRig's size. Names end in pictures, and pixels a side where they matter.
#include <memory>

#include "faces.hpp"
#include "measure.hpp"
#include "rig/render/face_renderer.hpp"

namespace bench {

namespace {

using namespace rig::render;

/// The model, made when the first case asks for it and put on its device once.
struct Model {
  MorphableModel const& model;
  std::unique_ptr<FaceRenderer<float>> on_device;
  std::int64_t vertices, faces, modes, reflectances;

  explicit Model(bool small) : model(timed_face(small)) {
    vertices = model.vertices(), faces = model.triangles.dim(0), modes = model.identities() + model.expressions();
    reflectances = model.reflectances();
  }
  FaceRenderer<float> const& renderer(Device const& d) {
    if (!on_device) on_device = std::make_unique<FaceRenderer<float>>(model, timed_camera(model), d);
    return *on_device;
  }
};

/// Random faces and what follows from them.
struct Batch {
  FaceRenderer<float> const& face;
  ImageSize size;
  FaceParts<float> p;
  Face<float> f;
  Tensor<float> photo;

  Batch(FaceRenderer<float> const& renderer, std::int64_t n, std::int64_t side, Rng& rng, Device const& d)
      : face(renderer), size{side, side} {
    p = {randn<float>({n, face.identities()}, rng, d),
         randn<float>({n, face.reflectances()}, rng, d),
         rand<float>({n, face.expressions()}, rng, d, 0.0f, 0.2f),
         randn<float>({n, 27}, rng, d, 0.1f),
         randn<float>({n, 3}, rng, d, 0.15f),
         zeros<float>({n, 3}, d)};
    f = face(p, size);
    photo = rand<float>({n, side, side, 3}, rng, d);
  }
};

class Faces {
 public:
  Faces(List& list, std::shared_ptr<Model> model) : list_(list), model_(std::move(model)) {}

  /// Everything that a batch has at the vertices.
  void add_vertex_work(std::int64_t n) {
    double const points = double(n * model_->vertices), faces = double(model_->faces), k = double(model_->modes);
    double const basis = 12 * double(model_->vertices) * k;
    at_ = "/n" + std::to_string(n), n_ = n, side_ = 224;
    add("linear_model", basis + 12 * points, 6 * points * k, [](Batch const& b) {
      return keep(linear_model(concat<float>({b.p.identity, b.p.expression}, 1), Var<float>(b.face.basis), Var<float>(b.face.mean)));
    });
    add("linear_model_gradient", 2 * basis + 24 * points, 12 * points * k, [](Batch const& b) {
      Tensor<float> const c = concat<float>({b.p.identity, b.p.expression}, 1).value();
      return with_gradients({c}, [&](auto const& x) { return linear_model(x[0], Var<float>(b.face.basis), Var<float>(b.face.mean)); });
    });
    add("vertex_normals", 24 * points + 12 * faces, 60 * points,
        [](Batch const& b) { return keep(vertex_normals(b.f.vertices, b.face.mesh)); });
    add("vertex_normals_gradient", 72 * points + 24 * faces, 200 * points, [](Batch const& b) {
      return with_gradients({b.f.vertices.value()}, [&](auto const& x) { return vertex_normals(x[0], b.face.mesh); });
    });
    add("project", 24 * points, 25 * points,
        [](Batch const& b) { return keep(project(b.f.vertices, euler_to_matrix(b.p.rotation), b.p.translation, b.face.camera, b.size)); });
    add("shade", 36 * points, 60 * points, [](Batch const& b) { return keep(shade(b.f.albedo, b.f.normals, b.p.light)); });
    add("shade_gradient", 96 * points, 250 * points, [](Batch const& b) {
      return with_gradients({b.f.albedo.value(), b.f.normals.value(), b.p.light.value()},
                            [](auto const& x) { return shade(x[0], x[1], x[2]); });
    });
    add("landmark_loss_gradient", 12 * points, 0, [](Batch const& b) {
      std::int64_t const marks = b.face.landmark_table.size();
      Device const d = b.photo.device();
      Tensor<float> const target = zeros<float>({b.photo.dim(0), marks, 2}, d), weight = ones<float>({b.photo.dim(0), marks}, d);
      return with_gradients({b.f.projected.value()}, [&](auto const& x) {
        return landmark_loss(landmark_points(x[0], select_landmarks(b.f.projected.value(), b.face.landmark_table), b.size), target, weight);
      });
    });
  }

  /// Everything that a picture of that size has to do with.
  void add_pixel_work(std::int64_t n, std::int64_t side) {
    double const points = double(n * model_->vertices), pixels = double(n * side * side), v = double(model_->vertices);
    double const raster = 12 * points + 12.0 * double(model_->faces) + 16 * pixels,
                 bases = 12 * v * double(model_->modes + model_->reflectances);
    double const products = 6 * points * double(model_->modes + model_->reflectances);
    at_ = "/n" + std::to_string(n) + "/" + std::to_string(side) + "px", n_ = n, side_ = side;
    add("coverage", raster, 0, [](Batch const& b) {
      Visibility const seen = rasterize(b.f.projected.value(), b.face.mesh, b.size);
      return Kept(std::pair(seen.triangle, seen.inverse_depth));
    });
    prepared("interpolate", 12 * points + 16 * pixels, 30 * pixels, [](Batch const& b) {
      Visibility const seen = rasterize(b.f.projected.value(), b.face.mesh, b.size);
      return [&b, seen] { return keep(interpolate(b.f.colors, b.f.projected.detach(), seen, b.face.mesh)); };
    });
    prepared("interpolate_gradient", 36 * points + 32 * pixels, 60 * pixels, [](Batch const& b) {
      Visibility const seen = rasterize(b.f.projected.value(), b.face.mesh, b.size);
      return [&b, seen] {
        return with_gradients({b.f.colors.value(), b.f.projected.value()},
                              [&](auto const& x) { return interpolate(x[0], x[1], seen, b.face.mesh); });
      };
    });
    add("picture", raster + 12 * points + 52 * pixels, 30 * pixels, [](Batch const& b) { return keep(b.face.render(b.f, b.photo).image); });
    add("picture_motion_gradient", 2 * (raster + 12 * points + 52 * pixels), 100 * pixels, [](Batch const& b) {
      return with_gradients({b.f.colors.value(), b.f.projected.value()}, [&](auto const& x) {
        Face<float> f = b.f;
        f.colors = x[0], f.projected = x[1];
        return b.face.render(f, b.photo).image;
      });
    });
    prepared("vertex_photometric_gradient", 80 * points + 12 * pixels, 80 * points, [](Batch const& b) {
      Tensor<float> const w = normalized_weights(b.face.seen(b.f));
      return [&b, w] {
        return with_gradients({b.f.colors.value(), b.f.projected.value()},
                              [&](auto const& x) { return vertex_photometric(x[0], x[1], b.photo, w); });
      };
    });
    prepared("pixel_photometric_gradient", 68 * pixels, 20 * pixels, [](Batch const& b) {
      auto const picture = b.face.render(b.f, b.photo);
      Tensor<float> const image = picture.image.value(), w = normalized_weights(picture.mask);
      return [&b, image, w] { return with_gradients({image}, [&](auto const& x) { return pixel_photometric(x[0], b.photo, w); }); };
    });
    whole("face_vertex_loss", 2 * bases + 12 * pixels, 2 * products,
          [](Batch const& b, Face<float> const& f) { return b.face.photometric(f, b.photo); });
    whole("face_pixel_loss", 2 * bases + 24 * pixels, 2 * products, [](Batch const& b, Face<float> const& f) {
      return b.face.photometric(b.face.render(f, b.photo, {.gradient = VisibilityGradient::none}), b.photo);
    });
    whole("face_motion_loss", 2 * bases + 24 * pixels, 2 * products,
          [](Batch const& b, Face<float> const& f) { return b.face.photometric(b.face.render(f, b.photo), b.photo); });
  }

 private:
  /// `prepare(batch)` gives what is timed.
  template <class F> void prepared(std::string const& what, double bytes, double flops, F const& prepare) {
    auto const make = [model = model_, prepare, n = n_, side = side_](Rng& rng, Device const& d) -> Call {
      auto const b = std::make_shared<Batch>(model->renderer(d), n, side, rng, d);
      return [b, work = std::function<Kept()>(prepare(*b))] { return work(); };
    };
    double const pixels = double(n_ * side_ * side_), points = double(n_ * model_->vertices);
    list_.add({what + at_, bytes, flops, make, 400 * points + 200 * pixels});
  }
  template <class F> void add(std::string const& what, double bytes, double flops, F const& f) {
    prepared(what, bytes, flops, [f](Batch const& b) { return [&b, f] { return f(b); }; });
  }
  /// All of a training step's rendering: parameters to loss and back to parameters.
  template <class F> void whole(std::string const& what, double bytes, double flops, F const& loss) {
    add(what + "_gradient", bytes, flops, [loss](Batch const& b) {
      return with_gradients({b.p.identity.value(), b.p.reflectance.value(), b.p.expression.value(), b.p.light.value(), b.p.rotation.value(),
                             b.p.translation.value()},
                            [&](auto const& x) {
                              return loss(b, b.face(FaceParts<float>{x[0], x[1], x[2], x[3], x[4], x[5]}, b.size));
                            });
    });
  }

  List& list_;
  std::shared_ptr<Model> model_;
  std::string at_;
  std::int64_t n_ = 0, side_ = 0;
};

}  // namespace

void add_faces(List& list) {
  Faces faces(list, std::make_shared<Model>(list.small));
  std::vector<std::int64_t> const batches = list.small ? std::vector<std::int64_t>{2} : std::vector<std::int64_t>{1, 8, 64},
                                  sides = list.small ? std::vector<std::int64_t>{32} : std::vector<std::int64_t>{224, 512, 1024};
  for (std::int64_t n : batches) {
    faces.add_vertex_work(n);
    for (std::int64_t side : sides) faces.add_pixel_work(n, side);
  }
}

}  // namespace bench
