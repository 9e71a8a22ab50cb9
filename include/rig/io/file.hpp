// Any checkpoint file by its first bytes, never by its extension: npz, npy, safetensors, PyTorch of either kind, pickles,
// HDF5 where the build has its library.
#pragma once
#include <string>
#include <vector>

#include "rig/io/hdf5.hpp"
#include "rig/io/npz.hpp"
#include "rig/io/pickle.hpp"
#include "rig/io/safetensors.hpp"
#include "rig/io/torch.hpp"

namespace rig::inline RIG_ABI::io {

enum class Kind { unknown, pickle, torch_legacy, torch_zip, npz, npy, safetensors, zip, png, jpeg, hdf5 };
char const* name_of(Kind kind);

/// What the bytes look like; zip archives by the names in their directory.
Kind identify(Bytes const& file);

/// A decoded checkpoint. Pickles and PyTorch files have a value tree; all have tensors.
class Document {
 public:
  Kind kind = Kind::unknown;
  Value root;                     ///< of pickles and PyTorch's files
  Metadata metadata;              ///< of safetensors; the attributes of HDF5
  std::vector<NamedTensor> flat;  ///< of npz, npy (one, named "array"), safetensors and HDF5
  std::string path;               ///< of the file, for messages

  /// Every tensor in order; names are paths of dict keys and list indices joined by dots. Error if two are the same.
  std::vector<NamedTensor> tensors() const;
};

/// Reads a checkpoint of any kind. Error, naming file, place and reason, for everything else; no partial results.
Document read_any(std::string const& path, Limits const& limits = {});
Document read_any(Bytes const& file, Limits const& limits = {});

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/file.ipp"
#endif
