// stylerig verify NETWORK CASE.npz, stylerig verify OPS.npz: does rig compute what the original code computed?
#include <iostream>
#include <sstream>

#include "program.hpp"
#include "verify/verify.hpp"

namespace program {

void add_verify(CLI::App& app, Context& context) {
  struct VerifyOptions {
    std::vector<std::string> files;
  };
  auto o = std::make_shared<VerifyOptions>();
  auto* verb = app.add_subcommand("verify", "Run a stored case and compare every output with what the original code gave");
  verb->add_option("FILES", o->files, "NETWORK CASE.npz: any network file rig reads, and its case; or OPS.npz alone, cases of operators")
      ->required()
      ->expected(1, 2);
  add_common(*verb, context);
  verb->footer(
      "\nPrints one JSON object: for each output the largest absolute and relative error, the limit and the verdict. Exit status 1 if\n"
      "one of them is beyond its limit or if the case holds something that was not checked.\n"
      "\nExamples:\n  stylerig verify sg2ada_skip64.pkl sg2ada_skip64.npz\n  stylerig verify ops_bias_act.npz");
  verb->callback([&context, o] {
    context.action = [&context, o] {
      int const status = run_verify(o->files.size() == 2 ? o->files[0] : "", o->files.back(), std::cout, context.target());
      std::cout.flush();
      rig::check(bool(std::cout), "standard output: cannot be written");
      return status == 0 ? success : failure;
    };
  });
}

}  // namespace program
