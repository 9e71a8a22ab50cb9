// The dialects of StyleGAN2's files: every stored case of TensorFlow and of the community port through the program's verify,
// and what is said of files that are not whole.
#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <sstream>

#include "helpers.hpp"
#include "io/pickle_builder.hpp"
#include "rig/io/atomic_file.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/load_generator.hpp"
#include "verify/verify.hpp"

using namespace rig;

namespace {

/// Pickles of protocol 3, made here: dicts, texts, numbers, None, float arrays, and networks of the TensorFlow era.
struct Pickle {
  static std::string text(std::string const& s) { return pickled::text(s); }
  static std::string integer(std::int64_t v) { return "J" + pickled::little(std::uint64_t(v), 4); }
  static std::string dict(std::vector<std::pair<std::string, std::string>> const& entries) {
    std::string p = "}(";
    for (auto const& [k, v] : entries) p += text(k) + v;
    return p + "u";
  }
  static std::string list(std::vector<std::string> const& items) {
    std::string p = "](";
    for (auto const& i : items) p += i;
    return p + "e";
  }
  /// All ones, or the values given.
  static std::string array(std::vector<std::int64_t> const& shape, std::vector<float> const& given = {}) {
    std::int64_t n = 1;
    std::string extents = "(";
    for (auto d : shape) n *= d, extents += integer(d);
    std::string values;
    for (std::int64_t i = 0; i < n; ++i) {
      float const v = given.empty() ? 1 : given.at(std::size_t(i));
      values.append(reinterpret_cast<char const*>(&v), 4);
    }
    std::string const type = "cnumpy\ndtype\n(" + text("f4") + integer(0) + integer(1) + "tR(" + integer(3) + text("<") + "NNN" +
                             integer(-1) + integer(-1) + integer(0) + "tb";
    return "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + integer(0) + "t" +
           std::string(
               "C\x01"
               "b") +
           "tR(" + integer(1) + extents + "t" + type + "\x89" + pickled::blob(values) + "tb";
  }
  static std::string variable(std::string const& name, std::vector<std::int64_t> const& shape) {
    return "(" + text(name) + array(shape) + "t";
  }
  static std::string network(int version, std::string const& function, std::string const& options, std::string const& components,
                             std::vector<std::string> const& variables) {
    return "cdnnlib.tflib.network\nNetwork\n)\x81" +
           dict({{"version", integer(version)},
                 {"name", text("net")},
                 {"static_kwargs", options},
                 {"components", components},
                 {"build_module_src", text("")},
                 {"build_func_name", text(function)},
                 {"variables", list(variables)}}) +
           "b";
  }
  static std::string triple(std::string const& G, std::string const& D, std::string const& Gs) { return "\x80\x03(" + G + D + Gs + "t."; }
};

/// A StyleGAN2 of 4 pixels and one mapping layer, z 3, w 2, 5 channels.
struct Tiny {
  int version = 4;
  std::string function = "G_main", extra_key = {}, without = {}, misshapen = {};
  std::int64_t labels = 0;

  std::string str() const {
    using P = Pickle;
    auto list = [&](std::vector<std::pair<std::string, std::vector<std::int64_t>>> const& all) {
      std::vector<std::string> v;
      for (auto [name, shape] : all) {
        if (name == without) continue;
        if (name == misshapen) shape.back() += 1;
        v.push_back(P::variable(name, shape));
      }
      return v;
    };
    auto const mapping = P::network(version, "G_mapping", "}", "}",
                                    labels ? list({{"LabelConcat/weight", {labels, 3}}, {"Dense0/weight", {6, 2}}, {"Dense0/bias", {2}}})
                                           : list({{"Dense0/weight", {3, 2}}, {"Dense0/bias", {2}}}));
    auto const synthesis = P::network(version, "G_synthesis_stylegan2", "}", "}",
                                      list({{"noise0", {1, 1, 4, 4}},
                                            {"4x4/Const/const", {1, 5, 4, 4}},
                                            {"4x4/Conv/weight", {3, 3, 5, 5}},
                                            {"4x4/Conv/mod_weight", {2, 5}},
                                            {"4x4/Conv/mod_bias", {5}},
                                            {"4x4/Conv/noise_strength", {}},
                                            {"4x4/Conv/bias", {5}},
                                            {"4x4/ToRGB/weight", {1, 1, 5, 3}},
                                            {"4x4/ToRGB/mod_weight", {2, 5}},
                                            {"4x4/ToRGB/mod_bias", {5}},
                                            {"4x4/ToRGB/bias", {3}}}));
    std::vector<std::pair<std::string, std::string>> options = {{"resolution", P::integer(4)},   {"latent_size", P::integer(3)},
                                                                {"dlatent_size", P::integer(2)}, {"mapping_layers", P::integer(1)},
                                                                {"fmap_max", P::integer(5)},     {"label_size", P::integer(labels)}};
    if (!extra_key.empty()) options.push_back({extra_key, P::integer(1)});
    auto const g = P::network(version, function, P::dict(options), P::dict({{"mapping", mapping}, {"synthesis", synthesis}}),
                              list({{"lod", {}}, {"dlatent_avg", {2}}}));
    return P::triple("N", "N", g);
  }
};

struct File {
  std::string path = (std::filesystem::temp_directory_path() / "rig_tf_loader_test.pkl").string();
  explicit File(std::string const& content) { io::write_file(path, content); }
  ~File() { std::remove(path.c_str()); }
};
std::string says(std::string const& content, nn::GeneratorChoice choice = nn::GeneratorChoice::averaged) {
  File const f(content);
  return message_of([&] { nn::load_generator(f.path, {}, choice); });
}

}  // namespace

TEST_CASE("loader: the stored cases of TensorFlow and of the community port") {
  for (auto const& [name, ending] : {std::pair<std::string, std::string>{"sg2tf_skip32", ".tf.pkl"},
                                     {"sg2tf_ada_cond32", ".tf.pkl"},
                                     {"ros_32", ".pt"},
                                     {"ros_64_ckpt", ".pt"}}) {
    if (!present(name + ending) || !present(name + ".npz")) continue;
    std::ostringstream report;
    CHECK_MESSAGE(program::run_verify(folder() + name + ending, folder() + name + ".npz", report) == 0, report.str());
  }
}

TEST_CASE("loader: a TensorFlow network by hand") {
  File const f(Tiny{}.str());
  auto const g = nn::load_generator(f.path).as<nn::StyleGAN2<float>>();
  CHECK((g.resolution == 4 && g.num_ws() == 2 && g.z_dim() == 3 && g.w_dim() == 2 && g.image_channels == 3));
  CHECK((g.truncation.psi == 0.5 && g.truncation.cutoff == -1));
  // Styles are one number more than the file says.
  CHECK(g.synthesis.blocks[0].conv1->affine.bias.value().host() == std::vector<float>(5, 2.0f));
  CHECK(g.synthesis.blocks[0].constant.shape() == (Shape{4, 4, 5}));
  CHECK(g.mapping.layers[0].weight.shape() == (Shape{2, 3}));

  File const labels(Tiny{.labels = 4}.str());
  auto const conditional = nn::load_generator(labels.path);
  CHECK((conditional.c_dim() == 4 && conditional.mapper().label_weight.shape() == (Shape{4, 3})));
  Rng rng(1);
  CHECK(conditional.mapping(Var<float>(randn<float>({2, 3}, rng)), Var<float>(randn<float>({2, 4}, rng))).shape() == (Shape{2, 2, 2}));
}

TEST_CASE("loader: a TensorFlow network that is not whole, or of another kind") {
  CHECK(contains(says(Tiny{.without = "4x4/Conv/mod_weight"}.str()),
                 "synthesis.b4.conv1.affine.weight (synthesis/4x4/Conv/mod_weight in the file) is missing (expected [2, 5])"));
  CHECK(contains(says(Tiny{.without = "Dense0/weight"}.str()),
                 "mapping.fc0.weight (mapping/Dense0/weight in the file) is missing (expected [3, 2])"));
  CHECK(contains(says(Tiny{.without = "4x4/ToRGB/weight"}.str()),
                 "synthesis.b4.torgb.weight (synthesis/4x4/ToRGB/weight in the file) is missing (expected [1, 1, 5, 3])"));
  CHECK(contains(says(Tiny{.without = "4x4/Const/const"}.str()),
                 "(synthesis/4x4/Const/const in the file) is missing (expected [1, any, 4, 4])"));
  CHECK(contains(says(Tiny{.without = "dlatent_avg"}.str()), "mapping.w_avg (dlatent_avg in the file) is missing"));
  CHECK(contains(says(Tiny{.misshapen = "4x4/ToRGB/bias"}.str()),
                 "synthesis.b4.torgb.bias (synthesis/4x4/ToRGB/bias in the file) should be [3], the file has [4]"));
  CHECK(contains(says(Tiny{.misshapen = "4x4/Conv/weight"}.str()), "by the keywords fmap_base and fmap_max"));
  CHECK(contains(says(Tiny{.extra_key = "pixel_shuffle"}.str()), "keyword pixel_shuffle of G_main is not known"));
  CHECK(contains(says(Tiny{.version = 6}.str()), "version 6"));
  CHECK(contains(says(Tiny{.version = 3}.str()), "version 4 or 5, the file says 3"));
  CHECK(contains(says(Tiny{.function = "G_paper"}.str()), "generators built by G_paper are not known"));
  CHECK(contains(says(Tiny{.function = "D_stylegan2"}.str()), "is a discriminator (D_stylegan2)"));
  CHECK(contains(says(Tiny{}.str(), nn::GeneratorChoice::trained), "first entry (G, the generator that was being trained)"));
  CHECK(contains(says(Pickle::triple("N", "N", "N")), "holds no tensor"));
}

TEST_CASE("loader: the community port's files that are not whole") {
  auto dict = [](std::vector<std::pair<std::string, std::string>> const& entries) { return "\x80\x03" + Pickle::dict(entries) + "."; };
  CHECK(contains(says(dict({{"g_ema", "N"},
                            {"d", Pickle::dict({{"convs.0.0.weight", Pickle::array({2, 3, 1, 1})},
                                                {"final_linear.1.weight", Pickle::array({1, 2})}})}})),
                 "holds only a discriminator (d)"));
  std::string const generator = Pickle::dict({{"style.1.weight", Pickle::array({2, 3})},
                                              {"style.1.bias", Pickle::array({2})},
                                              {"input.input", Pickle::array({1, 4, 4, 4})},
                                              {"conv1.conv.weight", Pickle::array({1, 4, 4, 3, 3})},
                                              {"to_rgb1.bias", Pickle::array({1, 3, 1, 1})}});
  CHECK(contains(says(dict({{"g", generator}})), "has no g_ema, only g"));
  CHECK(contains(says(dict({{"g_ema", generator}})), "(conv1.conv.modulation.weight in the file) is missing (expected [4, 2])"));

  std::vector<std::pair<std::string, std::string>> whole;
  for (auto const& [name, shape] :
       std::vector<std::pair<std::string, std::vector<std::int64_t>>>{{"style.1.weight", {2, 3}},
                                                                      {"style.1.bias", {2}},
                                                                      {"input.input", {1, 4, 4, 4}},
                                                                      {"conv1.conv.weight", {1, 4, 4, 3, 3}},
                                                                      {"conv1.conv.modulation.weight", {4, 2}},
                                                                      {"conv1.conv.modulation.bias", {4}},
                                                                      {"conv1.activate.bias", {4}},
                                                                      {"conv1.noise.weight", {1}},
                                                                      {"noises.noise_0", {1, 1, 4, 4}},
                                                                      {"to_rgb1.conv.weight", {1, 3, 4, 1, 1}},
                                                                      {"to_rgb1.conv.modulation.weight", {4, 2}},
                                                                      {"to_rgb1.conv.modulation.bias", {4}},
                                                                      {"to_rgb1.bias", {1, 3, 1, 1}}})
    whole.push_back({name, Pickle::array(shape)});
  CHECK(says(dict({{"g_ema", Pickle::dict(whole)}})) == "");
  auto changed = [&](std::string const& name, std::string const& value) {
    auto list = whole;
    for (auto& [key, v] : list)
      if (key == name) v = value;
    if (value.empty()) std::erase_if(list, [&](auto const& e) { return e.first == name; });
    return says(dict({{"g_ema", Pickle::dict(list)}}));
  };
  CHECK(contains(changed("conv1.conv.weight", Pickle::array({1, 4, 5, 3, 3})),
                 "synthesis.b4.conv1.weight (conv1.conv.weight in the file) should be [1, 4, 4, 3, 3], the file has [1, 4, 5, 3, 3]"));
  CHECK(contains(changed("to_rgb1.conv.weight", ""), "(to_rgb1.conv.weight in the file) is missing (expected [1, 3, 4, 1, 1])"));
  CHECK(contains(changed("noises.noise_0", ""), "(noises.noise_0 in the file) is missing (expected [1, 1, 4, 4])"));
  CHECK(
      contains(changed("style.1.weight", Pickle::array({2, 3, 1})), "tensor style.1.weight should be [any, any], the file has [2, 3, 1]"));
  whole.push_back({"convs.1.activate.bias", Pickle::array({4})});
  CHECK(contains(changed("", "N"), "synthesis.b8.conv0.weight (convs.0.conv.weight in the file) is missing (expected [1, any, 4, 3, 3])"));

  File const judge(dict({{"d", Pickle::dict({{"convs.0.0.weight", Pickle::array({2, 3, 1, 1})},
                                             {"convs.0.1.bias", Pickle::array({2})},
                                             {"convs.1.skip.1.weight", Pickle::array({2, 2, 1, 1})},
                                             {"final_linear.1.weight", Pickle::array({1, 2})}})}}));
  CHECK(contains(message_of([&] { nn::load_discriminator(judge.path); }),
                 "b8.conv0.weight (convs.1.conv1.0.weight in the file) is missing (expected [2, 2, 3, 3])"));
}

TEST_CASE("loader: the community port's filters, which may differ between layers and colours") {
  std::vector<std::pair<std::string, std::string>> whole;
  auto add = [&](std::string const& name, std::vector<std::int64_t> const& shape) { whole.push_back({name, Pickle::array(shape)}); };
  auto layer = [&](std::string const& name, int noise, std::int64_t side) {
    add(name + ".conv.weight", {1, 4, 4, 3, 3}), add(name + ".conv.modulation.weight", {4, 2}), add(name + ".conv.modulation.bias", {4});
    add(name + ".activate.bias", {4}), add(name + ".noise.weight", {1}), add(str("noises.noise_", noise), {1, 1, side, side});
  };
  auto colours = [&](std::string const& name) {
    add(name + ".conv.weight", {1, 3, 4, 1, 1}), add(name + ".conv.modulation.weight", {4, 2});
    add(name + ".conv.modulation.bias", {4}), add(name + ".bias", {1, 3, 1, 1});
  };
  add("style.1.weight", {2, 3}), add("style.1.bias", {2}), add("input.input", {1, 4, 4, 4});
  layer("conv1", 0, 4), layer("convs.0", 1, 8), layer("convs.1", 2, 8), colours("to_rgb1"), colours("to_rgbs.0");
  auto load = [&](std::string const& blur, std::string const& upsample) {
    auto list = whole;
    if (!blur.empty()) list.push_back({"convs.0.conv.blur.kernel", blur});
    if (!upsample.empty()) list.push_back({"to_rgbs.0.upsample.kernel", upsample});
    File const f("\x80\x03" + Pickle::dict({{"g_ema", Pickle::dict(list)}}) + ".");
    return nn::load_generator(f.path).as<nn::StyleGAN2<float>>();
  };
  auto filters = [](nn::StyleGAN2<float> const& g) {
    auto const& b = g.synthesis.blocks.at(1);
    return std::pair(b.conv0->resample_filter.host(), b.resample_filter.host());
  };
  std::vector<float> const narrow = {.25f, .5f, .25f, .5f, 1, .5f, .25f, .5f, .25f}, even(4, 1.0f);  // four times [1 2 1] / 4, [1 1] / 2
  auto const of_1331 = setup_filter<float>({1, 3, 3, 1}).host();
  CHECK(filters(load("", "")) == std::pair(of_1331, of_1331));
  CHECK(filters(load(Pickle::array({3, 3}, narrow), "")) == std::pair(setup_filter<float>({1, 2, 1}).host(), of_1331));
  CHECK(filters(load("", Pickle::array({2, 2}, even))) == std::pair(of_1331, setup_filter<float>({1, 1}).host()));
  auto refused = [&](std::string const& blur) { return message_of([&] { load(blur, ""); }); };
  CHECK(contains(refused(Pickle::array({2, 3})),
                 "convs.0.conv.blur.kernel should be a filter [t, t] of at most 256 taps, the file has [2, 3]"));
  CHECK(contains(refused(Pickle::array({3, 3})), "convs.0.conv.blur.kernel should sum to 4, the file's sums to 9"));
  CHECK(contains(refused(Pickle::array({2, 2}, {2, 0, 0, 2})), "should be the outer product of its taps"));
}

TEST_CASE("loader: a small TensorFlow file whose layers share their weights is refused") {
  using P = Pickle;
  std::vector<std::string> layers;
  for (int i = 0; i < 200; ++i) {
    // The memo keeps the first array for the others.
    layers.push_back("(" + P::text(str("Dense", i, "/weight")) +
                     (i ? "j" + pickled::little(70'000, 4) : P::array({256, 256}) + "r" + pickled::little(70'000, 4)) + "t");
    layers.push_back(P::variable(str("Dense", i, "/bias"), {256}));
  }
  for (auto const& [function, version] : {std::pair{"G_main", 4}, {"G_style", 3}}) {
    auto const options = P::dict({{"resolution", P::integer(4)},
                                  {"latent_size", P::integer(256)},
                                  {"dlatent_size", P::integer(256)},
                                  {"mapping_fmaps", P::integer(256)},
                                  {"mapping_layers", P::integer(200)},
                                  {"fmap_max", P::integer(5)}});
    auto const mapping = P::network(version, "G_mapping", "}", "}", layers);
    auto const synthesis = P::network(version, version == 4 ? "G_synthesis_stylegan2" : "G_synthesis", "}", "}",
                                      {P::variable("4x4/Conv/weight", {3, 3, 5, 5})});
    auto const g = P::network(version, function, options, P::dict({{"mapping", mapping}, {"synthesis", synthesis}}),
                              {P::variable("lod", {}), P::variable("dlatent_avg", {256})});
    std::string const message = says(P::triple("N", "N", g));
    CHECK_MESSAGE((contains(message, "/weight") && contains(message, " [256, 256] the network takes more than")), message);
  }
}
