#pragma once
#include <algorithm>
#include <numeric>

#include "rig/io/atomic_file.hpp"
#include "rig/io/safetensors.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {

// Strict JSON, as far as a safetensors header can go: objects of strings, arrays of non-negative integers. What the
// format does not have (fractions, true, null) is an error, and so nesting is bounded by the grammar.
class JsonParser {
 public:
  explicit JsonParser(std::string_view s) : s_(s) {}

  void space() {
    while (i_ < s_.size() && (s_[i_] == ' ' || s_[i_] == '\n' || s_[i_] == '\r' || s_[i_] == '\t')) ++i_;
  }
  bool accept(char c) {
    space();
    if (i_ >= s_.size() || s_[i_] != c) return false;
    ++i_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(str("'", c, "' expected"));
  }
  [[noreturn]] void fail(std::string const& what) const {
    throw Error(str("safetensors: at byte ", 8 + i_, ": ", what, ", found \"", excerpt(s_.substr(std::min(i_, s_.size())), 16), "\""));
  }
  bool at_end() {
    space();
    return i_ == s_.size();
  }

  std::string text() {
    expect('"');
    std::string out;
    for (;;) {
      if (i_ >= s_.size()) fail("a string does not end");
      unsigned char c = static_cast<unsigned char>(s_[i_++]);
      if (c == '"') return out;
      if (c < 0x20) fail("a control character in a string");
      if (c != '\\') {
        out += char(c);
        continue;
      }
      if (i_ >= s_.size()) fail("a string does not end");
      switch (s_[i_++]) {
        case '"': out += '"'; break;
        case '\\': out += '\\'; break;
        case '/': out += '/'; break;
        case 'b': out += '\b'; break;
        case 'f': out += '\f'; break;
        case 'n': out += '\n'; break;
        case 'r': out += '\r'; break;
        case 't': out += '\t'; break;
        case 'u': {
          std::uint32_t u = unit();
          if (u >= 0xDC00 && u < 0xE000) fail("half a surrogate pair");
          if (u >= 0xD800 && u < 0xDC00) {
            if (s_.substr(i_, 2) != "\\u") fail("half a surrogate pair");
            i_ += 2;
            std::uint32_t v = unit();
            if (v < 0xDC00 || v >= 0xE000) fail("half a surrogate pair");
            u = 0x10000 + ((u - 0xD800) << 10) + (v - 0xDC00);
          }
          append_utf8(out, u);
          break;
        }
        default: fail("unknown escape");
      }
    }
  }
  std::uint64_t integer() {
    space();
    std::size_t first = i_;
    std::uint64_t v = 0;
    for (; i_ < s_.size() && s_[i_] >= '0' && s_[i_] <= '9'; ++i_) {
      if (v > (std::uint64_t(1) << 58)) fail("a number is too large");
      v = v * 10 + std::uint64_t(s_[i_] - '0');
    }
    if (i_ == first || (s_[first] == '0' && i_ > first + 1)) fail("a non-negative integer expected");
    return v;
  }

 private:
  std::uint32_t unit() {
    if (s_.size() - i_ < 4) fail("a string does not end");
    std::uint32_t u = 0;
    for (int k = 0; k < 4; ++k) {
      char c = s_[i_++];
      int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
      if (d < 0) fail("four hexadecimal digits expected");
      u = u * 16 + std::uint32_t(d);
    }
    return u;
  }
  std::string_view s_;
  std::size_t i_ = 0;
};

inline void put_json(std::string& out, std::string_view s) {
  out += '"';
  for (char c : s) {
    auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (u < 0x20) {
      out += "\\u00";
      out += "0123456789abcdef"[u >> 4];
      out += "0123456789abcdef"[u & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

template <class List> void check_unique(List const& names, char const* what) {
  std::vector<std::string_view> sorted;
  for (auto const& n : names) sorted.push_back(n);
  std::sort(sorted.begin(), sorted.end());
  auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  check(twice == sorted.end(), "safetensors: ", what, " ", twice == sorted.end() ? "" : excerpt(*twice), " appears twice");
}

}  // namespace detail

RIG_INLINE AnyTensor const* Safetensors::find(std::string_view name) const {
  for (auto const& t : tensors)
    if (t.name == name) return &t.tensor;
  return nullptr;
}
RIG_INLINE AnyTensor const& Safetensors::at(std::string_view name) const {
  AnyTensor const* t = find(name);
  check(t, "there is no tensor ", name, " in the file");
  return *t;
}

RIG_INLINE Safetensors read_safetensors(Bytes const& file) {
  Cursor in(file.span(), "safetensors");
  auto length = in.little<std::uint64_t>();
  in.require(length <= 100'000'000 && length <= in.remaining(), "a header of ", length, " bytes does not fit the file");
  std::string_view header = in.text(length);
  Bytes values = file.sub(in.position(), in.remaining());
  check(is_utf8(header), "safetensors: the header is not valid UTF-8");
  check(!header.empty() && header[0] == '{', "safetensors: the header must begin with {");

  struct Range {
    std::uint64_t begin, end;
  };
  Safetensors out;
  std::vector<Range> ranges;
  detail::JsonParser json(header);
  bool has_metadata = false;
  json.expect('{');
  for (bool first = true; !json.accept('}'); first = false) {
    if (!first) json.expect(',');
    std::string name = json.text();
    json.expect(':');
    json.expect('{');
    if (name == "__metadata__") {
      check(!has_metadata, "safetensors: __metadata__ appears twice");
      has_metadata = true;
      for (bool f = true; !json.accept('}'); f = false) {
        if (!f) json.expect(',');
        std::string key = json.text();
        json.expect(':');
        std::string value = json.text();
        out.metadata.emplace_back(std::move(key), std::move(value));
      }
      continue;
    }
    int seen = 0;
    DType dtype{};
    Shape shape;
    Range range{};
    for (bool f = true; !json.accept('}'); f = false) {
      if (!f) json.expect(',');
      std::string key = json.text();
      json.expect(':');
      int bit = key == "dtype" ? 1 : key == "shape" ? 2 : key == "data_offsets" ? 4 : 0;
      if (bit == 0 || (seen & bit)) json.fail(str("tensor ", excerpt(name), ": key ", excerpt(key), " is unknown or appears twice"));
      seen |= bit;
      if (bit == 1) {
        std::string code = json.text();
        int t = 0;
        while (t <= int(DType::boolean) && code != name_of(DType(t))) ++t;
        if (t > int(DType::boolean)) json.fail(str("tensor ", excerpt(name), ": elements of type ", excerpt(code), " are not read"));
        dtype = DType(t);
      } else if (bit == 2) {
        json.expect('[');
        for (bool g = true; !json.accept(']'); g = false) {
          if (!g) json.expect(',');
          auto const extent = std::int64_t(json.integer());
          try {
            shape.append(extent);
          } catch (Error const& e) {
            throw Error(str("safetensors: tensor ", excerpt(name), ": ", e.what()));
          }
        }
      } else {
        json.expect('[');
        range.begin = json.integer();
        json.expect(',');
        range.end = json.integer();
        json.expect(']');
      }
    }
    check(seen == 7, "safetensors: tensor ", excerpt(name), " must have dtype, shape and data_offsets");
    check(range.begin <= range.end && range.end <= values.size, "safetensors: tensor ", excerpt(name), " at [", range.begin, ", ",
          range.end, ") lies outside the ", values.size, " bytes of data");
    check(range.end - range.begin == std::uint64_t(shape.size()) * size_of(dtype), "safetensors: tensor ", excerpt(name), ": ", dtype, " ",
          shape, " does not have ", range.end - range.begin, " bytes");
    out.tensors.push_back({std::move(name), AnyTensor(dtype, shape, values.sub(range.begin, range.end - range.begin))});
    ranges.push_back(range);
  }
  check(json.at_end(), "safetensors: the header goes on after its object");

  std::vector<std::string_view> names;
  for (auto const& t : out.tensors) names.push_back(t.name);
  detail::check_unique(names, "tensor");
  names.clear();
  for (auto const& m : out.metadata) names.push_back(m.first);
  detail::check_unique(names, "metadata key");

  std::sort(ranges.begin(), ranges.end(),
            [](Range const& a, Range const& b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  std::uint64_t at = 0;
  for (auto const& r : ranges) {
    check(r.begin == at, "safetensors: the tensors leave a hole or overlap at ", std::min(at, r.begin), " of the data");
    at = r.end;
  }
  check(at == values.size, "safetensors: ", values.size - at, " bytes at the end belong to no tensor");
  Budget budget({}, file.size);
  for (auto& t : out.tensors)
    if (t.tensor.dtype() == DType::boolean) t.tensor = AnyTensor(DType::boolean, t.tensor.shape(), booleans(t.tensor.bytes(), budget));
  return out;
}

RIG_INLINE Safetensors read_safetensors(std::string const& path) {
  return detail::read_mapped(path, [](Bytes const& file) { return read_safetensors(file); });
}

RIG_INLINE void save_safetensors(std::string const& path, std::vector<NamedTensor> const& tensors, Metadata const& metadata) {
  std::vector<std::string_view> names;
  std::string header = "{";
  if (!metadata.empty()) {
    header += "\"__metadata__\":{";
    for (auto const& [key, value] : metadata) {
      check(is_utf8(key) && is_utf8(value), path, ": metadata ", excerpt(key), " is not valid UTF-8");
      if (!names.empty()) header += ',';
      detail::put_json(header, key);
      header += ':';
      detail::put_json(header, value);
      names.push_back(key);
    }
    header += '}';
    detail::check_unique(names, "metadata key");
    names.clear();
  }
  std::uint64_t at = 0;
  for (auto const& [name, tensor] : tensors) {
    check(bool(tensor), path, ": tensor ", name, " is empty");
    check(is_utf8(name) && name != "__metadata__", path, ": '", excerpt(name), "' cannot be the name of a tensor");
    names.push_back(name);
    if (header.size() > 1) header += ',';
    detail::put_json(header, name);
    header += str(":{\"dtype\":\"", tensor.dtype(), "\",\"shape\":[");
    for (int a = 0; a < tensor.rank(); ++a) header += (a ? "," : "") + std::to_string(tensor.dim(a));
    header += "],\"data_offsets\":[" + std::to_string(at) + ",";
    at += tensor.bytes().size;
    header += std::to_string(at) + "]}";
  }
  detail::check_unique(names, "tensor");
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');

  AtomicFile file(path);
  std::uint64_t length = header.size();
  file.write(&length, 8);
  file.write(header);
  for (auto const& t : tensors) file.write(t.tensor.bytes().span());
  file.commit();
}

}  // namespace rig::inline RIG_ABI::io
