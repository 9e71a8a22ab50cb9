// stylerig judge-gan GENERATOR: how near the pictures of a generator are to the real ones, in numbers with baselines beside
// them, and in sheets nobody chose from.
#include <algorithm>
#include <cmath>

#include "chart.hpp"
#include "faces/face_nets.hpp"
#include "lock.hpp"
#include "picture_report.hpp"
#include "program.hpp"
#include "rig/gan/frechet.hpp"
#include "rig/gan/picture_set.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/ops/gather.hpp"
#include "rig/ops/progressive.hpp"
#include "world.hpp"

namespace program {
using namespace rig;

namespace {
struct JudgeGanOptions {
  std::string generator, pictures, face_nets, discriminator;
  std::int64_t count = 0, samples = 100, beside = 12;
  WorldOptions world;
};

/// A way to describe pictures [n, s, s, 3] (0..1) by numbers [n, d].
struct Features {
  std::string name, what;
  std::function<Tensor<float>(Tensor<float> const& pictures)> of;
};

Tensor<float> rescaled(Tensor<float> const& x, float scale, float shift) { return affine(Var<float>(x), scale, shift).value(); }

std::vector<Features> features_of(JudgeGanOptions const& o, std::int64_t side, Device const& device) {
  std::vector<Features> all;
  if (!o.face_nets.empty()) {
    auto landmarks = std::make_shared<LandmarkNet const>(o.face_nets, device);
    auto recogniser = std::make_shared<FaceRecogniser const>(o.face_nets, device);
    all.push_back({"face recogniser", "128 numbers of face-api's face recogniser, the face cut out by its landmark network",
                   [=](Tensor<float> const& x) { return (*recogniser)(x, (*landmarks)(x)); }});
  }
  if (!o.discriminator.empty()) {
    auto d = std::make_shared<nn::Discriminator<float>>(nn::load_discriminator(o.discriminator, device));
    check(d->resolution == side && d->image_channels == 3, o.discriminator, ": expected a discriminator of ", side,
          " pixels and 3 channels, found ", d->resolution, " and ", d->image_channels);
    all.push_back({"discriminator",
                   str(d->epilogue.fc.weight.dim(0), " features that the last layer of ", o.discriminator, " makes scores of"),
                   [=](Tensor<float> const& x) {
                     // A last batch that does not divide into the groups that see one another is filled up with its own pictures.
                     std::int64_t const n = x.dim(0), group = std::max(1, d->epilogue.stddev_group);
                     Tensor<int> whole({(n + group - 1) / group * group});
                     for (int i = 0; i < int(whole.size()); ++i) whole.mutate()[i] = i % int(n);
                     auto const pictures = gather(Var<float>(rescaled(x, 2, -1)), whole.to(x.device()));
                     return d->features(pictures).value().rows(0, n);
                   }});
  }
  int const block = int(std::max<std::int64_t>(1, side / 16));
  all.push_back({"coarse pixels", str("the picture at ", side / block, " pixels, ", 3 * (side / block) * (side / block), " numbers"),
                 [=](Tensor<float> const& x) {
                   Tensor<float> const small = io::downsample_area(x.to(cpu()), block);
                   return small.reshape({x.dim(0), small.size() / x.dim(0)});
                 }});
  return all;
}

/// Pictures that come in batches, always the same ones.
struct Source {
  std::string name;
  std::int64_t count = 0;
  std::function<Tensor<float>(std::int64_t first, std::int64_t n)> pictures;  ///< [n, s, s, 3], 0..1
};
constexpr std::int64_t batch_size = 32;

struct RoundToBytes {
  float* x;
  RIG_HD void operator()(std::int64_t i) const { x[i] = float(int(x[i] * 255.f + 0.5f)) / 255.f; }
};

/// What generated pictures go through to be as real ones are: bytes.
Tensor<float> as_bytes(Tensor<float> const& pictures) {
  Tensor<float> x = clamp(Var<float>(pictures), 0, 1).value();
  for_each(x.device(), x.size(), RoundToBytes{x.mutate()});
  return x;
}

class GanJudge {
 public:
  GanJudge(Context const& context, JudgeGanOptions const& o)
      : context_(context), o_(o), world_(load_world(o.generator, context, o.world)), side_(world_.handle.resolution) {
    check(world_.network.image_channels() == 3, o.generator, ": expected a generator of pictures with 3 channels, this one makes ",
          world_.network.image_channels());
    features_ = features_of(o, side_, context.target());
  }

  int run() {
    check_apart("--out", context_.out, o_.pictures);
    check_seeds(std::max(o_.count, o_.samples));
    OutputFolder const folder(context_.out);
    auto told = context_.progress("read pictures");
    real_ = gan::load_pictures(o_.pictures, side_, context_.stop, [&](std::int64_t done, std::int64_t n) { told(done, n, {}); });
    check(real_.size() >= 4, o_.pictures, ": expected at least 4 pictures to compare with, found ", real_.size());
    count_ = o_.count > 0 ? o_.count : real_.size();
    check_seeds(count_);
    half_ = std::min(real_.size() / 2, count_);
    Json distances = Json::object();
    for (std::size_t f = 0; f < features_.size(); ++f) {
      distances[features_[f].name] = judge(features_[f]);
      if (stopped()) return context_.stopped("nothing is written; the same command starts again");
    }
    numbers_ = {
        {"generator", world_.handle.hash}, {"pictures", real_.source}, {"pictures_hash", real_.hash()}, {"real", real_.size()},
        {"skipped", skipped_json(real_)},  {"generated", count_},      {"first_seed", context_.seed},   {"command", context_.command},
        {"distances", distances}};
    sheets();
    if (stopped()) return context_.stopped("the same command starts again");
    report();
    context_.answer(numbers_, summary());
    return success;
  }

 private:
  bool stopped() const { return train::stop_asked(context_.stop); }

  /// Seeds of pictures have 32 bits, as in the official scripts.
  void check_seeds(std::int64_t n) const {
    std::uint64_t const end = std::uint64_t(1) << 32;
    check(context_.seed < end && std::uint64_t(n) <= end - context_.seed, "--seed: expected ", n,
          " seeds from it on to be at most 4294967295, found ", context_.seed);
  }
  std::vector<std::uint32_t> seeds(std::int64_t first, std::int64_t n) const {
    std::vector<std::uint32_t> s;
    for (std::int64_t i = 0; i < n; ++i) s.push_back(std::uint32_t(context_.seed + std::uint64_t(first + i)));
    return s;
  }
  Source generated(std::int64_t n, double psi = 1) const {
    return {"generated", n,
            [this, psi](std::int64_t first, std::int64_t m) { return as_bytes(world_.pictures(world_.codes(seeds(first, m), {psi}))); }};
  }
  /// Every `step`-th real picture from `start` on.
  Source real(std::string name, std::int64_t start, std::int64_t step, std::int64_t n) const {
    return {std::move(name), n, [this, start, step](std::int64_t first, std::int64_t m) {
              std::vector<int> items;
              for (std::int64_t i = first; i < first + m; ++i) items.push_back(int(start + step * i));
              return rescaled(real_.batch(items, context_.target()), 0.5f, 0.5f);
            }};
  }
  Source changed(Source of, std::string name, std::function<Tensor<float>(Tensor<float> const&)> how) const {
    return {std::move(name), of.count, [of = std::move(of), how = std::move(how)](std::int64_t first, std::int64_t n) {
              return as_bytes(how(of.pictures(first, n)));
            }};
  }

  /// The features of all pictures of a source, [count, d]; fewer if it was asked to stop.
  Tensor<float> describe(Features const& f, Source const& source) const {
    Tensor<float> all;
    auto told = context_.progress(f.name + ", " + source.name);
    for (std::int64_t i = 0; i < source.count && !stopped(); i += batch_size) {
      std::int64_t const n = std::min(batch_size, source.count - i);
      Tensor<float> const part = f.of(source.pictures(i, n)).to(cpu());
      if (!all) all = zeros<float>({source.count, part.dim(1)});
      std::copy_n(part.data(), part.size(), all.mutate() + i * part.dim(1));
      told(i + n, source.count, {});
    }
    return all;
  }

  /// Distances of one kind of features. The real pictures' own halves stand for the smallest that so many pictures allow.
  Json judge(Features const& f) {
    Source const all = real("real", 0, 1, real_.size()), fakes = generated(count_);
    Tensor<float> const real_features = describe(f, all), fake_features = describe(f, fakes);
    Source const other = real("real", 1, 2, half_);
    auto const coarser = [](Tensor<float> const& x) { return upscale2d(downscale2d(Var<float>(x))).value(); };
    auto const noise = [this, stream = std::uint64_t(0)](Tensor<float> const& x) mutable {
      Rng rng = Rng(context_.seed).split(0x401e + stream++);
      return rescaled(randn<float>(x.shape(), rng, x.device()), 0.25f, 0.5f);
    };
    Tensor<float> const coarse = describe(f, changed(other, "half resolution", coarser)),
                        noisy = describe(f, changed(other, "noise", noise));
    if (stopped()) return {};
    auto half_of = [&](std::int64_t start) {
      std::int64_t const d = real_features.dim(1);
      Tensor<float> part({half_, d});
      for (std::int64_t i = 0; i < half_; ++i) std::copy_n(real_features.data() + (start + 2 * i) * d, d, part.mutate() + i * d);
      return gan::FeatureStatistics(part);
    };
    gan::FeatureStatistics const one = half_of(0), two = half_of(1);
    Json j{{"features", f.what}, {"dimensions", real_features.dim(1)}};
    gan::FeatureStatistics const fake_statistics(fake_features), real_statistics(real_features);
    j["generated_to_real"] = gan::frechet_distance(fake_statistics, real_statistics);
    j["spread"] = {{"generated", spread_of(fake_statistics)}, {"real", spread_of(real_statistics)}};
    j["equal_count"] = half_;
    j["generated_to_half"] = gan::frechet_distance(gan::FeatureStatistics(fake_features.rows(0, half_)), one);
    j["half_to_half"] = gan::frechet_distance(two, one);
    j["half_resolution_to_half"] = gan::frechet_distance(gan::FeatureStatistics(coarse), one);
    j["noise_to_half"] = gan::frechet_distance(gan::FeatureStatistics(noisy), one);
    remember(f, real_features, fake_features, j);
    return j;
  }

  /// The root of the mean square distance from the mean.
  static double spread_of(gan::FeatureStatistics const& s) {
    Tensor<double> const c = s.covariance();
    double trace = 0;
    for (std::int64_t i = 0; i < c.dim(0); ++i) trace += c.data()[i * c.dim(1) + i];
    return std::sqrt(trace);
  }

  /// Distances from each row of a to the rows of b, nearest first; row i of a is not compared with row i of b if they are one set.
  static std::vector<std::vector<std::pair<double, int>>> nearest(Tensor<float> const& a, Tensor<float> const& b, bool same,
                                                                  std::size_t keep) {
    std::int64_t const d = a.dim(1);
    std::vector<std::vector<std::pair<double, int>>> lists(std::size_t(a.dim(0)));
    for (std::int64_t i = 0; i < a.dim(0); ++i) {
      auto& list = lists[std::size_t(i)];
      for (std::int64_t j = 0; j < b.dim(0); ++j) {
        if (same && i == j) continue;
        double square = 0;
        for (std::int64_t k = 0; k < d; ++k) {
          double const v = double(a.data()[i * d + k]) - double(b.data()[j * d + k]);
          square += v * v;
        }
        list.push_back({std::sqrt(square), int(j)});
      }
      std::size_t const most = std::min(keep, list.size());
      std::partial_sort(list.begin(), list.begin() + std::ptrdiff_t(most), list.end());
      list.resize(most);
    }
    return lists;
  }
  /// Nearest real pictures of generated ones, and of real ones among the others: whether pictures were learnt by heart.
  void remember(Features const& f, Tensor<float> const& real_features, Tensor<float> const& fake_features, Json& j) {
    std::int64_t const n = std::min<std::int64_t>({2000, real_.size(), count_});
    auto of = [](std::vector<std::vector<std::pair<double, int>>> const& lists) {
      std::vector<double> v;
      for (auto const& l : lists)
        if (!l.empty()) v.push_back(l[0].first);
      return v;
    };
    auto const fakes = nearest(fake_features.rows(0, n), real_features, false, 3);
    std::vector<Distribution> both;
    auto const add = [&](char const* name, std::vector<double> const& distances) {
      Distribution const& d = both.emplace_back(distribution_of(name, distances));
      j["nearest"][name] = {{"least", *std::min_element(distances.begin(), distances.end())},
                            {"p5", d.p5},
                            {"p25", d.p25},
                            {"median", d.median},
                            {"p75", d.p75},
                            {"p95", d.p95}};
    };
    add("generated to real", of(fakes));
    add("real to other real", of(nearest(real_features.rows(0, n), real_features, true, 1)));
    nearest_charts_.push_back(distribution_chart(both, {.title = "nearest real picture, " + f.name, .width = 420, .height = 220}));
    if (neighbours_.empty() || f.name == "coarse pixels") neighbours_.push_back({f.name, fakes});
  }

  void sheets() {
    for (double psi : {1.0, 0.7}) {
      Source const s = generated(o_.samples, psi);
      Tensor<std::uint8_t> all;
      for (std::int64_t i = 0; i < s.count && !stopped(); i += batch_size) {
        std::int64_t const n = std::min(batch_size, s.count - i);
        Tensor<std::uint8_t> const part = bytes(s.pictures(i, n));
        if (!all) all = zeros<std::uint8_t>(part.shape().with(0, s.count));
        std::copy_n(part.data(), part.size(), all.mutate() + i * (part.size() / n));
      }
      if (stopped()) return;
      save(str("samples-", psi, ".png"), io::tile(all, 10), {{"Truncation", str(psi)}, {"Seeds", str(context_.seed, " and up")}});
    }
    Sheet sheet("Nearest real pictures");
    std::int64_t const n = std::min<std::int64_t>({o_.beside, count_, std::int64_t(neighbours_[0].lists.size())});
    std::vector<std::string> columns{"generated"};
    for (auto const& kind : neighbours_)
      for (std::size_t k = 0; k < kind.lists[0].size(); ++k) columns.push_back(k == 0 ? kind.name : "");
    sheet.columns(columns);
    Tensor<float> const fakes = generated(n).pictures(0, n).to(cpu());
    int const width = int(side_ < 96 ? side_ * ((96 + side_ - 1) / side_) : std::min<std::int64_t>(side_, 128));
    for (std::int64_t i = 0; i < n; ++i) {
      std::vector<Canvas> cells{resized(to_canvas(fakes[i]), width)};
      std::vector<std::string> captions{str("seed ", seeds(i, 1)[0])};
      for (auto const& kind : neighbours_)
        for (auto const& [distance, item] : kind.lists[std::size_t(i)]) {
          cells.push_back(resized(to_canvas(rescaled(real_.batch({item}), 0.5f, 0.5f)), width));
          captions.push_back(number(distance));
        }
      sheet.row("", std::move(cells), std::move(captions));
    }
    for (auto const& kind : neighbours_) sheet.note("nearest by " + kind.name + ", distances below");
    auto texts = provenance(context_, world_.texts());
    save_canvas(context_.out + "/nearest.png", sheet.draw(), texts);
  }
  static Tensor<std::uint8_t> bytes(Tensor<float> const& pictures) {
    Tensor<float> const x = pictures.to(cpu());
    Tensor<std::uint8_t> y(x.shape());
    std::uint8_t* to = y.mutate();
    for (std::int64_t i = 0; i < x.size(); ++i) to[i] = static_cast<std::uint8_t>(x.data()[i] * 255.f + 0.5f);
    return y;
  }
  void save(std::string const& name, Tensor<std::uint8_t> const& picture, io::Texts more) const {
    auto texts = world_.texts();
    texts.insert(texts.end(), more.begin(), more.end());
    io::save_png(context_.out + "/" + name, picture, provenance(context_, texts));
  }

  std::string summary() const {
    std::string s;
    for (auto const& [name, d] : numbers_["distances"].items())
      s += str("Frechet distance, ", name, ": ", number(d["generated_to_real"]), " (", count_, " generated to ", real_.size(), " real); ",
               number(d["generated_to_half"]), " to a half of the real ones, where the other half is at ", number(d["half_to_half"]), "\n");
    return s + context_.out + "/report.html written";
  }

  void report() const {
    Report page("Generator " + world_.handle.hash,
                str(count_, " generated pictures (seeds ", context_.seed, " to ", context_.seed + std::uint64_t(count_) - 1,
                    ", truncation 1) and ", real_.size(), " real ones of ", real_.source, ", ", side_, " pixels."));
    page.command(context_.command);
    page.heading("Distance to the real pictures");
    page.paragraph(
        "Fréchet distance: features as a Gaussian each. It depends on the features and on how many pictures there are: numbers "
        "compare only within a row. From the second on all are of equally many pictures, to the same half of the real ones. "
        "Spread: the root of the mean square distance from the mean.");
    std::vector<std::vector<std::string>> rows;
    for (auto const& [name, d] : numbers_["distances"].items())
      rows.push_back({name, d["features"], number(d["generated_to_real"]), number(d["generated_to_half"]), number(d["half_to_half"]),
                      number(d["half_resolution_to_half"]), number(d["noise_to_half"]), number(d["spread"]["generated"]),
                      number(d["spread"]["real"])});
    page.table({"features", "what they are", "generated to all real", str(half_, " generated"), "other real half",
                "other half at half the resolution", "noise", "spread of the generated", "of the real"},
               rows);
    page.heading("Samples");
    page.paragraph(str("Unchosen: the first ", o_.samples, " seeds."));
    page.picture(context_.out + "/samples-1.png", "truncation 1");
    page.picture(context_.out + "/samples-0.7.png", "truncation 0.7");
    page.heading("What is remembered");
    page.paragraph(
        "A generator that repeats its training pictures has samples much nearer to a real picture than real pictures are to one "
        "another.");
    rows.clear();
    for (auto const& [name, d] : numbers_["distances"].items()) {
      rows.push_back({name});
      for (char const* whose : {"generated to real", "real to other real"})
        for (char const* which : {"least", "p5", "median"}) rows.back().push_back(number(d["nearest"][whose][which]));
    }
    page.table({"features", "generated to real: least", "5 %", "median", "real to other real: least", "5 %", "median"}, rows);
    page.charts(nearest_charts_);
    page.picture(context_.out + "/nearest.png", "generated pictures and the real ones that are nearest");
    report_skipped(page, real_);
    page.save(context_.out + "/report.html", context_.out + "/report.json", numbers_);
  }

  struct Neighbours {
    std::string name;
    std::vector<std::vector<std::pair<double, int>>> lists;
  };
  Context const& context_;
  JudgeGanOptions const& o_;
  World world_;
  std::int64_t side_, count_ = 0, half_ = 0;
  gan::PictureSet real_;
  std::vector<Features> features_;
  std::vector<Neighbours> neighbours_;
  std::vector<std::string> nearest_charts_;
  Json numbers_;
};
}  // namespace

void add_judge_gan(CLI::App& app, Context& context) {
  auto o = std::make_shared<JudgeGanOptions>();
  auto* verb = app.add_subcommand("judge-gan", "Measure a generator against real pictures: distances with baselines, unchosen samples");
  verb->add_option("GENERATOR", o->generator, generator_help)->required();
  verb->add_option("--pictures", o->pictures, "Folder or zip archive of the real pictures, prepared as train-gan does")->required();
  verb->add_option("--face-nets", o->face_nets, "Folder with face-api's landmark network and face recogniser: distances between faces");
  verb->add_option("--discriminator", o->discriminator, "A discriminator of the generator's size: distances between its features");
  verb->add_option("-n,--count", o->count, "Generated pictures (default: as many as there are real ones)")->check(CLI::Range(4, 1000000));
  verb->add_option("--samples", o->samples, "Pictures on a sheet of samples (default 100)")->check(CLI::Range(1, 10000));
  verb->add_option("--beside", o->beside, "Generated pictures shown beside their nearest real ones (default 12)")
      ->check(CLI::Range(1, 500));
  add_world_options(*verb, o->world);
  add_common(*verb, context, "judge", "Folder for report.html, report.json and sheets");
  verb->footer(
      "\nThe seeds of the pictures are --seed and the following ones, numbered as the official scripts do.\n\nExample:\n"
      "  stylerig judge-gan gan/generator.safetensors --pictures portraits --face-nets face-api "
      "--discriminator gan/discriminator.safetensors");
  verb->callback([&context, o] {
    if (context.out.empty()) context.out = "judge";
    context.action = [&context, o] { return GanJudge(context, *o).run(); };
  });
}

}  // namespace program
