// Matrix products on the GPU: cuBLAS with one handle a queue, on the queue's stream, and with a workspace of ours, so that the same
// product has the same bits on every run and can be captured. cuBLAS stores by columns: our y = a b is its y^T = b^T a^T.
#pragma once
#include <cublas_v2.h>

#include "rig/backend/cuda_queue_impl.ipp"

namespace rig::inline RIG_ABI::detail {

inline void cublas_check(cublasStatus_t s, CudaQueue& queue, char const* what) {
  if (s == CUBLAS_STATUS_SUCCESS) return;
  if (!queue.capturing()) queue.wait();  // it fails after a fault of an earlier kernel, too, and does not say so
  throw Error(str("cuda:", queue.index(), ": ", what, " (cuBLAS): ", cublasGetStatusString(s)));
}

class CublasHandle final : public CudaQueue::Library {
 public:
  explicit CublasHandle(CudaQueue& queue) : queue_(queue) {
    queue.stream();  // makes its device the current one
    cublas_check(cublasCreate(&handle_), queue, "products");
    try {
      workspace_ = queue.allocate(workspace_bytes);
      cublas_check(cublasSetStream(handle_, queue.stream()), queue, "products");
      cublas_check(cublasSetWorkspace(handle_, workspace_, workspace_bytes), queue, "products");
    } catch (...) {
      cublasDestroy(handle_);
      throw;
    }
  }
  ~CublasHandle() override {
    cublasDestroy(handle_);
    queue_.release(workspace_, workspace_bytes);
  }
  static cublasHandle_t of(CudaQueue& queue) {
    if (!queue.kept) queue.kept = std::make_shared<CublasHandle>(queue);
    return static_cast<CublasHandle&>(*queue.kept).handle_;
  }

 private:
  static constexpr std::size_t workspace_bytes = std::size_t(32) << 20;  // what NVIDIA advises for sm_90
  CudaQueue& queue_;
  cublasHandle_t handle_{};
  void* workspace_ = nullptr;
};

template <class T>
void cublas_product(Device const& device, std::int64_t g, std::int64_t n, std::int64_t m, std::int64_t k, bool a_transposed,
                    bool b_transposed, T const* a, T const* b, T* y) {
  if (g * n * m == 0) return;
  CudaQueue& queue = cuda_queue(device);
  cudaStream_t const stream = queue.stream();
  if (k == 0) return queue.verify(cudaMemsetAsync(y, 0, std::size_t(g * n * m) * sizeof(T), stream), "matmul");
  constexpr bool single = std::is_same_v<T, float>;
  cudaDataType_t const type = single ? CUDA_R_32F : CUDA_R_64F;
  MatrixPrecision const p = device.precision();
  cublasComputeType_t const compute = !single                      ? CUBLAS_COMPUTE_64F
                                      : p == MatrixPrecision::tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                      : p == MatrixPrecision::bf16 ? CUBLAS_COMPUTE_32F_FAST_16BF
                                                                   : CUBLAS_COMPUTE_32F;
  T const one = 1, zero = 0;
  cublas_check(
      cublasGemmStridedBatchedEx_64(CublasHandle::of(queue), b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                                    a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, m, n, k, &one, b, type, b_transposed ? k : m, k * m, a, type,
                                    a_transposed ? n : k, n * k, &zero, y, type, m, n * m, g, compute, CUBLAS_GEMM_DEFAULT),
      queue, queue.op());
  queue.launched("cuBLAS");
}

}  // namespace rig::inline RIG_ABI::detail
