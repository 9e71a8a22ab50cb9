// What pickles look like besides the shared case set: the protocols of text, Python 2's strings, and the ways in which
// newer and older versions of PyTorch write a tensor.
#include <doctest/doctest.h>
#include <unistd.h>

#include <bit>
#include <filesystem>
#include <map>

#include "pickle_builder.hpp"
using namespace rig;
using namespace rig::io;
using namespace pickled;

namespace {
// Written by Python's pickle module, with classes that reduce as NumPy's and dnnlib's do.
std::string const protocol_0 =
    "(dp0\012Va\012p1\012(lp2\012cnumpy.core.multiarray\012_reconstruct\012p3\012(cnumpy\012ndarray\012p4\012"s
    "(I0\012tp5\012c_codecs\012encode\012p6\012(Vb\012p7\012Vlatin1\012p8\012tp9\012Rp10\012tp11\012Rp12\012(I1\012"s
    "(I2\012I3\012tp13\012cnumpy\012dtype\012p14\012(Vf4\012p15\012I00\012I01\012tp16\012Rp17\012(I3\012V<\012"s
    "p18\012NNNI-1\012I-1\012I0\012tp19\012bI00\012g6\012"s
    "(V\134u0000\134u0000\200\077\134u0000\134u0000\134u0000@\134u0000\134u0000@@\134u0000\134u0000\200@\134u0000\134u0000\240@\134u0000\134u0000\320\300\012"s
    "p20\012g8\012tp21\012Rp22\012tp23\012baNaI01\012aF2.5\012aI-7\012aL1000000000000L\012"s
    "aV\351\134u4e2d\134u000a\134u005c\012p24\012asVe\012p25\012ccopy_reg\012_reconstructor\012p26\012"s
    "(cdnnlib.util\012EasyDict\012p27\012c__builtin__\012dict\012p28\012(dp29\012Vx\012p30\012g3\012(g4\012g5\012"s
    "g10\012tp31\012Rp32\012(I1\012g13\012g14\012g16\012Rp33\012g19\012bI00\012g6\012"s
    "(V\134u0000\134u0000\200\077\134u0000\134u0000\134u0000@\134u0000\134u0000@@\134u0000\134u0000\200@\134u0000\134u0000\240@\134u0000\134u0000\320\300\012"s
    "p34\012g8\012tp35\012Rp36\012tp37\012bsVn\012p38\012I3\012stp39\012Rp40\012s."s;
std::string const protocol_1 =
    "}q\000(X\001\000\000\000aq\001]q\002(cnumpy.core.multiarray\012_reconstruct\012q\003(cnumpy\012ndarray\012"s
    "q\004(K\000tq\005c_codecs\012encode\012q\006(X\001\000\000\000bq\007X\006\000\000\000latin1q\010tq\011Rq\012"s
    "tq\013Rq\014(K\001(K\002K\003tq\015cnumpy\012dtype\012q\016(X\002\000\000\000f4q\017I00\012I01\012"s
    "tq\020Rq\021(K\003X\001\000\000\000<q\022NNNJ\377\377\377\377J\377\377\377\377K\000tq\023bI00\012"s
    "h\006(X\035\000\000\000\000\000\302\200\077\000\000\000@\000\000@@\000\000\302\200@\000\000\302\240@\000\000\303\220\303\200q\024h\010tq\025Rq\026tq\027bNI01\012"s
    "G@\004\000\000\000\000\000\000J\371\377\377\377L1000000000000L\012X\007\000\000\000\303\251\344\270\255\012"s
    "\134q\030eX\001\000\000\000eq\031ccopy_reg\012_reconstructor\012q\032(cdnnlib.util\012EasyDict\012"s
    "q\033c__builtin__\012dict\012q\034}q\035(X\001\000\000\000xq\036h\003(h\004h\005h\012"s
    "tq\037Rq (K\001h\015h\016h\020Rq!h\023bI00\012"s
    "h\006(X\035\000\000\000\000\000\302\200\077\000\000\000@\000\000@@\000\000\302\200@\000\000\302\240@\000\000\303\220\303\200q\042h\010tq#Rq$tq%bX\001\000\000\000nq&K\003utq'Rq(u."s;

std::vector<float> floats(Bytes const& file, std::string const& name) {
  for (auto const& t : read_any(file).tensors())
    if (t.name == name) return t.tensor.as<float>().host();
  FAIL("there is no tensor " << name);
  return {};
}
std::string error_of(std::string const& file) {
  try {
    read_any(bytes_of(file)).tensors();
  } catch (Error const& e) {
    return e.what();
  }
  return "";
}

std::string zip_id(std::string const& type, std::string const& key, std::uint32_t count) {
  return "(" + text("storage") + type + text(key) + text("cpu") + "J" + little(count, 4) + "tQ";
}
std::string stream_id(std::string const& type, std::string const& key, std::uint32_t count) {
  std::string const id = zip_id(type, key, count);
  return id.substr(0, id.size() - 2) + "NtQ";
}
std::string const two_by_two = "(K\2K\2t(K\2K\1t";  // size, stride
std::vector<std::string> names_in(std::string const& file) {
  std::vector<std::string> names;
  for (auto const& t : read_any(bytes_of(file)).tensors()) names.push_back(t.name);
  return names;
}
}  // namespace

TEST_CASE("pickle: protocols 0 and 1") {
  std::vector<float> const expected{1, 2, 3, 4, 5, -6.5f};
  for (auto const& file : {protocol_0, protocol_1, "\x80\x01"s + protocol_1}) {
    Document const d = read_any(bytes_of(file));
    CHECK(d.kind == Kind::pickle);
    CHECK(floats(bytes_of(file), "a.0") == expected);
    CHECK(floats(bytes_of(file), "e.x") == expected);
    Value const list = d.root.at("a");
    CHECK(list[1].is_none());
    CHECK(list[2].boolean());
    CHECK(list[3].real() == 2.5);
    CHECK(list[4].integer() == -7);
    CHECK(list[5].integer() == 1'000'000'000'000);
    CHECK(list[6].string() == "\xc3\xa9\xe4\xb8\xad\n\\");
    CHECK(d.root.at("e").at("n").integer() == 3);
  }
  // Shortened, they are refused wherever they end.
  for (std::size_t n = 0; n < protocol_0.size(); ++n) CHECK(!error_of(protocol_0.substr(0, n)).empty());
}

TEST_CASE("pickle: text forms belong to the protocols that have them") {
  CHECK(error_of("\x80\x02}(S'a'\n" + array + "u.").find("opcode 0x53") != std::string::npos);
  CHECK(error_of("(dS'a'\n" + array + "s.").empty());
  CHECK(error_of("\x80\x02" + global("copyreg", "_reconstructor") + ".").find("copyreg._reconstructor") != std::string::npos);
  CHECK(error_of("cos\nsystem\n(S'true'\ntR.").find("os.system") != std::string::npos);
  CHECK(error_of("(S'a'\nios\nsystem\n.").find("opcode 0x69") != std::string::npos);
  for (char const* bad : {"I1x\n", "I\n", "L1234567890123456789xL\n", "F1.5.5\n", "F\n", "S'a\n", "Sa'\n", "S'\\x4'\n", "S'\\q'\n",
                          "S'\\'\n", "V\\u12\n", "V\\U00110000\n", "V\\ud800\n", "p-1\n", "p99999999999\n", "g5\n", "P0\n"}) {
    CAPTURE(std::string(bad));
    CHECK(error_of("(lp0\n" + array + "a0" + array + bad + "t.") != "");
    CHECK(error_of("(" + array + bad + "t.").find("pickle: at byte") != std::string::npos);
  }
  CHECK(error_of("(" + array + "I1\nL12L\nF-1e3\nS'\\x41\\n\\\\'\nV\\u0041\np3\ng3\nt.").empty());
}

TEST_CASE("pickle: integers beyond 64 bits are the same in text and in bytes") {
  auto const power = [](int bit, bool negative) {  // 2^bit or its negative as the bytes of LONG1, one of them not needed
    std::string s(std::size_t(bit / 8) + 3, negative ? '\xff' : '\0');
    s[std::size_t(bit / 8)] = char(negative ? -(1 << bit % 8) : 1 << bit % 8);
    for (int i = 0; i < bit / 8; ++i) s[std::size_t(i)] = '\0';
    return "\x8a" + std::string(1, char(s.size())) + s;
  };
  std::pair<std::string, std::string> const pairs[] = {
      {"L1180591620717411303424L\n", power(70, false)},        {"I-1180591620717411303424\n", power(70, true)},
      {"L9223372036854775808L\n", power(63, false)},           {"L-9223372036854775808L\n", power(63, true)},
      {"L18446744073709551616L\n", power(64, false)},          {"L-18446744073709551616L\n", power(64, true)},
      {"L0000000000000000000000000000002L\n", power(1, false)}};
  for (auto const& [text, bytes] : pairs) {
    CAPTURE(text);
    CHECK(read_any(bytes_of("(d" + text + array + "s" + bytes + array + "s.")).root.size() == 1);
    for (auto const& [other, unused] : pairs)
      if (other != text) CHECK(read_any(bytes_of("(d" + other + array + "s" + bytes + array + "s.")).root.size() == 2);
  }
  Value const large = read_any(bytes_of("(" + array + "L-9223372036854775809L\nt.")).root[1];
  CHECK_THROWS_WITH_AS(large.integer(), doctest::Contains("at most 64 bits"), Error);
  CHECK(error_of("(" + array + "L" + std::string(300, '7') + "L\nt.").find("not plausible") != std::string::npos);
}

TEST_CASE("pickle: arrays whose content Python 2 wrote as a string") {
  std::string const values = "\x00\x00\x80\x3f\x00\x00\x00\xc0"s;
  std::string const file = "\x80\x02" + global("numpy.core.multiarray", "_reconstruct") + global("numpy", "ndarray") +
                           "K\0\x85U\1b\x87R(K\1K\2\x85"s + global("numpy", "dtype") +
                           "U\2f4K\0K\1\x87R(K\3U\1<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89U\x08"s + values + "tb.";
  CHECK(floats(bytes_of(file), "") == std::vector<float>{1, -2});
}

TEST_CASE("torch: a tensor with attributes, and one of a newer type") {
  std::string const plain = global("torch._utils", "_rebuild_tensor_v2") + "(" + zip_id(global("torch", "FloatStorage"), "0", 4) + "K\0"s +
                            two_by_two + "\x89" + global("collections", "OrderedDict") + ")Rt";
  std::string const data = "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"s;
  auto file = [&](std::string const& program) { return archive({{"a/data.pkl", "\x80\x02" + program + "."}, {"a/data/0", data}}); };
  std::vector<float> const expected{1, 2, 3, 4};
  CHECK(floats(bytes_of(file(plain + "R")), "") == expected);
  for (char const* name : {"_rebuild_from_type_v2", "_rebuild_from_type"})
    for (auto const& type : {global("torch", "Tensor"), global("torch.nn.parameter", "Parameter")})
      CHECK(floats(bytes_of(file(global("torch._tensor", name) + "(" + plain.substr(0, plain.find('(')) + type +
                                 plain.substr(plain.find('(')) + "}" + text("tag") + "K\1stR")),
                   "") == expected);
  // Neither another class nor another function gets through.
  CHECK(error_of(file(global("torch._tensor", "_rebuild_from_type_v2") + "(" + global("torch", "Size") + global("torch", "Tensor") +
                      ")}tR")) != "");
  CHECK(error_of(file(global("torch._tensor", "_rebuild_from_type_v2") + "(" + global("torch._tensor", "_rebuild_from_type_v2") +
                      global("torch", "Tensor") + ")}tR")) != "");
  CHECK(error_of(file(global("torch._tensor", "_rebuild_from_type_v2") + "(" + global("my.module", "Tensor") + ")}tR")).find("my.module") !=
        std::string::npos);

  for (auto const& type : {global("torch.storage", "UntypedStorage"), global("torch", "UntypedStorage")}) {
    auto v3 = [&](std::string const& dtype, std::string const& offset, std::string const& rest) {
      return file(global("torch._utils", "_rebuild_tensor_v3") + "(" + zip_id(type, "0", 16) + offset + rest + "\x89N" +
                  global("torch", dtype) + "tR");
    };
    CHECK(floats(bytes_of(v3("float32", "K\0"s, two_by_two)), "") == expected);
    CHECK(floats(bytes_of(v3("uint16", "K\6", "(K\1t(K\1t")), "") == std::vector<float>{0});
    auto const t = read_any(bytes_of(v3("uint16", "K\5", "(K\3t(K\1t"))).tensors();
    CHECK(t[0].tensor.dtype() == DType::u16);
    CHECK(t[0].tensor.as<int>().host() == std::vector<int>{0x4040, 0, 0x4080});
    CHECK(error_of(v3("float64", "K\0"s, two_by_two)).find("storage of 2") != std::string::npos);
    CHECK(error_of(v3("complex64", "K\0"s, two_by_two)).find("torch.complex64") != std::string::npos);
  }
}

TEST_CASE("torch: a stream of a later protocol") {
  std::string const magic = "\x80\x04\x95\x0d\0\0\0\0\0\0\0\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."s;
  std::string const old = stream(global("torch._utils", "_rebuild_tensor_v2") + "((" + text("storage") + global("torch", "FloatStorage") +
                                     text("7") + text("cuda:0") + "K\4NtQK\0"s + two_by_two + "\x89NtR",
                                 text("7") + "a", little(4, 8) + "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"s);
  std::string const later = magic + old.substr(15);
  CHECK(identify(bytes_of(later)) == Kind::torch_legacy);
  CHECK(floats(bytes_of(later), "") == std::vector<float>{1, 2, 3, 4});
  CHECK(floats(bytes_of(old), "") == std::vector<float>{1, 2, 3, 4});
}

TEST_CASE("pickle: entries of a large dict are found, and the last of equal keys counts") {
  std::string file = "\x80\x02}(";
  for (int i = 0; i < 300; ++i) file += text("k" + std::to_string(i * 7919 % 300)) + "M" + little(std::uint64_t(i), 2);
  file += text("k5") + "K\x63" + "K\1" + array + "K\1N" + text("x") + array + "u.";
  Value const root = read_any(bytes_of(file)).root;
  CHECK(root.size() == 302);
  for (int i = 0; i < 300; ++i)
    if (i * 7919 % 300 != 5) CHECK(root.at("k" + std::to_string(i * 7919 % 300)).integer() == i);
  CHECK(root.at("k5").integer() == 99);
  CHECK(!root.find("k300"));
  CHECK(!root.find(""));
  CHECK(root.entry(0).first.string() == "k0");
  CHECK(root.entry(300).second.is_none());
}

TEST_CASE("torch: lazily negated and conjugated tensors are refused, in archives and in streams") {
  std::string const data = "\0\0\x80\x3f\0\0\0\x40\0\0\x40\x40\0\0\x80\x40"s, hooks = global("collections", "OrderedDict") + ")R";
  auto v2_of = [&](std::string const& storage, std::string const& metadata) {
    return global("torch._utils", "_rebuild_tensor_v2") + "(" + storage + "K\0"s + two_by_two + "\x89" + hooks + metadata + "tR";
  };
  auto v3_of = [&](std::string const& storage, std::string const& metadata) {
    return global("torch._utils", "_rebuild_tensor_v3") + "(" + storage + "K\0"s + two_by_two + "\x89" + hooks +
           global("torch", "float32") + metadata + "tR";
  };
  auto files = [&](std::string const& metadata) {
    auto zip = [&](std::string const& program) { return archive({{"a/data.pkl", "\x80\x02" + program + "."}, {"a/data/0", data}}); };
    return std::vector<std::string>{
        zip(v2_of(zip_id(global("torch", "FloatStorage"), "0", 4), metadata)),
        zip(v3_of(zip_id(global("torch", "UntypedStorage"), "0", 16), metadata)),
        stream(v2_of(stream_id(global("torch", "FloatStorage"), "0", 4), metadata), text("0") + "a", little(4, 8) + data),
        stream(v3_of(stream_id(global("torch", "UntypedStorage"), "0", 16), metadata), text("0") + "a", little(16, 8) + data)};
  };
  std::string const neg = text("neg"), conj = text("conj"), yes = "\x88", no = "\x89";
  for (std::string const& good : {"N"s, "}"s, "}" + neg + no + "s", "}(" + neg + no + conj + no + "u"})
    for (auto const& f : files(good)) CHECK(floats(bytes_of(f), "") == std::vector<float>{1, 2, 3, 4});
  for (auto const& f : files("}" + neg + yes + "s")) CHECK(error_of(f).find("marked 'neg'") != std::string::npos);
  for (auto const& f : files("}(" + neg + no + conj + yes + "u")) CHECK(error_of(f).find("marked 'conj'") != std::string::npos);
  for (std::string const& bad : {"K\1"s, "]"s, "\x88"s, "}" + neg + "Ns", "}K\1" + yes + "s", "}" + neg + "K\2s"})
    for (auto const& f : files(bad)) CHECK(error_of(f).find("metadata of a tensor") != std::string::npos);
}

TEST_CASE("torch: booleans are 0 or 1 whatever the file holds") {
  std::string const data = "\0\1\2\xff"s, view = "K\0(K\2K\2t"s;
  auto tensor = [&](std::string const& storage, std::string const& stride) {
    return global("torch._utils", "_rebuild_tensor") + "(" + storage + view + stride + "tR";
  };
  auto bytes = [](std::string const& file) { return std::string(read_any(bytes_of(file)).tensors().at(0).tensor.bytes().text()); };
  std::string const type = global("torch", "BoolStorage"), dense = "(K\2K\1t", turned = "(K\1K\2t";
  for (auto const& [stride, expected] : {std::pair(dense, "\0\1\1\1"s), std::pair(turned, "\0\1\1\1"s)}) {
    CHECK(bytes(archive({{"a/data.pkl", "\x80\x02" + tensor(zip_id(type, "0", 4), stride) + "."}, {"a/data/0", data}})) == expected);
    CHECK(bytes(stream(tensor(stream_id(type, "0", 4), stride), text("0") + "a", little(4, 8) + data)) == expected);
  }
  CHECK(bytes(archive({{"x.npy", npy("|b1", "(4,)", data)}})) == "\0\1\1\1"s);
  CHECK(bytes("\x80\x03" + global("numpy.core.numeric", "_frombuffer") + "(" + blob(data) + global("numpy", "dtype") + text("b1") +
              "\x89\x88\x87R" + "K\4\x85" + text("C") + "tR.") == "\0\1\1\1"s);
  std::string const header = "{\"x\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[0,4]}}";
  CHECK(bytes(little(header.size(), 8) + header + data) == "\0\1\1\1"s);
}

TEST_CASE("pickle: persistent objects of another version are refused by class and version") {
  auto object = [&](std::string const& version) {
    return "\x80\x03" + global("torch_utils.persistence", "_reconstruct_persistent_obj") + "}(" + text("type") + text("class") + version +
           text("class_name") + text("MappingNetwork") + text("state") + "}" + text("w") + array + "s" + "u\x85R.";
  };
  CHECK(error_of(object("")).empty());
  CHECK(error_of(object(text("version") + "K\6")).empty());
  for (char const* other : {"K\7", "K\5"}) {
    std::string const message = error_of(object(text("version") + other));
    CHECK(message.find("class MappingNetwork is stored in version " + std::to_string(other[1])) != std::string::npos);
  }
  CHECK(error_of(object(text("version") + text("6"))).find("not a number") != std::string::npos);
  CHECK(error_of(object(text("version") + "\x8a\x0a" + std::string(10, '\7'))) != "");
}

TEST_CASE("names: keys of every kind have a text of their own, and an empty one its place") {
  using Names = std::vector<std::string>;
  auto dict = [](std::initializer_list<std::string> keys) {
    std::string s = "}(";
    for (auto const& k : keys) s += k + array;
    return s + "u";
  };
  CHECK(names_in("\x80\x03" + dict({blob("a"), blob("\xff'"), text("a")}) + ".") == Names{"b'a'", "b'\\xff\\''", "a"});
  CHECK(names_in("\x80\x03" + dict({"K\1K\2\x86", "K\3" + text("x") + "\x85\x86", ")", "N\x88\x86"}) + ".") ==
        Names{"(1, 2)", "(3, ('x',))", "()", "(None, True)"});
  auto real = [](double v) {
    std::string s = little(std::bit_cast<std::uint64_t>(v), 8);
    return "G" + std::string(s.rbegin(), s.rend());
  };
  CHECK(names_in("\x80\x03" + dict({real(1.5), real(2), real(0.1234567), real(0.12345678), real(1e22), real(1e5), "\x88", "N"}) + ".") ==
        Names{"1.5", "2.0", "0.1234567", "0.12345678", "1e+22", "100000.0", "True", "None"});
  CHECK(names_in("\x80\x03" + dict({"\x8a\x09" + std::string(8, '\0') + "\1", "\x8a\x09" + std::string(8, '\0') + "\xff"}) + ".") ==
        Names{"0x10000000000000000", "-0x10000000000000000"});
  CHECK(names_in("\x80\x04(" + text("b") + "\x91" + put0 + "0}" + get0 + array + "s.") == Names{"frozenset({'b'})"});
  CHECK(names_in("\x80\x03" + dict({global("torch", "float32")}) + ".") == Names{"torch.float32"});
  CHECK(names_in("\x80\x03}" + text("") + dict({text("a"), text("")}) + "s.") == Names{".a", "."});
  CHECK(names_in("\x80\x03" + dict({text(""), text("x")}) + ".") == Names{"", "x"});
  // A tuple of tuples of tuples, each twice, would be a text of 2^40 parts.
  std::string laughs = "K\1";
  for (int i = 0; i < 40; ++i) laughs += "2\x86";
  CHECK(error_of("\x80\x03" + dict({laughs}) + ".").find("too long names") != std::string::npos);
}

TEST_CASE("names: two tensors of one name are an error that gives both paths and the file") {
  std::string const nested = "\x80\x03}(" + text("a") + "}" + text("b") + array + "s" + text("a.b") + array + "u.";
  CHECK(error_of(nested) == "two tensors would both be named 'a.b': ['a']['b'] and ['a.b']");
  CHECK(error_of("\x80\x03}(K\1" + array + text("1") + array + "u.") == "two tensors would both be named '1': [1] and ['1']");
  CHECK(error_of("\x80\x03}(" + text("x") + "(" + array + array + "l" + text("x.1") + array + "u.") ==
        "two tensors would both be named 'x.1': ['x'][1] and ['x.1']");
  std::string const path = (std::filesystem::temp_directory_path() / ("rig_names_" + std::to_string(::getpid()))).string();
  auto in_file = [&](std::string const& file) {
    write_file(path, file);
    try {
      read_any(path).tensors();
    } catch (Error const& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  CHECK(in_file(nested).starts_with(path + ": two tensors"));
  std::string dag = array + put0 + "0";
  for (int i = 0; i < 40; ++i) dag += get0 + get0 + "\x86" + put0 + "0";
  CHECK(in_file("\x80\x03" + dag + get0 + ".").starts_with(path + ": the file refers to its tensors in too many ways"));
  std::filesystem::remove(path);
}

TEST_CASE("npz: errors name the array; up to eight axes; a name may be empty") {
  auto error = [](std::string const& array_file) {
    return error_of(archive({{"ok.npy", npy("<f4", "()", "abcd")}, {"x.npy", array_file}}));
  };
  CHECK(error(npy("<c8", "(1,)", std::string(8, 'a'))) == "npz: x.npy: elements of type '<c8' are not read");
  CHECK(error(npy("<f4", "[1]", "abcd")).starts_with("npz: x.npy: '(' expected"));
  CHECK(error(npy("<f4", "(1, 1, 1, 1, 1, 1, 1, 1, 1)", "abcd")) == "npz: x.npy: Shape: at most 8 axes");
  CHECK(error(npy("<f4", "(4611686018427387904,)", "abcd")).starts_with("npz: x.npy: "));
  CHECK(error(npy("<f4", "(72057594037927936, 72057594037927936)", "abcd")).starts_with("npz: x.npy: Shape: too many"));
  auto const eight = read_any(bytes_of(archive({{"x.npy", npy("<f4", "(1, 2, 1, 1, 1, 1, 1, 1)", "abcdefgh")}}))).tensors();
  CHECK(eight.at(0).tensor.shape() == Shape{1, 2, 1, 1, 1, 1, 1, 1});
  CHECK(names_in(archive({{".npy", npy("<f4", "()", "abcd")}})) == std::vector<std::string>{""});
  std::string const ones = "(" + repeat("K\1", 8) + "t", program = global("torch._utils", "_rebuild_tensor") + "(" +
                                                                   zip_id(global("torch", "FloatStorage"), "0", 1) + "K\0"s + ones + ones +
                                                                   "tR";
  CHECK(read_any(bytes_of(archive({{"a/data.pkl", "\x80\x02" + program + "."}, {"a/data/0", "abcd"}}))).tensors().at(0).tensor.rank() == 8);
  std::string const header = "{\"x\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,1]}}";
  CHECK(error_of(little(header.size(), 8) + header + "a") == "safetensors: tensor x: Shape: at most 8 axes");
}

TEST_CASE("zip: entries within entries, and marks that only one of two headers has") {
  std::string const values = npy("<f4", "(2,)", "abcdefgh");
  CHECK(error_of(archive({{"a.npy", values}, {"b.npy", values}})).empty());
  ZipEntry inner{"b.npy", values};
  std::string const header = local_header(inner), outer = npy("|u1", "(" + std::to_string(header.size()) + ",)", header);
  inner.header = std::int64_t(local_header({"a.npy", outer}).size() + outer.size() - header.size());
  CHECK(error_of(archive({{"a.npy", outer}, inner})).find("a.npy and b.npy overlap") != std::string::npos);
  for (int flag : {0x1, 0x40, 0x2000, 0x20})
    for (bool local : {false, true}) {
      CAPTURE(flag);
      std::string const file = archive({{"a.npy", values, local ? 0 : flag, local ? flag : 0}});
      CHECK(error_of(file).find(flag == 0x20 ? "entry a.npy is a patch" : "entry a.npy is encrypted") != std::string::npos);
      CHECK(!ZipReader(bytes_of(file), true).entries().at(0).problem.empty());
    }
  std::string const path = (std::filesystem::temp_directory_path() / ("rig_zip_" + std::to_string(::getpid()))).string();
  ZipWriter zip(path);
  CHECK_THROWS_WITH_AS(zip.add("a\0b.npy"s, {}), doctest::Contains("zip: entry 'a?b.npy'"), Error);
  CHECK_THROWS_WITH_AS(zip.add("a\xff.npy"s, {}), doctest::Contains("zip: entry 'a?.npy'"), Error);
}
