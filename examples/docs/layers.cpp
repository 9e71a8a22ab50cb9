// Snippets of docs/ops: products, convolution, resampling, modulated convolution. Each checks what the page says.
#include <cmath>
#include <cstdio>

#include "rig/core/random.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/ops/modulated_conv.hpp"

using namespace rig;

namespace {

void products() {
  Rng rng(1);
  Var<float> const x(randn<float>({6, 8}, rng)), w(randn<float>({5, 8}, rng));
  auto const y = matmul(x, w, {.b = true});  // x w^T, [6, 5]: a dense layer whose weight is [out, in]
  Var<float> const a(randn<float>({3, 6, 8}, rng)), b(randn<float>({3, 8, 2}, rng));
  auto const z = batched_matmul(a, b);  // [3, 6, 2]: a product for each first index
  check(y.shape() == Shape{6, 5} && (z.shape() == Shape{3, 6, 2}), "products");
}

void convolution() {
  Rng rng(2);
  Var<double> const x(randn<double>({2, 9, 7, 3}, rng)), w(randn<double>({4, 3, 3, 3}, rng));
  Conv2dOptions const o{.stride = 2, .padding = 1};
  auto const y = conv2d(x, w, o);  // [2, 5, 4, 4]
  Var<double> const gy(randn<double>(y.shape(), rng));

  // The three members of the family are one trilinear form: <conv2d(x, w), gy> = <x, conv2d_input(gy, w)> = <w, conv2d_weight(x, gy)>.
  double const form = sum(y * gy).item();
  double const by_x = sum(x * conv2d_input(gy, w, x.shape(), o)).item();
  double const by_w = sum(w * conv2d_weight(x, gy, w.shape(), o)).item();
  check(std::abs(form - by_x) < 1e-9 && std::abs(form - by_w) < 1e-9, "convolution: ", form, " ", by_x, " ", by_w);
}

void resampling() {
  Rng rng(3);
  Var<float> const x(full<float>({1, 8, 8, 3}, 0.25f));
  Tensor<float> const f = setup_filter<float>({1, 3, 3, 1});  // [4, 4], sums to 1
  auto const twice = upsample2d(x, f);                        // [1, 16, 16, 3], brightness kept
  auto const again = downsample2d(twice, f);                  // [1, 8, 8, 3]
  auto const odd = upfirdn2d(x, f, {.up = {3, 2}, .down = 2, .padding = {2, 1, 2, 1}});
  check((twice.shape() == Shape{1, 16, 16, 3}) && again.shape() == x.shape(), "resampling");
  check((odd.shape() == Shape{1, (8 * 2 + 3 - 4) / 2 + 1, (8 * 3 + 3 - 4) / 2 + 1, 3}), "resampling: got ", odd.shape());
  check(std::abs(again.value().host()[3 * (8 * 4 + 4)] - 0.25f) < 1e-6f, "resampling: brightness");
}

void modulated() {
  Rng rng(4);
  Var<float> const x(randn<float>({2, 8, 8, 16}, rng)), w(randn<float>({32, 3, 3, 16}, rng));
  Var<float> const s(rand<float>({2, 16}, rng, {}, 0.5f, 1.5f));
  auto const y = modulated_conv2d(x, w, s, {.padding = 1});  // [2, 8, 8, 32]
  auto const large = modulated_conv2d(x, w, s, {.up = 2, .padding = 1, .flip_weight = false, .filter = setup_filter<float>({1, 3, 3, 1})});
  check((y.shape() == Shape{2, 8, 8, 32}) && (large.shape() == Shape{2, 16, 16, 32}), "modulated: got ", large.shape());

  // Demodulation makes the scale of a style vanish.
  auto const same = modulated_conv2d(x, w, 3.f * s, {.padding = 1});
  check(std::abs(same.value().host()[0] - y.value().host()[0]) < 1e-3f, "demodulation");
}

}  // namespace

int main() {
  products();
  convolution();
  resampling();
  modulated();
  std::puts("layers: as the pages say");
}
