// How far a long job is: one line with share, rate and the time left, rewritten in place on a terminal, and plain lines
// now and then elsewhere. Knows nothing of what is being done; whoever wants to stop a job sets a flag that it polls.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "rig/core/config.hpp"

namespace rig::inline RIG_ABI::train {

/// What long jobs are given: whether to stop (set for example by a program's Ctrl-C handler) and whom to tell.
using StopFlag = std::atomic<bool>;
inline bool stop_asked(StopFlag const* flag) { return flag && flag->load(std::memory_order_relaxed); }

class Progress {
 public:
  struct Options {
    std::FILE* out = stderr;  ///< null: silent
    int terminal = -1;        ///< 1 rewrites one line, 0 prints plain lines, -1 finds out
    double plain_seconds = 10;
    double terminal_seconds = 0.2;
  };
  /// `first` is where a continued job starts; it does not count for the rate.
  Progress(std::string title, std::int64_t total, std::int64_t first, Options options);
  Progress(std::string title, std::int64_t total, std::int64_t first = 0) : Progress(std::move(title), total, first, Options{}) {}
  ~Progress() { finish(); }
  Progress(Progress const&) = delete;
  Progress& operator=(Progress const&) = delete;

  /// Prints if enough time has passed, or if everything is done.
  void update(std::int64_t done, std::string_view note = {});
  /// Ends the line. Also done by the destructor.
  void finish();
  double seconds() const;

  /// "train F  37% 370/1000  12.3/s  left 0:51  note". Pure, for tests.
  static std::string line(std::string_view title, std::int64_t done, std::int64_t total, std::int64_t first, double seconds,
                          std::string_view note);
  /// "0:07", "12:30", "3:05:00".
  static std::string clock(double seconds);

 private:
  std::string title_;
  std::int64_t total_, first_;
  Options o_;
  std::chrono::steady_clock::time_point start_, printed_;
  std::size_t width_ = 0;
  bool any_ = false, ended_ = false;
};

}  // namespace rig::inline RIG_ABI::train

#if RIG_INCLUDE_IPP
#include "rig/train/progress.ipp"
#endif
