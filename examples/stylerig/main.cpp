// The program: reads the command line, runs one verb, and turns whatever went wrong into one line and an exit status.
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "program.hpp"

namespace {
rig::train::StopFlag stop_asked_for{false};

// The first Ctrl-C asks the job to finish its step and write its checkpoint; a second one ends the program.
extern "C" void on_interrupt(int number) {
  stop_asked_for.store(true, std::memory_order_relaxed);
  signal(number, SIG_DFL);
}

std::string one_line(std::string s) {
  for (char& c : s)
    if (c == '\n' || c == '\r') c = ' ';
  while (!s.empty() && s.back() == ' ') s.pop_back();
  return s;
}

std::string typed(int argc, char** argv) {
  std::string s = "stylerig";
  for (int i = 1; i < argc; ++i) s += std::string(" ") + argv[i];
  return s;
}

/// The type of an option as CLI11 writes it, if it is a number's: "UINT", "INT:POSITIVE", "FLOAT:FLOAT in [-60 - 60]".
std::string number_type(CLI::Option const& option) {
  std::string const type = option.get_type_name();
  for (char const* kind : {"INT", "UINT", "FLOAT"})
    if (type.rfind(kind, 0) == 0) return type;
  return {};
}

/// "expected a whole number above 0, found 'abc'"
std::string expected(std::string const& type, std::string const& found) {
  auto has = [&](char const* part) { return type.find(part) != std::string::npos; };
  std::string s = has("FLOAT") ? "expected a number" : "expected a whole number";
  if (auto const range = type.find(" in ["); range != std::string::npos) {
    auto const low = range + 5, middle = type.find(" - ", low);
    s += " from " + type.substr(low, middle - low) + " to " + type.substr(middle + 3, type.find(']', middle) - middle - 3);
  } else if (has("POSITIVE")) {
    s += " above 0";
  } else if (has("NONNEGATIVE") || has("UINT")) {
    s += ", 0 or more";
  }
  bool const large = found.size() > 9 && found.find_first_not_of("0123456789") == std::string::npos;
  return s + ", found '" + found + "'" + (large ? ", which is too large" : "");
}

/// CLI11 lets through an empty text, nan and inf, and whole numbers that do not fit or that it read as octal.
void check_values(CLI::App const& verb) {
  for (CLI::Option const* option : verb.get_options()) {
    std::string const type = number_type(*option);
    for (std::string const& text : option->results()) {
      auto refuse = [&](std::string const& why) {
        throw program::Usage(verb.get_name() + ": " + option->get_name() + ": " + why + " (see stylerig " + verb.get_name() + " --help)");
      };
      if (text.empty()) refuse("expected a value, found an empty text");
      if (type.empty()) continue;
      bool const fine = type[0] == 'F'   ? std::isfinite(std::strtod(text.c_str(), nullptr))
                        : type[0] == 'U' ? std::to_string(std::strtoull(text.c_str(), nullptr, 10)) == text
                                         : std::to_string(std::strtoll(text.c_str(), nullptr, 10)) == text;
      if (!fine) refuse(expected(type, text));
    }
  }
}

/// What CLI11 says of a command line that it refuses; of numbers, what was expected instead of its limits in digits.
std::string refusal(CLI::App const& verb, CLI::ParseError const& e) {
  std::string const said = e.what();
  for (CLI::Option const* option : verb.get_options()) {
    std::string const type = number_type(*option), name = option->get_name();
    bool const meant = said.rfind(name + ": Value ", 0) == 0 || said.rfind("Could not convert: " + name + " = ", 0) == 0;
    if (meant && !type.empty() && !option->results().empty()) return name + ": " + expected(type, option->results().back());
  }
  return said;
}

int fail(std::string const& message, int status) {
  std::cerr << "stylerig: " << program::printable(one_line(message)) << "\n";
  return status;
}
}  // namespace

int main(int argc, char** argv) {
  // Threads that wait for one another by spinning lose several times the time on a machine with other work. OpenMP reads
  // this once, when the program is loaded.
  if (!std::getenv("OMP_WAIT_POLICY") && setenv("OMP_WAIT_POLICY", "passive", 0) == 0) {
    std::error_code error;  // without /proc the program goes on as it was loaded
    std::string const self = std::filesystem::read_symlink("/proc/self/exe", error).string();
    if (!error) execv(self.c_str(), argv);  // by its own name, which ps shows
  }

  signal(SIGINT, on_interrupt);
  signal(SIGTERM, on_interrupt);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a limit on file sizes is an error of the write, like a full disk

  program::Context context;
  context.stop = &stop_asked_for;
  context.command = typed(argc, argv);
  CLI::App app{
      "stylerig gives a pretrained StyleGAN the controls of a face model: turn the head, change the\n"
      "expression, move the light, and keep the person.",
      "stylerig"};
  app.require_subcommand(1);
  app.set_version_flag("--version", "stylerig " + std::to_string(RIG_VERSION_MAJOR) + "." + std::to_string(RIG_VERSION_MINOR) + "." +
                                        std::to_string(RIG_VERSION_PATCH));
  app.get_formatter()->column_width(34);
  app.footer(
      "\nThe usual order, for a generator G.pkl and a face model (both from files, or the ones that are built in):\n"
      "  stylerig corpus G.pkl --out corpus             pictures to learn from\n"
      "  stylerig train-face G.pkl --corpus corpus --run run    F: from codes to face parameters\n"
      "  stylerig train-rig  G.pkl --corpus corpus --run run    RigNet: from codes and wishes to codes\n"
      "  stylerig transfer   G.pkl --run run            a sheet of transfers\n"
      "  stylerig edit       G.pkl --run run --yaw 20 --expression jawOpen=0.6\n"
      "  stylerig evaluate   G.pkl --run run            numbers and a report\n"
      "stylerig demo does all of it on the generator in the repository. stylerig VERB --help explains a verb.\n"
      "Exit status: 0 done, 1 something is wrong (one line on standard error says what), 2 wrong usage, 130 stopped by Ctrl-C.");
  program::add_demo(app, context);
  program::add_info(app, context);
  program::add_convert(app, context);
  program::add_sample(app, context);
  program::add_verify(app, context);
  program::add_corpus(app, context);
  program::add_train_face(app, context);
  program::add_train_rig(app, context);
  program::add_transfer(app, context);
  program::add_edit(app, context);
  program::add_evaluate(app, context);
  program::add_judge_gan(app, context);
  program::add_fit_photo(app, context);
  program::add_make_oracle(app, context);
  program::add_train_gan(app, context);

  try {
    app.parse(argc, argv);
  } catch (CLI::ParseError const& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    auto const named = app.get_subcommands();
    if (named.empty() && argc == 1) return fail("expected a verb; stylerig --help lists them", program::wrong_usage);
    if (named.empty())
      return fail(std::string("expected a verb, found '") + argv[1] + "'; stylerig --help lists them", program::wrong_usage);
    return fail(named[0]->get_name() + ": " + refusal(*named[0], e) + " (see stylerig " + named[0]->get_name() + " --help)",
                program::wrong_usage);
  }
  try {
    check_values(*app.get_subcommands().at(0));
    program::check_common(context);
    rig::set_threads(context.threads);
    return context.action();
  } catch (program::Usage const& e) {
    return fail(e.what(), program::wrong_usage);
  } catch (program::Stopped const& e) {
    return context.stopped(e.what());
  } catch (std::bad_alloc const&) {
    return fail("out of memory", program::failure);
  } catch (std::exception const& e) {
    return fail(e.what(), program::failure);
  }
}
