#pragma once
#include <algorithm>
#include <cctype>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>

#include "rig/core/launch.hpp"
#include "rig/gan/picture_set.hpp"
#include "rig/io/bytes.hpp"
#include "rig/io/hash.hpp"
#include "rig/io/image.hpp"
#include "rig/io/zip.hpp"

namespace rig::inline RIG_ABI::gan {

namespace detail {
namespace fs = std::filesystem;

inline bool named_like_a_picture(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  for (std::string_view end : {".png", ".jpg", ".jpeg"})
    if (name.size() > end.size() && name.compare(name.size() - end.size(), end.size(), end) == 0) return true;
  return false;
}

/// Where pictures come from: names, and the bytes behind each.
struct PictureSource {
  std::vector<std::string> names;
  std::vector<SkippedPicture> skipped;  ///< folders that could not be opened
  std::int64_t ignored = 0;
  std::function<io::Bytes(std::size_t)> read;
};

/// Every file below a folder that is there or that a link should lead to, in no order. Links to folders are followed, after all that is
/// there itself; a folder is entered once, by whatever name, so that a link to one above it ends.
class FilesBelow {
 public:
  std::vector<std::string> names;
  std::vector<SkippedPicture> skipped;

  explicit FilesBelow(std::filesystem::path const& folder) : folder_(folder) {
    enter({});
    while (!links_.empty()) {
      std::sort(links_.begin(), links_.end(), std::greater<>());
      fs::path const next = links_.back();
      links_.pop_back();
      enter(next);
    }
  }

 private:
  void enter(fs::path const& inner) {
    std::error_code error;
    fs::path const full = fs::canonical(folder_ / inner, error);
    if (!error && !entered_.insert(full).second) return;
    for (fs::directory_iterator at(folder_ / inner, error), end; !error && at != end; at.increment(error)) {
      fs::path const name = inner / at->path().filename();
      std::error_code ignored;
      if (!at->is_directory(ignored)) {
        if (at->is_regular_file(ignored) || !at->exists(ignored)) names.push_back(name.generic_string());
      } else if (at->is_symlink(ignored)) {
        links_.push_back(name);
      } else {
        enter(name);
      }
    }
    if (error) skipped.push_back({inner.generic_string() + "/", "this folder cannot be read: " + error.message()});
  }
  fs::path folder_;
  std::set<fs::path> entered_;
  std::vector<fs::path> links_;
};

inline PictureSource open_pictures(std::string const& path) {
  PictureSource s;
  auto add = [&](std::string name) {
    bool const picture = named_like_a_picture(name);
    if (picture)
      s.names.push_back(std::move(name));
    else
      ++s.ignored;
    return picture;
  };
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    FilesBelow below(path);
    for (auto& name : below.names) add(std::move(name));
    s.skipped = std::move(below.skipped);
    std::sort(s.names.begin(), s.names.end());
    s.read = [path, names = s.names](std::size_t i) { return io::MappedFile(path + "/" + names[i]).bytes(); };
    return s;
  }
  check(fs::exists(path, ignored), path, ": expected a folder or a zip archive of pictures, found no such file or folder");
  io::Bytes const file = io::MappedFile(path).bytes();
  std::shared_ptr<io::ZipReader const> zip;
  try {
    zip = std::make_shared<io::ZipReader const>(file, true);  // one bad entry among many costs nothing else
  } catch (Error const& e) {
    throw Error(str(path, ": expected a folder or a zip archive of pictures, found a file that cannot be read as one: ", e.what()));
  }
  std::vector<io::ZipReader::Entry const*> entries;  // one a name, in the names' order
  for (auto const& e : zip->entries())
    if ((e.name.empty() || e.name.back() != '/') && add(e.name)) entries.push_back(&e);
  std::sort(s.names.begin(), s.names.end());
  std::stable_sort(entries.begin(), entries.end(), [](auto const* a, auto const* b) { return a->name < b->name; });
  s.read = [zip, entries = std::move(entries), size = file.size](std::size_t i) {
    io::Budget budget({}, size);
    return zip->read(*entries[i], budget);
  };
  return s;
}

/// Reads one file into its place; what goes wrong is kept as text, because threads must not throw.
struct ReadPictureKernel {
  PictureSource const* source;
  std::int64_t first, side;
  std::uint8_t* pictures;
  std::string* why;
  void operator()(std::int64_t i) const {
    try {
      Tensor<std::uint8_t> const x = middle_square(io::decode_image(source->read(std::size_t(first + i))), side);
      std::memcpy(pictures + (first + i) * x.size(), x.data(), std::size_t(x.size()));
    } catch (std::exception const& e) {
      why[first + i] = *e.what() ? e.what() : "unknown error";
    }
  }
};

struct SignedBatchKernel {
  float* y;
  std::uint8_t const* x;
  int const* item;
  std::int64_t count, side;
  void operator()(std::int64_t n, std::int64_t c) const {
    std::int64_t const size = side * side * 3, row = c / (side * 3), column = c / 3 % side, i = item[n];
    std::int64_t const from = i < count ? c : (row * side + side - 1 - column) * 3 + c % 3;
    y[n * size + c] = float(x[(i < count ? i : i - count) * size + from]) / 127.5f - 1;
  }
};

}  // namespace detail

RIG_INLINE std::string PictureSet::hash() const { return io::Hash().add(pictures).text(); }

RIG_INLINE Tensor<float> PictureSet::batch(std::vector<int> const& items, Device const& device) const {
  for (int i : items) check(i >= 0 && i < 2 * size(), "PictureSet: items are 0 to ", 2 * size() - 1, ", got ", i);
  Tensor<float> y({std::int64_t(items.size()), side(), side(), 3});
  detail::SignedBatchKernel const kernel{y.mutate(), pictures.data(), items.data(), size(), side()};
  for (std::int64_t n = 0; n < y.dim(0); ++n)
    for (std::int64_t c = 0; c < y.size() / y.dim(0); ++c) kernel(n, c);
  return y.to(device);
}

RIG_INLINE Tensor<std::uint8_t> middle_square(Tensor<std::uint8_t> const& picture, std::int64_t side) {
  check(picture.rank() == 3 && picture.dim(2) == 3, "middle_square: a picture must be [h, w, 3], got ", picture.shape());
  std::int64_t const h = picture.dim(0), w = picture.dim(1), s = std::min(h, w), top = (h - s) / 2, left = (w - s) / 2;
  check(side > 0 && s >= side, "a picture of ", w, " x ", h, " pixels is smaller than ", side, " x ", side);
  Tensor<std::uint8_t> out({side, side, 3});
  std::uint8_t* y = out.mutate();
  // In units of 1 / side of a pixel, output o covers [o s, (o + 1) s) and input i covers [i side, (i + 1) side): whole numbers.
  auto share = [&](std::int64_t o, std::int64_t i) {
    return std::uint64_t(std::min((o + 1) * s, (i + 1) * side) - std::max(o * s, i * side));
  };
  std::uint64_t const area = std::uint64_t(s) * std::uint64_t(s);
  for (std::int64_t r = 0; r < side; ++r)
    for (std::int64_t c = 0; c < side; ++c) {
      std::uint64_t sum[3] = {0, 0, 0};
      for (std::int64_t i = r * s / side; i * side < (r + 1) * s; ++i)
        for (std::int64_t j = c * s / side; j * side < (c + 1) * s; ++j) {
          std::uint8_t const* x = picture.data() + ((top + i) * w + left + j) * 3;
          std::uint64_t const k = share(r, i) * share(c, j);
          for (int ch = 0; ch < 3; ++ch) sum[ch] += k * x[ch];
        }
      for (int ch = 0; ch < 3; ++ch) y[(r * side + c) * 3 + ch] = std::uint8_t((2 * sum[ch] + area) / (2 * area));
    }
  return out;
}

RIG_INLINE PictureSet load_pictures(std::string const& path, std::int64_t side, train::StopFlag const* stop,
                                    std::function<void(std::int64_t, std::int64_t)> const& progress) {
  check(side > 0, "load_pictures: the side must be positive, got ", side);
  detail::PictureSource const source = detail::open_pictures(path);
  std::int64_t const n = std::int64_t(source.names.size()), chunk = 256;
  check(n > 0, path, ": expected pictures (.png, .jpg, .jpeg), found ", source.ignored ? str(source.ignored, " other files") : "nothing");
  Tensor<std::uint8_t> all({n, side, side, 3});
  std::vector<std::string> why(source.names.size());
  for (std::int64_t i = 0; i < n && !train::stop_asked(stop); i += chunk) {
    std::int64_t const m = std::min(chunk, n - i);
    for_each_on_cpu(m, detail::ReadPictureKernel{&source, i, side, all.mutate(), why.data()});
    if (progress) progress(i + m, n);
  }
  PictureSet set;
  set.source = path, set.ignored = source.ignored;
  auto skip = [&](std::string const& name, std::string const& reason) {
    set.skipped.push_back({io::is_utf8(name) ? name : io::excerpt(name, name.size()), reason});
  };
  for (auto const& s : source.skipped) skip(s.name, s.why);
  std::int64_t const size = side * side * 3;
  std::uint8_t* const y = all.mutate();
  std::int64_t kept = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    if (!why[std::size_t(i)].empty()) {
      skip(source.names[std::size_t(i)], why[std::size_t(i)]);
      continue;
    }
    if (kept != i) std::memcpy(y + kept * size, y + i * size, std::size_t(size));
    set.names.push_back(source.names[std::size_t(i)]);
    ++kept;
  }
  std::string reasons;
  for (std::size_t i = 0; i < std::min<std::size_t>(3, set.skipped.size()); ++i)
    reasons += "; " + set.skipped[i].name + ": " + set.skipped[i].why;
  check(kept > 0, path, ": none of the ", n, " pictures can be used", reasons);
  set.pictures = kept == n ? all : all.rows(0, kept);
  return set;
}

}  // namespace rig::inline RIG_ABI::gan
