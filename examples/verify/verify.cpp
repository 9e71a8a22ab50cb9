#include "verify.hpp"

#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "verifiers.hpp"

int program::run_verify(std::string const& network, std::string const& case_file, std::ostream& out) {
  using namespace rig;
  verify::Case k(case_file);
  if (k.has("count")) {
    verify::verify_operators(k);
    return k.report("", out);
  }
  check(!network.empty(), case_file, ": this case belongs to a network; its file is needed");
  for (char const* about : {"near_kink", "cutoff"}) k.use(about);  // how the case was chosen; a cutoff without a w cut there
  io::Document const file = io::read_any(network);
  if (k.has("d.img")) {
    nn::Discriminator<float> d = nn::discriminator_from(file, network);
    verify::verify_discriminator(k, d);
  }
  if (k.has("hyper")) {
    nn::StyleGAN2<float> g = nn::stylegan2_from(file, network, {}, nn::GeneratorChoice::trained);
    nn::StyleGAN2<float> average = nn::stylegan2_from(file, network);
    nn::Discriminator<float> d = nn::discriminator_from(file, network);
    verify::verify_training(k, g, d, average);
  }
  if (k.has("w")) {
    nn::StyleGAN2<float> g = nn::stylegan2_from(file, network);
    verify::verify_generator(k, g);
  }
  return k.report(network, out);
}
