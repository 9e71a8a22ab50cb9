// Large tensors are read where they lie: reading a file, and copying every tensor out of it, takes little more memory
// than the file is long, whatever the container. What cannot be read where it lies is turned into one block, no more.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "memory_growth.hpp"
#include "pickle_builder.hpp"
#if RIG_HAS_ZLIB
#include <zlib.h>
#endif

using namespace rig;
using namespace rig::io;
using namespace pickled;
namespace fs = std::filesystem;

namespace {
constexpr int tensors = 12;
constexpr std::uint64_t each = 4 << 20;

// Reads the file and keeps every tensor of it, borrowed or copied.
[[maybe_unused]] bool keeps_all(std::string const& path, bool copies, std::size_t count) {
  Document const d = read_any(path);
  std::vector<Tensor<float>> all;
  double sum = 0;
  for (auto const& t : d.tensors()) {
    if (t.tensor.size() < 2) continue;
    all.push_back(copies ? t.tensor.as<float>() : t.tensor.borrow<float>());
    for (std::int64_t i = 0; i < all.back().size(); i += 256) sum += all.back().data()[i];
  }
  return all.size() == count && sum == tensors * double(each / 1024);
}
}  // namespace

TEST_CASE("large files: no second copy of what was read") {
  auto const path = (fs::temp_directory_path() / ("rig_large_" + std::to_string(::getpid()))).string();
  std::string values(each, '\0');
  for (std::uint64_t i = 0; i < each; i += 1024) values[i + 2] = '\x80', values[i + 3] = '\x3f';  // every 256th float is 1
  Tensor<float> one({std::int64_t(each / 4)});
  std::memcpy(one.mutate(), values.data(), each);
  std::vector<NamedTensor> list;
  for (int i = 0; i < tensors; ++i) list.push_back({"t" + std::to_string(i), one});

  // `blocks`: the values do not lie in the file as they are; a copy of them is then a second one.
  auto judge = [&](char const* name, [[maybe_unused]] bool blocks = false, [[maybe_unused]] std::size_t count = tensors) {
    CAPTURE(std::string(name));
    long const size = long(fs::file_size(path) / 1024);
    CHECK(size >= tensors * long(each / 1024));
#if !defined(__SANITIZE_ADDRESS__)
    for (bool copies : {false, true}) {
      if (copies && blocks) continue;
      long const grown = memory_growth([&] { return keeps_all(path, copies, count); });
      CHECK(grown >= 0);
      CHECK_MESSAGE(grown < size * 13 / 10, name << (copies ? ", copied: " : ": ") << grown << " kB for a file of " << size);
    }
#endif
    fs::remove(path);
  };
  save_safetensors(path, list);
  judge("safetensors");
  save_npz(path, list);
  judge("npz");
  {
    std::ofstream f(path, std::ios::binary);  // as official pickles hold them: each tensor is a stream of its own
    f << "\x80\x04(";
    for (int i = 0; i < tensors; ++i) {
      std::string const s =
          stream("(" + text("storage") + global("torch", "FloatStorage") + text("1") + text("cpu") + "J" + little(each / 4, 4) + "NtQ",
                 text("1") + "a", little(each / 4, 8) + values);
      f << global("torch._utils", "_rebuild_tensor_v2") + "(" + global("torch.storage", "_load_from_bytes") + "\x8e" + little(s.size(), 8)
        << s << "\x85RK\0(J"s + little(each / 4, 4) + "t(K\1t\x89NtR";
    }
    f << "t.";
  }
  judge("pickle");
  std::string ids, keys;
  for (int i = 0; i < tensors; ++i) {
    std::string const key = std::to_string(i);
    ids += global("torch._utils", "_rebuild_tensor") + "((" + text("storage") + global("torch", "FloatStorage") + text(key) + text("cpu") +
           "J" + little(each / 4, 4) + "NtQK\0(J"s + little(each / 4, 4) + "t(K\1ttR";
    keys += text(key) + "a";
  }
  {
    std::ofstream f(path, std::ios::binary);
    f << stream("(" + ids + "t", keys, "");
    for (int i = 0; i < tensors; ++i) f << little(each / 4, 8) << values;
  }
  judge("PyTorch stream");
  {
    ZipWriter zip(path);
    std::string program = "\x80\x02(";
    for (int i = 0; i < tensors; ++i)
      program += global("torch._utils", "_rebuild_tensor") + "((" + text("storage") + global("torch", "FloatStorage") +
                 text(std::to_string(i)) + text("cpu") + "J" + little(each / 4, 4) + "tQK\0(J"s + little(each / 4, 4) + "t(K\1ttR";
    program += "t.";
    zip.add("a/data.pkl", {std::as_bytes(std::span(program.data(), program.size()))});
    for (int i = 0; i < tensors; ++i) zip.add("a/data/" + std::to_string(i), {std::as_bytes(std::span(values.data(), values.size()))});
    zip.commit();
  }
  judge("PyTorch archive");

  auto big = [](std::string v) {
    for (std::size_t i = 0; i < v.size(); i += 4) std::swap(v[i], v[i + 3]), std::swap(v[i + 1], v[i + 2]);
    return v;
  };
  auto write_zip = [&](std::vector<ZipEntry> const& entries) { write_file(path, archive(entries)); };
  std::vector<ZipEntry> entries;
  for (int i = 0; i < tensors; ++i)
    entries.push_back({"t" + std::to_string(i) + ".npy", npy(">f4", "(" + std::to_string(each / 4) + ",)", big(values))});
  write_zip(entries);
  judge("big-endian npz", true);

  // Every tensor a turned view: a matrix of 1024 columns, of which every 256th is of ones.
  std::string turned(each, '\0'), program = "\x80\x02(";
  for (std::uint64_t i = 0; i < each / 4; ++i)
    if (i / 1024 % 256 == 0) turned[4 * i] = '\x3f', turned[4 * i + 1] = '\x80';
  entries = {{"a/data.pkl", ""}, {"a/byteorder", "big"}};
  for (int i = 0; i < tensors; ++i) {
    entries.push_back({"a/data/" + std::to_string(i), turned});
    program += global("torch._utils", "_rebuild_tensor") + "((" + text("storage") + global("torch", "FloatStorage") +
               text(std::to_string(i)) + text("cpu") + "J" + little(each / 4, 4) + "tQK\0(M\0\4M\0\4t(K\1M\0\4ttR"s;
  }
  entries[0].data = program + "t.";
  write_zip(entries);
  judge("big-endian PyTorch archive of turned views", true);
  entries = {
      {"a/data.pkl", "\x80\x02" + global("torch._utils", "_rebuild_tensor") + "((" + text("storage") + global("torch", "FloatStorage") +
                         text("0") + text("cpu") + "J" + little(tensors * each / 4, 4) + "tQK\0(M\0\4M\0\x30t(K\1M\0\4ttR."s},
      {"a/byteorder", "big"},
      {"a/data/0", repeat(turned, tensors)}};
  write_zip(entries);
  entries.clear();
  judge("big-endian PyTorch archive of one turned view", true, 1);

#if !defined(__SANITIZE_ADDRESS__)
  Tensor<float> const whole({std::int64_t(tensors * each / 4)});
  long const written = memory_growth([&] { return save_npz(path, {{"x", whole}}), true; });
  CHECK_MESSAGE((written != -1 && written < tensors * long(each / 1024) / 4), "one tensor, written: " << written << " kB");
#endif

  // One array as protocol 2 writes it: its bytes as a string.
  std::string string;
  for (int i = 0; i < tensors; ++i)
    for (char c : values) string += c == '\x80' ? "\xc2\x80" : std::string(1, c);
  write_file(path, "\x80\x02" + global("numpy.core.numeric", "_frombuffer") + "(" + global("_codecs", "encode") + text(string) +
                       text("latin1") + "\x86R" + global("numpy", "dtype") + text("f4") + "\x89\x88\x87RJ" + little(tensors * each / 4, 4) +
                       "\x85" + text("C") + "tR.");
  string = {};
  judge("pickle of protocol 2", true, 1);

#if RIG_HAS_ZLIB
  std::uint64_t state = 1;
  for (std::uint64_t i = 0; i < each; ++i)
    if (i % 1024 >= 4) state = state * 6364136223846793005ull + 1442695040888963407ull, values[i] = char(state >> 56);
  ZipEntry noise{"", npy("<f4", "(" + std::to_string(each / 4) + ",)", values)};
  ::z_stream z{};
  REQUIRE(::deflateInit2(&z, 1, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  noise.packed.resize(::deflateBound(&z, noise.data.size()));
  z.next_in = reinterpret_cast<Bytef*>(noise.data.data()), z.avail_in = ::uInt(noise.data.size());
  z.next_out = reinterpret_cast<Bytef*>(noise.packed.data()), z.avail_out = ::uInt(noise.packed.size());
  REQUIRE(::deflate(&z, Z_FINISH) == Z_STREAM_END);
  noise.packed.resize(z.total_out);
  ::deflateEnd(&z);
  entries.assign(tensors, noise);
  for (int i = 0; i < tensors; ++i) entries[std::size_t(i)].name = "t" + std::to_string(i) + ".npy";
  write_zip(entries);
  entries.clear();
  judge("deflated npz", true);
#endif
}
