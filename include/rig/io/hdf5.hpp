// HDF5 files (h5py, Keras, Chainer) through the HDF5 library, where the build has it (RIG_HAS_HDF5=1). Only what lies in
// the file itself is read: no links to other files, no external or virtual data, no filters that would load a plug-in.
// What the library would follow is followed first (hdf5_check.ipp): lengths, trees, names, descriptions. The forms of new
// versions for many links, attributes or pieces of one object, and types made of several, are refused. Datasets in pieces are put
// together here: deflate and shuffle undone, checksums passed over.
#pragma once
#include <vector>

#include "rig/io/any_tensor.hpp"
#include "rig/io/safetensors.hpp"

#if !defined(RIG_HAS_HDF5)
#define RIG_HAS_HDF5 0
#endif

namespace rig::inline RIG_ABI::io {

struct Hdf5 {
  std::vector<NamedTensor> tensors;  ///< every numeric dataset, names of groups and datasets joined by dots
  Metadata attributes;               ///< every number and text, as text, under its object's name, a dot and its own
};

/// Error if it is damaged, needs what is left out here, or the build has no HDF5 library. Not from two threads at once.
Hdf5 read_hdf5(Bytes const& file, Limits const& limits = {});

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/hdf5.ipp"
#endif
