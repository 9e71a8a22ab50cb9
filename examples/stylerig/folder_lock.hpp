// One process at a time writes a run or a corpus. The lock lies on the folder itself and goes with the process, however it ends.
#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "rig/core/error.hpp"

namespace program {

class FolderLock {
 public:
  /// The folder must be there. Error if another process holds it. Where a file system has no locks, nothing is held.
  explicit FolderLock(std::string const& folder) : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    if (descriptor_ < 0 || ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
    ::close(descriptor_);
    throw rig::Error(folder + ": another process is writing into this folder; wait for it, or name another folder");
  }
  ~FolderLock() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  FolderLock(FolderLock const&) = delete;
  FolderLock& operator=(FolderLock const&) = delete;

 private:
  int descriptor_;
};

}  // namespace program
