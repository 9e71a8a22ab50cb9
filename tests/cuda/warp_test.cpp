// Augmentation on the device: warps in steps of their own and colours beside the CPU's, with gradients; another path, so this
// also judges the CPU's.
#include "cuda/agree.hpp"
#include "rig/nn/augment.hpp"

using namespace rig;

TEST_CASE("cuda: warp2d") {
  std::vector<float> const maps = {0.8f, -0.7f, 0.3f, 0.5f, 0.9f, -1.2f, 0,     0,    1,    -1,    0,    0,    0, 1, 3,
                                   0,    0,     1,    6.f,  0.4f, 1.f,   -0.3f, 0.9f, 0.5f, 0,     0,    1,    0, 1, -9,
                                   -1,   0,     1,    0,    0,    1,     0.3f,  0.1f, 0,    -0.1f, 0.2f, 2.5f, 0, 0, 1};
  Tensor<float> const all({5, 3, 3}, maps);
  for (Shape const& s : {Shape{5, 6, 8, 3}, Shape{5, 7, 5, 1}, Shape{5, 1, 3, 5}}) {
    INFO(s);
    agree::check_on_device([&](auto const& x) { return warp2d(x[0], all); }, {agree::random(s)});
    agree::check_on_device(
        [&](auto const& x) {
          return apply(Warp2dTransposed<float>{std::make_shared<detail::WarpPlan<float> const>(all, s[1], s[2], x[0].device())}, x[0]);
        },
        {agree::random(s)});
  }
  for (std::int64_t kind : {1, 2}) {  // exact alone, and warped alone
    Tensor<float> const one = all.rows(kind, 1);
    agree::check_on_device([&](auto const& x) { return warp2d(x[0], one); }, {agree::random({1, 9, 6, 2})});
  }
}

TEST_CASE("cuda: augment") {
  for (std::int64_t channels : {1, 3})
    agree::check_on_device(
        [](auto const& x) {
          Rng rng(5);
          return nn::augment(x[0], 0.7, {}, rng);
        },
        {agree::random({6, 12, 12, channels})});
}
