#pragma once
#include <algorithm>

#include "rig/io/mat.hpp"
#include "rig/render/models/bfm.hpp"

namespace rig::inline RIG_ABI::render {

namespace detail::bfm {

/// The arrays of a .mat, with errors that name the file.
class Arrays {
 public:
  explicit Arrays(std::string path) : path_(std::move(path)), all_(io::read_mat(path_)) {}
  std::string const& path() const { return path_; }
  io::AnyTensor find(std::string_view name) const {
    for (auto const& t : all_)
      if (t.name == name) return t.tensor;
    return {};
  }
  io::AnyTensor operator[](std::string_view name) const {
    auto const t = find(name);
    check(bool(t), path_, ": expected an array ", name, ", which is not there");
    return t;
  }
  /// The elements of a row or column, `count` of them (-1: any number).
  template <class T> std::vector<T> list(std::string_view name, std::int64_t count) const {
    auto const t = (*this)[name];
    check(t.rank() == 2 && (t.dim(0) == 1 || t.dim(1) == 1) && (count < 0 || t.size() == count), path_, ": ", name, " must have ",
          count < 0 ? str("one row or column") : str(count, " entries in one row or column"), ", got ", t.shape());
    return t.template as<T>().host();
  }
  /// Columns [3V, K] as modes [take, V, 3], each times its scale.
  Tensor<float> modes(std::string_view name, std::int64_t vertices, std::int64_t take, std::vector<double> const& scale) const {
    auto const t = (*this)[name];
    check(t.rank() == 2 && t.dim(0) == 3 * vertices && (take < 0 || t.dim(1) >= take), path_, ": ", name, " must be [", 3 * vertices, ", ",
          take < 0 ? str("K") : str("K >= ", take), "], got ", t.shape());
    std::int64_t const k = t.dim(1), rows = 3 * vertices, kept = take < 0 ? k : take;
    Tensor<float> const columns = t.as<float>();
    Tensor<float> y({kept, vertices, 3});
    float* const out = y.mutate();
    for (std::int64_t m = 0; m < kept; ++m) {
      double const s = scale.empty() ? 1 : scale[std::size_t(m)];
      for (std::int64_t i = 0; i < rows; ++i) out[m * rows + i] = float(s * double(columns.data()[i * k + m]));
    }
    return y;
  }
  /// Indices that count from 1 as ones that count from 0.
  std::vector<int> indices(std::vector<int> list, std::string_view name, std::int64_t vertices) const {
    for (int& i : list) {
      check(i >= 1 && i <= vertices, path_, ": ", name, " names vertex ", i, ", expected 1..", vertices);
      --i;
    }
    return list;
  }
  Tensor<int> triangles(std::string_view name, std::int64_t vertices, bool turned) const {
    auto const t = (*this)[name];
    check(t.rank() == 2 && t.dim(1) == 3, path_, ": ", name, " must be [F, 3], got ", t.shape());
    auto list = indices(t.as<int>().host(), name, vertices);
    if (turned)
      for (std::size_t f = 0; f < list.size(); f += 3) std::swap(list[f + 1], list[f + 2]);
    return Tensor<int>({std::int64_t(list.size()) / 3, 3}, list);
  }

 private:
  std::string path_;
  std::vector<io::NamedTensor> all_;
};

inline Tensor<float> as_vertices(std::vector<double> const& v, double scale) {
  Tensor<float> t({std::int64_t(v.size()) / 3, 3});
  float* const out = t.mutate();
  for (std::size_t i = 0; i < v.size(); ++i) out[i] = float(scale * v[i]);
  return t;
}

/// What both loaders end with.
inline MorphableModel finish(MorphableModel m, std::string const& path) {
  for (std::int64_t k = 0; k < m.expressions(); ++k) m.expression_names.push_back(str("expression", k));
  drop_zero_modes(m.identity, nullptr);
  drop_zero_modes(m.expression, &m.expression_names);
  drop_zero_modes(m.reflectance, nullptr);
  std::int64_t const v = m.vertices();
  if (!m.face_region) m.face_region = full<unsigned char>({v}, 1);
  m.interior = zeros<unsigned char>({v});
  try {
    finish_model(m);
  } catch (Error const& e) {
    throw Error(path + ": " + e.what());
  }
  return m;
}

inline std::int64_t vertices_of(Arrays const& a, std::string_view name, std::vector<double> const& mean) {
  check(!mean.empty() && mean.size() % 3 == 0, a.path(), ": ", name, " must have three numbers a vertex, got ", mean.size());
  return std::int64_t(mean.size()) / 3;
}

}  // namespace detail::bfm

RIG_INLINE MorphableModel load_deep3d(std::string const& path) {
  using namespace detail::bfm;
  Arrays const a(path);
  auto shape = a.list<double>("meanshape", -1);
  std::int64_t const v = vertices_of(a, "meanshape", shape);
  double middle[3] = {};
  for (std::size_t i = 0; i < shape.size(); ++i) middle[i % 3] += shape[i] / double(v);
  for (std::size_t i = 0; i < shape.size(); ++i) shape[i] -= middle[i % 3];
  MorphableModel m;
  m.name = "BFM 2009, Deep3DFaceRecon", m.units = "dm", m.licence = "Basel Face Model, research use by agreement";
  m.mean = as_vertices(shape, 1);
  m.identity = a.modes("idBase", v, -1, {});
  m.expression = a.modes("exBase", v, -1, {});
  m.reflectance_mean = as_vertices(a.list<double>("meantex", 3 * v), 1.0 / 255);
  std::int64_t const colours = a["texBase"].dim(-1);
  m.reflectance = a.modes("texBase", v, colours, std::vector<double>(std::size_t(colours), 1.0 / 255));
  m.triangles = a.triangles("tri", v, false);
  m.landmarks = Tensor<int>({68}, a.indices(a.list<int>("keypoints", 68), "keypoints", v));
  std::vector<unsigned char> region(std::size_t(v), 1);
  if (a.find("frontmask2_idx")) {
    std::fill(region.begin(), region.end(), std::uint8_t(0));
    for (int i : a.indices(a.list<int>("frontmask2_idx", -1), "frontmask2_idx", v)) region[std::size_t(i)] = 1;
  }
  if (a.find("skinmask")) {
    auto const skin = a.list<double>("skinmask", v);
    for (std::size_t i = 0; i < region.size(); ++i) region[i] = region[i] && skin[i] != 0;
  }
  m.face_region = Tensor<unsigned char>({v}, region);
  return finish(std::move(m), path);
}

RIG_INLINE MorphableModel load_bfm2009(std::string const& path, Bfm2009Options const& o) {
  using namespace detail::bfm;
  check(o.landmarks.size() == 68, "load_bfm2009: landmarks must be 68 vertices, got ", o.landmarks.size());
  check(o.identity >= 0 && o.reflectance >= 0, "load_bfm2009: numbers of modes must not be negative, got ", o.identity, " and ",
        o.reflectance);
  Arrays const a(path);
  auto const shape = a.list<double>("shapeMU", -1);
  std::int64_t const v = vertices_of(a, "shapeMU", shape);
  auto deviations = [&](char const* name, double unit) {
    auto s = a.list<double>(name, -1);
    for (std::size_t k = 0; k < s.size(); ++k) {
      check(s[k] >= 0, a.path(), ": ", name, " must not be negative, entry ", k, " is ", s[k]);
      s[k] *= unit;
    }
    return s;
  };
  double const length = 1e-5, colour = 1.0 / 255;  // micrometres and 0..255 in the file
  auto const ds = deviations("shapeEV", length), dt = deviations("texEV", colour);
  check(std::int64_t(ds.size()) >= o.identity && std::int64_t(dt.size()) >= o.reflectance, path, ": shapeEV and texEV must have ",
        o.identity, " and ", o.reflectance, " entries at least, got ", ds.size(), " and ", dt.size());
  MorphableModel m;
  m.name = "BFM 2009", m.units = "dm", m.licence = "Basel Face Model, research use by agreement";
  m.mean = as_vertices(shape, length);
  m.identity = a.modes("shapePC", v, o.identity, ds);
  m.expression = Tensor<float>({0, v, 3});
  m.reflectance_mean = as_vertices(a.list<double>("texMU", 3 * v), colour);
  m.reflectance = a.modes("texPC", v, o.reflectance, dt);
  m.triangles = a.triangles("tl", v, true);
  m.landmarks = Tensor<int>({68}, o.landmarks);
  return finish(std::move(m), path);
}

}  // namespace rig::inline RIG_ABI::render
