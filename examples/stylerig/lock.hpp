// Where verbs write: folders that a refused command does not leave behind, and locks, because one process at a time writes a run, a
// corpus, or one of the networks of a run. Locks go with the process, however it ends.
#pragma once
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <vector>

#include "program.hpp"
#include "rig/train/checkpoint.hpp"

namespace program {

/// A folder to write into. If it was not there before, it is gone again unless something was put into it.
class OutputFolder {
 public:
  /// Error if it cannot be made.
  explicit OutputFolder(std::string const& folder) {
    std::error_code ignored;
    for (std::filesystem::path p = folder; !p.empty() && !std::filesystem::exists(p, ignored); p = p.parent_path()) made_.push_back(p);
    make_folder(folder);
  }
  ~OutputFolder() {
    std::error_code not_empty;
    for (auto const& p : made_) std::filesystem::remove(p, not_empty);
  }
  OutputFolder(OutputFolder const&) = delete;
  OutputFolder& operator=(OutputFolder const&) = delete;

 private:
  std::vector<std::filesystem::path> made_;  // the innermost first
};

/// Error if one of `results` lies in the folder without a checkpoint of this kind: the run that made it is over, or it is nobody's run.
inline void check_no_results(std::string const& folder, std::string const& kind, std::vector<std::string> const& results,
                             std::string const& advice) {
  std::string const checkpoint = folder + "/checkpoint.safetensors";
  if (std::filesystem::exists(checkpoint) && rig::io::find_metadata(rig::io::load_metadata(checkpoint), "kind") == kind) return;
  for (auto const& name : results)
    rig::check(!std::filesystem::exists(folder + "/" + name), folder, "/", name, ": is there already, ", advice);
}

/// A lock on a folder itself.
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

/// A lock by the name STEM.lock, for what several processes may write side by side in one folder. The file is there while it is held.
class NameLock {
 public:
  /// The folder must be there. Error if another process holds the name. Where nothing can be locked, nothing is held.
  explicit NameLock(std::string const& stem) : path_(stem + ".lock") {
    for (;;) {
      descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
      if (descriptor_ < 0) return;
      if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
        bool const held = errno == EWOULDBLOCK;
        ::close(descriptor_);
        descriptor_ = -1;
        if (held) throw rig::Error(stem + ": another process is training this network; wait for it, or give another --name or --run");
        return;
      }
      // Whoever held it before may have removed the file between the two calls; then the lock is on a file without a name.
      struct stat mine {
      }, there{};
      if (::fstat(descriptor_, &mine) == 0 && ::stat(path_.c_str(), &there) == 0 && mine.st_ino == there.st_ino) return;
      ::close(descriptor_);
    }
  }
  ~NameLock() {
    if (descriptor_ < 0) return;
    ::unlink(path_.c_str());
    ::close(descriptor_);
  }
  NameLock(NameLock const&) = delete;
  NameLock& operator=(NameLock const&) = delete;

 private:
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace program
