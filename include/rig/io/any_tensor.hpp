// A tensor as it lies in a file: element type, shape, dense row-major little-endian bytes. as<T>() turns it into a
// Tensor<T> of its own; borrow<T>() points into the file when type and alignment allow.
#pragma once
#include <bit>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "rig/core/tensor.hpp"
#include "rig/io/bytes.hpp"

namespace rig::inline RIG_ABI::io {

enum class DType : std::uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

/// Bytes of one element.
constexpr std::uint64_t size_of(DType t) {
  switch (t) {
    case DType::f64:
    case DType::i64:
    case DType::u64: return 8;
    case DType::f32:
    case DType::i32:
    case DType::u32: return 4;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
    case DType::u16: return 2;
    default: return 1;
  }
}
/// "F32", "I64", "BOOL", ...: the names used in safetensors.
constexpr char const* name_of(DType t) {
  constexpr char const* names[] = {"F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U64", "U32", "U16", "U8", "BOOL"};
  return names[int(t)];
}
inline std::ostream& operator<<(std::ostream& o, DType t) { return o << name_of(t); }

namespace detail {
struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};
struct Bool {
  std::uint8_t bits;
};

inline float to_float(Half h) {
  std::uint32_t sign = std::uint32_t(h.bits & 0x8000u) << 16, exponent = (h.bits >> 10) & 31u, fraction = h.bits & 1023u;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | fraction << 13);
  if (exponent == 0) return std::bit_cast<float>(sign | 0x3f800000u) * (float(fraction) * 0x1p-24f);
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}
inline float to_float(BFloat b) { return std::bit_cast<float>(std::uint32_t(b.bits) << 16); }

template <class T> struct dtype_of;
template <> struct dtype_of<double> { static constexpr DType value = DType::f64; };
template <> struct dtype_of<float> { static constexpr DType value = DType::f32; };
template <> struct dtype_of<std::int64_t> { static constexpr DType value = DType::i64; };
template <> struct dtype_of<std::int32_t> { static constexpr DType value = DType::i32; };
template <> struct dtype_of<std::int16_t> { static constexpr DType value = DType::i16; };
template <> struct dtype_of<std::int8_t> { static constexpr DType value = DType::i8; };
template <> struct dtype_of<std::uint64_t> { static constexpr DType value = DType::u64; };
template <> struct dtype_of<std::uint32_t> { static constexpr DType value = DType::u32; };
template <> struct dtype_of<std::uint16_t> { static constexpr DType value = DType::u16; };
template <> struct dtype_of<std::uint8_t> { static constexpr DType value = DType::u8; };
template <> struct dtype_of<bool> { static constexpr DType value = DType::boolean; };

// A value that the target cannot hold is an error, never a wrapped or undefined one.
template <class To, class From> To convert_one(From x) {
  if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat>) {
    return convert_one<To>(to_float(x));
  } else if constexpr (std::is_same_v<From, Bool>) {
    return To(x.bits != 0);
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    constexpr double low = double(std::numeric_limits<To>::min()), high = double(std::numeric_limits<To>::max() / 2 + 1) * 2;
    check(double(x) >= low && double(x) < high, "tensor: ", x, " does not fit the integer type asked for");
    return To(x);
  } else if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) {
    check(std::in_range<To>(x), "tensor: ", x, " does not fit the integer type asked for");
    return To(x);
  } else {
    return To(x);
  }
}
template <class From, class To> void convert_all(To* y, std::byte const* x, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    From v;
    std::memcpy(&v, x + std::size_t(i) * sizeof(From), sizeof(From));
    y[i] = convert_one<To>(v);
  }
}
}  // namespace detail

class AnyTensor {
 public:
  AnyTensor() = default;  ///< no tensor: false as a condition
  /// Dense row-major little-endian values; their size must be that of the shape.
  AnyTensor(DType dtype, Shape shape, Bytes values) : dtype_(dtype), shape_(shape), values_(std::move(values)), present_(true) {
    check(values_.size == std::uint64_t(shape_.size()) * size_of(dtype_), "tensor: ", dtype_, " ", shape_, " needs ",
          std::uint64_t(shape_.size()) * size_of(dtype_), " bytes, got ", values_.size);
  }
  /// Shares the values of a tensor (those of another device are copied to the host).
  template <class T> AnyTensor(Tensor<T> const& t) : dtype_(detail::dtype_of<T>::value), shape_(t.shape()), present_(bool(t)) {
    auto keep = std::make_shared<Tensor<T> const>(t.to(cpu()));
    values_ = Bytes(reinterpret_cast<std::byte const*>(keep->data()), std::uint64_t(keep->size()) * sizeof(T), keep);
  }

  explicit operator bool() const { return present_; }
  DType dtype() const { return dtype_; }
  Shape const& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  std::int64_t dim(int axis) const { return shape_[axis]; }
  std::int64_t size() const { return present_ ? shape_.size() : 0; }
  Bytes const& bytes() const { return values_; }

  /// The values in a block of their own, converted. Integers that do not fit are an Error; rounding is not.
  template <class T> Tensor<T> as() const {
    check(present_, "tensor: there is none to convert");
    Tensor<T> t(shape_);
    T* y = t.mutate();
    std::byte const* x = values_.data;
    std::int64_t n = size();
    if (n == 0) return t;
    if (same<T>()) {
      std::memcpy(y, x, std::size_t(n) * sizeof(T));
      values_.release();
      return t;
    }
    switch (dtype_) {
      case DType::f64: detail::convert_all<double>(y, x, n); break;
      case DType::f32: detail::convert_all<float>(y, x, n); break;
      case DType::f16: detail::convert_all<detail::Half>(y, x, n); break;
      case DType::bf16: detail::convert_all<detail::BFloat>(y, x, n); break;
      case DType::i64: detail::convert_all<std::int64_t>(y, x, n); break;
      case DType::i32: detail::convert_all<std::int32_t>(y, x, n); break;
      case DType::i16: detail::convert_all<std::int16_t>(y, x, n); break;
      case DType::i8: detail::convert_all<std::int8_t>(y, x, n); break;
      case DType::u64: detail::convert_all<std::uint64_t>(y, x, n); break;
      case DType::u32: detail::convert_all<std::uint32_t>(y, x, n); break;
      case DType::u16: detail::convert_all<std::uint16_t>(y, x, n); break;
      case DType::u8: detail::convert_all<std::uint8_t>(y, x, n); break;
      case DType::boolean: detail::convert_all<detail::Bool>(y, x, n); break;
    }
    values_.release();
    return t;
  }
  /// The values where they are, when type and alignment allow, else as<T>(). For reading only: a mapped file cannot be written.
  template <class T> Tensor<T> borrow() const {
    if (!present_ || !same<T>() || reinterpret_cast<std::uintptr_t>(values_.data) % alignof(T) != 0 || size() == 0) return as<T>();
    return Tensor<T>::borrow(shape_, reinterpret_cast<T const*>(values_.data), values_.owner);
  }
  /// The single value of a one-element tensor.
  template <class T> T item() const {
    check(size() == 1, "item: expected one element, got shape ", shape_);
    return as<T>().item();
  }

 private:
  template <class T> bool same() const { return detail::dtype_of<T>::value == dtype_ && !std::is_same_v<T, bool>; }

  DType dtype_ = DType::f32;
  Shape shape_;
  Bytes values_;
  bool present_ = false;
};

struct NamedTensor {
  std::string name;
  AnyTensor tensor;
};

}  // namespace rig::inline RIG_ABI::io
