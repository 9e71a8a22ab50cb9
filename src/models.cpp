// The compiled library, part 2 of 4: nn and render.
#include "lists/autodiff.ipp"
#include "lists/core.ipp"
#include "lists/io.ipp"
#include "lists/ops.ipp"

#undef RIG_INCLUDE_IPP
#define RIG_INCLUDE_IPP 1
#include "lists/nn.ipp"
#include "lists/render.ipp"
