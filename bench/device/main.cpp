// bench_device: rig's ops one by one on a device; --help lists the arguments.
// Every line: time of a call, MB and GFLOP that it cannot do without, the rates that makes, and those as fractions of what the
// device reached in the same run: copy, and square products in float32, TF32 and bf16. queued_us is the time with the host
// giving the work call by call, and host_us what that takes the host; with captured 0 the two are all there is, and
// not_captured in the lines' file says why. in_cache 1: the case is so small that its inputs and results stay in the L2.
#include <benchmark/benchmark.h>
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <sstream>

#include "measure.hpp"
#include "rig/ops/matmul.hpp"
#if RIG_CUDA
#include <cublas_v2.h>
#endif

namespace {

using namespace bench;

char const* const usage =
    "bench_device: rig's ops one by one on a device. Google Benchmark's arguments (--benchmark_filter, --benchmark_format=json,\n"
    "--benchmark_list_tests, ...) and\n"
    "  --device cpu|cuda|cuda:N   where (default cuda in a build with CUDA, else cpu)\n"
    "  --sizes full|small         small: a run of seconds that takes every path, for tests\n"
    "  --precision float32|tf32|bf16   of the operands of products and convolutions (default float32); cuda only\n"
    "  --samples N                samples of a case, whose median counts (default 9; small: 2)\n"
    "  --no-capture               every call is given by the host; otherwise the device's time is that of calls captured as a graph\n"
    "  --budget SECONDS           cases that would start later are skipped and say so\n"
    "  --lines FILE               also one flat JSON object a line: the rates of the device first, then every case\n";

double seconds_now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }
double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

struct Arguments {
  std::string device = RIG_CUDA ? "cuda" : "cpu", lines;
  bool small = false;
  MatrixPrecision precision = MatrixPrecision::float32;
  int samples = 0;
  bool capture = true;
  double budget = 0;

  /// Takes its own from the program's arguments; false after a message for what it does not understand.
  bool take(int& count, char** given) {
    int kept = 1;
    for (int i = 1; i < count; ++i) {
      std::string const a = given[i];
      if (a.rfind("--benchmark_", 0) == 0) {
        given[kept++] = given[i];
        continue;
      }
      if (a == "--no-capture") {
        capture = false;
        continue;
      }
      bool const known = a == "--device" || a == "--sizes" || a == "--precision" || a == "--samples" || a == "--budget" || a == "--lines";
      if (!known || i + 1 >= count) {
        std::fprintf(stderr, "bench_device: %s %s\n", a.c_str(), known ? "needs a value" : "is no argument; --help lists them");
        return false;
      }
      std::string const value = given[++i];
      if (a == "--device") device = value;
      if (a == "--lines") lines = value;
      if (a == "--sizes") small = value == "small";
      if (a == "--precision")
        precision = value == "tf32" ? MatrixPrecision::tf32 : value == "bf16" ? MatrixPrecision::bf16 : MatrixPrecision::float32;
      if (a == "--samples") samples = std::atoi(value.c_str());
      if (a == "--budget") budget = std::atof(value.c_str());
      if ((a == "--sizes" && value != "small" && value != "full") ||
          (a == "--precision" && value != "float32" && value != "tf32" && value != "bf16") || (a == "--samples" && samples < 1) ||
          (a == "--budget" && !(budget > 0))) {
        std::fprintf(stderr, "bench_device: %s does not take '%s'\n", a.c_str(), value.c_str());
        return false;
      }
    }
    count = kept;
    if (samples == 0) samples = small ? 2 : 9;
    return true;
  }
};

// ---- the device: what it is, and what it reaches -------------------------------------------------------------------------

std::string name_of([[maybe_unused]] Device const& d) {
#if RIG_CUDA
  if (d.is_cuda()) {
    cudaDeviceProp p{};
    rig::detail::cuda_check(cudaGetDeviceProperties(&p, d.queue().index()), "bench: properties");
    return p.name;
  }
#endif
  return "cpu, " + std::to_string(threads()) + " threads";
}
/// Bytes of the last cache before memory.
double cache_of([[maybe_unused]] Device const& d) {
#if RIG_CUDA
  if (d.is_cuda()) {
    int bytes = 0;
    rig::detail::cuda_check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, d.queue().index()), "bench: L2");
    return double(bytes);
  }
#endif
  long const bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
  return bytes > 0 ? double(bytes) : 32e6;
}
/// Bytes that can still be had.
double free_memory([[maybe_unused]] Device const& d) {
#if RIG_CUDA
  if (d.is_cuda()) {
    std::size_t free_bytes = 0, total = 0;
    rig::detail::cuda_check(cudaMemGetInfo(&free_bytes, &total), "bench: memory");
    auto const pool = d.queue().memory();
    return double(free_bytes) + double(pool.reserved - pool.in_use);
  }
#endif
  return double(sysconf(_SC_AVPHYS_PAGES)) * double(sysconf(_SC_PAGESIZE));
}

/// The median time of f on the device.
double time_of(Device const& d, int samples, std::function<void()> const& f) {
  DeviceTimer timer(d);
  f();
  d.wait();
  std::vector<double> times;
  for (int i = 0; i < samples; ++i) {
    timer.start();
    f();
    times.push_back(timer.stop());
  }
  return std::max(median(times), 1e-9);
}

/// Bytes a second, read and written, and operations a second of square products; 0 where the device has no such thing.
struct Rates {
  double copy = 0, f32 = 0, tf32 = 0, bf16 = 0;
};

struct CopyKernel {
  char* y;
  char const* x;
  RIG_HD void operator()(std::int64_t i) const { std::memcpy(y + (i << 20), x + (i << 20), std::size_t(1) << 20); }
};
double copy_rate(Device const& d, bool small, int samples) {
  std::int64_t const blocks = small ? 16 : 1024;
  Tensor<char> const x = full<char>({blocks << 20}, 1, d);
  Tensor<char> y = full<char>({blocks << 20}, 2, d);
  double const t = time_of(d, samples, [&] {
    if (d.is_cpu())
      for_each_heavy(d, blocks, CopyKernel{y.mutate(), x.data()});
    else
      d.queue().copy(y.mutate(), x.data(), std::size_t(blocks) << 20);
  });
  return 2 * double(x.size()) / t;
}

#if RIG_CUDA
/// cuBLAS on square matrices, called as it is: nothing of rig's is in this number.
double cublas_rate(Device const& d, bool small, int samples, cudaDataType_t type, cublasComputeType_t compute) {
  int const n = small ? 256 : 8192;
  auto const fine = [](cublasStatus_t s) { check(s == CUBLAS_STATUS_SUCCESS, "bench: cuBLAS says ", int(s)); };
  cublasHandle_t handle = nullptr;
  fine(cublasCreate(&handle));
  std::shared_ptr<void> const closes(handle, [](void* h) { cublasDestroy(static_cast<cublasHandle_t>(h)); });
  fine(cublasSetStream(handle, rig::detail::cuda_stream(d)));
  fine(cublasSetMathMode(handle, compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH));
  // bf16 operands are the first halves of these blocks; what the numbers are does not matter, but they must not be denormal.
  Rng rng(1);
  Tensor<float> const a = randn<float>({n, n}, rng, d), b = randn<float>({n, n}, rng, d);
  Tensor<float> y({n, n}, d);
  float const one = 1, zero = 0;
  double const t = time_of(d, samples, [&] {
    fine(cublasGemmEx(handle, CUBLAS_OP_N, CUBLAS_OP_T, n, n, n, &one, a.data(), type, n, b.data(), type, n, &zero, y.mutate(), CUDA_R_32F,
                      n, compute, CUBLAS_GEMM_DEFAULT));
  });
  return 2 * double(n) * n * n / t;
}
#endif

Rates measure_rates(Device const& d, bool small, int samples) {
  Rates r;
  r.copy = copy_rate(d, small, samples);
#if RIG_CUDA
  if (d.is_cuda()) {
    r.f32 = cublas_rate(d, small, samples, CUDA_R_32F, CUBLAS_COMPUTE_32F_PEDANTIC);
    r.tf32 = cublas_rate(d, small, samples, CUDA_R_32F, CUBLAS_COMPUTE_32F_FAST_TF32);
    r.bf16 = cublas_rate(d, small, samples, CUDA_R_16BF, CUBLAS_COMPUTE_32F);
    return r;
  }
#endif
  Rng rng(1);
  std::int64_t const n = small ? 128 : 2048;
  Var<float> const a(randn<float>({n, n}, rng, d)), b(randn<float>({n, n}, rng, d));
  r.f32 = 2 * double(n * n * n) / time_of(d, samples, [&] { matmul(a, b); });
  return r;
}

// ---- a case ----------------------------------------------------------------------------------------------------------------

/// A call: the device's time, that with the host giving each call, and the host's part of it.
struct Measured {
  double seconds = 0, queued = 0, host = 0;
  bool captured = false;
  std::string not_captured;  ///< why
  bool in_cache = false;     ///< all copies fit there together
};

/// The median over samples of the time of a call. A sample is so many calls that they take milliseconds; they go round copies of
/// the inputs that together with the results are twice the cache, but no more than 256.
Measured measure(Case const& c, Device const& d, bool small, int samples, bool capture) {
  double const need = c.memory > 0 ? c.memory : 4 * c.bytes, room = 0.9 * free_memory(d);
  check(need <= room, "needs about ", std::int64_t(need / 1e6), " MB, ", std::int64_t(room / 1e6), " are free");
  double const wanted = std::min(std::ceil(2 * cache_of(d) / std::max(c.bytes, 1.0)), small ? 2.0 : 256.0);
  std::size_t const copies = std::size_t(std::max(1.0, std::min(wanted, std::floor(room / std::max(need, 1.0)))));
  Rng rng(7);
  std::vector<Call> calls;
  for (std::size_t i = 0; i < copies; ++i) calls.push_back(c.make(rng, d));
  std::vector<Kept> kept(copies);
  std::size_t turn = 0;
  bool captures = false;
  auto const call = [&] {
    if (calls[turn].before && !captures) calls[turn].before();
    Kept made = calls[turn].work();
    kept[turn] = std::move(made);
    turn = (turn + 1) % copies;
  };
  for (std::size_t i = 0; i < copies + 1; ++i) call();  // pools grow, code is loaded
  d.wait();
  DeviceTimer timer(d);
  timer.start();
  call();
  double const once = std::max(timer.stop(), 1e-7), sample = small ? 1e-4 : d.is_cpu() ? 0.05 : 0.004;
  int const repeats = int(std::clamp(sample / once, 1.0, 1000.0));
  if (once > 1) samples = std::min(samples, 3);
  auto const take = [&](auto const& work, int calls_in_it, double& host) {
    std::vector<double> times, hosts;
    for (int i = 0; i < samples; ++i) {
      double const begin = seconds_now();
      timer.start();
      work();
      hosts.push_back((seconds_now() - begin) / calls_in_it);
      times.push_back(timer.stop() / calls_in_it);
    }
    host = median(hosts);
    return std::max(median(times), 1e-9);
  };
  Measured m;
  m.in_cache = double(copies) * c.bytes < cache_of(d);
  m.queued = take(
      [&] {
        for (int k = 0; k < repeats; ++k) call();
      },
      repeats, m.host);
  m.seconds = m.queued;
  if (!capture || !d.queue().can_capture()) return m;
  // The device's own time: the same calls as one captured graph, so that the host gives the work only once.
  int const round = calls[0].before ? 1 : int(std::max(copies, std::size_t(std::min(repeats, 50))));
  if (calls[turn].before) calls[turn].before();
  captures = true;
  std::shared_ptr<CapturedWork> work;
  kept.assign(copies, {});
  d.wait();
  d.queue().trim();  // captured work has memory of its own
  try {
    d.queue().begin_capture();
    try {
      for (int k = 0; k < round; ++k) call();
    } catch (...) {
      try {
        d.queue().end_capture();
      } catch (std::exception const&) {  // what went wrong first says more
      }
      throw;
    }
    work = d.queue().end_capture();
  } catch (std::exception const& e) {
    m.not_captured = e.what();
    return m;
  }
  d.queue().replay(*work);
  d.wait();
  double ignored = 0;
  m.seconds = take([&] { d.queue().replay(*work); }, round, ignored);
  m.captured = true;
  return m;
}

class Lines {
 public:
  explicit Lines(std::string const& path) {
    if (path.empty()) return;
    file_.open(path);
    check(bool(file_), "bench_device: cannot write ", path);
  }
  /// Values are numbers or texts without quotes and backslashes. A reason, if there is one, is named `what`.
  void write(std::vector<std::pair<std::string, double>> const& numbers, std::string const& kind, std::string const& name,
             std::string const& reason = "", char const* what = "error") {
    if (!file_.is_open()) return;
    auto const plain = [](std::string s) {
      for (char& ch : s)
        if (ch == '"' || ch == '\\' || ch < ' ') ch = '\'';
      return s;
    };
    std::ostringstream o;
    o << "{\"kind\":\"" << kind << "\",\"name\":\"" << plain(name) << '"';
    for (auto const& [key, value] : numbers) o << ",\"" << key << "\":" << value;
    if (!reason.empty()) o << ",\"" << what << "\":\"" << plain(reason) << '"';
    file_ << o.str() << "}\n" << std::flush;
  }

 private:
  std::ofstream file_;
};

/// What bench/results/PENDING.md has goals for; "bias_act/*/n8" is at any size.
char const* const goals[] = {"layer/64x512/n8",
                             "layer/128x256/n8",
                             "layer/256x128/n8",
                             "stylegan2_1024/n1",
                             "stylegan2_1024/n8",
                             "rignet_step/*",
                             "face_vertex_loss_gradient/n64/224px",
                             "face_pixel_loss_gradient/n64/224px",
                             "shade/*",
                             "adam/*",
                             "bias_act/*/n8",
                             "noise_bias_act/*/n8",
                             "upfirdn2d_blur/*/n8"};
/// Where a case stands among the goals, behind all of them if it is none.
std::size_t goal_of(Case const& c) {
  auto const is = [&](char const* goal) { return fnmatch(goal, c.name.c_str(), 0) == 0; };
  return std::size_t(std::find_if(std::begin(goals), std::end(goals), is) - std::begin(goals));
}

int run(Arguments const& a, int count, char** given) {
  Device const device = device_from_name(a.device);
  device.set_precision(a.precision);
  Lines lines(a.lines);
  List list;
  list.small = a.small;
  // What matters most comes first, should time run out.
  add_generators(list), add_training(list), add_faces(list), add_convolutions(list), add_filters(list), add_products(list);
  std::stable_sort(list.cases.begin(), list.cases.end(), [](Case const& x, Case const& y) { return goal_of(x) < goal_of(y); });

  Rates rates;
  double const began = seconds_now();
  bool failed = false;
  if (a.precision != MatrixPrecision::float32)  // another line of its own in a report
    for (Case& c : list.cases) c.name += a.precision == MatrixPrecision::tf32 ? ", tf32" : ", bf16";
  for (Case const& c : list.cases)
    benchmark::RegisterBenchmark(
        c.name.c_str(),
        [&](benchmark::State& state) {
          if (rates.copy == 0) {
            rates = measure_rates(device, a.small, a.samples);
            lines.write({{"copy", rates.copy}, {"f32", rates.f32}, {"tf32", rates.tf32}, {"bf16", rates.bf16}}, "rates", name_of(device));
          }
          if (a.budget > 0 && seconds_now() - began > a.budget) {
            lines.write({}, "case", c.name, "out of time");
            return state.SkipWithError("out of time");
          }
          try {
            Measured const m = measure(c, device, a.small, a.samples, a.capture);
            for (auto _ : state) state.SetIterationTime(m.seconds);
            std::vector<std::pair<std::string, double>> n{{"MB", c.bytes / 1e6},
                                                          {"GFLOP", c.flops / 1e9},
                                                          {"GB/s", c.bytes / m.seconds / 1e9},
                                                          {"TFLOP/s", c.flops / m.seconds / 1e12},
                                                          {"of_copy", c.bytes / m.seconds / rates.copy}};
            auto const of = [&](char const* what, double rate) {
              if (rate > 0 && c.flops > 0) n.emplace_back(what, c.flops / m.seconds / rate);
            };
            of("of_f32", rates.f32), of("of_tf32", rates.tf32), of("of_bf16", rates.bf16);
            if (!device.is_cpu()) {
              n.emplace_back("queued_us", 1e6 * m.queued), n.emplace_back("host_us", 1e6 * m.host);
              n.emplace_back("captured", m.captured);
            }
            if (m.in_cache) n.emplace_back("in_cache", 1);
            for (auto const& [key, value] : n) state.counters[key] = value;
            n.insert(n.begin(), {"us", 1e6 * m.seconds});
            lines.write(n, "case", c.name, m.not_captured, "not_captured");
            if (!m.not_captured.empty()) state.SetLabel("not captured: " + m.not_captured);
          } catch (std::exception const& e) {
            std::string const what = e.what();
            failed = failed || (what.find(" MB") == std::string::npos && what.find("out of memory") == std::string::npos);
            lines.write({}, "case", c.name, what);
            state.SkipWithError(what.c_str());
          }
          device.queue().trim();
        })
        ->Iterations(1)
        ->UseManualTime()
        ->Unit(benchmark::kMicrosecond);

  benchmark::AddCustomContext("device", name_of(device));
  benchmark::Initialize(&count, given);
  if (benchmark::ReportUnrecognizedArguments(count, given)) return 1;
  if (benchmark::RunSpecifiedBenchmarks() == 0) return 1;
  if (rates.copy > 0)
    std::fprintf(stderr, "of %s in this run: copy %.0f GB/s, float32 %.1f, TF32 %.1f, bf16 %.1f TFLOP/s\n", name_of(device).c_str(),
                 rates.copy / 1e9, rates.f32 / 1e12, rates.tf32 / 1e12, rates.bf16 / 1e12);
  return failed;
}

}  // namespace

int main(int count, char** given) {
  if (std::any_of(given + 1, given + count, [](char const* a) { return std::strcmp(a, "--help") == 0 || std::strcmp(a, "-h") == 0; })) {
    std::fputs(usage, stdout);
    return 0;
  }
  Arguments a;
  if (!a.take(count, given)) return 1;
  try {
    return run(a, count, given);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "bench_device: %s\n", e.what());
    return 1;
  }
}
