// A device is a run-time value: an in-order queue of work together with the memory it works on.
// Each queue has its own caching pool, so a training step stops asking the system for memory after its first rounds.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "rig/core/error.hpp"

namespace rig::inline RIG_ABI {

/// What a queue's memory is so far; bytes and counts.
struct MemoryStatistics {
  std::size_t in_use = 0;               ///< bytes handed out and not returned
  std::size_t peak = 0;                 ///< largest in_use so far
  std::size_t reserved = 0;             ///< bytes taken from the system and not given back
  std::int64_t system_allocations = 0;  ///< how often the system was asked
  std::size_t pinned = 0;               ///< bytes of the host's memory through which uploads go
  std::int64_t pinned_allocations = 0;  ///< how often the system was asked for those
};

/// What a queue was asked to do so far.
struct WorkStatistics {
  std::int64_t launches = 0;  ///< kernels and products given to the device
  std::int64_t uploads = 0;   ///< copies from the host
  std::int64_t waits = 0;     ///< how often the host stood still until the device had caught up
  std::int64_t replays = 0;   ///< captured work done again
};

/// How a GPU rounds what goes into products and convolutions of float tensors; all three add in float. The CPU takes no notice.
enum class MatrixPrecision {
  float32,  ///< not at all: results agree with the CPU's
  tf32,     ///< to 10 bits of mantissa
  bf16      ///< to 7 bits of mantissa
};

/// Work that a queue has captured instead of doing it, with the memory it needs. See core/repeated.hpp.
struct CapturedWork {
  virtual ~CapturedWork() = default;
};

/// The interface behind Device. Work and copies happen in the order they are given.
struct Queue {
  virtual ~Queue() = default;
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* p, std::size_t bytes) noexcept = 0;
  virtual void copy(void* to, void const* from, std::size_t bytes) = 0;      ///< within the device, or from another device's memory
  virtual void upload(void* to, void const* from, std::size_t bytes) = 0;    ///< from the host, whose bytes may change once it returns
  virtual void download(void* to, void const* from, std::size_t bytes) = 0;  ///< to the host; waits
  virtual void wait() = 0;
  virtual void trim() noexcept = 0;  ///< gives idle blocks back to the system
  virtual MemoryStatistics memory() const = 0;
  virtual bool is_cuda() const { return false; }
  virtual int index() const { return 0; }
  /// Between the two, work is captured and not done; uploads and waiting are errors then.
  virtual bool can_capture() const { return false; }
  virtual bool capturing() const { return false; }
  virtual void begin_capture() {}
  virtual std::shared_ptr<CapturedWork> end_capture() { return {}; }
  /// Does captured work in its turn, on the memory it was captured with.
  virtual void replay(CapturedWork&) {}

  WorkStatistics const& work() const { return work_; }
  /// The op that is being run, for the message of a fault.
  void enter(char const* op) { op_ = op; }
  char const* op() const { return op_; }
  void count_launch() { ++work_.launches; }
  MatrixPrecision precision = MatrixPrecision::float32;

 protected:
  WorkStatistics work_;

 private:
  char const* op_ = "nothing yet";
};

class Device {
 public:
  Device();  ///< the CPU
  explicit Device(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}
  bool is_cpu() const { return !queue_->is_cuda(); }
  bool is_cuda() const { return queue_->is_cuda(); }
  Queue& queue() const { return *queue_; }
  void wait() const { queue_->wait(); }
  /// Of products and convolutions from here on, for every handle of this device.
  void set_precision(MatrixPrecision p) const { queue_->precision = p; }
  MatrixPrecision precision() const { return queue_->precision; }
  friend bool operator==(Device const& a, Device const& b) { return a.queue_ == b.queue_; }
  friend std::ostream& operator<<(std::ostream& o, Device const& d) {
    if (d.is_cpu()) return o << "cpu";
    return o << "cuda:" << d.queue_->index();
  }

 private:
  std::shared_ptr<Queue> queue_;
};

/// The machine rig runs on: host memory, all its cores. Always the same device.
Device cpu();
/// The CUDA device of that number with a stream and a pool of its own: two calls make two devices, which cannot be mixed.
/// Throws when this build or machine has none.
Device cuda(int index = 0);
/// "cpu", "cuda", "cuda:1". Throws on anything else, naming what is possible.
Device device_from_name(std::string_view name);

inline Device::Device() : Device(cpu()) {}

/// Number of threads the CPU kernels may use; 0 asks for all. Results do not depend on it.
void set_threads(int count);
int threads();

}  // namespace rig::inline RIG_ABI

#if RIG_INCLUDE_IPP
#include "rig/core/device.ipp"
#endif
