// From one face to another: any of pose, expression and light, single entries, or all layers of a range for comparison;
// and new faces with some things fixed (sections 4.3 and 4.4 of the paper).
#pragma once
#include <string>
#include <vector>

#include "rig/stylerig/rig.hpp"

namespace rig::inline RIG_ABI::stylerig {

/// w_hat: codes w [n, rows, w_dim] that take the controls `c` from codes v of the same shape.
Tensor<float> transfer(Rig const& rig, Tensor<float> const& w, Tensor<float> const& v, Control c, EditOptions const& o = {});
/// Only the entries with these labels ("rotation.yaw", "expression.jawOpen").
Tensor<float> transfer_entries(Rig const& rig, Tensor<float> const& w, Tensor<float> const& v, std::vector<std::string> const& labels,
                               EditOptions const& o = {});
/// Pose, expression and light each from codes of their own; an empty tensor: stays.
Tensor<float> transfer_each(Rig const& rig, Tensor<float> const& w, Tensor<float> const& pose, Tensor<float> const& expression,
                            Tensor<float> const& light, EditOptions const& o = {});
/// The paper's mixing figure: targets [t, ...] in rows, sources [s, ...] in columns; codes [t * s, rows, w_dim], row by row.
Tensor<float> transfer_grid(Rig const& rig, Tensor<float> const& targets, Tensor<float> const& sources, Control c,
                            EditOptions const& o = {});

/// StyleGAN's own mixing: rows [first, last) of v in w.
Tensor<float> mix_layers(Tensor<float> const& w, Tensor<float> const& v, std::int64_t first, std::int64_t last);
/// Neighbouring rows that steer one range of sizes: [first, last).
struct RowRange {
  std::string name;  ///< "coarse", "medium" or "fine"
  std::int64_t first = 0, last = 0;
};
/// The ranges of a generator's rows, from Generator::row_names. Small generators have no fine rows.
inline std::vector<RowRange> row_ranges(std::vector<std::string> const& row_names) {
  std::vector<RowRange> ranges;
  for (std::size_t i = 0; i < row_names.size(); ++i) {
    if (ranges.empty() || ranges.back().name != row_names[i]) ranges.push_back({row_names[i], std::int64_t(i), 0});
    ranges.back().last = std::int64_t(i) + 1;
  }
  return ranges;
}

/// New codes with some things fixed.
struct GenerationOptions {
  std::int64_t count = 16;
  std::uint64_t seed = 1;  ///< item i is a function of (seed, i) and of how often it was rejected
  double truncation = 1;
  double tolerance = 0;  ///< largest accepted |measured - wished| in corpus deviations, over the wished entries; 0: all are taken
  int tries = 10;        ///< for each item; the best of them is kept if none is within the tolerance
  EditOptions edit = {};
};
struct Generated {
  Tensor<float> codes;                ///< [n, rows, w_dim]
  Tensor<float> requested, measured;  ///< [n, f]: target vector and what F reads from the code
  std::vector<double> error;          ///< largest error of the wished entries, in corpus deviations
  std::vector<int> tries;
};
Generated generate(Rig const& rig, GeneratorHandle const& G, Wishes const& wishes, GenerationOptions const& o = {},
                   train::StopFlag const* stop = nullptr, std::function<void(std::int64_t done, std::int64_t total)> const& progress = {});

}  // namespace rig::inline RIG_ABI::stylerig

#if RIG_INCLUDE_IPP
#include "rig/stylerig/transfer.ipp"
#endif
