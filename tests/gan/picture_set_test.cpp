#include "rig/gan/picture_set.hpp"

#include <fstream>

#include "helpers.hpp"
#include "rig/io/image.hpp"
#include "rig/io/zip.hpp"

using namespace rig;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  explicit Folder(char const* name) : path(temporary(name)) {
    fs::remove_all(path);
    fs::create_directories(path / "inner");
  }
  ~Folder() { fs::remove_all(path); }
  std::string operator/(char const* name) const { return (path / name).string(); }
};

/// A picture whose bytes say where they are.
Tensor<std::uint8_t> picture(std::int64_t h, std::int64_t w, int add) {
  Tensor<std::uint8_t> t({h, w, 3});
  for (std::int64_t i = 0; i < t.size(); ++i) t.mutate()[i] = std::uint8_t((i * 7 + add) % 251);
  return t;
}
void write(std::string const& path, std::string const& content) { std::ofstream(path, std::ios::binary) << content; }
std::string content(std::string const& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST_CASE("middle_square keeps what fits, averages whole pixels and shares of pixels") {
  auto const x = picture(4, 6, 3);
  auto const same = gan::middle_square(x, 4);  // columns 1 to 4
  for (std::int64_t r = 0; r < 4; ++r)
    for (std::int64_t c = 0; c < 12; ++c) CHECK(same.data()[r * 12 + c] == x.data()[r * 18 + 3 + c]);

  // Three pixels onto two: each is one and a half wide, so the middle one counts half for both.
  Tensor<std::uint8_t> row({3, 3, 3});
  for (std::int64_t r = 0; r < 3; ++r)
    for (std::int64_t c = 0; c < 3; ++c)
      for (std::int64_t ch = 0; ch < 3; ++ch) row.mutate()[(r * 3 + c) * 3 + ch] = std::uint8_t(90 * c + 10 * ch);
  auto const two = gan::middle_square(row, 2);
  for (std::int64_t r = 0; r < 2; ++r)
    for (std::int64_t ch = 0; ch < 3; ++ch) {
      CHECK(two.data()[(r * 2 + 0) * 3 + ch] == 30 + 10 * ch);
      CHECK(two.data()[(r * 2 + 1) * 3 + ch] == 150 + 10 * ch);
    }
  // 0 and 255 meet at 127.5, which is rounded up.
  Tensor<std::uint8_t> two_by_two({2, 2, 3});
  for (int i = 0; i < 12; ++i) two_by_two.mutate()[i] = i < 6 ? 0 : 255;
  CHECK(gan::middle_square(two_by_two, 1).data()[0] == 128);
  CHECK_THROWS_WITH_AS(gan::middle_square(x, 5), "a picture of 6 x 4 pixels is smaller than 5 x 5", Error);
}

TEST_CASE("a folder: sorted, nested, bad files counted and named, others ignored") {
  Folder const f("rig_picture_set");
  io::save_png(f / "b.png", picture(8, 8, 1));
  io::save_png(f / "inner/a.PNG", picture(16, 24, 2));
  io::save_png(f / "small.png", picture(7, 9, 2));
  io::save_png(f / "grey.png", Tensor<std::uint8_t>({8, 8, 1}, std::vector<std::uint8_t>(64, 77)));
  write(f / "broken.jpg", "\xff\xd8 not a picture");
  write(f / "empty.png", "");
  write(f / "readme.txt", "words");
  std::string const whole = content(f / "b.png");
  write(f / "cut.png", whole.substr(0, whole.size() / 2));

  std::int64_t told = 0;
  auto const set = gan::load_pictures(f.path.string(), 8, nullptr, [&](std::int64_t done, std::int64_t n) {
    CHECK(n == 7);
    told = done;
  });
  CHECK(told == 7);
  CHECK(set.names == std::vector<std::string>{"b.png", "grey.png", "inner/a.PNG"});
  CHECK(set.ignored == 1);
  REQUIRE(set.skipped.size() == 4);
  CHECK(set.skipped[0].name == "broken.jpg");
  CHECK(set.skipped[1].name == "cut.png");
  CHECK(set.skipped[2].name == "empty.png");
  CHECK(set.skipped[3].name == "small.png");
  CHECK(contains(set.skipped[3].why, "9 x 7 pixels is smaller than 8 x 8"));
  for (auto const& s : set.skipped) CHECK(!s.why.empty());
  CHECK(set.pictures[0].host() == picture(8, 8, 1).host());
  CHECK(set.pictures[1].host() == std::vector<std::uint8_t>(192, 77));
  CHECK(set.pictures[2].host() == gan::middle_square(picture(16, 24, 2), 8).host());

  // -1..1, and the mirror images behind the pictures themselves.
  auto const x = set.batch({0, 3});
  CHECK(x.shape() == Shape{2, 8, 8, 3});
  for (std::int64_t r = 0; r < 8; ++r)
    for (std::int64_t c = 0; c < 8; ++c)
      for (std::int64_t ch = 0; ch < 3; ++ch) {
        CHECK(x.data()[(r * 8 + c) * 3 + ch] == float(set.pictures.data()[(r * 8 + c) * 3 + ch]) / 127.5f - 1);
        CHECK(x.data()[192 + (r * 8 + c) * 3 + ch] == x.data()[(r * 8 + 7 - c) * 3 + ch]);
      }
  CHECK_THROWS_WITH_AS(set.batch({6}), "PictureSet: items are 0 to 5, got 6", Error);

  auto const again = gan::load_pictures(f.path.string(), 8);
  CHECK(again.hash() == set.hash());
  CHECK(gan::load_pictures(f.path.string(), 4).hash() != set.hash());
}

TEST_CASE("links are followed, into every folder once; what leads nowhere is named") {
  Folder const f("rig_picture_links"), other("rig_picture_links_other");
  io::save_png(f / "b.png", picture(8, 8, 1));
  io::save_png(f / "inner/a.png", picture(8, 8, 2));
  io::save_png(other / "c.png", picture(8, 8, 3));
  fs::create_directory_symlink(other.path, f / "linked");
  fs::create_directory_symlink(f.path, f / "inner/up");  // a circle
  fs::create_directory_symlink(f.path / "inner", f / "again");
  fs::create_symlink(f / "b.png", f / "copy.png");
  fs::create_symlink("nowhere", f / "gone.png");
  fs::create_symlink("nowhere", f / "gone.txt");
  auto const set = gan::load_pictures(f.path.string(), 8);
  CHECK(set.names == std::vector<std::string>{"b.png", "copy.png", "inner/a.png", "linked/c.png"});
  CHECK(set.ignored == 1);
  REQUIRE(set.skipped.size() == 1);
  CHECK(set.skipped[0].name == "gone.png");
}

TEST_CASE("an archive gives the same pictures as the folder") {
  Folder const f("rig_picture_zip");
  io::save_png(f / "b.png", picture(8, 8, 1));
  io::save_png(f / "inner/a.png", picture(9, 9, 2));
  io::ZipWriter zip(f / "set.zip");
  auto add = [&](char const* name, std::string const& bytes) { zip.add(name, {std::as_bytes(std::span(bytes.data(), bytes.size()))}); };
  add("inner/a.png", content(f / "inner/a.png"));
  add("b.png", content(f / "b.png"));
  add("dataset.json", "{}");
  add("bad.png", "nothing");
  zip.commit();
  auto const packed = gan::load_pictures(f / "set.zip", 8), loose = gan::load_pictures(f.path.string(), 8);
  CHECK(packed.names == loose.names);
  CHECK(packed.hash() == loose.hash());
  CHECK(packed.ignored == 1);
  REQUIRE(packed.skipped.size() == 1);
  CHECK(packed.skipped[0].name == "bad.png");

  // A name that is not UTF-8, and an entry packed in a way that is not read, cost only themselves.
  std::string bytes = content(f / "set.zip");
  for (std::size_t at = bytes.find("bad.png"); at != std::string::npos; at = bytes.find("bad.png", at + 1)) bytes[at + 1] = '\xe9';
  std::size_t const directory = bytes.find("PK\x01\x02"), entry = bytes.rfind("PK\x01\x02", bytes.rfind("b.png"));
  REQUIRE(directory < entry);
  bytes[entry + 10] = 99;
  write(f / "odd.zip", bytes);
  auto const odd = gan::load_pictures(f / "odd.zip", 8);
  CHECK(odd.names == std::vector<std::string>{"inner/a.png"});
  REQUIRE(odd.skipped.size() == 2);
  CHECK(odd.skipped[0].name == "b.png");
  CHECK(contains(odd.skipped[0].why, "compression method 99"));
  CHECK(odd.skipped[1].name == "b?d.png");
  CHECK(contains(odd.skipped[1].why, "is not text"));
  CHECK_THROWS_WITH_AS(io::ZipReader(io::MappedFile(f / "odd.zip").bytes()), doctest::Contains("compression method 99"), Error);
}

TEST_CASE("of two entries of one name in an archive the first is taken") {
  Folder const f("rig_picture_twice");
  io::save_png(f / "a.png", picture(8, 8, 1));
  io::save_png(f / "b.png", picture(8, 8, 2));
  auto archive = [&](char const* name, bool both) {
    io::ZipWriter zip(f / name);
    auto add = [&](char const* entry, std::string const& bytes) { zip.add(entry, {std::as_bytes(std::span(bytes.data(), bytes.size()))}); };
    add("one.png", content(f / "a.png"));
    if (both) add("two.png", content(f / "b.png"));
    zip.commit();
  };
  archive("once.zip", false);
  archive("twice.zip", true);
  std::string bytes = content(f / "twice.zip");
  for (std::size_t at = bytes.find("two.png"); at != std::string::npos; at = bytes.find("two.png", at)) bytes.replace(at, 3, "one");
  write(f / "twice.zip", bytes);
  auto const once = gan::load_pictures(f / "once.zip", 8), twice = gan::load_pictures(f / "twice.zip", 8);
  CHECK(twice.names == std::vector<std::string>{"one.png"});
  CHECK(twice.hash() == once.hash());
  REQUIRE(twice.skipped.size() == 1);
  CHECK(contains(twice.skipped[0].why, "two entries are named one.png"));
  CHECK_THROWS_WITH_AS(io::ZipReader(io::MappedFile(f / "twice.zip").bytes()), doctest::Contains("two entries are named one.png"), Error);
}

TEST_CASE("a place without usable pictures is refused in words") {
  Folder const f("rig_picture_none");
  auto said = [&](std::string const& path) { return message_of([&] { gan::load_pictures(path, 8); }); };
  CHECK(contains(said(f.path.string()), "expected pictures (.png, .jpg, .jpeg), found nothing"));
  write(f / "readme.txt", "words");
  CHECK(contains(said(f.path.string()), "found 1 other files"));
  write(f / "bad.png", "nothing");
  CHECK(contains(said(f.path.string()), "none of the 1 pictures can be used; bad.png: "));
  CHECK(contains(said(f / "missing"), "expected a folder or a zip archive of pictures, found no such file"));
  CHECK(contains(said(f / "readme.txt"), f / "readme.txt" + ": expected a folder or a zip archive of pictures, found a file that"));
}
