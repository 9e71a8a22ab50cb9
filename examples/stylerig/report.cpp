#include "report.hpp"

#include "chart.hpp"
#include "rig/io/atomic_file.hpp"

namespace program {
namespace {
constexpr char const* style = R"css(
:root{color-scheme:light dark;--c1:#2463b0;--c2:#c4572b;--c3:#2d8659;--c4:#8a4fae;--c5:#a0801c;--c6:#4c8c9b}
@media (prefers-color-scheme:dark){:root{--c1:#7db0ef;--c2:#f0936b;--c3:#6cc79a;--c4:#c79ae6;--c5:#d8bb62;--c6:#8cc9d8}}
body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:0 auto;padding:1rem;background:Canvas;color:CanvasText}
h1{font-size:1.6rem;line-height:1.2}h2{font-size:1.2rem;margin-top:2.2rem;border-bottom:1px solid color-mix(in srgb,currentColor 25%,transparent)}
figure{margin:1rem 0}figcaption,caption{font-size:.9rem;opacity:.8;text-align:left;padding:.3rem 0}
.wide{overflow-x:auto}img{max-width:100%;height:auto;image-rendering:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid color-mix(in srgb,currentColor 18%,transparent)}
th:first-child,td:first-child{text-align:left}pre{overflow-x:auto;padding:.6rem;border:1px solid color-mix(in srgb,currentColor 25%,transparent);border-radius:6px;font-size:.85rem}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr));gap:1rem}.charts svg{width:100%;height:auto}
)css";
}  // namespace

std::string base64(std::span<std::byte const> bytes) {
  constexpr char const* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string s;
  s.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    unsigned v = 0;
    std::size_t const n = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t k = 0; k < 3; ++k) v = v << 8 | (k < n ? unsigned(bytes[i + k]) : 0u);
    for (std::size_t k = 0; k < 4; ++k) s += k <= n ? digits[v >> (18 - 6 * k) & 63u] : '=';
  }
  return s;
}

void Report::heading(std::string const& text) { body_ += "<h2>" + escaped(text) + "</h2>\n"; }
void Report::paragraph(std::string const& text) { body_ += "<p>" + escaped(text) + "</p>\n"; }
void Report::command(std::string const& text) { body_ += "<pre>" + escaped(text) + "</pre>\n"; }

void Report::table(std::vector<std::string> const& head, std::vector<std::vector<std::string>> const& rows, std::string const& caption) {
  body_ += "<div class=\"wide\"><table>";
  if (!caption.empty()) body_ += "<caption>" + escaped(caption) + "</caption>";
  body_ += "<thead><tr>";
  for (auto const& h : head) body_ += "<th>" + escaped(h) + "</th>";
  body_ += "</tr></thead><tbody>\n";
  for (auto const& row : rows) {
    body_ += "<tr>";
    for (auto const& cell : row) body_ += "<td>" + escaped(cell) + "</td>";
    body_ += "</tr>\n";
  }
  body_ += "</tbody></table></div>\n";
}

void Report::picture(std::string const& path, std::string const& caption) {
  rig::io::MappedFile const file(path);
  body_ += "<figure><div class=\"wide\"><img alt=\"" + escaped(caption) + "\" src=\"data:image/png;base64," + base64(file.bytes().span()) +
           "\"></div><figcaption>" + escaped(caption) + "</figcaption></figure>\n";
}

void Report::charts(std::vector<std::string> const& svg) {
  body_ += "<div class=\"charts\">\n";
  for (auto const& s : svg) body_ += s;
  body_ += "</div>\n";
}

std::string Report::html() const {
  return "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
         "content=\"width=device-width,initial-scale=1\">\n<title>" +
         escaped(title_) + "</title><style>" + style + "</style></head><body>\n<h1>" + escaped(title_) + "</h1>\n" +
         (lead_.empty() ? "" : "<p>" + escaped(lead_) + "</p>\n") + body_ + "</body></html>\n";
}

void Report::save(std::string const& html_path, std::string const& json_path, Json const& numbers) const {
  rig::io::write_file(html_path, html());
  rig::io::write_file(json_path, numbers.dump(2) + "\n");
}

}  // namespace program
