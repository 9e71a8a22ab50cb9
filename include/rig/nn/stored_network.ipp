// What a loader reads a network from: tensors by their canonical dotted names and attributes by module, the same whether
// the file is an official PyTorch pickle or rig's own safetensors. Every tensor is asked for with its shape, and what
// nobody asked for is an error too, so that a file is either understood completely or refused by name.
#pragma once
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "rig/io/file.hpp"
#include "rig/io/half.hpp"
#include "rig/nn/mapping.hpp"

namespace rig::inline RIG_ABI::nn::detail {

/// No network has more layers, no filter more taps.
constexpr std::int64_t most_entries = 256;
/// Nor are a latent, a code, a label or the colours of a picture wider.
constexpr std::int64_t widest = 1 << 20;

/// read(), with the place put before the words of its errors.
template <class F> auto at_place(std::string const& place, F&& read) {
  try {
    return read();
  } catch (Error const& e) {
    throw Error(str(place, ": ", e.what()));
  }
}

/// What a network's tensors may take as floats. Any number of names and strides of zero can stand for the same bytes of a file, so
/// that a small one could ask for any amount of memory and time. A genuine network has its numbers once, in half precision or
/// better: two bytes for each of the file's, and 16 MiB, are enough.
class FloatBudget {
 public:
  explicit FloatBudget(std::vector<io::NamedTensor> const& list = {}) {
    std::vector<std::pair<std::uintptr_t, std::uint64_t>> blocks;
    for (auto const& t : list)
      if (io::Bytes const& b = t.tensor.bytes(); b.size) blocks.emplace_back(reinterpret_cast<std::uintptr_t>(b.data), b.size);
    std::sort(blocks.begin(), blocks.end());
    std::uint64_t end = 0;
    for (auto const& [first, size] : blocks) {
      if (first + size > end) held_ += first + size - std::max<std::uint64_t>(first, end);
      end = std::max<std::uint64_t>(end, first + size);
    }
    left_ = limit();
  }
  /// Before `t` is converted. Error if it is too much.
  void charge(std::string const& file, std::string const& name, io::AnyTensor const& t) {
    std::uint64_t const bytes = std::uint64_t(t.size()) * sizeof(float);
    check(bytes <= left_, file, ": with ", name, " ", t.shape(), " the network takes more than ", limit(),
          " bytes of memory, but its tensors share ", held_, " bytes of the file; a network has each of its numbers once");
    left_ -= bytes;
  }

 private:
  std::uint64_t limit() const { return (std::uint64_t(16) << 20) + 2 * held_; }
  std::uint64_t held_ = 0, left_ = 0;
};

/// "[3, any]": extents of -1 may be anything.
inline std::string words(std::vector<std::int64_t> const& shape) {
  std::string s = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) s += (i ? ", " : "") + (shape[i] < 0 ? std::string("any") : std::to_string(shape[i]));
  return s + "]";
}
/// Whether a shape is as expected and not empty.
inline bool fits(Shape const& s, std::vector<std::int64_t> const& expected) {
  bool good = s.rank() == int(expected.size());
  for (int i = 0; good && i < s.rank(); ++i) good = s[i] > 0 && (expected[std::size_t(i)] < 0 || expected[std::size_t(i)] == s[i]);
  return good;
}

/// Tensors and attributes of a stored network, by dotted path. The two containers differ only here.
class StoredNetwork {
 public:
  StoredNetwork(std::string file, std::vector<io::NamedTensor> list) : file_(std::move(file)), list_(std::move(list)), budget_(list_) {
    for (auto const& t : list_) tensors_[t.name] = &t.tensor;
  }
  virtual ~StoredNetwork() = default;

  /// A number attribute; empty if the file says None.
  virtual std::optional<double> number(std::string const& path, char const* key) const = 0;
  virtual std::string text(std::string const& path, char const* key) const = 0;
  /// A list or an array of numbers, a list of names.
  virtual std::vector<double> numbers(std::string const& path, char const* key) const {
    throw Error(str(file_, ": ", path, ".", key, ": a file of this kind has no lists"));
  }
  virtual std::vector<std::string> names(std::string const& path, char const* key) const {
    throw Error(str(file_, ": ", path, ".", key, ": a file of this kind has no lists"));
  }
  virtual bool channels_last() const = 0;
  /// Whether the module is there and says anything, None included, about `key`.
  virtual bool has_attribute(std::string const& path, char const* key) const = 0;
  /// Whether the module's weight and bias are kept but not trained.
  virtual bool frozen(std::string const& path) const = 0;

  /// The tensor of a canonical name as it lies in the file; none if the file has none.
  virtual io::AnyTensor find(std::string const& name) const {
    auto it = tensors_.find(name);
    return it == tensors_.end() ? io::AnyTensor{} : *it->second;
  }
  /// A canonical name as messages say it.
  virtual std::string label(std::string const& name) const { return name; }
  bool has(std::string const& name) const { return bool(find(name)); }
  double real(std::string const& path, char const* key) const {
    auto const v = number(path, key);
    require(v.has_value(), path, ".", key, " is None, expected a number");
    return *v;
  }
  std::int64_t integer(std::string const& path, char const* key) const {
    double const v = real(path, key);
    require(v == std::floor(v) && std::abs(v) < 1e15, path, ".", key, " should be a whole number, the file has ", v);
    return std::int64_t(v);
  }
  /// A whole number of a range.
  std::int64_t integer(std::string const& path, char const* key, std::int64_t least, std::int64_t most) const {
    std::int64_t const v = integer(path, key);
    require(v >= least && v <= most, path, path.empty() ? "" : ".", key, " should be from ", least, " to ", most, ", the file has ", v);
    return v;
  }
  /// A tensor in rig's order of axes. Extents of -1 may be anything.
  Tensor<float> tensor(std::string const& name, std::vector<std::int64_t> const& shape) {
    io::AnyTensor const t = find(name);
    std::vector<std::int64_t> const expected = as_stored(name, shape);
    require(bool(t), "tensor ", label(name), " is missing (expected ", words(expected), ")");
    require(fits(t.shape(), expected), label(name), " should be ", words(expected), ", the file has ", t.shape());
    return taken(name, t);
  }
  /// A convolution's weight as [out, k, k, in].
  Tensor<float> kernel(std::string const& name, std::int64_t out, std::int64_t in, std::int64_t k) {
    if (channels_last()) return tensor(name, {out, k, k, in});
    return permute(Var<float>(tensor(name, {out, in, k, k})), {0, 2, 3, 1}).value();
  }
  Tensor<float> constant(std::string const& name) {
    if (channels_last()) return tensor(name, {4, 4, -1});
    return permute(Var<float>(tensor(name, {-1, 4, 4})), {1, 2, 0}).value();
  }
  Tensor<float> filter(std::string const& name) {
    io::AnyTensor const t = find(name);
    require(bool(t), "tensor ", label(name), " is missing (expected a filter [t, t] or [t])");
    require((t.rank() == 1 || t.rank() == 2) && fits(t.shape(), std::vector<std::int64_t>(std::size_t(t.rank()), -1)), label(name),
            " should be a filter [t, t] or [t], the file has ", t.shape());
    for (std::int64_t n : t.shape())
      require(n <= most_entries, label(name), " should be a filter of at most ", most_entries, " taps, the file has ", t.shape());
    return taken(name, t);
  }
  std::int64_t extent(std::string const& name, int axis) const {
    io::AnyTensor const t = find(name);
    require(bool(t), "tensor ", label(name), " is missing");
    require(axis < t.rank(), label(name), " should have ", axis + 1, " axes or more, the file has ", t.shape());
    require(t.size() > 0, label(name), " is empty: ", t.shape());
    return t.dim(axis);
  }
  /// Throws if the file holds tensors that nobody asked for. Unused filters are known: official files keep one in every layer.
  virtual void expect_all_used() const {
    for (auto const& t : list_) {
      bool const filter = t.name.size() > 16 && t.name.compare(t.name.size() - 16, 16, ".resample_filter") == 0;
      require(filter || used_.count(t.name), "tensor ", t.name, " ", t.tensor.shape(), " belongs to no layer of this network");
    }
  }
  template <class... A> void require(bool ok, A const&... parts) const {
    if (!ok) throw Error(str(file_, ": ", parts...));
  }
  std::string const& file() const { return file_; }

 protected:
  void require_short(std::string const& path, char const* key, std::uint64_t entries) const {
    require(entries <= most_entries, path, ".", key, " should have at most ", most_entries, " entries, the file has ", entries);
  }
  std::vector<io::NamedTensor> const& list() const { return list_; }
  /// The expected shape of a canonical tensor, as the axes run in the file.
  virtual std::vector<std::int64_t> as_stored(std::string const& /*name*/, std::vector<std::int64_t> const& expected) const {
    return expected;
  }
  /// The values of a tensor that find() gave, in rig's order of axes.
  virtual Tensor<float> converted(std::string const& /*name*/, io::AnyTensor const& t) const { return t.as<float>(); }

 private:
  Tensor<float> taken(std::string const& name, io::AnyTensor const& t) {
    used_.insert(name);
    budget_.charge(file_, label(name), t);
    return converted(name, t);
  }
  std::string file_;
  std::vector<io::NamedTensor> list_;
  FloatBudget budget_;
  std::map<std::string, io::AnyTensor const*> tensors_;
  std::set<std::string> used_;
};

class PickledNetwork final : public StoredNetwork {
 public:
  PickledNetwork(std::string const& file, io::Value generator)
      : StoredNetwork(file, at_place(file, [&] { return io::module_tensors(generator); })), root_(std::move(generator)) {}
  std::optional<double> number(std::string const& path, char const* key) const override {
    io::Value const v = attribute(path, key);
    if (v.is_none()) return {};
    return at_place(str(file(), ": ", path, ".", key), [&] { return v.real(); });
  }
  std::string text(std::string const& path, char const* key) const override {
    io::Value const v = attribute(path, key);
    require(v.is(io::ValueKind::string), path, ".", key, " should be a name, the file has a ", name_of(v.kind()));
    return std::string(v.string());
  }
  std::vector<double> numbers(std::string const& path, char const* key) const override {
    io::Value const v = attribute(path, key);
    bool const array = v.is(io::ValueKind::tensor);
    require(array || v.is(io::ValueKind::list) || v.is(io::ValueKind::tuple), path, ".", key,
            " should be a list of numbers, the file has a ", name_of(v.kind()));
    require_short(path, key, array ? std::uint64_t(v.tensor().size()) : v.size());
    if (array) return v.tensor().as<double>().host();
    std::vector<double> list;
    at_place(str(file(), ": ", path, ".", key), [&] {
      for (std::size_t i = 0; i < v.size(); ++i) list.push_back(v[i].real());
    });
    return list;
  }
  std::vector<std::string> names(std::string const& path, char const* key) const override {
    io::Value const v = attribute(path, key);
    require(v.is(io::ValueKind::list) || v.is(io::ValueKind::tuple), path, ".", key, " should be a list of names, the file has a ",
            name_of(v.kind()));
    require_short(path, key, v.size());
    std::vector<std::string> list;
    for (std::size_t i = 0; i < v.size(); ++i) {
      require(v[i].is(io::ValueKind::string), path, ".", key, " should be a list of names, the file has a ", name_of(v[i].kind()),
              " in it");
      list.emplace_back(v[i].string());
    }
    return list;
  }
  bool channels_last() const override { return false; }
  bool has_attribute(std::string const& path, char const* key) const override {
    io::Value const m = module(path);
    return m && m.find(key);
  }
  bool frozen(std::string const& path) const override {
    io::Value const m = module(path), buffers = m ? m.find("_buffers") : io::Value{};
    return buffers.is(io::ValueKind::dict) && buffers.find("weight") && !buffers.find("weight").is_none();
  }

 private:
  /// Absent if there is no such module.
  io::Value module(std::string const& path) const {
    io::Value m = root_;
    for (std::size_t at = 0; at < path.size();) {
      std::size_t const dot = std::min(path.find('.', at), path.size());
      io::Value const children = m.find("_modules");
      m = children.is(io::ValueKind::dict) ? children.find(std::string_view(path).substr(at, dot - at)) : io::Value{};
      if (!m.is(io::ValueKind::object)) return {};
      at = dot + 1;
    }
    return m;
  }
  io::Value attribute(std::string const& path, char const* key) const {
    io::Value const m = module(path);
    require(bool(m), "module ", path, " is missing");
    io::Value const v = m.find(key);
    require(bool(v), path.empty() ? "the network" : "module " + path, " has no attribute ", key);
    return v;
  }
  io::Value root_;
};

class OwnNetwork final : public StoredNetwork {
 public:
  OwnNetwork(std::string const& file, io::Document const& d) : StoredNetwork(file, d.flat) {
    for (auto const& [k, v] : d.metadata) values_[k] = v;
  }
  std::optional<double> number(std::string const& path, char const* key) const override {
    std::string const v = text(path, key);
    if (v == "none") return {};
    char* end = nullptr;
    double const x = std::strtod(v.c_str(), &end);
    require(!v.empty() && *end == 0, name(path, key), " should be a number, the file has '", v, "'");
    return x;
  }
  std::string text(std::string const& path, char const* key) const override {
    auto it = values_.find(name(path, key));
    require(it != values_.end(), "the metadata has no entry ", name(path, key));
    return it->second;
  }
  std::vector<double> numbers(std::string const& path, char const* key) const override {
    std::vector<double> list;
    for (std::string const& word : names(path, key)) {
      char* end = nullptr;
      list.push_back(std::strtod(word.c_str(), &end));
      require(*end == 0, name(path, key), " should be numbers, the file has '", word, "' among them");
    }
    return list;
  }
  /// Words between blanks.
  std::vector<std::string> names(std::string const& path, char const* key) const override {
    std::vector<std::string> list;
    std::string const v = text(path, key);
    for (std::size_t at = 0; at < v.size();) {
      std::size_t const end = std::min(v.find(' ', at), v.size());
      if (end > at) list.push_back(v.substr(at, end - at));
      at = end + 1;
    }
    require_short(path, key, list.size());
    return list;
  }
  bool channels_last() const override { return true; }
  bool has_attribute(std::string const& path, char const* key) const override { return values_.count(name(path, key)) > 0; }
  bool frozen(std::string const& path) const override { return has_attribute(path, "frozen") && real(path, "frozen") != 0; }
  static std::string name(std::string const& path, char const* key) { return path.empty() ? key : path + "." + key; }

 private:
  std::map<std::string, std::string> values_;
};

inline double clamp_of(StoredNetwork const& s, std::string const& path) {
  auto const c = s.number(path, "conv_clamp");
  s.require(!c || *c >= 0, path, ".conv_clamp should be None or not negative, the file has ", c ? *c : 0.0);
  return c ? *c : -1;
}
inline Activation activation_of(StoredNetwork const& s, std::string const& path) {
  std::string const a = s.text(path, "activation");
  return at_place(s.file() + ": " + path, [&] { return activation_from_name(a); });
}

inline Architecture architecture_of(StoredNetwork const& s, std::string const& path) {
  std::string const a = s.text(path, "architecture");
  return at_place(s.file() + ": " + path, [&] { return architecture_from_name(a); });
}

/// Tensors before what is computed from them: one that is missing is told with its shape.
inline EqualLinear<float> build_dense(StoredNetwork& s, std::string const& path, std::int64_t in, std::int64_t out) {
  EqualLinear<float> l;
  l.weight = Param<float>(s.tensor(path + ".weight", {out, in}));
  l.bias = Param<float>(s.tensor(path + ".bias", {l.weight.dim(0)}));
  l.activation = activation_of(s, path);
  l.weight_gain = s.real(path, "weight_gain");
  l.bias_gain = s.real(path, "bias_gain");
  if (s.has_attribute(path, "act_gain")) l.act_gain = s.real(path, "act_gain");
  return l;
}

/// The mapping network at `path`. One inside a discriminator has no rows: num_ws is None there, and 1 here.
inline Mapping<float> build_mapping(StoredNetwork& s, std::string const& path) {
  Mapping<float> m;
  m.z_dim = s.integer(path, "z_dim", 0, widest), m.c_dim = s.integer(path, "c_dim", 0, widest);
  m.w_dim = s.integer(path, "w_dim", 1, widest);
  s.require(m.z_dim + m.c_dim > 0, path, " should take a latent or labels, its z_dim and c_dim are 0");
  m.num_ws = s.number(path, "num_ws") ? s.integer(path, "num_ws", 1, most_entries + 1) : 1;
  std::int64_t width = m.z_dim;
  if (m.c_dim && s.has(path + ".label_weight")) {
    m.label_weight = Param<float>(s.tensor(path + ".label_weight", {m.c_dim, -1}));
    width += m.label_weight.dim(1);
  } else if (m.c_dim) {
    m.embed = build_dense(s, path + ".embed", m.c_dim, -1);
    width += m.embed->out();
  }
  if (s.has_attribute(path, "normalize")) m.normalize = s.integer(path, "normalize") != 0;
  std::int64_t const layers = s.integer(path, "num_layers", 0, most_entries);
  for (std::int64_t i = 0; i < layers; ++i) {
    m.layers.push_back(build_dense(s, path + ".fc" + std::to_string(i), width, i + 1 == layers ? m.w_dim : -1));
    width = m.layers.back().out();
  }
  s.require(width == m.w_dim, path, " should give ", m.w_dim, " numbers, its last layer gives ", width);
  // A network that follows its average has one; others may.
  bool const follows = m.num_ws > 1 && s.has_attribute(path, "w_avg_beta") && s.number(path, "w_avg_beta");
  if (follows || s.has(path + ".w_avg")) m.w_avg = s.tensor(path + ".w_avg", {m.w_dim});
  if (s.has_attribute(path, "w_avg_beta")) m.average_decay = s.number(path, "w_avg_beta").value_or(m.average_decay);
  return m;
}

inline std::string exact(double v) {
  char text[40];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

/// The attributes of a network as text: what OwnNetwork reads again.
struct Description {
  io::Metadata& metadata;
  void put(std::string const& path, char const* key, std::string value) const {
    metadata.emplace_back(OwnNetwork::name(path, key), std::move(value));
  }
  void integer(std::string const& path, char const* key, std::int64_t v) const { put(path, key, std::to_string(v)); }
  void clamp(std::string const& path, double c) const { put(path, "conv_clamp", c < 0 ? std::string("none") : exact(c)); }
  void dense(std::string const& path, EqualLinear<float> const& l) const {
    put(path, "activation", to_string(l.activation)), put(path, "weight_gain", exact(l.weight_gain));
    put(path, "bias_gain", exact(l.bias_gain));
    if (l.act_gain != -1) put(path, "act_gain", exact(l.act_gain));
  }
  void mapping(std::string const& path, Mapping<float> const& m) const {
    integer(path, "z_dim", m.z_dim), integer(path, "c_dim", m.c_dim), integer(path, "w_dim", m.w_dim);
    integer(path, "num_ws", m.num_ws), integer(path, "num_layers", std::int64_t(m.layers.size()));
    if (m.w_avg) put(path, "w_avg_beta", exact(m.average_decay));
    if (!m.normalize) integer(path, "normalize", 0);
    if (m.embed) dense(path + ".embed", *m.embed);
    for (std::size_t i = 0; i < m.layers.size(); ++i) dense(path + ".fc" + std::to_string(i), m.layers[i]);
  }
};

/// rig's own file of a network: all tensors, and metadata that names format and content. A network whose values are all numbers
/// of half precision is stored so, at half the size; nothing is lost.
template <class M> void write_network(std::string const& path, char const* format, M& network, io::Metadata metadata) {
  metadata.emplace_back("format", format);
  metadata.emplace_back("hash", content_hash(network));
  std::vector<io::NamedTensor> list;
  bool half = true;
  tensors(network, [&](std::string const& name, auto& leaf) {
    if (auto const& t = tensor_of(leaf)) {
      list.push_back({name, io::AnyTensor(t)});
      half = half && io::fits_half(list.back().tensor);
    }
  });
  if (half)
    for (auto& t : list) t.tensor = io::as_half(t.tensor);
  io::save_safetensors(path, list, metadata);
}

}  // namespace rig::inline RIG_ABI::nn::detail
