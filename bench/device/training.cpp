// A step of RigNet's training and one of F's, the losses on codes and parameters, the optimisers and what goes with them, and random
// numbers.
#include "face_step.hpp"
#include "measure.hpp"
#include "rig/nn/optim/adadelta.hpp"
#include "rig/nn/optim/adam.hpp"
#include "rig/nn/optim/ema.hpp"
#include "rig_step.hpp"

namespace bench {

/// Tensors as a network has them: `count` large ones and as many small ones.
struct Tensors {
  std::vector<Param<float>> all;
  Tensors(int count, std::int64_t width, Rng& rng, Device const& d) {
    for (int i = 0; i < count; ++i)
      for (Shape const& shape : {Shape{width, width}, Shape{width}}) all.emplace_back(randn<float>(shape, rng, d));
  }
  void visit(auto&& f) { f("all", all); }
};

namespace {

template <class O, class M>
concept Announces = requires(O& optimiser, M& module) {
  optimiser.announce(module);
};

template <class Optimiser> void add_optimiser(List& list, std::string const& name, double flops, int count, std::int64_t width) {
  double const size = double(count) * double(width * width + width);
  // Read: parameter, gradient, two states; written: parameter and states.
  list.add(
      {name + "/" + std::to_string(count) + "x" + std::to_string(width), 28 * size, flops * size, [=](Rng& rng, Device const& d) -> Call {
         struct State {
           Tensors module;
           std::vector<Tensor<float>> gradients;
           Optimiser optimiser{};
         };
         auto const s = std::make_shared<State>(State{{count, width, rng, d}, {}});
         for (auto const& p : s->module.all) s->gradients.push_back(randn<float>(p.shape(), rng, d));
         s->optimiser.prepare(s->module);
         auto const work = [s]() -> Kept {
           for (std::size_t i = 0; i < s->gradients.size(); ++i) s->module.all[i].gradient() = s->gradients[i];
           s->optimiser.step(s->module);
           return {};
         };
         if constexpr (Announces<Optimiser, Tensors>)
           return {work, [s] { s->optimiser.announce(s->module); }};
         else
           return work;
       }});
}

/// The bound on the norm of all gradients, and the moving average.
void add_companions(List& list, int count, std::int64_t width) {
  double const size = double(count) * double(width * width + width);
  std::string const at = "/" + std::to_string(count) + "x" + std::to_string(width);
  list.add({"gradient_factor" + at, 4 * size, 2 * size, [=](Rng& rng, Device const& d) -> Call {
              auto const module = std::make_shared<Tensors>(count, width, rng, d);
              for (auto& p : module->all) p.gradient() = randn<float>(p.shape(), rng, d);
              return [module] { return Kept(nn::gradient_factor<float>(*module, 1)); };
            }});
  list.add({"update_average" + at, 12 * size, 3 * size, [=](Rng& rng, Device const& d) -> Call {
              auto const module = std::make_shared<Tensors>(count, width, rng, d),
                         average = std::make_shared<Tensors>(count, width, rng, d);
              return [module, average]() -> Kept {
                nn::update_average(*average, *module, 0.999);
                return {};
              };
            }});
}

/// What a step of RigNet asks of its codes, and one of F of its vectors: read once forward; read once and written once backward.
void add_losses(List& list, std::int64_t n, std::int64_t rows, std::int64_t w_dim) {
  using namespace stylerig;
  double const codes = double(n * rows * w_dim);
  std::string const at = "/" + std::to_string(n) + "x" + std::to_string(rows) + "x" + std::to_string(w_dim);
  auto given = [=](Rng& rng, Device const& d) { return randn<float>({n, rows, w_dim}, rng, d); };
  list.add({"latent_losses" + at, 4 * codes, 2 * codes, [=](Rng& rng, Device const& d) -> Call {
              Var<float> const x(given(rng, d));
              return [=] { return keep(latent_losses(x, n / 2)); };
            }});
  list.add({"latent_losses_gradient" + at, 12 * codes, 5 * codes, [=](Rng& rng, Device const& d) -> Call {
              Tensor<float> const x = given(rng, d);
              return [=] { return with_gradients({x}, [&](auto const& v) { return latent_losses(v[0], n / 2); }); };
            }});
  ParameterLayout const layout = ParameterLayout::standard();
  double const values = double(n * layout.size()), lights = double(n) * 27 * 27;
  std::string const vectors = "/" + std::to_string(n) + "x" + std::to_string(layout.size());
  auto vector = [=](Rng& rng, Device const& d) { return randn<float>({n, layout.size()}, rng, d); };
  list.add({"regulariser" + vectors, 4 * values, 3 * values + 2 * lights, [=](Rng& rng, Device const& d) -> Call {
              Var<float> const p(vector(rng, d));
              auto const light = LightPrior::natural().on<float>(d);
              return [=] { return keep(regulariser(layout, p, RegulariserOptions::best(), true, light)); };
            }});
  list.add({"regulariser_gradient" + vectors, 12 * values, 6 * values + 4 * lights, [=](Rng& rng, Device const& d) -> Call {
              Tensor<float> const p = vector(rng, d);
              auto const light = LightPrior::natural().on<float>(d);
              return [=] {
                return with_gradients({p},
                                      [&](auto const& v) { return regulariser(layout, v[0], RegulariserOptions::best(), true, light); });
              };
            }});
  list.add({"masked_parameter_distance_gradient" + vectors, 20 * values, 8 * values, [=](Rng& rng, Device const& d) -> Call {
              Tensor<float> const p = vector(rng, d), deviation = ones<float>({layout.size()}, d);
              Var<float> const wanted(vector(rng, d));
              Tensor<unsigned char> const mask = mask_row(kept_mask(layout, Control::pose), d);
              return [=] {
                return with_gradients({p}, [&](auto const& v) { return masked_parameter_distance(v[0], wanted, deviation, mask); });
              };
            }});
}

}  // namespace

void add_training(List& list) {
  RigStepSize const size = list.small ? RigStepSize::smallest() : RigStepSize{};
  render::MorphableModel const& model = timed_face(list.small);
  double const faces = 4 * double(size.pairs), values = 3 * double(model.vertices()),
               modes = double(model.identities() + model.expressions() + model.reflectances()),
               first = double(size.rows * size.w_dim) * double(size.reconstruction[0]);
  list.add({"rignet_step/" + std::to_string(size.pairs) + "pairs",
            8 * values * modes + 24 * faces * double(size.side * size.side) + 8 * first, 4 * faces * values * modes + 2 * faces * first,
            [=](Rng& rng, Device const& d) -> Call {
              auto const step = std::make_shared<RigStep>(size, rng, d);
              return {[step] { return Kept(step->step()); }, [step] { step->adam.announce(step->N); }};
            },
            4 * values* modes + 400 * faces* values});
  FaceStepSize const face_size = list.small ? FaceStepSize::smallest() : FaceStepSize{};
  double const seen = double(face_size.batch);
  list.add({"face_step/" + std::to_string(face_size.batch),
            8 * values * modes + 24 * seen * double(face_size.side * face_size.side) + 28 * first,
            4 * seen * values * modes + 6 * seen * first,
            [=](Rng& rng, Device const& d) -> Call {
              auto const step = std::make_shared<FaceStep>(face_size, rng, d);
              return {[step] { return Kept(step->step()); }, [step] { step->announce(); }};
            },
            4 * values* modes + 400 * seen* values});
  add_losses(list, 4 * size.pairs, size.rows, size.w_dim);
  add_optimiser<nn::Adam<float>>(list, "adam", 12, list.small ? 2 : 30, list.small ? 8 : 512);
  add_optimiser<nn::Adam<float>>(list, "adam", 12, 1, list.small ? 16 : 4096);
  add_optimiser<nn::AdaDelta<float>>(list, "adadelta", 12, list.small ? 2 : 30, list.small ? 8 : 512);
  add_companions(list, list.small ? 2 : 30, list.small ? 8 : 512);
  std::int64_t const numbers = list.small ? 1024 : std::int64_t(1) << 26;
  list.add({"randn/" + std::to_string(numbers), 4 * double(numbers), 0, [=](Rng& rng, Device const& d) -> Call {
              auto const own = std::make_shared<Rng>(rng.split(1));
              return [=] { return Kept(randn<float>({numbers}, *own, d)); };
            }});
  list.add({"rand/" + std::to_string(numbers), 4 * double(numbers), 0, [=](Rng& rng, Device const& d) -> Call {
              auto const own = std::make_shared<Rng>(rng.split(2));
              return [=] { return Kept(rand<float>({numbers}, *own, d)); };
            }});
}

}  // namespace bench
