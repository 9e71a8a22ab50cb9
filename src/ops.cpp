// The compiled option, the other half: every op in float and double. Apart from rig.cpp so that two cores share the work.
#if !defined(RIG_COMPILED)
#error "ops.cpp is compiled with RIG_COMPILED, like everything that links it; link the target rig::compiled"
#endif
#include "rig/rig.hpp"
#include "ops.ipp"
