// Networks of other projects under rig's names: where a canonical tensor lies in such a file and how its axes run there.
// These files store no gains or clamps; the formulas of the original code (equalized learning rate) give them.
#pragma once
#include <variant>

#include "rig/nn/stored_network.ipp"
#include "rig/ops/upfirdn.hpp"

namespace rig::inline RIG_ABI::nn::detail {

/// A tensor of a file: its name there, and a letter for each of its axes. o h w i: output, height, width and input of a
/// weight; c: anything else; 1: an axis of extent one, which is dropped; H W: reversed.
struct ForeignTensor {
  std::string name, axes;
  double add = 0;
  double sum = 1;  ///< of a filter's entries
};

/// What holds for a whole network of another project.
struct ForeignSettings {
  Activation activation = Activation::lrelu, mapping_activation = Activation::lrelu;
  double mapping_lr_multiplier = 0.01;
  std::optional<double> conv_clamp;
  Architecture architecture = Architecture::skip;
  bool use_noise = true, discriminator = false;
  std::vector<double> filter = {1, 3, 3, 1};
  std::map<std::string, std::optional<double>> numbers;  ///< attributes that no formula gives, by path and key
  std::set<std::string> frozen;                          ///< layers that are kept but not trained
};

class ForeignNetwork : public StoredNetwork {
 public:
  ForeignNetwork(std::string const& file, std::vector<io::NamedTensor> list) : StoredNetwork(file, std::move(list)) {}
  ForeignSettings settings;

  bool channels_last() const override { return true; }
  bool has_attribute(std::string const& path, char const* key) const override { return attribute(path, key).has_value(); }
  bool frozen(std::string const& path) const override { return settings.frozen.count(path) > 0; }
  std::optional<double> number(std::string const& path, char const* key) const override {
    Attribute const a = at(path, key);
    require(!std::holds_alternative<std::string>(a), OwnNetwork::name(path, key), " is a name, a number was expected");
    return std::holds_alternative<double>(a) ? std::optional<double>(std::get<double>(a)) : std::nullopt;
  }
  std::string text(std::string const& path, char const* key) const override {
    Attribute const a = at(path, key);
    require(std::holds_alternative<std::string>(a), OwnNetwork::name(path, key), " is a number, a name was expected");
    return std::get<std::string>(a);
  }

  io::AnyTensor find(std::string const& name) const override {
    ForeignTensor const source = locate(name);
    io::AnyTensor const t = source.name.empty() ? io::AnyTensor{} : raw(source.name);
    if (ends(name, ".resample_filter")) {
      std::vector<double> const taps = t ? taps_of(source, t) : settings.filter;
      return at_place(file() + ": " + name, [&] { return io::AnyTensor(setup_filter<float>(taps)); });
    }
    if (!t) return {};
    taken_.insert(source.name);
    return t;
  }
  std::string label(std::string const& name) const override {
    ForeignTensor const source = locate(name);
    return source.name.empty() || source.name == name ? name : name + " (" + source.name + " in the file)";
  }
  void expect_all_used() const override {
    for (auto const& t : list())
      require(taken_.count(t.name) || ignored(t.name), "tensor ", t.name, " ", t.tensor.shape(), " belongs to no layer of this network");
  }

 protected:
  /// The tensor of a canonical name; without a name if such files never have it.
  virtual ForeignTensor locate(std::string const& canonical) const = 0;
  /// Tensors of the file that are known and not needed.
  virtual bool ignored(std::string const& name) const = 0;
  std::vector<std::int64_t> as_stored(std::string const& name, std::vector<std::int64_t> const& expected) const override {
    ForeignTensor const source = locate(name);
    if (source.name.empty()) return expected;
    std::string axes, order;  // of the file, and of what is expected
    for (char c : source.axes) axes += forward(c);
    for (char c : canonical_order)
      if (axes.find(c) != std::string::npos) order += c;
    if (order.size() != expected.size()) return expected;
    std::vector<std::int64_t> shape;
    // A single number may have any number of axes.
    if (io::AnyTensor const t = raw(source.name); order.empty() && t.size() == 1)
      shape.assign(std::size_t(t.rank()), 1);
    else
      for (char c : axes) shape.push_back(c == '1' ? 1 : expected[order.find(c)]);
    return shape;
  }
  /// An extent of a tensor of the file, which has `rank` axes.
  std::int64_t dim(std::string const& name, int rank, int axis) const {
    io::AnyTensor const t = raw(name);
    std::vector<std::int64_t> const any(std::size_t(rank), -1);
    require(bool(t), "tensor ", name, " is missing (expected ", words(any), ")");
    require(fits(t.shape(), any), "tensor ", name, " should be ", words(any), ", the file has ", t.shape());
    return t.dim(axis);
  }

  bool stored(std::string const& name) const { return bool(StoredNetwork::find(name)); }
  io::AnyTensor raw(std::string const& name) const { return StoredNetwork::find(name); }
  static bool ends(std::string const& s, std::string_view with) {
    return s.size() >= with.size() && s.compare(s.size() - with.size(), with.size(), with) == 0;
  }
  static bool begins(std::string const& s, std::string_view with) { return s.compare(0, with.size(), with) == 0; }
  /// r of "synthesis.b{r}.conv0"; 0 if there is none.
  static std::int64_t resolution_of(std::string const& path) {
    std::size_t const at = begins(path, "synthesis.b") ? 11 : begins(path, "b") ? 1 : std::string::npos;
    std::int64_t r = 0;
    for (std::size_t i = at; i < path.size() && path[i] >= '0' && path[i] <= '9' && r < (1 << 20); ++i) r = 10 * r + (path[i] - '0');
    return r;
  }
  static int log2_of(std::int64_t r) {
    int n = 0;
    while ((std::int64_t(1) << n) < r) ++n;
    return n;
  }

 private:
  /// The taps, of sum 1, whose outer product times source.sum is a tensor of the file, as far as half precision keeps it.
  std::vector<double> taps_of(ForeignTensor const& source, io::AnyTensor const& k) const {
    require(k.rank() == 2 && k.dim(0) == k.dim(1) && k.size() > 0 && k.dim(0) <= most_entries, "tensor ", source.name,
            " should be a filter [t, t] of at most ", most_entries, " taps, the file has ", k.shape());
    std::vector<double> const entries = k.as<double>().host();
    std::size_t const n = std::size_t(k.dim(0));
    std::vector<double> taps(n);
    double total = 0, most = 0;
    for (std::size_t i = 0; i < n * n; ++i)
      taps[i / n] += entries[i] / source.sum, total += entries[i], most = std::max(most, std::abs(entries[i]));
    require(std::abs(total - source.sum) <= 1e-3 * source.sum, "tensor ", source.name, " should sum to ", source.sum,
            ", the file's sums to ", total);
    for (std::size_t i = 0; i < n * n; ++i)
      require(std::abs(entries[i] - source.sum * taps[i / n] * taps[i % n]) <= 2e-3 * most, "tensor ", source.name,
              " should be the outer product of its taps with themselves");
    return taps;
  }

  static constexpr std::string_view canonical_order = "ohwic";  ///< rig's order of axes: o h w i, and h w c
  /// The letter of an axis that is not reversed.
  static constexpr char forward(char axis) { return axis == 'H' ? 'h' : axis == 'W' ? 'w' : axis; }

  using Attribute = std::variant<std::monostate, double, std::string>;  // the first: None

  Attribute at(std::string const& path, char const* key) const {
    auto const a = attribute(path, key);
    require(a.has_value(), "files of this kind do not tell ", OwnNetwork::name(path, key));
    return *a;
  }
  std::optional<Attribute> attribute(std::string const& path, std::string const& key) const {
    auto const none_or = [](std::optional<double> v) { return v ? Attribute(*v) : Attribute(); };
    if (auto const it = settings.numbers.find(OwnNetwork::name(path, key.c_str())); it != settings.numbers.end())
      return none_or(it->second);
    std::string const last = path.substr(path.rfind('.') + 1);
    bool const fc = begins(path, "mapping.fc");
    Activation const act = fc ? settings.mapping_activation
                           : last == "affine" || last == "embed" || last == "skip" || last == "torgb" || last == "out"
                               ? Activation::linear
                               : settings.activation;
    if (key == "activation") return std::string(to_string(act));
    if (key == "act_gain" && !fc && last != "affine" && last != "embed" && last != "fc" && last != "out") return default_gain(act);
    if (key == "weight_gain") return (fc ? settings.mapping_lr_multiplier : 1) / std::sqrt(double(fan_in(path + ".weight")));
    if (key == "bias_gain") return fc ? settings.mapping_lr_multiplier : 1.0;
    if (key == "conv_clamp") return last == "skip" ? Attribute() : none_or(settings.conv_clamp);
    if (key == "architecture") return std::string(to_string(settings.architecture));
    if (key == "use_noise") return double(settings.use_noise);
    if (key == "resolution") return double(resolution_of(path));
    if (key == "up") return !settings.discriminator && (last == "conv0" || last == "skip") ? 2.0 : 1.0;
    if (key == "down") return settings.discriminator && (last == "conv1" || last == "skip") ? 2.0 : 1.0;
    return std::nullopt;
  }
  std::int64_t fan_in(std::string const& name) const {
    ForeignTensor const source = locate(name);
    io::AnyTensor const t = raw(source.name);
    std::vector<std::int64_t> expected;
    for (char c : source.axes) expected.push_back(c == '1' ? 1 : -1);
    require(bool(t), "tensor ", label(name), " is missing (expected ", words(expected), ")");
    require(fits(t.shape(), expected), label(name), " should be ", words(expected), ", the file has ", t.shape());
    std::int64_t n = 1;
    for (std::size_t a = 0; a < source.axes.size(); ++a)
      if (std::string_view("hHwWi").find(source.axes[a]) != std::string_view::npos) n *= t.dim(int(a));
    return n;
  }
  Tensor<float> converted(std::string const& name, io::AnyTensor const& t) const override {
    ForeignTensor const source = locate(name);
    Tensor<float> x = t.as<float>();
    if (source.name.empty() || !stored(source.name)) return x;  // made here
    std::string left;
    std::vector<std::int64_t> extents;
    std::int64_t before = 1;
    if (source.axes.find_first_not_of('1') == std::string::npos) return reshape(Var<float>(x), {}).value();
    if (source.axes.size() < 2 && source.add == 0) return x;
    for (std::size_t a = 0; a < source.axes.size(); ++a) {
      char const c = source.axes[a];
      std::int64_t const n = t.dim(int(a)), inner = x.size() / (before * n);
      if (c == 'H' || c == 'W')
        for (std::int64_t b = 0; b < before; ++b)
          for (std::int64_t i = 0; i < n / 2; ++i)
            std::swap_ranges(x.mutate() + (b * n + i) * inner, x.mutate() + (b * n + i + 1) * inner,
                             x.mutate() + (b * n + n - 1 - i) * inner);
      before *= n;
      if (c != '1') left += forward(c), extents.push_back(n);
    }
    std::vector<int> order;
    for (char c : canonical_order)
      if (std::size_t const p = left.find(c); p != std::string::npos) order.push_back(int(p));
    Var<float> y = reshape(Var<float>(x), Shape(extents.begin(), extents.end()));
    if (order.size() > 1) y = permute(y, order);
    if (source.add != 0) y = y + float(source.add);
    return y.value();
  }

  mutable std::set<std::string> taken_;
};

}  // namespace rig::inline RIG_ABI::nn::detail
