#include "rig/nn/stylegan3.hpp"
#include "networks.hpp"
#include "verifiers.hpp"

namespace program::verify {
using namespace rig;

namespace {

/// The numbers of every layer one after the other, as the file gives them.
void verify_schedule(Case& k, nn::StyleGAN3<float> const& g) {
  auto numbers = [&](char const* name, auto&& of) {
    std::vector<double> v;
    for (auto const& l : g.synthesis.layers)
      for (double x : of(l.plan)) v.push_back(x);
    k.compare_numbers(std::string("sched.") + name, v, 1e-12);
  };
  using Plan = nn::LayerPlan;
  using List = std::vector<double>;
  auto pair = [](nn::Extent const& e) { return List{double(e[0]), double(e[1])}; };
  numbers("in_cutoff", [](Plan const& p) { return List{p.in_cutoff}; });
  numbers("out_cutoff", [](Plan const& p) { return List{p.out_cutoff}; });
  numbers("in_half_width", [](Plan const& p) { return List{p.in_half_width}; });
  numbers("out_half_width", [](Plan const& p) { return List{p.out_half_width}; });
  numbers("in_sampling_rate", [](Plan const& p) { return List{p.in_rate}; });
  numbers("out_sampling_rate", [](Plan const& p) { return List{p.out_rate}; });
  numbers("tmp_sampling_rate", [](Plan const& p) { return List{p.large_rate}; });
  numbers("in_channels", [](Plan const& p) { return List{double(p.in_channels)}; });
  numbers("out_channels", [](Plan const& p) { return List{double(p.out_channels)}; });
  numbers("up_factor", [](Plan const& p) { return List{double(p.up)}; });
  numbers("down_factor", [](Plan const& p) { return List{double(p.down)}; });
  numbers("up_taps", [](Plan const& p) { return List{double(p.up_taps)}; });
  numbers("down_taps", [](Plan const& p) { return List{double(p.down_taps)}; });
  numbers("conv_kernel", [](Plan const& p) { return List{double(p.kernel)}; });
  numbers("is_torgb", [](Plan const& p) { return List{double(p.to_rgb)}; });
  numbers("is_critically_sampled", [](Plan const& p) { return List{double(p.critical)}; });
  numbers("use_fp16", [](Plan const& p) { return List{double(p.fp16)}; });
  numbers("down_radial", [](Plan const& p) { return List{double(p.down_radial)}; });
  numbers("in_size", [&](Plan const& p) { return pair(p.in_size); });
  numbers("out_size", [&](Plan const& p) { return pair(p.out_size); });
  numbers("padding", [](Plan const& p) {
    return List{double(p.padding.x0), double(p.padding.x1), double(p.padding.y0), double(p.padding.y1)};
  });
  auto const& in = g.synthesis.input;
  k.compare_numbers("sched.input_size", pair(in.size), 0);
  k.compare_numbers("sched.input_sampling_rate", {in.sampling_rate}, 1e-12);
  k.compare_numbers("sched.input_bandwidth", {in.bandwidth}, 1e-12);
}

/// The filters of the file against the stored ones and against what rig designs from the schedule: whichever is further off counts.
void verify_filters(Case& k, nn::StyleGAN3<float> const& g) {
  for (auto const& l : g.synthesis.layers) {
    auto one = [&](char const* which, Tensor<float> const& filter, nn::LowpassOptions const& plan) {
      Tensor<float> const in_file = filter.to(cpu());
      std::string const name = "filter." + l.plan.name + "." + which;
      if (!k.has(name)) return;
      Tensor<float> const designed = nn::design_lowpass<float>(plan);
      check(in_file && designed && in_file.shape() == designed.shape(), name, ": the file has ", in_file.shape(), ", rig designs ",
            designed.shape());
      std::vector<double> const stored = k.numbers(name);
      check(std::int64_t(stored.size()) == designed.size(), name, " has ", stored.size(), " values, rig designs ", designed.shape());
      std::vector<double> worst;
      for (std::size_t i = 0; i < stored.size(); ++i) {
        double const a = double(in_file.data()[i]), b = double(designed.data()[i]);
        worst.push_back(std::abs(a - stored[i]) > std::abs(b - stored[i]) ? a : b);
      }
      k.compare_numbers(name, worst, 2e-6);
    };
    k.attempt("filter." + l.plan.name,
              [&] { one("up_filter", l.up_filter, l.plan.up_filter()), one("down_filter", l.down_filter, l.plan.down_filter()); });
  }
}

/// One step of training's running averages: the picture, which already uses them, and what they became.
void verify_averages(Case& k, nn::StyleGAN3<float> const& g) {
  nn::StyleGAN3<float> moved = nn::clone(g);
  k.compare("ema.img", to_first(moved.track(k.var("z"), k.var("c"))).value());
  if (moved.mapping.w_avg) k.compare("ema.w_avg", moved.mapping.w_avg);
  for (auto const& l : moved.synthesis.layers) k.compare("ema." + l.plan.name + ".magnitude_ema", l.magnitude_ema);
}

}  // namespace

void verify_generator(Case& k, nn::StyleGAN3<float>& g) {
  verify_pictures(k, g, [&](V const& ws, Wanted const& o) {
    check(o.lod <= 0 && o.noise != nn::Noise::random, "a StyleGAN3 has neither levels of detail nor noise");
    nn::AliasFreeOptions<float> options;
    if (o.identity) options.transform = V(nn::image_transform<float>({}, k.device()));
    return g.synthesis(ws, options);
  });
  auto observe = [&](auto const& observer) {
    nn::AliasFreeOptions<float> o;
    o.observe = observer;
    g.synthesis(codes_of(k, g), o);
  };
  verify_activations(k, observe);
  if (k.has("input"))
    k.attempt("input", [&] {
      observe([&](std::string const& name, V const& v) {
        if (name == "input") k.compare("input", to_first(slice(v, 0, 0, 1)).value());
      });
    });
  verify_gradients(k, g, [&](V const& ws) { return g.synthesis(ws); });
  k.attempt("sched", [&] { verify_schedule(k, g); });
  verify_filters(k, g);
  if (k.has("ema.img")) k.attempt("ema", [&] { verify_averages(k, g); });
}

}  // namespace program::verify
