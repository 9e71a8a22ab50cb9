// F, the differentiable face reconstruction (section 3.2 of the paper): code in, control vector out, three dense layers
// with ELU between. It reads the whitened code and starts at the mean face in place, whatever the weights.
#pragma once
#include <cmath>
#include <vector>

#include "rig/nn/linear.hpp"
#include "rig/stylerig/observation.hpp"
#include "rig/stylerig/regulariser.hpp"
#include "rig/stylerig/whitening.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct ReconstructionOptions {
  std::int64_t rows = 18, w_dim = 512;
  std::vector<std::int64_t> hidden = {1024, 1024};
  void visit(auto&& f) { f("rows", rows), f("w_dim", w_dim), f("hidden", hidden); }
};

/// p = offset + scale * out: where F starts and how large one unit of its last layer is.
struct OutputScale {
  std::vector<float> offset, scale;  ///< [f]
};
/// Ones for identity, reflectance and expression; 0.3 for illumination and rotation; 0.05 camera distances for translation.
/// offset is zero but for `mean` (a whole vector, or empty).
inline OutputScale output_scale(ParameterLayout const& layout, double camera_distance, std::vector<float> mean = {}) {
  OutputScale o{std::move(mean), std::vector<float>(std::size_t(layout.size()), 1)};
  if (o.offset.empty()) o.offset.assign(std::size_t(layout.size()), 0);
  check(std::int64_t(o.offset.size()) == layout.size(), "output_scale: the mean vector must have ", layout.size(), " entries, got ",
        o.offset.size());
  for (auto const& c : layout.components()) {
    float const s = c.name == "illumination" || c.name == "rotation" ? 0.3f : c.name == "translation" ? float(0.05 * camera_distance) : 1.f;
    for (std::int64_t i = 0; i < c.size; ++i) o.scale[std::size_t(c.offset + i)] = s;
  }
  return o;
}

template <class T> struct Reconstruction {
  ReconstructionOptions options;
  Whitening<T> codes;       ///< [w_dim], pooled over rows
  Tensor<T> offset, scale;  ///< [f]
  std::vector<nn::Linear<T>> layers;

  Reconstruction() = default;
  Reconstruction(ReconstructionOptions o, Whitening<T> whitening, OutputScale const& out, Rng& rng, Device device = {})
      : options(std::move(o)), codes(std::move(whitening)) {
    check(codes.mean.shape() == Shape{options.w_dim}, "Reconstruction: code statistics must be [", options.w_dim, "], got ",
          codes.mean.shape());
    std::vector<T> const a(out.offset.begin(), out.offset.end()), b(out.scale.begin(), out.scale.end());
    std::int64_t const f = std::int64_t(a.size());
    offset = Tensor<T>({f}, a, device);
    scale = Tensor<T>({f}, b, device);
    codes = {codes.mean.to(device), codes.deviation.to(device)};
    std::int64_t in = options.rows * options.w_dim;
    for (std::int64_t h : options.hidden) {
      layers.emplace_back(nn::LinearOptions{.in = in, .out = h, .scale = std::sqrt(0.5)}, rng, device);
      in = h;
    }
    layers.emplace_back(nn::LinearOptions{.in = in, .out = f, .scale = 1e-3 / std::sqrt(2.0 / double(in))}, rng, device);
  }
  std::int64_t outputs() const { return scale.dim(0); }

  /// w [n, rows, w_dim] -> p [n, f]. Differentiable three times.
  Var<T> operator()(Var<T> const& w) const {
    check(w.rank() == 3 && w.dim(1) == options.rows && w.dim(2) == options.w_dim, "Reconstruction: codes must be [n, ", options.rows, ", ",
          options.w_dim, "], got ", w.shape());
    Var<T> h = reshape((w - Var<T>(codes.mean)) / Var<T>(codes.deviation), {w.dim(0), options.rows * options.w_dim});
    for (std::size_t i = 0; i + 1 < layers.size(); ++i)
      h = bias_act(matmul(h, layers[i].weight, {.b = true}), layers[i].bias, {.activation = Activation::elu});
    return layers.back()(h) * Var<T>(scale) + Var<T>(offset);
  }
  /// The same for many codes without a tape, `chunk` at a time.
  Tensor<T> evaluate(Tensor<T> const& w, std::int64_t chunk = 256) const {
    check(w.rank() == 3, "Reconstruction: codes must be [n, ", options.rows, ", ", options.w_dim, "], got ", w.shape());
    Tensor<T> p({w.dim(0), outputs()}, w.device());
    for (std::int64_t i = 0; i < w.dim(0); i += chunk) {
      std::int64_t const n = std::min(chunk, w.dim(0) - i);
      Tensor<T> const part = (*this)(Var<T>(w.rows(i, n))).value();
      p.rows(i, n).assign(part);
    }
    return p;
  }
  void visit(auto&& f) { f("codes", codes), f("offset", offset), f("scale", scale), f("layers", layers); }
};

}  // namespace rig::inline RIG_ABI::stylerig
