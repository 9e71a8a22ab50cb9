#include "verify.hpp"

#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/load_generator.hpp"
#include "rig/nn/stylegan1_loader.hpp"
#include "verifiers.hpp"

int program::run_verify(std::string const& network, std::string const& case_file, std::ostream& out, rig::Device const& device) {
  using namespace rig;
  verify::Case k(case_file, device);
  if (k.has("count")) {
    check(network.empty(), case_file, ": a case of operators stands alone, found the network ", network, " before it");
    verify::verify_operators(k);
    return k.report("", out);
  }
  check(!network.empty(), case_file, ": this case belongs to a network; its file is needed");
  for (char const* about : {"near_kink", "cutoff"}) k.use(about);  // how the case was chosen; a cutoff without a w cut there
  io::Document const file = io::read_any(network);
  if (nn::is_stylegan1(file)) {  // judged with its discriminator, because a file may not tell how both were trained
    verify::verify_stylegan1(k, file, network);
    return k.report(network, out);
  }
  if (k.has("d.img")) {
    try {
      nn::Discriminator<float> d = nn::discriminator_from(file, network, device);
      verify::verify_discriminator(k, d);
    } catch (Error const& e) {  // a file with a generator alone: the rest of the case is still worth judging
      k.note(e.what());
    }
  }
  if (k.has("hyper")) {
    nn::StyleGAN2<float> g = nn::stylegan2_from(file, network, device, nn::GeneratorChoice::trained);
    nn::StyleGAN2<float> average = nn::stylegan2_from(file, network, device);
    nn::Discriminator<float> d = nn::discriminator_from(file, network, device);
    verify::verify_training(k, g, d, average);
  }
  if (k.has("w")) {
    nn::Generator<float> g = nn::generator_from(file, network, device);
    check(g.c_dim() == 0 || k.has("c"), case_file, ": holds no labels c, but the generator in ", network, " has ", g.c_dim(), " classes");
    // A case of the community port says where truncation pulls to; snapshots of a training do not.
    if (k.has("latent_avg")) g.set_centre(k.tensor("latent_avg"));
    if (g.family() == nn::Family::stylegan3)
      verify::verify_generator(k, g.as<nn::StyleGAN3<float>>());
    else
      verify::verify_generator(k, g.as<nn::StyleGAN2<float>>());
  }
  return k.report(network, out);
}
