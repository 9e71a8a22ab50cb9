// Numbers of half precision (IEEE 754 binary16) as bits, and tensors stored as such: for networks that are shipped, not for sums.
#pragma once
#include <bit>

#include "rig/io/any_tensor.hpp"

namespace rig::inline RIG_ABI::io {

inline float from_half(std::uint16_t bits) { return detail::to_float(detail::Half{bits}); }

/// The nearest number of half precision, ties to even; infinity from 65520 on.
inline std::uint16_t to_half(float x) {
  std::uint32_t const bits = std::bit_cast<std::uint32_t>(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
  if (size > 0x7f800000u) return std::uint16_t(sign | 0x7e00u);   // NaN
  if (size >= 0x477ff000u) return std::uint16_t(sign | 0x7c00u);  // 65520 and more
  if (size < 0x38800000u) {                                       // below the smallest normal number: multiples of 2^-24
    float const steps = std::bit_cast<float>(size) * 0x1p24f;     // below 1024, exact
    std::uint32_t const whole = std::uint32_t(steps);
    float const rest = steps - float(whole);
    return std::uint16_t(sign | (whole + (rest > 0.5f || (rest == 0.5f && (whole & 1u)))));
  }
  std::uint32_t const odd = size >> 13 & 1u;
  return std::uint16_t(sign | (size - 0x38000000u + 0xfffu + odd) >> 13);
}

/// Whether as_half() keeps every value: floating tensors only.
inline bool fits_half(AnyTensor const& t) {
  if (t.dtype() == DType::f16) return true;
  if (t.dtype() != DType::f32 && t.dtype() != DType::f64) return false;
  Tensor<double> const v = t.as<double>();
  for (std::int64_t i = 0; i < v.size(); ++i)
    if (double(from_half(to_half(float(v.data()[i])))) != v.data()[i]) return false;
  return true;
}
/// The values rounded to half precision.
inline AnyTensor as_half(AnyTensor const& t) {
  Tensor<float> const v = t.as<float>();
  std::vector<std::byte> bytes(std::size_t(v.size()) * 2);
  for (std::int64_t i = 0; i < v.size(); ++i) {
    std::uint16_t const h = to_half(v.data()[i]);
    std::memcpy(bytes.data() + 2 * i, &h, 2);
  }
  return AnyTensor(DType::f16, t.shape(), Bytes(std::move(bytes)));
}

}  // namespace rig::inline RIG_ABI::io
