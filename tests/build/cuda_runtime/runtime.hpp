// A CUDA runtime that fails when it is told to. Its functions stand before those of libcudart.so; kernels are not run.
#pragma once
#include <cuda_runtime_api.h>

#include <cstddef>

struct Runtime {
  cudaError_t fault = cudaSuccess;  // of a kernel: every call returns it from then on
  bool select_sees_it = true;       // cudaSetDevice, too
  cudaError_t last = cudaSuccess;
  cudaError_t pinned = cudaSuccess, begin = cudaSuccess, end = cudaSuccess, kernel = cudaSuccess;  // what these calls return
  std::size_t memory = std::size_t(1) << 30;
  bool behind = false;  // the device has not come to the events yet
  int pinned_allocations = 0, events_waited_for = 0;
};
extern Runtime runtime;
