#include "verify.hpp"

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "rig/nn/stylegan2_loader.hpp"

using namespace rig;

namespace {

using V = Var<float>;
using Json = nlohmann::ordered_json;

bool starts(std::string const& s, std::string const& with) { return s.compare(0, with.size(), with) == 0; }

/// The arrays of a case and the comparisons made with them.
class Case {
 public:
  explicit Case(std::string const& path) : path_(path), list_(io::read_npz(path)) {
    for (auto const& t : list_) arrays_[t.name] = &t.tensor;
  }
  bool has(std::string const& name) const { return arrays_.count(name) > 0; }
  Tensor<float> tensor(std::string const& name) {
    used_.insert(name);
    return at(name).as<float>();
  }
  V var(std::string const& name) { return has(name) ? V(tensor(name)) : V{}; }
  double number(std::string const& name) {
    used_.insert(name);
    return at(name).item<double>();
  }
  std::vector<int> integers(std::string const& name) {
    used_.insert(name);
    std::vector<int> v;
    for (auto i : at(name).as<std::int64_t>().host()) v.push_back(int(i));
    return v;
  }
  std::vector<std::string> names(std::string const& prefix) const {
    std::vector<std::string> v;
    for (auto const& t : list_)
      if (starts(t.name, prefix)) v.push_back(t.name);
    return v;
  }

  /// Compares if the case holds the array. An empty tensor stands for zeros. `group`: derivatives belong to one.
  void compare(std::string const& name, Tensor<float> const& ours, std::string const& group = "") {
    if (!has(name)) return;
    std::vector<double> const stored = at(name).as<double>().host();
    check(!ours || ours.size() == std::int64_t(stored.size()), path_, ": ", name, " has ", stored.size(), " values, rig computes ",
          ours.shape());
    std::size_t const dot = name.find('.');  // cases of operators: c00.floor.y
    std::string const floor_name =
        has("floor." + name) || dot == std::string::npos ? "floor." + name : name.substr(0, dot) + ".floor" + name.substr(dot);
    std::vector<double> const floor = at(floor_name).as<double>().host();
    check(floor.size() == 3, path_, ": ", floor_name, " should hold three numbers");
    Result r{name, group, 0, floor[2], 0};
    std::vector<float> const mine = ours ? ours.host() : std::vector<float>(stored.size(), 0.0f);
    for (std::size_t i = 0; i < mine.size(); ++i) {
      double const d = std::abs(double(mine[i]) - stored[i]);
      r.error = std::isfinite(d) ? std::max(r.error, d) : HUGE_VAL;
    }
    r.limit = group.empty() ? 4 * floor[0] + 2e-6 * floor[2] : 8 * floor[0] + 3e-5 * floor[2];
    if (!group.empty()) largest_[group] = std::max(largest_[group], floor[2]);
    results_.push_back(r);
    used_.insert(name);
  }

  int report(std::string const& generator, std::ostream& out) {
    Json j;
    if (!generator.empty()) j["generator"] = generator;
    j["case"] = path_;
    bool good = true;
    Json list = Json::array();
    for (auto& r : results_) {
      // A derivative that is zero in exact arithmetic is judged against the largest one of its group.
      if (!r.group.empty() && r.magnitude < 1e-6 * largest_[r.group]) r.limit = std::max(r.limit, 1e-7 * largest_[r.group]);
      bool const pass = r.error <= r.limit;
      good = good && pass;
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
    check(!results_.empty(), path_, ": this case holds nothing that a generator alone can be checked with");
    j["checked"] = results_.size();
    j["outputs"] = std::move(list);
    j["not_checked"] = std::move(rest);
    j["verdict"] = good ? "within tolerance" : "beyond tolerance";
    out << j.dump(1) << "\n";
    return good ? 0 : 1;
  }
  void use(std::string const& name) { used_.insert(name); }

 private:
  struct Result {
    std::string name, group;
    double error, magnitude, limit;
  };
  static Json number_or_null(double v) { return std::isfinite(v) ? Json(v) : Json(nullptr); }
  io::AnyTensor const& at(std::string const& name) const {
    auto it = arrays_.find(name);
    check(it != arrays_.end(), path_, ": the case has no array ", name);
    return *it->second;
  }

  std::string path_;
  std::vector<io::NamedTensor> list_;
  std::map<std::string, io::AnyTensor const*> arrays_;
  std::set<std::string> used_;
  std::vector<Result> results_;
  std::map<std::string, double> largest_;
};

V to_last(V const& x) { return permute(x, {0, 2, 3, 1}); }
V to_first(V const& x) { return permute(x, {0, 3, 1, 2}); }

/// One of rig's tensors in the layout of the original code.
Tensor<float> canonical(std::string const& name, Tensor<float> const& t) {
  if (!t) return t;
  if (t.rank() == 4) return to_first(V(t)).value();
  if (name.size() > 6 && name.compare(name.size() - 6, 6, ".const") == 0) return permute(V(t), {2, 0, 1}).value();
  return t;
}

// ---- networks ---------------------------------------------------------------------------------------------------------

std::vector<V> watched(Tape& tape, nn::Generator<float>& g, std::vector<std::string>& names) {
  tape.watch(g);
  std::vector<V> list;
  nn::parameters(g, [&](std::string const& name, Param<float>& p) {
    names.push_back(name);
    list.push_back(p);
  });
  return list;
}

void verify_forward(Case& k, nn::Generator<float>& g) {
  V const z = k.var("z"), c = k.var("c");
  V const w = g.mapping(z, c);
  k.compare("w", w.value());
  auto image = [&](char const* name, V const& codes, nn::SynthesisOptions<float> const& o = {}) {
    if (k.has(name)) k.compare(name, to_first(g.synthesis(codes, o)).value());
  };
  std::map<std::string, Tensor<float>> seen;
  nn::SynthesisOptions<float> observed;
  observed.observe = [&](std::string const& name, V const& v) {
    if (!k.has("act." + name)) return;
    V const first = to_first(slice(v, 0, 0, 1));
    k.compare("act." + name, (v.dim(1) > 16 ? slice(first, 1, 0, std::min<std::int64_t>(2, first.dim(1))) : first).value());
  };
  image("img_const", w, observed);
  nn::SynthesisOptions<float> none;
  none.noise = nn::Noise::none;
  image("img_none", w, none);
  if (k.has("w_psi07")) {
    V const v = g.mapping(z, c, {.psi = 0.7});
    k.compare("w_psi07", v.value());
    image("img_psi07", v);
  }
  if (k.has("w_psi035_cut")) k.compare("w_psi035_cut", g.mapping(z, c, {.psi = 0.35, .cutoff = int(k.number("cutoff"))}).value());
  if (k.has("img_random")) {
    nn::SynthesisOptions<float> random;
    random.noise = nn::Noise::random;
    for (auto const& site : g.synthesis.sites())
      if (site.has_noise) random.given.push_back(to_last(k.var("noise_in." + site.name)));
    image("img_random", w, random);
  }
  if (k.has("w_mix")) {
    V const mixed = nn::mix(w, g.mapping(k.var("z2"), c), std::int64_t(k.number("mix")));
    k.compare("w_mix", mixed.value());
    image("img_mix", mixed);
  }
}

void verify_gradients(Case& k, nn::Generator<float>& g) {
  if (!k.has("g")) return;
  V const target = to_last(k.var("g"));
  {
    Tape tape;
    std::vector<std::string> names;
    std::vector<V> leaves = watched(tape, g, names);
    // The codes are a leaf of their own here, whose gradient does not run through the mapping.
    V const ws = tape.watch(g.mapping(k.var("z"), k.var("c")).value());
    names.push_back("ws"), leaves.push_back(ws);
    V const loss = sum(g.synthesis(ws) * target);
    k.compare("loss", loss.value(), "loss");
    auto const gradients = tape.grad(loss, leaves, {}, true);
    for (std::size_t i = 0; i < names.size(); ++i) k.compare("grad." + names[i], canonical(names[i], gradients[i].value()), "grad");
  }
  if (!k.names("gradz.").empty()) {
    Tape tape;
    std::vector<std::string> names;
    std::vector<V> leaves = watched(tape, g, names);
    V const z = tape.watch(k.tensor("z")), c = k.has("c") ? tape.watch(k.tensor("c")) : V{};
    names.push_back("z"), leaves.push_back(z);
    if (c) names.push_back("c"), leaves.push_back(c);
    auto const gradients = tape.grad(sum(g.synthesis(g.mapping(z, c)) * target), leaves, {}, true);
    for (std::size_t i = 0; i < names.size(); ++i) k.compare("gradz." + names[i], canonical(names[i], gradients[i].value()), "gradz");
  }
}

/// The path length penalty (Karras et al. 2020, section 3.2); its parameter gradients are second derivatives.
void verify_path_length(Case& k, nn::Generator<float>& g) {
  if (!k.has("pl.noise")) return;
  Tape tape;
  std::vector<std::string> names;
  std::vector<V> leaves = watched(tape, g, names);
  Tensor<float> const noise = k.tensor("pl.noise");
  std::int64_t const n = noise.dim(0);
  V const z(k.tensor("z").rows(0, n)), c = k.has("c") ? V(k.tensor("c").rows(0, n)) : V{};
  V const y = float(1 / std::sqrt(double(noise.dim(2) * noise.dim(3)))) * to_last(V(noise));
  V const ws = g.mapping(z, c);
  names.push_back("ws"), leaves.push_back(ws);
  V const j = tape.grad(sum(g.synthesis(ws) * y), ws);
  V const lengths = sqrt(mean(sum(square(j), 2), 1));
  V const before(full<float>({}, float(k.number("pl.mean_in"))));
  V const average = before + 0.01f * (mean(lengths) - before);
  V const loss = 2.0f * mean(square(lengths - average));
  k.compare("pl.grads", j.value(), "pl.grads");
  k.compare("pl.lengths", lengths.value(), "pl.lengths");
  k.compare("pl.mean_out", average.value(), "pl.mean_out");
  k.compare("pl.loss", loss.value(), "pl.loss");
  auto const gradients = tape.grad(loss, leaves, {}, true);
  for (std::size_t i = 0; i < names.size(); ++i) k.compare("pl.grad." + names[i], canonical(names[i], gradients[i].value()), "pl.grad");
}

// ---- operators --------------------------------------------------------------------------------------------------------

using Function = std::function<V(std::map<std::string, V>&)>;

/// Value, gradient of sum(y gy), and gradient of sum over inputs of (that gradient times a given direction).
void verify_operator(Case& k, std::string const& prefix, std::vector<std::string> const& inputs, Function const& f) {
  Tape tape;
  std::map<std::string, V> x;
  std::vector<V> leaves;
  std::vector<std::string> names;
  for (auto const& name : inputs)
    if (k.has(prefix + name)) {
      x[name] = tape.watch(k.tensor(prefix + name));
      leaves.push_back(x[name]);
      names.push_back(name);
    }
  V const y = f(x);
  k.compare(prefix + "y", y.value());
  V const gy = tape.watch(k.tensor(prefix + "gy"));
  auto const d = tape.grad(y, leaves, gy, true);
  V total;
  for (std::size_t i = 0; i < names.size(); ++i) {
    k.compare(prefix + "d." + names[i], d[i].value(), prefix + "d");
    if (!d[i] || !k.has(prefix + "v." + names[i])) continue;
    V const term = sum(d[i] * k.var(prefix + "v." + names[i]));
    total = total ? total + term : term;
  }
  if (!total || !total.tracked()) return;
  names.push_back("gy"), leaves.push_back(gy);
  auto const dd = tape.grad(total, leaves, {}, true);
  for (std::size_t i = 0; i < names.size(); ++i) k.compare(prefix + "dd." + names[i], dd[i].value(), prefix + "dd");
}

void verify_operators(Case& k, std::string const& file) {
  int const count = int(k.number("count"));
  auto is = [&](char const* name) { return file.find(name) != std::string::npos; };
  for (int i = 0; i < count; ++i) {
    std::string const c = std::string(i < 10 ? "c0" : "c") + std::to_string(i) + ".";
    std::vector<int> const p = k.has(c + "p") ? k.integers(c + "p") : std::vector<int>{};
    Tensor<float> const filter = k.has(c + "f") ? k.tensor(c + "f") : Tensor<float>{};
    if (is("ops_bias_act")) {
      int const axis = int(k.number(c + "dim"));
      BiasActOptions const o{.activation = Activation(int(k.number(c + "act"))),
                             .alpha = k.number(c + "alpha"),
                             .gain = k.number(c + "gain"),
                             .clamp = k.number(c + "clamp")};
      verify_operator(k, c, {"x", "b"}, [&](std::map<std::string, V>& in) {
        std::vector<int> order, back(std::size_t(in["x"].rank()));
        for (int a = 0; a < in["x"].rank(); ++a)
          if (a != axis) order.push_back(a);
        order.push_back(axis);
        for (std::size_t a = 0; a < order.size(); ++a) back[std::size_t(order[a])] = int(a);
        return permute(bias_act(permute(in["x"], order), in["b"], o), back);
      });
    } else if (is("ops_upfirdn2d")) {
      int const kind = int(k.number(c + "kind"));
      UpfirdnOptions o;
      o.up = {p[0], p[1]}, o.down = {p[2], p[3]}, o.padding = {p[4], p[5], p[6], p[7]}, o.flip = p[8] != 0, o.gain = k.number(c + "gain");
      verify_operator(k, c, {"x"}, [&](std::map<std::string, V>& in) {
        V const x = to_last(in["x"]);
        return to_first(kind == 0   ? upfirdn2d(x, filter, o)
                        : kind == 1 ? filter2d(x, filter, o)
                        : kind == 2 ? upsample2d(x, filter, o)
                                    : downsample2d(x, filter, o));
      });
    } else if (is("ops_conv2d_resample")) {
      ConvResampleOptions o;
      o.up = p[0], o.down = p[1], o.padding = {p[2], p[3], p[4], p[5]}, o.groups = p[6], o.flip_weight = p[7] != 0,
      o.flip_filter = p[8] != 0;
      verify_operator(k, c, {"x", "w"}, [&](std::map<std::string, V>& in) {
        return to_first(conv2d_resample(to_last(in["x"]), to_last(in["w"]), filter, o));
      });
    } else if (is("ops_modulated_conv2d")) {
      ModulatedConvOptions<float> o;
      o.up = p[0], o.down = p[1], o.padding = p[2], o.demodulate = p[3] != 0, o.flip_weight = p[4] != 0, o.filter = filter;
      verify_operator(k, c, {"x", "w", "s", "noise"}, [&](std::map<std::string, V>& in) {
        V const y = to_first(modulated_conv2d(to_last(in["x"]), to_last(in["w"]), in["s"], o));
        return in["noise"] ? y + in["noise"] : y;
      });
    } else if (is("ops_norms")) {
      int const kind = int(k.number(c + "kind"));
      if (kind == 3) verify_operator(k, c, {"x"}, [&](std::map<std::string, V>& in) { return nn::normalize_second_moment(in["x"]); });
      if (kind == 4) {
        double const lr = k.number(c + "lr");
        auto const act = Activation(int(k.number(c + "act")));
        verify_operator(k, c, {"x", "w", "b"}, [&](std::map<std::string, V>& in) {
          return nn::dense(in["x"], in["w"], in["b"], act, lr / std::sqrt(double(in["w"].dim(1))), lr);
        });
      }
    }
  }
}

}  // namespace

int program::run_verify(std::string const& generator, std::string const& case_file, std::ostream& out) {
  Case k(case_file);
  if (k.has("count")) {
    k.use("count");
    std::size_t const slash = case_file.find_last_of('/');
    std::string const name = slash == std::string::npos ? case_file : case_file.substr(slash + 1);
    check(name.find("_sg3") == std::string::npos, case_file, ": operators of StyleGAN3 cannot be verified yet");
    verify_operators(k, name);
    return k.report("", out);
  }
  check(!generator.empty(), case_file, ": this case belongs to a network; its generator file is needed");
  nn::Generator<float> g = nn::load_stylegan2(generator);
  if (k.has("z") && k.has("w")) {
    verify_forward(k, g);
    verify_gradients(k, g);
    verify_path_length(k, g);
  }
  return k.report(generator, out);
}
