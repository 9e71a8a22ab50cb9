// What the cases of every discriminator have in common: scores, their gradients, R1.
#pragma once
#include "networks.hpp"
#include "rig/nn/gan_loss.hpp"

namespace program::verify {

/// The arrays d.*: scores of d.img, gradients of sum(scores d.g), and the R1 penalty with its gradients.
template <class Net> void verify_scores(Case& k, Net& d) {
  rig::Tensor<float> const pictures = to_last(k.var("d.img")).value();
  V const labels = k.var("d.c");
  k.attempt("d.logits", [&] {
    rig::Tape tape;
    Leaves leaves(tape, d);
    V const x = tape.watch(pictures), c = labels ? tape.watch(labels) : V{};
    leaves.add("img", x);
    if (c) leaves.add("c", c);
    V const scores = d(x, c);
    k.compare("d.logits", scores.value());
    if (k.has("d.g")) leaves.compare(k, tape, sum(scores * k.var("d.g")), "d.grad.");
  });
  if (!k.has("d.real_loss") && k.names("d.r1.").empty()) return;
  k.attempt("d.r1", [&] {
    rig::Tape tape;
    Leaves leaves(tape, d);
    V const x = tape.watch(pictures), scores = d(x, labels);
    V const penalty = rig::nn::r1_penalty(tape, scores, x), loss = rig::nn::r1_loss(penalty, 10);
    k.compare("d.real_loss", mean(softplus(-scores)).value(), "d.real_loss");
    k.compare("d.r1.penalty", penalty.value(), "d.r1.penalty");
    k.compare("d.r1.loss", loss.value(), "d.r1.loss");
    leaves.compare(k, tape, loss, "d.r1.grad.");
  });
}

}  // namespace program::verify
