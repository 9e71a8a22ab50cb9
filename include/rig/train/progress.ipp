#pragma once
#include <unistd.h>

#include <algorithm>

#include "rig/train/progress.hpp"

namespace rig::inline RIG_ABI::train {

RIG_INLINE Progress::Progress(std::string title, std::int64_t total, std::int64_t first, Options options)
    : title_(std::move(title)), total_(total), first_(first), o_(options), start_(std::chrono::steady_clock::now()), printed_(start_) {
  if (o_.out && o_.terminal < 0) o_.terminal = isatty(fileno(o_.out)) ? 1 : 0;
}

RIG_INLINE double Progress::seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }

RIG_INLINE std::string Progress::clock(double seconds) {
  long long const s = static_cast<long long>(seconds + 0.5);
  char text[40];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  return text;
}

RIG_INLINE std::string Progress::line(std::string_view title, std::int64_t done, std::int64_t total, std::int64_t first, double seconds,
                                      std::string_view note) {
  double const rate = seconds > 0 ? double(done - first) / seconds : 0;
  char part[96];
  std::snprintf(part, sizeof part, "  %3.0f%%  %lld/%lld", total > 0 ? 100.0 * double(done) / double(total) : 100.0,
                static_cast<long long>(done), static_cast<long long>(total));
  std::string s = std::string(title) + part;
  if (rate > 0) {
    std::snprintf(part, sizeof part, rate >= 1 ? "  %.1f/s" : "  %.3f/s", rate);
    s += part;
    s += done < total ? "  left " + clock(double(total - done) / rate) : "  took " + clock(seconds);
  }
  if (!note.empty()) s += "  " + std::string(note);
  return s;
}

RIG_INLINE void Progress::update(std::int64_t done, std::string_view note) {
  if (!o_.out || ended_) return;
  auto const now = std::chrono::steady_clock::now();
  double const since = std::chrono::duration<double>(now - printed_).count();
  bool const last = done >= total_;
  if (!last && since < (o_.terminal ? o_.terminal_seconds : o_.plain_seconds)) return;
  printed_ = now;
  std::string s = line(title_, done, total_, first_, seconds(), note);
  if (o_.terminal) {
    std::size_t const length = s.size();
    if (length < width_) s.append(width_ - length, ' ');
    width_ = length;
    std::fprintf(o_.out, "\r%s", s.c_str());
  } else {
    std::fprintf(o_.out, "%s\n", s.c_str());
  }
  std::fflush(o_.out);
  any_ = true;
  if (last) finish();
}

RIG_INLINE void Progress::finish() {
  if (ended_) return;
  ended_ = true;
  if (o_.out && o_.terminal && any_) std::fprintf(o_.out, "\n");
}

}  // namespace rig::inline RIG_ABI::train
