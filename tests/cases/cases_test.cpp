// Runs the case table: every op, every promise. Its rows come from the other files of this folder.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "cases/table.hpp"

using namespace rig;
using namespace cases;

namespace {

template <class T> Tensor<T> evaluate(Function<T> const& f, std::vector<Tensor<T>> const& inputs) {
  std::vector<Var<T>> x(inputs.begin(), inputs.end());
  return f(x).value();
}

/// The names of the ops that a case's value is made of.
std::set<std::string> ops_of(Case const& c) {
  Tape tape;
  std::vector<Var<double>> x;
  for (auto const& t : make_inputs<double>(c.inputs)) x.push_back(tape.watch(t));
  Var<double> const y = c.in_double(x);
  std::set<std::string> names;
  for (auto const& node : y.record()->nodes) names.emplace(node->name());
  names.erase("watch");
  return names;
}

}  // namespace

TEST_CASE("op cases: no two have one name") {
  std::set<std::string> names;
  for (auto const& c : all()) {
    INFO(c.name);
    CHECK(names.insert(c.name).second);
  }
}

TEST_CASE("op cases: every op of the headers has a row") {
  std::set<std::string> covered;
  for (auto const& c : all()) covered.merge(ops_of(c));
  std::regex const form(R"rx(static constexpr char const ?\* ?name = "(\w+)";)rx");
  int found = 0;
  for (auto const& entry : std::filesystem::recursive_directory_iterator("include/rig")) {
    if (entry.path().extension() != ".hpp") continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);)
      if (std::smatch m; std::regex_search(line, m, form)) {
        INFO(m[1].str(), " of ", entry.path().string());
        CHECK(covered.count(m[1]) == 1);
        ++found;
      }
  }
  CHECK(found > 50);
}

TEST_CASE("op cases: values are numbers, the same again, and float follows double") {
  for (auto const& c : all()) {
    INFO(c.name);
    auto const inputs = make_inputs<float>(c.inputs);
    auto const f = evaluate(c.in_float, inputs).host();
    auto const d = evaluate(c.in_double, make_inputs<double>(c.inputs)).host();
    CHECK(evaluate(c.in_float, inputs).host() == f);
    REQUIRE(f.size() == d.size());
    CHECK(f.size() > 0);
    double largest = 0, error = 0;
    bool finite = true;
    for (std::size_t i = 0; i < d.size(); ++i) {
      finite = finite && std::isfinite(f[i]) && std::isfinite(d[i]);
      largest = std::max(largest, std::abs(d[i])), error = std::max(error, std::abs(d[i] - double(f[i])));
    }
    CHECK(finite);
    CHECK(largest > 0);
    CHECK(error <= 1e-4 * (largest + 1e-3));
  }
}

TEST_CASE("op cases: gradients agree with central differences") {
  for (auto const& c : all()) {
    if (!c.options.slope) continue;
    INFO(c.name);
    auto const r = gradcheck(c.in_double, make_inputs<double>(c.inputs));
    INFO("input ", r.input, " entry ", r.entry, " rule ", r.rule, " difference ", r.difference);
    CHECK(r.compared > 0);
    CHECK(r.worst < c.options.tolerance);
  }
}

// The square gives linear ops a second derivative, too, so that the rules of their rules are run.
TEST_CASE("op cases: gradients of gradients agree, or are refused by name") {
  for (auto const& c : all()) {
    INFO(c.name);
    auto const inputs = make_inputs<double>(c.inputs);
    GradcheckFunction const squared = [&](std::vector<Var<double>> const& x) { return square(c.in_double(x)); };
    if (c.options.order >= 2) {
      auto const r = gradcheck(squared, inputs, {.order = 2});
      INFO("input ", r.input, " entry ", r.entry, " rule ", r.rule, " difference ", r.difference);
      CHECK(r.compared > 0);
      CHECK(r.worst < c.options.tolerance);
    } else {
      std::string refusal;
      try {
        gradcheck(squared, inputs, {.order = 2});
      } catch (Error const& e) {
        refusal = e.what();
      }
      INFO("refusal: ", refusal);
      CHECK(refusal.find(": differentiable once") != std::string::npos);
      CHECK(ops_of(c).count(refusal.substr(0, refusal.find(':'))) == 1);
    }
  }
}

TEST_CASE("op cases: wrong shapes are refused") {
  for (auto const& c : all())
    for (auto const& shapes : c.options.wrong) {
      std::vector<Var<float>> x;
      std::string given;
      for (auto const& s : shapes) x.push_back(Var<float>(ones<float>(s))), given += str(s, " ");
      INFO(c.name, " given ", given);
      CHECK_THROWS_AS(c.in_float(x), Error);
    }
}

TEST_CASE("op cases: the same bits for any number of threads") {
  int const before = threads();
  for (auto const& c : all()) {
    INFO(c.name);
    auto const inputs = make_inputs<float>(c.options.bench.empty() ? c.inputs : c.options.bench);
    set_threads(1);
    auto const one = value_and_gradients(c, inputs);
    for (int n : {2, 7}) {
      set_threads(n);
      CHECK((value_and_gradients(c, inputs) == one));
    }
  }
  set_threads(before);
}
