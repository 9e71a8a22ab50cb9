// A CUDA stream with a caching pool. Blocks that come back are reused in stream order, so no synchronisation is needed.
#pragma once
#include <cuda_runtime.h>

#include <memory>

#include "rig/core/device.hpp"

namespace rig::inline RIG_ABI::detail {

inline void cuda_check(cudaError_t e, char const* what) {
  if (e != cudaSuccess) throw Error(str(what, ": ", cudaGetErrorString(e)));
}

/// Defined in device.ipp beside the CPU's queue, which shares its block cache.
cudaStream_t cuda_stream(Device const& device);
Device make_cuda_device(int index);

}  // namespace rig::inline RIG_ABI::detail
