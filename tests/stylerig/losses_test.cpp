// The losses on codes and parameters against the chains of plain ops that they stand for.
#include <doctest/doctest.h>

#include <cmath>

#include "rig/core/random.hpp"
#include "rig/stylerig/latent_losses.hpp"
#include "rig/stylerig/loss_sum.hpp"
#include "rig/stylerig/parameter_distance.hpp"
#include "stylerig/plain_losses.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {

/// Value and gradients of sum(weights f(x)) of both agree to `tolerance` of the largest number.
template <class T, class F, class G> void check_same(F const& f, G const& plain, std::vector<Tensor<T>> const& inputs, double tolerance) {
  std::vector<std::vector<T>> both[2];
  auto results = [&](auto const& function, std::vector<std::vector<T>>& to) {
    Tape tape;
    std::vector<Var<T>> x;
    for (auto const& t : inputs) x.push_back(tape.watch(t));
    Var<T> const y = function(x);
    Rng rng(3);
    to.push_back(y.value().host());
    for (auto const& g : tape.grad(y, x, Var<T>(randn<T>(y.shape(), rng)), true)) to.push_back(g.value().host());
  };
  results(f, both[0]), results(plain, both[1]);
  for (std::size_t k = 0; k < both[0].size(); ++k) {
    REQUIRE(both[0][k].size() == both[1][k].size());
    double largest = 0, error = 0;
    for (std::size_t i = 0; i < both[0][k].size(); ++i) {
      largest = std::max(largest, std::abs(double(both[1][k][i])));
      error = std::max(error, std::abs(double(both[0][k][i]) - double(both[1][k][i])));
    }
    INFO("result ", k, ": largest ", largest, ", error ", error);
    CHECK(largest > 0);
    CHECK(error <= tolerance * largest);
  }
}
template <class T> Tensor<T> random(Shape const& s, std::uint64_t seed, double scale = 1) {
  Rng rng(seed);
  return randn<T>(s, rng, {}, T(scale));
}
Tensor<unsigned char> mask(std::int64_t n, std::int64_t f) {
  std::vector<unsigned char> m;
  for (std::int64_t i = 0; i < n * f; ++i) m.push_back(i * i % 5 < 2);
  return Tensor<unsigned char>({n, f}, m);
}
template <class T> constexpr double tolerance = sizeof(T) == 8 ? 1e-12 : 3e-6;

}  // namespace

TEST_CASE_TEMPLATE("latent losses are those of the chain", T, float, double) {
  struct Case {
    std::int64_t n, samples, rows, w_dim;
    double scale;
  };
  // The last one as a network begins: edits far shorter than what keeps a length's slope finite.
  for (auto const& c : std::vector<Case>{{1, 1, 1, 1, 1}, {3, 2, 1, 17, 1}, {5, 2, 3, 515, 1}, {4, 3, 18, 512, 1}, {4, 3, 2, 33, 1e-5}}) {
    INFO(c.n, " samples, ", c.samples, " edits, ", c.rows, " x ", c.w_dim);
    check_same<T>([&](auto const& x) { return latent_losses(x[0], c.samples); },
                  [&](auto const& x) { return plain::latent_losses(x[0], c.samples); }, {random<T>({c.n, c.rows, c.w_dim}, 1, c.scale)},
                  tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("the distance of parameters is that of the chain", T, float, double) {
  for (std::int64_t n : {1, 3})
    for (std::int64_t f : {1, 7, 257})
      for (std::int64_t masks : {std::int64_t(1), n}) {
        INFO(n, " x ", f, ", ", masks, " masks");
        Rng rng(4);
        Tensor<T> const deviation = rand<T>({f}, rng, {}, T(0.5), T(2));
        check_same<T>([&](auto const& x) { return masked_parameter_distance(x[0], x[1], deviation, mask(masks, f)); },
                      [&](auto const& x) { return plain::masked_parameter_distance(x[0], x[1], deviation, mask(masks, f)); },
                      {random<T>({n, f}, 1), random<T>({n, f}, 2)}, tolerance<T>);
      }
}

TEST_CASE("where nothing counts the distance of parameters and its gradient are 0, whatever the vectors hold") {
  Tape tape;
  Var<float> const a = tape.watch(Tensor<float>({2, 3}, std::vector<float>(6, NAN)));
  Var<float> const y = masked_parameter_distance(a, Var<float>(ones<float>({2, 3})), ones<float>({3}), zeros<unsigned char>({1, 3}));
  CHECK(y.item() == 0);
  CHECK(tape.grad(y, a).value().host() == std::vector<float>(6, 0.f));
}

TEST_CASE_TEMPLATE("the regulariser is that of the chain", T, float, double) {
  auto const light = LightPrior::natural().on<T>(cpu());
  RegulariserOptions more = RegulariserOptions::best();
  more.monochrome = 0.05;
  for (auto const& o : {RegulariserOptions{}, RegulariserOptions::best(), more})
    for (bool named : {false, true})
      for (auto const& layout : {ParameterLayout::standard(), ParameterLayout::standard(0, 1, 33),
                                 ParameterLayout({{"rotation", 3}, {"illumination", 6}, {"other", 4}, {"expression", 5}})}) {
        INFO(layout.text(), named ? ", named" : "");
        check_same<T>([&](auto const& x) { return regulariser(layout, x[0], o, named, light); },
                      [&](auto const& x) { return plain::regulariser(layout, x[0], o, named, light); }, {random<T>({3, layout.size()}, 5)},
                      10 * tolerance<T>);  // a light's distance is a difference of large numbers
      }
}

TEST_CASE("a sum of losses: the total, then its terms") {
  Var<double> const a(Tensor<double>({3}, {1, 2, 3})), b(Tensor<double>({2}, {10, 20}));
  auto const y = sum_losses<double>({a, b}, {{0, 0, 1, 2, 0.5}, {1, 1, 0, 2, 1}, {1, 0, 0, 1, 4}}, {2, 0.1}).value().host();
  CHECK(y == std::vector<double>{2 * 2.5 + 0.1 * 34, 2.5, 34});
  CHECK_THROWS_AS(sum_losses<double>({a}, {{0, 0, 2, 2, 1}}, {1}), Error);
  CHECK_THROWS_AS(sum_losses<double>({a}, {{1, 0, 0, 1, 1}}, {1}), Error);
  CHECK_THROWS_AS(sum_losses<double>({a}, {{0, 1, 0, 1, 1}}, {1}), Error);
}
