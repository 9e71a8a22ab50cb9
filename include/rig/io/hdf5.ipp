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
    bool deflated = false;
    int const filters = H5Pget_nfilters(made);
    for (int i = 0; i < filters; ++i) {
      unsigned flags = 0, config = 0;
      std::size_t count = 0;
      H5Z_filter_t const f = H5Pget_filter2(made, unsigned(i), &flags, &count, nullptr, 0, nullptr, &config);
      check(f == H5Z_FILTER_DEFLATE || f == H5Z_FILTER_SHUFFLE || f == H5Z_FILTER_FLETCHER32, "hdf5: dataset ", excerpt(path, 80),
            " is compressed by filter ", int(f), "; only deflate, shuffle and checksums are read");
      check(!deflated || f == H5Z_FILTER_FLETCHER32, "hdf5: dataset ", excerpt(path, 80), " is changed after it was compressed");
      deflated = deflated || f == H5Z_FILTER_DEFLATE;
    }
    std::uint64_t const bytes = std::uint64_t(shape.size()) * size_of(memory.dtype);
    budget_.charge(bytes);
    if (layout == H5D_COMPACT && bytes)  // the library reads on behind fewer, even from nowhere
      check(H5Dget_storage_size(id) >= std::uint64_t(shape.size()) * H5Tget_size(type), "hdf5: dataset ", excerpt(path, 80), " needs ",
            std::uint64_t(shape.size()) * H5Tget_size(type), " bytes, of which the file has ", H5Dget_storage_size(id));
    if (layout == H5D_CHUNKED) {  // the library holds one of them whole
      hsize_t chunk[Shape::max_rank] = {};
      std::uint64_t piece = H5Tget_size(type);
      check(H5Pget_chunk(made, rank, chunk) == rank, "hdf5: the pieces of dataset ", excerpt(path, 80), " cannot be read");
      std::uint64_t needed = 1;
      std::uint64_t const most = std::max(bytes, std::uint64_t(1) << 26);
      for (int a = 0; a < rank; ++a) {
        check(chunk[a] > 0 && piece <= most / chunk[a], "hdf5: the pieces of dataset ", excerpt(path, 80), " are too large");
        piece *= chunk[a];
        needed *= (std::uint64_t(extents[a]) + chunk[a] - 1) / chunk[a];
      }
      // It keeps a few hundred bytes for each piece that the shape needs, whether the file has that piece or not.
      auto const& stored = outline_.pieces(address);
      check(needed <= 1024 + 2 * stored.size(), "hdf5: dataset ", excerpt(path, 80), " consists of ", needed,
            " pieces, of which the file has ", stored.size());
      if (deflated)
        for (auto const& [first, size] : stored)
          check(inflates_within(first, size, piece), "hdf5: a piece of dataset ", excerpt(path, 80), " inflates to more than ", piece,
                " bytes");
    }
    std::vector<std::byte> values(std::size_t(bytes), std::byte(0));
    if (bytes)
      check(H5Dread(id, memory.type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0, "hdf5: the values of dataset ", excerpt(path, 80),
            " cannot be read: the file is damaged");
    out_.tensors.push_back({path, AnyTensor(memory.dtype, shape, Bytes(std::move(values)))});
  }

  // The library inflates a piece to whatever comes out. Small ones cannot make that much; the others are inflated here first.
  bool inflates_within(std::uint64_t first, std::uint64_t size, std::uint64_t piece) const {
    if (size <= 1 << 16) return true;
#if RIG_HAS_ZLIB
    ::z_stream z{};
    check(::inflateInit(&z) == Z_OK, "hdf5: zlib cannot start");
    Bytes const part = file_.sub(first, size);
    z.next_in = const_cast<Bytef*>(reinterpret_cast<Bytef const*>(part.data));
    z.avail_in = ::uInt(size);  // stored in 32 bits
    unsigned char out[1 << 14];
    int status = Z_OK;
    while (status == Z_OK && z.total_out <= piece) {
      z.next_out = out, z.avail_out = sizeof out;
      status = ::inflate(&z, Z_NO_FLUSH);
    }
    ::inflateEnd(&z);
    return z.total_out <= piece;
#else
    return size <= piece;
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
