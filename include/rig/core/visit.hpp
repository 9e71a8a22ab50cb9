// A module is a plain struct with one line
//   void visit(auto&& f) { f("weight", weight); f("layers", layers); }
// that names its members. Everything that walks over a model goes through it: watching, optimising, saving, cloning,
// moving, counting. Leaves are Param<T> (trained), Tensor<T> (kept with the model, not trained) and whatever a reader
// of visit() wants to handle; vectors and optionals of modules are walked as name.0, name.1.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "rig/core/config.hpp"

namespace rig::inline RIG_ABI {

namespace detail {
struct IgnoreMember {
  template <class M> void operator()(char const*, M&) const {}
};
}  // namespace detail

template <class M>
concept Module = requires(M& m) {
  m.visit(detail::IgnoreMember{});
};

namespace detail {
template <class M, class F> void visit_member(std::string const& name, std::vector<M>& list, F& f);
template <class M, class F> void visit_member(std::string const& name, std::optional<M>& m, F& f);

template <class M, class F> void visit_member(std::string const& name, M& m, F& f) {
  if constexpr (Module<M>) {
    m.visit([&](char const* n, auto& member) { visit_member(name.empty() ? std::string(n) : name + "." + n, member, f); });
  } else {
    f(name, m);
  }
}
template <class M, class F> void visit_member(std::string const& name, std::vector<M>& list, F& f) {
  for (std::size_t i = 0; i < list.size(); ++i) visit_member(name + "." + std::to_string(i), list[i], f);
}
template <class M, class F> void visit_member(std::string const& name, std::optional<M>& m, F& f) {
  if (m) visit_member(name, *m, f);
}
}  // namespace detail

/// Calls f(dotted name, leaf) for every leaf of the module, in the order of its visit line.
template <class M, class F> void visit_leaves(std::string const& name, M& m, F&& f) { detail::visit_member(name, m, f); }
template <class M, class F> void visit_leaves(M& m, F&& f) { detail::visit_member(std::string(), m, f); }

}  // namespace rig::inline RIG_ABI
