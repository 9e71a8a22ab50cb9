#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <mutex>
#include <utility>

#include "rig/backend/cuda_queue.ipp"
#include "rig/backend/device_pool.ipp"

namespace rig::inline RIG_ABI::detail {

struct CudaSystem {
  int device;
  void* allocate(std::size_t size) noexcept {
    void* p = nullptr;
    if (cudaSetDevice(device) == cudaSuccess && cudaMalloc(&p, size) == cudaSuccess) return p;
    cudaGetLastError();
    return nullptr;
  }
  void release(void* p) noexcept { cudaFree(p); }  // waits for the device by itself
};

/// Pinned host memory through which uploads go, so that neither the caller's memory nor the caller has to wait for the device. A
/// piece is used again once the device has passed the event behind its copy.
class CudaStaging {
 public:
  static constexpr std::size_t smallest = std::size_t(64) << 10, largest = std::size_t(4) << 20, total = std::size_t(256) << 20;

  /// Returns how often it had to wait because all pieces were on their way.
  int upload(char* to, char const* from, std::size_t bytes, cudaStream_t stream) {
    int waits = 0;
    for (std::size_t at = 0; at < bytes; at += largest) {
      std::size_t const n = std::min(largest, bytes - at);
      std::size_t size = smallest;
      int kind = 0;
      while (size < n) size *= 4, ++kind;
      Piece const piece = idle(size, pieces_[kind], waits);
      std::memcpy(piece.p, from + at, n);
      cuda_check(cudaMemcpyAsync(to + at, piece.p, n, cudaMemcpyHostToDevice, stream), "upload");
      cuda_check(cudaEventRecord(piece.passed, stream), "upload");
    }
    return waits;
  }
  void clear() noexcept {
    for (auto& list : pieces_) {
      for (auto const& piece : list) cudaEventDestroy(piece.passed), cudaFreeHost(piece.p);
      list.clear();
    }
  }

 private:
  struct Piece {
    void* p;
    cudaEvent_t passed;
  };
  /// The piece that was sent first, if the device has passed it or there may be no more of them; else a new one. It goes to the end.
  Piece idle(std::size_t size, std::deque<Piece>& sent, int& waits) {
    if (!sent.empty()) {
      cudaError_t e = cudaEventQuery(sent.front().passed);
      if (e == cudaErrorNotReady) {
        cudaGetLastError();  // which is not an error
        if (staged_ + size > total) ++waits, e = cudaEventSynchronize(sent.front().passed);
      }
      if (e != cudaErrorNotReady) {
        cuda_check(e, "upload");
        sent.push_back(sent.front());
        sent.pop_front();
        return sent.back();
      }
    }
    Piece piece{nullptr, nullptr};
    cuda_check(cudaMallocHost(&piece.p, size), "upload: pinned host memory");
    if (cudaEventCreateWithFlags(&piece.passed, cudaEventDisableTiming) != cudaSuccess) {
      cudaFreeHost(piece.p);
      throw Error("upload: no event can be made");
    }
    sent.push_back(piece);
    staged_ += size;
    return piece;
  }
  std::deque<Piece> pieces_[4];  // of 64 KB, 256 KB, 1 MB, 4 MB; in the order in which they were sent
  std::size_t staged_ = 0;
};

class CudaQueue final : public Queue {
 public:
  using Pool = DevicePool<CudaSystem>;

  explicit CudaQueue(int index) : index_(index), pool_(CudaSystem{index}) {
    char const* const asked = std::getenv("RIG_CUDA_SYNC");
    wait_each_ = asked && std::strcmp(asked, "0") != 0;
    select();
    cuda_check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cuda");
  }
  // At shutdown the driver may be gone already, and after a fault nothing works any more; what it says then is not an error.
  ~CudaQueue() override {
    bool const there = cudaSetDevice(index_) == cudaSuccess;
    if (there) cudaStreamSynchronize(stream_);
    kept.reset();  // gives memory back to the pool
    if (!there) return;
    staging_.clear();
    pool_.drain();
    cudaStreamDestroy(stream_);
  }
  void* allocate(std::size_t bytes) override {
    std::lock_guard lock(mutex_);
    void* const p = pool_.take(bytes);
    if (!p) {
      std::size_t free_bytes = 0, total = 0;
      cudaMemGetInfo(&free_bytes, &total);
      throw Error(str("cuda:", index_, ": out of memory in ", op(), ": ", bytes, " bytes asked for, ", free_bytes, " of ", total, " free, ",
                      pool_.statistics().in_use, " in use by rig"));
    }
    return p;
  }
  void release(void* p, std::size_t bytes) noexcept override {
    std::lock_guard lock(mutex_);
    pool_.give(p, bytes);
  }
  void copy(void* to, void const* from, std::size_t bytes) override {
    select();
    if (bytes) verify(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_), "copy");
  }
  void upload(void* to, void const* from, std::size_t bytes) override {
    check(!capturing_, "cuda:", index_, ": ", op(), ": values were sent from the host in a step that is captured");
    if (!bytes) return;
    select();
    std::lock_guard lock(mutex_);
    ++work_.uploads;
    work_.waits += staging_.upload(static_cast<char*>(to), static_cast<char const*>(from), bytes, stream_);
  }
  void download(void* to, void const* from, std::size_t bytes) override {
    if (!bytes) return;
    check(!capturing_, "cuda:", index_, ": ", op(), ": the host waited in a step that is captured");
    select();
    verify(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, stream_), "download");
    wait();
  }
  void wait() override {
    check(!capturing_, "cuda:", index_, ": ", op(), ": the host waited in a step that is captured");
    ++work_.waits;
    verify(cudaStreamSynchronize(stream_), "wait");
  }
  void trim() noexcept override {
    std::lock_guard lock(mutex_);
    pool_.drain();
  }
  MemoryStatistics memory() const override {
    std::lock_guard lock(mutex_);
    return pool_.statistics();
  }
  bool is_cuda() const override { return true; }
  int index() const override { return index_; }

  bool can_capture() const override { return !wait_each_; }
  void begin_capture() override {
    check(!capturing_, "cuda:", index_, ": a capture is under way already");
    select();
    // Relaxed: the pool may ask for memory meanwhile, which is not part of the stream's work.
    verify(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed), "capture");
    std::lock_guard lock(mutex_);
    capturing_ = std::make_shared<Captured>(*this, pool_.begin_capture());
  }
  std::shared_ptr<CapturedWork> end_capture() override {
    auto const captured = std::exchange(capturing_, nullptr);
    cudaGraph_t graph = nullptr;
    cudaError_t e = cudaStreamEndCapture(stream_, &graph);
    {
      std::lock_guard lock(mutex_);
      pool_.end_capture();
    }
    if (e == cudaSuccess) e = cudaGraphInstantiate(&captured->work, graph, 0);
    if (graph) cudaGraphDestroy(graph);
    verify(e, "capture");
    return captured;
  }
  void replay(CapturedWork& work) override {
    select();
    ++work_.replays;
    verify(cudaGraphLaunch(static_cast<Captured&>(work).work, stream_), "replay");
  }

  cudaStream_t stream() const {
    select();
    return stream_;
  }
  void launched(char const* what) {
    count_launch();
    cudaError_t e = cudaGetLastError();
    if (e == cudaSuccess && wait_each_) e = cudaStreamSynchronize(stream_);
    verify(e, what);
  }
  void verify(cudaError_t e, char const* what) {
    if (e == cudaSuccess) return;
    cudaGetLastError();
    throw Error(str("cuda:", index_, ": ", wait_each_ ? "in " : "in or before ", op(), " (", what, "): ", cudaGetErrorString(e),
                    wait_each_ ? "" : "; RIG_CUDA_SYNC=1 in the environment finds the op"));
  }

  /// What a library keeps with a queue, for example a handle; goes before the stream does.
  struct Library {
    virtual ~Library() = default;
  };
  std::shared_ptr<Library> kept;

 private:
  struct Captured final : CapturedWork {
    CudaQueue& queue;
    std::shared_ptr<Pool::Arena> arena;
    cudaGraphExec_t work = nullptr;
    Captured(CudaQueue& q, std::shared_ptr<Pool::Arena> a) : queue(q), arena(std::move(a)) {}
    ~Captured() override {
      cudaStreamSynchronize(queue.stream_);
      if (work) cudaGraphExecDestroy(work);
      std::lock_guard lock(queue.mutex_);
      queue.pool_.dissolve(*arena);
    }
  };
  void select() const { cuda_check(cudaSetDevice(index_), "cuda"); }
  int index_;
  bool wait_each_ = false;
  cudaStream_t stream_{};
  mutable std::mutex mutex_;
  Pool pool_;
  CudaStaging staging_;
  std::shared_ptr<Captured> capturing_;
};

inline CudaQueue& cuda_queue(Device const& device) { return static_cast<CudaQueue&>(device.queue()); }
RIG_INLINE cudaStream_t cuda_stream(Device const& device) { return cuda_queue(device).stream(); }
RIG_INLINE void cuda_launched(Device const& device, char const* what) { cuda_queue(device).launched(what); }

template <class T> __global__ void probe_kernel(T* p) { *p = T(1); }

RIG_INLINE Device make_cuda_device(int index) {
  auto version = [](int v) { return str(v / 1000, ".", v % 1000 / 10); };
  int count = 0, driver = 0;
  cudaError_t const e = cudaGetDeviceCount(&count);
  if (e != cudaSuccess) {
    cudaGetLastError();
    cudaDriverGetVersion(&driver);
    check(driver > 0, "rig::cuda: this machine has no NVIDIA driver, or one that does not answer; this program was built with CUDA ",
          version(CUDART_VERSION));
    throw Error(str("rig::cuda: no CUDA device can be used: ", cudaGetErrorString(e), "; this program was built with CUDA ",
                    version(CUDART_VERSION), ", the driver is for CUDA ", version(driver)));
  }
  check(index >= 0 && index < count, "rig::cuda: device ", index, " does not exist; this machine has ", count);
  cuda_check(cudaSetDevice(index), "rig::cuda");
  cudaFuncAttributes attributes;
  cudaError_t const probed = cudaFuncGetAttributes(&attributes, probe_kernel<int>);
  if (probed == cudaErrorInvalidDeviceFunction || probed == cudaErrorNoKernelImageForDevice) {
    cudaGetLastError();
    cudaDeviceProp p;
    cuda_check(cudaGetDeviceProperties(&p, index), "rig::cuda");
    throw Error(str("rig::cuda: this program was not compiled for device ", index, ", ", p.name, " of compute capability ", p.major, ".",
                    p.minor, "; build it with -DRIG_CUDA_ARCHITECTURES=", p.major, p.minor));
  }
  cuda_check(probed, "rig::cuda");
  return Device(std::make_shared<CudaQueue>(index));
}

}  // namespace rig::inline RIG_ABI::detail
