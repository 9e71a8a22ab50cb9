// The supervision of RigNet (sections 3.3 and 3.4 of the paper): what F reads from the new code is put into the vectors of
// two real pictures, and both must still explain their pictures. The generator takes no part.
#pragma once
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
/// Mean over rows of the mean over entries with mask of the whitened square of a - b.
template <class T>
Var<T> masked_parameter_distance(Var<T> const& a, Var<T> const& b, Tensor<T> const& deviation, Tensor<unsigned char> const& mask) {
  Var<T> const difference = (a - b) / Var<T>(deviation);
  Var<T> const zero(zeros<T>(a.shape(), a.device()));
  Var<T> const ones_(ones<T>(a.shape(), a.device()));
  Var<T> const count = sum(replace(zero, ones_, mask));
  return sum(square(replace(zero, difference, mask))) / (count + T(1e-30));
}
inline Tensor<float> join(Tensor<float> const& a, Tensor<float> const& b) {
  if (!a || !b) return {};
  return concat<float>({Var<float>(a), Var<float>(b)}, 0).value();
}
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
  Var<T> total(zeros<T>({}, w.device()));
  if (with_reconstruction) {
    l.reconstruction = mean(square(slice(d, 0, samples, once)));
    total = total + T(o.reconstruction) * l.reconstruction;
  }
  if (o.move > 0) {
    l.move = mean(square(d_edit));
    total = total + T(o.move) * l.move;
  }
  if (o.rows > 0) {
    // F sees neither hair nor background, and what it reads of a face depends a little on every row: squares alone would let an edit
    // change them all. A length has a slope at zero. (Yuan and Lin 2006, the group lasso.)
    l.rows = mean(sqrt(mean(square(d_edit), 2) + T(1e-6)));
    total = total + T(o.rows) * l.rows;
  }
  bool const edit = o.edit > 0, consistency = o.consistency > 0, wish = o.wish > 0 && wishes > 0;
  if (edit || consistency || wish) {
    Var<T> const p_hat = F(l.edited_codes);
    Var<T> const hat_of_pairs = wishes ? slice(p_hat, 0, 0, pairs) : p_hat, target = wishes ? slice(p_v, 0, 0, pairs) : p_v;
    Tensor<unsigned char> const edited = b.edited.dim(0) > pairs ? b.edited.rows(0, pairs) : b.edited;
    if (o.parameter_space) {
      if (edit) l.edit = detail::masked_parameter_distance(hat_of_pairs, target, control.parameters.deviation, edited);
      if (consistency) l.consistency = detail::masked_parameter_distance(p_hat, p_w, control.parameters.deviation, b.kept);
    } else {
      auto value = [&](RenderLoss<T> const& r, std::int64_t first, std::int64_t n) {
        RenderLoss<T> part;
        if (r.photo) part.photo = slice(r.photo, 0, first, n);
        if (r.landmark) part.landmark = slice(r.landmark, 0, first, n);
        return render_loss(part, o.landmark);
      };
      RenderParts const parts{true, o.landmark > 0};
      if (edit && consistency) {  // one call for both: twice the batch, half the overhead
        Observation const seen{detail::join(b.target.pictures, b.source.pictures), detail::join(b.target.landmarks, b.source.landmarks)};
        RenderLoss<T> const r = face(seen, concat<T>({replace(target, hat_of_pairs, edited), replace(p_w, p_hat, b.kept)}, 0), parts);
        l.edit = value(r, 0, pairs);
        l.consistency = value(r, pairs, samples);
      } else if (edit) {
        l.edit = value(face(b.target, replace(target, hat_of_pairs, edited), parts), 0, pairs);
      } else if (consistency) {
        l.consistency = value(face(b.source, replace(p_w, p_hat, b.kept), parts), 0, samples);
      }
    }
    if (edit) total = total + T(o.edit) * l.edit;
    if (consistency) total = total + T(o.consistency) * l.consistency;
    if (wish) {
      l.wish = detail::masked_parameter_distance(slice(p_hat, 0, pairs, wishes), slice(p_v, 0, pairs, wishes), control.parameters.deviation,
                                                 b.wished);
      total = total + T(o.wish) * l.wish;
    }
  }
  l.total = total;
  return l;
}

}  // namespace rig::inline RIG_ABI::stylerig
