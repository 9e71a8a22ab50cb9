// A morphable model together with a camera, on a device, ready to be differentiated: parameters in; vertices, normals,
// colours, projections, pictures, landmarks and losses out. One object serves a whole batch.
//   FaceRenderer<float> face(model, Camera::stylerig(10));
//   auto f = face({.identity = a, .light = g, .rotation = r, .translation = t}, {64, 64});
//   auto loss = mean(face.photometric(f, photographs)) + 20 * mean(landmark_loss(face.landmarks(f), points, weights));
#pragma once
#include <algorithm>
#include <cmath>

#include "rig/ops/arithmetic.hpp"
#include "rig/render/antialias.hpp"
#include "rig/render/camera.hpp"
#include "rig/render/interpolate.hpp"
#include "rig/render/landmarks.hpp"
#include "rig/render/morphable.hpp"
#include "rig/render/normals.hpp"
#include "rig/render/photometric.hpp"
#include "rig/render/rendered_photometric.hpp"
#include "rig/render/rotation.hpp"
#include "rig/render/shade.hpp"

namespace rig::inline RIG_ABI::render {

/// Parameters of n faces. What is left out is zero.
template <class T> struct FaceParts {
  Var<T> identity = {};     ///< [n, Ki]
  Var<T> reflectance = {};  ///< [n, Kr]
  Var<T> expression = {};   ///< [n, Ke]
  Var<T> light = {};        ///< [n, 27]
  Var<T> rotation = {};     ///< [n, 3] = (x, y, z) = (pitch, yaw, roll)
  Var<T> translation = {};  ///< [n, 3]
};

/// What follows from them.
template <class T> struct Face {
  Var<T> vertices;   ///< [n, V, 3], object frame
  Var<T> normals;    ///< [n, V, 3], camera frame
  Var<T> albedo;     ///< [n, V, 3]
  Var<T> colors;     ///< [n, V, 3], shaded at the vertices
  Var<T> projected;  ///< [n, V, 3] = (u, v, depth)
  Var<T> light;      ///< [n, 27]
  ImageSize size;
};

/// How position gradients of a picture are made; see antialias.hpp.
enum class VisibilityGradient {
  none,        ///< exact for fixed visibility: silhouettes do not move
  motion,      ///< image differences over all neighbours: silhouettes and occlusions move
  fragment,    ///< slopes inside triangles, image differences where surfaces meet; for comparison
  silhouette,  ///< slopes inside triangles, an integral along silhouette edges: an independent check
};
enum class Shading {
  vertex,  ///< shade vertices, interpolate colours
  pixel,   ///< interpolate albedo and normals, shade pixels
};
struct PictureOptions {
  VisibilityGradient gradient = VisibilityGradient::motion;
  Shading shading = Shading::vertex;
  bool cull = true;
};
template <class T> struct Picture {
  Var<T> image;    ///< [n, h, w, 3], over the background
  Tensor<T> mask;  ///< [n, h, w], 1 where the face region (without eyes and mouth) is seen
  Visibility visibility;
};

struct PhotometricOptions {
  Distance distance = Distance::l2;
  bool depth_test = true;  ///< off: every vertex that faces the camera counts as seen
};

template <class T> class FaceRenderer {
 public:
  Camera camera;
  Mesh mesh;
  Tensor<T> mean;                              ///< [V, 3]
  Tensor<T> basis;                             ///< [Ki + Ke, V, 3]: identity, then expression
  Var<T> reflectance_mean, reflectance_basis;  ///< [V, 3], [Kr, V, 3]; watch and put back to learn them
  Tensor<unsigned char> region;                ///< [V]: what losses see, face region without eyes and mouth
  LandmarkTable landmark_table;

  FaceRenderer() = default;
  FaceRenderer(MorphableModel const& model, Camera camera_, Device const& device = {})
      : camera(camera_),
        mesh(model, device),
        mean(cast<T>(model.mean).to(device)),
        landmark_table(model, device),
        identities_(model.identities()),
        expressions_(model.expressions()) {
    std::int64_t const v = model.vertices();
    basis = concat<T>({Var<T>(modes(model.identity, v)), Var<T>(modes(model.expression, v))}, 0).value().to(device);
    reflectance_mean = cast<T>(model.reflectance_mean).to(device);
    reflectance_basis = modes(model.reflectance, v).to(device);
    std::vector<unsigned char> seen(std::size_t(v), 1);
    auto const face = model.face_region ? model.face_region.host() : seen;
    auto const inside = model.interior ? model.interior.host() : std::vector<unsigned char>(std::size_t(v), 0);
    for (std::size_t i = 0; i < seen.size(); ++i) seen[i] = face[i] && !inside[i];
    region = Tensor<unsigned char>({v}, seen).to(device);
    keep_landmark_rows(model, device);
  }

  std::int64_t vertices() const { return mesh.vertices; }
  std::int64_t identities() const { return identities_; }
  std::int64_t expressions() const { return expressions_; }
  std::int64_t reflectances() const { return reflectance_basis.dim(0); }
  Device device() const { return mean.device(); }

  /// Everything up to colours and projections. Differentiable once in all parts.
  Face<T> operator()(FaceParts<T> parts, ImageSize size) const {
    fill(parts);
    Face<T> f;
    f.size = size;
    f.light = parts.light;
    f.vertices = linear_model(coefficients(parts), Var<T>(basis), Var<T>(mean));
    f.albedo = linear_model(parts.reflectance, reflectance_basis, reflectance_mean);
    Var<T> const r = euler_to_matrix(parts.rotation);
    f.normals = rotate(vertex_normals(f.vertices, mesh), r);
    f.colors = shade(f.albedo, f.normals, parts.light);
    f.projected = project(f.vertices, r, parts.translation, camera, size);
    return f;
  }

  /// Picture over a background [n, h, w, 3] (black if left out).
  Picture<T> render(Face<T> const& f, Tensor<T> const& background = {}, PictureOptions const& o = {}) const {
    Picture<T> p;
    p.visibility = rasterize(f.projected.value(), mesh, f.size, {.cull = o.cull});
    p.mask = region_mask<T>(p.visibility, mesh, region);
    Var<T> const b(background ? background : zeros<T>({f.projected.dim(0), f.size.height, f.size.width, 3}, device()));
    Var<T> const positions = o.gradient == VisibilityGradient::motion ? f.projected.detach() : f.projected;
    Var<T> color;
    if (o.shading == Shading::vertex)
      color = interpolate(f.colors, positions, p.visibility, mesh);
    else
      color = shade_pixels(f.albedo, f.normals, f.light, positions, p.visibility, mesh);
    p.image = composite(color, b, p.visibility);
    switch (o.gradient) {
      case VisibilityGradient::none: break;
      case VisibilityGradient::motion: p.image = motion_gradient(p.image, f.projected, p.visibility, mesh, camera); break;
      case VisibilityGradient::fragment: p.image = fragment_gradient(p.image, f.projected, p.visibility, mesh, camera); break;
      case VisibilityGradient::silhouette:
        p.image = silhouette_gradient(p.image, f.projected, f.colors.value(), p.visibility, mesh, camera);
        break;
    }
    return p;
  }

  /// Mean over the seen vertices of the face region of the distance between their colours and the photograph [n, h, w, 3]
  /// at their projections: [n]. The photograph has the size the face was made for.
  Var<T> photometric(Face<T> const& f, Tensor<T> const& photograph, PhotometricOptions const& o = {}) const {
    check(photograph.rank() == 4 && photograph.dim(1) == f.size.height && photograph.dim(2) == f.size.width,
          "FaceRenderer: photograph must be [n, ", f.size.height, ", ", f.size.width, ", 3], got ", photograph.shape());
    return vertex_photometric(f.colors, f.projected, photograph, normalized_weights(seen(f, o)), o.distance);
  }
  /// Mean over the mask of the distance between picture and photograph: [n]. The mask is a constant: use a picture made
  /// with VisibilityGradient::none, or over the photograph as background.
  Var<T> photometric(Picture<T> const& p, Tensor<T> const& photograph, PhotometricOptions const& o = {}) const {
    return pixel_photometric(p.image, photograph, normalized_weights(p.mask), o.distance);
  }
  /// photometric() of a picture drawn over the photograph with VisibilityGradient::none, in fewer passes: the picture is not
  /// kept.
  Var<T> drawn_photometric(Face<T> const& f, Tensor<T> const& photograph, PhotometricOptions const& o = {}) const {
    return rendered_photometric(f.colors, f.projected, photograph, rasterize(f.projected.value(), mesh, f.size), mesh, region, o.distance);
  }
  /// 1 for the vertices that photometric() compares: [n, V].
  Tensor<T> seen(Face<T> const& f, PhotometricOptions const& o = {}) const {
    if (!o.depth_test) return visible_vertices(f.projected.value(), f.normals.value(), nullptr, camera, f.size, region);
    Visibility const v = rasterize(f.projected.value(), mesh, f.size);
    return visible_vertices(f.projected.value(), f.normals.value(), &v, camera, f.size, region);
  }

  /// Landmarks of a face: [n, L, 2] in fractions of the image's height.
  Var<T> landmarks(Face<T> const& f) const {
    return landmark_points(f.projected, select_landmarks(f.projected.value(), landmark_table), f.size);
  }
  /// The same from the rows of the landmark vertices alone: costs next to nothing.
  Var<T> landmarks(FaceParts<T> parts, ImageSize size) const {
    fill(parts);
    Var<T> const v = linear_model(coefficients(parts), Var<T>(landmark_basis_), Var<T>(landmark_mean_));
    Var<T> const p = project(v, euler_to_matrix(parts.rotation), parts.translation, camera, size);
    return landmark_points(p, select_landmarks(p.value(), landmark_rows_), size);
  }

 private:
  static Tensor<T> modes(Tensor<float> const& m, std::int64_t vertices) {
    return m && m.dim(0) > 0 ? cast<T>(m) : Tensor<T>({0, vertices, 3});
  }
  Var<T> coefficients(FaceParts<T> const& p) const { return concat<T>({p.identity, p.expression}, 1); }
  void fill(FaceParts<T>& p) const {
    std::int64_t n = -1;
    Var<T>* const all[] = {&p.identity, &p.reflectance, &p.expression, &p.light, &p.rotation, &p.translation};
    std::int64_t const width[] = {identities_, reflectances(), expressions_, 27, 3, 3};
    char const* const name[] = {"identity", "reflectance", "expression", "light", "rotation", "translation"};
    for (auto* v : all)
      if (*v && n < 0) n = v->dim(0);
    check(n >= 0, "FaceRenderer: at least one part must be given");
    for (std::size_t i = 0; i < 6; ++i) {
      if (!*all[i]) *all[i] = Var<T>(zeros<T>({n, width[i]}, device()));
      check(all[i]->shape() == Shape({n, width[i]}), "FaceRenderer: ", name[i], " must be [", n, ", ", width[i], "], got ",
            all[i]->shape());
    }
  }
  void keep_landmark_rows(MorphableModel const& model, Device const& device) {
    std::vector<int> rows = model.landmarks ? model.landmarks.host() : std::vector<int>{};
    for (auto const& list : model.contour) rows.insert(rows.end(), list.begin(), list.end());
    std::sort(rows.begin(), rows.end());
    rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
    auto place = [&](int v) { return int(std::lower_bound(rows.begin(), rows.end(), v) - rows.begin()); };
    std::vector<int> index;
    if (model.landmarks)
      for (int v : model.landmarks.host()) index.push_back(place(v));
    auto contour = model.contour;
    for (auto& list : contour)
      for (int& v : list) v = place(v);
    landmark_rows_ = LandmarkTable(index, contour, device);
    landmark_mean_ = take_vertices(mean, rows), landmark_basis_ = take_vertices(basis, rows);
  }

  std::int64_t identities_ = 0, expressions_ = 0;
  Tensor<T> landmark_mean_, landmark_basis_;
  LandmarkTable landmark_rows_;
};

/// A camera and a translation under which the mean face, unturned, lies on given landmarks [L, 2] (fractions of the image's
/// height, the corpus's mean; weights [L], 0 = missing) by least squares. Computed once and stored with the corpus.
struct Placement {
  Camera camera;
  Vec3<double> translation;
};
inline Placement place_mean_face(MorphableModel const& model, Tensor<float> const& points, Tensor<float> const& weights,
                                 double focal = 4.2647) {
  std::vector<int> const index = model.landmarks.host();
  std::int64_t const count = std::int64_t(index.size());
  check(points.shape() == Shape({count, 2}) && weights.shape() == Shape{count}, "place_mean_face: points and weights must be [", count,
        ", 2] and [", count, "], got ", points.shape(), " and ", weights.shape());
  auto const p = points.host(), w = weights.host(), v = model.mean.host();
  double total = 0, x[3] = {}, q[2] = {};
  auto vertex = [&](std::int64_t l, int a) { return double(v[std::size_t(3 * index[std::size_t(l)] + a)]); };
  for (std::int64_t l = 0; l < count; ++l) {
    double const k = double(w[std::size_t(l)]);
    if (!(k > 0)) continue;
    total += k;
    for (int a = 0; a < 3; ++a) x[a] += k * vertex(l, a);
    for (int a = 0; a < 2; ++a) q[a] += k * double(p[std::size_t(2 * l + a)]);
  }
  check(total > 0, "place_mean_face: every landmark has weight 0");
  for (double& e : x) e /= total;
  for (double& e : q) e /= total;
  double up = 0, down = 0;
  for (std::int64_t l = 0; l < count; ++l) {
    double const k = double(w[std::size_t(l)]);
    if (!(k > 0)) continue;
    double const a = vertex(l, 0) - x[0], b = vertex(l, 1) - x[1];
    up += k * (a * (double(p[std::size_t(2 * l)]) - q[0]) - b * (double(p[std::size_t(2 * l + 1)]) - q[1]));
    down += k * (a * a + b * b);
  }
  check(up > 0 && down > 0, "place_mean_face: the landmarks do not look like a face the right way up");
  double const depth = focal * down / up;  // of the landmarks' centre
  // From there by Gauss and Newton's steps under the true perspective, in (tx, ty, distance).
  double tx = (q[0] - 0.5) * depth / focal - x[0], ty = (0.5 - q[1]) * depth / focal - x[1], distance = depth + x[2];
  for (int step = 0; step < 20; ++step) {
    double a = 0, bx = 0, by = 0, c = 0, gx = 0, gy = 0, gz = 0;
    for (std::int64_t l = 0; l < count; ++l) {
      double const k = double(w[std::size_t(l)]), d = distance - vertex(l, 2);
      if (!(k > 0)) continue;
      double const s = focal / d, px = s * (vertex(l, 0) + tx), py = s * (vertex(l, 1) + ty);
      double const ru = double(p[std::size_t(2 * l)]) - (0.5 + px), rv = double(p[std::size_t(2 * l + 1)]) - (0.5 - py);
      a += k * s * s, bx -= k * s * px / d, by -= k * s * py / d, c += k * (px * px + py * py) / (d * d);
      gx += k * s * ru, gy -= k * s * rv, gz += k * (py * rv - px * ru) / d;
    }
    double const dz = (gz - (bx * gx + by * gy) / a) / (c - (bx * bx + by * by) / a);
    tx += (gx - bx * dz) / a, ty += (gy - by * dz) / a, distance += dz;
  }
  check(std::isfinite(distance) && distance > 0, "place_mean_face: no camera puts the mean face on these landmarks");
  return {Camera{focal, distance}, {tx, ty, 0}};
}

}  // namespace rig::inline RIG_ABI::render
