#pragma once
#include <filesystem>

#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::train {

RIG_INLINE bool RunCheckpoint::is_there(std::string const& file) { return std::filesystem::exists(file); }

RIG_INLINE void RunCheckpoint::load_curves(std::int64_t step) const {
  try {
    *log_ = Log::read_json_lines(curves());
    log_->cut(step + 1);
  } catch (Error const& e) {
    *log_ = {};
    if (note_) note_(str("the curves begin anew at step ", step, ", because those of before cannot be read: ", e.what()));
  }
}

}  // namespace rig::inline RIG_ABI::train
