// Tensor<T>: a shape and one contiguous block on a device. It is a handle: copies share the block.
// Reading is free; writing in place goes through mutate(), which the tape notices. reshape and slicing the first
// extent share the block, everything else copies by an op.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rig/core/device.hpp"
#include "rig/core/launch.hpp"
#include "rig/core/shape.hpp"
#include "rig/core/view.hpp"

namespace rig::inline RIG_ABI {

namespace detail {
/// One block of a device's memory and how often it was written in place.
struct Storage {
  void* p = nullptr;
  std::size_t bytes;
  Device device;
  std::shared_ptr<void const> keep;  // owner of memory that rig did not allocate, for example a mapped file
  int version = 0;

  Storage(std::size_t n, Device d) : bytes(n), device(std::move(d)) {
    if (bytes) p = device.queue().allocate(bytes);
  }
  Storage(void* borrowed, std::size_t n, std::shared_ptr<void const> owner) : p(borrowed), bytes(n), keep(std::move(owner)) {}
  ~Storage() {
    if (p && !keep) device.queue().release(p, bytes);
  }
  Storage(Storage const&) = delete;
  Storage& operator=(Storage const&) = delete;
};

template <class T> struct FillKernel {
  T* y;
  T value;
  RIG_HD void operator()(std::int64_t i) const { y[i] = value; }
};
template <class To, class From> struct ConvertKernel {
  To* y;
  From const* x;
  RIG_HD void operator()(std::int64_t i) const { y[i] = To(x[i]); }
};
}  // namespace detail

template <class T> class Tensor {
 public:
  using scalar = T;

  Tensor() = default;  ///< no tensor: false as a condition
  /// Uninitialised values.
  explicit Tensor(Shape shape, Device device = {})
      : shape_(shape), storage_(std::make_shared<detail::Storage>(std::size_t(shape.size()) * sizeof(T), std::move(device))) {}
  /// Values in row-major order.
  Tensor(Shape shape, std::span<T const> values, Device device = {}) : Tensor(shape, std::move(device)) {
    check(std::int64_t(values.size()) == shape.size(), "Tensor: shape ", shape, " needs ", shape.size(), " values, got ", values.size());
    storage_->device.queue().upload(storage_->p, values.data(), values.size() * sizeof(T));
  }
  Tensor(Shape shape, std::vector<T> const& values, Device device = {}) : Tensor(shape, std::span<T const>(values), std::move(device)) {}
  Tensor(Shape shape, std::initializer_list<T> values, Device device = {})
      : Tensor(shape, std::span<T const>(values.begin(), values.size()), std::move(device)) {}
  /// Host memory owned by someone else, kept alive through `owner`; never written by rig unless mutate() is called.
  static Tensor borrow(Shape shape, T const* values, std::shared_ptr<void const> owner) {
    Tensor t;
    t.shape_ = shape;
    t.storage_ = std::make_shared<detail::Storage>(const_cast<T*>(values), std::size_t(shape.size()) * sizeof(T), std::move(owner));
    return t;
  }

  explicit operator bool() const { return bool(storage_); }
  Shape const& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  std::int64_t dim(int axis) const { return shape_[axis]; }
  std::int64_t size() const { return storage_ ? shape_.size() : 0; }
  Device device() const { return storage_ ? storage_->device : Device{}; }
  /// Counts in-place writes of the block.
  int version() const { return storage_ ? storage_->version : 0; }
  /// True if no other handle shares the block.
  bool unique() const { return storage_ && storage_.use_count() == 1; }

  T const* data() const { return storage_ ? static_cast<T const*>(storage_->p) + offset_ : nullptr; }
  /// For writing a freshly made tensor, or in place in optimisers and running statistics. Counted: see version().
  T* mutate() {
    check(bool(storage_), "Tensor: an empty tensor cannot be written");
    ++storage_->version;
    return static_cast<T*>(storage_->p) + offset_;
  }

  /// The same values under another shape of the same size. Free.
  Tensor reshape(Shape s) const {
    check(s.size() == size(), "reshape: ", shape_, " has ", size(), " elements, ", s, " has ", s.size());
    Tensor t = *this;
    t.shape_ = s;
    return t;
  }
  /// Rows [first, first + count) of the first extent. Free.
  Tensor rows(std::int64_t first, std::int64_t count) const {
    check(rank() > 0 && first >= 0 && count >= 0 && first + count <= dim(0), "rows: [", first, ", ", first + count, ") is outside ",
          shape_);
    Tensor t = *this;
    t.shape_ = shape_.with(0, count);
    t.offset_ += first * (dim(0) ? size() / dim(0) : 0);
    return t;
  }
  /// The i-th entry of the first extent, without that extent. Free.
  Tensor operator[](std::int64_t i) const {
    Tensor t = rows(i, 1);
    t.shape_ = Shape(shape_.begin() + 1, shape_.end());
    return t;
  }

  template <int R> View<T const, R> view() const& { return make_view<T const, R>(data()); }
  /// A view that writes; counts as one in-place change.
  template <int R> View<T, R> mutable_view() & { return make_view<T, R>(mutate()); }
  template <int R> View<T const, R> view() const&& = delete;  // name the tensor first: the view would outlive it

  /// The same values on another device; the same handle if it is there already. To the CPU it waits, from the CPU it does not.
  Tensor to(Device const& d) const {
    if (!storage_ || d == device()) return *this;
    Tensor t(shape_, d);
    t.assign(*this);
    return t;
  }
  /// Overwrites the block with the values of a tensor of the same size, from any device.
  void assign(Tensor const& from) {
    check(from.size() == size(), "assign: ", shape_, " has ", size(), " elements, ", from.shape(), " has ", from.size());
    if (size() == 0) return;
    std::size_t const bytes = std::size_t(size()) * sizeof(T);
    Device const here = device(), there = from.device();
    if (here == there) {
      here.queue().copy(mutate(), from.data(), bytes);
    } else if (there.is_cpu()) {
      here.queue().upload(mutate(), from.data(), bytes);
    } else if (here.is_cpu()) {
      there.queue().download(mutate(), from.data(), bytes);
    } else {  // from one CUDA device to another: each waits for the other, so that neither block is used again too soon
      there.wait();
      here.queue().copy(mutate(), from.data(), bytes);
      here.wait();
    }
  }
  /// A block of its own with the same values.
  Tensor clone() const {
    if (!storage_) return {};
    Tensor t(shape_, device());
    device().queue().copy(t.mutate(), data(), std::size_t(size()) * sizeof(T));
    return t;
  }
  std::vector<T> host() const {
    Tensor c = to(cpu());
    return {c.data(), c.data() + c.size()};
  }
  /// The single value of a one-element tensor, on the host.
  T item() const {
    check(size() == 1, "item: expected one element, got shape ", shape_);
    if (device().is_cpu()) return *data();
    return host()[0];
  }

 private:
  template <class U, int R> View<U, R> make_view(U* p) const {
    check(rank() == R, "view: expected rank ", R, ", got ", shape_);
    View<U, R> v{p, {}};
    for (int a = 0; a < R; ++a) v.d[a] = shape_[a];
    return v;
  }

  Shape shape_;
  std::shared_ptr<detail::Storage> storage_;
  std::int64_t offset_ = 0;
};

template <class T> Tensor<T> full(Shape shape, T value, Device device = {}) {
  Tensor<T> y(shape, std::move(device));
  for_each(y.device(), y.size(), detail::FillKernel<T>{y.mutate(), value});
  return y;
}
template <class T> Tensor<T> zeros(Shape shape, Device device = {}) { return full<T>(shape, T(0), std::move(device)); }
template <class T> Tensor<T> ones(Shape shape, Device device = {}) { return full<T>(shape, T(1), std::move(device)); }
/// Uninitialised, with the shape and device of another tensor.
template <class T, class U = T> Tensor<U> like(Tensor<T> const& x) { return Tensor<U>(x.shape(), x.device()); }

/// Error unless `t`, which an op uses beside its inputs, is on their device. An empty one may be anywhere.
template <class T> void check_device(char const* op, char const* what, Tensor<T> const& t, Device const& inputs) {
  check(!t || t.device() == inputs, op, ": ", what, " is on ", t.device(), ", the inputs are on ", inputs);
}

/// The same values in another scalar type, for example double for gradient checks.
template <class To, class From> Tensor<To> cast(Tensor<From> const& x) {
  Tensor<To> y(x.shape(), x.device());
  for_each(y.device(), y.size(), detail::ConvertKernel<To, From>{y.mutate(), x.data()});
  return y;
}

}  // namespace rig::inline RIG_ABI
