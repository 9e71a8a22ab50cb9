// stylerig evaluate GENERATOR: the numbers of a rig, as JSON and as a report.
#include "lock.hpp"
#include "rigging.hpp"

namespace program {
using namespace rig;

namespace {
struct EvaluateOptions {
  std::string judge;
  EvaluationOptions evaluation;
  RigPlace place;
};

int evaluate(Context const& context, EvaluateOptions const& o) {
  OutputFolder const folder(context.out);
  RiggedWorld const w = load_rigged(o.place, context);
  NamedJudge const judge = choose_judge(w.world, w.rig.reconstruction, o.judge, context.target());
  Evaluation const e = evaluate_rig(w, judge, o.evaluation, context.seed, context);
  if (train::stop_asked(context.stop)) return context.stopped("nothing is written; the same command starts again");
  Json numbers{{"generator", w.world.handle.hash}, {"rig", w.rig_file}, {"command", context.command}, {"pairs", o.evaluation.pairs}};
  numbers.update(e.json());
  Report report("Rig " + w.rig_file, "Generator " + w.world.handle.hash + ", face model " + w.setup.model + ".");
  report.command(context.command);
  report_evaluation(report, e, w.rig);
  write_tables(context.out, e, w.rig);
  report.save(context.out + "/report.html", context.out + "/report.json", numbers);
  context.answer(numbers, summary(e) + context.out + "/report.html written");
  return success;
}
}  // namespace

void add_evaluate(CLI::App& app, Context& context) {
  auto o = std::make_shared<EvaluateOptions>();
  auto* verb = app.add_subcommand("evaluate", "Measure a rig: success, leakage, slopes, ranges, speed; with a report");
  o->place.add_to(*verb);
  verb->add_option(
      "--judge", o->judge,
      "Another run, trained on another corpus, whose network judges, from codes or from pictures (default: the truth where it is known)");
  verb->add_option("--pairs", o->evaluation.pairs, "Ordered pairs of codes (default 1000)")->check(CLI::Range(2, 1000000));
  verb->add_option("--sweep-codes", o->evaluation.sweep_codes, "Codes swept along each axis; 0 for no sweeps (default 200)")
      ->check(CLI::NonNegativeNumber)
      ->check([](std::string const& codes) { return codes == "1" ? "expected 0, or at least 2 codes, found 1" : std::string(); });
  verb->add_option("--sweep-steps", o->evaluation.sweep_steps, "Values along an axis (default 9)")->check(CLI::Range(3, 99));
  verb->add_option("--expressions", o->evaluation.expressions, "Expressions swept, those that vary most (default 8)")
      ->check(CLI::PositiveNumber);
  add_world_options(*verb, o->place.world);
  add_common(*verb, context, "evaluation", "Folder for report.html, report.json and tables");
  verb->footer(
      "\nThe codes are fresh: no corpus holds them. Numbers that F measures alone are printed beside, and prove little: it can be "
      "fooled.\n\nExample:\n"
      "  stylerig evaluate ffhq.pkl --run run --judge run-of-another-seed");
  verb->callback([&context, o] {
    if (context.out.empty()) context.out = "evaluation";
    context.action = [&context, o] { return evaluate(context, *o); };
  });
}

}  // namespace program
