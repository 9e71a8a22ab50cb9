// What a job takes of the machine's memory at its peak, asked of a child process, so that nothing before it counts.
#pragma once
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "rig/core/device.hpp"

/// Whether times and memory are those of a build that people use.
#if defined(__SANITIZE_ADDRESS__) || !defined(__OPTIMIZE__)
inline constexpr bool measured = false;
#else
inline constexpr bool measured = true;
#endif

/// Kilobytes that job() adds to what this process holds; -1 if it returned false or threw. On one thread: a forked process
/// has no others.
template <class F> long memory_growth(F&& job) {
  rig::cpu().queue().trim();
  ::malloc_trim(0);
  long total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  long const before = resident * (::sysconf(_SC_PAGESIZE) / 1024);
  ::pid_t const child = ::fork();
  if (child == 0) {
    bool good = false;
    try {
      rig::set_threads(1);
      good = job();
    } catch (...) {}
    ::_exit(good ? 0 : 1);
  }
  int status = 0;
  ::rusage used{};
  ::wait4(child, &status, 0, &used);
  return status == 0 ? used.ru_maxrss - before : -1;
}
