#!/usr/bin/env bash
# What CUDA's runtime may answer, on a machine without a GPU: no driver and one that is too old end a program with one line and
# status 1; and, with functions that play the runtime, every failure is told as what it is.
set -u
unset RIG_CUDA_SYNC
export LC_ALL=C
: "${RIG_FLAGS:=-std=c++20 -Iinclude -isystem/usr/include/eigen3}"
nvcc=$(command -v nvcc || echo "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc")
[ -x "$nvcc" ] || { echo "skipped: nvcc is not installed"; exit 0; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
failed=0
fail() { echo "FAILED: $*"; failed=1; }
flags="$(sed 's/-DRIG_HAS_DNNL=1/-DRIG_HAS_DNNL=0/; s/-fopenmp//; s/-isystem\//-isystem \//g' <<<"$RIG_FLAGS") -DEIGEN_NO_CUDA -arch=sm_80 -Xcompiler=-Wall,-Wextra -cudart shared"
library=$(dirname "$(dirname "$(readlink -f "$nvcc")")")/lib64
# build NAME SOURCES...: a program of these.
build() {
  local name=$1
  shift
  if "$nvcc" -forward-unknown-to-host-compiler $flags "${@/#/tests/build/cuda_runtime/}" -o "$work/$name" -Xlinker -rpath -Xlinker "$library" 2>&1 | grep .; then
    fail "$name does not compile without a word"
  fi
  [ -x "$work/$name" ]
}

# says TEXT: what device said is this, in one line, and its exit status was 1.
says() {
  if [ "$status" != 1 ] || [ "$(wc -l <"$work/said")" != 1 ] || ! grep -qF "$1" "$work/said"; then
    fail "exit status $status, not one line with '$1': $(cat "$work/said")"
  fi
}
if build device device.cu; then
  "$work/device" >"$work/said" 2>&1
  status=$?
  if [ $status = 0 ]; then
    echo "no driver: skipped, $(cat "$work/said")"
  elif ldconfig -p | grep -q 'libcuda\.so\.1'; then
    echo "no driver: skipped, there is one: $(cat "$work/said")"
  else
    says "rig::cuda: this machine has no NVIDIA driver, or one that does not answer; this program was built with CUDA "
  fi
  mkdir "$work/driver"
  if ${CC:-cc} -shared -fPIC tests/build/cuda_runtime/old_driver.c -o "$work/driver/libcuda.so.1"; then
    LD_LIBRARY_PATH=$work/driver "$work/device" >"$work/said" 2>&1
    status=$?
    says "the driver is for CUDA 11.4"
  fi
fi
if build queue queue.cu runtime.cpp; then timeout 60 "$work/queue" || fail "queue: exit status $?"; fi
[ $failed = 0 ] && echo "a runtime that fails: every message is right"
exit $failed
