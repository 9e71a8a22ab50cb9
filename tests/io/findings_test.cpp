// Files that the fuzzer found: what each once did stands in its name. Read in every way, they end in a result or in
// rig::Error, soon and in little memory. The fuzz targets start from them too (tests/build/fuzz_test.sh).
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <ctime>
#include <filesystem>

#include "rig/io/file.hpp"
#include "rig/io/image.hpp"
#include "rig/io/mat.hpp"
#include "rig/io/obj.hpp"

using namespace rig;
using namespace rig::io;
namespace fs = std::filesystem;

TEST_CASE("findings: nothing that was found once is found again") {
  int count = 0;
  for (auto const& e : fs::directory_iterator("tests/io/findings")) {
    CAPTURE(e.path().filename().string());
    MappedFile const file(e.path().string());
    std::clock_t const start = std::clock();
    auto attempt = [](auto&& read) {
      try {
        read();
      } catch (Error const&) {}
    };
    attempt([&] { read_any(file.bytes()).tensors(); });
    attempt([&] { decode_image(file.bytes()); });
    attempt([&] { read_png_texts(file.bytes()); });
    attempt([&] { read_obj(file.bytes()); });
    CHECK(double(std::clock() - start) / CLOCKS_PER_SEC < 2);
    ++count;
  }
  CHECK(count > 0);
  ::rusage u{};
  ::getrusage(RUSAGE_SELF, &u);
  CHECK(u.ru_maxrss < 1'000'000);
}

TEST_CASE("seeds: the files that the fuzzer starts from are read whole, or refused for what they are") {
  int count = 0;
  for (auto const& e : fs::directory_iterator("tests/fuzz/seeds")) {
    std::string const name = e.path().filename().string();
    CAPTURE(name);
    MappedFile const file(e.path().string());
    auto const& bytes = file.bytes();
    ++count;
    if (name == "image-cmyk.jpg")
      CHECK_THROWS_WITH_AS(decode_image(bytes), doctest::Contains("four inks"), Error);
    else if (name.starts_with("image-"))
      CHECK_NOTHROW(decode_image(bytes));
    else if (name.starts_with("obj-"))
      CHECK_NOTHROW(read_obj(bytes));
    else if (name.starts_with("mat-"))
      CHECK(!read_mat(bytes).empty());
    else if (name.starts_with("zip-"))
      CHECK_THROWS_WITH_AS(read_any(bytes), doctest::Contains("a zip archive, but"), Error);
#if !RIG_HAS_HDF5
    else if (name.starts_with("hdf5-"))
      CHECK_THROWS_AS(read_any(bytes), Error);
#endif
    else
      CHECK(!read_any(bytes).tensors().empty());
  }
  CHECK(count > 0);
}
