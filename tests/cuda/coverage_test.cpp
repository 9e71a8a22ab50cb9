// Coverage on the device: the same triangle at every pixel and the same bits of depth as the CPU, whoever comes first.
#include "cuda/agree.hpp"
#include "cuda/triangles.hpp"

using namespace rig;
using namespace rig::render;

namespace {

struct Seen {
  std::vector<int> triangle, report;
  std::vector<float> inverse_depth;
  bool operator==(Seen const&) const = default;
};
Seen look(triangles::Soup const& soup, bool cull, Device const& device) {
  Tensor<float> const p = soup.projected.to(device);
  Mesh const mesh = soup.mesh(device);
  Visibility const v = rasterize(p, mesh, soup.size, {.cull = cull});
  return {v.triangle.host(), raster_report(p, mesh, v).host(), v.inverse_depth.host()};
}

}  // namespace

TEST_CASE("cuda: coverage has the CPU's bits, small triangles and large ones") {
  Device device;
  if (!agree::device_for(device)) return;
  struct Case {
    std::int64_t images;
    int count;
    ImageSize size;
  };
  for (auto const& c : std::vector<Case>{{1, 1, {1, 1}}, {3, 300, {37, 53}}, {2, 90, {71, 130}}, {1, 7, {5, 300}}, {2, 0, {4, 4}}}) {
    triangles::Soup const soup(c.images, c.count, c.size, 5);
    for (bool cull : {true, false}) {
      Seen const expected = look(soup, cull, cpu()), once = look(soup, cull, device);
      CHECK(once.triangle == expected.triangle);
      CHECK(once.inverse_depth == expected.inverse_depth);
      CHECK(once.report == expected.report);
      std::int64_t covered = 0;
      for (int f : once.triangle) covered += f >= 0;
      if (c.count >= 90) CHECK(covered > 100);
      test::in_every_order([&] { CHECK((look(soup, cull, device) == once)); });
    }
  }
}

TEST_CASE("cuda: more large triangles than the queue holds") {
  Device device;
  if (!agree::device_for(device)) return;
  triangles::Soup soup(1, 0, {65, 65}, 1);
  std::vector<float> p;
  soup.vertices = 4200;
  for (int v = 0; v < 4200; ++v) {  // a fan of screens, one behind the other in no order
    int const corner = v % 3;
    p.insert(p.end(), {corner == 1 ? 150.f : -1.f - float(v % 7), corner == 2 ? 150.f : -2.f, 2 + float(v * 37 % 1001) / 1000});
  }
  for (int f = 0; f < 4195; ++f) soup.list.insert(soup.list.end(), {f - f % 3, f - f % 3 + 1, f - f % 3 + 2});
  soup.projected = Tensor<float>({1, 4200, 3}, p);
  CHECK(look(soup, false, device) == look(soup, false, cpu()));
}
