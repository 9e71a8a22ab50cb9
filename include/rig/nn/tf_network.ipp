// Networks as TensorFlow-era files hold them (StyleGAN1, StyleGAN2, StyleGAN2-ADA): a triple (G, D, Gs), each with the name of
// the function that built it, the keywords that differ from that function's defaults, variables under TensorFlow names, and
// components (mapping, synthesis). What a loader asks for is remembered: a keyword or a variable that nobody asked for is an
// error, so that a file is understood completely or refused by name.
#pragma once
#include <map>
#include <optional>
#include <set>

#include "rig/nn/stored_network.ipp"
#include "rig/ops/shape.hpp"

namespace rig::inline RIG_ABI::nn::detail {

/// Which network of a triple.
enum class TfPart { trained = 0, discriminator = 1, averaged = 2 };

class TfNetwork {
 public:
  /// `network`: an object of class Network; `file` stands for the file in messages.
  TfNetwork(std::string file, io::Value network, std::string path = "") : file_(std::move(file)), path_(std::move(path)) {
    require(network.is(io::ValueKind::object) && network.class_name() == "Network", "expected a network, found a ",
            name_of(network.kind()));
    version_ = field(network, "version").integer();
    require(version_ >= 2 && version_ <= 5, "this network has version ", version_,
            "; versions 2 (StyleGAN) to 5 (StyleGAN2-ADA) are known");
    function_ = text_of(field(network, "build_func_name"), "build_func_name");
    name_ = text_of(field(network, "name"), "name");
    options_ = field(network, "static_kwargs");
    require(options_.is(io::ValueKind::dict), "static_kwargs should be a dict, the file has a ", name_of(options_.kind()));
    components_ = field(network, "components");
    require(components_.is(io::ValueKind::dict), "components should be a dict, the file has a ", name_of(components_.kind()));
    io::Value const list = field(network, "variables");
    require(list.is(io::ValueKind::list) || list.is(io::ValueKind::tuple), "variables should be a list, the file has a ",
            name_of(list.kind()));
    for (std::size_t i = 0; i < list.size(); ++i) {
      io::Value const pair = list[i];
      require((pair.is(io::ValueKind::tuple) || pair.is(io::ValueKind::list)) && pair.size() == 2, "variable ", i,
              " should be a pair of a name and a value");
      std::string const variable = text_of(pair[0], "the name of a variable");
      io::Value const v = pair[1];
      bool const number = v.is(io::ValueKind::real) || v.is(io::ValueKind::integer);
      require(number || v.is(io::ValueKind::tensor), "variable ", variable, " should be an array, the file has a ", name_of(v.kind()));
      require(!find(variable), "variable ", variable, " occurs twice");
      places_[variable] = variables_.size();
      variables_.push_back({variable, number ? io::AnyTensor(full<float>({}, float(v.real()))) : v.tensor()});
    }
    budget_ = FloatBudget(variables_);
  }

  std::string const& file() const { return file_; }
  std::string const& name() const { return name_; }          ///< "Gs"
  std::string const& function() const { return function_; }  ///< "G_style", "G_synthesis_stylegan2", "D_basic", ...
  std::int64_t version() const { return version_; }

  bool has_component(char const* name) const { return bool(components_.find(name)); }
  /// A network inside this one; its variables carry no prefix.
  TfNetwork component(char const* name) const {
    require(has_component(name), "component ", name, " is missing");
    return TfNetwork(file_, components_.find(name), path_.empty() ? name : path_ + "/" + name);
  }

  // ---- keywords: the file's value, or the default of the function that built the network ----
  /// The value as it is (None included), or absent. Marks the keyword as known.
  io::Value option(char const* key) {
    known_.insert(key);
    return options_.find(key);
  }
  std::int64_t integer(char const* key, std::int64_t otherwise) {
    return read(key, otherwise, [](io::Value const& v) { return v.integer(); });
  }
  double real(char const* key, double otherwise) {
    return read(key, otherwise, [](io::Value const& v) { return v.real(); });
  }
  bool flag(char const* key, bool otherwise) {
    return read(key, otherwise, [](io::Value const& v) { return v.boolean(); });
  }
  std::string text(char const* key, char const* otherwise) {
    return read(key, std::string(otherwise), [](io::Value const& v) { return std::string(v.string()); });
  }
  /// A number that the file may set to None (empty), too.
  std::optional<double> number_or_none(char const* key, std::optional<double> otherwise) {
    io::Value const v = option(key);
    return !v ? otherwise : v.is_none() ? std::optional<double>{} : real(key, 0);
  }
  std::optional<std::int64_t> integer_or_none(char const* key, std::optional<std::int64_t> otherwise) {
    io::Value const v = option(key);
    return !v ? otherwise : v.is_none() ? std::optional<std::int64_t>{} : integer(key, 0);
  }
  /// A list of numbers; None is an empty one.
  std::vector<double> numbers(char const* key, std::vector<double> const& otherwise) {
    return read(
        key, otherwise,
        [&](io::Value const& v) {
          bool const array = v.is(io::ValueKind::tensor);
          std::uint64_t const size = array ? std::uint64_t(v.tensor().size()) : v.size();
          check(size <= most_entries, "expected at most ", most_entries, " numbers, got ", size);
          if (array) return v.tensor().as<double>().host();
          std::vector<double> list;
          for (std::size_t i = 0; i < v.size(); ++i) list.push_back(v[i].real());
          return list;
        },
        true);
  }
  /// Keywords that change nothing in a finished network.
  void ignore(std::initializer_list<char const*> keys) { known_.insert(keys.begin(), keys.end()); }
  /// Throws if the file sets a keyword that nobody asked for.
  void expect_known_options() const {
    for (std::size_t i = 0; i < options_.size(); ++i) {
      std::string const key = text_of(options_.entry(i).first, "a keyword");
      require(known_.count(key), "keyword ", key, " of ", function_, " is not known");
    }
  }

  // ---- variables ----
  std::vector<io::NamedTensor> const& variables() const { return variables_; }
  bool has(std::string const& name) const { return find(name) != nullptr; }
  std::int64_t extent(std::string const& name, int axis) const {
    io::AnyTensor const* t = find(name);
    require(t, "variable ", name, " is missing");
    require(axis < t->rank() && t->size() > 0, "variable ", name, " should have ", axis + 1,
            " axes or more and not be empty, the file has ", t->shape());
    return t->dim(axis);
  }
  /// A variable as the file has it. Extents of -1 may be anything.
  Tensor<float> tensor(std::string const& name, std::vector<std::int64_t> const& shape) { return expect(name, shape).as<float>(); }
  /// A dense layer's weight, turned to [out, in].
  Tensor<float> matrix(std::string const& name, std::int64_t out, std::int64_t in) {
    return permute(Var<float>(expect(name, {in, out}).borrow<float>()), {1, 0}).value();
  }
  /// A convolution's weight, turned to rig's [out, k, k, in].
  Tensor<float> kernel(std::string const& name, std::int64_t out, std::int64_t in, std::int64_t k) {
    return permute(Var<float>(expect(name, {k, k, in, out}).borrow<float>()), {3, 0, 1, 2}).value();
  }
  /// A variable that is in the file but not needed.
  void skip(std::string const& name) { used_.insert(name); }
  void expect_all_used() const {
    for (auto const& v : variables_)
      require(used_.count(v.name), "variable ", v.name, " ", v.tensor.shape(), " belongs to no layer of this network");
  }

  template <class... A> void require(bool ok, A const&... parts) const {
    if (!ok) throw Error(str(file_, ": ", path_.empty() ? path_ : path_ + ": ", parts...));
  }

 private:
  io::Value field(io::Value const& network, char const* key) const {
    io::Value const v = network.find(key);
    require(bool(v), "this network has no entry ", key);
    return v;
  }
  std::string text_of(io::Value const& v, char const* what) const {
    require(v.is(io::ValueKind::string), what, " should be a text, the file has a ", name_of(v.kind()));
    return std::string(v.string());
  }
  template <class T, class F> T read(char const* key, T const& otherwise, F const& f, bool none_is_empty = false) {
    io::Value const v = option(key);
    if (!v) return otherwise;
    if (v.is_none() && none_is_empty) return T{};
    return at_place(str(file_, ": ", path_.empty() ? path_ : path_ + ": ", "keyword ", key), [&] { return T(f(v)); });
  }
  io::AnyTensor const* find(std::string const& name) const {
    auto const it = places_.find(name);
    return it == places_.end() ? nullptr : &variables_[it->second].tensor;
  }
  io::AnyTensor const& expect(std::string const& name, std::vector<std::int64_t> const& shape) {
    io::AnyTensor const* t = find(name);
    require(t, "variable ", name, " is missing (expected ", words(shape), ")");
    require(fits(t->shape(), shape), "variable ", name, " should be ", words(shape), ", the file has ", t->shape());
    used_.insert(name);
    budget_.charge(file_, name, *t);
    return *t;
  }

  std::string file_, path_, name_, function_;
  std::int64_t version_ = 0;
  io::Value options_, components_;
  std::vector<io::NamedTensor> variables_;
  std::map<std::string, std::size_t> places_;
  FloatBudget budget_;
  std::set<std::string> known_, used_;
};

/// Whether a pickle is of the TensorFlow era: a network, or a tuple or list that holds one.
inline bool is_tf_pickle(io::Value const& root) {
  auto network = [](io::Value const& v) { return v.is(io::ValueKind::object) && v.class_name() == "Network"; };
  if (!root.is(io::ValueKind::tuple) && !root.is(io::ValueKind::list)) return network(root);
  for (std::size_t i = 0; i < root.size() && i < 3; ++i)
    if (network(root[i])) return true;
  return false;
}

/// One network of a triple (G, D, Gs). A file with a single network gives that one.
inline TfNetwork tf_part(io::Value const& root, std::string const& file, TfPart part) {
  check(is_tf_pickle(root), file, ": expected a triple of networks (G, D, Gs) as the TensorFlow code writes it, found a ",
        name_of(root.kind()));
  if (root.is(io::ValueKind::object)) return TfNetwork(file, root);
  check(root.size() == 3, file, ": expected a triple of networks (G, D, Gs), found ", root.size());
  io::Value const v = root[std::size_t(part)];
  check(v.is(io::ValueKind::object), file, ": the ",
        part == TfPart::trained    ? "first entry (G, the generator that was being trained)"
        : part == TfPart::averaged ? "third entry (Gs, the averaged generator)"
                                   : "second entry (D, the discriminator)",
        " of the triple should be a network, found a ", name_of(v.kind()));
  return TfNetwork(file, v);
}

}  // namespace rig::inline RIG_ABI::nn::detail
