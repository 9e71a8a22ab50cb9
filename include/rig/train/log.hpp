// Curves of a run as numbers: name, step, value. Written whole and atomically as CSV (one column a curve) or JSON lines, so
// a reader never sees half a file; read back when a run is continued.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rig/core/error.hpp"

namespace rig::inline RIG_ABI::train {

class Log {
 public:
  struct Entry {
    std::string curve;
    std::int64_t step;
    double value;
  };

  void add(std::string_view curve, std::int64_t step, double value) { entries_.push_back({std::string(curve), step, value}); }
  std::vector<Entry> const& entries() const { return entries_; }
  /// Names in the order of their first value.
  std::vector<std::string> curves() const;
  /// (step, value) of one curve.
  std::vector<std::pair<std::int64_t, double>> curve(std::string_view name) const;
  /// The last value of a curve; Error if it has none.
  double last(std::string_view name) const;
  /// Forgets what was written at `step` or later: for continuing from a checkpoint of that step.
  void cut(std::int64_t step);

  /// "step,curve1,curve2": one line a step, empty where a curve has no value there.
  std::string csv() const;
  /// {"step": 1, "name": "loss", "value": 0.5} a line; values that are not finite become null.
  std::string json_lines() const;
  void write_csv(std::string const& path) const;
  void write_json_lines(std::string const& path) const;
  /// What write_json_lines wrote.
  static Log read_json_lines(std::string const& path);

 private:
  std::vector<Entry> entries_;
};

}  // namespace rig::inline RIG_ABI::train

#if RIG_INCLUDE_IPP
#include "rig/train/log.ipp"
#endif
