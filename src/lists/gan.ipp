// The headers of gan, written by scripts/lists.
#include "rig/gan/frechet.hpp"
#include "rig/gan/iteration.hpp"
#include "rig/gan/picture_set.hpp"
#include "rig/gan/start.hpp"
#include "rig/gan/training.hpp"
