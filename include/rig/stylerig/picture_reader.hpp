// What F reads from codes, read from pictures: a small convolutional network. Trained on another corpus it is a judge that shares
// nothing with F but the face model, and sees what a person would see of an edit.
#pragma once
#include <cmath>
#include <vector>

#include "rig/ops/conv.hpp"
#include "rig/stylerig/reconstruction.hpp"

namespace rig::inline RIG_ABI::stylerig {

struct PictureReaderOptions {
  std::int64_t side = 64;                                  ///< of the pictures
  std::vector<std::int64_t> channels = {32, 64, 96, 128};  ///< of 3x3 convolutions, each of which halves the side
  std::vector<std::int64_t> hidden = {256};                ///< widths of the dense layers between them and p
  void visit(auto&& f) { f("side", side), f("channels", channels), f("hidden", hidden); }
};

/// A 3x3 convolution that halves the size, with bias and leaky ReLU.
template <class T> struct HalvingLayer {
  Param<T> weight, bias;  ///< [out, 3, 3, in], [out]
  Var<T> operator()(Var<T> const& x) const {
    return bias_act(conv2d(x, weight, {.stride = 2, .padding = 1}), bias, {.activation = Activation::lrelu});
  }
  void visit(auto&& f) { f("weight", weight), f("bias", bias); }
};

template <class T> struct PictureReader {
  PictureReaderOptions options;
  Tensor<T> offset, scale;  ///< [f]
  std::vector<HalvingLayer<T>> convolutions;
  std::vector<nn::Linear<T>> layers;

  PictureReader() = default;
  PictureReader(PictureReaderOptions o, OutputScale const& out, Rng& rng, Device device = {}) : options(std::move(o)) {
    std::int64_t side = options.side, in = 3;
    for (std::int64_t c : options.channels) {
      check(side > 0 && side % 2 == 0 && c > 0, "PictureReader: the side must halve at each of ", options.channels.size(),
            " convolutions, got ", options.side);
      HalvingLayer<T> l;
      l.weight = Param<T>(randn<T>({c, 3, 3, in}, rng, device, T(std::sqrt(1.0 / double(9 * in)))));
      l.bias = Param<T>(zeros<T>({c}, device));
      convolutions.push_back(std::move(l));
      side /= 2, in = c;
    }
    in *= side * side;
    for (std::int64_t h : options.hidden) {
      layers.emplace_back(nn::LinearOptions{.in = in, .out = h, .scale = std::sqrt(0.5)}, rng, device);
      in = h;
    }
    std::int64_t const f = std::int64_t(out.offset.size());
    offset = Tensor<T>({f}, std::vector<T>(out.offset.begin(), out.offset.end()), device);
    scale = Tensor<T>({f}, std::vector<T>(out.scale.begin(), out.scale.end()), device);
    layers.emplace_back(nn::LinearOptions{.in = in, .out = f, .scale = 1e-3 / std::sqrt(2.0 / double(in))}, rng, device);
  }
  std::int64_t outputs() const { return scale.dim(0); }

  /// Pictures [n, side, side, 3] in 0..1 -> p [n, f]. Any order.
  Var<T> operator()(Var<T> const& pictures) const {
    check(pictures.rank() == 4 && pictures.dim(1) == options.side && pictures.dim(2) == options.side && pictures.dim(3) == 3,
          "PictureReader: pictures must be [n, ", options.side, ", ", options.side, ", 3], got ", pictures.shape());
    Var<T> h = affine(pictures, 2, -1);
    for (auto const& l : convolutions) h = l(h);
    h = reshape(h, {h.dim(0), h.size() / h.dim(0)});
    for (std::size_t i = 0; i + 1 < layers.size(); ++i)
      h = bias_act(matmul(h, layers[i].weight, {.b = true}), layers[i].bias, {.activation = Activation::lrelu});
    return layers.back()(h) * Var<T>(scale) + Var<T>(offset);
  }
  void visit(auto&& f) { f("offset", offset), f("scale", scale), f("convolutions", convolutions), f("layers", layers); }
};

}  // namespace rig::inline RIG_ABI::stylerig
