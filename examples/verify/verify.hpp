// Does rig compute what the original code computed? A case file holds inputs and results of the original, with the
// distance between its own float32 and float64 runs, from which the tolerance of every array is built.
#pragma once
#include <iosfwd>
#include <string>

#include "rig/core/device.hpp"

namespace program {

/// Runs a case (.npz) against a network file and writes one JSON object: for each array the largest absolute and relative
/// error, the limit and the verdict, and what was not checked, with reasons. Cases of single operators (ops_*.npz) and the
/// latents of seeds need no file.
/// Returns 0 if every array was checked and lies within the tolerance, else 1. Throws rig::Error if a file cannot be used.
/// The networks and operators run on the device.
int run_verify(std::string const& network, std::string const& case_file, std::ostream& out, rig::Device const& device = {});

}  // namespace program
