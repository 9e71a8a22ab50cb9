// Runs the case table: every op, every promise.
#include <doctest/doctest.h>

#include "cases/all.hpp"

using namespace rig;
using namespace cases;

namespace {

template <class T> Tensor<T> evaluate(Function<T> const& f, std::vector<Tensor<T>> const& inputs) {
  std::vector<Var<T>> x(inputs.begin(), inputs.end());
  return f(x).value();
}

/// f's value and the gradients of sum(f) with respect to every input, as raw bits would be compared.
std::vector<std::vector<float>> value_and_gradients(Case const& c, Device const& device, bool large = false) {
  Tape tape;
  std::vector<Var<float>> x;
  for (auto const& t : make_inputs<float>(large && !c.options.bench.empty() ? c.options.bench : c.inputs, device)) x.push_back(tape.watch(t));
  Var<float> const y = c.in_float(x);
  std::vector<std::vector<float>> all{y.value().host()};
  for (auto const& g : tape.grad(y, x, {}, true)) all.push_back(g ? g.value().host() : std::vector<float>{});
  return all;
}

}  // namespace

TEST_CASE("op cases: gradients agree with central differences") {
  for (auto const& c : all()) {
    INFO(c.name);
    auto const r = gradcheck(c.in_double, make_inputs<double>(c.inputs));
    INFO("input ", r.input, " entry ", r.entry, " rule ", r.rule, " difference ", r.difference);
    CHECK(r.compared > 0);
    CHECK(r.worst < c.options.tolerance);
  }
}

TEST_CASE("op cases: gradients of gradients agree, or are refused by name") {
  for (auto const& c : all()) {
    INFO(c.name);
    if (c.options.order >= 2) {
      auto const r = gradcheck(c.in_double, make_inputs<double>(c.inputs), {.order = 2});
      INFO("input ", r.input, " entry ", r.entry, " rule ", r.rule, " difference ", r.difference);
      CHECK(r.worst < c.options.tolerance);
    } else {
      CHECK_THROWS_WITH_AS(gradcheck(c.in_double, make_inputs<double>(c.inputs), {.order = 2}), doctest::Contains("differentiable once"), Error);
    }
  }
}

TEST_CASE("op cases: float follows double") {
  for (auto const& c : all()) {
    INFO(c.name);
    auto const f = evaluate(c.in_float, make_inputs<float>(c.inputs)).host();
    auto const d = evaluate(c.in_double, make_inputs<double>(c.inputs)).host();
    REQUIRE(f.size() == d.size());
    double largest = 0, error = 0;
    for (std::size_t i = 0; i < d.size(); ++i) largest = std::max(largest, std::abs(d[i])), error = std::max(error, std::abs(d[i] - double(f[i])));
    CHECK(error <= 1e-4 * (largest + 1e-3));
  }
}

TEST_CASE("op cases: wrong shapes are refused") {
  for (auto const& c : all())
    for (auto const& shapes : c.options.wrong) {
      std::vector<Var<float>> x;
      for (auto const& s : shapes) x.push_back(Var<float>(ones<float>(s)));
      INFO(c.name);
      CHECK_THROWS_AS(c.in_float(x), Error);
    }
}

TEST_CASE("op cases: the same bits for any number of threads") {
  int const before = threads();
  for (auto const& c : all()) {
    INFO(c.name);
    set_threads(1);
    auto const one = value_and_gradients(c, cpu(), true);
    for (int n : {2, 7}) {
      set_threads(n);
      CHECK(value_and_gradients(c, cpu(), true) == one);
    }
  }
  set_threads(before);
}

TEST_CASE("op cases: CUDA agrees with the CPU") {
  Device device;
  try {
    device = cuda();
  } catch (Error const& e) {
    std::string const why = e.what();
    MESSAGE("skipped: ", why);
    return;
  }
  for (auto const& c : all()) {
    INFO(c.name);
    auto const a = value_and_gradients(c, cpu()), b = value_and_gradients(c, device);
    REQUIRE(a.size() == b.size());
    for (std::size_t k = 0; k < a.size(); ++k) {
      REQUIRE(a[k].size() == b[k].size());
      double largest = 0, error = 0;
      for (std::size_t i = 0; i < a[k].size(); ++i)
        largest = std::max(largest, std::abs(double(a[k][i]))), error = std::max(error, std::abs(double(a[k][i]) - double(b[k][i])));
      CHECK(error <= 1e-4 * largest + 1e-7);
    }
  }
}
