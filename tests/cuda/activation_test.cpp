// Bias, noise, activation, gain and clamp on the device, with one channel and four at a time.
#include "rig/ops/activation.hpp"

#include "cuda/agree.hpp"
#include "rig/ops/modulated_conv.hpp"
#include "rig/ops/norm.hpp"

using namespace rig;

TEST_CASE("cuda: bias_act") {
  for (auto const& s : std::vector<Shape>{{1}, {3, 5}, {4}, {2, 5, 7, 3}, {2, 17, 9, 12}, {300, 4}})
    for (int a = 0; a <= int(Activation::swish); ++a) {
      INFO(s, " ", to_string(Activation(a)));
      BiasActOptions const o{.activation = Activation(a), .clamp = a % 2 ? 0.9 : -1};
      Shape const b{s[s.rank() - 1]};
      agree::check_on_device([&](auto const& x) { return bias_act(x[0], x[1], o); }, {agree::random(s), agree::random(b, 2)});
      agree::check_on_device([&](auto const& x) { return bias_act(x[0], Var<float>{}, o); }, {agree::random(s)});
    }
}

TEST_CASE("cuda: a bias that does not start on sixteen bytes") {
  agree::check_on_device([](auto const& x) { return bias_act(x[0], slice(x[1], 0, 1, 8)); },
                         {agree::random({5, 8}), agree::random({9}, 2)});
}

TEST_CASE("cuda: noise_bias_act") {
  for (std::int64_t c : {1, 3, 8})
    for (std::int64_t samples : {1, 2})
      for (auto const& strength : std::vector<Shape>{{}, {c}}) {
        Shape const s{2, 5, 61, c};
        BiasActOptions const o{.activation = c == 3 ? Activation::swish : Activation::lrelu, .clamp = 1.2};
        agree::check_on_device(
            [&](auto const& x) { return noise_bias_act(x[0], x[1], x[2], x[3], o); },
            {agree::random(s), agree::random({samples, 5, 61, 1}, 2), agree::random(strength, 3), agree::random({c}, 4)});
      }
  agree::check_on_device([](auto const& x) { return noise_bias_act(x[0], {}, {}, {}); }, {agree::random({2, 3, 5, 4})});
}

TEST_CASE("cuda: scales and mixtures of channels") {
  for (std::int64_t c : {1, 5, 12}) {
    Shape const s{3, 7, 5, c}, k{3, c};
    agree::check_on_device([](auto const& x) { return scale_channels(x[0], x[1]); }, {agree::random(s), agree::random(k, 2)});
    agree::check_on_device([](auto const& x) { return mix_channels(x[0], x[1], x[2], x[3], x[4]); },
                           {agree::random(s), agree::random(k, 2), agree::random(s, 3), agree::random(k, 4), agree::random(k, 5)});
  }
}
