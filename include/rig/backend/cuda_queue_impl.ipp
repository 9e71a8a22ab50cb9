#pragma once
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <utility>

#include "rig/backend/cuda_queue.ipp"
#include "rig/backend/device_pool.ipp"

namespace rig::inline RIG_ABI::detail {

struct CudaSystem {
  int device;
  cudaError_t error = cudaSuccess;  // of the last allocation: after a fault every call fails, and that is not want of memory
  void* allocate(std::size_t size) noexcept {
    void* p = nullptr;
    error = cudaSetDevice(device);
    if (error == cudaSuccess) error = cudaMalloc(&p, size);
    if (error == cudaSuccess) return p;
    cudaGetLastError();
    return nullptr;
  }
  void release(void* p) noexcept { cudaFree(p); }  // waits for the device by itself
};

/// Pinned host memory through which uploads go, so that neither the caller's memory nor the caller has to wait for the device. A
/// piece is used again once the device has passed the event behind its copy. All pieces of a size are made at once, by the first
/// upload that needs one: a host that runs ahead of the device by more than they hold waits and asks the system for nothing.
class CudaStaging {
 public:
  static constexpr std::size_t smallest = std::size_t(64) << 10, largest = std::size_t(4) << 20;

  /// verify(error, what) throws on an error. Returns how often it had to wait because all pieces were on their way.
  template <class Verify> int upload(char* to, char const* from, std::size_t bytes, cudaStream_t stream, Verify verify) {
    int waits = 0;
    for (std::size_t at = 0; at < bytes; at += largest) {
      std::size_t const n = std::min(largest, bytes - at);
      Ring* ring = rings_;
      while (ring->size < n) ++ring;
      if (!ring->memory) make(*ring, verify);
      cudaEvent_t const passed = ring->passed[ring->next];
      cudaError_t e = cudaEventQuery(passed);
      if (e == cudaErrorNotReady) {
        cudaGetLastError();  // which is not an error
        ++waits, e = cudaEventSynchronize(passed);
      }
      verify(e, "upload");
      char* const piece = ring->memory + std::size_t(ring->next) * ring->size;
      std::memcpy(piece, from + at, n);
      verify(cudaMemcpyAsync(to + at, piece, n, cudaMemcpyHostToDevice, stream), "upload");
      verify(cudaEventRecord(passed, stream), "upload");
      ring->next = (ring->next + 1) % ring->pieces;
    }
    return waits;
  }
  void clear() noexcept {
    for (Ring& ring : rings_) give_back(ring);
  }
  std::size_t bytes() const { return bytes_; }
  std::int64_t allocations() const { return allocations_; }

 private:
  static constexpr int most = 128;
  struct Ring {
    std::size_t size;
    int pieces;
    char* memory = nullptr;
    cudaEvent_t passed[most] = {};  // one a piece
    int next = 0;                   // the piece that was sent first
  };
  template <class Verify> void make(Ring& ring, Verify verify) {
    void* p = nullptr;
    verify(cudaMallocHost(&p, ring.size * std::size_t(ring.pieces)), "upload: pinned host memory");
    ring.memory = static_cast<char*>(p);
    for (int i = 0; i < ring.pieces; ++i)
      if (cudaError_t const e = cudaEventCreateWithFlags(&ring.passed[i], cudaEventDisableTiming); e != cudaSuccess) {
        give_back(ring);
        verify(e, "upload: event");
      }
    bytes_ += ring.size * std::size_t(ring.pieces);
    ++allocations_;
  }
  static void give_back(Ring& ring) noexcept {
    for (cudaEvent_t& e : ring.passed)
      if (e) cudaEventDestroy(std::exchange(e, nullptr));
    if (ring.memory) cudaFreeHost(std::exchange(ring.memory, nullptr));
  }
  Ring rings_[4] = {{smallest, most}, {4 * smallest, 64}, {16 * smallest, 32}, {largest, 32}};  // 8, 16, 32 and 128 MB
  std::size_t bytes_ = 0;
  std::int64_t allocations_ = 0;
};

class CudaQueue final : public Queue {
 public:
  using Pool = DevicePool<CudaSystem>;

  explicit CudaQueue(int index) : index_(index), pool_(CudaSystem{index}) {
    char const* const asked = std::getenv("RIG_CUDA_SYNC");
    wait_each_ = asked && std::strcmp(asked, "0") != 0;
    cuda_check(cudaSetDevice(index), "rig::cuda");
    cuda_check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "rig::cuda");
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
      if (cudaError_t const e = pool_.system().error; e != cudaErrorMemoryAllocation) verify(e, "allocate");
      std::size_t free_bytes = 0, total = 0;
      verify(cudaMemGetInfo(&free_bytes, &total), "allocate");
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
    work_.waits += staging_.upload(static_cast<char*>(to), static_cast<char const*>(from), bytes, stream_,
                                   [this](cudaError_t e, char const* what) { verify(e, what); });
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
    MemoryStatistics m = pool_.statistics();
    m.pinned = staging_.bytes(), m.pinned_allocations = staging_.allocations();
    return m;
  }
  bool is_cuda() const override { return true; }
  int index() const override { return index_; }

  bool can_capture() const override { return !wait_each_; }
  bool capturing() const override { return bool(capturing_); }
  void begin_capture() override {
    check(!capturing_, "cuda:", index_, ": a capture is under way already");
    select();
    // Relaxed: the pool may ask for memory meanwhile, which is not part of the stream's work.
    cudaError_t const e = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed);
    if (e != cudaSuccess) fail(e, "capture", true);
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
    if (e != cudaSuccess) fail(e, "capture", true);
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
  void verify(cudaError_t e, char const* what) const {
    if (e != cudaSuccess) fail(e, what, capturing());
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
  void select() const { verify(cudaSetDevice(index_), "select"); }
  /// `of_capture`: a capture has no launches to wait for, so waiting for each would not find the op.
  [[noreturn]] void fail(cudaError_t e, char const* what, bool of_capture) const {
    cudaGetLastError();
    bool const at_once = wait_each_ || e == cudaErrorMemoryAllocation;  // want of memory is known in the call itself
    throw Error(str("cuda:", index_, ": ", at_once ? "in " : "in or before ", op(), " (", what, "): ", cudaGetErrorString(e),
                    at_once || of_capture ? "" : "; RIG_CUDA_SYNC=1 in the environment finds the op"));
  }
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
RIG_INLINE void cuda_verify(Device const& device, cudaError_t e, char const* what) { cuda_queue(device).verify(e, what); }
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
