#pragma once
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <map>

#include "rig/io/atomic_file.hpp"
#include "rig/train/log.hpp"

namespace rig::inline RIG_ABI::train {

namespace detail {
inline std::string number_text(double v) {
  char s[40];
  std::snprintf(s, sizeof s, "%.9g", v);
  return s;
}
}  // namespace detail

RIG_INLINE std::vector<std::string> Log::curves() const {
  std::vector<std::string> names;
  for (auto const& e : entries_)
    if (std::find(names.begin(), names.end(), e.curve) == names.end()) names.push_back(e.curve);
  return names;
}

RIG_INLINE std::vector<std::pair<std::int64_t, double>> Log::curve(std::string_view name) const {
  std::vector<std::pair<std::int64_t, double>> c;
  for (auto const& e : entries_)
    if (e.curve == name) c.emplace_back(e.step, e.value);
  return c;
}

RIG_INLINE double Log::last(std::string_view name) const {
  for (auto it = entries_.rbegin(); it != entries_.rend(); ++it)
    if (it->curve == name) return it->value;
  throw Error(str("Log: there is no curve '", name, "'"));
}

RIG_INLINE void Log::cut(std::int64_t step) {
  entries_.erase(std::remove_if(entries_.begin(), entries_.end(), [&](Entry const& e) { return e.step >= step; }), entries_.end());
}

RIG_INLINE std::string Log::csv() const {
  std::vector<std::string> const names = curves();
  std::map<std::int64_t, std::map<std::string, double>> rows;
  for (auto const& e : entries_) rows[e.step][e.curve] = e.value;
  std::string s = "step";
  for (auto const& n : names) s += "," + n;
  s += "\n";
  for (auto const& [step, values] : rows) {
    s += std::to_string(step);
    for (auto const& n : names) {
      auto const it = values.find(n);
      s += "," + (it == values.end() ? std::string() : detail::number_text(it->second));
    }
    s += "\n";
  }
  return s;
}

RIG_INLINE std::string Log::json_lines() const {
  std::string s;
  for (auto const& e : entries_) {
    s += "{\"step\": " + std::to_string(e.step) + ", \"name\": \"";
    for (char c : e.curve) {
      if (c == '"' || c == '\\') s += '\\';
      s += c;
    }
    s += "\", \"value\": " + (std::isfinite(e.value) ? detail::number_text(e.value) : std::string("null")) + "}\n";
  }
  return s;
}

RIG_INLINE void Log::write_csv(std::string const& path) const { io::write_file(path, csv()); }
RIG_INLINE void Log::write_json_lines(std::string const& path) const { io::write_file(path, json_lines()); }

RIG_INLINE Log Log::read_json_lines(std::string const& path) {
  std::ifstream file(path);
  check(bool(file), "Log: cannot open ", path);
  Log log;
  std::string line;
  for (std::int64_t number = 1; std::getline(file, line); ++number) {
    if (line.empty()) continue;
    auto const after = [&](char const* key, std::size_t from) {
      auto const at = line.find(key, from);
      check(at != std::string::npos, "Log: ", path, ", line ", number, ": expected ", key);
      return at + std::string_view(key).size();
    };
    std::size_t at = after("\"step\": ", 0);
    std::int64_t const step = std::strtoll(line.c_str() + at, nullptr, 10);
    at = after("\"name\": \"", at);
    std::string name;
    for (; at < line.size() && line[at] != '"'; ++at) name += line[at] == '\\' && at + 1 < line.size() ? line[++at] : line[at];
    at = after("\"value\": ", at);
    bool const null = line.compare(at, 4, "null") == 0;
    log.add(name, step, null ? std::numeric_limits<double>::quiet_NaN() : std::strtod(line.c_str() + at, nullptr));
  }
  return log;
}

}  // namespace rig::inline RIG_ABI::train
