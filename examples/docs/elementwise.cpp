// Snippets of docs/ops: arithmetic, sums, shapes, gather, activations. Each checks what the page says.
#include <cmath>
#include <cstdio>

#include "rig/core/random.hpp"
#include "rig/ops/activation.hpp"
#include "rig/ops/gather.hpp"

using namespace rig;

namespace {

void arithmetic() {
  Var<float> const x(ones<float>({2, 4, 4, 3}));                           // two pictures
  Var<float> const gain(Tensor<float>({2, 1, 1, 3}, {1, 2, 3, 4, 5, 6}));  // one number a picture and channel
  Var<float> const offset(Tensor<float>({3}, {0.5f, 0, 0}));               // one number a channel
  Var<float> const y = clamp(2 * (x * gain) - 1 + offset, 0, 8);           // [2, 4, 4, 3]
  check(y.shape() == x.shape() && y.value().host()[0] == 1.5f && y.value().host().back() == 8, "arithmetic: got ", y.shape());

  // What was stretched on the way there is summed on the way back: the gradient has the shape of its argument.
  Tape tape;
  auto const g = tape.watch(gain);
  auto const back = tape.grad(sum(x * g), g);  // [2, 1, 1, 3], every entry 16
  check(back.shape() == gain.shape() && back.value().host()[0] == 16, "arithmetic: got ", back.shape());
}

void sums() {
  Rng rng(1);
  Var<double> const x(randn<double>({4, 7, 3}, rng));
  auto const total = sum(x);                                        // []
  auto const rows = mean(x, 1);                                     // [4, 3]
  auto const centred = x - mean(x, 1, true);                        // [4, 7, 3]: the kept axis broadcasts
  auto const variance = sum_to(square(centred), {1, 1, 3}) / 28.0;  // over the axes that are 1 here
  check(total.rank() == 0 && rows.shape() == Shape{4, 3} && (variance.shape() == Shape{1, 1, 3}), "sums");
  check(std::abs(mean(centred).item()) < 1e-15, "sums: the centred mean is ", mean(centred).item());
}

void shapes() {
  Var<float> const w(Tensor<float>({2, 3, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}));  // two codes of three rows
  auto const flat = reshape(w, {2, 6});                                                  // shares memory
  auto const row = slice(w, 1, 1, 1);                                                    // [2, 1, 2]: row 1 of both
  auto const mixed = concat<float>({row, slice(w, 1, 0, 2)}, 1);                         // [2, 3, 2]: rows 1, 0, 1
  auto const by_row = permute(w, {1, 0, 2});                                             // [3, 2, 2]: the row comes first
  check(flat.value().data() == w.value().data(), "reshape copied");
  check(mixed.value().host()[0] == 2 && by_row.value().host()[2] == 6, "shapes");
}

void rows_by_index() {
  Var<float> const vertices(Tensor<float>({3, 2}, {0, 0, 1, 10, 2, 20}));
  Tensor<int> const corners({4}, {2, 0, 2, 1});
  auto const at = gather(vertices, corners);      // [4, 2]: rows 2, 0, 2, 1
  auto const back = scatter_add(at, corners, 3);  // [3, 2]: row 2 was taken twice and comes back twice
  check(at.value().host()[1] == 20 && back.value().host()[5] == 40, "gather");
}

void activations() {
  Rng rng(2);
  Var<float> const x(randn<float>({2, 8, 8, 5}, rng)), b(zeros<float>({5}));
  auto const y = bias_act(x, b);                                                            // sqrt(2) lrelu(x + b), slope 0.2
  auto const z = bias_act(x, b, {.activation = Activation::swish, .gain = 1, .clamp = 2});  // clamp(swish(x + b), -2, 2)
  auto const e = elu(x + b);                                                                // no gain
  check(y.shape() == x.shape() && z.shape() == e.shape(), "activations");
  float const first = x.value().host()[0];
  check(std::abs(y.value().host()[0] - std::sqrt(2.f) * (first > 0 ? first : 0.2f * first)) < 1e-6f, "bias_act");
}

}  // namespace

int main() {
  arithmetic();
  sums();
  shapes();
  rows_by_index();
  activations();
  std::puts("elementwise: as the pages say");
}
