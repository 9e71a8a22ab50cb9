// Rows picked and added by index on the device, with few indices and with so many that they go one after the other.
#include "rig/ops/gather.hpp"

#include "cuda/agree.hpp"

using namespace rig;

TEST_CASE("cuda: gather and scatter_add") {
  for (std::int64_t count : {1, 7, 1000, 5000}) {
    std::vector<int> index;
    for (std::int64_t k = 0; k < count; ++k) index.push_back(int(k * k % 13));
    Tensor<int> const at({count}, index);
    auto on = [&](auto const& x) { return at.to(x[0].device()); };
    agree::check_on_device([&](auto const& x) { return gather(x[0], on(x), 1); }, {agree::random({2, 13, 3})});
    agree::check_on_device([&](auto const& x) { return scatter_add(x[0], on(x), 17, 0); }, {agree::random({count, 2, 2})});
  }
}

TEST_CASE("cuda: scatter_add has the CPU's bits") {
  Device device;
  if (!agree::device_for(device)) return;
  Tensor<int> const index({6}, {4, 1, 4, 4, 0, 1});
  Tensor<float> const x = agree::random({6, 5});
  CHECK(scatter_add(Var<float>(x), index, 5).value().host() == scatter_add(Var<float>(x.to(device)), index.to(device), 5).value().host());
}
