// Pictures to learn from: a folder or a zip archive of PNG and JPEG files becomes one block of bytes, square and of one size.
// Files that cannot be used are left out, counted and named; one bad file among many costs nothing else.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "rig/core/tensor.hpp"
#include "rig/train/progress.hpp"

namespace rig::inline RIG_ABI::gan {

struct SkippedPicture {
  std::string name, why;
};

struct PictureSet {
  std::string source;                   ///< the folder or archive
  Tensor<std::uint8_t> pictures;        ///< [n, side, side, 3]
  std::vector<std::string> names;       ///< by name within the source, in this order
  std::vector<SkippedPicture> skipped;  ///< damaged, smaller than the side, links to nothing; folders that cannot be read
  std::int64_t ignored = 0;             ///< files that are no pictures by their name

  std::int64_t size() const { return pictures ? pictures.dim(0) : 0; }
  std::int64_t side() const { return pictures ? pictures.dim(1) : 0; }
  /// Of the pixels, as 16 hexadecimal digits.
  std::string hash() const;
  /// These items as [n, side, side, 3] in -1..1, byte / 127.5 - 1. Item size() + i is the mirror image of item i.
  Tensor<float> batch(std::vector<int> const& items, Device const& device = {}) const;
};

/// The middle square of a picture [h, w, 3], as large as fits, made `side` pixels wide: every pixel is the mean over the area
/// that it covers, parts of pixels counted by their share, rounded to the nearest byte. Error if the square is smaller than that.
Tensor<std::uint8_t> middle_square(Tensor<std::uint8_t> const& picture, std::int64_t side);

/// All .png, .jpg and .jpeg files of a folder and the folders in it, or of a zip archive, in the order of their names, each as
/// middle_square(). Links are followed, into every folder once. Takes n side^2 3 bytes. Error if there is no such place or no picture in it
/// that can be used; then the first reasons are named. `progress` is called now and then with the files done and their number.
PictureSet load_pictures(std::string const& path, std::int64_t side, train::StopFlag const* stop = nullptr,
                         std::function<void(std::int64_t, std::int64_t)> const& progress = {});

}  // namespace rig::inline RIG_ABI::gan

#if RIG_INCLUDE_IPP
#include "rig/gan/picture_set.ipp"
#endif
