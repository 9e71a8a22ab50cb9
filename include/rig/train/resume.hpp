// A run that goes on: its checkpoint carries the settings it was made with, and is refused by a run with other ones.
#pragma once
#include <charconv>
#include <string>

#include "rig/train/checkpoint.hpp"
#include "rig/train/config.hpp"
#include "rig/train/log.hpp"

namespace rig::inline RIG_ABI::train {

/// A checkpoint that another run made: it is sound, and of no use here. Whoever starts trainings may say how to start anew.
struct OtherRun : Error {
  using Error::Error;
};

namespace detail {
/// A setting as people read it: of numbers with a point the fewest digits from which the same number comes again.
inline std::string short_text(std::string const& setting) {
  if (setting.find('.') == std::string::npos) return setting;
  double v = 0;
  char const* const last = setting.data() + setting.size();
  if (auto const [end, error] = std::from_chars(setting.data(), last, v); error != std::errc() || end != last) return setting;
  char text[40];
  return std::string(text, std::to_chars(text, text + sizeof text, v).ptr);
}
}  // namespace detail

/// OtherRun, saying in what they differ, unless a checkpoint with this metadata was made by a run with the wanted settings.
inline void check_same_run(std::string const& path, io::Metadata const& there, Settings const& wanted) {
  for (auto const& [key, value] : wanted)
    if (std::string const& old = io::metadata_value(there, key, path); old != value)
      throw OtherRun(str(path, ": was made by another run: its ", key, " is '", detail::short_text(old), "', here it is '",
                         detail::short_text(value), "'"));
}

/// Text from which metadata_number() makes the same bits again.
inline std::string exact_text(double v) { return detail::setting_text(v); }
/// An entry of a file's metadata as a number; an Error naming the file, the entry and what stands there if it is none that V holds.
template <class V> V metadata_number(io::Metadata const& metadata, std::string_view key, std::string_view path = "checkpoint") {
  std::string const& text = io::metadata_value(metadata, key, path);
  V v{};
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  check(error == std::errc() && end == text.data() + text.size(), path, ": the metadata's '", key, "' should be a ",
        std::is_integral_v<V> ? "whole number" : "number", ", found '", text, "'");
  return v;
}

/// Where a run keeps its state: a checkpoint that only a run with the same settings goes on from, and the curves in a file beside it.
class RunCheckpoint {
 public:
  /// An empty path: nothing is kept. The log may be null.
  RunCheckpoint(std::string path, Settings run, Log* log) : path_(std::move(path)), run_(std::move(run)), log_(log) {}
  bool exists() const { return !path_.empty() && is_there(path_); }

  /// Writes the items with the steps done and further entries of metadata, then the curves; each file whole.
  template <class... M> void save(std::int64_t step, Settings state, io::Item<M> const&... items) const {
    if (path_.empty()) return;
    io::Metadata metadata(run_.begin(), run_.end());
    state["step"] = std::to_string(step);
    metadata.insert(metadata.end(), state.begin(), state.end());
    io::save(path_, metadata, items...);
    if (log_) log_->write_json_lines(curves());
  }
  /// Fills the items, and the log up to that step; returns the metadata. OtherRun if another run wrote the file, Error if it is damaged.
  template <class... M> io::Metadata load(std::int64_t& step, io::Item<M> const&... items) const {
    io::Metadata const there = io::load_metadata(path_);
    check_same_run(path_, there, run_);
    auto const done = metadata_number<std::int64_t>(there, "step", path_);
    check(done >= 0, path_, ": its step should not be negative, found ", done);
    io::load(path_, items...);
    step = done;
    if (log_ && is_there(curves())) {
      *log_ = Log::read_json_lines(curves());
      log_->cut(step + 1);
    }
    return there;
  }

 private:
  static bool is_there(std::string const& file);
  std::string curves() const { return path_ + ".log.jsonl"; }
  std::string path_;
  Settings run_;
  Log* log_;
};

}  // namespace rig::inline RIG_ABI::train

#if RIG_INCLUDE_IPP
#include "rig/train/resume.ipp"
#endif
