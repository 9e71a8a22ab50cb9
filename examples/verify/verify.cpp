#include "verify.hpp"

#include <algorithm>

#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/load_generator.hpp"
#include "rig/nn/stylegan1_loader.hpp"
#include "verifiers.hpp"

namespace program {
using namespace rig;

bool verify::asks_for_generator(Case const& k) {
  for (char const* prefix : {"w", "img", "input", "loss", "act.", "grad", "pl.", "sched.", "filter.", "ema."})
    if (!k.names(prefix).empty()) return true;
  return false;
}

namespace {
void verify_networks(verify::Case& k, std::string const& network) {
  // How the case was chosen, and inputs: nothing is left unchecked if they are not needed.
  for (char const* about : {"near_kink", "z", "c", "g", "cutoff", "z2", "mix", "d.img", "d.c", "d.g"}) k.use(about);
  io::Document const file = io::read_any(network);
  Device const& device = k.device();
  if (nn::is_stylegan1(file))  // judged with its discriminator, because a file may not tell how both were trained
    return verify::verify_stylegan1(k, file, network);
  if (k.has("d.img"))  // a file may hold a generator alone: the rest of the case is still worth judging
    k.attempt("d", [&] {
      nn::Discriminator<float> d = nn::discriminator_from(file, network, device);
      verify::verify_discriminator(k, d);
    });
  if (k.has("hyper"))
    k.attempt("training", [&] {
      nn::StyleGAN2<float> g = nn::stylegan2_from(file, network, device, nn::GeneratorChoice::trained);
      nn::StyleGAN2<float> average = nn::stylegan2_from(file, network, device);
      nn::Discriminator<float> d = nn::discriminator_from(file, network, device);
      verify::verify_training(k, g, d, average);
    });
  if (!verify::asks_for_generator(k)) return;
  k.attempt("generator", [&] {
    nn::Generator<float> g = nn::generator_from(file, network, device);
    check(g.c_dim() == 0 || k.has("c"), "holds no labels c, but the generator in ", network, " has ", g.c_dim(), " classes");
    // A case of the community port says where truncation pulls to; snapshots of a training do not.
    if (k.has("latent_avg")) k.attempt("latent_avg", [&] { g.set_centre(k.tensor("latent_avg")); });
    if (g.family() == nn::Family::stylegan3)
      verify::verify_generator(k, g.as<nn::StyleGAN3<float>>());
    else
      verify::verify_generator(k, g.as<nn::StyleGAN2<float>>());
  });
}
}  // namespace

int run_verify(std::string const& network, std::string const& case_file, std::ostream& out, Device const& device) {
  verify::Case k(case_file, device);
  auto const names = k.names("");
  auto alone = [](std::string const& n) { return verify::is_of_operator(n) || verify::is_of_seed(n); };
  bool const standing = std::any_of(names.begin(), names.end(), alone);
  bool const more =
      std::any_of(names.begin(), names.end(), [&](std::string const& n) { return !alone(n) && !verify::starts(n, "floor."); });
  check(network.empty() || more, case_file, ": a case of operators stands alone, found the network ", network, " before it");
  check(!network.empty() || standing, case_file, ": this case belongs to a network; its file is needed");
  verify::verify_operators(k);
  verify::verify_seeds(k);
  if (!network.empty())
    verify_networks(k, network);
  else if (more)
    k.leave_out("network", case_file + ": holds arrays of a network, too, whose file is needed");
  return k.report(network, out);
}

}  // namespace program
