// Small files of the formats of face models, written by hand: for the loaders' tests and the stored renders.
#pragma once
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "../helpers.hpp"
#include "rig/core/error.hpp"

namespace model_files {

using namespace rig;

/// Writes .mat files of version 5, one variable after the other.
struct MatWriter {
  std::string bytes;
  MatWriter() {
    bytes = std::string("MATLAB 5.0 MAT-file, made by a test");
    bytes.resize(124, ' ');
    bytes += std::string("\0\1IM", 4);
  }
  static void put(std::string& to, std::uint32_t v) { to.append(reinterpret_cast<char const*>(&v), 4); }
  static std::string element(std::uint32_t type, std::string const& data) {
    std::string e;
    if (!data.empty() && data.size() <= 4) {
      put(e, std::uint32_t(data.size()) << 16 | type), e += data;
    } else {
      put(e, type), put(e, std::uint32_t(data.size())), e += data;
    }
    e.resize((e.size() + 7) / 8 * 8);
    return e;
  }
  template <class T> static std::string raw(std::vector<T> const& v) {
    return std::string(reinterpret_cast<char const*>(v.data()), v.size() * sizeof(T));
  }
  /// Values in row order; MATLAB's column order in the file.
  template <class T>
  std::string variable(std::string const& name, std::uint32_t kind, std::uint32_t type, int rows, int columns,
                       std::vector<T> const& v) const {
    std::vector<T> turned;
    for (int j = 0; j < columns; ++j)
      for (int i = 0; i < rows; ++i) turned.push_back(v[std::size_t(i * columns + j)]);
    std::string body = element(6, raw(std::vector<std::uint32_t>{kind, 0})) + element(5, raw(std::vector<std::int32_t>{rows, columns})) +
                       element(1, name) + element(type, raw(turned)),
                all;
    put(all, 14), put(all, std::uint32_t(body.size()));
    return all + body;
  }
  void doubles(std::string const& name, int rows, int columns, std::vector<double> const& v) {
    bytes += variable(name, 6, 9, rows, columns, v);
  }
  void compressed(std::string const& variable) {
#if RIG_HAS_ZLIB
    std::string const out = deflated(variable);
    put(bytes, 15), put(bytes, std::uint32_t(out.size())), bytes += out;
#else
    bytes += variable;
#endif
  }
  std::string save(char const* name) const {
    auto const path = (std::filesystem::temp_directory_path() / str("rig-", ::getpid(), "-", name)).string();
    std::ofstream(path, std::ios::binary) << bytes;
    return path;
  }
};
// A pyramid with its tip towards the camera; triangles counter-clockwise seen from outside, counted from 1.
inline std::vector<double> const pyramid{-1, -1, 0.5, 1, -1, 0.5, 1, 1, 0.5, -1, 1, 0.5, 0, 0, 1.5};
inline std::vector<double> const faces{1, 2, 5, 2, 3, 5, 3, 4, 5, 4, 1, 5, 1, 3, 2, 1, 4, 3};

/// The file of Deep3DFaceRecon in small: 5 vertices, one mode of each kind.
inline MatWriter deep3d_file(double tip_landmark = 5) {
  MatWriter w;
  w.doubles("meanshape", 1, 15, pyramid);
  std::vector<double> id(15, 0.0), ex(15, 0.0), colours(15, 127.5), colour_mode(15, 0.0);
  id[14] = 0.25, ex[13] = 0.125, colour_mode[12] = 25.5;  // of the tip: forwards, up, redder
  w.doubles("idBase", 15, 1, id);
  w.compressed(w.variable("exBase", 7, 7, 15, 1, std::vector<float>(ex.begin(), ex.end())));
  w.doubles("meantex", 1, 15, colours);
  w.compressed(w.variable("texBase", 6, 9, 15, 2, [&] {  // and a mode of zeros, to be dropped
    std::vector<double> two;
    for (double e : colour_mode) two.insert(two.end(), {e, 0.0});
    return two;
  }()));
  // MATLAB stores whole numbers in as few bytes as they need, whatever their class.
  w.bytes += w.variable("tri", 6, 2, 6, 3, std::vector<std::uint8_t>(faces.begin(), faces.end()));
  std::vector<double> marks(68, 1.0);
  marks[30] = tip_landmark;
  w.doubles("keypoints", 1, 68, marks);
  w.bytes += w.variable("skinmask", 9, 2, 1, 5, std::vector<std::uint8_t>{1, 1, 1, 0, 1});
  w.bytes += w.variable("frontmask2_idx", 12, 5, 4, 1, std::vector<std::int32_t>{1, 2, 4, 5});
  return w;
}

/// 01_MorphableModel.mat in small.
inline MatWriter bfm2009_file() {
  MatWriter w;
  std::vector<double> shape = pyramid, mode(15, 0.0), turned = faces;
  for (double& e : shape) e *= 1e5;
  for (std::size_t f = 0; f < turned.size(); f += 3) std::swap(turned[f + 1], turned[f + 2]);  // as the file winds them
  mode[14] = 1;
  w.doubles("shapeMU", 15, 1, shape);
  w.doubles("shapePC", 15, 1, mode);
  w.doubles("shapeEV", 1, 1, {2e5});
  w.doubles("texMU", 15, 1, std::vector<double>(15, 51.0));
  w.doubles("texPC", 15, 1, mode);
  w.doubles("texEV", 1, 1, {25.5});
  w.doubles("tl", 6, 3, turned);
  return w;
}

}  // namespace model_files
