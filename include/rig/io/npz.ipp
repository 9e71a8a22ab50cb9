#pragma once
#include <algorithm>

#include "rig/io/npz.hpp"

namespace rig::inline RIG_ABI::io {

namespace detail {

RIG_INLINE bool parse_numpy_type(std::string_view code, NumpyType& type) {
  type.swap = false;
  if (!code.empty() && (code[0] == '<' || code[0] == '>' || code[0] == '=' || code[0] == '|')) {
    type.swap = code[0] == '>';
    code.remove_prefix(1);
  }
  static constexpr std::pair<std::string_view, DType> table[] = {
      {"f8", DType::f64}, {"f4", DType::f32}, {"f2", DType::f16}, {"i8", DType::i64}, {"i4", DType::i32}, {"i2", DType::i16},
      {"i1", DType::i8},  {"u8", DType::u64}, {"u4", DType::u32}, {"u2", DType::u16}, {"u1", DType::u8},  {"b1", DType::boolean}};
  for (auto const& [name, dtype] : table) {
    if (code != name) continue;
    type.dtype = dtype;
    if (size_of(dtype) == 1) type.swap = false;
    return true;
  }
  return false;
}

template <std::size_t Size> inline void swap_elements_of(std::byte* data, std::uint64_t count) {
  for (std::uint64_t i = 0; i < count; ++i) std::reverse(data + i * Size, data + (i + 1) * Size);
}
// Reverses the bytes of every element.
inline void swap_elements(std::byte* data, std::uint64_t count, std::uint64_t size) {
  if (size == 2) swap_elements_of<2>(data, count);
  if (size == 4) swap_elements_of<4>(data, count);
  if (size == 8) swap_elements_of<8>(data, count);
}
RIG_INLINE Bytes swapped(Bytes const& from, std::uint64_t element, Budget& budget) {
  budget.charge(from.size);
  std::vector<std::byte> out(std::size_t(from.size));
  ReadOnce read(from);
  constexpr std::uint64_t step = 1 << 20;
  for (std::uint64_t at = 0; at < from.size; at += step) {
    std::uint64_t const n = std::min(step, from.size - at);
    std::memcpy(out.data() + at, from.data + at, std::size_t(n));
    swap_elements(out.data() + at, n / element, element);
    read.upto(at + n);
  }
  from.release();
  return Bytes(std::move(out));
}
// An axis of a view: its extent, and the steps along it, in elements, in what is read and in what is written.
struct ViewAxis {
  std::int64_t extent = 1, from = 1, to = 1;
};
template <std::size_t Size> inline void gather_row(std::byte* y, std::byte const* x, ViewAxis const& axis) {
  for (std::int64_t i = 0; i < axis.extent; ++i)
    std::memcpy(y + i * axis.to * std::int64_t(Size), x + i * axis.from * std::int64_t(Size), Size);
}

RIG_INLINE Bytes gather(Bytes const& from, std::uint64_t element, Shape const& shape, std::vector<std::int64_t> const& stride,
                        std::int64_t offset, bool swap, Budget& budget) {
  std::uint64_t bytes = std::uint64_t(shape.size()) * element;
  budget.charge(bytes);
  std::vector<std::byte> out(std::size_t(bytes), std::byte(0));
  if (bytes == 0) return Bytes(std::move(out));
  // Axes of one element go, and neighbours that are one axis become one: rows are as long as they can be.
  ViewAxis axes[Shape::max_rank];
  int rank = 0;
  std::int64_t to = shape.size();
  for (int a = 0; a < shape.rank(); ++a) {
    std::int64_t const n = shape[a], step = stride[std::size_t(a)];
    to /= n;
    if (n == 1) continue;
    if (rank > 0 && axes[rank - 1].from == n * step)
      axes[rank - 1] = {axes[rank - 1].extent * n, step, to};
    else
      axes[rank++] = {n, step, to};
  }
  rank = std::max(rank, 1);
  // In the order of what is read, so that a mapped file can be given back behind it; what repeats outermost.
  std::stable_sort(axes, axes + rank, [](ViewAxis const& a, ViewAxis const& b) { return b.from != 0 && (a.from == 0 || a.from > b.from); });
  ViewAxis const& row = axes[rank - 1];
  std::int64_t index[Shape::max_rank] = {}, at = offset, place = 0;
  ReadOnce read(from);
  for (std::int64_t rows = shape.size() / row.extent; rows-- > 0;) {
    std::byte const* x = from.data + std::uint64_t(at) * element;
    std::byte* y = out.data() + std::uint64_t(place) * element;
    if (row.from == 1 && row.to == 1)
      std::memcpy(y, x, std::size_t(std::uint64_t(row.extent) * element));
    else if (element == 1)
      gather_row<1>(y, x, row);
    else if (element == 2)
      gather_row<2>(y, x, row);
    else if (element == 4)
      gather_row<4>(y, x, row);
    else if (element == 8)
      gather_row<8>(y, x, row);
    read.upto(std::uint64_t(at) * element);
    for (int a = rank - 2; a >= 0; --a) {
      at += axes[a].from, place += axes[a].to;
      if (++index[a] < axes[a].extent) break;
      at -= axes[a].extent * axes[a].from, place -= axes[a].extent * axes[a].to;
      index[a] = 0;
    }
  }
  from.release();
  if (swap) swap_elements(out.data(), bytes / element, element);
  return Bytes(std::move(out));
}

RIG_INLINE AnyTensor from_numpy(NumpyType type, Shape const& shape, bool column_major, Bytes const& raw, Budget& budget) {
  std::uint64_t element = size_of(type.dtype);
  check(raw.size == std::uint64_t(shape.size()) * element, "an array of shape ", shape, " and type ", type.dtype, " needs ",
        std::uint64_t(shape.size()) * element, " bytes, got ", raw.size);
  Bytes values = raw;
  if (column_major && shape.rank() > 1 && raw.size > 0) {
    std::vector<std::int64_t> stride;
    std::int64_t s = 1;
    for (auto extent : shape) {
      stride.push_back(s);
      s *= extent;
    }
    values = gather(raw, element, shape, stride, 0, type.swap, budget);
  } else if (type.swap) {
    values = swapped(raw, element, budget);
  }
  if (type.dtype == DType::boolean) values = booleans(values, budget);
  return {type.dtype, shape, values};
}

// The literal NumPy writes: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
struct NpyHeader {
  NumpyType type{};
  bool fortran = false;
  Shape shape;
};
// Its messages do not say which array it is.
class NpyParser {
 public:
  NpyParser(std::string_view s) : s_(s) {}
  NpyHeader parse() {
    NpyHeader h;
    int seen = 0;
    expect('{');
    while (!accept('}')) {
      std::string_view key = text();
      expect(':');
      int bit = key == "descr" ? 1 : key == "fortran_order" ? 2 : key == "shape" ? 4 : 0;
      check(bit != 0, "unknown key '", excerpt(key), "' in the header");
      check((seen & bit) == 0, "key '", key, "' appears twice in the header");
      seen |= bit;
      if (bit == 1) {
        space();
        check(i_ < s_.size() && (s_[i_] == '\'' || s_[i_] == '"'), "structured types are not read");
        std::string_view code = text();
        check(parse_numpy_type(code, h.type), "elements of type '", excerpt(code), "' are not read");
      } else if (bit == 2) {
        h.fortran = boolean();
      } else {
        expect('(');
        while (!accept(')')) {
          h.shape.append(integer());
          if (!accept(',')) {
            // Python needs the comma in (3,): without it this is a number in brackets.
            check(h.shape.rank() > 1, "the shape in the header is not a tuple");
            expect(')');
            break;
          }
        }
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    space();
    check(i_ == s_.size(), "the header goes on after its dictionary");
    check(seen == 7, "the header must have descr, fortran_order and shape");
    return h;
  }

 private:
  void space() {
    while (i_ < s_.size() && (s_[i_] == ' ' || s_[i_] == '\n')) ++i_;
  }
  bool accept(char c) {
    space();
    if (i_ >= s_.size() || s_[i_] != c) return false;
    ++i_;
    return true;
  }
  void expect(char c) { check(accept(c), "'", c, "' expected in the header at ", i_, ": ", excerpt(s_)); }
  std::string_view text() {
    space();
    check(i_ < s_.size() && (s_[i_] == '\'' || s_[i_] == '"'), "a string is expected in the header at ", i_, ": ", excerpt(s_));
    char quote = s_[i_++];
    std::size_t end = s_.find(quote, i_);
    check(end != std::string_view::npos && end - i_ < 64, "a string in the header does not end");
    std::string_view t = s_.substr(i_, end - i_);
    check(t.find('\\') == std::string_view::npos, "escapes are not expected in the header");
    i_ = end + 1;
    return t;
  }
  bool boolean() {
    space();
    if (s_.substr(i_, 4) == "True") return i_ += 4, true;
    check(s_.substr(i_, 5) == "False", "fortran_order must be True or False");
    return i_ += 5, false;
  }
  std::int64_t integer() {
    space();
    std::int64_t v = 0;
    std::size_t first = i_;
    for (; i_ < s_.size() && s_[i_] >= '0' && s_[i_] <= '9'; ++i_) {
      check(v < (std::int64_t(1) << 56), "an extent in the header is too large");
      v = v * 10 + (s_[i_] - '0');
    }
    check(i_ > first, "extents must be non-negative integers: ", excerpt(s_));
    if (i_ < s_.size() && s_[i_] == 'L') ++i_;  // Python 2 wrote longs so
    return v;
  }
  std::string_view s_;
  std::size_t i_ = 0;
};

}  // namespace detail

RIG_INLINE AnyTensor read_npy(Bytes const& file, Budget& budget, std::string const& name) {
  Cursor in(file.span(), name.c_str());
  in.require(file.size >= 10 && in.text(6) == "\x93NUMPY", "not an .npy array");
  auto major = in.little<std::uint8_t>(), minor = in.little<std::uint8_t>();
  in.require(major >= 1 && major <= 3 && minor == 0, "unknown .npy version ", int(major), ".", int(minor));
  std::uint64_t length = major == 1 ? in.little<std::uint16_t>() : in.little<std::uint32_t>();
  in.require(length <= 65536, "a header of ", length, " bytes is not plausible");
  detail::NpyHeader header;
  try {
    header = detail::NpyParser(in.text(length)).parse();
  } catch (Error const& e) {
    throw Error(name + ": " + e.what());
  }
  std::uint64_t need = std::uint64_t(header.shape.size()) * size_of(header.type.dtype);
  in.require(in.remaining() == need, "shape ", header.shape, " needs ", need, " bytes of data, the file has ", in.remaining());
  return detail::from_numpy(header.type, header.shape, header.fortran, file.sub(in.position(), need), budget);
}

RIG_INLINE std::vector<NamedTensor> read_npz(Bytes const& file, Limits const& limits) {
  Budget budget(limits, file.size);
  ZipReader zip(file);
  std::vector<NamedTensor> out;
  for (auto const& e : zip.entries()) {
    std::string_view name = e.name;
    check(name.ends_with(".npy"), "npz: entry ", excerpt(name), " is not an .npy array");
    name.remove_suffix(4);
    out.push_back({std::string(name), read_npy(zip.read(e, budget), budget, "npz: " + excerpt(e.name))});
  }
  check(!out.empty(), "npz: the archive is empty");
  return out;
}

RIG_INLINE std::vector<NamedTensor> read_npz(std::string const& path, Limits const& limits) {
  return detail::read_mapped(path, [&](Bytes const& file) { return read_npz(file, limits); });
}

RIG_INLINE AnyTensor widened(AnyTensor const& t) {
  switch (t.dtype()) {
    case DType::f16:
    case DType::bf16: return t.as<float>();
    case DType::i8:
    case DType::i16: return t.as<std::int64_t>();
    default: return t;
  }
}

RIG_INLINE void save_npz(std::string const& path, std::vector<NamedTensor> const& tensors) { save_npz(path, tensors, NpzTypes::stored); }

RIG_INLINE void save_npz(std::string const& path, std::vector<NamedTensor> const& tensors, NpzTypes types) {
  ZipWriter zip(path);
  for (auto const& [name, stored] : tensors) {
    check(bool(stored), path, ": tensor ", name, " is empty");
    AnyTensor const tensor = types == NpzTypes::wide ? widened(stored) : stored;
    char const* code = nullptr;
    switch (tensor.dtype()) {
      case DType::f64: code = "<f8"; break;
      case DType::f32: code = "<f4"; break;
      case DType::f16: code = "<f2"; break;
      case DType::bf16: break;
      case DType::i64: code = "<i8"; break;
      case DType::i32: code = "<i4"; break;
      case DType::i16: code = "<i2"; break;
      case DType::i8: code = "|i1"; break;
      case DType::u64: code = "<u8"; break;
      case DType::u32: code = "<u4"; break;
      case DType::u16: code = "<u2"; break;
      case DType::u8: code = "|u1"; break;
      case DType::boolean: code = "|b1"; break;
    }
    check(code, path, ": tensor ", name, " is BF16, which NumPy does not have; convert it to float first");
    std::string shape = "(";
    for (auto extent : tensor.shape()) shape += std::to_string(extent) + (tensor.rank() == 1 ? "," : ", ");
    if (tensor.rank() > 1) shape.resize(shape.size() - 2);
    std::string header = str("{'descr': '", code, "', 'fortran_order': False, 'shape': ", shape, "), }");
    header.append((64 - (10 + header.size() + 1) % 64) % 64, ' ');
    header += '\n';
    std::string head = "\x93NUMPY";
    head += '\x01';
    head += '\0';
    detail::put_little(head, header.size(), 2);
    head += header;
    zip.add(name + ".npy", {std::as_bytes(std::span(head.data(), head.size())), tensor.bytes().span()});
  }
  zip.commit();
}

}  // namespace rig::inline RIG_ABI::io
