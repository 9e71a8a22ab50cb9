// A StyleGAN2 trained on the device: all phases, augmentation included, give the CPU's networks, and a run that is stopped there
// goes on to the same bits; and the same in bf16.
#include <doctest/doctest.h>

#include <filesystem>

#include "cuda/device.hpp"
#include "cuda/modules.hpp"
#include "helpers.hpp"
#include "rig/gan/training.hpp"
#include "rig/train/resume.hpp"

using namespace rig;

namespace {
gan::PictureSet stripes() {
  gan::PictureSet set;
  set.pictures = Tensor<std::uint8_t>({6, 8, 8, 3});
  for (std::int64_t i = 0; i < set.pictures.size(); ++i) set.pictures.mutate()[i] = std::uint8_t(i * i % 253);
  return set;
}
gan::GanTraining two_iterations() {
  gan::GanTraining o = gan::GanTraining::for_resolution(8, 4);
  o.z_dim = o.w_dim = 6, o.channel_base = 64, o.channel_max = 8, o.kimg = 0.008;
  o.losses.path_interval = 2, o.losses.r1_interval = 2, o.first_strength = 0.7, o.mirror = true;
  return o;
}
}  // namespace

TEST_CASE("cuda: training a StyleGAN2 on the device") {
  Device device;
  if (!test::device_for(device)) return;
  gan::PictureSet const pictures = stripes();
  gan::GanTraining const o = two_iterations();
  gan::TrainedGan here = gan::train_gan(pictures, o, {}), there = gan::train_gan(pictures, o, {}, device);
  CHECK(there.finished);
  CHECK(there.networks.path_mean.device() == device);
  CHECK(test::difference(here.networks.generator, there.networks.generator) < 1e-3);
  CHECK(test::difference(here.networks.average, there.networks.average) < 1e-3);
  CHECK(test::difference(here.networks.discriminator, there.networks.discriminator) < 1e-3);

  std::string const file = temporary("rig_cuda_gan.safetensors");
  std::filesystem::remove(file);
  train::StopFlag stop = false;
  gan::GanHooks h;
  h.stop = &stop, h.checkpoint = file;
  h.progress = [&](std::int64_t done, std::int64_t, std::string const&) { stop = done == 1; };
  CHECK(!gan::train_gan(pictures, o, h, device).finished);
  stop = false;
  h.progress = {};
  gan::TrainedGan rest = gan::train_gan(pictures, o, h, device);
  CHECK(nn::content_hash(rest.networks) == nn::content_hash(there.networks));
  std::filesystem::remove(file);
}

TEST_CASE("cuda: a StyleGAN2 trained in bf16 stays near one in float32, and goes on in bf16 alone") {
  Device device;
  if (!test::device_for(device)) return;
  gan::GanTraining const o = two_iterations();
  gan::PictureSet const pictures = stripes();
  std::string const file = temporary("rig_cuda_gan_bf16.safetensors");
  std::filesystem::remove(file);
  train::Log exact, rounded;
  gan::GanHooks h;
  h.log_every = 1, h.log = &exact;
  gan::train_gan(pictures, o, h, device);
  device.set_precision(MatrixPrecision::bf16);
  h.log = &rounded, h.checkpoint = file;
  gan::train_gan(pictures, o, h, device);
  bool apart = false;
  for (char const* curve : {"generator loss", "discriminator loss", "path length", "r1"})
    for (std::size_t i = 0; i < exact.curve(curve).size(); ++i) {
      double const a = exact.curve(curve)[i].second, b = rounded.curve(curve)[i].second;
      INFO(curve, " ", i);
      CHECK(b == doctest::Approx(a).epsilon(0.05));  // 2^-8 in each of some twenty products
      apart = apart || a != b;
    }
  CHECK(apart);
  for (auto const& t : io::read_safetensors(file).tensors)
    CHECK_MESSAGE((t.tensor.dtype() == io::DType::f32 || t.tensor.shape().rank() == 0), t.name);

  device.set_precision(MatrixPrecision::float32);
  CHECK_THROWS_WITH_AS(gan::train_gan(pictures, o, h, device), doctest::Contains("its device is 'cuda, bf16', here it is 'cuda, float32'"),
                       train::OtherRun);
  CHECK_THROWS_WITH_AS(gan::train_gan(pictures, o, h), doctest::Contains("its device is 'cuda, bf16', here it is 'cpu'"), train::OtherRun);
  for (auto const& f : {file, file + ".log.jsonl"}) std::filesystem::remove(f);
}
