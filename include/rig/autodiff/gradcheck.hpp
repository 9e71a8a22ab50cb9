// Compares the rules of differentiation of a function with central differences in double. Public: whoever writes an op
// checks it with this.
//   auto r = gradcheck([](auto const& x) { return my_op(x[0], x[1]); }, {a, b});
//   CHECK(r.worst < 1e-6);
#pragma once
#include <cmath>
#include <functional>
#include <vector>

#include "rig/autodiff/tape.hpp"
#include "rig/core/random.hpp"

namespace rig::inline RIG_ABI {

struct GradcheckOptions {
  int order = 1;             ///< 1: gradients; 2: gradients of a random combination of the gradients
  double step = 1e-5;        ///< of the central difference
  std::int64_t points = 24;  ///< at most this many entries of each input, evenly spread
  std::uint64_t seed = 1;    ///< of the random weights
};

struct GradcheckResult {
  /// Largest |rule - difference|, relative to the largest entry of that gradient (or to 1e-3 of the largest of all gradients).
  double worst = 0;
  int input = -1;  ///< where it was
  std::int64_t entry = -1;
  double rule = 0, difference = 0;
  std::int64_t compared = 0;
};

using GradcheckFunction = std::function<Var<double>(std::vector<Var<double>> const&)>;

/// Checks the gradients of sum(f(x) * r) for a fixed random r with respect to every input. Needs ops/arithmetic.hpp.
GradcheckResult gradcheck(GradcheckFunction const& f, std::vector<Tensor<double>> const& inputs, GradcheckOptions const& o = {});

}  // namespace rig::inline RIG_ABI

#if RIG_INCLUDE_IPP
#include "rig/autodiff/gradcheck.ipp"
#endif
