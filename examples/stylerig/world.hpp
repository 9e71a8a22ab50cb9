// A generator as the verbs use it: the network, the narrow handle that training asks for, and, where the file comes from an
// oracle world, the truth behind its codes.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "faces/landmarks.hpp"
#include "program.hpp"
#include "rig/nn/load_generator.hpp"
#include "rig/stylerig/corpus.hpp"
#include "rig/stylerig/oracle.hpp"
#include "rig/stylerig/stylegan_handle.hpp"

namespace program {

/// p*(w) and the scene it parametrises.
struct Truth {
  rig::stylerig::OracleTruth function;
  rig::stylerig::OracleScene scene;
  /// On the CPU, where the truth lies; codes may be anywhere.
  rig::Tensor<float> parameters(rig::Tensor<float> const& codes) const { return scene.parameters(function.factors(codes.to(rig::cpu()))); }
};

struct World {
  std::string path;
  rig::nn::Generator<float> network;
  rig::stylerig::GeneratorHandle handle;
  std::shared_ptr<Truth const> truth;  ///< null for generators that nobody knows the truth of
  double psi = 1;                      ///< truncation of fresh codes: that of the corpus that a run learned from

  /// Codes [n, rows, w_dim] of seeds, truncated.
  rig::Tensor<float> codes(std::vector<std::uint32_t> const& seeds, rig::nn::Truncation truncation = {}) const;
  /// Pictures of codes [n, rows, w_dim], 0..1, made a few at a time.
  rig::Tensor<float> pictures(rig::Tensor<float> const& codes) const;
  rig::io::Texts texts() const { return {{"Generator", handle.hash}}; }
};

struct WorldOptions {
  int label = -1;                ///< class of a conditional generator; -1: none given
  std::string noise = "stored";  ///< or "none"
  bool trained = false;          ///< the generator that was being trained instead of the averaged one
  std::string truth;             ///< file with the truth; empty: truth.safetensors beside the generator, if it is this generator's
};
/// What a verb says of its argument GENERATOR.
inline constexpr char const* generator_help =
    "Any StyleGAN: official .pkl (TensorFlow or PyTorch), .pt, .pth, .hdf5, .npz, or rig's .safetensors";
/// Adds --class, --noise, --trained and --truth.
void add_world_options(CLI::App& verb, WorldOptions& options);
World load_world(std::string const& path, Context const& context, WorldOptions const& options = {});

/// How a truth lies in a file: its tensors, the options of the scene, and the hash of the generator it belongs to.
void save_truth(std::string const& path, rig::stylerig::OracleTruth& truth, rig::stylerig::OracleOptions const& options,
                std::string const& generator_hash);
std::shared_ptr<Truth const> load_truth(std::string const& path, std::string const& generator_hash);

/// The truth as a source of landmarks and parameters for a corpus.
rig::stylerig::LandmarkSource truth_landmarks(std::shared_ptr<Truth const> truth);
rig::stylerig::TruthSource truth_parameters(std::shared_ptr<Truth const> truth);

/// Landmarks that are looked for in the pictures themselves, each of weight 1.
rig::stylerig::LandmarkSource found_landmarks(LandmarkFinder const& finder);

/// The generator that the repository holds. Error saying how to make it if it is not there.
std::string shipped_generator();

}  // namespace program
