#pragma once
#include <Eigen/Cholesky>
#include <Eigen/Core>

#include "rig/stylerig/light_prior.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE void lambertian_light(double azimuth, double elevation, double strength, double ambient, double const colour[3], float* gamma) {
  using H = render::LightBasis;
  double const d[3] = {std::sin(azimuth) * std::cos(elevation), std::sin(elevation), std::cos(azimuth) * std::cos(elevation)};
  double const q = 5.0 / 32 * 3 * strength;  // Q = q d d^T - (q / 3) I has trace zero
  for (int ch = 0; ch < 3; ++ch) {
    double const s = colour[ch];
    float* g = gamma + 9 * ch;
    g[0] = float(s * (ambient + strength / 4) / H::h0 - H::ambient);
    g[1] = float(-s * strength / 2 * d[1] / H::k1);
    g[2] = float(s * strength / 2 * d[2] / H::k1);
    g[3] = float(-s * strength / 2 * d[0] / H::k1);
    g[4] = float(s * 2 * q * d[0] * d[1] / H::k2);
    g[5] = float(-s * 2 * q * d[1] * d[2] / H::k2);
    g[6] = float(s * q * (d[2] * d[2] - 1.0 / 3) / (2 * H::k0));
    g[7] = float(-s * 2 * q * d[0] * d[2] / H::k2);
    g[8] = float(s * q * (d[0] * d[0] - d[1] * d[1]) / H::k2);
  }
}

RIG_INLINE LightPrior LightPrior::natural() {
  // Moments over a grid: the same numbers on every machine, and nothing to draw.
  double const pi = 3.14159265358979, usual = lambertian_shading(0.9, 0.6, 0.45);
  std::vector<std::array<float, 27>> lights;
  for (int a = -4; a <= 4; ++a)
    for (double elevation : {-15.0, 5.0, 20.0, 35.0, 55.0})
      for (double strength : {0.3, 0.6, 0.9})
        for (double ambient : {0.3, 0.45, 0.6})
          for (double warm : {-0.12, 0.0, 0.12})
            for (double sky : {-0.035, 0.0, 0.035})
              for (double exposure : {0.93, 1.0, 1.075}) {
                double const azimuth = a * 18.75 / 180 * pi, up = elevation / 180 * pi, colour[3] = {std::exp(warm), 1, std::exp(-warm)},
                             k = exposure * usual / lambertian_shading(std::cos(azimuth) * std::cos(up), strength, ambient);
                std::array<float, 27> g;
                lambertian_light(azimuth, up, k * strength, k * ambient, colour, g.data());
                for (std::size_t ch = 0; ch < 3; ++ch) g[9 * ch + 1] -= float(sky);
                lights.push_back(g);
              }
  Eigen::VectorXd center = Eigen::VectorXd::Zero(27);
  for (auto const& g : lights)
    for (int i = 0; i < 27; ++i) center[i] += double(g[std::size_t(i)]) / double(lights.size());
  // One lamp is not every lamp: each coefficient may also leave the family by 0.015.
  Eigen::MatrixXd covariance = 0.015 * 0.015 * Eigen::MatrixXd::Identity(27, 27);
  for (auto const& g : lights)
    for (int i = 0; i < 27; ++i)
      for (int j = 0; j < 27; ++j)
        covariance(i, j) += (double(g[std::size_t(i)]) - center[i]) * (double(g[std::size_t(j)]) - center[j]) / double(lights.size());
  Eigen::MatrixXd const inverse = covariance.llt().matrixL().solve(Eigen::MatrixXd::Identity(27, 27));
  LightPrior prior{Tensor<double>({27}), Tensor<double>({27, 27})};
  for (int i = 0; i < 27; ++i) {
    prior.mean.mutate()[i] = center[i];
    for (int j = 0; j < 27; ++j) prior.whitening.mutate()[27 * i + j] = inverse(i, j);
  }
  return prior;
}

}  // namespace rig::inline RIG_ABI::stylerig
