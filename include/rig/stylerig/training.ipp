#pragma once
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "rig/stylerig/training.hpp"
#include "rig/train/divergence.hpp"
#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE RigTraining RigTraining::paper(Control c) {
  RigTraining o;
  o.controls = c;
  o.mode = o.simultaneous() ? ControlMode::merged : ControlMode::full;
  o.hidden = {};
  o.pairs = 16;
  o.steps = 200000;
  o.optimiser = OptimiserOptions::adadelta();
  o.losses.edit = o.losses.consistency = 1;
  o.losses.move = o.losses.rows = 0;
  o.balanced = 0;
  o.random_subset = false;
  o.wishes = 0;
  return o;
}
RIG_INLINE RigTraining RigTraining::best(Control c) {
  RigTraining o;
  o.controls = c;
  return o;
}
RIG_INLINE std::vector<std::string> RigTraining::ablations() {
  return {"steering", "steering_mlp", "no_rec", "no_consist", "no_edit", "param_space", "one_way"};
}
RIG_INLINE RigTraining RigTraining::ablated(std::string_view name) const {
  RigTraining o = *this;
  if (name == "steering" || name == "steering_mlp") {
    o.mode = ControlMode::delta;
    o.encoder = 0;
    o.hidden = name == "steering" ? std::vector<std::int64_t>{} : std::vector<std::int64_t>{256, 256};
  } else if (name == "no_rec") {
    o.losses.reconstruction = 0;
    o.losses.move = o.losses.rows = 0;  // they would stand in for what is left out
  } else if (name == "no_consist") {
    o.losses.consistency = 0;
  } else if (name == "no_edit") {
    o.losses.edit = o.losses.wish = 0;
  } else if (name == "param_space") {
    o.losses.parameter_space = true;
  } else if (name == "one_way") {
    o.siamese = false;
  } else {
    throw Error(str("ablation: expected steering, steering_mlp, no_rec, no_consist, no_edit, param_space or one_way, got '", name, "'"));
  }
  return o;
}

RIG_INLINE Tensor<float> EditNetwork::operator()(Tensor<float> const& codes, Tensor<float> const& p_w, Tensor<float> const& target,
                                                 Tensor<unsigned char> const& edited) const {
  return net(Var<float>(codes), input(Var<float>(p_w), Var<float>(target), edited)).value();
}

RIG_INLINE PartnerSampler::PartnerSampler(Tensor<float> const& p, std::vector<int> items, ParameterLayout const& layout,
                                          ParameterStatistics const& statistics, Control controls, double cap)
    : items_(std::move(items)) {
  check(!items_.empty(), "PartnerSampler: there is nothing to draw from");
  Tensor<float> const x = p.to(cpu());
  std::vector<float> const d = statistics.deviation.host();
  std::vector<double> const deviation(d.begin(), d.end());
  for (int entry : detail::varying_entries(control_mask(layout, controls), deviation)) {
    std::vector<double> table;
    double total = 0;
    for (int item : items_) {
      float const share = statistics.density(entry, x.data()[std::int64_t(item) * p.dim(1) + entry]);
      // Weight 1 is an item where the density is even; outside the range there is no weight.
      total += share > 0 ? std::min(cap, 1.0 / (double(share) * ParameterStatistics::bins)) : 0;
      table.push_back(total);
    }
    if (total > 0) cumulative_.push_back(std::move(table));
  }
}

RIG_INLINE int PartnerSampler::balanced(Rng& rng) const {
  if (cumulative_.empty()) return uniform(rng);
  auto const& table = cumulative_[std::size_t(rng.below(std::int64_t(cumulative_.size())))];
  auto const at = std::upper_bound(table.begin(), table.end(), rng.uniform() * table.back());
  return items_[std::min(std::size_t(at - table.begin()), items_.size() - 1)];
}

RIG_INLINE RigPairs draw_pairs(RigTraining const& o, PartnerSampler const& partners, std::int64_t step) {
  Rng rng = Rng(o.seed).split(0xba7c4).split(std::uint64_t(step));
  std::vector<int> w, v;
  for (std::int64_t i = 0; i < o.pairs; ++i) {
    w.push_back(partners.uniform(rng));
    v.push_back(rng.uniform() < o.balanced ? partners.balanced(rng) : partners.uniform(rng));
  }
  std::vector<int> source = w, target = v;
  if (o.siamese) {
    source.insert(source.end(), v.begin(), v.end());
    target.insert(target.end(), w.begin(), w.end());
  }
  RigPairs p;
  p.distinct = std::int64_t(source.size());
  if (!o.simultaneous()) {
    p.source = source, p.target = target;
    p.control.assign(source.size(), o.controls);
    return p;
  }
  std::vector<Control> singles;
  for (Control c : single_controls)
    if (contains(o.controls, c)) singles.push_back(c);
  bool const extra = o.random_subset && singles.size() > 1;
  std::int64_t const kinds = std::int64_t(singles.size()) + extra, made = o.samples > 0 ? std::min(o.samples, kinds) : kinds;
  // Both directions of a pair change the same controls, so that the cycle stays symmetric.
  std::vector<Control> subset;
  for (std::int64_t i = 0; i < o.pairs && extra; ++i) {
    Control c = o.controls;
    if (singles.size() > 2 && rng.uniform() < 0.75) {  // two of three, or all three: the four sets are equally likely
      Control const out = singles[std::size_t(rng.below(3))];
      c = Control(unsigned(o.controls) & ~unsigned(out));
    }
    subset.push_back(c);
  }
  for (std::int64_t k = 0; k < made; ++k)
    for (std::size_t i = 0; i < source.size(); ++i) {
      std::int64_t const pair = std::int64_t(i) % o.pairs;
      std::int64_t const kind = made == kinds ? k : (step * made + k + pair) % kinds;
      p.source.push_back(source[i]);
      p.target.push_back(target[i]);
      p.control.push_back(kind < std::int64_t(singles.size()) ? singles[std::size_t(kind)] : subset[std::size_t(pair)]);
    }
  return p;
}

RIG_INLINE WishSampler::WishSampler(RigTraining const& o, Tensor<float> const& p, ParameterLayout const& layout,
                                    ParameterStatistics const& statistics)
    : seed_(o.seed), count_(std::llround(o.wishes * double(o.pairs))) {
  check(o.wishes >= 0 && o.wishes <= (o.siamese ? 2 : 1), "train_rig: wishes must be between 0 and ", o.siamese ? 2 : 1, " a pair, got ",
        o.wishes);
  if (count_ == 0) return;
  p_ = p.to(cpu());
  std::vector<float> const d = statistics.deviation.host();
  std::vector<double> const deviation(d.begin(), d.end());
  auto const all = standard_axes(layout, statistics, p_, light_bands(layout, p_), o.controls, layout.size());
  for (Control c : single_controls) {
    Group g{c, {}, std::vector<unsigned char>(deviation.size(), 0)};
    for (auto const& a : all)
      if (a.control == c && a.high > a.low) g.axes.push_back(a);
    for (int entry : detail::varying_entries(control_mask(layout, c), deviation)) g.counted[std::size_t(entry)] = 1;
    if (!g.axes.empty()) groups_.push_back(std::move(g));
  }
  if (groups_.empty()) count_ = 0;
}

RIG_INLINE std::vector<RigWish> WishSampler::draw(RigPairs const& pairs, std::int64_t step) const {
  Rng rng = Rng(seed_).split(0x3154).split(std::uint64_t(step));
  std::vector<RigWish> wishes;
  for (std::int64_t i = 0; i < count_; ++i) {
    Group const& g = groups_[std::size_t(rng.below(std::int64_t(groups_.size())))];
    Axis const& axis = g.axes[std::size_t(rng.below(std::int64_t(g.axes.size())))];
    RigWish w{pairs.source[std::size_t(i)], g.control, {}, g.counted};
    float const* row = p_.data() + std::int64_t(w.source) * p_.dim(1);
    w.target.assign(row, row + p_.dim(1));
    axis.write(w.target.data(), axis.within(rng.uniform()));
    wishes.push_back(std::move(w));
  }
  return wishes;
}

namespace detail {
inline Tensor<float> rows_of(Tensor<float> const& p, std::vector<int> const& items) {
  return gather(Var<float>(p), Tensor<int>({std::int64_t(items.size())}, items, p.device()), 0).value();
}
inline Observation empty_observation(Corpus const& corpus, std::int64_t n, Device const& device) {
  std::int64_t const s = corpus.options.picture_size;
  Observation o{Tensor<float>({n, s, s, 3}, device), {}};
  if (corpus.has_landmarks()) o.landmarks = Tensor<float>({n, corpus.landmark_count(), 3}, device);
  return o;
}
/// A batch's pictures come in repeats (samples of one pair, the last ones of its first codes): each is fetched once and then copied.
inline void load_repeated(Observation& o, Corpus const& corpus, std::vector<int> const& items, std::int64_t distinct) {
  std::vector<int> const once(items.begin(), items.begin() + distinct);
  Observation first{o.pictures.rows(0, distinct), o.landmarks ? o.landmarks.rows(0, distinct) : Tensor<float>{}};
  corpus.load(once, first);
  std::int64_t const n = std::int64_t(items.size());
  for (std::int64_t i = distinct; i < n; i += distinct) {
    std::int64_t const m = std::min(distinct, n - i);
    o.pictures.rows(i, m).assign(first.pictures.rows(0, m));
    if (o.landmarks) o.landmarks.rows(i, m).assign(first.landmarks.rows(0, m));
  }
}
}  // namespace detail

RIG_INLINE RigBatch<float> make_batch(Corpus const& corpus, Tensor<float> const& p, ParameterLayout const& layout, RigPairs const& pairs,
                                      RigLossOptions const& losses) {
  Device const device = p.device();
  std::int64_t const edits = std::int64_t(pairs.source.size()), wishes = std::int64_t(pairs.wishes.size()), n = edits + wishes,
                     f = p.dim(1);
  RigBatch<float> b;
  b.distinct = pairs.distinct;
  b.codes = Tensor<float>({n, corpus.rows, corpus.w_dim}, device);
  b.source_p = Tensor<float>({n, f}, device);
  b.target_p = Tensor<float>({n, f}, device);
  if (!losses.parameter_space) {
    if (losses.consistency > 0) b.source = detail::empty_observation(corpus, n, device);
    if (losses.edit > 0) b.target = detail::empty_observation(corpus, edits, device);
  }
  b.edited = Tensor<unsigned char>({n, f}, device);
  b.kept = Tensor<unsigned char>({n, f}, device);
  if (wishes) b.wished = Tensor<unsigned char>({wishes, f}, device);
  load_batch(b, corpus, p, layout, pairs, losses);
  return b;
}

RIG_INLINE void load_batch(RigBatch<float>& b, Corpus const& corpus, Tensor<float> const& p, ParameterLayout const& layout,
                           RigPairs const& pairs, RigLossOptions const& losses) {
  std::int64_t const edits = std::int64_t(pairs.source.size()), wishes = std::int64_t(pairs.wishes.size());
  check(b.distinct == pairs.distinct && b.codes && b.codes.dim(0) == edits + wishes, "load_batch: ", edits, " samples and ", wishes,
        " wishes do not fit into a batch of ", b.codes.shape());
  std::vector<int> sources = pairs.source;
  std::vector<std::vector<unsigned char>> edited, kept, wished;
  std::vector<float> wanted;
  auto mask = [&](Control c) {
    edited.push_back(control_mask(layout, c));
    kept.push_back(kept_mask(layout, c, losses.keep_translation));
  };
  for (Control c : pairs.control) mask(c);
  for (RigWish const& w : pairs.wishes) {
    sources.push_back(w.source);
    mask(w.control);
    wished.push_back(w.counted);
    wanted.insert(wanted.end(), w.target.begin(), w.target.end());
  }
  corpus.load(sources, b.codes);
  b.source_p.assign(detail::rows_of(p, sources));
  b.target_p.rows(0, edits).assign(detail::rows_of(p, pairs.target));
  if (wishes) b.target_p.rows(edits, wishes).assign(Tensor<float>({wishes, p.dim(1)}, wanted));
  if (b.source.pictures) detail::load_repeated(b.source, corpus, sources, pairs.distinct);
  if (b.target.pictures) detail::load_repeated(b.target, corpus, pairs.target, pairs.distinct);
  b.edited.assign(mask_rows(edited));
  b.kept.assign(mask_rows(kept));
  if (wishes) b.wished.assign(mask_rows(wished));
}

RIG_INLINE TrainedRig train_rig(Corpus const& corpus, TrainedReconstruction const& r, Tensor<float> const& p,
                                ParameterStatistics const& statistics, FaceLoss<float> const& face, RigTraining const& o,
                                TrainingHooks const& hooks) {
  check(o.pairs > 0 && o.steps > 0, "train_rig: pairs and steps must be positive, got ", o.pairs, " and ", o.steps);
  check(o.controls != Control::none, "train_rig: no control was asked for");
  check(r.generator == corpus.generator, "train_rig: F was trained for the generator ", r.generator, ", the corpus is of ",
        corpus.generator);
  check(r.face == face.identity(), "train_rig: F was trained for the face '", r.face, "', the one given is '", face.identity(), "'");
  check(p.device() == face.device() && r.F.scale.device() == face.device(), "train_rig: F is on ", r.F.scale.device(), ", p on ",
        p.device(), ", the face on ", face.device(), "; all must be on one device");
  check(r.layout == face.layout(), "train_rig: F has the layout ", r.layout.text(), ", the face ", face.layout().text());
  check(p.shape() == (Shape{corpus.size(), r.layout.size()}), "train_rig: p must be [", corpus.size(), ", ", r.layout.size(), "], got ",
        p.shape());
  check(!(o.simultaneous() && o.mode == ControlMode::full),
        "train_rig: simultaneous control cannot be expressed by the control input 'full'; use merged or merged_delta");
  bool const landmarks = corpus.has_landmarks();
  RigLossOptions losses = o.losses;
  if (!landmarks) losses.landmark = 0;

  TrainedRig t;
  t.training = o;
  t.network.controls = o.controls;
  t.network.input = ControlInput<float>(o.mode, r.layout, o.controls, statistics.whitening(), p.device());
  Rng rng = Rng(o.seed).split(0x719);
  t.network.net = RigNet<float>({.rows = corpus.rows, .w_dim = corpus.w_dim, .encoder = o.encoder, .hidden = o.hidden},
                                t.network.input.size(), nn::clone(r.F.codes), rng, p.device());
  RigNet<float>& N = t.network.net;
  Optimiser optimiser(o.optimiser);
  optimiser.prepare(N);
  PartnerSampler const partners(p, corpus.items(Split::train), r.layout, statistics, o.controls, o.balance_cap);
  Reconstruction<float> F = r.F;  // shares the weights, which nobody here changes
  std::int64_t step = 0;

  train::Settings run = train::to_settings(o, "training");
  run["kind"] = "rig network run", run["layout"] = r.layout.text(), run["face"] = r.face, run["corpus"] = corpus.provenance();
  run["reconstruction"] = nn::content_hash(F), run["extra"] = hooks.extra_provenance;
  train::RunCheckpoint const checkpoint(hooks.checkpoint, run, p.device(), hooks.log, hooks.note);
  auto save = [&] {
    train::check_weights("train_rig", N, step);
    checkpoint.save(step, {}, io::item("N", N), io::item("optimiser", optimiser));
  };
  if (checkpoint.exists()) checkpoint.load(step, io::item("N", N), io::item("optimiser", optimiser));

  WishSampler const wishes(o, p, r.layout, statistics);
  auto draw = [&] {
    RigPairs pairs = draw_pairs(o, partners, step);
    pairs.wishes = wishes.draw(pairs, step);
    return pairs;
  };
  RigBatch<float> batch = make_batch(corpus, p, r.layout, draw(), losses);
  RigLosses<float> l;
  auto const not_captured = [&](std::string const& why) {
    optimiser.withdraw(N);
    hooks.capture_refused(why);
  };
  Repeated repeated(p.device(), hooks.capture);
  for (; step < o.steps; ++step) {
    if (train::stop_asked(hooks.stop)) break;
    load_batch(batch, corpus, p, r.layout, draw(), losses);
    optimiser.announce(N, step, o.steps);
    repeated(
        [&] {
          Tape tape;
          tape.watch(N);
          l = rig_losses(N, t.network.input, F, face, batch, losses);
          tape.backward(l.total);
          optimiser.step(N);
        },
        not_captured);

    bool const told = hooks.log_every > 0 && (step % hooks.log_every == 0 || step + 1 == o.steps);
    if (told)
      train::note_loss("train_rig", hooks.log, step, l.total,
                       {{"reconstruction", &l.reconstruction},
                        {"edit", &l.edit},
                        {"consistency", &l.consistency},
                        {"wish", &l.wish},
                        {"move", &l.move},
                        {"rows", &l.rows}});
    if (hooks.progress) hooks.progress(step + 1, o.steps, told ? str("loss ", l.total.item()) : std::string());
    if (hooks.checkpoint_every > 0 && (step + 1) % hooks.checkpoint_every == 0 && step + 1 < o.steps) {
      ++step;
      save();
      --step;
    }
  }
  t.finished = step >= o.steps;
  t.steps = step;
  save();
  return t;
}

}  // namespace rig::inline RIG_ABI::stylerig
