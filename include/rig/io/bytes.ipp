#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "rig/io/bytes.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {
struct Mapping {
  void* p = nullptr;
  std::size_t size = 0;
  ~Mapping() {
    if (p) ::munmap(p, size);
  }
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
  auto map = std::make_shared<detail::Mapping>();
  void* p = ::mmap(nullptr, std::size_t(info.st_size), PROT_READ, MAP_PRIVATE, file.fd, 0);
  check(p != MAP_FAILED, path, ": cannot be mapped: ", std::strerror(errno));
  map->p = p;
  map->size = std::size_t(info.st_size);
  bytes_ = Bytes(static_cast<std::byte const*>(p), map->size, map);
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

RIG_INLINE std::string excerpt(std::string_view s, std::size_t most) {
  std::string out;
  for (char c : s.substr(0, most)) out += c >= 0x20 && c < 0x7f ? c : '?';
  if (s.size() > most) out += "...";
  return out;
}

}  // namespace rig::inline RIG_ABI::io
