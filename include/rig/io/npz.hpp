// NumPy's .npy (1.0, 2.0, 3.0) and .npz. The header of an .npy is a Python literal: exactly its one grammar is parsed,
// nothing is evaluated. Column-major and big-endian arrays become dense row-major little-endian ones.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "rig/io/any_tensor.hpp"
#include "rig/io/zip.hpp"

namespace rig::inline RIG_ABI::io {

/// One .npy from memory; `name` goes into error messages.
AnyTensor read_npy(Bytes const& file, Budget& budget, std::string const& name = "npy");
/// All arrays of an .npz in the order of its directory, names without ".npy".
std::vector<NamedTensor> read_npz(Bytes const& file, Limits const& limits = {});
std::vector<NamedTensor> read_npz(std::string const& path, Limits const& limits = {});
/// Element types as they are, or as widened() gives them.
enum class NpzTypes { stored, wide };
/// Writes an uncompressed .npz, atomically. numpy.load reads it. BF16 has no NumPy type and is refused.
void save_npz(std::string const& path, std::vector<NamedTensor> const& tensors);
void save_npz(std::string const& path, std::vector<NamedTensor> const& tensors, NpzTypes types);
/// Half and bfloat16 as float, int8 and int16 as int64, everything else as it is: what any program can read without loss.
AnyTensor widened(AnyTensor const& t);

namespace detail {
/// An element type as NumPy writes it: "<f4", "|b1", "f8". Swap: the values are big-endian.
struct NumpyType {
  DType dtype;
  bool swap;
};
/// False if the code names no type that rig reads.
bool parse_numpy_type(std::string_view code, NumpyType& type);
/// Row-major little-endian values from raw ones: borrowed where they are that already, else a copy charged to the budget.
AnyTensor from_numpy(NumpyType type, Shape const& shape, bool column_major, Bytes const& raw, Budget& budget);
/// A copy with the bytes of every element reversed.
Bytes swapped(Bytes const& from, std::uint64_t element, Budget& budget);
/// Dense values gathered from a strided view; strides and offset in elements, already checked. With swap, as swapped() does.
Bytes gather(Bytes const& from, std::uint64_t element, Shape const& shape, std::vector<std::int64_t> const& stride, std::int64_t offset,
             bool swap, Budget& budget);
}  // namespace detail

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/npz.ipp"
#endif
