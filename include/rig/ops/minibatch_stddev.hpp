// The minibatch deviation of discriminators (Karras et al. 2018, section 3): how much the pictures of a group differ, as
// extra channels, so that a generator that always draws the same is found out. Composed of ops of any order.
#pragma once
#include "rig/ops/arithmetic.hpp"

namespace rig::inline RIG_ABI {

struct MinibatchStddevOptions {
  int group = 4;     ///< pictures compared with each other; fewer if the batch is smaller; -1: the whole batch
  int features = 1;  ///< channels added, each from its share of x's channels
};

/// x [n, h, w, c] with `features` channels more: the standard deviation over a group of every pixel and channel, averaged
/// over pixels and the feature's channels. Picture i belongs to set i mod (n / group), so that a group's members lie
/// n / group apart. Any order. The same bits for any number of threads.
///   auto y = minibatch_stddev(x, {.group = 4, .features = 1});   // [8, 4, 4, 512] -> [8, 4, 4, 513]
template <class T> Var<T> minibatch_stddev(Var<T> const& x, MinibatchStddevOptions const& o = {}) {
  check(x.rank() == 4 && x.size() > 0, "minibatch_stddev: x must be [n, h, w, c], got ", x.shape());
  check(o.group == -1 || o.group > 0, "minibatch_stddev: group must be positive, or -1 for the whole batch, got ", o.group);
  std::int64_t const n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3), f = o.features;
  std::int64_t const g = o.group == -1 ? n : std::min<std::int64_t>(o.group, n);
  check(n % g == 0, "minibatch_stddev: a batch of ", n, " does not divide into groups of ", g);
  check(f > 0 && c % f == 0, "minibatch_stddev: ", c, " channels do not divide among ", f, " features");
  Var<T> const members = reshape(x, {g, n / g, h * w, f, c / f});
  Var<T> const deviation = sqrt(mean(square(members - mean(members, 0, true)), 0) + T(1e-8));  // [n / g, h w, f, c / f]
  Var<T> const sets = mean(mean(deviation, 3), 1);                                             // [n / g, f]
  Var<T> const y = broadcast_to(reshape(sets, {1, n / g, 1, f}), {g, n / g, h * w, f});
  return concat(std::vector<Var<T>>{x, reshape(y, {n, h, w, f})}, 3);
}

}  // namespace rig::inline RIG_ABI
