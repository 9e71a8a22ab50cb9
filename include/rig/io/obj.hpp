// Wavefront OBJ: triangle meshes out (with vertex colours, which most viewers show), meshes with texture coordinates in.
#pragma once
#include <cstdint>
#include <string>

#include "rig/core/tensor.hpp"
#include "rig/io/bytes.hpp"

namespace rig::inline RIG_ABI::io {

struct ObjMesh {
  Tensor<float> vertices;           ///< [v, 3]
  Tensor<float> colours;            ///< [v, 3] in [0, 1]; empty if there are none
  Tensor<float> texcoords;          ///< [t, 2]; empty if there are none
  Tensor<int> triangles;            ///< [f, 3] into vertices, from 0
  Tensor<int> triangle_texcoords;   ///< [f, 3] into texcoords; empty unless every face has them
  Tensor<int> polygon_of_triangle;  ///< [f] polygons with more corners are cut into fans: which face each triangle came from
};

/// Reads v, vt and f lines; everything else is skipped. Indices may be relative (negative). Error names file and line.
ObjMesh read_obj(std::string const& path);
ObjMesh read_obj(Bytes const& file);

/// Writes a triangle mesh, atomically. `colours` [v, 3] may be empty.
void save_obj(std::string const& path, Tensor<float> const& vertices, Tensor<int> const& triangles, Tensor<float> const& colours = {});

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/obj.ipp"
#endif
