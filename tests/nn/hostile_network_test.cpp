// Small files that ask for much: tensors that share their storage, long lists. Each is refused by name, soon and in little memory.
#include <doctest/doctest.h>

#include <cstdio>
#include <ctime>

#include "helpers.hpp"
#include "io/memory_growth.hpp"
#include "nn/official_pickle.hpp"

using namespace rig;
using pickled::little;

namespace {
/// A file of PyTorch's in which every tensor is a view of one and the same byte.
struct Views {
  std::string entries;
  static std::string counts(std::vector<std::int64_t> const& list) {
    std::string s = "(";
    for (auto n : list) s += "J" + little(std::uint64_t(n), 4);
    return s + "t";
  }
  void add(std::string const& name, std::vector<std::int64_t> const& shape) {
    entries += pickled::text(name) + pickled::global("torch._utils", "_rebuild_tensor_v2") + "((" + pickled::text("storage") +
               pickled::global("torch", "BoolStorage") + pickled::text("0") + pickled::text("cpu") + "J" + little(1, 4) + "NtQJ" +
               little(0, 4) + counts(shape) + counts(std::vector<std::int64_t>(shape.size())) + "\x89" +
               pickled::global("collections", "OrderedDict") + ")RtR";
  }
  /// The tensor that was added last, under another name.
  void again(std::string const& name, std::uint64_t memo) { entries += pickled::text(name) + "j" + little(memo, 4); }
  void keep(std::uint64_t memo) { entries += "r" + little(memo, 4); }
  std::string file() const { return pickled::stream("}(" + entries + "u", pickled::text("0") + "a", little(1, 8) + std::string(1, '\1')); }
};
/// A StyleGAN2 of 4 pixels under the canonical names, without its mapping.
Views synthesis_of(std::int64_t channels, std::int64_t w) {
  Views v;
  v.add("mapping.w_avg", {w});
  v.add("synthesis.b4.const", {channels, 4, 4});
  v.add("synthesis.b4.conv1.weight", {channels, channels, 3, 3});
  v.add("synthesis.b4.torgb.weight", {3, channels, 1, 1});
  for (std::string const layer : {"conv1", "torgb"}) {
    v.add("synthesis.b4." + layer + ".affine.weight", {channels, w});
    v.add("synthesis.b4." + layer + ".affine.bias", {channels});
    v.add("synthesis.b4." + layer + ".bias", {layer == "torgb" ? 3 : channels});
  }
  v.add("synthesis.b4.conv1.noise_const", {4, 4});
  v.add("synthesis.b4.conv1.noise_strength", {});
  return v;
}

/// What is said of a file that is small enough, once loading what was read was neither slow nor large.
std::string says(std::string const& content) {
  REQUIRE(content.size() < 400'000);
  io::Document const file = io::read_any(pickled::bytes_of(content));
  auto load = [&] { return message_of([&] { nn::generator_from(file, "small.pt"); }); };
  std::clock_t const start = std::clock();
  std::string const message = load();
  double const seconds = double(std::clock() - start) / CLOCKS_PER_SEC;
  long const grown = memory_growth([&] { return load() == message; });
  MESSAGE(content.size(), " bytes: ", seconds, " s, ", grown, " kB more memory");
  if (measured) CHECK((grown < 100'000 && seconds < 1));
  CHECK(contains(message, "small.pt: "));
  return message;
}

}  // namespace

TEST_CASE("hostile networks: tensors that share their storage are not multiplied") {
  for (int layers : {200, 400}) {
    Views v = synthesis_of(8, 1000);
    v.add("mapping.fc0.weight", {1000, 1000}), v.keep(0);
    v.add("mapping.fc0.bias", {1000}), v.keep(1);
    for (int i = 1; i < layers; ++i) v.again(str("mapping.fc", i, ".weight"), 0), v.again(str("mapping.fc", i, ".bias"), 1);
    std::string const message = says(v.file());
    if (layers == 200)
      CHECK(contains(message, "with mapping.fc4.weight [1000, 1000] the network takes more than 18"));
    else
      CHECK(contains(message, "mapping.num_layers should be from 0 to 256, the file has 400"));
  }
  Views v = synthesis_of(2600, 1);
  v.add("mapping.fc0.weight", {1, 1}), v.add("mapping.fc0.bias", {1});
  CHECK(contains(says(v.file()), "with synthesis.b4.conv1.weight [2600, 2600, 3, 3] the network takes more than"));
  Views fair = synthesis_of(20, 30);
  fair.add("mapping.fc0.weight", {30, 30}), fair.add("mapping.fc0.bias", {30});
  CHECK(nn::generator_from(io::read_any(pickled::bytes_of(fair.file())), "fair").resolution() == 4);
}

TEST_CASE("hostile networks: a file that has more names than can be listed holds no network, and is named") {
  auto memo = [](int i) { return "r" + little(std::uint64_t(i), 4); };
  Views inner;
  inner.add("0", {1}), inner.keep(0);
  for (int i = 1; i < 730; ++i) inner.again(std::to_string(i), 0);
  std::string const first = pickled::text("0") + "}(" + inner.entries + "u" + memo(1);
  Views outer{first};
  for (int i = 1; i < 730; ++i) outer.again(std::to_string(i), 1);
  io::Document const file = io::read_any(pickled::bytes_of(outer.file()));
  CHECK(nn::describe_networks(file).origin.empty());
  CHECK(contains(message_of([&] { nn::generator_from(file, "small.pt"); }), "small.pt: the file refers to its tensors in too many ways"));
}

TEST_CASE("hostile networks: layers of a StyleGAN3 are few and have names of their own") {
  nn::StyleGAN3Options o = nn::stylegan3_t(16);
  o.z_dim = o.w_dim = 4, o.channel_base = 48, o.channel_max = 4, o.layers = 4, o.critical_layers = 1, o.margin = 3;
  Rng rng(1);
  nn::StyleGAN3<float> g(o, rng);
  std::string const path = temporary("rig_hostile_stylegan3.pkl");
  auto repeated = [&](int times, int rows) {
    official::Module m = official::module_of(g);
    for (auto& [key, value] : m.at("synthesis").attributes)
      if (key == "layer_names")
        for (int i = 0; i < times; ++i) value = g.synthesis.layers[0].plan.name + " " + value;
    for (auto& [key, value] : m.at("mapping").attributes)
      if (key == "num_ws") value = str(rows);
    official::Writer(path).networks({{"G_ema", &m}});
    std::string content(std::filesystem::file_size(path), '\0');
    std::ifstream(path, std::ios::binary).read(content.data(), std::streamsize(content.size()));
    std::remove(path.c_str());
    return content;
  };
  REQUIRE((g.synthesis.layers.size() == 5 && g.synthesis.layers[0].plan.in_size == g.synthesis.layers[0].plan.out_size));
  CHECK(contains(says(repeated(1, 7)), "synthesis.layer_names should be different names, the file has " + g.synthesis.layers[0].plan.name));
  CHECK(contains(says(repeated(60'000, 60'006)), "mapping.num_ws should be from 1 to 257, the file has 60006"));
  CHECK(contains(says(repeated(60'000, 6)), "synthesis.layer_names should have at most 256 entries, the file has 60005"));
}
