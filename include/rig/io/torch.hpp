// PyTorch's containers: the zip archive (1.6 and later) and the legacy stream before it, which official StyleGAN
// pickles also hold, one for each tensor. Both are pickles whose persistent ids name raw storages.
#pragma once
#include "rig/io/pickle.hpp"
#include "rig/io/zip.hpp"

namespace rig::inline RIG_ABI::io {

/// A .pt or .pth archive: the value tree of its data.pkl.
Value read_torch_zip(Bytes const& file, Limits const& limits = {});
/// Five pickles and the data of the storages, back to back.
Value read_torch_legacy(Bytes const& file, Limits const& limits = {});

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/torch.ipp"
#endif
