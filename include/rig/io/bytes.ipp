#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "rig/io/bytes.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {
// How the owner of a mapped file lets go of it, and how such an owner is recognised.
struct Unmap {
  std::size_t size;
  void operator()(void* p) const { ::munmap(p, size); }
};
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};
}  // namespace detail

RIG_INLINE MappedFile::MappedFile(std::string const& path) : path_(path) {
  detail::Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  check(file.fd >= 0, path, ": cannot be opened: ", std::strerror(errno));
  struct ::stat info {};
  check(::fstat(file.fd, &info) == 0, path, ": ", std::strerror(errno));
  check(S_ISREG(info.st_mode), path, ": not a regular file");
  if (info.st_size == 0) return;
  auto const size = std::size_t(info.st_size);
  void* p = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.fd, 0);
  check(p != MAP_FAILED, path, ": cannot be mapped: ", std::strerror(errno));
  bytes_ = Bytes(static_cast<std::byte const*>(p), size, std::shared_ptr<void>(p, detail::Unmap{size}));
}

RIG_INLINE void Bytes::release() const {
  if (size < (1u << 18) || !std::get_deleter<detail::Unmap>(owner)) return;
  std::uintptr_t const page = std::uintptr_t(::sysconf(_SC_PAGESIZE)), first = reinterpret_cast<std::uintptr_t>(data);
  std::uintptr_t const begin = (first + page - 1) / page * page, end = (first + size) / page * page;
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // only advice: a failure changes nothing
}

RIG_INLINE Bytes booleans(Bytes const& values, Budget& budget) {
  auto const s = values.span();
  if (std::all_of(s.begin(), s.end(), [](std::byte b) { return b <= std::byte(1); })) return values;
  budget.charge(values.size);
  std::vector<std::byte> out(s.size());
  std::transform(s.begin(), s.end(), out.begin(), [](std::byte b) { return std::byte(b != std::byte(0)); });
  return Bytes(std::move(out));
}

RIG_INLINE bool is_utf8(std::string_view s) {
  auto at = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  for (std::size_t i = 0; i < s.size();) {
    unsigned char c = at(i);
    if (c < 0x80) {
      ++i;
      continue;
    }
    std::size_t n = c >= 0xC2 && c <= 0xDF ? 1 : c >= 0xE0 && c <= 0xEF ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
    if (n == 0 || s.size() - i <= n) return false;
    for (std::size_t k = 1; k <= n; ++k)
      if ((at(i + k) & 0xC0) != 0x80) return false;
    unsigned char d = at(i + 1);
    if ((c == 0xE0 && d < 0xA0) || (c == 0xED && d > 0x9F) || (c == 0xF0 && d < 0x90) || (c == 0xF4 && d > 0x8F)) return false;
    i += n + 1;
  }
  return true;
}

RIG_INLINE void append_utf8(std::string& out, std::uint32_t u) {
  if (u < 0x80) {
    out += char(u);
  } else if (u < 0x800) {
    out += char(0xC0 | u >> 6);
    out += char(0x80 | (u & 63));
  } else if (u < 0x10000) {
    out += char(0xE0 | u >> 12);
    out += char(0x80 | (u >> 6 & 63));
    out += char(0x80 | (u & 63));
  } else {
    out += char(0xF0 | u >> 18);
    out += char(0x80 | (u >> 12 & 63));
    out += char(0x80 | (u >> 6 & 63));
    out += char(0x80 | (u & 63));
  }
}

RIG_INLINE std::string excerpt(std::string_view s, std::size_t most) {
  std::string out;
  for (char c : s.substr(0, most)) out += c >= 0x20 && c < 0x7f ? c : '?';
  if (s.size() > most) out += "...";
  return out;
}

}  // namespace rig::inline RIG_ABI::io
