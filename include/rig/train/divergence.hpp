// A training that has diverged ends with an Error that says what is no number any more; what it saved before stays.
#pragma once
#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <utility>

#include "rig/nn/module.hpp"
#include "rig/train/log.hpp"

namespace rig::inline RIG_ABI::train {

/// Reads a loss and its terms, which waits for the device, and writes them into the log (if not null). Error naming the first term that
/// is not finite, or else the loss. Terms that are empty are left out.
template <class T>
void note_loss(char const* who, Log* log, std::int64_t step, Var<T> const& loss,
               std::initializer_list<std::pair<char const*, Var<T> const*>> terms) {
  auto finite = [&](char const* name, double v) {
    check(std::isfinite(v), who, ": the training has diverged: the ", name, " is ", v, " in step ", step,
          "; a lower learning rate may help; what was saved before is kept");
  };
  for (auto const& [name, value] : terms)
    if (*value) finite(name, double(value->item()));
  finite("loss", double(loss.item()));
  if (!log) return;
  log->add("loss", step, double(loss.item()));
  for (auto const& [name, value] : terms)
    if (*value) log->add(name, step, double(value->item()));
}

/// Error unless all parameters and buffers of a module are finite after so many steps.
template <class M> void check_weights(char const* who, M& module, std::int64_t steps) {
  nn::tensors(module, [&](std::string const& name, auto& leaf) {
    if (!nn::detail::tensor_of(leaf)) return;
    auto const t = nn::detail::tensor_of(leaf).to(cpu());
    check(std::all_of(t.data(), t.data() + t.size(), [](auto v) { return std::isfinite(v); }), who, ": the training has diverged: ", name,
          " is not finite after ", steps, " steps; what was saved before is kept");
  });
}

}  // namespace rig::inline RIG_ABI::train
