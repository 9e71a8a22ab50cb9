// What kernels need to know of a mesh besides positions: its triangles, the triangles round each vertex, its edges.
// Every gradient to a vertex is gathered through these lists in ascending order, so no sum depends on threads.
#pragma once
#include <algorithm>
#include <array>

#include "rig/render/morphable_model.hpp"

namespace rig::inline RIG_ABI::render {

struct Mesh {
  std::int64_t vertices = 0;
  Tensor<int> triangles;          ///< [F, 3]; one with an index out of range has become (0, 0, 0), which nothing draws
  VertexTriangles around;         ///< triangles round each vertex
  Tensor<int> edges;              ///< [E, 4] = (a, b, t0, t1), t1 = -1 on a border; of a non-manifold edge the first two
  VertexTriangles edges_around;   ///< the same lists for the edges at each vertex
  std::int64_t out_of_range = 0;  ///< triangles that had an index out of range

  std::int64_t faces() const { return triangles ? triangles.dim(0) : 0; }

  Mesh() = default;
  Mesh(Tensor<int> const& wanted, std::int64_t vertex_count, Device const& device = {}) : vertices(vertex_count) {
    check(wanted.rank() == 2 && wanted.dim(1) == 3, "Mesh: triangles must be [F, 3], got ", wanted.shape());
    std::vector<int> t = wanted.host();
    for (std::size_t i = 0; i < t.size(); i += 3) {
      auto const inside = [&](int v) { return v >= 0 && v < vertex_count; };
      if (inside(t[i]) && inside(t[i + 1]) && inside(t[i + 2])) continue;
      t[i] = t[i + 1] = t[i + 2] = 0;
      ++out_of_range;
    }
    if (vertex_count == 0) t.clear();
    Tensor<int> const host({std::int64_t(t.size()) / 3, 3}, t);
    VertexTriangles const lists = make_vertex_triangles(host, vertex_count);
    triangles = host.to(device);
    around = {lists.offsets.to(device), lists.list.to(device)};
    Tensor<int> const host_edges = make_edges(t);
    VertexTriangles const at = edges_at(host_edges, vertex_count);
    edges = host_edges.to(device);
    edges_around = {at.offsets.to(device), at.list.to(device)};
  }
  explicit Mesh(MorphableModel const& model, Device const& device = {}) : Mesh(model.triangles, model.vertices(), device) {}

 private:
  static Tensor<int> make_edges(std::vector<int> const& t) {
    std::vector<std::array<int, 3>> half;  // (low, high, triangle)
    for (std::size_t f = 0; 3 * f < t.size(); ++f)
      for (std::size_t k = 0; k < 3; ++k) {
        int const a = t[3 * f + k], b = t[3 * f + (k + 1) % 3];
        if (a != b) half.push_back({std::min(a, b), std::max(a, b), int(f)});
      }
    std::sort(half.begin(), half.end());
    std::vector<int> e;
    for (std::size_t i = 0; i < half.size();) {
      std::size_t j = i;
      while (j < half.size() && half[j][0] == half[i][0] && half[j][1] == half[i][1]) ++j;
      e.insert(e.end(), {half[i][0], half[i][1], half[i][2], j > i + 1 ? half[i + 1][2] : -1});
      i = j;
    }
    return Tensor<int>({std::int64_t(e.size()) / 4, 4}, e);
  }
  static VertexTriangles edges_at(Tensor<int> const& edges, std::int64_t vertices) {
    int const* const e = edges.data();
    std::vector<int> offsets(std::size_t(vertices) + 1, 0), list(std::size_t(2 * edges.dim(0)));
    for (std::int64_t i = 0; i < edges.dim(0); ++i) ++offsets[std::size_t(e[4 * i] + 1)], ++offsets[std::size_t(e[4 * i + 1] + 1)];
    for (std::size_t v = 1; v < offsets.size(); ++v) offsets[v] += offsets[v - 1];
    std::vector<int> next = offsets;
    for (std::int64_t i = 0; i < edges.dim(0); ++i)
      for (int k = 0; k < 2; ++k) list[std::size_t(next[std::size_t(e[4 * i + k])]++)] = int(i);
    return {Tensor<int>({vertices + 1}, offsets), Tensor<int>({std::int64_t(list.size())}, list)};
  }
};

namespace detail {

/// What kernels see of a mesh.
template <class T> struct MeshView {
  int const *triangle, *offset, *list;
  std::int64_t vertices, faces;
  explicit MeshView(Mesh const& m)
      : triangle(m.triangles.data()), offset(m.around.offsets.data()), list(m.around.list.data()), vertices(m.vertices), faces(m.faces()) {}
};

/// True if all corners of a triangle lie in a region [V], or there is no region.
RIG_HD inline bool in_region(unsigned char const* region, int const* corners) {
  return !region || (region[corners[0]] && region[corners[1]] && region[corners[2]]);
}

}  // namespace detail

}  // namespace rig::inline RIG_ABI::render
