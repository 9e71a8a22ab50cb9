// A layer in one op on the device: the convolution's write and the filter's, sums of several kinds in one read, what a tape keeps, and
// gradients of gradients.
#include "rig/ops/modulated_layer.hpp"

#include "cuda/agree.hpp"

using namespace rig;

namespace {

/// x, s, w, d, noise, strength, bias of a layer from n pictures of h by w; enlarging, by a window of 3 by 3 and a filter.
struct Layer {
  std::int64_t n, h, w, in, out, noise_samples = 1, strengths = 1;
  BiasActOptions act = {};
  std::vector<double> taps = {};  // empty: at one size

  std::vector<Tensor<float>> inputs() const {
    int const up = taps.empty() ? 1 : 2;
    Tensor<float> noise, strength;
    if (noise_samples)
      noise = agree::random({noise_samples, h * up, w * up, 1}, 5), strength = agree::random(strengths == 1 ? Shape{} : Shape{out}, 6);
    return {agree::random({n, h, w, in}, 1),
            agree::random({n, in}, 2, 0.3f, 1),
            agree::random(up > 1 ? Shape{in, 3, 3, out} : Shape{out, 3, 3, in}, 3, 0.3f),
            agree::random({n, out}, 4, 0.2f, 1),
            noise,
            strength,
            agree::random({out}, 7)};
  }
  Var<float> operator()(std::vector<Var<float>> const& v) const {
    ModulatedLayerOptions<float> o{.conv = {.padding = 1}, .act = act};
    if (!taps.empty()) {
      int const t = int(taps.size());
      o = {.conv = {.stride = 2},
           .large = {n, 2 * h + 1, 2 * w + 1, out},
           .filter = setup_filter<float>(taps, {}, v[0].device()),
           .smooth = {.padding = {t / 2 - 1, (t - 1) / 2, t / 2 - 1, (t - 1) / 2}, .gain = 4},
           .act = act};
    }
    return modulated_layer(v[0], v[1], v[2], v[3], v[4], v[5], v[6], o);
  }
};

std::vector<double> const four{1, 3, 3, 1}, three{1, 2, 1}, ten{1, 2, 3, 4, 5, 5, 4, 3, 2, 1};

}  // namespace

TEST_CASE("cuda: a layer at one size, values and gradients") {
  for (auto const& layer : {Layer{1, 1, 1, 1, 1}, Layer{2, 9, 8, 12, 7, 1, 1, {.clamp = 1.5}},
                            Layer{3, 5, 7, 3, 20, 3, 20, {.activation = Activation::relu, .gain = 0.7}},
                            Layer{2, 6, 5, 4, 36, 0, 0, {.activation = Activation::linear, .clamp = 1.5}}}) {
    INFO("x ", layer.n, " of ", layer.h, " by ", layer.w, ", ", layer.in, " to ", layer.out);
    agree::check_on_device(layer, layer.inputs());
  }
}

TEST_CASE("cuda: an enlarging layer, finished by its filter, values and gradients") {
  for (auto const& layer : {Layer{1, 1, 1, 1, 1, 1, 1, {}, four}, Layer{2, 5, 9, 6, 7, 1, 1, {.clamp = 1.5}, four},
                            Layer{3, 4, 3, 5, 20, 3, 20, {.activation = Activation::relu, .gain = 0.7}, four},
                            Layer{1, 17, 9, 3, 44, 0, 0, {.activation = Activation::linear, .clamp = 1.5}, four},
                            Layer{2, 3, 19, 4, 4, 2, 1, {.alpha = 0.4}, three}, Layer{2, 6, 5, 3, 4, 1, 4, {.clamp = 1.5}, ten}}) {
    INFO("x ", layer.n, " of ", layer.h, " by ", layer.w, ", ", layer.in, " to ", layer.out, ", taps ", layer.taps.size());
    agree::check_on_device(layer, layer.inputs());
  }
}

TEST_CASE("cuda: the sums of a layer in one read, and their adjoint") {
  for (auto const& s : std::vector<Shape>{{1, 1, 1, 1}, {2, 5, 7, 3}, {1, 70, 65, 8}, {3, 9, 1, 132}, {2, 33, 31, 16}})
    for (std::int64_t samples : {std::int64_t(0), std::int64_t(1), s[0]}) {
      INFO(s, ", noises ", samples);
      BiasActOptions const act{.clamp = 1.4};
      Tensor<float> noise, strength;
      if (samples) noise = agree::random({samples, s[1], s[2], 1}, 3), strength = agree::random(samples == 1 ? Shape{} : Shape{s[3]}, 4);
      agree::check_on_device([&](auto const& v) { return layer_sums(v[0], v[1], v[2], v[3], v[4], act); },
                             {agree::random(s), agree::random(s, 2), noise, strength, agree::random({s[3]}, 5)});
      agree::check_on_device(
          [&](auto const& v) { return layer_spread(v[0], v[1], v[2], v[3], v[4], act); },
          {agree::random({s[0], samples ? 3 : 2, s[3]}), agree::random(s, 2), noise, strength, agree::random({s[3]}, 5)});
    }
  // Nothing starts on sixteen bytes.
  agree::check_on_device(
      [](auto const& v) {
        auto const from = [](Var<float> const& x) { return reshape(slice(x, 0, 1, 2 * 5 * 4), {2, 5, 1, 4}); };
        return layer_sums<float>(from(v[0]), from(v[1]), {}, {}, slice(v[2], 0, 1, 4));
      },
      {agree::random({41}), agree::random({41}, 2), agree::random({5}, 3)});
}

TEST_CASE("cuda: a layer on a tape keeps its result alone, and no pass goes over it") {
  Device device;
  if (!agree::device_for(device)) return;
  for (auto const& layer : {Layer{2, 24, 24, 4, 8}, Layer{2, 12, 12, 4, 8, 1, 1, {}, four}}) {
    Tape tape;
    std::vector<Var<float>> v;
    for (auto const& t : layer.inputs()) v.push_back(tape.watch(t.to(device)));
    auto const launches = [&] { return device.queue().work().launches; };
    auto const in_use = [&] { return device.queue().memory().in_use; };
    std::int64_t const given = launches();
    std::size_t const used = in_use();
    auto const y = layer(v);
    CHECK(in_use() - used < std::size_t(y.size()) * sizeof(float) + 1024);
    // The convolution, which may be a split sum; where it enlarges, the filter's numbers and the filter.
    CHECK(launches() - given <= (layer.taps.empty() ? 2 : 4));
  }
}

TEST_CASE("cuda: gradients of a layer's gradients") {
  Device device;
  if (!agree::device_for(device)) return;
  auto const run = [](Layer const& layer, Device const& on) {
    Tape tape;
    std::vector<Var<float>> v;
    for (auto const& t : layer.inputs()) v.push_back(tape.watch(t.to(on)));
    Var<float> const y = square(layer(v));  // so that no second derivative is zero
    Var<float> penalty;
    for (auto const& g : tape.grad(y, v, Var<float>(agree::random(y.shape(), 9).to(on)))) {
      Var<float> const more = sum(square(g));
      penalty = penalty ? penalty + more : more;
    }
    agree::Results all;
    for (auto const& g : tape.grad(penalty, v)) all.push_back(g.value().host());
    return all;
  };
  for (auto const& layer :
       {Layer{2, 5, 7, 3, 8, 1, 1, {.clamp = 1.5}}, Layer{2, 4, 5, 3, 7, 2, 7, {.activation = Activation::relu}, four}}) {
    agree::Results const expected = run(layer, cpu()), once = run(layer, device);
    agree::check_close(expected, once);
    test::in_every_order([&] { CHECK((run(layer, device) == once)); });
  }
}
