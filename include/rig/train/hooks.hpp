// What every long training is given by whoever starts it: when to stop, whom to tell, where to keep its state.
#pragma once
#include <functional>
#include <string>

#include "rig/train/log.hpp"
#include "rig/train/progress.hpp"

namespace rig::inline RIG_ABI::train {

/// What a training tells and asks. Everything may be left out.
struct TrainingHooks {
  train::StopFlag const* stop = nullptr;  ///< polled once a step
  train::Log* log = nullptr;
  std::function<void(std::int64_t done, std::int64_t total, std::string const& note)> progress;  ///< once a step
  std::function<void(std::string const& what)> note;  ///< one sentence: something a person should know that stops nothing
  std::string checkpoint;                ///< file to save to and to continue from; empty: none
  std::int64_t checkpoint_every = 1000;  ///< steps, 0 for never between; also saved when stopped and at the end
  std::int64_t log_every = 50;
  bool capture = true;           ///< on a GPU: steps are captured once and then started as a whole; if that is refused, note tells
  std::string extra_provenance;  ///< joined to what the checkpoint is checked against

  void capture_refused(std::string const& why) const {
    if (note) note("steps run one by one, which is slower, because none could be captured: " + why);
  }
};

}  // namespace rig::inline RIG_ABI::train
