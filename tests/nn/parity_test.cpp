// Every StyleGAN2-ada case of the original code, through the program's verify: values, gradients, second derivatives.
// The stored cases are not part of the repository; without them these tests say so and do nothing.
#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <sstream>

#include "altered_file.hpp"
#include "helpers.hpp"
#include "io/pickle_builder.hpp"
#include "rig/io/atomic_file.hpp"
#include "rig/io/npz.hpp"
#include "rig/io/safetensors.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "verify/verify.hpp"

using namespace rig;

namespace {

/// A pickle of a dict: the first keys hold None, the others a NumPy number.
std::string pickle_of(std::vector<std::string> const& none, std::vector<std::string> const& number) {
  std::string p = "\x80\x03}(";
  auto text = [&](std::string const& k) { p += pickled::text(k); };
  for (auto const& k : none) text(k), p += "N";
  for (auto const& k : number) {
    text(k);
    p += "cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n(";
    text("f8");
    p += std::string("K\0K\1tR(K\3", 9);
    text("<");
    p += "NNN" + ("J" + std::string(4, '\xff')) + ("J" + std::string(4, '\xff')) + std::string("K\0tbC\x08", 6) + std::string(8, '\0') +
         "\x86R";
  }
  return p + "u.";
}

}  // namespace

TEST_CASE("verify says which of its files is not what it should be") {
  std::string const network = temporary("rig_verify_network.safetensors"), operators = temporary("rig_verify_operators.npz");
  io::save_safetensors(network, {{"x", io::AnyTensor(zeros<float>({2}))}});
  io::save_npz(operators, {{"count", io::AnyTensor(Tensor<double>({}, {0}))}});
  auto said = [](std::string const& net, std::string const& arrays) {
    std::ostringstream report;
    return message_of([&] { program::run_verify(net, arrays, report); });
  };
  CHECK(said("", network) == network + ": expected a case (.npz), found safetensors");
  CHECK(said(operators, network) == network + ": expected a case (.npz), found safetensors");
  CHECK(contains(said("nowhere", operators), "a case of operators stands alone, found the network nowhere before it"));
  for (auto const& f : {network, operators}) std::remove(f.c_str());
}

TEST_CASE("parity: networks") {
  for (char const* name : {"sg2ada_skip64", "sg2ada_skip256", "sg2ada_cond32", "sg2ada_resnet32", "sg2ada_orig32", "sg2ada_fp16flag64",
                           "sg2ada_misc16", "sg3repo_sg2_32"}) {
    std::string const file = name;
    if (!present(file + ".pkl") || !present(file + ".npz")) continue;
    std::ostringstream report;
    int const rc = program::run_verify(folder() + file + ".pkl", folder() + file + ".npz", report);
    CHECK_MESSAGE(rc == 0, report.str());
    CHECK_MESSAGE(contains(report.str(), "\"grad.ws\""), file);
  }
}

TEST_CASE("parity: operators") {
  for (char const* name :
       {"bias_act", "upfirdn2d", "conv2d_resample", "modulated_conv2d", "modulated_conv2d_sg3", "filtered_lrelu", "norms", "sg1_ops"}) {
    std::string const file = std::string("ops_") + name + ".npz";
    if (!present(file)) continue;
    std::ostringstream report;
    int const rc = program::run_verify("", folder() + file, report);
    CHECK_MESSAGE(rc == 0, report.str());
  }
}

TEST_CASE("parity: a wrong network is found out, rig's own file is as good as the official one") {
  if (!present("sg2ada_cond32.pkl") || !present("sg2ada_cond32.npz")) return;
  auto g = nn::load_stylegan2(folder() + "sg2ada_cond32.pkl");
  std::string const path = temporary("rig_parity_test.safetensors");
  nn::save_stylegan2(path, g);
  std::ostringstream good;  // the discriminator is not in this file, and verify says so
  CHECK(program::run_verify(path, folder() + "sg2ada_cond32.npz", good) == 1);
  CHECK(contains(good.str(), "not all checked"));
  CHECK(!contains(good.str(), "\"within\": false"));
  CHECK(contains(good.str(), "\"d.logits\""));
  auto back = nn::load_stylegan2(path);
  CHECK(nn::content_hash(back) == nn::content_hash(g));

  back.synthesis.blocks[2].conv1->act_gain *= 1.0001;  // an attribute, kept beside the tensors
  nn::save_stylegan2(path, back);
  std::ostringstream bad;
  CHECK(program::run_verify(path, folder() + "sg2ada_cond32.npz", bad) == 1);
  CHECK(contains(bad.str(), "beyond tolerance"));
  std::remove(path.c_str());
}

TEST_CASE("loader: averaged or trained generator, initial networks of a training") {
  if (present("sg2ada_skip64.pkl")) {
    auto averaged = nn::load_stylegan2(folder() + "sg2ada_skip64.pkl");
    auto trained = nn::load_stylegan2(folder() + "sg2ada_skip64.pkl", {}, nn::GeneratorChoice::trained);
    CHECK(nn::content_hash(averaged) != nn::content_hash(trained));
    CHECK(averaged.num_ws() == 10);
  }
  if (present("sg2ada_skip256.pkl"))
    CHECK(contains(message_of([] { nn::load_stylegan2(folder() + "sg2ada_skip256.pkl", {}, nn::GeneratorChoice::trained); }),
                   "has no G, only G_ema"));
  if (present("sg2ada_train16.pkl")) {
    auto g = nn::load_stylegan2(folder() + "sg2ada_train16.pkl");
    CHECK(g.resolution == 16);
    Rng rng(1);
    CHECK(std::isfinite(sum(g(Var(randn<float>({2, g.z_dim()}, rng)))).item()));
  }
}

TEST_CASE("loader: other families have a sentence of their own") {
  struct {
    char const *file, *says;
  } const cases[] = {{"sg3t_64.pkl", "StyleGAN3"},
                     {"sg2tf_skip32.tf.pkl", "TensorFlow"},
                     {"ros_32.pt", "official .pkl"},
                     {"sg2ada_skip64.npz", "official .pkl"}};
  for (auto const& c : cases)
    if (present(c.file)) CHECK_MESSAGE(contains(message_of([&] { nn::load_stylegan2(folder() + c.file); }), c.says), c.file);
}

TEST_CASE("loader: pickles without a generator") {
  std::string const path = temporary("rig_loader_test.pkl");
  io::write_file(path, pickle_of({"G", "G_ema"}, {"D"}));
  CHECK(contains(message_of([&] { nn::load_stylegan2(path); }), "holds only a discriminator (D)"));
  io::write_file(path, pickle_of({"G", "G_ema", "D"}, {"snapshot"}));
  CHECK(contains(message_of([&] { nn::load_stylegan2(path); }), "holds no generator"));
  io::write_file(path, pickle_of({}, {"G_ema"}));
  CHECK(contains(message_of([&] { nn::load_stylegan2(path); }), "G_ema should be a network"));
  std::remove(path.c_str());
}

TEST_CASE("loader: own files; missing, misshapen and unknown tensors and attributes are named") {
  Rng rng(2);
  nn::StyleGAN2<float> g({.z_dim = 4,
                          .w_dim = 6,
                          .resolution = 8,
                          .channel_base = 32,
                          .channel_max = 5,
                          .architecture = nn::Architecture::resnet,
                          .mapping_layers = 2},
                         rng);
  std::string const path = temporary("rig_loader_test.safetensors");
  nn::save_stylegan2(path, g, {{"note", "mine"}});
  auto back = nn::load_stylegan2(path);
  CHECK(nn::content_hash(back) == nn::content_hash(g));
  Var<float> const w(randn<float>({1, 4, 6}, rng));
  CHECK(back.synthesis(w).value().host() == g.synthesis(w).value().host());

  io::Safetensors const whole = io::read_safetensors(path);
  auto changed = [&](auto&& change) {
    return message_of_altered(whole, change, [](std::string const& file) { nn::load_stylegan2(file); });
  };
  CHECK(contains(changed([&](io::Safetensors& s) { s.tensors.erase(tensor_of(s, "synthesis.b8.conv1.affine.weight")); }),
                 "tensor synthesis.b8.conv1.affine.weight is missing (expected [4, 6])"));
  CHECK(contains(changed([&](io::Safetensors& s) {
                   tensor_of(s, "synthesis.b8.conv0.noise_const")->tensor = Tensor<float>({4, 4}, std::vector<float>(16));
                 }),
                 "synthesis.b8.conv0.noise_const should be [8, 8], the file has [4, 4]"));
  CHECK(contains(changed([&](io::Safetensors& s) {
                   s.tensors.push_back({"synthesis.b16.torgb.bias", Tensor<float>({3}, std::vector<float>(3))});
                 }),
                 "tensor synthesis.b16.torgb.bias [3] belongs to no layer"));
  auto attribute = [&](std::string const& key, std::string const& value) {
    return changed([&](io::Safetensors& s) {
      for (auto& [k, v] : s.metadata)
        if (k == key) v = value;
    });
  };
  CHECK(contains(attribute("synthesis.b8.conv0.activation", "gelu"), "synthesis.b8.conv0: activation: expected"));
  CHECK(contains(attribute("img_resolution", "12"), "power of two"));
  CHECK(contains(attribute("synthesis.b4.conv1.act_gain", "loud"), "synthesis.b4.conv1.act_gain should be a number"));
  CHECK(contains(attribute("format", "rig.rig"), "expected a generator written by rig"));
  CHECK(message_of([&] { nn::load_stylegan2(path + ".none"); }) != "");
  std::remove(path.c_str());
}
