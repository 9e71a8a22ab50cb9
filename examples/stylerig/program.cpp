#include "program.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>

#include "rig/io/atomic_file.hpp"
#include "rig/io/bytes.hpp"

namespace program {
namespace fs = std::filesystem;

void Context::answer(Json const& object, std::string const& text) const {
  if (json)
    std::cout << json_text(object, 2) << "\n";
  else
    std::cout << text << (text.empty() || text.back() == '\n' ? "" : "\n");
  std::cout.flush();
  rig::check(bool(std::cout), "standard output: cannot be written");
}

rig::Device Context::target() const {
  if (!target_) {
    target_ = rig::device_from_name(device);
    target_->set_precision(precision == "tf32"   ? rig::MatrixPrecision::tf32
                           : precision == "bf16" ? rig::MatrixPrecision::bf16
                                                 : rig::MatrixPrecision::float32);
  }
  return *target_;
}

std::function<void(std::int64_t, std::int64_t, std::string const&)> Context::progress(std::string title) const {
  auto line = std::make_shared<std::unique_ptr<rig::train::Progress>>();
  return [line, title = std::move(title)](std::int64_t done, std::int64_t total, std::string const& note) {
    if (!*line) *line = std::make_unique<rig::train::Progress>(title, total, done);  // its clock starts here
    if ((*line)->seconds() < 1) return;
    (*line)->update(done, note);
    if (done >= total) (*line)->finish();
  };
}

int Context::stopped(std::string const& what) const {
  std::cerr << "\nstylerig: stopped; " << printable(what) << "\n";
  return interrupted;
}

void note(std::string const& what) { std::cerr << (isatty(STDERR_FILENO) ? "\nstylerig: " : "stylerig: ") << printable(what) << std::endl; }

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    auto const c = static_cast<unsigned char>(text[i]);
    std::size_t const n = c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    std::string_view const one = text.substr(i, n);
    bool const control = c < 0x20 || c == 0x7f || (c == 0xC2 && one.size() == 2 && static_cast<unsigned char>(one[1]) < 0xA0);
    bool const shown = !control && rig::io::is_utf8(one);
    if (shown)
      out += one;
    else
      out += {'\\', 'x', "0123456789abcdef"[c >> 4], "0123456789abcdef"[c & 15]};
    i += shown ? n : 1;
  }
  return out;
}

std::string json_text(Json const& value, int indent) { return value.dump(indent, ' ', false, Json::error_handler_t::replace); }

void add_common(CLI::App& verb, Context& context, std::string const& out_default, std::string const& out_help) {
  if (!out_help.empty()) verb.add_option("-o,--out", context.out, out_help + (out_default.empty() ? "" : " (default " + out_default + ")"));
  verb.add_flag("--json", context.json, "Print the result as one JSON object on standard output");
  verb.add_option("--seed", context.seed, "Seed of everything random (default 1)");
  verb.add_option("--device", context.device, "cpu, cuda or cuda:1 (default cpu)");
  verb.add_option("--precision", context.precision,
                  "On a GPU: what factors of products are rounded to, float32, tf32 or bf16 (default float32)")
      ->check(CLI::IsMember({"float32", "tf32", "bf16"}));
  verb.add_option("--threads", context.threads, "Threads on the CPU, 0 for all; results do not depend on it (default 0)")
      ->check(CLI::Range(0, 1024));  // OpenMP starts as many as it is told, and dies of too many
}

namespace {
template <class T> bool parse_whole(std::string_view s, T& value) {
  auto const [end, error] = std::from_chars(s.data(), s.data() + s.size(), value);
  return error == std::errc() && end == s.data() + s.size();
}
}  // namespace

void check_common(Context const& context) {
  std::string const& d = context.device;
  int index = 0;
  if (d != "cpu" && d != "cuda" && !(d.rfind("cuda:", 0) == 0 && parse_whole(d.substr(5), index) && index >= 0 && index < 100))
    throw Usage("--device: expected cpu, cuda or cuda:N, found '" + d + "'");
  if (d == "cpu" && context.precision != "float32")
    throw Usage("--precision " + context.precision + ": is for a GPU (--device cuda); the CPU computes in float32");
}

void check_output(std::string const& out, std::vector<std::string> const& inputs) {
  for (auto const& input : inputs) {
    std::error_code error;  // of names that are no files, which nothing replaces
    if (fs::equivalent(out, input, error))
      throw Usage(out + ": is read by this command and would be replaced; expected another name for what is written");
  }
}

void check_picture_name(std::string const& out) {
  if (fs::path(out).extension() != ".png")
    throw Usage(out + ": expected a name that ends in .png, the only kind of picture that is written");
}

std::vector<std::string> split(std::string const& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= text.size();) {
    std::size_t const end = std::min(text.find(separator, at), text.size());
    std::string part = text.substr(at, end - at);
    auto const first = part.find_first_not_of(' '), last = part.find_last_not_of(' ');
    if (first != std::string::npos) parts.push_back(part.substr(first, last - first + 1));
    at = end + 1;
  }
  return parts;
}

std::string join(std::vector<std::string> const& parts, std::string const& separator) {
  std::string s;
  for (auto const& p : parts) s += (s.empty() ? "" : separator) + p;
  return s;
}

std::vector<std::uint32_t> seed_list(std::string const& text, std::string const& option) {
  std::vector<std::uint32_t> seeds;
  for (auto const& part : split(text)) {
    auto const dash = part.find('-');
    std::uint32_t first = 0, last = 0;
    bool const fine = dash == std::string::npos
                          ? parse_whole(part, first) && (last = first, true)
                          : parse_whole(part.substr(0, dash), first) && parse_whole(part.substr(dash + 1), last) && last >= first;
    if (!fine) throw Usage(option + ": expected seeds like 0-7,85 (each from 0 to 4294967295), found '" + part + "'");
    if (std::uint64_t(last - first) + seeds.size() >= 10000) throw Usage(option + ": expected at most 10000 seeds, found '" + text + "'");
    for (std::uint32_t s = first;; ++s) {
      seeds.push_back(s);
      if (s == last) break;
    }
  }
  if (seeds.empty()) throw Usage(option + ": expected at least one seed");
  return seeds;
}

std::vector<double> number_list(std::string const& text, std::string const& option) {
  std::vector<double> numbers;
  for (auto const& part : split(text)) {
    char* end = nullptr;
    numbers.push_back(std::strtod(part.c_str(), &end));
    if (end != part.c_str() + part.size() || !std::isfinite(numbers.back()))
      throw Usage(option + ": expected numbers like 0,0.5,1, found '" + part + "'");
  }
  if (numbers.empty()) throw Usage(option + ": expected at least one number");
  return numbers;
}

std::vector<std::int64_t> size_list(std::string const& text, std::string const& option) {
  std::vector<std::int64_t> sizes;
  for (auto const& part : split(text)) {
    sizes.push_back(0);
    if (!parse_whole(part, sizes.back()) || sizes.back() < 1 || sizes.back() > 1'000'000)
      throw Usage(option + ": expected whole numbers from 1 to 1000000, like 1024,512, found '" + part + "'");
  }
  if (sizes.empty()) throw Usage(option + ": expected at least one number");
  return sizes;
}

void make_folder(std::string const& folder) {
  if (folder.empty()) return;
  std::error_code error;
  fs::create_directories(folder, error);
  rig::check(!error && fs::is_directory(folder), folder,
             ": cannot make this folder: ", error ? error.message() : std::string("a file of that name is in the way"));
}
void make_folder_of(std::string const& file) { make_folder(fs::path(file).parent_path().string()); }

void save_canvas(std::string const& path, Canvas const& picture, rig::io::Texts const& texts) {
  make_folder_of(path);
  rig::io::save_png(path, picture.tensor(), texts);
}

rig::io::Texts provenance(Context const& context, rig::io::Texts more) {
  rig::io::Texts texts{{"Software", "rig stylerig " + std::to_string(RIG_VERSION_MAJOR) + "." + std::to_string(RIG_VERSION_MINOR) + "." +
                                        std::to_string(RIG_VERSION_PATCH)},
                       {"Command", context.command},
                       {"Seed", std::to_string(context.seed)}};
  texts.insert(texts.end(), more.begin(), more.end());
  return texts;
}

Json load_json(std::string const& path) {
  rig::io::MappedFile const file(path);
  try {
    return Json::parse(file.bytes().text());
  } catch (nlohmann::json::exception const& e) {
    throw rig::Error(path + ": expected a JSON file, found something else: " + e.what());
  }
}
Json const& member(Json const& object, std::string const& key, std::string const& where) {
  rig::check(object.is_object() && object.contains(key), where, ": expected an entry \"", key, "\", found none");
  return object.at(key);
}
void save_json(std::string const& path, Json const& value) {
  make_folder_of(path);
  rig::io::write_file(path, json_text(value, 2) + "\n");
}

std::int64_t peak_memory() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t(usage.ru_maxrss) * 1024;
}

}  // namespace program
