// A StyleGAN2 trained on the device: all phases, augmentation included, give the CPU's networks, and a run that is stopped there
// goes on to the same bits.
#include <doctest/doctest.h>

#include <filesystem>

#include "cuda/device.hpp"
#include "cuda/modules.hpp"
#include "helpers.hpp"
#include "rig/gan/training.hpp"

using namespace rig;

TEST_CASE("cuda: training a StyleGAN2 on the device") {
  Device device;
  if (!test::device_for(device)) return;
  gan::PictureSet pictures;
  pictures.pictures = Tensor<std::uint8_t>({6, 8, 8, 3});
  for (std::int64_t i = 0; i < pictures.pictures.size(); ++i) pictures.pictures.mutate()[i] = std::uint8_t(i * i % 253);
  gan::GanTraining o = gan::GanTraining::for_resolution(8, 4);
  o.z_dim = o.w_dim = 6, o.channel_base = 64, o.channel_max = 8, o.kimg = 0.008;
  o.losses.path_interval = 2, o.losses.r1_interval = 2, o.first_strength = 0.7, o.mirror = true;
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
