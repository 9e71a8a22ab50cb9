#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>

#include "rig/gan/training.hpp"
#include "rig/nn/gan_loss.hpp"
#include "rig/nn/optim/ema.hpp"
#include "rig/train/data.hpp"
#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::gan {

RIG_INLINE GanTraining GanTraining::for_resolution(std::int64_t resolution, std::int64_t batch) {
  check(batch > 0, "train_gan: the batch must be positive, got ", batch);
  nn::rows_for_resolution(resolution);
  GanTraining o;
  o.resolution = resolution, o.batch = batch;
  o.channel_base = std::min<std::int64_t>(64 * resolution, 32768);
  o.gamma = 0.0002 * double(resolution * resolution) / double(batch);
  o.average_kimg = 10 * double(batch) / 32;
  if (resolution >= 1024) o.rate = 0.002;
  o.stddev_group = batch % 4 == 0 ? 4 : batch % 2 == 0 ? 2 : 1;
  return o;
}

RIG_INLINE std::int64_t GanTraining::iterations() const { return std::int64_t(std::ceil(kimg * 1000 / double(batch))); }

RIG_INLINE Gan::Gan(GanTraining const& o, Device const& device) {
  Rng rng = Rng(o.seed).split(0x9a11);
  nn::StyleGAN2Options g;
  g.z_dim = o.z_dim, g.w_dim = o.w_dim, g.resolution = o.resolution, g.mapping_layers = o.mapping_layers;
  g.channel_base = o.channel_base, g.channel_max = o.channel_max;
  generator = nn::StyleGAN2<float>(g, rng, device);
  average = nn::clone(generator);
  nn::DiscriminatorOptions d;
  d.resolution = o.resolution, d.channel_base = o.channel_base, d.channel_max = o.channel_max, d.stddev_group = o.stddev_group;
  discriminator = nn::Discriminator<float>(d, rng, device);
  path_mean = zeros<float>({}, device);
}

namespace detail {

/// Means of what was seen since the last entry of the log.
class Meter {
 public:
  void add(std::string const& name, Var<float> const& values) {
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

 private:
  std::map<std::string, std::pair<Tensor<float>, std::int64_t>> seen_;
};

template <class M> bool all_finite(M& module) {
  bool finite = true;
  nn::tensors(module, [&](std::string const&, auto& leaf) {
    auto const t = nn::detail::tensor_of(leaf).to(cpu());
    finite = finite && std::all_of(t.data(), t.data() + t.size(), [](auto v) { return std::isfinite(v); });
  });
  return finite;
}

/// What every phase of an iteration needs.
struct GanLoop {
  using V = Var<float>;

  GanTraining const& o;
  PictureSet const& pictures;
  Device device;
  Gan networks;
  nn::Adam<float> optimise_generator, optimise_discriminator;
  train::EpochSampler sampler;
  Meter meter;
  std::int64_t step = 0;

  GanLoop(PictureSet const& p, GanTraining const& options, Device d)
      : o(options),
        pictures(p),
        device(std::move(d)),
        networks(options, device),
        optimise_generator(adam(options.path_weight > 0 ? options.path_interval : 0)),
        optimise_discriminator(adam(options.gamma > 0 ? options.r1_interval : 0)),
        sampler(items(), options.batch, options.seed) {
    optimise_generator.prepare(networks.generator), optimise_discriminator.prepare(networks.discriminator);
  }
  nn::Adam<float> adam(int interval) const {
    nn::AdamOptions const a{.rate = o.rate, .beta1 = 0, .beta2 = 0.99};
    return nn::Adam<float>(interval ? nn::lazy(a, interval) : a);
  }
  std::vector<int> items() const {
    std::vector<int> list;
    for (std::int64_t i = 0; i < pictures.size() * (o.mirror ? 2 : 1); ++i) list.push_back(int(i));
    return list;
  }

  /// Codes of n fresh latents, most of them mixed from two. The average of w sees the first ones only.
  V codes(Rng& rng, std::int64_t n) {
    auto const& mapping = networks.generator.mapping;
    V const w = mapping.code(V(randn<float>({n, o.z_dim}, rng, device)));
    networks.generator.mapping.track(w.value());
    V const ws = mapping.repeat(w);
    bool const mixed = rng.uniform() < o.mixing;
    std::int64_t const cut = 1 + rng.below(mapping.num_ws - 1);
    return mixed ? nn::mix(ws, mapping(V(randn<float>({n, o.z_dim}, rng, device))), cut) : ws;
  }
  V generated(V const& ws, Rng& rng) const { return networks.generator.synthesis(ws, {.noise = nn::Noise::random, .rng = &rng}); }

  template <class M> void update(Tape& tape, char const* what, V const& loss, M& net, nn::Adam<float>& optimiser) {
    tape.backward(loss);
    if (device.is_cpu() || step % 16 == 0)  // reading it waits for a GPU
      check(std::isfinite(loss.item()), "train_gan: the ", what, " is ", loss.item(), " in iteration ", step,
            ": the training has diverged. Lower the learning rate or raise gamma; the last checkpoint is kept");
    nn::complete_gradients(net);
    nn::sanitize_gradients(net);
    optimiser.announce(net);
    optimiser.step(net);
  }

  void generator_phase(Rng rng) {
    Tape tape;
    tape.watch(networks.generator);
    V const scores = networks.discriminator(generated(codes(rng, o.batch), rng)), loss = nn::generator_loss(scores);
    meter.add("generator loss", loss);
    update(tape, "generator's loss", loss, networks.generator, optimise_generator);
  }
  /// On half the batch, as in the official training: it is the most expensive phase.
  void path_length_phase(Rng rng) {
    Tape tape;
    tape.watch(networks.generator);
    V const ws = codes(rng, std::max<std::int64_t>(1, o.batch / 2)), img = generated(ws, rng);
    auto const p = nn::path_length(tape, img, ws, V(randn<float>(img.shape(), rng, device)), networks.path_mean);
    V const loss = float(o.path_weight * o.path_interval) * mean(p.penalty);
    meter.add("path length", p.lengths);
    update(tape, "path length loss", loss, networks.generator, optimise_generator);
    networks.path_mean.assign(p.average.value());
  }
  void discriminator_phase(Rng rng, V const& real) {
    V const fake = generated(codes(rng, o.batch), rng).detach();
    Tape tape;
    tape.watch(networks.discriminator);
    V const score_fake = networks.discriminator(fake), score_real = networks.discriminator(real),
            loss = nn::discriminator_loss(score_fake, score_real);
    meter.add("score of generated", score_fake), meter.add("score of real", score_real), meter.add("discriminator loss", loss);
    update(tape, "discriminator's loss", loss, networks.discriminator, optimise_discriminator);
  }
  void r1_phase(Rng, V const& real) {
    Tape tape;
    tape.watch(networks.discriminator);
    V const x = tape.watch(real), scores = networks.discriminator(x), penalty = nn::r1_penalty(tape, scores, x);
    meter.add("r1", penalty);
    update(tape, "R1 loss", float(o.r1_interval) * nn::r1_loss(penalty, o.gamma), networks.discriminator, optimise_discriminator);
  }

  void iteration() {
    Rng const rng = Rng(o.seed).split(0x17e2).split(std::uint64_t(step));
    V const real(pictures.batch(sampler.batch(step), device));
    generator_phase(rng.split(0));
    if (o.path_weight > 0 && step % o.path_interval == 0) path_length_phase(rng.split(1));
    discriminator_phase(rng.split(2), real);
    if (o.gamma > 0 && step % o.r1_interval == 0) r1_phase(rng.split(3), real);
    nn::update_average(networks.average, networks.generator,
                       nn::average_decay(double(o.batch), 1000 * o.average_kimg, double(step * o.batch), o.average_ramp));
    ++step;
  }
};

}  // namespace detail

RIG_INLINE TrainedGan train_gan(PictureSet const& pictures, GanTraining const& o, GanHooks const& hooks, Device const& device) {
  check(pictures.side() == o.resolution, "train_gan: pictures of ", o.resolution, " pixels are needed, these have ", pictures.side());
  check(o.batch > 0 && o.batch % o.stddev_group == 0, "train_gan: the batch must be a multiple of the group of the minibatch deviation, ",
        o.stddev_group, ", got ", o.batch);
  check(o.r1_interval > 0 && o.path_interval > 0 && o.rate > 0 && o.gamma >= 0 && o.path_weight >= 0 && o.kimg > 0,
        "train_gan: intervals, rate and length must be positive, weights not negative");
  detail::GanLoop loop(pictures, o, device);

  train::Settings run = train::to_settings(o, "training");
  run.erase("training.kimg");
  run["kind"] = "rig gan run", run["pictures"] = pictures.hash(), run["extra"] = hooks.extra_provenance;
  std::string started_from;
  auto save = [&] {
    if (hooks.checkpoint.empty()) return;
    check(detail::all_finite(loop.networks), "train_gan: weights are not finite after ", loop.step,
          " iterations: the training has diverged; the last checkpoint is kept");
    io::save(hooks.checkpoint, train::with_state(run, {{"step", std::to_string(loop.step)}, {"started_from", started_from}}),
             io::item("networks", loop.networks), io::item("optimise_generator", loop.optimise_generator),
             io::item("optimise_discriminator", loop.optimise_discriminator));
    if (hooks.log) hooks.log->write_json_lines(hooks.checkpoint + ".log.jsonl");
  };
  if (!hooks.checkpoint.empty() && std::filesystem::exists(hooks.checkpoint)) {
    io::Metadata const there = io::load_metadata(hooks.checkpoint);
    train::check_same_run(hooks.checkpoint, there, run);
    io::load(hooks.checkpoint, io::item("networks", loop.networks), io::item("optimise_generator", loop.optimise_generator),
             io::item("optimise_discriminator", loop.optimise_discriminator));
    loop.step = std::atoll(io::metadata_value(there, "step", hooks.checkpoint).c_str());
    started_from = io::metadata_value(there, "started_from", hooks.checkpoint);
    if (hooks.log && std::filesystem::exists(hooks.checkpoint + ".log.jsonl")) {
      *hooks.log = train::Log::read_json_lines(hooks.checkpoint + ".log.jsonl");
      hooks.log->cut(loop.step);
    }
  } else if (!hooks.start.empty()) {
    check(io::metadata_value(io::load_metadata(hooks.start), "kind", hooks.start) == run["kind"], hooks.start,
          ": expected the checkpoint of a gan run");
    io::load(hooks.start, io::item("networks", loop.networks));
    started_from = nn::content_hash(loop.networks);
  }

  std::int64_t const total = o.iterations();
  auto snapshot = [&] {
    if (hooks.snapshot) hooks.snapshot(loop.networks, loop.step);
  };
  if (loop.step == 0) snapshot();
  while (loop.step < total && !train::stop_asked(hooks.stop)) {
    loop.iteration();
    bool const told = hooks.log_every > 0 && loop.step % hooks.log_every == 0;
    if (told && hooks.log) loop.meter.flush(*hooks.log, loop.step);
    if (hooks.progress) hooks.progress(loop.step, total, {});
    if (loop.step % hooks.checkpoint_every == 0 && loop.step < total) save();
    if (hooks.snapshot_every > 0 && loop.step % hooks.snapshot_every == 0 && loop.step < total) snapshot();
  }
  save();
  snapshot();
  return {std::move(loop.networks), loop.step, loop.step >= total};
}

}  // namespace rig::inline RIG_ABI::gan
