// A run that goes on: its checkpoint carries the settings it was made with, and is refused by a run with other ones.
#pragma once
#include <cstdlib>
#include <string>

#include "rig/train/checkpoint.hpp"
#include "rig/train/config.hpp"

namespace rig::inline RIG_ABI::train {

/// Error, saying in what they differ, unless a checkpoint with this metadata was made by a run with the wanted settings.
inline void check_same_run(std::string const& path, io::Metadata const& there, Settings const& wanted) {
  for (auto const& [key, value] : wanted) {
    std::string const& old = io::metadata_value(there, key, path);
    check(old == value, path, ": was made by another run: its ", key, " is '", old, "', here it is '", value, "'");
  }
}
/// Metadata of a checkpoint: the settings of the run, which must agree, and its state, which may not.
inline io::Metadata with_state(Settings const& run, Settings const& state) {
  io::Metadata m(run.begin(), run.end());
  m.insert(m.end(), state.begin(), state.end());
  return m;
}
/// Text from which real_number() makes the same bits again.
inline std::string exact_text(double v) { return detail::setting_text(v); }
inline double real_number(std::string const& text) { return std::strtod(text.c_str(), nullptr); }

}  // namespace rig::inline RIG_ABI::train
