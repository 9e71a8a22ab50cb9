#include "rig/io/image.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "rig/io/atomic_file.hpp"
#if defined(RIG_HAS_JPEG) && RIG_HAS_JPEG
#include <cstdio>
//
#include <jpeglib.h>
#endif

using namespace rig;
using namespace rig::io;
namespace fs = std::filesystem;

namespace {
struct Folder {
  fs::path path = fs::temp_directory_path() / ("rig_image_test_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(char const* name) const { return (path / name).string(); }
};

// Smooth, noisy and constant parts, so that every row filter is chosen somewhere.
Tensor<std::uint8_t> pattern(std::int64_t h, std::int64_t w, std::int64_t c) {
  Tensor<std::uint8_t> x({h, w, c});
  std::uint8_t* p = x.mutate();
  std::uint32_t s = 7;
  for (std::int64_t i = 0; i < h; ++i)
    for (std::int64_t j = 0; j < w; ++j)
      for (std::int64_t k = 0; k < c; ++k, ++p) {
        s = s * 1664525 + 1013904223;
        *p = std::uint8_t(i % 7 == 0 ? 90 : i % 7 < 3 ? 3 * j + 50 * k : i % 7 < 5 ? s >> 24 : 5 * i + 2 * j + k);
      }
  return x;
}
}  // namespace

TEST_CASE("png: bytes come back as written, with their texts") {
  Folder dir;
  for (std::int64_t c : {1, 3})
    for (auto [h, w] : {std::pair<std::int64_t, std::int64_t>{1, 1}, {5, 3}, {37, 61}}) {
      auto x = pattern(h, w, c);
      Texts texts{{"Software", "rig"}, {"rig:prompt", std::string("line one\nzweite Zeile \xc3\xa4")}};
      save_png(dir / "x.png", x, texts);
      CHECK(read_png_texts(dir / "x.png") == texts);
      MappedFile file(dir / "x.png");
#if defined(RIG_HAS_PNG) && RIG_HAS_PNG
      auto y = decode_image(file.bytes());
      REQUIRE(y.shape() == Shape{h, w, 3});
      std::int64_t wrong = 0;
      for (std::int64_t i = 0; i < h * w; ++i)
        for (std::int64_t k = 0; k < 3; ++k) wrong += y.data()[3 * i + k] != x.data()[c * i + (c == 3 ? k : 0)];
      CHECK(wrong == 0);
      CHECK(load_image(dir / "x.png").data()[0] == float(x.data()[0]) / 255);
      for (std::uint64_t n = 0; n + 12 < file.bytes().size; n += 1 + file.bytes().size / 200)
        CHECK_THROWS_AS(decode_image(file.bytes().sub(0, n)), Error);
#endif
    }
}

TEST_CASE("png: floats are rounded and clamped, NaN is refused") {
  Folder dir;
  save_png(dir / "x.png", Tensor<float>({1, 4, 1}, {-1.0f, 0.5f, 0.2f / 255, 2.0f}));
#if defined(RIG_HAS_PNG) && RIG_HAS_PNG
  auto y = load_image(dir / "x.png");
  CHECK(y.data()[0] == 0);
  CHECK(y.data()[3] == 128 / 255.0f);
  CHECK(y.data()[6] == 0);
  CHECK(y.data()[9] == 1);
#endif
  CHECK_THROWS_AS(save_png(dir / "nan.png", Tensor<float>({1, 1, 1}, {std::nanf("")})), Error);
  CHECK(!fs::exists(dir / "nan.png"));
  CHECK_THROWS_AS(save_png(dir / "bad.png", Tensor<float>({2, 2}, {0, 0, 0, 0})), Error);
  CHECK_THROWS_AS(save_png(dir / "bad.png", Tensor<float>({1, 1, 1}, {0}), {{"", "no key"}}), Error);
  CHECK(std::distance(fs::directory_iterator(dir.path), fs::directory_iterator()) == 1);
}

TEST_CASE("png: what is not a picture is named") {
  Folder dir;
  CHECK_THROWS_WITH_AS(load_image(dir / "none.png"), doctest::Contains("none.png"), Error);
  write_file(dir / "text.png", "hello");
  CHECK_THROWS_WITH_AS(load_image(dir / "text.png"), doctest::Contains("neither a PNG nor a JPEG"), Error);
  write_file(dir / "empty.png", "");
  CHECK_THROWS_WITH_AS(load_image(dir / "empty.png"), doctest::Contains("empty"), Error);
}

#if defined(RIG_HAS_JPEG) && RIG_HAS_JPEG
namespace {
Bytes jpeg(Tensor<std::uint8_t> const& x, bool progressive) {
  ::jpeg_compress_struct j{};
  ::jpeg_error_mgr errors{};
  j.err = ::jpeg_std_error(&errors);
  ::jpeg_create_compress(&j);
  unsigned char* out = nullptr;
  unsigned long size = 0;
  ::jpeg_mem_dest(&j, &out, &size);
  j.image_height = unsigned(x.dim(0));
  j.image_width = unsigned(x.dim(1));
  j.input_components = int(x.dim(2));
  j.in_color_space = x.dim(2) == 3 ? JCS_RGB : JCS_GRAYSCALE;
  ::jpeg_set_defaults(&j);
  ::jpeg_set_quality(&j, 95, TRUE);
  if (progressive) ::jpeg_simple_progression(&j);
  ::jpeg_start_compress(&j, TRUE);
  for (std::int64_t i = 0; i < x.dim(0); ++i) {
    ::JSAMPROW row = const_cast<unsigned char*>(x.data() + i * x.dim(1) * x.dim(2));
    ::jpeg_write_scanlines(&j, &row, 1);
  }
  ::jpeg_finish_compress(&j);
  ::jpeg_destroy_compress(&j);
  auto p = reinterpret_cast<std::byte const*>(out);
  Bytes b(std::vector<std::byte>(p, p + size));
  std::free(out);
  return b;
}
}  // namespace

TEST_CASE("jpeg: colour, grey and progressive files; shortened ones are refused") {
  for (std::int64_t c : {1, 3})
    for (bool progressive : {false, true}) {
      Tensor<std::uint8_t> x({19, 40, c});
      std::uint8_t* p = x.mutate();
      for (std::int64_t i = 0; i < x.size(); ++i) p[i] = std::uint8_t(60 + 3 * (i / c % 40) + (i % c) * 20);
      Bytes file = jpeg(x, progressive);
      auto y = decode_image(file);
      REQUIRE(y.shape() == Shape{19, 40, 3});
      int worst = 0;
      for (std::int64_t i = 0; i < 19 * 40; ++i)
        for (std::int64_t k = 0; k < 3; ++k) worst = std::max(worst, std::abs(int(y.data()[3 * i + k]) - int(p[c * i + (c == 3 ? k : 0)])));
      CHECK(worst <= 12);
      for (std::uint64_t n = 0; n + 4 < file.size; n += 3) CHECK_THROWS_AS(decode_image(file.sub(0, n)), Error);
    }
}
#endif

TEST_CASE("from_signed: the official rule truncates") {
  auto y = from_signed(Tensor<float>({6}, {-2.0f, -1.0f, 0.0f, 0.999f, 1.0f, 5.0f}));
  CHECK(y.host() == std::vector<std::uint8_t>{0, 0, 128, 255, 255, 255});
  CHECK(from_signed(Tensor<float>({1}, {-0.5f})).item() == 64);  // 64.25
}

TEST_CASE("tile: rows of columns, the rest empty") {
  Tensor<float> x({3, 1, 2, 1}, {1, 2, 3, 4, 5, 6});
  auto y = tile(x, 2);
  CHECK(y.shape() == Shape{2, 4, 1});
  CHECK(y.host() == std::vector<float>{1, 2, 3, 4, 5, 6, 0, 0});
  CHECK_THROWS_AS(tile(x, 0), Error);
}

TEST_CASE("downsample_area: means of blocks") {
  Tensor<float> x({2, 4, 2}, {1, 10, 2, 20, 3, 30, 4, 40, 5, 50, 6, 60, 7, 70, 8, 80});
  auto y = downsample_area(x, 2);
  CHECK(y.shape() == Shape{1, 2, 2});
  CHECK(y.host() == std::vector<float>{3.5f, 35, 5.5f, 55});
  auto z = downsample_area(x.reshape({1, 2, 4, 2}), 2);
  CHECK(z.host() == y.host());
  CHECK_THROWS_AS(downsample_area(x, 3), Error);
}
