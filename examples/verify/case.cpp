#include "case.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rig/io/file.hpp"

namespace program::verify {
using namespace rig;
using Json = nlohmann::ordered_json;

namespace {
Json number_or_null(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }

std::vector<io::NamedTensor> read_case(std::string const& path) {
  io::Kind const kind = io::identify(io::MappedFile(path).bytes());
  // Of a damaged archive the reader says what is wrong.
  check(kind == io::Kind::npz || kind == io::Kind::zip, path, ": expected a case (.npz), found ", io::name_of(kind));
  return io::read_npz(path);
}
}  // namespace

Case::Case(std::string const& path, Device device) : path_(path), device_(std::move(device)), list_(read_case(path)) {
  for (auto const& t : list_) arrays_[t.name] = &t.tensor;
}

Case::Difference Case::difference(std::string const& name, Tensor<float> const& ours) const {
  std::vector<double> const stored = at(name).as<double>().host();
  check(!ours || ours.size() == std::int64_t(stored.size()), path_, ": ", name, " has ", stored.size(), " values, rig computes ",
        ours.shape());
  std::size_t const dot = name.find('.');  // cases of operators: c00.floor.y
  std::string const floor_name =
      has("floor." + name) || dot == std::string::npos ? "floor." + name : name.substr(0, dot) + ".floor" + name.substr(dot);
  std::vector<double> const floor = at(floor_name).as<double>().host();
  bool const fine = floor.size() == 3 && std::all_of(floor.begin(), floor.end(), [](double v) { return std::isfinite(v) && v >= 0; });
  check(fine, path_, ": ", floor_name, " should hold three numbers, none of them negative");
  std::vector<float> const mine = ours ? ours.host() : std::vector<float>(stored.size(), 0.0f);
  Difference r{0, floor[0], floor[2]};
  for (std::size_t i = 0; i < mine.size(); ++i) {
    double const d = std::abs(double(mine[i]) - stored[i]);
    r.error = std::isfinite(d) ? std::max(r.error, d) : HUGE_VAL;
  }
  return r;
}

void Case::add(std::string const& name, std::string const& group, Difference const& d, double limit) {
  if (!group.empty()) largest_[group] = std::max(largest_[group], d.m);
  results_.push_back({name, group, d.error, d.m, limit});
  used_.insert(name);
}

void Case::attempt(std::string const& part, std::function<void()> const& run) {
  try {
    run();
  } catch (Error const& e) {
    std::string const why = e.what();
    leave_out(part, starts(why, path_) ? why : str(path_, ": ", part, ": ", why));
  }
}

void Case::compare(std::string const& name, Tensor<float> const& ours, std::string const& group) {
  if (!has(name)) return;
  attempt(name, [&] {
    Difference const d = difference(name, ours);
    add(name, group, d, group.empty() ? 4 * d.e + 2e-6 * d.m : 8 * d.e + 3e-5 * d.m);
  });
}

void Case::compare_training(std::string const& name, Tensor<float> const& ours, std::string const& group) {
  if (!has(name)) return;
  attempt(name, [&] {
    Difference const d = difference(name, ours);
    add(name, group, d, 10 * d.e + 1e-4 * d.m);
  });
}

void Case::compare_change(std::string const& name, Tensor<float> const& ours, Tensor<float> const& initial) {
  if (!has(name)) return;
  attempt(name, [&] {
    Difference const d = difference(name, ours);
    std::vector<double> const stored = at(name).as<double>().host();
    std::vector<float> const before = initial.host();
    double change = 0;
    for (std::size_t i = 0; i < before.size(); ++i) change = std::max(change, std::abs(stored[i] - double(before[i])));
    add(name, "", d, 10 * d.e + 1e-2 * change);
  });
}

void Case::compare_numbers(std::string const& name, std::vector<double> const& ours, double relative) {
  if (!has(name)) return;
  attempt(name, [&] {
    std::vector<double> const stored = at(name).as<double>().host();
    check(ours.size() == stored.size(), path_, ": ", name, " has ", stored.size(), " values, rig has ", ours.size());
    Result r{name, "", 0, 0, 0};
    for (std::size_t i = 0; i < ours.size(); ++i) {
      double const d = std::abs(ours[i] - stored[i]);
      r.error = std::isfinite(d) ? std::max(r.error, d) : HUGE_VAL, r.magnitude = std::max(r.magnitude, std::abs(stored[i]));
    }
    r.limit = relative * r.magnitude;
    results_.push_back(r);
    used_.insert(name);
  });
}

int Case::report(std::string const& network, std::ostream& out) {
  Json j;
  if (!network.empty()) j["network"] = network;
  j["case"] = path_;
  bool within = true;
  Json list = Json::array();
  for (auto& r : results_) {
    // A derivative that is zero in exact arithmetic is judged against the largest one of its group.
    if (!r.group.empty() && r.magnitude < 1e-6 * largest_[r.group]) r.limit = std::max(r.limit, 1e-7 * largest_[r.group]);
    bool const pass = r.error <= r.limit;
    within = within && pass;
    Json o;
    o["name"] = r.name;
    o["max_absolute_error"] = number_or_null(r.error);
    o["max_relative_error"] = number_or_null(r.magnitude > 0 ? r.error / r.magnitude : (r.error > 0 ? HUGE_VAL : 0));
    o["limit"] = r.limit;
    o["within"] = pass;
    list.push_back(std::move(o));
  }
  Json rest = Json::array();
  for (auto const& t : list_)
    if (!used_.count(t.name) && t.name.find("floor.") == std::string::npos) rest.push_back(t.name);
  check(!results_.empty() || !left_out_.empty(), path_, ": this case holds nothing that rig can check");
  bool const complete = rest.empty() && left_out_.empty();
  j["checked"] = results_.size();
  j["outputs"] = std::move(list);
  j["not_checked"] = std::move(rest);
  for (auto const& [part, why] : left_out_) j["reasons"][part] = why;
  if (!notes_.empty()) j["notes"] = notes_;
  j["verdict"] = !within ? "beyond tolerance" : complete ? "within tolerance" : "not all checked";
  out << j.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  return within && complete ? 0 : 1;
}

}  // namespace program::verify
