// Zip archives, read through the central directory only: PyTorch and NumPy leave the local headers half empty.
// Stored entries point into the file; deflated ones need zlib (RIG_HAS_ZLIB=1). The writer stores, never compresses.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "rig/io/atomic_file.hpp"
#include "rig/io/bytes.hpp"

#if !defined(RIG_HAS_ZLIB)
#define RIG_HAS_ZLIB 0
#endif

namespace rig::inline RIG_ABI::io {

/// CRC-32 as zip and PNG use it; `crc` continues an earlier one.
std::uint32_t crc32(std::span<std::byte const> bytes, std::uint32_t crc = 0);

class ZipReader {
 public:
  struct Entry {
    std::string name;
    std::uint64_t size = 0;        ///< of the content
    std::uint64_t compressed = 0;  ///< in the file
    std::uint64_t offset = 0;      ///< of the content in the file
    std::uint64_t header = 0;      ///< of its own header, before the content
    std::uint32_t crc = 0;
    bool deflated = false;
    std::string problem = {};  ///< why it cannot be read, in an archive opened with keep_unreadable
  };

  /// Checks the whole directory: bounds, overlaps, names, encryption, methods. Error with the position otherwise. With keep_unreadable
  /// an entry whose name is not text or that of an earlier one, or that is encrypted or packed in another way, costs nothing but itself.
  explicit ZipReader(Bytes file, bool keep_unreadable = false);

  std::vector<Entry> const& entries() const { return entries_; }
  /// The first entry of that name; null if there is none.
  Entry const* find(std::string_view name) const;
  /// The content, its CRC checked. Inflating is charged to the budget and stops at the size the directory announces.
  Bytes read(Entry const& entry, Budget& budget) const;

 private:
  Bytes file_;
  std::vector<Entry> entries_;
  std::vector<std::size_t> by_name_;  // sorted
};

/// Writes stored entries one after the other into an AtomicFile. Zip64 fields appear where the sizes need them, or always if asked.
class ZipWriter {
 public:
  explicit ZipWriter(std::string path, bool zip64 = false) : file_(std::move(path)), zip64_(zip64) {}
  /// One entry, its content in pieces.
  void add(std::string const& name, std::vector<std::span<std::byte const>> const& pieces);
  void commit();

 private:
  struct Written {
    std::string name;
    std::uint64_t size, offset;
    std::uint32_t crc;
  };
  AtomicFile file_;
  bool zip64_;
  std::vector<Written> entries_;
  std::unordered_set<std::string> names_;
};

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/zip.ipp"
#endif
