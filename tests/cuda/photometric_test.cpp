// Losses of pictures and landmarks on the device.
#include "rig/render/photometric.hpp"

#include "cuda/agree.hpp"
#include "rig/render/landmarks.hpp"

using namespace rig;
using namespace rig::render;

TEST_CASE("cuda: photometric losses of vertices and pixels") {
  struct Case {
    std::int64_t images, vertices, h, w;
  };
  for (auto const& c : std::vector<Case>{{1, 1, 1, 1}, {3, 7, 6, 8}, {2, 4133, 31, 67}}) {
    INFO(c.images, " images, ", c.vertices, " vertices");
    auto positive = [](Tensor<float> const& x) {
      auto v = x.host();
      for (float& e : v) e = e > 0 ? e : 0;
      return Tensor<float>(x.shape(), v);
    };
    auto const photo = agree::random({c.images, c.h, c.w, 3}, 1), weight = positive(agree::random({c.images, c.vertices}, 2)),
               mask = positive(agree::random({c.images, c.h, c.w}, 3)), color = agree::random({c.images, c.vertices, 3}, 4),
               place = agree::random({c.images, c.vertices, 3}, 5, 0.6f * float(c.w), 0.5f * float(c.w));
    for (auto d : {Distance::l2, Distance::l21}) {
      agree::check_on_device(
          [&](auto const& x) {
            auto const device = x[0].device();
            return vertex_photometric(x[0], x[1], photo.to(device), normalized_weights(weight.to(device)), d);
          },
          {color, place});
      agree::check_on_device(
          [&](auto const& x) {
            auto const device = x[0].device();
            return pixel_photometric(x[0], photo.to(device), normalized_weights(mask.to(device)), d);
          },
          {agree::random({c.images, c.h, c.w, 3}, 6)});
    }
  }
}

TEST_CASE("cuda: landmarks, several at one vertex") {
  for (std::int64_t n : {1, 3}) {
    std::vector<int> index;
    for (std::int64_t i = 0; i < 68 * n; ++i) index.push_back(int(i * i % 97));
    std::vector<float> weight(std::size_t(68 * n), 1.f);
    for (std::size_t i = 0; i < weight.size(); i += 5) weight[i] = i % 2 ? 0.f : 3.f;
    if (n > 1) std::fill(weight.begin(), weight.begin() + 68, 0.f);  // an image without landmarks
    agree::check_on_device(
        [&](auto const& x) {
          auto const device = x[0].device();
          Var<float> const p = landmark_points(x[0], Tensor<int>({n, 68}, index, device), {20, 30});
          return landmark_loss(p, agree::random({n, 68, 2}, 2).to(device), Tensor<float>({n, 68}, weight, device));
        },
        {agree::random({n, 97, 3}, 1, 10, 10)});
  }
}
