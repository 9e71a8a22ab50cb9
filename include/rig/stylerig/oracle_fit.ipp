#pragma once
#include <algorithm>
#include <cmath>
#include <filesystem>

#include "rig/core/repeated.hpp"
#include "rig/stylerig/oracle_fit.hpp"
#include "rig/train/resume.hpp"

namespace rig::inline RIG_ABI::stylerig {
namespace detail {

struct BytesKernel {
  unsigned char* y;
  float const* x;
  RIG_HD void operator()(std::int64_t i) const {
    float const v = x[i] * 255.0f + 0.5f;
    y[i] = static_cast<unsigned char>(v < 0 ? 0.0f : v > 255 ? 255.0f : v);
  }
};
/// Bytes as the generator's range, -1..1.
struct SignedKernel {
  float* y;
  unsigned char const* x;
  RIG_HD void operator()(std::int64_t i) const { y[i] = float(x[i]) * (2.0f / 255) - 1; }
};
/// Rows of bytes picked by index, as -1..1.
struct PickPicturesKernel {
  float* y;
  unsigned char const* x;
  std::int64_t const* row;
  std::int64_t size;
  RIG_HD void operator()(std::int64_t r, std::int64_t c) const { y[r * size + c] = float(x[row[r] * size + c]) * (2.0f / 255) - 1; }
};
struct PickWeightsKernel {
  float* y;
  unsigned char const* mask;
  std::int64_t const* row;
  std::int64_t size;
  float inside;
  RIG_HD void operator()(std::int64_t r, std::int64_t c) const { y[r * size + c] = mask[row[r] * size + c] ? inside : 1.0f; }
};
struct PickRowsKernel {
  float* y;
  float const* x;
  std::int64_t const* row;
  std::int64_t size;
  RIG_HD void operator()(std::int64_t r, std::int64_t c) const { y[r * size + c] = x[row[r] * size + c]; }
};

struct ScaleStyleKernel {
  float* y;
  float by;
  RIG_HD void operator()(std::int64_t i) const { y[i] *= by; }
};

inline nn::StyleGAN2<float> oracle_generator(OracleFitOptions const& o) {
  nn::StyleGAN2Options g;
  g.z_dim = g.w_dim = o.world.width;
  g.resolution = o.resolution;
  g.channel_base = o.channel_base, g.channel_max = o.channel_max;
  g.mapping_layers = o.mapping_layers;
  g.use_noise = false;
  Rng rng(o.seed);
  nn::StyleGAN2<float> net(g, rng);
  // Styles start as constants: at the usual scale every code would begin as a random picture, which takes thousands of
  // steps to unlearn.
  nn::parameters(net.synthesis, [](std::string const& name, Param<float>& p) {
    if (name.find("affine.weight") != std::string::npos) for_each(p.device(), p.size(), ScaleStyleKernel{p.tensor().mutate(), 0.02f});
  });
  check(net.num_ws() == o.world.rows, "oracle: a generator of ", o.resolution, " pixels has ", net.num_ws(), " rows, the world has ",
        o.world.rows);
  return net;
}

/// Rows of unmixed codes.
inline Tensor<float> unmixed_codes(nn::StyleGAN2<float> const& g, std::int64_t n, std::uint64_t seed) {
  Rng rng(seed);
  return g.mapping.code(Var<float>(randn<float>({n, g.z_dim()}, rng))).value();
}

}  // namespace detail

RIG_INLINE Tensor<float> oracle_codes(nn::StyleGAN2<float> const& generator, OracleTruth const& truth, std::int64_t first, std::int64_t n,
                                      std::uint64_t seed, double wander) {
  constexpr int most = 5;
  std::int64_t const rows = truth.rows, width = truth.width, z_dim = generator.z_dim();
  Tensor<float> z({n * most, z_dim});
  Tensor<float> codes({n, rows, width});
  float* pz = z.mutate();
  Rng const root(seed);
  for (std::int64_t i = 0; i < n; ++i) {
    Rng rng = root.split(std::uint64_t(first + i));
    auto const v = randn<float>({most, z_dim}, rng);
    std::copy_n(v.data(), v.size(), pz + i * most * z_dim);
  }
  Tensor<float> const w = generator.mapping.code(Var<float>(z)).value();
  float* out = codes.mutate();
  for (std::int64_t i = 0; i < n; ++i) {
    Rng rng = root.split(std::uint64_t(first + i)).split(1);
    int const latents = 1 + int(rng.below(most));
    std::vector<std::int64_t> cuts;
    while (int(cuts.size()) < std::min<std::int64_t>(latents, rows) - 1) {
      std::int64_t const cut = 1 + rng.below(rows - 1);
      if (std::find(cuts.begin(), cuts.end(), cut) == cuts.end()) cuts.push_back(cut);
    }
    bool const off = wander > 0 && rng.uniform() < 0.5;
    auto const noise = randn<float>({rows, width}, rng);
    for (std::int64_t r = 0; r < rows; ++r) {
      std::int64_t const j = std::count_if(cuts.begin(), cuts.end(), [&](std::int64_t c) { return c <= r; });
      float const* from = w.data() + (i * most + j) * width;
      for (std::int64_t d = 0; d < width; ++d)
        out[(i * rows + r) * width + d] = from[d] + (off ? float(wander) * truth.scale.data()[d] * noise.data()[r * width + d] : 0.0f);
    }
  }
  return codes;
}

RIG_INLINE double oracle_psnr(nn::StyleGAN2<float> const& generator, Tensor<float> const& codes, Tensor<unsigned char> const& pictures) {
  double square_sum = 0;
  std::int64_t const n = codes.dim(0), batch = 32;
  for (std::int64_t i = 0; i < n; i += batch) {
    std::int64_t const m = std::min(batch, n - i);
    Tensor<float> const seen = generator.synthesis(Var<float>(codes.rows(i, m).to(generator.device()))).value().to(cpu());
    Tensor<unsigned char> const wanted = pictures.rows(i, m);
    for (std::int64_t k = 0; k < seen.size(); ++k) {
      double const v = std::clamp((double(seen.data()[k]) + 1) / 2, 0.0, 1.0) - wanted.data()[k] / 255.0;
      square_sum += v * v;
    }
  }
  return -10 * std::log10(square_sum / double(pictures.size()));
}

RIG_INLINE OracleWorld fit_oracle(OracleFitOptions const& o, train::Log& log, train::StopFlag const* stop, std::FILE* progress) {
  OracleWorld world{detail::oracle_generator(o), {}, 0};
  world.truth = make_oracle_truth(o.world, detail::unmixed_codes(world.generator, 20000, o.seed + 1));
  OracleScene const scene(o.world);
  train::Progress::Options shown;
  shown.out = progress;

  // Every picture is a function of its number, so a continued run draws the same ones.
  std::int64_t const total = o.pictures + o.held_out, chunk = 64, picture = o.resolution * o.resolution * 3;
  Tensor<float> codes({total, o.world.rows, o.world.width});
  Tensor<unsigned char> pictures({total, o.resolution, o.resolution, 3}), masks({total, o.resolution, o.resolution, 1});
  {
    train::Progress p("draw pictures", total, 0, shown);
    float* pc = codes.mutate();
    unsigned char* pp = pictures.mutate();
    for (std::int64_t i = 0; i < total && !train::stop_asked(stop); i += chunk) {
      std::int64_t const m = std::min(chunk, total - i);
      // Held-out codes are clean: they are what a corpus will hold.
      Tensor<float> const c = oracle_codes(world.generator, world.truth, i, m, o.seed + 2, i < o.pictures ? o.wander : 0);
      Tensor<float> const u = world.truth.factors(c), x = scene.pictures(u, o.resolution);
      Tensor<unsigned char> const mask = scene.face_mask(u, o.resolution);
      std::copy_n(mask.data(), mask.size(), masks.mutate() + i * o.resolution * o.resolution);
      std::copy_n(c.data(), c.size(), pc + i * o.world.rows * o.world.width);
      for_each(cpu(), x.size(), detail::BytesKernel{pp + i * picture, x.data()});
      p.update(i + m);
    }
  }
  if (train::stop_asked(stop)) return world;
  Tensor<float> const held_codes = codes.rows(o.pictures, o.held_out);
  Tensor<unsigned char> const held_pictures = pictures.rows(o.pictures, o.held_out);

  nn::move_to(world.generator.synthesis, o.device);
  nn::Adam<float> adam({.rate = o.rate, .beta1 = 0.9, .beta2 = 0.99});
  adam.prepare(world.generator.synthesis);
  std::int64_t step = 0;
  double smooth = 0;
  train::Settings run = train::to_settings(o, "fit");
  run["kind"] = "rig oracle fit";
  train::RunCheckpoint const checkpoint(o.checkpoint, run, o.device, &log);
  if (checkpoint.exists()) {
    io::Metadata const there = checkpoint.load(step, io::item("world", world), io::item("adam", adam));
    smooth = train::metadata_number<double>(there, "smooth", o.checkpoint);
  }
  world.generator.mapping.w_avg = world.truth.center.clone();  // truncation pulls towards the mean code
  train::Progress p("fit generator", o.steps, step, shown);
  auto keep = [&](std::int64_t next) {
    checkpoint.save(next, {{"smooth", train::exact_text(smooth)}}, io::item("world", world), io::item("adam", adam));
  };
  // On a GPU the loss is read now and then only, because reading it waits.
  std::int64_t const every = o.device.is_cpu() ? 1 : o.log_every;
  double const fade = std::pow(0.98, double(every));
  Tensor<float> c({o.batch, o.world.rows, o.world.width}), x({o.batch, o.resolution, o.resolution, 3}),
      weight({o.batch, o.resolution, o.resolution, 1});
  Tensor<float> c_there(c.shape(), o.device), x_there(x.shape(), o.device), weight_there(weight.shape(), o.device);
  Var<float> loss;
  Repeated repeated(o.device);
  for (; step < o.steps && !train::stop_asked(stop); ++step) {
    adam.rate = o.rate * std::min(1.0, double(step + 1) / 100) * 0.5 * (1 + std::cos(3.14159265358979 * double(step) / double(o.steps)));
    Rng rng = Rng(o.seed + 3).split(std::uint64_t(step));
    std::vector<std::int64_t> rows;
    for (std::int64_t i = 0; i < o.batch; ++i) rows.push_back(rng.below(o.pictures));
    for_each(cpu(), o.batch, o.world.rows * o.world.width,
             detail::PickRowsKernel{c.mutate(), codes.data(), rows.data(), o.world.rows * o.world.width});
    for_each(cpu(), o.batch, picture, detail::PickPicturesKernel{x.mutate(), pictures.data(), rows.data(), picture});
    for_each(cpu(), o.batch, picture / 3,
             detail::PickWeightsKernel{weight.mutate(), masks.data(), rows.data(), picture / 3, float(o.face_weight)});
    c_there.assign(c), x_there.assign(x), weight_there.assign(weight);
    adam.announce(world.generator.synthesis);
    repeated(
        [&] {
          Tape tape;
          tape.watch(world.generator.synthesis);
          loss = mean(Var<float>(weight_there) * square(world.generator.synthesis(Var<float>(c_there)) - Var<float>(x_there)));
          tape.backward(loss);
          adam.step(world.generator.synthesis);
        },
        [&](std::string const&) { adam.withdraw(world.generator.synthesis); });
    if (step % every == 0 || (step + 1) % o.check_every == 0) {
      double const value = loss.item();
      check(std::isfinite(value), "oracle: the fit diverged at step ", step, "; what was saved before is kept");
      smooth = step == 0 || smooth == 0 ? value : fade * smooth + (1 - fade) * value;
    }
    if (step % o.log_every == 0) log.add("loss", step, smooth);
    if ((step + 1) % o.check_every == 0 || step + 1 == o.steps) {
      world.psnr = oracle_psnr(world.generator, held_codes, held_pictures);
      log.add("psnr", step + 1, world.psnr);
      keep(step + 1);
    }
    p.update(step + 1, str("loss ", smooth, "  held out ", world.psnr, " dB"));
  }
  p.finish();
  if (train::stop_asked(stop)) keep(step);
  if (world.psnr == 0) world.psnr = oracle_psnr(world.generator, held_codes, held_pictures);
  nn::move_to(world.generator.synthesis, cpu());
  return world;
}

}  // namespace rig::inline RIG_ABI::stylerig
