#include "rig/io/half.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace rig;

TEST_CASE("half precision: every number comes back, and what lies between goes to the nearest, ties to even") {
  for (unsigned b = 0; b < 65536; ++b) {
    float const x = io::from_half(std::uint16_t(b));
    if (std::isnan(x)) {
      CHECK(std::isnan(io::from_half(io::to_half(x))));
      continue;
    }
    if (io::to_half(x) != b) FAIL_CHECK(b, " ", x);
    if (std::isinf(x) || (b & 0x7fffu) == 0x7bffu || (b & 0x8000u)) continue;
    float const next = io::from_half(std::uint16_t(b + 1)), middle = (x + next) / 2;  // exact in float
    if (io::to_half(middle) != (b & 1u ? b + 1 : b)) FAIL_CHECK("tie after ", b);
    if (io::to_half(std::nextafter(middle, 0.0f)) != b) FAIL_CHECK("below the tie after ", b);
    if (io::to_half(std::nextafter(middle, 1e9f)) != b + 1) FAIL_CHECK("above the tie after ", b);
  }
  CHECK(io::to_half(65504.0f) == 0x7bff);
  CHECK(io::to_half(65519.0f) == 0x7bff);
  CHECK(io::to_half(65520.0f) == 0x7c00);
  CHECK(io::to_half(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(io::to_half(-0.0f) == 0x8000);
}

TEST_CASE("half precision: tensors") {
  io::AnyTensor const exact(Tensor<float>({3}, {0.5f, -2, 65504})), rough(Tensor<float>({2}, {0.1f, 1})), whole(Tensor<int>({1}, {3}));
  CHECK(io::fits_half(exact));
  CHECK(!io::fits_half(rough));
  CHECK(!io::fits_half(whole));
  CHECK(!io::fits_half(io::AnyTensor(Tensor<double>({1}, {1 + 1e-12}))));
  io::AnyTensor const h = io::as_half(exact);
  CHECK(h.dtype() == io::DType::f16);
  CHECK(h.bytes().size == 6);
  CHECK(h.as<float>().host() == std::vector<float>{0.5f, -2, 65504});
  CHECK(std::abs(io::as_half(rough).as<float>().host()[0] - 0.1f) < 5e-5f);
}
