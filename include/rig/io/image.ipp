#pragma once
#include <algorithm>
#include <cmath>

#include "rig/io/atomic_file.hpp"
#include "rig/io/image.hpp"
#include "rig/io/zip.hpp"
#if RIG_HAS_ZLIB
#include <zlib.h>
#endif
#if defined(RIG_HAS_PNG) && RIG_HAS_PNG
#include <png.h>
#endif
#if defined(RIG_HAS_JPEG) && RIG_HAS_JPEG
#include <csetjmp>
#include <cstdio>
//
#include <jerror.h>
#include <jpeglib.h>
#endif

namespace rig::inline RIG_ABI::io {

namespace detail {

inline constexpr std::uint64_t most_pixels = std::uint64_t(1) << 28;

// A small file that announces a huge picture is refused before memory is taken: `each` is the largest number of pixels
// that a byte of the format can stand for.
inline void check_extent(std::uint64_t w, std::uint64_t h, std::uint64_t file_size, std::uint64_t each) {
  check(w > 0 && h > 0 && w < 65536 && h < 65536 && w * h <= most_pixels, "an image of ", w, " x ", h, " pixels is not plausible");
  check(w * h / each <= file_size, "an image of ", w, " x ", h, " pixels cannot come from ", file_size, " bytes");
}

#if defined(RIG_HAS_PNG) && RIG_HAS_PNG
// Only the chunks that make the picture, each of them inside the file: libpng takes memory for what a chunk announces, and
// inflates texts and profiles of any size.
inline std::vector<std::byte> picture_chunks(Bytes const& file) {
  Cursor in(file.span(), "a damaged PNG");
  std::vector<std::byte> out;
  out.reserve(std::size_t(file.size));
  auto copy = [&](std::uint64_t first, std::uint64_t n) { out.insert(out.end(), file.data + first, file.data + first + n); };
  in.take(8);
  copy(0, 8);
  for (bool end = false; !end;) {
    std::uint64_t const first = in.position(), length = in.big<std::uint32_t>();
    std::string_view const type = in.text(4);
    in.take(length + 4);
    end = type == "IEND";
    for (std::string_view known : {"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB"})
      if (type == known) copy(first, length + 12);
  }
  return out;
}
#endif

inline Tensor<std::uint8_t> decode_png([[maybe_unused]] Bytes const& file) {
#if defined(RIG_HAS_PNG) && RIG_HAS_PNG
  struct Image {
    ::png_image p{};
    ~Image() { ::png_image_free(&p); }
  } image;
  image.p.version = PNG_IMAGE_VERSION;
  std::vector<std::byte> const chunks = picture_chunks(file);
  check(::png_image_begin_read_from_memory(&image.p, chunks.data(), chunks.size()), "not a readable PNG: ", image.p.message);
  check_extent(image.p.width, image.p.height, file.size, 8 * 1040);
  image.p.format = PNG_FORMAT_RGB;
  image.p.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;
  Tensor<std::uint8_t> y({std::int64_t(image.p.height), std::int64_t(image.p.width), 3});
  ::png_color white{255, 255, 255};
  check(::png_image_finish_read(&image.p, &white, y.mutate(), 0, nullptr), "a damaged PNG: ", image.p.message);
  check((image.p.warning_or_error & PNG_IMAGE_ERROR) == 0, "a damaged PNG: ", image.p.message);
  return y;
#else
  throw Error("this build of rig has no libpng to read it");
#endif
}

#if defined(RIG_HAS_JPEG) && RIG_HAS_JPEG
// libjpeg leaves its functions by longjmp. Each method that can be left that way holds nothing that needs a destructor.
class JpegReader {
 public:
  explicit JpegReader(Bytes const& file) : file_(file) {
    j_.err = ::jpeg_std_error(&errors_);
    errors_.error_exit = [](::j_common_ptr j) { leave(j); };
    errors_.emit_message = [](::j_common_ptr j, int level) {
      if (level >= 0) return;
      if (j->err->msg_code == JWRN_JPEG_EOF) leave(j);
      ++j->err->num_warnings;
    };
    j_.client_data = this;
    progress_.progress_monitor = [](::j_common_ptr j) {
      // Each scan of a progressive file costs a pass over the picture and may be two bytes long.
      if (j->is_decompressor && reinterpret_cast<::j_decompress_ptr>(j)->input_scan_number > 200) leave(j);
    };
  }
  ~JpegReader() { ::jpeg_destroy_decompress(&j_); }
  JpegReader(JpegReader const&) = delete;
  JpegReader& operator=(JpegReader const&) = delete;

  bool header() {
    if (setjmp(out_)) return false;
    ::jpeg_create_decompress(&j_);
    j_.progress = &progress_;
    ::jpeg_mem_src(&j_, reinterpret_cast<unsigned char const*>(file_.data), static_cast<unsigned long>(file_.size));
    ::jpeg_read_header(&j_, TRUE);
    j_.out_color_space = JCS_RGB;
    return true;
  }
  bool pixels(std::uint8_t* y) {
    if (setjmp(out_)) return false;
    ::jpeg_start_decompress(&j_);
    if (j_.output_components != 3) return false;
    while (j_.output_scanline < j_.output_height) {
      ::JSAMPROW row = y + std::size_t(j_.output_scanline) * j_.output_width * 3;
      ::jpeg_read_scanlines(&j_, &row, 1);
    }
    ::jpeg_finish_decompress(&j_);
    return true;
  }
  std::uint64_t width() const { return j_.image_width; }
  std::uint64_t height() const { return j_.image_height; }
  bool inks() const { return j_.jpeg_color_space == JCS_CMYK || j_.jpeg_color_space == JCS_YCCK; }
  char const* message() const { return message_; }

 private:
  static void leave(::j_common_ptr j) {
    auto* self = static_cast<JpegReader*>(j->client_data);
    (*j->err->format_message)(j, self->message_);
    std::longjmp(self->out_, 1);
  }
  Bytes const& file_;
  ::jpeg_decompress_struct j_{};
  ::jpeg_error_mgr errors_{};
  ::jpeg_progress_mgr progress_{};
  std::jmp_buf out_;
  char message_[JMSG_LENGTH_MAX] = "";
};
#endif

inline Tensor<std::uint8_t> decode_jpeg([[maybe_unused]] Bytes const& file) {
#if defined(RIG_HAS_JPEG) && RIG_HAS_JPEG
  JpegReader reader(file);
  check(reader.header(), "not a readable JPEG: ", reader.message());
  check(!reader.inks(), "expected a JPEG of light (grey, YCbCr or RGB), found one of four inks (CMYK)");
  check_extent(reader.width(), reader.height(), file.size, 4096);
  Tensor<std::uint8_t> y({std::int64_t(reader.height()), std::int64_t(reader.width()), 3});
  check(reader.pixels(y.mutate()), "a damaged JPEG: ", reader.message());
  return y;
#else
  throw Error("this build of rig has no libjpeg to read it");
#endif
}

inline void put_big(std::string& out, std::uint32_t v) {
  for (int i = 3; i >= 0; --i) out += char(v >> (8 * i) & 255);
}
inline void put_chunk(AtomicFile& file, std::string_view type, std::string_view data) {
  std::string head, tail;
  put_big(head, std::uint32_t(data.size()));
  head += type;
  std::uint32_t crc = crc32(std::as_bytes(std::span(type)));
  put_big(tail, crc32(std::as_bytes(std::span(data)), crc));
  file.write(head);
  file.write(data);
  file.write(tail);
}

// zlib's format; without zlib the data is stored, which every reader accepts.
inline std::string deflate_bytes(std::string const& raw) {
#if RIG_HAS_ZLIB
  ::uLongf size = ::compressBound(::uLong(raw.size()));
  std::string out(size, '\0');
  check(
      ::compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<Bytef const*>(raw.data()), ::uLong(raw.size()), 6) == Z_OK,
      "png: zlib failed");
  out.resize(size);
  return out;
#else
  std::string out = "\x78\x01";
  std::uint32_t a = 1, b = 0;
  for (std::size_t at = 0;;) {
    std::size_t n = std::min<std::size_t>(65535, raw.size() - at);
    out += char(at + n == raw.size());
    put_little(out, n, 2);
    put_little(out, ~n & 0xFFFF, 2);
    out.append(raw, at, n);
    at += n;
    if (at == raw.size()) break;
  }
  for (char c : raw) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  put_big(out, b << 16 | a);
  return out;
#endif
}

// PNG's five predictors; for each row the one with the smallest sum of absolute residuals, the usual heuristic.
inline std::string filter_rows(std::uint8_t const* x, std::int64_t h, std::int64_t w, std::int64_t c) {
  std::int64_t row = w * c;
  std::string out;
  out.reserve(std::size_t(h * (row + 1)));
  std::vector<std::uint8_t> zero(std::size_t(row), 0), best(static_cast<std::size_t>(row)), now(static_cast<std::size_t>(row));
  for (std::int64_t i = 0; i < h; ++i) {
    std::uint8_t const *cur = x + i * row, *up = i ? cur - row : zero.data();
    std::int64_t best_cost = -1;
    int best_filter = 0;
    for (int f = 0; f < 5; ++f) {
      std::int64_t cost = 0;
      for (std::int64_t k = 0; k < row; ++k) {
        int a = k >= c ? cur[k - c] : 0, b = up[k], d = k >= c ? up[k - c] : 0, p = 0;
        if (f == 1) p = a;
        if (f == 2) p = b;
        if (f == 3) p = (a + b) / 2;
        if (f == 4) {
          int pa = std::abs(b - d), pb = std::abs(a - d), pd = std::abs(a + b - 2 * d);
          p = pa <= pb && pa <= pd ? a : pb <= pd ? b : d;
        }
        now[std::size_t(k)] = std::uint8_t(cur[k] - p);
        cost += std::abs(int(std::int8_t(now[std::size_t(k)])));
      }
      if (best_cost < 0 || cost < best_cost) {
        best_cost = cost;
        best_filter = f;
        best.swap(now);
      }
    }
    out += char(best_filter);
    out.append(reinterpret_cast<char const*>(best.data()), best.size());
  }
  return out;
}

struct AreaKernel {
  float* y;
  float const* x;
  std::int64_t h, w, c;  // of the output
  int factor;
  RIG_HD void operator()(std::int64_t i) const {
    std::int64_t ch = i % c, px = i / c % w, row = i / (c * w);  // row counts through all images
    float sum = 0;
    for (int dy = 0; dy < factor; ++dy)
      for (int dx = 0; dx < factor; ++dx) sum += x[((row * factor + dy) * w * factor + px * factor + dx) * c + ch];
    y[i] = sum / float(factor * factor);
  }
};

}  // namespace detail

RIG_INLINE Tensor<std::uint8_t> decode_image(Bytes const& file) {
  using namespace std::string_view_literals;
  std::string_view head = file.text().substr(0, 8);
  if (head == "\x89PNG\r\n\x1a\n"sv) return detail::decode_png(file);
  if (head.substr(0, 3) == "\xff\xd8\xff"sv) return detail::decode_jpeg(file);
  throw Error(file.size == 0 ? std::string("the file is empty") : str("neither a PNG nor a JPEG: it begins with \"", excerpt(head), "\""));
}

RIG_INLINE Tensor<float> load_image(std::string const& path) {
  return detail::read_mapped(path, [](Bytes const& file) {
    Tensor<std::uint8_t> bytes = decode_image(file);
    Tensor<float> y(bytes.shape());
    float* p = y.mutate();
    for (std::int64_t i = 0; i < y.size(); ++i) p[i] = float(bytes.data()[i]) / 255.0f;
    return y;
  });
}

RIG_INLINE void save_png(std::string const& path, Tensor<std::uint8_t> const& image, Texts const& texts) {
  check(image.rank() == 3 && (image.dim(2) == 1 || image.dim(2) == 3) && image.size() > 0,
        "save_png: image must be [h, w, 1] or [h, w, 3], got ", image.shape());
  check(image.dim(0) < 65536 && image.dim(1) < 65536, "save_png: image ", image.shape(), " is too large");
  Tensor<std::uint8_t> x = image.to(cpu());
  std::int64_t h = x.dim(0), w = x.dim(1), c = x.dim(2);
  AtomicFile file(path);
  file.write(std::string_view("\x89PNG\r\n\x1a\n", 8));
  std::string head;
  detail::put_big(head, std::uint32_t(w));
  detail::put_big(head, std::uint32_t(h));
  head += char(8);
  head += char(c == 3 ? 2 : 0);
  head.append(3, '\0');
  detail::put_chunk(file, "IHDR", head);
  for (auto const& [key, value] : texts) {
    bool plain_key = !key.empty() && key.size() <= 79 && key.front() != ' ' && key.back() != ' ';
    for (char ch : key) plain_key = plain_key && ch >= 0x20 && ch < 0x7f;
    check(plain_key, "save_png: the key of a text must be 1 to 79 printable ASCII characters, got \"", excerpt(key), "\"");
    check(is_utf8(value) && value.find('\0') == std::string::npos, "save_png: text ", key, " is not valid UTF-8");
    bool ascii = std::all_of(value.begin(), value.end(), [](char ch) { return static_cast<unsigned char>(ch) < 0x80; });
    std::string data = key;
    data.append(ascii ? 1 : 5, '\0');  // iTXt: not compressed, no language, no translated key
    data += value;
    detail::put_chunk(file, ascii ? "tEXt" : "iTXt", data);
  }
  std::string pixels = detail::deflate_bytes(detail::filter_rows(x.data(), h, w, c));
  for (std::size_t at = 0; at < pixels.size(); at += 1u << 30)
    detail::put_chunk(file, "IDAT", std::string_view(pixels).substr(at, 1u << 30));
  detail::put_chunk(file, "IEND", "");
  file.commit();
}

RIG_INLINE void save_png(std::string const& path, Tensor<float> const& image, Texts const& texts) {
  check(image.rank() == 3, "save_png: image must be [h, w, 1] or [h, w, 3], got ", image.shape());
  Tensor<float> x = image.to(cpu());
  Tensor<std::uint8_t> y(x.shape());
  std::uint8_t* p = y.mutate();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    float v = x.data()[i];
    check(v == v, path, ": the image has a pixel that is not a number");
    p[i] = std::uint8_t(std::min(std::max(v, 0.0f), 1.0f) * 255.0f + 0.5f);
  }
  save_png(path, y, texts);
}

RIG_INLINE Texts read_png_texts(Bytes const& file) {
  Cursor in(file.span(), "png");
  in.require(file.size >= 8 && in.text(8) == std::string_view("\x89PNG\r\n\x1a\n", 8), "not a PNG");
  Texts out;
  for (;;) {
    std::uint32_t size = in.big<std::uint32_t>();
    auto covered = file.sub(in.position(), std::min<std::uint64_t>(in.remaining(), std::uint64_t(size) + 4));
    std::string_view type = in.text(4), data = in.text(size);
    in.require(in.big<std::uint32_t>() == crc32(covered.span()), "chunk ", excerpt(type), " is damaged");
    if (type == "IEND") return out;
    if (type != "tEXt" && type != "iTXt") continue;
    std::size_t end = data.find('\0');
    in.require(end != std::string_view::npos && end > 0 && end < 80, "a text without a key");
    std::string_view key = data.substr(0, end), rest = data.substr(end + 1);
    if (type == "iTXt") {
      in.require(rest.size() >= 2, "a text that ends early");
      if (rest[0] != 0) continue;
      rest.remove_prefix(2);
      for (int k = 0; k < 2; ++k) {  // language, translated key
        std::size_t stop = rest.find('\0');
        in.require(stop != std::string_view::npos, "a text that ends early");
        rest.remove_prefix(stop + 1);
      }
    }
    out.emplace_back(std::string(key), std::string(rest));
  }
}
RIG_INLINE Texts read_png_texts(std::string const& path) {
  return detail::read_mapped(path, [](Bytes const& file) { return read_png_texts(file); });
}

RIG_INLINE Tensor<std::uint8_t> from_signed(Tensor<float> const& image) {
  Tensor<float> x = image.to(cpu());
  Tensor<std::uint8_t> y(x.shape());
  std::uint8_t* p = y.mutate();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    float v = x.data()[i] * 127.5f + 128.0f;
    check(v == v, "from_signed: the image has a pixel that is not a number");
    p[i] = std::uint8_t(std::min(std::max(v, 0.0f), 255.0f));
  }
  return y;
}

RIG_INLINE Tensor<float> downsample_area(Tensor<float> const& image, int factor) {
  int r = image.rank();
  check(r == 3 || r == 4, "downsample_area: image must be [h, w, c] or [n, h, w, c], got ", image.shape());
  check(factor > 0 && image.dim(r - 3) % factor == 0 && image.dim(r - 2) % factor == 0, "downsample_area: ", factor,
        " must divide height and width of ", image.shape());
  if (factor == 1) return image;
  std::int64_t h = image.dim(r - 3) / factor, w = image.dim(r - 2) / factor, c = image.dim(r - 1);
  Tensor<float> y(image.shape().with(r - 3, h).with(r - 2, w), image.device());
  for_each(y.device(), y.size(), detail::AreaKernel{y.mutate(), image.data(), h, w, c, factor});
  return y;
}

}  // namespace rig::inline RIG_ABI::io
