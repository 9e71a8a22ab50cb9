// Light on the device: colours and the 27 sums of an image.
#include "rig/render/shade.hpp"

#include "cuda/agree.hpp"
#include "cuda/triangles.hpp"
#include "rig/render/guard.hpp"

using namespace rig;
using namespace rig::render;

TEST_CASE("cuda: shade and its 27 sums") {
  for (auto const& s : std::vector<Shape>{{1, 1, 3}, {3, 7, 3}, {2, 2048, 3}, {1, 4711, 3}, {2, 5, 7, 3}}) {
    INFO(s);
    agree::check_on_device([](auto const& x) { return shade(x[0], normalize_vectors(x[1]), x[2]); },
                           {agree::random(s, 1), agree::random(s, 2), agree::random({s[0], 27}, 3)});
  }
}

TEST_CASE("cuda: shade_pixels") {
  triangles::Soup const soup(2, 60, {23, 29}, 3);
  auto const a = agree::random({2, soup.vertices, 3}, 1), n = agree::random({2, soup.vertices, 3}, 2);
  agree::check_on_device(
      [&](auto const& x) {
        Tensor<float> const p = soup.projected.to(x[0].device());
        Mesh const mesh = soup.mesh(x[0].device());
        return shade_pixels(x[0], x[1], x[2], Var<float>(p), rasterize(p, mesh, soup.size), mesh);
      },
      {a, n, agree::random({2, 27}, 3)});
}

TEST_CASE("cuda: gradients that are not finite are counted") {
  Device device;
  if (!agree::device_for(device)) return;
  std::vector<float> bad(2 * 3000, 1.f);
  for (std::size_t i : {3u, 2999u, 3000u, 5001u, 5002u}) bad[i] = std::numeric_limits<float>::infinity();
  Tensor<int> const counts = zeros<int>({2}, device);
  Tape tape;
  Var<float> const x = tape.watch(agree::random({2, 3000}).to(device));
  auto const g = tape.grad(guard_gradient(x, counts), {x}, Var<float>(Tensor<float>({2, 3000}, bad, device)), true);
  CHECK(counts.host() == std::vector<int>{2, 3});
  CHECK(g[0].value().host()[3] == 0);
  CHECK(g[0].value().host()[4] == 1);
}
