// What can be done with any module, through its visit line: walk over parameters and buffers, count, clone, move, copy,
// hash. A module is a struct; no base class, no registration.
#pragma once
#include <cmath>
#include <map>

#include "rig/autodiff/tape.hpp"
#include "rig/io/half.hpp"
#include "rig/io/hash.hpp"

namespace rig::inline RIG_ABI::nn {

/// A buffer that decides what is computed, for example a level of detail. It stays in the host's memory wherever its module moves, so
/// that looking at it waits for no device.
template <class T> struct HostTensor : Tensor<T> {
  HostTensor() = default;
  HostTensor(Tensor<T> const& t) : Tensor<T>(t ? t.to(cpu()) : t) {}
};

namespace detail {
template <class L> struct is_param : std::false_type {};
template <class T> struct is_param<Param<T>> : std::true_type {};
template <class L> struct is_buffer : std::false_type {};
template <class T> struct is_buffer<Tensor<T>> : std::true_type {};
template <class T> struct is_buffer<HostTensor<T>> : std::true_type {};

template <class T> Tensor<T> const& tensor_of(Param<T>& p) { return p.tensor(); }
template <class T> Tensor<T> const& tensor_of(Tensor<T>& t) { return t; }
template <class T> void replace(Param<T>& p, Tensor<T> value) { p = Param<T>(std::move(value)); }
template <class T> void replace(Tensor<T>& t, Tensor<T> value) { t = std::move(value); }
template <class T> void replace(HostTensor<T>& t, Tensor<T> value) { t = HostTensor<T>(value); }

}  // namespace detail

/// f(dotted name, Param<T>&) for every parameter, in the order of the visit lines.
template <class M, class F> void parameters(M& module, F&& f) {
  visit_leaves(module, [&](std::string const& name, auto& leaf) {
    if constexpr (detail::is_param<std::remove_cvref_t<decltype(leaf)>>::value) f(name, leaf);
  });
}
/// f(dotted name, Tensor<T>&) for every tensor that is kept with the module but not trained.
template <class M, class F> void buffers(M& module, F&& f) {
  visit_leaves(module, [&](std::string const& name, auto& leaf) {
    if constexpr (detail::is_buffer<std::remove_cvref_t<decltype(leaf)>>::value) f(name, leaf);
  });
}
/// f(dotted name, Param<T>& or Tensor<T>&) for both.
template <class M, class F> void tensors(M& module, F&& f) {
  visit_leaves(module, [&](std::string const& name, auto& leaf) {
    using L = std::remove_cvref_t<decltype(leaf)>;
    if constexpr (detail::is_param<L>::value || detail::is_buffer<L>::value) f(name, leaf);
  });
}

/// Numbers that are trained.
template <class M> std::int64_t parameter_count(M& module) {
  std::int64_t n = 0;
  parameters(module, [&](std::string const&, auto& p) { n += p.size(); });
  return n;
}

/// A module of its own: nothing is shared with the original, gradients are not copied.
template <class M> M clone(M const& module) {
  M copy = module;
  tensors(copy, [](std::string const&, auto& leaf) {
    if (detail::tensor_of(leaf)) detail::replace(leaf, detail::tensor_of(leaf).clone());
  });
  return copy;
}

/// Moves the module; what is on the device already stays where it is. Gradients are dropped by a move.
template <class M> void move_to(M& module, Device const& device) {
  tensors(module, [&](std::string const&, auto& leaf) {
    if (detail::tensor_of(leaf) && !(detail::tensor_of(leaf).device() == device)) detail::replace(leaf, detail::tensor_of(leaf).to(device));
  });
}

/// Drops the gradients of all parameters.
template <class M> void clear_gradients(M& module) {
  parameters(module, [](std::string const&, auto& p) { p.gradient() = {}; });
}

/// Values of `from` into the parameters and buffers of `to`, in place. Throws, before anything is changed, if names or shapes differ.
template <class M, class N> void copy_values(M& to, N& from) {
  std::map<std::string, Shape> have;
  tensors(from, [&](std::string const& name, auto& leaf) {
    if (detail::tensor_of(leaf)) have[name] = leaf.shape();
  });
  std::size_t count = 0;
  tensors(to, [&](std::string const& name, auto& leaf) {
    if (!detail::tensor_of(leaf)) return;
    auto it = have.find(name);
    check(it != have.end(), "copy_values: the source has no tensor ", name, " ", leaf.shape());
    check(it->second == leaf.shape(), "copy_values: ", name, " is ", leaf.shape(), ", the source has ", it->second);
    ++count;
  });
  check(count == have.size(), "copy_values: the source has ", have.size(), " tensors, the target ", count);
  tensors(to, [&](std::string const& name, auto& target) {
    tensors(from, [&](std::string const& source_name, auto& source) {
      if constexpr (std::is_same_v<typename std::remove_cvref_t<decltype(target)>::scalar,
                                   typename std::remove_cvref_t<decltype(source)>::scalar>) {
        if (source_name != name || !detail::tensor_of(target)) return;
        Tensor<typename std::remove_cvref_t<decltype(target)>::scalar> t = detail::tensor_of(target);  // shares the block
        t.assign(detail::tensor_of(source));
      }
    });
  });
}

/// Every parameter and buffer to the nearest number of half precision, so that it is stored in two bytes. Error, naming it, if a
/// tensor holds what half precision cannot.
template <class M> void round_to_half(M& module) {
  tensors(module, [](std::string const& name, auto& leaf) {
    using T = typename std::remove_cvref_t<decltype(leaf)>::scalar;
    auto t = detail::tensor_of(leaf);  // shares the block
    if (!t) return;
    std::vector<T> values = t.host();
    for (T& v : values) {
      T const h = T(io::from_half(io::to_half(float(v))));
      check(std::isfinite(h), "round_to_half: ", name, " holds ", v, ", half precision ends at 65504");
      v = h;
    }
    t.assign(Tensor<T>(t.shape(), values));
  });
}

/// Names a module by its content: FNV-1a over the names, shapes and bytes of its tensors, as 16 hexadecimal digits.
template <class M> std::string content_hash(M& module) {
  io::Hash h;
  tensors(module, [&](std::string const& name, auto& leaf) {
    auto const& t = detail::tensor_of(leaf);
    if (t) h.add(name).add(str(t.shape())).add(t);
  });
  return h.text();
}

}  // namespace rig::inline RIG_ABI::nn
