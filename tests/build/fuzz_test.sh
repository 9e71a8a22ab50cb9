#!/usr/bin/env bash
# Each reader of files is fed mutated files for a short while (RIG_FUZZ_SECONDS, 10 a target), with clang's libFuzzer and
# its sanitizers. tests/fuzz/<name>.cpp is a target; tests/fuzz/seeds/<name>/ holds files to start from, if there are any.
set -u
export LC_ALL=C
: "${RIG_FLAGS:=-std=c++20 -Iinclude -isystem/usr/include/eigen3}"
command -v clang++ >/dev/null || { echo "skipped: clang++ is not installed"; exit 0; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
export work seconds=${RIG_FUZZ_SECONDS:-10}
RIG_FLAGS=$(sed 's/-DRIG_HAS_DNNL=1/-DRIG_HAS_DNNL=0/' <<<"$RIG_FLAGS")
export RIG_FLAGS

one() {
  local name seeds=()
  name=$(basename "$1" .cpp)
  [ -d "tests/fuzz/seeds/$name" ] && seeds=("tests/fuzz/seeds/$name")
  mkdir -p "$work/$name"
  if ! clang++ $RIG_FLAGS -Itests -O1 -g1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined "$1" -o "$work/$name.run" \
    -lz -lpng -ljpeg >"$work/$name.txt" 2>&1; then
    echo "FAILED: $1 does not compile"
    head -n 20 "$work/$name.txt"
  elif ! "$work/$name.run" -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -max_len=65536 -artifact_prefix="$work/$name-" \
    "$work/$name" "${seeds[@]}" >"$work/$name.txt" 2>&1; then
    echo "FAILED: $name"
    tail -n 40 "$work/$name.txt"
    for found in "$work/$name"-*; do [ -s "$found" ] && { echo "the file that does it, in base64:"; base64 "$found" | head -n 40; }; done
  else
    echo "ok: $name, $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$work/$name.txt") runs"
  fi
}
export -f one
shopt -s nullglob
targets=(tests/fuzz/*.cpp)
[ ${#targets[@]} -gt 0 ] || { echo "skipped: there is no fuzz target"; exit 0; }
out=$(printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one "$0"' {})
echo "$out"
! grep -q '^FAILED' <<<"$out"
