// The tape is an object in scope: a list of what happened, in order, walked back by index and never by recursion.
//   Tape tape;
//   auto v = tape.watch(x);           differentiate with respect to this
//   auto g = tape.grad(loss(v), v);   a Var: can be used and differentiated again, to any order
//   tape.backward(loss)               first order: frees as it goes and fills the gradients of watched parameters
// Nothing is recorded that does not depend on something watched, so there is no switch for "no gradient".
#pragma once
#include <algorithm>

#include "rig/autodiff/var.hpp"
#include "rig/core/visit.hpp"

namespace rig::inline RIG_ABI {

namespace detail {
template <class T> Var<T> sum_of_gradients(Var<T> const& a, Var<T> const& b);  // an op, in op.hpp

template <class T> struct AccumulateKernel {
  T* y;
  T const* x;
  RIG_HD void operator()(std::int64_t i) const { y[i] += x[i]; }
};
struct Slot {
  virtual ~Slot() = default;
};
template <class T> struct SlotOf final : Slot { Var<T> gradient; };
}  // namespace detail

/// One walk back over a tape: which nodes matter and the gradient that has arrived at each.
class Pass {
 public:
  Pass(std::shared_ptr<detail::Record> record, bool differentiable, int top)
      : record_(std::move(record)), differentiable_(differentiable), marked_(std::size_t(top) + 1, 0), slots_(std::size_t(top) + 1) {}

  /// Whether gradients of this walk are themselves recorded.
  bool differentiable() const { return differentiable_; }
  std::shared_ptr<detail::Record> const& record() const { return record_; }
  std::vector<char>& marked() { return marked_; }
  bool wants(int id) const { return id >= 0 && marked_[std::size_t(id)]; }
  bool arrived(int id) const { return bool(slots_[std::size_t(id)]); }

  /// Adds a gradient to a node's slot. An empty one means zero.
  template <class T> void add(int id, Var<T> g) {
    if (!g) return;
    auto& slot = slots_[std::size_t(id)];
    if (!slot) {
      slot = std::make_unique<detail::SlotOf<T>>();
      static_cast<detail::SlotOf<T>&>(*slot).gradient = std::move(g);
      return;
    }
    Var<T>& sum = static_cast<detail::SlotOf<T>&>(*slot).gradient;
    check(sum.shape() == g.shape(), "gradient: two contributions to one value differ in shape: ", sum.shape(), " and ", g.shape());
    if (!differentiable_ && sum.value().unique()) {
      Tensor<T> s = sum.value();
      for_each(s.device(), s.size(), detail::AccumulateKernel<T>{s.mutate(), g.value().data()});
    } else {
      sum = detail::sum_of_gradients(sum, g);
    }
  }
  /// What has arrived at a node; empty if nothing. A first-order walk hands it over and forgets it.
  template <class T> Var<T> take(int id) {
    auto& slot = slots_[std::size_t(id)];
    if (!slot) return {};
    Var<T> g = static_cast<detail::SlotOf<T>&>(*slot).gradient;
    if (!differentiable_) slot.reset();
    return g;
  }
  /// A saved input or output as the rules of differentiation should see it.
  template <class T> Var<T> as_var(Tensor<T> const& value, int id) const {
    return differentiable_ && id >= 0 ? Var<T>(value, record_, id) : Var<T>(value);
  }

 private:
  std::shared_ptr<detail::Record> record_;
  bool differentiable_;
  std::vector<char> marked_;
  std::vector<std::unique_ptr<detail::Slot>> slots_;
};

namespace detail {
/// Something watched. A parameter's gradient is stored when a first-order walk reaches it.
template <class T> struct Leaf final : Node {
  std::shared_ptr<Tensor<T>> gradient;

  std::string_view name() const override { return "watch"; }
  void pull(Pass& p) override {
    if (p.differentiable() || !gradient) return;
    Var<T> g = p.template take<T>(id);
    if (!g) return;
    *gradient = *gradient ? sum_of_gradients(Var<T>(*gradient), g).value() : g.value();
  }
  bool reaches(std::vector<char> const&) const override { return gradient != nullptr; }
};
}  // namespace detail

class Tape {
 public:
  Tape() = default;
  Tape(Tape const&) = delete;
  Tape& operator=(Tape const&) = delete;
  ~Tape() { close(); }

  /// Number of entries.
  std::size_t size() const { return record_->nodes.size(); }

  /// The value as something to differentiate with respect to.
  template <class T> Var<T> watch(Tensor<T> const& value) {
    check(bool(value), "Tape::watch: the tensor is empty");
    return Var<T>(value, record_, record_->push(std::make_unique<detail::Leaf<T>>()));
  }
  template <class T> Var<T> watch(Var<T> const& v) { return watch(v.value()); }
  template <class T> void watch(Param<T>& p) {
    check_open("Tape::watch");
    auto leaf = std::make_unique<detail::Leaf<T>>();
    leaf->gradient = p.gradient_handle();
    p.bind(record_, record_->push(std::move(leaf)));
  }
  /// All parameters of a module.
  template <Module M> void watch(M& module) {
    visit_leaves(module, [&](std::string const&, auto& leaf) { watch_leaf(leaf); });
  }

  /// Gradient of a one-element loss with respect to every watched parameter, added to Param::gradient().
  /// First order. The tape is used up and its memory freed on the way.
  template <class T> void backward(Var<T> const& loss) {
    check_open("backward");
    check(loss.tracked() && loss.record() == record_, "backward: the loss does not depend on anything this tape watches");
    check(loss.size() == 1, "backward: the loss must be a single number, got shape ", loss.shape());
    int const top = loss.id();
    Pass p(record_, false, top);
    for (int i = 0; i <= top; ++i) p.marked()[std::size_t(i)] = record_->nodes[std::size_t(i)]->reaches(p.marked());
    p.add(top, Var<T>(full<T>(loss.shape(), T(1), loss.device())));
    record_->open = false;  // the rules run on constants from here on
    record_->nodes.resize(std::size_t(top) + 1);
    for (int i = top; i >= 0; --i) {
      if (p.wants(i) && p.arrived(i)) record_->nodes[std::size_t(i)]->pull(p);
      record_->nodes.pop_back();
    }
  }

  /// Gradients of sum(y * gy) with respect to xs (any values on this tape), as Vars on this tape. gy is ones if left out.
  /// A gradient that is zero because y does not depend on that x is an error unless `allow_unused`; then it is empty.
  template <class T> std::vector<Var<T>> grad(Var<T> const& y, std::vector<Var<T>> const& xs, Var<T> gy = {}, bool allow_unused = false) {
    check_open("grad");
    check(y.tracked() && y.record() == record_, "grad: y does not depend on anything this tape watches");
    check(!gy || gy.shape() == y.shape(), "grad: gy must have the shape of y, ", y.shape(), ", got ", gy.shape());
    int const top = y.id();
    Pass p(record_, true, top);
    std::vector<char> through(std::size_t(top) + 1, 0);
    int lowest = top;
    for (auto const& x : xs) {
      check(x.tracked() && x.record() == record_, "grad: x is not on this tape; use what watch() returned");
      if (x.id() > top) continue;
      p.marked()[std::size_t(x.id())] = 1;
      lowest = std::min(lowest, x.id());
    }
    for (int i = lowest; i <= top; ++i) {
      auto const k = std::size_t(i);
      through[k] = !is_leaf(*record_->nodes[k]) && record_->nodes[k]->reaches(p.marked());
      if (through[k]) p.marked()[k] = 1;
    }
    p.add(top, gy ? gy : Var<T>(full<T>(y.shape(), T(1), y.device())));
    for (int i = top; i > lowest; --i)
      if (through[std::size_t(i)] && p.arrived(i)) record_->nodes[std::size_t(i)]->pull(p);
    std::vector<Var<T>> g;
    for (auto const& x : xs) {
      g.push_back(x.id() <= top ? p.template take<T>(x.id()) : Var<T>{});
      check(g.back() || allow_unused, "grad: y of shape ", y.shape(), " does not depend on x of shape ", x.shape());
    }
    return g;
  }
  template <class T> Var<T> grad(Var<T> const& y, Var<T> const& x, Var<T> gy = {}) {
    return grad(y, std::vector<Var<T>>{x}, std::move(gy))[0];
  }
  template <class T> Var<T> grad(Var<T> const& y, Param<T> const& x, Var<T> gy = {}) {
    return grad(y, static_cast<Var<T> const&>(x), std::move(gy));
  }

 private:
  void check_open(char const* what) const { check(record_->open, what, ": backward() has used this tape up; make a new one"); }
  template <class L> void watch_leaf(L&) {}
  template <class T> void watch_leaf(Param<T>& p) { watch(p); }
  static bool is_leaf(detail::Node const& n) { return n.name() == "watch"; }
  void close() {
    record_->open = false;
    while (!record_->nodes.empty()) record_->nodes.pop_back();
  }

  std::shared_ptr<detail::Record> record_ = std::make_shared<detail::Record>();
};

}  // namespace rig::inline RIG_ABI

#include "rig/autodiff/op.hpp"  // the sum of gradients is an op
