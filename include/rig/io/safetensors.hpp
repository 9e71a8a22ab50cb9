// safetensors: a JSON header with names, types, shapes and byte ranges, then the values. Tensors point into the file.
// The ranges must cover the data exactly: no holes, overlaps or trailing bytes.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "rig/io/any_tensor.hpp"

namespace rig::inline RIG_ABI::io {

using Metadata = std::vector<std::pair<std::string, std::string>>;

/// The value of an entry, or "" if there is none.
inline std::string find_metadata(Metadata const& metadata, std::string_view key) {
  for (auto const& [k, v] : metadata)
    if (k == key) return v;
  return {};
}

struct Safetensors {
  std::vector<NamedTensor> tensors;  ///< in the order of the header
  Metadata metadata;                 ///< "__metadata__"

  /// Error, naming it, if there is no such tensor.
  AnyTensor const& at(std::string_view name) const;
  AnyTensor const* find(std::string_view name) const;
};

Safetensors read_safetensors(Bytes const& file);
Safetensors read_safetensors(std::string const& path);
/// Writes atomically, in the order given; the header is padded so that values begin at a multiple of 8.
void save_safetensors(std::string const& path, std::vector<NamedTensor> const& tensors, Metadata const& metadata = {});

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/safetensors.ipp"
#endif
