// Checkpoints: modules, optimisers and anything else with a visit line, in one safetensors file, written atomically.
//   io::save(path, {{"step", "100"}}, io::item("F", F), io::item("opt", opt));
//   io::Metadata m = io::load(path, io::item("F", F), io::item("opt", opt));
// Every tensor is stored under its dotted name with its exact bits; whole and real numbers are stored as tensors of rank 0.
#pragma once
#include <functional>

#include "rig/io/safetensors.hpp"
#include "rig/nn/module.hpp"

namespace rig::inline RIG_ABI::io {

/// Something with a visit line (or a list of such) and the name it goes by in the file.
template <class M> struct Item {
  std::string name;
  M& module;
};
template <class M> Item<M> item(std::string name, M& module) { return {std::move(name), module}; }

namespace detail {

/// A place in memory that a tensor of the file is to fill. An absent tensor is taken as the file has it, or stays absent.
struct Target {
  std::string name;
  DType dtype;
  bool present;
  Shape shape;
  std::function<void(AnyTensor const&)> fill;
};
/// Fills all targets, or throws before any is filled, naming what is missing, extra or of another type or shape.
Metadata fill_targets(std::string const& path, std::vector<std::string> const& items, std::vector<Target> const& targets);

template <class L> void add_leaf(std::vector<NamedTensor>& list, std::string const& name, L& leaf) {
  if constexpr (nn::detail::is_param<L>::value || nn::detail::is_buffer<L>::value) {
    if (auto const& t = nn::detail::tensor_of(leaf)) list.push_back({name, AnyTensor(t)});
  } else if constexpr (std::is_integral_v<L> || std::is_enum_v<L>) {
    list.push_back({name, AnyTensor(Tensor<std::int64_t>({}, {std::int64_t(leaf)}))});
  } else if constexpr (std::is_floating_point_v<L>) {
    list.push_back({name, AnyTensor(Tensor<double>({}, {double(leaf)}))});
  }
}
template <class L> void add_target(std::vector<Target>& list, std::string const& name, L& leaf) {
  if constexpr (nn::detail::is_param<L>::value || nn::detail::is_buffer<L>::value) {
    using T = typename L::scalar;
    Tensor<T> t = nn::detail::tensor_of(leaf);
    list.push_back({name, dtype_of<T>::value, bool(t), t ? t.shape() : Shape{}, [&leaf, t](AnyTensor const& x) mutable {
                      if (t)
                        t.assign(x.as<T>());  // in place: whoever shares the block sees it
                      else
                        nn::detail::replace(leaf, x.as<T>());
                    }});
  } else if constexpr (std::is_integral_v<L> || std::is_enum_v<L>) {
    list.push_back({name, DType::i64, true, {}, [&leaf](AnyTensor const& x) { leaf = L(x.item<std::int64_t>()); }});
  } else if constexpr (std::is_floating_point_v<L>) {
    list.push_back({name, DType::f64, true, {}, [&leaf](AnyTensor const& x) { leaf = L(x.item<double>()); }});
  }
}

// Functions of their own: nvcc does not take a generic lambda inside a pack that is folded.
template <class M> void add_leaves(std::vector<NamedTensor>& list, Item<M> const& item) {
  visit_leaves(item.name, item.module, [&](std::string const& name, auto& leaf) { add_leaf(list, name, leaf); });
}
template <class M> void add_targets(std::vector<Target>& targets, Item<M> const& item) {
  visit_leaves(item.name, item.module, [&](std::string const& name, auto& leaf) { add_target(targets, name, leaf); });
}

}  // namespace detail

/// Writes everything under its final name only when it is complete. Two tensors of one name are an error.
template <class... M> void save(std::string const& path, Metadata const& metadata, Item<M> const&... items) {
  std::vector<NamedTensor> list;
  (detail::add_leaves(list, items), ...);
  save_safetensors(path, list, metadata);
}

/// Fills the items from a file and returns its metadata. Types, shapes and names must agree exactly, and nothing is changed
/// if they do not. What the file holds beside these items (other top-level names) is left alone.
template <class... M> Metadata load(std::string const& path, Item<M> const&... items) {
  std::vector<detail::Target> targets;
  std::vector<std::string> names;
  ((names.push_back(items.name), detail::add_targets(targets, items)), ...);
  return detail::fill_targets(path, names, targets);
}

/// Only the metadata of a file.
Metadata load_metadata(std::string const& path);
/// The value of an entry; an Error naming the file and the entry if there is none.
std::string const& metadata_value(Metadata const& metadata, std::string_view key, std::string_view path = "checkpoint");

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/train/checkpoint.ipp"
#endif
