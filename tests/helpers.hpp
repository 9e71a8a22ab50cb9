// What tests of several folders need: temporary files, an error's words, the stored cases.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#if RIG_HAS_ZLIB
#include <zlib.h>
#endif

#include "rig/core/error.hpp"

/// A path in the folder for temporary files.
inline std::string temporary(char const* name) { return (std::filesystem::temp_directory_path() / name).string(); }

/// What the rig::Error that f throws says, or "".
template <class F> std::string message_of(F&& f) {
  try {
    f();
  } catch (rig::Error const& e) {
    return e.what();
  }
  return "";
}

inline bool contains(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

#if RIG_HAS_ZLIB
/// `raw` as zlib packs it.
inline std::string deflated(std::string const& raw) {
  std::string out(::compressBound(::uLong(raw.size())), '\0');
  ::uLongf size = ::uLongf(out.size());
  ::compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<Bytef const*>(raw.data()), ::uLong(raw.size()));
  out.resize(size);
  return out;
}
#endif

/// The stored cases of the original StyleGAN code, which are not part of the repository.
inline std::string folder() {
  char const* set = std::getenv("RIG_TEST_DATA");
  return std::string(set ? set : "../shared") + "/parity/stylegan/";
}

/// Whether a stored file is there; a test without it says so and does nothing.
inline bool present(std::string const& file) {
  if (std::filesystem::exists(folder() + file)) return true;
  MESSAGE("skipped: ", folder() + file, " is not there");
  return false;
}
