#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>

#include "rig/train/config.hpp"
#include "rig/train/data.hpp"
#include "rig/train/log.hpp"
#include "rig/train/progress.hpp"

using namespace rig;
using namespace rig::train;

namespace {
enum class Colour { red, green };
struct Inner {
  double rate = 0.1;
  void visit(auto&& f) { f("rate", rate); }
};
struct Options {
  int count = 3;
  bool on = true;
  Colour colour = Colour::green;
  std::string name = "x";
  std::vector<std::int64_t> sizes = {4, 5};
  std::uint64_t seed = 18446744073709551615ull;
  Inner inner;
  void visit(auto&& f) {
    f("count", count), f("on", on), f("colour", colour), f("name", name), f("sizes", sizes), f("seed", seed), f("inner", inner);
  }
};
}  // namespace

TEST_CASE("options go to text and back") {
  Options o;
  o.count = -7, o.on = false, o.colour = Colour::red, o.name = "a b", o.sizes = {1, 22, 333}, o.inner.rate = 0.1 + 0.2;
  Settings const s = to_settings(o, "p");
  CHECK(s.at("p.inner.rate") == "0.30000000000000004");
  CHECK(s.at("p.sizes") == "1,22,333");
  Options back;
  from_settings(back, s, "p");
  CHECK(to_settings(back, "p") == s);
  CHECK(back.seed == o.seed);
  Options part;
  from_settings(part, {{"inner.rate", "2"}});
  CHECK(part.inner.rate == 2);
  CHECK(part.count == 3);
  CHECK_THROWS_WITH_AS(from_settings(part, {{"cuont", "2"}}), doctest::Contains("'cuont' is not known"), Error);
  CHECK_THROWS_AS(from_settings(part, {{"count", "two"}}), Error);
  CHECK_THROWS_AS(from_settings(part, {{"on", "yes"}}), Error);
  CHECK(part.count == 3);
  CHECK_NOTHROW(from_settings(part, {{"other.thing", "1"}, {"p.count", "9"}}, "p"));
  CHECK(part.count == 9);
}

TEST_CASE("curves are written and read back") {
  Log log;
  log.add("loss", 0, 1.5);
  log.add("loss", 10, 0.25);
  log.add("say \"x\"", 10, std::nan(""));
  log.add("loss", 20, 0.125);
  CHECK(log.csv() == "step,loss,say \"x\"\n0,1.5,\n10,0.25,nan\n20,0.125,\n");
  auto const path = (std::filesystem::temp_directory_path() / "rig_test_log.jsonl").string();
  log.write_json_lines(path);
  Log back = Log::read_json_lines(path);
  CHECK(back.json_lines() == log.json_lines());
  CHECK(back.curves() == log.curves());
  CHECK(back.last("loss") == 0.125);
  back.cut(20);
  CHECK(back.last("loss") == 0.25);
  CHECK(back.curve("loss").size() == 2);
  CHECK_THROWS_AS(back.last("none"), Error);
  std::ofstream(path) << "nonsense\n";
  CHECK_THROWS_AS(Log::read_json_lines(path), Error);
  std::filesystem::remove(path);
  CHECK_THROWS_AS(Log::read_json_lines(path), Error);
}

TEST_CASE("progress says how long it will take") {
  CHECK(Progress::clock(7.4) == "0:07");
  CHECK(Progress::clock(750) == "12:30");
  CHECK(Progress::clock(11100) == "3:05:00");
  CHECK(Progress::line("train", 370, 1000, 0, 30, "loss 1") == "train   37%  370/1000  12.3/s  left 0:51  loss 1");
  CHECK(Progress::line("train", 150, 200, 100, 10, "") == "train   75%  150/200  5.0/s  left 0:10");  // continued at 100
  CHECK(Progress::line("train", 200, 200, 0, 100, "") == "train  100%  200/200  2.0/s  took 1:40");
  std::FILE* file = std::tmpfile();
  REQUIRE(file);
  {
    Progress p("job", 3, 0, {.out = file, .terminal = 0, .plain_seconds = 1000});
    for (int i = 1; i <= 3; ++i) p.update(i);
  }
  std::rewind(file);
  std::string text;
  for (int c; (c = std::fgetc(file)) != EOF;) text += char(c);
  std::fclose(file);
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);  // only the last one: the others came too early
  CHECK(text.find("100%  3/3") != std::string::npos);
  CHECK(text.find('\r') == std::string::npos);
}

TEST_CASE("batches go through all items once an epoch and depend on seed and step alone") {
  std::vector<int> const items{10, 11, 12, 13, 14, 15, 16};
  EpochSampler a(items, 3, 5), b(items, 3, 5), c(items, 3, 6);
  std::vector<int> seen;
  for (int s = 0; s < 7; ++s)
    for (int i : a.batch(s)) seen.push_back(i);
  for (int e = 0; e < 3; ++e) {
    std::vector<int> epoch(seen.begin() + 7 * e, seen.begin() + 7 * (e + 1));
    std::sort(epoch.begin(), epoch.end());
    CHECK(epoch == items);
  }
  CHECK(std::vector<int>(seen.begin(), seen.begin() + 7) != std::vector<int>(seen.begin() + 7, seen.begin() + 14));
  CHECK(b.batch(4) == a.batch(4));
  CHECK(b.batch(1) == a.batch(1));  // also backwards
  std::vector<int> other;
  for (int s = 0; s < 7; ++s)
    for (int i : c.batch(s)) other.push_back(i);
  CHECK(other != seen);
  CHECK_THROWS_AS(EpochSampler({}, 3, 5), Error);
}
