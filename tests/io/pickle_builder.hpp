// Pickles and PyTorch streams put together by hand, opcode by opcode.
#pragma once
#include <string>

#include "rig/io/file.hpp"

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

}  // namespace pickled
