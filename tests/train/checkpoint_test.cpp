#include "rig/train/checkpoint.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <limits>

#include "helpers.hpp"
#include "rig/nn/linear.hpp"
#include "rig/nn/optim/adam.hpp"
#include "rig/train/resume.hpp"

using namespace rig;

namespace {

template <class T> struct TwoLayers {
  nn::Linear<T> first, second;
  std::vector<Tensor<T>> tables;
  std::int64_t count = 0;
  double level = 0;
  TwoLayers(std::int64_t width, Rng& rng) : first({3, width}, rng), second({width, 2, false}, rng) {
    tables = {randn<T>({2, 2}, rng), randn<T>({5}, rng)};
  }
  void visit(auto&& f) { f("first", first), f("second", second), f("tables", tables), f("count", count), f("level", level); }
};

}  // namespace

TEST_CASE("a checkpoint of another run is told by its settings, numbers as short as they can be") {
  auto said = [](std::string const& there, std::string const& here) {
    return message_of([&] { train::check_same_run("file", {{"x", there}}, {{"x", here}}); });
  };
  CHECK(said("1", "1").empty());
  CHECK(said("0.10000000000000001", "4.0000000000000003e-05") == "file: was made by another run: its x is '0.1', here it is '4e-05'");
  CHECK(contains(said("0.30000000000000004", "0.29999999999999999"), "is '0.30000000000000004', here it is '0.3'"));
  CHECK(contains(said("18446744073709551615", "1e5"), "is '18446744073709551615', here it is '1e5'"));
  CHECK(contains(said("0.5,0.25", "a.b"), "is '0.5,0.25', here it is 'a.b'"));
  CHECK_THROWS_AS(train::check_same_run("file", {{"x", "1"}}, {{"x", "2"}}), train::OtherRun);
  CHECK_THROWS_WITH_AS(train::check_same_run("file", {}, {{"x", "2"}}), "file: was made by another version of rig: it does not tell its x",
                       train::OtherRun);
}

TEST_CASE("what is no checkpoint of a run's kind is told so before anything else") {
  train::Settings const run{{"extra", ""}, {"kind", "rig gan run"}};
  auto said = [&](io::Metadata const& there) { return message_of([&] { train::check_same_run("file", there, run); }); };
  CHECK(said({{"format", "rig.stylegan2"}}) == "file: expected a checkpoint of the kind 'rig gan run', found 'rig.stylegan2'");
  CHECK(said({{"kind", "rig network run"}}) == "file: expected a checkpoint of the kind 'rig gan run', found 'rig network run'");
  CHECK(said({}) == "file: expected a checkpoint of the kind 'rig gan run', found a file that names no kind");
  CHECK(said({{"kind", "rig gan run"}, {"extra", ""}}).empty());
}

TEST_CASE("curves are never behind their checkpoint, and damaged ones stop nothing") {
  namespace fs = std::filesystem;
  Rng rng(5);
  TwoLayers<float> a(4, rng);
  std::string const path = temporary("rig_run_checkpoint.safetensors"), curves = path + ".log.jsonl";
  for (auto const& f : {path, curves}) fs::remove_all(f);
  train::Log log;
  std::vector<std::string> told;
  train::RunCheckpoint const checkpoint(path, {{"kind", "x"}}, cpu(), &log, [&](std::string const& what) { told.push_back(what); });
  log.add("loss", 3, 0.5);
  fs::create_directories(path);  // so that the checkpoint cannot be written: as if the run were killed at this point
  CHECK_THROWS_AS(checkpoint.save(3, {}, io::item("F", a)), Error);
  CHECK(train::Log::read_json_lines(curves).curve("loss").size() == 1);
  fs::remove_all(path);

  checkpoint.save(3, {}, io::item("F", a));
  CHECK(io::metadata_value(io::load_metadata(path), "device", path) == "cpu");
  log.add("loss", 6, 0.25);
  log.write_json_lines(curves);  // ahead of the checkpoint
  std::int64_t step = 0;
  checkpoint.load(step, io::item("F", a));
  CHECK(step == 3);
  CHECK(log.curve("loss") == std::vector<std::pair<std::int64_t, double>>{{3, 0.5}});
  CHECK(told.empty());

  std::ofstream(curves) << "{\"step\": 3, \"na";
  step = 0;
  checkpoint.load(step, io::item("F", a));
  CHECK(step == 3);
  CHECK(log.entries().empty());
  REQUIRE(told.size() == 1);
  CHECK(
      contains(told[0], "the curves begin anew at step 3, because those of before cannot be read: Log: " + curves + ", line 1: expected"));
  for (auto const& f : {path, curves}) fs::remove(f);
}

TEST_CASE("checkpoint: everything comes back with the same bits, into the same blocks") {
  Rng rng(3);
  TwoLayers<float> a(4, rng), b(4, rng);
  a.count = -7, a.level = 0.1;
  a.first.weight.tensor().mutate()[0] = std::numeric_limits<float>::denorm_min();
  a.first.weight.tensor().mutate()[1] = -0.0f;
  nn::Adam<float> opt_a, opt_b;
  Tape tape;
  tape.watch(a);
  tape.backward(sum(square(a.second(a.first(Var(randn<float>({5, 3}, rng)))))));
  opt_a.step(a);
  opt_b.prepare(b);

  std::string const path = temporary("rig_checkpoint_test.safetensors");
  io::save(path, {{"step", "12"}, {"name", "zwölf"}}, io::item("F", a), io::item("opt", opt_a));
  Tensor<float> const shared = b.first.weight.value();
  io::Metadata const m = io::load(path, io::item("F", b), io::item("opt", opt_b));
  CHECK(io::metadata_value(m, "step") == "12");
  CHECK(io::metadata_value(m, "name") == "zwölf");
  CHECK(contains(message_of([&] { io::metadata_value(m, "seed"); }), "seed"));
  CHECK(nn::content_hash(a) == nn::content_hash(b));
  CHECK(nn::content_hash(opt_a) == nn::content_hash(opt_b));
  CHECK(b.count == -7);
  CHECK(b.level == 0.1);
  CHECK(opt_b.states[0].steps == 1);
  CHECK(shared.host() == a.first.weight.value().host());

  // One item alone: what belongs to the other is left alone.
  TwoLayers<float> c(4, rng);
  io::load(path, io::item("F", c));
  CHECK(nn::content_hash(c) == nn::content_hash(a));
  std::remove(path.c_str());
}

TEST_CASE("checkpoint: what does not fit is named, and nothing is changed") {
  Rng rng(4);
  TwoLayers<float> a(4, rng), wide(5, rng);
  std::string const path = temporary("rig_checkpoint_bad.safetensors");
  io::save(path, {}, io::item("F", a));
  std::string const before = nn::content_hash(wide);
  std::string const shape = message_of([&] { io::load(path, io::item("F", wide)); });
  CHECK(contains(shape, "F.first.weight should be F32 [5, 3], the file has F32 [4, 3]"));
  CHECK(nn::content_hash(wide) == before);

  TwoLayers<double> other(4, rng);
  CHECK(
      contains(message_of([&] { io::load(path, io::item("F", other)); }), "F.first.weight should be F64 [4, 3], the file has F32 [4, 3]"));
  CHECK(contains(message_of([&] { io::load(path, io::item("N", a)); }), "N.first.weight is missing"));
  CHECK(contains(message_of([&] { io::load(path, io::item("F", a.first)); }), "is in the file but not expected"));
  CHECK(message_of([&] { io::load(path + ".none", io::item("F", a)); }) != "");
  std::remove(path.c_str());
}
