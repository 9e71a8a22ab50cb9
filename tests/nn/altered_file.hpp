// A stored network with something altered, and what its loader says of it.
#pragma once
#include <doctest/doctest.h>

#include <cstdio>

#include "helpers.hpp"
#include "rig/io/safetensors.hpp"

/// The message of load(path) for the file `whole` after change(its content), or "".
template <class Change, class Load> std::string message_of_altered(rig::io::Safetensors whole, Change&& change, Load&& load) {
  change(whole);
  std::string const path = temporary("rig_altered_network.safetensors");
  rig::io::save_safetensors(path, whole.tensors, whole.metadata);
  std::string const message = message_of([&] { load(path); });
  std::remove(path.c_str());
  return message;
}

/// A tensor that the file must have.
inline auto tensor_of(rig::io::Safetensors& s, std::string const& name) {
  for (std::size_t i = 0; i < s.tensors.size(); ++i)
    if (s.tensors[i].name == name) return s.tensors.begin() + std::ptrdiff_t(i);
  FAIL("no tensor ", name);
  return s.tensors.end();
}
