#pragma once
#include <filesystem>

#include "rig/gan/start.hpp"
#include "rig/io/file.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "rig/train/checkpoint.hpp"

namespace rig::inline RIG_ABI::gan {

RIG_INLINE void start_from(Gan& networks, std::string const& source) {
  auto const comma = std::filesystem::exists(source) ? std::string::npos : source.find(',');
  std::string const g_file = source.substr(0, comma), d_file = comma == std::string::npos ? g_file : source.substr(comma + 1);
  for (std::string const& file : {g_file, d_file})
    check(std::filesystem::exists(file), source,
          ": expected the checkpoint of a run, a file with both networks, or GENERATOR,DISCRIMINATOR; found no file '", file, "'");
  io::Document const file = io::read_any(g_file);
  if (io::find_metadata(file.metadata, "kind") == "rig gan run") {
    check(comma == std::string::npos, source, ": a checkpoint has its discriminator in it");
    io::load(g_file, io::item("networks", networks));
    return;
  }
  Gan found;
  found.generator = nn::stylegan2_from(file, g_file, {}, nn::GeneratorChoice::trained);
  found.average = nn::stylegan2_from(file, g_file);
  found.discriminator = g_file == d_file ? nn::discriminator_from(file, g_file) : nn::load_discriminator(d_file);
  found.path_mean = zeros<float>({});
  nn::move_to(found, networks.generator.device());
  try {
    nn::copy_values(networks, found);
  } catch (Error const& e) {
    throw Error(str(source, ": these networks are not of the shape that the options ask for: ", e.what()));
  }
}

}  // namespace rig::inline RIG_ABI::gan
