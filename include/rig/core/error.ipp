#pragma once
#include <sstream>

#include "rig/core/error.hpp"

namespace rig::inline RIG_ABI::detail {

RIG_INLINE std::string join(std::initializer_list<Piece> pieces) {
  std::ostringstream s;
  for (auto const& p : pieces) p.print(s, p.value);
  return s.str();
}

// The place in rig's source is kept out of the message: users read it on stderr. RIG_ERROR_PLACES adds it for developers.
RIG_INLINE void fail([[maybe_unused]] char const* file, [[maybe_unused]] int line, std::initializer_list<Piece> pieces) {
#if defined(RIG_ERROR_PLACES)
  throw Error(join(pieces) + "  [" + file + ":" + std::to_string(line) + "]");
#else
  throw Error(join(pieces));
#endif
}

}  // namespace rig::inline RIG_ABI::detail
