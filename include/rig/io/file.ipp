#pragma once
#include <algorithm>

#include "rig/io/file.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {
// Says what a file that is no checkpoint probably is.
inline std::string describe(Bytes const& file) {
  if (file.size == 0) return "the file is empty";
  std::string_view head = file.text().substr(0, 512);
  if (head.find("https://git-lfs.github.com/spec") != std::string_view::npos)
    return "a Git LFS pointer, not the file itself: fetch it with git lfs pull";
  std::string lower(head);
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  if (lower.find("<html") != std::string::npos || lower.find("<!doctype") != std::string::npos)
    return "a web page, not a checkpoint: the download went wrong";
  if (head.substr(0, 2) == "\x1f\x8b") return "gzip-compressed data: decompress it first";
  if (file.size > 262 && file.text().substr(257, 5) == "ustar")
    return "a tar archive (PyTorch before 0.2 wrote such): save it again with a newer one";
  std::string hex;
  for (char c : head.substr(0, 8)) {
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    hex += "0123456789abcdef"[static_cast<unsigned char>(c) & 15];
    hex += ' ';
  }
  return str("no checkpoint format begins with ", hex, "(\"", excerpt(head.substr(0, 16)), "\")");
}

// Protocols 0 and 1 do not announce themselves: a container, or the name of a class, is what they begin with.
inline bool looks_like_early_pickle(std::string_view s) {
  if (s.size() < 4) return false;
  if (s[0] == '\x80') return s[1] == 0 || s[1] == 1;
  std::size_t at = s.find_first_not_of("(])}");
  if (at == std::string_view::npos || (at == 0 && s[0] != 'c')) return false;
  if (s[at] != 'c') return std::string_view("qrpldtcUXKSVINeas.").find(s[at]) != std::string_view::npos;
  for (int line = 0; line < 2; ++line) {
    std::size_t const end = s.find('\n', ++at);
    if (end == std::string_view::npos || end == at) return false;
    for (; at < end; ++at)
      if (!(s[at] == '_' || s[at] == '.' || (s[at] >= '0' && s[at] <= '9') || ((s[at] | 32) >= 'a' && (s[at] | 32) <= 'z'))) return false;
  }
  return true;
}
}  // namespace detail

RIG_INLINE char const* name_of(Kind kind) {
  static constexpr char const* names[] = {"unknown file", "pickle",      "PyTorch stream", "PyTorch archive", "npz archive", "npy array",
                                          "safetensors",  "zip archive", "PNG image",      "JPEG image",      "HDF5 file"};
  return names[int(kind)];
}

RIG_INLINE Kind identify(Bytes const& file) {
  std::string_view head = file.text().substr(0, 16);
  auto begins = [&](std::string_view s) { return head.substr(0, s.size()) == s; };
  using namespace std::string_view_literals;
  // Before all others: the length of a header may begin with any of their marks, 640 with that of a pickle.
  if (head.size() >= 9 && head.substr(4, 5) == "\0\0\0\0{"sv) return Kind::safetensors;
  if (begins("PK\x03\x04"sv) || begins("PK\x05\x06"sv)) {
    try {
      ZipReader zip(file);
      bool all_npy = !zip.entries().empty(), torch = false;
      for (auto const& e : zip.entries()) {
        std::size_t slash = e.name.find('/');
        torch = torch || (slash != std::string::npos && slash > 0 && e.name.substr(slash) == "/data.pkl");
        all_npy = all_npy && e.name.ends_with(".npy");
      }
      return torch ? Kind::torch_zip : all_npy ? Kind::npz : Kind::zip;
    } catch (std::exception const&) {
      return Kind::zip;
    }
  }
  if (head.size() >= 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) {
    // PyTorch's magic number, after a frame where the protocol has those.
    std::string_view first = file.text().substr(2, 21);
    if (head[1] >= 4 && first.substr(0, 1) == "\x95") first.remove_prefix(std::min<std::size_t>(first.size(), 9));
    return first.substr(0, 12) == "\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"sv ? Kind::torch_legacy : Kind::pickle;
  }
  if (begins("\x93NUMPY"sv)) return Kind::npy;
  if (begins("\x89HDF\r\n\x1a\n"sv)) return Kind::hdf5;
  if (begins("\x89PNG\r\n\x1a\n"sv)) return Kind::png;
  if (begins("\xff\xd8\xff"sv)) return Kind::jpeg;
  if (head.size() >= 9 && head[8] == '{') return Kind::safetensors;
  if (detail::looks_like_early_pickle(file.text().substr(0, 200))) return Kind::pickle;
  return Kind::unknown;
}

RIG_INLINE Document read_any(Bytes const& file, Limits const& limits) {
  return detail::only_errors([&] {
    Document d;
    d.kind = identify(file);
    switch (d.kind) {
      case Kind::pickle: d.root = read_pickle(file, limits); break;
      case Kind::torch_legacy: d.root = read_torch_legacy(file, limits); break;
      case Kind::torch_zip: d.root = read_torch_zip(file, limits); break;
      case Kind::npz: d.flat = read_npz(file, limits); break;
      case Kind::npy: {
        Budget budget(limits, file.size);
        d.flat.push_back({"array", read_npy(file, budget)});
        break;
      }
      case Kind::safetensors: {
        Safetensors s = read_safetensors(file);
        d.flat = std::move(s.tensors);
        d.metadata = std::move(s.metadata);
        break;
      }
      case Kind::hdf5: {
        Hdf5 h = read_hdf5(file, limits);
        d.flat = std::move(h.tensors);
        d.metadata = std::move(h.attributes);
        break;
      }
      case Kind::zip: {
        ZipReader zip(file);  // says what is wrong with a damaged one
        throw Error("a zip archive, but neither of PyTorch (data.pkl) nor of NumPy (only .npy)");
      }
      case Kind::png:
      case Kind::jpeg: throw Error(str("a ", name_of(d.kind), ", not a checkpoint"));
      case Kind::unknown: throw Error(detail::describe(file));
    }
    check(d.root || !d.flat.empty(), "the file holds no tensor");
    return d;
  });
}

RIG_INLINE Document read_any(std::string const& path, Limits const& limits) {
  Document d = detail::read_mapped(path, [&](Bytes const& file) { return read_any(file, limits); });
  d.path = path;
  return d;
}

RIG_INLINE std::vector<NamedTensor> Document::tensors() const {
  if (!root) return flat;
  try {
    return all_tensors(root);
  } catch (Error const& e) {
    throw Error(path.empty() ? std::string(e.what()) : path + ": " + e.what());
  }
}

}  // namespace rig::inline RIG_ABI::io
