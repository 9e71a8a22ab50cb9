// How an op joins the tape. An op is a struct with its options as members and
//   using scalar = T;  static constexpr char const* name = "...";
//   Tensor<T> forward(Tensor<T> const& a, Tensor<T> const& b) const;
// and either one rule an input, written in ops, so that it can be differentiated again:
//   Var<T> vjp(wrt<0>, Var<T> gy, Var<T> y, Var<T> a, Var<T> b) const;
// or, where rules share a step, all of them together, those that are wanted:
//   std::array<Var<T>, 2> vjps(std::array<bool, 2> const& wanted, Var<T> gy, Var<T> y, Var<T> a, Var<T> b) const;
// or, if it is differentiable once only, all input gradients together on Tensors:
//   std::tuple<Tensor<T>, Tensor<T>> backward(Tensor<T> const& gy, Tensor<T> const& y, Tensor<T> const& a, Tensor<T> const& b) const;
// An empty gradient means zero. apply(Op{options}, a, b) runs it and records it if an input is on a tape.
#pragma once
#include <array>
#include <tuple>
#include <utility>

#include "rig/autodiff/tape.hpp"

namespace rig::inline RIG_ABI {

/// Tag of the rule for input I.
template <int I> struct wrt {};

namespace detail {

template <class F> struct ArityOf;
template <class R, class C, class... A> struct ArityOf<R (C::*)(A...) const> { static constexpr std::size_t value = sizeof...(A); };

template <class Op>
concept OnceDifferentiable = requires {
  &Op::backward;
};
template <class Op>
concept RulesTogether = requires {
  &Op::vjps;
};

/// A tensor a node keeps, where it came from, and how often it had been written then.
template <class T> struct Saved {
  Tensor<T> value;
  int id = -1;
  int version = 0;
  void keep(Tensor<T> const& t, int from) { value = t, id = from, version = t.version(); }
};

/// Stands where a second derivative would need a rule that does not exist.
struct OnceOnly final : Node {
  char const* op;
  std::vector<int> in;
  std::string_view name() const override { return op; }
  void pull(Pass&) override {
    throw Error(str(op,
                    ": differentiable once, but a second derivative through it was asked for; detach() its gradient or build the penalty "
                    "on something else"));
  }
  bool reaches(std::vector<char> const& marked) const override {
    for (int i : in)
      if (i >= 0 && i < int(marked.size()) && marked[std::size_t(i)]) return true;
    return false;
  }
};

template <class T> void check_unchanged(char const* op, Saved<T> const& s) {
  check(!s.value || s.value.version() == s.version, op, ": a value of shape ", s.value.shape(),
        " was changed in place after the op had used it");
}

/// What the inputs of one call have in common: their tape, if any. Throws when devices or tapes are mixed.
template <class T> struct Company {
  char const* op;
  std::shared_ptr<Record> record;
  bool any = false;
  Device device;

  void meet(Var<T> const& v) {
    if (!v) return;
    if (!any) device = v.device(), any = true;
    check(device == v.device(), op, ": inputs are on different devices, ", device, " and ",
          device_names_agree(device, v.device()) ? "another queue of " : "", v.device());
    if (!v.tracked()) return;
    check(!record || record == v.record(), op, ": inputs belong to two different tapes");
    record = v.record();
  }
  /// Before the op runs: a fault of the device will name it.
  void enter() const {
    if (any) device.queue().enter(op);
  }

 private:
  static bool device_names_agree(Device const& a, Device const& b) {
    return a.is_cuda() == b.is_cuda() && a.queue().index() == b.queue().index();
  }
};

template <class T>
void put_once(Pass& p, char const* op, int gy_id, std::vector<int> const& inputs, std::size_t input, Saved<T> const& to,
              Tensor<T> const& g) {
  int const target = to.id;
  if (!p.wants(target) || !g) return;
  check(g.shape() == to.value.shape(), op, ": the rule for input ", input, " gave a gradient of shape ", g.shape(), ", expected ",
        to.value.shape());
  if (!p.differentiable()) return p.add(target, Var<T>(g));
  auto n = std::make_unique<OnceOnly>();
  n->op = op;
  n->in = inputs;
  n->in.push_back(gy_id);
  p.add(target, Var<T>(g, p.record(), p.record()->push(std::move(n))));
}

/// Hands a rule's result to the walk; an empty one is zero.
template <class T> void add_gradient(Pass& p, char const* op, std::size_t input, Saved<T> const& to, Var<T> const& g) {
  check(!g || g.shape() == to.value.shape(), op, ": the rule for input ", input, " gave a gradient of shape ", g ? g.shape() : Shape{},
        ", expected ", to.value ? to.value.shape() : Shape{});
  p.add(to.id, g);
}

/// What every recorded call keeps: the op, its inputs (an array or a list of Saved) and its output.
template <class Op, class SavedInputs> class CallNode : public Node {
 public:
  using T = typename Op::scalar;
  explicit CallNode(Op op) : op_(std::move(op)) {}
  std::string_view name() const override { return Op::name; }
  bool reaches(std::vector<char> const& marked) const override {
    for (auto const& s : in_)
      if (s.id >= 0 && marked[std::size_t(s.id)]) return true;
    return false;
  }

 protected:
  /// Puts a call with its inputs on the tape; its output from here on.
  template <class Derived> static Var<T> put_on(std::shared_ptr<Record> tape, std::unique_ptr<Derived> node, Tensor<T> y) {
    CallNode* const call = node.get();
    int const id = tape->push(std::move(node));
    call->out_.keep(y, id);
    return Var<T>(std::move(y), std::move(tape), id);
  }
  /// The gradient that has come, or an empty one. What the rules will read must be as it was.
  Var<T> take(Pass& p) {
    Var<T> gy = p.template take<T>(this->id);
    if (!gy) return gy;
    for (auto const& s : in_) check_unchanged(Op::name, s);
    check_unchanged(Op::name, out_);
    return gy;
  }

  Op op_;
  SavedInputs in_;
  Saved<T> out_;
};

template <class Op> inline constexpr std::size_t arity_of = ArityOf<decltype(&Op::forward)>::value;

/// One recorded call of an op with a fixed number of inputs.
template <class Op> class Call final : public CallNode<Op, std::array<Saved<typename Op::scalar>, arity_of<Op>>> {
 public:
  using T = typename Op::scalar;
  static constexpr std::size_t N = arity_of<Op>;
  using Base = CallNode<Op, std::array<Saved<T>, N>>;
  using Base::Base;
  using Inputs = std::array<Var<T> const*, N>;

  static Var<T> run(Op op, Inputs const& x) {
    Company<T> company{Op::name, {}, false, {}};
    for (auto* v : x) company.meet(*v);
    company.enter();
    Tensor<T> y = forward(op, x, Index{});
    if (!company.record) return Var<T>(std::move(y));
    auto node = std::make_unique<Call>(std::move(op));
    for (std::size_t i = 0; i < N; ++i) node->in_[i].keep(x[i]->value(), x[i]->id());
    return Base::put_on(std::move(company.record), std::move(node), std::move(y));
  }
  void pull(Pass& p) override {
    if (Var<T> const gy = this->take(p)) pull(p, gy, Index{});
  }

 private:
  using Base::in_, Base::op_, Base::out_;
  using Index = std::make_index_sequence<N>;

  template <std::size_t... I> static Tensor<T> forward(Op const& op, Inputs const& x, std::index_sequence<I...>) {
    return op.forward(x[I]->value()...);
  }
  template <std::size_t... I> void pull(Pass& p, Var<T> const& gy, std::index_sequence<I...> index) {
    if constexpr (OnceDifferentiable<Op>) {
      gy.device().queue().enter(Op::name);
      auto g = op_.backward(gy.value(), out_.value, in_[I].value...);
      std::vector<int> const ids{in_[I].id...};
      (put_once<T>(p, Op::name, gy.id(), ids, I, in_[I], std::get<I>(g)), ...);
    } else {
      std::array<Var<T>, N> const x{p.as_var(in_[I].value, in_[I].id)...};
      Var<T> const y = p.as_var(out_.value, out_.id);
      if constexpr (RulesTogether<Op>) {
        auto const g = op_.vjps({p.wants(in_[I].id)...}, gy, y, x[I]...);
        ((p.wants(in_[I].id) ? add_gradient(p, Op::name, I, in_[I], g[I]) : void()), ...);
      } else {
        (pull_one<I>(p, gy, y, x, index), ...);
      }
    }
  }
  template <std::size_t I, std::size_t... J>
  void pull_one(Pass& p, Var<T> const& gy, Var<T> const& y, std::array<Var<T>, N> const& x, std::index_sequence<J...>) {
    if (p.wants(in_[I].id)) add_gradient(p, Op::name, I, in_[I], op_.vjp(wrt<int(I)>{}, gy, y, x[J]...));
  }
};

/// One recorded call of an op that takes a list: forward(std::vector<Tensor<T>>), vjp(i, gy, y, std::vector<Var<T>>).
template <class Op> class ListCall final : public CallNode<Op, std::vector<Saved<typename Op::scalar>>> {
 public:
  using T = typename Op::scalar;
  using Base = CallNode<Op, std::vector<Saved<T>>>;
  using Base::Base;

  static Var<T> run(Op op, std::vector<Var<T>> const& x) {
    Company<T> company{Op::name, {}, false, {}};
    std::vector<Tensor<T>> values;
    for (auto const& v : x) company.meet(v), values.push_back(v.value());
    company.enter();
    Tensor<T> y = op.forward(values);
    if (!company.record) return Var<T>(std::move(y));
    auto node = std::make_unique<ListCall>(std::move(op));
    node->in_.resize(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) node->in_[i].keep(x[i].value(), x[i].id());
    return Base::put_on(std::move(company.record), std::move(node), std::move(y));
  }
  void pull(Pass& p) override {
    Var<T> const gy = this->take(p);
    if (!gy) return;
    std::vector<Var<T>> x;
    for (auto const& s : in_) x.push_back(p.as_var(s.value, s.id));
    Var<T> const y = p.as_var(out_.value, out_.id);
    for (std::size_t i = 0; i < in_.size(); ++i)
      if (p.wants(in_[i].id)) add_gradient(p, Op::name, i, in_[i], op_.vjp(i, gy, y, x));
  }

 private:
  using Base::in_, Base::op_, Base::out_;
};

}  // namespace detail

/// Runs an op. Arguments are Vars (constants included); an empty Var is an argument left out, if the op allows it.
template <class Op, class... V> Var<typename Op::scalar> apply(Op op, V const&... x) {
  return detail::Call<Op>::run(std::move(op), {static_cast<Var<typename Op::scalar> const*>(&x)...});
}
template <class Op> Var<typename Op::scalar> apply_list(Op op, std::vector<Var<typename Op::scalar>> const& x) {
  return detail::ListCall<Op>::run(std::move(op), x);
}

}  // namespace rig::inline RIG_ABI

// In the compiled build an op template is instantiated once, in src/rig.cpp: RIG_OP(Conv2d) at the end of its header,
// RIG_OP_SOURCE(Conv2d) in the source. Both stand in namespace rig.
#define RIG_OP(Op)                               \
  extern template struct Op<float>;              \
  extern template class detail::Call<Op<float>>; \
  extern template struct Op<double>;             \
  extern template class detail::Call<Op<double>>;
#define RIG_OP_SOURCE(Op)                 \
  template struct Op<float>;              \
  template class detail::Call<Op<float>>; \
  template struct Op<double>;             \
  template class detail::Call<Op<double>>;

namespace rig::inline RIG_ABI {
namespace detail {
template <class T> struct SumKernel {
  T* y;
  T const *a, *b;
  RIG_HD void operator()(std::int64_t i) const { y[i] = a[i] + b[i]; }
};
}  // namespace detail

/// a + b of one shape, where two gradients arrive at one value. Linear.
template <class T> struct SumOfGradients {
  using scalar = T;
  static constexpr char const* name = "sum of gradients";
  Tensor<T> forward(Tensor<T> const& a, Tensor<T> const& b) const {
    Tensor<T> y(a.shape(), a.device());
    for_each(y.device(), y.size(), detail::SumKernel<T>{y.mutate(), a.data(), b.data()});
    return y;
  }
  template <int I> Var<T> vjp(wrt<I>, Var<T> const& gy, Var<T> const&, Var<T> const&, Var<T> const&) const { return gy; }
};
#if RIG_EXTERN_TEMPLATES
RIG_OP(SumOfGradients)
#endif

namespace detail {
template <class T> Var<T> sum_of_gradients(Var<T> const& a, Var<T> const& b) { return apply(SumOfGradients<T>{}, a, b); }
}  // namespace detail

}  // namespace rig::inline RIG_ABI
