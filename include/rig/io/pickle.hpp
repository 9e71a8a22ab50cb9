// Python pickles as inert data. A pickle is a program for a stack machine; this reader runs it into a tree of plain
// values and never looks up, imports or calls anything: every global is checked against a short list where it is named.
// Values are shared as in the file (a list may contain itself); all memory belongs to one arena, so nothing recurses.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rig/io/any_tensor.hpp"

namespace rig::inline RIG_ABI::io {

enum class ValueKind : std::uint8_t {
  absent,  // what find() gives when there is nothing
  none,
  boolean,
  integer,
  real,
  string,
  bytes,
  list,
  tuple,
  dict,
  set,
  global,   // a name of the list, not called
  dtype,    // NumPy element type
  storage,  // PyTorch storage
  tensor,   // NumPy array or scalar, PyTorch tensor or parameter
  object,   // class name + state
};
char const* name_of(ValueKind kind);

namespace detail {
struct Node;
}

/// A handle to one value of a decoded file. Copies are cheap and keep the whole file's tree alive.
class Value {
 public:
  Value() = default;  ///< absent
  explicit Value(std::shared_ptr<detail::Node const> node) : node_(std::move(node)) {}

  ValueKind kind() const;
  explicit operator bool() const { return bool(node_); }  ///< present (None is present)
  bool is(ValueKind k) const { return kind() == k; }
  bool is_none() const { return is(ValueKind::none); }

  // Each is an Error, naming what was found, when the value is of another kind.
  bool boolean() const;          ///< bool, or a number or one-element tensor that is 0 or 1
  std::int64_t integer() const;  ///< integer, bool, a whole real, or a one-element tensor of these
  double real() const;           ///< any number or one-element tensor
  std::string_view string() const;
  std::span<std::byte const> bytes() const;
  AnyTensor const& tensor() const;

  /// Items of a list, tuple or set; entries of a dict, or of an object's state.
  std::size_t size() const;
  /// Item of a list or tuple.
  Value operator[](std::size_t i) const;
  /// Key and value of entry i of a dict, or of an object's state, in order of insertion.
  std::pair<Value, Value> entry(std::size_t i) const;
  /// Value of a string key of a dict, or of an object's state; absent if there is none.
  Value find(std::string_view key) const;
  /// The same; Error naming the key if there is none.
  Value at(std::string_view key) const;

  /// For objects: "Generator" of a persistent class, "Network" (TensorFlow era), "Namespace".
  std::string_view class_name() const;
  /// For objects: the dict of attributes.
  Value state() const;

  detail::Node const* node() const { return node_.get(); }                               // identity, and for rig's own traversals
  friend bool operator==(Value const& a, Value const& b) { return a.node_ == b.node_; }  ///< the same value, not an equal one

 private:
  detail::Node const& expect(ValueKind k) const;
  Value wrap(detail::Node const* n) const;
  detail::Node const* entries() const;

  std::shared_ptr<detail::Node const> node_;
};

/// A module of an official PyTorch-era pickle (specification: persistent objects): its parameters and buffers, with the
/// path through `_modules` joined by dots. None entries are left out.
std::vector<NamedTensor> module_tensors(Value const& module);

/// Every tensor below a value in order, named by the path of dict keys (as Python's str() writes them) and list indices
/// joined by dots. The keys `_parameters`, `_buffers` and `_modules` of an object leave no trace in the path. Error, giving
/// both paths in full, if two tensors would have the same name.
std::vector<NamedTensor> all_tensors(Value const& root);

/// A plain pickle (official .pkl of either era), including the PyTorch streams nested in it.
Value read_pickle(Bytes const& file, Limits const& limits = {});

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/pickle.ipp"
#endif
