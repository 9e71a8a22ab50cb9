// Options as text: every options struct with a visit line can be written into a flat map of strings and read back, for
// provenance in checkpoints and for command lines. Nested structs become "outer.inner"; lists are separated by commas.
#pragma once
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "rig/core/error.hpp"
#include "rig/core/visit.hpp"

namespace rig::inline RIG_ABI::train {

using Settings = std::map<std::string, std::string>;

namespace detail {
template <class V> std::string setting_text(V const& v) {
  if constexpr (std::is_same_v<V, bool>) {
    return v ? "true" : "false";
  } else if constexpr (std::is_enum_v<V>) {
    return std::to_string(static_cast<long long>(v));
  } else if constexpr (std::is_floating_point_v<V>) {
    char s[40];
    std::snprintf(s, sizeof s, "%.17g", double(v));
    return s;
  } else {
    return std::to_string(v);
  }
}
inline std::string setting_text(std::string const& v) { return v; }
template <class V> std::string setting_text(std::vector<V> const& list) {
  std::string s;
  for (auto const& v : list) s += (s.empty() ? "" : ",") + setting_text(v);
  return s;
}

template <class V> void setting_value(std::string const& name, std::string const& text, V& v) {
  char* end = nullptr;
  if constexpr (std::is_same_v<V, bool>) {
    check(text == "true" || text == "false", "option ", name, ": expected true or false, got '", text, "'");
    v = text == "true";
    return;
  } else if constexpr (std::is_floating_point_v<V>) {
    v = V(std::strtod(text.c_str(), &end));
  } else if constexpr (std::is_enum_v<V> || std::is_signed_v<V>) {
    v = V(std::strtoll(text.c_str(), &end, 10));
  } else {
    v = V(std::strtoull(text.c_str(), &end, 10));
  }
  check(!text.empty() && end && *end == 0, "option ", name, ": expected a number, got '", text, "'");
}
inline void setting_value(std::string const&, std::string const& text, std::string& v) { v = text; }
template <class V> void setting_value(std::string const& name, std::string const& text, std::vector<V>& list) {
  list.clear();
  for (std::size_t at = 0; at < text.size();) {
    auto const end = text.find(',', at) == std::string::npos ? text.size() : text.find(',', at);
    V v{};
    setting_value(name, text.substr(at, end - at), v);
    list.push_back(v);
    at = end + 1;
  }
}

template <class O, class F> void visit_options(std::string const& prefix, O& o, F& f) {
  o.visit([&](char const* name, auto& member) {
    std::string const full = prefix.empty() ? std::string(name) : prefix + "." + name;
    if constexpr (Module<std::remove_reference_t<decltype(member)>>)
      visit_options(full, member, f);
    else
      f(full, member);
  });
}
}  // namespace detail

/// All options as text.
template <class O> Settings to_settings(O const& options, std::string const& prefix = {}) {
  O copy = options;  // a visit line is not const
  Settings s;
  auto f = [&](std::string const& name, auto& member) { s[name] = detail::setting_text(member); };
  detail::visit_options(prefix, copy, f);
  return s;
}
/// Sets the options that the map names. A name under `prefix` that the options do not have is an Error, as is a value of the wrong kind.
template <class O> void from_settings(O& options, Settings const& settings, std::string const& prefix = {}) {
  O changed = options;
  std::string known;
  Settings left = settings;
  auto f = [&](std::string const& name, auto& member) {
    known += (known.empty() ? "" : ", ") + name;
    auto const it = settings.find(name);
    if (it == settings.end()) return;
    detail::setting_value(name, it->second, member);
    left.erase(name);
  };
  detail::visit_options(prefix, changed, f);
  for (auto const& [name, value] : left)
    check(!prefix.empty() && name.compare(0, prefix.size() + 1, prefix + ".") != 0, "option '", name, "' is not known; known are ", known);
  options = changed;
}

}  // namespace rig::inline RIG_ABI::train
