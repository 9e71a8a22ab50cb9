// A run that goes on: its checkpoint carries the settings it was made with, and is refused by a run with other ones.
#pragma once
#include <charconv>
#include <functional>
#include <string>

#include "rig/core/device.hpp"
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

/// OtherRun, saying in what they differ, unless a checkpoint with this metadata was made by a run with the wanted settings. If these
/// name a kind, a file of another one is a plain Error: it is no such checkpoint, and nothing to write over.
inline void check_same_run(std::string const& path, io::Metadata const& there, Settings const& wanted) {
  if (auto const kind = wanted.find("kind"); kind != wanted.end()) {
    std::string found = io::find_metadata(there, "kind");
    if (found.empty()) found = io::find_metadata(there, "format");
    check(found == kind->second, path, ": expected a checkpoint of the kind '", kind->second, "', found ",
          found.empty() ? "a file that names no kind" : "'" + found + "'");
  }
  Settings const all(there.begin(), there.end());
  for (auto const& [key, value] : wanted) {
    auto const old = all.find(key);
    if (old == all.end()) throw OtherRun(str(path, ": was made by another version of rig: it does not tell its ", key));
    if (old->second != value)
      throw OtherRun(str(path, ": was made by another run: its ", key, " is '", detail::short_text(old->second), "', here it is '",
                         detail::short_text(value), "'"));
  }
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

/// What decides the bits of a training beside its settings: the kind of device, and on a GPU the precision of its products.
inline std::string arithmetic_of(Device const& device) {
  if (device.is_cpu()) return "cpu";
  constexpr char const* precisions[] = {"float32", "tf32", "bf16"};
  return str("cuda, ", precisions[int(device.precision())]);
}

/// Where a run keeps its state: a checkpoint that only a run with the same settings and arithmetic goes on from, and the curves in a file
/// beside it.
class RunCheckpoint {
 public:
  /// An empty path: nothing is kept. The log may be null. `note` is told when curves of an earlier part are lost.
  RunCheckpoint(std::string path, Settings run, Device const& device, Log* log, std::function<void(std::string const&)> note = {})
      : path_(std::move(path)), run_(std::move(run)), log_(log), note_(std::move(note)) {
    run_["device"] = arithmetic_of(device);
  }
  bool exists() const { return !path_.empty() && is_there(path_); }

  /// Writes the curves, then the items with the steps done and further entries of metadata; each file whole. Curves that run ahead of
  /// their checkpoint, because the run was killed between the two, are cut by load(); what was never written could not come back.
  template <class... M> void save(std::int64_t step, Settings state, io::Item<M> const&... items) const {
    if (path_.empty()) return;
    io::Metadata metadata(run_.begin(), run_.end());
    state["step"] = std::to_string(step);
    metadata.insert(metadata.end(), state.begin(), state.end());
    if (log_) log_->write_json_lines(curves());
    io::save(path_, metadata, items...);
  }
  /// Fills the items, and the log up to that step; returns the metadata. OtherRun if another run wrote the file, Error if it is damaged.
  /// Damaged curves stop nothing: they begin anew.
  template <class... M> io::Metadata load(std::int64_t& step, io::Item<M> const&... items) const {
    io::Metadata const there = io::load_metadata(path_);
    check_same_run(path_, there, run_);
    auto const done = metadata_number<std::int64_t>(there, "step", path_);
    check(done >= 0, path_, ": its step should not be negative, found ", done);
    io::load(path_, items...);
    step = done;
    if (log_ && is_there(curves())) load_curves(step);
    return there;
  }

 private:
  static bool is_there(std::string const& file);
  void load_curves(std::int64_t step) const;
  std::string curves() const { return path_ + ".log.jsonl"; }
  std::string path_;
  Settings run_;
  Log* log_;
  std::function<void(std::string const&)> note_;
};

}  // namespace rig::inline RIG_ABI::train

#if RIG_INCLUDE_IPP
#include "rig/train/resume.ipp"
#endif
