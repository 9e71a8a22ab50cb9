// What the timed networks share: things measured in turns, the memory of one process, and the arguments of the programs.
#pragma once
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

namespace bench {

inline double seconds(std::function<void()> const& f) {
  auto const start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The best of several rounds of several things, taken in turns, so that a busy moment of the machine hits all alike.
inline std::vector<double> best_of(int rounds, std::vector<std::function<void()>> const& things) {
  std::vector<double> best(things.size(), 1e30);
  for (int r = 0; r <= rounds; ++r)
    for (std::size_t i = 0; i < things.size(); ++i) {
      double const t = seconds(things[i]);
      if (r > 0) best[i] = std::min(best[i], t);  // the first round warms up
    }
  return best;
}

/// Peak of the resident memory of a process that does f, in bytes; negative if it failed. To be called before this process
/// has threads.
inline double peak_of(std::function<void()> const& f) {
  std::fflush(stdout);
  pid_t const child = fork();
  if (child == 0) {
    f();
    _exit(0);
  }
  int status = 1;
  rusage used{};
  if (child < 0 || wait4(child, &status, 0, &used) != child || status != 0) return -1;
  return 1024.0 * double(used.ru_maxrss);
}

inline void report(char const* what, double ours, double bare) {
  std::printf("%-28s %8.1f ms   bare convolutions %8.1f ms   ratio %.2f\n", what, 1e3 * ours, 1e3 * bare, ours / bare);
}

/// Resolutions, --rounds N, and words that stand alone: --layers, --forward (nothing but the time of a picture).
struct Arguments {
  std::vector<std::int64_t> resolutions;
  int rounds;
  std::vector<std::string> words;

  Arguments(int count, char** given, int default_rounds) : rounds(default_rounds) {
    for (int i = 1; i < count; ++i) {
      std::string const a = given[i];
      if (a == "--rounds" && i + 1 < count)
        rounds = std::max(1, std::atoi(given[++i]));
      else if (std::int64_t const r = std::atoll(a.c_str()); r > 0)
        resolutions.push_back(r);
      else
        words.push_back(a);
    }
    if (resolutions.empty()) resolutions = {256, 1024};
  }
  bool has(char const* word) const { return std::find(words.begin(), words.end(), word) != words.end(); }
};

}  // namespace bench
