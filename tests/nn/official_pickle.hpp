// Pickles as the official PyTorch code writes its networks, made from rig's own: protocol 4 in frames, every module a
// persistent object that carries (a placeholder of) its source, every tensor a PyTorch stream of its own outside the frames,
// channels first. What the attributes are called is what the loaders' own descriptions say.
#pragma once
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "io/pickle_builder.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/load_generator.hpp"
#include "rig/nn/stylegan3_loader.hpp"

namespace official {
using namespace rig;
using pickled::little;

/// A module as PyTorch keeps one. Attributes are pickled values.
struct Module {
  struct Leaf {
    std::string name;
    Tensor<float> value;
    bool parameter;
  };
  std::string class_name;
  std::vector<std::pair<std::string, std::string>> attributes;  ///< as the descriptions of rig's files have them
  std::vector<Leaf> leaves;
  std::vector<std::pair<std::string, Module>> children;

  Module& at(std::string const& path) {
    if (path.empty()) return *this;
    std::size_t const dot = std::min(path.find('.'), path.size());
    std::string const name = path.substr(0, dot), rest = dot < path.size() ? path.substr(dot + 1) : "";
    auto it = std::find_if(children.begin(), children.end(), [&](auto const& c) { return c.first == name; });
    if (it == children.end()) it = children.insert(children.end(), {name, Module{class_of(name), {}, {}, {}}});
    return it->second.at(rest);
  }

 private:
  static std::string class_of(std::string const& name) {
    static std::map<std::string, std::string> const known = {
        {"mapping", "MappingNetwork"}, {"synthesis", "SynthesisNetwork"}, {"torgb", "ToRGBLayer"},        {"skip", "Conv2dLayer"},
        {"input", "SynthesisInput"},   {"affine", "FullyConnectedLayer"}, {"mbstd", "MinibatchStdLayer"}, {"conv", "Conv2dLayer"}};
    if (auto const it = known.find(name); it != known.end()) return it->second;
    bool const number = name.size() > 1 && std::isdigit(static_cast<unsigned char>(name[1]));
    return name[0] == 'b' && number ? "SynthesisBlock" : name[0] == 'f' ? "FullyConnectedLayer" : "SynthesisLayer";
  }
};

inline void save(std::string const& path, nn::StyleGAN2<float>& g) { nn::save_stylegan2(path, g); }
inline void save(std::string const& path, nn::StyleGAN3<float>& g) { nn::save_stylegan3(path, g); }
inline void save(std::string const& path, nn::Discriminator<float>& d) { nn::save_discriminator(path, d); }

/// What the official class of this network would hold. Weights are shared with it until they are written.
template <class Net> Module module_of(Net& net) {
  Module root{std::is_same_v<Net, nn::Discriminator<float>> ? "Discriminator" : "Generator", {}, {}, {}};
  auto split = [](std::string const& name) {
    std::size_t const dot = name.rfind('.');
    return dot == std::string::npos ? std::pair<std::string, std::string>{"", name}
                                    : std::pair<std::string, std::string>{name.substr(0, dot), name.substr(dot + 1)};
  };
  nn::tensors(net, [&](std::string const& name, auto& leaf) {
    auto const [path, last] = split(name);
    if (auto const& t = nn::detail::tensor_of(leaf))
      root.at(path).leaves.push_back({last, t, nn::detail::is_param<std::remove_cvref_t<decltype(leaf)>>::value});
  });
  // rig's own file tells the attributes under their official names.
  std::string const own = (std::filesystem::temp_directory_path() / ("rig_official_" + std::to_string(::getpid()))).string();
  save(own, net);
  for (auto const& [name, value] : io::read_safetensors(own).metadata) {
    if (name == "format" || name == "hash") continue;
    auto const [path, last] = split(name);
    root.at(path).attributes.emplace_back(last, value);
  }
  std::filesystem::remove(own);
  return root;
}

/// Writes one pickle: a dict of networks.
class Writer {
 public:
  explicit Writer(std::string const& path) : file_(path, std::ios::binary) { file_ << "\x80\x04"; }

  /// Entries without a module hold None.
  void networks(std::vector<std::pair<std::string, Module const*>> const& entries) {
    open("}");
    for (auto const& [key, module] : entries) {
      text(key);
      module ? object(*module) : add("N");
    }
    add("u.");
    flush();
    file_.close();
    check(bool(file_), "the pickle could not be written");
  }

 private:
  void add(std::string const& code) {
    frame_ += code;
    if (frame_.size() >= 1 << 16) flush();
  }
  void flush() {
    if (!frame_.empty()) file_ << '\x95' << little(frame_.size(), 8) << frame_;
    frame_.clear();
  }
  void memoize() { add("\x94"), ++memo_; }
  void open(std::string const& empty) { add(empty), memoize(), add("("); }
  void text(std::string const& s) {
    if (auto const it = texts_.find(s); it != texts_.end())
      return add(it->second < 256 ? "h" + little(it->second, 1) : "j" + little(it->second, 4));
    add(s.size() < 256 ? "\x8c" + little(s.size(), 1) + s : pickled::text(s));
    texts_[s] = memo_;
    memoize();
  }
  void global(std::string const& module, std::string const& name) { text(module), text(name), add("\x93"), memoize(); }
  void integer(std::int64_t v) { add("J" + little(std::uint64_t(v), 4)); }
  void real(double v) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &v, 8);
    std::string s = little(bits, 8);
    std::reverse(s.begin(), s.end());
    add("G" + s);
  }
  void ordered_dict() { global("collections", "OrderedDict"), add(")R"), memoize(); }

  /// Bytes of a tensor's own stream, outside of any frame as Python's pickler leaves everything large.
  void tensor(Tensor<float> const& stored, bool parameter) {
    Var<float> v(stored);
    if (v.rank() == 4) v = permute(v, {0, 3, 1, 2});
    if (v.rank() == 3) v = permute(v, {2, 0, 1});
    Tensor<float> const t = v.value().to(cpu());
    if (parameter) global("torch._utils", "_rebuild_parameter"), add("(");
    global("torch._utils", "_rebuild_tensor_v2");
    add("("), global("torch.storage", "_load_from_bytes");
    std::string const key = std::to_string(94000000000000 + 64 * std::int64_t(memo_)), count = little(std::uint64_t(t.size()), 4);
    std::string const values(reinterpret_cast<char const*>(t.data()), std::size_t(t.size()) * sizeof(float));
    std::string const bytes = pickled::stream("(" + pickled::text("storage") + pickled::global("torch", "FloatStorage") +
                                                  pickled::text(key) + pickled::text("cpu") + "J" + count + "NtQ",
                                              pickled::text(key) + "a", little(std::uint64_t(t.size()), 8) + values);
    flush();
    file_ << 'B' << little(bytes.size(), 4) << bytes;
    memoize();
    add("\x85R"), memoize(), integer(0);
    add("(");
    for (auto d : t.shape()) integer(d);
    add("t"), memoize(), add("(");
    std::int64_t step = t.size();
    for (auto d : t.shape()) step /= std::max<std::int64_t>(d, 1), integer(step);
    add("t"), memoize(), add("\x89"), ordered_dict(), add("tR"), memoize();
    if (parameter) add("\x88"), ordered_dict(), add("tR"), memoize();
  }
  /// A description's text as what Python would hold.
  void attribute(std::string const& key, std::string const& value) {
    char* end = nullptr;
    double const number = std::strtod(value.c_str(), &end);
    if (value == "none") return add("N");
    if (key.rfind("is_", 0) == 0 || key.rfind("use_", 0) == 0 || key == "down_radial") return add(value == "0" ? "\x89" : "\x88");
    if (key == "layer_names" || value.find(' ') != std::string::npos) {
      open("]");
      for (std::size_t at = 0; at < value.size();) {
        std::size_t const space = std::min(value.find(' ', at), value.size());
        std::string const word = value.substr(at, space - at);
        key == "layer_names" ? text(word) : integer(std::stoll(word));
        at = space + 1;
      }
      return add("e");
    }
    if (value.empty() || *end) return text(value);
    if (value.find_first_of(".en") == std::string::npos) return integer(std::stoll(value));
    real(number);
  }
  void object(Module const& m) {
    global("torch_utils.persistence", "_reconstruct_persistent_obj");
    open("}");
    text("type"), text("class");
    text("version"), integer(6);
    text("module_src"), text(source());
    text("class_name"), text(m.class_name);
    text("state"), open("}");
    text("training"), add("\x89");
    for (bool parameter : {true, false}) {
      text(parameter ? "_parameters" : "_buffers"), ordered_dict();
      add("(");
      for (auto const& l : m.leaves)
        if (l.parameter == parameter) text(l.name), tensor(l.value, parameter);
      add("u");
    }
    text("_backward_hooks"), ordered_dict();
    text("_modules"), ordered_dict();
    add("(");
    for (auto const& [name, child] : m.children) text(name), object(child);
    add("u");
    for (auto const& [key, value] : m.attributes) text(key), attribute(key, value);
    add("u");  // of the state
    add("u\x85R"), memoize();
  }
  /// As long as the official sources are.
  static std::string const& source() {
    static std::string const s = pickled::repeat("# a placeholder for source text, which nobody may look at\n", 600);
    return s;
  }

  std::ofstream file_;
  std::string frame_;
  std::map<std::string, std::uint32_t> texts_;
  std::uint32_t memo_ = 0;
};

}  // namespace official
