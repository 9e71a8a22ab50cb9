// The compiled library, part 3 of 4: stylerig, gan and train.
#include "lists/autodiff.ipp"
#include "lists/core.ipp"
#include "lists/io.ipp"
#include "lists/nn.ipp"
#include "lists/ops.ipp"
#include "lists/render.ipp"

#undef RIG_INCLUDE_IPP
#define RIG_INCLUDE_IPP 1
#include "lists/gan.ipp"
#include "lists/stylerig.ipp"
#include "lists/train.ipp"
