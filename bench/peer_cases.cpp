// bench_peer_cases OUT [--device cpu|cuda] [--sizes full|small]: what bench/peers/device_torch.py must reproduce before it is
// timed. OUT gets inputs and rig's outputs: convolution.npz, stylegan2.npz (tensors by their names in rig, codes, picture, gradient)
// and rig_step.npz (a step of RigNet with the very data that is timed). Channels last, as everything in rig.
#include <cstdio>
#include <filesystem>

#include "device/rig_step.hpp"
#include "rig/io/npz.hpp"
#include "rig/nn/stylegan2.hpp"

namespace {

using namespace rig;

using Arrays = std::vector<io::NamedTensor>;
template <class T> void add(Arrays& a, std::string const& name, Tensor<T> const& t) { a.push_back({name, t.to(cpu())}); }
template <class M> void add_module(Arrays& a, std::string const& prefix, M& module) {
  nn::tensors(module, [&](std::string const& name, auto& leaf) { add(a, prefix + name, nn::detail::tensor_of(leaf)); });
}

void convolutions(std::string const& folder, Device const& d) {
  Rng rng(1);
  Tensor<float> const x = randn<float>({2, 12, 12, 24}, rng, d), w = randn<float>({40, 3, 3, 24}, rng, d),
                      gy = randn<float>({2, 12, 12, 40}, rng, d);
  Var<float> const vx(x), vw(w), vgy(gy);
  Arrays a;
  add(a, "x", x), add(a, "w", w), add(a, "gy", gy);
  add(a, "y", conv2d(vx, vw, {.padding = 1}).value());
  add(a, "gx", conv2d_input(vgy, vw, x.shape(), {.padding = 1}).value());
  add(a, "gw", conv2d_weight(vx, vgy, w.shape(), {.padding = 1}).value());
  io::save_npz(folder + "/convolution.npz", a);
}

void stylegan2(std::string const& folder, Device const& d, std::int64_t resolution) {
  Rng rng(2);
  nn::StyleGAN2<float> g({.resolution = resolution}, rng, d);
  nn::parameters(g.synthesis, [&](std::string const& name, Param<float>& p) {
    if (name.ends_with("noise_strength")) p = Param<float>(full<float>({}, 0.1f, d));
    if (name.ends_with(".bias")) p = Param<float>((Var<float>(p) + Var<float>(randn<float>(p.shape(), rng, d, 0.1f))).value());
  });
  Tensor<float> const ws = randn<float>({2, g.num_ws(), g.w_dim()}, rng, d);
  Tape tape;
  Var<float> const codes = tape.watch(ws), image = g.synthesis(codes);
  Tensor<float> const gy = randn<float>(image.shape(), rng, d);
  Arrays a;
  add_module(a, "", g.synthesis);
  add(a, "ws", ws), add(a, "image", image.value()), add(a, "gy", gy);
  add(a, "gradient", tape.grad(sum(image * Var<float>(gy)), codes).value());
  io::save_npz(folder + "/stylegan2.npz", a);
}

void rig_step(std::string const& folder, Device const& d, bool small) {
  using namespace stylerig;
  Rng rng(3);
  bench::RigStepSize size = small ? bench::RigStepSize::smallest() : bench::RigStepSize{};
  size.landmarks = false;
  bench::RigStep step(size, rng, d);
  // Weights of ordinary size, so that the edit is more than nothing.
  for (auto& w : step.N.weights) w = Param<float>(randn<float>(w.shape(), rng, d, 0.05f));
  auto const& b = step.batch;
  auto const& face = step.face->renderer;
  Arrays a;
  add_module(a, "N.", step.N), add_module(a, "F.", step.F);
  add(a, "codes", b.codes), add(a, "source_p", b.source_p), add(a, "target_p", b.target_p);
  add(a, "source_pictures", b.source.pictures), add(a, "target_pictures", b.target.pictures);
  add(a, "edited", b.edited), add(a, "kept", b.kept);
  Var<float> const w(b.codes), p_w(b.source_p), p_v(b.target_p), q = step.control(p_w, p_v, b.edited);
  add(a, "control", q.value()), add(a, "control_self", step.control(p_w, p_w, b.edited).value());
  std::vector<std::int64_t> layout;
  for (auto const& c : step.face->layout().components()) layout.push_back(c.size);
  add(a, "layout", Tensor<std::int64_t>({std::int64_t(layout.size())}, layout));
  add(a, "mean", face.mean), add(a, "basis", face.basis), add(a, "triangles", face.mesh.triangles);
  add(a, "reflectance_mean", face.reflectance_mean.value()), add(a, "reflectance_basis", face.reflectance_basis.value());
  add(a, "camera", Tensor<double>({4}, {face.camera.focal, face.camera.distance, face.camera.center_x, face.camera.center_y}));
  // Which vertices are seen is no part of the comparison: PyTorch has no rasterizer, and gets the answer.
  Var<float> const p_hat = step.F(step.N(w, q));
  Var<float> const p = concat<float>({replace(p_v, p_hat, b.edited), replace(p_w, p_hat, b.kept)}, 0);
  render::Face<float> const f = face(face_parts(step.face->layout(), p), step.face->size());
  add(a, "seen", render::normalized_weights(face.seen(f)));

  auto const l = step.gradients();
  add(a, "loss", l.total.value());
  nn::parameters(step.N, [&](std::string const& name, Param<float>& parameter) { add(a, "gradient." + name, parameter.gradient()); });
  io::save_npz(folder + "/rig_step.npz", a);
}

}  // namespace

int main(int count, char** given) {
  std::string folder, device = "cpu";
  bool small = false;
  for (int i = 1; i < count; ++i) {
    std::string const a = given[i], value = i + 1 < count ? given[i + 1] : "";
    if (a == "--device" && !value.empty())
      device = value, ++i;
    else if (a == "--sizes" && (value == "small" || value == "full"))
      small = value == "small", ++i;
    else if (folder.empty() && a[0] != '-')
      folder = a;
    else
      return std::fprintf(stderr, "bench_peer_cases: what is '%s'? usage: bench_peer_cases OUT [--device cpu|cuda] [--sizes full|small]\n",
                          given[i]),
             1;
  }
  if (folder.empty())
    return std::fprintf(stderr, "bench_peer_cases: where to? usage: bench_peer_cases OUT [--device cpu|cuda] [--sizes full|small]\n"), 1;
  try {
    Device const d = device_from_name(device);
    std::filesystem::create_directories(folder);
    convolutions(folder, d), stylegan2(folder, d, small ? 16 : 256), rig_step(folder, d, small);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "bench_peer_cases: %s\n", e.what());
    return 1;
  }
  std::printf("detail: convolution.npz, stylegan2.npz and rig_step.npz in %s\n", folder.c_str());
}
