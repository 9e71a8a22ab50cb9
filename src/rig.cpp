// The compiled library, part 1 of 4: what stands behind the .ipp files of core, autodiff, ops and io. The parts are
// compiled side by side; each shows the compiler the .ipp files of its own folders only, and users see none of them.
#include "rig/core/config.hpp"
#if !defined(RIG_COMPILED) || defined(RIG_SOURCE)
#error "the sources of the compiled library are built with RIG_COMPILED, like everything that links it: use rig::compiled"
#endif
#undef RIG_INCLUDE_IPP
#define RIG_INCLUDE_IPP 1
#include "lists/autodiff.ipp"
#include "lists/core.ipp"
#include "lists/io.ipp"
#include "lists/ops.ipp"
