#include "rig/nn/stylegan1_loader.hpp"
#include "scores.hpp"
#include "verifiers.hpp"

namespace program::verify {
using namespace rig;

namespace {

/// "w_psi035_cut3" -> 0.35 and 3; without _cut all rows.
nn::Truncation truncation_of(std::string const& name, std::int64_t rows) {
  std::size_t const at = name.find("_psi") + 4, cut = name.find("_cut", at);
  std::string const digits = name.substr(at, cut == std::string::npos ? cut : cut - at);
  nn::Truncation t{.psi = std::strtod((digits.substr(0, 1) + "." + digits.substr(1)).c_str(), nullptr)};
  if (cut != std::string::npos) t.cutoff = int(std::min<std::int64_t>(rows, std::strtol(name.c_str() + cut + 4, nullptr, 10)));
  return t;
}

void verify_pictures(Case& k, nn::StyleGAN1<float>& g) {
  V const z = k.var("z"), c = k.var("c"), w = g.mapping(z, c);
  k.compare("w", w.value());
  for (auto const& name : k.names("w_psi")) k.compare(name, g.mapping(z, c, truncation_of(name, g.num_ws())).value());
  auto picture = [&](V const& codes, nn::SynthesisOptions<float> const& o) { return to_first(g.synthesis(codes, o)).value(); };
  for (auto const& name : k.names("img_psi")) k.compare(name, picture(g.mapping(z, c, truncation_of(name, g.num_ws())), {}));
  for (auto const& name : k.names("img_lod")) {
    nn::SynthesisOptions<float> o;
    o.lod = std::strtod(name.c_str() + 7, nullptr);
    if (o.lod == 0) o.observe = verify_activations(k);
    k.compare(name, picture(w, o));
  }
  nn::SynthesisOptions<float> none;
  none.noise = nn::Noise::none;
  if (k.has("img_none")) k.compare("img_none", picture(w, none));
}

/// grad_lod0.5.ws and the like: with respect to the codes at another level of detail.
void verify_gradients_at_levels(Case& k, nn::StyleGAN1<float>& g) {
  for (auto const& name : k.names("grad_lod")) {
    if (name.size() < 4 || name.compare(name.size() - 3, 3, ".ws") != 0) continue;
    nn::SynthesisOptions<float> o;
    o.lod = std::strtod(name.c_str() + 8, nullptr);
    Tape tape;
    V const ws = tape.watch(g.mapping(k.var("z"), k.var("c")).value());
    k.compare(name, tape.grad(sum(g.synthesis(ws, o) * to_last(k.var("g"))), ws).value(), name);
  }
}

/// The form of the convolutions, where the file does not say it: that whose picture is nearer to the stored one.
std::optional<nn::FusedScale> find_fused_scale(Case& k, io::Document const& file, std::string const& name) {
  if (nn::says_fused_scale(file) || !k.has("img_lod0")) return {};
  V const stored = k.var("img_lod0");
  std::optional<nn::FusedScale> best;
  float least = 0;
  for (auto f : {nn::FusedScale::automatic, nn::FusedScale::always, nn::FusedScale::never}) {
    nn::StyleGAN1<float> const g = nn::stylegan1_from(file, name, k.device(), nn::GeneratorChoice::averaged, f);
    nn::SynthesisOptions<float> o;
    o.lod = 0;
    float const d = mean(square(to_first(g.synthesis(g.mapping(k.var("z"), k.var("c")), o)) - stored)).item();
    if (!best || d < least) best = f, least = d;
  }
  k.note(str("the file does not say where scaling is fused into convolutions; '",
             best == nn::FusedScale::always  ? "always"
             : best == nn::FusedScale::never ? "never"
                                             : "automatic",
             "' was chosen because its picture is nearest to img_lod0"));
  return best;
}

}  // namespace

void verify_stylegan1(Case& k, io::Document const& file, std::string const& name) {
  auto const fused = find_fused_scale(k, file, name);
  if (k.has("w")) {
    nn::StyleGAN1<float> g = nn::stylegan1_from(file, name, k.device(), nn::GeneratorChoice::averaged, fused);
    verify_pictures(k, g);
    nn::SynthesisOptions<float> full;
    full.lod = 0;
    verify_gradients(k, g, [&](V const& ws) { return g.synthesis(ws, full); });
    verify_gradients_at_levels(k, g);
  }
  if (k.has("d.img")) {
    nn::StyleGAN1Discriminator<float> d = nn::stylegan1_discriminator_from(file, name, k.device(), fused);
    verify_scores(k, d);
  }
}

}  // namespace program::verify
