// stylerig verify GENERATOR CASE.npz: does rig compute what the original code computed?
#include <iostream>
#include <sstream>

#include "program.hpp"
#include "verify.hpp"

namespace program {

void add_verify(CLI::App& app, Context& context) {
  struct Options {
    std::string generator, case_file;
  };
  auto o = std::make_shared<Options>();
  auto* verb = app.add_subcommand("verify", "Run a stored case and compare every output with what the original code gave");
  verb->add_option("GENERATOR", o->generator, "StyleGAN2: official .pkl or rig's .safetensors")->required();
  verb->add_option("CASE", o->case_file, "Case .npz: inputs, results and their tolerances")->required();
  add_common(*verb, context);
  verb->footer(
      "\nPrints one JSON object: for each output the largest absolute and relative error, the limit and the verdict. Exit status 1 if\n"
      "one of them is beyond its limit.\n\nExample:\n  stylerig verify sg2ada_skip64.pkl sg2ada_skip64.npz");
  verb->callback([&context, o] {
    context.action = [o] {
      int const status = run_verify(o->generator, o->case_file, std::cout);
      std::cout.flush();
      rig::check(bool(std::cout), "standard output: cannot be written");
      return status == 0 ? success : failure;
    };
  });
}

}  // namespace program
