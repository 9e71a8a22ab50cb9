// Bytes from outside, and the only two ways to reach into them: sub() and Cursor, both bounds-checked.
// A Bytes keeps its owner alive (a mapped file, an inflated block), so tensors can point into a file without a copy.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "rig/core/error.hpp"

namespace rig::inline RIG_ABI::io {

static_assert(std::endian::native == std::endian::little, "rig's readers expect a little-endian machine");

/// A read-only range of memory and whatever keeps it alive.
struct Bytes {
  std::byte const* data = nullptr;
  std::uint64_t size = 0;
  std::shared_ptr<void const> owner;

  Bytes() = default;
  Bytes(std::byte const* p, std::uint64_t n, std::shared_ptr<void const> keep) : data(p), size(n), owner(std::move(keep)) {}
  explicit Bytes(std::vector<std::byte> block) {
    auto b = std::make_shared<std::vector<std::byte> const>(std::move(block));
    data = b->data();
    size = b->size();
    owner = std::move(b);
  }

  std::span<std::byte const> span() const { return {data, std::size_t(size)}; }
  std::string_view text() const { return {reinterpret_cast<char const*>(data), std::size_t(size)}; }
  /// A part that shares the owner; Error if it does not lie inside.
  Bytes sub(std::uint64_t offset, std::uint64_t n) const {
    check(offset <= size && n <= size - offset, "bytes: [", offset, ", +", n, ") is outside a range of ", size, " bytes");
    return {data + offset, n, owner};
  }
  /// If this is a large part of a mapped file: gives its memory back to the system, once its values were copied elsewhere,
  /// so that file and copies do not add up. Reading it again is allowed.
  void release() const;
};

/// Gives the memory of a mapped file back behind one who reads a range of it from front to back and only once.
class ReadOnce {
 public:
  explicit ReadOnce(Bytes const& range) : range_(range) {}
  void upto(std::uint64_t position) {
    if (position < given_ + step) return;
    range_.sub(given_, position - given_).release();
    given_ = position;
  }

 private:
  static constexpr std::uint64_t step = 4 << 20;
  Bytes const& range_;
  std::uint64_t given_ = 0;
};

/// A whole file mapped read-only. The file must not be shortened while it is in use; replacing it (as AtomicFile does) is safe.
class MappedFile {
 public:
  /// Error, naming the file, if it is missing, unreadable or not a regular file.
  explicit MappedFile(std::string const& path);
  std::string const& path() const { return path_; }
  Bytes const& bytes() const { return bytes_; }

 private:
  std::string path_;
  Bytes bytes_;
};

namespace detail {

// A reader throws rig::Error only, whatever a file does to it.
template <class F> auto only_errors(F&& read) {
  try {
    return read();
  } catch (Error const&) {
    throw;
  } catch (std::bad_alloc const&) {
    throw Error("not enough memory to read the file");
  } catch (std::exception const& e) {
    throw Error(str("the file cannot be read: ", e.what()));
  }
}

/// read(bytes) of a whole file; what goes wrong names the file, and nothing but Error leaves.
template <class F> auto read_mapped(std::string const& path, F&& read) {
  MappedFile const file(path);
  try {
    return only_errors([&] { return read(file.bytes()); });
  } catch (Error const& e) {
    throw Error(path + ": " + e.what());
  }
}

}  // namespace detail

/// Reads a range from front to back. Every failure names the position and what was being read.
class Cursor {
 public:
  /// `what` is the beginning of error messages, for example "npy"; it must outlive the cursor.
  Cursor(std::span<std::byte const> data, char const* what) : data_(data), what_(what) {}

  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return data_.size() - position_; }
  void seek(std::uint64_t position) {
    require(position <= data_.size(), "position ", position, " lies beyond the end at ", data_.size());
    position_ = position;
  }
  std::span<std::byte const> take(std::uint64_t n) {
    require(n <= remaining(), n, " bytes are announced but only ", remaining(), " are left");
    auto s = data_.subspan(std::size_t(position_), std::size_t(n));
    position_ += n;
    return s;
  }
  std::string_view text(std::uint64_t n) {
    auto s = take(n);
    return {reinterpret_cast<char const*>(s.data()), s.size()};
  }
  template <class T> T little() {
    static_assert(std::is_arithmetic_v<T>);
    T v;
    std::memcpy(&v, take(sizeof(T)).data(), sizeof(T));
    return v;
  }
  template <class T> T big() {
    static_assert(std::is_arithmetic_v<T>);
    std::byte b[sizeof(T)];
    auto s = take(sizeof(T));
    for (std::size_t i = 0; i < sizeof(T); ++i) b[i] = s[sizeof(T) - 1 - i];
    T v;
    std::memcpy(&v, b, sizeof(T));
    return v;
  }

  template <class... A> [[noreturn]] void fail(A const&... parts) const {
    throw Error(str(what_, ": at byte ", position_, ": ", parts...));
  }
  template <class... A> void require(bool ok, A const&... parts) const {
    if (!ok) fail(parts...);
  }

 private:
  std::span<std::byte const> data_;
  char const* what_;
  std::uint64_t position_ = 0;
};

/// What a reader may use up. The default is generous for real files and small for hostile ones.
struct Limits {
  std::uint64_t memory = 0;  ///< bytes of decoded data; 0: 64 MiB and sixteen times the file
  int nesting = 1000;        ///< containers within containers
  int streams = 16;          ///< serialized tensors within serialized tensors
};

/// Counts what a reader allocates and stops it at the limit.
class Budget {
 public:
  Budget(Limits const& limits, std::uint64_t file_size) : left_(limits.memory) {
    if (left_ == 0) left_ = (std::uint64_t(64) << 20) + 16 * std::min<std::uint64_t>(file_size, std::uint64_t(1) << 50);
  }
  void charge(std::uint64_t bytes) {
    check(bytes <= left_, "the file would need ", bytes - left_, " bytes more memory than the reader's limit allows");
    left_ -= bytes;
  }

 private:
  std::uint64_t left_;
};

/// Booleans as 0 and 1: any other byte means true. A copy, charged to the budget, only where there is such a byte.
Bytes booleans(Bytes const& values, Budget& budget);

/// True for well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view s);
/// Adds a character of a Unicode number below 0x110000.
void append_utf8(std::string& out, std::uint32_t u);
/// The beginning of something unexpected, printable and short, for error messages.
std::string excerpt(std::string_view s, std::size_t most = 40);

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/bytes.ipp"
#endif
