#pragma once
#include <algorithm>

#include "rig/stylerig/rignet.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE std::string to_string(ControlMode m) {
  constexpr char const* names[] = {"full", "subset", "merged", "merged_delta", "delta"};
  return names[int(m)];
}
RIG_INLINE ControlMode control_mode_from_name(std::string_view name) {
  for (int i = 0; i <= int(ControlMode::delta); ++i)
    if (to_string(ControlMode(i)) == name) return ControlMode(i);
  throw Error(str("control input: expected full, subset, merged, merged_delta or delta, got '", name, "'"));
}

namespace detail {
RIG_INLINE std::vector<int> varying_entries(std::vector<unsigned char> const& wanted, std::vector<double> const& deviation) {
  std::vector<double> sorted = deviation;
  std::nth_element(sorted.begin(), sorted.begin() + std::ptrdiff_t(sorted.size() / 2), sorted.end());
  double const least = 1e-3 * sorted[sorted.size() / 2];
  std::vector<int> entries;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (wanted[i] && deviation[i] > 0 && deviation[i] >= least) entries.push_back(int(i));
  return entries;
}
}  // namespace detail

}  // namespace rig::inline RIG_ABI::stylerig
