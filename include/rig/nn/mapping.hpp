// The mapping network of the StyleGAN family: a latent z, with a label c where there are labels, becomes the codes w that
// steer the synthesis, one a row. Karras et al. 2019, 2020. Truncation pulls codes towards their running mean w_avg.
#pragma once
#include "rig/nn/linear.hpp"

namespace rig::inline RIG_ABI::nn {

/// x rsqrt(mean of squares + 1e-8), along the last axis of x [n, c]. Any order.
template <class T> Var<T> normalize_second_moment(Var<T> const& x) {
  check(x.rank() == 2, "normalize_second_moment: x must be [n, c], got ", x.shape());
  return x * rsqrt(mean(square(x), 1, true) + T(1e-8));
}

struct Truncation {
  double psi = 1;   ///< 1: as they come; 0: the mean
  int cutoff = -1;  ///< rows from here on are left alone; -1: none are
};

struct MappingOptions {
  std::int64_t z_dim = 512, c_dim = 0, w_dim = 512, num_ws = 1;
  int layers = 8;
  std::int64_t embed_features = 0, layer_features = 0;  ///< 0: w_dim
  double lr_multiplier = 0.01;
  Activation activation = Activation::lrelu;
  bool average = true;  ///< keeps w_avg
  double average_decay = 0.995;
};

template <class T> struct Mapping {
  std::int64_t z_dim = 0, c_dim = 0, w_dim = 0, num_ws = 1;
  std::optional<EqualLinear<T>> embed;
  Param<T> label_weight;  ///< [c_dim, any], instead of embed in networks of the TensorFlow era: labels before the normalisation
  bool normalize = true;  ///< z (with label_weight: z and labels together) to unit second moment
  std::vector<EqualLinear<T>> layers;
  Tensor<T> w_avg;               ///< [w_dim], or empty: then there is no truncation
  double average_decay = 0.995;  ///< of w_avg, in training

  Mapping() = default;
  Mapping(MappingOptions const& o, Rng& rng, Device device = {})
      : z_dim(o.z_dim), c_dim(o.c_dim), w_dim(o.w_dim), num_ws(o.num_ws), average_decay(o.average_decay) {
    check(z_dim + c_dim > 0 && w_dim > 0 && num_ws > 0 && o.layers > 0, "Mapping: needs z or labels, w_dim, num_ws and layers, got z ",
          z_dim, ", labels ", c_dim, ", w ", w_dim, ", rows ", num_ws, ", layers ", o.layers);
    std::int64_t const e = o.embed_features ? o.embed_features : w_dim, width = o.layer_features ? o.layer_features : w_dim;
    if (c_dim) embed.emplace(EqualLinearOptions{.in = c_dim, .out = e}, rng, device);
    for (int i = 0; i < o.layers; ++i)
      layers.emplace_back(EqualLinearOptions{.in = i ? width : z_dim + (c_dim ? e : 0),
                                             .out = i + 1 < o.layers ? width : w_dim,
                                             .activation = o.activation,
                                             .lr_multiplier = o.lr_multiplier},
                          rng, device);
    if (o.average) w_avg = zeros<T>({w_dim}, device);
  }

  /// w [n, w_dim] before it is repeated and truncated. z [n, z_dim], c [n, c_dim]; leave out what the network does not have.
  Var<T> code(Var<T> const& z, Var<T> const& c = {}) const {
    check(!z_dim || (z && z.rank() == 2 && z.dim(1) == z_dim), "mapping: z must be [n, ", z_dim, "], got ", z.shape());
    check(bool(c) == (c_dim > 0),
          "mapping: ", c_dim ? "this network needs labels c [n, " : "this network has no labels, but c was given (c_dim is ", c_dim,
          c_dim ? "]" : ")");
    check(!c_dim || (c.rank() == 2 && c.dim(1) == c_dim && (!z_dim || c.dim(0) == z.dim(0))), "mapping: labels must be [",
          z_dim ? z.dim(0) : c.dim(0), ", ", c_dim, "], got ", c.shape());
    auto norm = [&](Var<T> const& v) { return normalize ? normalize_second_moment(v) : v; };
    auto with_labels = [&](Var<T> const& v, Var<T> const& y) { return v ? concat(std::vector<Var<T>>{v, y}, 1) : y; };
    Var<T> x = z_dim ? z : Var<T>{};
    if (label_weight) {
      x = norm(with_labels(x, matmul(c, label_weight)));
    } else {
      if (x) x = norm(x);
      if (c_dim) x = with_labels(x, normalize_second_moment((*embed)(c)));
    }
    for (auto const& layer : layers) x = layer(x);
    return x;
  }
  /// w [n, num_ws, w_dim]. Any order.
  Var<T> operator()(Var<T> const& z, Var<T> const& c = {}, Truncation t = {}) const { return truncate(repeat(code(z, c)), t); }

  /// [n, w_dim] -> [n, num_ws, w_dim]
  Var<T> repeat(Var<T> const& w) const {
    check(w.rank() == 2 && w.dim(1) == w_dim, "mapping: w must be [n, ", w_dim, "], got ", w.shape());
    return broadcast_to(reshape(w, {w.dim(0), 1, w_dim}), {w.dim(0), num_ws, w_dim});
  }
  /// w_avg <- mean of the codes w [n, w_dim] + average_decay (w_avg - mean), as training does with the codes it draws.
  /// Nothing if the network keeps no average.
  void track(Tensor<T> const& w) {
    if (!w_avg) return;
    check(w.rank() == 2 && w.dim(1) == w_dim && w.dim(0) > 0, "mapping: w must be [n, ", w_dim, "], got ", w.shape());
    Var<T> const m = mean(Var<T>(w), 0), old(w_avg);
    w_avg.assign((old - T(1 - average_decay) * (old - m)).value());
  }
  /// Codes [n, num_ws, w_dim] pulled towards w_avg.
  Var<T> truncate(Var<T> const& w, Truncation t) const {
    if (t.psi == 1) return w;
    check(bool(w_avg), "mapping: this network keeps no average of w and cannot truncate; use psi = 1");
    check(t.cutoff <= num_ws, "mapping: the truncation cutoff ", t.cutoff, " is larger than the number of rows, ", num_ws);
    if (t.cutoff == 0) return w;
    Var<T> const a(w_avg), head = t.cutoff < 0 || t.cutoff == num_ws ? w : slice(w, 1, 0, t.cutoff);
    // Two forms of a + psi (w - a), each exact at its own end.
    Var<T> const y = std::abs(t.psi) < 0.5 ? a + T(t.psi) * (head - a) : head - T(1 - t.psi) * (head - a);
    return head.dim(1) == num_ws ? y : concat(std::vector<Var<T>>{y, slice(w, 1, t.cutoff, num_ws - t.cutoff)}, 1);
  }

  void visit(auto&& f) {
    if (embed) f("embed", *embed);
    if (label_weight) f("label_weight", label_weight);
    for (std::size_t i = 0; i < layers.size(); ++i) f(("fc" + std::to_string(i)).c_str(), layers[i]);
    f("w_avg", w_avg);
  }
};

/// Codes for style mixing: rows below `cut` from a, the others from b. Both [n, rows, w_dim].
template <class T> Var<T> mix(Var<T> const& a, Var<T> const& b, std::int64_t cut) {
  check(a.rank() == 3 && a.shape() == b.shape(), "mix: codes must be two [n, rows, w_dim], got ", a.shape(), " and ", b.shape());
  check(cut >= 0 && cut <= a.dim(1), "mix: the cut must be in [0, ", a.dim(1), "], got ", cut);
  if (cut == 0) return b;
  if (cut == a.dim(1)) return a;
  return concat(std::vector<Var<T>>{slice(a, 1, 0, cut), slice(b, 1, cut, a.dim(1) - cut)}, 1);
}

}  // namespace rig::inline RIG_ABI::nn
