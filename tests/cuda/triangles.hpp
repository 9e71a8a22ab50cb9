// Triangles of all sizes on the screen, and what is wrong with some of them.
#pragma once
#include <limits>

#include "rig/core/random.hpp"
#include "rig/render/visibility.hpp"

namespace triangles {

using namespace rig;

/// `count` triangles with corners of their own, in `images` pictures of `size`: most of them small, some large, a few behind the
/// camera, without area or not finite. Neighbours share corners, so that edges meet.
struct Soup {
  std::int64_t vertices;
  std::vector<int> list;
  Tensor<float> projected;  // [n, V, 3]
  render::ImageSize size;

  Soup(std::int64_t images, int count, render::ImageSize s, std::uint64_t seed) : vertices(count + 2), size(s) {
    for (int f = 0; f < count; ++f) {
      bool const turn = f % 2 != 0;
      list.insert(list.end(), {f, f + 1 + turn, f + 2 - turn});
    }
    Rng rng(seed);
    std::vector<float> p;
    for (std::int64_t n = 0; n < images; ++n) {
      double u = 0, w = 0;
      for (std::int64_t v = 0; v < vertices; ++v) {
        bool const far = v % 11 == 0;  // the triangles round it reach across the picture
        if (far || v % 5 == 0) u = double(s.width) * (1.2 * rng.uniform() - 0.1), w = double(s.height) * (1.2 * rng.uniform() - 0.1);
        double const reach = far ? 0 : 6;
        double a = u + reach * (rng.uniform() - 0.5), b = w + reach * (rng.uniform() - 0.5);
        if (v % 3 == 0) a = std::floor(a) + 0.5, b = std::floor(b) + 0.5;  // on the centre of a pixel
        double d = 2 + rng.uniform();
        if (v % 29 == 7) d = 0;
        if (v % 41 == 9) a = std::numeric_limits<double>::quiet_NaN();
        if (v % 31 == 3) b = 9000;
        p.insert(p.end(), {float(a), float(b), float(d)});
      }
    }
    projected = Tensor<float>({images, vertices, 3}, p);
  }
  render::Mesh mesh(Device const& device) const {
    return render::Mesh(Tensor<int>({std::int64_t(list.size()) / 3, 3}, list), vertices, device);
  }
};

}  // namespace triangles
