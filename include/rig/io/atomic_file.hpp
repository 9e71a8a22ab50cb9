// A file that appears under its name only when it is complete: written beside it, flushed to disk, then renamed.
// Whatever goes wrong before that (full disk, exception, crash), the old file stays as it was.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "rig/core/error.hpp"

namespace rig::inline RIG_ABI::io {

class AtomicFile {
 public:
  /// Opens `path.tmp-<pid>` in the folder of `path`. Error if that cannot be created or `path` is not a regular file.
  explicit AtomicFile(std::string path);
  /// Removes the temporary unless commit() succeeded.
  ~AtomicFile();
  AtomicFile(AtomicFile const&) = delete;
  AtomicFile& operator=(AtomicFile const&) = delete;

  void write(void const* data, std::uint64_t size);
  void write(std::span<std::byte const> bytes) { write(bytes.data(), bytes.size()); }
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// Bytes written so far.
  std::uint64_t size() const { return size_; }
  /// Flushes to disk and renames. Nothing is visible under the final name before this returns.
  void commit();

 private:
  [[noreturn]] void fail(char const* what, int error);

  std::string path_, temporary_;
  std::string buffer_;
  std::uint64_t size_ = 0;
  int fd_ = -1;
  void flush();
};

/// A whole file at once, atomically.
void write_file(std::string const& path, std::string_view content);

/// Removes temporaries of files named PREFIX... from a folder that processes left which do not run on this machine any more.
void remove_abandoned(std::string const& folder, std::string_view prefix);

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/atomic_file.ipp"
#endif
