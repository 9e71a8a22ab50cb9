#include "face_nets.hpp"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "rig/io/bytes.hpp"
#include "rig/ops/activation.hpp"
#include "rig/ops/conv.hpp"
#include "rig/ops/gather.hpp"
#include "rig/ops/matmul.hpp"
#include "rig/ops/reduce.hpp"
#include "rig/ops/shape.hpp"

namespace program {
using namespace rig;
using V = Var<float>;
using Json = nlohmann::json;
using Weights = std::map<std::string, Tensor<float>>;

// ---- the files ----------------------------------------------------------------------------------------------------------

namespace {
constexpr std::size_t most_bytes = std::size_t(1) << 28;  // fifty times what either network has

/// Bytes of a tensor in the file, and how they become floats.
struct Stored {
  std::string name;
  Shape shape;
  int bytes = 4;  // of one value: 4 is a float, 1 and 2 are quantised
  double scale = 1, low = 0;
};

Stored stored_of(Json const& entry) {
  Stored s;
  s.name = entry.at("name").get<std::string>();
  std::vector<std::int64_t> extents;
  std::int64_t size = 1;
  for (auto const& extent : entry.at("shape")) {
    check(extent.is_number_unsigned(), "expected whole extents of ", s.name, ", found ", extent.dump());
    extents.push_back(extent.get<std::int64_t>());
    check(extents.back() > 0 && extents.back() <= (std::int64_t(1) << 30) / size, s.name, " has an empty or impossible shape");
    size *= extents.back();
  }
  check(extents.size() <= 4, "expected ", s.name, " with at most 4 extents, found ", extents.size());
  s.shape = Shape(extents.begin(), extents.end());
  std::string const type = entry.at("dtype").get<std::string>();
  check(type == "float32", "expected float32 for ", s.name, ", found ", type);
  if (!entry.contains("quantization")) return s;
  Json const& q = entry.at("quantization");
  std::string const packed = q.at("dtype").get<std::string>();
  check(packed == "uint8" || packed == "uint16", "expected uint8 or uint16 for the packed values of ", s.name, ", found ", packed);
  s.bytes = packed == "uint8" ? 1 : 2, s.scale = q.at("scale").get<double>(), s.low = q.at("min").get<double>();
  check(std::isfinite(s.scale) && std::isfinite(s.low), "scale and min of ", s.name, " must be finite");
  return s;
}

Tensor<float> values_of(Stored const& s, io::Cursor& from) {
  Tensor<float> t(s.shape);
  float* y = t.mutate();
  for (std::int64_t i = 0; i < t.size(); ++i) {
    double const v = s.bytes == 4 ? double(from.little<float>())
                                  : s.low + s.scale * (s.bytes == 1 ? from.little<std::uint8_t>() : from.little<std::uint16_t>());
    y[i] = float(v);
    check(std::isfinite(y[i]), s.name, " holds a number that is not finite");
  }
  return t;
}
}  // namespace

Weights read_weights_manifest(std::string const& path) {
  io::MappedFile const file(path);
  Weights weights;
  try {
    Json const groups = Json::parse(file.bytes().text());
    check(groups.is_array(), "expected a list of groups, found ", groups.type_name());
    for (auto const& group : groups) {
      std::vector<std::byte> bytes;
      check(group.at("paths").size() <= 64, "expected at most 64 files of weights, found ", group.at("paths").size());
      for (auto const& part : group.at("paths")) {
        std::filesystem::path const name = part.get<std::string>();
        check(!name.empty() && name == name.filename() && name != ".." && name != ".", "expected the name of a file beside it, found ",
              part.dump());
        io::MappedFile const shard((std::filesystem::path(path).parent_path() / name).string());
        auto const data = shard.bytes().span();
        check(bytes.size() + data.size() <= most_bytes, "expected at most ", most_bytes, " bytes of weights");
        bytes.insert(bytes.end(), data.begin(), data.end());
      }
      io::Cursor cursor(bytes, "weights");
      for (auto const& entry : group.at("weights")) {
        Stored const s = stored_of(entry);
        std::uint64_t const needed = std::uint64_t(s.shape.size()) * std::uint64_t(s.bytes);
        check(needed <= cursor.remaining(), s.name, " ", s.shape, " needs ", needed, " bytes, the files have ", cursor.remaining(),
              " left");
        check(weights.emplace(s.name, values_of(s, cursor)).second, s.name, " is there twice");
      }
      check(cursor.remaining() == 0, "the files hold ", cursor.remaining(), " bytes more than the entries say");
    }
  } catch (Json::exception const& e) {
    throw Error(path + ": expected a manifest of weights: " + e.what());
  } catch (Error const& e) {
    throw Error(path + ": " + e.what());
  }
  return weights;
}

namespace {
/// Hands out the tensors of a file one by one, in rig's order of axes, and knows which were left.
class Reader {
 public:
  Reader(std::string const& folder, std::string const& file, Device device)
      : path_((std::filesystem::path(folder) / file).string()), weights_(read_weights_manifest(path_)), device_(std::move(device)) {}

  Tensor<float> take(std::string const& name, Shape const& shape) {
    auto const at = weights_.find(name);
    check(at != weights_.end(), path_, ": expected an entry ", name, " ", shape, ", found none");
    check(at->second.shape() == shape, path_, ": expected ", name, " of shape ", shape, ", found ", at->second.shape());
    Tensor<float> const t = at->second;
    weights_.erase(at);
    return t;
  }
  V bias(std::string const& name, std::int64_t n) { return V(take(name, {n}).to(device_)); }
  V matrix(std::string const& name, std::int64_t in, std::int64_t out) { return V(take(name, {in, out}).to(device_)); }
  /// [k, k, in, out] as [out, k, k, in], the output channels multiplied by `scale` if there is one.
  V filters(std::string const& name, std::int64_t k, std::int64_t in, std::int64_t out, Tensor<float> const& scale = {}) {
    V w = permute(V(take(name, {k, k, in, out})), {3, 0, 1, 2});
    if (scale) w = w * reshape(V(scale), {out, 1, 1, 1});
    return V(w.value().to(device_));
  }
  /// [3, 3, channels, 1] as [channels, 3, 3, 1].
  V depthwise(std::string const& name, std::int64_t channels) {
    return V(permute(V(take(name, {3, 3, channels, 1})), {2, 0, 1, 3}).value().to(device_));
  }
  /// A convolution and the scale and shift after it as one: s (w * x + b) + t = (s w) * x + (s b + t).
  FaceConv scaled(std::string const& name, std::int64_t k, std::int64_t in, std::int64_t out) {
    Tensor<float> const s = take(name + "/scale/weights", {out});
    FaceConv c;
    c.weight = filters(name + "/conv/filters", k, in, out, s);
    c.bias = V((V(s) * V(take(name + "/conv/bias", {out})) + V(take(name + "/scale/biases", {out}))).value().to(device_));
    return c;
  }
  void finish() const {
    check(weights_.empty(), path_, ": holds ", weights_.empty() ? "" : weights_.begin()->first, ", which this network does not have");
  }

 private:
  std::string path_;
  Weights weights_;
  Device device_;
};
}  // namespace

// ---- crops --------------------------------------------------------------------------------------------------------------

namespace {
struct CutKernel {
  float const *x, *crop;  // [n, h, w, 3], [m, 4]
  float* y;               // [m, side, side, 3]
  std::int64_t n, h, w, side;

  RIG_HD static float inside(float v, float most) { return v < 0 ? 0 : v > most ? most : v; }
  RIG_HD void operator()(std::int64_t pixel) const {
    std::int64_t const j = pixel % side, i = pixel / side % side, m = pixel / (side * side);
    float const *c = crop + 4 * m, *from = x + (n == 1 ? 0 : m) * h * w * 3;
    float const length = std::sqrt(c[2] * c[2] + c[3] * c[3]) / float(side);
    int const samples = length > 16 ? 16 : length > 1 ? int(std::ceil(length)) : 1;
    float sum[3] = {0, 0, 0};
    for (int b = 0; b < samples; ++b)
      for (int a = 0; a < samples; ++a) {
        float const u = (float(j) + (float(a) + 0.5f) / float(samples)) / float(side),
                    v = (float(i) + (float(b) + 0.5f) / float(samples)) / float(side);
        float const px = inside(c[0] + c[2] * u - c[3] * v - 0.5f, float(w - 1)),
                    py = inside(c[1] + c[3] * u + c[2] * v - 0.5f, float(h - 1));
        std::int64_t const q = std::int64_t(px), r = std::int64_t(py), q1 = q + 1 < w ? q + 1 : q, r1 = r + 1 < h ? r + 1 : r;
        float const s = px - float(q), t = py - float(r);
        for (int k = 0; k < 3; ++k)
          sum[k] += (1 - t) * ((1 - s) * from[(r * w + q) * 3 + k] + s * from[(r * w + q1) * 3 + k]) +
                    t * ((1 - s) * from[(r1 * w + q) * 3 + k] + s * from[(r1 * w + q1) * 3 + k]);
      }
    for (int k = 0; k < 3; ++k) y[3 * pixel + k] = sum[k] / float(samples * samples);
  }
};

/// Largest of every 3 by 3 window at every second pixel, without padding.
struct MaxPoolKernel {
  float const* x;
  float* y;
  std::int64_t h, w, c, oh, ow;
  RIG_HD void operator()(std::int64_t row, std::int64_t k) const {
    std::int64_t const j = row % ow, i = row / ow % oh, n = row / (ow * oh);
    float best = x[((n * h + 2 * i) * w + 2 * j) * c + k];
    for (int u = 0; u < 3; ++u)
      for (int v = 0; v < 3; ++v) {
        float const here = x[((n * h + 2 * i + u) * w + 2 * j + v) * c + k];
        best = here > best ? here : best;
      }
    y[row * c + k] = best;
  }
};
V max_pool(V const& x) {
  Shape const& s = x.shape();
  Tensor<float> y({s[0], (s[1] - 3) / 2 + 1, (s[2] - 3) / 2 + 1, s[3]}, x.device());
  for_each(y.device(), y.size() / s[3], s[3], MaxPoolKernel{x.value().data(), y.mutate(), s[1], s[2], s[3], y.dim(1), y.dim(2)});
  return V(y);
}

/// relu(small + mean of x over squares of 2 by 2), where x may have fewer channels and `small` fewer rows and columns: what
/// is missing counts as 0.
struct JoinKernel {
  float const *x, *small;
  float* y;
  std::int64_t h, w, c, sh, sw, oh, ow, o;
  RIG_HD void operator()(std::int64_t row, std::int64_t k) const {
    std::int64_t const j = row % ow, i = row / ow % oh, n = row / (ow * oh);
    float v = i < sh && j < sw ? small[((n * sh + i) * sw + j) * o + k] : 0;
    if (k < c) {
      float const* a = x + ((n * h + 2 * i) * w + 2 * j) * c + k;
      v += (a[0] + a[c] + a[w * c] + a[(w + 1) * c]) / 4;
    }
    y[row * o + k] = v > 0 ? v : 0;
  }
};
V join_halved(V const& x, V const& small) {
  Shape const &a = x.shape(), &b = small.shape();
  Tensor<float> y({a[0], a[1] / 2, a[2] / 2, b[3]}, x.device());
  for_each(y.device(), y.size() / b[3], b[3],
           JoinKernel{x.value().data(), small.value().data(), y.mutate(), a[1], a[2], a[3], b[1], b[2], y.dim(1), y.dim(2), b[3]});
  return V(y);
}

/// The mean colour of the pictures that both networks were trained on is taken away, and what is left divided.
V centred(Tensor<float> const& faces, double divisor) {
  Tensor<float> const mean({3}, {122.782f, 117.001f, 104.298f}, faces.device());
  return affine(affine(V(faces), 255, 0) - V(mean), float(1 / divisor), 0);
}

/// f(first, count) for parts of n, the results one after the other.
template <class F> Tensor<float> in_parts(std::int64_t n, Shape const& row, F const& f) {
  Tensor<float> all;
  for (std::int64_t i = 0; i < n; i += 32) {
    Tensor<float> const part = f(i, std::min<std::int64_t>(32, n - i));
    if (!all) all = Tensor<float>(part.shape().with(0, n), part.device());
    all.device().queue().copy(all.mutate() + i * row.size(), part.data(), std::size_t(part.size()) * sizeof(float));
  }
  return all;
}

void check_faces(Tensor<float> const& faces, std::int64_t side) {
  check(faces.rank() == 4 && faces.dim(0) > 0 && faces.dim(1) == side && faces.dim(2) == side && faces.dim(3) == 3, "faces must be [n, ",
        side, ", ", side, ", 3], got ", faces.shape());
}
void check_pictures(Tensor<float> const& pictures) {
  check(pictures.rank() == 4 && pictures.size() > 0 && pictures.dim(3) == 3, "pictures of faces must be [n, h, w, 3], got ",
        pictures.shape());
}
}  // namespace

Crop upright_crop(double x, double y, double side, std::int64_t w, std::int64_t h) {
  return {float(x * double(w)), float(y * double(h)), float(side * double(std::min(w, h))), 0};
}

Tensor<float> cut_out(Tensor<float> const& pictures, std::vector<Crop> const& crops, std::int64_t side) {
  check_pictures(pictures);
  check(side > 0 && !crops.empty() && (pictures.dim(0) == 1 || pictures.dim(0) == std::int64_t(crops.size())), "cut_out: ", pictures.dim(0),
        " pictures need as many crops, got ", crops.size());
  std::int64_t const m = std::int64_t(crops.size());
  std::vector<float> numbers;
  for (auto const& c : crops) {
    check(std::isfinite(c.x + c.y + c.ax + c.ay), "cut_out: a crop is not finite");
    numbers.insert(numbers.end(), {c.x, c.y, c.ax, c.ay});
  }
  Tensor<float> const where({m, 4}, numbers, pictures.device());
  Tensor<float> y({m, side, side, 3}, pictures.device());
  for_each(y.device(), m * side * side,
           CutKernel{pictures.data(), where.data(), y.mutate(), pictures.dim(0), pictures.dim(1), pictures.dim(2), side});
  return y;
}

V FaceConv::operator()(V const& x) const {
  V const y = conv2d(x, weight, {.stride = stride, .padding = {before, after, before, after}, .groups = groups});
  return bias ? y + bias : y;
}

// ---- landmarks ------------------------------------------------------------------------------------------------------------

LandmarkNet::LandmarkNet(std::string const& folder, Device device) {
  Reader read(folder, "face_landmark_68_model-weights_manifest.json", device);
  std::int64_t in = 3;
  for (int block = 0; block < 4; ++block) {
    std::int64_t const out = 32 << block;
    for (int layer = 0; layer < 4; ++layer) {
      std::string const name = str("dense", block, "/conv", layer);
      // "Same" padding of an even size: with stride 2 it is all on the right and below.
      int const stride = layer == 0 ? 2 : 1, before = layer == 0 ? 0 : 1;
      if (in == 3) {
        first_.weight = read.filters(name + "/filters", 3, 3, out), first_.bias = read.bias(name + "/bias", out);
        first_.stride = stride, first_.before = before, first_.after = 1;
      } else {
        Separable s;
        s.depth.weight = read.depthwise(name + "/depthwise_filter", in);
        s.depth.stride = stride, s.depth.before = before, s.depth.after = 1, s.depth.groups = int(in);
        s.point.weight = read.filters(name + "/pointwise_filter", 1, in, out), s.point.bias = read.bias(name + "/bias", out);
        layers_.push_back(std::move(s));
      }
      in = out;
    }
  }
  fc_ = read.matrix("fc/weights", 256, 136), fc_bias_ = read.bias("fc/bias", 136);
  read.finish();
}

Tensor<float> LandmarkNet::in_crops(Tensor<float> const& faces) const {
  check_faces(faces, 112);
  return in_parts(faces.dim(0), {68, 2}, [&](std::int64_t first, std::int64_t n) {
    V x = centred(faces.rows(first, n), 255);
    for (std::size_t block = 0; block < 4; ++block) {
      // Each layer of a block sees the sum of all layers before it.
      auto const layer = [&](std::size_t i) -> Separable const& { return layers_[4 * block + i - 1]; };
      V so_far = relu(block == 0 ? first_(x) : layer(0)(x));
      V seen = so_far;
      for (std::size_t i = 1; i < 4; ++i) {
        so_far = so_far + layer(i)(seen);
        seen = relu(so_far);
      }
      x = seen;
    }
    V const pooled = mean(reshape(x, {n, x.dim(1) * x.dim(2), x.dim(3)}), 1);
    return (matmul(pooled, fc_) + fc_bias_).value().reshape({n, 68, 2});
  });
}

namespace {
/// The number that a landmark has in the mirror image.
int mirrored_landmark(int l) {
  constexpr int eyes_and_mouth[32] = {45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40, 54, 53, 52, 51,
                                      50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65};
  return l < 17 ? 16 - l : l < 27 ? 43 - l : l < 31 ? l : l < 36 ? 66 - l : eyes_and_mouth[l - 36];
}
}  // namespace

Tensor<float> LandmarkNet::operator()(Tensor<float> const& pictures) const {
  check_pictures(pictures);
  // The net puts points a little too far left and up, wherever the face is. Seen in the mirror as well, left and right cancel;
  // what is left, upwards, was measured on portraits with dlib's points.
  constexpr float too_high = 0.0154f, side = 0.78f;
  std::int64_t const n = pictures.dim(0), h = pictures.dim(1), w = pictures.dim(2);
  std::vector<Crop> const crops(std::size_t(n), upright_crop(0.5 - side / 2, 0.67 - side / 2, side, w, h));
  Tensor<float> const faces = cut_out(pictures, crops, 112);
  Tensor<int> backwards({112});
  for (int i = 0; i < 112; ++i) backwards.mutate()[i] = 111 - i;
  std::vector<float> const seen = in_crops(faces).host(),
                           mirrored = in_crops(gather(V(faces), backwards.to(faces.device()), 2).value()).host();
  std::vector<float> points(seen.size());
  for (std::int64_t i = 0; i < n; ++i)
    for (int l = 0; l < 68; ++l) {
      std::size_t const at = std::size_t(2 * (68 * i + l)), other = std::size_t(2 * (68 * i + mirrored_landmark(l)));
      float const u = (seen[at] + 1 - mirrored[other]) / 2, v = (seen[at + 1] + mirrored[other + 1]) / 2 + too_high;
      Crop const& c = crops[std::size_t(i)];
      points[at] = (c.x + c.ax * u - c.ay * v) / float(w), points[at + 1] = (c.y + c.ay * u + c.ax * v) / float(h);
    }
  return Tensor<float>({n, 68, 2}, points, pictures.device());
}

// ---- who it is ------------------------------------------------------------------------------------------------------------

FaceRecogniser::FaceRecogniser(std::string const& folder, Device device) {
  Reader read(folder, "face_recognition_model-weights_manifest.json", device);
  first_ = read.scaled("conv32_down", 7, 3, 32);
  first_.stride = 2;
  std::int64_t in = 32;
  auto residual = [&](std::string const& name, std::int64_t out, bool halves) {
    Residual r{read.scaled(name + "/conv1", 3, in, out), read.scaled(name + "/conv2", 3, out, out)};
    r.two.before = r.two.after = 1;
    if (halves)
      r.one.stride = 2;
    else
      r.one.before = r.one.after = 1;
    blocks_.push_back(std::move(r));
    in = out;
  };
  int const count[4] = {3, 3, 2, 2};
  for (int level = 0; level < 4; ++level) {
    std::int64_t const out = 32 << level;
    if (level > 0) residual(str("conv", out, "_down"), out, true);
    for (int i = 1; i <= count[level]; ++i) residual(str("conv", out, "_", i), out, false);
  }
  residual("conv256_down_out", 256, true);
  fc_ = read.matrix("fc", 256, 128);
  read.finish();
}

V FaceRecogniser::Residual::operator()(V const& x) const {
  V const y = two(relu(one(x)));
  return one.stride == 2 ? join_halved(x, y) : relu(x + y);
}

Tensor<float> FaceRecogniser::in_crops(Tensor<float> const& faces) const {
  check_faces(faces, 150);
  return in_parts(faces.dim(0), {128}, [&](std::int64_t first, std::int64_t n) {
    V x = max_pool(relu(first_(centred(faces.rows(first, n), 256))));
    for (auto const& block : blocks_) x = block(x);
    return matmul(mean(reshape(x, {n, x.dim(1) * x.dim(2), x.dim(3)}), 1), fc_).value();
  });
}

Crop recogniser_crop(float const* landmarks, std::int64_t w, std::int64_t h) {
  // Corners of the eyes from outside to inside and back, base of the nose, in dlib's mean face, whose unit square is the
  // face; the crop has a quarter more on every side.
  constexpr int number[5] = {36, 39, 42, 45, 33};
  constexpr double mean_face[5][2] = {{0.1206, 0.2137}, {0.3341, 0.2291}, {0.6461, 0.2290}, {0.8596, 0.2135}, {0.4901, 0.6278}};
  double const padding = 0.25;
  double from[5][2], to[5][2], from_mean[2] = {0, 0}, to_mean[2] = {0, 0};
  for (int i = 0; i < 5; ++i)
    for (int k = 0; k < 2; ++k) {
      from[i][k] = (mean_face[i][k] + padding) / (1 + 2 * padding);
      to[i][k] = double(landmarks[2 * number[i] + k]) * double(k ? h : w);
      from_mean[k] += from[i][k] / 5, to_mean[k] += to[i][k] / 5;
    }
  // The similarity of least squares, as a complex number a: to = a from + b.
  double along = 0, across = 0, square = 0;
  for (int i = 0; i < 5; ++i) {
    double const fx = from[i][0] - from_mean[0], fy = from[i][1] - from_mean[1], tx = to[i][0] - to_mean[0], ty = to[i][1] - to_mean[1];
    along += fx * tx + fy * ty, across += fx * ty - fy * tx, square += fx * fx + fy * fy;
  }
  double const ax = along / square, ay = across / square;
  return {float(to_mean[0] - ax * from_mean[0] + ay * from_mean[1]), float(to_mean[1] - ay * from_mean[0] - ax * from_mean[1]), float(ax),
          float(ay)};
}

Tensor<float> FaceRecogniser::operator()(Tensor<float> const& pictures, Tensor<float> const& landmarks) const {
  check_pictures(pictures);
  std::int64_t const n = pictures.dim(0);
  check(landmarks.shape() == Shape{n, 68, 2}, "landmarks must be ", Shape{n, 68, 2}, ", got ", landmarks.shape());
  std::vector<float> const points = landmarks.host();
  std::vector<Crop> crops;
  for (std::int64_t i = 0; i < n; ++i) crops.push_back(recogniser_crop(&points[std::size_t(136 * i)], pictures.dim(2), pictures.dim(1)));
  return in_crops(cut_out(pictures, crops, 150));
}

}  // namespace program
