#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "rig/core/repeated.hpp"
#include "rig/nn/module.hpp"
#include "rig/stylerig/reconstruction_training.hpp"
#include "rig/train/data.hpp"
#include "rig/train/divergence.hpp"
#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE ReconstructionTraining ReconstructionTraining::paper() {
  ReconstructionTraining o;
  o.optimiser = OptimiserOptions::adadelta();
  o.steps = 300000;
  o.landmark_steps = 0;
  return o;
}

RIG_INLINE Whitening<float> code_whitening(Corpus const& corpus, std::int64_t items) {
  std::vector<int> list;
  for (std::int64_t i = 0; i < std::min(items, corpus.size()); ++i) list.push_back(int(i));
  return whitening_of(corpus.codes(list));
}

namespace detail {

/// p of a batch, from whichever of the two a network reads.
inline Var<float> read(Reconstruction<float> const& F, Tensor<float> const& codes, Observation const&) { return F(Var<float>(codes)); }
inline Var<float> read(PictureReader<float> const& F, Tensor<float> const&, Observation const& seen) {
  return F(Var<float>(seen.pictures));
}

/// L_render over items, a batch at a time; no gradient.
template <class Net>
double mean_render_loss(Corpus const& corpus, Net const& F, FaceLoss<float> const& face, std::vector<int> const& items, double landmark,
                        std::int64_t batch) {
  double total = 0;
  Device const device = F.scale.device();
  for (std::size_t i = 0; i < items.size(); i += std::size_t(batch)) {
    std::vector<int> const part(items.begin() + std::ptrdiff_t(i),
                                items.begin() + std::ptrdiff_t(std::min(items.size(), i + std::size_t(batch))));
    Observation const seen = corpus.observe(part, device);
    RenderLoss<float> const r = face(seen, read(F, corpus.codes(part, device), seen), {true, landmark > 0 && corpus.has_landmarks()});
    total += double(render_loss(r, landmark).item()) * double(part.size());
  }
  return total / double(items.size());
}

/// Where the outputs of a network start: the given vector, and the light at the middle of the natural ones.
inline std::vector<float> start_vector(ParameterLayout const& layout, ReconstructionTraining const& o, std::vector<float> start) {
  if (Component const* light = layout.find("illumination"); light && light->size == 27 && o.regulariser.light > 0) {
    start.resize(std::size_t(layout.size()), 0);
    auto const mean = LightPrior::natural().mean.host();
    for (std::size_t i = 0; i < 27; ++i) start[std::size_t(light->offset) + i] = float(mean[i]);
  }
  return start;
}
constexpr char const* trainer_of(Reconstruction<float> const*) { return "train_reconstruction"; }
constexpr char const* trainer_of(PictureReader<float> const*) { return "train_picture_reader"; }
constexpr char const* kind_of(Reconstruction<float> const*) { return "rig reconstruction"; }
constexpr char const* kind_of(PictureReader<float> const*) { return "rig picture reader"; }

/// How many items a corpus must have to have some to train on and some to validate on.
inline std::int64_t enough_items() {
  std::int64_t train = 0, validation = 0;
  while (split_of(train) != Split::train) ++train;
  while (split_of(validation) != Split::validation) ++validation;
  return std::max(train, validation) + 1;
}

template <class Net>
TrainedReader<Net> train_reader(Corpus const& corpus, FaceLoss<float> const& face, ReconstructionTraining const& o,
                                TrainingHooks const& hooks, Net F) {
  char const* const who = trainer_of(&F);
  std::vector<int> const train_items = corpus.items(Split::train);
  std::vector<int> validation = corpus.items(Split::validation);
  check(!train_items.empty() && !validation.empty(), who, ": the corpus has ", train_items.size(), " items to train on and ",
        validation.size(), " to validate on; from ", enough_items(), " items on a corpus has both");
  check(o.batch > 0 && o.batch <= std::int64_t(train_items.size()), who, ": the batch must be at least 1 and no more than the ",
        train_items.size(), " items to train on, got ", o.batch);
  if (std::int64_t(validation.size()) > o.validation_items) validation.resize(std::size_t(o.validation_items));
  bool const landmarks = corpus.has_landmarks() && o.landmark > 0;
  std::int64_t const warm_up = landmarks ? o.landmark_steps : 0;

  TrainedReader<Net> r;
  r.layout = face.layout();
  r.face = face.identity();
  r.generator = corpus.generator;
  r.origin = corpus.provenance();
  Device const device = face.device();
  Net best = nn::clone(F);
  double best_score = std::numeric_limits<double>::infinity(), first_score = best_score, score = 0;
  Optimiser optimiser(o.optimiser);
  optimiser.prepare(F);
  train::EpochSampler sampler(train_items, o.batch, o.seed);
  std::int64_t step = 0;

  train::Settings run = train::to_settings(o, "training");
  run["kind"] = str(kind_of(&F), " run"), run["layout"] = r.layout.text(), run["face"] = r.face, run["corpus"] = r.origin,
  run["extra"] = hooks.extra_provenance;
  train::RunCheckpoint const checkpoint(hooks.checkpoint, run, device, hooks.log, hooks.note);
  auto save = [&] {
    train::check_weights(who, F, step);
    checkpoint.save(step, {{"best_score", train::exact_text(best_score)}, {"first_score", train::exact_text(first_score)}},
                    io::item("F", F), io::item("best", best), io::item("optimiser", optimiser));
  };
  if (checkpoint.exists()) {
    io::Metadata const there = checkpoint.load(step, io::item("F", F), io::item("best", best), io::item("optimiser", optimiser));
    best_score = train::metadata_number<double>(there, "best_score", hooks.checkpoint);
    first_score = train::metadata_number<double>(there, "first_score", hooks.checkpoint);
    if (hooks.log) hooks.log->cut(step);  // the last validation is made again
  }

  auto validate = [&] {
    score = mean_render_loss(corpus, F, face, validation, landmarks ? o.landmark : 0, o.batch);
    check(std::isfinite(score), who, ": the training has diverged: the validation loss is ", score, " after ", step,
          " steps; a lower learning rate may help; what was saved before is kept");
    if (!std::isfinite(first_score)) first_score = score;
    if (hooks.log) hooks.log->add("validation", step, score);
    if (score < best_score) {
      best_score = score;
      nn::copy_values(best, F);
    }
  };

  LightPriorOn<float> const light = LightPrior::natural().on<float>(device);
  Tensor<float> codes({o.batch, corpus.rows, corpus.w_dim}, device);
  Observation seen = corpus.observe(sampler.batch(step), device);
  RenderLoss<float> parts;
  Var<float> prior, total;
  auto const not_captured = [&](std::string const& why) {
    optimiser.withdraw(F);
    hooks.capture_refused(why);
  };
  Repeated repeated(device, hooks.capture);
  for (; step < o.steps; ++step) {
    if (train::stop_asked(hooks.stop)) break;
    bool const photo = step >= warm_up;
    if (step == warm_up) repeated.forget();
    if (photo && step % o.validate_every == 0) validate();
    std::vector<int> const items = sampler.batch(step);
    corpus.load(items, codes);
    corpus.load(items, seen);
    optimiser.announce(F, step, o.steps);
    repeated(
        [&] {
          Tape tape;
          tape.watch(F);
          Var<float> const p = read(F, codes, seen);
          parts = face(seen, p, {photo, landmarks});
          prior = regulariser(r.layout, p, o.regulariser, face.named_expressions(), light);
          total = render_loss(parts, landmarks ? o.landmark : 0) + prior;
          tape.backward(total);
          optimiser.step(F);
        },
        not_captured);

    bool const told = hooks.log_every > 0 && (step % hooks.log_every == 0 || step + 1 == o.steps);
    if (told) {
      Var<float> const photo_mean = parts.photo ? mean(parts.photo) : Var<float>{},
                       landmark_mean = parts.landmark ? mean(parts.landmark) : Var<float>{};
      train::note_loss(who, hooks.log, step, total, {{"regulariser", &prior}, {"photometric", &photo_mean}, {"landmark", &landmark_mean}});
    }
    if (hooks.progress) hooks.progress(step + 1, o.steps, told ? str("loss ", total.item()) : std::string());
    if (hooks.checkpoint_every > 0 && (step + 1) % hooks.checkpoint_every == 0 && step + 1 < o.steps) {
      ++step;
      save();
      --step;
    }
  }
  r.finished = step >= o.steps;
  if (r.finished) {
    validate();
    check(best_score < first_score || score <= 2 * first_score, who, ": the training has diverged: the validation loss rose from ",
          first_score, " to ", score, "; a lower learning rate may help; what was saved before is kept");
  }
  save();
  r.F = best;
  r.steps = step;
  r.validation = best_score;
  return r;
}

template <class Net> void save_reader(std::string const& path, TrainedReader<Net>& r) {
  train::Settings m = train::to_settings(r.F.options, "network");
  m["kind"] = kind_of(&r.F), m["layout"] = r.layout.text(), m["face"] = r.face, m["generator"] = r.generator, m["corpus"] = r.origin;
  m["steps"] = std::to_string(r.steps), m["validation"] = train::exact_text(r.validation), m["finished"] = r.finished ? "true" : "false";
  io::save(path, io::Metadata(m.begin(), m.end()), io::item("F", r.F));
}

/// Everything but the weights; `make` builds the network from its options and output scale.
template <class Net, class Make>
TrainedReader<Net> load_reader(std::string const& path, std::string const& generator, std::string const& face, Device const& device,
                               Make const& make) {
  io::Metadata const m = io::load_metadata(path);
  std::string const kind = io::find_metadata(m, "kind");
  TrainedReader<Net> r;
  check(kind == kind_of(&r.F), path, ": expected a ", kind_of(&r.F), " network saved by rig, found ",
        kind.empty() ? "something else" : kind);
  r.layout = ParameterLayout::from_text(io::metadata_value(m, "layout", path));
  r.face = io::metadata_value(m, "face", path);
  r.generator = io::metadata_value(m, "generator", path);
  r.origin = io::metadata_value(m, "corpus", path);
  check(generator.empty() || generator == r.generator, path, ": F was trained for the generator ", r.generator, ", the one given is ",
        generator);
  check(face.empty() || face == r.face, path, ": F was trained for the face '", r.face, "', the one given is '", face, "'");
  decltype(r.F.options) o;
  train::Settings s;
  for (auto const& [k, v] : m)
    if (k.rfind("network.", 0) == 0) s[k] = v;
  train::from_settings(o, s, "network");
  Rng rng(0);
  r.F = make(o, output_scale(r.layout, 1), rng);
  io::load(path, io::item("F", r.F));
  nn::move_to(r.F, device);
  r.steps = train::metadata_number<std::int64_t>(m, "steps", path);
  r.validation = train::metadata_number<double>(m, "validation", path);
  r.finished = io::metadata_value(m, "finished", path) == "true";
  return r;
}
}  // namespace detail

RIG_INLINE TrainedReconstruction train_reconstruction(Corpus const& corpus, FaceLoss<float> const& face, ReconstructionTraining const& o,
                                                      TrainingHooks const& hooks, std::vector<float> const& mean_vector) {
  Rng rng = Rng(o.seed).split(0xf00d);
  auto const out = output_scale(face.layout(), face.camera_distance(), detail::start_vector(face.layout(), o, mean_vector));
  return detail::train_reader(corpus, face, o, hooks,
                              Reconstruction<float>({.rows = corpus.rows, .w_dim = corpus.w_dim, .hidden = o.hidden},
                                                    code_whitening(corpus), out, rng, face.device()));
}

RIG_INLINE TrainedPictureReader train_picture_reader(Corpus const& corpus, FaceLoss<float> const& face, ReconstructionTraining const& o,
                                                     TrainingHooks const& hooks, std::vector<float> const& mean_vector) {
  Rng rng = Rng(o.seed).split(0x1c7);
  auto const out = output_scale(face.layout(), face.camera_distance(), detail::start_vector(face.layout(), o, mean_vector));
  PictureReaderOptions net{.side = corpus.options.picture_size, .channels = {}, .hidden = o.hidden};
  for (std::int64_t side = net.side; side >= 8 && side % 2 == 0; side /= 2)
    net.channels.push_back(std::min<std::int64_t>(32 * std::int64_t(net.channels.size() + 1), 128));
  return detail::train_reader(corpus, face, o, hooks, PictureReader<float>(net, out, rng, face.device()));
}

RIG_INLINE void save_reconstruction(std::string const& path, TrainedReconstruction& r) { detail::save_reader(path, r); }
RIG_INLINE void save_reconstruction(std::string const& path, TrainedPictureReader& r) { detail::save_reader(path, r); }

RIG_INLINE TrainedReconstruction load_reconstruction(std::string const& path, std::string const& generator, std::string const& face,
                                                     Device const& device) {
  return detail::load_reader<Reconstruction<float>>(
      path, generator, face, device, [&](ReconstructionOptions const& o, OutputScale const& out, Rng& rng) {
        return Reconstruction<float>(o, {zeros<float>({o.w_dim}), ones<float>({o.w_dim})}, out, rng, device);
      });
}
RIG_INLINE TrainedPictureReader load_picture_reader(std::string const& path, std::string const& generator, std::string const& face,
                                                    Device const& device) {
  return detail::load_reader<PictureReader<float>>(
      path, generator, face, device,
      [&](PictureReaderOptions const& o, OutputScale const& out, Rng& rng) { return PictureReader<float>(o, out, rng, device); });
}
RIG_INLINE bool is_picture_reader(std::string const& path) {
  return io::find_metadata(io::load_metadata(path), "kind") == detail::kind_of(static_cast<PictureReader<float> const*>(nullptr));
}

RIG_INLINE Tensor<float> reconstruct_corpus(Corpus const& corpus, Reconstruction<float> const& F) {
  Tensor<float> p({corpus.size(), F.outputs()}, F.scale.device());
  std::int64_t const chunk = 512;
  std::vector<int> const all = corpus.all_items();
  for (std::int64_t i = 0; i < corpus.size(); i += chunk) {
    std::vector<int> const part(all.begin() + i, all.begin() + std::min(corpus.size(), i + chunk));
    Tensor<float> const values = F.evaluate(corpus.codes(part, p.device()));
    p.rows(i, std::int64_t(part.size())).assign(values);
  }
  return p;
}

namespace detail {
struct FittedVector {
  Param<float> x;  // in units of `unit`
  void visit(auto&& f) { f("x", x); }
};
}  // namespace detail

RIG_INLINE Tensor<float> fit_parameters(FaceLoss<float> const& face, Observation const& seen, Tensor<float> const& start,
                                        Tensor<float> const& unit, std::int64_t steps, double rate, double landmark,
                                        RegulariserOptions const& prior) {
  check(start.rank() == 2 && start.dim(1) == face.layout().size() && unit.shape() == Shape{start.dim(1)},
        "fit_parameters: start must be [n, ", face.layout().size(), "] and unit [", face.layout().size(), "], got ", start.shape(), " and ",
        unit.shape());
  detail::FittedVector v{Param<float>((Var<float>(start) / Var<float>(unit)).value().clone())};
  nn::Adam<float> adam({.rate = rate});
  bool const landmarks = bool(seen.landmarks) && landmark > 0;
  float const n = float(start.dim(0));
  LightPriorOn<float> const light = LightPrior::natural().on<float>(start.device());
  for (std::int64_t step = 0; step < steps; ++step) {
    Tape tape;
    tape.watch(v);
    Var<float> const p = v.x * Var<float>(unit);
    // The mean over images times n: every image is then fitted as if it were alone.
    tape.backward(n * (render_loss(face(seen, p, {true, landmarks}), landmark) +
                       regulariser(face.layout(), p, prior, face.named_expressions(), light)));
    adam.rate = nn::cosine_rate(step, steps, rate, rate * 0.05);
    adam.step(v);
  }
  return (Var<float>(v.x.value()) * Var<float>(unit)).value();
}

namespace detail {
inline double median(std::vector<double> v) {
  if (v.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::nth_element(v.begin(), v.begin() + std::ptrdiff_t(v.size() / 2), v.end());
  return v[v.size() / 2];
}
/// Distance of the outer eye corners (points 36 and 45 of 68) of each image, or NaN.
inline std::vector<double> eye_distances(Tensor<float> const& landmarks) {
  std::vector<double> d;
  std::int64_t const points = landmarks.dim(1);
  for (std::int64_t i = 0; i < landmarks.dim(0); ++i) {
    if (points < 46) {
      d.push_back(std::numeric_limits<double>::quiet_NaN());
      continue;
    }
    float const *a = landmarks.data() + (i * points + 36) * 3, *b = landmarks.data() + (i * points + 45) * 3;
    bool const known = a[2] > 0 && b[2] > 0;
    d.push_back(known ? std::hypot(double(a[0]) - b[0], double(a[1]) - b[1]) : std::numeric_limits<double>::quiet_NaN());
  }
  return d;
}
}  // namespace detail

RIG_INLINE bool ReconstructionReport::accepted() const {
  auto below = [](double v, double limit) { return std::isnan(v) || v < limit; };
  return finite && below(landmark_error, 0.04) && below(photometric_share, 0.4) && below(yaw_error, 3) && inside_four >= 0.99;
}

RIG_INLINE ReconstructionReport judge_reconstruction(Corpus const& corpus, TrainedReconstruction const& r, FaceLoss<float> const& face,
                                                     std::vector<int> const& items, std::int64_t fit_items, std::int64_t fit_steps) {
  check(!items.empty(), "judge_reconstruction: no items were given");
  ReconstructionReport report;
  report.items = std::int64_t(items.size());
  report.finite = true;
  std::vector<double> landmark;
  double photo = 0, photo_mean = 0;
  std::int64_t inside = 0, counted = 0;
  std::int64_t const f = r.layout.size();
  Device const device = face.device();
  for (std::size_t i = 0; i < items.size(); i += 64) {
    std::vector<int> const part(items.begin() + std::ptrdiff_t(i), items.begin() + std::ptrdiff_t(std::min(items.size(), i + 64)));
    Tensor<float> const read = r.F.evaluate(corpus.codes(part, device)), p = read.to(cpu());
    Observation const seen = corpus.observe(part, device);
    RenderLoss<float> const loss = face(seen, Var<float>(read), {true, corpus.has_landmarks()});
    Var<float> const rest = broadcast_to(Var<float>(r.F.offset), p.shape());
    // The mean face keeps F's pose and light: "placed by landmarks" without a second fit.
    Tensor<float> placed = rest.value().to(cpu()).clone();
    float* to = placed.mutate();
    for (char const* name : {"rotation", "translation"})
      if (Component const* c = r.layout.find(name))
        for (std::int64_t k = 0; k < p.dim(0); ++k)
          for (std::int64_t j = c->offset; j < c->offset + c->size; ++j) to[k * f + j] = p.data()[k * f + j];
    RenderLoss<float> const mean_face = face(seen, Var<float>(placed.to(device)), {true, false});
    if (loss.photo) {
      photo += double(sum(loss.photo).item());
      photo_mean += double(sum(mean_face.photo).item());
    }
    if (loss.landmark) {
      std::vector<double> const eyes = detail::eye_distances(seen.landmarks.to(cpu()));
      std::vector<float> const values = loss.landmark.value().host();
      for (std::size_t k = 0; k < values.size(); ++k)
        if (eyes[k] > 0) landmark.push_back(std::sqrt(double(values[k])) / eyes[k]);
    }
    for (char const* name : {"identity", "reflectance", "expression"})
      if (Component const* c = r.layout.find(name))
        for (std::int64_t k = 0; k < p.dim(0); ++k)
          for (std::int64_t j = c->offset; j < c->offset + c->size; ++j) ++counted, inside += std::abs(p.data()[k * f + j]) <= 4;
    for (std::int64_t k = 0; k < p.size(); ++k) report.finite = report.finite && std::isfinite(p.data()[k]);
  }
  report.landmark_error = detail::median(landmark);
  report.photometric_share = photo_mean > 0 ? photo / photo_mean : std::numeric_limits<double>::quiet_NaN();
  report.inside_four = counted ? double(inside) / double(counted) : 1;
  report.yaw_error = std::numeric_limits<double>::quiet_NaN();

  std::vector<int> const some(items.begin(), items.begin() + std::ptrdiff_t(std::min<std::size_t>(
                                                                 items.size(), std::size_t(std::max<std::int64_t>(fit_items, 0)))));
  if (some.empty()) return report;
  report.fitted = std::int64_t(some.size());
  Tensor<float> const p = r.F.evaluate(corpus.codes(some, device)).to(cpu());
  Tensor<float> const start = broadcast_to(Var<float>(r.F.offset), p.shape()).value();
  Tensor<float> const fitted = fit_parameters(face, corpus.observe(some, device), start, r.F.scale, fit_steps).to(cpu());
  if (Component const* c = r.layout.find("rotation"); c && c->size == 3) {
    std::vector<double> error;
    for (std::int64_t k = 0; k < p.dim(0); ++k)
      error.push_back(std::abs(double(p.data()[k * f + c->offset + 1]) - double(fitted.data()[k * f + c->offset + 1])) * 57.29577951308232);
    report.yaw_error = detail::median(error);
  }
  for (auto const& c : r.layout.components()) {
    if (c.size == 0) continue;
    double spread = 0, miss = 0;
    for (std::int64_t j = c.offset; j < c.offset + c.size; ++j) {
      double mean = 0;
      for (std::int64_t k = 0; k < p.dim(0); ++k) mean += fitted.data()[k * f + j] / double(p.dim(0));
      for (std::int64_t k = 0; k < p.dim(0); ++k) {
        double const a = fitted.data()[k * f + j] - mean, b = fitted.data()[k * f + j] - p.data()[k * f + j];
        spread += a * a, miss += b * b;
      }
    }
    report.explained.emplace_back(c.name, spread > 0 ? 1 - miss / spread : std::numeric_limits<double>::quiet_NaN());
  }
  return report;
}

RIG_INLINE std::vector<int> landmark_outliers(Corpus const& corpus, Reconstruction<float> const& F, FaceLoss<float> const& face,
                                              double percentile) {
  check(corpus.has_landmarks(), "landmark_outliers: the corpus has no landmarks");
  std::vector<int> const all = corpus.all_items();
  std::vector<float> errors;
  for (std::size_t i = 0; i < all.size(); i += 64) {
    std::vector<int> const part(all.begin() + std::ptrdiff_t(i), all.begin() + std::ptrdiff_t(std::min(all.size(), i + 64)));
    RenderLoss<float> const loss =
        face(corpus.observe(part, face.device()), Var<float>(F.evaluate(corpus.codes(part, face.device()))), {false, true});
    std::vector<float> const values = loss.landmark.value().host();
    Tensor<float> const marks = corpus.landmarks_of(part);
    for (std::size_t k = 0; k < values.size(); ++k) {
      float weight = 0;
      for (std::int64_t l = 0; l < marks.dim(1); ++l) weight += marks.data()[(std::int64_t(k) * marks.dim(1) + l) * 3 + 2];
      errors.push_back(weight > 0 ? values[k] : std::numeric_limits<float>::infinity());  // no face was found
    }
  }
  std::vector<float> known;
  for (float e : errors)
    if (std::isfinite(e)) known.push_back(e);
  if (known.empty()) return {};
  std::sort(known.begin(), known.end());
  float const limit = known[std::min(known.size() - 1, std::size_t(percentile / 100 * double(known.size())))];
  std::vector<int> bad;
  for (std::size_t i = 0; i < errors.size(); ++i)
    if (errors[i] > limit) bad.push_back(all[i]);
  return bad;
}

}  // namespace rig::inline RIG_ABI::stylerig
