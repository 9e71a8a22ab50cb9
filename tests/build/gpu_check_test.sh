#!/usr/bin/env bash
# scripts/gpu-check without a GPU: one clear line where there is none; and, with programs that play the tools and the built
# programs, that a stage that fails does not stop the next and that table, JSON and verdict say what happened.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/bin" "$work/build" "$work/built"
fail() { echo "FAILED: $*"; cat "$work/said" 2>/dev/null; exit 1; }
one_line() {
  [ "$(wc -l <"$work/said")" = 1 ] || fail "not one line"
  grep -q "$1" "$work/said" || fail "not '$1'"
}
tool() { { echo '#!/usr/bin/env bash'; cat; } >"$1"; chmod +x "$1"; }
check() { PATH=$work/bin:$PATH CUDA_HOME=$work RIG_BUILD_FOLDER=$work/build RIG_PEER_PYTHON=false RIG_TEST_DATA=$work CMAKE_PREFIX_PATH=$work scripts/gpu-check "$@" >"$work/said" 2>&1 </dev/null; }

tool "$work/bin/nvidia-smi" <<<'echo "No devices were found"; exit 6'
check "$work/out" && fail "no GPU, and it passed"
one_line '^gpu-check: .*compute capability'
tool "$work/bin/nvidia-smi" <<<'exit 9'
check "$work/out" && fail "no driver, and it passed"
one_line '^gpu-check: no GPU here'

tool "$work/bin/nvidia-smi" <<'TOOL'
case "$*" in *=name*) echo "Test GPU" ;; *compute_cap*) echo 9.0 ;; *driver*) echo 1.2 ;; esac
TOOL
tool "$work/bin/nvcc" <<<'echo "Cuda compilation tools, release 13.0, V13.0.88"'
tool "$work/bin/cmake" <<'TOOL'
build=${RIG_BUILD_FOLDER:?}
touch "$build/CMakeCache.txt"
echo "cmake $*" >>"$build/asked"
[ "$1" != --build ] || cp "$build"/../built/* "$build"
TOOL
tool "$work/bin/compute-sanitizer" <<<'echo "========= ERROR SUMMARY: 0 errors"'
tool "$work/built/test_cuda" <<<'echo "[doctest] test cases: 7 | 6 passed | 1 failed"; exit 1'
tool "$work/built/cuda_faults" <<<'[ -n "$RIG_NEED_CUDA" ] && echo "detail: 0 of 3 parts failed"'
tool "$work/built/bench_device" <<'TOOL'
precision=
while [ "$1" != --lines ]; do
  [ "$1" != bf16 ] || precision=', bf16'
  shift
done
sed "s|/n8|/n8$precision|; s|/n32|/n32$precision|" >"$2" <<'LINES'
{"kind":"rates","name":"Test GPU","copy":2e+12,"f32":5e+13,"tf32":4e+14,"bf16":8e+14}
{"kind":"case","name":"bias_act/64x512/n8","us":10.5,"MB":2,"GFLOP":0.5,"GB/s":190.5,"TFLOP/s":0.047,"of_copy":0.85,"of_f32":0.001,"queued_us":12}
{"kind":"case","name":"randn/4M","us":20,"MB":16,"of_copy":0.4,"queued_us":20,"captured":0,"not_captured":"cuda:0: random numbers are not drawn here","in_cache":1}
{"kind":"case","name":"layer/1024x32/n32","error":"needs about 90000 MB, 80000 are free"}
LINES
TOOL
check "$work/out" && fail "a failed test, and it passed"
tail -1 "$work/said" | grep -q '^gpu-check: .*tests' || fail "the verdict does not name the stage that failed"
grep -q 'RIG_CUDA_ARCHITECTURES=90a -DRIG_CUDA_WARPGROUPS=ON' "$work/build/asked" || fail "not built for the GPU that is there"
report=$work/out/report.md
grep -q '^| tests | failed | .*6 passed / 1 failed' "$report" || fail "the table lacks the failed tests: $(cat "$report")"
grep -q '^| racecheck | passed ' "$report" || fail "the stage after the failed one did not run: $(cat "$report")"
grep -q '^| peers | skipped ' "$report" || fail "peers without torch are not skipped: $(cat "$report")"
grep -q '^| bias_act/64x512/n8 | 10.5 | 12.0 | 190 |.* 0.85 |' "$report" || fail "the table lacks the case: $(cat "$report")"
grep -q '^| bias_act/64x512/n8, bf16 | 10.5 |' "$report" || fail "the table lacks the case in bf16: $(cat "$report")"
grep -q '^| faults | passed .*0 of 3 parts failed' "$report" || fail "the faults did not run: $(cat "$report")"
grep -q '^| randn/4M | 20.0+ .* 0.40\* |' "$report" && grep -q 'Not captured.*: 2 cases. cuda:0: random numbers are not drawn here' "$report" || fail "the report does not say what was not captured: $(cat "$report")"
grep -q '^| memcheck | passed ' "$report" || fail "memcheck did not run: $(cat "$report")"
grep -q '2 cases: not enough memory' "$report" || fail "the table does not count what lacked memory: $(cat "$report")"
# What no longer compiles is not found in the folder of an earlier build.
rm "$work/built/test_cuda"
check "$work/out" && fail "test_cuda was not built, and it passed"
tail -1 "$work/said" | grep -q '^gpu-check: .*test_cuda' || fail "the verdict does not say that test_cuda is missing"
tool "$work/built/test_cuda" <<<'echo "[doctest] test cases: 7 | 6 passed | 1 failed"; exit 1'
check "$work/out" && fail "a failed test, and it passed"
if command -v python3 >/dev/null; then
  python3 - "$work/out/report.json" <<'PY' || fail "report.json is no JSON: $(cat "$work/out/report.json")"
import json, sys
report = json.load(open(sys.argv[1]))
assert report["device"] == "Test GPU" and report["bench"][1]["us"] == 10.5
assert {s["stage"]: s["status"] for s in report["stages"]}["tests"] == "failed"
PY
fi
echo "gpu-check says what is missing, goes on after a failure, and reports"
