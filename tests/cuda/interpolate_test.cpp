// Pictures on the device: attributes at pixels, and every way back to vertices.
#include "rig/render/interpolate.hpp"

#include "cuda/agree.hpp"
#include "cuda/triangles.hpp"
#include "rig/render/antialias.hpp"

using namespace rig;
using namespace rig::render;

namespace {

/// f(attributes or picture, positions, visibility, mesh, camera) for pictures of a few triangles of all sizes.
template <class F> void check_pictures(F const& f, std::int64_t channels, bool picture) {
  struct Case {
    std::int64_t images;
    int count;
    ImageSize size;
  };
  for (auto const& c : std::vector<Case>{{2, 130, {23, 29}}, {1, 8, {71, 67}}}) {
    triangles::Soup const soup(c.images, c.count, c.size, 7);
    // Slivers of a millionth of a pixel have gradients that no two roundings agree on; positions on a grid have none.
    auto p = soup.projected.host();
    for (std::size_t i = 0; i < p.size(); ++i)
      if (i % 3 < 2) p[i] = std::floor(p[i] / 2) * 2 + 0.25f * float(i % 5);
    if (c.images == 1) {  // a triangle across more pixels than a warp takes
      float const large[9] = {-5.25f, -3.5f, 2.f, 3.75f, 90.5f, 2.5f, 75.5f, 2.25f, 3.f};
      std::copy(large, large + 9, p.begin());
    }
    Tensor<float> const projected(soup.projected.shape(), p);
    Shape const first = picture ? Shape{c.images, c.size.height, c.size.width, channels} : Shape{c.images, soup.vertices, channels};
    agree::check_on_device(
        [&](auto const& x) {
          Mesh const mesh = soup.mesh(x[0].device());
          return f(x[0], x[1], rasterize(x[1].value(), mesh, c.size), mesh, Camera{1.3, 40});
        },
        {agree::random(first, 1), projected});
  }
}

}  // namespace

TEST_CASE("cuda: interpolate and its gradients") {
  for (std::int64_t channels : {1, 3, 6})
    check_pictures([](auto const& a, auto const& p, Visibility const& v, Mesh const& m, Camera const&) { return interpolate(a, p, v, m); },
                   channels, false);
}

TEST_CASE("cuda: gradients of silhouettes and occlusions") {
  check_pictures(
      [](auto const& i, auto const& p, Visibility const& v, Mesh const& m, Camera const& c) { return motion_gradient(i, p, v, m, c); }, 3,
      true);
  check_pictures(
      [](auto const& i, auto const& p, Visibility const& v, Mesh const& m, Camera const& c) { return fragment_gradient(i, p, v, m, c); }, 4,
      true);
  check_pictures(
      [](auto const& i, auto const& p, Visibility const& v, Mesh const& m, Camera const& c) {
        Tensor<float> const colors = agree::random({p.dim(0), m.vertices, 3}, 9).to(p.device());
        return silhouette_gradient(i, p, colors, v, m, c);
      },
      3, true);
}
