// A world with known truth and no generator (for tests): codes of 6 rows of 16 numbers, true parameters
// p*(w) = 0.8 T w + 0.5 M(w) with a fixed random tanh network M, T tying pose to rows 0 and 1, expression to 1 to 3, light
// to 3 to 5 and identity to 0 to 3; a picture is a fixed smooth function of p* plus a background linear in w.
#pragma once
#include <cmath>
#include <memory>

#include "rig/ops/activation.hpp"
#include "rig/ops/matmul.hpp"
#include "rig/stylerig/corpus.hpp"
#include "rig/stylerig/evaluation.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// identity 4, expression 4, illumination 4, rotation 3: p has 15 numbers, all of about unit size.
inline ParameterLayout toy_layout() { return ParameterLayout({{"identity", 4}, {"expression", 4}, {"illumination", 4}, {"rotation", 3}}); }

template <class T> struct ToyWorld {
  static constexpr std::int64_t rows = 6, w_dim = 16, side = 8, hidden = 24;
  ParameterLayout layout = toy_layout();
  Tensor<T> linear;         ///< [rows w_dim, 15]
  Tensor<T> first, second;  ///< [rows w_dim, hidden], [hidden, 15]: M
  Tensor<T> paint, mix;     ///< [15, 40], [40, side side 3]
  Tensor<T> direct;         ///< [15, side side 3]
  Tensor<T> background;     ///< [rows w_dim, side side 3]
  Tensor<T> mapping;        ///< [w_dim, w_dim]

  explicit ToyWorld(std::uint64_t seed = 7, Device const& device = {}) {
    Rng rng(seed);
    std::int64_t const codes = rows * w_dim, f = layout.size(), pixels = side * side * 3;
    std::vector<double> t(std::size_t(codes * f), 0);
    struct Tie {
      char const* name;
      std::int64_t from, to;
    };
    for (Tie const& tie : {Tie{"rotation", 0, 2}, Tie{"expression", 1, 4}, Tie{"illumination", 3, 6}, Tie{"identity", 0, 4}}) {
      Component const& c = layout.at(tie.name);
      double const scale = 1 / std::sqrt(double((tie.to - tie.from) * w_dim));
      for (std::int64_t i = tie.from * w_dim; i < tie.to * w_dim; ++i)
        for (std::int64_t j = c.offset; j < c.offset + c.size; ++j) t[std::size_t(i * f + j)] = scale * rng.normal();
    }
    auto normal = [&](Shape s, double deviation) { return cast<T>(randn<double>(s, rng, {}, deviation)); };
    linear = cast<T>(Tensor<double>({codes, f}, t));
    first = normal({codes, hidden}, 1 / std::sqrt(double(codes)));
    second = normal({hidden, f}, 1 / std::sqrt(double(hidden)));
    paint = normal({f, 40}, 0.6 / std::sqrt(double(f)) * 2);
    mix = normal({40, pixels}, 0.12 / std::sqrt(40.0));
    direct = normal({f, pixels}, 0.10 / std::sqrt(double(f)));
    background = normal({codes, pixels}, 0.01 / std::sqrt(double(codes)));
    mapping = normal({w_dim, w_dim}, 1 / std::sqrt(double(w_dim)));
    for (Tensor<T>* x : {&linear, &first, &second, &paint, &mix, &direct, &background, &mapping}) *x = x->to(device);
  }
  Device device() const { return linear.device(); }

  /// p*(w), [n, 15]
  Var<T> parameters(Var<T> const& w) const {
    Var<T> const x = reshape(w, {w.dim(0), rows * w_dim});
    return T(0.8) * matmul(x, Var<T>(linear)) + T(0.5) * matmul(tanh(matmul(x, Var<T>(first))), Var<T>(second));
  }
  /// The "render" of parameters, [n, side side 3], round 0.5.
  Var<T> render(Var<T> const& p) const { return matmul(tanh(matmul(p, Var<T>(paint))), Var<T>(mix)) + matmul(p, Var<T>(direct)) + T(0.5); }
  /// Codes to pictures in -1..1 and so on: the world as a generator. `calls` (if given) counts calls of the synthesis.
  GeneratorHandle generator(std::shared_ptr<std::int64_t> calls = {}) const {
    GeneratorHandle g;
    g.rows = rows, g.w_dim = w_dim, g.z_dim = w_dim, g.resolution = side;
    g.hash = "toy world";
    ToyWorld const world = *this;
    g.mapping = [world](Tensor<float> const& z) {
      Var<float> const x(z.to(world.device()));
      return (x + T(0.3) * tanh(matmul(x, Var<float>(cast<float>(world.mapping))))).value();
    };
    g.synthesis = [world, calls](Tensor<float> const& w) {
      if (calls) ++*calls;
      Var<T> const x(cast<T>(w).to(world.device()));
      Var<T> const picture = world.render(world.parameters(x)) + matmul(reshape(x, {w.dim(0), rows * w_dim}), Var<T>(world.background));
      return cast<float>(reshape(affine(picture, 2, -1), {w.dim(0), side, side, 3}).value());
    };
    return g;
  }
  /// What is true of codes: stored with a corpus, and the judge of edits.
  TruthSource truth() const {
    ToyWorld const world = *this;
    return [world](Tensor<float> const& w) { return cast<float>(world.parameters(Var<T>(cast<T>(w).to(world.device()))).value()); };
  }
};

/// Mean squares between a picture and the toy world's render.
template <class T> class ToyFaceLoss final : public FaceLoss<T> {
 public:
  explicit ToyFaceLoss(ToyWorld<T> world) : world_(std::move(world)) {}
  ParameterLayout const& layout() const override { return world_.layout; }
  std::string identity() const override { return "toy face"; }
  Device device() const override { return world_.device(); }
  RenderLoss<T> operator()(Observation const& seen, Var<T> const& p, RenderParts = {}) const override {
    check(seen.pictures && seen.pictures.dim(0) == p.dim(0), "ToyFaceLoss: ", p.dim(0), " vectors for pictures ", seen.pictures.shape());
    Var<T> const picture(cast<T>(seen.pictures.reshape({p.dim(0), ToyWorld<T>::side * ToyWorld<T>::side * 3})));
    return {mean(square(world_.render(p) - picture), 1), {}};
  }

 private:
  ToyWorld<T> world_;
};

}  // namespace rig::inline RIG_ABI::stylerig
