// A changed byte of a zip archive or a PNG shows in a checksum, and no reader looks further. Half of what the fuzzer makes of such a file
// gets the checksums that belong to it, so that what lies behind them is tested, too. To be included by targets that read either.
#pragma once
#include <zlib.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace fuzz {

template <class T> T little(std::uint8_t const* p) {
  T v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
inline std::uint32_t crc_of(std::uint8_t const* p, std::size_t n) { return std::uint32_t(::crc32_z(0, p, n)); }

/// The checksum of what this stream of deflate holds, as far as it goes; false if that is much.
inline bool crc_of_deflated(std::uint8_t const* p, std::size_t n, std::uint32_t& crc) {
  ::z_stream z{};
  if (::inflateInit2(&z, -15) != Z_OK) return false;
  std::vector<std::uint8_t> out(1 << 16);
  z.next_in = const_cast<Bytef*>(p), z.avail_in = ::uInt(n);
  crc = 0;
  int status = Z_OK;
  for (int blocks = 0; status == Z_OK && blocks < 16; ++blocks) {
    z.next_out = out.data(), z.avail_out = ::uInt(out.size());
    status = ::inflate(&z, Z_NO_FLUSH);
    crc = std::uint32_t(::crc32_z(crc, out.data(), out.size() - z.avail_out));
  }
  ::inflateEnd(&z);
  return status == Z_STREAM_END;
}

/// Of every entry in the directory, as far as it points into the file.
inline void mend_zip(std::uint8_t* data, std::size_t size) {
  for (std::size_t at = 0; at + 46 <= size; ++at) {
    if (std::memcmp(data + at, "PK\x01\x02", 4) != 0) continue;
    auto const method = little<std::uint16_t>(data + at + 10);
    std::size_t const compressed = little<std::uint32_t>(data + at + 20), header = little<std::uint32_t>(data + at + 42);
    if (header > size || size - header < 30) continue;
    std::size_t const begin = header + 30 + little<std::uint16_t>(data + header + 26) + little<std::uint16_t>(data + header + 28);
    if (begin > size || compressed > size - begin) continue;
    std::uint32_t crc = 0;
    if (method == 0)
      crc = crc_of(data + begin, compressed);
    else if (method != 8 || !crc_of_deflated(data + begin, compressed, crc))
      continue;
    std::memcpy(data + at + 16, &crc, 4);
  }
}

inline void mend_png(std::uint8_t* data, std::size_t size) {
  for (std::size_t at = 8; size >= 12 && at <= size - 12;) {
    std::size_t length = 0;
    for (int i = 0; i < 4; ++i) length = length << 8 | data[at + std::size_t(i)];
    if (length > size - at - 12) return;
    std::uint32_t const crc = crc_of(data + at + 4, length + 4);
    for (std::size_t i = 0; i < 4; ++i) data[at + 8 + length + i] = std::uint8_t(crc >> (24 - 8 * i));
    at += 12 + length;
  }
}

}  // namespace fuzz

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  size = LLVMFuzzerMutate(data, size, most);
  if (seed & 1) {
    if (size >= 4 && std::memcmp(data, "PK", 2) == 0) fuzz::mend_zip(data, size);
    if (size >= 8 && std::memcmp(data + 1, "PNG", 3) == 0) fuzz::mend_png(data, size);
  }
  return size;
}
