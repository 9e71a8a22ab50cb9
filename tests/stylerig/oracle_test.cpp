#include <doctest/doctest.h>

#include <filesystem>
#include <thread>

#include "rig/render/spherical_harmonics.hpp"
#include "rig/stylerig/oracle_fit.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {

OracleFitOptions tiny() {
  OracleFitOptions o;
  o.world.rows = 6, o.world.width = 8, o.world.vertices = 2000, o.world.hair_vertices = 400;
  o.resolution = 16, o.channel_base = 128, o.channel_max = 8;
  o.pictures = 48, o.held_out = 8, o.steps = 40, o.batch = 4, o.check_every = 1000;
  return o;
}

std::string bytes_of(OracleWorld& w) { return nn::content_hash(w.generator); }

}  // namespace

TEST_CASE("Lambertian light: the coefficients give the stated shading at any normal") {
  double const colour[3] = {1.1, 1.0, 0.8}, azimuth = 0.5, elevation = -0.3, strength = 0.7, ambient = 0.4;
  std::vector<float> gamma(27);
  lambertian_light(azimuth, elevation, strength, ambient, colour, gamma.data());
  Vec3<double> const d{std::sin(azimuth) * std::cos(elevation), std::sin(elevation), std::cos(azimuth) * std::cos(elevation)};
  Rng rng(4);
  for (int i = 0; i < 50; ++i) {
    Vec3<double> n{rng.normal(), rng.normal(), rng.normal()};
    n = (1 / length(n)) * n;
    auto const h = render::light_basis(n);
    double const c = dot(n, d), wanted = ambient + strength * (0.25 + 0.5 * c + 5.0 / 32 * (3 * c * c - 1));
    for (int ch = 0; ch < 3; ++ch) {
      double seen = render::LightBasis::ambient * h[0];
      for (int b = 0; b < 9; ++b) seen += double(gamma[std::size_t(9 * ch + b)]) * h[std::size_t(b)];
      CHECK(seen == doctest::Approx(colour[ch] * wanted).epsilon(1e-5));
    }
  }
}

TEST_CASE("Oracle: factors have unit size and listen to their own rows only") {
  OracleOptions o;
  Rng rng(1);
  OracleTruth const truth = make_oracle_truth(o, randn<float>({500, o.width}, rng));
  auto const w = randn<float>({2000, o.rows, o.width}, rng);
  auto const u = truth.factors(w);
  std::int64_t const k = u.dim(1);
  REQUIRE(k == std::int64_t(oracle_factor_names().size()));
  for (std::int64_t j = 0; j < k; ++j) {
    double m = 0, v = 0;
    for (std::int64_t i = 0; i < 2000; ++i) m += u.data()[i * k + j] / 2000, v += u.data()[i * k + j] * u.data()[i * k + j] / 2000;
    INFO(oracle_factor_names()[std::size_t(j)]);
    CHECK(std::abs(m) < 0.15);
    CHECK(std::sqrt(v) > 0.5);
    CHECK(std::sqrt(v) < 1.4);
  }
  // Row 8 carries the background alone, the first one pose and translation, the last one nothing.
  auto changed = [&](std::int64_t row) {
    Tensor<float> moved = w.rows(0, 1).clone();
    for (std::int64_t d = 0; d < o.width; ++d) moved.mutate()[row * o.width + d] += 1;
    auto const a = truth.factors(w.rows(0, 1)).host(), b = truth.factors(moved).host();
    std::vector<std::string> names;
    for (std::size_t j = 0; j < a.size(); ++j)
      if (a[j] != b[j]) names.push_back(oracle_factor_names()[j]);
    return names;
  };
  for (auto const& n : changed(8)) CHECK(n.substr(0, 10) == "background");
  CHECK(changed(8).size() == 6);
  CHECK(changed(0).size() == 3 + 2);
  CHECK(changed(9).empty());
  CHECK_THROWS_WITH_AS(truth.factors(randn<float>({2, 3, 4}, rng)), "oracle: codes must be [n, 10, 32], got [2, 3, 4]", Error);
}

TEST_CASE("Oracle: pictures and landmarks follow the parameters") {
  OracleOptions o;
  o.vertices = 2500, o.hair_vertices = 600;
  OracleScene const scene(o);
  std::size_t const k = oracle_factor_names().size();
  auto with = [&](std::size_t factor, float value) {
    std::vector<float> u(k, 0.f);
    u[factor] = value;
    return Tensor<float>({1, std::int64_t(k)}, u);
  };
  auto const p = scene.parameters(with(0, 1.5f));
  auto const yaw = scene.layout().at("rotation").offset + 1;
  CHECK(p.data()[yaw] == doctest::Approx(0.75 * std::tanh(0.75)));
  // Positive yaw turns the face to the image's right: the nose tip (30) moves right of the midpoint of the outer eye corners.
  auto nose_offset = [&](Tensor<float> const& l) { return l.data()[30 * 3] - 0.5f * (l.data()[36 * 3] + l.data()[45 * 3]); };
  CHECK(nose_offset(scene.landmarks(with(0, 1.5f))) > 0.02f);
  CHECK(nose_offset(scene.landmarks(with(0, -1.5f))) < -0.02f);
  // An open jaw parts the inner lips (62 above, 66 below).
  auto gap = [&](Tensor<float> const& l) { return l.data()[66 * 3 + 1] - l.data()[62 * 3 + 1]; };
  CHECK(gap(scene.landmarks(with(15, 3.f))) > gap(scene.landmarks(with(15, -3.f))) + 0.02f);
  auto const x = scene.pictures(with(0, 0.f), 32);
  CHECK(x.shape() == Shape{1, 32, 32, 3});
  double low = 1, high = 0;
  for (float v : x.host()) low = std::min(low, double(v)), high = std::max(high, double(v));
  CHECK(low >= 0);
  CHECK(high <= 1);
  CHECK(high - low > 0.3);
}

TEST_CASE("Oracle: codes are a function of their number") {
  OracleFitOptions o = tiny();
  train::Log log;
  o.steps = 1;
  OracleWorld const w = fit_oracle(o, log, nullptr, nullptr);
  auto const all = oracle_codes(w.generator, w.truth, 0, 20, 9, 0.3), part = oracle_codes(w.generator, w.truth, 7, 5, 9, 0.3);
  CHECK(all.rows(7, 5).host() == part.host());
}

TEST_CASE("Oracle: the fit learns, and continues to the same bits after a stop at any step") {
  std::string const path =
      (std::filesystem::temp_directory_path() / str("rig-oracle-test-", std::this_thread::get_id(), ".safetensors")).string();
  OracleFitOptions o = tiny();
  train::Log log;
  OracleWorld whole = fit_oracle(o, log, nullptr, nullptr);
  CHECK(log.curve("loss").front().second > 0);
  CHECK(whole.psnr > 8);

  o.checkpoint = path;
  for (auto const& f : {path, path + ".log.jsonl"}) std::filesystem::remove(f);
  train::StopFlag stop{false};
  std::thread timer([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(400));
    stop = true;
  });
  train::Log first;
  fit_oracle(o, first, &stop, nullptr);
  timer.join();
  train::Log second;
  OracleWorld continued = fit_oracle(o, second, nullptr, nullptr);
  CHECK(bytes_of(continued) == bytes_of(whole));
  CHECK(continued.psnr == whole.psnr);
  CHECK(second.csv() == log.csv());
  o.wander = 0.5;
  CHECK_THROWS_WITH_AS(fit_oracle(o, second, nullptr, nullptr), doctest::Contains("made by another run: its fit.wander is"), Error);
  for (auto const& f : {path, path + ".log.jsonl"}) std::filesystem::remove(f);
}
