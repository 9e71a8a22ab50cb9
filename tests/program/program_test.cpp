// The program as people run it: exit statuses, one line on stderr, well-formed JSON, nothing half-written, and the whole
// job on a generator of a few pixels.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "rig/io/image.hpp"
#include "rig/nn/discriminator_loader.hpp"
#include "rig/nn/seed_latents.hpp"
#include "rig/nn/stylegan2_loader.hpp"
#include "rig/ops/norm.hpp"
#include "rig/train/checkpoint.hpp"

namespace fs = std::filesystem;
using namespace rig;
using Json = nlohmann::json;

namespace {
char const* const verbs[] = {"info",      "convert",  "sample", "verify",   "train-gan", "judge-gan",   "corpus", "train-face",
                             "train-rig", "transfer", "edit",   "evaluate", "fit-photo", "make-oracle", "demo"};

std::string program() {
  if (char const* p = std::getenv("RIG_PROGRAM")) return p;
  char const* build = std::getenv("RIG_BUILD");
  return fs::absolute(std::string(build ? build : "build") + "/stylerig").string();
}

/// A folder of this test's own, gone at the end.
struct Scratch {
  fs::path path;
  Scratch() : path(fs::temp_directory_path() / ("rig-program-" + std::to_string(getpid()))) { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
  std::string operator/(std::string const& name) const { return (path / name).string(); }
};
Scratch& scratch() {
  static Scratch s;
  return s;
}

std::string text_of(std::string const& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}
void write(std::string const& path, std::string const& text) { std::ofstream(path, std::ios::binary) << text; }

struct Result {
  int status;
  std::string out, err;
  std::int64_t error_lines() const { return std::count(err.begin(), err.end(), '\n'); }
};
/// Runs a line of shell in which $S is the program.
Result shell(std::string const& line) {
  std::string const out = scratch() / "stdout", err = scratch() / "stderr", script = scratch() / "script";
  write(script, "S='" + program() + "'\ncd '" + scratch().path.string() + "'\n" + line + "\n");
  int const status = std::system(("sh '" + script + "' >'" + out + "' 2>'" + err + "'").c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text_of(out), text_of(err)};
}
Result stylerig(std::string const& arguments) { return shell("\"$S\" " + arguments); }

/// One line on stderr that holds all the words, the given status, nothing on stdout.
void check_failure(std::string const& arguments, int status, std::vector<std::string> const& words) {
  Result const r = stylerig(arguments);
  INFO("stylerig ", arguments, "\nstderr: ", r.err);
  CHECK(r.status == status);
  CHECK(r.error_lines() == 1);
  CHECK(r.err.rfind("stylerig: ", 0) == 0);
  for (auto const& w : words) CHECK_MESSAGE(r.err.find(w) != std::string::npos, "expected to read: ", w);
}
Json json_of(std::string const& arguments) {
  Result const r = stylerig(arguments + " --json");
  INFO("stylerig ", arguments, "\nstderr: ", r.err);
  REQUIRE(r.status == 0);
  return Json::parse(r.out);
}

/// What verify prints, which ends with this status.
Json verified(std::string const& files, int status) {
  Result const r = stylerig("verify " + files);
  INFO("stylerig verify ", files, "\nstderr: ", r.err);
  REQUIRE(r.status == status);
  REQUIRE(r.err.empty());
  return Json::parse(r.out);
}

/// A StyleGAN2 of 16 pixels with random weights.
std::string generator(std::uint64_t seed) {
  std::string const path = scratch() / ("g" + std::to_string(seed) + ".safetensors");
  if (fs::exists(path)) return path;
  nn::StyleGAN2Options o;
  o.z_dim = o.w_dim = 16;
  o.resolution = 16;
  o.channel_base = 128, o.channel_max = 8, o.mapping_layers = 2;
  Rng rng(seed);
  nn::StyleGAN2<float> g(o, rng);
  nn::save_stylegan2(path, g);
  return path;
}

std::string test_data() {
  char const* root = std::getenv("RIG_TEST_DATA");
  return fs::absolute(root ? root : "../shared").string();
}
}  // namespace

TEST_CASE("every verb explains itself") {
  Result const all = stylerig("--help");
  CHECK(all.status == 0);
  for (std::string const verb : verbs) {
    CHECK(all.out.find(verb) != std::string::npos);
    Result const r = stylerig(verb + " --help");
    INFO(verb);
    CHECK(r.status == 0);
    CHECK(r.out.find("Example") != std::string::npos);
    CHECK(r.out.find("--json") != std::string::npos);
    CHECK(r.err.empty());
  }
  CHECK(stylerig("--version").status == 0);
}

TEST_CASE("wrong usage has status 2 and one line") {
  std::string const g = generator(1);
  check_failure("", 2, {"verb"});
  check_failure("frobnicate", 2, {"frobnicate"});
  check_failure("info", 2, {"FILE"});
  check_failure("sample " + g + " --seeds", 2, {"--seeds"});
  check_failure("sample " + g + " --seeds 1,x", 2, {"--seeds", "'x'"});
  check_failure("sample " + g + " --seeds 5-2", 2, {"5-2"});
  check_failure("sample " + g + " --psi a", 2, {"--psi", "'a'"});
  check_failure("sample " + g + " --noise loud", 2, {"loud"});
  check_failure("train-face " + g + " --preset good", 2, {"good"});
  check_failure("train-rig " + g + " --ablation everything", 2, {"everything"});
  check_failure("edit " + g + " --yaw 90", 2, {"--yaw"});
  check_failure("edit " + g, 2, {"nothing is wished for"});
  check_failure("edit " + g + " --sweep yaw", 2, {"--sweep"});
  check_failure("corpus " + g + " --count 0", 2, {"--count"});
  check_failure("judge-gan " + g, 2, {"--pictures"});
  check_failure("judge-gan " + g + " --pictures x --count 2", 2, {"--count"});
}

TEST_CASE("bad input has status 1 and one line that says what was expected and found") {
  Scratch& s = scratch();
  std::string const g = generator(1);
  check_failure("info missing.pkl", 1, {"missing.pkl"});
  check_failure("info .", 1, {"folder"});
  check_failure("sample missing.pkl", 1, {"missing.pkl"});
  check_failure("sample " + g + " --device abacus", 2, {"abacus"});
  check_failure("sample " + g + " --class 3", 1, {"--class 3"});

  write(s / "empty.pkl", "");
  check_failure("info empty.pkl", 1, {"empty.pkl"});
  write(s / "page.pkl", "<html>404 not found</html>");
  check_failure("sample page.pkl", 1, {"page.pkl"});
  std::string const whole = text_of(g);
  write(s / "cut.safetensors", whole.substr(0, whole.size() / 2));
  check_failure("sample cut.safetensors", 1, {"cut.safetensors"});
  io::save_png(s / "renamed.pkl", full<float>({4, 4, 3}, 0.5f));
  check_failure("sample renamed.pkl", 1, {"renamed.pkl"});
  io::save_safetensors(s / "other.safetensors", {{"x", io::AnyTensor(full<float>({2, 3}, 1))}}, {});
  check_failure("sample other.safetensors", 1, {"other.safetensors"});
  check_failure("verify " + g + " missing.npz", 1, {"missing.npz"});

  std::string bent = whole;
  auto const at = bent.find("[16,16]");
  REQUIRE(at != std::string::npos);
  bent.replace(at, 7, "[8, 32]");
  write(s / "bent.safetensors", bent);
  check_failure("sample bent.safetensors", 1, {"bent.safetensors"});

  check_failure("convert " + g + " x.docx", 2, {".safetensors"});
  check_failure("train-face " + g + " --corpus nowhere", 1, {"nowhere"});
  check_failure("train-rig " + g + " --corpus nowhere", 1, {"nowhere"});
  check_failure("transfer " + g + " --run nowhere", 1, {"nowhere"});
  check_failure("fit-photo . --landmarks missing.csv", 1, {"missing.csv"});
  write(s / "bad.csv", "a,b\n1,2\n");
  check_failure("fit-photo . --landmarks bad.csv", 1, {"bad.csv", "image"});
  check_failure("convert builtin:7 head.obj", 1, {"7"});
  check_failure("judge-gan " + g + " --pictures nowhere", 1, {"nowhere"});
  check_failure("judge-gan " + g + " --pictures . --discriminator " + g, 1, {"g1.safetensors"});
  check_failure("judge-gan " + g + " --pictures . --face-nets nowhere", 1, {"nowhere"});
  check_failure("corpus " + g + " --landmarks dlib:missing.dat --out c", 1, {"missing.dat"});
  check_failure("corpus " + g + " --landmarks . --out c", 1, {"face_landmark_68_model-weights_manifest.json"});
}

TEST_CASE("what cannot be written leaves nothing under its name") {
  Scratch& s = scratch();
  std::string const g = generator(1);
  Result const full = shell("\"$S\" info '" + g + "' --json > /dev/full");
  CHECK(full.status == 1);
  CHECK(full.err.find("standard output") != std::string::npos);

  // A limit on file sizes stands in for a full disk: writing fails in the middle.
  fs::create_directories(s / "tight");
  Result const limit = shell("trap '' XFSZ; ulimit -f 4; \"$S\" convert '" + g + "' tight/copy.safetensors");
  INFO(limit.err);
  CHECK(limit.status == 1);
  CHECK(limit.err.find("copy.safetensors") != std::string::npos);
  CHECK(fs::is_empty(s / "tight"));

  write(s / "file", "a file where a folder should be");
  check_failure("sample " + g + " --seeds 0 --out file/sheet.png", 1, {"file"});
  check_failure("corpus " + g + " --count 100 --out file", 1, {"file"});
}

TEST_CASE("info, convert and sample") {
  Scratch& s = scratch();
  std::string const g = generator(1);
  Json const info = json_of("info " + g + " --list");
  CHECK(info.at("resolution") == 16);
  CHECK(info.at("rows") == Json(6));
  CHECK(info.at("list").size() > 20);
  Json const copied = json_of("convert " + g + " copy.safetensors");
  CHECK(copied.at("hash") == info.at("hash"));
  json_of("convert " + g + " raw.npz");
  CHECK(json_of("info raw.npz").at("kind") == "npz archive");

  Json const sample = json_of("sample " + g + " --seeds 0-2,9 --psi 1 --out a/sheet.png --singles a");
  CHECK(sample.at("pictures").size() == 4);
  Json const picture = json_of("info a/seed9.png");
  CHECK(picture.at("texts").at("Generator") == info.at("hash"));
  CHECK(picture.at("texts").at("Picture") == "seed9");
  CHECK(json_of("sample " + g + " --seeds 0-1 --psi 0.5,1 --out b.png").at("pictures").size() == 4);
  CHECK(json_of("sample " + g + " --seeds 0-1 --mix-with 5-7 --cut 3 --out c.png").at("pictures").size() == 6);
  check_failure("sample " + g + " --mix-with 5 --cut 30", 1, {"--cut", "30"});
  // The same picture for any number of threads.
  stylerig("sample " + g + " --seeds 3 --threads 1 --singles t1 --out t1.png");
  stylerig("sample " + g + " --seeds 3 --threads 2 --singles t2 --out t2.png");
  CHECK(io::load_image(s / "t1/seed3.png").host() == io::load_image(s / "t2/seed3.png").host());
  CHECK(stylerig("convert builtin:2000 head.obj").status == 0);
  CHECK(json_of("info head.obj").at("vertices").get<int>() >= 1900);
}

TEST_CASE("info: what a file says of itself neither steers the terminal nor begins a line") {
  Scratch& s = scratch();
  std::string const name = "w\x1b]0;title\x07\nhash          0000";
  io::save_safetensors(s / "sly.safetensors", {{name, io::AnyTensor(full<float>({2, 3}, 1))}}, {{"key\x1b[2J", "a\nb\xc2\x9b"}});
  Result const shown = stylerig("info sly.safetensors --list");
  CHECK(shown.status == 0);
  CHECK(shown.out.find_first_of("\x1b\x07") == std::string::npos);
  CHECK(shown.out.find("\xc2\x9b") == std::string::npos);
  CHECK(shown.out.find("  w\\x1b]0;title\\x07\\x0ahash") != std::string::npos);
  CHECK(shown.out.find("\nhash          0000") == std::string::npos);
  CHECK(json_of("info sly.safetensors").at("list").at(0).at("name") == name);
  check_failure("info \"$(printf 'none\\033[2J\\377')\"", 1, {"none\\x1b[2J\\xff"});
}

TEST_CASE("JSON is UTF-8 whatever a file and its name hold") {
  Scratch& s = scratch();
  io::save_png(s / "latin.png", full<float>({4, 4, 3}, 0.5f), {{"Author", "Jose"}});
  std::string bytes = text_of(s / "latin.png");
  auto const at = bytes.find("Jose");
  REQUIRE(at != std::string::npos);
  bytes.replace(at, 8,
                "Jos\xe9"
                "\x12\x39\x0e\x6c");  // with the checksum of the chunk
  write(s / "latin.png", bytes);
  Json const info = json_of("info latin.png");
  CHECK(info.at("texts").at("Author") == "Jos\xc3\xa9");
  fs::copy_file(s / "latin.png", s / "odd\xff.png");
  CHECK(json_of("info \"$(printf 'odd\\377.png')\"").at("file") == "odd\xef\xbf\xbd.png");
}

TEST_CASE("info: number of values, shapes and hash of any file, and the discriminator beside a generator") {
  Scratch& s = scratch();
  std::vector<io::NamedTensor> tensors;
  for (int i = 0; i < 9; ++i) tensors.push_back({"t" + std::to_string(i), io::AnyTensor(full<float>({2, 3}, float(i)))});
  io::save_npz(s / "many.npz", tensors);
  io::save_safetensors(s / "many.safetensors", tensors);
  Json const info = json_of("info many.npz");
  CHECK(info.at("values") == 54);
  CHECK(info.at("list").size() == 9);
  CHECK(info.at("hash") == json_of("info many.safetensors").at("hash"));
  std::string const shown = stylerig("info many.npz").out;
  CHECK(shown.find("  t5  F32 [2, 3]\n  ... 3 more, --list shows them\n") != std::string::npos);
  tensors[8].tensor = io::AnyTensor(full<float>({3, 2}, 8));
  io::save_npz(s / "many.npz", tensors);
  CHECK(json_of("info many.npz").at("hash") != info.at("hash"));

  std::string const both = test_data() + "/parity/stylegan/sg2ada_cond32.pkl";
  if (!fs::exists(both)) return;
  Json const networks = json_of("info " + both);
  CHECK(networks.at("network") == "StyleGAN2 generator");
  CHECK(networks.at("discriminator").at("kind") == "StyleGAN2, resnet");
  CHECK(networks.at("discriminator").at("classes") == 5);
  CHECK(networks.at("discriminator").at("hash") != networks.at("hash"));
}

TEST_CASE("convert reads back what it wrote, whatever it is") {
  Scratch& s = scratch();
  std::string const g = generator(1);
  io::save_png(s / "grey.png", full<float>({4, 4, 3}, 0.5f));
  for (std::string const& what : {g + " back.npz", g + " back.safetensors", g + " back.safetensors --raw", std::string("grey.png back.png"),
                                  std::string("builtin:2000 back.obj")}) {
    INFO(what);
    CHECK(json_of("convert " + what).at("checked") == true);
  }
}

TEST_CASE("generators of every family, from the files they come in") {
  Scratch& s = scratch();
  std::string const folder = test_data() + "/parity/stylegan/";
  struct {
    char const *file, *network, *sample;
  } const files[] = {{"sg1_64.tf.pkl", "StyleGAN1 generator", "--psi 0.7 --cutoff 8"},
                     {"sg1_32_fused_cond.pth", "StyleGAN1 generator", "--class 1"},
                     {"sg2tf_skip32.tf.pkl", "StyleGAN2 generator", "--psi 0,1"},
                     {"sg2tf_ada_cond32.tf.pkl", "StyleGAN2 generator", "--class 2"},
                     {"sg2ada_cond32.pkl", "StyleGAN2 generator", "--class 0 --mix-with 5 --cut 2"},
                     {"sg3t_64.pkl", "StyleGAN3 generator", "--mix-with 5 --cut 9"},
                     {"sg3r_64.pkl", "StyleGAN3 generator", "--noise none"},
                     {"ros_32.pt", "StyleGAN2 generator", "--psi 0.5"},
                     {"ros_64_ckpt.pt", "StyleGAN2 generator", "--trained"}};
  for (auto const& f : files) {
    if (!fs::exists(folder + f.file)) {
      MESSAGE("skipped: no ", folder + f.file);
      continue;
    }
    INFO(std::string(f.file));
    Json const info = json_of("info " + folder + f.file);
    CHECK(info.at("network") == f.network);
    CHECK(info.at("row_names").size() == info.at("rows").get<std::size_t>());
    Json const own = json_of("convert " + folder + f.file + " family.safetensors");
    CHECK(own.at("hash") == info.at("hash"));
    CHECK(own.at("checked") == true);
    CHECK(json_of("info family.safetensors").at("architecture") == info.at("architecture"));
    json_of("convert " + folder + f.file + " family.npz");
    std::string const seeds = std::string(" --seeds 3-4 ") + f.sample;
    json_of("sample " + folder + f.file + seeds + " --out original.png --singles original");
    if (std::string(f.sample) == "--trained") continue;  // the copy has the averaged one alone
    json_of("sample family.safetensors" + seeds + " --out copy.png --singles copy");
    CHECK(io::load_image(s / "original.png").host() == io::load_image(s / "copy.png").host());
  }
  if (!fs::exists(folder + "sg1_32_fused_cond.pth")) return;
  // The port does not say how its StyleGAN1 enlarges; whoever knows can.
  check_failure("convert " + folder + "sg1_64.tf.pkl x.safetensors --fused never", 1, {"says itself"});
  json_of("convert " + folder + "sg1_32_fused_cond.pth fused.safetensors --fused always");
  json_of("convert " + folder + "sg1_32_fused_cond.tf.pkl told.safetensors");
  json_of("sample fused.safetensors --class 1 --seeds 0 --out fused.png");
  json_of("sample told.safetensors --class 1 --seeds 0 --out told.png");
  CHECK(io::load_image(s / "fused.png").host() == io::load_image(s / "told.png").host());
  check_failure("sample " + folder + "sg3t_64.pkl --trained", 1, {"has no G, only G_ema"});
  check_failure("convert " + folder + "sg3t_64.pkl x.obj", 1, {"face model", "pickle"});
  check_failure("convert " + folder + "sg3t_64.pkl x.png", 1, {".safetensors or .npz"});

  // A StyleGAN3 has sixteen rows, and what they steer has other borders than the rows of a StyleGAN2.
  std::string const g = folder + "sg3t_64.pkl";
  json_of("corpus " + g + " --count 60 --chunk 30 --out corpus3");
  json_of("train-face " + g + " --corpus corpus3 --run run3 --face builtin:2000:5:5 --batch 4 --hidden 8 --steps 2 --fit-items 0");
  json_of("train-rig " + g + " --corpus corpus3 --run run3 --steps 2 --pairs 2 --hidden 4 --encoder 4");
  Json const sheet = json_of("transfer " + g + " --run run3 --sources 10 --targets 0 --controls pose --mix-layers --out transfer3.png");
  CHECK(sheet.at("cells").size() == 4);
  CHECK(sheet.at("cells").back().at("edit") == "fine rows 13-15");
  CHECK(json_of("edit " + g + " --run run3 --seeds 0 --yaw 10 --out edit3.png").at("faces").size() == 1);
}

TEST_CASE("verify agrees with the original code") {
  std::string const folder = test_data() + "/parity/stylegan/";
  if (!fs::exists(folder + "sg2ada_skip64.pkl")) {
    MESSAGE("skipped: no ", folder);
    return;
  }
  Result const good = stylerig("verify " + folder + "sg2ada_misc16.pkl " + folder + "sg2ada_misc16.npz");
  INFO(good.err);
  CHECK(good.status == 0);
  CHECK(Json::parse(good.out).is_object());
  CHECK(stylerig("verify " + folder + "sg2ada_resnet32.pkl " + folder + "sg2ada_misc16.npz").status == 1);
}

TEST_CASE("verify says what a case lacks, and reads nothing beyond it") {
  Scratch& s = scratch();
  auto numbers = [](std::vector<double> const& v) {
    Shape const shape = v.size() == 1 ? Shape{} : Shape{std::int64_t(v.size())};
    return io::AnyTensor(Tensor<double>(shape, v));
  };
  Rng rng(1);
  io::AnyTensor const x(randn<float>({1, 2, 4, 4}, rng)), w(randn<float>({3, 2, 3, 3}, rng)), style(randn<float>({1, 2}, rng));
  auto check_case = [&](std::vector<io::NamedTensor> arrays, std::string const& word) {
    // A sound case beside it is checked all the same.
    arrays.insert(arrays.end(), {{"count", numbers({2})}, {"c01.x", x}, {"c01.kind", numbers({1})}});
    Tensor<float> const x01 = x.as<float>();
    arrays.push_back({"c01.y", io::AnyTensor(permute(instance_norm(permute(Var<float>(x01), {0, 2, 3, 1})), {0, 3, 1, 2}).value())});
    arrays.push_back({"c01.floor.y", numbers({1e-6, 1e-7, 2})});
    io::save_npz(s / "case.npz", arrays);
    Json const j = verified("case.npz", 1);
    INFO(j.dump(1));
    CHECK(j.at("outputs").size() == 1);
    CHECK(j.at("verdict") == "not all checked");
    std::string const reason = j.at("reasons").at("c00");
    CHECK(reason.find("case.npz: ") != std::string::npos);
    CHECK(reason.find(word) != std::string::npos);
  };
  check_case({{"c00.x", x}, {"c00.w", w}, {"c00.s", style}, {"c00.p", numbers({})}}, "p should hold 2 numbers, the case has 0");
  check_case(
      {{"c00.x", x}, {"c00.slope", numbers({0.2})}, {"c00.gain", numbers({1})}, {"c00.clamp", numbers({-1})}, {"c00.p", numbers({2})}},
      "p should hold 7 numbers");
  for (double dim : {70000.0, -1.0, 0.5})
    check_case({{"c00.x", x}, {"c00.act", numbers({1})}, {"c00.dim", numbers({dim})}}, "dim should be a whole number from 0 to 3");
  check_case({{"c00.x", x}, {"c00.act", numbers({42})}, {"c00.dim", numbers({1})}}, "act should be a whole number from 0 to 8");
  check_case({{"c00.p", numbers({1, 1, 1, 1, 0, 0, 0, 0, 0})}, {"c00.kind", numbers({0})}, {"c00.gain", numbers({1})}}, "no array c00.x");
  check_case({{"c00.x", x}, {"c00.kind", numbers({1})}, {"c00.p", numbers({1e12, 1})}}, "c00.p holds 1000000000000");
  check_case({{"c00.x", x}, {"c00.y", x}, {"c00.kind", numbers({7})}}, "no operator that rig knows");
  io::save_npz(s / "case.npz", {{"count", numbers({1e300})}});
  CHECK(verified("case.npz", 1).at("reasons").at("count").get<std::string>().find("should be a whole number") != std::string::npos);
  io::save_npz(s / "case.npz", {{"w", x}});
  check_failure("verify case.npz", 1, {"its file is needed"});
}

TEST_CASE("verify knows the norm of StyleGAN1 over channels, and latents of seeds, from their arrays") {
  Scratch& s = scratch();
  Rng rng(2);
  Tensor<float> const x = randn<float>({2, 5, 3, 4}, rng);
  Var<float> const y = Var<float>(x) * rsqrt(mean(square(Var<float>(x)), 1, true) + 1e-8f);
  Tensor<double> const kind({}, {3}), floor({3}, {1e-6, 1e-7, 2});
  io::save_npz(s / "norm.npz", {{"count", io::AnyTensor(Tensor<double>({}, {1}))},
                                {"c00.kind", io::AnyTensor(kind)},
                                {"c00.x", io::AnyTensor(x)},
                                {"c00.y", io::AnyTensor(y.value())},
                                {"c00.floor.y", io::AnyTensor(floor)}});
  CHECK(verified("norm.npz", 0).at("checked") == 1);

  std::vector<double> drawn;
  nn::SeedStream stream(4294967295u);
  for (int i = 0; i < 7; ++i) drawn.push_back(stream.normal());
  io::save_npz(s / "seeds.npz",
               {{"seed4294967295", io::AnyTensor(Tensor<double>({1, 7}, drawn))}, {"seed85", io::AnyTensor(nn::seed_latents({85}, 64))}});
  CHECK(verified("seeds.npz", 0).at("checked") == 2);
  io::save_npz(s / "seeds.npz", {{"seed84", io::AnyTensor(nn::seed_latents({85}, 64))}});
  CHECK(verified("seeds.npz", 1).at("verdict") == "beyond tolerance");
}

TEST_CASE("verify understands names of any truncation, mixing and noise, and goes on past what is wrong") {
  Scratch& s = scratch();
  std::string const file = generator(1);
  nn::StyleGAN2<float> g = nn::load_stylegan2(file);
  Rng rng(3);
  Var<float> const z(randn<float>({2, 16}, rng)), z2(randn<float>({2, 16}, rng));
  std::vector<io::NamedTensor> arrays{{"z", io::AnyTensor(z.value())},
                                      {"z2", io::AnyTensor(z2.value())},
                                      {"mix", io::AnyTensor(Tensor<double>({}, {2}))},
                                      {"cutoff", io::AnyTensor(Tensor<double>({}, {3}))}};
  auto put = [&](std::string const& name, Var<float> const& v) {
    arrays.push_back({name, io::AnyTensor(v.value())});
    arrays.push_back({"floor." + name, io::AnyTensor(Tensor<double>({3}, {1e-6, 1e-7, 3}))});
  };
  auto picture = [&](Var<float> const& w, nn::SynthesisOptions<float> const& o = {}) { return permute(g.synthesis(w, o), {0, 3, 1, 2}); };
  nn::SynthesisOptions<float> none;
  none.noise = nn::Noise::none;
  // No array `w`: everything begins with z.
  put("w_psi05", g.mapping(z, {}, {.psi = 0.5}));
  put("w_psi-025_cut4", g.mapping(z, {}, {.psi = -0.25, .cutoff = 4}));
  put("img_psi05_cut", picture(g.mapping(z, {}, {.psi = 0.5, .cutoff = 3})));
  put("img_const", picture(g.mapping(z)));
  put("img_none_psi035", picture(g.mapping(z, {}, {.psi = 0.35}), none));
  put("img_mix", picture(nn::mix(g.mapping(z), g.mapping(z2), 2)));
  put("w_mix4", nn::mix(g.mapping(z), g.mapping(z2), 4));
  io::save_npz(s / "case.npz", arrays);
  CHECK(verified(file + " case.npz", 0).at("checked") == 7);

  put("img_random", picture(g.mapping(z)));
  put("img_loud", picture(g.mapping(z)));
  arrays.push_back({"img_none", io::AnyTensor(picture(g.mapping(z), none).value())});
  io::save_npz(s / "case.npz", arrays);
  Json const j = verified(file + " case.npz", 1);
  CHECK(j.at("checked") == 7);
  CHECK(j.at("not_checked") == Json{"img_random", "img_loud", "img_none"});
  CHECK(j.at("reasons").at("img_random").get<std::string>().find("case.npz: the case has no array noise_in.b4.conv1") != std::string::npos);
  CHECK(j.at("reasons").at("img_none").get<std::string>().find("no array floor.img_none") != std::string::npos);
}

TEST_CASE("the whole job on a generator of sixteen pixels") {
  Scratch& s = scratch();
  std::string const g = generator(1), other = generator(2);
  Json const corpus = json_of("corpus " + g + " --count 120 --chunk 50 --out corpus");
  CHECK(corpus.at("items") == 120);
  CHECK(json_of("info corpus").at("generator") == corpus.at("generator"));
  check_failure("corpus " + g + " --count 130 --chunk 50 --out corpus", 1, {"count"});
  check_failure("corpus " + other + " --count 120 --chunk 50 --out corpus", 1, {"generator"});
  check_failure("train-face " + other + " --corpus corpus", 1, {"generator"});

  std::string const face = "train-face " + g + " --corpus corpus --run run --face builtin:2000:5:5 --batch 4 --hidden 16 --fit-items 2";
  for (char const* wrong : {"nan", "inf"})
    for (char const* option : {"--rate", "--landmark"}) check_failure(face + " " + option + " " + wrong, 2, {"train-face", option});
  check_failure("train-face " + g + " --corpus corpus --run run --hidden 8,1e30", 2, {"--hidden", "1e30"});
  check_failure(face + " --steps 200 --rate 1e30", 1, {"diverged"});
  Json const trained = json_of(face + " --steps 5 --fresh");
  CHECK(trained.at("steps") == 5);
  check_failure(face + " --steps 6", 1, {"checkpoint"});  // the checkpoint is of another run
  CHECK(json_of(face + " --steps 5").at("validation") == trained.at("validation"));

  // Ctrl-C: the step is finished, the checkpoint written, and the line says how to go on.
  std::string const longer =
      "train-face '" + g + "' --corpus corpus --run stopped --face builtin:2000:5:5 --batch 4 --hidden 16 --steps 1000000";
  Result const stopped = shell("timeout --preserve-status -s INT 15 \"$S\" " + longer);
  INFO(stopped.err);
  CHECK(stopped.status == 130);
  CHECK(stopped.err.find("the same command goes on") != std::string::npos);
  CHECK(fs::exists(s / "stopped/face.checkpoint.safetensors"));
  CHECK_FALSE(fs::exists(s / "stopped/face.lock"));
  Result const two = shell("timeout -s INT 120 \"$S\" " + longer +
                           " 2>/dev/null &\nfor i in $(seq 600); do [ -e stopped/face.lock ] && break; sleep 0.1; done\n" +
                           "timeout -s INT 60 \"$S\" " + longer + "; status=$?; kill -INT $!; wait; exit $status");
  INFO(two.err);
  CHECK(two.status == 1);
  CHECK(two.err.find("another process is training this network") != std::string::npos);
  CHECK_FALSE(fs::exists(s / "stopped/face.safetensors"));

  std::string const rig = "train-rig " + g + " --corpus corpus --run run --steps 3 --pairs 2 --hidden 8 --encoder 4";
  CHECK(json_of(rig).at("networks").size() == 1);
  CHECK(json_of("train-rig " + g + " --corpus corpus --run run --steps 2 --pairs 2 --preset paper --encoder 4 --name paper")
            .at("networks")
            .size() == 3);
  check_failure(rig + " --face builtin:2000:6:5 --name x", 1, {"expected"});
  check_failure("train-rig " + other + " --corpus corpus --run run", 1, {"generator"});

  Json const transfer =
      json_of("transfer " + g + " --run run --sources 10-11 --targets 0 --controls pose,light+expression --mix-layers --out transfer.png");
  CHECK(transfer.at("cells").size() == 2 * 2 + 2 * 2);  // sixteen pixels have coarse and medium rows
  CHECK(transfer.at("cells").back().at("edit") == "medium rows 4-5");
  json_of("transfer " + g + " --run run --name paper --sources 10 --targets 0 --only rotation.yaw --out only.png");
  Json const edit = json_of("edit " + g +
                            " --run run --seeds 0-1 --yaw 20 --pitch -5 --roll 10 --expression jawOpen=0.6 --light azimuth=-40 --mesh "
                            "--out edit.png --state edit.json");
  CHECK(edit.at("faces").size() == 2);
  CHECK(edit.at("faces")[0].at("wished").at("yaw").get<double>() == doctest::Approx(20).epsilon(1e-4));
  CHECK(edit.at("faces")[0].at("wished").at("expression").at("jawOpen").get<double>() == doctest::Approx(0.6).epsilon(1e-4));
  CHECK(json_of("info edit.png").at("texts").at("Edit") == edit.at("wishes"));
  CHECK(json_of("edit " + g + " --run run --seeds 0 --sweep yaw=-20:20:3 --out sweep.png").at("cells").size() == 3);
  check_failure("edit " + g + " --run run --expression noSuchShape=1", 1, {"noSuchShape"});
  check_failure("edit " + g + " --run run --name nothing --yaw 3", 1, {"nothing"});
  check_failure("edit " + other + " --run run --yaw 3", 1, {"generator"});
  check_failure("transfer " + g + " --run run --face builtin:3000:5:5", 1, {"model"});
  check_failure("transfer " + g + " --run run --controls smell", 2, {"smell"});

  Json const evaluation =
      json_of("evaluate " + g + " --run run --pairs 12 --sweep-codes 3 --sweep-steps 3 --expressions 2 --out evaluation");
  CHECK(evaluation.at("controls").size() == 3);
  CHECK(evaluation.at("controls").at("pose").at("judged").at("success").contains("low"));
  std::string const page = text_of(s / "evaluation/report.html");
  CHECK(page.find("<svg") != std::string::npos);
  CHECK(page.find("http://") == page.find("http://www.w3.org/2000/svg"));  // nothing is fetched
  CHECK(Json::parse(text_of(s / "evaluation/report.json")) == evaluation);

  write(s / "run/setup.json", "{\"model\": 3}");
  check_failure("transfer " + g + " --run run", 1, {"setup.json"});
}

TEST_CASE("demo: the whole job on the generator of the repository, small, and again to the same numbers") {
  Scratch& s = scratch();
  std::string const demo =
      "demo --landmarks none --face builtin:2000:4:4 --items 100 --face-steps 10 --rig-steps 10 --evaluation-pairs 4 --sweep-codes 2 "
      "--out demo";
  Json const first = json_of(demo);
  CHECK(first.at("generator") == json_of("info '" + fs::absolute("data/generators/portraits-64.safetensors").string() + "'").at("hash"));
  CHECK(first.at("evaluation").at("controls").size() == 3);
  for (char const* picture : {"yaw.png", "light.png", "transfer.png", "reconstruction.png"})
    CHECK_MESSAGE(io::load_image(s / (std::string("demo/") + picture)).dim(2) == 3, picture);
  std::string const page = text_of(s / "demo/report.html");
  CHECK(page.find("data:image/png") != std::string::npos);
  CHECK(page.find("http://") == page.find("http://www.w3.org/2000/svg"));  // nothing is fetched
  CHECK((Json::parse(text_of(s / "demo/report.json")) == first));
  Json const again = json_of(demo);
  CHECK((again.at("evaluation").at("controls") == first.at("evaluation").at("controls")));
  CHECK((again.at("pictures") == first.at("pictures")));
  Result const other = stylerig("demo --landmarks none --face builtin:2000:4:4 --items 100 --face-steps 11 --rig-steps 10 --out demo");
  CHECK(other.status == 1);
  CHECK(other.err.find("its training.steps is '10', here it is '11'") != std::string::npos);
}

/// A folder of smooth pictures of two colours each, 20 by 18 pixels, and a file that is none.
void make_pictures(std::string const& folder, int count) {
  fs::create_directories(folder);
  Rng rng(11);
  for (int i = 0; i < count; ++i) {
    Tensor<float> p({18, 20, 3});
    float* x = p.mutate();
    float ends[6];
    for (float& e : ends) e = float(rng.uniform());
    for (int k = 0; k < 18 * 20 * 3; ++k) x[k] = ends[k % 3] + (ends[3 + k % 3] - ends[k % 3]) * float(k / 3 % 20) / 19;
    io::save_png(folder + "/" + std::to_string(100 + i) + ".png", p);
  }
  write(folder + "/broken.png", "no picture");
}

TEST_CASE("train-gan: a run with its files, gone on with, and what it refuses") {
  Scratch& s = scratch();
  make_pictures(s / "portraits", 10);
  std::string const options =
      "train-gan portraits --resolution 16 --batch 4 --channel-base 128 --channel-max 8 --latent 8 --code 8 --mirror --snapshot-kimg 0.02 "
      "--seed 3 ";
  Json const j = json_of(options + "--run gan --kimg 0.02");
  CHECK(j.at("kimg").get<double>() == doctest::Approx(0.02));
  CHECK(j.at("pictures") == 10);
  REQUIRE(j.at("skipped").size() == 1);
  CHECK(j.at("skipped").at(0).at("file") == "broken.png");
  CHECK(j.at("options").at("resolution") == "16");
  for (char const* curve : {"generator loss", "discriminator loss", "r1", "path length", "augmentation", "pictures per second"}) {
    INFO(curve);
    CHECK(j.at("last").at(curve).is_number());
  }
  for (char const* file : {"samples/000000000.png", "samples-0.7.png", "real.png"})
    CHECK(io::load_image((s / "gan/") + file).dim(1) == 160);
  std::string const page = text_of(s / "gan/report.html");
  CHECK(page.find("broken.png") != std::string::npos);
  CHECK(page.find("discriminator loss") != std::string::npos);
  Json const more = json_of(options + "--run gan --kimg 0.04");
  CHECK(more.at("kimg").get<double>() == doctest::Approx(0.04));
  Json const whole = json_of(options + "--run gan2 --kimg 0.04");
  auto hash = [&](char const* file) { return json_of(std::string("info ") + file).at("hash"); };
  CHECK(hash("gan/generator.safetensors") == hash("gan2/generator.safetensors"));
  json_of("sample gan/generator.safetensors --seeds 0-3 --psi 0.5 --out gan/sheet.png");
  json_of("convert gan/generator.safetensors gan/half.safetensors --half");
  CHECK(fs::file_size(s / "gan/half.safetensors") < fs::file_size(s / "gan/generator.safetensors"));

  CHECK(io::metadata_value(io::load_metadata(s / "gan/half.safetensors"), "kimg") == "0.04");
  json_of("convert gan/discriminator.safetensors gan/half-d.safetensors --half");
  CHECK(fs::file_size(s / "gan/half-d.safetensors") < fs::file_size(s / "gan/discriminator.safetensors"));
  CHECK(hash("gan/half-d.safetensors") != hash("gan/discriminator.safetensors"));

  // Other settings, from the networks of that run.
  json_of(options + "--run gan4 --kimg 0.004 --gamma 3 --start gan/generator.safetensors,gan/discriminator.safetensors");
  Result const half = stylerig(options + "--run gan5 --kimg 0.004 --start gan/generator.safetensors");
  CHECK(half.status == 1);
  CHECK(half.err.find("stylerig: gan/generator.safetensors: expected a discriminator written by rig") != std::string::npos);

  // Two processes do not write into one run.
  int const held = ::open((s / "gan").c_str(), O_RDONLY | O_DIRECTORY);
  REQUIRE(::flock(held, LOCK_EX) == 0);
  Result const second = stylerig(options + "--run gan --kimg 0.08");
  CHECK(second.status == 1);
  CHECK(second.err.find("stylerig: gan: another process is writing into this folder") != std::string::npos);
  ::close(held);

  Result const other = stylerig(options + "--run gan --gamma 3");
  CHECK(other.status == 1);
  CHECK(other.err.find("stylerig: gan/checkpoint.safetensors: was made by another run: its training.losses.gamma is") != std::string::npos);
  check_failure("train-gan portraits --run gan3 --resolution 48", 1, {"power of two", "48"});
  check_failure("train-gan nowhere --run gan3", 1, {"nowhere"});
  fs::create_directories(s / "none");
  check_failure("train-gan none --run gan3", 1, {"none", "found nothing"});
  Result const small = stylerig("train-gan portraits --run gan3 --resolution 64");
  CHECK(small.status == 1);
  CHECK(small.err.find("stylerig: portraits: none of the 11 pictures can be used") != std::string::npos);
  CHECK(small.err.find("smaller than 64 x 64") != std::string::npos);
  check_failure("train-gan portraits --augment all", 2, {"--augment"});
}

TEST_CASE("judge-gan: distances beside their baselines, sheets, and the same numbers twice") {
  Scratch& s = scratch();
  std::string const g = generator(1);
  make_pictures(s / "real", 24);
  nn::DiscriminatorOptions o{.resolution = 16, .channel_base = 128, .channel_max = 8};
  Rng other(2);
  nn::Discriminator<float> d(o, other);
  nn::save_discriminator(s / "d.safetensors", d);
  std::string const command = "judge-gan " + g + " --pictures real --discriminator d.safetensors --count 30 --samples 12 --beside 3 --out ";
  Json const j = json_of(command + "judged");
  CHECK(j.at("real") == 24);
  REQUIRE(j.at("skipped").size() == 1);
  CHECK(j.at("skipped").at(0).at("file") == "broken.png");
  CHECK(j.at("generated") == 30);
  REQUIRE(j.at("distances").size() == 2);
  for (auto const& [name, numbers] : j.at("distances").items()) {
    INFO(name);
    CHECK(numbers.at("equal_count") == 12);
    double const half = numbers.at("half_to_half");
    CHECK(half > 0);
    CHECK(numbers.at("generated_to_half").get<double>() > half);
    CHECK(numbers.at("noise_to_half").get<double>() > half);
    auto const& nearest = numbers.at("nearest").at("generated to real");
    CHECK(nearest.at("least").get<double>() > 0);
    CHECK(nearest.at("least").get<double>() <= nearest.at("p5").get<double>());
    CHECK(numbers.at("spread").at("real").get<double>() > 0);
  }
  CHECK(j.at("distances").at("discriminator").at("dimensions") == 8);
  for (char const* file : {"samples-1.png", "samples-0.7.png", "nearest.png"}) CHECK(io::load_image((s / "judged/") + file).dim(0) > 16);
  CHECK(io::load_image(s / "judged/samples-1.png").shape() == Shape{32, 160, 3});
  std::string const page = text_of(s / "judged/report.html");
  CHECK(page.find("broken.png") != std::string::npos);
  CHECK(Json::parse(text_of(s / "judged/report.json")) == j);
  Json again = json_of(command + "again --threads 1");
  CHECK(again.at("distances") == j.at("distances"));

  nn::Discriminator<float> large({.resolution = 32, .channel_base = 128, .channel_max = 8}, other);
  nn::save_discriminator(s / "large.safetensors", large);
  check_failure("judge-gan " + g + " --pictures real --discriminator large.safetensors", 1, {"16 pixels", "32"});
}

TEST_CASE("judge-gan and corpus with face-api's networks") {
  Scratch& s = scratch();
  std::string const nets = test_data() + "/data/face-api", portraits = test_data() + "/data/portraits/aligned128";
  if (!fs::exists(nets) || !fs::exists(portraits)) {
    MESSAGE("skipped: ", nets, " or ", portraits, " is not there");
    return;
  }
  std::string const g = generator(1);
  fs::create_directories(s / "faces");
  for (int i = 100; i < 112; ++i) fs::copy_file(portraits + "/0" + std::to_string(i) + ".jpg", (s / "faces/") + std::to_string(i) + ".jpg");
  Json const j = json_of("judge-gan " + g + " --pictures faces --face-nets '" + nets + "' --count 8 --samples 4 --out faces-judged");
  Json const& face = j.at("distances").at("face recogniser");
  CHECK(face.at("dimensions") == 128);
  CHECK(face.at("generated_to_half").get<double>() > face.at("half_to_half").get<double>());

  Json const corpus = json_of("corpus " + g + " --count 6 --landmarks '" + nets + "' --out faces-corpus");
  CHECK(corpus.at("landmarks") == "face-api");
  Tensor<float> marks;
  for (auto const& t : io::read_any(s / "faces-corpus/chunk_000000.safetensors").tensors())
    if (t.name == "landmarks") marks = t.tensor.as<float>();
  REQUIRE(marks.shape() == Shape{6, 68, 3});
  for (std::int64_t i = 0; i < 6 * 68; ++i) {
    CHECK(marks.data()[3 * i] > 0);
    CHECK(marks.data()[3 * i] < 1);
    CHECK(marks.data()[3 * i + 2] == 1);
  }
}

TEST_CASE("numbers are what they look like, and a refusal says what was expected") {
  std::string const g = generator(1);
  check_failure("sample " + g + " --threads 100000", 2, {"--threads: expected a whole number from 0 to 1024, found '100000'"});
  check_failure("sample " + g + " --seed -1", 2, {"--seed: expected a whole number, 0 or more, found '-1'"});
  check_failure("sample " + g + " --seed 99999999999999999999999", 2, {"--seed", "too large"});
  check_failure("sample " + g + " --seed 010", 2, {"--seed", "'010'"});
  check_failure("corpus " + g + " --count 99999999999999999999", 2, {"--count", "too large"});
  check_failure("corpus " + g + " --count abc", 2, {"--count: expected a whole number above 0, found 'abc' (see"});
  check_failure("corpus " + g + " --count 0", 2, {"--count: expected a whole number above 0, found '0' (see"});
  check_failure("edit " + g + " --yaw 90", 2, {"--yaw: expected a number from -60 to 60, found '90'"});
  check_failure("sample " + g + " --seeds 0-20000", 2, {"at most 10000", "0-20000"});
  check_failure("sample " + g + " --out ''", 2, {"--out: expected a value"});
  check_failure("sample " + g + " --width 100000000", 2, {"--width: expected a whole number from 16 to 4096"});
  check_failure("sample " + g + " --device gpu", 2, {"--device", "'gpu'"});
  check_failure("sample " + g + " --precision bf16", 2, {"--precision bf16", "float32"});
}

TEST_CASE("options that would be passed over are refused") {
  Scratch& s = scratch();
  std::string const g = generator(1);
  check_failure("sample " + g + " --mix-with 3 --psi 0.5,1", 2, {"--psi", "0.5,1"});
  check_failure("sample " + g + " --mix-with 3 --columns 2", 2, {"--columns", "--mix-with"});
  check_failure("sample " + g + " --psi 0.5,1 --columns 2", 2, {"--columns", "--psi"});
  check_failure("sample " + g + " --cut 3", 2, {"--cut", "--mix-with"});
  check_failure("sample " + g + " --mix-with 3 --cut 0", 2, {"--cut: expected a row from 1 to 5, found 0"});
  check_failure("sample " + g + " --mix-with 3 --cut 6", 1, {"--cut: expected a row from 1 to 5, found 6"});
  check_failure("sample " + g + " --cutoff -5", 2, {"--cutoff: expected a row from -1 to 6, found -5"});
  check_failure("sample " + g + " --cutoff 99", 1, {"--cutoff: expected a row from -1 to 6, found 99"});
  for (std::string const other : {"--yaw 20", "--pitch 10", "--roll 3", "--expression jawOpen=1", "--light azimuth=3",
                                  "--set rotation.yaw=1", "--mesh", "--singles s", "--state st.json"})
    check_failure("edit " + g + " --sweep yaw=-30:30:3 " + other, 2, {"--sweep", other.substr(0, other.find(' '))});
  check_failure("transfer " + g + " --controls ,", 2, {"--controls", "at least one"});
  check_failure("transfer " + g + " --only ,", 2, {"--only", "at least one"});
  check_failure("transfer " + g + " --only rotation.yaw --controls pose", 2, {"--only", "--controls"});

  io::save_png(s / "p.png", full<float>({4, 4, 3}, 0.5f));
  for (std::string const option : {"--half", "--raw", "--trained", "--fused always"}) {
    check_failure("convert p.png x.png " + option, 2, {option.substr(0, option.find(' '))});
    check_failure("convert builtin:2000 x.obj " + option, 2, {option.substr(0, option.find(' '))});
    if (option == "--raw") continue;
    check_failure("convert " + g + " x.npz " + option, 2, {option.substr(0, option.find(' ')), ".safetensors"});
    check_failure("convert " + g + " x.safetensors --raw " + option, 2, {option.substr(0, option.find(' ')), "--raw"});
  }
  for (char const* name : {"x.png", "x.obj", "x.npz", "x.safetensors"}) CHECK_FALSE(fs::exists(s / name));
}

TEST_CASE("no output replaces what was read") {
  Scratch& s = scratch();
  std::string const g = generator(1), before = text_of(g);
  check_failure("sample " + g + " --seeds 0 --out " + g, 2, {".png"});
  check_failure("sample " + g + " --seeds 0 --out x.jpg", 2, {"x.jpg", ".png"});
  check_failure("convert " + g + " " + g, 2, {"replaced"});
  fs::create_symlink(g, s / "link.safetensors");
  check_failure("convert " + g + " link.safetensors", 2, {"link.safetensors", "replaced"});
  fs::copy_file(g, s / "named.png");
  check_failure("sample named.png --seeds 0 --out ./named.png", 2, {"replaced"});
  fs::create_directories(s / "read");
  write(s / "read/setup.json", "{}");
  check_failure("edit " + g + " --run read --yaw 3 --state read/setup.json", 2, {"replaced"});
  check_failure("edit " + g + " --run read --yaw 3 --out read/face.safetensors", 2, {".png"});
  check_failure("edit " + g + " --run read --yaw 3 --state read/face.safetensors", 2, {".json"});
  CHECK(text_of(s / "read/setup.json") == "{}");
  CHECK(text_of(g) == before);
}

TEST_CASE("convert keeps the texts of the original") {
  Scratch& s = scratch();
  nn::StyleGAN2<float> g = nn::load_stylegan2(generator(1));
  nn::save_stylegan2(s / "told.safetensors", g, {{"psnr", "31.5"}, {"made by", "a test"}});
  json_of("convert told.safetensors kept.safetensors --half");
  io::Metadata const kept = io::load_metadata(s / "kept.safetensors");
  CHECK(io::find_metadata(kept, "psnr") == "31.5");
  CHECK(io::find_metadata(kept, "made by") == "a test");
  Result const info = stylerig("info kept.safetensors");
  CHECK(info.out.find("hash          " + io::find_metadata(kept, "hash") + "\n") != std::string::npos);
}

TEST_CASE("a sheet stops at Ctrl-C and leaves nothing; a limit on file sizes is an error") {
  Scratch& s = scratch();
  std::string const g = generator(1);
  Result const stopped =
      shell("timeout --preserve-status -s INT 2 \"$S\" sample '" + g + "' --seeds 0-9999 --width 512 --out long/sheet.png");
  INFO(stopped.err);
  CHECK(stopped.status == 130);
  CHECK(stopped.err.find("no sheet was written") != std::string::npos);
  CHECK(fs::is_empty(s / "long"));

  fs::create_directories(s / "limit");
  Result const limit = shell("ulimit -f 4; \"$S\" convert '" + g + "' limit/copy.safetensors");
  INFO(limit.err);
  CHECK(limit.status == 1);
  CHECK(limit.err.find("copy.safetensors") != std::string::npos);
  CHECK(fs::is_empty(s / "limit"));
}
