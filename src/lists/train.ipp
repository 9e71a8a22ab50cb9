// The headers of train, written by scripts/lists.
#include "rig/train/checkpoint.hpp"
#include "rig/train/config.hpp"
#include "rig/train/data.hpp"
#include "rig/train/divergence.hpp"
#include "rig/train/hooks.hpp"
#include "rig/train/log.hpp"
#include "rig/train/progress.hpp"
#include "rig/train/resume.hpp"
