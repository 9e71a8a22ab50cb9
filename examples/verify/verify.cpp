#include "verify.hpp"

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
  nn::StyleGAN2<float> g = nn::load_stylegan2(network);
  if (k.has("z") && k.has("w")) verify::verify_generator(k, g);
  return k.report(network, out);
}
