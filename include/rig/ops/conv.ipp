#pragma once
#include "rig/backend/conv.ipp"
#include "rig/ops/conv.hpp"
#include "rig/ops/cuda/conv.hpp"

namespace rig::inline RIG_ABI::detail {

RIG_INLINE void cpu_conv(ConvSize const& s, float const* x, float const* weight, float* y) { conv_forward(s, x, weight, y); }
RIG_INLINE void cpu_conv(ConvSize const& s, double const* x, double const* weight, double* y) { conv_forward(s, x, weight, y); }
RIG_INLINE void cpu_conv_input(ConvSize const& s, float const* y, float const* weight, float* x) { conv_input(s, y, weight, x); }
RIG_INLINE void cpu_conv_input(ConvSize const& s, double const* y, double const* weight, double* x) { conv_input(s, y, weight, x); }
RIG_INLINE void cpu_conv_weight(ConvSize const& s, float const* x, float const* y, float* weight) { conv_weight(s, x, y, weight); }
RIG_INLINE void cpu_conv_weight(ConvSize const& s, double const* x, double const* y, double* weight) { conv_weight(s, x, y, weight); }

}  // namespace rig::inline RIG_ABI::detail
