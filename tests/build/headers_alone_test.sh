#!/usr/bin/env bash
# Every public header compiles as the only include of a file: header-only with g++; with clang++, where it is installed,
# as a user of the compiled library sees it, and rig.hpp header-only, which has every .ipp in it.
set -u
export LC_ALL=C
: "${RIG_CXX:=g++}" "${RIG_FLAGS:=-std=c++20 -Iinclude -isystem/usr/include/eigen3}"
work=${RIG_BUILD:-build}/headers_alone && mkdir -p "$work"  # always the same place, so that ccache knows the files again
export RIG_FLAGS RIG_LAUNCHER=${RIG_LAUNCHER:-} work

one() {
  local compiler=$1 header=$2 name compiled=
  case $compiler:$header in *:rig/rig.hpp) ;; *clang++:*) compiled=-DRIG_COMPILED ;; esac
  name=$(basename "$compiler")-${header//\//_}
  printf '#include "%s"\n' "$header" >"$work/$name.cpp"
  # Shadowing is g++'s business; in a header alone clang knows of functions that are defined elsewhere.
  if ${RIG_LAUNCHER:-} $compiler $RIG_FLAGS $compiled -O0 -Wall -Wextra -Werror -Wno-undefined-inline -Wno-unknown-pragmas \
    -c "$work/$name.cpp" -o "$work/$name.o" >"$work/$name.txt" 2>&1; then
    echo ok
  else
    echo "FAILED: $header alone with $compiler"
    head -n 20 "$work/$name.txt"
  fi
  rm -f "$work/$name.o"
}
export -f one

compilers=("$RIG_CXX")
case $RIG_CXX in *clang*) ;; *) command -v clang++ >/dev/null && compilers+=("clang++") ;; esac
passed=0 failed=0
for compiler in "${compilers[@]}"; do
  out=$(cd include && find rig -name '*.hpp' | sort -r | xargs -P "$(nproc)" -I{} bash -c 'cd .. && one "$0" "$1"' "$compiler" {})
  good=$(grep -c '^ok$' <<<"$out")
  bad=$(grep -c '^FAILED' <<<"$out")
  grep -v '^ok$' <<<"$out"
  echo "$compiler: $good headers compile alone, $bad do not"
  passed=$((passed + good)) failed=$((failed + bad))
done

# What a header offers is defined with it: one file with only that include, and a gradient, links.
for header in autodiff/tape autodiff/op ops/matmul ops/gather ops/reduce ops/shape ops/conv ops/progressive; do
  printf '#include "rig/%s.hpp"\nint main() { rig::Tape t; auto x = t.watch(rig::Tensor<float>({1}, {1.f})); return int(t.grad(x, x).size()) - 1; }\n' "$header" >"$work/links.cpp"
  if $RIG_CXX $RIG_FLAGS -DRIG_HAS_DNNL=0 -O0 "$work/links.cpp" -o "$work/links" >"$work/links.txt" 2>&1 && "$work/links"; then
    passed=$((passed + 1))
  else
    echo "FAILED: a program with rig/$header.hpp alone does not link"
    head -n 5 "$work/links.txt"
    failed=$((failed + 1))
  fi
done
[ "$passed" -gt 0 ] || { echo "no header was found"; exit 1; }
[ "$failed" -eq 0 ]
