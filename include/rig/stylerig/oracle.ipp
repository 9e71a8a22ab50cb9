#pragma once
#include <cmath>

#include "rig/ops/activation.hpp"
#include "rig/ops/gather.hpp"
#include "rig/ops/matmul.hpp"
#include "rig/ops/upfirdn.hpp"
#include "rig/render/interpolate.hpp"
#include "rig/render/landmarks.hpp"
#include "rig/render/morphable.hpp"
#include "rig/render/normals.hpp"
#include "rig/render/rotation.hpp"
#include "rig/render/shade.hpp"
#include "rig/render/spherical_harmonics.hpp"
#include "rig/stylerig/oracle.hpp"

namespace rig::inline RIG_ABI::stylerig {
namespace detail {

/// A group of factors and the row (of ten) that carries it.
struct FactorGroup {
  char const* name;
  int count, row;
};
// The order is that of the formulas below. Rows follow what StyleGAN's layers do: pose in the coarsest, shapes up to 8 px,
// expression at 16 px, light in the middle, colours in the fine rows. One row a group, because a synthesis layer sees one
// row alone: a sum over rows would have to be carried from layer to layer.
inline constexpr FactorGroup factor_groups[] = {{"pose", 3, 0},       {"translation", 2, 0}, {"identity", 10, 1},
                                                {"expression", 8, 3}, {"light", 6, 5},       {"reflectance", 6, 6},
                                                {"hair shape", 3, 2}, {"hair colour", 2, 7}, {"background", 6, 8}};
inline constexpr int factor_count = 46;

/// Where a group's factors begin.
inline int factor_offset(std::string_view group) {
  int at = 0;
  for (auto const& g : factor_groups) {
    if (group == g.name) return at;
    at += g.count;
  }
  throw Error(str("oracle: no group of factors is called '", group, "'"));
}

inline double smooth_limit(double reach, double slope, double u) { return reach * std::tanh(slope * u); }
inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

/// What a camera does that meters the face: most of the difference between the brightness of a frontal skin and the usual one
/// is taken back. How bright a picture is then says more about the skin than about the lamp, as in photographs.
inline double metering(double azimuth, double elevation, double strength, double ambient) {
  double const now = lambertian_shading(std::cos(azimuth) * std::cos(elevation), strength, ambient),
               usual = lambertian_shading(0.9, 0.62, 0.46);
  return std::pow(usual / now, 0.85);
}

/// The colour of a light, from blue (negative) to warm; its brightness stays.
inline void tint(double warm, double out[3]) { out[0] = std::exp(0.10 * warm), out[1] = 1, out[2] = std::exp(-0.10 * warm); }

}  // namespace detail

RIG_INLINE std::vector<std::string> const& oracle_factor_names() {
  static std::vector<std::string> const names = [] {
    std::vector<std::string> n{"yaw", "pitch", "roll", "shift x", "shift y"};
    auto numbered = [&](char const* what, int count) {
      for (int i = 0; i < count; ++i) n.push_back(str(what, " ", i));
    };
    numbered("identity", 10);
    for (char const* e : {"jaw", "smile", "smile asymmetry", "pucker", "brow up", "brow down", "blink", "frown"}) n.push_back(e);
    for (char const* l : {"azimuth", "elevation", "strength", "ambient", "warmth", "sky"}) n.push_back(l);
    numbered("reflectance", 6);
    for (char const* h : {"hair length", "hair volume", "fringe", "hair melanin", "hair redness"}) n.push_back(h);
    numbered("background", 6);
    return n;
  }();
  return names;
}

RIG_INLINE Tensor<float> OracleTruth::factors(Tensor<float> const& codes) const {
  check(codes.rank() == 3 && codes.dim(1) == rows && codes.dim(2) == width, "oracle: codes must be [n, ", rows, ", ", width, "], got ",
        codes.shape());
  Var<float> const x = reshape((Var<float>(codes) - Var<float>(center)) / Var<float>(scale), {codes.dim(0), rows * width});
  Var<float> const t = matmul(x, Var<float>(directions), {.b = true});
  return (0.8f * t + 0.5f * tanh(matmul(tanh(t), Var<float>(mixing), {.b = true}))).value();
}

RIG_INLINE OracleTruth make_oracle_truth(OracleOptions const& o, Tensor<float> const& codes) {
  check(codes.rank() == 2 && codes.dim(1) == o.width && codes.dim(0) > 1, "oracle: expected unmixed codes [m, ", o.width, "], got ",
        codes.shape());
  check(o.rows >= 4, "oracle: expected at least 4 rows, got ", o.rows);
  OracleTruth t;
  t.rows = o.rows, t.width = o.width;
  Var<float> const c(codes);
  Var<float> const center = mean(c, 0);
  t.center = center.value();
  t.scale = sqrt(mean(square(c - center), 0)).value();

  std::int64_t const dims = o.rows * o.width, total = detail::factor_count;
  std::vector<float> directions(std::size_t(total * dims), 0.f), mixing(std::size_t(total * total), 0.f);
  std::vector<std::vector<std::vector<double>>> taken(std::size_t(o.rows));  // directions already used, by row
  Rng rng(o.seed);
  std::int64_t k = 0;
  for (auto const& g : detail::factor_groups) {
    std::int64_t const row = g.row * o.rows / 10;
    for (int i = 0; i < g.count; ++i) {
      // A random unit vector, at right angles to the others of its row while there is room: factors are independent.
      std::vector<double> a(std::size_t(o.width));
      for (auto& v : a) v = rng.normal();
      auto& others = taken[std::size_t(row)];
      if (std::int64_t(others.size()) < o.width)
        for (auto const& b : others) {
          double s = 0;
          for (std::size_t d = 0; d < a.size(); ++d) s += a[d] * b[d];
          for (std::size_t d = 0; d < a.size(); ++d) a[d] -= s * b[d];
        }
      double norm = 0;
      for (double v : a) norm += v * v;
      for (auto& v : a) v /= std::sqrt(norm);
      others.push_back(a);
      for (std::int64_t d = 0; d < o.width; ++d) directions[std::size_t((k + i) * dims + row * o.width + d)] = float(a[std::size_t(d)]);
      for (int j = 0; j < g.count; ++j)
        mixing[std::size_t((k + i) * total + k + j)] = float((i == j ? 0.8 : 0.0) + 0.5 / std::sqrt(double(g.count)) * rng.normal());
    }
    k += g.count;
  }
  check(k == total, "oracle: ", k, " factors are described, ", total, " expected");
  t.directions = Tensor<float>({total, dims}, directions);
  t.mixing = Tensor<float>({total, total}, mixing);
  return t;
}

RIG_INLINE OracleScene::OracleScene(OracleOptions const& options)
    : options_(options),
      model_(render::procedural_face({.vertices = options.vertices, .identity = options.identity, .reflectance = options.reflectance})),
      camera_(render::Camera::stylerig(options.camera_distance)),
      layout_(ParameterLayout::of(model_)) {
  shapes_ = concat(std::vector<Var<float>>{model_.identity, model_.expression}, 0).value();
  render::HairStyle plain;
  plain.vertices = options.hair_vertices;
  auto style = [&](float length, float volume, float fringe) {
    render::HairStyle s = plain;
    s.length = length, s.volume = volume, s.fringe = fringe;
    return render::procedural_hair(model_, s);
  };
  render::Hair const base = style(0, 0, 0);
  auto change = [&](render::Hair const& full) {
    check(full.vertices.shape() == base.vertices.shape(), "oracle: hair styles differ in their number of vertices");
    return reshape(Var<float>(full.vertices) - Var<float>(base.vertices), {1, base.vertices.dim(0), 3});
  };
  hair_base_ = base.vertices;
  hair_change_ = concat(std::vector<Var<float>>{change(style(1, 0, 0)), change(style(0, 1, 0)), change(style(0, 0, 1))}, 0).value();
  hair_tone_ = (Var<float>(base.colour) / Var<float>(Tensor<float>({3}, std::span<float const>(plain.colour)))).value();
  hair_root_ = base.root;

  std::vector<int> triangles = model_.triangles.host();
  int const offset = int(model_.vertices());
  for (int v : base.triangles.host()) triangles.push_back(v + offset);
  mesh_ = render::Mesh(Tensor<int>({std::int64_t(triangles.size()) / 3, 3}, triangles), model_.vertices() + base.vertices.dim(0));
  std::vector<unsigned char> region = model_.face_region.host();
  region.resize(std::size_t(mesh_.vertices), 0);
  region_ = Tensor<unsigned char>({mesh_.vertices}, region);
}

RIG_INLINE Var<float> OracleScene::part(Tensor<float> const& p, char const* component) const {
  Component const& c = layout_.at(component);
  return slice(Var<float>(p), 1, c.offset, c.size);
}

RIG_INLINE Var<float> OracleScene::head_geometry(Tensor<float> const& p) const {
  return render::linear_model(concat(std::vector<Var<float>>{part(p, "identity"), part(p, "expression")}, 1), Var<float>(shapes_),
                              Var<float>(model_.mean));
}

RIG_INLINE Tensor<float> OracleScene::hair_styles(Tensor<float> const& factors) const {
  Tensor<float> style({factors.dim(0), 3});
  int const at = detail::factor_offset("hair shape");
  for (std::int64_t i = 0; i < style.size(); ++i)
    style.mutate()[i] = float(0.9 * detail::sigmoid(1.5 * factors.data()[i / 3 * detail::factor_count + at + i % 3] - 0.4));
  return style;
}

RIG_INLINE Var<float> OracleScene::scene_geometry(Tensor<float> const& p, Tensor<float> const& hair_style) const {
  Var<float> const head = head_geometry(p);
  Var<float> const hair = render::linear_model(Var<float>(hair_style), Var<float>(hair_change_), Var<float>(hair_base_)) +
                          gather(head - Var<float>(model_.mean), hair_root_, 1);
  return concat(std::vector<Var<float>>{head, hair}, 1);
}

RIG_INLINE Tensor<float> OracleScene::pictures(Tensor<float> const& factors, std::int64_t side, int supersampling) const {
  check(side > 0 && supersampling > 0, "oracle: side and supersampling must be positive, got ", side, " and ", supersampling);
  Tensor<float> const p = parameters(factors);
  std::int64_t const n = p.dim(0), hairs = hair_base_.dim(0), large = side * supersampling;
  render::ImageSize const size{large, large};

  // Hair colour and background of each picture.
  Tensor<float> hair_colour({n, 1, 3}), background({n, large, large, 3});
  {
    int const colour_at = detail::factor_offset("hair colour"), background_at = detail::factor_offset("background");
    float *h = hair_colour.mutate(), *b = background.mutate();
    using detail::sigmoid;
    for (std::int64_t i = 0; i < n; ++i) {
      float const* u = factors.data() + i * detail::factor_count;
      double const fair = sigmoid(1.6 * u[colour_at] - 0.9), red = sigmoid(1.5 * u[colour_at + 1] - 1);
      double const dark[3] = {0.09, 0.065, 0.05}, blond[3] = {0.72, 0.55, 0.34}, ginger[3] = {0.18, -0.02, -0.05};
      for (int ch = 0; ch < 3; ++ch)
        h[3 * i + ch] = float(dark[ch] + fair * (blond[ch] - dark[ch]) + 0.6 * red * ginger[ch] * (0.3 + fair));
      double top[3], bottom[3];
      for (int ch = 0; ch < 3; ++ch) {
        top[ch] = 0.5 + detail::smooth_limit(0.22, 0.7, u[background_at + ch]);
        bottom[ch] = 0.45 + detail::smooth_limit(0.22, 0.7, 0.6 * u[background_at + ch] + 0.8 * u[background_at + 3 + ch]);
      }
      for (std::int64_t r = 0; r < large; ++r)
        for (std::int64_t c = 0; c < large; ++c)
          for (int ch = 0; ch < 3; ++ch)
            b[((i * large + r) * large + c) * 3 + ch] = float(top[ch] + (bottom[ch] - top[ch]) * (double(r) + 0.5) / double(large));
    }
  }

  Var<float> const vertices = scene_geometry(p, hair_styles(factors));
  Var<float> const skin = render::linear_model(part(p, "reflectance"), Var<float>(model_.reflectance), Var<float>(model_.reflectance_mean));
  Var<float> const strands = broadcast_to(Var<float>(hair_colour), {n, hairs, 3}) * Var<float>(hair_tone_);
  Var<float> const albedo = concat(std::vector<Var<float>>{skin, strands}, 1);

  Var<float> const rotation = render::euler_to_matrix(part(p, "rotation"));
  Var<float> const normals = render::rotate(render::vertex_normals(vertices, mesh_), rotation);
  Var<float> const colours = render::shade(albedo, normals, part(p, "illumination"));
  Var<float> const projected = render::project(vertices, rotation, part(p, "translation"), camera_, size);
  render::Visibility const seen = render::rasterize(projected.value(), mesh_, size);
  Var<float> const picture = render::composite(render::interpolate(colours, projected, seen, mesh_), Var<float>(background), seen);
  Tensor<float> const box = full<float>({supersampling, supersampling}, 1.0f / float(supersampling * supersampling));
  return upfirdn2d(clamp(picture, 0, 1), box, {.down = supersampling}).value();
}

RIG_INLINE Tensor<unsigned char> OracleScene::face_mask(Tensor<float> const& factors, std::int64_t side) const {
  Tensor<float> const p = parameters(factors);
  Var<float> const projected = render::project(scene_geometry(p, hair_styles(factors)), render::euler_to_matrix(part(p, "rotation")),
                                               part(p, "translation"), camera_, {side, side});
  Tensor<float> const seen = render::region_mask<float>(render::rasterize(projected.value(), mesh_, {side, side}), mesh_, region_);
  Tensor<unsigned char> mask({p.dim(0), side, side});
  for (std::int64_t i = 0; i < seen.size(); ++i) mask.mutate()[i] = seen.data()[i] > 0;
  return mask;
}

RIG_INLINE Tensor<float> OracleScene::landmarks(Tensor<float> const& factors) const {
  Tensor<float> const p = parameters(factors);
  render::ImageSize const size{256, 256};
  Tensor<float> const projected =
      render::project(head_geometry(p), render::euler_to_matrix(part(p, "rotation")), part(p, "translation"), camera_, size).value();
  Var<float> const points =
      render::landmark_points(Var<float>(projected), render::select_landmarks(projected, render::LandmarkTable(model_)), size);
  return concat(std::vector<Var<float>>{points, ones<float>({p.dim(0), points.dim(1), 1})}, 2).value();
}

RIG_INLINE Tensor<float> OracleScene::parameters(Tensor<float> const& factors) const {
  check(factors.rank() == 2 && factors.dim(1) == detail::factor_count, "oracle: factors must be [n, ", detail::factor_count, "], got ",
        factors.shape());
  std::int64_t const n = factors.dim(0), f = layout_.size();
  Tensor<float> p = zeros<float>({n, f});
  float* out = p.mutate();
  auto at = [&](char const* component) { return layout_.at(component).offset; };
  auto shape = [&](char const* name) { return at("expression") + model_.expression_index(name); };
  std::int64_t const rotation = at("rotation"), translation = at("translation"), identity = at("identity"), reflectance = at("reflectance"),
                     light = at("illumination");
  std::int64_t const jaw = shape("jawOpen"), smile_l = shape("mouthSmile_L"), smile_r = shape("mouthSmile_R"),
                     pucker = shape("mouthPucker"), brow_up = shape("browInnerUp"), down_l = shape("browDown_L"),
                     down_r = shape("browDown_R"), blink_l = shape("eyeBlink_L"), blink_r = shape("eyeBlink_R"),
                     frown_l = shape("mouthFrown_L"), frown_r = shape("mouthFrown_R");
  for (std::int64_t i = 0; i < n; ++i) {
    float* q = out + i * f;
    float const* u = factors.data() + i * detail::factor_count;
    using detail::sigmoid;
    using detail::smooth_limit;
    q[rotation] = float(smooth_limit(0.35, 0.45, u[1]));
    q[rotation + 1] = float(smooth_limit(0.75, 0.5, u[0]));
    q[rotation + 2] = float(0.03 * u[2]);
    q[translation] = float(0.03 * u[3] + 0.04 * u[0]);
    q[translation + 1] = float(0.03 * u[4] - 0.06);
    float const* id = u + 5;
    for (std::int64_t k = 0; k < 10 && k < model_.identities(); ++k) q[identity + k] = 0.9f * id[k];
    float const* e = id + 10;
    // Named shapes, mostly small: a mouth is closed more often than open.
    q[jaw] = float(0.9 * sigmoid(1.5 * e[0] - 1.2));
    double const smile = 1.7 * e[1] - 0.5, side = 0.35 * e[2];
    q[smile_l] = float(0.95 * sigmoid(smile + side)), q[smile_r] = float(0.95 * sigmoid(smile - side));
    q[pucker] = float(0.9 * sigmoid(1.5 * e[3] - 1.6));
    q[brow_up] = float(0.95 * sigmoid(1.5 * e[4] - 0.8));
    q[down_l] = q[down_r] = float(0.9 * sigmoid(1.5 * e[5] - 1.0));
    q[blink_l] = q[blink_r] = float(0.95 * sigmoid(1.6 * e[6] - 1.2));
    q[frown_l] = q[frown_r] = float(0.8 * sigmoid(1.5 * e[7] - 1.6));
    float const* l = e + 8;
    double colour[3];
    detail::tint(l[4], colour);
    double const azimuth = smooth_limit(1.1, 0.6, l[0]), elevation = 0.30 + smooth_limit(0.5, 0.6, l[1]),
                 strength = 0.62 + smooth_limit(0.28, 0.7, l[2]), ambient = 0.46 + smooth_limit(0.14, 0.7, l[3]),
                 exposure = detail::metering(azimuth, elevation, strength, ambient);
    lambertian_light(azimuth, elevation, strength * exposure, ambient * exposure, colour, q + light);
    for (int ch = 0; ch < 3; ++ch) q[light + 9 * ch + 1] -= float(0.03 * l[5]);  // a sky that is brighter or darker than the ground
    float const* r = l + 6;
    for (std::int64_t k = 0; k < 6 && k < model_.reflectances(); ++k) q[reflectance + k] = 0.75f * r[k];
  }
  return p;
}

}  // namespace rig::inline RIG_ABI::stylerig
