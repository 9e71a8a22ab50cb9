#!/usr/bin/env bash
# Projects outside rig build against it: find_package(rig) on an install tree, and add_subdirectory.
set -eu
: "${RIG_BUILD:?the build folder}" "${RIG_CXX:=g++}"
source=$PWD work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
generator=$(command -v ninja >/dev/null && echo Ninja || echo "Unix Makefiles")
quiet() { "$@" >"$work/log" 2>&1 || { cat "$work/log"; echo "FAILED: $*"; exit 1; }; }

build() {  # build NAME PROGRAMS -- OPTIONS
  local name=$1 programs=$2
  shift 3
  quiet cmake -G "$generator" -S tests/build/consumer -B "$work/$name" -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER="$RIG_CXX" \
    ${RIG_LAUNCHER:+-DCMAKE_CXX_COMPILER_LAUNCHER="$RIG_LAUNCHER"} "$@"
  for program in $programs; do
    quiet cmake --build "$work/$name" --parallel --target "$program"
    quiet "$work/$name/$program"
    echo "$name: $program builds and runs"
  done
}
quiet cmake --install "$RIG_BUILD" --prefix "$work/prefix"
build find_package "header_only compiled" -- -DCMAKE_PREFIX_PATH="$work/prefix"
build add_subdirectory header_only -- -DRIG_SUBDIRECTORY="$source"
