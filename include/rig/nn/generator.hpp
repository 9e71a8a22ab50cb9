// A generator of any family behind one interface: codes from latents, a picture from codes, and what every row of the codes
// steers. What only one family can do (transforms, level of detail, explicit styles) is reached through `network`.
//   auto G = nn::load_generator("ffhq.pkl");
//   auto img = G.synthesis(G.mapping(z, {}, {.psi = 0.7}), {.noise = Noise::none});
#pragma once
#include <variant>

#include "rig/nn/stylegan1.hpp"
#include "rig/nn/stylegan2.hpp"
#include "rig/nn/stylegan3.hpp"

namespace rig::inline RIG_ABI::nn {

enum class Family { stylegan1 = 1, stylegan2, stylegan3 };
inline char const* to_string(Family f) { return f == Family::stylegan1 ? "StyleGAN1" : f == Family::stylegan2 ? "StyleGAN2" : "StyleGAN3"; }

/// A place where a style enters.
struct GeneratorLayer {
  std::string name;             ///< "b8.conv0", "L3_52_512"
  std::int64_t row = 0;         ///< the row of codes that makes its style
  std::int64_t resolution = 0;  ///< pixels across its result (StyleGAN3: with the margin)
  std::int64_t channels = 0;    ///< of its result
  double styled = 0;            ///< pixels across the features that the style scales; StyleGAN3: what their band needs
  bool has_noise = false;
};

/// How a picture is made. StyleGAN3 has no noise; what is said about it is ignored there, as in the official code.
template <class T> using PictureOptions = SynthesisOptions<T>;

namespace detail {
template <class T> std::vector<GeneratorLayer> layers_of(StyleGAN2<T> const& g) {
  std::vector<GeneratorLayer> list;
  std::int64_t row = 0;
  for (auto const& b : g.synthesis.blocks) {
    double const r = double(b.resolution);
    if (b.conv0) list.push_back({b.name + ".conv0", row++, b.resolution, b.conv0->weight.dim(0), r / 2, bool(b.conv0->noise_const)});
    list.push_back({b.name + ".conv1", row++, b.resolution, b.conv1->weight.dim(0), r, bool(b.conv1->noise_const)});
    if (b.torgb) list.push_back({b.name + ".torgb", row, b.resolution, b.torgb->weight.dim(0), r, false});
  }
  return list;
}
template <class T> std::vector<GeneratorLayer> layers_of(StyleGAN1<T> const& g) {
  std::vector<GeneratorLayer> list;
  for (auto const& b : g.synthesis.blocks)
    for (auto const* l : {&b.conv0, &b.conv1})
      list.push_back({b.name + (l == &b.conv0 ? ".conv0" : ".conv1"), std::int64_t(list.size()), b.resolution, l->channels(),
                      double(b.resolution), bool(l->noise_const)});
  return list;
}
template <class T> std::vector<GeneratorLayer> layers_of(StyleGAN3<T> const& g) {
  auto const& in = g.synthesis.input;
  std::vector<GeneratorLayer> list{{"input", 0, in.size[0], in.channels(), 2 * in.bandwidth, false}};
  for (auto const& l : g.synthesis.layers)
    list.push_back({l.plan.name, std::int64_t(list.size()), l.plan.out_size[0], l.plan.out_channels, 2 * l.plan.in_cutoff, false});
  return list;
}
template <class T> Var<T> picture_of(StyleGAN1<T> const& g, Var<T> const& ws, PictureOptions<T> const& o) { return g.synthesis(ws, o); }
template <class T> Var<T> picture_of(StyleGAN2<T> const& g, Var<T> const& ws, PictureOptions<T> const& o) { return g.synthesis(ws, o); }
template <class T> Var<T> picture_of(StyleGAN3<T> const& g, Var<T> const& ws, PictureOptions<T> const& o) {
  return g.synthesis(ws, {.transform = {}, .observe = o.observe});
}
template <class Net> Truncation truncation_of(Net const& g) { return g.truncation; }
template <class T> Truncation truncation_of(StyleGAN3<T> const&) { return {}; }
}  // namespace detail

template <class T> struct Generator {
  using scalar = T;
  std::variant<StyleGAN2<T>, StyleGAN1<T>, StyleGAN3<T>> network;

  Generator() = default;
  Generator(StyleGAN1<T> net) : network(std::move(net)) {}
  Generator(StyleGAN2<T> net) : network(std::move(net)) {}
  Generator(StyleGAN3<T> net) : network(std::move(net)) {}

  Family family() const {
    return ask([](auto const& g) {
      using Net = std::remove_cvref_t<decltype(g)>;
      return std::is_same_v<Net, StyleGAN1<T>>   ? Family::stylegan1
             : std::is_same_v<Net, StyleGAN2<T>> ? Family::stylegan2
                                                 : Family::stylegan3;
    });
  }
  /// The network itself; Error if it is of another family.
  template <class Net> Net const& as() const {
    Net const* g = std::get_if<Net>(&network);
    check(g != nullptr, "generator: a ", to_string(Generator(Net{}).family()), " was asked for, this is a ", to_string(family()));
    return *g;
  }
  template <class Net> Net& as() { return const_cast<Net&>(std::as_const(*this).template as<Net>()); }

  std::int64_t resolution() const {
    return ask([](auto const& g) { return g.resolution; });
  }
  std::int64_t image_channels() const {
    return ask([](auto const& g) { return g.image_channels; });
  }
  std::int64_t z_dim() const { return mapper().z_dim; }
  std::int64_t c_dim() const { return mapper().c_dim; }  ///< labels; 0: not conditional
  std::int64_t w_dim() const { return mapper().w_dim; }
  std::int64_t num_ws() const { return mapper().num_ws; }
  Device device() const {
    return ask([](auto const& g) { return g.device(); });
  }

  /// The mapping network.
  Mapping<T> const& mapper() const {
    return ask([](auto const& g) -> Mapping<T> const& { return g.mapping; });
  }
  Mapping<T>& mapper() { return const_cast<Mapping<T>&>(std::as_const(*this).mapper()); }
  /// w [n, num_ws, w_dim] of z [n, z_dim] and, for conditional networks, c [n, c_dim]. Any order.
  Var<T> mapping(Var<T> const& z, Var<T> const& c = {}, Truncation t = {}) const { return mapper()(z, c, t); }
  /// Codes pulled towards the centre.
  Var<T> truncate(Var<T> const& ws, Truncation t) const { return mapper().truncate(ws, t); }
  /// What the file's own code does when nothing is asked for.
  Truncation truncation() const {
    return ask([](auto const& g) { return detail::truncation_of(g); });
  }
  /// [w_dim], where truncation pulls to; empty if the network keeps none (see find_centre).
  Tensor<T> const& centre() const { return mapper().w_avg; }
  void set_centre(Tensor<T> const& w) {
    check(w && w.shape() == Shape{w_dim()}, "generator: the centre of truncation must be [", w_dim(), "], got ", w.shape());
    mapper().w_avg = w.to(device());
  }

  /// The picture [n, h, w, image_channels], about -1..1, of codes [n, num_ws, w_dim]. Orders as in the network.
  Var<T> synthesis(Var<T> const& ws, PictureOptions<T> const& o = {}) const {
    return ask([&](auto const& g) { return detail::picture_of(g, ws, o); });
  }
  Var<T> operator()(Var<T> const& z, Var<T> const& c = {}, Truncation t = {}, PictureOptions<T> const& o = {}) const {
    return synthesis(mapping(z, c, t), o);
  }

  /// All places where styles enter, in the order of synthesis.
  std::vector<GeneratorLayer> layers() const {
    return ask([](auto const& g) { return detail::layers_of(g); });
  }
  /// "coarse", "medium" or "fine" for every row of the codes: by the smallest picture whose features the row scales.
  std::vector<std::string> row_names() const {
    std::vector<double> pixels(std::size_t(num_ws()), HUGE_VAL);
    for (auto const& l : layers()) {
      double& p = pixels[std::size_t(l.row)];
      p = std::min(p, l.styled);
    }
    std::vector<std::string> names;
    for (double p : pixels) names.push_back(row_name(p));
    return names;
  }

  void visit(auto&& f) {
    std::visit([&](auto& g) { g.visit(f); }, network);
  }

 private:
  template <class F> decltype(auto) ask(F&& f) const { return std::visit(f, network); }
};

/// The mean of the codes of many latents, [w_dim]: a centre of truncation for a generator that keeps none. `label` [1, c_dim]
/// for a conditional one. The latents are drawn from a seed of their own: the same for every call.
template <class T> Tensor<T> find_centre(Generator<T> const& g, Tensor<T> const& label = {}, std::int64_t count = 4096) {
  check(count > 0 && (g.c_dim() == 0 || (label && label.shape() == Shape{1, g.c_dim()})), "find_centre: this generator needs a label [1, ",
        g.c_dim(), "], got ", label.shape());
  Rng rng(0);
  Device const d = g.device();
  Var<T> total;
  for (std::int64_t done = 0; done < count; done += 1024) {
    std::int64_t const n = std::min<std::int64_t>(1024, count - done);
    Var<T> const c = g.c_dim() ? broadcast_to(Var<T>(label.to(d)), {n, g.c_dim()}) : Var<T>{};
    Var<T> const s = sum(g.mapper().code(Var<T>(randn<T>({n, g.z_dim()}, rng, d)), c), 0);
    total = total ? total + s : s;
  }
  return (T(1 / double(count)) * total).value();
}

}  // namespace rig::inline RIG_ABI::nn
