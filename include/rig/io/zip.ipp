#pragma once
#include <algorithm>
#include <array>
#include <numeric>

#include "rig/io/zip.hpp"
#if RIG_HAS_ZLIB
#include <zlib.h>
#endif

namespace rig::inline RIG_ABI::io {

namespace detail {
#if !RIG_HAS_ZLIB
// Slicing by four: tables k = 1..3 advance a byte by k further bytes.
struct CrcTable {
  std::array<std::array<std::uint32_t, 256>, 4> t{};
  CrcTable() {
    for (std::uint32_t i = 0; i < 256; ++i) {
      std::uint32_t c = i;
      for (int k = 0; k < 8; ++k) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
      t[0][i] = c;
    }
    for (std::size_t k = 1; k < 4; ++k)
      for (std::size_t i = 0; i < 256; ++i) t[k][i] = t[0][t[k - 1][i] & 255] ^ t[k - 1][i] >> 8;
  }
};
#endif

inline void put_little(std::string& out, std::uint64_t v, int bytes) {
  for (int i = 0; i < bytes; ++i) out += char(v >> (8 * i) & 255);
}
}  // namespace detail

RIG_INLINE std::uint32_t crc32(std::span<std::byte const> bytes, std::uint32_t crc) {
  if (bytes.empty()) return crc;  // zlib starts anew at a null pointer
#if RIG_HAS_ZLIB
  return std::uint32_t(::crc32_z(crc, reinterpret_cast<Bytef const*>(bytes.data()), bytes.size()));
#else
  static detail::CrcTable const table;
  auto const& t = table.t;
  std::uint32_t c = ~crc;
  std::size_t i = 0;
  for (; i + 4 <= bytes.size(); i += 4) {
    std::uint32_t w;
    std::memcpy(&w, bytes.data() + i, 4);
    w ^= c;
    c = t[3][w & 255] ^ t[2][w >> 8 & 255] ^ t[1][w >> 16 & 255] ^ t[0][w >> 24];
  }
  for (; i < bytes.size(); ++i) c = t[0][(c ^ std::uint32_t(bytes[i])) & 255] ^ c >> 8;
  return ~c;
#endif
}

RIG_INLINE ZipReader::ZipReader(Bytes file, bool keep_unreadable) : file_(std::move(file)) {
  Cursor in(file_.span(), "zip");
  in.require(file_.size >= 22, "too short for a zip archive (", file_.size, " bytes)");

  // End of central directory: the last record whose comment reaches exactly to the end of the file.
  std::uint64_t end = 0;
  bool found = false;
  for (std::uint64_t back = 22; back <= std::min<std::uint64_t>(file_.size, 22 + 65535) && !found; ++back) {
    std::byte const* p = file_.data + (file_.size - back);
    if (std::memcmp(p, "PK\x05\x06", 4) != 0) continue;
    std::uint16_t comment;
    std::memcpy(&comment, p + 20, 2);
    if (comment == back - 22) {
      end = file_.size - back;
      found = true;
    }
  }
  in.require(found, "no end-of-directory record: the file is truncated or not a zip archive");

  in.seek(end + 4);
  std::uint64_t disk = in.little<std::uint16_t>(), directory_disk = in.little<std::uint16_t>();
  std::uint64_t here = in.little<std::uint16_t>(), count = in.little<std::uint16_t>();
  std::uint64_t directory_size = in.little<std::uint32_t>(), directory = in.little<std::uint32_t>();
  // PyTorch writes a zip64 record whether it is needed or not: the directory then does not end at the end record.
  if (count == 0xFFFF || directory_size == 0xFFFFFFFF || directory == 0xFFFFFFFF || directory + directory_size != end) {
    if (end >= 20 && std::memcmp(file_.data + end - 20, "PK\x06\x07", 4) == 0) {
      in.seek(end - 20 + 4);
      in.require(in.little<std::uint32_t>() == 0, "archives of several parts are not read");
      std::uint64_t record = in.little<std::uint64_t>();
      in.require(in.little<std::uint32_t>() <= 1, "archives of several parts are not read");
      in.require(end >= 76 && record <= end - 76, "the zip64 record lies outside the file");
      in.seek(record);
      in.require(in.text(4) == "PK\x06\x06", "no zip64 record where the locator points");
      in.require(in.little<std::uint64_t>() == end - 20 - record - 12, "the zip64 record does not end at its locator");
      in.take(4);
      disk = in.little<std::uint32_t>();
      directory_disk = in.little<std::uint32_t>();
      here = in.little<std::uint64_t>();
      count = in.little<std::uint64_t>();
      directory_size = in.little<std::uint64_t>();
      directory = in.little<std::uint64_t>();
      end = record;
    }
  }
  in.require(disk == 0 && directory_disk == 0 && here == count, "archives of several parts are not read");
  in.require(directory <= end && directory_size == end - directory, "the directory (", directory_size, " bytes at ", directory,
             ") does not end at the end record");
  in.require(count <= directory_size / 46, count, " entries do not fit a directory of ", directory_size, " bytes");

  in.seek(directory);
  entries_.reserve(std::size_t(count));
  auto require_of = [&](Entry& e, bool ok, auto const&... parts) {
    if (ok) return;
    if (!keep_unreadable) in.fail(parts...);
    if (e.problem.empty()) e.problem = str(parts...);
  };
  auto require_flags = [&](Entry& e, unsigned flags) {
    require_of(e, (flags & 0x2041) == 0, "entry ", excerpt(e.name), " is encrypted");
    require_of(e, (flags & 0x20) == 0, "entry ", excerpt(e.name), " is a patch of another file, not a file");
  };
  for (std::uint64_t i = 0; i < count; ++i) {
    in.require(in.position() < end && in.text(4) == "PK\x01\x02", "directory entry ", i, " of ", count, " is missing");
    in.take(4);  // versions
    auto flags = in.little<std::uint16_t>();
    auto method = in.little<std::uint16_t>();
    in.take(4);  // time, date
    Entry e;
    e.crc = in.little<std::uint32_t>();
    std::uint32_t compressed = in.little<std::uint32_t>(), size = in.little<std::uint32_t>();
    auto name_length = in.little<std::uint16_t>();
    auto extra_length = in.little<std::uint16_t>();
    auto comment_length = in.little<std::uint16_t>();
    auto start_disk = in.little<std::uint16_t>();
    in.take(6);  // attributes
    std::uint32_t offset = in.little<std::uint32_t>();
    e.name = in.text(name_length);
    require_of(e, is_utf8(e.name) && e.name.find('\0') == std::string::npos, "the name of entry ", i, " is not text");
    in.require(start_disk == 0 || start_disk == 0xFFFF, "archives of several parts are not read");
    e.compressed = compressed;
    e.size = size;
    e.header = offset;
    Cursor extra(in.take(extra_length), "zip: extra field");
    while (extra.remaining() >= 4) {
      auto id = extra.little<std::uint16_t>();
      Cursor field(extra.take(extra.little<std::uint16_t>()), "zip: zip64 field");
      if (id != 1) continue;
      if (size == 0xFFFFFFFF) e.size = field.little<std::uint64_t>();
      if (compressed == 0xFFFFFFFF) e.compressed = field.little<std::uint64_t>();
      if (offset == 0xFFFFFFFF) e.header = field.little<std::uint64_t>();
      break;
    }
    in.take(comment_length);
    require_flags(e, flags);
    require_of(e, method == 0 || method == 8, "entry ", excerpt(e.name), " uses compression method ", method,
               "; only stored and deflate are read");
    e.deflated = method == 8;
    in.require(!e.problem.empty() || e.deflated || e.size == e.compressed, "stored entry ", excerpt(e.name), " has two different sizes");
    // Deflate cannot expand more than 1032 times: a larger claim is a lie, found before anything is allocated.
    in.require(e.size / 1040 <= e.compressed, "entry ", excerpt(e.name), " announces ", e.size, " bytes from ", e.compressed);
    entries_.push_back(std::move(e));
  }
  in.require(in.position() == end, "the directory holds more than its ", count, " entries");

  for (auto& e : entries_) {
    in.require(e.header <= directory && directory - e.header >= 30, "entry ", excerpt(e.name), " begins outside the data");
    in.seek(e.header);
    in.require(in.text(4) == "PK\x03\x04", "entry ", excerpt(e.name), " has no header where the directory points");
    in.take(2);  // version
    require_flags(e, in.little<std::uint16_t>());
    in.take(18);
    auto name_length = in.little<std::uint16_t>();
    auto extra_length = in.little<std::uint16_t>();
    in.require(in.text(name_length) == e.name, "entry ", excerpt(e.name), " has another name in its own header");
    in.take(extra_length);
    std::uint64_t data = in.position();
    in.require(data <= directory && e.compressed <= directory - data, "entry ", excerpt(e.name), " reaches outside the data");
    e.offset = data;
  }

  by_name_.resize(entries_.size());
  std::iota(by_name_.begin(), by_name_.end(), std::size_t(0));
  std::sort(by_name_.begin(), by_name_.end(), [&](std::size_t a, std::size_t b) { return entries_[a].header < entries_[b].header; });
  for (std::size_t i = 1; i < by_name_.size(); ++i) {
    Entry const &a = entries_[by_name_[i - 1]], &b = entries_[by_name_[i]];
    in.require(a.offset + a.compressed <= b.header, "entries ", excerpt(a.name), " and ", excerpt(b.name), " overlap");
  }
  std::iota(by_name_.begin(), by_name_.end(), std::size_t(0));
  std::stable_sort(by_name_.begin(), by_name_.end(), [&](std::size_t a, std::size_t b) { return entries_[a].name < entries_[b].name; });
  for (std::size_t i = 1; i < by_name_.size(); ++i) {
    Entry& e = entries_[by_name_[i]];
    require_of(e, entries_[by_name_[i - 1]].name != e.name, "two entries are named ", excerpt(e.name));
  }
}

RIG_INLINE ZipReader::Entry const* ZipReader::find(std::string_view name) const {
  auto it =
      std::lower_bound(by_name_.begin(), by_name_.end(), name, [&](std::size_t i, std::string_view n) { return entries_[i].name < n; });
  return it != by_name_.end() && entries_[*it].name == name ? &entries_[*it] : nullptr;
}

RIG_INLINE Bytes ZipReader::read(Entry const& e, Budget& budget) const {
  check(e.problem.empty(), "zip: ", e.problem);
  Bytes raw = file_.sub(e.offset, e.compressed);
  if (e.deflated) {
#if RIG_HAS_ZLIB
    budget.charge(e.size);
    std::vector<std::byte> out(std::size_t(e.size) + 1);  // one more, to notice that there is more
    ::z_stream z{};
    check(::inflateInit2(&z, -15) == Z_OK, "zip: zlib cannot start");
    std::uint64_t read = 0, written = 0;
    int status = Z_OK;
    ReadOnce once(raw);
    while (status == Z_OK) {
      auto in_part = ::uInt(std::min<std::uint64_t>(raw.size - read, 1u << 22)),
           out_part = ::uInt(std::min<std::uint64_t>(out.size() - written, 1u << 30));
      z.next_in = const_cast<Bytef*>(reinterpret_cast<Bytef const*>(raw.data + read));
      z.avail_in = in_part;
      z.next_out = reinterpret_cast<Bytef*>(out.data() + written);
      z.avail_out = out_part;
      status = ::inflate(&z, Z_NO_FLUSH);
      read += in_part - z.avail_in;
      written += out_part - z.avail_out;
      once.upto(read);
      if (status == Z_OK && in_part == z.avail_in && out_part == z.avail_out) status = Z_BUF_ERROR;
    }
    ::inflateEnd(&z);
    raw.release();
    check(status == Z_STREAM_END && written == e.size && read == raw.size, "zip: entry ", excerpt(e.name),
          " does not inflate to the size the directory announces (", e.size, " bytes)");
    out.resize(std::size_t(e.size));
    raw = Bytes(std::move(out));
#else
    (void)budget;
    throw Error(str("zip: entry ", excerpt(e.name), " is compressed, and this build of rig has no zlib"));
#endif
  }
  std::uint32_t crc = 0;
  ReadOnce once(raw);
  constexpr std::uint64_t step = 1 << 20;
  for (std::uint64_t at = 0; at < raw.size; at += step) {
    crc = crc32(raw.span().subspan(std::size_t(at), std::size_t(std::min(step, raw.size - at))), crc);
    once.upto(at);
  }
  check(crc == e.crc, "zip: entry ", excerpt(e.name), " is damaged: its checksum does not match");
  return raw;
}

RIG_INLINE void ZipWriter::add(std::string const& name, std::vector<std::span<std::byte const>> const& pieces) {
  check(!name.empty() && name.size() < 65536 && is_utf8(name) && name.find('\0') == std::string::npos, "zip: entry '", excerpt(name, 100),
        "': its name must be 1 to 65535 bytes of UTF-8 without the character 0");
  check(names_.insert(name).second, "zip: two entries are named ", excerpt(name, 100));
  Written w{name, 0, file_.size(), 0};
  for (auto p : pieces) {
    w.crc = crc32(p, w.crc);
    w.size += p.size();
  }
  bool big = zip64_ || w.size >= 0xFFFFFFFF;
  std::string h = "PK\x03\x04";
  detail::put_little(h, big ? 45 : 20, 2);
  detail::put_little(h, 0x800, 2);  // names are UTF-8
  detail::put_little(h, 0, 2);
  detail::put_little(h, 0x00210000, 4);  // 1980-01-01: the same bytes for the same content
  detail::put_little(h, w.crc, 4);
  detail::put_little(h, big ? 0xFFFFFFFF : w.size, 4);
  detail::put_little(h, big ? 0xFFFFFFFF : w.size, 4);
  detail::put_little(h, name.size(), 2);
  detail::put_little(h, big ? 20 : 0, 2);
  h += name;
  if (big) {
    detail::put_little(h, 1, 2);
    detail::put_little(h, 16, 2);
    detail::put_little(h, w.size, 8);
    detail::put_little(h, w.size, 8);
  }
  file_.write(h);
  for (auto p : pieces) file_.write(p);
  entries_.push_back(std::move(w));
}

RIG_INLINE void ZipWriter::commit() {
  std::uint64_t directory = file_.size();
  for (auto const& w : entries_) {
    bool big = zip64_ || w.size >= 0xFFFFFFFF || w.offset >= 0xFFFFFFFF;
    std::string h = "PK\x01\x02";
    detail::put_little(h, 45, 2);
    detail::put_little(h, big ? 45 : 20, 2);
    detail::put_little(h, 0x800, 2);
    detail::put_little(h, 0, 2);
    detail::put_little(h, 0x00210000, 4);
    detail::put_little(h, w.crc, 4);
    detail::put_little(h, big ? 0xFFFFFFFF : w.size, 4);
    detail::put_little(h, big ? 0xFFFFFFFF : w.size, 4);
    detail::put_little(h, w.name.size(), 2);
    detail::put_little(h, big ? 28 : 0, 2);
    h.append(10, char(0));  // comment, disk, attributes
    detail::put_little(h, big ? 0xFFFFFFFF : w.offset, 4);
    h += w.name;
    if (big) {
      detail::put_little(h, 1, 2);
      detail::put_little(h, 24, 2);
      detail::put_little(h, w.size, 8);
      detail::put_little(h, w.size, 8);
      detail::put_little(h, w.offset, 8);
    }
    file_.write(h);
  }
  std::uint64_t end = file_.size(), count = entries_.size();
  std::string h;
  bool big = zip64_ || count >= 0xFFFF || end >= 0xFFFFFFFF;
  if (big) {
    h += "PK\x06\x06";
    detail::put_little(h, 44, 8);
    detail::put_little(h, 45, 2);
    detail::put_little(h, 45, 2);
    detail::put_little(h, 0, 8);
    detail::put_little(h, count, 8);
    detail::put_little(h, count, 8);
    detail::put_little(h, end - directory, 8);
    detail::put_little(h, directory, 8);
    h += "PK\x06\x07";
    detail::put_little(h, 0, 4);
    detail::put_little(h, end, 8);
    detail::put_little(h, 1, 4);
  }
  h += "PK\x05\x06";
  detail::put_little(h, 0, 4);
  detail::put_little(h, big ? 0xFFFF : count, 2);
  detail::put_little(h, big ? 0xFFFF : count, 2);
  detail::put_little(h, big ? 0xFFFFFFFF : end - directory, 4);
  detail::put_little(h, big ? 0xFFFFFFFF : directory, 4);
  detail::put_little(h, 0, 2);
  file_.write(h);
  file_.commit();
}

}  // namespace rig::inline RIG_ABI::io
