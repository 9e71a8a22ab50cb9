#pragma once
#include <algorithm>

#include "rig/stylerig/parameters.hpp"

namespace rig::inline RIG_ABI::stylerig {

RIG_INLINE std::string Component::unit() const {
  if (name == "identity" || name == "reflectance") return "standard deviations";
  if (name == "expression") return "model units";
  if (name == "illumination") return "spherical harmonics coefficients";
  if (name == "rotation") return "radians";
  if (name == "translation") return "model units";
  return "units of " + name;
}

RIG_INLINE ParameterLayout::ParameterLayout(std::vector<std::pair<std::string, std::int64_t>> const& parts) {
  for (auto const& [name, size] : parts) {
    check(!name.empty() && name.find_first_of(":,(|).") == std::string::npos, "ParameterLayout: '", name, "' is not a name");
    check(size >= 0, "ParameterLayout: ", name, " must have 0 or more entries, got ", size);
    check(!find(name), "ParameterLayout: ", name, " is named twice");
    components_.push_back({name, size_, size, {}});
    size_ += size;
  }
  if (has("rotation") && at("rotation").size == 3) name_entries("rotation", {"pitch", "yaw", "roll"});
  if (has("translation") && at("translation").size == 3) name_entries("translation", {"x", "y", "z"});
}

RIG_INLINE ParameterLayout ParameterLayout::standard(std::int64_t identity, std::int64_t reflectance, std::int64_t expression) {
  return ParameterLayout({{"identity", identity},
                          {"reflectance", reflectance},
                          {"expression", expression},
                          {"illumination", 27},
                          {"rotation", 3},
                          {"translation", 3}});
}

RIG_INLINE ParameterLayout ParameterLayout::of(render::MorphableModel const& model) {
  ParameterLayout l = standard(model.identities(), model.reflectances(), model.expressions());
  if (model.expressions() > 0 && std::int64_t(model.expression_names.size()) == model.expressions())
    l.name_entries("expression", model.expression_names);
  return l;
}

RIG_INLINE Component const* ParameterLayout::find(std::string_view name) const {
  for (auto const& c : components_)
    if (c.name == name) return &c;
  return nullptr;
}

RIG_INLINE Component const& ParameterLayout::at(std::string_view name) const {
  Component const* c = find(name);
  if (c) return *c;
  std::string known;
  for (auto const& k : components_) known += (known.empty() ? "" : ", ") + k.name;
  throw Error(str("ParameterLayout: there is no component '", name, "'; there are ", known));
}

RIG_INLINE void ParameterLayout::name_entries(std::string_view component, std::vector<std::string> names) {
  Component& c = const_cast<Component&>(at(component));
  check(std::int64_t(names.size()) == c.size, "ParameterLayout: ", component, " has ", c.size, " entries, got ", names.size(), " names");
  for (auto const& n : names) check(n.find_first_of(":,(|).") == std::string::npos, "ParameterLayout: '", n, "' is not a name");
  c.entries = std::move(names);
}

RIG_INLINE std::string ParameterLayout::label(std::int64_t entry) const {
  for (auto const& c : components_)
    if (entry >= c.offset && entry < c.offset + c.size) {
      auto const i = std::size_t(entry - c.offset);
      return c.name + "." + (c.entries.empty() ? std::to_string(i) : c.entries[i]);
    }
  throw Error(str("ParameterLayout: entry ", entry, " is outside [0, ", size_, ")"));
}

RIG_INLINE std::int64_t ParameterLayout::entry(std::string_view label) const {
  auto const dot = label.find('.');
  check(dot != std::string_view::npos, "ParameterLayout: expected component.entry, got '", label, "'");
  Component const& c = at(label.substr(0, dot));
  std::string const e(label.substr(dot + 1));
  for (std::size_t i = 0; i < c.entries.size(); ++i)
    if (c.entries[i] == e) return c.offset + std::int64_t(i);
  if (!e.empty() && e.size() < 9 && std::all_of(e.begin(), e.end(), [](char k) { return k >= '0' && k <= '9'; }) && std::stoll(e) < c.size)
    return c.offset + std::stoll(e);
  std::string known;
  for (auto const& n : c.entries) known += (known.empty() ? "" : ", ") + n;
  throw Error(str("ParameterLayout: ", c.name, " has no entry '", e, "'; it has ", known.empty() ? str("0 to ", c.size - 1) : known));
}

RIG_INLINE std::string ParameterLayout::text() const {
  std::string s;
  for (auto const& c : components_) {
    s += (s.empty() ? "" : ",") + c.name + ":" + std::to_string(c.size);
    if (c.entries.empty()) continue;
    for (std::size_t i = 0; i < c.entries.size(); ++i) s += (i ? "|" : "(") + c.entries[i];
    s += ")";
  }
  return s;
}

RIG_INLINE ParameterLayout ParameterLayout::from_text(std::string_view text) {
  std::vector<std::pair<std::string, std::int64_t>> parts;
  std::vector<std::pair<std::string, std::vector<std::string>>> names;
  std::size_t at = 0;
  while (at < text.size()) {
    auto const colon = text.find(':', at);
    check(colon != std::string_view::npos, "ParameterLayout: expected name:size, got '", text.substr(at), "'");
    std::string const name(text.substr(at, colon - at));
    at = colon + 1;
    std::int64_t size = 0;
    auto const digits = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9' && at - digits < 9) size = size * 10 + (text[at++] - '0');
    check(at > digits, "ParameterLayout: ", name, " has no size");
    parts.emplace_back(name, size);
    if (at < text.size() && text[at] == '(') {
      auto const close = text.find(')', at);
      check(close != std::string_view::npos, "ParameterLayout: ')' is missing after ", name);
      std::vector<std::string> list(1);
      for (char k : text.substr(at + 1, close - at - 1)) {
        if (k == '|')
          list.emplace_back();
        else
          list.back() += k;
      }
      names.emplace_back(name, std::move(list));
      at = close + 1;
    }
    check(at == text.size() || text[at] == ',', "ParameterLayout: expected ',' before '", text.substr(at), "'");
    ++at;
  }
  ParameterLayout l(parts);
  for (auto& [name, list] : names) l.name_entries(name, std::move(list));
  return l;
}

RIG_INLINE std::uint64_t ParameterLayout::hash() const {
  std::uint64_t h = 0xcbf29ce484222325ull;
  for (char c : text()) h = (h ^ std::uint64_t(static_cast<unsigned char>(c))) * 0x100000001b3ull;
  return h;
}

namespace detail {
inline char const* const deep3d_order[6] = {"identity", "expression", "reflectance", "rotation", "illumination", "translation"};

inline void check_vectors(char const* what, ParameterLayout const& layout, Tensor<float> const& p) {
  check(p.rank() == 2 && p.dim(1) == layout.size(), what, ": expected [n, ", layout.size(), "], got ", p.shape());
}
// Components in another order, to (forth) or from that order.
inline Tensor<float> reorder(char const* what, ParameterLayout const& layout, Tensor<float> const& p, bool forth) {
  check_vectors(what, layout, p);
  check(layout.components().size() == 6, what, ": the layout must have exactly the six components of a face, it has ",
        layout.components().size());
  Tensor<float> const x = p.to(cpu());
  Tensor<float> y(p.shape());
  std::int64_t other = 0;
  float* to = y.mutate();
  for (char const* name : deep3d_order) {
    Component const& c = layout.at(name);
    for (std::int64_t r = 0; r < p.dim(0); ++r)
      for (std::int64_t i = 0; i < c.size; ++i) {
        std::int64_t const ours = r * layout.size() + c.offset + i, theirs = r * layout.size() + other + i;
        to[forth ? theirs : ours] = x.data()[forth ? ours : theirs];
      }
    other += c.size;
  }
  return y.to(p.device());
}
struct Letter {
  char const *letter, *component;
};
inline constexpr Letter stylerig_letters[6] = {{"alpha", "identity"},     {"beta", "reflectance"}, {"delta", "expression"},
                                               {"gamma", "illumination"}, {"R", "rotation"},       {"t", "translation"}};
inline constexpr Letter pie_letters[6] = {{"alpha", "identity"},     {"beta", "expression"}, {"delta", "reflectance"},
                                          {"gamma", "illumination"}, {"phi", "rotation"},    {"rho", "translation"}};
inline Letter const* letters_of(GreekNaming n) { return n == GreekNaming::pie ? pie_letters : stylerig_letters; }
}  // namespace detail

RIG_INLINE Tensor<float> from_deep3d(ParameterLayout const& layout, Tensor<float> const& p) {
  return detail::reorder("from_deep3d", layout, p, false);
}
RIG_INLINE Tensor<float> to_deep3d(ParameterLayout const& layout, Tensor<float> const& p) {
  return detail::reorder("to_deep3d", layout, p, true);
}

RIG_INLINE Tensor<float> from_greek(ParameterLayout const& layout, GreekNaming naming, std::map<std::string, Tensor<float>> const& blocks) {
  check(!blocks.empty(), "from_greek: no blocks were given");
  std::int64_t const n = blocks.begin()->second.dim(0);
  Tensor<float> y = zeros<float>({n, layout.size()});
  float* to = y.mutate();
  std::size_t used = 0;
  detail::Letter const* letters = detail::letters_of(naming);
  for (int k = 0; k < 6; ++k) {
    Component const& c = layout.at(letters[k].component);
    auto const it = blocks.find(letters[k].letter);
    check(it != blocks.end() || c.size == 0, "from_greek: ", letters[k].letter, " (", c.name, ") is missing");
    if (it == blocks.end()) continue;
    ++used;
    check(it->second.shape() == (Shape{n, c.size}), "from_greek: ", letters[k].letter, " (", c.name, ") must be [", n, ", ", c.size,
          "], got ", it->second.shape());
    Tensor<float> const x = it->second.to(cpu());
    for (std::int64_t r = 0; r < n; ++r) std::copy(x.data() + r * c.size, x.data() + (r + 1) * c.size, to + r * layout.size() + c.offset);
  }
  check(used == blocks.size(), "from_greek: ", blocks.size() - used, " block(s) have a letter that this naming does not use");
  return y;
}

RIG_INLINE std::map<std::string, Tensor<float>> to_greek(ParameterLayout const& layout, GreekNaming naming, Tensor<float> const& p) {
  detail::check_vectors("to_greek", layout, p);
  Tensor<float> const x = p.to(cpu());
  std::map<std::string, Tensor<float>> blocks;
  detail::Letter const* letters = detail::letters_of(naming);
  for (int k = 0; k < 6; ++k) {
    Component const& c = layout.at(letters[k].component);
    Tensor<float> b({p.dim(0), c.size});
    float* to = b.mutate();
    for (std::int64_t r = 0; r < p.dim(0); ++r)
      std::copy(x.data() + r * layout.size() + c.offset, x.data() + r * layout.size() + c.offset + c.size, to + r * c.size);
    blocks[letters[k].letter] = b;
  }
  return blocks;
}

RIG_INLINE std::string to_string(Control c) {
  if (c == Control::none) return "none";
  if (c == Control::all) return "all";
  std::string s;
  for (Control k : single_controls)
    if (contains(c, k))
      s += (s.empty() ? "" : "+") + std::string(k == Control::pose ? "pose" : k == Control::expression ? "expression" : "illumination");
  return s;
}

RIG_INLINE Control control_from_name(std::string_view name) {
  Control c = Control::none;
  std::size_t at = 0;
  while (at <= name.size()) {
    auto const end = std::min(name.find_first_of(",+", at), name.size());
    std::string_view const part = name.substr(at, end - at);
    if (part == "pose")
      c = c | Control::pose;
    else if (part == "expression")
      c = c | Control::expression;
    else if (part == "illumination" || part == "light")
      c = c | Control::illumination;
    else if (part == "all")
      c = c | Control::all;
    else if (!(part == "none" && name == "none"))
      throw Error(str("control: expected pose, expression, illumination (or light), all, or several with '+', got '", name, "'"));
    at = end + 1;
  }
  return c;
}

RIG_INLINE char const* component_of(Control c) {
  check(c == Control::pose || c == Control::expression || c == Control::illumination, "component_of: ", to_string(c),
        " is not a single control");
  return c == Control::pose ? "rotation" : c == Control::expression ? "expression" : "illumination";
}

RIG_INLINE std::vector<unsigned char> control_mask(ParameterLayout const& layout, Control c) {
  std::vector<unsigned char> m(std::size_t(layout.size()), 0);
  for (Control k : single_controls) {
    if (!contains(c, k)) continue;
    if (Component const* part = layout.find(component_of(k)))
      for (std::int64_t i = 0; i < part->size; ++i) m[std::size_t(part->offset + i)] = 1;
  }
  return m;
}

RIG_INLINE std::vector<unsigned char> kept_mask(ParameterLayout const& layout, Control c, bool keep_translation) {
  std::vector<unsigned char> m = control_mask(layout, c);
  for (auto& k : m) k = !k;
  if (Component const* t = layout.find("translation"); t && contains(c, Control::pose) && !keep_translation)
    for (std::int64_t i = 0; i < t->size; ++i) m[std::size_t(t->offset + i)] = 0;
  return m;
}

RIG_INLINE Tensor<unsigned char> mask_rows(std::vector<std::vector<unsigned char>> const& rows, Device const& device) {
  check(!rows.empty(), "mask_rows: no rows");
  std::vector<unsigned char> all;
  for (auto const& r : rows) {
    check(r.size() == rows[0].size(), "mask_rows: rows differ in length");
    all.insert(all.end(), r.begin(), r.end());
  }
  return Tensor<unsigned char>({std::int64_t(rows.size()), std::int64_t(rows[0].size())}, all, device);
}

}  // namespace rig::inline RIG_ABI::stylerig
