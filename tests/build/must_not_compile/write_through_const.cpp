// expect: discards qualifiers
// A tensor that is const to its reader is not written.
#include "rig/core/tensor.hpp"

#if defined(WRONG)
void f(rig::Tensor<float> const& t) { t.mutate()[0] = 1; }
#else
void f(rig::Tensor<float>& t) { t.mutate()[0] = 1; }
#endif
