// The supervision of RigNet (sections 3.3 and 3.4 of the paper): what F reads from the new code is put into the vectors of
// two real pictures, and both must still explain their pictures. The generator takes no part.
#pragma once
#include "rig/stylerig/latent_losses.hpp"
#include "rig/stylerig/loss_sum.hpp"
#include "rig/stylerig/parameter_distance.hpp"
#include "rig/stylerig/reconstruction.hpp"
#include "rig/stylerig/rignet.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct RigLossOptions {
  double reconstruction = 1;      ///< lambda_rec, of the mean whitened square of N(w, self) - w
  double edit = 10;               ///< lambda_edit
  double consistency = 10;        ///< lambda_consist
  double wish = 0.05;             ///< of the mean whitened square by which wishes for one value are missed
  double move = 0.01;             ///< of the mean whitened square of the edit itself
  double rows = 0.05;             ///< of the mean over rows of the edit's whitened length, which empties rows that help little
  double landmark = 20;           ///< lambda_land inside L_render
  bool parameter_space = false;   ///< ablation: whitened squares of parameters instead of renders
  bool keep_translation = false;  ///< whether a pose edit must keep the translation
  void visit(auto&& f) {
    f("reconstruction", reconstruction), f("edit", edit), f("consistency", consistency), f("wish", wish), f("move", move), f("rows", rows),
        f("landmark", landmark), f("parameter_space", parameter_space), f("keep_translation", keep_translation);
  }
};

/// One batch of edits (w <- v): S samples. The siamese half is part of it: for every pair both directions are rows. Of them the last W
/// are wishes for one value (c of w with that value in it), of which no picture exists: they are held to their vectors.
template <class T> struct RigBatch {
  Tensor<T> codes;               ///< [S, rows, w_dim], w
  Tensor<T> source_p;            ///< [S, f], F(w)
  Tensor<T> target_p;            ///< [S, f], F(v), or F(w) with the wished value
  Observation source, target;    ///< pictures of w, and of v for the first S - W
  Tensor<unsigned char> edited;  ///< [S, f] or [1, f], c
  Tensor<unsigned char> kept;    ///< [S, f] or [1, f], keep(c)
  Tensor<unsigned char> wished;  ///< [W, f], the entries of c that vary; or empty
  std::int64_t distinct = 0;     ///< the first so many rows hold every code once: L_rec is taken on them; 0: on all
};

template <class T> struct RigLosses {
  Var<T> total;                                                ///< []
  Var<T> reconstruction, edit, consistency, wish, move, rows;  ///< [], unweighted; empty where the weight is 0
  Var<T> edited_codes;                                         ///< [S, rows, w_dim], w_hat
};

namespace detail {
inline Tensor<float> join(Tensor<float> const& a, Tensor<float> const& b) {
  if (!a || !b) return {};
  return concat<float>({Var<float>(a), Var<float>(b)}, 0).value();
}
/// Notes what the terms of a loss are made of, and then makes them all at once.
template <class T> struct LossList {
  std::vector<Var<T>> from;
  std::vector<LossPart> parts;
  std::vector<Var<T>*> terms;
  std::vector<double> weights;

  int tensor(Var<T> const& x) {
    from.push_back(x);
    return int(from.size()) - 1;
  }
  int term(Var<T>& to, double weight) {
    terms.push_back(&to), weights.push_back(weight);
    return int(terms.size()) - 1;
  }
  /// The total; every term goes where term() was told to.
  Var<T> add(Device const& device) const {
    if (terms.empty()) return Var<T>(zeros<T>({}, device));
    Var<T> const y = sum_losses(from, parts, weights);
    auto at = [&](std::int64_t i) { return reshape(slice(y, 0, i, 1), {}); };
    for (std::size_t k = 0; k < terms.size(); ++k) *terms[k] = at(std::int64_t(k) + 1);
    return at(0);
  }
};
}  // namespace detail

/// All losses of one batch. Watch N before the call; F is never watched, so its weights take no gradient.
template <class T>
RigLosses<T> rig_losses(RigNet<T> const& N, ControlInput<T> const& control, Reconstruction<T> const& F, FaceLoss<T> const& face,
                        RigBatch<T> const& b, RigLossOptions const& o) {
  check(b.codes.rank() == 3 && b.source_p.dim(0) == b.codes.dim(0) && b.target_p.shape() == b.source_p.shape(),
        "rig_losses: codes, source_p and target_p must have the same rows, got ", b.codes.shape(), ", ", b.source_p.shape(), ", ",
        b.target_p.shape());
  std::int64_t const samples = b.codes.dim(0), wishes = b.wished ? b.wished.dim(0) : 0, pairs = samples - wishes,
                     once = b.distinct > 0 ? b.distinct : samples;
  check(pairs > 0, "rig_losses: a batch of ", samples, " rows cannot hold ", wishes, " wishes and a pair");
  bool const with_reconstruction = o.reconstruction > 0;
  Var<T> const w(b.codes), p_w(b.source_p), p_v(b.target_p);

  // One pass of N over the edits and, for L_rec, over wishes that ask for what is there.
  Var<T> q = control(p_w, p_v, b.edited), x = w;
  if (with_reconstruction) {
    Var<T> const self = slice(p_w, 0, 0, once);
    Tensor<unsigned char> const mask = b.edited.dim(0) == 1 ? b.edited : b.edited.rows(0, once);
    q = concat<T>({q, control(self, self, mask)}, 0);
    x = concat<T>({w, slice(w, 0, 0, once)}, 0);
  }
  Var<T> const d = N.difference(x, q);
  Var<T> const d_edit = with_reconstruction ? slice(d, 0, 0, samples) : d;
  RigLosses<T> l;
  l.edited_codes = w + Var<T>(N.codes.deviation) * d_edit;
  detail::LossList<T> list;
  if (with_reconstruction || o.move > 0 || o.rows > 0) {
    int const latents = list.tensor(latent_losses(d, samples));
    if (with_reconstruction) list.parts.push_back({list.term(l.reconstruction, o.reconstruction), latents, 0, 1});
    if (o.move > 0) list.parts.push_back({list.term(l.move, o.move), latents, 1, 1});
    if (o.rows > 0) list.parts.push_back({list.term(l.rows, o.rows), latents, 2, 1});
  }
  bool const edit = o.edit > 0, consistency = o.consistency > 0, wish = o.wish > 0 && wishes > 0;
  if (edit || consistency || wish) {
    Var<T> const p_hat = F(l.edited_codes);
    Var<T> const hat_of_pairs = wishes ? slice(p_hat, 0, 0, pairs) : p_hat, target = wishes ? slice(p_v, 0, 0, pairs) : p_v;
    Tensor<unsigned char> const edited = b.edited.dim(0) > pairs ? b.edited.rows(0, pairs) : b.edited;
    auto distance = [&](Var<T>& to, double weight, Var<T> const& p, Var<T> const& wanted, Tensor<unsigned char> const& mask) {
      int const value = list.tensor(masked_parameter_distance(p, wanted, control.parameters.deviation, mask));
      list.parts.push_back({list.term(to, weight), value, 0, 1});
    };
    if (o.parameter_space) {
      if (edit) distance(l.edit, o.edit, hat_of_pairs, target, edited);
      if (consistency) distance(l.consistency, o.consistency, p_hat, p_w, b.kept);
    } else {
      RenderParts const parts{true, o.landmark > 0};
      auto rendered = [&](Observation const& seen, Var<T> const& p) {
        RenderLoss<T> const r = face(seen, p, parts);
        return std::pair{r.photo ? list.tensor(r.photo) : -1, r.landmark ? list.tensor(r.landmark) : -1};
      };
      // The mean over n images from the first: L_photo + lambda L_land.
      auto mean_of = [&](std::pair<int, int> r, Var<T>& to, double weight, std::int64_t first, std::int64_t n) {
        check(r.first >= 0 || r.second >= 0, "rig_losses: neither pictures nor landmarks to compare");
        int const term = list.term(to, weight);
        if (r.first >= 0) list.parts.push_back({term, r.first, first, n, 1 / double(n)});
        if (r.second >= 0) list.parts.push_back({term, r.second, first, n, o.landmark / double(n)});
      };
      if (edit && consistency) {  // one call for both: twice the batch, half the overhead
        Observation const seen{detail::join(b.target.pictures, b.source.pictures), detail::join(b.target.landmarks, b.source.landmarks)};
        auto const r = rendered(seen, concat<T>({replace(target, hat_of_pairs, edited), replace(p_w, p_hat, b.kept)}, 0));
        mean_of(r, l.edit, o.edit, 0, pairs);
        mean_of(r, l.consistency, o.consistency, pairs, samples);
      } else if (edit) {
        mean_of(rendered(b.target, replace(target, hat_of_pairs, edited)), l.edit, o.edit, 0, pairs);
      } else if (consistency) {
        mean_of(rendered(b.source, replace(p_w, p_hat, b.kept)), l.consistency, o.consistency, 0, samples);
      }
    }
    if (wish) distance(l.wish, o.wish, slice(p_hat, 0, pairs, wishes), slice(p_v, 0, pairs, wishes), b.wished);
  }
  l.total = list.add(w.device());
  return l;
}

}  // namespace rig::inline RIG_ABI::stylerig
