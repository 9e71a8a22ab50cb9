// The arrays of a case file and the comparisons made with them. Every floating array k has a companion floor.k = [largest
// difference, r.m.s. difference, largest magnitude] between the original code's float32 and float64 runs; limits follow from it.
#pragma once
#include <cmath>
#include <functional>
#include <map>
#include <ostream>
#include <set>
#include <utility>

#include "rig/io/any_tensor.hpp"
#include "rig/ops/shape.hpp"

namespace program::verify {

using V = rig::Var<float>;

inline bool starts(std::string const& s, std::string const& with) { return s.compare(0, with.size(), with) == 0; }

/// "c07." with whatever follows it, or "count".
inline bool is_of_operator(std::string const& name) {
  std::size_t const digits = name.find_first_not_of("0123456789", 1);
  return name == "count" || (starts(name, "c") && digits != std::string::npos && digits > 1 && name[digits] == '.');
}
/// "seed85"
inline bool is_of_seed(std::string const& name) {
  return starts(name, "seed") && name.size() > 4 && name.find_first_not_of("0123456789", 4) == std::string::npos;
}

/// The arrays of a case and the comparisons made with them.
class Case {
 public:
  /// Tensors are put on the device.
  explicit Case(std::string const& path, rig::Device device = {});
  rig::Device const& device() const { return device_; }
  bool has(std::string const& name) const { return arrays_.count(name) > 0; }
  rig::Shape shape(std::string const& name) const { return at(name).shape(); }
  rig::io::DType dtype(std::string const& name) const { return at(name).dtype(); }
  rig::Tensor<float> tensor(std::string const& name) {
    used_.insert(name);
    return at(name).as<float>().to(device_);
  }
  V var(std::string const& name) { return has(name) ? V(tensor(name)) : V{}; }
  double number(std::string const& name) {
    used_.insert(name);
    rig::check(at(name).size() == 1, path_, ": ", name, " should be one number, the case has ", shape(name));
    return at(name).item<double>();
  }
  /// A whole number in [first, last].
  int whole(std::string const& name, int first, int last) {
    double const v = number(name);
    rig::check(v >= first && v <= last && v == std::floor(v), path_, ": ", name, " should be a whole number from ", first, " to ", last,
               ", the case has ", v);
    return int(v);
  }
  std::vector<int> integers(std::string const& name) {
    used_.insert(name);
    std::vector<int> v;
    for (auto i : at(name).as<std::int64_t>().host()) {
      rig::check(std::in_range<int>(i), path_, ": ", name, " holds ", i, ", which is too large");
      v.push_back(int(i));
    }
    return v;
  }
  std::vector<double> numbers(std::string const& name) {
    used_.insert(name);
    return at(name).as<double>().host();
  }
  /// Of the arrays that begin with it, in the order of the file.
  std::vector<std::string> names(std::string const& prefix) const {
    std::vector<std::string> v;
    for (auto const& t : list_)
      if (starts(t.name, prefix)) v.push_back(t.name);
    return v;
  }

  /// Runs a part of the case. If it ends in an Error, the report says so, and the other parts go on.
  void attempt(std::string const& part, std::function<void()> const& run);
  /// A part that was not checked, and why.
  void leave_out(std::string const& part, std::string const& why) { left_out_.emplace_back(part, why); }
  std::size_t checked() const { return results_.size(); }

  /// Compares if the case holds the array. An empty tensor stands for zeros. `group`: derivatives belong to one, forward values
  /// to none.
  void compare(std::string const& name, rig::Tensor<float> const& ours, std::string const& group = "");
  /// The same with the wider limits of a training: 10 e + 1e-4 m for what was logged and for gradients.
  void compare_training(std::string const& name, rig::Tensor<float> const& ours, std::string const& group);
  /// 10 e + 1e-2 of the largest change: a weight after training that was `initial` before.
  void compare_change(std::string const& name, rig::Tensor<float> const& ours, rig::Tensor<float> const& initial);
  /// For numbers that no computation in float32 made, which have no floor: up to `relative` of the largest.
  void compare_numbers(std::string const& name, std::vector<double> const& ours, double relative);
  /// Writes the JSON object; 0 if every array was checked and lies within its limit, else 1. Error if the case holds nothing to check.
  int report(std::string const& network, std::ostream& out);
  void use(std::string const& name) { used_.insert(name); }
  /// A sentence for the report: what had to be assumed.
  void note(std::string text) { notes_.push_back(std::move(text)); }

 private:
  struct Result {
    std::string name, group;
    double error, magnitude, limit;
  };
  struct Difference {
    double error, e, m;  ///< ours; largest difference and magnitude of the case's own floor
  };
  Difference difference(std::string const& name, rig::Tensor<float> const& ours) const;
  void add(std::string const& name, std::string const& group, Difference const& d, double limit);
  rig::io::AnyTensor const& at(std::string const& name) const {
    auto it = arrays_.find(name);
    rig::check(it != arrays_.end(), path_, ": the case has no array ", name);
    return *it->second;
  }

  std::string path_;
  rig::Device device_;
  std::vector<rig::io::NamedTensor> list_;
  std::map<std::string, rig::io::AnyTensor const*> arrays_;
  std::set<std::string> used_;
  std::vector<std::string> notes_;
  std::vector<std::pair<std::string, std::string>> left_out_;
  std::vector<Result> results_;
  std::map<std::string, double> largest_;
};

// Case files are channels first.
inline V to_last(V const& x) { return permute(x, {0, 2, 3, 1}); }
inline V to_first(V const& x) { return permute(x, {0, 3, 1, 2}); }

}  // namespace program::verify
