#pragma once
#include <algorithm>
#include <optional>

#include "rig/io/mat.hpp"
#include "rig/io/npz.hpp"
#if RIG_HAS_ZLIB
#include <zlib.h>
#endif

namespace rig::inline RIG_ABI::io {

namespace detail::mat {

enum Type : std::uint32_t { int8 = 1, int32 = 5, uint32 = 6, matrix = 14, compressed = 15 };

/// One element: eight bytes of tag and its data, or both in eight bytes when the data has at most four.
struct Element {
  std::uint32_t type = 0;
  std::uint64_t offset = 0, size = 0;  // of the data in the range it was read from
};
inline Element next_element(Cursor& in) {
  auto const word = in.little<std::uint32_t>();
  if (word >> 16) {
    Element const e{word & 0xffffu, in.position(), word >> 16};
    in.require(e.size <= 4, "a short element of ", e.size, " bytes");
    in.take(4);
    return e;
  }
  std::uint64_t const size = in.little<std::uint32_t>();
  Element const e{word, in.position(), size};
  in.take(size);
  if (word != compressed) in.take(std::min<std::uint64_t>((8 - size % 8) % 8, in.remaining()));
  return e;
}

inline std::optional<DType> dtype_of(std::uint32_t type) {
  switch (type) {
    case 1: return DType::i8;
    case 2: return DType::u8;
    case 3: return DType::i16;
    case 4: return DType::u16;
    case 5: return DType::i32;
    case 6: return DType::u32;
    case 7: return DType::f32;
    case 9: return DType::f64;
    case 12: return DType::i64;
    case 13: return DType::u64;
    default: return {};
  }
}

/// The content of a compressed element. Its first bytes announce how much it inflates to; that much is charged and no more read.
inline Bytes inflate_element(Bytes const& raw, Budget& budget) {
#if RIG_HAS_ZLIB
  ::z_stream z{};
  check(::inflateInit(&z) == Z_OK, "mat: zlib cannot start");
  z.next_in = const_cast<Bytef*>(reinterpret_cast<Bytef const*>(raw.data));
  z.avail_in = ::uInt(std::min<std::uint64_t>(raw.size, 0xffffffffu));
  std::uint32_t tag[2] = {};
  auto pull = [&](std::byte* to, std::uint64_t bytes) {
    z.next_out = reinterpret_cast<Bytef*>(to), z.avail_out = ::uInt(bytes);
    int const status = ::inflate(&z, Z_SYNC_FLUSH);
    return (status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR) && z.avail_out == 0;
  };
  bool ok = pull(reinterpret_cast<std::byte*>(tag), 8);
  std::vector<std::byte> out;
  if (ok) {
    std::uint64_t const size = 8 + std::uint64_t(tag[1]);
    // Deflate cannot shrink more than about a thousandfold: a larger promise is a lie, and is not allocated for.
    ok = tag[0] == matrix && tag[1] < 0xfffffff0u && tag[1] / 1100 <= raw.size;
    if (ok) {
      try {
        budget.charge(size);
        out.resize(std::size_t(size));
      } catch (...) {
        ::inflateEnd(&z);
        throw;
      }
      std::memcpy(out.data(), tag, 8);
      ok = tag[1] == 0 || pull(out.data() + 8, tag[1]);
    }
  }
  ::inflateEnd(&z);
  check(ok, "mat: a compressed variable is damaged or truncated");
  return Bytes(std::move(out));
#else
  (void)raw, (void)budget;
  throw Error("mat: the file is compressed, and this build of rig has no zlib (in MATLAB, save with -v6)");
#endif
}

/// A matrix element's name and values; nothing for what is not a real numeric array.
inline std::optional<NamedTensor> read_matrix(Bytes const& data, Budget& budget) {
  Cursor in(data.span(), "mat: variable");
  Element const flags = next_element(in);
  in.require(flags.type == uint32 && flags.size == 8, "expected its flags");
  std::uint32_t word;
  std::memcpy(&word, data.data + flags.offset, 4);
  std::uint32_t const kind = word & 0xffu;
  Element const extents = next_element(in);
  in.require(extents.type == int32 && extents.size % 4 == 0 && extents.size >= 8 && extents.size / 4 <= Shape::max_rank, "expected 2 to ",
             Shape::max_rank, " extents, got ", extents.size / 4);
  Shape shape;
  std::uint64_t count = 1;
  for (std::uint64_t i = 0; i < extents.size; i += 4) {
    std::int32_t n;
    std::memcpy(&n, data.data + extents.offset + i, 4);
    in.require(n >= 0, "extent ", n, " is negative");
    count *= std::uint64_t(n);
    in.require(count < (std::uint64_t(1) << 40), "its extents promise too many elements");
    shape.append(n);
  }
  Element const label = next_element(in);
  in.require(label.type == int8, "expected its name");
  std::string const name(data.sub(label.offset, label.size).text());
  if (kind < 6 || kind > 15 || (word & 0x800u)) return {};  // 1..5: cell, structure, object, text, sparse; 0x800: complex
  Element const values = next_element(in);
  auto const dtype = dtype_of(values.type);
  in.require(dtype.has_value(), excerpt(name), " holds elements of type ", values.type, ", which are not numbers");
  in.require(values.size == count * size_of(*dtype), excerpt(name), " of shape ", shape, " needs ", count * size_of(*dtype), " bytes, got ",
             values.size);
  return NamedTensor{name, from_numpy({*dtype, false}, shape, true, data.sub(values.offset, values.size), budget)};
}

}  // namespace detail::mat

RIG_INLINE std::vector<NamedTensor> read_mat(Bytes const& file, Limits const& limits) {
  namespace mat = detail::mat;
  Cursor in(file.span(), "mat");
  check(!file.text().starts_with("\x89HDF") && !file.text().starts_with("MATLAB 7.3"),
        "mat: this is a MATLAB 7.3 file (HDF5); in MATLAB, save it with -v7");
  in.require(file.size >= 128, "too short for a .mat file (", file.size, " bytes)");
  in.seek(124);
  auto const version = in.little<std::uint16_t>();
  auto const order = in.text(2);
  check(order != "MI", "mat: big-endian files are not read");
  check(order == "IM" && version == 0x100, "mat: this is no .mat file of version 5");
  Budget budget(limits, file.size);
  std::vector<NamedTensor> all;
  while (in.remaining() >= 8) {
    auto const e = mat::next_element(in);
    Bytes data = file.sub(e.offset, e.size);
    if (e.type == mat::compressed) {
      Bytes const inflated = mat::inflate_element(data, budget);
      data = inflated.sub(8, inflated.size - 8);
    } else if (e.type != mat::matrix) {
      continue;
    }
    if (auto found = mat::read_matrix(data, budget)) all.push_back(std::move(*found));
  }
  in.require(in.remaining() == 0, in.remaining(), " bytes are left over: the file is truncated");
  return all;
}
RIG_INLINE std::vector<NamedTensor> read_mat(std::string const& path, Limits const& limits) {
  return detail::read_mapped(path, [&](Bytes const& file) { return read_mat(file, limits); });
}

}  // namespace rig::inline RIG_ABI::io
