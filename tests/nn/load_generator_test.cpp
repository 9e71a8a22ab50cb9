// One loader for every family: what a file is shows in its content; what is wrong with it is said by name.
#include "rig/nn/load_generator.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>

#include "helpers.hpp"
#include "rig/io/atomic_file.hpp"

using namespace rig;

namespace {

nn::StyleGAN2<float> small(nn::Architecture a = nn::Architecture::skip, std::int64_t labels = 0) {
  Rng rng(5);
  nn::StyleGAN2<float> g({.z_dim = 4,
                          .w_dim = 6,
                          .c_dim = labels,
                          .resolution = 16,
                          .channel_base = 64,
                          .channel_max = 5,
                          .architecture = a,
                          .mapping_layers = 2},
                         rng);
  int i = 0;  // nothing as it starts: every tensor of every layer matters
  nn::tensors(g, [&](std::string const& name, auto& leaf) {
    if (name.find("resample_filter") != std::string::npos) return;
    Rng draw(std::uint64_t(100 + i++));
    auto const& t = nn::detail::tensor_of(leaf);
    nn::detail::replace(leaf, randn<float>(t.shape(), draw));
  });
  return g;
}

/// A generator's tensors as a state dict in the official layout.
std::vector<io::NamedTensor> state_of(nn::StyleGAN2<float>& g, std::string const& prefix) {
  std::vector<io::NamedTensor> list;
  nn::tensors(g, [&](std::string const& name, auto& leaf) {
    Var<float> t(nn::detail::tensor_of(leaf));
    if (t.rank() == 4) t = permute(t, {0, 3, 1, 2});
    if (t.rank() == 3) t = permute(t, {2, 0, 1});
    list.push_back({prefix + name, io::AnyTensor(t.value())});
  });
  return list;
}
template <class Net> Tensor<float> picture_of(Net const& g) {
  Rng rng(9);
  Var<float> const c = g.c_dim() ? Var<float>(randn<float>({2, g.c_dim()}, rng)) : Var<float>{};
  return g(Var<float>(randn<float>({2, g.z_dim()}, rng)), c).value();
}

}  // namespace

TEST_CASE("generator: one interface, layers and rows by what they steer") {
  Rng rng(1);
  nn::Generator<float> const two(small());
  CHECK(two.family() == nn::Family::stylegan2);
  CHECK(two.row_names() == std::vector<std::string>{"coarse", "coarse", "coarse", "coarse", "medium", "medium"});
  auto const layers = two.layers();
  REQUIRE(layers.size() == 8);
  CHECK(
      (layers[2].name == "b8.conv0" && layers[2].row == 1 && layers[2].resolution == 8 && layers[2].channels == 5 && layers[2].has_noise));
  CHECK((layers[7].name == "b16.torgb" && layers[7].row == 5 && layers[7].channels == 3 && !layers[7].has_noise));

  nn::StyleGAN3Options o = nn::stylegan3_t(32);
  o.z_dim = o.w_dim = 4, o.channel_base = 64, o.channel_max = 4, o.layers = 6, o.margin = 4;
  nn::Generator<float> const three(nn::StyleGAN3<float>(o, rng));
  CHECK(three.family() == nn::Family::stylegan3);
  CHECK((three.num_ws() == 8 && three.layers().size() == 8 && three.row_names().size() == 8));
  CHECK((three.row_names().front() == "coarse" && three.row_names().back() == "medium"));

  nn::StyleGAN1Options first;
  first.z_dim = first.w_dim = 4, first.resolution = 16, first.fmap_base = 32, first.fmap_max = 4, first.mapping_features = 4;
  nn::Generator<float> const one(nn::StyleGAN1<float>(first, rng));
  CHECK(one.row_names() == two.row_names());
  CHECK((one.truncation().psi == 0.7 && one.truncation().cutoff == 6));
  for (nn::Generator<float> const* g : {&one, &two, &three}) {
    Var<float> const w = g->mapping(Var<float>(randn<float>({2, 4}, rng)), {}, {.psi = 0.5});
    CHECK(w.shape() == (Shape{2, g->num_ws(), g->w_dim()}));
    CHECK(g->synthesis(w, {.noise = nn::Noise::none}).shape() == (Shape{2, g->resolution(), g->resolution(), g->image_channels()}));
  }
  CHECK(contains(message_of([&] { two.as<nn::StyleGAN3<float>>(); }), "StyleGAN3 was asked for, this is a StyleGAN2"));
}

TEST_CASE("generator: a centre of truncation is found where the file keeps none") {
  nn::StyleGAN2<float> net = small();
  net.mapping.w_avg = {};
  nn::Generator<float> g(net);
  CHECK(contains(message_of([&] { g.truncate(g.mapping(Var<float>(zeros<float>({1, 4}))), {.psi = 0.5}); }), "keeps no average"));
  Tensor<float> const a = nn::find_centre(g, {}, 1500), b = nn::find_centre(g, {}, 1500);
  CHECK(a.host() == b.host());
  Rng rng(77);
  Tensor<float> const other = mean(g.mapper().code(Var<float>(randn<float>({6000, 4}, rng))), 0).value();
  auto const code = g.mapper().code(Var<float>(randn<float>({1, 4}, rng))).value().host();
  double near = 0, far = 0;
  for (int i = 0; i < 6; ++i)
    near += std::pow(a.host()[std::size_t(i)] - other.host()[std::size_t(i)], 2),
        far += std::pow(code[std::size_t(i)] - other.host()[std::size_t(i)], 2);
  CHECK(near < 0.05 * far);
  g.set_centre(a);
  CHECK(g.centre().host() == a.host());
  CHECK(contains(message_of([&] { g.set_centre(zeros<float>({5})); }), "must be [6], got [5]"));
}

TEST_CASE("load_generator: rig's own files of every family come back whole") {
  Rng rng(3);
  std::string const path = temporary("rig_generator_test.safetensors");
  nn::StyleGAN3Options three = nn::stylegan3_r(32);
  three.z_dim = three.w_dim = 4, three.channel_base = 64, three.channel_max = 4, three.layers = 6, three.margin = 4;
  nn::StyleGAN1Options one;
  one.z_dim = one.w_dim = 4, one.c_dim = 2, one.resolution = 16, one.fmap_base = 32, one.fmap_max = 4, one.mapping_features = 4;
  nn::StyleGAN2<float> two = small(nn::Architecture::resnet, 3);
  two.truncation = {.psi = 0.5, .cutoff = 4};
  for (nn::Generator<float> g : {nn::Generator<float>(nn::StyleGAN1<float>(one, rng)), nn::Generator<float>(two),
                                 nn::Generator<float>(nn::StyleGAN3<float>(three, rng))}) {
    nn::save_generator(path, g, {{"note", "mine"}});
    nn::Generator<float> back = nn::load_generator(path);
    CHECK(back.family() == g.family());
    CHECK(nn::content_hash(back) == nn::content_hash(g));
    CHECK(picture_of(back).host() == picture_of(g).host());
    CHECK((back.truncation().psi == g.truncation().psi && back.truncation().cutoff == g.truncation().cutoff));
    CHECK(nn::describe_networks(io::read_any(path)).origin == "written by rig");
  }
  std::remove(path.c_str());
}

TEST_CASE("load_generator: plain state dicts; what is missing, extra or misshapen is named") {
  std::string const path = temporary("rig_generator_test.npz");
  for (auto a : {nn::Architecture::skip, nn::Architecture::resnet, nn::Architecture::orig}) {
    nn::StyleGAN2<float> g = small(a, a == nn::Architecture::skip ? 3 : 0);
    for (char const* prefix : {"", "G_ema.", "module."}) {
      io::save_npz(path, state_of(g, prefix));
      nn::Generator<float> back = nn::load_generator(path);
      CHECK(nn::content_hash(back) == nn::content_hash(g));
      CHECK(picture_of(back).host() == picture_of(g).host());
    }
  }
  nn::StyleGAN2<float> g = small();
  auto changed = [&](std::string const& remove, io::NamedTensor const& add) {
    auto list = state_of(g, "");
    for (std::size_t i = list.size(); i-- > 0;)
      if (list[i].name == remove) list.erase(list.begin() + std::ptrdiff_t(i));
    if (!add.name.empty()) list.push_back(add);
    io::save_npz(path, list);
    return message_of([&] { nn::load_generator(path); });
  };
  CHECK(contains(changed("synthesis.b8.conv1.affine.bias", {}), "tensor synthesis.b8.conv1.affine.bias is missing (expected [5])"));
  CHECK(contains(changed("synthesis.b8.conv1.affine.weight", {}), "tensor synthesis.b8.conv1.affine.weight is missing (expected [5, 6])"));
  CHECK(contains(changed("synthesis.b8.conv0.weight", {}), "tensor synthesis.b8.conv0.weight is missing (expected [any, 5, 3, 3])"));
  CHECK(contains(changed("mapping.fc1.weight", {}), "tensor mapping.fc1.weight is missing (expected [any, any])"));
  CHECK(contains(changed("mapping.fc0.weight", {}), "tensor mapping.fc0.weight is missing (expected [any, any])"));
  CHECK(contains(changed("synthesis.b8.torgb.bias", {"synthesis.b8.torgb.bias", Tensor<float>({4}, std::vector<float>(4))}),
                 "synthesis.b8.torgb.bias should be [3], the file has [4]"));
  CHECK(contains(changed("", {"synthesis.b16.conv2.weight", Tensor<float>({2}, std::vector<float>(2))}),
                 "tensor synthesis.b16.conv2.weight [2] belongs to no layer"));
  // Shapes are said as they stand in the file, channels first.
  CHECK(contains(changed("synthesis.b8.conv0.weight", {"synthesis.b8.conv0.weight", io::AnyTensor(zeros<float>({5, 4, 3, 3}))}),
                 "synthesis.b8.conv0.weight should be [any, 5, 3, 3], the file has [5, 4, 3, 3]"));
  CHECK(contains(changed("synthesis.b4.const", {"synthesis.b4.const", io::AnyTensor(zeros<float>({4, 4, 5}))}),
                 "synthesis.b4.const is [4, 4, 5], channels last"));
  io::save_npz(path, state_of(g, "G."));
  CHECK(contains(message_of([&] { nn::load_generator(path); }), "has no averaged generator, only one below G."));
  CHECK(nn::load_generator(path, {}, nn::GeneratorChoice::trained).resolution() == 16);
  auto trained = [&] { return message_of([&] { nn::load_generator(path, {}, nn::GeneratorChoice::trained); }); };
  io::save_npz(path, state_of(g, "module."));
  CHECK(contains(trained(), "holds one network alone; the generator that was being trained cannot be chosen in it"));
  nn::save_stylegan2(path, g);
  CHECK(contains(trained(), "holds one network alone"));
  io::save_npz(path, {{"b4.fc.weight", Tensor<float>({2}, std::vector<float>(2))}});
  CHECK(contains(message_of([&] { nn::load_generator(path); }), "holds only a discriminator"));
  io::save_npz(path, {{"weights", Tensor<float>({2}, std::vector<float>(2))}});
  CHECK(contains(message_of([&] { nn::load_generator(path); }), "holds no generator that rig knows; this is a npz archive of 1 tensors"));
  CHECK(nn::describe_networks(io::read_any(path)).origin.empty());
  std::remove(path.c_str());
}

TEST_CASE("load_generator: what the stored files are") {
  struct {
    char const *file, *origin, *version;
    nn::Family family;
    std::int64_t resolution, rows;
  } const cases[] = {
      {"sg2ada_cond32.pkl", "official PyTorch pickle", "", nn::Family::stylegan2, 32, 8},
      {"sg3repo_sg2_32.pkl", "official PyTorch pickle", "", nn::Family::stylegan2, 32, 8},
      {"sg3t_64.pkl", "official PyTorch pickle", "", nn::Family::stylegan3, 64, 16},
      {"sg2tf_skip32.tf.pkl", "official TensorFlow pickle", "4", nn::Family::stylegan2, 32, 8},
      {"sg2tf_ada_cond32.tf.pkl", "official TensorFlow pickle", "5", nn::Family::stylegan2, 32, 8},
      {"sg1_64.tf.pkl", "official TensorFlow pickle", "3", nn::Family::stylegan1, 64, 10},
      {"sg1_32_fused_cond.pth", "checkpoint of a port of StyleGAN1", "", nn::Family::stylegan1, 32, 8},
      {"ros_32.pt", "checkpoint of the community port of StyleGAN2", "", nn::Family::stylegan2, 32, 8},
      {"ros_64_ckpt.pt", "checkpoint of the community port of StyleGAN2", "", nn::Family::stylegan2, 64, 10},
  };
  for (auto const& c : cases) {
    if (!present(c.file)) continue;
    io::Document const file = io::read_any(folder() + c.file);
    nn::NetworkFile const about = nn::describe_networks(file);
    CHECK_MESSAGE(about.origin == c.origin, c.file);
    if (*c.version) CHECK_MESSAGE(about.version == c.version, c.file);
    nn::Generator<float> g = nn::generator_from(file, c.file);
    CHECK_MESSAGE(g.family() == c.family, c.file);
    CHECK_MESSAGE((g.resolution() == c.resolution && g.num_ws() == c.rows), c.file);
    std::string const copy = temporary("rig_generator_test.safetensors");
    nn::save_generator(copy, g);
    nn::Generator<float> back = nn::load_generator(copy);
    CHECK_MESSAGE(nn::content_hash(back) == nn::content_hash(g), c.file);
    std::remove(copy.c_str());
  }
}

TEST_CASE("a generator rounded to half precision is stored in half the size, and nothing else changes it") {
  nn::Generator<float> g(small()), rounded(nn::clone(small()));
  nn::round_to_half(rounded);
  std::string const path = temporary("rig_half_test.safetensors");
  auto stored = [&](nn::Generator<float>& net) {
    nn::save_generator(path, net);
    return io::read_safetensors(path);
  };
  auto bytes = [](io::Safetensors const& s, io::DType type) {
    std::uint64_t n = 0;
    for (auto const& t : s.tensors) {
      CHECK(t.tensor.dtype() == type);
      n += t.tensor.bytes().size;
    }
    return n;
  };
  auto const full = stored(g), half = stored(rounded);
  CHECK(bytes(full, io::DType::f32) == 2 * bytes(half, io::DType::f16));
  nn::Generator<float> back = nn::load_generator(path);
  CHECK(nn::content_hash(back) == nn::content_hash(rounded));
  CHECK(nn::content_hash(back) != nn::content_hash(g));
  Rng rng(1);
  Var<float> const z(randn<float>({2, 4}, rng));
  auto const a = g(z).value(), b = back(z).value();
  float most = 0, apart = 0;
  for (std::int64_t i = 0; i < a.size(); ++i)
    most = std::max(most, std::abs(a.data()[i])), apart = std::max(apart, std::abs(a.data()[i] - b.data()[i]));
  CHECK(apart > 0);
  CHECK(apart < 0.01f * most);
  auto large = small();
  large.mapping.layers[0].weight.tensor().mutate()[0] = 1e6f;
  CHECK(contains(message_of([&] { nn::round_to_half(large); }), "mapping.fc0.weight holds 1e+06, half precision ends at 65504"));
  std::filesystem::remove(path);
}
