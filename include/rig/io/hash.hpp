// 64-bit FNV-1a: names data, for example the generator a rig was trained for. Not for security: collisions can be made.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI::io {

class Hash {
 public:
  Hash& add(std::span<std::byte const> bytes) {
    for (std::byte b : bytes) state_ = (state_ ^ std::uint64_t(b)) * 0x100000001b3ull;
    return *this;
  }
  Hash& add(std::string_view text) { return add(std::as_bytes(std::span(text.data(), text.size()))); }
  /// The values of a tensor, not its shape; the same on every device.
  template <class T> Hash& add(Tensor<T> const& t) {
    Tensor<T> c = t.to(cpu());
    return add(std::as_bytes(std::span(c.data(), std::size_t(c.size()))));
  }
  std::uint64_t value() const { return state_; }
  /// 16 hexadecimal digits.
  std::string text() const {
    std::string s(16, '0');
    for (int i = 0; i < 16; ++i) s[std::size_t(i)] = "0123456789abcdef"[(state_ >> (60 - 4 * i)) & 15u];
    return s;
  }

 private:
  std::uint64_t state_ = 0xcbf29ce484222325ull;
};

/// The hash of some bytes as 16 hexadecimal digits.
inline std::string hash_text(std::span<std::byte const> bytes) { return Hash().add(bytes).text(); }

}  // namespace rig::inline RIG_ABI::io
