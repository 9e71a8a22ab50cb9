// A report: one HTML file that holds its pictures, charts and tables and needs no network, and beside it the numbers as
// JSON. Readable on a phone, follows light and dark.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "rig/io/bytes.hpp"

namespace program {

using Json = nlohmann::ordered_json;

class Report {
 public:
  explicit Report(std::string title, std::string lead = {}) : title_(std::move(title)), lead_(std::move(lead)) {}

  void heading(std::string const& text);
  void paragraph(std::string const& text);
  /// A command line, or other text to be shown as it is.
  void command(std::string const& text);
  void table(std::vector<std::string> const& head, std::vector<std::vector<std::string>> const& rows, std::string const& caption = {});
  /// The PNG file at `path`, inside the page.
  void picture(std::string const& path, std::string const& caption);
  /// SVG text as chart.hpp makes it; several stand side by side where there is room.
  void charts(std::vector<std::string> const& svg);

  std::string html() const;
  /// The page and the numbers, each written whole or not at all.
  void save(std::string const& html_path, std::string const& json_path, Json const& numbers) const;

 private:
  std::string title_, lead_, body_;
};

std::string base64(std::span<std::byte const> bytes);

}  // namespace program
