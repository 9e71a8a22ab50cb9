// Pictures that are counted while they are made, and a job that ends between two batches of them when Ctrl-C asks for it.
#pragma once
#include "world.hpp"

namespace program {

/// From here on every batch of pictures of `world` moves the progress line of a job of `total` pictures, and one that is asked to stop
/// throws Stopped instead. For sheets, which are written at the end or not at all.
inline void watch_pictures(World& world, Context const& context, std::string const& title, std::size_t total) {
  auto const show = context.progress(title);
  auto const done = std::make_shared<std::int64_t>(0);
  show(0, std::int64_t(total), "");  // its clock starts here
  world.handle.synthesis = [make = world.handle.synthesis, show, done, total, stop = context.stop](rig::Tensor<float> const& codes) {
    if (rig::train::stop_asked(stop)) throw Stopped("no sheet was written");
    rig::Tensor<float> pictures = make(codes);
    show(*done += codes.dim(0), std::int64_t(total), "");
    return pictures;
  };
}

}  // namespace program
