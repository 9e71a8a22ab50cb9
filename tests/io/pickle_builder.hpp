// Pickles, PyTorch streams and zip archives put together by hand, opcode by opcode and field by field.
#pragma once
#include <string>
#include <vector>

#include "rig/io/file.hpp"
#include "rig/io/zip.hpp"

namespace pickled {
using rig::io::Bytes;
using namespace std::string_literals;

inline Bytes bytes_of(std::string const& s) {
  auto p = reinterpret_cast<std::byte const*>(s.data());
  return Bytes(std::vector<std::byte>(p, p + s.size()));
}
inline std::string little(std::uint64_t v, int n) {
  std::string s;
  for (int i = 0; i < n; ++i, v >>= 8) s += char(v & 255);
  return s;
}
inline std::string repeat(std::string const& s, int n) {
  std::string out;
  out.reserve(s.size() * std::size_t(n));
  for (int i = 0; i < n; ++i) out += s;
  return out;
}
inline std::string text(std::string const& s) { return "X" + little(s.size(), 4) + s; }
inline std::string blob(std::string const& s) { return "B" + little(s.size(), 4) + s; }
inline std::string global(std::string const& module, std::string const& name) { return "c" + module + "\n" + name + "\n"; }
inline std::string const v2 = "\x80\x02", put0 = "q\0"s, get0 = "h\0"s, get1 = "h\1", get2 = "h\2";
inline std::string const array = global("numpy.core.multiarray", "scalar") + global("numpy", "dtype") + text("f4") + "\x89\x88\x87R" +
                                 "C\x04" + std::string(4, 'a') + "\x86R";
inline std::string stream(std::string const& object, std::string const& keys, std::string const& data) {
  return "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}" + text("little_endian") + "\x88s.\x80\x02" +
         object + ".\x80\x02]" + keys + "." + data;
}

struct ZipEntry {
  std::string name, data;
  int flags = 0, local_flags = 0;  // in the directory, and in the entry's own header
  std::int64_t header = -1;        // where that header lies, if it is not to be written before the data
  std::string packed = {};         // the data deflated, to be stored in its place
};
// What both headers of an entry have in common.
inline std::string zip_fields(ZipEntry const& e, int flags) {
  std::string const& stored = e.packed.empty() ? e.data : e.packed;
  auto const crc = rig::io::crc32(std::as_bytes(std::span(e.data.data(), e.data.size())));
  return little(std::uint64_t(flags), 2) + little(e.packed.empty() ? 0 : 8, 2) + little(0, 4) + little(crc, 4) + little(stored.size(), 4) +
         little(e.data.size(), 4) + little(e.name.size(), 2) + little(0, 2);
}
inline std::string local_header(ZipEntry const& e) { return "PK\3\4" + little(20, 2) + zip_fields(e, e.local_flags) + e.name; }
inline std::string archive(std::vector<ZipEntry> const& entries) {
  std::string out, directory;
  for (auto const& e : entries) {
    directory += "PK\1\2" + little(20, 2) + little(20, 2) + zip_fields(e, e.flags) + little(0, 10) +
                 little(e.header < 0 ? out.size() : std::uint64_t(e.header), 4) + e.name;
    if (e.header < 0) out += local_header(e);
    out += e.packed.empty() ? e.data : e.packed;
  }
  std::size_t const at = out.size();
  return out + directory + "PK\5\6" + little(0, 4) + little(entries.size(), 2) + little(entries.size(), 2) + little(directory.size(), 4) +
         little(at, 4) + little(0, 2);
}
inline std::string npy(std::string const& type, std::string const& shape, std::string const& values) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': " + shape + ", }";
  header.append((64 - (10 + header.size()) % 64) % 64, ' ');
  return "\x93NUMPY\1\0"s + little(header.size(), 2) + header + values;
}

}  // namespace pickled
