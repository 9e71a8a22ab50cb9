// Reads the stored operator cases of StyleGAN (parity/stylegan/ops_*.npz) and compares an op with them: values,
// gradients, and gradients of gradients. They are NCHW and OIHW; rig is channels last.
#pragma once
#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "rig/autodiff/tape.hpp"
#include "rig/io/npz.hpp"
#include "rig/ops/arithmetic.hpp"

namespace parity {

using namespace rig;

/// The file, or "" if there is none (then the test says so and is skipped).
inline std::string data_file(std::string const& name) {
  char const* set = std::getenv("RIG_TEST_DATA");
  std::string const path = std::string(set ? set : "../shared") + "/" + name;
  if (std::filesystem::exists(path)) return path;
  MESSAGE("skipped: no " << name << " (set RIG_TEST_DATA to the folder of the stored cases)");
  return "";
}

class Case {
 public:
  Case(std::map<std::string, io::AnyTensor> const* all, std::string prefix) : all_(all), prefix_(std::move(prefix)) {}
  bool has(std::string const& name) const { return all_->count(prefix_ + name) > 0; }
  io::AnyTensor const& raw(std::string const& name) const {
    REQUIRE_MESSAGE(has(name), prefix_ << name);
    return all_->at(prefix_ + name);
  }
  /// An image, weight or noise turned to channels last; anything of another rank as it is. Empty if absent.
  Tensor<float> tensor(std::string const& name) const {
    if (!has(name)) return {};
    Tensor<float> const t = raw(name).as<float>();
    return t.rank() == 4 ? permute<float>(t, {0, 2, 3, 1}).value() : t;
  }
  Tensor<float> filter() const { return has("f") ? raw("f").as<float>() : Tensor<float>(); }
  int number(std::string const& name, std::int64_t i) const { return int(raw(name).as<double>().data()[i]); }
  double scalar(std::string const& name) const { return raw(name).item<double>(); }
  std::string const& prefix() const { return prefix_; }

  /// The README's limits: 4 e + 2e-6 m for values, 8 e + 3e-5 m for derivatives; m at least 1e-6 of the group's largest.
  void compare(std::string const& name, Tensor<float> const& ours, bool derivative, double group) const {
    INFO(prefix_, name);
    Tensor<float> const stored = tensor(name);
    REQUIRE(ours.shape() == stored.shape());
    Tensor<double> const floor = raw("floor." + name, 0);
    double const e = floor.data()[0], m = floor.data()[2];
    double const limit = m < 1e-6 * group ? 1e-7 * group : derivative ? 8 * e + 3e-5 * m : 4 * e + 2e-6 * m;
    double d = 0;
    auto const a = ours.host(), b = stored.host();
    for (std::size_t i = 0; i < a.size(); ++i) d = std::max(d, std::abs(double(a[i]) - double(b[i])));
    CHECK(d <= limit);
  }
  double magnitude(std::string const& name) const { return raw("floor." + name, 0).data()[2]; }

 private:
  // floor.* stands beside the prefix: floor.cNN.name or cNN.floor.name.
  Tensor<double> raw(std::string const& name, int) const {
    if (has(name)) return all_->at(prefix_ + name).as<double>();
    std::string const other = "floor." + prefix_ + name.substr(6);
    REQUIRE_MESSAGE(all_->count(other) == 1, other);
    return all_->at(other).as<double>();
  }
  std::map<std::string, io::AnyTensor> const* all_;
  std::string prefix_;
};

/// f(case, inputs by the given names that are present, in order) against y, d.*, dd.*. Returns how many cases were run.
inline int run(std::string const& file, std::vector<std::string> const& names,
               std::function<Var<float>(Case const&, std::map<std::string, Var<float>> const&)> const& f) {
  std::string const path = data_file("parity/stylegan/" + file);
  if (path.empty()) return -1;
  std::map<std::string, io::AnyTensor> all;
  for (auto const& t : io::read_npz(path)) all[t.name] = t.tensor;
  int const count = int(all.at("count").item<double>());
  for (int i = 0; i < count; ++i) {
    Case const c(&all, (i < 10 ? "c0" : "c") + std::to_string(i) + ".");
    INFO(file, " ", c.prefix());
    Tape tape;
    std::map<std::string, Var<float>> inputs;
    std::vector<std::string> present;
    std::vector<Var<float>> x;
    for (auto const& name : names)
      if (c.has(name)) {
        x.push_back(tape.watch(c.tensor(name)));
        present.push_back(name);
        inputs[name] = x.back();
      }
    Var<float> const gy = tape.watch(c.tensor("gy"));
    Var<float> const y = f(c, inputs);
    c.compare("y", y.value(), false, 0);
    auto const g = tape.grad(y, x, gy);
    double largest = 0;
    for (auto const& name : present) largest = std::max(largest, c.magnitude("d." + name));
    Var<float> total;
    for (std::size_t k = 0; k < x.size(); ++k) {
      c.compare("d." + present[k], g[k].value(), true, largest);
      if (!c.has("v." + present[k])) continue;
      Var<float> const part = sum(g[k] * Var<float>(c.tensor("v." + present[k])));
      total = total ? total + part : part;
    }
    std::vector<Var<float>> again = x;
    again.push_back(gy);
    auto const gg = tape.grad(total, again, {}, true);
    std::vector<std::string> second = present;
    second.push_back("gy");
    largest = 0;
    for (auto const& name : second)
      if (c.has("dd." + name)) largest = std::max(largest, c.magnitude("dd." + name));
    for (std::size_t k = 0; k < gg.size(); ++k)
      if (c.has("dd." + second[k])) c.compare("dd." + second[k], gg[k] ? gg[k].value() : zeros<float>(again[k].shape()), true, largest);
  }
  return count;
}

}  // namespace parity
