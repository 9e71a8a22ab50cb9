// Pictures in and out: PNG and JPEG become [h, w, 3] floats in [0, 1]; PNG is written atomically, with texts inside that
// say where it came from. StyleGAN's images in [-1, 1] become bytes by the rule of the official scripts.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "rig/core/tensor.hpp"
#include "rig/io/bytes.hpp"

namespace rig::inline RIG_ABI::io {

/// Key and value pairs stored in a PNG; keys of 1 to 79 printable ASCII characters.
using Texts = std::vector<std::pair<std::string, std::string>>;

/// A PNG (any depth, grey or palette included) or JPEG as RGB bytes [h, w, 3]. Transparent PNGs are laid over white;
/// orientation tags are not applied. Error if the file is damaged, of another kind, or the build lacks libpng or libjpeg.
Tensor<std::uint8_t> decode_image(Bytes const& file);
/// The file as floats [h, w, 3] in [0, 1]; errors name the file.
Tensor<float> load_image(std::string const& path);

/// Writes [h, w, 1] or [h, w, 3]: floats in [0, 1], rounded to the nearest of 256 steps (values outside are clamped, NaN is
/// an Error), or bytes as they are. Atomic.
void save_png(std::string const& path, Tensor<float> const& image, Texts const& texts = {});
void save_png(std::string const& path, Tensor<std::uint8_t> const& image, Texts const& texts = {});
/// The texts of a PNG, in order (compressed ones are left out).
Texts read_png_texts(std::string const& path);
Texts read_png_texts(Bytes const& file);

/// Bytes of a StyleGAN image in [-1, 1]: x * 127.5 + 128, clamped to [0, 255], truncated. Any shape.
Tensor<std::uint8_t> from_signed(Tensor<float> const& image);
/// Images [n, h, w, c] side by side, row by row, as one sheet [rows * h, columns * w, c]; cells left over are 0.
template <class T> Tensor<T> tile(Tensor<T> const& images, std::int64_t columns);
/// [h, w, c] or [n, h, w, c] made smaller by a whole factor that divides h and w: every output pixel is the mean of
/// factor x factor input pixels.
Tensor<float> downsample_area(Tensor<float> const& image, int factor);

namespace detail {
template <class T> struct TileKernel {
  T* y;
  T const* x;
  std::int64_t h, w, c, columns;
  RIG_HD void operator()(std::int64_t i) const {
    std::int64_t ch = i % c, px = i / c % w, py = i / (c * w) % h, n = i / (c * w * h);
    y[(((n / columns) * h + py) * columns * w + (n % columns) * w + px) * c + ch] = x[i];
  }
};
}  // namespace detail

template <class T> Tensor<T> tile(Tensor<T> const& images, std::int64_t columns) {
  check(images.rank() == 4, "tile: images must be [n, h, w, c], got ", images.shape());
  check(columns > 0, "tile: columns must be positive, got ", columns);
  std::int64_t n = images.dim(0), h = images.dim(1), w = images.dim(2), c = images.dim(3);
  auto y = zeros<T>({(n + columns - 1) / columns * h, columns * w, c}, images.device());
  for_each(y.device(), images.size(), detail::TileKernel<T>{y.mutate(), images.data(), h, w, c, columns});
  return y;
}

}  // namespace rig::inline RIG_ABI::io

#if RIG_INCLUDE_IPP
#include "rig/io/image.ipp"
#endif
