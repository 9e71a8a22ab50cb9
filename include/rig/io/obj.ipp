#pragma once
#include <charconv>
#include <vector>

#include "rig/io/atomic_file.hpp"
#include "rig/io/obj.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {
// One line of an OBJ, word by word.
class ObjLine {
 public:
  ObjLine(std::string_view s, std::int64_t number) : s_(s), number_(number) {}
  template <class... A> void require(bool ok, A const&... parts) const {
    if (!ok) throw Error(str("obj: line ", number_, ": ", parts..., ": ", excerpt(s_, 60)));
  }
  std::string_view word() {
    while (at_ < s_.size() && (s_[at_] == ' ' || s_[at_] == '\t' || s_[at_] == '\r')) ++at_;
    std::size_t first = at_;
    while (at_ < s_.size() && s_[at_] != ' ' && s_[at_] != '\t' && s_[at_] != '\r') ++at_;
    return s_.substr(first, at_ - first);
  }
  float number(std::string_view w) const {
    if (!w.empty() && w[0] == '+') w.remove_prefix(1);
    float v = 0;
    auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), v);
    require(!w.empty() && end == w.data() + w.size() && (error == std::errc() || error == std::errc::result_out_of_range),
            "a number expected");
    require(v - v == 0, "a finite number expected");
    return v;
  }
  // Position in a list of `count`, from 0; OBJ counts from 1, or from the end with negative numbers.
  int index(std::string_view w, std::size_t count) const {
    std::int64_t v = 0;
    auto [end, error] = std::from_chars(w.data(), w.data() + w.size(), v);
    require(!w.empty() && end == w.data() + w.size() && error == std::errc(), "an index expected");
    if (v < 0) v += std::int64_t(count) + 1;
    require(v >= 1 && v <= std::int64_t(count), "index out of range (", count, " so far)");
    return int(v - 1);
  }

 private:
  std::string_view s_;
  std::int64_t number_;
  std::size_t at_ = 0;
};
}  // namespace detail

RIG_INLINE ObjMesh read_obj(Bytes const& file) {
  std::string_view text = file.text();
  std::vector<float> v, colours, vt;
  std::vector<int> f, ft, polygon;
  int polygons = 0;
  bool all_textured = true;
  std::int64_t line_number = 0;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    detail::ObjLine line(text.substr(0, end), ++line_number);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view type = line.word();
    if (type == "v") {
      line.require(v.size() < (std::size_t(1) << 30), "too many vertices");
      for (int k = 0; k < 3; ++k) v.push_back(line.number(line.word()));
      std::string_view w = line.word();
      std::string_view second = line.word();
      if (second.empty()) continue;  // three numbers, or four: the fourth is a weight
      float rgb[3] = {line.number(w), line.number(second), line.number(line.word())};
      colours.resize(v.size() - 3, 1.0f);
      colours.insert(colours.end(), rgb, rgb + 3);
    } else if (type == "vt") {
      line.require(vt.size() < (std::size_t(1) << 30), "too many texture coordinates");
      vt.push_back(line.number(line.word()));
      std::string_view w = line.word();
      vt.push_back(w.empty() ? 0.0f : line.number(w));
    } else if (type == "f") {
      int corner[3] = {}, texture[3] = {}, corners = 0;
      for (std::string_view w = line.word(); !w.empty(); w = line.word(), ++corners) {
        std::size_t slash = w.find('/');
        int a = line.index(w.substr(0, slash), v.size() / 3), t = -1;
        if (slash != std::string_view::npos) {
          std::string_view rest = w.substr(slash + 1);
          rest = rest.substr(0, rest.find('/'));
          if (!rest.empty()) t = line.index(rest, vt.size() / 2);
        }
        all_textured = all_textured && t >= 0;
        if (corners > 2) {
          corner[1] = corner[2];
          texture[1] = texture[2];
        }
        corner[std::min(corners, 2)] = a;
        texture[std::min(corners, 2)] = t;
        if (corners < 2) continue;
        line.require(f.size() < (std::size_t(1) << 30), "too many faces");
        f.insert(f.end(), corner, corner + 3);
        ft.insert(ft.end(), texture, texture + 3);
        polygon.push_back(polygons);
      }
      line.require(corners >= 3, "a face needs three corners");
      ++polygons;
    }
  }
  check(!v.empty(), "obj: the file has no vertices");
  ObjMesh m;
  auto rows = [](auto const& list, std::int64_t n) { return std::int64_t(list.size()) / n; };
  m.vertices = Tensor<float>({rows(v, 3), 3}, v);
  if (!colours.empty()) {
    colours.resize(v.size(), 1.0f);
    m.colours = Tensor<float>({rows(v, 3), 3}, colours);
  }
  if (!vt.empty()) m.texcoords = Tensor<float>({rows(vt, 2), 2}, vt);
  m.triangles = Tensor<int>({rows(f, 3), 3}, f);
  if (all_textured && !f.empty()) m.triangle_texcoords = Tensor<int>({rows(f, 3), 3}, ft);
  m.polygon_of_triangle = Tensor<int>({rows(polygon, 1)}, polygon);
  return m;
}

RIG_INLINE ObjMesh read_obj(std::string const& path) {
  return detail::read_mapped(path, [](Bytes const& file) { return read_obj(file); });
}

RIG_INLINE void save_obj(std::string const& path, Tensor<float> const& vertices, Tensor<int> const& triangles,
                         Tensor<float> const& colours) {
  check(vertices.rank() == 2 && vertices.dim(1) == 3, "save_obj: vertices must be [v, 3], got ", vertices.shape());
  check(triangles.rank() == 2 && triangles.dim(1) == 3, "save_obj: triangles must be [f, 3], got ", triangles.shape());
  check(!colours || colours.shape() == vertices.shape(), "save_obj: colours must be ", vertices.shape(), ", got ", colours.shape());
  auto v = vertices.host(), c = colours.host();
  auto f = triangles.host();
  AtomicFile file(path);
  char number[32];
  std::string line;
  auto put = [&](float x) {
    line += ' ';
    line.append(number, std::to_chars(number, number + sizeof number, x).ptr);  // shortest text that reads back as the same float
  };
  for (std::size_t i = 0; i < v.size(); i += 3) {
    line = "v";
    for (std::size_t k = 0; k < 3; ++k) put(v[i + k]);
    if (!c.empty())
      for (std::size_t k = 0; k < 3; ++k) put(c[i + k]);
    line += '\n';
    file.write(line);
  }
  std::int64_t count = vertices.dim(0);
  for (std::size_t i = 0; i < f.size(); i += 3) {
    line = "f";
    for (std::size_t k = 0; k < 3; ++k) {
      check(f[i + k] >= 0 && f[i + k] < count, "save_obj: triangle ", i / 3, " names vertex ", f[i + k], " of ", count);
      line += ' ' + std::to_string(f[i + k] + 1);
    }
    line += '\n';
    file.write(line);
  }
  file.commit();
}

}  // namespace rig::inline RIG_ABI::io
