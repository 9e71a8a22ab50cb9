// The architecture as a test: who may include whom, what only .ipp files may include, and that rig.hpp is complete.
#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace {
namespace fs = std::filesystem;

std::string const root = "include/rig";

std::vector<std::string> headers() {
  std::vector<std::string> found;
  for (auto const& entry : fs::recursive_directory_iterator(root))
    if (entry.is_regular_file()) found.push_back(fs::relative(entry.path(), root).generic_string());
  std::sort(found.begin(), found.end());
  return found;
}

std::string folder_of(std::string const& file) { return file.substr(0, file.find('/')); }
bool ends_with(std::string const& s, std::string const& end) { return s.size() >= end.size() && s.substr(s.size() - end.size()) == end; }

std::string content(std::string const& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Include {
  int line;
  std::string file;
};
std::vector<Include> includes(std::string const& path) {
  static std::regex const form(R"(^\s*#\s*include\s*[<"]([^">]+)[">].*)");
  std::vector<Include> found;
  std::ifstream in(path);
  std::string line;
  for (int n = 1; std::getline(in, line); ++n)
    if (std::smatch m; std::regex_match(line, m, form)) found.push_back({n, m[1]});
  return found;
}

// Each folder and the folders it may see besides itself: only to the left of
// core <- autodiff <- ops <- nn, render <- train <- stylerig, gan, and core <- io, interop. Whoever reads files may see io.
std::map<std::string, std::set<std::string>> const may_see = {
    {"core", {}},
    {"backend", {"core"}},
    {"io", {"core"}},
    {"interop", {"core"}},
    {"autodiff", {"core"}},
    {"ops", {"core", "autodiff"}},
    {"nn", {"core", "autodiff", "ops", "io"}},
    {"render", {"core", "autodiff", "ops", "io"}},
    {"train", {"core", "autodiff", "ops", "io", "nn"}},
    {"stylerig", {"core", "autodiff", "ops", "io", "nn", "render", "train"}},
    {"gan", {"core", "autodiff", "ops", "io", "nn", "train"}},
};

// What would cost every user compile time, and where it may stand besides .ipp files.
std::vector<std::pair<std::regex, std::string>> const heavy = {
    {std::regex("(Eigen|unsupported/Eigen)/.*"), "interop/eigen.hpp"},
    {std::regex("oneapi/.*|dnnl.*|cub/.*|thrust/.*|cublas.*"), ""},
    {std::regex("zlib\\.h|png\\.h|jpeglib\\.h|stb_.*|stb/.*"), ""},
    {std::regex("sstream|iostream|fstream|regex|filesystem|iomanip"), ""},
};
}  // namespace

TEST_CASE("includes point left only") {
  REQUIRE(fs::exists(root));
  int seen = 0;
  for (auto const& file : headers()) {
    if (file == "rig.hpp") continue;
    std::string const folder = folder_of(file);
    INFO(file);
    REQUIRE_MESSAGE(may_see.count(folder) == 1, "a folder that the table of layers does not know");
    for (auto const& [line, included] : includes(root + "/" + file)) {
      if (included.rfind("rig/", 0) != 0) continue;
      std::string const inner = included.substr(4), target = folder_of(inner);
      INFO("line " << line << ": " << included);
      ++seen;
      CHECK_MESSAGE(fs::exists(root + "/" + inner), "no such file");
      if (target == "backend") {
        // The launch templates need the stream's type under nvcc: the one exception.
        CHECK_MESSAGE((ends_with(file, ".ipp") || file == "core/launch.hpp"), "only .ipp files see the back ends");
        continue;
      }
      CHECK_MESSAGE((target == folder || may_see.at(folder).count(target) == 1), folder << " must not see " << target);
    }
  }
  CHECK(seen > 20);
}

TEST_CASE("heavy includes stand behind .ipp files") {
  for (auto const& file : headers()) {
    if (ends_with(file, ".ipp")) continue;
    for (auto const& [line, included] : includes(root + "/" + file))
      for (auto const& [what, where] : heavy) {
        INFO(file << ", line " << line << ": " << included);
        CHECK_FALSE((std::regex_match(included, what) && file != where));
      }
  }
}

TEST_CASE("every header opens with what it is, and has the build in its namespace") {
  for (auto const& file : headers()) {
    std::string const text = content(root + "/" + file);
    INFO(file);
    CHECK(text.find("#pragma once") != std::string::npos);
    if (ends_with(file, ".hpp")) CHECK_MESSAGE(text.rfind("//", 0) == 0, "the first line should say what the header is");
    if (text.find("namespace rig") != std::string::npos)
      CHECK_MESSAGE(text.find("namespace rig::inline RIG_ABI") != std::string::npos, "namespace rig without RIG_ABI");
  }
}

TEST_CASE("rig.hpp includes every public header") {
  std::set<std::string> listed;
  for (auto const& i : includes(root + "/rig.hpp"))
    if (i.file.rfind("rig/", 0) == 0) listed.insert(i.file.substr(4));
  for (auto const& file : headers()) {
    if (!ends_with(file, ".hpp") || file == "rig.hpp" || folder_of(file) == "interop") continue;  // interop needs Eigen's headers
    INFO(file);
    CHECK_MESSAGE(listed.count(file) == 1, "run scripts/lists");
  }
}

TEST_CASE("every op that is compiled once has its instantiation") {
  static std::regex const declared(R"((?:^|\n)[ ]*RIG_OP\(([\w:]+)\))"), defined(R"(\bRIG_OP_SOURCE\(([\w:]+)\))");
  auto names = [](std::string const& text, std::regex const& form) {
    std::set<std::string> found;
    for (auto i = std::sregex_iterator(text.begin(), text.end(), form); i != std::sregex_iterator(); ++i) found.insert((*i)[1]);
    return found;
  };
  std::set<std::string> wanted, given = names(content("src/lists/op_list.ipp"), defined);
  for (auto const& file : headers())
    for (auto const& n : names(content(root + "/" + file), declared)) wanted.insert(n);
  CHECK_MESSAGE(wanted == given, "run scripts/lists");
}
