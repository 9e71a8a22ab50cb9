// expect: use of deleted function
// A tape is an object in scope; Vars refer to it, so it is not copied.
#include "rig/autodiff/tape.hpp"

std::size_t f() {
  rig::Tape tape;
#if defined(WRONG)
  rig::Tape other = tape;
#else
  rig::Tape& other = tape;
#endif
  return other.size();
}
