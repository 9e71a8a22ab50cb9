// The losses on codes and parameters as chains of plain ops: what the hand-written ones are held against.
#pragma once
#include "rig/stylerig/parameters.hpp"
#include "rig/stylerig/regulariser.hpp"

namespace plain {

using namespace rig;
using namespace rig::stylerig;

/// [3]: reconstruction, move, rows; see latent_losses().
template <class T> Var<T> latent_losses(Var<T> const& d, std::int64_t samples) {
  Var<T> const edits = slice(d, 0, 0, samples), others = slice(d, 0, samples, d.dim(0) - samples);
  auto one = [](Var<T> const& x) { return reshape(x, {1}); };
  Var<T> const reconstruction = d.dim(0) > samples ? mean(square(others)) : Var<T>(zeros<T>({}, d.device()));
  return concat<T>({one(reconstruction), one(mean(square(edits))), one(mean(sqrt(mean(square(edits), 2) + T(1e-6))))}, 0);
}

template <class T>
Var<T> masked_parameter_distance(Var<T> const& a, Var<T> const& b, Tensor<T> const& deviation, Tensor<unsigned char> const& mask) {
  Var<T> const difference = (a - b) / Var<T>(deviation), zero(zeros<T>(a.shape(), a.device())), one(ones<T>(a.shape(), a.device()));
  return sum(square(replace(zero, difference, mask))) / (sum(replace(zero, one, mask)) + T(1e-30));
}

template <class T>
Var<T> regulariser(ParameterLayout const& layout, Var<T> const& p, RegulariserOptions const& o, bool named, LightPriorOn<T> const& light) {
  T const n = T(p.dim(0));
  Var<T> total(zeros<T>({}, p.device()));
  auto component = [&](char const* name) {
    Component const* c = layout.find(name);
    return c && c->size > 0 ? slice(p, 1, c->offset, c->size) : Var<T>{};
  };
  auto add = [&](double weight, Var<T> const& term) { total = total + T(weight) / n * term; };
  if (auto a = component("identity")) add(o.weight * o.identity, sum(square(a)));
  if (auto b = component("reflectance")) add(o.weight * o.reflectance, sum(square(b)));
  if (auto d = component("expression")) {
    if (named)
      add(o.weight * o.expression, sum(square(d - clamp(d, 0, 1))) + T(o.named_l1) * sum(abs(d)));
    else
      add(o.weight * o.expression, sum(square(d)));
  }
  if (auto g = component("illumination")) {
    if (g.dim(1) == 27 && o.light > 0) add(o.weight * o.light, sum(light.squared_distance(g)));
    if (g.dim(1) % 3 == 0 && o.monochrome > 0) {
      Var<T> const c = reshape(g, {p.dim(0), 3, g.dim(1) / 3});
      total = total + T(o.monochrome) * mean(square(c - mean(c, 1, true)));
    }
  }
  return total;
}

}  // namespace plain
