#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "rig/stylerig/transfer.hpp"

namespace rig::inline RIG_ABI::stylerig {

namespace detail {
inline void check_codes(char const* what, Tensor<float> const& w, Tensor<float> const& v) {
  check(w.rank() == 3 && v.shape() == w.shape(), what, ": both codes must be [n, rows, w_dim] of one shape, got ", w.shape(), " and ",
        v.shape());
}
/// Row r of the result is row index[r] of x.
inline Tensor<float> pick(Tensor<float> const& x, std::vector<int> const& index) {
  return gather(Var<float>(x), Tensor<int>({std::int64_t(index.size())}, index, x.device()), 0).value();
}
}  // namespace detail

RIG_INLINE Tensor<float> transfer(Rig const& rig, Tensor<float> const& w, Tensor<float> const& v, Control c, EditOptions const& o) {
  detail::check_codes("transfer", w, v);
  Tensor<unsigned char> const mask = mask_row(control_mask(rig.layout(), c), w.device());
  return rig.move(w, detail::mixed_target(rig.measure(w), rig.measure(v), mask), c, o);
}

RIG_INLINE Tensor<float> transfer_entries(Rig const& rig, Tensor<float> const& w, Tensor<float> const& v,
                                          std::vector<std::string> const& labels, EditOptions const& o) {
  detail::check_codes("transfer_entries", w, v);
  std::vector<unsigned char> mask(std::size_t(rig.layout().size()), 0);
  Control c = Control::none;
  for (auto const& label : labels) {
    std::int64_t const e = rig.layout().entry(label);
    mask[std::size_t(e)] = 1;
    Control of = Control::none;
    for (Control k : single_controls)
      if (control_mask(rig.layout(), k)[std::size_t(e)]) of = k;
    check(of != Control::none, "transfer_entries: ", label, " is not something a rig controls");
    c = c | of;
  }
  return rig.move(w, detail::mixed_target(rig.measure(w), rig.measure(v), mask_row(mask, w.device())), c, o);
}

RIG_INLINE Tensor<float> transfer_each(Rig const& rig, Tensor<float> const& w, Tensor<float> const& pose, Tensor<float> const& expression,
                                       Tensor<float> const& light, EditOptions const& o) {
  Tensor<float> target = rig.measure(w);
  Control c = Control::none;
  Tensor<float> const* const from[3] = {&pose, &expression, &light};
  for (int k = 0; k < 3; ++k) {
    if (!*from[k]) continue;
    detail::check_codes("transfer_each", w, *from[k]);
    target = detail::mixed_target(target, rig.measure(*from[k]), mask_row(control_mask(rig.layout(), single_controls[k]), w.device()));
    c = c | single_controls[k];
  }
  return rig.move(w, target, c, o);
}

RIG_INLINE Tensor<float> transfer_grid(Rig const& rig, Tensor<float> const& targets, Tensor<float> const& sources, Control c,
                                       EditOptions const& o) {
  check(targets.rank() == 3 && sources.rank() == 3, "transfer_grid: codes must be [n, rows, w_dim], got ", targets.shape(), " and ",
        sources.shape());
  std::vector<int> w, v;
  for (int i = 0; i < int(targets.dim(0)); ++i)
    for (int j = 0; j < int(sources.dim(0)); ++j) w.push_back(i), v.push_back(j);
  return transfer(rig, detail::pick(targets, w), detail::pick(sources, v), c, o);
}

RIG_INLINE Tensor<float> mix_layers(Tensor<float> const& w, Tensor<float> const& v, std::int64_t first, std::int64_t last) {
  detail::check_codes("mix_layers", w, v);
  check(first >= 0 && first <= last && last <= w.dim(1), "mix_layers: rows [", first, ", ", last, ") are outside ", w.shape());
  Var<float> const a(w), b(v);
  return concat<float>({slice(a, 1, 0, first), slice(b, 1, first, last - first), slice(a, 1, last, w.dim(1) - last)}, 1).value();
}

RIG_INLINE Generated generate(Rig const& rig, GeneratorHandle const& G, Wishes const& wishes, GenerationOptions const& o,
                              train::StopFlag const* stop, std::function<void(std::int64_t, std::int64_t)> const& progress) {
  check(o.count > 0 && o.tries > 0, "generate: count and tries must be positive, got ", o.count, " and ", o.tries);
  check(G.hash == rig.reconstruction.generator, "generate: the rig is for the generator ", rig.reconstruction.generator,
        ", the one given is ", G.hash);
  check(o.truncation == 1 || std::int64_t(G.mean_latent.size()) == G.w_dim, "generate: truncation needs the generator's mean latent");
  std::int64_t const f = rig.layout().size();
  Generated g;
  std::vector<Var<float>> codes, requested, measured;
  std::vector<float> const deviation = rig.statistics.deviation.host();
  int const tries = o.tolerance > 0 ? o.tries : 1;
  for (std::int64_t i = 0; i < o.count && !train::stop_asked(stop); ++i) {
    double best = std::numeric_limits<double>::infinity();
    Tensor<float> code, want, got;
    int used = 0;
    for (int t = 0; t < tries && (t == 0 || best > o.tolerance); ++t, ++used) {
      Rng rng = Rng(o.seed).split(std::uint64_t(i)).split(std::uint64_t(t));
      Tensor<float> const u = G.mapping(randn<float>({1, G.z_dim}, rng));
      Var<float> w = reshape(Var<float>(u), {1, 1, G.w_dim});
      if (o.truncation != 1) {
        Var<float> const mean(Tensor<float>({G.w_dim}, G.mean_latent, u.device()));
        w = mean + float(o.truncation) * (w - mean);
      }
      Tensor<float> const start = broadcast_to(w, {1, G.rows, G.w_dim}).value().to(rig.reconstruction.F.scale.device());
      Tensor<float> const p_w = rig.measure(start);
      auto const [target, touched] = rig.targets(p_w, wishes, o.edit.calibrated);
      Tensor<float> const wished = rig.targets(p_w, wishes, false).first.to(cpu());
      Tensor<float> const hat = rig.move(start, target, touched, o.edit);
      Tensor<float> const p = rig.measure(hat).to(cpu()), before = p_w.to(cpu());
      double error = 0;
      for (std::int64_t k = 0; k < f; ++k)
        if (wished.data()[k] != before.data()[k] && deviation[std::size_t(k)] > 0)
          error = std::max(error, std::abs(double(p.data()[k]) - wished.data()[k]) / deviation[std::size_t(k)]);
      if (error < best) best = error, code = hat, want = wished, got = p;
    }
    codes.emplace_back(code), requested.emplace_back(want), measured.emplace_back(got);
    g.error.push_back(best);
    g.tries.push_back(used);
    if (progress) progress(i + 1, o.count);
  }
  if (codes.empty()) return g;
  g.codes = concat(codes, 0).value();
  g.requested = concat(requested, 0).value();
  g.measured = concat(measured, 0).value();
  return g;
}

}  // namespace rig::inline RIG_ABI::stylerig
