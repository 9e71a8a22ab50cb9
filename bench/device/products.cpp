// Matrix products of the sizes that StyleGAN's mapping, RigNet and the reconstruction F ask for.
#include "measure.hpp"
#include "rig/ops/matmul.hpp"

namespace bench {

namespace {
// [g, n, k] times [g, m, k] transposed, as a layer's weight is read.
void add_product(List& list, std::int64_t g, std::int64_t n, std::int64_t k, std::int64_t m) {
  std::string const at = std::to_string(g) + "x" + std::to_string(n) + "x" + std::to_string(k) + "x" + std::to_string(m);
  list.add(
      {"matmul/" + at, 4 * double(g * (n * k + m * k + n * m)), 2 * double(g * n * k) * double(m), [=](Rng& rng, Device const& d) -> Call {
         Var<float> const a(randn<float>({g, n, k}, rng, d)), b(randn<float>({g, m, k}, rng, d));
         return [=] { return keep(batched_matmul(a, b, {.b = true})); };
       }});
}
}  // namespace

void add_products(List& list) {
  add_product(list, 1, 1, 512, 512);
  add_product(list, 1, 32, 512, 512);
  add_product(list, 18, 16, 512, 32);
  if (list.small) return;
  add_product(list, 18, 64, 512, 512);
  add_product(list, 1, 64, 9216, 1024);  // the first layer of F
  add_product(list, 1, 1024, 1024, 1024);
  add_product(list, 1, 4096, 4096, 4096);
}

}  // namespace bench
