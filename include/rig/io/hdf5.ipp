#pragma once
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "rig/io/hdf5.hpp"
#include "rig/io/hdf5_check.ipp"
#if RIG_HAS_HDF5
#if RIG_HAS_ZLIB
#include <zlib.h>
#endif
//
#include <hdf5.h>
#endif

namespace rig::inline RIG_ABI::io {

#if RIG_HAS_HDF5
namespace detail {

// One of the library's objects, closed at the end of its scope.
class H5 {
 public:
  H5(hid_t id, herr_t (*close)(hid_t), char const* what, std::string const& name = {}) : id_(id), close_(close) {
    check(id >= 0, "hdf5: ", what, name.empty() ? "" : " of ", excerpt(name, 80), " cannot be read");
  }
  ~H5() { close_(id_); }
  H5(H5 const&) = delete;
  H5& operator=(H5 const&) = delete;
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

// The library prints its errors unless told not to.
struct H5Quiet {
  H5E_auto2_t function = nullptr;
  void* data = nullptr;
  H5Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &function, &data);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~H5Quiet() { H5Eset_auto2(H5E_DEFAULT, function, data); }
};

class H5Walk {
 public:
  H5Walk(Hdf5& out, Bytes const& file, Budget& budget) : out_(out), file_(file), budget_(budget), outline_(file) {}

  void group(hid_t id, std::string const& path, int depth) {
    check(depth <= 32, "hdf5: groups are nested more than 32 deep");
    attributes(id, path);
    H5G_info_t info{};
    check(H5Gget_info(id, &info) >= 0, "hdf5: group ", excerpt(path, 80), " cannot be read");
    for (hsize_t i = 0; i < info.nlinks; ++i) {
      check(++objects_ <= 100'000, "hdf5: the file lists too many objects");
      H5L_info_t link{};
      check(H5Lget_info_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, i, &link, H5P_DEFAULT) >= 0, "hdf5: a link of group ",
            excerpt(path, 80), " cannot be read");
      char name[512];
      ssize_t const length = H5Lget_name_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, i, name, sizeof name, H5P_DEFAULT);
      check(length > 0 && std::size_t(length) < sizeof name && is_utf8({name, std::size_t(length)}), "hdf5: a name in group ",
            excerpt(path, 80), " is not text of a plausible length");
      std::string const full = path.empty() ? std::string(name) : path + "." + name;
      check(link.type != H5L_TYPE_EXTERNAL, "hdf5: ", excerpt(full, 80), " lies in another file, which is not opened");
      if (link.type != H5L_TYPE_HARD) continue;  // another name of something that has one
      outline_.object(link.u.address);
      // By the address that was checked: a group whose names are out of order has the library find another object by this name.
      H5 const object(H5Oopen_by_addr(id, link.u.address), H5Oclose, "the object", full);
      H5I_type_t const type = H5Iget_type(object);
      if (type == H5I_GROUP) group(object, full, depth + 1);
      if (type == H5I_DATASET) dataset(object, link.u.address, full);
    }
  }

 private:
  struct Memory {
    DType dtype;
    hid_t type;
  };
  // How a stored type lies in memory; false for what is not a number.
  static bool memory_type(hid_t stored, Memory& m) {
    std::size_t const size = H5Tget_size(stored);
    switch (H5Tget_class(stored)) {
      case H5T_FLOAT: m = size > 4 ? Memory{DType::f64, H5T_NATIVE_DOUBLE} : Memory{DType::f32, H5T_NATIVE_FLOAT}; return size <= 8;
      case H5T_INTEGER: {
        bool const with_sign = H5Tget_sign(stored) != H5T_SGN_NONE;
        if (size == 1) m = with_sign ? Memory{DType::i8, H5T_NATIVE_INT8} : Memory{DType::u8, H5T_NATIVE_UINT8};
        if (size == 2) m = with_sign ? Memory{DType::i16, H5T_NATIVE_INT16} : Memory{DType::u16, H5T_NATIVE_UINT16};
        if (size == 4) m = with_sign ? Memory{DType::i32, H5T_NATIVE_INT32} : Memory{DType::u32, H5T_NATIVE_UINT32};
        if (size == 8) m = with_sign ? Memory{DType::i64, H5T_NATIVE_INT64} : Memory{DType::u64, H5T_NATIVE_UINT64};
        return size == 1 || size == 2 || size == 4 || size == 8;
      }
      default: return false;
    }
  }

  void dataset(hid_t id, std::uint64_t address, std::string const& path) {
    attributes(id, path);
    H5 const type(H5Dget_type(id), H5Tclose, "the type", path), space(H5Dget_space(id), H5Sclose, "the shape", path),
        made(H5Dget_create_plist(id), H5Pclose, "the description", path);
    Memory memory{};
    if (!memory_type(type, memory)) return;
    if (H5Sget_simple_extent_type(space) == H5S_NULL) return;
    int const rank = H5Sget_simple_extent_ndims(space);
    check(rank >= 0 && rank <= Shape::max_rank, "hdf5: dataset ", excerpt(path, 80), " has ", rank, " axes, at most ", Shape::max_rank,
          " are read");
    hsize_t extents[Shape::max_rank] = {};
    H5Sget_simple_extent_dims(space, extents, nullptr);
    Shape shape;
    for (int a = 0; a < rank; ++a) {
      check(extents[a] < (std::uint64_t(1) << 40), "hdf5: dataset ", excerpt(path, 80), " is too large");
      shape.append(std::int64_t(extents[a]));
    }
    H5D_layout_t const layout = H5Pget_layout(made);
    check((layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED) && H5Pget_external_count(made) == 0,
          "hdf5: the values of dataset ", excerpt(path, 80), " lie in another file, which is not opened");
    std::vector<H5Z_filter_t> filters;
    for (int i = 0; i < H5Pget_nfilters(made); ++i) {
      unsigned flags = 0, config = 0;
      std::size_t count = 0;
      filters.push_back(H5Pget_filter2(made, unsigned(i), &flags, &count, nullptr, 0, nullptr, &config));
      H5Z_filter_t const f = filters.back();
      check(f == H5Z_FILTER_DEFLATE || f == H5Z_FILTER_SHUFFLE || f == H5Z_FILTER_FLETCHER32, "hdf5: dataset ", excerpt(path, 80),
            " is compressed by filter ", int(f), "; only deflate, shuffle and checksums are read");
    }
    std::uint64_t const bytes = std::uint64_t(shape.size()) * size_of(memory.dtype), element = H5Tget_size(type);
    budget_.charge(bytes);
    std::vector<std::byte> values;
    if (layout == H5D_CHUNKED) {
      hsize_t chunk[Shape::max_rank] = {};
      check(H5Pget_chunk(made, rank, chunk) == rank, "hdf5: the pieces of dataset ", excerpt(path, 80), " cannot be read");
      values = of_pieces(path, outline_.pieces(address), filters, shape, chunk, element, made, type);
      values.resize(std::max(values.size(), std::size_t(bytes)));
      if (bytes)
        check(H5Tconvert(type, memory.type, std::size_t(shape.size()), values.data(), nullptr, H5P_DEFAULT) >= 0,
              "hdf5: the values of dataset ", excerpt(path, 80), " cannot be converted");
      values.resize(std::size_t(bytes));
    } else {
      if (layout == H5D_COMPACT && bytes)  // the library reads on behind fewer, even from nowhere
        check(H5Dget_storage_size(id) >= std::uint64_t(shape.size()) * element, "hdf5: dataset ", excerpt(path, 80), " needs ",
              std::uint64_t(shape.size()) * element, " bytes, of which the file has ", H5Dget_storage_size(id));
      values.resize(std::size_t(bytes));
      if (bytes)
        check(H5Dread(id, memory.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0, "hdf5: the values of dataset ",
              excerpt(path, 80), " cannot be read: the file is damaged");
    }
    out_.tensors.push_back({path, AnyTensor(memory.dtype, shape, Bytes(std::move(values)))});
  }

  // All elements as stored, put together from their pieces here: the library's filters trust sizes that the file gives. Elements of pieces
  // that the file has not are the fill value.
  std::vector<std::byte> of_pieces(std::string const& path, std::vector<H5Check::Piece> const& pieces,
                                   std::vector<H5Z_filter_t> const& filters, Shape const& shape, hsize_t const* chunk,
                                   std::uint64_t element, hid_t made, hid_t type) {
    int const rank = shape.rank();
    std::uint64_t const total = std::uint64_t(shape.size()) * element, most = std::max(total, std::uint64_t(1) << 26);
    std::uint64_t size = element;  // of a piece
    for (int a = 0; a < rank; ++a) {
      check(chunk[a] > 0 && size <= most / chunk[a], "hdf5: the pieces of dataset ", excerpt(path, 80), " are too large");
      size *= chunk[a];
    }
    budget_.charge(total + size);
    std::vector<std::byte> values(static_cast<std::size_t>(total)), fill(static_cast<std::size_t>(element));
    if (H5Pget_fill_value(made, type, fill.data()) >= 0 &&
        std::any_of(fill.begin(), fill.end(), [](std::byte b) { return b != std::byte(0); }))
      for (std::uint64_t at = 0; at < total; at += element) std::memcpy(values.data() + at, fill.data(), std::size_t(element));
    for (auto const& p : pieces) {
      check(p.first.size() == std::size_t(rank), "hdf5: a piece of dataset ", excerpt(path, 80), " has ", p.first.size(), " axes, not ",
            rank);
      bool outside = false;  // left behind where a dataset was made smaller
      for (int a = 0; a < rank; ++a) {
        check(p.first[std::size_t(a)] % chunk[a] == 0, "hdf5: a piece of dataset ", excerpt(path, 80), " lies across others");
        outside = outside || p.first[std::size_t(a)] >= std::uint64_t(shape[a]);
      }
      if (outside) continue;
      std::vector<std::byte> const part = unfiltered(path, p, filters, size, element);
      // Rows of the piece along the last axis, as far as they lie within the shape.
      std::uint64_t index[Shape::max_rank] = {};
      std::uint64_t const row = rank ? chunk[rank - 1] : 1;
      for (std::uint64_t from = 0; from < size; from += row * element) {
        std::uint64_t to = 0, wanted = row;
        bool inside = true;
        for (int a = 0; a < rank; ++a) {
          std::uint64_t const at = p.first[std::size_t(a)] + index[a], extent = std::uint64_t(shape[a]);
          inside = inside && at < extent;
          to = to * extent + at;
          if (a == rank - 1) wanted = inside ? std::min(row, extent - at) : 0;
        }
        if (inside) std::memcpy(values.data() + to * element, part.data() + from, std::size_t(wanted * element));
        for (int a = rank - 2; a >= 0; --a) {
          if (++index[a] < chunk[a]) break;
          index[a] = 0;
        }
      }
    }
    return values;
  }

  // A piece of `size` bytes, its filters undone in the reverse order.
  std::vector<std::byte> unfiltered(std::string const& path, H5Check::Piece const& p, std::vector<H5Z_filter_t> const& filters,
                                    std::uint64_t size, std::uint64_t element) {
    Bytes const stored = file_.sub(p.address, p.size == H5Check::whole ? size : p.size);
    std::vector<std::byte> part(stored.data, stored.data + stored.size);
    for (std::size_t i = filters.size(); i-- > 0;) {
      if (i < 32 && (p.mask >> i & 1)) continue;  // left out when this piece was written
      if (filters[i] == H5Z_FILTER_FLETCHER32) {
        check(part.size() >= 4, "hdf5: a piece of dataset ", excerpt(path, 80), " has no room for its checksum");
        part.resize(part.size() - 4);
      } else if (filters[i] == H5Z_FILTER_DEFLATE) {
        budget_.charge(size);
        part = inflated(path, part, size + 4);  // a checksum may come after
      } else if (element > 1) {
        std::vector<std::byte> const planes = part;
        std::size_t const n = planes.size() / std::size_t(element);
        for (std::size_t k = 0; k < n * std::size_t(element); ++k) part[k % n * std::size_t(element) + k / n] = planes[k];
      }
    }
    check(part.size() == size, "hdf5: a piece of dataset ", excerpt(path, 80), " has ", part.size(), " bytes, expected ", size);
    return part;
  }

  static std::vector<std::byte> inflated([[maybe_unused]] std::string const& path, [[maybe_unused]] std::vector<std::byte>& packed,
                                         [[maybe_unused]] std::uint64_t most) {
#if RIG_HAS_ZLIB
    ::z_stream z{};
    check(::inflateInit(&z) == Z_OK, "hdf5: zlib cannot start");
    z.next_in = reinterpret_cast<Bytef*>(packed.data());
    z.avail_in = ::uInt(packed.size());  // stored in 32 bits
    std::vector<std::byte> out(static_cast<std::size_t>(most) + 1);
    int status = Z_OK;
    while (status == Z_OK && z.total_out < out.size()) {
      z.next_out = reinterpret_cast<Bytef*>(out.data()) + z.total_out;
      z.avail_out = ::uInt(std::min<std::uint64_t>(out.size() - z.total_out, 1u << 30));
      status = ::inflate(&z, Z_NO_FLUSH);
    }
    std::uint64_t const written = z.total_out;
    ::inflateEnd(&z);
    check(written <= most, "hdf5: a piece of dataset ", excerpt(path, 80), " inflates to more than ", most, " bytes");
    check(status == Z_STREAM_END, "hdf5: a piece of dataset ", excerpt(path, 80), " does not inflate: the file is damaged");
    out.resize(std::size_t(written));
    return out;
#else
    throw Error("hdf5: dataset " + excerpt(path, 80) + " is compressed, and this build of rig has no zlib");
#endif
  }

  void attributes(hid_t id, std::string const& path) {
    int const count = H5Aget_num_attrs(id);
    check(count >= 0 && count <= 256, "hdf5: the attributes of ", excerpt(path, 80), " cannot be read, or are more than 256");
    for (int i = 0; i < count; ++i) {
      check(++objects_ <= 100'000, "hdf5: the file lists too many objects");
      H5 const a(H5Aopen_by_idx(id, ".", H5_INDEX_NAME, H5_ITER_INC, hsize_t(i), H5P_DEFAULT, H5P_DEFAULT), H5Aclose, "an attribute", path);
      H5 const type(H5Aget_type(a), H5Tclose, "the type of an attribute", path), space(H5Aget_space(a), H5Sclose, "an attribute", path);
      char name[512];
      ssize_t const length = H5Aget_name(a, sizeof name, name);
      check(length > 0 && std::size_t(length) < sizeof name && is_utf8({name, std::size_t(length)}),
            "hdf5: the name of an attribute is not text of a plausible length");
      std::string value;
      if (H5Sget_simple_extent_npoints(space) != 1 || !attribute_text(a, type, value)) continue;
      out_.attributes.emplace_back(path.empty() ? std::string(name) : path + "." + name, std::move(value));
    }
  }
  static bool attribute_text(hid_t a, hid_t type, std::string& value) {
    Memory memory{};
    if (memory_type(type, memory)) {
      bool const whole = memory.dtype != DType::f32 && memory.dtype != DType::f64;
      std::int64_t v = 0;
      double x = 0;
      if (H5Aread(a, whole ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE, whole ? static_cast<void*>(&v) : &x) < 0) return false;
      char text[40];
      std::snprintf(text, sizeof text, "%.17g", x);
      value = whole ? std::to_string(v) : text;
      return true;
    }
    // Texts of fixed length; those of any length would have the library follow addresses of its heap.
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0) return false;
    std::size_t const size = H5Tget_size(type);
    if (size == 0 || size > 4096) return false;
    std::string text(size + 1, '\0');
    if (H5Aread(a, type, text.data()) < 0) return false;
    text.resize(std::strlen(text.c_str()));
    value = text;
    return is_utf8(value);
  }

  Hdf5& out_;
  Bytes const& file_;
  Budget& budget_;
  H5Check outline_;
  std::int64_t objects_ = 0;
};

}  // namespace detail
#endif

RIG_INLINE Hdf5 read_hdf5(Bytes const& file, Limits const& limits) {
  Hdf5 out;
#if RIG_HAS_HDF5
  Budget budget(limits, file.size);
  detail::H5Walk walk(out, file, budget);  // looks at the file before the library does
  detail::H5Quiet const quiet;
  detail::H5 const access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "the file");
  check(H5Pset_fapl_core(access, 1 << 16, false) >= 0 &&
            H5Pset_file_image(access, const_cast<std::byte*>(file.data), std::size_t(file.size)) >= 0,
        "hdf5: not enough memory for the file");
  hid_t const opened = H5Fopen("from memory", H5F_ACC_RDONLY, access);
  check(opened >= 0, "hdf5: the file is damaged or cut short");
  detail::H5 const whole(opened, H5Fclose, "the file");
  detail::H5 const root(H5Gopen2(whole, "/", H5P_DEFAULT), H5Gclose, "the root group");
  walk.group(root, "", 0);
#else
  (void)file, (void)limits;
  throw Error("an HDF5 file, and this build of rig has no HDF5 library");
#endif
  return out;
}

}  // namespace rig::inline RIG_ABI::io
