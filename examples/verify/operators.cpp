#include <algorithm>

#include "rig/autodiff/tape.hpp"
#include "rig/nn/mapping.hpp"
#include "rig/ops/conv.hpp"
#include "rig/ops/filtered_lrelu.hpp"
#include "rig/ops/minibatch_stddev.hpp"
#include "rig/ops/modulated_conv.hpp"
#include "rig/ops/norm.hpp"
#include "rig/ops/progressive.hpp"
#include "rig/ops/upfirdn.hpp"
#include "verifiers.hpp"

namespace program::verify {
using namespace rig;

namespace {

using Function = std::function<V(std::map<std::string, V>&)>;

/// Value, gradient of sum(y gy), and gradient of sum over inputs of (that gradient times a given direction). Inputs with a question mark
/// may be absent.
void differentiate(Case& k, std::string const& prefix, std::vector<std::string> const& inputs, Function const& f) {
  Tape tape;
  std::map<std::string, V> x;
  std::vector<V> leaves;
  std::vector<std::string> names;
  for (std::string name : inputs) {
    bool const optional = name.back() == '?';
    if (optional) name.pop_back();
    if (!optional || k.has(prefix + name)) {
      x[name] = tape.watch(k.tensor(prefix + name));
      leaves.push_back(x[name]);
      names.push_back(name);
    }
  }
  V const y = f(x);
  k.compare(prefix + "y", y.value());
  bool const derived = !k.names(prefix + "d.").empty() || !k.names(prefix + "dd.").empty();
  if (!derived && !k.has(prefix + "gy")) return;
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

/// One case of an operator: its arrays without the prefix, its options, and the comparisons.
struct Operator {
  Case& k;
  std::string prefix;
  std::vector<int> p;  ///< integer options, or empty

  Operator(Case& c, std::string case_prefix) : k(c), prefix(std::move(case_prefix)) {
    if (has("p")) p = k.integers(prefix + "p");
  }
  bool has(std::string const& name) const { return k.has(prefix + name); }
  double number(std::string const& name) const { return k.number(prefix + name); }
  int whole(std::string const& name, int first, int last) const { return k.whole(prefix + name, first, last); }
  int kind() const { return whole("kind", 0, 99); }
  Activation activation() const { return Activation(whole("act", 0, 8)); }
  std::vector<int> const& options(std::size_t count) const {
    check(p.size() == count, prefix, "p should hold ", count, " numbers, the case has ", p.size());
    return p;
  }
  Shape shape(std::string const& name) const { return k.shape(prefix + name); }
  Tensor<float> tensor(std::string const& name) const { return has(name) ? k.tensor(prefix + name) : Tensor<float>{}; }
  void check_with(std::vector<std::string> const& inputs, Function const& f) const { differentiate(k, prefix, inputs, f); }
};
using Inputs = std::map<std::string, V>;

/// f of x with one axis at the end, which then goes back to its place.
V along(V const& x, int axis, std::function<V(V const&)> const& f) {
  std::vector<int> order, back(std::size_t(x.rank()));
  for (int a = 0; a < x.rank(); ++a)
    if (a != axis) order.push_back(a);
  order.push_back(axis);
  for (std::size_t a = 0; a < order.size(); ++a) back[std::size_t(order[a])] = int(a);
  return permute(f(permute(x, order)), back);
}

void run_bias_act(Operator const& op) {
  int const axis = op.whole("dim", 0, op.shape("x").rank() - 1);
  BiasActOptions const o{
      .activation = op.activation(), .alpha = op.number("alpha"), .gain = op.number("gain"), .clamp = op.number("clamp")};
  op.check_with({"x", "b?"}, [&](Inputs& in) { return along(in["x"], axis, [&](V const& x) { return bias_act(x, in["b"], o); }); });
}

void run_upfirdn2d(Operator const& op) {
  auto const& p = op.options(9);
  int const kind = op.whole("kind", 0, 3);
  Tensor<float> const filter = op.tensor("f");
  UpfirdnOptions o;
  o.up = {p[0], p[1]}, o.down = {p[2], p[3]}, o.padding = {p[4], p[5], p[6], p[7]}, o.flip = p[8] != 0, o.gain = op.number("gain");
  op.check_with({"x"}, [&](Inputs& in) {
    V const x = to_last(in["x"]);
    return to_first(kind == 0   ? upfirdn2d(x, filter, o)
                    : kind == 1 ? filter2d(x, filter, o)
                    : kind == 2 ? upsample2d(x, filter, o)
                                : downsample2d(x, filter, o));
  });
}

void run_conv2d_resample(Operator const& op) {
  auto const& p = op.options(9);
  Tensor<float> const filter = op.tensor("f");
  ConvResampleOptions o;
  o.up = p[0], o.down = p[1], o.padding = {p[2], p[3], p[4], p[5]}, o.groups = p[6], o.flip_weight = p[7] != 0, o.flip_filter = p[8] != 0;
  op.check_with({"x", "w"}, [&](Inputs& in) { return to_first(conv2d_resample(to_last(in["x"]), to_last(in["w"]), filter, o)); });
}

void run_modulated_conv2d(Operator const& op) {
  auto const& p = op.options(6);
  ModulatedConvOptions<float> o;
  o.up = p[0], o.down = p[1], o.padding = p[2], o.demodulate = p[3] != 0, o.flip_weight = p[4] != 0, o.filter = op.tensor("f");
  op.check_with({"x", "w", "s", "noise?"}, [&](Inputs& in) {
    V const y = to_first(modulated_conv2d(to_last(in["x"]), to_last(in["w"]), in["s"], o));
    return in["noise"] ? y + in["noise"] : y;
  });
}

void run_normalized_modulated_conv2d(Operator const& op) {
  auto const& p = op.options(2);
  op.check_with({"x", "w", "s", "input_gain?"}, [&](Inputs& in) {
    return to_first(normalized_modulated_conv2d(to_last(in["x"]), to_last(in["w"]), in["s"], in["input_gain"],
                                                {.demodulate = p[1] != 0, .padding = p[0]}));
  });
}

void run_filtered_lrelu(Operator const& op) {
  auto const& p = op.options(7);
  Tensor<float> const up = op.tensor("fu"), down = op.tensor("fd");
  FilteredLreluOptions const o{.up = p[0],
                               .down = p[1],
                               .padding = {p[2], p[3], p[4], p[5]},
                               .flip = p[6] != 0,
                               .gain = op.number("gain"),
                               .slope = op.number("slope"),
                               .clamp = op.number("clamp")};
  op.check_with({"x", "b?"}, [&](Inputs& in) { return to_first(filtered_lrelu(to_last(in["x"]), in["b"], up, down, o)); });
}

void run_second_moment(Operator const& op) {
  op.kind();
  op.check_with({"x"}, [&](Inputs& in) {
    return along(in["x"], 1, [](V const& x) {
      std::int64_t const c = x.dim(x.rank() - 1);
      return reshape(nn::normalize_second_moment(reshape(x, {x.size() / std::max<std::int64_t>(c, 1), c})), x.shape());
    });
  });
}

void run_dense(Operator const& op) {
  op.kind();
  double const lr = op.number("lr");
  Activation const act = op.activation();
  check(op.shape("w").rank() == 2, op.prefix, "w should have two axes, the case has ", op.shape("w"));
  op.check_with({"x", "w", "b?"},
                [&](Inputs& in) { return nn::dense(in["x"], in["w"], in["b"], act, lr / std::sqrt(double(in["w"].dim(1))), lr); });
}

void run_minibatch_stddev(Operator const& op) {
  op.kind();
  auto const& p = op.options(2);
  op.check_with({"x"}, [&](Inputs& in) { return to_first(minibatch_stddev(to_last(in["x"]), {.group = p[0], .features = p[1]})); });
}

void run_adain(Operator const& op) {
  op.kind();
  op.check_with({"x", "style"}, [&](Inputs& in) { return to_first(adain(to_last(in["x"]), in["style"])); });
}

void run_instance_norm(Operator const& op) {
  op.kind();
  op.check_with({"x"}, [&](Inputs& in) { return to_first(instance_norm(to_last(in["x"]))); });
}

void run_blur_or_scale(Operator const& op) {
  int const kind = op.kind();
  op.check_with({"x"}, [&](Inputs& in) {
    V const x = to_last(in["x"]);
    return to_first(kind == 0 ? blur2d(x) : kind == 1 ? upscale2d(x) : downscale2d(x));
  });
}

void run_scale_and_convolve(Operator const& op) {
  int const kind = op.whole("kind", 3, 4);
  bool const fused = op.options(2)[1] != 0;
  op.check_with({"x", "w"}, [&](Inputs& in) {
    V const x = to_last(in["x"]), w = to_last(in["w"]);
    return to_first(kind == 3 ? upscale_conv2d(x, w, fused) : conv2d_downscale(x, w));
  });
}

/// What a case is shows in the arrays it holds. Empty: nothing rig knows.
void (*recognise(Operator const& op))(Operator const&) {
  std::size_t const options = op.p.size();
  if (op.has("lr")) return run_dense;
  if (op.has("act")) return run_bias_act;
  if (op.has("slope")) return run_filtered_lrelu;
  if (op.has("s")) return options == 6 ? run_modulated_conv2d : run_normalized_modulated_conv2d;
  if (options == 9) return op.has("w") ? run_conv2d_resample : run_upfirdn2d;
  if (!op.has("kind")) return nullptr;
  if (options == 2 && op.has("w")) return run_scale_and_convolve;
  if (options == 2 && op.kind() == 0) return run_minibatch_stddev;
  if (options > 0 || op.has("w")) return nullptr;
  if (op.has("style")) return run_adain;
  if (op.shape("x").rank() == 2) return run_second_moment;
  // Two files number their kinds from 0: a norm keeps the shape, which scaling does not.
  bool const same = op.shape(op.has("y") ? "y" : "gy") == op.shape("x");
  switch (op.kind()) {
    case 0: return run_blur_or_scale;
    case 1: return same ? run_instance_norm : run_blur_or_scale;
    case 2: return run_blur_or_scale;
    case 3: return same ? run_second_moment : nullptr;
    default: return nullptr;
  }
}

}  // namespace

void verify_operators(Case& k) {
  std::vector<std::string> prefixes;
  for (auto const& name : k.names(""))
    if (is_of_operator(name) && name != "count") {
      std::string prefix = name.substr(0, name.find('.') + 1);
      if (std::find(prefixes.begin(), prefixes.end(), prefix) == prefixes.end()) prefixes.push_back(std::move(prefix));
    }
  k.attempt("count", [&] {
    if (!k.has("count")) return;
    int const count = k.whole("count", 0, 100'000);
    check(count == int(prefixes.size()), "announces ", count, " cases, the file holds ", prefixes.size());
  });
  for (auto const& prefix : prefixes)
    k.attempt(prefix.substr(0, prefix.size() - 1), [&] {
      std::size_t const before = k.checked();
      Operator const op(k, prefix);
      auto const run = recognise(op);
      check(run, "its arrays are those of no operator that rig knows");
      run(op);
      check(k.checked() > before, "holds no result to compare");
    });
}

}  // namespace program::verify
