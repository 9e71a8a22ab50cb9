// HDF5 files written here by the library itself: what is read, what is refused, and that damage ends in rig::Error.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "../helpers.hpp"
#include "rig/io/file.hpp"
#include "rig/io/image.hpp"

using namespace rig;
using namespace rig::io;

#if RIG_HAS_HDF5
#include <hdf5.h>
#include <unistd.h>

// The library itself forgets some bytes of a damaged file.
extern "C" char const* __lsan_default_suppressions();
extern "C" char const* __lsan_default_suppressions() { return "leak:libhdf5"; }

namespace {
struct Made {
  std::string path = (std::filesystem::temp_directory_path() / ("rig_hdf5_" + std::to_string(::getpid()) + ".h5")).string();
  hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  ~Made() { std::filesystem::remove(path); }

  template <class T>
  void dataset(char const* name, hid_t stored, hid_t memory, std::vector<hsize_t> const& extents, std::vector<T> const& values,
               hid_t description = H5P_DEFAULT) {
    hid_t const space = H5Screate_simple(int(extents.size()), extents.data(), nullptr);
    hid_t const d = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, description, H5P_DEFAULT);
    REQUIRE(d >= 0);
    if (!values.empty()) REQUIRE(H5Dwrite(d, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
    H5Dclose(d), H5Sclose(space);
  }
  template <class T> void attribute(char const* name, hid_t type, T const* value) {
    hid_t const space = H5Screate(H5S_SCALAR), a = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Awrite(a, type, value);
    H5Aclose(a), H5Sclose(space);
  }
  std::string close() {
    H5Fclose(file);
    return path;
  }
};
}  // namespace

TEST_CASE("hdf5: datasets of all kinds of numbers, attributes, links within the file") {
  Made m;
  H5Gclose(H5Gcreate2(m.file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
  hid_t const packed = H5Pcreate(H5P_DATASET_CREATE);
  hsize_t const chunk[] = {2, 2};
  H5Pset_chunk(packed, 2, chunk), H5Pset_shuffle(packed), H5Pset_deflate(packed, 5);
  m.dataset<float>("group/w", H5T_IEEE_F32BE, H5T_NATIVE_FLOAT, {2, 3}, {1, 2, 3, 4, 5, -6.5f}, packed);
  m.dataset<double>("d", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, {2}, {1e300, -0.0});
  m.dataset<int>("i", H5T_STD_I16BE, H5T_NATIVE_INT, {3}, {-5, 0, 300});
  m.dataset<int>("u", H5T_STD_U8LE, H5T_NATIVE_INT, {1}, {255});
  m.dataset<float>("none", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {0, 4}, {});
  H5Lcreate_soft("/group/w", m.file, "again", H5P_DEFAULT, H5P_DEFAULT);
  int const size = 128;
  double const rate = 0.25;
  m.attribute("size", H5T_NATIVE_INT, &size);
  m.attribute("rate", H5T_NATIVE_DOUBLE, &rate);
  H5Pclose(packed);
  Document const d = read_any(m.close());
  CHECK(d.kind == Kind::hdf5);
  std::string names;
  for (auto const& t : d.tensors()) names += t.name + " " + name_of(t.tensor.dtype()) + " ";
  CHECK(names == "d F64 group.w F32 i I16 none F32 u U8 ");
  CHECK(d.flat[0].tensor.as<double>().host() == std::vector<double>{1e300, -0.0});
  CHECK(d.flat[1].tensor.shape() == Shape{2, 3});
  CHECK(d.flat[1].tensor.as<float>().host() == std::vector<float>{1, 2, 3, 4, 5, -6.5f});
  CHECK(d.flat[2].tensor.as<int>().host() == std::vector<int>{-5, 0, 300});
  CHECK(d.flat[4].tensor.as<int>().host() == std::vector<int>{255});
  REQUIRE(d.metadata.size() == 2);
  CHECK(d.metadata[0] == std::pair<std::string, std::string>("rate", "0.25"));
  CHECK(d.metadata[1] == std::pair<std::string, std::string>("size", "128"));

  // Damaged anywhere, it is read or refused.
  std::ifstream f(m.path, std::ios::binary);
  std::string const whole((std::istreambuf_iterator<char>(f)), std::istreambuf_iterator<char>());
  auto attempt = [](std::string const& s) {
    auto p = reinterpret_cast<std::byte const*>(s.data());
    try {
      read_any(Bytes(std::vector<std::byte>(p, p + s.size())));
      return true;
    } catch (Error const&) {
      return false;
    }
  };
  CHECK(attempt(whole));
  for (std::size_t n = 0; n < whole.size(); n += 97) CHECK(!attempt(whole.substr(0, n)));
  for (std::size_t n = 0; n < whole.size(); n += 41)
    for (char c : {'\0', '\x7f', '\xff'}) {
      std::string damaged = whole;
      damaged[n] = c;
      attempt(damaged);
    }
}

TEST_CASE("hdf5: what lies outside the file is not opened") {
  {
    Made m;
    m.dataset<float>("w", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {1}, {1});
    H5Lcreate_external("/etc/passwd", "/", m.file, "elsewhere", H5P_DEFAULT, H5P_DEFAULT);
    CHECK_THROWS_WITH_AS(read_any(m.close()), doctest::Contains("another file"), Error);
  }
  {
    Made m;
    hid_t const outside = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(outside, "/etc/passwd", 0, 4);
    m.dataset<float>("w", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {1}, {}, outside);
    H5Pclose(outside);
    CHECK_THROWS_WITH_AS(read_any(m.close()), doctest::Contains("another file"), Error);
  }
  {
    Made m;
    hid_t const group = H5Gcreate2(m.file, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(m.file, "/g", group, "self", H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    CHECK_THROWS_WITH_AS(read_any(m.close()), doctest::Contains("nested"), Error);
  }
  {
    Made m;
    hid_t const sparse = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t const chunk[] = {1024};
    H5Pset_chunk(sparse, 1, chunk);
    m.dataset<float>("w", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {hsize_t(1) << 36}, {}, sparse);
    H5Pclose(sparse);
    CHECK_THROWS_WITH_AS(read_any(m.close()), doctest::Contains("limit"), Error);
  }
}

TEST_CASE("hdf5: what would cost the library much is refused before it is opened") {
  {  // a list of free names that comes back to itself
    Made m;
    m.dataset<float>("w", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {1}, {1});
    std::fstream f(m.close(), std::ios::binary | std::ios::in | std::ios::out);
    std::string s((std::istreambuf_iterator<char>(f)), std::istreambuf_iterator<char>());
    std::uint64_t free = 0, data = 0;
    std::size_t const heap = s.find("HEAP");
    std::memcpy(&free, s.data() + heap + 16, 8);
    std::memcpy(&data, s.data() + heap + 24, 8);
    f.seekp(std::streamoff(data + free));
    f.write(reinterpret_cast<char const*>(&free), 8);
    f.close();
    CHECK_THROWS_WITH_AS(read_any(m.path), doctest::Contains("astray"), Error);
  }
  {  // a piece that inflates to far more than it should
    Made m;
    hid_t const packed = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t const chunk[] = {1 << 20}, start[] = {0};
    H5Pset_chunk(packed, 1, chunk), H5Pset_deflate(packed, 9);
    m.dataset<int>("w", H5T_STD_U8LE, H5T_NATIVE_INT, {1 << 20}, {}, packed);
    std::string const bomb = deflated(std::string(std::size_t(96) << 20, '\0'));
    hid_t const d = H5Dopen2(m.file, "w", H5P_DEFAULT);
    REQUIRE(H5Dwrite_chunk(d, H5P_DEFAULT, 0, start, bomb.size(), bomb.data()) >= 0);
    H5Dclose(d), H5Pclose(packed);
    CHECK_THROWS_WITH_AS(read_any(m.close()), doctest::Contains("inflates"), Error);
  }
  {  // the forms of new versions, where they are not looked through
    Made m;
    H5Fclose(m.file);
    hid_t const latest = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(latest, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    m.file = H5Fcreate(m.path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, latest);
    H5Pclose(latest);
    m.dataset<float>("w", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {2}, {1, 2});
    std::string const path = m.close();
    CHECK(read_any(path).tensors().at(0).tensor.as<float>().host() == std::vector<float>{1, 2});
    m.file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    for (int i = 0; i < 20; ++i) m.dataset<float>(("v" + std::to_string(i)).c_str(), H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, {1}, {1});
    CHECK_THROWS_WITH_AS(read_any(m.close()), doctest::Contains("many links"), Error);
  }
}
#else
TEST_CASE("hdf5: a build without the library says so") {
  std::string const head = "\x89HDF\r\n\x1a\n";
  auto p = reinterpret_cast<std::byte const*>(head.data());
  CHECK_THROWS_WITH_AS(read_any(Bytes(std::vector<std::byte>(p, p + head.size()))), doctest::Contains("no HDF5 library"), Error);
}
#endif
