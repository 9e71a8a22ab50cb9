// What cannot be tried within test_cuda, because the process is of no use afterwards: a kernel that faults, with and without
// RIG_CUDA_SYNC; and want of memory on a real device. Without arguments the program runs itself once for each part; a part that
// fails, or does not end as a program should, is named, and the exit status is 1.
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <vector>

#include "rig/core/random.hpp"
#include "rig/core/repeated.hpp"
#include "rig/ops/arithmetic.hpp"
#include "rig/ops/broadcast.hpp"

using namespace rig;

namespace {
int wrong = 0;
void expect(bool right, std::string const& what) {
  if (!right) std::printf("FAILED: %s\n", what.c_str()), ++wrong;
}
/// What an error of `work` says; empty if there was none.
template <class F> std::string said(F&& work) {
  try {
    work();
  } catch (Error const& e) {
    return e.what();
  }
  return {};
}
bool has(std::string const& text, std::string const& part) { return text.find(part) != std::string::npos; }

struct TrapKernel {
  RIG_HD void operator()(std::int64_t) const {
#if defined(__CUDA_ARCH__)
    asm volatile("trap;");
#endif
  }
};

void memory(Device const& d) {
  Rng rng(1);
  Var<float> const x(randn<float>({1, 1024}, rng).to(d));
  d.wait();
  std::size_t left = 0, total = 0;
  detail::cuda_check(cudaMemGetInfo(&left, &total), "memory");
  std::int64_t const rows = std::int64_t(total / 4096) + 1;
  std::string const why = said([&] { broadcast_to(x, {rows, 1024}); });
  expect(why.rfind(str("cuda:0: out of memory in broadcast_to: ", rows * 4096, " bytes asked for, "), 0) == 0 &&
             has(why, str(" of ", total, " free, 4096 in use by rig")),
         str("want of memory: '", why, "'"));
  std::vector<float> const once = x.value().host();
  std::vector<float> const twice = broadcast_to(x, {2, 1024}).value().host();
  expect(std::equal(once.begin(), once.end(), twice.begin() + 1024), "a smaller size works after want of memory");
}

void fault(Device const& d) {
  char const* const asked = std::getenv("RIG_CUDA_SYNC");
  bool const at_once = asked && std::strcmp(asked, "0") != 0;
  Rng rng(1);
  Var<float> const x(randn<float>({100}, rng).to(d));
  Var<float> const y = square(x);
  std::vector<float> const values(100, 1);
  Tensor<float> t({100}, values, d);
  d.wait();
  std::string const start = at_once ? "cuda:0: in square (" : "cuda:0: in or before square (";
  // Every call from the fault on names it and the op; none takes it for want of memory.
  auto const named = [&](char const* call, std::string const& why) {
    expect(why.rfind(start, 0) == 0 && has(why, "RIG_CUDA_SYNC") == !at_once && !has(why, "out of memory"),
           str(call, " after a fault: '", why, "'"));
  };
  std::string const launched = said([&] { for_each(d, 100, TrapKernel{}); });
  if (at_once) named("the launch", launched);
  named("waiting", said([&] { d.wait(); }));
  named("an upload", said([&] { t.assign(Tensor<float>({100}, values)); }));
  named("a download", said([&] { t.host(); }));
  named("an allocation", said([&] { Tensor<float> const more({1 << 24}, d); }));
  named("a launch", said([&] { for_each(d, 100, TrapKernel{}); }));
  if (!at_once) {
    bool refused = false;
    named("a capture", said([&] { Repeated(d, true, 0)([] {}, [&](std::string const&) { refused = true; }); }));
    expect(!refused, "a fault is taken for a capture that is refused");
  }
  d.queue().trim();
}

int part(std::string const& name) {
  Device d;
  try {
    d = cuda();
  } catch (Error const& e) {
    if (std::getenv("RIG_NEED_CUDA")) return std::printf("FAILED: %s\n", e.what()), 1;
    return std::printf("skipped: %s\n", e.what()), 77;
  }
  name == "memory" ? memory(d) : fault(d);
  return wrong > 0;
}
}  // namespace

int main(int count, char** given) {
  if (count > 1) try {
      return part(given[1]);
    } catch (std::exception const& e) {
      return std::printf("FAILED: %s\n", e.what()), 1;
    }
  int failed = 0;
  for (std::string const how : {"memory", "fault", "fault, every launch waited for"}) {
    setenv("RIG_CUDA_SYNC", has(how, ",") ? "1" : "0", 1);
    std::fflush(stdout);
    int const status = std::system(str("'", given[0], "' ", how.substr(0, how.find(','))).c_str());
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) return 0;
    bool const right = status == 0;
    std::printf("%s: %s\n", how.c_str(), right ? "as it should be" : WIFEXITED(status) ? "failed" : "did not end as a program should");
    failed += !right;
  }
  std::printf("detail: %d of 3 parts failed\n", failed);
  return failed > 0;
}
