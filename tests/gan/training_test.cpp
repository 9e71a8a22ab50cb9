#include "rig/gan/training.hpp"

#include <limits>
#include <map>
#include <numeric>

#include "helpers.hpp"
#include "rig/gan/start.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "rig/train/data.hpp"
#include "rig/train/resume.hpp"

using namespace rig;

namespace {

gan::PictureSet discs(std::int64_t n, std::int64_t side) {
  gan::PictureSet set;
  set.source = "made", set.pictures = Tensor<std::uint8_t>({n, side, side, 3});
  Rng rng(4);
  std::uint8_t* p = set.pictures.mutate();
  for (std::int64_t i = 0; i < n; ++i) {
    double const x = rng.uniform(2, double(side) - 2), y = rng.uniform(2, double(side) - 2), r = rng.uniform(1, 3);
    double const colour[] = {rng.uniform(100, 255), rng.uniform(0, 155), rng.uniform(100, 200)};
    for (std::int64_t k = 0; k < side * side; ++k)
      for (int c = 0; c < 3; ++c) {
        double const d = std::hypot(double(k % side) + 0.5 - x, double(k / side) + 0.5 - y);
        *p++ = std::uint8_t(d < r ? colour[c] : 20);
      }
  }
  return set;
}
gan::GanTraining small(double kimg) {
  gan::GanTraining o = gan::GanTraining::for_resolution(8, 4);
  o.z_dim = o.w_dim = 8, o.channel_base = 64, o.channel_max = 8, o.kimg = kimg;
  o.losses.path_interval = 2, o.losses.r1_interval = 3;
  o.adaptive.kimg = 0.1, o.adaptive.target = 0;
  return o;
}
std::string hash(gan::Gan g) { return nn::content_hash(g); }

}  // namespace

TEST_CASE("settings by resolution") {
  auto const o = gan::GanTraining::for_resolution(256, 32);
  CHECK(o.channel_base == 16384);
  CHECK(o.losses.gamma == doctest::Approx(0.4096));
  CHECK(o.losses.average_kimg == 10);
  CHECK(o.losses.rate == 0.0025);
  CHECK(gan::GanTraining::for_resolution(1024, 32).losses.rate == 0.002);
  CHECK(gan::GanTraining::for_resolution(1024, 32).channel_base == 32768);
  CHECK(gan::GanTraining::for_resolution(64, 6).stddev_group == 2);
  std::int64_t const batches[][2] = {{8, 32}, {64, 32}, {128, 32}, {256, 16}, {512, 8}, {1024, 4}};
  for (auto const& [resolution, batch] : batches) CHECK(gan::GanTraining::for_resolution(resolution).batch == batch);
  CHECK(gan::GanTraining::for_resolution(512).losses.gamma == doctest::Approx(6.5536));
  CHECK(gan::GanTraining::for_resolution(512).losses.average_kimg == 2.5);
  CHECK(contains(message_of([] { gan::GanTraining::for_resolution(48); }), "power of two"));
  CHECK(small(0.1).iterations() == 25);
  for (double wrong : {1e300, 0.0, -1.0, std::nan("")}) {
    CHECK_THROWS_WITH_AS(small(wrong).iterations(), doctest::Contains("length must be positive"), Error);
    gan::GanTraining mixed = small(0.1);
    mixed.mixing = wrong == 0 ? 2 : wrong;
    CHECK_THROWS_WITH_AS(gan::train_gan(discs(10, 8), mixed, {}), doctest::Contains("probability of mixing"), Error);
  }
  gan::GanTraining none = small(0.1);
  none.losses.rate = 0;
  CHECK_THROWS_WITH_AS(none.check_settings(), "train_gan: the rate must be positive, got 0", Error);
  none = small(0.1), none.losses.gamma = -2;
  CHECK_THROWS_WITH_AS(none.check_settings(), doctest::Contains("must not be negative, got -2 and 2"), Error);
  none = small(0.1), none.losses.r1_interval = 0;
  CHECK_THROWS_WITH_AS(none.check_settings(), doctest::Contains("must be positive, got 0 and 2"), Error);
}

TEST_CASE("training is reproducible, moves every weight, and goes on after a stop to the same bits") {
  auto const pictures = discs(10, 8);
  auto const o = small(0.08);  // 20 iterations
  gan::TrainedGan const straight = gan::train_gan(pictures, o, {}), again = gan::train_gan(pictures, o, {});
  CHECK(straight.finished);
  CHECK(straight.iterations == 20);
  CHECK(hash(straight.networks) == hash(again.networks));
  gan::GanTraining mirrored = o, seeded = o, plain = o, fixed = o;
  mirrored.mirror = true, seeded.seed = 2, plain.augment = nn::augment_preset("none"), fixed.strength = 0.5;
  CHECK(hash(gan::train_gan(pictures, plain, {}).networks) != hash(straight.networks));
  CHECK(hash(gan::train_gan(pictures, fixed, {}).networks) != hash(straight.networks));
  CHECK(hash(gan::train_gan(pictures, mirrored, {}).networks) != hash(straight.networks));
  CHECK(hash(gan::train_gan(pictures, seeded, {}).networks) != hash(straight.networks));

  gan::Gan fresh = gan::new_networks(o), done = straight.networks;
  std::map<std::string, std::vector<float>> before;
  nn::parameters(fresh, [&](std::string const& name, auto& p) { before[name] = p.value().host(); });
  nn::parameters(done, [&](std::string const& name, auto& p) {
    INFO(name);
    CHECK(p.value().host() != before.at(name));
  });
  CHECK(done.path_mean.item() > 0);

  std::string const file = temporary("rig_gan_resume.safetensors");
  for (auto const& f : {file, file + ".log.jsonl"}) std::filesystem::remove(f);
  train::StopFlag stop = false;
  train::Log log, whole;
  auto hooks = [&](std::int64_t stop_at) {
    gan::GanHooks h;
    stop = false;
    h.stop = &stop, h.log = &log, h.checkpoint = file, h.checkpoint_every = 4, h.log_every = 4, h.snapshot_every = 10;
    h.progress = [&, stop_at](std::int64_t step, std::int64_t, std::string const&) { stop = step == stop_at; };
    return h;
  };
  gan::TrainedGan part = gan::train_gan(pictures, o, hooks(8));
  CHECK(!part.finished);
  CHECK(part.iterations == 8);
  part = gan::train_gan(pictures, o, hooks(13));
  CHECK(part.iterations == 13);
  gan::GanTraining longer = o;
  longer.kimg = 0.06;
  CHECK(gan::train_gan(pictures, longer, hooks(-1)).iterations == 15);  // its length alone may be changed
  std::vector<std::int64_t> seen;
  gan::GanHooks last = hooks(-1);
  last.snapshot = [&](gan::Gan&, std::int64_t step) { seen.push_back(step); };
  part = gan::train_gan(pictures, o, last);
  CHECK(part.finished);
  CHECK(hash(part.networks) == hash(straight.networks));
  CHECK(seen == std::vector<std::int64_t>{20});
  for (auto const& name :
       {"generator loss", "discriminator loss", "score of real", "score of generated", "r1", "path length", "augmentation", "sign of real"})
    CHECK(!log.curve(name).empty());

  longer = o, longer.losses.rate = 0.1;  // numbers as short as they can be
  CHECK_THROWS_WITH_AS(gan::train_gan(pictures, longer, hooks(-1)),
                       doctest::Contains("its training.losses.rate is '0.0025', here it is '0.1'"), train::OtherRun);
  longer = o, longer.losses.gamma = 1;
  CHECK(contains(message_of([&] { gan::train_gan(pictures, longer, hooks(-1)); }), "made by another run: its training.losses.gamma is"));
  CHECK(contains(message_of([&] { gan::train_gan(discs(9, 8), o, hooks(-1)); }), "made by another run: its pictures is"));
  CHECK(contains(message_of([&] { gan::train_gan(discs(9, 16), o, hooks(-1)); }), "pictures of 8 pixels are needed, these have 16"));

  // Curves too are those of a run that was not stopped, wherever it was.
  std::string const parts = temporary("rig_gan_parts.safetensors");
  train::Log in_parts;
  for (std::int64_t at : {6, 9, -1}) {
    gan::GanHooks h = hooks(at);
    h.checkpoint = parts, h.log = &in_parts;
    gan::train_gan(pictures, o, h);
  }
  gan::GanHooks one = hooks(-1);
  one.checkpoint.clear(), one.log = &whole;
  gan::train_gan(pictures, o, one);
  CHECK(in_parts.csv() == whole.csv());
  for (auto const& f : {parts, parts + ".log.jsonl"}) std::filesystem::remove(f);

  // The networks of this run as the start of another.
  gan::GanHooks from;
  from.start = file;
  gan::GanTraining next = o;
  next.kimg = 0.004, next.losses.gamma = 1;
  gan::TrainedGan const moved = gan::train_gan(pictures, next, from), anew = gan::train_gan(pictures, next, {});
  CHECK(moved.iterations == 1);
  CHECK(hash(moved.networks) != hash(anew.networks));
  gan::GanHooks on = hooks(-1);
  on.start = file;
  CHECK(contains(message_of([&] { gan::train_gan(pictures, o, on); }), "the run that goes on started from new networks, not from"));
  from.start = file + ".log.jsonl";
  CHECK_THROWS_AS(gan::train_gan(pictures, next, from), Error);

  // The same from the files that people keep: a generator and a discriminator.
  std::string const g = temporary("rig_gan_start_g.safetensors"), d = temporary("rig_gan_start_d.safetensors");
  gan::Gan kept = straight.networks;
  nn::save_stylegan2(g, kept.average);
  nn::save_discriminator(d, kept.discriminator);
  gan::Gan begun;
  from.snapshot = [&](gan::Gan& n, std::int64_t step) {
    if (step == 0) begun = nn::clone(n);
  };
  from.start = g + "," + d;
  gan::train_gan(pictures, next, from);
  CHECK(nn::content_hash(begun.generator) == nn::content_hash(kept.average));
  CHECK(nn::content_hash(begun.average) == nn::content_hash(kept.average));
  CHECK(nn::content_hash(begun.discriminator) == nn::content_hash(kept.discriminator));
  gan::Gan other = gan::new_networks(o);
  gan::start_from(other, file);
  CHECK(nn::content_hash(other.average) == nn::content_hash(kept.average));
  gan::GanTraining wide = o;
  wide.channel_base = 32;
  gan::Gan narrow = gan::new_networks(wide);
  std::string const before_it = nn::content_hash(narrow), said = message_of([&] { gan::start_from(narrow, g + "," + d); });
  CHECK(contains(said, g + "," + d + ": these networks are not of the shape that the options ask for: copy_values: "));
  CHECK(nn::content_hash(narrow) == before_it);
  CHECK(contains(message_of([&] { gan::start_from(other, g); }), "rig_gan_start_g.safetensors"));  // no discriminator in it
  CHECK(contains(message_of([&] { gan::start_from(other, file + "," + d); }), "a checkpoint has its discriminator in it"));
  CHECK(contains(message_of([&] { gan::start_from(other, g + "," + d + "," + d); }),
                 "or GENERATOR,DISCRIMINATOR; found no file '" + d + "," + d + "'"));
  if (present("sg2ada_train16.pkl")) {  // trained without noise
    gan::GanTraining t = gan::GanTraining::for_resolution(16, 4);
    t.z_dim = t.w_dim = 12, t.channel_base = 192, t.channel_max = 12;
    gan::Gan n = gan::new_networks(t);
    CHECK(contains(message_of([&] { gan::start_from(n, folder() + "sg2ada_train16.pkl"); }), "copy_values"));
  }
  if (present("sg2ada_skip64.pkl")) {
    std::string const official = folder() + "sg2ada_skip64.pkl";
    gan::GanTraining t = gan::GanTraining::for_resolution(64, 4);
    t.z_dim = t.w_dim = 32, t.mapping_layers = 8, t.channel_base = 1024, t.channel_max = 32;
    gan::Gan n = gan::new_networks(t);
    gan::start_from(n, official);
    auto trained = nn::load_stylegan2(official, {}, nn::GeneratorChoice::trained), average = nn::load_stylegan2(official);
    auto judge = nn::load_discriminator(official);
    CHECK(nn::content_hash(n.generator) == nn::content_hash(trained));
    CHECK(nn::content_hash(n.average) == nn::content_hash(average));
    CHECK(nn::content_hash(n.average) != nn::content_hash(trained));
    CHECK(nn::content_hash(n.discriminator) == nn::content_hash(judge));
  }
  for (auto const& f : {g, d}) std::filesystem::remove(f);
  for (auto const& f : {file, file + ".log.jsonl"}) std::filesystem::remove(f);
}

TEST_CASE("a training that diverges says which loss and when, and the last checkpoint stays") {
  auto const pictures = discs(10, 8);
  std::string const file = temporary("rig_gan_diverged.safetensors");
  std::filesystem::remove(file);
  float const nan = std::numeric_limits<float>::quiet_NaN();
  auto const o = small(0.4);
  gan::GanHooks h;
  h.checkpoint = file, h.checkpoint_every = 0, h.snapshot_every = 3;  // a snapshot has its checkpoint
  h.snapshot = [&](gan::Gan& g, std::int64_t step) {
    if (step == 3) g.discriminator.epilogue.out.bias.tensor().mutate()[0] = nan;
  };
  std::string said = message_of([&] { gan::train_gan(pictures, o, h); });
  CHECK_MESSAGE(contains(said, "training has diverged: the generator loss is"), said);
  CHECK_MESSAGE(contains(said, "nan in iteration 3; "), said);
  auto finite = [&] {
    gan::Gan kept = gan::new_networks(o);
    io::Metadata const there = io::load(file, io::item("networks", kept));
    CHECK(io::metadata_value(there, "step") == "3");
    nn::tensors(kept, [](std::string const& name, auto& leaf) {
      INFO(name);
      for (auto v : nn::detail::tensor_of(leaf).host()) CHECK(std::isfinite(v));
    });
  };
  finite();

  // So it does when a run that is to take its place ends before its first checkpoint.
  h.fresh = true;
  h.snapshot = [&](gan::Gan& g, std::int64_t) { g.discriminator.epilogue.out.bias.tensor().mutate()[0] = nan; };
  said = message_of([&] { gan::train_gan(pictures, o, h); });
  CHECK_MESSAGE(contains(said, "nan in iteration 0; "), said);
  finite();

  // No loss sees the average: it is looked at before a snapshot shows it.
  std::vector<std::int64_t> seen;
  h.checkpoint.clear(), h.snapshot_every = 1;
  h.snapshot = [&](gan::Gan& g, std::int64_t step) {
    seen.push_back(step);
    if (step == 2) nn::parameters(g.average, [&](std::string const&, auto& p) { p.tensor().mutate()[0] = nan; });
  };
  said = message_of([&] { gan::train_gan(pictures, o, h); });
  CHECK_MESSAGE(contains(said, "average.mapping.fc0.weight is not finite after 3 steps"), said);
  CHECK(seen == std::vector<std::int64_t>{0, 1, 2});
  for (auto const& f : {file, file + ".log.jsonl"}) std::filesystem::remove(f);
}

TEST_CASE("a run goes on only where its bits would be the same, and makes the snapshot that was due where it was killed") {
  auto const pictures = discs(10, 8);
  auto const o = small(0.02);  // 5 iterations
  std::string const file = temporary("rig_gan_device.safetensors");
  std::filesystem::remove(file);
  train::StopFlag stop = false;
  gan::GanHooks h;
  h.stop = &stop, h.checkpoint = file;
  h.progress = [&](std::int64_t step, std::int64_t, std::string const&) { stop = step == 3; };
  gan::train_gan(pictures, o, h);
  stop = false, h.progress = {};

  io::Safetensors made = io::read_safetensors(file);
  for (auto& [key, value] : made.metadata)
    if (key == "device") value = "cuda, bf16";
  h.checkpoint = file + ".cuda";
  io::save_safetensors(h.checkpoint, made.tensors, made.metadata);
  CHECK_THROWS_WITH_AS(gan::train_gan(pictures, o, h), doctest::Contains("its device is 'cuda, bf16', here it is 'cpu'"), train::OtherRun);
  std::filesystem::remove(h.checkpoint);

  std::vector<std::int64_t> seen;
  h.checkpoint = file, h.snapshot_every = 3;
  h.snapshot = [&](gan::Gan&, std::int64_t step) { seen.push_back(step); };
  gan::train_gan(pictures, o, h);
  CHECK(seen == std::vector<std::int64_t>{3, 5});
  std::filesystem::remove(file);
}

TEST_CASE("the luck of an iteration: how often codes are mixed, and where; half the batch for path lengths") {
  auto o = small(1);
  o.batch = 8, o.mixing = 0.3;
  std::int64_t const rows = 6, n = 2000;
  std::map<std::int64_t, int> cuts;
  int mixed = 0;
  for (std::int64_t i = 0; i < n; ++i) {
    gan::RandomDraws draws(o, i, 0, {});
    draws.begin(gan::GanPhase::generator);
    Tensor<float> const z = draws.latents();
    CHECK(z.shape() == Shape{8, 8});
    if (auto const m = draws.mixing(8, rows); m.z) {
      ++mixed, ++cuts[m.cut];
      CHECK(m.z.shape() == Shape{8, 8});
      CHECK(m.z.host() != z.host());
    }
    draws.begin(gan::GanPhase::path_length);
    CHECK(draws.latents().shape() == Shape{4, 8});
    draws.begin(gan::GanPhase::discriminator);
    CHECK(draws.latents().host() != z.host());
    draws.begin(gan::GanPhase::generator);
    CHECK(draws.latents().host() == z.host());
  }
  CHECK(mixed == doctest::Approx(600).epsilon(0.15));  // four and a half deviations
  CHECK(cuts.size() == 5);
  for (std::int64_t cut = 1; cut < rows; ++cut) CHECK_MESSAGE(std::abs(cuts[cut] - mixed / 5.) < 45, cut, ": ", cuts[cut]);
}

TEST_CASE("p follows the signs of the scores of real pictures") {
  struct Signs final : gan::GanObserver {
    std::map<std::string, std::pair<double, int>> seen;
    void value(gan::GanPhase phase, char const* what, Var<float> const& v) override {
      if (phase == gan::GanPhase::generator) return;
      for (float s : v.value().host()) seen[what].first += double(s > 0) - double(s < 0), ++seen[what].second;
    }
    double mean(std::string const& what) { return seen.at(what).first / seen.at(what).second; }
  };
  auto const pictures = discs(10, 8);
  auto o = small(0.096);  // 24 iterations
  o.first_strength = 0.3, o.adaptive.target = 0.2;
  train::Log log;
  gan::GanHooks h;
  h.log = &log, h.log_every = 4;
  gan::TrainedGan const run = gan::train_gan(pictures, o, h);
  auto const signs = log.curve("sign of real"), strengths = log.curve("augmentation");
  REQUIRE(signs.size() == 6);

  gan::Gan g = gan::new_networks(o);
  gan::GanIteration iterate(o.losses, g);
  std::vector<int> items(10);
  std::iota(items.begin(), items.end(), 0);
  train::EpochSampler sampler(items, o.batch, o.seed);
  double p = o.first_strength;
  bool apart = false;
  for (std::int64_t k = 0; k < 6; ++k) {
    Signs seen;
    for (std::int64_t i = 4 * k; i < 4 * k + 4; ++i) {
      gan::RandomDraws draws(o, i, p, {});
      iterate(g, i, Var<float>(pictures.batch(sampler.batch(i))), draws, seen);
    }
    double const real = seen.mean("real");
    apart = apart || real != seen.mean("fake");
    p = std::max(0.0, p + (real > 0.2 ? 1 : -1) * 16 / (1000 * o.adaptive.kimg));
    CHECK(signs[std::size_t(k)].second == real);
    CHECK(strengths[std::size_t(k)].second == p);
  }
  CHECK(apart);  // or scores of generated pictures would do as well
  CHECK(hash(g) == hash(run.networks));
}

TEST_CASE("the discriminator learns to tell, and pictures come nearer") {
  auto const pictures = discs(64, 8);
  auto o = small(6);
  o.batch = 8, o.losses.gamma = 0.5, o.augment = nn::augment_preset("none");
  // Distance of the mean picture, in the range -1..1.
  std::vector<int> all;
  for (int i = 0; i < 64; ++i) all.push_back(i);
  Tensor<float> const mean_real = mean(Var<float>(pictures.batch(all)), 0).value();
  Rng rng(9);
  Tensor<float> const z = randn<float>({64, o.z_dim}, rng);
  auto distance = [&](nn::StyleGAN2<float> const& g) { return mean(square(mean(g(Var<float>(z)), 0) - Var<float>(mean_real))).item(); };
  train::Log log;
  gan::GanHooks h;
  h.log = &log, h.log_every = 10;
  double first = -1;
  h.snapshot_every = 0;
  h.snapshot = [&](gan::Gan& g, std::int64_t step) {
    if (step == 0) first = distance(g.average);
  };
  gan::TrainedGan const t = gan::train_gan(pictures, o, h);
  INFO(first, " ", distance(t.networks.average));
  CHECK(distance(t.networks.average) < 0.2 * first);
  auto score = [&](Var<float> const& x) { return mean(t.networks.discriminator(x)).item(); };
  double const real = score(Var<float>(pictures.batch(all))), drawn = score(t.networks.generator(Var<float>(z)));
  INFO(real, " ", drawn);
  CHECK(real > drawn + 0.1);
}
