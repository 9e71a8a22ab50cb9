#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <numeric>
#include <sstream>
#include <string_view>

#include "rig/gan/start.hpp"
#include "rig/gan/training.hpp"
#include "rig/train/data.hpp"
#include "rig/train/divergence.hpp"
#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::gan {

RIG_INLINE GanTraining GanTraining::for_resolution(std::int64_t resolution) {
  nn::rows_for_resolution(resolution);
  return for_resolution(resolution, std::clamp<std::int64_t>(4096 / resolution, 1, 32));
}
RIG_INLINE GanTraining GanTraining::for_resolution(std::int64_t resolution, std::int64_t batch) {
  check(batch > 0, "train_gan: the batch must be positive, got ", batch);
  nn::rows_for_resolution(resolution);
  GanTraining o;
  o.resolution = resolution, o.batch = batch;
  o.channel_base = std::min<std::int64_t>(64 * resolution, 32768);
  o.losses.gamma = 0.0002 * double(resolution * resolution) / double(batch);
  o.losses.average_kimg = 10 * double(batch) / 32;
  if (resolution >= 1024) o.losses.rate = 0.002;
  o.stddev_group = batch % 4 == 0 ? 4 : batch % 2 == 0 ? 2 : 1;
  return o;
}

RIG_INLINE std::int64_t GanTraining::iterations() const {
  double const n = std::ceil(kimg * 1000 / double(batch));
  check(n >= 1 && n < 1e15, "train_gan: the length must be positive and at most 1e15 iterations, got ", kimg, " thousand pictures of ",
        batch, " an iteration");
  return std::int64_t(n);
}

RIG_INLINE void GanTraining::check_settings() const {
  check(batch > 0 && stddev_group > 0 && batch % stddev_group == 0,
        "train_gan: the batch must be a multiple of the group of the minibatch deviation, ", stddev_group, ", got ", batch);
  check(losses.rate > 0 && std::isfinite(losses.rate), "train_gan: the rate must be positive, got ", losses.rate);
  check(losses.gamma >= 0 && losses.path_weight >= 0, "train_gan: gamma and the weight of path lengths must not be negative, got ",
        losses.gamma, " and ", losses.path_weight);
  check(losses.r1_interval > 0 && losses.path_interval > 0, "train_gan: the intervals of R1 and of path lengths must be positive, got ",
        losses.r1_interval, " and ", losses.path_interval);
  check(losses.average_kimg >= 0 && mixing >= 0 && mixing <= 1, "train_gan: the average's half-life must not be negative, the ",
        "probability of mixing in 0..1; got ", losses.average_kimg, " and ", mixing);
  nn::AdaptiveStrength(adaptive, first_strength);
  iterations();
}

RIG_INLINE Gan new_networks(GanTraining const& o, Device const& device) {
  Gan n;
  Rng rng = Rng(o.seed).split(0x9a11);
  nn::StyleGAN2Options g;
  g.z_dim = o.z_dim, g.w_dim = o.w_dim, g.resolution = o.resolution, g.mapping_layers = o.mapping_layers;
  g.channel_base = o.channel_base, g.channel_max = o.channel_max;
  n.generator = nn::StyleGAN2<float>(g, rng, device);
  n.average = nn::clone(n.generator);
  nn::DiscriminatorOptions d;
  d.resolution = o.resolution, d.channel_base = o.channel_base, d.channel_max = o.channel_max, d.stddev_group = o.stddev_group;
  n.discriminator = nn::Discriminator<float>(d, rng, device);
  n.path_mean = zeros<float>({}, device);
  return n;
}

namespace detail {

/// Means of what was seen since the last entry of the log; an adaptive strength is told of the scores of real pictures.
class Meter final : public GanObserver {
 public:
  explicit Meter(nn::AdaptiveStrength* strength) : strength_(strength) {}
  void value(GanPhase phase, char const* what, Var<float> const& values) override {
    if (strength_ && std::string_view(what) == "real") strength_->see(values.value());
    std::string const name = curve(phase, what);
    if (name.empty()) return;
    auto& [sum, count] = seen_[name];
    Tensor<float> const m = mean(values.detach()).value();
    sum = sum ? (Var<float>(sum) + Var<float>(m)).value() : m;
    ++count;
  }
  /// Writes the means and forgets them.
  void flush(train::Log& log, std::int64_t step) {
    for (auto const& [name, s] : seen_) log.add(name, step, double(s.first.item()) / double(s.second));
    seen_.clear();
  }
  /// What was seen since, for a run that goes on: "name=sum/count" and so on, and back.
  std::string text() const {
    std::string t;
    for (auto const& [name, s] : seen_) t += str(t.empty() ? "" : ";", name, "=", train::exact_text(s.first.item()), "/", s.second);
    return t;
  }
  void restore(std::string const& text, std::string const& path, Device const& device) {
    std::istringstream list(text);
    for (std::string entry; std::getline(list, entry, ';');) {
      char name[64];
      float sum = 0;
      long long count = 0;
      int end = -1;
      check(std::sscanf(entry.c_str(), "%63[^=]=%f/%lld%n", name, &sum, &count, &end) == 3 && std::size_t(end) == entry.size() && count > 0,
            path, ": the metadata's 'means' should be like name=sum/count, found '", entry, "'");
      seen_[name] = {full<float>({}, sum, device), count};
    }
  }

 private:
  static std::string curve(GanPhase phase, std::string const& what) {
    if (phase == GanPhase::generator && what == "loss") return "generator loss";
    if (phase == GanPhase::discriminator)
      return what == "loss" ? "discriminator loss" : what == "real" ? "score of real" : "score of generated";
    if (phase == GanPhase::path_length && what == "lengths") return "path length";
    if (phase == GanPhase::r1 && what == "penalty") return "r1";
    return {};
  }
  nn::AdaptiveStrength* strength_;
  std::map<std::string, std::pair<Tensor<float>, std::int64_t>> seen_;
};

}  // namespace detail

RIG_INLINE TrainedGan train_gan(PictureSet const& pictures, GanTraining const& o, GanHooks const& hooks, Device const& device) {
  o.check_settings();
  check(pictures.side() == o.resolution, "train_gan: pictures of ", o.resolution, " pixels are needed, these have ", pictures.side());
  std::int64_t const total = o.iterations();
  Gan networks = new_networks(o, device);
  GanIteration iterate(o.losses, networks);
  bool const adaptive = o.strength < 0 && o.augment != nn::augment_preset("none");
  nn::AdaptiveStrength strength(o.adaptive, adaptive ? o.first_strength : std::max(0.0, o.strength));
  std::int64_t done = 0;

  train::Settings run = train::to_settings(o, "training");
  run.erase("training.kimg");
  run["kind"] = "rig gan run", run["pictures"] = pictures.hash(), run["extra"] = hooks.extra_provenance;
  train::RunCheckpoint const checkpoint(hooks.checkpoint, run, device, hooks.log, hooks.note);
  std::string started_from;
  detail::Meter meter(adaptive ? &strength : nullptr);
  auto save = [&] {
    train::check_weights("train_gan", networks, done);
    checkpoint.save(done, {{"started_from", started_from}, {"means", meter.text()}}, io::item("networks", networks),
                    io::item("optimisers", iterate), io::item("strength", strength));
  };
  if (checkpoint.exists() && !hooks.fresh) {
    io::Metadata const there =
        checkpoint.load(done, io::item("networks", networks), io::item("optimisers", iterate), io::item("strength", strength));
    started_from = io::metadata_value(there, "started_from", hooks.checkpoint);
    if (!hooks.start.empty()) {
      Gan start = new_networks(o, device);
      start_from(start, hooks.start);
      if (nn::content_hash(start) != started_from)
        throw train::OtherRun(str(hooks.checkpoint, ": the run that goes on ",
                                  started_from.empty() ? "started from new networks, not from " : "started from other networks than ",
                                  hooks.start));
    }
    meter.restore(io::metadata_value(there, "means", hooks.checkpoint), hooks.checkpoint, device);
  } else if (!hooks.start.empty()) {
    start_from(networks, hooks.start);
    started_from = nn::content_hash(networks);
  }

  std::vector<int> items(std::size_t(pictures.size() * (o.mirror ? 2 : 1)));
  std::iota(items.begin(), items.end(), 0);
  train::EpochSampler sampler(items, o.batch, o.seed);
  auto due = [&](std::int64_t every) { return every > 0 && done % every == 0; };
  auto snapshot = [&] {
    if (hooks.snapshot) hooks.snapshot(networks, done);
  };
  // A run that goes on may have been killed between a checkpoint and the snapshot that was due there.
  if (done == 0 || (done < total && due(hooks.snapshot_every))) snapshot();
  while (done < total && !train::stop_asked(hooks.stop)) {
    Var<float> const real(pictures.batch(sampler.batch(done), device));
    RandomDraws draws(o, done, strength.p, device);
    iterate(networks, done, real, draws, meter, device.is_cpu() ? 1 : 16);  // reading a loss waits for a GPU
    if (adaptive) strength.next(o.batch);
    ++done;
    if (hooks.log && hooks.log_every > 0 && (done % hooks.log_every == 0 || done == total)) {
      meter.flush(*hooks.log, done);
      hooks.log->add("augmentation", done, strength.p);
      if (adaptive) hooks.log->add("sign of real", done, strength.last_sign);
    }
    if (hooks.progress) hooks.progress(done, total, {});
    if (done == total) break;
    bool const shown = hooks.snapshot && due(hooks.snapshot_every);
    if (shown || due(hooks.checkpoint_every)) save();  // with its check of the weights; no networks are written without a checkpoint
    if (shown) snapshot();
  }
  save();
  snapshot();
  return {std::move(networks), done, done >= total};
}

}  // namespace rig::inline RIG_ABI::gan
