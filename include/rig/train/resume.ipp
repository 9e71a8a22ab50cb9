#pragma once
#include <filesystem>

#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::train {

RIG_INLINE bool RunCheckpoint::is_there(std::string const& file) { return std::filesystem::exists(file); }

}  // namespace rig::inline RIG_ABI::train
