// Networks of the sizes that people have, from files of the official structure: how fast they load, what memory that takes,
// and that they run. Nothing here is downloaded; the weights are random.
#include <doctest/doctest.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <filesystem>

#include "io/memory_growth.hpp"
#include "nn/official_pickle.hpp"

using namespace rig;
namespace fs = std::filesystem;

namespace {
/// A file of this test's own, gone at the end.
struct TemporaryFile {
  std::string path = (fs::temp_directory_path() / ("rig_full_size_" + std::to_string(::getpid()) + ".pkl")).string();
  ~TemporaryFile() { fs::remove(path); }
};

/// Loading takes little more memory than the file is long.
void check_memory(std::string const& path) {
  long const size = long(fs::file_size(path) / 1024);
  long const grown = memory_growth([&] { return nn::load_generator(path).resolution() > 0; });
  MESSAGE(grown, " kB more memory for a file of ", size, " kB");
  CHECK(grown > 0);
  if (measured) CHECK(grown < size * 13 / 10);
}

/// Writes G as an official file, frees it, loads it again under the clock and in a process whose memory is looked at.
template <class Net> nn::Generator<float> there_and_back(Net g, std::string const& path) {
  std::string const hash = nn::content_hash(g);
  official::Module m = official::module_of(g);
  official::Writer(path).networks({{"G", nullptr}, {"D", nullptr}, {"G_ema", &m}, {"training_set_kwargs", nullptr}});
  m = {}, g = {};
  check_memory(path);
  using clock = std::chrono::steady_clock;
  double best = 1e9;
  nn::Generator<float> back;
  for (int i = 0; i < (measured ? 3 : 1); ++i) {
    back = {};
    auto const start = clock::now();
    back = nn::load_generator(path);
    best = std::min(best, std::chrono::duration<double>(clock::now() - start).count());
  }
  CHECK(nn::content_hash(back) == hash);
  MESSAGE((fs::file_size(path) / 1000000), " MB load in ", best, " s");
  if (measured) CHECK(best < 2);
  return back;
}

void check_picture(Tensor<float> const& picture, std::int64_t resolution) {
  CHECK(picture.shape() == (Shape{1, resolution, resolution, 3}));
  double sum = 0, squares = 0;
  for (float v : picture.host()) sum += v, squares += double(v) * v;
  double const n = double(picture.size());
  CHECK(std::isfinite(squares));
  CHECK(squares / n - sum / n * sum / n > 1e-4);  // not one colour
}
}  // namespace

TEST_CASE("full size: StyleGAN2 config-f at 1024 pixels") {
  TemporaryFile const file;
  Rng rng(1);
  nn::Generator<float> const g = there_and_back(nn::StyleGAN2<float>({.resolution = 1024, .channel_base = 32768}, rng), file.path);
  CHECK((g.family() == nn::Family::stylegan2 && g.num_ws() == 18 && g.layers().size() == 26));
  check_picture(g.synthesis(g.mapping(Var<float>(randn<float>({1, 512}, rng)))).value(), 1024);
}

TEST_CASE("full size: StyleGAN3-T at 1024 pixels") {
  TemporaryFile const file;
  Rng rng(2);
  nn::Generator<float> const g = there_and_back(nn::StyleGAN3<float>(nn::stylegan3_t(1024), rng), file.path);
  CHECK((g.family() == nn::Family::stylegan3 && g.num_ws() == 16 && g.layers().size() == 16));
  check_picture(g.synthesis(g.mapping(Var<float>(randn<float>({1, 512}, rng)))).value(), 1024);
}

TEST_CASE("official files: three networks in one, each found by its name") {
  TemporaryFile const file;
  Rng rng(3);
  nn::StyleGAN2Options const o{.z_dim = 8, .w_dim = 12, .c_dim = 3, .resolution = 16, .channel_base = 128, .channel_max = 8};
  nn::StyleGAN2<float> trained(o, rng), averaged(o, rng);
  nn::Discriminator<float> judge({.resolution = 16, .c_dim = 3, .channel_base = 128, .channel_max = 8}, rng);
  official::Module const g = official::module_of(trained), d = official::module_of(judge), e = official::module_of(averaged);
  official::Writer(file.path).networks({{"G", &g}, {"D", &d}, {"G_ema", &e}});
  io::Document const document = io::read_any(file.path);
  nn::Generator<float> found = nn::generator_from(document, "file"),
                       other = nn::generator_from(document, "file", {}, nn::GeneratorChoice::trained);
  CHECK(nn::content_hash(found) == nn::content_hash(averaged));
  CHECK(nn::content_hash(other) == nn::content_hash(trained));
  nn::Discriminator<float> back = nn::discriminator_from(document, "file");
  CHECK(nn::content_hash(back) == nn::content_hash(judge));
  CHECK(nn::describe_networks(document).networks == std::vector<std::string>{"G (Generator)", "D (Discriminator)", "G_ema (Generator)"});

  official::Writer(file.path).networks({{"G", nullptr}, {"D", &d}, {"G_ema", nullptr}});
  try {
    nn::load_generator(file.path);
    FAIL("a discriminator was taken for a generator");
  } catch (Error const& error) {
    CHECK(std::string(error.what()).find("holds only a discriminator (D)") != std::string::npos);
  }
}
