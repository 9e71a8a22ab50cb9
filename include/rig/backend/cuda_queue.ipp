// A CUDA stream with a caching pool. Blocks that come back are reused in stream order, so no synchronisation is needed.
#pragma once
#include <cuda_runtime.h>

#include "rig/core/device.hpp"

namespace rig::inline RIG_ABI::detail {

/// For what belongs to no queue. The runtime keeps an error until it is asked for it: it must not be found by the next launch.
inline void cuda_check(cudaError_t e, char const* what) {
  if (e == cudaSuccess) return;
  cudaGetLastError();
  throw Error(str(what, ": ", cudaGetErrorString(e)));
}

// Defined in cuda_queue_impl.ipp, beside the CPU's queue in device.ipp.
cudaStream_t cuda_stream(Device const& device);
/// Throws on an error of a call, which may be the fault of a kernel that was given before: the message names device and op.
void cuda_verify(Device const& device, cudaError_t e, char const* what);
/// After a kernel was given to the device: an error that is known by now names the op. Errors of kernels show later, at the next
/// call that looks; with RIG_CUDA_SYNC=1 in the environment every launch is waited for, and the op named is the one.
void cuda_launched(Device const& device, char const* what);
Device make_cuda_device(int index);

}  // namespace rig::inline RIG_ABI::detail
