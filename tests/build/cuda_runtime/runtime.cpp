#include "runtime.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

Runtime runtime;

namespace {
cudaError_t answer(cudaError_t e = cudaSuccess) {
  if (runtime.fault != cudaSuccess) e = runtime.fault;
  if (e != cudaSuccess) runtime.last = e;
  return e;
}
}  // namespace

extern "C" {
cudaError_t cudaGetDeviceCount(int* count) { return *count = 1, answer(); }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  *p = {};
  std::snprintf(p->name, sizeof p->name, "Test GPU");
  p->major = 8, p->minor = 6;
  return answer();
}
cudaError_t cudaSetDevice(int) { return runtime.select_sees_it ? answer() : cudaSuccess; }
cudaError_t cudaGetLastError() {
  cudaError_t const e = runtime.last;
  runtime.last = runtime.fault;
  return e;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes*, void const*) { return answer(runtime.kernel); }
cudaError_t cudaFuncSetAttribute(void const*, cudaFuncAttribute, int) { return answer(); }
cudaError_t cudaMalloc(void** p, std::size_t bytes) {
  if (bytes > runtime.memory || runtime.fault != cudaSuccess) return answer(cudaErrorMemoryAllocation);
  *p = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  return cudaSuccess;
}
cudaError_t cudaFree(void* p) { return std::free(p), answer(); }
cudaError_t cudaMemGetInfo(std::size_t* left, std::size_t* total) {
  return *left = runtime.memory, *total = std::size_t(2) << 30, answer();
}
cudaError_t cudaMallocHost(void** p, std::size_t bytes) {
  if (cudaError_t const e = answer(runtime.pinned); e != cudaSuccess) return e;
  ++runtime.pinned_allocations;
  *p = std::malloc(bytes);
  return cudaSuccess;
}
cudaError_t cudaFreeHost(void* p) { return std::free(p), answer(); }
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) { return *e = reinterpret_cast<cudaEvent_t>(std::malloc(1)), answer(); }
cudaError_t cudaEventDestroy(cudaEvent_t e) { return std::free(e), answer(); }
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t) { return *reinterpret_cast<char*>(e) = 1, answer(); }
cudaError_t cudaEventQuery(cudaEvent_t) { return answer(runtime.behind ? cudaErrorNotReady : cudaSuccess); }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return ++runtime.events_waited_for, answer(); }
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) { return *s = nullptr, answer(); }
cudaError_t cudaStreamDestroy(cudaStream_t) { return answer(); }
cudaError_t cudaStreamSynchronize(cudaStream_t) { return answer(); }
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode) { return answer(runtime.begin); }
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t* g) { return *g = nullptr, answer(runtime.end); }
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* g, cudaGraph_t, unsigned long long) { return *g = nullptr, answer(); }
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t) { return answer(); }
cudaError_t cudaMemcpyAsync(void* to, void const* from, std::size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (runtime.fault == cudaSuccess) std::memcpy(to, from, bytes);
  return answer();
}
}
