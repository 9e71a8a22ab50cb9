#pragma once
#include <set>

#include "rig/train/checkpoint.hpp"

namespace rig::inline RIG_ABI::io {

RIG_INLINE Metadata load_metadata(std::string const& path) { return read_safetensors(path).metadata; }

RIG_INLINE std::string const& metadata_value(Metadata const& metadata, std::string_view key, std::string_view path) {
  for (auto const& [k, v] : metadata)
    if (k == key) return v;
  throw Error(str(path, ": the metadata has no entry '", key, "'"));
}

namespace detail {

RIG_INLINE Metadata fill_targets(std::string const& path, std::vector<std::string> const& items, std::vector<Target> const& targets) {
  Safetensors const file = read_safetensors(path);
  std::map<std::string_view, AnyTensor const*> found;
  for (auto const& t : file.tensors) found[t.name] = &t.tensor;

  std::vector<std::string> wrong;
  std::set<std::string_view> known;
  for (auto const& t : targets) {
    known.insert(t.name);
    auto it = found.find(t.name);
    if (it == found.end()) {
      if (t.present) wrong.push_back(str(t.name, " is missing (expected ", t.dtype, " ", t.shape, ")"));
    } else if (it->second->dtype() != t.dtype || (t.present && it->second->shape() != t.shape)) {
      wrong.push_back(
          t.present ? str(t.name, " should be ", t.dtype, " ", t.shape, ", the file has ", it->second->dtype(), " ", it->second->shape())
                    : str(t.name, " should be ", t.dtype, ", the file has ", it->second->dtype()));
    }
  }
  for (auto const& t : file.tensors) {
    bool ours = false;
    for (auto const& i : items)
      ours = ours || i.empty() || (t.name.size() > i.size() && t.name.compare(0, i.size(), i) == 0 && t.name[i.size()] == '.');
    if (ours && !known.count(t.name)) wrong.push_back(str(t.name, " ", t.tensor.shape(), " is in the file but not expected"));
  }
  if (!wrong.empty()) {
    std::string list;
    for (std::size_t i = 0; i < wrong.size() && i < 5; ++i) list += (i ? "; " : "") + wrong[i];
    if (wrong.size() > 5) list += str("; and ", wrong.size() - 5, " more");
    throw Error(str(path, ": ", list));
  }
  for (auto const& t : targets)
    if (auto it = found.find(t.name); it != found.end()) t.fill(*it->second);
  return file.metadata;
}

}  // namespace detail
}  // namespace rig::inline RIG_ABI::io
