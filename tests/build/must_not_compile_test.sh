#!/usr/bin/env bash
# Each file of must_not_compile/ is right as it stands and wrong with -DWRONG; the compiler's message must then contain
# what the file's first line says behind "// expect:".
set -u
export LC_ALL=C
: "${RIG_CXX:=g++}" "${RIG_FLAGS:=-std=c++20 -Iinclude -isystem/usr/include/eigen3}"
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
export RIG_CXX RIG_FLAGS work

one() {
  local file=$1 expect log=$work/$(basename "$1").txt
  expect=$(sed -n '1s|^// expect: ||p' "$file")
  if [ -z "$expect" ]; then
    echo "FAILED: $file does not say what to expect"
  elif ! $RIG_CXX $RIG_FLAGS -fsyntax-only "$file" >"$log" 2>&1; then
    echo "FAILED: $file does not compile even without -DWRONG"
    head -n 20 "$log"
  elif $RIG_CXX $RIG_FLAGS -DWRONG -fsyntax-only "$file" >"$log" 2>&1; then
    echo "FAILED: $file compiles, and should not"
  elif ! grep -qF -- "$expect" "$log"; then
    echo "FAILED: $file is refused, but not with: $expect"
    head -n 20 "$log"
  else
    echo ok
  fi
}
export -f one
out=$(ls tests/build/must_not_compile/*.cpp | xargs -P "$(nproc)" -I{} bash -c 'one "$0"' {})
grep -v '^ok$' <<<"$out"
echo "$(grep -c '^ok$' <<<"$out") files are refused as they should be, $(grep -c '^FAILED' <<<"$out") are not"
grep -q '^ok$' <<<"$out" && ! grep -q '^FAILED' <<<"$out"
