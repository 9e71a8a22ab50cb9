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

#if RIG_GPU
RIG_INLINE bool cuda_conv(Device const& device, ConvSize const& s, float const* x, float const* weight, float* y, ConvScales const& scales,
                          ConvFinish const& finish) {
  if (!conv_on_tensor_cores(s)) return false;
  ConvFinish whole = finish;
  whole.scale = scales.o;
  if (!launch_thin(device, ConvRole::forward, s, x, nullptr, weight, y, scales.c, nullptr, whole))
    launch_conv_gemm<ConvRole::forward>(device, s, x, weight, y, scales.c, nullptr, whole, nullptr);
  return true;
}
RIG_INLINE bool cuda_conv_input(Device const& device, ConvSize const& s, float const* y, float const* weight, float* x,
                                ConvScales const& scales) {
  if (!conv_on_tensor_cores(s)) return false;
  if (launch_thin(device, ConvRole::input, s, nullptr, y, weight, x, scales.c, scales.o, {})) return true;
  ConvFinish finish;
  finish.scale = scales.c;
  launch_conv_gemm<ConvRole::input>(device, s, y, weight, x, scales.o, nullptr, finish, nullptr);
  return true;
}
RIG_INLINE bool cuda_conv_weight(Device const& device, ConvSize const& s, float const* x, float const* y, float* weight,
                                 ConvScales const& scales) {
  if (!conv_on_tensor_cores(s)) return false;
  if (!launch_thin(device, ConvRole::weight, s, x, y, nullptr, weight, scales.c, scales.o, {}))
    launch_conv_gemm<ConvRole::weight>(device, s, y, x, weight, scales.o, scales.c, {}, nullptr);
  return true;
}
#endif

}  // namespace rig::inline RIG_ABI::detail
