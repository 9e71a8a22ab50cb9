#pragma once
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "rig/io/atomic_file.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {
inline constexpr std::string_view temporary_mark = ".tmp-";
}

RIG_INLINE AtomicFile::AtomicFile(std::string path) : path_(std::move(path)) {
  struct ::stat info {};
  if (::stat(path_.c_str(), &info) == 0) check(S_ISREG(info.st_mode), path_, ": exists and is not a regular file");
  temporary_ = path_ + std::string(detail::temporary_mark) + std::to_string(::getpid());
  // A second file of the same name in this process, or one left by a crash, must not be mixed with this one.
  for (int i = 0; i < 100; ++i) {
    std::string name = i == 0 ? temporary_ : temporary_ + "-" + std::to_string(i);
    fd_ = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd_ >= 0) {
      temporary_ = name;
      break;
    }
    if (errno != EEXIST) break;
  }
  check(fd_ >= 0, path_, ": cannot be written: ", std::strerror(errno));
}

RIG_INLINE AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

RIG_INLINE void AtomicFile::fail(char const* what, int error) {
  if (fd_ >= 0) {
    ::close(fd_);
    fd_ = -1;
    ::unlink(temporary_.c_str());
  }
  throw Error(str(path_, ": ", what, ": ", std::strerror(error), "; nothing was changed"));
}

RIG_INLINE void AtomicFile::write(void const* data, std::uint64_t size) {
  check(fd_ >= 0, path_, ": already finished");
  constexpr std::size_t most = std::size_t(1) << 20;  // whatever the size: a large tensor is not copied whole
  size_ += size;
  auto from = static_cast<char const*>(data);
  while (size > 0) {
    std::size_t const n = std::size_t(std::min<std::uint64_t>(size, most - buffer_.size()));
    buffer_.append(from, n);
    from += n, size -= n;
    if (buffer_.size() == most) flush();
  }
}

RIG_INLINE void AtomicFile::flush() {
  for (std::size_t done = 0; done < buffer_.size();) {
    ::ssize_t n = ::write(fd_, buffer_.data() + done, std::min<std::size_t>(buffer_.size() - done, std::size_t(1) << 30));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("writing failed", errno);
    if (n == 0) fail("writing failed", ENOSPC);
    done += std::size_t(n);
  }
  buffer_.clear();
}

RIG_INLINE void AtomicFile::commit() {
  check(fd_ >= 0, path_, ": already finished");
  flush();
  if (::fsync(fd_) != 0) fail("writing failed", errno);
  int closed = ::close(fd_);
  fd_ = -1;
  int error = closed != 0 ? errno : 0;
  if (error == 0 && std::rename(temporary_.c_str(), path_.c_str()) != 0) error = errno;
  if (error != 0) {
    ::unlink(temporary_.c_str());
    throw Error(str(path_, ": cannot be completed: ", std::strerror(error), "; nothing was changed"));
  }
  // The new name reaches the disk with its folder; a file system that cannot flush folders has done what it can.
  auto slash = path_.rfind('/');
  std::string folder = slash == std::string::npos ? "." : path_.substr(0, slash + 1);
  int d = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (d >= 0) {
    ::fsync(d);
    ::close(d);
  }
}

RIG_INLINE void write_file(std::string const& path, std::string_view content) {
  AtomicFile f(path);
  f.write(content);
  f.commit();
}

RIG_INLINE void remove_abandoned(std::string const& folder, std::string_view prefix) {
  namespace fs = std::filesystem;
  std::error_code ignored;  // what cannot be removed stays
  for (auto const& entry : fs::directory_iterator(folder, ignored)) {
    std::string const name = entry.path().filename().string();
    std::size_t const mark = name.rfind(detail::temporary_mark);
    if (mark == std::string::npos || name.compare(0, prefix.size(), prefix) != 0) continue;
    char const *const first = name.data() + mark + detail::temporary_mark.size(), *const last = name.data() + name.size();
    ::pid_t process = 0;
    auto const [end, error] = std::from_chars(first, last, process);
    if (error != std::errc() || process <= 0 || (end != last && *end != '-')) continue;
    if (::kill(process, 0) != 0 && errno == ESRCH) fs::remove(entry.path(), ignored);
  }
}

}  // namespace rig::inline RIG_ABI::io
