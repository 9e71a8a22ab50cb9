// One exception type and one way to raise it: check(condition, parts of a message...).
// The message names the op, the argument, what was expected and what was found; it is put together only when needed.
#pragma once
#include <initializer_list>
#include <iosfwd>
#include <stdexcept>
#include <string>
#include <string_view>

#include "rig/core/config.hpp"

namespace rig::inline RIG_ABI {

/// The only exception that leaves rig.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

namespace detail {
/// One part of a message: a pointer to the value and how to print it.
struct Piece {
  void const* value;
  void (*print)(std::ostream&, void const*);
  template <class T> Piece(T const& v) : value(&v), print([](std::ostream& o, void const* p) { put(o, *static_cast<T const*>(p)); }) {}

 private:
  // Dependent on Stream so that <ostream> is needed only where a message is formed.
  template <class Stream, class T> static void put(Stream& o, T const& v) { o << v; }
};

std::string join(std::initializer_list<Piece> pieces);
[[noreturn]] void fail(char const* file, int line, std::initializer_list<Piece> pieces);
}  // namespace detail

/// A condition together with the place that states it.
struct Check {
  bool ok;
  char const* file;
  int line;
  template <class B>
  Check(B const& condition, char const* at_file = __builtin_FILE(), int at_line = __builtin_LINE())
      : ok(static_cast<bool>(condition)), file(at_file), line(at_line) {}
};

/// All arguments printed one after the other.
template <class... A> std::string str(A const&... a) { return detail::join({detail::Piece(a)...}); }

/// Throws rig::Error with the joined message unless the condition holds. Active in every build.
template <class... A> void check(Check c, A const&... a) {
  if (!c.ok) detail::fail(c.file, c.line, {detail::Piece(a)...});
}

}  // namespace rig::inline RIG_ABI

#include <ostream>
#if RIG_INCLUDE_IPP
#include "rig/core/error.ipp"
#endif
