// What every fuzz target shares: hostile bytes go in, and only rig::Error or a result may come out.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rig/io/bytes.hpp"

/// A copy with exactly the given size, so that a sanitizer sees a read beyond its end.
inline rig::io::Bytes fuzz_bytes(std::uint8_t const* data, std::size_t size) {
  auto p = reinterpret_cast<std::byte const*>(data);
  return rig::io::Bytes(std::vector<std::byte>(p, p + size));
}

/// Small enough that the target never comes near the fuzzer's own limit.
inline rig::io::Limits fuzz_limits() {
  rig::io::Limits limits;
  limits.memory = 64 << 20;
  return limits;
}

/// Runs f; any exception but rig::Error is a finding.
template <class F> int fuzz_once(F const& f) {
  try {
    f();
  } catch (rig::Error const&) {}
  return 0;
}
