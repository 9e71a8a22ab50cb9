#include "rig/core/tensor.hpp"

#include <doctest/doctest.h>

#include "rig/core/random.hpp"
#include "rig/core/visit.hpp"

using namespace rig;

TEST_CASE("Tensor: handles share a block, clones do not") {
  Tensor<float> a({2, 3}, {1, 2, 3, 4, 5, 6}), b = a, c = a.clone();
  b.mutate()[0] = 9;
  CHECK(a.data()[0] == 9);
  CHECK(c.data()[0] == 1);
  CHECK(a.version() == b.version());
  CHECK(!a.unique());
  CHECK(c.unique());
}

TEST_CASE("Tensor: reshape, rows and indexing are free and checked") {
  Tensor<int> a({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(a.reshape({3, 2}).data() == a.data());
  CHECK(a.rows(1, 1).host() == std::vector<int>{4, 5, 6});
  CHECK(a[1][2].item() == 6);
  CHECK(a[1].shape() == Shape{3});
  CHECK_THROWS_WITH_AS(a.reshape({4, 2}), "reshape: [2, 3] has 6 elements, [4, 2] has 8", Error);
  CHECK_THROWS_WITH_AS(a.rows(1, 2), "rows: [1, 3) is outside [2, 3]", Error);
  CHECK_THROWS_WITH_AS(a.item(), "item: expected one element, got shape [2, 3]", Error);
  CHECK_THROWS_AS(a.dim(2), Error);
}

TEST_CASE("Tensor: values must fill the shape") {
  CHECK_THROWS_WITH_AS((Tensor<float>({2, 2}, {1, 2, 3})), "Tensor: shape [2, 2] needs 4 values, got 3", Error);
  CHECK(Tensor<float>({0, 3}).size() == 0);
  CHECK(zeros<float>({}).size() == 1);
  CHECK(!Tensor<float>());
}

TEST_CASE("Shape: refuses what cannot be") {
  CHECK_THROWS_AS((Shape{1, -1}), Error);
  CHECK_THROWS_AS((Shape{1, 2, 3, 4, 5, 6, 7, 8, 9}), Error);
  CHECK_THROWS_AS((Shape{std::int64_t(1) << 40, std::int64_t(1) << 40}), Error);
  CHECK(Shape{2, 3, 4}[-1] == 4);
  CHECK(Shape{2, 3, 4}.with(-1, 7) == Shape{2, 3, 7});
}

TEST_CASE("View: last index is contiguous") {
  Tensor<float> a({2, 2, 2}, {0, 1, 2, 3, 4, 5, 6, 7});
  auto v = a.view<3>();
  CHECK(v(1, 0, 1) == 5);
  CHECK_THROWS_WITH_AS(a.view<2>(), "view: expected rank 2, got [2, 2, 2]", Error);
}

TEST_CASE("Tensor: borrowed memory stays alive and is not freed by rig") {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3});
  std::weak_ptr<std::vector<float>> watch = owner;
  auto t = Tensor<float>::borrow({3}, owner->data(), owner);
  owner.reset();
  CHECK(t.host() == std::vector<float>{1, 2, 3});
  CHECK(!watch.expired());
  t = {};
  CHECK(watch.expired());
}

TEST_CASE("Pool: a repeated allocation comes from the pool, and statistics add up") {
  Queue& q = cpu().queue();
  { Tensor<float> warm({1000, 77}); }
  auto const before = q.memory();
  for (int i = 0; i < 50; ++i) Tensor<float> t({1000, 77});
  auto const after = q.memory();
  CHECK(after.system_allocations == before.system_allocations);
  CHECK(after.in_use == before.in_use);
  Tensor<float> big({1 << 20});
  CHECK(q.memory().in_use >= before.in_use + (4u << 20));
}

TEST_CASE("Device: names") {
  CHECK(device_from_name("cpu") == cpu());
  CHECK_THROWS_WITH_AS(device_from_name("gpu"), "device: expected cpu, cuda or cuda:N, got 'gpu'", Error);
#if !RIG_CUDA
  CHECK_THROWS_WITH_AS(cuda(), "rig::cuda: this program was built without CUDA; build it with nvcc (cmake -DRIG_CUDA=ON)", Error);
  CHECK_THROWS_WITH_AS(device_from_name("cuda:1"), doctest::Contains("this program was built without CUDA"), Error);
#endif
}

TEST_CASE("Philox: known answers of Salmon et al.") {
  // From the published test vectors of Philox4x32-10: all bits zero, and all bits one.
  Philox const zero = Philox::draw(0, 0, 0);
  CHECK(zero.v[0] == 0x6627e8d5u);
  CHECK(zero.v[1] == 0xe169c58du);
  CHECK(zero.v[2] == 0xbc57ac4cu);
  CHECK(zero.v[3] == 0x9b00dbd8u);
  Philox const one = Philox::draw(~0ull, ~0ull, ~0ull);
  CHECK(one.v[0] == 0x408f276du);
  CHECK(one.v[1] == 0x41c83b0eu);
  CHECK(one.v[2] == 0xa20bc7c6u);
  CHECK(one.v[3] == 0x6d5451fdu);
}

TEST_CASE("Random: continued from two integers, independent of type, sensible moments") {
  Rng a(7);
  auto first = randn<float>({1001}, a), second = randn<float>({1001}, a);
  Rng b(a.seed(), 1);
  CHECK(randn<float>({1001}, b).host() == second.host());
  Rng c(7);
  auto d = randn<double>({1001}, c).host();
  auto f = first.host();
  for (std::size_t i = 0; i < f.size(); ++i) CHECK(f[i] == float(d[i]));
  Rng r(3);
  auto x = randn<double>({200000}, r).host();
  double m = 0, v = 0, k = 0;
  for (double t : x) m += t / 2e5, v += t * t / 2e5, k += t * t * t * t / 2e5;
  CHECK(std::abs(m) < 0.01);
  CHECK(std::abs(v - 1) < 0.02);
  CHECK(std::abs(k - 3) < 0.1);
  auto u = rand<double>({100000}, r, {}, 2.0, 5.0).host();
  double um = 0, low = 9, high = 0;
  for (double t : u) um += t / 1e5, low = std::min(low, t), high = std::max(high, t);
  CHECK(std::abs(um - 3.5) < 0.02);
  CHECK(low >= 2);
  CHECK(high <= 5);
  CHECK(r.split(1).seed() != r.split(2).seed());
}

TEST_CASE("for_each: every element once, for any number of threads") {
  struct Count {
    int* y;
    void operator()(std::int64_t i) const { y[i] += 1; }
    void operator()(std::int64_t r, std::int64_t c) const { y[r * 1000 + c] += 1; }
  };
  for (int n : {1, 2, 7}) {
    set_threads(n);
    auto t = zeros<int>({100000});
    for_each(cpu(), 100000, Count{t.mutate()});
    for_each(cpu(), 100, 1000, Count{t.mutate()});
    for_each_heavy(cpu(), 100000, Count{t.mutate()});
    for (int v : t.host()) REQUIRE(v == 3);
  }
  set_threads(0);
}

namespace {
struct RowSum {
  static constexpr int threads = 64;
  struct Shared {
    float part[64];
  };
  float* y;
  float const* x;
  std::int64_t cols;
  RIG_HD void operator()(Block<64> block, Shared& s) const {
    block.each([&](int t) {
      s.part[t] = 0;
      for (std::int64_t c = t; c < cols; c += 64) s.part[t] += x[block.index * cols + c];
    });
    block.reduce(s.part, [](float a, float b) { return a + b; });
    block.each([&](int t) {
      if (t == 0) y[block.index] = s.part[0];
    });
  }
};
}  // namespace

TEST_CASE("for_each_block: steps with barriers") {
  auto x = full<float>({3, 100}, 2.f), y = zeros<float>({3});
  for_each_block(cpu(), 3, RowSum{y.mutate(), x.data(), 100});
  CHECK(y.host() == std::vector<float>{200, 200, 200});
}

namespace {
struct Leafy {
  Tensor<float> w{Shape{2}};
  void visit(auto&& f) { f("w", w); }
};
struct Tree {
  std::vector<Leafy> list{2};
  std::optional<Leafy> none, some{Leafy{}};
  void visit(auto&& f) { f("list", list), f("none", none), f("some", some); }
};
}  // namespace

TEST_CASE("visit: dotted names in order") {
  Tree t;
  std::string names;
  visit_leaves(t, [&](std::string const& n, auto&) { names += n + " "; });
  CHECK(names == "list.0.w list.1.w some.w ");
}
