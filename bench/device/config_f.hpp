// The sizes of StyleGAN2 config-f, and how cases are named after them.
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace bench {

inline std::int64_t channels_at(std::int64_t resolution) { return std::min<std::int64_t>(32768 / resolution, 512); }
inline std::vector<std::int64_t> resolutions(bool small) {
  return small ? std::vector<std::int64_t>{4, 8} : std::vector<std::int64_t>{4, 8, 16, 32, 64, 128, 256, 512, 1024};
}
/// "64x512/n8": pixels a side x channels / pictures.
inline std::string size_name(std::int64_t r, std::int64_t c, std::int64_t n) {
  return std::to_string(r) + "x" + std::to_string(c) + "/n" + std::to_string(n);
}

}  // namespace bench
