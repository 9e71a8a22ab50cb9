// How a hand-written kernel is held against its plain reference: the same op on the CPU, values and gradients, on a GPU or in
// the emulator in every order of threads and of copies, where the bits must not depend on it.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "cuda/device.hpp"
#include "rig/autodiff/tape.hpp"
#include "rig/core/random.hpp"
#include "rig/ops/arithmetic.hpp"

namespace agree {

using namespace rig;

using test::device_for;

using Function = std::function<Var<float>(std::vector<Var<float>> const&)>;
using Results = std::vector<std::vector<float>>;

/// f's value and the gradients of sum(weights f) with respect to every input; empty tensors stay empty.
inline Results results(Function const& f, std::vector<Tensor<float>> const& inputs, Device const& device, bool gradients) {
  Tape tape;
  std::vector<Var<float>> x, watched;
  for (auto const& t : inputs) {
    if (!t) {
      x.push_back({});
      continue;
    }
    x.push_back(gradients ? tape.watch(t.to(device)) : Var<float>(t.to(device)));
    watched.push_back(x.back());
  }
  Var<float> const y = f(x);
  Results all{y.value().host()};
  if (!gradients) return all;
  Rng rng(77);
  Var<float> const gy(randn<float>(y.shape(), rng).to(device));
  for (auto const& g : tape.grad(y, watched, gy, true)) all.push_back(g ? g.value().host() : std::vector<float>{});
  return all;
}

/// No entry differs by more than `tolerance` of the largest. With `kinks`, for large inputs, of which some lie within rounding of a
/// place where the slope jumps and may fall on either side of it: one entry in fifty may, and the r.m.s. difference may be ten times
/// that of the r.m.s. value.
inline void check_close(Results const& a, Results const& b, double tolerance = 1e-4, bool kinks = false) {
  REQUIRE(a.size() == b.size());
  for (std::size_t k = 0; k < a.size(); ++k) {
    REQUIRE(a[k].size() == b[k].size());
    double largest = 0, error = 0, squares = 0, apart = 0;
    bool finite = true;
    for (std::size_t i = 0; i < a[k].size(); ++i) {
      finite = finite && std::isfinite(b[k][i]);
      largest = std::max(largest, std::abs(double(a[k][i]))), error = std::max(error, std::abs(double(a[k][i]) - double(b[k][i])));
    }
    double const limit = tolerance * largest + 1e-7;
    std::size_t beyond = 0;
    for (std::size_t i = 0; kinks && i < a[k].size(); ++i) {
      double const d = double(a[k][i]) - double(b[k][i]);
      squares += double(a[k][i]) * double(a[k][i]), apart += d * d, beyond += std::abs(d) > limit;
    }
    INFO("result ", k, ": largest ", largest, ", error ", error, ", beyond the limit ", beyond, " of ", a[k].size());
    CHECK(finite);
    if (kinks) {
      CHECK(beyond * 50 <= a[k].size());
      CHECK(std::sqrt(apart) <= 10 * tolerance * std::sqrt(squares) + 1e-7 * std::sqrt(double(a[k].size())));
    } else {
      CHECK(error <= limit);
    }
  }
}

/// f on the device agrees with f on the CPU and, in the emulator, has the same bits in every order of threads.
inline void check_on_device(Function const& f, std::vector<Tensor<float>> const& inputs, bool gradients = true, double tolerance = 1e-4) {
  Device device;
  if (!device_for(device)) return;
  Results const expected = results(f, inputs, cpu(), gradients), once = results(f, inputs, device, gradients);
  check_close(expected, once, tolerance);
  test::in_every_order([&] { CHECK((results(f, inputs, device, gradients) == once)); });
}

inline Tensor<float> random(Shape const& s, int seed = 1, float scale = 1, float shift = 0) {
  Rng rng{std::uint64_t(seed)};
  auto v = randn<float>(s, rng).host();
  for (float& e : v) e = shift + scale * e;
  return Tensor<float>(s, v);
}

}  // namespace agree
