// The compiled option: everything behind .ipp files and every op, in float and double, once. Users of it define
// RIG_COMPILED, which the target rig::compiled does for them.
#if !defined(RIG_COMPILED) || !defined(RIG_SOURCE)
#error "rig.cpp is compiled with RIG_COMPILED and RIG_SOURCE; link rig::compiled"
#endif
#include "rig/rig.hpp"
#include "ops.ipp"
