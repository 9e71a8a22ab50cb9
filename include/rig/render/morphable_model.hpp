// A morphable face model as plain data: what the built-in model and every loader fill in and everything else reads.
// Bases are scaled on loading, so that one unit of a coefficient is one standard deviation, or the whole of a named
// shape (0..1); no scale has to be remembered afterwards.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::render {

/// For every vertex the triangles round it: list[offsets[v]] .. list[offsets[v + 1] - 1], ascending.
struct VertexTriangles {
  Tensor<int> offsets;  ///< [V + 1]
  Tensor<int> list;     ///< [3F]
};

/// Frames: +x to the right of the picture for a frontal face (the subject's left), +y up, +z out of the face.
/// V vertices, F triangles; Ki, Ke, Kr modes (any of them may be 0: then the tensor is [0, V, 3]).
struct MorphableModel {
  std::string name;     ///< for messages and provenance
  std::string units;    ///< of lengths: "dm", "cm", ...
  std::string licence;  ///< of the data

  Tensor<float> mean;              ///< [V, 3]
  Tensor<float> identity;          ///< [Ki, V, 3]
  Tensor<float> expression;        ///< [Ke, V, 3]
  Tensor<float> reflectance_mean;  ///< [V, 3], RGB in 0..1
  Tensor<float> reflectance;       ///< [Kr, V, 3]
  Tensor<int> triangles;           ///< [F, 3], counter-clockwise seen from outside

  std::vector<std::string> expression_names;  ///< Ke names; "expression0".. where the source has none
  bool named_expressions = false;             ///< shapes with a meaning and coefficients 0..1, not standard deviations

  Tensor<int> landmarks;                  ///< [68], vertices in the iBUG order
  std::vector<std::vector<int>> contour;  ///< for each of the 17 jaw points the vertices it may slide to; may be empty

  Tensor<unsigned char> face_region;  ///< [V], 1 = used by losses (no ears, neck, back of the head)
  Tensor<unsigned char> interior;     ///< [V], 1 = eye or inside of the mouth: left out of the photometric loss
  Tensor<float> uv;                   ///< [V, 2] or empty

  VertexTriangles vertex_triangles;  ///< of `triangles`; see finish_model
  std::uint64_t hash = 0;            ///< of all of the above; see finish_model

  std::int64_t vertices() const { return mean.dim(0); }
  std::int64_t faces() const { return triangles.dim(0); }
  std::int64_t identities() const { return identity.dim(0); }
  std::int64_t expressions() const { return expression.dim(0); }
  std::int64_t reflectances() const { return reflectance.dim(0); }
  /// Index of a named expression; an unknown name is an Error that lists the known ones.
  std::int64_t expression_index(std::string const& wanted) const;
  /// The same model with its tensors on another device.
  MorphableModel to(Device const& device) const;
};

/// What was found that is odd but not wrong.
struct ModelReport {
  std::int64_t isolated_vertices = 0;     ///< without a triangle
  std::int64_t degenerate_triangles = 0;  ///< with a vertex twice
  std::int64_t duplicate_triangles = 0;   ///< with the same three vertices as an earlier one
  std::int64_t non_manifold_edges = 0;    ///< with more than two triangles
};

/// Fills vertex_triangles and hash, then checks the model. Every loader ends with it.
/// A model whose triangles face inwards on the whole is turned; `flipped` (if given) says so.
ModelReport finish_model(MorphableModel& model, bool* flipped = nullptr);
/// Sizes agree, all numbers are finite, indices are in range, no mode is all zero, names are distinct, triangles face
/// outwards on the whole, every landmark has a triangle. Throws Error naming field, expected and found.
ModelReport check_model(MorphableModel const& model);
/// FNV-1a 64 over all content except vertex_triangles, names and sizes included. The same on every machine.
std::uint64_t hash_model(MorphableModel const& model);

/// Triangles round each of `vertices` vertices.
VertexTriangles make_vertex_triangles(Tensor<int> const& triangles, std::int64_t vertices);

/// Midpoint subdivision, `times` times: four triangles for each, one new vertex an edge, after all old ones, so vertex
/// indices (landmarks, contour) stay valid. All bases and uv are interpolated: the surface keeps its shape exactly.
/// A new vertex is in face_region if both ends are, and interior if either end is.
MorphableModel subdivide(MorphableModel const& model, int times = 1);

/// The part of a model on the vertices with keep[v] != 0: triangles wholly inside and the vertices they use, order kept. Landmarks that
/// fall outside are an Error; contour candidates outside and modes that are zero on the part are dropped.
MorphableModel crop(MorphableModel const& model, std::vector<unsigned char> const& keep);

}  // namespace rig::inline RIG_ABI::render

#if RIG_INCLUDE_IPP
#include "rig/render/morphable_model.ipp"
#endif
