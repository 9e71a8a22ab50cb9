// MATLAB's .mat files of version 5 (saved with -v6 or -v7, as most face models are): numeric arrays only. Values come out
// row-major with the element type they are stored in, which MATLAB chooses to be the smallest that holds them.
// Compressed variables need zlib (RIG_HAS_ZLIB=1). Files of version 7.3 are HDF5 and are refused by name.
#pragma once
#include <string>
#include <vector>

#include "rig/io/any_tensor.hpp"

namespace rig::inline RIG_ABI::io {

/// All numeric arrays of a .mat in the order of the file, at least two extents each ([1, n] for a row). Cells, structures, text,
/// sparse and complex arrays are left out.
std::vector<NamedTensor> read_mat(Bytes const& file, Limits const& limits = {});
std::vector<NamedTensor> read_mat(std::string const& path, Limits const& limits = {});

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/mat.ipp"
#endif
