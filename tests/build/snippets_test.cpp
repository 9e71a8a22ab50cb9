// Code in the documentation is cut from files that are compiled: a fenced block ```cpp some/file.cpp must stand, line
// for line and apart from indentation, in that file.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {
namespace fs = std::filesystem;

std::string trimmed(std::string const& s) {
  auto const first = s.find_first_not_of(" \t\r"), last = s.find_last_not_of(" \t\r");
  return first == std::string::npos ? "" : s.substr(first, last - first + 1);
}

std::vector<std::string> lines(fs::path const& path) {
  std::ifstream in(path);
  std::vector<std::string> all;
  for (std::string line; std::getline(in, line);) all.push_back(line);
  return all;
}

/// Whether the block's lines follow one another in the file. Blank lines do not count; a line "..." skips ahead.
bool contains(std::vector<std::string> const& file, std::vector<std::string> const& block) {
  std::vector<std::string> text, wanted;
  for (auto const& l : file)
    if (auto t = trimmed(l); !t.empty()) text.push_back(t);
  for (auto const& l : block)
    if (auto t = trimmed(l); !t.empty()) wanted.push_back(t);
  for (std::size_t start = 0; start < text.size(); ++start) {
    std::size_t at = start, k = 0;
    bool skip = false;
    for (; k < wanted.size(); ++k) {
      if (wanted[k] == "..." || wanted[k] == "// ...") {
        skip = true;
        continue;
      }
      if (skip)
        while (at < text.size() && text[at] != wanted[k]) ++at;
      skip = false;
      if (at >= text.size() || text[at] != wanted[k]) break;
      ++at;
    }
    if (k == wanted.size()) return true;
  }
  return false;
}

std::vector<fs::path> pages() {
  std::vector<fs::path> found;
  for (auto const& name : {"README.md", "CHANGELOG.md"})
    if (fs::exists(name)) found.emplace_back(name);
  if (fs::exists("docs"))
    for (auto const& entry : fs::recursive_directory_iterator("docs"))
      if (entry.path().extension() == ".md") found.push_back(entry.path());
  return found;
}
}  // namespace

TEST_CASE("snippets of the documentation are cut from compiled files") {
  int blocks = 0;
  for (auto const& page : pages()) {
    auto const text = lines(page);
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i].rfind("```cpp", 0) != 0) continue;
      std::string const source = trimmed(text[i].substr(6));
      INFO(page.string() << ", line " << i + 1 << ": " << text[i]);
      std::vector<std::string> block;
      for (++i; i < text.size() && text[i].rfind("```", 0) != 0; ++i) block.push_back(text[i]);
      ++blocks;
      CHECK_MESSAGE(!source.empty(), "write the file it is cut from behind ```cpp");
      if (source.empty()) continue;
      CHECK_MESSAGE(fs::exists(source), "no such file");
      CHECK_MESSAGE(contains(lines(source), block), "these lines do not stand in the file");
    }
  }
  CHECK(blocks > 0);
}

TEST_CASE("links between pages lead somewhere") {
  for (auto const& page : pages())
    for (auto const& line : lines(page))
      for (std::size_t at = line.find("]("); at != std::string::npos; at = line.find("](", at + 1)) {
        std::string target = line.substr(at + 2, line.find(')', at) - at - 2);
        target = target.substr(0, target.find('#'));
        if (target.empty() || target.find("://") != std::string::npos) continue;
        INFO(page.string() << ": " << target);
        CHECK(fs::exists(page.parent_path() / target));
      }
}
