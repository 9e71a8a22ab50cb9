// Var<T>: a Tensor together with its place on a tape. A constant has no place. A signature that takes a Var says that a
// gradient may flow there; one that takes a Tensor says that none does.
#pragma once
#include <memory>
#include <string_view>
#include <vector>

#include "rig/core/tensor.hpp"

namespace rig::inline RIG_ABI {

class Pass;

namespace detail {

/// One entry of a tape: knows its inputs and how to pull a gradient back to them.
struct Node {
  int id = -1;
  virtual ~Node() = default;
  virtual std::string_view name() const = 0;
  /// Adds gradients to the slots of this node's inputs.
  virtual void pull(Pass&) = 0;
  /// Whether one of its inputs is marked.
  virtual bool reaches(std::vector<char> const& marked) const = 0;
};

/// The list a Tape owns and its Vars refer to. Closed when the tape is gone, spent after backward().
struct Record {
  bool open = true;
  std::vector<std::unique_ptr<Node>> nodes;

  int push(std::unique_ptr<Node> n) {
    n->id = int(nodes.size());
    nodes.push_back(std::move(n));
    return int(nodes.size()) - 1;
  }
};

}  // namespace detail

template <class T> class Var {
 public:
  using scalar = T;

  Var() = default;                                    ///< no value: an argument that is left out
  Var(Tensor<T> value) : value_(std::move(value)) {}  ///< a constant
  Var(Tensor<T> value, std::shared_ptr<detail::Record> record, int id) : value_(std::move(value)), record_(std::move(record)), id_(id) {}

  explicit operator bool() const { return bool(value_); }
  Tensor<T> const& value() const { return value_; }
  Shape const& shape() const { return value_.shape(); }
  std::int64_t dim(int axis) const { return value_.dim(axis); }
  int rank() const { return value_.rank(); }
  std::int64_t size() const { return value_.size(); }
  Device device() const { return value_.device(); }
  T item() const { return value_.item(); }

  /// Whether a tape that is still in use recorded it.
  bool tracked() const { return record_ && record_->open; }
  int id() const { return tracked() ? id_ : -1; }
  std::shared_ptr<detail::Record> const& record() const { return record_; }
  /// The same value as a constant.
  Var detach() const { return Var(value_); }

 protected:
  Tensor<T> value_;
  std::shared_ptr<detail::Record> record_;
  int id_ = -1;
};

/// A Var that is trained: it has a gradient, filled by Tape::backward and used up by an optimiser. Like Tensor it is a
/// handle: a copied module shares its parameters; clone() of nn/module.hpp makes new ones.
template <class T> class Param : public Var<T> {
 public:
  Param() = default;
  Param(Tensor<T> value) : Var<T>(std::move(value)), gradient_(std::make_shared<Tensor<T>>()) {}

  Tensor<T>& tensor() { return this->value_; }
  /// Sum of the gradients since it was last cleared; empty if there was none.
  Tensor<T>& gradient() const {
    check(bool(gradient_), "Param: no value has been given to this parameter");
    return *gradient_;
  }
  std::shared_ptr<Tensor<T>> const& gradient_handle() const { return gradient_; }
  void bind(std::shared_ptr<detail::Record> record, int id) {
    this->record_ = std::move(record);
    this->id_ = id;
  }

 private:
  std::shared_ptr<Tensor<T>> gradient_;
};

}  // namespace rig::inline RIG_ABI
