// Small files that ask for much: sharing, repetition and compression turned against the reader. Each must end, by a result
// or by rig::Error, in less than a second of processor time and a few hundred megabytes.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <ctime>

#include "pickle_builder.hpp"
#include "rig/io/image.hpp"
#include "rig/io/obj.hpp"
#if RIG_HAS_ZLIB
#include <zlib.h>
#endif

using namespace rig;
using namespace rig::io;
using namespace pickled;

namespace {
std::string storage_id(std::string const& type, std::string const& key, std::uint32_t count) {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + "J" + little(count, 4) + "NtQ";
}

double seconds() { return double(std::clock()) / CLOCKS_PER_SEC; }
long peak_kilobytes() {
  ::rusage u{};
  ::getrusage(RUSAGE_SELF, &u);
  return u.ru_maxrss;
}

// Reads it and lists it in every way; says what came of it.
void survives(std::string const& name, std::string const& file, bool expect_error = true) {
  CAPTURE(name);
  REQUIRE(file.size() < 600'000);
#if defined(__SANITIZE_ADDRESS__)
  double const most = 20;
#else
  double const most = 1;
#endif
  double const start = seconds();
  bool refused = false;
  try {
    Document const d = read_any(bytes_of(file));
    auto const list = d.tensors();
    CHECK(list.size() < 1'000'000);
    if (d.root.is(ValueKind::object)) module_tensors(d.root);
  } catch (Error const& e) {
    refused = true;
    CHECK(std::string(e.what()).size() < 500);
    if (!expect_error) MESSAGE(name << ": " << std::string(e.what()));
  }
  double const took = seconds() - start;
  CHECK(refused == expect_error);
  CHECK_MESSAGE(took < most, name << " took " << took);
  if (took > 0.2) MESSAGE(name << " took " << took << " s");
}
}  // namespace

TEST_CASE("hostile: pickles that repeat by reference") {
  std::string const big(200'000, 'k');
  survives("one long key, often", v2 + "}(" + text(big) + put0 + "N" + repeat(get0 + "N", 100'000) + text("x") + array + "u.", false);
  survives("two long equal keys, in turn",
           v2 + "}(" + text(big) + put0 + "N" + text(big) + "q\1N" + repeat(get0 + "N" + get1 + "N", 20'000) + text("x") + array + "u.",
           false);
  survives("bytes of bytes",
           v2 + "}(" + blob(big) + put0 + "N" + global("builtins", "bytes") + "q\1N" + repeat(get1 + get0 + "\x85RN", 30'000) + "u.");
  survives("a text encoded again and again", v2 + "(" + text(big) + put0 + text("latin1") + "q\1" + global("_codecs", "encode") + "q\2" +
                                                 repeat(get2 + get0 + get1 + "\x86R", 20'000) + "t.");
  std::string dict = "}" + put0 + "(";
  for (int i = 0; i < 20'000; ++i) dict += "M" + little(std::uint64_t(i), 2) + "N";
  dict += "u";
  survives("a state given to many",
           v2 + "(" + dict + global("dnnlib", "EasyDict") + "q\1" + repeat(get1 + ")\x81" + get0 + "b", 30'000) + "t.");
  std::vector<std::uint16_t> keys;
  for (std::uint32_t i = 300; i < 65'536; ++i) keys.push_back(std::uint16_t(i * 40'503 % 65'536));  // in no order
  std::string mixed = "}" + put0 + "(", reals = mixed;
  for (auto k : keys) mixed += "M" + little(k, 2) + "N";
  for (int i = 0; i < 38'000; ++i) reals += "G\x3f" + little(keys[std::size_t(i)] * std::uint64_t(40'503), 7) + "N";
  std::string const again = "u" + global("dnnlib", "EasyDict") + ")\x81q\1";
  for (int times : {56, 62}) survives("one state again and again", v2 + "(" + mixed + again + repeat(get0 + "b", times) + array + "t.");
  for (int times : {95, 104}) survives("the same of reals", v2 + "(" + reals + again + repeat(get0 + "b", times) + array + "t.");
  survives("a state given twice", v2 + "(" + mixed + again + get0 + "b" + get0 + "b" + array + "t.", false);
  std::string alike = "}" + put0 + "(";
  for (int i = 0; i < 200; ++i) alike += text(std::string(1000, 'k') + std::to_string(i)) + "N";
  survives("long keys that begin alike, in many dicts",
           v2 + "(" + alike + "u" + global("dnnlib", "EasyDict") + "q\1" + repeat(get1 + ")\x81" + get0 + "b", 20'000) + array + "t.");
  survives("many objects from one description", v2 + "(" + dict + global("torch_utils.persistence", "_reconstruct_persistent_obj") + "q\1" +
                                                    "(" + get0 + text("class_name") + text("A") + "s0" +
                                                    repeat(get1 + get0 + "\x85R", 30'000) + "t.");
  std::string described = "}" + put0 + "(" + text("type") + text("class") + text("class_name") + text("A") + text("state") + "}";
  for (int i = 0; i < 40'000; ++i) described += "M" + little(std::uint64_t(i), 2) + "N";
  described += "u";
  survives("many objects searched from the end", v2 + "(" + described + global("torch_utils.persistence", "_reconstruct_persistent_obj") +
                                                     "q\1" + repeat(get1 + get0 + "\x85R0", 30'000) + "t.");
  survives("one list in many sets", v2 + "((" + repeat("N", 100'000) + "l" + put0 + global("builtins", "set") + "q\1" +
                                        repeat(get1 + get0 + "\x85R0", 40'000) + "t.");
  survives("one tuple in many sizes", v2 + "((" + repeat("K\1", 60'000) + "t" + put0 + global("torch", "Size") + "q\1" +
                                          repeat(get1 + get0 + "\x85R0", 40'000) + "t.");
  survives("values and values", v2 + repeat("N", 400'000) + ".");
  survives("tuples in tuples, side by side", v2 + "(" + repeat(")\x85", 200'000) + array + "t.", false);
  survives("marks", v2 + repeat("(1", 200'000) + "N.");
  survives("a memo of everything", v2 + "]" + repeat("q\0"s, 100'000) + repeat("N\x94"s, 90'000) + ".");
  survives("unhashable", v2 + "}" + repeat("]", 100'000) + "s.");
}

TEST_CASE("hostile: streams within pickles") {
  std::string const waste = stream(repeat("N0", 50'000) + storage_id("FloatStorage", "1", 1), text("1") + "a", little(1, 8) + "abcd");
  survives("one stream read often", v2 + "(" + blob(waste) + put0 + global("torch.storage", "_load_from_bytes") + "q\1" +
                                        repeat(get1 + get0 + "\x85R0", 40'000) + array + "t.");
  std::string inner = stream(storage_id("FloatStorage", "1", 1), text("1") + "a", little(1, 8) + "abcd");
  for (int i = 0; i < 15; ++i)  // each level is read eight times by the one around it
    inner = stream(blob(inner) + put0 + global("torch.storage", "_load_from_bytes") + "q\1" + repeat(get1 + get0 + "\x85R0", 7) + get1 +
                       get0 + "\x85R",
                   "", "");
  survives("eight to the fifteenth streams", v2 + "(" + global("torch.storage", "_load_from_bytes") + blob(inner) + "\x85R" + array + "t.");
  survives("a huge view of one element", stream("(" + global("torch._utils", "_rebuild_tensor") + storage_id("BoolStorage", "1", 1) +
                                                    "K\0(J"s + little(1 << 30, 4) + "K\x20t(K\0K\0ttR"s,
                                                text("1") + "a", little(1, 8) + "a"));
  std::string const view =
      global("torch._utils", "_rebuild_tensor") + "(" + storage_id("BoolStorage", "1", 1) + "K\0(J"s + little(60'000'000, 4) + "t(K\0ttR"s;
  // Views of one or two elements, in a file of a few hundred bytes.
  auto repeated = [](std::string const& size, std::string const& stride, std::uint32_t count) {
    std::string const id = storage_id("BoolStorage", "1", count), program = global("torch._utils", "_rebuild_tensor") + "(" +
                                                                            id.substr(0, id.size() - 3) + "tQK\0("s + size + "t(" + stride +
                                                                            "ttR.";
    return archive({{"a/data.pkl", v2 + program}, {"a/data/1", std::string(count, '\1')}});
  };
  auto const millions = [](std::uint64_t n) { return "J" + little(n * 1'000'000, 4); };
  survives("a view whose rows have one element, too large", repeated(millions(130) + "K\1", "K\0K\0"s, 1));
  survives("a view whose rows have one element", repeated(millions(60) + "K\1", "K\0K\0"s, 1), false);
  survives("a view whose rows are the same two", repeated(millions(30) + "K\2", "K\0K\1"s, 2), false);
  survives("a view turned", repeated("K\2" + millions(30), "K\1K\0"s, 2), false);
  survives("one description of many tensors",
           stream("(}" + put0 + "(" + repeat(text("neg") + "\x89", 10'000) + "u" + storage_id("BoolStorage", "1", 1) + "q\1" +
                      global("torch._utils", "_rebuild_tensor_v2") + "q\2" +
                      repeat(get2 + "(" + get1 + "K\0))\x89N"s + get0 + "tR0", 20'000) + "t",
                  text("1") + "a", little(1, 8) + "a"));
  survives("large views, many", stream("(" + repeat(view, 1000) + "t", text("1") + "a", little(1, 8) + "a"));
  std::string const key(100'000, '7');
  survives("a long storage key, often", stream("(" + text("storage") + put0 + global("torch", "ByteStorage") + "q\1" + text(key) + "q\2" +
                                                   repeat("(" + get0 + get1 + get2 + get0 + "K\1NtQ", 20'000) + "t",
                                               text(key) + "a", little(1, 8) + "a"));
}

TEST_CASE("hostile: trees with too many paths") {
  std::string dag = array + put0 + "0";  // each level holds the one below twice
  for (int i = 0; i < 40; ++i) dag += get0 + get0 + "\x86" + put0 + "0";
  survives("a billion laughs", v2 + dag + get0 + ".");
  std::string deep = v2, key(600, 'p');
  deep += "(" + array + put0 + "0" + repeat(get0, 100'000) + "t";
  deep +=
      "q\1"
      "0";
  for (int i = 0; i < 90; ++i) deep += "}" + text(key);
  deep += get1 + repeat("s", 90) + ".";
  survives("long names, often", deep);
  std::string keyed = v2 + "}(" + text(std::string(60'000, 'n')) + "}(" + array + "q\0"s;
  keyed = v2 + array + put0 + "0}" + text(std::string(59'000, 'n')) + "(" + repeat(get0, 100'000) + "ts.";
  survives("one long name before many", keyed);
  survives("a long name on a way that leads back",
           v2 + "]" + put0 + "(}(" + text(std::string(59'000, 'n')) + get0 + text("x") + array + "uq\1" + repeat(get1, 200'000) + "e.");
  std::string const object = global("torch_utils.persistence", "_reconstruct_persistent_obj") +
                             "q\2"
                             "0";
  auto persistent = [&](std::string const& state) {
    return get2 + "}(" + text("type") + text("class") + text("class_name") + text("M") + text("state") + "}(" + state + "u" + "u\x85R";
  };
  std::string parameters = text("_parameters") + "}(";
  for (int i = 0; i < 8'000; ++i) parameters += text("p" + std::to_string(i)) + get0;
  parameters += "u";
  std::string modules = text("_modules") + "}(";
  for (int i = 0; i < 8'000; ++i) modules += text("m" + std::to_string(i)) + get1;
  modules += "u";
  survives("many modules of one", v2 + array + put0 + "0" + object + persistent(parameters) +
                                      "q\1"
                                      "0" +
                                      persistent(modules) + ".");
  std::string junk;
  for (int i = 0; i < 10'000; ++i) junk += text("j" + std::to_string(i)) + "N";
  survives("modules with many attributes",
           v2 + array + put0 + "0" + object + persistent(junk + text("_parameters") + "}" + text("a") + get0 + "s") +
               "q\1"
               "0" +
               persistent(modules) + ".",
           false);
}

TEST_CASE("hostile: archives, headers, pictures") {
  std::string header = "{";
  for (int i = 0; i < 5'000; ++i)
    header += (i ? ",\"" : "\"") + std::to_string(i) + "\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}";
  header += "}";
  survives("many empty tensors", little(header.size(), 8) + header, false);
  header = "{\"__metadata__\":{" + repeat("\"a\":\"b\",", 50'000) + "\"a\":\"b\"}}";
  survives("one metadata key, often", little(header.size(), 8) + header);
#if RIG_HAS_ZLIB
  // A deflated archive and a picture, both of 600 MB of zeros.
  std::string packed(1'000'000, '\0');
  {
    ::z_stream z{};
    REQUIRE(::deflateInit2(&z, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string zeros(1 << 20, '\0');
    z.next_out = reinterpret_cast<Bytef*>(packed.data());
    z.avail_out = ::uInt(packed.size());
    for (int i = 0; i < 500; ++i) {
      z.next_in = reinterpret_cast<Bytef*>(zeros.data());
      z.avail_in = ::uInt(zeros.size());
      ::deflate(&z, i == 499 ? Z_FINISH : Z_NO_FLUSH);
    }
    packed.resize(z.total_out);
    ::deflateEnd(&z);
  }
  std::uint64_t const size = 500u << 20;
  std::string const name = "a.npy";
  std::string const local = "PK\3\4" + little(20, 2) + little(0, 2) + little(8, 2) + little(0, 4) + little(0, 4) +
                            little(packed.size(), 4) + little(size, 4) + little(name.size(), 2) + little(0, 2) + name;
  std::string const entry = "PK\1\2" + little(20, 2) + little(20, 2) + little(0, 2) + little(8, 2) + little(0, 4) + little(0, 4) +
                            little(packed.size(), 4) + little(size, 4) + little(name.size(), 2) + little(0, 12) + little(0, 4) + name;
  survives("a bomb", local + packed + entry + "PK\5\6" + little(0, 4) + little(1, 2) + little(1, 2) + little(entry.size(), 4) +
                         little(local.size() + packed.size(), 4) + little(0, 2));
  auto big = [](std::uint64_t v) { return std::string{char(v >> 24), char(v >> 16), char(v >> 8), char(v)}; };
  auto chunk = [&](std::string const& type, std::string const& data) {
    std::string const body = type + data;
    return big(data.size()) + body + big(crc32(std::as_bytes(std::span(body.data(), body.size()))));
  };
  std::string const bomb = "\x89PNG\r\n\x1a\n" + chunk("IHDR", big(20'000) + big(20'000) + std::string("\x08\0\0\0\0", 5)) +
                           chunk("IDAT", "\x78\x9c" + packed + big(0)) + chunk("IEND", "");
  double const start = seconds();
  CHECK_THROWS_AS(decode_image(bytes_of(bomb)), Error);
  CHECK(seconds() - start < 5);
#endif
  double const start_obj = seconds();
  read_obj(bytes_of("v 0 0 0\nv 1 0 0\nv 0 1 0\nf" + repeat(" 1 2 3", 60'000)));
  CHECK(seconds() - start_obj < 2);
}

TEST_CASE("hostile: little memory for all of these") {
#if defined(__SANITIZE_ADDRESS__)
  CHECK(peak_kilobytes() < 1'800'000);  // what is freed stays in quarantine
#else
  CHECK(peak_kilobytes() < 900'000);
#endif
}
