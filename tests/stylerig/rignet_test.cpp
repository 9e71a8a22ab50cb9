#include <doctest/doctest.h>

#include <algorithm>

#include "rig/autodiff/gradcheck.hpp"
#include "rig/stylerig/losses.hpp"
#include "rig/stylerig/toy_world.hpp"

using namespace rig;
using namespace rig::stylerig;

namespace {

struct Small {
  ToyWorld<double> world;
  ToyFaceLoss<double> face{world};
  Whitening<double> codes, parameters;
  Reconstruction<double> F;
  ControlInput<double> control;
  RigNet<double> N;
  RigBatch<double> batch;

  explicit Small(std::vector<std::int64_t> hidden = {7}, ControlMode mode = ControlMode::merged_delta, std::int64_t encoder = 3,
                 Control c = Control::pose, bool siamese = true) {
    Rng rng(21);
    ParameterLayout const& l = world.layout;
    codes = {randn<double>({16}, rng, {}, 0.1), rand<double>({16}, rng, {}, 0.5, 1.5)};
    parameters = {randn<double>({15}, rng, {}, 0.1), rand<double>({15}, rng, {}, 0.5, 1.5)};
    F = Reconstruction<double>({.rows = 6, .w_dim = 16, .hidden = {9, 8}}, codes, output_scale(l, 1), rng);
    control = ControlInput<double>(mode, l, c, parameters);
    N = RigNet<double>({.rows = 6, .w_dim = 16, .encoder = encoder, .hidden = hidden}, control.size(), codes, rng);
    // Weights of ordinary size, so that nothing under test is nearly zero.
    nn::parameters(N, [&](std::string const&, Param<double>& p) { p = Param<double>(randn<double>(p.shape(), rng, {}, 0.2)); });
    nn::parameters(F, [&](std::string const&, Param<double>& p) { p = Param<double>(randn<double>(p.shape(), rng, {}, 0.2)); });
    Tensor<double> const w = randn<double>({2, 6, 16}, rng), v = randn<double>({2, 6, 16}, rng);
    auto both = [&](Tensor<double> const& a, Tensor<double> const& b) {
      return siamese ? concat<double>({Var<double>(a), Var<double>(b)}, 0).value() : a;
    };
    batch.codes = both(w, v);
    Tensor<double> const other = both(v, w);
    batch.source_p = F(Var<double>(batch.codes)).value();
    batch.target_p = F(Var<double>(other)).value();
    auto see = [&](Tensor<double> const& x) {
      Var<double> const noise(randn<double>({x.dim(0), 192}, rng, {}, 0.02));
      return Observation{cast<float>((world.render(world.parameters(Var<double>(x))) + noise).value()).reshape({x.dim(0), 8, 8, 3}), {}};
    };
    batch.source = see(batch.codes);
    // The partner of every row is seen in the same picture as where it is the source.
    if (siamese)
      batch.target = {
          concat<float>({slice(Var<float>(batch.source.pictures), 0, 2, 2), slice(Var<float>(batch.source.pictures), 0, 0, 2)}, 0).value(),
          {}};
    else
      batch.target = see(other);
    batch.edited = mask_row(control_mask(l, c));
    batch.kept = mask_row(kept_mask(l, c));
  }
  RigLosses<double> losses(RigLossOptions const& o = {}) const { return rig_losses(N, control, F, face, batch, o); }
};

/// N with the values of x in place of its parameters, and on x's tape.
RigNet<double> with_weights(RigNet<double> N, std::vector<Var<double>> const& x) {
  std::size_t i = 0;
  nn::parameters(N, [&](std::string const&, Param<double>& p) {
    p = Param<double>(x[i].value());
    if (x[i].tracked()) p.bind(x[i].record(), x[i].id());
    ++i;
  });
  return N;
}

double largest_difference(Tensor<double> const& a, Tensor<double> const& b) {
  double d = 0;
  for (std::int64_t i = 0; i < a.size(); ++i) d = std::max(d, std::abs(a.data()[i] - b.data()[i]));
  return d;
}

}  // namespace

TEST_CASE("F and RigNet: gradients to inputs and to every weight") {
  for (auto const& hidden : {std::vector<std::int64_t>{}, std::vector<std::int64_t>{7}, std::vector<std::int64_t>{5, 4}}) {
    Small s(hidden);
    Rng rng(1);
    auto const w = randn<double>({3, 6, 16}, rng), q = randn<double>({3, s.control.size()}, rng);
    auto r = gradcheck([&](auto const& x) { return s.N(x[0], x[1]); }, {w, q});
    CHECK(r.worst < 1e-6);
    r = gradcheck([&](auto const& x) { return s.F(x[0]); }, {w}, {.order = 2});
    CHECK(r.worst < 1e-6);
    std::vector<Tensor<double>> weights;
    nn::parameters(s.N, [&](std::string const&, Param<double>& p) { weights.push_back(p.value()); });
    // The weights as inputs of the check: each is put in place of the parameter it came from.
    r = gradcheck([&](auto const& x) { return with_weights(s.N, x)(Var<double>(w), Var<double>(q)); }, weights, {.points = 10});
    CHECK(r.worst < 1e-6);
  }
}

TEST_CASE("the total loss differentiates down to N's weights") {
  for (bool parameter_space : {false, true})
    for (ControlMode mode : {ControlMode::full, ControlMode::merged, ControlMode::merged_delta}) {
      Small s({7}, mode);
      // The pictures are stored in float; as constants they do not disturb central differences in double.
      std::vector<Tensor<double>> weights;
      nn::parameters(s.N, [&](std::string const&, Param<double>& p) { weights.push_back(p.value()); });
      auto const r = gradcheck(
          [&](auto const& x) {
            return rig_losses(with_weights(s.N, x), s.control, s.F, s.face, s.batch, {.parameter_space = parameter_space}).total;
          },
          weights, {.points = 6});
      CHECK(r.worst < 1e-6);
    }
}

TEST_CASE("wishes for one value: held to their vectors, the rest of the batch as it was") {
  Small s;
  RigLosses<double> const before = s.losses();
  // One wish for the first code: its second rotation number becomes 0.3, and only two of the three are counted.
  Small t;
  std::int64_t const at = t.world.layout.at("rotation").offset, f = t.world.layout.size();
  auto more = [](Tensor<double> const& x) { return concat<double>({Var<double>(x), slice(Var<double>(x), 0, 0, 1)}, 0).value(); };
  t.batch.codes = more(s.batch.codes), t.batch.source_p = more(s.batch.source_p);
  t.batch.target_p = concat<double>({Var<double>(s.batch.target_p), slice(Var<double>(s.batch.source_p), 0, 0, 1)}, 0).value();
  t.batch.target_p.mutate()[4 * f + at + 1] = 0.3;
  t.batch.source.pictures =
      concat<float>({Var<float>(s.batch.source.pictures), slice(Var<float>(s.batch.source.pictures), 0, 0, 1)}, 0).value();
  t.batch.target = s.batch.target;
  t.batch.wished = zeros<unsigned char>({1, f});
  t.batch.wished.mutate()[at] = t.batch.wished.mutate()[at + 1] = 1;
  t.batch.distinct = 4;
  RigLossOptions const o{.wish = 0.7};
  RigLosses<double> const l = t.losses(o);
  CHECK(l.edit.item() == doctest::Approx(before.edit.item()).epsilon(1e-12));
  CHECK(l.reconstruction.item() == doctest::Approx(before.reconstruction.item()).epsilon(1e-12));
  CHECK(!before.wish);
  Tensor<double> const hat = t.F(l.edited_codes).value();
  double by_hand = 0;
  for (std::int64_t i = at; i < at + 2; ++i) {
    double const d = (hat.data()[4 * f + i] - t.batch.target_p.data()[4 * f + i]) / t.control.parameters.deviation.data()[i];
    by_hand += d * d / 2;
  }
  CHECK(l.wish.item() == doctest::Approx(by_hand).epsilon(1e-12));
  CHECK(l.total.item() == doctest::Approx(l.reconstruction.item() + 10 * l.edit.item() + 10 * l.consistency.item() + 0.01 * l.move.item() +
                                          0.05 * l.rows.item() + 0.7 * l.wish.item())
                              .epsilon(1e-12));
  CHECK(!t.losses({.wish = 0}).wish);
  std::vector<Tensor<double>> weights;
  nn::parameters(t.N, [&](std::string const&, Param<double>& p) { weights.push_back(p.value()); });
  for (bool parameter_space : {false, true}) {
    auto const r = gradcheck(
        [&](auto const& x) {
          return rig_losses(with_weights(t.N, x), t.control, t.F, t.face, t.batch, {.wish = 0.7, .parameter_space = parameter_space}).total;
        },
        weights, {.points = 6});
    CHECK(r.worst < 1e-6);
  }
}

TEST_CASE("control inputs say what they should") {
  ToyWorld<double> const world;
  Rng rng(8);
  Whitening<double> s{randn<double>({15}, rng), rand<double>({15}, rng, {}, 0.5, 2)};
  Tensor<double> const p_w = randn<double>({2, 15}, rng), p_v = randn<double>({2, 15}, rng);
  auto const mask = mask_row(control_mask(world.layout, Control::expression));
  auto q = [&](ControlMode m) {
    ControlInput<double> const c(m, world.layout, Control::expression, s);
    return c(Var<double>(p_w), Var<double>(p_v), mask).value();
  };
  std::int64_t const e = world.layout.at("expression").offset;
  auto white = [&](Tensor<double> const& p, std::int64_t i) { return (p.data()[i] - s.mean.data()[i]) / s.deviation.data()[i]; };
  CHECK(q(ControlMode::full).dim(1) == 15);
  CHECK(q(ControlMode::subset).dim(1) == 4);
  CHECK(q(ControlMode::merged).dim(1) == 15);
  CHECK(q(ControlMode::merged_delta).dim(1) == 19);
  CHECK(q(ControlMode::delta).dim(1) == 4);
  for (std::int64_t i = 0; i < 15; ++i) {
    bool const of = i >= e && i < e + 4;
    CHECK(q(ControlMode::full).data()[i] == doctest::Approx(white(p_v, i)));
    CHECK(q(ControlMode::merged).data()[i] == doctest::Approx(white(of ? p_v : p_w, i)));
  }
  for (std::int64_t i = 0; i < 4; ++i) {
    CHECK(q(ControlMode::subset).data()[i] == doctest::Approx(white(p_v, e + i)));
    CHECK(q(ControlMode::merged_delta).data()[15 + i] ==
          doctest::Approx((p_v.data()[e + i] - p_w.data()[e + i]) / s.deviation.data()[e + i]));
  }
  // An entry that hardly varies is left out.
  double* d = s.deviation.mutate();
  d[0] = 1e-6, d[e] = 0;
  CHECK(q(ControlMode::full).dim(1) == 13);
  CHECK(q(ControlMode::merged_delta).dim(1) == 16);
}

TEST_CASE("rows of RigNet are independent, also without encoder") {
  for (std::int64_t encoder : {3, 0}) {
    Small const s({7}, encoder ? ControlMode::merged_delta : ControlMode::delta, encoder);
    Rng rng(2);
    Tensor<double> const w = randn<double>({2, 6, 16}, rng), q = randn<double>({2, s.control.size()}, rng);
    Tensor<double> const before = s.N(Var<double>(w), Var<double>(q)).value();
    for (std::int64_t j = 0; j < 6; ++j) {
      Tensor<double> other = w.clone();
      for (std::int64_t k = 0; k < 16; ++k) other.mutate()[j * 16 + k] += 1;
      Tensor<double> const after = s.N(Var<double>(other), Var<double>(q)).value();
      for (std::int64_t r = 0; r < 2; ++r)
        for (std::int64_t i = 0; i < 6; ++i)
          for (std::int64_t k = 0; k < 16; ++k) {
            std::int64_t const at = (r * 6 + i) * 16 + k;
            if (r == 0 && i == j)
              CHECK(after.data()[at] != before.data()[at]);
            else
              CHECK(after.data()[at] == before.data()[at]);
          }
    }
  }
}

TEST_CASE("fixed points") {
  // A network of zeros leaves every code as it is.
  Small s;
  nn::parameters(s.N, [](std::string const&, Param<double>& p) { p = Param<double>(zeros<double>(p.shape())); });
  auto const l = s.losses();
  CHECK(largest_difference(l.edited_codes.value(), s.batch.codes) == 0);
  CHECK(l.reconstruction.item() == 0);
  CHECK(l.move.item() == 0);
  CHECK(l.rows.item() == doctest::Approx(1e-3));  // rounded at zero
  CHECK(l.consistency.item() == render_loss(s.face(s.batch.source, Var<double>(s.batch.source_p)), 20).item());

  // If F reads exactly v's c from the new code, L_edit is the loss of v's own picture.
  Var<double> const p_v(s.batch.target_p), p_hat(replace(Var<double>(s.batch.source_p), p_v, s.batch.edited));
  double const edit = render_loss(s.face(s.batch.target, replace(p_v, p_hat, s.batch.edited)), 20).item();
  CHECK(edit == render_loss(s.face(s.batch.target, p_v), 20).item());
  // With the network at its start, N moves codes by next to nothing.
  Rng rng(3);
  RigNet<double> const fresh({.rows = 6, .w_dim = 16, .encoder = 3, .hidden = {7}}, s.control.size(), s.codes, rng);
  Tensor<double> const q = randn<double>({4, s.control.size()}, rng);
  CHECK(largest_difference(fresh(Var<double>(s.batch.codes), Var<double>(q)).value(), s.batch.codes) < 0.05);
}

TEST_CASE("swapping w and v leaves the siamese loss as it is") {
  Small const s;
  Small t;
  auto swap = [](Tensor<double> const& x) {
    Var<double> const v(x);
    return concat<double>({slice(v, 0, 2, 2), slice(v, 0, 0, 2)}, 0).value();
  };
  t.batch.codes = swap(s.batch.codes);
  t.batch.source_p = swap(s.batch.source_p);
  t.batch.target_p = swap(s.batch.target_p);
  std::swap(t.batch.source, t.batch.target);
  CHECK(t.losses().total.item() == doctest::Approx(s.losses().total.item()).epsilon(1e-12));
  // And it is no empty statement: without the cycle the two directions differ.
  Small const one({7}, ControlMode::merged_delta, 3, Control::pose, false);
  Small other = one;
  std::swap(other.batch.source, other.batch.target);
  std::swap(other.batch.source_p, other.batch.target_p);
  CHECK(std::abs(other.losses().total.item() - one.losses().total.item()) > 1e-6);
}

TEST_CASE("the length of an edit is counted a row") {
  Small const s;
  auto const l = s.losses();
  Tensor<double> const hat = l.edited_codes.value();
  std::int64_t const rows = hat.dim(1), width = hat.dim(2);
  double lengths = 0, squares = 0;
  for (std::int64_t i = 0; i < hat.dim(0) * rows; ++i) {
    double square = 0;
    for (std::int64_t k = 0; k < width; ++k) {
      double const d = (hat.data()[i * width + k] - s.batch.codes.data()[i * width + k]) / s.N.codes.deviation.data()[k];
      square += d * d / double(width);
    }
    lengths += std::sqrt(square + 1e-6) / double(hat.dim(0) * rows), squares += square / double(hat.dim(0) * rows);
  }
  CHECK(l.rows.item() == doctest::Approx(lengths).epsilon(1e-9));
  CHECK(l.move.item() == doctest::Approx(squares).epsilon(1e-9));
  CHECK(!s.losses({.rows = 0}).rows);
}

TEST_CASE("weights of 0 leave a loss out") {
  Small const s;
  CHECK(!s.losses({.edit = 0}).edit);
  CHECK(!s.losses({.consistency = 0}).consistency);
  CHECK(!s.losses({.reconstruction = 0}).reconstruction);
  auto const all = s.losses({.reconstruction = 2, .edit = 3, .consistency = 5, .move = 0.5, .rows = 0.25});
  CHECK(all.total.item() == doctest::Approx(2 * all.reconstruction.item() + 3 * all.edit.item() + 5 * all.consistency.item() +
                                            0.5 * all.move.item() + 0.25 * all.rows.item())
                                .epsilon(1e-12));
  CHECK(s.losses({.consistency = 0}).edit.item() == doctest::Approx(s.losses().edit.item()).epsilon(1e-12));
  CHECK(s.losses({.edit = 0}).consistency.item() == doctest::Approx(s.losses().consistency.item()).epsilon(1e-12));
}

TEST_CASE("regulariser: quadratic for deviations, a box for named shapes, grey light") {
  ParameterLayout const l = ParameterLayout::standard(2, 3, 2);
  Rng rng(6);
  Tensor<double> p = randn<double>({2, l.size()}, rng);
  RegulariserOptions o;
  o.weight = 1;
  double a = 0, b = 0, d = 0, box = 0, spread = 0;
  for (std::int64_t r = 0; r < 2; ++r) {
    double const* x = p.data() + r * l.size();
    for (int i = 0; i < 2; ++i) a += x[i] * x[i];
    for (int i = 2; i < 5; ++i) b += x[i] * x[i];
    for (int i = 5; i < 7; ++i) {
      d += x[i] * x[i];
      double const under = std::max(0.0, -x[i]), over = std::max(0.0, x[i] - 1);
      box += under * under + over * over + 0.1 * std::abs(x[i]);
    }
    for (int k = 0; k < 9; ++k) {
      double const m = (x[7 + k] + x[16 + k] + x[25 + k]) / 3;
      for (int c = 0; c < 3; ++c) spread += (x[7 + 9 * c + k] - m) * (x[7 + 9 * c + k] - m);
    }
  }
  double const grey = 0.05 * spread / 54;
  CHECK(regulariser(l, Var<double>(p), o, false).item() == doctest::Approx((a + 0.017 * b + 0.8 * d) / 2 + grey));
  CHECK(regulariser(l, Var<double>(p), o, true).item() == doctest::Approx((a + 0.017 * b + 0.8 * box) / 2 + grey));
  o.light = 1;
  Var<double> const light = sum(LightPrior::natural().squared_distance(slice(Var<double>(p), 1, 7, 27)));
  CHECK(regulariser(l, Var<double>(p), o, false).item() == doctest::Approx((a + 0.017 * b + 0.8 * d + light.item()) / 2 + grey));
  for (bool named : {false, true}) {
    auto const r = gradcheck([&](auto const& x) { return regulariser(l, x[0], o, named); }, {p}, {.points = 60});
    CHECK(r.worst < 1e-6);
  }
}
