// The compiled library, part 2 of 4: nn and render.
#include "lists/core.ipp"
#include "lists/autodiff.ipp"
#include "lists/ops.ipp"
#include "lists/io.ipp"

#undef RIG_INCLUDE_IPP
#define RIG_INCLUDE_IPP 1
#include "lists/nn.ipp"
#include "lists/render.ipp"
