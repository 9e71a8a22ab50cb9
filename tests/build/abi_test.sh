#!/usr/bin/env bash
# Objects of different builds of rig cannot be linked together: the linker's message shows the two builds.
set -u
export LC_ALL=C
: "${RIG_CXX:=g++}" "${RIG_FLAGS:=-std=c++20 -Iinclude -isystem/usr/include/eigen3}"
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
flags=$(sed 's/-DRIG_HAS_DNNL=[01]//' <<<"$RIG_FLAGS")
cat >"$work/callee.cpp" <<'CPP'
#include "rig/core/tensor.hpp"
float first(rig::Tensor<float> const& x) { return x.data()[0]; }
CPP
cat >"$work/caller.cpp" <<'CPP'
#include "rig/core/tensor.hpp"
float first(rig::Tensor<float> const& x);
int main() { return first(rig::full<float>({1}, 0.f)) == 0.f ? 0 : 1; }
CPP
compile() { $RIG_CXX $flags -DRIG_HAS_DNNL="$2" -c "$work/$1.cpp" -o "$work/$1-$2.o" || exit 1; }
compile callee 0 && compile callee 1 && compile caller 0
$RIG_CXX "$work/caller-0.o" "$work/callee-0.o" -o "$work/same" && "$work/same" || { echo "objects of one build do not link"; exit 1; }
if $RIG_CXX "$work/caller-0.o" "$work/callee-1.o" -o "$work/mixed" 2>"$work/message"; then
  echo "objects of two builds were linked together"
  exit 1
fi
grep -q 'rig::cpu_build::' "$work/message" || { echo "the linker's message does not name the build:"; cat "$work/message"; exit 1; }
echo "mixing builds is a link error that names the build"
