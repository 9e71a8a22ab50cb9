// Large tensors are read where they lie: reading a file, and copying every tensor out of it, takes little more memory
// than the file is long, whatever the container.
#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "memory_growth.hpp"
#include "pickle_builder.hpp"
#include "rig/io/zip.hpp"

using namespace rig;
using namespace rig::io;
using namespace pickled;
namespace fs = std::filesystem;

namespace {
constexpr int tensors = 12;
constexpr std::uint64_t each = 4 << 20;

// Reads the file and keeps every tensor of it, borrowed or copied.
[[maybe_unused]] bool keeps_all(std::string const& path, bool copies) {
  Document const d = read_any(path);
  std::vector<Tensor<float>> all;
  double sum = 0;
  for (auto const& t : d.tensors()) {
    if (t.tensor.size() < 2) continue;
    all.push_back(copies ? t.tensor.as<float>() : t.tensor.borrow<float>());
    for (std::int64_t i = 0; i < all.back().size(); i += 256) sum += all.back().data()[i];
  }
  return all.size() == std::size_t(tensors) && sum == tensors * double(each / 1024);
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

  auto judge = [&](char const* name) {
    CAPTURE(std::string(name));
    long const size = long(fs::file_size(path) / 1024);
    CHECK(size >= tensors * long(each / 1024));
#if !defined(__SANITIZE_ADDRESS__)
    for (bool copies : {false, true}) {
      long const grown = memory_growth([&] { return keeps_all(path, copies); });
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
}
