// The compiled option, one half: everything behind .ipp files. The other half is ops.cpp.
#if !defined(RIG_COMPILED)
#error "rig.cpp is compiled with RIG_COMPILED, like everything that links it; link the target rig::compiled"
#endif
#define RIG_SOURCE
#include "rig/rig.hpp"
