// The headers of autodiff, written by scripts/lists.
#include "rig/autodiff/gradcheck.hpp"
#include "rig/autodiff/op.hpp"
#include "rig/autodiff/tape.hpp"
#include "rig/autodiff/var.hpp"
