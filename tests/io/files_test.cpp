// Writers, round trips, hostile small things: everything of io that needs no shared data.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "rig/core/random.hpp"
#include "rig/io/file.hpp"
#include "rig/io/hash.hpp"
#include "rig/io/obj.hpp"

using namespace rig;
using namespace rig::io;
namespace fs = std::filesystem;

namespace {
struct Folder {
  fs::path path = fs::temp_directory_path() / ("rig_io_test_" + std::to_string(::getpid()));
  Folder() { fs::create_directories(path); }
  ~Folder() {
    fs::permissions(path, fs::perms::owner_all);
    fs::remove_all(path);
  }
  std::string operator/(char const* name) const { return (path / name).string(); }
  std::size_t count() const { return std::size_t(std::distance(fs::directory_iterator(path), fs::directory_iterator())); }
};
std::string content(std::string const& path) {
  std::ifstream f(path, std::ios::binary);
  std::ostringstream s;
  s << f.rdbuf();
  return s.str();
}
Bytes bytes_of(std::string const& s) {
  auto p = reinterpret_cast<std::byte const*>(s.data());
  return Bytes(std::vector<std::byte>(p, p + s.size()));
}
std::vector<NamedTensor> samples() {
  std::vector<std::byte> raw(6);
  for (int i = 0; i < 6; ++i) raw[std::size_t(i)] = std::byte(i * 40 + 1);
  return {{"a.weight", Tensor<float>({2, 3}, {1.5f, -2, 3, 4e-30f, 5, 6})},
          {"d", Tensor<double>({2}, {1e300, -0.0})},
          {"scalar", Tensor<float>(Shape{}, {7})},
          {"empty", Tensor<float>(Shape{0, 4})},
          {"i", Tensor<int>({3}, {-1, 2, 1 << 30})},
          {"l", Tensor<std::int64_t>({2}, {-(std::int64_t(1) << 62), 5})},
          {"u8", Tensor<std::uint8_t>({3}, {0, 128, 255})},
          {"flag", Tensor<bool>({2}, {true, false})},
          {"half", AnyTensor(DType::f16, {3}, Bytes(raw))}};
}
void check_same(std::vector<NamedTensor> const& a, std::vector<NamedTensor> const& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(a[i].name);
    CHECK(a[i].name == b[i].name);
    CHECK(a[i].tensor.dtype() == b[i].tensor.dtype());
    CHECK(a[i].tensor.shape() == b[i].tensor.shape());
    CHECK(a[i].tensor.bytes().text() == b[i].tensor.bytes().text());
  }
}
}  // namespace

TEST_CASE("safetensors: tensors and metadata come back") {
  Folder dir;
  auto tensors = samples();
  tensors.push_back({"bf", AnyTensor(DType::bf16, {1}, tensors.back().tensor.bytes().sub(0, 2))});
  Metadata metadata{{"format", "rig"}, {"quote\"\\\n\x01", "\xc3\xa4 \xe2\x82\xac"}};
  save_safetensors(dir / "x.safetensors", tensors, metadata);
  CHECK(dir.count() == 1);
  auto back = read_safetensors(dir / "x.safetensors");
  check_same(back.tensors, tensors);
  CHECK(back.metadata == metadata);
  CHECK(back.at("a.weight").as<double>().host()[1] == -2.0);
  CHECK(back.find("nothing") == nullptr);
  CHECK_THROWS_WITH_AS(back.at("nothing"), doctest::Contains("nothing"), Error);
  CHECK(read_any(dir / "x.safetensors").kind == Kind::safetensors);
  CHECK_THROWS_AS(save_safetensors(dir / "y", {tensors[0], tensors[0]}), Error);
  CHECK_THROWS_AS(save_safetensors(dir / "y", {{"\xff", tensors[0].tensor}}), Error);
  CHECK_THROWS_AS(save_safetensors(dir / "y", {{"none", AnyTensor()}}), Error);
  CHECK(dir.count() == 1);
}

TEST_CASE("safetensors: known as such by a header of any length") {
  Folder dir;
  for (int padding = 0; padding < 1600; padding += 8) {  // 640 begins like a pickle
    save_safetensors(dir / "x", {{"x", ones<float>({2})}}, {{"padding", std::string(std::size_t(padding), ' ')}});
    CHECK(identify(MappedFile(dir / "x").bytes()) == Kind::safetensors);
  }
}

TEST_CASE("safetensors: escapes and strictness of the header") {
  auto file = [](std::string header, std::string data) {
    std::string s(8, '\0');
    s[0] = char(header.size() & 255);
    s[1] = char(header.size() >> 8);
    return bytes_of(s + header + data);
  };
  std::string body = "\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]";
  CHECK(read_safetensors(file("{\"\\u00e4\\ud83d\\ude00\":{" + body + "}}  ", "ab")).tensors[0].name == "\xc3\xa4\xf0\x9f\x98\x80");
  for (std::string header : {"{\"a\":{" + body + "},}", "{\"a\":{" + body + "} \"b\":{}}", "{\"\\ud83d\":{" + body + "}}",
                             "{\"a\":{" + body + ",\"more\":1}}", "{\"a\":{" + body + "}}x", "{\"a\":{" + body + "}",
                             "{\"a\\q\":{" + body + "}}", std::string("{\"a\":{\"dtype\":\"U8\",\"shape\":[02],\"data_offsets\":[0,2]}}"),
                             std::string("{\"a\":{\"dtype\":\"U8\",\"shape\":[2.0],\"data_offsets\":[0,2]}}")}) {
    CAPTURE(header);
    CHECK_THROWS_AS(read_safetensors(file(header, "ab")), Error);
  }
}

TEST_CASE("npz: arrays come back; zip64 fields too") {
  Folder dir;
  auto tensors = samples();
  save_npz(dir / "x.npz", tensors);
  check_same(read_npz(dir / "x.npz"), tensors);
  CHECK_THROWS_AS(save_npz(dir / "y.npz", {{"bf", AnyTensor(DType::bf16, {0}, Bytes())}}), Error);
  CHECK(dir.count() == 1);

  // The same entries with zip64 records throughout, as archives above 4 GiB have them.
  MappedFile plain(dir / "x.npz");
  ZipReader reader(plain.bytes());
  Budget budget({}, plain.bytes().size);
  ZipWriter writer(dir / "y.npz", true);
  for (auto const& e : reader.entries()) {
    Bytes b = reader.read(e, budget);
    writer.add(e.name, {b.span()});
  }
  CHECK_THROWS_AS(writer.add("u8.npy", {}), Error);
  writer.commit();
  check_same(read_npz(dir / "y.npz"), tensors);
}

TEST_CASE("AnyTensor: conversions are exact or refused") {
  AnyTensor f(Tensor<float>({3}, {1, -2, 3e9f}));
  CHECK(f.as<double>().host() == std::vector<double>{1, -2, 3e9});
  CHECK_THROWS_AS(f.as<int>(), Error);
  CHECK_THROWS_AS(f.as<std::uint8_t>(), Error);
  CHECK(f.as<std::int64_t>().host() == std::vector<std::int64_t>{1, -2, 3000000000});
  CHECK_THROWS_AS(AnyTensor(Tensor<std::int64_t>({1}, {std::int64_t(1) << 40})).as<int>(), Error);
  CHECK_THROWS_AS(AnyTensor(DType::f32, {2}, Bytes()), Error);
  std::string half("\x00\x3c\x00\xc0\x01\x00\xff\x7b\x00\x7c", 10);
  auto h = AnyTensor(DType::f16, {5}, bytes_of(half)).as<float>().host();
  CHECK(h[0] == 1.0f);
  CHECK(h[1] == -2.0f);
  CHECK(h[2] == 0x1p-24f);
  CHECK(h[3] == 65504.0f);
  CHECK(h[4] > 1e38f);
  auto owned = Tensor<float>({2}, {1, 2});
  AnyTensor a(owned);
  CHECK(a.borrow<float>().data() == owned.data());
  CHECK(a.as<float>().data() != owned.data());
}

TEST_CASE("atomic file: all or nothing") {
  Folder dir;
  write_file(dir / "x", "old");
  {
    AtomicFile f(dir / "x");
    f.write("new");
    CHECK(content(dir / "x") == "old");
    CHECK(dir.count() == 2);
  }
  CHECK(content(dir / "x") == "old");
  CHECK(dir.count() == 1);
  write_file(dir / "x", "new");
  CHECK(content(dir / "x") == "new");
  CHECK_THROWS_WITH_AS(write_file(dir / "no/such/folder", "x"), doctest::Contains("no/such/folder"), Error);
  CHECK_THROWS_WITH_AS(write_file("/dev/full", "x"), doctest::Contains("not a regular file"), Error);
  CHECK_THROWS_AS(write_file(dir.path.string(), "x"), Error);
  CHECK_THROWS_AS(MappedFile(dir / "missing"), Error);
  CHECK_THROWS_AS(MappedFile(dir.path.string()), Error);
  CHECK_THROWS_AS(MappedFile("/dev/zero"), Error);

  // A full disk: the system refuses to make files longer than 64 KiB.
  ::rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  auto handler = ::signal(SIGXFSZ, SIG_IGN);
  ::rlimit limit{65536, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  std::string message;
  try {
    save_safetensors(dir / "x", {{"big", zeros<float>({1 << 20})}});
  } catch (Error const& e) {
    message = e.what();
  }
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, handler);
  CHECK(message.find("nothing was changed") != std::string::npos);
  CHECK(content(dir / "x") == "new");
  CHECK(dir.count() == 1);

  if (::geteuid() != 0) {
    fs::permissions(dir.path, fs::perms::owner_read | fs::perms::owner_exec);
    CHECK_THROWS_AS(write_file(dir / "y", "x"), Error);
  }
}

TEST_CASE("crc and hash: known values") {
  CHECK(crc32(std::as_bytes(std::span("123456789", 9))) == 0xCBF43926u);
  CHECK(crc32(std::as_bytes(std::span("6789", 4)), crc32(std::as_bytes(std::span("12345", 5)))) == 0xCBF43926u);
  CHECK(Hash().text() == "cbf29ce484222325");
  CHECK(Hash().add("a").text() == "af63dc4c8601ec8c");
  CHECK(Hash().add("foobar").text() == "85944171f73967e8");
  CHECK(Hash().add(Tensor<std::uint8_t>({3}, {'f', 'o', 'o'})).add("bar").text() == "85944171f73967e8");
}

TEST_CASE("utf-8") {
  CHECK(is_utf8("plain \xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"));
  for (char const* s : {"\x80", "\xc0\x80", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xe2\x82"})
    CHECK(!is_utf8(s));
}

TEST_CASE("pickle: sharing is neither expanded nor followed for ever") {
  // {'t': array, 'dag': doubling tuples that hold the array}: 2^60 paths lead to it.
  std::string array = std::string("cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK") + '\0' + "\x85" + "C\x01" +
                      "b\x87R(K\x01K\x01\x85" + "cnumpy\ndtype\nX\x02" + std::string(3, '\0') + "u1\x89\x88\x87R\x89" + "C\x01\x07tb";
  std::string flat = std::string("\x80\x02") + array + ".";
  auto t = read_any(bytes_of(flat)).tensors();
  REQUIRE(t.size() == 1);
  CHECK(t[0].tensor.as<int>().host() == std::vector<int>{7});
  std::string dag = std::string("\x80\x02") + array;
  for (int i = 0; i < 60; ++i) dag += "2\x86";
  auto doc = read_any(bytes_of(dag + "."));
  CHECK(doc.root.size() == 2);
  CHECK(doc.root[0] == doc.root[1]);
  CHECK_THROWS_AS(doc.tensors(), Error);

  // Equal keys: the place of the first, the value of the last.
  std::string twice = std::string(
                          "\x80\x02}(U\x01"
                          "aNU\x01"
                          "b") +
                      array +
                      "U\x01"
                      "aK\x05u.";
  doc = read_any(bytes_of(twice));
  REQUIRE(doc.root.size() == 2);
  CHECK(doc.root.entry(0).first.string() == "a");
  CHECK(doc.root.at("a").integer() == 5);
  CHECK_THROWS_AS(doc.root.at("a").string(), Error);
  CHECK_THROWS_WITH_AS(doc.root.at("c"), doctest::Contains("'c'"), Error);
}

TEST_CASE("obj: written and read") {
  Folder dir;
  Tensor<float> v({4, 3}, {0, 0, 0, 1, 0, 0, 1, 1, 0.1f, 0, 1, 1e-7f}), c({4, 3}, {0, 0.5f, 1, 1, 1, 1, 0, 0, 0, 0.25f, 0.1f, 0});
  Tensor<int> f({2, 3}, {0, 1, 2, 0, 2, 3});
  save_obj(dir / "x.obj", v, f, c);
  auto m = read_obj(dir / "x.obj");
  CHECK(m.vertices.host() == v.host());
  CHECK(m.colours.host() == c.host());
  CHECK(m.triangles.host() == f.host());
  CHECK(!m.texcoords);
  CHECK(!m.triangle_texcoords);
  m = read_obj(bytes_of("# c\nv 0 0 0\r\nv +1 0 0\nv 1 1 0\nv 0 1e0 0\nvt 0 0\nvt 1 .5\nusemtl x\nf -4/1/9 2/2 3/1 4/2\nf 1/1 2/1 3/1"));
  CHECK(m.triangles.host() == std::vector<int>{0, 1, 2, 0, 2, 3, 0, 1, 2});
  CHECK(m.triangle_texcoords.host() == std::vector<int>{0, 1, 0, 0, 0, 1, 0, 0, 0});
  CHECK(m.polygon_of_triangle.host() == std::vector<int>{0, 0, 1});
  CHECK(m.texcoords.host() == std::vector<float>{0, 0, 1, 0.5f});
  for (char const* bad : {"v 0 0\n", "v 0 0 x\n", "v 0 0 nan\n", "v 0 0 0\nf 1 1\n", "v 0 0 0\nf 1 1 2\n", "v 0 0 0\nf 0 1 1\n",
                          "v 0 0 0\nf 1 1 -2\n", "vt 0 0\n", "v 0 0 0\nf 1/1 1/1 1/1"})
    CHECK_THROWS_AS(read_obj(bytes_of(bad)), Error);
  CHECK_THROWS_AS(save_obj(dir / "y.obj", v, Tensor<int>({1, 3}, {0, 1, 4})), Error);
  CHECK(dir.count() == 1);
}
