// The device itself: what is refused and in which words, its pool, its counters, captured work, random numbers.
#include <doctest/doctest.h>

#include <cmath>

#include "cuda/device.hpp"
#include "rig/core/random.hpp"
#include "rig/core/repeated.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/ops/gather.hpp"
#include "rig/ops/matmul.hpp"

using namespace rig;

namespace {
struct AddKernel {
  float* y;
  float const* x;
  RIG_HD void operator()(std::int64_t i) const { y[i] += x[i]; }
};
#if RIG_EMULATED
struct OneOfManyLost {
  static constexpr int threads = 32;
  struct Shared {};
  RIG_DEVICE void operator()(Shared&) const {
    if (gpu::thread() != 7) gpu::barrier();
  }
};
#endif
Var<float> numbers(Shape shape, Device const& device, std::uint64_t seed = 1) {
  Rng rng(seed);
  return randn<float>(shape, rng).to(device);
}
}  // namespace

TEST_CASE("cuda: devices that are mixed are named with the op") {
  Device device;
  if (!test::device_for(device)) return;
  Var<float> const here = numbers({3, 3}, cpu()), there = numbers({3, 3}, device), twin = numbers({3, 3}, cuda());
  CHECK_THROWS_WITH_AS(matmul(there, here), "matmul: inputs are on different devices, cuda:0 and cpu", Error);
  CHECK_THROWS_WITH_AS(concat<float>({here, there}, 0), "concat: inputs are on different devices, cpu and cuda:0", Error);
  CHECK_THROWS_WITH_AS(matmul(there, twin), "matmul: inputs are on different devices, cuda:0 and another queue of cuda:0", Error);
  CHECK_THROWS_WITH_AS(gather(there, Tensor<int>({1}, {0})), "gather: index is on cpu, the inputs are on cuda:0", Error);
  CHECK(device_from_name("cuda:0").is_cuda());
  CHECK_THROWS_WITH_AS(device_from_name("cuda:99"), doctest::Contains("device 99 does not exist; "), Error);
  CHECK_THROWS_WITH_AS(device_from_name("cuda:x"), doctest::Contains("expected cpu, cuda or cuda:N, got 'cuda:x'"), Error);
}

TEST_CASE("cuda: two devices in one process") {
  Device first, second;
  if (!test::device_for(first) || !test::device_for(second, 1)) return;
  Var<float> const a = numbers({4, 5}, first);
  CHECK_THROWS_WITH_AS(a + numbers({4, 5}, second), doctest::Contains("cuda:0 and cuda:1"), Error);
  Tensor<float> const b = a.value().to(second);
  CHECK(str(b.device()) == "cuda:1");
  CHECK(b.host() == a.value().host());
  CHECK((Var<float>(b) + numbers({4, 5}, second)).value().host() == (a + numbers({4, 5}, first)).value().host());
}

TEST_CASE("cuda: blocks come back in the order of the queue, and the counters say what was done") {
  Device device;
  if (!test::device_for(device)) return;
  Queue& queue = device.queue();
  Var<float> const x = numbers({1000}, device);
  CHECK(queue.work().uploads == 1);
  CHECK(queue.work().waits == 0);  // nobody waits to send
  auto work = [&] { return sum(square(2.f * x) + x); };
  float const before = work().item();
  CHECK(queue.work().waits == 1);
  auto const asked = queue.memory().system_allocations;
  auto const launched = queue.work().launches;
  for (int i = 0; i < 5; ++i) work();
  CHECK(queue.memory().system_allocations == asked);
  CHECK(queue.work().launches - launched >= 5 * 4);
  CHECK(queue.work().waits == 1);
  CHECK(work().item() == before);
  std::size_t const reserved = queue.memory().reserved;
  queue.trim();
  CHECK(queue.memory().reserved < reserved);
  CHECK(work().item() == before);
}

TEST_CASE("cuda: uploads are taken at once: the host's memory may change") {
  Device device;
  if (!test::device_for(device)) return;
  std::vector<float> values(100000, 1);
  Tensor<float> x({100000}, values, device);
  auto const pinned = device.queue().memory().pinned_allocations;
  for (int i = 0; i < 20; ++i) {
    std::fill(values.begin(), values.end(), float(i));
    x = Tensor<float>({100000}, values, device);
    std::fill(values.begin(), values.end(), -1.f);
  }
  CHECK(device.queue().memory().pinned_allocations == pinned);  // however far the host runs ahead
  CHECK(x.host() == std::vector<float>(100000, 19));
}

TEST_CASE("cuda: captured work runs again with what lies in its inputs, on memory of its own") {
  Device device;
  if (!test::device_for(device)) return;
  Tensor<float> input({64}, device);
  Tensor<float> total = zeros<float>({64}, device);
  Var<float> result;
  int rounds = 0;
  Repeated repeated(device);
  std::vector<double> expected(64, 0);
  for (int i = 0; i < 8; ++i) {
    std::vector<float> const values(64, float(i + 1));
    input.assign(Tensor<float>({64}, values));
    repeated([&] {
      ++rounds;
      result = 0.5f * square(Var<float>(input)) + Var<float>(input);
      for_each(device, 64, AddKernel{total.mutate(), result.value().data()});
    });
    // What others take and fill between two rounds is not the capture's.
    std::vector<Tensor<float>> others;
    for (int k = 0; k < 5; ++k) others.push_back(full<float>({64}, float(100 + k), device));
    float const value = 0.5f * float((i + 1) * (i + 1)) + float(i + 1);
    for (auto& e : expected) e += double(value);
    CHECK(result.value().host() == std::vector<float>(64, value));
    for (int k = 0; k < 5; ++k) CHECK(others[std::size_t(k)].host() == std::vector<float>(64, float(100 + k)));
  }
  CHECK(total.host()[5] == doctest::Approx(expected[5]));
  if (!device.queue().can_capture()) return;
  CHECK(rounds == 3);
  CHECK(repeated.captured());
  CHECK(device.queue().work().replays == 6);
  Var<float> const kept = result;
  repeated.forget();  // the result outlives the work that made it
  CHECK(kept.value().host()[0] == 40);
  CHECK((kept + 1.f).value().host()[0] == 41);

  // What cannot be captured is an error that names the op, and the device works on.
  Repeated sends(device, true, 0), waits(device, true, 0);
  CHECK_THROWS_WITH_AS(sends([&] {
                         Var<float> const y = square(Var<float>(input));
                         y + Var<float>(Tensor<float>({64}, std::vector<float>(64, 1), device));
                       }),
                       "cuda:0: square: values were sent from the host in a step that is captured", Error);
  CHECK_THROWS_WITH_AS(waits([&] { sum(Var<float>(input)).item(); }), doctest::Contains("the host waited in a step that is captured"),
                       Error);
  CHECK((kept + 1.f).value().host()[0] == 41);
  // Random numbers would be the same in every round.
  Rng rng(3);
  Repeated normal(device, true, 0), uniform(device, true, 0);
  CHECK_THROWS_WITH_AS(normal([&] { randn<float>({64}, rng, device); }),
                       doctest::Contains("cuda:0: randn: a step that is captured would draw the same numbers in every round"), Error);
  CHECK_THROWS_WITH_AS(uniform([&] { rand<float>({64}, rng, device); }), doctest::Contains("cuda:0: rand: a step that is captured"), Error);
  CHECK(rng.draws() == 0);
  randn<float>({64}, rng);  // on the CPU, for which nothing is captured

  // Told what to take back, the work goes on as it is, and no second capture is tried.
  Repeated goes_on(device, true, 0);
  std::string why;
  double total_of_rounds = 0;
  int refusals = 0;
  for (int i = 0; i < 3; ++i)
    goes_on([&] { total_of_rounds += double(sum(Var<float>(input)).item()); }, [&](std::string const& what) { why = what, ++refusals; });
  CHECK(refusals == 1);
  CHECK(why.find("the host waited in a step that is captured") != std::string::npos);
  CHECK(!goes_on.captured());
  CHECK(total_of_rounds == 3 * 64 * 8);
}

TEST_CASE("cuda: normal numbers on the device have the CPU's bits") {
  Device device;
  if (!test::device_for(device)) return;
  Rng a(5), b(5);
  CHECK(randn<float>({20001}, a).host() == randn<float>({20001}, b, device).host());
  CHECK(randn<double>({20001}, a).host() == randn<double>({20001}, b, device).host());
  CHECK(rand<float>({777}, a, {}, -2.f, 5.f).host() == rand<float>({777}, b, device, -2.f, 5.f).host());
  // Against the C library: the functions behind them are right to the last digits.
  Rng c(9);
  double worst = 0;
  for (int i = 0; i < 20000; ++i) {
    double const u = i < 4 ? (i + 0.5) / 4294967296.0 : i < 8 ? 1 - (i - 3.5) / 4294967296.0 : c.uniform(), turn = 6.283185307179586 * u;
    double const l = rig::detail::portable_log(u);
    rig::detail::PointOnCircle const p = rig::detail::point_on_circle(u);
    worst = std::max(
        {worst, std::abs(l - std::log(u)) / std::abs(std::log(u)), std::abs(p.x - std::cos(turn)), std::abs(p.y - std::sin(turn))});
  }
  CHECK(worst < 1.5e-15);
}

#if RIG_EMULATED
TEST_CASE("cuda: out of memory says what was asked and what is free, and the run can go on") {
  Device device;
  if (!test::device_for(device)) return;
  auto& queue = static_cast<rig::detail::EmulatedQueue&>(device.queue());
  queue.limit_memory(1 << 20);
  Var<float> const x = numbers({1000}, device);
  CHECK_THROWS_WITH_AS(broadcast_to(x, {1000, 1000}),
                       "cuda:0: out of memory in broadcast_to: 4000000 bytes asked for, 1044480 free, 4096 in use by rig", Error);
  CHECK(broadcast_to(x, {100, 1000}).dim(0) == 100);
  // Idle blocks of other sizes are given back before giving up.
  { Tensor<float> const most({200000}, device); }
  CHECK(Tensor<float>({230000}, device).size() == 230000);
}

TEST_CASE("cuda: a kernel that is given the host's or another device's memory is found") {
  Device const first = cuda(0), second = cuda(1);
  Tensor<float> here({16}), there = zeros<float>({16}, first), other = zeros<float>({16}, second);
  first.queue().enter("add");
  CHECK_THROWS_WITH_AS(for_each(first, 16, AddKernel{there.mutate(), here.data()}), "add: a kernel on cuda:0 was given memory of the cpu",
                       Error);
  CHECK_THROWS_WITH_AS(for_each(first, 16, AddKernel{there.mutate(), other.data()}), "add: a kernel on cuda:0 was given memory of cuda:1",
                       Error);
  for_each(first, 16, AddKernel{there.mutate(), there.data()});
}

#if defined(__SANITIZE_ADDRESS__)
TEST_CASE("cuda: the host cannot read the device's memory, handed out or idle") {
  Device device;
  if (!test::device_for(device)) return;
  Tensor<float> x = zeros<float>({64}, device);
  float const* const p = x.data();
  CHECK(__asan_address_is_poisoned(p));
  CHECK(__asan_address_is_poisoned(p + 63));
  x = {};
  CHECK(__asan_address_is_poisoned(p));
  x = Tensor<float>({50}, device);  // the same block
  CHECK(x.data() == p);
  device.queue().trim();
  CHECK(__asan_address_is_poisoned(p));
}
#endif

TEST_CASE("cuda: a fault in a kernel names the op") {
  Device device;
  if (!test::device_for(device)) return;
  square(numbers({4}, device));
  CHECK_THROWS_WITH_AS(launch(device, {1, 1, 1}, OneOfManyLost{}), doctest::Contains("square: block (0, 0, 0): 1 of 32 threads are done"),
                       Error);
}
#endif
