// What the verbs of the program share: options that every verb has, how results are said, how files are named, and how a
// run is stopped. One file a verb beside this; main.cpp lists them.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "rig/core/device.hpp"
#include "rig/core/error.hpp"
#include "rig/io/image.hpp"
#include "rig/train/progress.hpp"
#include "sheet.hpp"

namespace program {

using Json = nlohmann::ordered_json;

/// A wrong command line: exit status 2.
struct Usage : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// What `read` makes of what was typed; an Error of it is Usage, since no file had a part in it.
template <class Read> auto as_usage(Read const& read) -> decltype(read()) {
  try {
    return read();
  } catch (rig::Error const& e) {
    throw Usage(e.what());
  }
}

/// Ctrl-C where nothing is kept for the same command to go on from: exit status 130, with one line that says so.
struct Stopped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// Exit statuses. Everything that is not the caller's typing is a failure.
inline constexpr int success = 0, failure = 1, wrong_usage = 2, interrupted = 130;

struct Context {
  bool json = false;
  std::uint64_t seed = 1;
  std::string device = "cpu";
  std::string precision = "float32";  ///< of products and convolutions on a GPU
  bool capture = true;                ///< training steps as CUDA graphs
  int threads = 0;
  std::string out;
  std::string command;  ///< as it was typed, for provenance
  rig::train::StopFlag const* stop = nullptr;
  std::function<int()> action;  ///< of the verb that was named

  /// The device that was asked for: one for the whole run.
  rig::Device target() const;
  /// The line for people, or the object for programs.
  void answer(Json const& object, std::string const& text) const;
  /// A progress line on stderr, for hooks that are called once a step. A job that ends within a second has none.
  std::function<void(std::int64_t, std::int64_t, std::string const&)> progress(std::string title) const;
  /// After an interrupted job: one line on stderr that says how to go on, and the exit status.
  int stopped(std::string const& what) const;

 private:
  mutable std::optional<rig::Device> target_;
};

/// A text of a file or of the command line as a terminal may have it: control characters and what is not UTF-8 as \x1b, so that
/// it neither steers the terminal nor begins a line of its own.
std::string printable(std::string_view text);
/// What is not UTF-8 in it becomes the replacement character.
std::string json_text(Json const& value, int indent);

/// Something a person should know that stops nothing: a line of its own on stderr, below the progress line.
void note(std::string const& what);

/// Adds --json, --seed, --device, --precision, --threads and, if `out_help` is not empty, --out with that default.
void add_common(CLI::App& verb, Context& context, std::string const& out_default = {}, std::string const& out_help = {});
/// Usage if --device is no device's name, or if --precision is given for the CPU, which has float32 alone.
void check_common(Context const& context);

// One function a verb: describes its options and sets context.action when it is named.
void add_info(CLI::App& app, Context& context);
void add_convert(CLI::App& app, Context& context);
void add_sample(CLI::App& app, Context& context);
void add_verify(CLI::App& app, Context& context);
void add_corpus(CLI::App& app, Context& context);
void add_train_face(CLI::App& app, Context& context);
void add_train_rig(CLI::App& app, Context& context);
void add_transfer(CLI::App& app, Context& context);
void add_edit(CLI::App& app, Context& context);
void add_evaluate(CLI::App& app, Context& context);
void add_judge_gan(CLI::App& app, Context& context);
void add_fit_photo(CLI::App& app, Context& context);
void add_make_oracle(CLI::App& app, Context& context);
void add_train_gan(CLI::App& app, Context& context);
void add_demo(CLI::App& app, Context& context);

/// "0-3,85" as 0, 1, 2, 3, 85, at most 10000 of them. Anything else is Usage, naming the option.
std::vector<std::uint32_t> seed_list(std::string const& text, std::string const& option);
/// "0.5,1" as numbers.
std::vector<double> number_list(std::string const& text, std::string const& option);
/// "1024,512" as whole numbers from 1 to 1000000.
std::vector<std::int64_t> size_list(std::string const& text, std::string const& option);
/// Parts of a text between separators, spaces round them dropped, empty ones too.
std::vector<std::string> split(std::string const& text, char separator = ',');
std::string join(std::vector<std::string> const& parts, std::string const& separator = ", ");

/// Usage if writing `out` would replace one of the files that are read. Names of what is no file are passed over.
void check_output(std::string const& out, std::vector<std::string> const& inputs);
/// Usage unless `out` ends in .png: a sheet is a PNG, whatever it is called.
void check_picture_name(std::string const& out);

/// Makes the folder of a file that will be written; Error if that is not possible.
void make_folder_of(std::string const& file);
void make_folder(std::string const& folder);
/// Writes a picture with its texts; makes the folder.
void save_canvas(std::string const& path, Canvas const& picture, rig::io::Texts const& texts);
/// The texts every picture carries: program, command, seed and what else is given.
rig::io::Texts provenance(Context const& context, rig::io::Texts more = {});

/// Reads and writes JSON files; a file that is not JSON, or lacks a key, is an Error that says so.
Json load_json(std::string const& path);
Json const& member(Json const& object, std::string const& key, std::string const& where);
void save_json(std::string const& path, Json const& value);

/// Peak memory of this process so far, in bytes.
std::int64_t peak_memory();

}  // namespace program
