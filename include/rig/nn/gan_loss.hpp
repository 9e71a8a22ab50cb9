// The arithmetic of training a StyleGAN2 (Karras et al. 2020, sections 3.2 and 4): logistic losses, R1 penalty, path length
// regularisation, and what lazy regularisation does to Adam. Scores are logits. Nothing here keeps a state.
//   tape.watch(D);
//   auto x = tape.watch(real);
//   auto seen = D(x);
//   tape.backward(discriminator_loss(D(Var(fake)), seen) + r1_loss(r1_penalty(tape, seen, x), gamma));
#pragma once
#include <cmath>

#include "rig/nn/optim/adam.hpp"
#include "rig/ops/activation.hpp"

namespace rig::inline RIG_ABI::nn {

/// Mean of softplus(-scores): the generator's loss when it wants its pictures, of these scores, taken for real ones. Goodfellow
/// et al. 2014, the non-saturating form. Three derivatives.
template <class T> Var<T> generator_loss(Var<T> const& fake) { return mean(softplus(-fake)); }

/// Mean of softplus(fake) plus mean of softplus(-real). Three derivatives.
template <class T> Var<T> discriminator_loss(Var<T> const& fake, Var<T> const& real) {
  return mean(softplus(fake)) + mean(softplus(-real));
}

/// R1 (Mescheder et al. 2018): for each picture [n] the squared norm of the gradient of sum(scores) with respect to it. The
/// pictures [n, ...] are on the tape and the scores were made from them. Differentiable again; with a minibatch deviation the
/// pictures of a group share in each other's gradients, which is meant.
template <class T> Var<T> r1_penalty(Tape& tape, Var<T> const& scores, Var<T> const& pictures) {
  check(pictures.rank() > 1, "r1_penalty: pictures must be [n, ...], got ", pictures.shape());
  std::int64_t const n = pictures.dim(0);
  return sum(square(reshape(tape.grad(sum(scores), pictures), {n, pictures.size() / n})), 1);
}
/// gamma / 2 times the mean penalty.
template <class T> Var<T> r1_loss(Var<T> const& penalty, double gamma) { return T(gamma / 2) * mean(penalty); }

/// What path_length() gives.
template <class T> struct PathLength {
  Var<T> gradients;  ///< of the noisy sum of a picture with respect to its codes, [n, rows, w_dim]
  Var<T> lengths;    ///< their length, r.m.s. over rows, [n]
  Var<T> average;    ///< the running mean with these lengths in it, []; its value, detached, is kept for the next call
  Var<T> penalty;    ///< (lengths - average)^2, [n]
};

/// How far pictures move when their codes do, against the running mean of that. Codes [n, rows, w_dim] are on the tape, the
/// pictures [n, h, w, c] were made from them; `noise` is N(0, 1) of the pictures' shape. The penalty's gradient sees the
/// new average and, through it, all lengths. Differentiable again. Loss: weight times mean(penalty), weight 2 in the paper.
template <class T>
PathLength<T> path_length(Tape& tape, Var<T> const& pictures, Var<T> const& codes, Var<T> const& noise, Tensor<T> const& average,
                          double decay = 0.01) {
  check(pictures.rank() == 4 && noise.shape() == pictures.shape(), "path_length: pictures [n, h, w, c] and noise must agree, got ",
        pictures.shape(), " and ", noise.shape());
  check(codes.rank() == 3 && codes.dim(0) == pictures.dim(0), "path_length: codes must be [", pictures.dim(0), ", rows, w_dim], got ",
        codes.shape());
  check(average.size() == 1, "path_length: the average must be one number, got ", average.shape());
  PathLength<T> p;
  Var<T> const y = T(1 / std::sqrt(double(pictures.dim(1) * pictures.dim(2)))) * noise, before(average.reshape({}));
  p.gradients = tape.grad(sum(pictures * y), codes);
  p.lengths = sqrt(mean(sum(square(p.gradients), 2), 1));
  p.average = before + T(decay) * (mean(p.lengths) - before);
  p.penalty = square(p.lengths - p.average);
  return p;
}

/// Adam for a network whose regulariser is applied in a step of its own, every `interval` iterations, with its loss times
/// `interval`: with r = interval / (interval + 1), rate r and betas to the power r. Both steps share the state.
inline AdamOptions lazy(AdamOptions o, double interval) {
  check(interval > 0, "lazy: the interval must be positive, got ", interval);
  double const r = interval / (interval + 1);
  o.rate *= r, o.beta1 = std::pow(o.beta1, r), o.beta2 = std::pow(o.beta2, r);
  return o;
}

/// Gives a gradient of zeros to every parameter that the loss did not reach. An optimiser then counts the step for it too,
/// as official training does.
template <class M> void complete_gradients(M& module) {
  parameters(module, []<class T>(std::string const&, Param<T>& p) {
    if (!p.gradient()) p.gradient() = zeros<T>(p.shape(), p.device());
  });
}

}  // namespace rig::inline RIG_ABI::nn
