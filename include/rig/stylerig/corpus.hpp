// The corpus: codes made by mixing, the generator's pictures of them, landmarks where there are any. Item i is a function
// of (seed, i) alone, so a corpus can be regenerated, continued after a kill, and split without a list.
// On disk: a folder with corpus.safetensors (what it is) and chunk_000000.safetensors, ... (what is in it), each atomic.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "rig/core/random.hpp"
#include "rig/stylerig/generator.hpp"
#include "rig/stylerig/observation.hpp"
#include "rig/train/config.hpp"
#include "rig/train/progress.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// Which latent vector a row of a mixed code comes from (section 5.1): up to `max_latents` vectors, distinct cuts.
struct MixingRecipe {
  int latents = 1;
  std::vector<int> cuts;           ///< latents - 1 distinct rows in 1..rows-1, ascending
  std::vector<unsigned char> row;  ///< [rows], index of the vector
};
MixingRecipe mixing_recipe(std::uint64_t seed, std::int64_t item, std::int64_t rows, int max_latents);
/// The normal vectors behind an item, [latents, z_dim].
Tensor<float> mixing_noise(std::uint64_t seed, std::int64_t item, int latents, std::int64_t z_dim);

struct CorpusOptions {
  std::int64_t count = 50000;
  std::uint64_t seed = 1;
  int max_latents = 5;
  double truncation = 1;
  std::int64_t picture_size = 256;  ///< of the losses; the generator's resolution is a multiple of it
  std::int64_t chunk = 500;         ///< items a file
  std::int64_t batch = 16;          ///< pictures made at once; changes nothing
  void visit(auto&& f) {
    f("count", count), f("seed", seed), f("max_latents", max_latents), f("truncation", truncation), f("picture_size", picture_size),
        f("chunk", chunk);
  }
};

/// Landmarks [n, L, 3] = (u, v, weight) of items first, first + 1, ...; fractions of the picture. Codes and pictures
/// (0..1) are given to whoever needs them.
using LandmarkSource = std::function<Tensor<float>(std::int64_t first, Tensor<float> const& codes, Tensor<float> const& pictures)>;
/// Parameters [n, f] known to be true, in a world where somebody knows.
using TruthSource = std::function<Tensor<float>(Tensor<float> const& codes)>;

/// Landmarks from a text file of any tool: one line an item, its index and then u v (or u v weight) for 66 or 68 points
/// in fractions of the picture; '#' starts a comment. 66 points are the 68 without 60 and 64. Items that are missing get weight 0.
LandmarkSource landmarks_from_file(std::string const& path);

enum class Split { train, validation, test };
/// By a hash of the index: 96 %, 2 %, 2 %.
Split split_of(std::int64_t item);

enum ItemFlag : unsigned char { item_good = 0, item_rejected = 1 };

class Corpus {
 public:
  CorpusOptions options;
  std::string generator;  ///< hash
  std::string landmarks;  ///< where they come from: "none", "truth", "file HASH", ...
  std::string noise;
  std::int64_t rows = 0, w_dim = 0;

  std::int64_t size() const { return std::int64_t(flags_.size()); }
  /// Codes [n, rows, w_dim].
  Tensor<float> codes(std::vector<int> const& items, Device const& device = {}) const;
  /// Pictures and landmarks.
  Observation observe(std::vector<int> const& items, Device const& device = {}) const;
  /// The same into what an earlier call for as many items made. Nobody waits for the device.
  void load(std::vector<int> const& items, Tensor<float>& codes) const;
  void load(std::vector<int> const& items, Observation& seen) const;
  Tensor<float> landmarks_of(std::vector<int> const& items) const;
  bool has_landmarks() const { return landmark_count_ > 0; }
  std::int64_t landmark_count() const { return landmark_count_; }
  bool has_truth() const { return truth_size_ > 0; }
  /// [n, f]
  Tensor<float> truth(std::vector<int> const& items) const;
  /// Items of a split that are not rejected, ascending.
  std::vector<int> items(Split split) const;
  std::vector<int> all_items() const;
  /// Leaves items out of items() from now on.
  void reject(std::vector<int> const& items);
  std::int64_t rejected() const;
  /// One-line description of origin that networks trained on it carry.
  std::string provenance() const;

  /// One file's content; also how a corpus in memory is built.
  struct Chunk {
    std::int64_t first = 0;
    Tensor<float> latents;           ///< [m, K, w_dim]
    Tensor<unsigned char> row;       ///< [m, rows]: which latent a row is
    Tensor<unsigned char> pictures;  ///< [m, s, s, 3]
    Tensor<float> landmarks;         ///< [m, L, 3] or empty
    Tensor<float> truth;             ///< [m, f] or empty
  };
  void add(Chunk chunk);

 private:
  std::vector<Chunk> chunks_;
  std::vector<unsigned char> flags_;
  std::int64_t landmark_count_ = 0, truth_size_ = 0;
  Chunk const& chunk_of(std::int64_t item, std::int64_t& local) const;
  Tensor<float> codes_on_host(std::vector<int> const& items) const;
};

/// What a long job tells and asks.
struct CorpusHooks {
  train::StopFlag const* stop = nullptr;
  std::function<void(std::int64_t done, std::int64_t total)> progress;  ///< of write_corpus first with what is there already
  std::function<void(std::string const& what)> note;                    ///< one sentence: a chunk is damaged and is made again
};

/// One chunk: items [first, first + count).
Corpus::Chunk make_chunk(GeneratorHandle const& G, CorpusOptions const& o, std::int64_t first, std::int64_t count,
                         LandmarkSource const& landmarks = {}, TruthSource const& truth = {});
/// The whole corpus in memory.
Corpus make_corpus(GeneratorHandle const& G, CorpusOptions const& o, LandmarkSource const& landmarks = {},
                   std::string const& landmark_name = "none", TruthSource const& truth = {}, CorpusHooks const& hooks = {});
/// The whole corpus into a folder; chunks that are there already are kept if they are sound, else made again. Returns false if it was
/// asked to stop before the end. What a killed process left half-written is removed. A folder with another corpus is an Error that says
/// what differs.
bool write_corpus(std::string const& folder, GeneratorHandle const& G, CorpusOptions const& o, LandmarkSource const& landmarks = {},
                  std::string const& landmark_name = "none", TruthSource const& truth = {}, CorpusHooks const& hooks = {});
/// Opens a folder; pictures stay in the mapped files. A missing chunk, or a generator hash other than the one given (if any), is an Error.
Corpus open_corpus(std::string const& folder, std::string const& generator_hash = {});
/// Stores which items are rejected beside the chunks.
void save_rejected(std::string const& folder, Corpus const& corpus);

/// -1..1 pictures [n, h, w, 3] to 0..1 at a smaller size by averaging whole blocks. Not differentiable.
Tensor<float> reduce_pictures(Tensor<float> const& pictures, std::int64_t size);

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/corpus.ipp"
#endif
