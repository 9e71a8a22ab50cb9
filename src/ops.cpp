// The compiled library, part 4 of 4: every op in float and double.
#define RIG_SOURCE
#include "rig/core/config.hpp"
#undef RIG_INCLUDE_IPP
#define RIG_INCLUDE_IPP 0
#include "rig/rig.hpp"

#include "lists/op_list.ipp"
