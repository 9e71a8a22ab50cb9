// The prior over lights: moments, what it calls likely, and its gradient.
#include <doctest/doctest.h>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/stylerig/light_prior.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {

double distance(LightPrior const& prior, std::array<float, 27> const& light) {
  Tensor<double> g({1, 27});
  for (std::size_t i = 0; i < 27; ++i) g.mutate()[i] = double(light[i]);
  return prior.squared_distance(Var<double>(g)).value().host()[0];
}

std::array<float, 27> lamp(double azimuth, double elevation, double strength, double ambient, double const colour[3]) {
  std::array<float, 27> g;
  lambertian_light(azimuth, elevation, strength, ambient, colour, g.data());
  return g;
}

double const white[3] = {1, 1, 1};

}  // namespace

TEST_CASE("natural lights: the mean lamp is frontal, from above, grey, and a face is as bright as under the usual lamp") {
  auto const mean = LightPrior::natural().mean.host();
  std::array<float, 27> g;
  for (std::size_t i = 0; i < 27; ++i) g[i] = float(mean[i]);
  Light const light = read_light(g.data());
  CHECK(std::abs(light.azimuth) < 0.01);
  CHECK(light.elevation > 10);
  CHECK(light.elevation < 35);
  for (double c : light.colour) CHECK(c == doctest::Approx(1).epsilon(0.01));
}

TEST_CASE("natural lights: what is likely and what is not") {
  LightPrior const prior = LightPrior::natural();
  double const likely = distance(prior, lamp(0.6, 0.4, 0.7, 0.4, white));
  CHECK(likely < 27);
  // From below, from behind, twice as bright, or red: each far beyond every lamp of the family.
  CHECK(distance(prior, lamp(0, -1.2, 0.7, 0.4, white)) > 4 * likely);
  CHECK(distance(prior, lamp(2.8, 0.3, 0.7, 0.4, white)) > 4 * likely);
  CHECK(distance(prior, lamp(0.6, 0.4, 1.4, 0.8, white)) > 4 * likely);
  double const red[3] = {1.5, 0.8, 0.7};
  CHECK(distance(prior, lamp(0.6, 0.4, 0.7, 0.4, red)) > 4 * likely);
}

TEST_CASE("natural lights: the distance has a mean of 27 over its own family's moments, and a gradient") {
  LightPrior const prior = LightPrior::natural();
  // A draw with the prior's mean and covariance: the inverse of the whitening, by forward substitution (it is triangular).
  Rng rng(3);
  auto const mean = prior.mean.host(), w = prior.whitening.host();
  double total = 0;
  int const n = 400;
  for (int k = 0; k < n; ++k) {
    double x[27];
    Tensor<double> g({1, 27});
    for (int i = 0; i < 27; ++i) {
      double s = rng.normal();
      for (int j = 0; j < i; ++j) s -= w[std::size_t(27 * i + j)] * x[j];
      x[i] = s / w[std::size_t(28 * i)];
      g.mutate()[i] = mean[std::size_t(i)] + x[i];
    }
    total += prior.squared_distance(Var<double>(g)).value().host()[0] / n;
  }
  CHECK(total == doctest::Approx(27).epsilon(0.06));
  Tensor<double> const at = randn<double>({2, 27}, rng);
  CHECK(gradcheck([&](auto const& x) { return prior.squared_distance(x[0]); }, {at}, {.points = 27}).worst < 1e-6);
  CHECK_THROWS_AS(prior.squared_distance(Var<double>(zeros<double>({2, 9}))), Error);
}
