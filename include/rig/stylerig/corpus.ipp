#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "rig/io/atomic_file.hpp"
#include "rig/io/safetensors.hpp"
#include "rig/stylerig/corpus.hpp"
#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE MixingRecipe mixing_recipe(std::uint64_t seed, std::int64_t item, std::int64_t rows, int max_latents) {
  check(rows > 0 && rows < 256 && max_latents > 0, "mixing_recipe: rows must be 1..255 and max_latents positive, got ", rows, " and ",
        max_latents);
  Rng rng = Rng(seed).split(std::uint64_t(item));
  MixingRecipe m;
  m.latents = 1 + int(rng.below(std::min<std::int64_t>(max_latents, rows)));
  std::vector<int> places;
  for (int i = 1; i < int(rows); ++i) places.push_back(i);
  for (int j = 0; j + 1 < m.latents; ++j) {
    std::swap(places[std::size_t(j)], places[std::size_t(j + rng.below(std::int64_t(places.size()) - j))]);
    m.cuts.push_back(places[std::size_t(j)]);
  }
  std::sort(m.cuts.begin(), m.cuts.end());
  for (int i = 0, j = 0; i < int(rows); ++i) {
    while (j < int(m.cuts.size()) && m.cuts[std::size_t(j)] <= i) ++j;
    m.row.push_back(static_cast<unsigned char>(j));
  }
  return m;
}

RIG_INLINE Tensor<float> mixing_noise(std::uint64_t seed, std::int64_t item, int latents, std::int64_t z_dim) {
  Rng rng = Rng(seed).split(std::uint64_t(item)).split(1);
  return randn<float>({latents, z_dim}, rng);
}

RIG_INLINE Split split_of(std::int64_t item) {
  double const u = Philox::unit(Philox::draw(0x73706c69740aull, std::uint64_t(item), 0).v[0]);
  return u < 0.96 ? Split::train : u < 0.98 ? Split::validation : Split::test;
}

namespace detail {
struct ReducePicturesKernel {
  float* y;
  float const* x;
  std::int64_t out_h, out_w, k, in_w;
  RIG_HD void operator()(std::int64_t row, std::int64_t c) const {  // row over n and output rows, c over output columns and channels
    std::int64_t const col = c / 3, ch = c % 3, image = row / out_h, r = row % out_h;
    float s = 0;
    for (std::int64_t i = 0; i < k; ++i)
      for (std::int64_t j = 0; j < k; ++j) {
        float const v = x[((image * out_h * k + r * k + i) * in_w + col * k + j) * 3 + ch];
        s += v < -1 ? 0.f : v > 1 ? 1.f : 0.5f * (v + 1);
      }
    y[(row * out_w + col) * 3 + ch] = s / float(k * k);
  }
};
struct ToBytesKernel {
  unsigned char* y;
  float const* x;
  RIG_HD void operator()(std::int64_t i) const { y[i] = static_cast<unsigned char>(255.f * x[i] + 0.5f); }
};
/// Rows of bytes from several places to floats 0..1.
struct UnpackPicturesKernel {
  float* y;
  unsigned char const* const* rows;
  std::int64_t width;
  RIG_HD void operator()(std::int64_t r, std::int64_t c) const { y[r * width + c] = float(rows[r][c]) * (1.f / 255.f); }
};
struct CopyPictureKernel {
  unsigned char* y;
  unsigned char const* const* rows;
  std::int64_t width;
  void operator()(std::int64_t r) const { std::copy(rows[r], rows[r] + width, y + r * width); }
};
struct FromBytesKernel {
  float* y;
  unsigned char const* x;
  RIG_HD void operator()(std::int64_t i) const { y[i] = float(x[i]) * (1.f / 255.f); }
};
/// Rows of codes from the latents they point to; base is a pointer an item.
struct AssembleCodesKernel {
  float* y;
  float const* const* latents;
  unsigned char const* const* row;
  std::int64_t rows, w_dim;
  RIG_HD void operator()(std::int64_t r, std::int64_t c) const {
    std::int64_t const item = r / rows, i = r % rows;
    y[r * w_dim + c] = latents[item][row[item][i] * w_dim + c];
  }
};
inline std::string chunk_path(std::string const& folder, std::int64_t number) {
  char name[40];
  std::snprintf(name, sizeof name, "chunk_%06lld.safetensors", static_cast<long long>(number));
  return (std::filesystem::path(folder) / name).string();
}
inline std::string corpus_path(std::string const& folder) { return (std::filesystem::path(folder) / "corpus.safetensors").string(); }
inline std::string rejected_path(std::string const& folder) { return (std::filesystem::path(folder) / "rejected.safetensors").string(); }
}  // namespace detail

RIG_INLINE Tensor<float> reduce_pictures(Tensor<float> const& pictures, std::int64_t size) {
  check(pictures.rank() == 4 && pictures.dim(3) == 3, "reduce_pictures: expected [n, h, w, 3], got ", pictures.shape());
  check(size > 0 && pictures.dim(1) % size == 0 && pictures.dim(1) == pictures.dim(2),
        "reduce_pictures: a square picture whose side is a multiple of ", size, " was expected, got ", pictures.shape());
  Tensor<float> y({pictures.dim(0), size, size, 3}, pictures.device());
  for_each(y.device(), pictures.dim(0) * size, size * 3,
           detail::ReducePicturesKernel{y.mutate(), pictures.data(), size, size, pictures.dim(1) / size, pictures.dim(2)});
  return y;
}

RIG_INLINE Corpus::Chunk make_chunk(GeneratorHandle const& G, CorpusOptions const& o, std::int64_t first, std::int64_t count,
                                    LandmarkSource const& landmarks, TruthSource const& truth) {
  check(G.mapping && G.synthesis, "corpus: the generator has no mapping or no synthesis");
  check(o.truncation == 1 || std::int64_t(G.mean_latent.size()) == G.w_dim, "corpus: truncation ", o.truncation,
        " needs the generator's mean latent, which it does not have");
  std::int64_t const k = o.max_latents;
  Corpus::Chunk c;
  c.first = first;
  c.latents = zeros<float>({count, k, G.w_dim});
  c.row = Tensor<unsigned char>({count, G.rows});
  c.pictures = Tensor<unsigned char>({count, o.picture_size, o.picture_size, 3});
  float* latents = c.latents.mutate();
  unsigned char* row = c.row.mutate();
  unsigned char* bytes = c.pictures.mutate();
  std::vector<Tensor<float>> marks, truths;
  for (std::int64_t i = 0; i < count; i += o.batch) {
    std::int64_t const n = std::min(o.batch, count - i);
    std::vector<float> z;
    std::vector<MixingRecipe> recipes;
    for (std::int64_t j = 0; j < n; ++j) {
      recipes.push_back(mixing_recipe(o.seed, first + i + j, G.rows, o.max_latents));
      std::vector<float> const v = mixing_noise(o.seed, first + i + j, recipes.back().latents, G.z_dim).host();
      z.insert(z.end(), v.begin(), v.end());
    }
    std::int64_t const vectors = std::int64_t(z.size()) / G.z_dim;
    Tensor<float> const u = G.mapping(Tensor<float>({vectors, G.z_dim}, z)).to(cpu());
    check(u.shape() == (Shape{vectors, G.w_dim}), "corpus: the mapping must return [", vectors, ", ", G.w_dim, "], got ", u.shape());
    std::int64_t at = 0;
    std::vector<float const*> sources;
    std::vector<unsigned char const*> rows;
    for (std::int64_t j = 0; j < n; ++j) {
      float* to = latents + (i + j) * k * G.w_dim;
      for (int l = 0; l < recipes[std::size_t(j)].latents; ++l, ++at)
        for (std::int64_t d = 0; d < G.w_dim; ++d) {
          float const v = u.data()[at * G.w_dim + d];
          to[l * G.w_dim + d] =
              o.truncation == 1 ? v : G.mean_latent[std::size_t(d)] + float(o.truncation) * (v - G.mean_latent[std::size_t(d)]);
        }
      std::copy(recipes[std::size_t(j)].row.begin(), recipes[std::size_t(j)].row.end(), row + (i + j) * G.rows);
      sources.push_back(to);
      rows.push_back(row + (i + j) * G.rows);
    }
    Tensor<float> codes({n, G.rows, G.w_dim});
    for_each(codes.device(), n * G.rows, G.w_dim,
             detail::AssembleCodesKernel{codes.mutate(), sources.data(), rows.data(), G.rows, G.w_dim});
    Tensor<float> const full = G.synthesis(codes);
    check(full.rank() == 4 && full.dim(0) == n, "corpus: the synthesis must return [", n, ", h, w, 3], got ", full.shape());
    Tensor<float> const small = reduce_pictures(full, o.picture_size).to(cpu());
    for_each(cpu(), small.size(), detail::ToBytesKernel{bytes + i * o.picture_size * o.picture_size * 3, small.data()});
    if (landmarks) marks.push_back(landmarks(first + i, codes, reduce_pictures(full, full.dim(1)).to(cpu())).to(cpu()));
    if (truth) truths.push_back(truth(codes).to(cpu()));
  }
  auto joined = [](std::vector<Tensor<float>> const& parts) {
    std::vector<Var<float>> v(parts.begin(), parts.end());
    return v.empty() ? Tensor<float>{} : concat<float>(v, 0).value();
  };
  c.landmarks = joined(marks);
  c.truth = joined(truths);
  check(!c.landmarks || (c.landmarks.rank() == 3 && c.landmarks.dim(0) == count && c.landmarks.dim(2) == 3),
        "corpus: landmarks must be [n, points, 3], got ", c.landmarks.shape());
  return c;
}

RIG_INLINE void Corpus::add(Chunk c) {
  check(c.first == size(), "corpus: chunks must be added in order; expected item ", size(), ", got ", c.first);
  std::int64_t const marks = c.landmarks ? c.landmarks.dim(1) : 0, known = c.truth ? c.truth.dim(1) : 0;
  check(chunks_.empty() || (marks == landmark_count_ && known == truth_size_), "corpus: the chunk at item ", c.first, " has ", marks,
        " landmarks and ", known, " true parameters an item, those before it ", landmark_count_, " and ", truth_size_);
  landmark_count_ = marks, truth_size_ = known;
  flags_.insert(flags_.end(), std::size_t(c.latents.dim(0)), item_good);
  chunks_.push_back(std::move(c));
}

RIG_INLINE Corpus::Chunk const& Corpus::chunk_of(std::int64_t item, std::int64_t& local) const {
  check(item >= 0 && item < size(), "corpus: item ", item, " is outside [0, ", size(), ")");
  Chunk const& c = chunks_[std::size_t(item / options.chunk)];
  local = item - c.first;
  return c;
}

RIG_INLINE Tensor<float> Corpus::codes_on_host(std::vector<int> const& items) const {
  std::vector<float const*> sources;
  std::vector<unsigned char const*> which;
  for (int item : items) {
    std::int64_t i = 0;
    Chunk const& c = chunk_of(item, i);
    sources.push_back(c.latents.data() + i * c.latents.dim(1) * w_dim);
    which.push_back(c.row.data() + i * rows);
  }
  Tensor<float> y({std::int64_t(items.size()), rows, w_dim});
  for_each(cpu(), y.dim(0) * rows, w_dim, detail::AssembleCodesKernel{y.mutate(), sources.data(), which.data(), rows, w_dim});
  return y;
}
RIG_INLINE Tensor<float> Corpus::codes(std::vector<int> const& items, Device const& device) const {
  return codes_on_host(items).to(device);
}
RIG_INLINE void Corpus::load(std::vector<int> const& items, Tensor<float>& codes) const { codes.assign(codes_on_host(items)); }

RIG_INLINE Observation Corpus::observe(std::vector<int> const& items, Device const& device) const {
  std::int64_t const n = std::int64_t(items.size()), s = options.picture_size;
  Observation o{Tensor<float>({n, s, s, 3}, device), {}};
  if (has_landmarks()) o.landmarks = Tensor<float>({n, landmark_count_, 3}, device);
  load(items, o);
  return o;
}
RIG_INLINE void Corpus::load(std::vector<int> const& items, Observation& o) const {
  std::vector<unsigned char const*> sources;
  std::int64_t const n = std::int64_t(items.size()), width = options.picture_size * options.picture_size * 3;
  check(o.pictures.size() == n * width, "corpus: ", n, " pictures do not fit into ", o.pictures.shape());
  for (int item : items) {
    std::int64_t i = 0;
    Chunk const& c = chunk_of(item, i);
    sources.push_back(c.pictures.data() + i * width);
  }
  if (Device const device = o.pictures.device(); device.is_cpu()) {
    for_each(device, n, width, detail::UnpackPicturesKernel{o.pictures.mutate(), sources.data(), width});
  } else {  // bytes travel, floats are made there
    Tensor<unsigned char> bytes({n, width});
    unsigned char* const to = bytes.mutate();
    for_each_on_cpu(n, detail::CopyPictureKernel{to, sources.data(), width});
    for_each(device, n * width, detail::FromBytesKernel{o.pictures.mutate(), bytes.to(device).data()});
  }
  if (has_landmarks()) o.landmarks.assign(landmarks_of(items));
}

namespace detail {
template <class Pick> Tensor<float> pick_rows(std::vector<int> const& items, std::int64_t a, std::int64_t b, Pick pick) {
  Tensor<float> y(b > 0 ? Shape{std::int64_t(items.size()), a, b} : Shape{std::int64_t(items.size()), a});
  std::int64_t const width = b > 0 ? a * b : a;
  float* to = y.mutate();
  for (std::size_t k = 0; k < items.size(); ++k) {
    float const* from = pick(items[k]);
    std::copy(from, from + width, to + std::int64_t(k) * width);
  }
  return y;
}
}  // namespace detail

RIG_INLINE Tensor<float> Corpus::landmarks_of(std::vector<int> const& items) const {
  check(has_landmarks(), "corpus: there are no landmarks in it");
  return detail::pick_rows(items, landmark_count_, 3, [&](int item) {
    std::int64_t i = 0;
    Chunk const& c = chunk_of(item, i);
    return c.landmarks.data() + i * landmark_count_ * 3;
  });
}
RIG_INLINE Tensor<float> Corpus::truth(std::vector<int> const& items) const {
  check(has_truth(), "corpus: the true parameters are not known in it");
  return detail::pick_rows(items, truth_size_, 0, [&](int item) {
    std::int64_t i = 0;
    Chunk const& c = chunk_of(item, i);
    return c.truth.data() + i * truth_size_;
  });
}

RIG_INLINE std::vector<int> Corpus::items(Split split) const {
  std::vector<int> list;
  for (std::int64_t i = 0; i < size(); ++i)
    if (split_of(i) == split && !flags_[std::size_t(i)]) list.push_back(int(i));
  return list;
}
RIG_INLINE std::vector<int> Corpus::all_items() const {
  std::vector<int> list;
  for (std::int64_t i = 0; i < size(); ++i) list.push_back(int(i));
  return list;
}
RIG_INLINE void Corpus::reject(std::vector<int> const& items) {
  for (int i : items) {
    check(i >= 0 && i < size(), "corpus: item ", i, " is outside [0, ", size(), ")");
    flags_[std::size_t(i)] = item_rejected;
  }
}
RIG_INLINE std::int64_t Corpus::rejected() const {
  return std::count(flags_.begin(), flags_.end(), static_cast<unsigned char>(item_rejected));
}

RIG_INLINE std::string Corpus::provenance() const {
  return str("generator ", generator, ", seed ", options.seed, ", ", size(), " items, truncation ", options.truncation, ", pictures ",
             options.picture_size, ", noise ", noise, ", landmarks ", landmarks);
}

RIG_INLINE Corpus make_corpus(GeneratorHandle const& G, CorpusOptions const& o, LandmarkSource const& landmarks,
                              std::string const& landmark_name, TruthSource const& truth, CorpusHooks const& hooks) {
  check(o.count > 0 && o.chunk > 0 && o.batch > 0, "corpus: count, chunk and batch must be positive, got ", o.count, ", ", o.chunk, ", ",
        o.batch);
  Corpus corpus;
  corpus.options = o;
  corpus.generator = G.hash;
  corpus.landmarks = landmark_name;
  corpus.noise = G.noise;
  corpus.rows = G.rows;
  corpus.w_dim = G.w_dim;
  for (std::int64_t first = 0; first < o.count; first += o.chunk) {
    if (train::stop_asked(hooks.stop)) throw Error(str("corpus: stopped after ", first, " of ", o.count, " items"));
    corpus.add(make_chunk(G, o, first, std::min(o.chunk, o.count - first), landmarks, truth));
    if (hooks.progress) hooks.progress(corpus.size(), o.count);
  }
  return corpus;
}

namespace detail {
/// The chunk at item `first`; its tensors stay in the mapped file. Error if the file is damaged, of another corpus or of other sizes.
inline Corpus::Chunk read_chunk(std::string const& folder, std::string const& generator, std::int64_t rows, std::int64_t w_dim,
                                CorpusOptions const& o, std::int64_t first) {
  std::string const path = chunk_path(folder, first / o.chunk);
  io::Safetensors const f = io::read_safetensors(path);
  check(io::metadata_value(f.metadata, "generator", path) == generator &&
            io::metadata_value(f.metadata, "seed", path) == std::to_string(o.seed) &&
            io::metadata_value(f.metadata, "first", path) == std::to_string(first),
        path, ": belongs to another corpus than ", corpus_path(folder));
  Corpus::Chunk c;
  c.first = first;
  std::int64_t const count = std::min(o.chunk, o.count - first), s = o.picture_size;
  auto at = [&](char const* name, Shape const& shape) -> io::AnyTensor const& {
    io::AnyTensor const& t = f.at(name);
    check(t.shape() == shape, path, ": ", name, " must be ", shape, ", got ", t.shape());
    return t;
  };
  c.latents = at("latents", {count, o.max_latents, w_dim}).borrow<float>();
  c.row = at("row", {count, rows}).borrow<unsigned char>();
  for (std::int64_t i = 0; i < c.row.size(); ++i)
    check(c.row.data()[i] < o.max_latents, path, ": row names latent ", int(c.row.data()[i]), " of ", o.max_latents);
  c.pictures = at("pictures", {count, s, s, 3}).borrow<unsigned char>();
  auto columns = [&](io::AnyTensor const& t, char const* name, int rank) {
    check(t.shape().rank() == rank, path, ": ", name, " must have ", rank, " axes, got ", t.shape());
    return t.shape()[1];
  };
  if (auto const* t = f.find("landmarks")) c.landmarks = at("landmarks", {count, columns(*t, "landmarks", 3), 3}).borrow<float>();
  if (auto const* t = f.find("truth")) c.truth = at("truth", {count, columns(*t, "truth", 2)}).borrow<float>();
  return c;
}

/// Whether a chunk is there and can be kept. What is wrong with one that cannot is told.
inline bool chunk_is_sound(std::string const& folder, GeneratorHandle const& G, CorpusOptions const& o, std::int64_t first, bool landmarks,
                           bool truth, CorpusHooks const& hooks) {
  std::string const path = chunk_path(folder, first / o.chunk);
  if (!std::filesystem::exists(path)) return false;
  try {
    Corpus::Chunk const c = read_chunk(folder, G.hash, G.rows, G.w_dim, o, first);
    check(bool(c.landmarks) == landmarks, path, ": was made ", landmarks ? "without" : "with", " landmarks");
    check(bool(c.truth) == truth, path, ": was made ", truth ? "without" : "with", " the true parameters");
    return true;
  } catch (Error const& e) {
    if (hooks.note) hooks.note(str(e.what(), "; it is made again"));
    return false;
  }
}
}  // namespace detail

RIG_INLINE bool write_corpus(std::string const& folder, GeneratorHandle const& G, CorpusOptions const& o, LandmarkSource const& landmarks,
                             std::string const& landmark_name, TruthSource const& truth, CorpusHooks const& hooks) {
  check(o.count > 0 && o.chunk > 0 && o.batch > 0, "corpus: count, chunk and batch must be positive, got ", o.count, ", ", o.chunk, ", ",
        o.batch);
  check(G.resolution == 0 || G.resolution % o.picture_size == 0, "corpus: the generator's resolution ", G.resolution,
        " is not a multiple of picture_size ", o.picture_size);
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  check(!error, "corpus: cannot create the folder ", folder, ": ", error.message());
  io::Metadata description{{"kind", "rig corpus"},
                           {"version", "1"},
                           {"generator", G.hash},
                           {"noise", G.noise},
                           {"landmarks", landmark_name},
                           {"rows", std::to_string(G.rows)},
                           {"w_dim", std::to_string(G.w_dim)},
                           {"z_dim", std::to_string(G.z_dim)}};
  for (auto const& [k, v] : train::to_settings(o)) description.emplace_back(k, v);
  std::string const main = detail::corpus_path(folder);
  if (std::filesystem::exists(main)) {
    io::Metadata const there = io::read_safetensors(main).metadata;
    for (auto const& [k, v] : description) {
      std::string const old = io::metadata_value(there, k, main);
      check(old == v, "corpus: ", folder, " holds another corpus: its ", k, " is ", old, ", asked for is ", v);
    }
  } else {
    io::save_safetensors(main, {{"count", io::AnyTensor(Tensor<std::int64_t>({1}, {o.count}))}}, description);
  }
  for (char const* prefix : {"corpus.", "chunk_"}) io::remove_abandoned(folder, prefix);
  std::vector<std::int64_t> missing;
  std::int64_t done = 0;
  for (std::int64_t first = 0; first < o.count; first += o.chunk) {
    if (detail::chunk_is_sound(folder, G, o, first, bool(landmarks), bool(truth), hooks))
      done += std::min(o.chunk, o.count - first);
    else
      missing.push_back(first);
  }
  if (hooks.progress) hooks.progress(done, o.count);
  for (std::int64_t const first : missing) {
    if (train::stop_asked(hooks.stop)) return false;
    std::int64_t const count = std::min(o.chunk, o.count - first);
    Corpus::Chunk const c = make_chunk(G, o, first, count, landmarks, truth);
    std::vector<io::NamedTensor> list{
        {"latents", io::AnyTensor(c.latents)}, {"row", io::AnyTensor(c.row)}, {"pictures", io::AnyTensor(c.pictures)}};
    if (c.landmarks) list.push_back({"landmarks", io::AnyTensor(c.landmarks)});
    if (c.truth) list.push_back({"truth", io::AnyTensor(c.truth)});
    io::save_safetensors(
        detail::chunk_path(folder, first / o.chunk), list,
        {{"kind", "rig corpus chunk"}, {"generator", G.hash}, {"seed", std::to_string(o.seed)}, {"first", std::to_string(first)}});
    done += count;
    if (hooks.progress) hooks.progress(done, o.count);
  }
  return true;
}

RIG_INLINE Corpus open_corpus(std::string const& folder, std::string const& generator_hash) {
  std::string const main = detail::corpus_path(folder);
  check(std::filesystem::exists(main), "corpus: ", folder, " is not a corpus: there is no ", main);
  io::Metadata const m = io::read_safetensors(main).metadata;
  check(io::metadata_value(m, "kind", main) == "rig corpus", main, ": not a corpus file");
  Corpus corpus;
  train::Settings settings;
  for (auto const& [k, v] : train::to_settings(corpus.options)) settings[k] = io::metadata_value(m, k, main);
  train::from_settings(corpus.options, settings);
  corpus.generator = io::metadata_value(m, "generator", main);
  corpus.landmarks = io::metadata_value(m, "landmarks", main);
  corpus.noise = io::metadata_value(m, "noise", main);
  corpus.rows = train::metadata_number<std::int64_t>(m, "rows", main);
  corpus.w_dim = train::metadata_number<std::int64_t>(m, "w_dim", main);
  check(corpus.rows > 0 && corpus.w_dim > 0 && corpus.options.count > 0 && corpus.options.chunk > 0, main, ": its sizes make no sense");
  check(generator_hash.empty() || generator_hash == corpus.generator, "corpus: ", folder, " was made by another generator: its hash is ",
        corpus.generator, ", the one given is ", generator_hash);
  auto const& o = corpus.options;
  for (std::int64_t first = 0; first < o.count; first += o.chunk) {
    std::string const path = detail::chunk_path(folder, first / o.chunk);
    check(std::filesystem::exists(path), "corpus: ", path, " is missing: the corpus is not finished; run its command again to continue it");
    corpus.add(detail::read_chunk(folder, corpus.generator, corpus.rows, corpus.w_dim, o, first));
  }
  if (std::filesystem::exists(detail::rejected_path(folder))) {
    std::vector<int> const list = io::read_safetensors(detail::rejected_path(folder)).at("items").as<int>().host();
    corpus.reject(list);
  }
  return corpus;
}

RIG_INLINE void save_rejected(std::string const& folder, Corpus const& corpus) {
  std::vector<int> list;
  std::vector<char> good(std::size_t(corpus.size()), 0);
  for (Split s : {Split::train, Split::validation, Split::test})
    for (int i : corpus.items(s)) good[std::size_t(i)] = 1;
  for (std::int64_t i = 0; i < corpus.size(); ++i)
    if (!good[std::size_t(i)]) list.push_back(int(i));
  io::save_safetensors(detail::rejected_path(folder), {{"items", io::AnyTensor(Tensor<int>({std::int64_t(list.size())}, list))}},
                       {{"kind", "rig corpus rejected items"}, {"generator", corpus.generator}});
}

RIG_INLINE LandmarkSource landmarks_from_file(std::string const& path) {
  std::ifstream file(path);
  check(bool(file), "landmarks: cannot open ", path);
  auto table = std::make_shared<std::map<std::int64_t, std::vector<float>>>();
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (auto const hash = line.find('#'); hash != std::string::npos) line.resize(hash);
    for (char& c : line)
      if (c == ',' || c == ';' || c == '\t' || c == '\r') c = ' ';
    std::vector<double> v;
    char const* at = line.c_str();
    for (char* end = nullptr;; at = end) {
      double const x = std::strtod(at, &end);
      if (end == at) break;
      v.push_back(x);
    }
    while (*at == ' ') ++at;
    check(*at == 0, "landmarks: ", path, ", line ", number, ": '", at, "' is not a number");
    if (v.empty()) continue;
    check(std::all_of(v.begin(), v.end(), [](double x) { return std::isfinite(x) && std::abs(x) < 1e15; }) && v[0] >= 0 &&
              v[0] == std::floor(v[0]),
          "landmarks: ", path, ", line ", number, ": expected a whole index from 0 and finite numbers after it");
    std::size_t const n = v.size() - 1;
    check(n == 132 || n == 136 || n == 198 || n == 204, "landmarks: ", path, ", line ", number,
          ": expected an index and 66 or 68 points of 2 or 3 numbers, got ", n, " numbers after the index");
    bool const weighted = n == 198 || n == 204, all = n == 136 || n == 204;
    std::vector<float> points(68 * 3, 0);
    for (std::size_t k = 0, from = 1; k < 68; ++k) {
      if (!all && (k == 60 || k == 64)) continue;
      points[3 * k] = float(v[from++]), points[3 * k + 1] = float(v[from++]);
      points[3 * k + 2] = weighted ? float(v[from++]) : 1.f;
    }
    (*table)[std::int64_t(v[0])] = std::move(points);
  }
  return [table](std::int64_t first, Tensor<float> const& codes, Tensor<float> const&) {
    std::int64_t const n = codes.dim(0);
    Tensor<float> y = zeros<float>({n, 68, 3});
    float* to = y.mutate();
    for (std::int64_t i = 0; i < n; ++i)
      if (auto const it = table->find(first + i); it != table->end()) std::copy(it->second.begin(), it->second.end(), to + i * 68 * 3);
    return y;
  };
}

}  // namespace rig::inline RIG_ABI::stylerig
