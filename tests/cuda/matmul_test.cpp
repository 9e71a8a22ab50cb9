// Products on the device against a sum in double: sizes that fit no tile, every combination of transposed factors, batches.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/device.hpp"
#include "rig/core/random.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/ops/matmul.hpp"

using namespace rig;

namespace {
/// The largest difference to the sum in double, over the largest sum of absolute products.
template <class T>
double error_of(Device const& device, std::int64_t g, std::int64_t n, std::int64_t k, std::int64_t m, bool ta, bool tb,
                std::uint64_t seed) {
  Rng rng(seed);
  Tensor<T> const a = randn<T>(ta ? Shape{g, k, n} : Shape{g, n, k}, rng), b = randn<T>(tb ? Shape{g, m, k} : Shape{g, k, m}, rng);
  std::vector<T> const y = batched_matmul(Var<T>(a.to(device)), Var<T>(b.to(device)), {.a = ta, .b = tb}).value().host();
  double error = 0, size = 1e-30;
  for (std::int64_t i = 0; i < g; ++i)
    for (std::int64_t r = 0; r < n; ++r)
      for (std::int64_t c = 0; c < m; ++c) {
        double sum = 0, total = 0;
        for (std::int64_t q = 0; q < k; ++q) {
          double const p =
              double(a.data()[i * n * k + (ta ? q * n + r : r * k + q)]) * double(b.data()[i * k * m + (tb ? c * k + q : q * m + c)]);
          sum += p, total += std::abs(p);
        }
        error = std::max(error, std::abs(double(y[std::size_t((i * n + r) * m + c)]) - sum));
        size = std::max(size, total);
      }
  return error / size;
}
}  // namespace

TEST_CASE("cuda: products agree with the CPU's in every form") {
  Device device;
  if (!test::device_for(device)) return;
  struct Size {
    std::int64_t g, n, k, m;
  };
  for (Size const& s : {Size{1, 1, 1, 1}, Size{1, 7, 13, 5}, Size{3, 17, 1, 31}, Size{2, 1, 64, 1}, Size{5, 33, 20, 3}, Size{2, 0, 3, 4}})
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        INFO(s.g, " x [", s.n, ", ", s.k, "] [", s.k, ", ", s.m, "] ", ta, " ", tb);
        CHECK(error_of<float>(device, s.g, s.n, s.k, s.m, ta, tb, 3) < 1e-6);
        CHECK(error_of<double>(device, s.g, s.n, s.k, s.m, ta, tb, 3) < 1e-14);
      }
  Tensor<float> const none =
      batched_matmul(Var<float>(Tensor<float>({2, 3, 0}, device)), Var<float>(Tensor<float>({2, 0, 4}, device))).value();
  CHECK(none.host() == std::vector<float>(24, 0));
}

TEST_CASE("cuda: products have the same bits on every run; a device's precision is kept and put back") {
  Device device;
  if (!test::device_for(device)) return;
  Rng rng(1);
  Var<float> const a(randn<float>({65, 300}, rng, device)), b(randn<float>({300, 33}, rng, device));
  std::vector<float> const first = matmul(a, b).value().host();
  for (int i = 0; i < 3; ++i) CHECK(matmul(a, b).value().host() == first);
  for (auto [precision, limit] : {std::pair{MatrixPrecision::tf32, 2e-3}, std::pair{MatrixPrecision::bf16, 1.5e-2}}) {
    device.set_precision(precision);
    CHECK(error_of<float>(device, 1, 65, 300, 33, false, true, 5) < limit);
    CHECK(error_of<double>(device, 1, 9, 30, 3, false, true, 5) < 1e-14);
  }
  device.set_precision(MatrixPrecision::float32);
  CHECK(matmul(a, b).value().host() == first);
}
