// RigNet (section 3.3 of the paper): a code and a wish in, a code out. Every row of W+ has its own small network; nothing
// passes between rows. With no encoder it becomes the steering baseline, which moves all codes along the same directions.
#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "rig/core/random.hpp"
#include "rig/ops/activation.hpp"
#include "rig/ops/gather.hpp"
#include "rig/ops/matmul.hpp"
#include "rig/stylerig/parameters.hpp"
#include "rig/stylerig/whitening.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// What the network is told of the wish. p_w is the code's own vector, p_v the one that carries the wanted entries c.
enum class ControlMode {
  full,          ///< all of p_v: the paper's text
  subset,        ///< c of p_v
  merged,        ///< p_w with c from p_v
  merged_delta,  ///< merged, and the difference it makes in c
  delta          ///< only the difference in c: the steering baseline
};
std::string to_string(ControlMode m);
ControlMode control_mode_from_name(std::string_view name);

namespace detail {
/// Entries with wanted[i] != 0 that vary: deviation at least 1e-3 of the median of all.
std::vector<int> varying_entries(std::vector<unsigned char> const& wanted, std::vector<double> const& deviation);
}  // namespace detail

/// Builds q from p_w, p_v and the set of edited entries. Entries are whitened by the corpus's statistics of F's outputs;
/// entries that hardly vary there (deviation under 1e-3 of the median) are left out.
template <class T> struct ControlInput {
  ControlMode mode = ControlMode::merged_delta;
  Whitening<T> parameters;     ///< [f]
  Tensor<int> vector_entries;  ///< entries of the vector part of q
  Tensor<int> delta_entries;   ///< entries of the difference part

  ControlInput() = default;
  /// The deviations as measured, before any floor.
  ControlInput(ControlMode m, ParameterLayout const& layout, Control controls, Whitening<T> const& statistics, Device const& device = {})
      : mode(m) {
    check(statistics.deviation.shape() == Shape{layout.size()}, "ControlInput: statistics must be [", layout.size(), "], got ",
          statistics.deviation.shape());
    std::vector<T> safe = statistics.deviation.host();
    std::vector<double> const deviation(safe.begin(), safe.end());
    std::vector<unsigned char> const of_control = control_mask(layout, controls), everything(deviation.size(), 1);
    std::vector<int> v, d;
    if (m != ControlMode::delta) v = detail::varying_entries(m == ControlMode::subset ? of_control : everything, deviation);
    if (m == ControlMode::delta || m == ControlMode::merged_delta) d = detail::varying_entries(of_control, deviation);
    check(!v.empty() || !d.empty(), "ControlInput: none of the entries of ", to_string(controls), " varies over the corpus");
    for (auto& k : safe)
      if (!(k > 0)) k = 1;
    parameters = {statistics.mean.to(device), Tensor<T>({layout.size()}, safe, device)};
    vector_entries = Tensor<int>({std::int64_t(v.size())}, v, device);
    delta_entries = Tensor<int>({std::int64_t(d.size())}, d, device);
  }
  std::int64_t size() const { return (vector_entries ? vector_entries.size() : 0) + (delta_entries ? delta_entries.size() : 0); }

  /// p_w, p_v [n, f], edited [n, f] or [1, f]: q [n, size()]. Any order.
  Var<T> operator()(Var<T> const& p_w, Var<T> const& p_v, Tensor<unsigned char> const& edited) const {
    check(size() > 0, "ControlInput: no statistics have been set");
    Var<T> const mean(parameters.mean), deviation(parameters.deviation);
    Var<T> const target = mode == ControlMode::full || mode == ControlMode::subset ? p_v : replace(p_w, p_v, edited);
    std::vector<Var<T>> q;
    if (vector_entries && vector_entries.size() > 0) q.push_back(gather((target - mean) / deviation, vector_entries, 1));
    if (delta_entries && delta_entries.size() > 0) q.push_back(gather((target - p_w) / deviation, delta_entries, 1));
    return concat(q, 1);
  }
  void visit(auto&& f) { f("parameters", parameters), f("vector_entries", vector_entries), f("delta_entries", delta_entries); }
};

struct RigNetOptions {
  std::int64_t rows = 18, w_dim = 512;
  std::int64_t encoder = 32;         ///< size of l_i; 0: no encoder (steering)
  std::vector<std::int64_t> hidden;  ///< ELU layers a row between concatenation and result; none: the paper's linear map
  void visit(auto&& f) { f("rows", rows), f("w_dim", w_dim), f("encoder", encoder), f("hidden", hidden); }
};

/// l_i = A_i w_i + a_i; d_i = B_i [l_i; q] + b_i (or ELU layers there); w_hat = w + d. Codes enter and leave whitened,
/// which is the same family of maps with better-scaled weights. The last map starts with deviation 1e-3, so w_hat = w.
template <class T> struct RigNet {
  RigNetOptions options;
  Whitening<T> codes;                            ///< [w_dim]
  Param<T> encoder, encoder_bias;                ///< [rows, w_dim, e], [rows, 1, e]; empty without encoder
  Param<T> from_code, from_control, first_bias;  ///< [rows, e, h], [|q|, rows h], [rows h]: the map of [l; q] in two parts
  std::vector<Param<T>> weights, biases;         ///< later layers: [rows, h, h'], [rows, 1, h']

  RigNet() = default;
  RigNet(RigNetOptions o, std::int64_t control_size, Whitening<T> whitening, Rng& rng, Device device = {})
      : options(std::move(o)), codes(std::move(whitening)) {
    std::int64_t const n = options.rows, d = options.w_dim, e = options.encoder;
    check(codes.mean.shape() == Shape{d}, "RigNet: code statistics must be [", d, "], got ", codes.mean.shape());
    check(control_size > 0, "RigNet: the control input is empty");
    auto normal = [&](Shape s, double deviation) { return Param<T>(randn<T>(s, rng, device, T(deviation))); };
    auto zero = [&](Shape s) { return Param<T>(zeros<T>(s, device)); };
    bool const linear = options.hidden.empty();
    std::int64_t h = linear ? d : options.hidden[0];
    double const first = linear ? 1e-3 : std::sqrt(2.0 / double(e + control_size));
    if (e > 0) {
      encoder = normal({n, d, e}, std::sqrt(2.0 / double(d)));
      encoder_bias = zero({n, 1, e});
      from_code = normal({n, e, h}, first);
    }
    from_control = normal({control_size, n * h}, first);
    first_bias = zero({n * h});
    for (std::size_t i = 0; i < options.hidden.size(); ++i) {
      bool const last = i + 1 == options.hidden.size();
      std::int64_t const out = last ? d : options.hidden[i + 1];
      weights.push_back(normal({n, h, out}, last ? 1e-3 : std::sqrt(2.0 / double(h))));
      biases.push_back(zero({n, 1, out}));
      h = out;
    }
  }

  /// Whitened difference d [n, rows, w_dim] for codes w [n, rows, w_dim] and control inputs q [n, |q|].
  Var<T> difference(Var<T> const& w, Var<T> const& q) const {
    std::int64_t const n = w.dim(0), rows = options.rows;
    check(w.rank() == 3 && w.dim(1) == rows && w.dim(2) == options.w_dim, "RigNet: codes must be [n, ", rows, ", ", options.w_dim,
          "], got ", w.shape());
    check(q.rank() == 2 && q.dim(0) == n && q.dim(1) == from_control.dim(0), "RigNet: control input must be [", n, ", ",
          from_control.dim(0), "], got ", q.shape());
    std::int64_t const h = from_control.dim(1) / rows;
    Var<T> y = permute(reshape(matmul(q, from_control) + first_bias, {n, rows, h}), {1, 0, 2});
    if (encoder) {
      Var<T> const x = permute((w - Var<T>(codes.mean)) / Var<T>(codes.deviation), {1, 0, 2});
      y = y + batched_matmul(batched_matmul(x, encoder) + encoder_bias, from_code);
    }
    for (std::size_t i = 0; i < weights.size(); ++i) y = batched_matmul(elu(y), weights[i]) + biases[i];
    return permute(y, {1, 0, 2});
  }
  /// w_hat. Differentiable three times with hidden layers, to any order without.
  Var<T> operator()(Var<T> const& w, Var<T> const& q) const { return w + Var<T>(codes.deviation) * difference(w, q); }

  void visit(auto&& f) {
    f("codes", codes);
    if (encoder) f("encoder", encoder), f("encoder_bias", encoder_bias), f("from_code", from_code);
    f("from_control", from_control), f("first_bias", first_bias), f("weights", weights), f("biases", biases);
  }
};

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/rignet.ipp"
#endif
